"""Find voxels that were filled in with a constant, outside of what the microscope measured.

Deskewing, rotating, registering and stitching leave such voxels around the measured window.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .._typing import Array, Bools

__all__ = ["find_constant_fill"]

MAX_VALUES = 3  # the most common values on the image's faces that are tested
MIN_SHARE = 0.01  # of all voxels; a smaller block is ignored
MIN_SOLID = 0.5  # share of the voxels of this value that must lie in solid blocks at the image's border
MIN_STEP = 0.7  # share of |fill - median| that must lie between the fill and its direct neighbours; saturation has less
MIN_GAP = 3.0  # gap between fill and measured values, in units of the spread of the darkest (brightest) 10 %


def find_constant_fill(data: Array) -> tuple[Bools, float] | None:
    """Find the block of one constant value around a sheared, rotated or shifted window of measured voxels.

    A block counts as filled in when it touches the image's border, is solid, holds at least 1 % of the voxels, and its
    value is separated from the measured ones by a gap: a background that is clipped at zero is measured, and has values
    next to zero as well.

    Parameters
    ----------
    data : (z, y, x) array
        Intensities.

    Returns
    -------
    (z, y, x) bool and float, or None
        The filled voxels, one voxel of interpolated values around them included, and the most frequent fill value on
        the image's faces; None where there is no such block.
    """
    sides = [np.take(data, k, axis=a).ravel() for a in range(3) for k in (0, -1)]
    values, counts = np.unique(np.concatenate(sides), return_counts=True)
    most = values[np.argsort(-counts, kind="stable")][
        :MAX_VALUES
    ]  # stitching may leave different values at different sides
    filled, kept = np.zeros(data.shape, dtype=bool), []
    for value in most:
        block = _find_fill_block(np.asarray(data == value))
        if block is not None and _differs_from_measured(float(value), block, data, filled | block):
            filled |= block
            kept.append(float(value))
    return (filled, kept[0]) if kept else None


def _find_fill_block(same: Bools) -> Bools | None:
    """Return the solid block at the image's border among voxels of one value, or None where there is none.

    `same`, the voxels of this value, and the result are (z, y, x) bool. Solid is what survives an opening by one voxel;
    the block is grown back to its connected component and dilated by one voxel. None is returned too where `same`
    covers all voxels, where the block has less than 1 % of the image, or less than half of the voxels of this value.
    """
    if not MIN_SHARE * same.size <= same.sum() < same.size:
        return None
    block = _parts_touching_border(ndimage.binary_opening(np.pad(same, 1, constant_values=True))[(slice(1, -1),) * 3])
    if block.sum() < max(MIN_SOLID * same.sum(), MIN_SHARE * same.size):
        return None
    whole = ndimage.binary_propagation(block, np.ones((3, 3, 3), bool), mask=same)
    return ndimage.binary_dilation(whole, np.ones((3, 3, 3), bool))


def _parts_touching_border(mask: Bools) -> Bools:
    """Return the connected components of a mask, (z, y, x) bool, that touch the image's border.

    Voxels are connected where they share a face.
    """
    parts, _ = ndimage.label(mask)
    touching = np.unique(np.concatenate([np.take(parts, k, axis=a).ravel() for a in range(3) for k in (0, -1)]))
    kept = np.zeros(int(parts.max()) + 1, dtype=bool)
    kept[touching] = True
    kept[0] = False
    return kept[parts]


def _differs_from_measured(value: float, block: Bools, data: Array, filled: Bools) -> bool:
    """Tell whether a gap separates a fill value from all measured values.

    The gap to the 1 % (or 99 %) quantile must exceed three times the distance from there to the 10 % (90 %) quantile.
    Saturated light has the brightest value too, but the voxels beside it are nearly as bright.

    Parameters
    ----------
    value : float
        The value of the block.
    block : (z, y, x) bool
        The block, with the voxel around it.
    data : (z, y, x) array
        Intensities.
    filled : (z, y, x) bool
        This block and those found before; all other voxels are measured.
    """
    measured, rim = data[~filled], ndimage.binary_dilation(block, iterations=2) & ~filled
    if measured.size == 0 or not rim.any():
        return False
    lowest, low, high, highest = np.percentile(measured, (1.0, 10.0, 90.0, 99.0)).astype(float)
    if highest == lowest:  # a mask, not an image
        return False
    median = float(np.median(measured))
    beside = block & (data != value) if value > highest else rim  # voxels next to the block, or a little farther
    if beside.any() and abs(value - float(np.median(data[beside]))) < MIN_STEP * abs(value - median):
        return False
    step = 1.0 if measured.dtype.kind in "ui" else 0.0  # successive whole numbers have no gap between them
    if value < lowest:
        return bool(lowest - value > max(MIN_GAP * (low - lowest), 3.0 * step, 1e-3 * (highest - lowest)))
    return bool(
        value > highest and value - highest > max(MIN_GAP * (highest - high), 3.0 * step, 1e-3 * (highest - lowest))
    )
