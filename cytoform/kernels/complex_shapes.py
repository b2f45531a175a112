"""Lengths, normals and angles in a mesh of several sheets."""

from __future__ import annotations

import math

import numba

from .complexes import Complex, same_pair

__all__ = ["length", "normal", "smallest_sine", "vertex_normal", "worst_sine_at"]


@numba.njit(cache=True)
def normal(c: Complex, i: int, j: int, k: int) -> tuple[float, float, float]:
    """Return the normal of triangle i, j, k, twice its area long."""
    p = c.points
    ux, uy, uz = p[j, 0] - p[i, 0], p[j, 1] - p[i, 1], p[j, 2] - p[i, 2]
    vx, vy, vz = p[k, 0] - p[i, 0], p[k, 1] - p[i, 1], p[k, 2] - p[i, 2]
    return uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx


@numba.njit(cache=True)
def length(c: Complex, i: int, j: int) -> float:
    """Return the distance of two vertices."""
    p = c.points
    x, y, z = p[j, 0] - p[i, 0], p[j, 1] - p[i, 1], p[j, 2] - p[i, 2]
    return math.sqrt(x * x + y * y + z * z)


@numba.njit(cache=True)
def smallest_sine(c: Complex, i: int, j: int, k: int) -> float:
    """Return the sine of a triangle's smallest angle (that of the corner opposite to its shortest edge)."""
    x, y, z = normal(c, i, j, k)
    a, b, d = length(c, i, j), length(c, j, k), length(c, k, i)
    shortest = min(a, b, d)
    product = a * b * d
    return math.sqrt(x * x + y * y + z * z) * shortest / product if product > 0 else 0.0


@numba.njit(cache=True)
def vertex_normal(c: Complex, v: int, f0: int) -> tuple[float, float, float]:
    """Return the unit normal at a vertex of the sheet of face f0: the mean over its faces there, turned alike."""
    nx, ny, nz = 0.0, 0.0, 0.0
    at = c.head[v]
    while at >= 0:
        f = at // 3
        if same_pair(c, f, f0):
            x, y, z = normal(c, c.faces[f, 0], c.faces[f, 1], c.faces[f, 2])
            s = 1.0 if c.pairs[f, 0] == c.pairs[f0, 0] else -1.0
            nx, ny, nz = nx + s * x, ny + s * y, nz + s * z
        at = c.following[at]
    size = math.sqrt(nx * nx + ny * ny + nz * nz)
    if size == 0.0:
        return 0.0, 0.0, 0.0
    return nx / size, ny / size, nz / size


@numba.njit(cache=True)
def worst_sine_at(c: Complex, v: int) -> float:
    """Return the smallest sine of an angle in the faces at a vertex."""
    worst, at = 1.0, c.head[v]
    while at >= 0:
        f = at // 3
        worst = min(worst, smallest_sine(c, c.faces[f, 0], c.faces[f, 1], c.faces[f, 2]))
        at = c.following[at]
    return worst
