"""How bright the parts of a fitted body are."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from ..mesh.protocol import Mesh

__all__ = ["density_range", "filling_of", "with_filling"]

MeshT = TypeVar("MeshT", bound=Mesh)
LEAST_FILLING = 1e-4  # of the present jump's unit: an inside that came out dark may become bright again


def with_filling(mesh: MeshT, factor: float) -> MeshT:
    """Return a mesh whose jump is multiplied by a factor, at least LEAST_FILLING times the density per µm.

    A mesh without jump, and a factor of 1, change nothing.
    """
    if mesh.jump is None or factor == 1.0:
        return mesh
    least = LEAST_FILLING * max(float(mesh.density.mean()), 1e-300)
    return mesh.with_jump(np.maximum(mesh.jump * factor, least))


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
