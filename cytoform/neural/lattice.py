"""Distances known on a lattice, read anywhere."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from .._typing import Array

__all__ = ["read_between"]


def read_between(shape: Array, points: npt.ArrayLike, half: npt.ArrayLike, dtype: npt.DTypeLike = np.float64) -> Array:
    """Distances between samples, linear from one to the next; outside, those of the nearest place inside.

    Parameters
    ----------
    shape : (times, z, y, x) float
        Samples, the first and last of each axis at its ends.
    points : (n, 3) float
        Where to read.
    half : (3,) float
        Half sides of what the samples span, about the origin, in the points' unit.
    dtype : data type
        In which weights and sums are formed.

    Returns
    -------
    (times, n) array of the data type
    """
    sides = np.array(shape.shape[1:])
    place = np.clip((np.asarray(points) / np.asarray(half) + 1.0) / 2.0 * (sides - 1), 0, sides - 1)
    low = np.minimum(place.astype(np.int64), np.maximum(sides - 2, 0))
    part = (place - low).astype(dtype)
    flat = shape.reshape(len(shape), -1)
    total = np.zeros((len(shape), len(part)), dtype=dtype)
    for corner in itertools.product((0, 1), repeat=3):
        weight = np.prod(np.where(np.array(corner, dtype=bool), part, 1 - part), axis=1)
        at = np.minimum(low + corner, sides - 1)
        total += weight * flat[:, np.ravel_multi_index(tuple(at.T), tuple(sides))]
    return total
