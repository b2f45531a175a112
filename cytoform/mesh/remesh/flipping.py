"""Flip edges: replace an edge by the other diagonal of the quadrilateral that its two faces form."""

from __future__ import annotations

import numpy as np

from ..._typing import Array, Bools, Floats, Ints
from .. import topology
from .edges import Edges, build_edges, least_rank_at_vertices, vertex_adjacency
from .limits import MAX_ROUNDS, MIN_MEAN_RATIO, MIN_NORMAL_COSINE, doubled_normals, mean_ratio, row_cosines

__all__ = ["flip"]


def flip(points: Floats, faces: Ints, *, by_valence: bool) -> Ints:
    """Flip edges towards valence 6 (`by_valence`), or until every edge is Delaunay; return the new faces."""
    for _ in range(MAX_ROUNDS):
        flipped = _flip_once(points, faces, by_valence=by_valence)
        if flipped is None:
            break
        faces = flipped
    return faces


def _flip_once(points: Floats, faces: Ints, *, by_valence: bool) -> Ints | None:
    """Flip one set of edges that share no vertex of their quadrilaterals; return the new faces, None if no flip helps.

    Edges with the largest gain come first (:func:`_valence_gain` or :func:`_delaunay_gain`). An edge is not flipped if
    an end would keep fewer than three faces, the other diagonal already exists, or a face would degenerate.
    """
    n_vertices = len(points)
    edges = build_edges(faces, n_vertices)
    adjacency = vertex_adjacency(topology.edges(faces), n_vertices)
    valence = np.diff(adjacency.indptr)
    gain = _valence_gain(valence, edges) if by_valence else _delaunay_gain(points, edges)
    ok = (gain > 0) & (valence[edges.ends] > 3).all(axis=1) & (edges.tips[:, 0] != edges.tips[:, 1])
    chosen = np.flatnonzero(ok)
    if len(chosen) == 0:
        return None
    joined = np.asarray(adjacency[edges.tips[chosen, 0], edges.tips[chosen, 1]]).reshape(-1) > 0
    chosen = chosen[~joined]
    (a, b), (c, d) = edges.ends[chosen].T, edges.tips[chosen].T
    one, two = np.stack([a, d, c], axis=1), np.stack([d, b, c], axis=1)
    allowed = _flip_is_allowed(points, np.stack([a, b, c], axis=1), np.stack([b, a, d], axis=1), one, two)
    chosen, one, two = chosen[allowed], one[allowed], two[allowed]
    if len(chosen) == 0:
        return None
    rank = np.empty(len(chosen), dtype=np.int64)
    rank[np.argsort(-gain[chosen], kind="stable")] = np.arange(len(chosen))
    quad = np.concatenate([edges.ends[chosen], edges.tips[chosen]], axis=1)
    first = rank == least_rank_at_vertices(n_vertices, quad, rank)[quad].min(axis=1)
    faces = faces.copy()
    faces[edges.faces[chosen[first], 0]], faces[edges.faces[chosen[first], 1]] = one[first], two[first]
    return faces


def _valence_gain(valence: Array, edges: Edges) -> Floats:
    """Return by how much a flip of each edge reduces the sum of |valence - 6| over the four vertices, (n_edges,).

    The wanted valence at a boundary is 4.
    """
    off = valence - np.where(edges.fixed, 4, 6)
    before = np.abs(off[edges.ends]).sum(axis=1) + np.abs(off[edges.tips]).sum(axis=1)
    gain = before - np.abs(off[edges.ends] - 1).sum(axis=1) - np.abs(off[edges.tips] + 1).sum(axis=1)
    return np.asarray(gain, dtype=np.float64)


def _delaunay_gain(points: Floats, edges: Edges) -> Floats:
    """Return by how much the two angles opposite to each edge exceed 180° together, in radians, (n_edges,).

    An edge with a positive number is not Delaunay; its flip makes it so.
    """
    total = np.zeros(len(edges.ends))
    for side in range(2):
        to_a, to_b = (points[edges.ends[:, k]] - points[edges.tips[:, side]] for k in range(2))
        total += np.arctan2(np.linalg.norm(np.cross(to_a, to_b), axis=1), np.einsum("ij,ij->i", to_a, to_b))
    return total - np.pi - 1e-6  # without the slack a square would flip for ever


def _flip_is_allowed(points: Floats, old1: Ints, old2: Ints, new1: Ints, new2: Ints) -> Bools:
    """Tell for each flip whether its faces stay acceptable, (n,) bool; old1, old2, new1, new2 (n, 3) are the faces.

    The new faces must not fold over, neither against each other nor against the old ones (normals within 60°), and not
    get worse than both MIN_MEAN_RATIO and the old faces.
    """
    before = [doubled_normals(points[old]) for old in (old1, old2)]
    after = [doubled_normals(points[new]) for new in (new1, new2)]
    shapes = [mean_ratio(points[f]) for f in (old1, old2, new1, new2)]
    allowed = np.minimum(shapes[2], shapes[3]) > np.minimum(MIN_MEAN_RATIO, np.minimum(shapes[0], shapes[1]))
    allowed &= row_cosines(after[0], after[1]) > MIN_NORMAL_COSINE
    for normal in after:
        allowed &= row_cosines(normal, before[0] + before[1]) > MIN_NORMAL_COSINE
    return allowed
