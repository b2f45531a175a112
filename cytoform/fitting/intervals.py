"""Confidence intervals of a result's quantities from their standard errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from ..errors import ConfigError, FitError
from ..metrics.shape import sphericity

if TYPE_CHECKING:
    from .result import FitResult

__all__ = ["confidence_interval"]


def confidence_interval(result: FitResult, name: str, level: float) -> tuple[float, float]:
    """Return a confidence interval of a quantity; :meth:`.FitResult.interval` describes names, unit and errors."""
    if not 0 < level < 1:
        raise ConfigError(f"level is {level!r}; expected a probability between 0 and 1.")
    if result.uncertainty is None:
        if result.saved is not None:
            raise FitError(
                "a loaded result has no intervals.",
                remedy="Its standard errors are in fit.json; the result that cytoform.fit returns has intervals.",
            )
        raise FitError("no standard errors were computed.", remedy="Fit with FitConfig(uncertainty=True).")
    errors, widths = result.uncertainty, np.asarray(result.psf.fwhm)
    known = {
        "volume_um3": (result.volume_um3, errors.volume_um3),
        "area_um2": (result.area_um2 - errors.area_excess_um2, errors.area_um2),
        "sphericity": (sphericity(result.volume_um3, result.area_um2 - errors.area_excess_um2), errors.sphericity),
        **{f"psf_fwhm_{a}_um": (widths[i], errors.psf_fwhm_um[i]) for i, a in enumerate("zyx")},
    }
    if name not in known:
        raise ConfigError(f"name is {name!r}; expected one of {', '.join(known)}.")
    value, error = known[name]
    half_width = float(ndtri(0.5 + 0.5 * level)) * error
    return float(value - half_width), float(value + half_width)
