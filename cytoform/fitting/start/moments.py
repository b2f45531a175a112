"""The ellipsoid of a bright object, from the second moments of its voxels."""

from __future__ import annotations

import dataclasses

import numpy as np

from ..._typing import Array, Bools, Floats
from ...image.volume import Grid
from ..constants import FLAT_OUTLIER_RADIUS, FLAT_RATIO, LEAST_MOMENT_POINTS, OUTLIER_RADIUS, OUTLINE_INSET

__all__ = ["Moments", "object_moments"]


@dataclasses.dataclass(frozen=True, eq=False)
class Moments:
    """An ellipsoid: centre (3,) µm, semi-axes (3,) µm and their directions, rows of (3, 3), (z, y, x)."""

    centre: Floats
    semi_axes: Floats
    axes: Floats


def object_moments(mask: Bools, grid: Grid) -> Moments:
    """Fit an ellipsoid to a mask, (z, y, x), by its second moments; it lies OUTLINE_INSET inside the outline.

    Voxels far outside of the ellipsoid, such as those of a touching neighbour, are dropped. The two long axes of a flat
    object are taken from its outline seen along the short one.
    """
    points = grid.to_um(np.argwhere(mask))
    finest = min(grid.spacing)
    centre, axes, spread = _principal(points)
    if spread[0] < FLAT_RATIO * spread[1]:
        # seen along its thin axis: neither the thick rim of a biconcave cell nor a neighbour's rim counts twice
        plane = np.unique(np.round((points - centre) @ axes[1:].T / finest), axis=0) * finest
        middle, directions, wide = _trimmed(plane, 2.0, FLAT_OUTLIER_RADIUS)
        centre = centre + middle @ axes[1:]
        axes = np.concatenate([axes[:1], directions @ axes[1:]])
        semi = np.concatenate([np.sqrt(5.0) * spread[:1], wide])
    else:
        centre, axes, semi = _trimmed(points, np.sqrt(5.0), OUTLIER_RADIUS)
    # the threshold lies outside the membrane, and a start inside it meets no neighbour on its way
    return Moments(centre, np.maximum(semi - OUTLINE_INSET * finest, 0.5 * semi), axes)


def _principal(points: Array) -> tuple[Array, Array, Array]:
    """Return mean (3,), principal directions (rows of (3, 3)) and standard deviations along them, smallest first."""
    centre = points.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov((points - centre).T))
    return centre, vectors.T, np.sqrt(np.maximum(values, 1e-12))


def _trimmed(points: Array, factor: float, trim: float, *, rounds: int = 50) -> tuple[Array, Array, Array]:
    """Fit an ellipse or ellipsoid to points, (n, d), without outliers: centre, axes (rows), semi-axes.

    Points outside of the body scaled by `trim` are outliers; they are dropped and the fit is repeated until none is
    left, at most `rounds` times and down to LEAST_MOMENT_POINTS points. An evenly filled ellipse has semi-axes of 2
    standard deviations, an ellipsoid of √5: that is `factor`.
    """
    kept = np.ones(len(points), dtype=bool)
    for _ in range(rounds):
        centre, axes, spread = _principal(points[kept])
        again = np.linalg.norm((points - centre) @ axes.T / (factor * spread), axis=1) <= trim
        if (again == kept).all() or again.sum() < LEAST_MOMENT_POINTS:
            break
        kept = again
    return centre, axes, factor * spread
