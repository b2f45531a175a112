"""Sums over the voxels of a slab that a least-squares loss of a rendering needs, in one pass."""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["weighted_moments"]


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "reassoc"})
def weighted_moments(image, observed, weights, sums):
    """Rendering m, measurement o and weights w: image becomes w m; sums gets Σ w m, Σ w m², Σ w m o.

    image (planes, y, x) may be larger than observed and weights at the end of every axis; there it becomes zero.
    sums (3,) float64; products are added up in float64.
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
