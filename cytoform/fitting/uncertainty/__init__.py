"""Standard errors of a fit: of the image's noise alone, and with what the model leaves unexplained."""

from .estimate import StandardErrors, Uncertainty, estimate_uncertainty

__all__ = ["StandardErrors", "Uncertainty", "estimate_uncertainty"]
