"""Check an image before it is fitted: voxel size, slices, saturation, and the PSF and region that come with it."""

from __future__ import annotations

import numpy as np

from .._typing import Array, Bools
from ..errors import FitError
from ..image.volume import Volume
from ..optics import PSF
from .constants import LEAST_SLICE_RATIO, LEAST_VOXEL_UM, MOST_VOXEL_ANISOTROPY, MOST_VOXEL_UM, SATURATED_SHARE

__all__ = ["check_psf_size", "check_region", "image_warnings", "saturation_warning"]


def image_warnings(volume: Volume) -> tuple[str, ...]:
    """Return warnings about an implausible voxel size and about empty or repeated slices, a sentence each."""
    return (*_voxel_size_warnings(volume), *_slice_warnings(np.asarray(volume.data)))


def _voxel_size_warnings(volume: Volume) -> list[str]:
    """Return at most one warning about an implausible voxel size.

    Edges outside of 0.005 to 20 µm, a ratio of longest to shortest edge above MOST_VOXEL_ANISOTROPY, or slices closer
    than LEAST_SLICE_RATIO times the pixel size.
    """
    size = np.asarray(volume.spacing)
    words = " × ".join(f"{d:g}" for d in size)
    if size.min() < LEAST_VOXEL_UM or size.max() > MOST_VOXEL_UM:
        return [f"Voxels of {words} µm (z, y, x) are implausible for a light microscope. In nm or mm? (--spacing)"]
    if size.max() > MOST_VOXEL_ANISOTROPY * size.min():
        return [f"Voxels of {words} µm (z, y, x) are {size.max() / size.min():.0f} times as long as wide. (--spacing)"]
    if size[0] < LEAST_SLICE_RATIO * size[1:].min():
        return [f"Voxels of {words} µm are finer along z than across. Is the order z, y, x? (--spacing Z Y X)"]
    return []


def _slice_warnings(data: Array) -> list[str]:
    """Return warnings that list slices of one value, and slices equal to the one before, of an image (z, y, x).

    Slices of one value are listed only if slices that vary lie on both sides; they do not count as repeated.
    """
    flat = data.reshape(len(data), -1)
    empty = flat.min(axis=1) == flat.max(axis=1)
    inner = np.flatnonzero(empty & np.logical_or.accumulate(~empty) & np.logical_or.accumulate(~empty[::-1])[::-1])
    found = []
    if len(inner):
        found.append(f"Slices {_listed_slices(inner)} hold one value alone, between others that do not.")
    same = np.array([k for k in range(1, len(flat)) if not empty[k] and np.array_equal(flat[k], flat[k - 1])])
    if len(same):
        found.append(f"Slices {_listed_slices(same)} repeat the slice before.")
    return found


def _listed_slices(numbers: Array) -> str:
    """Return the first eight numbers of slices as text, with a note that they are counted from 0."""
    return ", ".join(str(n) for n in numbers[:8]) + (", …" if len(numbers) > 8 else "") + " (counted from 0)"


def saturation_warning(data: Array, region: Bools) -> str:
    """Return a warning if more than SATURATED_SHARE of a region's voxels have the image's largest value; else "".

    `data` and `region` (bool) are (z, y, x).
    """
    top = data.max()
    share = float((data[region] == top).mean()) if region.any() else 0.0
    if share <= SATURATED_SHARE:
        return ""
    return (
        f"{share:.1%} of the voxels around the surface have the image's largest value, {top:g}: the detector was full "
        "there, and membranes look thicker than they are."
    )


def check_psf_size(psf: PSF, volume: Volume) -> None:
    """Check that a PSF is not wider than the image.

    Raises
    ------
    FitError
        If its FWHM in µm exceeds the image's extent on an axis (or four voxels there, if that is more).
    """
    widths, extent = np.asarray(psf.fwhm, dtype=float), np.asarray(volume.grid.extent)
    if (widths > np.maximum(extent, 4.0 * np.asarray(volume.spacing))).any():
        words = [", ".join(f"{v:.3g}" for v in values) for values in (widths, extent)]
        raise FitError(
            f"the PSF has widths (FWHM) of {words[0]} µm, the image spans {words[1]} µm (z, y, x).",
            remedy="Is the PSF in nm or in voxels? Widths and voxel sizes are µm.",
        )


def check_region(region: Array, volume: Volume) -> None:
    """Check that a region of interest, (z, y, x), has the image's shape and some voxels.

    Raises
    ------
    FitError
        If the shape is another one or no voxel is set.
    """
    if region.shape != volume.shape:
        raise FitError(
            f"the region of interest has shape {region.shape}; expected {volume.shape}, the image's.",
            remedy="Draw it on the image itself.",
        )
    if not region.any():
        raise FitError("the region of interest is empty; expected some voxels.", remedy="Choose another label or mask.")
