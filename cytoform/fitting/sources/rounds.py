"""The state of a search for sources between two rounds."""

from __future__ import annotations

import dataclasses

import numpy as np

from ..._typing import Floats
from .background import smooth_background
from .config import SourcesConfig
from .gauss_newton import Fitted
from .matched import matched_filter, significance_limit
from .measurement import Measurement
from .noise import noise_model

__all__ = ["SourceFit", "updated"]

_SPREAD = 1.1  # of the matched filter in the dark from which the noise counts as correlated


@dataclasses.dataclass(frozen=True, eq=False)
class SourceFit:
    """Sources that were fitted so far, with background, noise and PSF.

    Parameters
    ----------
    fitted : Fitted or None
        Sources, background and PSF; None where there are none.
    measurement : Measurement
        Image, noise, background and PSF.
    noise : (float, float)
        Variance in the dark, and its growth per unit of light.
    spread : float
        Standard deviation of noise correlated with the PSF, over that of white noise; 1 for white noise.
    limit : float
        Significance from which a point is accepted in the matched filter.
    rounds : int
        Rounds of search and adjustment.
    """

    fitted: Fitted | None
    measurement: Measurement
    noise: tuple[float, float]
    spread: float
    limit: float
    rounds: int

    @property
    def residual(self) -> Floats:
        """Image minus model, (z, y, x)."""
        return self.measurement.image - self.measurement.background - self.light

    @property
    def light(self) -> Floats:
        """Image of all sources, (z, y, x)."""
        return np.zeros(self.measurement.grid.shape) if self.fitted is None else self.fitted.light


def updated(now: SourceFit, config: SourcesConfig) -> SourceFit:
    """Return a fit with background and noise estimated anew from what its sources do not explain.

    Parameters
    ----------
    now : SourceFit
        The fit so far.
    config : SourcesConfig
        Settings.

    Returns
    -------
    SourceFit
        The same sources.
    """
    light, measurement = now.light, now.measurement
    background = smooth_background(measurement, measurement.image - light, config.background)
    variance, coefficients = noise_model(measurement.image - background - light, background + light)
    measurement = measurement.replace(background=background, variance=variance)
    _, significance = matched_filter(measurement, measurement.image - background - light, light, config.model_error)
    below = significance[significance < 0]  # missing light is above 0
    spread = 1.4826 * float(np.median(-below)) if below.size else 1.0
    fitted = None if now.fitted is None else dataclasses.replace(now.fitted, measurement=measurement)
    return dataclasses.replace(
        now, measurement=measurement, noise=coefficients, spread=spread if spread > _SPREAD else 1.0, fitted=fitted,
        limit=significance_limit(measurement, config.false_finds),
    )  # fmt: skip
