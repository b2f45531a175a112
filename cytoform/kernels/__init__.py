"""Compiled loops: arrays in, ``out`` arrays filled, nothing validated. Load them through :mod:`cytoform.backend`."""
