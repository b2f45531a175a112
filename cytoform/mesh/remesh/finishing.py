"""Finish a remeshed mesh of touching cells: no small angles, the regions' volumes as they were."""

from __future__ import annotations

import numpy as np

from ..._typing import Floats
from ...kernels import complex_sweeps, complexes
from ...kernels.complexes import Complex
from ..crossing import undo_crossing_moves
from ..volumes import region_volumes, restore_volumes
from .complexes import grown

__all__ = ["give_volumes", "remove_small_angles", "volume_error"]

_WANTED = float(np.sin(np.radians(14.5)))  # sine of the smallest angle to reach; a step for the volumes may take of it
_PASSES = 12


def remove_small_angles(c: Complex, middle: Floats, bound: Floats, leave: bool = True) -> Complex:
    """Return the mesh with edges flipped, collapsed, moved and split where angles are small.

    Parameters
    ----------
    c : Complex
        The mesh; it is changed.
    middle, bound : (n, 3) float64
        The first n vertices stay within `bound` of `middle` along each axis; others are free.
    leave : bool, optional
        Whether vertices may leave their sheet or line a little.

    Returns
    -------
    Complex
        The same mesh, or one with more room.
    """
    for turn in range(_PASSES):
        found = complex_sweeps.improve_angles(c, _WANTED, leave, middle, bound, turn >= 2)
        if found == 0:
            break
        if found < 0:
            c = grown(c)
    return c


def give_volumes(c: Complex, volumes: Floats, max_step: float, *, hold_corners: bool = False) -> None:
    """Move vertices so that regions have the given volumes unless faces would cross; the points of `c` change.

    Parameters
    ----------
    c : Complex
        The mesh; it is changed.
    volumes : (n_regions,) float64
        Wanted volumes, in the units of the points.
    max_step : float
        No coordinate moves further.
    hold_corners : bool, optional
        Whether corners, where lines meet, stay.
    """
    n, alive = int(c.used[0]), c.faces[: c.used[1], 0] >= 0
    faces, pairs = c.faces[: c.used[1]][alive], c.pairs[: c.used[1]][alive]
    before = c.points[:n].copy()
    free = (c.held[:n, None] & np.array([1, 2, 4])) == 0
    if hold_corners:
        corners = np.zeros(n, dtype=bool)
        complexes.mark_corners(c, corners)
        free &= ~corners[:, None]
    after = restore_volumes(before, faces, pairs, volumes, free, max_step)
    c.points[:n] = undo_crossing_moves(before, after, faces)[0]


def volume_error(c: Complex, volumes: Floats) -> float:
    """Return the largest relative error of a volume."""
    alive = c.faces[: c.used[1], 0] >= 0
    found = region_volumes(c.points, c.faces[: c.used[1]][alive], c.pairs[: c.used[1]][alive], len(volumes))
    return float(np.abs(found / volumes - 1.0).max())
