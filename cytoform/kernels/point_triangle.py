"""Exact distances from the samples of a grid to triangles, block by block.

The grid is divided into blocks, and blocks into halves. A triangle is convex, so its distance is a convex function of
the sample p: with d and g the distance and its gradient at a block's middle c, and q the triangle's point closest to c,

    d + g·(p − c)  ≤  distance(p)  ≤  |p − q|  ≤  d + g·(p − c) + |p − c|² / (2 d).

A triangle whose lower bound exceeds another's upper bound all over a block is ruled out for all samples of the block;
one whose lower bound exceeds the smallest distance so far is ruled out for one sample. Nothing else is left out, so the
result is exact.

Blocks are independent, and the loop over them releases Python's global interpreter lock, so that any number of threads
may share them. They are Python's own threads (:mod:`cytoform.sdf.distance`): those of numba end the process when it was
forked (OpenMP) or when two threads ask for them at once (its work queue).
"""

from __future__ import annotations

import math

import numba
import numpy as np

from .._typing import Bools, Floats, Floats32, Ints, Ints32

__all__ = ["TABLE_COLUMNS", "count_blocks", "distances", "tabulate"]

TABLE_COLUMNS = 22  # columns of a triangle's row: three corners, three edges, normal, and 1 / normal²
_BLOCK = 32  # samples along the edge of the blocks that threads take one by one
_LEAF_SAMPLES = 64  # a box of at most this many samples is not halved any more
_MAX_LEVELS = 40  # times that a block may be halved
_FLAT_LIMIT = 1e-24  # a triangle with a smaller normal² / (longest edge)⁴ counts as its three edges
_ROUNDING_SLACK = 1e-12  # relative to the distance: rounding of the bounds


@numba.njit(cache=True, error_model="numpy")
def tabulate(corners: Floats, out: Floats) -> None:
    """Fill `out` (n, TABLE_COLUMNS) with what the distance to each triangle needs.

    corners (n, 3 corners, 3 axes) float64. The columns of `out` are the three corners, the three edges, the normal
    (twice the area long) and 1 / normal². The last is 0 for a triangle without area, which counts as its three edges.
    """
    for f in range(corners.shape[0]):
        longest = 0.0
        for k in range(3):
            square = 0.0
            for a in range(3):
                out[f, 3 * k + a] = corners[f, k, a]
                edge = corners[f, (k + 1) % 3, a] - corners[f, k, a]
                out[f, 9 + 3 * k + a] = edge
                square += edge * edge
            longest = max(longest, square)
        e, g = out[f, 9:12], out[f, 12:15]
        nz, ny, nx = e[1] * g[2] - e[2] * g[1], e[2] * g[0] - e[0] * g[2], e[0] * g[1] - e[1] * g[0]
        square = nz * nz + ny * ny + nx * nx
        flat = square <= _FLAT_LIMIT * longest * longest
        out[f, 18], out[f, 19], out[f, 20] = nz, ny, nx
        out[f, 21] = 0.0 if flat else 1.0 / square


@numba.njit(inline="always", error_model="numpy")
def _offset_from_triangle(row: Floats, z: float, y: float, x: float) -> tuple[float, float, float, float]:
    """Return the vector from a triangle's closest point to (z, y, x): its squared length, then its three components.

    `row` (TABLE_COLUMNS,) is the triangle's row of :func:`tabulate`. Where the sample lies beyond an edge, the closest
    point is on an edge; else it is the foot of the perpendicular.
    """
    nz, ny, nx, inverse = row[18], row[19], row[20], row[21]
    beyond = False
    best, bz, by, bx = np.inf, 0.0, 0.0, 0.0
    for k in range(3):
        vz, vy, vx = z - row[3 * k], y - row[3 * k + 1], x - row[3 * k + 2]
        ez, ey, ex = row[9 + 3 * k], row[10 + 3 * k], row[11 + 3 * k]
        side = (ny * ex - nx * ey) * vz + (nx * ez - nz * ex) * vy + (nz * ey - ny * ez) * vx
        if side < 0.0 or inverse == 0.0:  # the nearest point is on an edge that the sample lies beyond
            beyond = True
            length = ez * ez + ey * ey + ex * ex
            along = vz * ez + vy * ey + vx * ex
            t = 0.0
            if along > 0.0 and length > 0.0:
                t = min(along / length, 1.0)
            vz, vy, vx = vz - t * ez, vy - t * ey, vx - t * ex
            square = vz * vz + vy * vy + vx * vx
            if square < best:
                best, bz, by, bx = square, vz, vy, vx
    if beyond:
        return best, bz, by, bx
    height = (nz * (z - row[0]) + ny * (y - row[1]) + nx * (x - row[2])) * inverse
    bz, by, bx = height * nz, height * ny, height * nx
    return bz * bz + by * by + bx * bx, bz, by, bx


@numba.njit(cache=True, error_model="numpy")
def _select_candidates(
    table: Floats, middle: Floats, half: Floats, candidates_before: Ints32, candidates: Ints32, slopes: Floats
) -> tuple[int, float]:
    """Select the triangles that can be closest to some sample of a block; return their number and the least distance.

    middle and half (3,), the block's middle and half its sides; candidates_before (n,), indices of the triangles to
    choose from. Filled up to the number m that is returned: candidates (m,), the triangles kept; slopes (m, 4), their
    distance from the middle and its gradient there. A triangle is kept unless its lower bound (module docstring) is
    above the upper bound of the triangle closest to the middle everywhere in the block. The least distance is that from
    the middle.
    """
    n, nearest = candidates_before.shape[0], 0
    least = np.inf
    for i in range(n):
        square, gz, gy, gx = _offset_from_triangle(table[candidates_before[i]], middle[0], middle[1], middle[2])
        distance = math.sqrt(square)
        inverse = 1.0 / distance if distance > 0.0 else 0.0
        slopes[i, 0], slopes[i, 1], slopes[i, 2], slopes[i, 3] = distance, gz * inverse, gy * inverse, gx * inverse
        if distance < least:
            least, nearest = distance, i
    radius2 = half[0] * half[0] + half[1] * half[1] + half[2] * half[2]
    radius = math.sqrt(radius2)
    gz, gy, gx = slopes[nearest, 1], slopes[nearest, 2], slopes[nearest, 3]
    if radius2 < 2.0 * least * radius:
        bend = radius2 / (2.0 * least)
    else:  # too near for the parabola: every distance grows by no more than the way
        bend, gz, gy, gx = radius, 0.0, 0.0, 0.0
    limit = least + bend + _ROUNDING_SLACK * (least + radius)
    kept = 0
    for i in range(n):
        distance, sz, sy, sx = slopes[i, 0], slopes[i, 1], slopes[i, 2], slopes[i, 3]
        if distance - abs(sz - gz) * half[0] - abs(sy - gy) * half[1] - abs(sx - gx) * half[2] <= limit:
            candidates[kept] = candidates_before[i]
            slopes[kept, 0], slopes[kept, 1], slopes[kept, 2], slopes[kept, 3] = distance, sz, sy, sx
            kept += 1
    return kept, least


@numba.njit(cache=True, error_model="numpy")
def _fill_box(
    table: Floats,
    candidates: Ints32,
    slopes: Floats,
    box: Ints,
    middle: Floats,
    origin: Floats,
    spacing: Floats,
    out: Floats32,
) -> None:
    """Fill `out` with the distances of all samples in a box from the closest of a few candidate triangles.

    box (6,): first and one past the last index on each axis in turn; slopes (n, 4), distance and gradient of each
    candidate at `middle`, whose lower bound skips most candidates for most samples.
    """
    n, last = candidates.shape[0], 0
    for k in range(box[0], box[1]):
        z = origin[0] + k * spacing[0]
        for j in range(box[2], box[3]):
            y = origin[1] + j * spacing[1]
            for i in range(box[4], box[5]):
                x = origin[2] + i * spacing[2]
                best, _, _, _ = _offset_from_triangle(
                    table[candidates[last]], z, y, x
                )  # a good guess: that of the sample before
                root = math.sqrt(best)
                dz, dy, dx = z - middle[0], y - middle[1], x - middle[2]
                for m in range(n):
                    bound = slopes[m, 0] + slopes[m, 1] * dz + slopes[m, 2] * dy + slopes[m, 3] * dx
                    if bound <= root:
                        square, _, _, _ = _offset_from_triangle(table[candidates[m]], z, y, x)
                        if square < best:
                            best, last = square, m
                            root = math.sqrt(best) * (1.0 + _ROUNDING_SLACK)
                out[k, j, i] = math.sqrt(best)


@numba.njit(cache=True, error_model="numpy")
def _longest_axis(box: Ints, spacing: Floats) -> int:
    """Return the axis along which a box is longest among those with more than one sample; 0 if there is none.

    box (6,): first and one past the last index on each axis in turn; spacing (3,), the distance of samples.
    """
    axis, length = 0, -1.0
    for a in range(3):
        n = box[2 * a + 1] - box[2 * a]
        if n > 1 and n * spacing[a] > length:
            axis, length = a, n * spacing[a]
    return axis


@numba.njit(cache=True, error_model="numpy")
def _fill_block(
    table: Floats, start: Ints, origin: Floats, spacing: Floats, inside: Bools, clamp: float, out: Floats32
) -> None:
    """Fill `out` with the distances of one block's samples, halving the block until few triangles are left.

    start (6,): the block's first and one past its last index on each axis. A box that lies outside the body and farther
    than `clamp` from every triangle is set to `clamp`. Boxes wait on a stack; a box of at most _LEAF_SAMPLES samples,
    or with one candidate left, is not halved any more.
    """
    n = table.shape[0]
    lists = np.empty((_MAX_LEVELS, n), dtype=np.int32)  # those of deeper levels are short: the rest is never touched
    counts = np.zeros(_MAX_LEVELS, dtype=np.int64)
    slopes = np.empty((n, 4))
    for f in range(n):
        lists[0, f] = f
    counts[0] = n
    boxes, levels = np.empty((_MAX_LEVELS, 6), dtype=np.int64), np.empty(_MAX_LEVELS, dtype=np.int64)
    boxes[0], levels[0] = start, 1
    top, middle, half = 1, np.empty(3), np.empty(3)
    while top > 0:
        top -= 1
        box, level = boxes[top].copy(), levels[top]
        samples = 1
        for a in range(3):
            first, last = box[2 * a], box[2 * a + 1] - 1
            middle[a] = origin[a] + 0.5 * (first + last) * spacing[a]
            half[a] = 0.5 * (last - first) * spacing[a]
            samples *= last - first + 1
        candidates_before = lists[level - 1, : counts[level - 1]]
        count, least = _select_candidates(table, middle, half, candidates_before, lists[level], slopes)
        counts[level] = count
        away = least - math.sqrt(half[0] ** 2 + half[1] ** 2 + half[2] ** 2)
        if away > clamp and not inside[box[0], box[2], box[4]]:
            out[box[0] : box[1], box[2] : box[3], box[4] : box[5]] = clamp
        elif samples <= _LEAF_SAMPLES or count == 1 or level == _MAX_LEVELS - 1:
            _fill_box(table, lists[level, :count], slopes, box, middle, origin, spacing, out)
        else:
            axis = _longest_axis(box, spacing)
            cut = (box[2 * axis] + box[2 * axis + 1]) // 2
            boxes[top], boxes[top + 1] = box, box
            boxes[top, 2 * axis], boxes[top + 1, 2 * axis + 1] = cut, cut
            levels[top], levels[top + 1] = level + 1, level + 1
            top += 2


@numba.njit(cache=True, error_model="numpy")
def count_blocks(shape: tuple[int, int, int]) -> int:
    """Return into how many blocks of at most _BLOCK³ samples :func:`distances` divides a grid of `shape`."""
    return -(-shape[0] // _BLOCK) * -(-shape[1] // _BLOCK) * -(-shape[2] // _BLOCK)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def distances(
    table: Floats, origin: Floats, spacing: Floats, inside: Bools, clamp: float, first: int, last: int, out: Floats32
) -> None:
    """Fill `out` with the unsigned distance of every sample to the closest triangle, in blocks `first` to `last` - 1.

    table (n, TABLE_COLUMNS) float64 from :func:`tabulate`; origin, spacing (3,) float64, in the unit of the corners;
    inside (z, y, x) bool, the samples inside the body; clamp, what larger distances outside may be set to (infinity for
    none); out (z, y, x) float32. Blocks are numbered with x fastest, see :func:`count_blocks`.
    """
    nz, ny, nx = out.shape
    by, bx = -(-ny // _BLOCK), -(-nx // _BLOCK)
    for b in range(first, last):
        k, j, i = b // (by * bx) * _BLOCK, b // bx % by * _BLOCK, b % bx * _BLOCK
        box = np.array([k, min(k + _BLOCK, nz), j, min(j + _BLOCK, ny), i, min(i + _BLOCK, nx)])
        _fill_block(table, box, origin, spacing, inside, clamp, out)
