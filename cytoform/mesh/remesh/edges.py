"""Edges of a surface with the faces on their two sides, and sparse adjacency of vertices."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix

from ..._typing import Array, Bools, Floats, Ints

__all__ = [
    "Edges",
    "build_edges",
    "csr_row_entries",
    "drop_unused_vertices",
    "least_rank_at_vertices",
    "vertex_adjacency",
]


@dataclasses.dataclass(frozen=True)
class Edges:
    """Interior edges of a surface with at most two faces at each edge, with the faces and vertices beside them.

    Parameters
    ----------
    ends : (n_edges, 2) int
        Vertices a, b of each edge with exactly two faces; face 0 runs from a to b.
    faces : (n_edges, 2) int
        Faces 0 and 1 on the two sides.
    tips : (n_edges, 2) int
        Vertices opposite to the edge in faces 0 and 1.
    fixed : (n_vertices,) bool
        Which vertices lie on a boundary, an edge with a single face.
    """

    ends: Ints
    faces: Ints
    tips: Ints
    fixed: Bools


def build_edges(faces: Ints, n_vertices: int) -> Edges:
    """Find the interior edges of a surface, with the faces and opposite vertices on their two sides.

    faces (n_faces, 3), wound consistently: the two faces of an edge run along it in opposite directions.
    """
    half = np.stack([faces, np.roll(faces, -1, axis=1)], axis=2).reshape(-1, 2)
    forward, backward = half[:, 0] * n_vertices + half[:, 1], half[:, 1] * n_vertices + half[:, 0]
    order = np.argsort(forward)
    at = np.minimum(np.searchsorted(forward[order], backward), len(forward) - 1)
    twin = np.where(forward[order][at] == backward, order[at], -1)
    fixed = np.zeros(n_vertices, dtype=bool)
    fixed[half[twin < 0]] = True
    one = np.flatnonzero((half[:, 0] < half[:, 1]) & (twin >= 0))
    two, flat = twin[one], faces.reshape(-1)
    tips = np.stack([flat[h - h % 3 + (h + 2) % 3] for h in (one, two)], axis=1)
    return Edges(half[one], np.stack([one // 3, two // 3], axis=1), tips, fixed)


def vertex_adjacency(ends: Ints, n_vertices: int) -> csr_matrix[np.float64]:
    """Return the adjacency matrix (n_vertices, n_vertices) of the vertices: 1 where an edge `ends` (n, 2) joins two."""
    rows, cols = np.concatenate([ends[:, 0], ends[:, 1]]), np.concatenate([ends[:, 1], ends[:, 0]])
    return coo_matrix((np.ones(len(rows)), (rows, cols)), shape=(n_vertices, n_vertices)).tocsr()


def csr_row_entries(indptr: Array, indices: Array, rows: Ints) -> tuple[Ints, Ints]:
    """Return the column indices in some rows of a CSR matrix, and for each the position in `rows` of its row.

    indptr and indices are those of the matrix; rows (n,) may repeat. Both results have the same length.
    """
    counts = (indptr[rows + 1] - indptr[rows]).astype(np.int64)
    owner = np.repeat(np.arange(len(rows)), counts)
    offset = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    return indices[np.repeat(indptr[rows].astype(np.int64), counts) + offset].astype(np.int64), owner


def least_rank_at_vertices(n_vertices: int, at: Ints, rank: Ints) -> Ints:
    """Return the smallest rank at every vertex, (n_vertices,); the largest integer where there is none.

    `at` (n, k) holds the k vertices of each candidate, `rank` (n,) the candidates' ranks.
    """
    low = np.full(n_vertices, np.iinfo(np.int64).max)
    np.minimum.at(low, at.reshape(-1), np.repeat(rank, at.shape[1]))
    return low


def drop_unused_vertices(points: Floats, faces: Ints) -> tuple[Floats, Ints]:
    """Return points and faces without the vertices that no face uses; faces are renumbered."""
    used = np.zeros(len(points), dtype=bool)
    used[faces] = True
    return points[used], (np.cumsum(used) - 1)[faces]
