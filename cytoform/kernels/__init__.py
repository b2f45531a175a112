"""Compiled loops: arrays in, ``out`` arrays filled, nothing validated. Load them through :mod:`cytoform.backend`."""

from . import cache as _cache

_cache.ensure_writable()
