"""Find the smallest and the largest value of an image of any size, in bounded memory and time."""

from __future__ import annotations

import dataclasses
import itertools
import math
import time
from collections.abc import Iterator

import numpy as np

from ..errors import CytoformError
from .formats.source import Index, Source

__all__ = ["Extremes", "find_extremes"]

_MAX_VOXELS = 2**28  # larger images are scanned at their coarsest level; this many take some seconds
_MAX_SECONDS = 20.0  # the scan stops after this time, which slow decompression may need
_BLOCK_VOXELS = 2**22  # voxels loaded at a time


@dataclasses.dataclass(frozen=True)
class Extremes:
    """Smallest and largest value, None where they were not looked for, and a sentence about how they were found."""

    minimum: float | None = None
    maximum: float | None = None
    remark: str = ""
    complete: bool = False  # of all voxels


def find_extremes(source: Source) -> Extremes:
    """Extremes of the image, of its coarsest level where it is large, or none where that is too large as well."""
    count = math.prod(source.shape)
    if not count or source.dtype.kind not in "uifb":
        return Extremes()
    remark = ""
    if count > _MAX_VOXELS:
        if source.coarse is None or math.prod(source.coarse.shape) > _MAX_VOXELS:
            return Extremes(remark=f"its smallest and largest value were not looked for among {count:.3g} voxels.")
        source = source.coarse
        size = " × ".join(str(n) for n in source.shape)
        remark = f"its smallest and largest value are those of its coarsest level, {size}."
    try:
        low, high, complete = _scan_blocks(source)
    except (CytoformError, MemoryError) as error:
        return Extremes(remark=f"its values cannot be read: {error or 'there is not enough memory.'}")
    if not complete:
        remark = f"its smallest and largest value are those of a part of it: {_MAX_SECONDS:g} s were not enough."
    return Extremes(low, high, remark, complete=not remark)


def _scan_blocks(source: Source) -> tuple[float, float, bool]:
    low, high, begin = math.inf, -math.inf, time.monotonic()
    for index in _blocks(source):
        if low != math.inf and time.monotonic() - begin > _MAX_SECONDS:
            return low, high, False
        block = source.load(index)
        low, high = float(np.minimum(low, block.min())), float(np.maximum(high, block.max()))  # both keep NaN
    return low, high, True


def _blocks(source: Source) -> Iterator[Index]:
    # Blocks of whole chunks, as many of them as fit, along the last axes first.
    shape = source.shape
    block = [min(c, n) for c, n in zip(source.chunks or shape, shape)]
    for axis in reversed(range(len(shape))):
        repeats = _BLOCK_VOXELS // max(math.prod(block), 1)
        if repeats <= 1:
            break
        block[axis] = min(shape[axis], block[axis] * repeats)
        if block[axis] < shape[axis]:
            break
    starts = [range(0, n, b) for n, b in zip(shape, block)]
    for corner in itertools.product(*starts):
        yield tuple(slice(a, min(a + b, n)) for a, b, n in zip(corner, block, shape))
