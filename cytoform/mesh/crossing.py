"""Find faces of a mesh that cross each other or are folded, and undo the moves of vertices that led to it."""

from __future__ import annotations

import numpy as np

from .._typing import Array, Bools, Floats, Ints
from ..kernels import crossings
from . import geometry

__all__ = ["FOLD_COSINE", "crossing_faces", "undo_crossing_moves"]

FOLD_COSINE = float(np.cos(np.radians(5.0)))
"""Two faces at a common edge count as folded where the angle between them is below 5°."""

_MAX_BOXES = 8_000_000


def crossing_faces(vertices: Array, faces: Array, active: Bools | None = None, *, fold: float = FOLD_COSINE) -> Ints:
    """Return the pairs of faces that cross, touch without a common vertex, or are folded at a common edge.

    Parameters
    ----------
    vertices : (n_vertices, 3) float
        Positions in µm, (z, y, x).
    faces : (n_faces, 3) int
        Vertices of every face.
    active : (n_faces,) bool, optional
        Only pairs with a face in it are tested; None for all.
    fold : float, optional
        Cosine of the angle at a common edge above which two faces count as folded; 2 for none.

    Returns
    -------
    (n, 2) int64
        Face indices, the smaller first.
    """
    points = np.ascontiguousarray(vertices, dtype=np.float64)
    faces = np.ascontiguousarray(faces, dtype=np.int64)
    if active is None:
        active = np.ones(len(faces), dtype=bool)
    if len(faces) == 0 or not active.any():
        return np.zeros((0, 2), dtype=np.int64)
    low, high = geometry.bounding_box(points, faces)
    spans = np.zeros(len(faces))
    for column in points.T:
        a, b, c = column[faces.T]
        np.maximum(spans, np.maximum(np.maximum(a, b), c) - np.minimum(np.minimum(a, b), c), out=spans)
    size = max(float(spans.mean()), 1e-12 * float((high - low).max()), 1e-300)
    while np.prod((high - low) / size + 1.0) > _MAX_BOXES:
        size *= 1.5
    shape = np.floor((high - low) / size).astype(np.int64) + 1
    out = np.empty((max(64, len(faces) // 16), 2), dtype=np.int64)
    n = crossings.crossing_pairs(points, faces, active, low, size, shape, fold, out)
    if n > len(out):
        out = np.empty((n, 2), dtype=np.int64)
        crossings.crossing_pairs(points, faces, active, low, size, shape, fold, out)
    return out[:n]


def undo_crossing_moves(
    before: Floats, after: Floats, faces: Ints, *, fold: float = FOLD_COSINE, rounds: int = 12
) -> tuple[Floats, int]:
    """Return the moved points with moves reduced where faces cross that did not cross before.

    Parameters
    ----------
    before, after : (n_vertices, 3) float64
        Positions before and after the move, µm.
    faces : (n_faces, 3) int64
        Vertices of every face.
    fold : float, optional
        Cosine of the angle at a common edge above which two faces count as folded.
    rounds : int, optional
        How often moves are halved; after that they are undone.

    Returns
    -------
    points : (n_vertices, 3) float64
        Positions without new crossings.
    n_left : int
        Number of pairs that cross still; they crossed before.
    """
    points, share = after.copy(), np.ones(len(after))
    active = _faces_with(np.any(before != after, axis=1), faces)
    pairs = crossing_faces(points, faces, active, fold=fold)
    for turn in range(4 * rounds):
        if len(pairs) == 0:
            break
        at = np.unique(faces[pairs.reshape(-1)])
        at = at[share[at] > 0]
        if len(at) == 0:
            break
        share[at] = np.where((turn >= rounds) | (share[at] < 0.1), 0.0, 0.5 * share[at])
        points[at] = before[at] + share[at, None] * (after[at] - before[at])
        touched = np.zeros(len(points), dtype=bool)
        touched[at] = True
        again = _faces_with(touched, faces)
        others = pairs[~again[pairs].any(axis=1)]
        pairs = np.concatenate([others, crossing_faces(points, faces, again, fold=fold)])
    return points, len(pairs)


def _faces_with(vertices: Bools, faces: Ints) -> Bools:
    """Tell which faces have a vertex of a selection (n_vertices,), (n_faces,) bool."""
    a, b, c = vertices[faces.T]
    found: Bools = a | b | c
    return found
