"""Junctions of touching cells: the edges at which three or more sheets meet, the lines they form, and their corners."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from .._typing import Array, Bools, Floats, Ints
from . import topology

__all__ = ["Junctions", "find_junctions", "interface_numbers"]


@dataclasses.dataclass(frozen=True, eq=False)
class Junctions:
    """Where the interfaces of touching cells meet.

    Parameters
    ----------
    edges : (n_edges, 2) int64
        Vertices of the edges with three or more faces.
    lines : (n_edges,) int64
        Number of the junction line to which each edge belongs; lines end at corners.
    degree : (n_vertices,) int64
        Number of junction edges at each vertex: 0 inside a sheet, 2 on a line.
    boundary : (n_vertices,) bool
        Whether a vertex lies on an edge with a single face, where the mesh ends.
    """

    edges: Ints
    lines: Ints
    degree: Ints
    boundary: Bools

    @property
    def n_lines(self) -> int:
        """Number of junction lines; a closed line counts once."""
        return int(self.lines.max()) + 1 if len(self.lines) else 0

    @property
    def corners(self) -> Ints:
        """Vertices at which lines end or meet, ascending."""
        return np.flatnonzero((self.degree > 0) & (self.degree != 2))

    def lengths(self, vertices: Array) -> Floats:
        """Return the length of every junction line.

        Parameters
        ----------
        vertices : (n_vertices, 3) float
            Positions in µm.

        Returns
        -------
        (n_lines,) float64
            Lengths in µm.
        """
        ends = np.asarray(vertices, dtype=np.float64)[self.edges]
        apart = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
        return np.asarray(np.bincount(self.lines, apart, self.n_lines), dtype=np.float64)


def find_junctions(faces: Ints, n_vertices: int) -> Junctions:
    """Find the edges at which three or more faces meet, and the lines that they form.

    Parameters
    ----------
    faces : (n_faces, 3) int
        Vertex indices of a mesh of touching cells.
    n_vertices : int
        Number of vertices.

    Returns
    -------
    Junctions
        Edges, lines and corners; without any where no cells touch.
    """
    pairs, _, counts = topology.unique_edges(faces)
    edges = pairs[counts >= 3]
    degree = np.bincount(edges.reshape(-1), minlength=n_vertices)
    boundary = np.zeros(n_vertices, dtype=bool)
    boundary[pairs[counts == 1].reshape(-1)] = True
    return Junctions(edges, _number_lines(edges, degree), degree, boundary)


def _number_lines(edges: Ints, degree: Ints) -> Ints:
    """Return the line of every junction edge, (n_edges,): edges that share a vertex of degree 2 are on one line."""
    if len(edges) == 0:
        return np.zeros(0, dtype=np.int64)
    ends, owners = edges.reshape(-1), np.repeat(np.arange(len(edges)), 2)
    inner = degree[ends] == 2
    order = np.argsort(ends[inner], kind="stable")
    joined = owners[inner][order].reshape(-1, 2)
    graph = coo_matrix((np.ones(len(joined)), (joined[:, 0], joined[:, 1])), shape=(len(edges), len(edges)))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def interface_numbers(labels: Ints) -> tuple[Ints, Ints]:
    """Number the interfaces: all faces between the same two regions are one.

    Parameters
    ----------
    labels : (n_faces, 2) int
        Regions on the two sides of every face.

    Returns
    -------
    pairs : (n_interfaces, 2) int64
        The two regions of every interface, the smaller number first, in ascending order.
    number : (n_faces,) int64
        Interface of every face.
    """
    pairs, number = np.unique(np.sort(labels, axis=1), axis=0, return_inverse=True)
    return pairs.astype(np.int64), number.reshape(-1).astype(np.int64)
