"""The best brightness of every part of several bodies, and the background, by least squares without negative values."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import linalg, optimize

from ..._typing import Array, Floats
from .view import Slices

__all__ = ["Brightness", "Column", "solve_brightness"]

RIDGE = 1e-10
"""Of the largest diagonal entry of the normal matrix, added to all of them, where columns are nearly equal."""


@dataclasses.dataclass(frozen=True, eq=False)
class Column:
    """The image of one part of a body, before its brightness: `values` on the voxels `where` of the image."""

    where: Slices
    values: Array


@dataclasses.dataclass(frozen=True, eq=False)
class Brightness:
    """The best brightnesses.

    Attributes
    ----------
    gains : (n_columns,) float64
        Brightness of each column, zero or more.
    background : float
        Intensity where no body is.
    model : (z, y, x) float
        Image of all bodies at these brightnesses, with the background.
    normal : (n_columns, n_columns) float64
        Normal matrix of the columns less their means, Σ w m_i m_j.
    """

    gains: Floats
    background: float
    model: Array
    normal: Floats


def solve_brightness(columns: list[Column], observed: Array, weights: Array) -> Brightness:
    """Minimise Σ w (Σ gain · column + background - observed)² over gains of zero or more and any background.

    Parameters
    ----------
    columns : list of Column
        Images of the parts.
    observed : (z, y, x) float
        Measured image.
    weights : (z, y, x) float
        Weight w of each voxel, zero or more.

    Returns
    -------
    Brightness
        Gains, background and model.
    """
    total = float(weights.sum(dtype=np.float64))
    mean = float((weights * observed).sum(dtype=np.float64)) / total
    weighted = [weights[c.where] * c.values for c in columns]
    sums = np.array([w.sum(dtype=np.float64) for w in weighted])
    right = np.array([float((w * observed[c.where]).sum(dtype=np.float64)) for w, c in zip(weighted, columns)])
    normal = np.empty((len(columns), len(columns)))
    for i, one in enumerate(columns):
        for j in range(i + 1):
            normal[i, j] = normal[j, i] = _product(one.where, weighted[i], columns[j])
    normal -= np.outer(sums, sums) / total
    right -= sums * mean
    lifted = normal + RIDGE * np.diag(normal).max() * np.eye(len(columns))
    root = linalg.cholesky(lifted, lower=True)
    gains, _ = optimize.nnls(root.T, linalg.solve_triangular(root, right, lower=True))
    background = mean - float(gains @ sums) / total
    model = np.full(observed.shape, background, dtype=observed.dtype)
    for gain, column in zip(gains, columns):
        model[column.where] += model.dtype.type(gain) * column.values
    return Brightness(gains, background, model, normal)


def _product(where: Slices, weighted: Array, other: Column) -> float:
    """Return the sum over the common voxels of a weighted image on the voxels `where` times another column."""
    start = [max(a.start, b.start) for a, b in zip(where, other.where)]
    stop = [min(a.stop, b.stop) for a, b in zip(where, other.where)]
    if any(b <= a for a, b in zip(start, stop)):
        return 0.0
    mine = tuple(slice(a - s.start, b - s.start) for a, b, s in zip(start, stop, where))
    its = tuple(slice(a - s.start, b - s.start) for a, b, s in zip(start, stop, other.where))
    return float((weighted[mine] * other.values[its]).sum(dtype=np.float64))
