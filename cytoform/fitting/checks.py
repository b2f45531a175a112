"""What is doubtful about an image before it is fitted: its voxel size, missing planes, a detector that is full."""

from __future__ import annotations

import numpy as np

from .._typing import Array, Bools
from ..errors import FitError
from ..image.volume import Volume
from ..optics import PSF
from .constants import LEAST_SLICE_RATIO, MOST_VOXEL_ANISOTROPY, SATURATED_SHARE

__all__ = ["check_reach", "check_region", "doubts", "saturated"]

SMALLEST, LARGEST = 0.005, 20.0  # µm: voxels of light microscopes lie between


def doubts(volume: Volume) -> tuple[str, ...]:
    """Say what is odd about voxel size and planes of an image, a sentence each."""
    return (*_of_size(volume), *_of_planes(np.asarray(volume.data)))


def _of_size(volume: Volume) -> list[str]:
    size = np.asarray(volume.spacing)
    words = " × ".join(f"{d:g}" for d in size)
    if size.min() < SMALLEST or size.max() > LARGEST:
        return [f"Voxels of {words} µm (z, y, x) are no light microscope's. Is their size in nm or mm? (--spacing)"]
    if size.max() > MOST_VOXEL_ANISOTROPY * size.min():
        return [f"Voxels of {words} µm (z, y, x) are {size.max() / size.min():.0f} times as long as wide. (--spacing)"]
    if size[0] < LEAST_SLICE_RATIO * size[1:].min():
        return [f"Voxels of {words} µm are finer along z than across. Is the order z, y, x? (--spacing Z Y X)"]
    return []


def _of_planes(data: Array) -> list[str]:
    """Planes without content, and planes that repeat the one before, where the others do neither."""
    flat = data.reshape(len(data), -1)
    empty = flat.min(axis=1) == flat.max(axis=1)
    inner = np.flatnonzero(empty & np.logical_or.accumulate(~empty) & np.logical_or.accumulate(~empty[::-1])[::-1])
    found = []
    if len(inner):
        found.append(f"Slices {_listed(inner)} hold one value alone, between others that do not.")
    same = np.array([k for k in range(1, len(flat)) if not empty[k] and np.array_equal(flat[k], flat[k - 1])])
    if len(same):
        found.append(f"Slices {_listed(same)} repeat the slice before.")
    return found


def _listed(numbers: Array) -> str:
    """Numbers of slices, from 0."""
    return ", ".join(str(n) for n in numbers[:8]) + (", …" if len(numbers) > 8 else "") + " (counted from 0)"


def saturated(data: Array, region: Bools) -> str:
    """Say so where many voxels of a region share the image's largest value; empty otherwise."""
    top = data.max()
    share = float((data[region] == top).mean()) if region.any() else 0.0
    if share <= SATURATED_SHARE:
        return ""
    return (
        f"{share:.1%} of the voxels around the surface have the image's largest value, {top:g}: the detector was full "
        "there, and membranes look thicker than they are."
    )


def check_reach(psf: PSF, volume: Volume) -> None:
    """Refuse a PSF that is larger than the image.

    Raises
    ------
    FitError
    """
    widths, extent = np.asarray(psf.fwhm, dtype=float), np.asarray(volume.grid.extent)
    if (widths > np.maximum(extent, 4.0 * np.asarray(volume.spacing))).any():
        words = [", ".join(f"{v:.3g}" for v in values) for values in (widths, extent)]
        raise FitError(
            f"the PSF has widths (FWHM) of {words[0]} µm, the image spans {words[1]} µm (z, y, x).",
            remedy="Is the PSF in nm or in voxels? Widths and voxel sizes are µm.",
        )


def check_region(region: Array, volume: Volume) -> None:
    """Refuse a region of interest of another shape, or an empty one.

    Raises
    ------
    FitError
    """
    if region.shape != volume.shape:
        raise FitError(
            f"the region of interest has shape {region.shape}; expected {volume.shape}, the image's.",
            remedy="Draw it on the image itself.",
        )
    if not region.any():
        raise FitError("the region of interest is empty; expected some voxels.", remedy="Choose another label or mask.")
