"""Test whether one point explains the light around it, or two are needed.

Two points of total brightness b at ± d about x have, to second order in d, the image b (h + ½ dᵀ ∇∇h d). So the
residual of a single point in their place holds the second derivatives of h with the coefficients ½ b d dᵀ. A score test
compares them with noise, once position and brightness are accounted for. Ref: Rao 1948, doi 10.1017/S0305004100023987.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from ..._typing import Bools, Floats
from ..sources.measurement import Measurement
from ..sources.windows import Windows

__all__ = ["split_candidates"]

_SMALL = 0.02  # of σ: steps of the difference quotients that give second derivatives
_PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
_LONGEST = 1.5  # half distance of two points to start from, standard deviations of the PSF


def split_candidates(
    measurement: Measurement, positions: Floats, brightness: Floats, residual: Floats, false_finds: float,
    model_error: float,
) -> tuple[Bools, Floats]:  # fmt: skip
    """Tell for which points two explain the image significantly better, and in which direction they lie.

    Parameters
    ----------
    measurement : Measurement
        Weights and PSF.
    positions : (n, 3) float64
        µm, (z, y, x), adjusted to the image.
    brightness : (n,) float64
        Total intensities.
    residual : (z, y, x) float64
        Image minus model.
    false_finds : float
        Mean number of false answers in the image.
    model_error : float
        Relative error of the model; smaller coefficients are not believed.

    Returns
    -------
    doubled : (n,) bool
        Whether two are needed.
    half : (n, 3) float64
        Half the vector between the two, µm.
    """
    count, sigma = len(positions), measurement.sigma
    windows = Windows(measurement, positions, brightness)
    flat = windows.columns.reshape(count, 4, -1).astype(np.float64)
    root = np.sqrt(windows.weights.reshape(count, 1, -1))
    bends = _second_derivatives(measurement, positions, brightness).reshape(count, 6, -1)
    first, second = flat * root * np.r_[sigma, 1.0][None, :, None], bends * root
    target = windows.gather(residual).reshape(count, 1, -1) * root
    inner = first @ first.transpose(0, 2, 1)
    inner = inner + 1e-9 * np.trace(inner, axis1=1, axis2=2)[:, None, None] * np.eye(4) + 1e-300 * np.eye(4)
    left = second - (second @ first.transpose(0, 2, 1)) @ np.linalg.solve(inner, first)
    information = left @ left.transpose(0, 2, 1)
    score = (left @ target.transpose(0, 2, 1))[..., 0]
    information = information + 1e-9 * np.trace(information, axis1=1, axis2=2)[:, None, None] * np.eye(6)
    found = np.linalg.solve(information, score[..., None])[..., 0]
    matrix = np.empty((count, 3, 3))
    for k, (a, b) in enumerate(_PAIRS):
        matrix[:, a, b] = matrix[:, b, a] = found[:, k] if a == b else 0.5 * found[:, k]
    sizes, axes = np.linalg.eigh(matrix)  # of ½ d dᵀ, with d in σ
    largest, axis = sizes[:, -1], axes[:, :, -1]
    along = np.stack([(1.0 if a == b else 2.0) * axis[:, a] * axis[:, b] for a, b in _PAIRS], axis=1)
    gained = np.einsum("nk,nk->n", along, score)
    spread = np.einsum("nk,nkl,nl->n", along, information, along)
    significance = gained / np.sqrt(spread + (model_error * spread) ** 2)
    limit = special.chdtri(6, min(false_finds / max(count, 1), 0.5)) ** 0.5
    half = np.minimum(np.sqrt(2.0 * np.maximum(largest, 0.0)), _LONGEST)
    return (largest > 0) & (significance > limit), half[:, None] * axis * sigma


def _second_derivatives(measurement: Measurement, positions: Floats, brightness: Floats) -> Floats:
    """Return the second derivatives of each point's image for z, y and x in units of σ, (n, 6, wz, wy, wx)."""
    sigma, nearest = measurement.sigma, np.rint(measurement.grid.to_index(positions))
    slopes = []
    for axis in range(3):
        ends = []
        for sign in (-1.0, 1.0):
            shifted = positions.copy()
            shifted[:, axis] += sign * _SMALL * sigma[axis]
            at = Windows(measurement, shifted, brightness, centre=nearest)
            ends.append(at.columns[:, :3] * sigma[None, :, None, None, None])
        slopes.append((ends[1] - ends[0]) / (2.0 * _SMALL))
    return np.stack([slopes[a][:, b] for a, b in _PAIRS], axis=1)
