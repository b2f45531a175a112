"""Turn edges inside their quadrilateral."""

from __future__ import annotations

import numpy as np

from ..._typing import Array, Bools, Floats, Ints
from .. import topology
from .edges import Edges, connect, least, neighbours
from .fairness import ROUNDS, SLIVER, TURN, cosine, doubled, evenness

__all__ = ["flip"]


def flip(points: Floats, faces: Ints, *, by_valence: bool) -> Ints:
    """Turn edges inside their quadrilateral, towards valence 6, or until every edge is Delaunay."""
    for _ in range(ROUNDS):
        flipped = _flip_once(points, faces, by_valence=by_valence)
        if flipped is None:
            break
        faces = flipped
    return faces


def _flip_once(points: Floats, faces: Ints, *, by_valence: bool) -> Ints | None:
    n_vertices = len(points)
    net = connect(faces, n_vertices)
    wide = neighbours(topology.edges(faces), n_vertices)
    valence = np.diff(wide.indptr)
    gain = _valence_gain(valence, net) if by_valence else _delaunay_gain(points, net)
    ok = (gain > 0) & (valence[net.ends] > 3).all(axis=1) & (net.tips[:, 0] != net.tips[:, 1])
    chosen = np.flatnonzero(ok)
    if len(chosen) == 0:
        return None
    joined = np.asarray(wide[net.tips[chosen, 0], net.tips[chosen, 1]]).reshape(-1) > 0
    chosen = chosen[~joined]
    (a, b), (c, d) = net.ends[chosen].T, net.tips[chosen].T
    one, two = np.stack([a, d, c], axis=1), np.stack([d, b, c], axis=1)
    fair = _flip_is_fair(points, np.stack([a, b, c], axis=1), np.stack([b, a, d], axis=1), one, two)
    chosen, one, two = chosen[fair], one[fair], two[fair]
    if len(chosen) == 0:
        return None
    rank = np.empty(len(chosen), dtype=np.int64)
    rank[np.argsort(-gain[chosen], kind="stable")] = np.arange(len(chosen))
    quad = np.concatenate([net.ends[chosen], net.tips[chosen]], axis=1)
    first = rank == least(n_vertices, quad, rank)[quad].min(axis=1)
    faces = faces.copy()
    faces[net.faces[chosen[first], 0]], faces[net.faces[chosen[first], 1]] = one[first], two[first]
    return faces


def _valence_gain(valence: Array, net: Edges) -> Floats:
    off = valence - np.where(net.fixed, 4, 6)
    before = np.abs(off[net.ends]).sum(axis=1) + np.abs(off[net.tips]).sum(axis=1)
    return (before - np.abs(off[net.ends] - 1).sum(axis=1) - np.abs(off[net.tips] + 1).sum(axis=1)).astype(np.float64)


def _delaunay_gain(points: Floats, net: Edges) -> Floats:
    """Sum of the two angles opposite to the edge beyond 180°, in radians."""
    total = np.zeros(len(net.ends))
    for side in range(2):
        to_a, to_b = (points[net.ends[:, k]] - points[net.tips[:, side]] for k in range(2))
        total += np.arctan2(np.linalg.norm(np.cross(to_a, to_b), axis=1), np.einsum("ij,ij->i", to_a, to_b))
    return total - np.pi - 1e-6  # without the slack a square would flip for ever


def _flip_is_fair(points: Floats, old1: Ints, old2: Ints, new1: Ints, new2: Ints) -> Bools:
    before = [doubled(points[old]) for old in (old1, old2)]
    after = [doubled(points[new]) for new in (new1, new2)]
    shapes = [evenness(points[f]) for f in (old1, old2, new1, new2)]
    fair = np.minimum(shapes[2], shapes[3]) > np.minimum(SLIVER, np.minimum(shapes[0], shapes[1]))
    fair &= cosine(after[0], after[1]) > TURN
    for normal in after:
        fair &= cosine(normal, before[0] + before[1]) > TURN
    return fair
