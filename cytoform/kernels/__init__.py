"""Compiled loops: arrays in, ``out`` arrays filled, nothing validated. Load them through :mod:`cytoform.devices`."""

from . import cache as _cache

_cache.ensure_writable()
