"""Find pairs of triangles of one mesh that cross, touch without a common vertex, or are folded onto each other.

Möller's interval test (Journal of Graphics Tools 2(2), 1997) in the form of signs of tetrahedra: two triangles meet
only if an edge of one meets the other. Candidates come from a grid of boxes.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from .._typing import Array, Bools, Floats, Ints

__all__ = ["crossing_pairs", "faces_cross", "wedge_cosine"]

_ROUNDING = 1e-12  # of a determinant, relative to the product of the lengths that enter it


@numba.njit(cache=True, inline="always")
def _side(p: Floats, a: int, b: int, c: int, d: int) -> int:
    """Return the sign of the volume of tetrahedron a, b, c, d; 0 where it is rounding."""
    ux, uy, uz = p[b, 0] - p[a, 0], p[b, 1] - p[a, 1], p[b, 2] - p[a, 2]
    vx, vy, vz = p[c, 0] - p[a, 0], p[c, 1] - p[a, 1], p[c, 2] - p[a, 2]
    wx, wy, wz = p[d, 0] - p[a, 0], p[d, 1] - p[a, 1], p[d, 2] - p[a, 2]
    nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
    volume = nx * wx + ny * wy + nz * wz
    bound = (ux * ux + uy * uy + uz * uz) * (vx * vx + vy * vy + vz * vz) * (wx * wx + wy * wy + wz * wz)
    if volume * volume <= _ROUNDING * _ROUNDING * bound:
        return 0
    return 1 if volume > 0 else -1


@numba.njit(cache=True)
def _segment_meets(p: Floats, s: int, t: int, a: int, b: int, c: int) -> bool:
    """Tell whether segment s, t meets triangle a, b, c, touching included; not if it lies in the triangle's plane."""
    first, second = _side(p, a, b, c, s), _side(p, a, b, c, t)
    if first * second > 0 or (first == 0 and second == 0):
        return False
    u, v, w = _side(p, s, t, a, b), _side(p, s, t, b, c), _side(p, s, t, c, a)
    return not (min(u, v, w) < 0 and max(u, v, w) > 0)


@numba.njit(cache=True)
def _drop_axis(p: Floats, a: int, b: int, c: int) -> int:
    """Return the axis along which triangle a, b, c is seen largest."""
    ux, uy, uz = p[b, 0] - p[a, 0], p[b, 1] - p[a, 1], p[b, 2] - p[a, 2]
    vx, vy, vz = p[c, 0] - p[a, 0], p[c, 1] - p[a, 1], p[c, 2] - p[a, 2]
    nx, ny, nz = abs(uy * vz - uz * vy), abs(uz * vx - ux * vz), abs(ux * vy - uy * vx)
    if nx >= ny and nx >= nz:
        return 0
    return 1 if ny >= nz else 2


@numba.njit(cache=True, inline="always")
def _turn(p: Floats, a: int, b: int, c: int, x: int, y: int) -> int:
    """Return the sign of the area of triangle a, b, c in the plane of axes x, y; 0 where it is rounding."""
    ux, uy, vx, vy = p[b, x] - p[a, x], p[b, y] - p[a, y], p[c, x] - p[a, x], p[c, y] - p[a, y]
    area = ux * vy - uy * vx
    if area * area <= _ROUNDING * _ROUNDING * (ux * ux + uy * uy) * (vx * vx + vy * vy):
        return 0
    return 1 if area > 0 else -1


@numba.njit(cache=True)
def _flat_overlap(p: Floats, a: int, b: int, c: int, d: int, e: int, f: int) -> bool:
    """Tell whether two triangles in one plane share more than a corner or a part of an edge's line."""
    axis = _drop_axis(p, a, b, c)
    x, y = (axis + 1) % 3, (axis + 2) % 3
    first, second = (a, b, c), (d, e, f)
    for one, other in ((first, second), (second, first)):
        sign = _turn(p, one[0], one[1], one[2], x, y)
        for k in range(3):
            outside = True
            for q in other:
                outside &= sign * _turn(p, one[k], one[(k + 1) % 3], q, x, y) <= 0
            if outside:
                return False
    return True


@numba.njit(cache=True)
def wedge_cosine(p: Floats, a: int, b: int, c: int, d: int) -> float:
    """Return the cosine of the angle at edge a, b between triangles with third corners c and d; 1 is a full fold."""
    ex, ey, ez = p[b, 0] - p[a, 0], p[b, 1] - p[a, 1], p[b, 2] - p[a, 2]
    cx, cy, cz = p[c, 0] - p[a, 0], p[c, 1] - p[a, 1], p[c, 2] - p[a, 2]
    dx, dy, dz = p[d, 0] - p[a, 0], p[d, 1] - p[a, 1], p[d, 2] - p[a, 2]
    square = max(ex * ex + ey * ey + ez * ez, 1e-300)
    s, t = (cx * ex + cy * ey + cz * ez) / square, (dx * ex + dy * ey + dz * ez) / square
    cx, cy, cz = cx - s * ex, cy - s * ey, cz - s * ez
    dx, dy, dz = dx - t * ex, dy - t * ey, dz - t * ez
    scale = math.sqrt((cx * cx + cy * cy + cz * cz) * (dx * dx + dy * dy + dz * dz))
    return (cx * dx + cy * dy + cz * dz) / scale if scale > 0 else 0.0


@numba.njit(cache=True)
def _boxes_apart(p: Floats, a: int, b: int, c: int, d: int, e: int, f: int) -> bool:
    """Tell whether the bounding boxes of two triangles are apart."""
    for x in range(3):
        if max(p[a, x], p[b, x], p[c, x]) < min(p[d, x], p[e, x], p[f, x]):
            return True
        if max(p[d, x], p[e, x], p[f, x]) < min(p[a, x], p[b, x], p[c, x]):
            return True
    return False


@numba.njit(cache=True)
def _strangers_meet(p: Floats, a: int, b: int, c: int, d: int, e: int, f: int) -> bool:
    """Tell whether triangles a, b, c and d, e, f, which share no vertex, meet or touch."""
    s, t, u = _side(p, a, b, c, d), _side(p, a, b, c, e), _side(p, a, b, c, f)
    if min(s, t, u) > 0 or max(s, t, u) < 0:
        return False
    if s == 0 and t == 0 and u == 0:
        return _flat_overlap(p, a, b, c, d, e, f)
    for k in range(3):
        g, h = (a, b, c)[k], (b, c, a)[k]
        if _segment_meets(p, g, h, d, e, f):
            return True
        g, h = (d, e, f)[k], (e, f, d)[k]
        if _segment_meets(p, g, h, a, b, c):
            return True
    return False


@numba.njit(cache=True)
def faces_cross(p: Floats, a: int, b: int, c: int, d: int, e: int, f: int, fold: float) -> bool:
    """Tell whether triangles a, b, c and d, e, f cross, or are folded at a common edge.

    p (n, 3) are the points. Without a common vertex touching counts, with one only what they share beyond it; at a
    common edge they are folded where the cosine of the angle between them exceeds `fold`.
    """
    if _boxes_apart(p, a, b, c, d, e, f):
        return False
    shared, mine, yours = 0, 0, 0
    one, other = (a, b, c), (d, e, f)
    for i in range(3):
        for j in range(3):
            if one[i] == other[j]:
                shared, mine, yours = shared + 1, mine + i, yours + j
    if shared == 0:
        return _strangers_meet(p, a, b, c, d, e, f)
    if shared == 3:
        return True
    if shared == 2:  # the corners that are not shared are what is left of 0 + 1 + 2
        m = 3 - mine
        return wedge_cosine(p, one[(m + 1) % 3], one[(m + 2) % 3], one[m], other[3 - yours]) > fold
    v, g, h, i, j = one[mine], one[(mine + 1) % 3], one[(mine + 2) % 3], other[(yours + 1) % 3], other[(yours + 2) % 3]
    if _side(p, v, g, h, i) == 0 and _side(p, v, g, h, j) == 0:
        return _flat_overlap(p, v, g, h, v, i, j)
    return _segment_meets(p, g, h, v, i, j) or _segment_meets(p, i, j, v, g, h)


@numba.njit(cache=True)
def _fill_boxes(p: Floats, faces: Ints, low: Floats, size: float, shape: Ints, boxes: Array) -> None:
    """Fill `boxes` (n_faces, 6) with the first and last box of the grid that each face reaches, along each axis."""
    for f in range(len(faces)):
        for x in range(3):
            a, b, c = p[faces[f, 0], x], p[faces[f, 1], x], p[faces[f, 2], x]
            boxes[f, x] = min(int((min(a, b, c) - low[x]) / size), shape[x] - 1)
            boxes[f, 3 + x] = min(int((max(a, b, c) - low[x]) / size), shape[x] - 1)


@numba.njit(cache=True)
def _fill_grid(boxes: Array, active: Bools, shape: Ints) -> tuple[Array, Array]:
    """Return where each box's faces start, and the faces, box after box; only for boxes with an active face."""
    start = np.zeros(shape[0] * shape[1] * shape[2] + 1, np.int32)
    wanted = np.zeros(len(start), np.bool_)
    for turn in range(3):
        if turn == 2:
            for i in range(1, len(start)):
                start[i] += start[i - 1]
            entries = np.empty(start[-1], np.int32)
        for f in range(len(boxes) - 1, -1, -1):
            if turn == 0 and not active[f]:
                continue
            for i in range(boxes[f, 0], boxes[f, 3] + 1):
                for j in range(boxes[f, 1], boxes[f, 4] + 1):
                    for k in range(boxes[f, 2], boxes[f, 5] + 1):
                        cell = (i * shape[1] + j) * shape[2] + k
                        if turn == 0:
                            wanted[cell] = True
                        elif turn == 1:
                            start[cell] += wanted[cell]
                        elif wanted[cell]:
                            start[cell] -= 1
                            entries[start[cell]] = f
    return start, entries


@numba.njit(cache=True)
def crossing_pairs(
    p: Floats, faces: Ints, active: Bools, low: Floats, size: float, shape: Ints, fold: float, out: Ints
) -> int:
    """Fill `out` (n, 2) with pairs of faces that :func:`faces_cross`; return their number, which may exceed n.

    p (n_points, 3), faces (n_faces, 3). Only pairs with a face in `active` (n_faces,) are tested. The grid of boxes has
    its corner at low (3,), boxes of `size` and the given shape (3,).
    """
    boxes = np.empty((len(faces), 6), np.int32)
    _fill_boxes(p, faces, low, size, shape, boxes)
    start, entries = _fill_grid(boxes, active, shape)
    found = 0
    for cell in range(len(start) - 1):
        if start[cell + 1] - start[cell] < 2:
            continue
        i, j, k = cell // (shape[1] * shape[2]), cell // shape[2] % shape[1], cell % shape[2]
        for m in range(start[cell], start[cell + 1]):
            f = entries[m]
            for n in range(m + 1, start[cell + 1]):
                g = entries[n]
                if not (active[f] or active[g]):
                    continue
                # a pair is tested in the first box that both reach
                if max(boxes[f, 0], boxes[g, 0]) != i or max(boxes[f, 1], boxes[g, 1]) != j:
                    continue
                if max(boxes[f, 2], boxes[g, 2]) != k:
                    continue
                a, b, c, d, e, h = faces[f, 0], faces[f, 1], faces[f, 2], faces[g, 0], faces[g, 1], faces[g, 2]
                if faces_cross(p, a, b, c, d, e, h, fold):
                    if found < len(out):
                        out[found, 0], out[found, 1] = min(f, g), max(f, g)
                    found += 1
    return found
