"""Make the changeable arrays of a mesh of touching cells, and the mesh again from them."""

from __future__ import annotations

import numpy as np

from ..._typing import Array, Floats, Ints
from ...kernels import complexes
from ...kernels.complexes import MAX_STAR, Complex

__all__ = ["arrays_of", "grown", "make_complex"]


def make_complex(
    points: Floats, faces: Ints, pairs: Ints, held: Ints, box: float, room: float = 1.5, source: Ints | None = None
) -> Complex:
    """Return the changeable arrays of a mesh, with room for more vertices and faces.

    Parameters
    ----------
    points : (n_vertices, 3) float64
        Positions.
    faces : (n_faces, 3) int64
        Vertices of every face.
    pairs : (n_faces, 2) int64
        Regions on the two sides.
    held : (n_vertices,) int64
        Bits 1, 2, 4 for each axis along which a vertex must not move.
    box : float
        Side of the boxes in which faces are looked up, about the length of an edge.
    room : float, optional
        How many times as many vertices and faces there may be.
    source : (n_faces,) int64, optional
        The face of an earlier mesh from which each face comes; their own numbers by default.

    Returns
    -------
    Complex
        Arrays for the kernels.
    """
    n_vertices, n_faces = int(room * len(points)) + 64, int(room * len(faces)) + 64
    source = np.arange(len(faces)) if source is None else source
    n_entries = 24 * n_faces + 4096
    made = Complex(
        _padded(points, n_vertices, 0.0), np.zeros((n_vertices, 3)), _padded(held, n_vertices, 0), _padded(faces,
        n_faces, -1), _padded(pairs, n_faces, 0), _padded(source, n_faces, -1), np.full(n_vertices, -1, dtype=np.int64),
        np.full(3 * n_faces, -1, dtype=np.int64), np.array([len(points), len(faces), 0, 0]), np.full(1 <<
        int(np.ceil(np.log2(2 * n_faces))), -1, dtype=np.int64), np.empty(n_entries, dtype=np.int64),
        np.empty(n_entries, dtype=np.int64), np.array([box]), np.empty(MAX_STAR, dtype=np.int64), np.empty(MAX_STAR,
        dtype=np.int64), np.empty((MAX_STAR, 3), dtype=np.int64), np.empty((MAX_STAR, 3), dtype=np.int64),
    )  # fmt: skip
    complexes.link_faces(made)
    while not complexes.fill_table(made):
        made.box[0] *= 1.5  # some faces are much larger than an edge should be
    return made


def _padded(values: Array, n: int, fill: float) -> Array:
    """Return an array with `n` rows, those that are new filled with a value."""
    made = np.full((n, *values.shape[1:]), fill, dtype=values.dtype)
    made[: len(values)] = values
    return made


def arrays_of(c: Complex) -> tuple[Floats, Ints, Ints, Ints, Ints]:
    """Return points, faces, pairs and held axes of what is left, and the first face of every face, (n_faces,)."""
    kept = np.flatnonzero(c.faces[: c.used[1], 0] >= 0)
    used, index = np.unique(c.faces[kept], return_inverse=True)
    return c.points[used], index.reshape(-1, 3), c.pairs[kept], c.held[used], c.source[kept]


def grown(c: Complex) -> Complex:
    """Return the same mesh with room for half as many vertices and faces more, numbers of vertices unchanged."""
    n, m = int(c.used[0]), int(c.used[1])
    alive = c.faces[:m, 0] >= 0
    return make_complex(
        c.points[:n], c.faces[:m][alive], c.pairs[:m][alive], c.held[:n], float(c.box[0]), 1.6, c.source[:m][alive]
    )
