"""The matched filter: how significantly a point of light is missing at each voxel, and from where on that is rare."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import brentq

from ..._typing import Floats
from .measurement import Measurement

__all__ = ["matched_filter", "significance_limit"]


def matched_filter(
    measurement: Measurement, residual: Floats, light: Floats, model_error: float
) -> tuple[Floats, Floats]:
    """Return the brightness of the point that fits a residual best at each voxel, and how significant it is.

    The correlation of the weighted residual with the PSF is divided by its standard deviation: that of the noise, and
    an error of the model of `model_error` times the light that it has there, which would otherwise be taken for faint
    points around bright ones.

    Parameters
    ----------
    measurement : Measurement
        Weights and PSF.
    residual : (z, y, x) float64
        Image minus model.
    light : (z, y, x) float64
        Light of the sources found so far.
    model_error : float
        Standard deviation of the model's relative error.

    Returns
    -------
    brightness : (z, y, x) float64
        Total intensity.
    significance : (z, y, x) float64
        In standard deviations.
    """
    voxel = measurement.grid.voxel_volume
    weights = measurement.weights
    # Sums over voxels are integrals over the volume of a voxel: the blur is the sum times this volume.
    score = measurement.blur(weights * residual) / voxel
    information = np.maximum(measurement.blur_squared(weights) / voxel, 1e-300)
    mistaken = model_error * np.maximum(measurement.blur(weights * light), 0.0) / voxel
    brightness: Floats = score / information
    significance: Floats = score / np.sqrt(information + mistaken**2)
    return brightness, significance


def significance_limit(measurement: Measurement, false_points: float) -> float:
    """Return the significance that noise alone exceeds in a given mean number of places of the image.

    It follows from the mean Euler characteristic of the parts of a smooth Gaussian field above a level. Ref: Adler,
    "The Geometry of Random Fields" (1981); Worsley et al. 1992, doi 10.1038/jcbfm.1992.127.

    Parameters
    ----------
    measurement : Measurement
        Grid and PSF; the field is white noise correlated with the PSF.
    false_points : float
        Mean number of places.

    Returns
    -------
    float
        Standard deviations, at least 3.
    """
    cells = 1.0
    for extent, sigma in zip(measurement.grid.extent, measurement.sigma):
        cells *= max(extent, sigma) / (sigma * math.sqrt(2.0))  # the field's correlation is exp(-x² / 4 σ²)

    def excess(level: float) -> float:
        return math.log(cells * (level**2 - 1.0) / (2.0 * math.pi) ** 2) - 0.5 * level**2 - math.log(false_points)

    return 3.0 if excess(3.0) <= 0 else float(brentq(excess, 3.0, 12.0))
