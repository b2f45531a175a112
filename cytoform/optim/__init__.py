"""Optimisers and the preconditioner of mesh gradients."""

from .adam import Adam, AdamUniform
from .precondition import LaplacianPreconditioner

__all__ = ["Adam", "AdamUniform", "LaplacianPreconditioner"]
