"""Recognise stacks whose slices a file calls channels or time points."""

from __future__ import annotations

__all__ = ["slices_by_another_name"]


def slices_by_another_name(axes: str, shape: tuple[int, ...], count: int | None = None) -> str | None:
    """Axes of a file whose slices, so many or two and more, are stored as channels or time points; None for others."""
    if "Z" in axes and shape[axes.index("Z")] > 1:
        return None
    for name in "CT":
        n = shape[axes.index(name)] if name in axes else 1
        if n > 1 and count in (None, n):
            return axes.translate(str.maketrans(name + "Z", "Z" + name))
    return None
