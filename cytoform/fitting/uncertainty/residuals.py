"""What a fit leaves unexplained: its power on the modes that the optics pass, and how that depends on frequency."""

from __future__ import annotations

import dataclasses

import numpy as np

from ..._typing import Floats
from ...rendering import Renderer
from ..constants import MOST_BAND_SHARE
from ..evaluations import ImageFit

__all__ = ["ResidualPower", "residual_power"]


@dataclasses.dataclass(frozen=True, eq=False)
class ResidualPower:
    """Power of a residual on the modes that the optics pass, in the squared unit of the scaled image for each voxel.

    Parameters
    ----------
    mean_square : float
        Mean over the modes.
    degrees_of_freedom : float
        Degrees of freedom of the data on these modes.
    band_share : float
        Share of the modes on the band among all modes.
    white : float
        Mean power beyond the band; the mean on the band if that has nearly all modes.
    spectrum : (band.shape) float
        Power that exceeds `white` at each mode over its mean, as a Gaussian of the frequency that is as wide.
    """

    mean_square: float
    degrees_of_freedom: float
    band_share: float
    white: float
    spectrum: Floats


def residual_power(renderer: Renderer, image_fit: ImageFit) -> ResidualPower:
    """Estimate the power of a surface's residual on the modes that a renderer's optics pass."""
    band = renderer.band
    total, kept = float(image_fit.weights.sum(dtype=np.float64)), band.kept_weights
    power = np.abs(renderer.transform(image_fit.residual)).astype(np.float64) ** 2 / total
    mean = float((kept * power).sum() / kept.sum())
    share = float(kept.sum()) / band.grid.size
    everywhere = float((image_fit.residual.astype(np.float64) ** 2).sum()) / total
    white = max(everywhere - share * mean, 0.0) / (1.0 - share) if share < MOST_BAND_SHARE else mean
    above = np.maximum(power - white, 0.0)[kept > 0] * kept[kept > 0]
    mean_square_radius = float((above * band.radii**2).sum() / max(float(above.sum()), 1e-300))
    shape = np.where(kept > 0, np.exp(-1.5 * band.scatter(band.radii**2) / max(mean_square_radius, 1e-6)), 0.0)
    return ResidualPower(mean, total * share, share, white, shape * float(kept.sum()) / (kept * shape).sum())
