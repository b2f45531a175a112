"""Formats of mesh files, one module each: from bytes to the parts of a mesh and back, in (x, y, z)."""

from .parts import MeshFormat, Parts
from .registry import register, unregister

__all__ = ["MeshFormat", "Parts", "register", "unregister"]
