"""How the volumes of regions change with the vertices of a mesh that parts them."""

from __future__ import annotations

import numba

from .._typing import Bools, Floats, Ints

__all__ = ["MAX_REGIONS", "add_steps", "fill_products", "fill_slopes"]

MAX_REGIONS = 12  # at a vertex; further ones are left out


@numba.njit(cache=True)
def _slot(region: Ints, v: int, r: int) -> int:
    """Return where region r stands at a vertex, entering it if it is new; −1 if there is no room."""
    for k in range(region.shape[1]):
        if region[v, k] == r:
            return k
        if region[v, k] < 0:
            region[v, k] = r
            return k
    return -1


@numba.njit(cache=True)
def fill_slopes(p: Floats, faces: Ints, pairs: Ints, free: Bools, region: Ints, slopes: Floats) -> None:
    """Fill in the regions at every vertex and the derivatives of their volumes by its position.

    p (n, 3), faces (n_faces, 3), pairs (n_faces, 2) with 0 outside; free (n, 3): by other coordinates the derivative is
    0. region (n, MAX_REGIONS) holds −1 and gets region numbers less 1, slopes (n, MAX_REGIONS, 3) holds 0.
    """
    for f in range(len(faces)):
        for c in range(3):
            v, a, b = faces[f, c], faces[f, (c + 1) % 3], faces[f, (c + 2) % 3]
            for side in range(2):
                if pairs[f, side] == 0:
                    continue
                k = _slot(region, v, pairs[f, side] - 1)
                if k < 0:
                    continue
                sign = -1.0 / 6.0 if side == 0 else 1.0 / 6.0  # (z, y, x) is left-handed
                for x in range(3):
                    y, z = (x + 1) % 3, (x + 2) % 3
                    if free[v, x]:
                        slopes[v, k, x] += sign * (p[a, y] * p[b, z] - p[a, z] * p[b, y])


@numba.njit(cache=True)
def fill_products(region: Ints, slopes: Floats, rows: Ints, cols: Ints, values: Floats) -> None:
    """Fill in the scalar products of the slopes of all pairs of regions at every vertex, one after the other."""
    n = 0
    for v in range(len(region)):
        for i in range(region.shape[1]):
            if region[v, i] < 0:
                break
            for j in range(region.shape[1]):
                if region[v, j] < 0:
                    break
                rows[n], cols[n] = region[v, i], region[v, j]
                values[n] = (
                    slopes[v, i, 0] * slopes[v, j, 0]
                    + slopes[v, i, 1] * slopes[v, j, 1]
                    + slopes[v, i, 2] * slopes[v, j, 2]
                )
                n += 1


@numba.njit(cache=True)
def add_steps(region: Ints, slopes: Floats, factors: Floats, step: Floats) -> None:
    """Add to the step (n, 3) of every vertex the slopes of its regions, times the regions' factors (n_regions,)."""
    for v in range(len(region)):
        for k in range(region.shape[1]):
            if region[v, k] < 0:
                break
            for x in range(3):
                step[v, x] += factors[region[v, k]] * slopes[v, k, x]
