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
    """Smallest and largest value of an image.

    Parameters
    ----------
    minimum : float or None
        Smallest value; None where it was not determined.
    maximum : float or None
        Largest value; None where it was not determined.
    remark : str
        A sentence on how they were found, or why not; empty where all voxels were read.
    complete : bool
        Whether all voxels were read.
    """

    minimum: float | None = None
    maximum: float | None = None
    remark: str = ""
    complete: bool = False  # of all voxels


def find_extremes(source: Source) -> Extremes:
    """Find the smallest and the largest value of an image, reading it block by block.

    An image of more than 2²⁸ voxels is read at its coarsest level; where that is too large or missing, nothing is read.
    The scan stops after 20 s. Values that cannot be read give no error, but a remark.
    """
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
    """Return the smallest and largest value, NaN if one is met, and whether all blocks were read within 20 s."""
    low, high, begin = math.inf, -math.inf, time.monotonic()
    for index in _blocks(source):
        if low != math.inf and time.monotonic() - begin > _MAX_SECONDS:
            return low, high, False
        block = source.load(index)
        low, high = float(np.minimum(low, block.min())), float(np.maximum(high, block.max()))  # both keep NaN
    return low, high, True


def _blocks(source: Source) -> Iterator[Index]:
    """Yield the index, a slice for each axis, of blocks that cover the image.

    A block is made of whole chunks, as many as fit into 2²² voxels, joined along the last axes first.
    """
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
