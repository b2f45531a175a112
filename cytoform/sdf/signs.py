"""Checks of a frame of distances: on which side of the surface they are negative, and how fast they grow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .._typing import AnyFloats, Bools
from ..errors import SequenceError

__all__ = ["check_signs", "gradient_at_surface"]


_MAX_NEGATIVE = 0.75  # of the outermost samples that may be negative: with more, no shape lies within its box


def check_signs(frame: AnyFloats, what: str) -> None:
    """Raise SequenceError if distances are negative everywhere, or positive inside and negative around the body.

    They count as positive inside where more than 75 % of the samples on the box's walls are negative. A frame without
    any negative value passes: an empty frame is for the caller to judge.

    Parameters
    ----------
    frame : (z, y, x) float
        Distances, expected negative inside.
    what : str
        What the frame is called in the message.

    Raises
    ------
    SequenceError
        As said above.
    """
    if not float(frame.min()) < 0:
        return
    if not float(frame.max()) > 0:
        raise SequenceError(
            f"all distances of {what} are negative, so that everything is inside; expected a body, negative inside, "
            "with positive distances around it.",
            remedy="Multiply them by −1 if they are positive inside, or sample a larger box.",
        )
    negative = _fraction_on_walls(frame < 0)
    if negative > _MAX_NEGATIVE:
        raise SequenceError(
            f"the distances of {what} look positive inside: {100 * negative:.0f} % of the outermost samples are "
            "negative; expected negative inside, positive outside.",
            remedy="Multiply them by −1.",
        )


def _fraction_on_walls(inside: Bools) -> float:
    """Return the fraction of the samples on the six walls of a box (z, y, x) that are True."""
    wall = np.ones(inside.shape, dtype=bool)
    wall[1:-1, 1:-1, 1:-1] = False
    return float(inside[wall].mean())


def gradient_at_surface(frame: AnyFloats, spacing: Sequence[float]) -> float | None:
    """Return the median length of the gradient over the samples beside the surface.

    A sample is beside the surface where a neighbour along an axis has the other sign. For distances in µm the gradient
    has length 1, so its inverse is the factor that turns a frame's distances into µm.

    Parameters
    ----------
    frame : (z, y, x) float
        Distances in any unit, negative inside.
    spacing : (3,) float
        Voxel size in µm, (z, y, x).

    Returns
    -------
    float or None
        In units of the distances per µm; None without a surface, for frames one sample thick, or where it is 0.
    """
    inside = frame < 0
    beside = np.zeros(frame.shape, dtype=bool)
    for axis in range(3):
        changes = np.diff(inside, axis=axis)
        index: list[slice] = [slice(None)] * 3
        for part in (slice(None, -1), slice(1, None)):
            index[axis] = part
            beside[tuple(index)] |= changes
    if not beside.any() or min(frame.shape) < 2:
        return None
    square = sum(np.gradient(frame, step, axis=axis)[beside] ** 2 for axis, step in enumerate(spacing))
    found = float(np.median(np.sqrt(square)))
    return found if found > 0 else None
