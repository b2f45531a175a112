"""Recognise stacks whose slices a file calls channels or time points."""

from __future__ import annotations

__all__ = ["axes_with_slices"]


def axes_with_slices(axes: str, shape: tuple[int, ...], count: int | None = None) -> str | None:
    """Return the axes of a file with Z in place of the channel or time axis that holds its slices, or None.

    That axis is the first of C and T that is longer than 1 in a file without slices (no Z, or Z of length 1); Z and the
    axis swap their letters. None is returned where there is no such axis.

    Parameters
    ----------
    axes : str
        A letter for each axis of the file.
    shape : tuple of int
        Length of each axis.
    count : int, optional
        Number of slices that the axis must have; by default any number above 1.
    """
    if "Z" in axes and shape[axes.index("Z")] > 1:
        return None
    for name in "CT":
        n = shape[axes.index(name)] if name in axes else 1
        if n > 1 and count in (None, n):
            return axes.translate(str.maketrans(name + "Z", "Z" + name))
    return None
