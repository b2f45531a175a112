"""Optimisers and the preconditioner of mesh gradients."""

from .adam import Adam, AdamUniform
from .lbfgs import LBFGS
from .precondition import LaplacianPreconditioner

__all__ = ["LBFGS", "Adam", "AdamUniform", "LaplacianPreconditioner"]
