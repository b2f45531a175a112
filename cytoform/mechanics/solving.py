"""Least squares for tensions and pressures under a scale condition, robust, with standard errors."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.linalg import null_space
from scipy.sparse import csr_matrix, diags

from .._typing import Bools, Floats, Ints

__all__ = ["Solution", "covariance_of_clusters", "covariance_of_noise", "mean_condition", "solve"]

_HUBER = 2.5  # residuals beyond so many robust standard deviations get less weight
_ROUNDS = 20  # of reweighting, at most
_SETTLED = 1e-6  # change of the unknowns, relative, at which reweighting ends
_MEDIAN_OF_NORM = 1.538  # median length of a vector of three independent standard normal numbers
_SINGULAR = 1e-10  # eigenvalues below so much of the largest count as 0: nothing determines that combination


@dataclasses.dataclass(frozen=True, eq=False)
class Solution:
    """Unknowns that balance forces best, and what is needed for their errors.

    Parameters
    ----------
    values : (n_unknowns,) float64
        Tensions, then pressures.
    row_weights : (3 n,) float64
        Weight of every equation in the last round.
    residuals : (3 n,) float64
        Unweighted residuals.
    bread : (n_unknowns, n_unknowns) float64
        Inverse of the normal matrix on the combinations that keep the scale condition.
    condition : float
        Condition number of the equations, with columns of unit length; infinite where a combination is undetermined.
    undetermined : (n_unknowns,) bool
        Unknowns that no equation determines.
    """

    values: Floats
    row_weights: Floats
    residuals: Floats
    bread: Floats
    condition: float
    undetermined: Bools


def mean_condition(n_pairs: int, n_unknowns: int, counted: Bools) -> Floats:
    """Return the row a of the condition a · x = 1 that the mean of the counted tensions is 1.

    Parameters
    ----------
    n_pairs : int
        Number of tensions, the first unknowns.
    n_unknowns : int
        Number of tensions and pressures.
    counted : (n_pairs,) bool
        Tensions that are averaged.

    Returns
    -------
    (n_unknowns,) float64
        1 over the number of counted tensions there, 0 elsewhere.
    """
    row = np.zeros(n_unknowns)
    row[:n_pairs] = counted / max(int(counted.sum()), 1)
    return row


def solve(matrix: csr_matrix, condition: Floats, row_weights: Floats, *, robust: bool = True) -> Solution:
    """Minimise the weighted squares of matrix · x under condition · x = 1, with Huber's weights for groups of three.

    Parameters
    ----------
    matrix : (3 n, n_unknowns) sparse float64
        Row 3 i + axis is a component of the force on field i.
    condition : (n_unknowns,) float64
        The scale condition.
    row_weights : (3 n,) float64
        Weights of the rows, 1 over their standard deviation up to a factor.
    robust : bool
        Whether fields with large residuals get less weight.

    Returns
    -------
    Solution
        At the minimum.
    """
    weights, values = row_weights, np.zeros(len(condition))
    for _ in range(_ROUNDS if robust else 1):
        before = values
        values, bread, number, undetermined = _solve_once(csr_matrix(diags(weights) @ matrix), condition)
        residuals = np.asarray(matrix @ values)
        if not robust or np.abs(values - before).max() <= _SETTLED * np.abs(values).max():
            break
        weights = row_weights * np.repeat(np.sqrt(_huber_weights(row_weights * residuals)), 3)
    return Solution(values, weights, residuals, bread, number, undetermined)


def _huber_weights(residuals: Floats) -> Floats:
    """Return Huber's weight of every group of three residuals, (n,), 1 where they are small."""
    size = np.linalg.norm(residuals.reshape(-1, 3), axis=1)
    deviation = np.median(size) / _MEDIAN_OF_NORM
    return np.asarray(np.minimum(1.0, _HUBER * _MEDIAN_OF_NORM * deviation / np.maximum(size, 1e-300)))


def _solve_once(matrix: csr_matrix, condition: Floats) -> tuple[Floats, Floats, float, Bools]:
    """Return unknowns, inverse normal matrix, condition number and which unknowns are undetermined; see `Solution`."""
    normal = (matrix.T @ matrix).toarray()
    length = np.sqrt(np.maximum(normal.diagonal(), 1e-300))
    length[normal.diagonal() <= 0] = 1.0
    scaled, row = normal / np.outer(length, length), condition / length
    start = row / (row @ row)
    free = null_space(row[None])
    values, vectors = np.linalg.eigh(free.T @ scaled @ free)
    kept = values > _SINGULAR * values.max(initial=1e-300)
    inverse = free @ (vectors[:, kept] / values[kept]) @ vectors[:, kept].T @ free.T
    found = start - inverse @ (scaled @ start)
    loose = np.abs(free @ vectors[:, ~kept]).max(axis=1, initial=0.0) > 1e-3
    number = float(np.sqrt(values.max(initial=1.0) / values.min())) if kept.all() and len(values) else np.inf
    if len(values) == 0:
        number = 1.0
    return found / length, inverse / np.outer(length, length), number, loose


def covariance_of_noise(solution: Solution, matrix: csr_matrix, spread: csr_matrix) -> Floats:
    """Return the covariance of the unknowns from noise of the surface, whose size the residuals tell.

    The noise of the vertices is taken as independent on lengths below that of the fields: C = spread · spreadᵀ are the
    covariances of the equations up to the variance, which follows from the weighted residuals e by
    E |e|² = σ² tr(C - H C) with the projection H of the least squares. C takes account of the noise that overlapping
    fields share.

    Parameters
    ----------
    solution : Solution
        At the minimum.
    matrix : (3 n, n_unknowns) sparse float64
        As for :func:`solve`.
    spread : (3 n, k) sparse float64
        Change of the residuals with k independent noises of equal variance.

    Returns
    -------
    (n_unknowns, n_unknowns) float64
        Covariance.
    """
    weighted = diags(solution.row_weights) @ matrix
    noisy = csr_matrix(diags(solution.row_weights) @ spread)
    half = csr_matrix(weighted.T @ noisy)
    meat = (half @ half.T).toarray()
    whole = float(noisy.multiply(noisy).sum())
    free = whole - float((solution.bread * meat).sum())
    squares = float(((solution.row_weights * solution.residuals) ** 2).sum())
    variance = squares / free if free > 1e-9 * whole else np.nan
    return np.asarray(variance * (solution.bread @ meat @ solution.bread))


def covariance_of_clusters(solution: Solution, matrix: csr_matrix, clusters: Ints) -> Floats:
    """Return the covariance of the unknowns by the sandwich formula, with groups of equations that share noise.

    Parameters
    ----------
    solution : Solution
        At the minimum.
    matrix : (3 n, n_unknowns) sparse float64
        As for :func:`solve`.
    clusters : (n,) int
        Number of the group of every three equations, such as their junction line.

    Returns
    -------
    (n_unknowns, n_unknowns) float64
        Covariance, times g / (g - 1) for g groups. NaN for a single group.
    """
    count = int(clusters.max()) + 1
    scores = diags(solution.row_weights**2 * solution.residuals) @ matrix
    rows = np.repeat(clusters, 3)
    gather = csr_matrix((np.ones(len(rows)), (rows, np.arange(len(rows)))), shape=(count, len(rows)))
    sums = (gather @ scores).toarray()
    factor = count / (count - 1) if count > 1 else np.nan
    return np.asarray(factor * (solution.bread @ (sums.T @ sums) @ solution.bread))
