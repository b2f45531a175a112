"""Kinds of meshes that a fit moves: closed surfaces, clusters of cells, and kinds that others register."""

from .base import Body
from .registry import body_class, body_class_of, register_body

__all__ = ["Body", "body_class", "body_class_of", "register_body"]
