"""The geometry that the families share: level functions, smooth unions, surfaces of levels, distances to surfaces.

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
    "ease",
    "ellipsoid_level",
    "harmonics",
    "hermite",
    "level_surface",
    "smooth_min",
    "spread_directions",
    "surface_distance",
    "volume_centroid",
]

Level = Callable[["Samples"], Array]

_NEWTON_STEPS = 2  # marching cubes is right to second order; two steps bring vertices to about 1e-6 of a step
_AT_ONCE = 16_384  # points; bounds memory


def ease(x: npt.ArrayLike) -> Any:
    """0 below 0, 1 above 1, between them 6x⁵ − 15x⁴ + 10x³: twice differentiable everywhere."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * x * (x * (6.0 * x - 15.0) + 10.0)


def hermite(x: npt.ArrayLike, slope: float) -> Any:
    """From 0 at 0, where it rises with ``slope``, to 1 at 1, where it is level; 1 beyond."""
    x = np.clip(x, 0.0, 1.0)
    return slope * x * (1.0 - x) ** 2 + x * x * (3.0 - 2.0 * x)


def smooth_min(a: Any, b: Any, k: float) -> Any:
    """The smaller of two levels, rounded where they differ by less than ``k``: lower than both by k/4 where equal.

    Ref: Quilez, "smooth minimum", quadratic polynomial.
    """
    if k <= 0:
        return np.minimum(a, b)
    h = np.maximum(k - np.abs(a - b), 0.0)
    return np.minimum(a, b) - h * h * (0.25 / k)


class Samples:
    """Where a level is asked for: scattered points, or the crossings of three axes.

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
        """Scattered points, (n, 3)."""
        return cls(*np.ascontiguousarray(points.T), axes=False)

    @property
    def dtype(self) -> np.dtype:
        """Of the coordinates."""
        return self._raw[0].dtype

    def within(self, low: Array, high: Array) -> tuple[Any, Samples]:
        """Those in a box: the index that picks them from an array of ``shape``, and the samples themselves."""
        if self.axes:
            cuts = tuple(slice(*np.searchsorted(a, (lo, hi))) for a, lo, hi in zip(self._raw, low, high))
            return cuts, Samples(*(a[c] for a, c in zip(self._raw, cuts)), axes=True)
        inside = np.ones(self.shape, dtype=bool)
        for a, lo, hi in zip(self._raw, low, high):
            inside &= (a >= lo) & (a <= hi)
        index = np.flatnonzero(inside)
        return index, Samples(*(a[index] for a in self._raw), axes=False)


def ellipsoid_level(at: Samples, centre: Array, axes: Array) -> Array:
    """Level of an ellipsoid with half axes (z, y, x), nearly a distance close to it. Ref: Quilez, "ellipsoid"."""
    offsets = [(c - m) for c, m in zip((at.z, at.y, at.x), centre.tolist())]
    first = np.sqrt(sum((o / a) ** 2 for o, a in zip(offsets, axes.tolist())))
    second = np.sqrt(sum((o / a**2) ** 2 for o, a in zip(offsets, axes.tolist())))
    return np.where(second > 0, first * (first - 1.0) / np.maximum(second, 1e-12), -float(axes.min()))


def cone_level(at: Samples, start: Array, end: Array, radii: tuple[float, float]) -> Array:
    """Level of a rod from ``start`` to ``end`` with round ends, whose radius goes evenly from one to the other."""
    run = end - start
    square = max(float(run @ run), 1e-18)
    dz, dy, dx = (c - m for c, m in zip((at.z, at.y, at.x), start.tolist()))
    rz, ry, rx = (run / square).tolist()
    h = np.clip(dz * rz + dy * ry + dx * rx, 0.0, 1.0)
    rz, ry, rx = run.tolist()
    far = np.sqrt((dz - h * rz) ** 2 + (dy - h * ry) ** 2 + (dx - h * rx) ** 2)
    return far - (radii[0] + h * (radii[1] - radii[0]))


def harmonics(directions: Array) -> Floats:
    """Real spherical harmonics of degree 2, 3 and 4 at unit vectors (n, 3): (n, 21), mean square 1 over the sphere.

    Ref: the polynomial forms of the real (tesseral) harmonics.
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


def spread_directions(n: int) -> Floats:
    """``n`` unit vectors spread evenly (a Fibonacci lattice), (n, 3)."""
    index = np.arange(n)
    x = 1.0 - (2.0 * index + 1.0) / n
    around = index * np.pi * (3.0 - np.sqrt(5.0))
    across = np.sqrt(1.0 - x * x)
    return np.stack([across * np.cos(around), across * np.sin(around), x], axis=1)


def level_surface(level: Level, low: Array, high: Array, step: float) -> SurfaceMesh:
    """Where a level is zero: marching cubes on a lattice of ``step``, then Newton steps of every vertex.

    Parameters
    ----------
    level : function of Samples
        Negative inside, rising at roughly 1 per unit length near its zero.
    low, high : (3,) float
        A box that holds the body.
    step : float
        Sides of the lattice's cubes; at most the smallest radius of the body.

    Returns
    -------
    SurfaceMesh
        Closed, float64, outward.
    """
    low = np.floor(low / step) * step  # always the same lattice, so that what rests in time keeps its triangles
    counts = np.ceil((high - low) / step).astype(int) + 5
    axes = [(lo + step * (np.arange(n) - 2)).astype(np.float32) for lo, n in zip(low, counts)]
    field = np.asarray(level(Samples(*axes, axes=True)), dtype=np.float32)
    # No sample may lie on the level: it would give triangles without area.
    tiny = np.float32(1e-3 * step)
    field[np.abs(field) < tiny] = tiny
    mesh = marching_cubes(field, 0.0)
    points = mesh.vertices * step + (low - 2 * step)
    for _ in range(_NEWTON_STEPS):
        points = points + _newton(level, points, step)
    return mesh.with_vertices(points)


def _newton(level: Level, points: Floats, step: float) -> Floats:
    """The step of every point to the level's zero, (n, 3), no longer than half of ``step``."""
    small = 1e-3 * step
    value = level(Samples.points(points))
    slope = np.empty_like(points)
    for axis in range(3):
        moved = points.copy()
        moved[:, axis] += small
        slope[:, axis] = (level(Samples.points(moved)) - value) / small
    move = -value[:, None] * slope / np.maximum((slope**2).sum(axis=1), 0.05)[:, None]
    length = np.linalg.norm(move, axis=1, keepdims=True)
    return move * np.minimum(1.0, 0.5 * step / np.maximum(length, 1e-12))


def volume_centroid(mesh: SurfaceMesh) -> Floats:
    """Centre of gravity of what a closed surface encloses, (3,), by the divergence theorem."""
    a, b, c = (mesh.vertices[mesh.faces[:, i]] for i in range(3))
    parts = np.einsum("ij,ij->i", a, np.cross(b, c))
    return (parts[:, None] * (a + b + c)).sum(axis=0) / (4.0 * parts.sum())


def surface_distance(mesh: SurfaceMesh, points: Array) -> Floats:
    """Unsigned distance of scattered points (n, 3) to a finely meshed surface, (n,).

    Exact for points within three edges; beyond that the distance to the nearest of vertices and face centres, too
    large by at most edge² / (6 · distance), that is edge / 18.
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
