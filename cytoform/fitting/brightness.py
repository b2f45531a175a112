"""How bright the parts of a fitted body are."""

from __future__ import annotations

import numpy as np

from ..mesh.protocol import Mesh

__all__ = ["density_range", "filling_of"]


def density_range(mesh: Mesh) -> tuple[float, float]:
    """Return the 5th and 95th percentile of the staining over its mean, weighted by area; NaN without any staining."""
    if not mesh.density.any():
        return float("nan"), float("nan")
    order = np.argsort(mesh.density)
    areas, density = mesh.face_areas[order], mesh.density[order].astype(np.float64)
    share = (np.cumsum(areas) - 0.5 * areas) / areas.sum()
    low, high = np.interp((0.05, 0.95), share, density) * areas.sum() / (areas * density).sum()
    return float(low), float(high)


def filling_of(mesh: Mesh, gain: float) -> float | None:
    """Return the brightness inside a filled body, over the background, in the image's intensities; None for a membrane.

    Parameters
    ----------
    mesh : Mesh
        The body.
    gain : float
        Intensity per unit of its rendering.
    """
    return None if mesh.jump is None else gain * float(mesh.jump.mean())
