"""Merge the ends of short edges."""

from __future__ import annotations

import numpy as np

from ..._typing import Bools, Floats, Ints
from .. import topology
from .edges import compact, connect, least, neighbours, ragged
from .fairness import LONG, ROUNDS, SHORT, SLIVER, TURN, cosine, doubled, evenness

__all__ = ["collapse"]


def collapse(points: Floats, faces: Ints, target: float) -> tuple[Floats, Ints]:
    """Merge the ends of short edges where that keeps the surface closed, unfolded and free of long edges."""
    points, n_vertices = points.copy(), len(points)
    refused = np.zeros(0, dtype=np.int64)  # edges, as a * n_vertices + b, that may not collapse
    for _ in range(ROUNDS):
        ends, place = _collapse_set(points, faces, target, refused)
        if len(ends) == 0:
            break
        fair = _keeps_topology(faces, ends, n_vertices)
        fair[fair] = _collapse_is_fair(points, faces, ends[fair], place[fair], LONG * target)
        refused = np.concatenate([refused, ends[~fair] @ [n_vertices, 1]])
        points[ends[fair, 0]] = place[fair]
        moved = np.arange(n_vertices)
        moved[ends[fair, 1]] = ends[fair, 0]
        faces = moved[faces]
        faces = faces[(faces != np.roll(faces, 1, axis=1)).all(axis=1)]
    return compact(points, faces)


def _collapse_set(points: Floats, faces: Ints, target: float, refused: Ints) -> tuple[Ints, Floats]:
    """Short edges that do not get in each other's way, (n, 2), and where their ends would meet."""
    n_vertices = len(points)
    net = connect(faces, n_vertices)
    length = np.linalg.norm(points[net.ends[:, 1]] - points[net.ends[:, 0]], axis=1)
    valence = np.bincount(faces.reshape(-1), minlength=n_vertices)
    ok = (length < SHORT * target) & ~net.fixed[net.ends].any(axis=1)
    ok &= (valence[net.tips] > 3).all(axis=1) & (valence[net.ends].sum(axis=1) - 4 >= 3)
    ok &= ~np.isin(net.ends @ [n_vertices, 1], refused)
    ends, length = net.ends[ok], length[ok]
    if len(ends) == 0:
        return ends, np.zeros((0, 3))
    rank = _short_first(length / target)
    mine = least(n_vertices, ends, rank)
    near = mine.copy()  # the smallest rank at the vertex and next to it: two collapses must not share a face
    np.minimum.at(near, net.ends[:, 0], mine[net.ends[:, 1]])
    np.minimum.at(near, net.ends[:, 1], mine[net.ends[:, 0]])
    ends = ends[rank == near[ends].min(axis=1)]
    return ends, 0.5 * (points[ends[:, 0]] + points[ends[:, 1]])


def _short_first(length: Floats) -> Ints:
    """Ranks by eighths of the target length; within a class in an arbitrary fixed order, which lets many edges win."""
    shuffled = np.random.default_rng(0).permutation(len(length))
    order = np.lexsort([shuffled, np.floor(8.0 * length)])
    rank = np.empty(len(length), dtype=np.int64)
    rank[order] = np.arange(len(length))
    return rank


def _keeps_topology(faces: Ints, ends: Ints, n_vertices: int) -> Bools:
    """The link condition: the two ends have exactly the two tips as common neighbours."""
    wide = neighbours(topology.edges(faces), n_vertices)
    return np.asarray(wide[ends[:, 0]].multiply(wide[ends[:, 1]]).sum(axis=1)).reshape(-1) == 2


def _collapse_is_fair(points: Floats, faces: Ints, ends: Ints, place: Floats, limit: float) -> Bools:
    """Whether no face around the merged vertex turns over, loses its area or gets an edge longer than `limit`."""
    order = np.argsort(faces.reshape(-1), kind="stable")
    indptr = np.concatenate([[0], np.cumsum(np.bincount(faces.reshape(-1), minlength=len(points)))])
    fair = np.ones(len(ends), dtype=bool)
    for side in range(2):
        corner, owner = ragged(indptr, order, ends[:, side])
        star = faces[corner // 3]
        stays = (star != ends[owner, 1 - side][:, None]).all(axis=1)  # the two faces at the edge itself vanish
        corner, owner, star = corner[stays], owner[stays], star[stays]
        before = points[star]
        after = before.copy()
        after[np.arange(len(star)), corner % 3] = place[owner]
        shape = evenness(after)
        bad = (cosine(doubled(before), doubled(after)) < TURN) | (shape < np.minimum(SLIVER, evenness(before)))
        bad |= shape < 1e-3
        bad |= np.linalg.norm(after - place[owner][:, None], axis=2).max(axis=1) > limit
        fair[owner[bad]] = False
    return fair
