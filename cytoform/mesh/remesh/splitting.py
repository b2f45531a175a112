"""Split long edges in halves."""

from __future__ import annotations

import numpy as np

from ..._typing import Floats, Ints
from ...errors import MeshError
from .. import topology
from .limits import MAX_ROUNDS

__all__ = ["MAX_FACES", "split"]


MAX_FACES = 4_000_000  # refuse to make more


def split(points: Floats, faces: Ints, limit: float, *, border: bool = True) -> tuple[Floats, Ints]:
    """Split every edge longer than `limit` µm at its midpoint until none is left; return points and faces.

    The surface itself does not move. `border`: edges with a single face are split, too. Raise MeshError if there would
    be more than MAX_FACES faces.
    """
    for _ in range(MAX_ROUNDS):
        pairs, inverse, count = topology.unique_edges(faces)
        long = np.linalg.norm(points[pairs[:, 1]] - points[pairs[:, 0]], axis=1) > limit
        long &= border | (count > 1)
        if not long.any():
            break
        if len(faces) > MAX_FACES:
            raise MeshError(f"remeshing would need more than {MAX_FACES} faces.", remedy="Raise target_edge.")
        number = np.where(long, len(points) + np.cumsum(long) - 1, -1)
        points = np.concatenate([points, 0.5 * (points[pairs[long, 0]] + points[pairs[long, 1]])])
        faces = _split_faces(points, faces, number[inverse].reshape(-1, 3))
    return points, faces


def _split_faces(points: Floats, faces: Ints, middle: Ints) -> Ints:
    """Return the new faces when edges are split; middle (n_faces, 3) holds the vertex on each edge, -1 for none.

    Edge c of a face runs from corner c to the next. A face is divided into two, three or four by the number of its
    split edges; the quadrilateral left by two is divided by its shorter diagonal.
    """
    count = (middle >= 0).sum(axis=1)
    made = [faces[count == 0]]
    one = np.flatnonzero(count == 1)  # rotated so that edge 0 is split
    (a, b, c), (m, _, _) = _rotate_corners(faces, middle, one, np.argmax(middle[one] >= 0, axis=1))
    made += [np.stack([a, m, c], axis=1), np.stack([m, b, c], axis=1)]
    two = np.flatnonzero(count == 2)  # rotated so that edges 0 and 1 are split; b is cut off, a quad is left
    (a, b, c), (m, n, _) = _rotate_corners(faces, middle, two, (np.argmin(middle[two], axis=1) + 1) % 3)
    made.append(np.stack([m, b, n], axis=1))
    across = np.linalg.norm(points[a] - points[n], axis=1) <= np.linalg.norm(points[m] - points[c], axis=1)
    made.append(np.where(across[:, None], np.stack([a, m, n], axis=1), np.stack([a, m, c], axis=1)))
    made.append(np.where(across[:, None], np.stack([a, n, c], axis=1), np.stack([m, n, c], axis=1)))
    (a, b, c), (m, n, o) = faces[count == 3].T, middle[count == 3].T
    made += [np.stack(t, axis=1) for t in ((a, m, o), (m, b, n), (o, n, c), (m, n, o))]
    return np.concatenate(made)


def _rotate_corners(faces: Ints, middle: Ints, which: Ints, first: Ints) -> tuple[Ints, Ints]:
    """Return the corners and edge midpoints of some faces, each (3, n), rotated so that edge `first` comes first.

    `which` (n,) are the faces, `first` (n,) the edge of each that becomes edge 0.
    """
    columns = (first[:, None] + np.arange(3)) % 3
    rows = which[:, None]
    return faces[rows, columns].T, middle[rows, columns].T
