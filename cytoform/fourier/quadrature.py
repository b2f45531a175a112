"""Gauss rules on triangles, and how many points a triangle needs for a tolerance.

A rule of order n is the product of n Gauss-Legendre and n Gauss-Jacobi points on the collapsed square: n² points,
exact for polynomials of degree 2n - 1. Its error on exp(-i x·ξ) depends on the *phase spread* of the triangle, the
largest difference of two corners' phases; :func:`reach` gives the largest spread at which a rule keeps a tolerance.
Beyond the highest order a triangle is cut into m² equal ones.
"""

from __future__ import annotations

import functools
import itertools

import numpy as np
import numpy.typing as npt
from scipy import special

__all__ = ["ORDERS", "composite", "orders_for", "reach", "rule"]

Floats = npt.NDArray[np.float64]
ORDERS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 32)


@functools.lru_cache(maxsize=128)
def rule(order: int) -> tuple[Floats, Floats]:
    """Barycentric points (order², 3) and weights (order²,) that sum to 1."""
    across, across_weights = special.roots_legendre(order)
    along, along_weights = special.roots_jacobi(order, 1.0, 0.0)
    u = 0.5 * (1.0 + along)[:, None] * np.ones(order)
    v = (1.0 - u) * (0.5 * (1.0 + across))[None, :]
    weights = along_weights[:, None] * across_weights[None, :]
    points = np.stack([u, v, 1.0 - u - v], axis=-1).reshape(-1, 3)
    return points, (weights / weights.sum()).ravel()


@functools.lru_cache(maxsize=64)
def composite(order: int, pieces: int) -> tuple[Floats, Floats]:
    """The rule on each of pieces² equal parts of the triangle, as one rule."""
    points, weights = rule(order)
    if pieces == 1:
        return points, weights
    parts = []
    for i in range(pieces):
        for j in range(pieces - i):
            corner = np.array([i, j, pieces - i - j], dtype=np.float64)
            up = np.array([[0, 0, 0], [1, 0, -1], [0, 1, -1]], dtype=np.float64)
            parts.append(corner + up)
            if i + j <= pieces - 2:
                parts.append(corner + np.array([[1, 1, -2], [1, 0, -1], [0, 1, -1]], dtype=np.float64))
    corners = np.stack(parts) / pieces
    return np.einsum("qp,tpd->tqd", points, corners).reshape(-1, 3), np.tile(weights, len(parts)) / len(parts)


def _worst_error(order: int, spreads: Floats) -> Floats:
    """Largest error of the rule at each spread over triangles of all shapes, relative to the area."""
    points, weights = rule(order)
    fine_points, fine_weights = rule(order + 12)
    middle = np.linspace(0.0, 1.0, 5)
    shapes = np.stack([np.zeros_like(middle), middle, np.ones_like(middle)], axis=1)
    shapes = np.concatenate([shapes[:, list(p)] for p in itertools.permutations(range(3))])
    shapes -= shapes.mean(axis=1, keepdims=True)
    phases = spreads[:, None, None] * shapes[None]
    error = np.exp(-1j * (phases @ points.T)) @ weights - np.exp(-1j * (phases @ fine_points.T)) @ fine_weights
    return np.abs(error).max(axis=1)


@functools.lru_cache(maxsize=64)
def reach(tolerance: float) -> tuple[float, ...]:
    """For every order of ORDERS, the largest phase spread (radians) at which its error is below the tolerance.

    The error grows with the spread, and a rule reaches further than the one before it: a search between the two, coarse
    and then fine.
    """
    limits = [0.0]
    for order in ORDERS:
        low, high = max(limits[-1], 1e-4), 4.0 * order + 12.0
        for _ in range(2):
            spreads = np.geomspace(low, high, 16)
            above = np.flatnonzero(_worst_error(order, spreads) > tolerance)
            first = int(above[0]) if len(above) else len(spreads)
            low, high = (spreads[first - 1], spreads[first]) if 0 < first < len(spreads) else (low, low)
        limits.append(float(max(low, limits[-1])) if first else limits[-1])
    return tuple(limits[1:])


def orders_for(spreads: Floats, tolerance: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Order and number of pieces along an edge for triangles of the given phase spreads, each (n,)."""
    limits = np.array(reach(tolerance))
    index = np.searchsorted(limits, spreads)
    beyond = index >= len(ORDERS)
    pieces = np.ones(len(spreads), dtype=np.int64)
    pieces[beyond] = np.ceil(spreads[beyond] / limits[-1]).astype(np.int64)
    index[beyond] = len(ORDERS) - 1
    return np.array(ORDERS)[index], pieces
