"""Find voxels that were filled in with a constant, outside of what the microscope measured.

Deskewing, rotating, registering and stitching leave such voxels around the measured window.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

__all__ = ["constant_fill"]

LEAST = 0.01  # of all voxels: a smaller block is left alone
SOLID = 0.5  # of the voxels with the value lie in solid blocks at the image's border; single dark voxels do not
SHARP = 0.7  # of the step from a fill to the usual value is left beside it; less, and it is saturated light
GAP = 3.0  # times the spread of the darkest measured voxels, by which a fill differs from them


def constant_fill(data: npt.NDArray[Any]) -> tuple[npt.NDArray[np.bool_], float] | None:
    """Find the block of one constant value around a sheared, turned or shifted window of measured voxels.

    A block counts as filled in when it touches the image's border, is solid, holds at least 1 % of the voxels, and its
    value lies apart from the measured ones: a background that is clipped at zero is measured and has its values next to
    zero as well.

    Parameters
    ----------
    data : (z, y, x) array
        Intensities.

    Returns
    -------
    (z, y, x) bool and float, or None
        The filled voxels, one voxel of interpolated values around them included, and their value.
    """
    sides = [np.take(data, k, axis=a).ravel() for a in range(3) for k in (0, -1)]
    values, counts = np.unique(np.concatenate(sides), return_counts=True)
    value = values[np.argmax(counts)]
    same = np.asarray(data == value)
    if not LEAST * same.size <= same.sum() < same.size:
        return None
    block = _at_the_border(ndimage.binary_opening(np.pad(same, 1, constant_values=True))[(slice(1, -1),) * 3])
    if block.sum() < max(SOLID * same.sum(), LEAST * same.size):
        return None
    whole = ndimage.binary_propagation(block, np.ones((3, 3, 3), bool), mask=same)
    filled = ndimage.binary_dilation(whole, np.ones((3, 3, 3), bool))
    rim = ndimage.binary_dilation(filled, iterations=2) & ~filled
    if not rim.any() or not _lies_apart(float(value), data[~filled]):
        return None
    usual = float(np.median(data[~filled]))
    blurred = abs(float(value) - float(np.median(data[rim]))) < SHARP * abs(float(value) - usual)
    return None if blurred else (filled, float(value))


def _at_the_border(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The connected parts of a mask that touch the image's border."""
    parts, _ = ndimage.label(mask)
    touching = np.unique(np.concatenate([np.take(parts, k, axis=a).ravel() for a in range(3) for k in (0, -1)]))
    kept = np.zeros(int(parts.max()) + 1, dtype=bool)
    kept[touching] = True
    kept[0] = False
    return kept[parts]


def _lies_apart(value: float, measured: npt.NDArray[Any]) -> bool:
    """Whether a fill differs from all measured values by more than their darkest or brightest ones vary."""
    if measured.size == 0:
        return False
    lowest, low, high, highest = np.percentile(measured, (1.0, 10.0, 90.0, 99.0)).astype(float)
    step = 1.0 if measured.dtype.kind in "ui" else 0.0  # whole numbers that follow each other have no gap
    if highest == lowest:  # a mask, no image
        return False
    if value < lowest:
        return lowest - value > max(GAP * (low - lowest), 3.0 * step, 1e-3 * (highest - lowest))
    if value > highest:
        return value - highest > max(GAP * (highest - high), 3.0 * step, 1e-3 * (highest - lowest))
    return False
