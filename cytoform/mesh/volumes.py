"""Give the regions of a mesh of touching cells wanted volumes by the smallest move of its vertices."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix, eye
from scipy.sparse.linalg import cg, splu

from .._typing import Array, Bools, Floats, Ints
from . import geometry

__all__ = ["region_volumes", "restore_volumes"]

_DIRECT = 3000  # up to so many regions the system is solved directly


def region_volumes(points: Floats, faces: Ints, pairs: Ints, n_regions: int) -> Floats:
    """Return the volume of regions 1 to n_regions of a mesh, (n_regions,).

    points (n_vertices, 3), faces (n_faces, 3), pairs (n_faces, 2) regions on the two sides, 0 or less outside.
    """
    cones = geometry.signed_volumes_times_six(points[faces] - points[faces].reshape(-1, 3).mean(axis=0)) / 6.0
    pairs = np.maximum(pairs, 0)
    found: Floats = np.bincount(pairs[:, 0], cones, n_regions + 1) - np.bincount(pairs[:, 1], cones, n_regions + 1)
    return found[1:]


def volume_gradients(points: Floats, faces: Ints, pairs: Ints, n_regions: int, free: Bools) -> csr_matrix[np.float64]:
    """Return the derivative of each region's volume by all positions, sparse (n_regions, 3 n_vertices).

    free (n_vertices, 3) tells which coordinates may change; the derivative by others is 0.
    """
    corners = points[faces] - points[faces].reshape(-1, 3).mean(axis=0)
    sign = np.sign(geometry.signed_volumes_times_six(np.eye(3)[None])[0])
    slopes = sign / 6.0 * np.cross(np.roll(corners, -1, axis=1), np.roll(corners, -2, axis=1))
    slopes = (slopes * free[faces]).reshape(-1)
    columns = (3 * faces[:, :, None] + np.arange(3)).reshape(-1)
    both = np.maximum(pairs, 0)
    rows = np.concatenate([np.repeat(both[:, 0], 9), np.repeat(both[:, 1], 9)]) - 1
    keep = rows >= 0
    values = np.concatenate([slopes, -slopes])[keep]
    return csr_matrix(
        coo_matrix((values, (rows[keep], np.tile(columns, 2)[keep])), shape=(n_regions, points.size)), dtype=np.float64
    )


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
    slopes = volume_gradients(points, faces, pairs, len(wanted), free)
    slopes = csr_matrix(slopes.multiply(np.tile(scale, len(points))[None]))
    system = (slopes @ slopes.T).tocsc()
    size = system.diagonal()
    system = system + 1e-9 * max(float(size.max()), 1e-300) * eye(len(wanted), format="csc")
    if len(wanted) <= _DIRECT:
        pressure = splu(system.tocsc()).solve(missing)
    else:
        pressure = cg(system, missing, rtol=1e-6, maxiter=500)[0]
    step = np.clip(np.asarray(slopes.T @ pressure).reshape(-1, 3), -max_step, max_step)
    moved: Floats = points + step * scale
    return moved
