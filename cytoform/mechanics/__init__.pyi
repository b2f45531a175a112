from .inference import forces
from .result import Forces

__all__ = ["Forces", "forces"]
