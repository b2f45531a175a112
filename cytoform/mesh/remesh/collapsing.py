"""Merge the ends of short edges."""

from __future__ import annotations

import numpy as np

from ..._typing import Bools, Floats, Ints
from .. import topology
from .edges import build_edges, csr_row_entries, drop_unused_vertices, least_rank_at_vertices, vertex_adjacency
from .limits import (
    LONG,
    MAX_ROUNDS,
    MIN_MEAN_RATIO,
    MIN_NORMAL_COSINE,
    SHORT,
    doubled_normals,
    mean_ratio,
    row_cosines,
)

__all__ = ["collapse"]


def collapse(points: Floats, faces: Ints, target: float) -> tuple[Floats, Ints]:
    """Merge the two ends of edges shorter than 4/5 of `target` at their midpoint; return points and faces.

    An edge is collapsed only where the surface stays closed, does not fold, and gets no edge longer than 4/3 of
    `target` (µm). Vertices on a boundary stay.
    """
    points, n_vertices = points.copy(), len(points)
    refused = np.zeros(0, dtype=np.int64)  # edges, as a * n_vertices + b, that may not collapse
    for _ in range(MAX_ROUNDS):
        ends, midpoints = _collapse_set(points, faces, target, refused)
        if len(ends) == 0:
            break
        allowed = _keeps_topology(faces, ends, n_vertices)
        allowed[allowed] = _collapse_is_allowed(points, faces, ends[allowed], midpoints[allowed], LONG * target)
        refused = np.concatenate([refused, ends[~allowed] @ [n_vertices, 1]])
        points[ends[allowed, 0]] = midpoints[allowed]
        moved = np.arange(n_vertices)
        moved[ends[allowed, 1]] = ends[allowed, 0]
        faces = moved[faces]
        faces = faces[(faces != np.roll(faces, 1, axis=1)).all(axis=1)]
    return drop_unused_vertices(points, faces)


def _collapse_set(points: Floats, faces: Ints, target: float, refused: Ints) -> tuple[Ints, Floats]:
    """Return short edges that may be collapsed together, (n, 2) vertices, and their midpoints, (n, 3).

    No two of them share a face. Left out are edges at a boundary, edges whose collapse would leave a vertex with fewer
    than three faces, and `refused` ones, numbered a · n_vertices + b by their ends a, b.
    """
    n_vertices = len(points)
    edges = build_edges(faces, n_vertices)
    length = np.linalg.norm(points[edges.ends[:, 1]] - points[edges.ends[:, 0]], axis=1)
    valence = np.bincount(faces.reshape(-1), minlength=n_vertices)
    ok = (length < SHORT * target) & ~edges.fixed[edges.ends].any(axis=1)
    ok &= (valence[edges.tips] > 3).all(axis=1) & (valence[edges.ends].sum(axis=1) - 4 >= 3)
    ok &= ~np.isin(edges.ends @ [n_vertices, 1], refused)
    ends, length = edges.ends[ok], length[ok]
    if len(ends) == 0:
        return ends, np.zeros((0, 3))
    rank = _short_first(length / target)
    own_rank = least_rank_at_vertices(n_vertices, ends, rank)
    near = own_rank.copy()  # the smallest rank at the vertex and next to it: two collapses must not share a face
    np.minimum.at(near, edges.ends[:, 0], own_rank[edges.ends[:, 1]])
    np.minimum.at(near, edges.ends[:, 1], own_rank[edges.ends[:, 0]])
    ends = ends[rank == near[ends].min(axis=1)]
    return ends, 0.5 * (points[ends[:, 0]] + points[ends[:, 1]])


def _short_first(length: Floats) -> Ints:
    """Return a rank for each edge, the shortest class first; `length` (n,) is in units of the target length.

    Classes are eighths of the target; within a class the order is arbitrary but fixed, so that many edges have the
    smallest rank among their neighbours.
    """
    shuffled = np.random.default_rng(0).permutation(len(length))
    order = np.lexsort([shuffled, np.floor(8.0 * length)])
    rank = np.empty(len(length), dtype=np.int64)
    rank[order] = np.arange(len(length))
    return rank


def _keeps_topology(faces: Ints, ends: Ints, n_vertices: int) -> Bools:
    """Tell for each edge whether its collapse keeps the topology: the link condition, (n,) bool.

    The two ends must have exactly two common neighbours, the two vertices opposite to the edge.
    """
    adjacency = vertex_adjacency(topology.edges(faces), n_vertices)
    common = np.asarray(adjacency[ends[:, 0]].multiply(adjacency[ends[:, 1]]).sum(axis=1)).reshape(-1)
    kept: Bools = common == 2
    return kept


def _collapse_is_allowed(points: Floats, faces: Ints, ends: Ints, midpoints: Floats, limit: float) -> Bools:
    """Tell for each edge whether its faces stay acceptable when its ends merge at its midpoint, (n,) bool.

    No face around the merged vertex may rotate its normal by more than 60°, get a mean ratio below MIN_MEAN_RATIO
    (unless it was below before) or an edge longer than `limit`, µm.
    """
    order = np.argsort(faces.reshape(-1), kind="stable")
    indptr = np.concatenate([[0], np.cumsum(np.bincount(faces.reshape(-1), minlength=len(points)))])
    allowed = np.ones(len(ends), dtype=bool)
    for side in range(2):
        corner, edge = csr_row_entries(indptr, order, ends[:, side])
        star = faces[corner // 3]
        stays = (star != ends[edge, 1 - side][:, None]).all(axis=1)  # the two faces at the edge itself vanish
        corner, edge, star = corner[stays], edge[stays], star[stays]
        before = points[star]
        after = before.copy()
        after[np.arange(len(star)), corner % 3] = midpoints[edge]
        shape = mean_ratio(after)
        bad = (row_cosines(doubled_normals(before), doubled_normals(after)) < MIN_NORMAL_COSINE) | (
            shape < np.minimum(MIN_MEAN_RATIO, mean_ratio(before))
        )
        bad |= shape < 1e-3
        bad |= np.linalg.norm(after - midpoints[edge][:, None], axis=2).max(axis=1) > limit
        allowed[edge[bad]] = False
    return allowed
