"""Quadrature rules on triangles, and how many points a triangle needs for a tolerance.

Rules of few points are fully symmetric (Dunavant 1985, doi 10.1002/nme.1620210612), those of more are products of n
Gauss-Legendre and n Gauss-Jacobi points on the collapsed square. A rule's error on exp(-i x·ξ) depends on the *phase
spread* of the triangle, the largest difference of two corners' phases: :func:`largest_errors` is its maximum over
triangles of all shapes. Modes may count less the higher they are, as they do behind optics: :class:`Shells` holds their
weights, and :func:`largest_spread` gives the largest spread at which a rule keeps a tolerance. A triangle that is too
large for the largest rule is cut into m² equal ones.

Segments and tetrahedra have products of Gauss rules, of n and n³ points; a point is its own rule.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools

import numpy as np
from scipy import special

from .._typing import Array, Floats, Ints
from ..errors import ConfigError
from ..image.band import Band

__all__ = [
    "N_RULES",
    "Shells",
    "composite",
    "degree",
    "gauss_composite",
    "gauss_rule",
    "gauss_rules_for",
    "largest_errors",
    "largest_gauss_errors",
    "largest_gauss_spread",
    "largest_spread",
    "rule",
    "rules_for",
]


# Degree; weight of the centroid; (weight, b) of the 3 permutations of (1 - 2 b, b, b); (weight, a, b) of the 6
# permutations of (a, b, 1 - a - b).
_SYMMETRIC: list[tuple[int, float, list[tuple[float, float]], list[tuple[float, float, float]]]] = [
    (1, 1.0, [], []),
    (2, 0.0, [(1 / 3, 1 / 6)], []),
    (4, 0.0, [(0.223381589678011, 0.445948490915965), (0.109951743655322, 0.091576213509771)], []),
    (5, 0.225, [((155 + 15**0.5) / 1200, (6 + 15**0.5) / 21), ((155 - 15**0.5) / 1200, (6 - 15**0.5) / 21)], []),
    (
        6, 0.0, [(0.116786275726379, 0.249286745170910), (0.050844906370207, 0.063089014491502)],
        [(0.082851075618374, 0.053145049844817, 0.310352451033784)],
    ),
    (
        8, 0.144315607677787,
        [(0.095091634267285, 0.459292588292723), (0.103217370534718, 0.170569307751760),
         (0.032458497623198, 0.050547228317031)],
        [(0.027230314174435, 0.008394777409958, 0.263112829634638)],
    ),
]  # fmt: skip
_SYMMETRIC_DIGITS = 1e-13  # accuracy of their published coordinates
_PRODUCTS = (5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 32)
# (degree, index in _SYMMETRIC or -1, order of a product or 0) by number of points: 1, 3, 6, 7, 12, 16, then n².
_RULES = [*((s[0], k, 0) for k, s in enumerate(_SYMMETRIC)), *((2 * n - 1, -1, n) for n in _PRODUCTS)]
N_RULES = len(_RULES)
_MOST_POINTS = {1: 24, 3: 10}  # along an axis, of the largest rule for segments and tetrahedra


def degree(index: int) -> int:
    """Return the degree of the polynomials that the rule number `index` integrates exactly."""
    return _RULES[index][0]


@functools.lru_cache(maxsize=128)
def rule(index: int) -> tuple[Floats, Floats]:
    """Return barycentric points (n, 3) and weights (n,), which sum to 1, of the rule number `index`."""
    _, symmetric, order = _RULES[index]
    if symmetric < 0:
        return _product_rule(order)
    _, middle, threes, sixes = _SYMMETRIC[symmetric]
    points: list[tuple[float, ...]] = [(1 / 3, 1 / 3, 1 / 3)] if middle else []
    weights = [middle] if middle else []
    for weight, b in threes:
        points += [(1 - 2 * b, b, b), (b, 1 - 2 * b, b), (b, b, 1 - 2 * b)]
        weights += [weight] * 3
    for weight, a, b in sixes:
        points += itertools.permutations((a, b, 1 - a - b))
        weights += [weight] * 6
    total = np.array(weights)
    return np.array(points), total / total.sum()


def _product_rule(order: int) -> tuple[Floats, Floats]:
    """Return the product rule of `order` Gauss-Legendre and `order` Gauss-Jacobi points on the collapsed square.

    As for :func:`rule`: barycentric points (order², 3), and weights that sum to 1.
    """
    across, across_weights = special.roots_legendre(order)
    along, along_weights = special.roots_jacobi(order, 1.0, 0.0)
    u = 0.5 * (1.0 + along)[:, None] * np.ones(order)
    v = (1.0 - u) * (0.5 * (1.0 + across))[None, :]
    weights = along_weights[:, None] * across_weights[None, :]
    points = np.stack([u, v, 1.0 - u - v], axis=-1).reshape(-1, 3)
    return points, (weights / weights.sum()).ravel()


@functools.lru_cache(maxsize=128)
def gauss_rule(order: int, count: int) -> tuple[Floats, Floats]:
    """Return the product rule of `count` Gauss points along each axis of the collapsed cube, for simplices of an order.

    Parameters
    ----------
    order : 0, 1, 2 or 3
        Order of the simplices.
    count : int
        Points along an axis; the rule is exact for polynomials up to degree 2 count - 1.

    Returns
    -------
    points : (count^order, order + 1) float64
        Barycentric coordinates.
    weights : (count^order,) float64
        Weights that sum to 1.
    """
    points, weights = np.ones((1, 1)), np.ones(1)
    for k in range(1, order + 1):  # a simplex of order k is one of order k - 1, shrunk along a line to a corner
        along, along_weights = special.roots_jacobi(count, k - 1.0, 0.0)
        u = 0.5 * (1.0 + along)
        shrunk = (1.0 - u)[:, None, None] * points[None]
        corner = np.broadcast_to(u[:, None, None], (count, len(points), 1))
        points = np.concatenate([shrunk, corner], axis=2).reshape(-1, k + 1)
        weights = (along_weights[:, None] * weights[None]).ravel()
        weights = weights / weights.sum()
    return points, weights


@functools.lru_cache(maxsize=64)
def composite(index: int, pieces: int) -> tuple[Floats, Floats]:
    """Return the composite rule: rule number `index` on each of pieces² equal parts of the triangle, as one rule."""
    points, weights = rule(index)
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


@functools.lru_cache(maxsize=128)
def largest_gauss_errors(order: int, count: int) -> tuple[Floats, Floats]:
    """Return the largest error of a product rule on exp(-i x·ξ) as a function of the simplex's phase spread.

    Parameters
    ----------
    order : 0, 1, 2 or 3
        Order of the simplices.
    count : int
        Points along an axis, as for :func:`gauss_rule`.

    Returns
    -------
    spreads : (n,) float64
        Phase spreads, radians, in geometric progression.
    errors : (n,) float64
        Largest error, divided by the simplex's size, of all simplices up to each spread, whatever their shape.
    """
    points, weights = gauss_rule(order, count)
    fine_points, fine_weights = gauss_rule(order, count + (12 if order < 3 else 4))
    spreads = np.geomspace(1e-3, 4.0 * count + (12.0 if order < 3 else 2.0), 64 if order < 3 else 32)
    if order == 0:
        return spreads, np.full(len(spreads), 1e-17)
    middle = np.linspace(0.0, 1.0, 5 if order < 3 else 3)
    inner = np.array(list(itertools.product(middle, repeat=order - 1))).reshape(len(middle) ** (order - 1), order - 1)
    shapes = np.concatenate([np.zeros((len(inner), 1)), inner, np.ones((len(inner), 1))], axis=1)
    shapes = np.unique(np.concatenate([shapes[:, list(p)] for p in itertools.permutations(range(order + 1))]), axis=0)
    shapes -= shapes.mean(axis=1, keepdims=True)
    worst = np.empty(len(spreads))
    for number, spread in enumerate(spreads):
        phases = spread * shapes
        found = np.exp(-1j * (phases @ points.T)) @ weights - np.exp(-1j * (phases @ fine_points.T)) @ fine_weights
        worst[number] = np.abs(found).max()
    return spreads, np.maximum(np.maximum.accumulate(worst), 1e-17)


@functools.lru_cache(maxsize=64)
def largest_errors(index: int) -> tuple[Floats, Floats]:
    """Return the largest error of the rule number `index` on exp(-i x·ξ) as a function of the triangle's phase spread.

    Returns
    -------
    spreads : (64,) float64
        Phase spreads, radians, in geometric progression.
    errors : (64,) float64
        Largest error, divided by the triangle's area, of all triangles up to each spread, whatever their shape.
    """
    points, weights = rule(index)
    half = (degree(index) + 1) // 2
    fine_points, fine_weights = _product_rule(half + 12)
    spreads = np.geomspace(1e-3, 4.0 * half + 12.0, 64)
    middle = np.linspace(0.0, 1.0, 5)
    shapes = np.stack([np.zeros_like(middle), middle, np.ones_like(middle)], axis=1)
    orders = list(itertools.permutations(range(3))) if _RULES[index][1] < 0 else [(0, 1, 2)]
    shapes = np.concatenate([shapes[:, list(p)] for p in orders])
    shapes -= shapes.mean(axis=1, keepdims=True)
    phases = spreads[:, None, None] * shapes[None]
    found = np.exp(-1j * (phases @ points.T)) @ weights - np.exp(-1j * (phases @ fine_points.T)) @ fine_weights
    worst = np.maximum.accumulate(np.abs(found).max(axis=1))
    return spreads, np.maximum(worst, 1e-17 if _RULES[index][1] < 0 else _SYMMETRIC_DIGITS)


@dataclasses.dataclass(frozen=True)
class Shells:
    """Weights of a band's modes by radius: each shell of an ellipsoid has the largest weight of its modes.

    Parameters
    ----------
    radii : tuple of float
        Outer radius of each shell, ascending, in units of the ellipsoid around the band's kept modes; the last is 1.
    weights : tuple of float
        Largest weight of a mode in each shell, 0 or more. By default there is one shell of weight 1.
    """

    radii: tuple[float, ...] = (1.0,)
    weights: tuple[float, ...] = (1.0,)

    @classmethod
    def from_weights(cls, band: Band, weights: Array, count: int = 24) -> Shells:
        """Take the weights of a band's modes, such as the modulus of an OTF, to shells of equal thickness.

        Parameters
        ----------
        band : Band
            Modes that are kept.
        weights : (band.shape) float or complex
            Weights on the band's box; their modulus counts.
        count : int
            Number of shells, 24 by default.

        Returns
        -------
        Shells
            With the largest weight of each shell; 0 for a shell without a mode.
        """
        radii = band.radii
        size = np.abs(np.broadcast_to(weights, band.shape)).ravel()[band.index]
        number = np.minimum((radii * count).astype(np.int64), count - 1)
        most = np.zeros(count)
        np.maximum.at(most, number, size)
        return cls(tuple((np.arange(count) + 1.0) / count), tuple(most.tolist()))


@functools.lru_cache(maxsize=512)
def largest_spread(index: int, tolerance: float, shells: Shells = Shells()) -> float:
    """Return the largest phase spread at which a rule's weighted error is below the tolerance.

    Parameters
    ----------
    index : int
        Number of the rule.
    tolerance : float
        Error allowed for a unit of area.
    shells : Shells
        Weights of the modes; all 1 by default.

    Returns
    -------
    float
        Spread at the border of the band's ellipsoid, radians; 0 where the rule never keeps the tolerance.
    """
    return _spread_within(*largest_errors(index), tolerance, shells)


@functools.lru_cache(maxsize=512)
def largest_gauss_spread(order: int, count: int, tolerance: float, shells: Shells = Shells()) -> float:
    """Return the largest phase spread at which a product rule's weighted error is below the tolerance.

    Parameters
    ----------
    order : 0, 1, 2 or 3
        Order of the simplices.
    count : int
        Points along an axis, as for :func:`gauss_rule`.
    tolerance : float
        Error allowed for a unit of size.
    shells : Shells
        Weights of the modes; all 1 by default.

    Returns
    -------
    float
        Spread at the border of the band's ellipsoid, radians; 0 where the rule never keeps the tolerance.
    """
    return _spread_within(*largest_gauss_errors(order, count), tolerance, shells)


def gauss_rules_for(order: int, spreads: Floats, tolerance: float, shells: Shells = Shells()) -> tuple[Ints, Ints]:
    """Choose for each simplex the product rule of fewest points that keeps a tolerance.

    Parameters
    ----------
    order : 0, 1 or 3
        Order of the simplices.
    spreads : (n,) float64
        Phase spread of each simplex at the border of the band, radians.
    tolerance : float
        Error allowed for a unit of size.
    shells : Shells
        Weights of the modes; all 1 by default.

    Returns
    -------
    counts : (n,) int
        Points along an axis of each simplex's rule.
    pieces : (n,) int
        Parts along an edge into which each simplex is cut; 1 unless no rule is large enough.

    Raises
    ------
    ConfigError
        When no rule keeps the tolerance, however small the simplex.
    """
    pieces = np.ones(len(spreads), dtype=np.int64)
    if order == 0:
        return pieces.copy(), pieces
    largest = float(spreads.max(initial=0.0))
    limits: list[float] = []
    for count in range(1, _MOST_POINTS[order] + 1):
        limits.append(max(limits[-1] if limits else 0.0, largest_gauss_spread(order, count, tolerance, shells)))
        if limits[-1] >= largest:
            break
    chosen = np.searchsorted(limits, spreads)
    beyond = chosen >= len(limits)
    if beyond.any():
        if not limits[-1] > 0:
            raise ConfigError(
                f"a tolerance of {tolerance:.1e} for the points on a simplex is below rounding.",
                remedy="Ask for a larger one, or use backend='exact'.",
            )
        # an edge of a part may be the sum of two edges, parted as well, that have no corner in common
        pieces[beyond] = np.ceil((order + 1) // 2 * spreads[beyond] / limits[-1]).astype(np.int64)
        chosen[beyond] = limits.index(limits[-1])
    return chosen.astype(np.int64) + 1, pieces


@functools.lru_cache(maxsize=64)
def gauss_composite(order: int, count: int, pieces: int) -> tuple[Floats, Floats]:
    """Return the product rule on each of pieces^order equal parts of a simplex, as one rule.

    The parts are those of the cube's division along its diagonal. Ref: Freudenthal 1942, doi 10.2307/1968813.

    Parameters
    ----------
    order : 0, 1 or 3
        Order of the simplices.
    count : int
        Points along an axis, as for :func:`gauss_rule`.
    pieces : int
        Parts along an edge.

    Returns
    -------
    points : (n, order + 1) float64
        Barycentric coordinates.
    weights : (n,) float64
        Weights that sum to 1.
    """
    points, weights = gauss_rule(order, count)
    if pieces == 1:
        return points, weights
    # the simplex is pieces >= x >= y >= z >= 0; a part goes from a cube's corner along the axes in some order
    starts = np.stack(np.meshgrid(*[np.arange(pieces)] * order, indexing="ij"), axis=-1).reshape(-1, order)
    parts = []
    for path in itertools.permutations(range(order)):
        steps = np.cumsum(np.eye(order, dtype=np.int64)[list(path)], axis=0)
        corners = starts[:, None] + np.concatenate([np.zeros((1, order), dtype=np.int64), steps])
        inside = (np.diff(corners, axis=2) <= 0).all(axis=(1, 2))
        parts.append(corners[inside])
    walls = np.concatenate(parts)
    ends = np.full((*walls.shape[:2], 1), pieces), np.zeros((*walls.shape[:2], 1))
    barycentric = -np.diff(np.concatenate([ends[0], walls, ends[1]], axis=2), axis=2) / pieces
    found = np.einsum("qp,tpd->tqd", points, barycentric).reshape(-1, order + 1)
    return found, np.tile(weights, len(barycentric)) / len(barycentric)


def _spread_within(spreads: Floats, errors: Floats, tolerance: float, shells: Shells) -> float:
    """Return the largest of some spreads at which the errors there, weighted by shells, are below the tolerance."""
    radii, weights = np.array(shells.radii), np.array(shells.weights)
    seen = np.interp(np.log(spreads[:, None] * radii), np.log(spreads), np.log(errors))
    worst = (np.exp(seen) * weights).max(axis=1)
    above = np.flatnonzero(worst > tolerance)
    if len(above) == 0:
        return float(spreads[-1])
    if above[0] == 0:
        return 0.0
    low, high = above[0] - 1, above[0]
    part = np.log(tolerance / worst[low]) / np.log(worst[high] / worst[low])
    return float(spreads[low] * (spreads[high] / spreads[low]) ** part)


def rules_for(spreads: Floats, tolerance: float, shells: Shells = Shells()) -> tuple[Ints, Ints]:
    """Choose for each triangle the rule of fewest points that keeps a tolerance.

    Parameters
    ----------
    spreads : (n,) float64
        Phase spread of each triangle at the border of the band, radians.
    tolerance : float
        Error allowed for a unit of area.
    shells : Shells
        Weights of the modes; all 1 by default.

    Returns
    -------
    index : (n,) int
        Number of each triangle's rule.
    pieces : (n,) int
        Parts along an edge into which each triangle is cut; 1 unless no rule is large enough.

    Raises
    ------
    ConfigError
        When no rule keeps the tolerance, however small the triangle.
    """
    largest = float(spreads.max(initial=0.0))
    limits = [0.0]
    for index in range(N_RULES):
        limits.append(max(limits[-1], largest_spread(index, tolerance, shells)))
        if limits[-1] >= largest:
            break
    limits = limits[1:]
    chosen = np.searchsorted(limits, spreads)
    beyond = chosen >= len(limits)
    pieces = np.ones(len(spreads), dtype=np.int64)
    if beyond.any():
        if not limits[-1] > 0:
            raise ConfigError(
                f"a tolerance of {tolerance:.1e} for the points on a triangle is below rounding.",
                remedy="Ask for a larger one, or use backend='exact'.",
            )
        pieces[beyond] = np.ceil(spreads[beyond] / limits[-1]).astype(np.int64)
        chosen[beyond] = limits.index(limits[-1])  # the first rule with this limit
    return chosen.astype(np.int64, copy=False), pieces
