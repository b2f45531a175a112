"""Loss between a rendered and a measured image: the best gain and background, and the weights of the voxels.

The model of a measurement is gain · rendering + background. Both are fitted in closed form by linear least squares;
images are not normalised by their minimum and maximum.
"""

from __future__ import annotations

import numpy as np

from ._typing import Array, Bools, Floats

__all__ = ["affine_of_moments", "best_affine", "best_pair", "huber_weights", "signal_weights"]


def best_affine(rendered: Array, observed: Array, weights: Array | None = None) -> tuple[float, float]:
    """Return the gain and background that minimise Σ w (gain · rendered + background - observed)².

    The gain is never below a tenth of the ratio of the standard deviations of `observed` and `rendered`, so it stays
    positive where the two images do not correlate. It is 0 where `rendered` is constant.

    Parameters
    ----------
    rendered : (z, y, x) float
        Rendered image, any unit.
    observed : (z, y, x) float
        Measured image, in camera counts or any other intensity.
    weights : (z, y, x) float, optional
        Weight w of each voxel, zero or more; 1 everywhere by default.

    Returns
    -------
    gain : float
        Measured intensity per unit of the rendering.
    background : float
        Measured intensity where the rendering is zero.
    """
    w = np.ones(rendered.shape) if weights is None else np.asarray(weights, dtype=np.float64)
    r, o = np.asarray(rendered, dtype=np.float64), np.asarray(observed, dtype=np.float64)
    total = w.sum()
    mean_r, mean_o = float((w * r).sum() / total), float((w * o).sum() / total)
    return affine_of_moments(
        mean_r, mean_o, float((w * (r - mean_r) ** 2).sum()), float((w * (r - mean_r) * (o - mean_o)).sum()),
        float((w * (o - mean_o) ** 2).sum()),
    )  # fmt: skip


def affine_of_moments(
    mean_rendered: float, mean_observed: float, variance: float, covariance: float, variance_observed: float
) -> tuple[float, float]:
    """Return gain and background as :func:`best_affine` does, from weighted moments of the two images.

    Parameters
    ----------
    mean_rendered, mean_observed : float
        Weighted means r̄ and ō of the rendered and the measured image.
    variance : float
        Σ w (r - r̄)², the weighted sum of squares of the rendered image about its mean (not divided by Σ w).
    covariance : float
        Σ w (r - r̄)(o - ō), the weighted sum of products about the means.
    variance_observed : float
        Σ w (o - ō)², the weighted sum of squares of the measured image about its mean.

    Returns
    -------
    gain : float
        covariance / variance, but at least 0.1 √(variance_observed / variance); 0 where `variance` is 0.
    background : float
        mean_observed - gain · mean_rendered.
    """
    if variance <= 0:
        return 0.0, mean_observed
    spread = (variance_observed / variance) ** 0.5
    gain = max(covariance / variance, 0.1 * spread)
    return gain, mean_observed - gain * mean_rendered


def best_pair(variances: Floats, covariances: Floats, variance_observed: float) -> tuple[float, float]:
    """Return the gains of two renderings, zero or more, whose weighted sum is nearest to a measured image.

    They are non-negative least squares for two unknowns, with the background at its best. The first gain is never below
    a hundredth of what it would be alone for the whole contrast, so that it stays positive.

    Parameters
    ----------
    variances : (2, 2) float
        Σ w (r_i - r̄_i)(r_j - r̄_j), the weighted products of the renderings about their means.
    covariances : (2,) float
        Σ w (r_i - r̄_i)(o - ō), their products with the measured image.
    variance_observed : float
        Σ w (o - ō)², the weighted sum of squares of the measured image about its mean.

    Returns
    -------
    first, second : float
        The gains.
    """
    least = 0.01 * (variance_observed / max(float(variances[0, 0]), 1e-300)) ** 0.5
    determinant = float(np.linalg.det(variances))
    if determinant > 1e-12 * float(variances[0, 0] * variances[1, 1]):
        first, second = np.linalg.solve(variances, covariances)
        if first >= least and second >= 0:
            return float(first), float(second)
    alone = max(float(covariances[0] / max(variances[0, 0], 1e-300)), least)
    with_least = max(float((covariances[1] - variances[0, 1] * least) / max(variances[1, 1], 1e-300)), 0.0)
    tried = [np.array([alone, 0.0]), np.array([least, with_least])]
    first, second = min(tried, key=lambda g: float(g @ variances @ g - 2.0 * g @ covariances))
    return float(first), float(second)


def signal_weights(observed: Array, background: float, *, floor: float = 0.0) -> Array:
    """Return voxel weights for the loss of the shape: max(observed - background, 0) / maximum, and at least `floor`.

    Where no voxel is brighter than the background all weights are 1. Ichbiah et al. 2025, section 5.1, weight by the
    image itself; here the background (a camera's offset) is subtracted first.

    Parameters
    ----------
    observed : (z, y, x) float
        Measured image.
    background : float
        Intensity of the background, in the unit of `observed`.
    floor : float
        Smallest weight of a voxel, 0 to 1; 0 (default) leaves voxels at or below the background out of the loss.

    Returns
    -------
    (z, y, x) float
        Weights from `floor` to 1, in the dtype of `observed`.
    """
    signal = np.maximum(observed - observed.dtype.type(background), 0)
    peak = float(signal.max())
    if not peak > 0:
        return np.ones_like(observed)
    weights: Array = np.maximum(signal / observed.dtype.type(peak), observed.dtype.type(floor))
    return weights


def huber_weights(residual: Array, where: Bools, limit: float) -> Floats:
    """Return the weights min(1, limit · s / |residual|) of Huber's loss for iteratively reweighted least squares.

    s is a robust standard deviation: 1.4826 times the median of |residual| over the voxels in `where`. A residual that
    the surface cannot explain, such as a neighbour's light, then has no more influence than a residual of limit · s.
    Where s is 0 all weights are 1.

    Parameters
    ----------
    residual : (z, y, x) float
        Rendered minus measured image.
    where : (z, y, x) bool
        Voxels from which s is estimated.
    limit : float
        Residual, in units of s, from which on the weight falls below 1.

    Returns
    -------
    (z, y, x) float64
        Weights from 0 to 1.
    """
    spread = 1.4826 * float(np.median(np.abs(residual[where])))
    size = np.abs(np.asarray(residual, dtype=np.float64))
    return np.minimum(1.0, limit * spread / np.maximum(size, 1e-30)) if spread > 0 else np.ones(residual.shape)
