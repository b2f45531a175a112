"""What a frame of distances shows of itself: on which side it is negative, and in which unit it grows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .._typing import AnyFloats, Bools
from ..errors import SequenceError

__all__ = ["check_signs", "slope"]


_MOST = 0.75  # of the outermost samples that are negative: more are no shape that lies in its box


def check_signs(frame: AnyFloats, what: str) -> None:
    """Refuse distances that are positive inside and negative around it, or negative everywhere.

    A frame in which nothing is inside passes: what that means is up to the caller.

    Parameters
    ----------
    frame : (z, y, x) float
        Distances, expected negative inside.
    what : str
        For the message.

    Raises
    ------
    SequenceError
    """
    if not float(frame.min()) < 0:
        return
    if not float(frame.max()) > 0:
        raise SequenceError(
            f"all distances of {what} are negative, so that everything is inside; expected a body, negative inside, "
            "with room around it.",
            remedy="Multiply them by −1 if they are positive inside, or sample a larger box.",
        )
    negative = _outermost(frame < 0)
    if negative > _MOST:
        raise SequenceError(
            f"the distances of {what} look positive inside: {100 * negative:.0f} % of the outermost samples are "
            "negative; expected negative inside, positive outside.",
            remedy="Multiply them by −1.",
        )


def _outermost(inside: Bools) -> float:
    """Share of the samples on the box's walls that are inside."""
    wall = np.ones(inside.shape, dtype=bool)
    wall[1:-1, 1:-1, 1:-1] = False
    return float(inside[wall].mean())


def slope(frame: AnyFloats, spacing: Sequence[float]) -> float | None:
    """Median length of the gradient beside the surface, per µm: 1 for distances in µm; None without a surface.

    Parameters
    ----------
    frame : (z, y, x) float
    spacing : (3,) float
        Voxel size in µm.
    """
    inside = frame < 0
    beside = np.zeros(frame.shape, dtype=bool)
    for axis in range(3):
        changes = np.diff(inside, axis=axis)
        there: list[slice] = [slice(None)] * 3
        for part in (slice(None, -1), slice(1, None)):
            there[axis] = part
            beside[tuple(there)] |= changes
    if not beside.any() or min(frame.shape) < 2:
        return None
    square = sum(np.gradient(frame, step, axis=axis)[beside] ** 2 for axis, step in enumerate(spacing))
    found = float(np.median(np.sqrt(square)))
    return found if found > 0 else None
