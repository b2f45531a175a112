"""Microscope optics: point spread functions and their transforms."""

from .gaussian import GaussianPSF
from .psf import PSF

__all__ = ["PSF", "GaussianPSF"]
