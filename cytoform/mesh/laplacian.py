"""Sparse Laplacians of triangle meshes, manifold or not."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix, csc_matrix, diags

from .._typing import Array
from . import geometry
from .topology import edges

__all__ = ["combinatorial_laplacian", "cotangent_laplacian"]


def combinatorial_laplacian(faces: Array, n_vertices: int) -> csc_matrix:
    """Return the graph Laplacian, degree minus adjacency: symmetric, positive semi-definite, rows sum to zero.

    Every edge counts once, however many faces meet there; a vertex without faces has a zero row.

    Parameters
    ----------
    faces : (n_faces, 3) int
        Indices of the three vertices of every triangle.
    n_vertices : int
        Number of vertices: rows and columns of the matrix.

    Returns
    -------
    csc_matrix
        (n_vertices, n_vertices) float64, dimensionless.

    References
    ----------
    Nicolet, Jacobson, Jakob, "Large Steps in Inverse Rendering of Geometry", ACM Trans. Graph. 40(6), 2021, doi
    10.1145/3478513.3480501.
    """
    pairs = edges(faces)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    rows, cols = np.concatenate([pairs[:, 0], pairs[:, 1]]), np.concatenate([pairs[:, 1], pairs[:, 0]])
    adjacency = coo_matrix((np.ones(len(rows)), (rows, cols)), shape=(n_vertices, n_vertices)).tocsc()
    degree = np.bincount(rows, minlength=n_vertices).astype(np.float64)
    return csc_matrix(diags(degree, format="csc") - adjacency)


def cotangent_laplacian(vertices: Array, faces: Array) -> csc_matrix:
    """Return the stiffness matrix L of linear finite elements: uᵀ L u = ∫ |∇u|² dS for u linear on each face.

    It is positive semi-definite, and its rows sum to zero. An edge's weight is half the sum of the cotangents opposite
    to it, over all its faces. A face without area adds nothing.

    Parameters
    ----------
    vertices : (n_vertices, 3) float, µm
        Positions, (z, y, x).
    faces : (n_faces, 3) int
        Indices of the three vertices of every triangle.

    Returns
    -------
    csc_matrix
        (n_vertices, n_vertices) float64, dimensionless.
    """
    n_vertices = len(vertices)
    corners = geometry.corner_points(vertices, faces)
    doubled = 2.0 * geometry.face_areas(vertices, faces)
    rows, cols, values = [], [], []
    for c in range(3):
        a, b = (c + 1) % 3, (c + 2) % 3
        dot = np.einsum("ij,ij->i", corners[:, a] - corners[:, c], corners[:, b] - corners[:, c])
        half_cot = 0.5 * np.divide(dot, doubled, out=np.zeros_like(dot), where=doubled > 0)
        rows += [faces[:, a], faces[:, b], faces[:, a], faces[:, b]]
        cols += [faces[:, b], faces[:, a], faces[:, a], faces[:, b]]
        values += [-half_cot, -half_cot, half_cot, half_cot]
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(cols)))
    return coo_matrix(entries, shape=(n_vertices, n_vertices)).tocsc()
