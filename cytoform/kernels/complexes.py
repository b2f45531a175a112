"""Triangle meshes in which several sheets may meet at an edge, kept so that faces can be added and taken away.

A face parts two regions. An edge is a *line edge* unless exactly two faces with the same two regions meet there. The
dimension of a vertex is 2 within a sheet, 1 on a line (two line edges) and 0 at a corner. Faces stand in a hash table
of boxes, so that those near a face are found.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba

from .._typing import Bools, Floats, Ints
from .crossings import faces_cross

__all__ = ["Complex", "add_to_table", "dimension", "fill_table", "link_faces", "mark_corners", "new_star_fits", "ring"]

MAX_STAR = 400  # faces at a vertex; an operation that would need more is refused
FOLD_IN_SHEET = math.cos(math.radians(25.0))  # two faces of one sheet at a smaller angle count as folded
FOLD_ON_LINE = math.cos(math.radians(5.0))  # two faces of different sheets


class Complex(NamedTuple):
    """The arrays of a mesh that changes; see :func:`cytoform.mesh.remesh.labelled.make_complex`.

    Parameters
    ----------
    points : (capacity, 3) float64
        Positions.
    bend : (capacity, 3) float64
        What would move a new vertex from the middle of its edge onto the curved sheet or line.
    held : (capacity,) int64
        Bits 1, 2, 4 for each axis along which a vertex must not move.
    faces : (capacity, 3) int64
        Vertices of every face; −1 where a face is no more.
    pairs : (capacity, 2) int64
        Regions on the two sides.
    source : (capacity,) int64
        The face of the first mesh from which each face comes.
    head : (capacity,) int64
        The first corner, 3 f + c, at every vertex; −1 for none.
    following : (3 capacity,) int64
        The next corner at the same vertex.
    used : (4,) int64
        Numbers of vertices, faces and entries in use, and a spare.
    bucket, entry_next, entry_face : (n,) int64
        The hash table: first entry of each bucket, next entry, face of an entry.
    box : (1,) float64
        Side of the boxes.
    star, star_b : (MAX_STAR,) int64
        Room for the faces at a vertex.
    near, near_b : (MAX_STAR, 3) int64
        Room for neighbours of a vertex: vertex, number of faces, 1 on a line edge.
    """

    points: Floats
    bend: Floats
    held: Ints
    faces: Ints
    pairs: Ints
    source: Ints
    head: Ints
    following: Ints
    used: Ints
    bucket: Ints
    entry_next: Ints
    entry_face: Ints
    box: Floats
    star: Ints
    star_b: Ints
    near: Ints
    near_b: Ints


@numba.njit(cache=True)
def attach(c: Complex, f: int, corner: int) -> None:
    """Add a corner of a face to the list of its vertex."""
    v = c.faces[f, corner]
    c.following[3 * f + corner] = c.head[v]
    c.head[v] = 3 * f + corner


@numba.njit(cache=True)
def detach(c: Complex, f: int, corner: int) -> None:
    """Take a corner of a face out of the list of its vertex."""
    v, wanted = c.faces[f, corner], 3 * f + corner
    at = c.head[v]
    if at == wanted:
        c.head[v] = c.following[wanted]
        return
    while c.following[at] != wanted:
        at = c.following[at]
    c.following[at] = c.following[wanted]


@numba.njit(cache=True)
def set_corner(c: Complex, f: int, corner: int, vertex: int) -> None:
    """Give a corner of a face another vertex."""
    detach(c, f, corner)
    c.faces[f, corner] = vertex
    attach(c, f, corner)


@numba.njit(cache=True)
def remove_face(c: Complex, f: int) -> None:
    """Take a face away."""
    for corner in range(3):
        detach(c, f, corner)
    c.faces[f, :] = -1


@numba.njit(cache=True)
def add_face(c: Complex, i: int, j: int, k: int, like: int) -> int:
    """Add a face with the two regions of the face `like`; return its number. There must be room for it."""
    f = int(c.used[1])
    c.used[1] += 1
    c.faces[f, 0], c.faces[f, 1], c.faces[f, 2] = i, j, k
    c.pairs[f, 0], c.pairs[f, 1], c.source[f] = c.pairs[like, 0], c.pairs[like, 1], c.source[like]
    for corner in range(3):
        attach(c, f, corner)
    return f


@numba.njit(cache=True)
def link_faces(c: Complex) -> None:
    """Make the lists of corners of all vertices anew."""
    c.head[:] = -1
    for f in range(c.used[1]):
        if c.faces[f, 0] >= 0:
            for corner in range(3):
                attach(c, f, corner)


@numba.njit(cache=True)
def gather_star(c: Complex, v: int, out: Ints) -> int:
    """Fill `out` with the faces at a vertex; return their number, −1 if there are too many."""
    n, at = 0, c.head[v]
    while at >= 0:
        if n == len(out):
            return -1
        out[n] = at // 3
        n += 1
        at = c.following[at]
    return n


@numba.njit(cache=True)
def same_pair(c: Complex, f: int, g: int) -> bool:
    """Tell whether two faces part the same two regions."""
    a, b, d, e = c.pairs[f, 0], c.pairs[f, 1], c.pairs[g, 0], c.pairs[g, 1]
    return bool((a == d and b == e) or (a == e and b == d))


@numba.njit(cache=True)
def ring(c: Complex, v: int, out: Ints) -> int:
    """Fill `out` with neighbours of a vertex: vertex, faces at the edge, 1 for a line edge; return their number.

    −1 comes back if there are too many.
    """
    n, at = 0, c.head[v]
    while at >= 0:
        f, corner = at // 3, at % 3
        for step in (1, 2):
            w = c.faces[f, (corner + step) % 3]
            k = 0
            while k < n and out[k, 0] != w:
                k += 1
            if k == n:
                if n == len(out):
                    return -1
                out[n, 0], out[n, 1], out[n, 2] = w, 0, f
                n += 1
            out[k, 1] += 1
            if out[k, 2] >= 0 and not same_pair(c, f, out[k, 2]):
                out[k, 2] = -1
        at = c.following[at]
    for k in range(n):
        out[k, 2] = 1 if out[k, 2] < 0 or out[k, 1] != 2 else 0
    return n


@numba.njit(cache=True)
def dimension(near: Ints, n: int) -> int:
    """Return the dimension of a vertex from its neighbours: 2 in a sheet, 1 on a line, 0 at a corner."""
    lines = 0
    for k in range(n):
        lines += near[k, 2]
    if lines == 0:
        return 2
    return 1 if lines == 2 else 0


@numba.njit(cache=True)
def mark_corners(c: Complex, out: Bools) -> None:
    """Set `out` (capacity,) for the vertices of dimension 0."""
    for v in range(c.used[0]):
        if c.head[v] >= 0:
            out[v] = dimension(c.near, ring(c, v, c.near)) == 0


@numba.njit(cache=True)
def find_near(near: Ints, n: int, w: int) -> int:
    """Return where vertex w stands among neighbours; −1 if it does not."""
    for k in range(n):
        if near[k, 0] == w:
            return k
    return -1


@numba.njit(cache=True)
def _box_hash(c: Complex, i: int, j: int, k: int) -> int:
    """Return the bucket of a box."""
    return ((i * 73856093) ^ (j * 19349663) ^ (k * 83492791)) & (len(c.bucket) - 1)


@numba.njit(cache=True)
def _span(c: Complex, i: int, j: int, k: int, x: int) -> tuple[int, int]:
    """Return the first and last box that triangle i, j, k reaches along axis x."""
    a, b, d = c.points[i, x], c.points[j, x], c.points[k, x]
    return math.floor(min(a, b, d) / c.box[0]), math.floor(max(a, b, d) / c.box[0])


@numba.njit(cache=True)
def add_to_table(c: Complex, f: int) -> bool:
    """Enter a face in the table at all boxes that it reaches; tell whether there was room."""
    i, j, k = c.faces[f, 0], c.faces[f, 1], c.faces[f, 2]
    (z0, z1), (y0, y1), (x0, x1) = _span(c, i, j, k, 0), _span(c, i, j, k, 1), _span(c, i, j, k, 2)
    if c.used[2] + (z1 - z0 + 1) * (y1 - y0 + 1) * (x1 - x0 + 1) > len(c.entry_face):
        return False
    for z in range(z0, z1 + 1):
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                bucket = _box_hash(c, z, y, x)
                entry = c.bucket[bucket]
                while entry >= 0 and c.entry_face[entry] != f:
                    entry = c.entry_next[entry]
                if entry >= 0:
                    continue  # it is there already
                entry = c.used[2]
                c.used[2] += 1
                c.entry_face[entry] = f
                c.entry_next[entry] = c.bucket[bucket]
                c.bucket[bucket] = entry
    return True


@numba.njit(cache=True)
def fill_table(c: Complex) -> bool:
    """Make the table anew from all faces; tell whether there was room."""
    c.bucket[:] = -1
    c.used[2] = 0
    for f in range(c.used[1]):
        if c.faces[f, 0] >= 0 and not add_to_table(c, f):
            return False
    return True


@numba.njit(cache=True)
def enter_star(c: Complex, v: int) -> None:
    """Enter all faces at a vertex in the table, which is made anew when it is full."""
    at = c.head[v]
    while at >= 0:
        if not add_to_table(c, at // 3):
            fill_table(c)
            return
        at = c.following[at]


@numba.njit(cache=True)
def _meets_others(c: Complex, f: int, i: int, j: int, k: int, a: int, b: int) -> bool:
    """Tell whether face f with corners i, j, k would cross a face without vertex a or b."""
    (z0, z1), (y0, y1), (x0, x1) = _span(c, i, j, k, 0), _span(c, i, j, k, 1), _span(c, i, j, k, 2)
    for z in range(z0, z1 + 1):
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                entry = c.bucket[_box_hash(c, z, y, x)]
                while entry >= 0:
                    g = c.entry_face[entry]
                    entry = c.entry_next[entry]
                    p, q, r = c.faces[g, 0], c.faces[g, 1], c.faces[g, 2]
                    if g == f or p < 0 or p == a or q == a or r == a or p == b or q == b or r == b:
                        continue
                    fold = FOLD_IN_SHEET if same_pair(c, f, g) else FOLD_ON_LINE
                    if faces_cross(c.points, i, j, k, p, q, r, fold):
                        return True
    return False


@numba.njit(cache=True)
def new_star_fits(c: Complex, star: Ints, corners: Ints, n: int, a: int, b: int) -> bool:
    """Tell whether new faces at vertex a cross neither each other nor any other face.

    star (n,) holds the faces that change (their regions count), corners (n, 3) their vertices afterwards. Faces at a or
    b (−1 for none) that are not among them are gone.
    """
    for s in range(n):
        i, j, k = corners[s, 0], corners[s, 1], corners[s, 2]
        for t in range(s):
            fold = FOLD_IN_SHEET if same_pair(c, star[s], star[t]) else FOLD_ON_LINE
            if faces_cross(c.points, i, j, k, corners[t, 0], corners[t, 1], corners[t, 2], fold):
                return False
        if _meets_others(c, star[s], i, j, k, a, b):
            return False
    return True
