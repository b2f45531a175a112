"""Sums over voxels that a weighted least-squares loss of a rendered image needs, in one pass."""

from __future__ import annotations

import numba
import numpy as np

from .._typing import AnyFloats, Floats

__all__ = ["weighted_moments"]


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "reassoc"})
def weighted_moments(image: AnyFloats, observed: AnyFloats, weights: AnyFloats, sums: Floats) -> None:
    """Replace a rendered image m by w m, and fill `sums` with Σ w m, Σ w m² and Σ w m o.

    image m (planes, y, x) is changed in place; observed o and weights w may be smaller than image at the end of every
    axis, and image becomes zero there. sums (3,) float64; products are added up in float64.
    """
    first, second, mixed = 0.0, 0.0, 0.0
    planes, rows, columns = observed.shape
    for p in range(image.shape[0]):
        for i in range(image.shape[1]):
            if p >= planes or i >= rows:
                image[p, i] = 0
                continue
            for j in range(columns):
                m, o, w = image[p, i, j], observed[p, i, j], weights[p, i, j]
                weighted = w * m
                image[p, i, j] = weighted
                first += np.float64(weighted)
                second += np.float64(weighted) * np.float64(m)
                mixed += np.float64(weighted) * np.float64(o)
            for j in range(columns, image.shape[2]):
                image[p, i, j] = 0
    sums[0], sums[1], sums[2] = first, second, mixed
