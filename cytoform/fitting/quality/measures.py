"""Measures of a fit that tell whether its surface is right: numbers, most of them shares of the surface's area."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from ..._typing import Bools, Floats
from ...image.volume import Grid
from ...optics.gaussian import FWHM_PER_SIGMA
from ..constants import STAINING_LIMIT
from .crop import Crop, sigma_of
from .limits import (
    LATE_SHARE,
    MISFIT_OF_A_PATCH,
    MOST_FINE_VOXELS,
    MOST_MISFIT,
    NECK_OF_A_PART,
    NO_MEMBRANE,
    PART_OF_A_BODY,
    STAINING_NEAR_LIMIT,
    STEPS_TO_A_SIGMA,
    USED_UP,
)
from .profiles import Profiles

if TYPE_CHECKING:
    from ..result import FitResult

__all__ = ["measures_of"]


def measures_of(result: FitResult, *, cells: int = 0, stability: float | None = None) -> dict[str, float | None]:
    """Return all measures of a result that has its image.

    Parameters
    ----------
    result : FitResult
        The result; its `image` is not None.
    cells : int
        Cells in contact that were counted in the image (:func:`.count_cells`); 0 if the cell was outlined.
    stability : float, optional
        Mean distance, in voxels, between the surface and one that was fitted to half of the slices.

    Returns
    -------
    dict of str to float or None
        The measures by the names that :data:`.RULES` has; None where one is not known.
    """
    crop = Crop.of(result)
    profiles = Profiles.of(result, crop)
    return {
        **_image_measures(crop, profiles, filled=result.mesh.jump is not None),
        **_shape_measures(result, profiles),
        **_optics_measures(result),
        **_border_measures(result, profiles),
        "touching_cells": float(cells),
        "not_converged": _not_converged(result),
        "stability": stability,
    }


# -- The image on and around the surface ------------------------------------------------------------------------------


def _image_measures(crop: Crop, profiles: Profiles, *, filled: bool) -> dict[str, float | None]:
    """Return what the profiles through the surface say: noise, misfit, missing membrane, inside, neighbours' light.

    The inside of a body that is fitted as `filled` may be bright.
    """
    noise = _noise_of(crop.image - crop.model, crop.region)
    own, light = profiles.image - profiles.light, profiles.light
    contrast = _contrast_of(profiles)
    averaged = noise * float(np.sqrt(_nan_mean(profiles.noise**2)))  # noise of a profile averaged over a patch
    residual = profiles.image - profiles.model
    odd = 0.5 * (residual - residual[:, ::-1])
    misfit = np.sqrt(np.maximum(_row_means(residual**2) - averaged**2, 0.0)) / contrast
    one_sided = np.sqrt(np.maximum(_row_means(odd**2) - 0.5 * averaged**2, 0.0)) / contrast
    inward, outward = profiles.drops(own, -1), profiles.drops(own, 1)
    fall, expected = np.fmax(inward, outward), profiles.largest_drops(profiles.model - light)
    middle = light.shape[1] // 2
    bright = 1.0 - profiles.median(inward) / max(profiles.median(outward), 1e-3 * contrast)
    return {
        "noise": _bounded(averaged / contrast),
        "misfit": _bounded(profiles.mean(misfit)),
        "one_sided": _bounded(profiles.mean(one_sided)),
        "misfit_area": profiles.share(one_sided > MISFIT_OF_A_PATCH),
        "no_membrane": profiles.share((fall < NO_MEMBRANE * expected) & (expected > MISFIT_OF_A_PATCH * contrast)),
        "no_dark_inside": 0.0 if filled else float(np.clip(bright, 0.0, 2.0)),
        "neighbour_light": profiles.share(light[:, middle] > 0.3 * contrast),
        "saturated": _saturated_share(crop.image, crop.region),
    }


def _bounded(value: float) -> float:
    """Return a value, at most MOST_MISFIT; that for NaN, as for a surface that lies where nothing was measured."""
    return min(value, MOST_MISFIT) if np.isfinite(value) else MOST_MISFIT


def _nan_mean(values: Floats) -> float:
    """Return the mean of the finite values; NaN if there are none."""
    known = np.isfinite(values)
    return float(values[known].mean()) if known.any() else float("nan")


def _row_means(values: Floats) -> Floats:
    """Return the mean of each row's finite values, (n,); NaN for a row without any."""
    known = np.isfinite(values)
    count = known.sum(axis=1)
    total = np.where(known, values, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _contrast_of(profiles: Profiles) -> float:
    """Return the contrast of the membrane's model: the median over the surface of its range along a profile."""
    own = profiles.model - profiles.light
    own = own[np.isfinite(own).all(axis=1)]
    return max(float(np.median(np.ptp(own, axis=1))), 1e-300) if len(own) else 1e-300


def _noise_of(residual: Floats, where: Bools) -> float:
    """Estimate the standard deviation of the noise from second differences of the residual, (z, y, x), in a region.

    A misfit is smooth along at least one axis, so the least of the three axes counts.
    """
    found = []
    for axis in range(3):
        if residual.shape[axis] > 2:
            second = np.diff(residual, 2, axis=axis)
            inner = np.take(where, range(1, where.shape[axis] - 1), axis=axis)
            found += [1.4826 * float(np.median(np.abs(second[inner]))) / np.sqrt(6.0)] if inner.any() else []
    return float(min(found, default=0.0))


def _saturated_share(image: Floats, region: Bools) -> float:
    """Return the share of a region's voxels that have its largest value, less one voxel."""
    values = image[region]
    return float(((values >= values.max()).sum() - 1) / len(values)) if len(values) else 0.0


# -- The shape --------------------------------------------------------------------------------------------------------


def _shape_measures(result: FitResult, profiles: Profiles) -> dict[str, float | None]:
    """Return how much of the surface is thinner than the blur, how narrow its neck is, and its staining's bounds."""
    mesh = result.mesh
    areas, density = mesh.face_areas, np.asarray(mesh.density, dtype=np.float64)
    field = np.abs(np.log(np.maximum(density, 1e-9))) / STAINING_LIMIT if density.any() else np.zeros(len(density))
    return {
        "thin": profiles.share(profiles.thickness < FWHM_PER_SIGMA),
        "neck": FWHM_PER_SIGMA / max(neck_width(result), 1e-3),
        "staining_at_limit": float(areas[field > STAINING_NEAR_LIMIT].sum() / max(areas.sum(), 1e-300)),
    }


def neck_width(result: FitResult) -> float:
    """Return the width of the narrowest neck between two large parts of the body, in units of the blur's σ.

    The body is eroded step by step. A neck is where it falls into two parts that hold at least PART_OF_A_BODY of the
    body each (a place belongs to the nearest part), while half the neck's width is at most NECK_OF_A_PART of the depth
    of either part. Infinite without a neck.
    """
    depth = _fine_depth(result)
    deepest = float(depth.max(initial=0.0))
    for radius in np.arange(0.0, deepest, 0.5 / STEPS_TO_A_SIGMA):
        parts, n = ndimage.label(depth > radius)
        if n < 2:
            continue
        numbers = np.arange(1, n + 1)
        peaks = np.asarray(ndimage.maximum(depth, parts, numbers))
        nearest = ndimage.distance_transform_edt(parts == 0, return_distances=False, return_indices=True)
        sizes = np.bincount(parts[tuple(nearest)][depth > 0], minlength=n + 1)[1:]
        large = (sizes >= PART_OF_A_BODY * sizes.sum()) & (radius <= NECK_OF_A_PART * peaks)
        if large.sum() > 1:
            return float(2.0 * radius)
    return float("inf")


def _fine_depth(result: FitResult) -> Floats:
    """Return the depth of every place inside the surface, in units of the blur's σ, on a grid of steps of the blur.

    There are STEPS_TO_A_SIGMA steps to a σ, or fewer, so that the grid has at most MOST_FINE_VOXELS.
    """
    low, high = (np.asarray(b, dtype=np.float64) for b in result.mesh.bounds)
    sigma = sigma_of(result)
    lengths = (high - low) / sigma + 2.0
    steps = min(STEPS_TO_A_SIGMA, float((MOST_FINE_VOXELS / np.prod(lengths)) ** (1.0 / 3.0)))
    shape = np.maximum(np.ceil(lengths * steps).astype(int), 1)
    grid = Grid(tuple(shape.tolist()), tuple(sigma / steps), tuple(low - sigma))
    inside = np.pad(result.body.voxels(result.mesh, grid), 1)
    found: Floats = ndimage.distance_transform_edt(inside) / steps
    return found


# -- Optics, border, course -------------------------------------------------------------------------------------------


def _optics_measures(result: FitResult) -> dict[str, float | None]:
    """Return the PSF's widths against voxel and cell: what is absurd of it."""
    widths, spacing = np.asarray(result.psf.fwhm, dtype=np.float64), np.asarray(result.model.spacing)
    low, high = result.mesh.bounds
    across = float(np.sqrt(widths[1] * widths[2]))
    sorted_lengths = np.sort(np.asarray(high) - np.asarray(low))
    return {
        "psf_narrow": float(max(np.sqrt(spacing[1] * spacing[2]) / across, 0.1 / across if across < 0.1 else 0.0)),
        "psf_wide": float(across / max(float(sorted_lengths[1]), 1e-300)),
        "psf_long": float(widths[0] / max(across, 1e-300)),
    }


def _border_measures(result: FitResult, profiles: Profiles) -> dict[str, float | None]:
    """Return the shares of the area that lie at the image's border, where nothing was measured, and at the region's."""
    from ..result_warnings import cut_shares

    mesh, grid = result.mesh, result.model.grid
    index = grid.to_index(mesh.vertices[mesh.faces].mean(axis=1))
    last = np.asarray(grid.shape) - 1
    out = ((index < 0.5) | (index > last - 0.5)).any(axis=1)
    unmeasured, cut = cut_shares(result)
    areas = mesh.face_areas
    beyond = float(areas[out].sum() / max(areas.sum(), 1e-300))
    return {"cut_by_border": max(beyond + unmeasured, profiles.share(profiles.blank)), "cut_by_region": cut}


def _not_converged(result: FitResult) -> float:
    """Return by how much, relative to its last value, the loss fell in the last tenth (LATE_SHARE) of the shape steps.

    Only steps of the last stage count; 1 if it has fewer than ten. If all steps were used up, USED_UP is added.
    """
    used_up = USED_UP if result.stop_reason.startswith("all ") else 0.0
    kind, stage = result.history.get("kind"), result.history.get("stage")
    if kind is None or stage is None or not len(stage):
        return used_up
    loss = np.asarray(result.history["loss"])[(kind == "shape") & (stage == stage.max())]
    if len(loss) < 10:
        return 1.0
    fall = float((loss[-1 - max(int(LATE_SHARE * len(loss)), 1)] - loss[-1]) / max(float(loss[-1]), 1e-300))
    return used_up + float(np.clip(fall, 0.0, 1.0))
