"""Agreement of an image with a model of it, on raw intensities: R², mean squared error, PSNR, structural similarity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .._typing import Bools, Floats, Ints
from ..errors import VolumeError

__all__ = ["mse", "psnr", "r2", "region_of_r2", "ssim"]


_SSIM_WINDOW = 7  # voxels, as Wang et al. 2004 and scikit-image


def _paired_voxels(image: npt.ArrayLike, model: npt.ArrayLike, mask: npt.ArrayLike | None) -> tuple[Floats, Floats]:
    """Return the intensities of two images at the voxels of a mask, as two float64 arrays (n,) in the same order.

    Without a mask (None) all voxels are returned. Raise VolumeError if the shapes of the three arrays differ or the
    mask holds no voxel.
    """
    first, second = np.asarray(image), np.asarray(model)
    if first.shape != second.shape:
        raise VolumeError(f"image has shape {first.shape} and model {second.shape}; expected the same shape.")
    if mask is None:
        return first.astype(np.float64).ravel(), second.astype(np.float64).ravel()
    inside = np.asarray(mask, dtype=bool)
    if inside.shape != first.shape:
        raise VolumeError(f"mask has shape {inside.shape}; expected {first.shape}, that of the image.")
    if not inside.any():
        raise VolumeError("mask is empty; expected at least one voxel to compare.", remedy="Check the region.")
    return first[inside].astype(np.float64), second[inside].astype(np.float64)


def r2(image: npt.ArrayLike, model: npt.ArrayLike, mask: npt.ArrayLike | None = None) -> float:
    """Return the coefficient of determination of a model: 1 − Σ_Ω (I − M)² / Σ_Ω (I − Ī)².

    Parameters
    ----------
    image : (z, y, x) array
        I, the measured raw intensities.
    model : (z, y, x) array
        M, the intensities that the model gives for the same voxels.
    mask : (z, y, x) bool, optional
        Ω, the voxels that count; all by default. See :func:`region_of_r2`.

    Returns
    -------
    float
        1 for a perfect model, 0 for one as good as the mean, negative for a worse one; NaN where the image is constant.

    Raises
    ------
    VolumeError
        When shapes differ or the mask is empty.
    """
    measured, modelled = _paired_voxels(image, model, mask)
    spread = float(((measured - measured.mean()) ** 2).sum())
    return float("nan") if spread == 0 else 1.0 - float(((measured - modelled) ** 2).sum()) / spread


def region_of_r2(mask: npt.ArrayLike, spacing: float | Sequence[float], margin: float = 1.0) -> Bools:
    """Return the region Ω of :func:`r2`: all voxels inside a surface or within a distance of it.

    The distance of a voxel is that between its centre and the centre of the nearest voxel inside.

    Parameters
    ----------
    mask : (z, y, x) bool
        True for voxels inside the surface.
    spacing : (3,) float or float
        Voxel size in µm, (z, y, x); one number for cubic voxels.
    margin : float
        Largest distance of a voxel that counts, µm.

    Returns
    -------
    (z, y, x) bool
        Without any voxel where the mask is empty.
    """
    from scipy import ndimage

    inside = np.asarray(mask, dtype=bool)
    if not inside.any():
        return inside.copy()
    sampling = np.broadcast_to(np.asarray(spacing, dtype=np.float64), (3,))
    part = _padded_bounding_box(inside, np.ceil(margin / sampling).astype(int) + 1)
    region = np.zeros_like(inside)
    region[part] = ndimage.distance_transform_edt(~inside[part], sampling=sampling) <= margin * (1.0 + 1e-9)
    return region


def _padded_bounding_box(inside: Bools, margin: Ints) -> tuple[slice, ...]:
    """Return the bounding box of a non-empty mask, enlarged, as one slice an axis.

    The box grows by ``margin[axis]`` voxels on both sides of each axis and is cut off at the start of the array; slices
    may end behind its last voxel, which indexing ignores.
    """
    box = []
    for axis, pad in enumerate(margin):
        other_axes = tuple(a for a in range(inside.ndim) if a != axis)
        hits = np.flatnonzero(inside.any(axis=other_axes))
        box.append(slice(max(0, int(hits[0] - pad)), int(hits[-1] + pad + 1)))
    return tuple(box)


def mse(image: npt.ArrayLike, model: npt.ArrayLike, mask: npt.ArrayLike | None = None) -> float:
    """Return the mean squared error ⟨(I − M)²⟩ of a model over the voxels of a mask.

    Parameters
    ----------
    image : (z, y, x) array
        I, the measured raw intensities.
    model : (z, y, x) array
        M, the intensities that the model gives for the same voxels.
    mask : (z, y, x) bool, optional
        The voxels that count; all by default.

    Returns
    -------
    float
        In squared units of intensity.

    Raises
    ------
    VolumeError
        When shapes differ or the mask is empty.
    """
    measured, modelled = _paired_voxels(image, model, mask)
    return float(((measured - modelled) ** 2).mean())


def psnr(
    image: npt.ArrayLike,
    model: npt.ArrayLike,
    mask: npt.ArrayLike | None = None,
    *,
    data_range: float | None = None,
) -> float:
    """Return the peak signal-to-noise ratio of a model in decibels, 10 log₁₀(range² / MSE).

    Parameters
    ----------
    image : (z, y, x) array
        The measured raw intensities.
    model : (z, y, x) array
        The intensities that the model gives for the same voxels.
    mask : (z, y, x) bool, optional
        The voxels that count; all by default.
    data_range : float, optional
        Largest minus smallest possible intensity; by default that of `image` within `mask`.

    Returns
    -------
    float
        Infinite for equal images.

    Raises
    ------
    VolumeError
        When shapes differ or the mask is empty.
    """
    measured, modelled = _paired_voxels(image, model, mask)
    extent = float(np.ptp(measured)) if data_range is None else float(data_range)
    error = float(((measured - modelled) ** 2).mean())
    return float("inf") if error == 0 else 10.0 * float(np.log10(extent**2 / error))


def ssim(
    image: npt.ArrayLike,
    model: npt.ArrayLike,
    mask: npt.ArrayLike | None = None,
    *,
    data_range: float | None = None,
) -> float:
    """Return the mean structural similarity of two images in windows of 7³ voxels.

    Ref: Wang et al. 2004, doi 10.1109/TIP.2003.819861, as scikit-image computes it.

    Parameters
    ----------
    image : (z, y, x) array
        The measured raw intensities, at least 7 voxels on each axis.
    model : (z, y, x) array
        The intensities that the model gives for the same voxels.
    mask : (z, y, x) bool, optional
        Window centres that count; by default all whose window lies within the image.
    data_range : float, optional
        Largest minus smallest possible intensity; by default that of `image`.

    Returns
    -------
    float
        −1 to 1; 1 for equal images.

    Raises
    ------
    VolumeError
        When shapes differ, the mask is empty or an axis is shorter than the window.
    """
    from skimage.metrics import structural_similarity

    first, second = np.asarray(image, dtype=np.float64), np.asarray(model, dtype=np.float64)
    _paired_voxels(first, second, mask)
    if min(first.shape) < _SSIM_WINDOW:
        raise VolumeError(f"image has shape {first.shape}; expected at least {_SSIM_WINDOW} voxels on each axis.")
    extent = float(np.ptp(first)) if data_range is None else float(data_range)
    mean, full = structural_similarity(  # skimage leaves it without types
        first, second, data_range=extent, win_size=_SSIM_WINDOW, full=True
    )
    return float(mean) if mask is None else float(full[np.asarray(mask, dtype=bool)].mean())
