"""Geometry that the families share: level functions, smooth unions, surfaces of levels, distances to surfaces.

Positions are (z, y, x); lengths are µm, or any other unit that is used throughout. Nothing here is random.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from .._typing import Array, Floats
from ..masks import marching_cubes
from ..mesh.closest import closest_points
from ..mesh.surface import SurfaceMesh

__all__ = [
    "Samples",
    "cone_level",
    "ellipsoid_level",
    "fibonacci_directions",
    "hermite_step",
    "level_surface",
    "smooth_min",
    "smootherstep",
    "spherical_harmonics",
    "surface_distance",
    "volume_centroid",
]

Level = Callable[["Samples"], Array]

_NEWTON_STEPS = 2  # marching cubes errs by second order; two steps bring vertices to about 1e-6 of a lattice step
_AT_ONCE = 16_384  # points whose nearest triangles are sought together; bounds memory


def smootherstep(x: npt.ArrayLike) -> Any:
    """Evaluate the step 0 for x ≤ 0, 6x⁵ − 15x⁴ + 10x³ in between, 1 for x ≥ 1, twice differentiable everywhere.

    Parameters
    ----------
    x : float or array
        Without a unit.

    Returns
    -------
    float or array
        Values in [0, 1], of the shape of ``x``.
    """
    x = np.clip(x, 0.0, 1.0)
    return x * x * x * (x * (6.0 * x - 15.0) + 10.0)


def hermite_step(x: npt.ArrayLike, slope: float) -> Any:
    """Evaluate the cubic Hermite polynomial from 0 at x = 0 to 1 at x = 1, with x clipped to [0, 1].

    Parameters
    ----------
    x : float or array
        Without a unit.
    slope : float
        Derivative at x = 0; at x = 1 it is 0.

    Returns
    -------
    float or array
        Of the shape of ``x``.
    """
    x = np.clip(x, 0.0, 1.0)
    return slope * x * (1.0 - x) ** 2 + x * x * (3.0 - 2.0 * x)


def smooth_min(a: Any, b: Any, k: float) -> Any:
    """Return the smaller of two levels, rounded where they differ by less than ``k``.

    It is min(a, b) − max(k − |a − b|, 0)² / 4k, whose zero level set is a union with a rounded crease.

    Ref: Quilez, "smooth minimum", quadratic polynomial.

    Parameters
    ----------
    a, b : float or array
        Levels, negative inside, that broadcast.
    k : float
        Width of the rounding, in the levels' unit; the plain minimum where it is not positive.

    Returns
    -------
    float or array
        Lower than both by k/4 where they are equal.
    """
    if k <= 0:
        return np.minimum(a, b)
    h = np.maximum(k - np.abs(a - b), 0.0)
    return np.minimum(a, b) - h * h * (0.25 / k)


class Samples:
    """Points at which a level function is evaluated: scattered points, or all crossings of three axes.

    Parameters
    ----------
    z, y, x : (n,) arrays, or (nz,), (ny,), (nx,) arrays
        Coordinates of scattered points, or of the three axes, increasing.
    axes : bool
        Whether they are axes.

    Attributes
    ----------
    z, y, x : arrays
        Coordinates that broadcast to ``shape``.
    shape : tuple
        (n,) for points, (nz, ny, nx) for axes.
    """

    def __init__(self, z: Array, y: Array, x: Array, *, axes: bool) -> None:
        self.axes = axes
        self._raw = (z, y, x)
        self.z, self.y, self.x = (z[:, None, None], y[None, :, None], x[None, None, :]) if axes else (z, y, x)
        self.shape: tuple[int, ...] = (len(z), len(y), len(x)) if axes else (len(z),)

    @classmethod
    def points(cls, points: Array) -> Samples:
        """Return samples at scattered points, (n, 3), (z, y, x)."""
        return cls(*np.ascontiguousarray(points.T), axes=False)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of the coordinates."""
        return self._raw[0].dtype

    def within(self, low: Array, high: Array) -> tuple[Any, Samples]:
        """Select the samples in a box.

        Parameters
        ----------
        low, high : (3,) float
            Corners of the box, (z, y, x).

        Returns
        -------
        index : tuple of slices or (m,) int
            Picks the selected values from an array of ``shape``.
        samples : Samples
            The selected samples.
        """
        if self.axes:
            cuts = tuple(slice(*np.searchsorted(a, (lo, hi))) for a, lo, hi in zip(self._raw, low, high))
            return cuts, Samples(*(a[c] for a, c in zip(self._raw, cuts)), axes=True)
        inside = np.ones(self.shape, dtype=bool)
        for a, lo, hi in zip(self._raw, low, high):
            inside &= (a >= lo) & (a <= hi)
        index = np.flatnonzero(inside)
        return index, Samples(*(a[index] for a in self._raw), axes=False)


def ellipsoid_level(at: Samples, centre: Array, axes: Array) -> Array:
    """Evaluate the level function of an ellipsoid: k (k − 1) / g with k = |p / axes| and g = |p / axes²|.

    Close to the surface it is nearly the signed distance. Ref: Quilez, "ellipsoid".

    Parameters
    ----------
    at : Samples
        Points.
    centre : (3,) float
        Middle of the ellipsoid, (z, y, x); p is counted from it.
    axes : (3,) float
        Half axes along z, y and x.

    Returns
    -------
    array of ``at.shape``
        Negative inside, in the unit of the coordinates.
    """
    offsets = [(c - m) for c, m in zip((at.z, at.y, at.x), centre.tolist())]
    first = np.sqrt(sum((o / a) ** 2 for o, a in zip(offsets, axes.tolist())))
    second = np.sqrt(sum((o / a**2) ** 2 for o, a in zip(offsets, axes.tolist())))
    return np.where(second > 0, first * (first - 1.0) / np.maximum(second, 1e-12), -float(axes.min()))


def cone_level(at: Samples, start: Array, end: Array, radii: tuple[float, float]) -> Array:
    """Evaluate the level function of a round cone: distance to a segment less a radius that varies linearly along it.

    Parameters
    ----------
    at : Samples
        Points.
    start, end : (3,) float
        Ends of the segment, (z, y, x); the same for a ball.
    radii : (float, float)
        Radius at ``start`` and at ``end``.

    Returns
    -------
    array of ``at.shape``
        Negative inside, in the unit of the coordinates.
    """
    run = end - start
    square = max(float(run @ run), 1e-18)
    dz, dy, dx = (c - m for c, m in zip((at.z, at.y, at.x), start.tolist()))
    rz, ry, rx = (run / square).tolist()
    h = np.clip(dz * rz + dy * ry + dx * rx, 0.0, 1.0)
    rz, ry, rx = run.tolist()
    distance = np.sqrt((dz - h * rz) ** 2 + (dy - h * ry) ** 2 + (dx - h * rx) ** 2)
    level: Array = distance - (radii[0] + h * (radii[1] - radii[0]))
    return level


def spherical_harmonics(directions: Array) -> Floats:
    """Evaluate the real spherical harmonics of degree 2, 3 and 4, each with mean square 1 over the sphere.

    Ref: the polynomial forms of the real (tesseral) harmonics.

    Parameters
    ----------
    directions : (n, 3) float
        Unit vectors, (z, y, x).

    Returns
    -------
    (n, 21) float64
        5 of degree 2, then 7 of degree 3, then 9 of degree 4.
    """
    z, y, x = np.asarray(directions, dtype=np.float64).T
    zz, yy, xx = z * z, y * y, x * x
    second = [x * y, y * z, (3 * zz - 1) / np.sqrt(12), x * z, (xx - yy) / 2]
    third = [
        np.sqrt(35 / 8) * y * (3 * xx - yy),
        np.sqrt(105) * x * y * z,
        np.sqrt(21 / 8) * y * (5 * zz - 1),
        np.sqrt(7) / 2 * z * (5 * zz - 3),
        np.sqrt(21 / 8) * x * (5 * zz - 1),
        np.sqrt(105) / 2 * z * (xx - yy),
        np.sqrt(35 / 8) * x * (xx - 3 * yy),
    ]
    fourth = [
        3 * np.sqrt(35) / 2 * x * y * (xx - yy),
        3 * np.sqrt(35 / 8) * y * z * (3 * xx - yy),
        3 * np.sqrt(5) / 2 * x * y * (7 * zz - 1),
        3 * np.sqrt(5 / 8) * y * z * (7 * zz - 3),
        3 / 8 * (35 * zz * zz - 30 * zz + 3),
        3 * np.sqrt(5 / 8) * x * z * (7 * zz - 3),
        3 * np.sqrt(5) / 4 * (xx - yy) * (7 * zz - 1),
        3 * np.sqrt(35 / 8) * x * z * (xx - 3 * yy),
        3 * np.sqrt(35) / 8 * (xx * (xx - 3 * yy) - yy * (3 * xx - yy)),
    ]
    return np.stack([np.sqrt(15) * a for a in second] + third + fourth, axis=1)


def fibonacci_directions(n: int) -> Floats:
    """Return ``n`` unit vectors spread evenly over the sphere by a Fibonacci lattice, (n, 3), (z, y, x)."""
    index = np.arange(n)
    x = 1.0 - (2.0 * index + 1.0) / n
    around = index * np.pi * (3.0 - np.sqrt(5.0))
    across = np.sqrt(1.0 - x * x)
    return np.stack([across * np.cos(around), across * np.sin(around), x], axis=1)


def level_surface(level: Level, low: Array, high: Array, step: float) -> SurfaceMesh:
    """Extract the zero level set of a function by marching cubes on a lattice, then two Newton steps of every vertex.

    The lattice is the same for all boxes with the same ``step``, so parts of a shape that rest keep their triangles.

    Parameters
    ----------
    level : function of Samples
        Negative inside, rising at roughly 1 per unit length near its zero.
    low, high : (3,) float
        Corners of a box that holds the body, (z, y, x).
    step : float
        Sides of the lattice's cubes; at most the smallest radius of the body.

    Returns
    -------
    SurfaceMesh
        Closed, float64, faces counter-clockwise seen from outside.
    """
    low = np.floor(low / step) * step
    counts = np.ceil((high - low) / step).astype(int) + 5
    axes = [(lo + step * (np.arange(n) - 2)).astype(np.float32) for lo, n in zip(low, counts)]
    field = np.asarray(level(Samples(*axes, axes=True)), dtype=np.float32)
    # No sample may be zero: it would give triangles without area.
    tiny = np.float32(1e-3 * step)
    field[np.abs(field) < tiny] = tiny
    mesh = marching_cubes(field, 0.0)
    points = mesh.vertices * step + (low - 2 * step)
    for _ in range(_NEWTON_STEPS):
        points = points + _newton_steps(level, points, step)
    return mesh.with_vertices(points)


def _newton_steps(level: Level, points: Floats, step: float) -> Floats:
    """Return one Newton step of every point towards the level's zero along its gradient, −f ∇f / |∇f|².

    Parameters
    ----------
    level : function of Samples
        f; its gradient is a forward difference of 0.001 ``step``.
    points : (n, 3) float64
        Points near the zero level set.
    step : float
        Sides of the lattice's cubes; moves are no longer than half of it.

    Returns
    -------
    (n, 3) float64
        Displacements.
    """
    small = 1e-3 * step
    value = level(Samples.points(points))
    gradient = np.empty_like(points)
    for axis in range(3):
        moved = points.copy()
        moved[:, axis] += small
        gradient[:, axis] = (level(Samples.points(moved)) - value) / small
    move = -value[:, None] * gradient / np.maximum((gradient**2).sum(axis=1), 0.05)[:, None]
    length = np.linalg.norm(move, axis=1, keepdims=True)
    limited: Floats = move * np.minimum(1.0, 0.5 * step / np.maximum(length, 1e-12))
    return limited


def volume_centroid(mesh: SurfaceMesh) -> Floats:
    """Return the centroid of the solid that a closed surface encloses, (3,), by the divergence theorem.

    Parameters
    ----------
    mesh : SurfaceMesh
        Closed, faces wound consistently.

    Returns
    -------
    (3,) float64
        In the unit of the vertices.
    """
    a, b, c = (mesh.vertices[mesh.faces[:, i]] for i in range(3))
    parts: Floats = np.einsum("ij,ij->i", a, np.cross(b, c))
    centroid: Floats = (parts[:, None] * (a + b + c)).sum(axis=0) / (4.0 * parts.sum())
    return centroid


def surface_distance(mesh: SurfaceMesh, points: Array) -> Floats:
    """Compute the unsigned distance of scattered points to a finely meshed surface.

    Exact for points within three edges; beyond that the distance to the nearest of vertices and face centres, too
    large by at most edge² / (6 · distance), that is edge / 18.

    Parameters
    ----------
    mesh : SurfaceMesh
        Triangles of about equal size.
    points : (n, 3) float
        Positions, (z, y, x), in the unit of the vertices.

    Returns
    -------
    (n,) float64
        In the same unit.
    """
    edge = float(np.sqrt(mesh.area / mesh.n_faces)) * 1.5  # of an equilateral face of mean area
    tree = cKDTree(np.concatenate([mesh.vertices[np.unique(mesh.faces)], mesh.vertices[mesh.faces].mean(axis=1)]))
    found = np.asarray(tree.query(points)[0], dtype=np.float64)
    near = np.flatnonzero(found < 3.0 * edge)
    for start in range(0, len(near), _AT_ONCE):
        rows = near[start : start + _AT_ONCE]
        feet = closest_points(mesh, points[rows])[1]
        found[rows] = np.linalg.norm(feet - points[rows], axis=1)
    return found
