"""Warnings about a fitted surface that a user should read before relying on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from ..metrics.image import region_of_r2
from .checks import saturation_warning
from .constants import WARN_ABOVE_CUT_SHARE, WARN_BELOW_R2

if TYPE_CHECKING:
    from .result import FitResult

__all__ = ["cut_shares", "result_warnings"]


def result_warnings(result: FitResult) -> tuple[str, ...]:
    """Return warnings about a fit's result, a sentence each.

    They are the remarks of image and start, and warnings of a low R² (below WARN_BELOW_R2), saturation, filled voxels,
    a surface outside of the image, and more than WARN_ABOVE_CUT_SHARE of the surface unmeasured or at the edge of the
    region of interest.
    """
    warnings = [*(result.image.remarks if result.image is not None else ()), *result.remarks]
    if result.measured is not None:
        warnings.append(
            f"{1.0 - result.measured.mean():.0%} of the voxels are filled with one value at the image's border, as "
            "deskewing and rotating leave them. They do not count."
        )
    if not result.r2 >= WARN_BELOW_R2:  # NaN too
        warnings.append(
            f"R² is {result.r2:.2f}: the model explains little of the image around the surface. Look at "
            "the residual in the report."
        )
    warnings += _saturation_warnings(result)
    unmeasured, cut = cut_shares(result)
    if unmeasured > WARN_ABOVE_CUT_SHARE:
        warnings.append(f"{unmeasured:.0%} of the surface lies where nothing was measured: the cell is cut there.")
    if cut > WARN_ABOVE_CUT_SHARE:
        warnings.append(
            f"{cut:.0%} of the surface lies at the edge of the region of interest or beyond it, where its blurred "
            "membrane does not count. Give a wider region."
        )
    if result.image is not None:
        out = [name for name, d in zip("zyx", result.image.grid.overhang(result.mesh.bounds)) if d > 0]
        if out:
            warnings.append(f"The surface leaves the image along {', '.join(out)}: the cell may be cut by the border.")
    return tuple(warnings)


def _saturation_warnings(result: FitResult) -> list[str]:
    """Return a warning if many voxels within 1 µm of the cell have the image's largest value; else an empty list."""
    if result.image is None or not result.mask.any():
        return []
    warning = saturation_warning(np.asarray(result.image.data), region_of_r2(result.mask, result.image.spacing))
    return [warning] if warning else []


def cut_shares(result: FitResult) -> tuple[float, float]:
    """Return two shares of the surface's area, each 0 to 1: that in unmeasured voxels, and that at the region's edge.

    Faces count by the voxel of their centroid. The second share is that of measured voxels that lie outside of the
    region of interest or in its outermost layer of voxels. Faces outside of the image count in neither; both shares are
    0 if no region is known.

    Parameters
    ----------
    result : FitResult
        The result.

    Returns
    -------
    unmeasured, cut : float
        The shares.
    """
    if result.roi is None:
        return 0.0, 0.0
    centroids = result.mesh.vertices[result.mesh.faces].mean(axis=1)
    voxels = np.rint(result.model.grid.to_index(centroids)).astype(int)
    inside = ((voxels >= 0) & (voxels < result.roi.shape)).all(axis=1)
    at, areas = tuple(voxels[inside].T), result.mesh.face_areas[inside]
    measured = np.ones(result.roi.shape, dtype=bool) if result.measured is None else result.measured
    deep = ndimage.binary_erosion(result.roi | ~measured, border_value=1)
    total = max(float(areas.sum()), 1e-300)
    return float(areas[~measured[at]].sum()) / total, float(areas[measured[at] & ~deep[at]].sum()) / total
