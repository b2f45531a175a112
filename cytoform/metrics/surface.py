"""Distances between two surfaces, from points spread over each to the triangles of the other."""

from __future__ import annotations

import dataclasses

import numpy as np

from .._typing import Floats
from ..errors import ConfigError
from ..mesh.closest import closest_points
from ..mesh.surface import SurfaceMesh

__all__ = ["SurfaceDistances", "sample_surface", "surface_distances"]


_CHUNK = 20_000  # points searched at a time, to bound the memory


@dataclasses.dataclass(frozen=True)
class SurfaceDistances:
    """Distances between two surfaces in µm, from points on each to the other.

    Parameters
    ----------
    mean : float
        Mean distance over the points of both surfaces, each surface with half the weight.
    rms : float
        Root mean square distance, weighted in the same way.
    percentile_95 : float
        95 % of a surface lies nearer than this to the other; the larger of the two directions.
    hausdorff : float
        Largest distance found in either direction; a lower bound of the Hausdorff distance, tight for many points.
    """

    mean: float
    rms: float
    percentile_95: float
    hausdorff: float


def sample_surface(mesh: SurfaceMesh, n_points: int, seed: int = 0) -> Floats:
    """Draw random points on a surface, uniformly by area.

    The total area is cut into `n_points` equal parts and one point is drawn in each (stratified sampling), so that
    points do not cluster.

    Parameters
    ----------
    mesh : SurfaceMesh
        The surface, µm, (z, y, x).
    n_points : int
        Number of points, at least 1.
    seed : int
        Seed of the random numbers; the same seed gives the same points.

    Returns
    -------
    (n_points, 3) float64
        Positions, µm, (z, y, x).

    Raises
    ------
    ConfigError
        When `n_points` is less than 1.
    """
    if n_points < 1:
        raise ConfigError(f"n_points is {n_points}; expected at least 1.")
    rng = np.random.default_rng(seed)
    areas = mesh.face_areas
    # Stratified sampling: one uniform random number in each of n equal parts of the cumulative area.
    positions = (np.arange(n_points) + rng.random(n_points)) / n_points * areas.sum()
    faces = np.minimum(np.searchsorted(np.cumsum(areas), positions), mesh.n_faces - 1)
    root, along = np.sqrt(rng.random(n_points)), rng.random(n_points)
    weights = np.stack([1.0 - root, root * (1.0 - along), root * along], axis=1)
    points: Floats = np.einsum("nc,nci->ni", weights, mesh.vertices.astype(np.float64)[mesh.faces[faces]])
    return points


def _point_to_surface_distances(points: Floats, mesh: SurfaceMesh) -> Floats:
    """Return the distance of each point, (n, 3) µm, to the closest point on a surface's triangles, as (n,) µm."""
    found = np.empty(len(points))
    for start in range(0, len(points), _CHUNK):
        part = points[start : start + _CHUNK]
        found[start : start + _CHUNK] = np.linalg.norm(closest_points(mesh, part)[1] - part, axis=1)
    return found


def surface_distances(a: SurfaceMesh, b: SurfaceMesh, *, n_points: int = 20_000, seed: int = 0) -> SurfaceDistances:
    """Measure how far two surfaces lie apart.

    Random points are drawn on each surface, uniformly by area, and the distance of each to the closest triangle of the
    other surface is computed exactly.

    Parameters
    ----------
    a : SurfaceMesh
        First surface, µm, (z, y, x), with faces of like size (see :func:`cytoform.mesh.closest.closest_points`).
    b : SurfaceMesh
        Second surface, likewise.
    n_points : int
        Number of points on each surface.
    seed : int
        Seed of the points on `a`; those on `b` have the next one.

    Returns
    -------
    SurfaceDistances
        Mean, root mean square, 95th percentile and maximum, µm.

    Raises
    ------
    ConfigError
        When `n_points` is less than 1.
    """
    from_a = _point_to_surface_distances(sample_surface(a, n_points, seed), b)
    from_b = _point_to_surface_distances(sample_surface(b, n_points, seed + 1), a)
    return SurfaceDistances(
        mean=0.5 * float(from_a.mean() + from_b.mean()),
        rms=float(np.sqrt(0.5 * ((from_a**2).mean() + (from_b**2).mean()))),
        percentile_95=float(max(np.percentile(from_a, 95), np.percentile(from_b, 95))),
        hausdorff=float(max(from_a.max(), from_b.max())),
    )
