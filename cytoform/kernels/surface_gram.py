"""Inner products of the changes that points of a stained surface make in a blurred image, in pairs of near points."""

from __future__ import annotations

import numba
import numpy as np

from .._typing import AnyFloats, Floats, Ints

__all__ = ["fill_blocks", "sum_over_partners"]


@numba.njit(nogil=True, inline="always")
def _interpolate(table: AnyFloats, steps: Floats, points: Floats, p: int, q: int, value: Floats) -> None:
    """Fill `value` (n,) by trilinear interpolation of a centred table (n_z, n_y, n_x, n) at points[p] - points[q]."""
    z = (points[p, 0] - points[q, 0]) / steps[0] + table.shape[0] // 2
    y = (points[p, 1] - points[q, 1]) / steps[1] + table.shape[1] // 2
    x = (points[p, 2] - points[q, 2]) / steps[2] + table.shape[2] // 2
    i = min(max(int(np.floor(z)), 0), table.shape[0] - 2)
    j = min(max(int(np.floor(y)), 0), table.shape[1] - 2)
    k = min(max(int(np.floor(x)), 0), table.shape[2] - 2)
    fz, fy, fx = z - i, y - j, x - k
    for t in range(len(value)):
        near = (1 - fy) * ((1 - fx) * table[i, j, k, t] + fx * table[i, j, k + 1, t]) + fy * (
            (1 - fx) * table[i, j + 1, k, t] + fx * table[i, j + 1, k + 1, t]
        )
        far = (1 - fy) * ((1 - fx) * table[i + 1, j, k, t] + fx * table[i + 1, j, k + 1, t]) + fy * (
            (1 - fx) * table[i + 1, j + 1, k, t] + fx * table[i + 1, j + 1, k + 1, t]
        )
        value[t] = (1 - fz) * near + fz * far


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "reassoc"})
def fill_blocks(
    points: Floats,
    normals: Floats,
    masses: Floats,
    starts: Ints,
    others: Ints,
    table: AnyFloats,
    steps: Floats,
    blocks: AnyFloats,
) -> None:
    """Fill the inner products of all pairs of near points from a table of an autocorrelation C.

    points, normals (n, 3), masses (n,); the partners of point p are others[starts[p]:starts[p + 1]]. table
    (n_z, n_y, n_x, 10) holds C, its gradient (z, y, x) and its Hessian (zz, zy, zx, yy, yx, xx) at differences of two
    points on a centred grid of steps (3,). blocks (3, n_pairs) receives, with m the product of the two masses and p, q
    the normals: -m p·∇∇C·q (move and move), m p·∇C (move of p, mass of q), m C (mass and mass).
    """
    value = np.empty(10)
    for p in range(len(points)):
        p0, p1, p2 = normals[p, 0], normals[p, 1], normals[p, 2]
        for k in range(starts[p], starts[p + 1]):
            q = others[k]
            _interpolate(table, steps, points, p, q, value)
            m = masses[p] * masses[q]
            q0, q1, q2 = normals[q, 0], normals[q, 1], normals[q, 2]
            blocks[0, k] = -m * (
                p0 * (value[4] * q0 + value[5] * q1 + value[6] * q2)
                + p1 * (value[5] * q0 + value[7] * q1 + value[8] * q2)
                + p2 * (value[6] * q0 + value[8] * q1 + value[9] * q2)
            )
            blocks[1, k] = m * (p0 * value[1] + p1 * value[2] + p2 * value[3])
            blocks[2, k] = m * value[0]


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "reassoc"})
def sum_over_partners(
    points: Floats,
    normals: Floats,
    masses: Floats,
    starts: Ints,
    others: Ints,
    table: AnyFloats,
    steps: Floats,
    sums: Floats,
) -> None:
    """Fill sums (n, 2) over the partners q of each point p of m p·∇C and m C, from a correlation of two point images.

    Arguments as for :func:`fill_blocks`; table (n_z, n_y, n_x, 4) holds C and its gradient. With C the correlation of
    a point's image with a change of it, these are inner products of moves and masses with that change of all points.
    """
    value = np.empty(4)
    for p in range(len(points)):
        first, second = 0.0, 0.0
        for k in range(starts[p], starts[p + 1]):
            q = others[k]
            _interpolate(table, steps, points, p, q, value)
            first += masses[q] * (normals[p, 0] * value[1] + normals[p, 1] * value[2] + normals[p, 2] * value[3])
            second += masses[q] * value[0]
        sums[p, 0], sums[p, 1] = masses[p] * first, masses[p] * second
