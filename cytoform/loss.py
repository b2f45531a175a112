"""How far a rendered image is from a measured one, with the gradient beside the value.

The model of a measurement is gain · rendering + background. Both are part of the model: no min-max normalisation.
"""

from __future__ import annotations

import numpy as np

from ._typing import Array, Bools, Floats

__all__ = ["affine_of_moments", "best_affine", "huber_weights", "signal_weights"]


def best_affine(rendered: Array, observed: Array, weights: Array | None = None) -> tuple[float, float]:
    """Gain and background that minimise the weighted L2 loss: a linear least squares of two unknowns.

    The gain is kept positive: where the rendering explains nothing it is the one that gives the right contrast.
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
    """:func:`best_affine` from weighted means, and sums of weighted squares and products about them."""
    if variance <= 0:
        return 0.0, mean_observed
    spread = (variance_observed / variance) ** 0.5
    gain = max(covariance / variance, 0.1 * spread)
    return gain, mean_observed - gain * mean_rendered


def signal_weights(observed: Array, background: float, *, floor: float = 0.0) -> Array:
    """Weights of the shape loss, max(observed - background, 0) scaled to maximum 1, and at least `floor`.

    The paper weights by the image itself (Ichbiah et al. 2025, section 5.1), on images without a camera's offset.
    """
    signal = np.maximum(observed - observed.dtype.type(background), 0)
    peak = float(signal.max())
    if not peak > 0:
        return np.ones_like(observed)
    return np.maximum(signal / observed.dtype.type(peak), observed.dtype.type(floor))


def huber_weights(residual: Array, where: Bools, limit: float) -> Floats:
    """Weights min(1, limit · s / |residual|) of Huber's loss by reweighting, s the robust spread of the residuals.

    Light that the surface cannot explain, such as a neighbour's, then pulls no harder than a residual of limit · s.
    s is 1.4826 times the median of the absolute residuals in `where`.
    """
    spread = 1.4826 * float(np.median(np.abs(residual[where])))
    size = np.abs(np.asarray(residual, dtype=np.float64))
    return np.minimum(1.0, limit * spread / np.maximum(size, 1e-30)) if spread > 0 else np.ones(residual.shape)
