"""Extract the faces between the labels of a 3D label image as polygons, by surface nets that never pinch a region.

Each cube of 2 × 2 × 2 voxel centres is divided into the six tetrahedra of Freudenthal's triangulation. The polygon dual
to an edge of that triangulation between two labels has a vertex in each tetrahedron around the edge. In the dual
(voxels are truncated octahedra there) three cells meet along each edge and four at each vertex, so that any union of
cells is bounded by a manifold (Lachaud and Montanvert, Medical Image Analysis 4(2), 2000, on digital surfaces; Kuhn
1960 on the triangulation). Where no label of a cube is ambiguous, its six vertices are contracted to one: the surface
net of Gibson (MICCAI 1998), a quad for each voxel face.
"""

from __future__ import annotations

import numba
import numpy as np

from .._typing import Array, Bools, Ints

__all__ = ["count_polygons", "fill_polygons", "find_split_cubes"]


@numba.njit(cache=True)
def find_split_cubes(padded: Array, simple: Bools, out: Array) -> int:
    """Mark the cubes in which some label is ambiguous; return how many there are.

    padded (z, y, x) int32: labels with a border of one voxel, 0 or less outside. simple (256,) tells for each subset of
    a cube's voxels (bit 4 z + 2 y + x) whether it and its complement are connected through faces. out (z - 1, y - 1, x
    - 1) uint8: 0 for a cube of one label, 1 for one vertex, 2 for a cube to be split in tetrahedra.
    """
    nz, ny, nx = out.shape
    labels = np.empty(8, np.int64)
    found = 0
    for i in range(nz):
        for j in range(ny):
            for k in range(nx):
                mixed = False
                for c in range(8):
                    labels[c] = max(padded[i + c // 4, j + c // 2 % 2, k + c % 2], 0)
                    mixed |= labels[c] != labels[0]
                if not mixed:
                    out[i, j, k] = 0
                    continue
                out[i, j, k] = 1
                for c in range(8):
                    subset = 0
                    for d in range(8):
                        if labels[d] == labels[c]:
                            subset |= 1 << d
                    if not simple[subset]:
                        out[i, j, k] = 2
                        found += 1
                        break
    return found


@numba.njit(cache=True)
def _polygon(first: Array, split: Array, cycle: Ints, size: int, i: int, j: int, k: int, out: Ints) -> int:
    """Fill `out` with the vertices of the polygon dual to an edge that starts at voxel (i, j, k); return their number.

    cycle (6, 4): cube relative to the voxel and tetrahedron, in turn around the edge. Equal vertices in succession
    count once; 0 comes back where fewer than three are left.
    """
    n = 0
    for c in range(size):
        a, b, d = i + cycle[c, 0], j + cycle[c, 1], k + cycle[c, 2]
        vertex = first[a, b, d] + (cycle[c, 3] if split[a, b, d] == 2 else 0)
        if n == 0 or out[n - 1] != vertex:
            out[n] = vertex
            n += 1
    while n > 1 and out[n - 1] == out[0]:
        n -= 1
    return n if n >= 3 else 0


@numba.njit(cache=True)
def _any_split(split: Array, cycle: Ints, size: int, i: int, j: int, k: int) -> bool:
    """Tell whether a cube around the edge that starts at voxel (i, j, k) is split."""
    for c in range(size):
        if split[i + cycle[c, 0], j + cycle[c, 1], k + cycle[c, 2]] == 2:
            return True
    return False


@numba.njit(cache=True)
def _visit(
    padded: Array, split: Array, first: Array, ways: Ints, cycles: Ints, sizes: Ints, polygons: Ints, pairs: Array
) -> int:
    """Count the polygons of all edges between two labels, and fill `polygons` and `pairs` unless they are empty."""
    nz, ny, nx = padded.shape
    ring, n = np.full(6, -1, np.int64), 0
    for i in range(nz):
        for j in range(ny):
            for k in range(nx):
                here = padded[i, j, k]
                for w in range(len(ways)):
                    a, b, d = i + ways[w, 0], j + ways[w, 1], k + ways[w, 2]
                    if a >= nz or b >= ny or d >= nx:
                        continue
                    there = padded[a, b, d]
                    if here == there or (here <= 0 and there <= 0):
                        continue
                    if w >= 3 and not _any_split(split, cycles[w], sizes[w], i, j, k):
                        continue
                    size = _polygon(first, split, cycles[w], sizes[w], i, j, k, ring)
                    if size == 0:
                        continue
                    if len(polygons):
                        turn = here <= 0 or (there > 0 and there < here)
                        for c in range(size):
                            polygons[n, c] = ring[size - 1 - c] if turn else ring[c]
                        pairs[n, 0], pairs[n, 1] = (there, here) if turn else (here, there)
                    n += 1
    return n


@numba.njit(cache=True)
def count_polygons(padded: Array, split: Array, first: Array, ways: Ints, cycles: Ints, sizes: Ints) -> int:
    """Return the number of polygons that :func:`fill_polygons` makes."""
    return _visit(padded, split, first, ways, cycles, sizes, np.zeros((0, 6), np.int64), np.zeros((0, 2), padded.dtype))


@numba.njit(cache=True)
def fill_polygons(
    padded: Array, split: Array, first: Array, ways: Ints, cycles: Ints, sizes: Ints, polygons: Ints, pairs: Array
) -> None:
    """Fill the polygons between two labels, and the labels on their two sides.

    first (z, y, x) int64 is the number of a cube's first vertex, split as :func:`find_split_cubes` leaves it. ways (7,
    3) are the edges' directions, the three axes first; cycles (7, 6, 4) the tetrahedra around them and sizes (7,) how
    many there are. polygons (n, 6) int64 is filled with vertices, what is over stays; pairs (n, 2) with labels: the
    normal points from the first, the smaller one but never the outside (0 or less), to the second.
    """
    _visit(padded, split, first, ways, cycles, sizes, polygons, pairs)
