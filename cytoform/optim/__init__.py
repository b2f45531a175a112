"""Optimisers and the preconditioner of mesh gradients."""

from .lbfgs import LBFGS
from .precondition import LaplacianPreconditioner

__all__ = ["LBFGS", "LaplacianPreconditioner"]
