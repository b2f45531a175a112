"""Smallest and largest value of an image of any size, in bounded memory and time."""

from __future__ import annotations

import dataclasses
import itertools
import math
import time
from collections.abc import Iterator

import numpy as np

from ..errors import CytoformError
from .formats.source import Index, Source

__all__ = ["Extremes", "extremes"]

_MOST_VOXELS = 2**28  # looked at before a coarser level is taken: some seconds
_MOST_SECONDS = 20.0  # spent on it, where compression makes it slow
_BLOCK_VOXELS = 2**22  # loaded at a time


@dataclasses.dataclass(frozen=True)
class Extremes:
    """Smallest and largest value, None where they were not looked for, and a sentence about how they were found."""

    minimum: float | None = None
    maximum: float | None = None
    remark: str = ""
    complete: bool = False  # of all voxels


def extremes(source: Source) -> Extremes:
    """Extremes of the image, of its coarsest level where it is large, or none where that is too large as well."""
    count = math.prod(source.shape)
    if not count or source.dtype.kind not in "uifb":
        return Extremes()
    remark = ""
    if count > _MOST_VOXELS:
        if source.coarse is None or math.prod(source.coarse.shape) > _MOST_VOXELS:
            return Extremes(remark=f"its smallest and largest value were not looked for among {count:.3g} voxels.")
        source = source.coarse
        size = " × ".join(str(n) for n in source.shape)
        remark = f"its smallest and largest value are those of its coarsest level, {size}."
    try:
        low, high, complete = _of_blocks(source)
    except (CytoformError, MemoryError) as error:
        return Extremes(remark=f"its values cannot be read: {error or 'there is not enough memory.'}")
    if not complete:
        remark = f"its smallest and largest value are those of a part of it: {_MOST_SECONDS:g} s were not enough."
    return Extremes(low, high, remark, complete=not remark)


def _of_blocks(source: Source) -> tuple[float, float, bool]:
    low, high, begin = math.inf, -math.inf, time.monotonic()
    for index in _blocks(source):
        if low != math.inf and time.monotonic() - begin > _MOST_SECONDS:
            return low, high, False
        block = source.load(index)
        low, high = float(np.minimum(low, block.min())), float(np.maximum(high, block.max()))  # both keep NaN
    return low, high, True


def _blocks(source: Source) -> Iterator[Index]:
    # Blocks of whole chunks, as many of them as fit, along the last axes first.
    shape = source.shape
    block = [min(c, n) for c, n in zip(source.chunks or shape, shape)]
    for axis in reversed(range(len(shape))):
        room = _BLOCK_VOXELS // max(math.prod(block), 1)
        if room <= 1:
            break
        block[axis] = min(shape[axis], block[axis] * room)
        if block[axis] < shape[axis]:
            break
    starts = [range(0, n, b) for n, b in zip(shape, block)]
    for corner in itertools.product(*starts):
        yield tuple(slice(a, min(a + b, n)) for a, b, n in zip(corner, block, shape))
