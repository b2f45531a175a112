"""Kinds of bodies that a fit can move: all that it has to know of a kind of mesh, one file each."""

from .base import Body
from .registry import body_class, body_class_of, register_body

__all__ = ["Body", "body_class", "body_class_of", "register_body"]
