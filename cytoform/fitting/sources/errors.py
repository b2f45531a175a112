"""How much larger than the noise the residual is around sources, by which standard errors are enlarged."""

from __future__ import annotations

import numpy as np

from ..._typing import Floats
from .measurement import Measurement
from .windows import Windows

__all__ = ["misfit_factors"]

_SURE = 3.0  # standard deviations by which a mean square has to exceed that of noise


def misfit_factors(measurement: Measurement, residual: Floats, positions: Floats) -> Floats:
    """Return the root mean square of the residual around each position over the noise's, at least 1.

    Voxels count as the squared PSF. A value that noise alone may have gives 1.

    Parameters
    ----------
    measurement : Measurement
        Noise and PSF.
    residual : (z, y, x) float64
        Image minus model.
    positions : (n, 3) float64
        µm, (z, y, x).

    Returns
    -------
    (n,) float64
        Factors for standard errors.
    """
    windows = Windows(measurement, positions, np.ones(len(positions)))
    share = windows.columns[:, 3].astype(np.float64) ** 2
    total = np.maximum(share.sum(axis=(1, 2, 3)), 1e-300)
    square = (share * windows.weights * windows.gather(residual) ** 2).sum(axis=(1, 2, 3)) / total
    spread = np.sqrt(2.0 * (share**2).sum(axis=(1, 2, 3))) / total
    found: Floats = np.where(square > 1.0 + _SURE * spread, np.sqrt(np.maximum(square, 1.0)), 1.0)
    return found
