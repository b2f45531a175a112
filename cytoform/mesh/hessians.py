"""Second derivatives of the area of faces and of the volume behind them, with respect to their corners."""

from __future__ import annotations

import numpy as np

from .._typing import Array, Floats
from . import geometry

__all__ = ["area_hessian", "cross_matrices", "volume_hessian"]

_SMALLEST = 1e-300  # least doubled area that is divided by, µm²


def cross_matrices(vectors: Floats) -> Floats:
    """Return the matrices of the cross product with vectors: [v]× w = v × w.

    Parameters
    ----------
    vectors : (..., 3) float64
        The vectors v.

    Returns
    -------
    (..., 3, 3) float64
        Skew-symmetric matrices.
    """
    found = np.zeros((*vectors.shape[:-1], 3, 3))
    for row, column, axis in ((2, 1, 0), (0, 2, 1), (1, 0, 2)):
        found[..., row, column] = vectors[..., axis]
        found[..., column, row] = -vectors[..., axis]
    return found


def area_hessian(vertices: Array, faces: Array) -> Floats:
    """Return the second derivatives of every face's area with respect to its corners.

    With the doubled normal n and the edge e_i opposite to corner i, the block of corners i and j is
    ½ ([e_i]×ᵀ (1 - n̂ n̂ᵀ) [e_j]× / |n| + [n̂]× ∂e_i/∂x_j).

    Parameters
    ----------
    vertices : (n_vertices, 3) float
        Positions in µm.
    faces : (n_faces, 3) int
        Vertex indices.

    Returns
    -------
    (n_faces, 3, 3, 3, 3) float64
        Entry [f, i, a, j, b] is ∂²A_f / ∂x_ia ∂x_jb, without unit; symmetric in (i, a) and (j, b).
    """
    corners = geometry.corner_points(vertices, faces)
    opposite = np.roll(corners, -2, axis=1) - np.roll(corners, -1, axis=1)
    normals = geometry.doubled_normals(corners)
    length = np.maximum(np.linalg.norm(normals, axis=1), _SMALLEST)
    unit = normals / length[:, None]
    crossed = cross_matrices(opposite)  # ∂n/∂x_i, up to the sign of the handedness, which cancels
    flat = np.eye(3) - unit[:, :, None] * unit[:, None, :]
    found = 0.5 * np.einsum("fica,fcd,fjdb->fiajb", crossed, flat / length[:, None, None], crossed, optimize=True)
    turning = 0.5 * cross_matrices(_handed_normals(corners, length))
    for i in range(3):
        found[:, i, :, (i + 1) % 3, :] -= turning
        found[:, i, :, (i + 2) % 3, :] += turning
    return np.asarray(found)


def _handed_normals(corners: Floats, length: Floats) -> Floats:
    """Return (b - a) × (c - a) by the components as they stand, divided by its length, (n_faces, 3)."""
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return np.asarray(cross / length[:, None])


def volume_hessian(vertices: Array, faces: Array) -> Floats:
    """Return every face's part of the second derivatives of the enclosed volume with respect to its corners.

    Parameters
    ----------
    vertices : (n_vertices, 3) float
        Positions in µm, (z, y, x).
    faces : (n_faces, 3) int
        Vertex indices, counter-clockwise seen from outside.

    Returns
    -------
    (n_faces, 3, 3, 3, 3) float64
        Entry [f, i, a, j, b] in µm, as for :func:`area_hessian`. Summed over the faces around a vertex they do not
        depend on the origin.
    """
    corners = geometry.corner_points(vertices, faces)
    found = np.zeros((len(faces), 3, 3, 3, 3))
    for i in range(3):  # V = -det(a, b, c) / 6 in (z, y, x)
        found[:, i, :, (i + 1) % 3, :] = cross_matrices(corners[:, (i + 2) % 3]) / 6.0
        found[:, i, :, (i + 2) % 3, :] = -cross_matrices(corners[:, (i + 1) % 3]) / 6.0
    return found
