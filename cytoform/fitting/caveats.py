"""What a user should know before trusting a fitted surface."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from ..metrics.image import region_of_r2
from .checks import saturated
from .constants import WARN_ABOVE_CUT_SHARE, WARN_BELOW_R2

if TYPE_CHECKING:
    from .result import FitResult

__all__ = ["caveats"]


def caveats(result: FitResult) -> tuple[str, ...]:
    """Say what a user should know before trusting the surface, a sentence each."""
    found = [*(result.image.remarks if result.image is not None else ()), *result.remarks]
    if result.measured is not None:
        found.append(
            f"{1.0 - result.measured.mean():.0%} of the voxels are filled with one value at the image's border, as "
            "deskewing and rotating leave them. They do not count."
        )
    if not result.r2 >= WARN_BELOW_R2:  # NaN too
        found.append(
            f"R² is {result.r2:.2f}: the model, a membrane, explains little of the image around the surface. Look at "
            "the residual in the report."
        )
    found += _saturation(result)
    unmeasured, cut = _beyond(result)
    if unmeasured > WARN_ABOVE_CUT_SHARE:
        found.append(f"{unmeasured:.0%} of the surface lies where nothing was measured: the cell is cut there.")
    if cut > WARN_ABOVE_CUT_SHARE:
        found.append(
            f"{cut:.0%} of the surface lies at the edge of the region of interest or beyond it, where its blurred "
            "membrane does not count. Give a wider region."
        )
    if result.image is not None:
        out = [name for name, d in zip("zyx", result.image.grid.overhang(result.mesh.bounds)) if d > 0]
        if out:
            found.append(f"The surface leaves the image along {', '.join(out)}: the cell may be cut by the border.")
    return tuple(found)


def _saturation(result: FitResult) -> list[str]:
    if result.image is None or not result.mask.any():
        return []
    full = saturated(np.asarray(result.image.data), region_of_r2(result.mask, result.image.spacing))
    return [full] if full else []


def _beyond(result: FitResult) -> tuple[float, float]:
    """Return which part of the surface, within the image, was not measured, and which leaves the region of interest."""
    if result.roi is None:
        return 0.0, 0.0
    corners = result.mesh.vertices[result.mesh.faces].mean(axis=1)
    place = np.rint(result.model.grid.to_index(corners)).astype(int)
    inside = ((place >= 0) & (place < result.roi.shape)).all(axis=1)
    at, areas = tuple(place[inside].T), result.mesh.face_areas[inside]
    measured = np.ones(result.roi.shape, dtype=bool) if result.measured is None else result.measured
    deep = ndimage.binary_erosion(result.roi | ~measured, border_value=1)
    total = max(float(areas.sum()), 1e-300)
    return float(areas[~measured[at]].sum()) / total, float(areas[measured[at] & ~deep[at]].sum()) / total
