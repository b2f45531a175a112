"""The edges of a mesh of touching cells, with the faces around each."""

from __future__ import annotations

import dataclasses

import numpy as np

from ..._typing import Bools, Ints
from ..multimaterial import MultiMaterialMesh

__all__ = ["CellEdges", "cell_edges"]


@dataclasses.dataclass(frozen=True)
class CellEdges:
    """The edges of a mesh, each once, with the faces around them.

    Parameters
    ----------
    ends : (n_edges, 2) int64
        Vertices of every edge, the smaller first, ascending.
    start : (n_edges + 1,) int64
        Where each edge's half-edges begin in `half`.
    half : (3 n_faces,) int64
        Half-edges 3 f + c, from corner c of face f to the next, edge after edge.
    edge_of : (3 n_faces,) int64
        The edge of every half-edge.
    on_line : (n_edges,) bool
        True where sheets of several pairs of regions meet, or not exactly two faces.
    """

    ends: Ints
    start: Ints
    half: Ints
    edge_of: Ints
    on_line: Bools

    @property
    def counts(self) -> Ints:
        """Number of faces at every edge, (n_edges,)."""
        return np.diff(self.start)


def cell_edges(mesh: MultiMaterialMesh) -> CellEdges:
    """Return the edges of a mesh with the faces around them.

    Parameters
    ----------
    mesh : MultiMaterialMesh
        The cells.

    Returns
    -------
    CellEdges
        Every edge once.
    """
    half = np.sort(np.stack([mesh.faces, np.roll(mesh.faces, -1, axis=1)], axis=2).reshape(-1, 2), axis=1)
    base = int(mesh.faces.max()) + 1
    keys, edge_of, counts = np.unique(half[:, 0] * base + half[:, 1], return_inverse=True, return_counts=True)
    order = np.argsort(edge_of, kind="stable")
    start = np.concatenate([[0], np.cumsum(counts)])
    kind = face_kinds(mesh)
    first = kind[order[start[:-1]] // 3]
    differs = np.bincount(edge_of, weights=np.repeat(kind, 3) != first[edge_of], minlength=len(keys)) > 0
    return CellEdges(np.stack([keys // base, keys % base], axis=1), start, order, edge_of, differs | (counts != 2))


def face_kinds(mesh: MultiMaterialMesh) -> Ints:
    """Return a number for every face that is equal for faces of the same two regions, cropped or not, (n_faces,)."""
    numbers, index = np.unique(mesh.labels, return_inverse=True)
    pairs = np.sort(index.reshape(-1, 2), axis=1)
    kinds: Ints = 2 * (pairs[:, 0] * len(numbers) + pairs[:, 1])
    return kinds if mesh.cropped is None else kinds + mesh.cropped
