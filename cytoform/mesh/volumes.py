"""Give the regions of a mesh of touching cells wanted volumes by the smallest move of its vertices."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix, eye
from scipy.sparse.linalg import cg, splu

from .._typing import Array, Bools, Floats, Ints
from ..kernels import region_slopes
from . import geometry

__all__ = ["region_volumes", "restore_volumes"]

_DIRECT = 3000  # up to so many regions the system is solved directly


def region_volumes(points: Floats, faces: Ints, pairs: Ints, n_regions: int) -> Floats:
    """Return the volume of regions 1 to n_regions of a mesh, (n_regions,).

    points (n_vertices, 3), faces (n_faces, 3), pairs (n_faces, 2) regions on the two sides, 0 or less outside.
    """
    cones = geometry.signed_volumes_times_six(points[faces] - points[faces].reshape(-1, 3).mean(axis=0)) / 6.0
    left, right = np.maximum(pairs, 0).T
    found = np.bincount(left, cones, n_regions + 1) - np.bincount(right, cones, n_regions + 1)
    volumes: Floats = found[1:].astype(np.float64)
    return volumes


def restore_volumes(
    points: Floats, faces: Ints, pairs: Ints, wanted: Floats, free: Bools, max_step: float, scale: Array | float = 1.0
) -> Floats:
    """Return positions at which the regions have nearly the wanted volumes: a Newton step of least squared length.

    Parameters
    ----------
    points : (n_vertices, 3) float64
        Positions, (z, y, x).
    faces : (n_faces, 3) int64
        Vertices of every face.
    pairs : (n_faces, 2) int
        Regions on the two sides, 1 to n_regions; 0 or less outside.
    wanted : (n_regions,) float64
        Volumes to reach.
    free : (n_vertices, 3) bool
        Coordinates that may change.
    max_step : float
        No coordinate moves by more, in units of `scale`.
    scale : (3,) float64 or float, optional
        Unit of length along each axis in which moves are small, such as the voxel size.

    Returns
    -------
    (n_vertices, 3) float64
        The new positions.
    """
    scale = np.broadcast_to(np.asarray(scale, dtype=np.float64), (3,))
    missing = wanted - region_volumes(points, faces, pairs, len(wanted))
    region = np.full((len(points), region_slopes.MAX_REGIONS), -1, dtype=np.int64)
    slopes = np.zeros((*region.shape, 3))
    origin = points[faces[0, 0]]
    region_slopes.fill_slopes((points - origin) / scale, faces, np.maximum(pairs, 0), free, region, slopes)
    step = np.zeros_like(points)
    region_slopes.add_steps(region, slopes, _pressures(region, slopes, missing / np.prod(scale)), step)
    moved: Floats = points + np.clip(step, -max_step, max_step) * scale
    return moved


def _pressures(region: Ints, slopes: Floats, missing: Floats) -> Floats:
    """Return the factors of the regions' slopes that make up for the missing volumes, (n_regions,).

    region (n_vertices, k) and slopes (n_vertices, k, 3) as :func:`region_slopes.fill_slopes` leaves them.
    """
    n = len(missing)
    count = (region >= 0).sum(axis=1)
    size = int((count**2).sum())
    rows, cols = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64)
    values = np.empty(size)
    region_slopes.fill_products(region, slopes, rows, cols, values)
    system = coo_matrix((values, (rows, cols)), shape=(n, n)).tocsc()
    system = system + 1e-9 * max(float(system.diagonal().max()), 1e-300) * eye(n, format="csc")
    pressures: Floats = splu(system).solve(missing) if n <= _DIRECT else cg(system, missing, rtol=1e-6, maxiter=500)[0]
    return pressures
