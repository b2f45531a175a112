"""Trilinear interpolation of distances that are sampled on a regular lattice."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from .._typing import Array

__all__ = ["interpolate_trilinear"]


def interpolate_trilinear(
    shape: Array, points: npt.ArrayLike, half_sides: npt.ArrayLike, dtype: npt.DTypeLike = np.float64
) -> Array:
    """Return sampled distances at any points by trilinear interpolation; outside the box, those of its nearest point.

    Parameters
    ----------
    shape : (times, z, y, x) float
        Samples on a regular lattice; the first and last of each axis lie on the faces of the box.
    points : (n, 3) float
        Where to interpolate, (z, y, x), relative to the centre of the box.
    half_sides : (3,) float
        Half sides of the box, in the unit of the points.
    dtype : data type
        Precision of the interpolation weights and of the sums; float64 by default.

    Returns
    -------
    (times, n) array of ``dtype``
        The interpolated distances.
    """
    sides = np.array(shape.shape[1:])
    position = np.clip((np.asarray(points) / np.asarray(half_sides) + 1.0) / 2.0 * (sides - 1), 0, sides - 1)
    low = np.minimum(position.astype(np.int64), np.maximum(sides - 2, 0))
    fraction = (position - low).astype(dtype)
    flat = shape.reshape(len(shape), -1)
    total = np.zeros((len(shape), len(fraction)), dtype=dtype)
    for corner in itertools.product((0, 1), repeat=3):
        weight = np.prod(np.where(np.array(corner, dtype=bool), fraction, 1 - fraction), axis=1)
        index = np.minimum(low + corner, sides - 1)
        total += weight * flat[:, np.ravel_multi_index(tuple(index.T), tuple(sides))]
    return total
