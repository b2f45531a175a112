"""Bring a mesh of touching cells to an edge length by rounds of split, collapse, flip and relax."""

from __future__ import annotations

import numpy as np

from ..._typing import Floats
from ...errors import MeshError
from ...kernels import complex_moves, complex_sweeps, complexes
from ...kernels.complexes import FOLD_IN_SHEET, Complex
from ..crossing import undo_crossing_moves
from .complexes import grown
from .limits import LONG, SHORT
from .splitting import MAX_FACES

__all__ = ["sweep"]

_LEAST = float(np.sin(np.radians(20.0)))  # sine of the angle that a collapse should not fall below
_SHARES = (0.5, 0.75, 1.0)  # of SHORT: the shortest edges go first
_FLATNESS = 0.85  # cosine between the normals of two faces whose edge may be flipped
_ENOUGH = float(np.sin(np.radians(35.0)))  # an angle that relaxing need not keep


def sweep(c: Complex, edge: float, rounds: int, curved: bool = True) -> Complex:
    """Return the mesh with edges near a wanted length.

    Parameters
    ----------
    c : Complex
        The mesh; it is changed.
    edge : float
        Wanted edge length, in the units of the points.
    rounds : int
        Rounds of split, collapse, flip and relax.
    curved : bool, optional
        Whether new vertices are put on the curved sheets and lines, rather than on the middle of an edge.

    Returns
    -------
    Complex
        The same mesh, or one with more room.

    Raises
    ------
    MeshError
        When so short an edge would need millions of faces.
    """
    c.box[0] = edge
    c = grown(c)
    for _ in range(rounds):
        c = _split(c, edge, curved)
        for share in _SHARES:
            complex_sweeps.collapse_short(c, share * SHORT * edge, LONG * edge, _LEAST, curved)
        for _ in range(2):
            complex_sweeps.flip_all(c, 0.02, _FLATNESS)
            before = c.points[: c.used[0]].copy()
            complex_moves.relax_all(c, 0.7, _ENOUGH, 1)
            _keep_uncrossed(c, before)
    return c


def _split(c: Complex, edge: float, curved: bool) -> Complex:
    """Return the mesh with edges longer than 4/3 of `edge` split, and new vertices on the curved sheets and lines."""
    n, bends = int(c.used[0]), np.zeros((0, 3))
    for factor in (4.0, 2.0, 1.0):
        while complex_sweeps.split_long(c, factor * LONG * edge, curved) < 0:
            if len(c.faces) > MAX_FACES:
                raise MeshError(f"remeshing would need more than {MAX_FACES} faces.", remedy="Raise target_edge.")
            bends = c.bend[: c.used[0]].copy()
            c = grown(c)
            c.bend[: len(bends)] = bends
    if c.used[0] > n:
        before = c.points[: c.used[0]].copy()
        c.points[: c.used[0]] += c.bend[: c.used[0]]
        c.bend[:] = 0.0
        _keep_uncrossed(c, before)
    return c


def _keep_uncrossed(c: Complex, before: Floats) -> None:
    """Undo moves of vertices since `before` where faces cross that did not; make the table of faces anew."""
    alive = c.faces[: c.used[1], 0] >= 0
    n = int(c.used[0])
    c.points[:n] = undo_crossing_moves(before, c.points[:n], c.faces[: c.used[1]][alive], fold=FOLD_IN_SHEET)[0]
    while not complexes.fill_table(c):
        c.box[0] *= 1.5
