"""Paint the regions of a labelled mesh into an image: along each row, a face that is passed changes the label."""

from __future__ import annotations

import math

import numba
import numpy as np

from .._typing import Array, Floats, Ints

__all__ = ["count_crossings", "fill_crossings", "paint_rows"]

_SAME_PLACE = 1e-7  # voxels; crossings that are closer may be passed in either order


@numba.njit(cache=True, inline="always")
def _side(p: Floats, a: int, b: int, z: float, y: float) -> tuple[float, int]:
    """Return twice the area of a, b and the row (z, y), seen along x, and its sign, never 0.

    A row through an edge or a corner counts as if it were slightly further along z, and less so along y. Both triangles
    at an edge get the same number with opposite sign.
    """
    flip = 1
    if a > b:
        a, b, flip = b, a, -1
    dz, dy = p[b, 0] - p[a, 0], p[b, 1] - p[a, 1]
    area = dz * (y - p[a, 1]) - dy * (z - p[a, 0])
    sign = 1
    if area < 0.0 or (area == 0.0 and (dy > 0.0 or (dy == 0.0 and dz < 0.0))):
        sign = -1
    return flip * area, flip * sign


@numba.njit(cache=True)
def _visit(p: Floats, faces: Ints, shape: Ints, start: Ints, place: Floats, face: Ints) -> None:
    """Count the crossings in every row in start[row + 1], or, if `place` is not empty, fill them in."""
    for f in range(len(faces)):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        z0 = max(math.ceil(min(p[a, 0], p[b, 0], p[c, 0])), 0)
        z1 = min(math.floor(max(p[a, 0], p[b, 0], p[c, 0])), shape[0] - 1)
        y0 = max(math.ceil(min(p[a, 1], p[b, 1], p[c, 1])), 0)
        y1 = min(math.floor(max(p[a, 1], p[b, 1], p[c, 1])), shape[1] - 1)
        for z in range(z0, z1 + 1):
            for y in range(y0, y1 + 1):
                u, su = _side(p, b, c, z, y)
                v, sv = _side(p, c, a, z, y)
                w, sw = _side(p, a, b, z, y)
                if su != sv or sv != sw:
                    continue
                row = z * shape[1] + y
                if len(place) == 0:
                    start[row + 1] += 1
                    continue
                total = u + v + w
                x = (p[a, 2] + p[b, 2] + p[c, 2]) / 3.0
                if total != 0.0:
                    x = (u * p[a, 2] + v * p[b, 2] + w * p[c, 2]) / total
                at = start[row]
                start[row] += 1
                place[at] = x
                face[at] = f if su < 0 else -f - 1


@numba.njit(cache=True)
def count_crossings(p: Floats, faces: Ints, shape: Ints, start: Ints) -> None:
    """Add to start[row + 1] how often faces cross each row along x; row = z · shape[1] + y.

    p (n, 3) in voxels, (z, y, x); faces (n_faces, 3); shape (3,) of the image; start (rows + 1,).
    """
    _visit(p, faces, shape, start, np.zeros(0), np.zeros(0, np.int64))


@numba.njit(cache=True)
def fill_crossings(p: Floats, faces: Ints, shape: Ints, start: Ints, place: Floats, face: Ints) -> None:
    """Fill in where faces cross rows, and which: f if its projection turns one way, −f − 1 if the other way.

    start (rows + 1,) holds where each row's crossings begin and is left at where they end.
    """
    _visit(p, faces, shape, start, place, face)


@numba.njit(cache=True)
def _sort_row(place: Floats, face: Ints, first: int, last: int) -> None:
    """Sort the crossings of one row by place."""
    for i in range(first + 1, last):
        x, f, j = place[i], face[i], i
        while j > first and place[j - 1] > x:
            place[j], face[j] = place[j - 1], face[j - 1]
            j -= 1
        place[j], face[j] = x, f


@numba.njit(cache=True)
def paint_rows(ends: Ints, place: Floats, face: Ints, pairs: Ints, out: Array) -> int:
    """Fill an image (z, y, x) with labels; return the number of crossings at which labels contradict each other.

    ends (rows,) is where each row's crossings end; place and face as :func:`fill_crossings` leaves them; pairs
    (n_faces, 2) the regions that the normal leaves and enters.
    """
    wrong, first = 0, 0
    for row in range(len(ends)):
        last = ends[row]
        _sort_row(place, face, first, last)
        z, y = row // out.shape[1], row % out.shape[1]
        label, k = 0, 0
        for i in range(first, last):
            for j in range(i, last):  # of crossings in one place take the one that leaves the present region
                if place[j] - place[i] > _SAME_PLACE:
                    break
                side = 0 if face[j] >= 0 else 1
                if pairs[face[j] if face[j] >= 0 else -face[j] - 1, side] == label:
                    place[i], place[j] = place[j], place[i]
                    face[i], face[j] = face[j], face[i]
                    break
            f, side = (face[i], 0) if face[i] >= 0 else (-face[i] - 1, 1)
            wrong += pairs[f, side] != label
            stop = min(max(math.ceil(place[i]), 0), out.shape[2])
            while k < stop:
                out[z, y, k] = label
                k += 1
            label = pairs[f, 1 - side]
        while k < out.shape[2]:
            out[z, y, k] = label
            k += 1
        wrong += label != 0
        first = last
    return wrong
