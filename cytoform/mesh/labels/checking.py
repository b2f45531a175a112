"""Check label images, number their regions without gaps, and join specks to their neighbours."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..._typing import Array, Floats, Ints
from ...errors import GridError, VolumeError

__all__ = ["check_label_image", "check_triple", "join_specks", "mean_spacing", "number_regions"]

_MAX_VOXELS = 1_000_000_000  # 2 ** 31 vertices are not reached


def check_triple(name: str, value: Any, *, positive: bool) -> Floats:
    """Return three finite numbers, (z, y, x), from one or three.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    value : float or sequence of float
        One number for all axes, or three.
    positive : bool
        Whether they must be above 0.

    Returns
    -------
    (3,) float64
        The numbers.

    Raises
    ------
    GridError
        When they are not three finite (positive) numbers.
    """
    array = np.asarray(value, dtype=np.float64).reshape(-1)
    array = np.repeat(array, 3) if array.size == 1 else array
    if array.size != 3 or not np.isfinite(array).all() or (positive and not (array > 0).all()):
        raise GridError(
            f"{name} is {value!r}; expected three {'positive' if positive else 'finite'} numbers in µm, (z, y, x).",
            remedy=f"Pass {name}=(z, y, x), for example {name}=(0.3, 0.1, 0.1).",
        )
    return array


def check_label_image(labels: npt.ArrayLike) -> Array:
    """Return a label image as an array of whole numbers, (z, y, x).

    Parameters
    ----------
    labels : (z, y, x) int
        Whole numbers, 0 or more; floats are taken if they are whole.

    Returns
    -------
    (z, y, x) int
        The labels.

    Raises
    ------
    VolumeError
        When it has not three axes, no voxels, values that are negative, not whole or too large, or no label.
    """
    array = np.asarray(labels)
    if array.ndim == 2:
        raise VolumeError(
            f"the label image is 2D, of shape {array.shape}; expected three axes, (z, y, x): a surface needs depth.",
            remedy="Pass the whole stack; labels[None] makes a slab of one slice, cut off at both sides.",
        )
    if array.ndim != 3 or array.size == 0 or array.size > _MAX_VOXELS:
        raise VolumeError(
            f"the label image has shape {array.shape}; expected three axes, (z, y, x), and 1 to {_MAX_VOXELS:.0e} "
            "voxels.",
            remedy="Choose one time point and channel, or a part of the image.",
        )
    if array.dtype.kind == "b":
        array = array.astype(np.uint8)
    if array.dtype.kind == "f":
        array = _whole_numbers(array)
    if array.dtype.kind not in "iu":
        raise VolumeError(f"labels have values of type {array.dtype}; expected whole numbers.")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= 2**63:
        raise VolumeError(
            f"labels go from {low} to {high}; expected 0 (outside) to 2 ** 63 - 1.",
            remedy="Set what is no cell to 0." if low < 0 else "Renumber the labels.",
        )
    if high == 0:
        raise VolumeError("every voxel has label 0; expected at least one cell, 1 or more.")
    return array


def _whole_numbers(array: Array) -> Ints:
    """Return whole numbers of type float as int64; raise VolumeError if some are not whole."""
    if not np.isfinite(array).all() or (array != np.round(array)).any() or np.abs(array).max() >= 2**53:
        raise VolumeError(
            f"labels are of type {array.dtype}, and some are not whole numbers below 2 ** 53.",
            remedy="Is it an image of intensities? Pass the label image that the segmentation made.",
        )
    return array.astype(np.int64)


def number_regions(labels: Array) -> tuple[Array, Ints]:
    """Number the labels of an image without gaps.

    Parameters
    ----------
    labels : (z, y, x) int
        Labels, 0 outside.

    Returns
    -------
    regions : (z, y, x) int32
        0 outside, then 1, 2, … in ascending order of the labels.
    numbers : (n_regions,) int64
        The label of each region.
    """
    high = int(labels.max())
    if high < 4 * labels.size + 65536:
        there = np.zeros(high + 1, dtype=bool)
        there[labels.reshape(-1)] = True
        there[0] = False
        numbers = np.flatnonzero(there)
        table = np.zeros(high + 1, dtype=np.int32)
        table[numbers] = np.arange(1, len(numbers) + 1)
        return table[labels], numbers
    found, index = np.unique(labels, return_inverse=True)
    shift = 0 if found[0] == 0 else 1
    regions = (index.reshape(labels.shape) + shift).astype(np.int32)
    return regions, found[1 - shift :].astype(np.int64)


def join_specks(regions: Array, smallest: int) -> tuple[Array, dict[int, int]]:
    """Give parts of regions that are smaller than `smallest` voxels to the neighbour with the largest contact.

    The largest part of a region stays, however small it is. Parts are connected through faces, edges and corners.

    Parameters
    ----------
    regions : (z, y, x) int32
        0 outside, regions from 1 on.
    smallest : int
        Parts with fewer voxels are given away.

    Returns
    -------
    regions : (z, y, x) int32
        The new image.
    given : dict of int to int
        Number of voxels that each region lost.
    """
    regions = regions.copy()
    given: dict[int, int] = {}
    for region, box in enumerate(ndimage.find_objects(regions), 1):
        if box is None:
            continue
        parts, n = ndimage.label(regions[box] == region, np.ones((3, 3, 3)))
        sizes = np.bincount(parts.reshape(-1), minlength=n + 1)
        sizes[0] = 0
        for part in np.flatnonzero((sizes > 0) & (sizes < smallest)):
            if part == np.argmax(sizes):
                continue
            speck = np.zeros(regions.shape, dtype=bool)
            speck[box] = parts == part
            wide = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in box)
            inside = speck[wide]
            rim = ndimage.binary_dilation(inside) & ~inside
            regions[wide][inside] = np.argmax(np.bincount(regions[wide][rim])) if rim.any() else 0
            given[region] = given.get(region, 0) + int(sizes[part])
    return regions, given


def mean_spacing(spacing: Floats) -> float:
    """Return the geometric mean of a voxel's three sides, µm."""
    return float(math.prod(spacing.tolist()) ** (1 / 3))
