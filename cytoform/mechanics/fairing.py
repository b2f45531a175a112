"""Smoothing of the sheets and junction lines of touching cells before forces are read from them."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import LinearOperator, cg

from .._typing import Bools, Floats, Ints
from ..mesh import geometry
from ..mesh.junctions import Junctions
from ..mesh.laplacian import cotangent_laplacian

__all__ = ["fair_sheets"]

_LEAST_AREA = 0.2  # of the mean area at a vertex: smaller ones count as so large, else needle faces dominate
_LEAST_LENGTH = 0.3  # the same for lengths along junction lines
_HELD = 1e6  # weight of a vertex that is to stay
_TOLERANCE = 1e-4  # of conjugate gradients, relative to the first residual
_STEPS = 1000  # of them, at most


def fair_sheets(vertices: Floats, faces: Ints, junctions: Junctions, length: float, held: Bools) -> Floats:
    """Return smoothed positions: sheets of slowly changing mean curvature, junction lines of little bending.

    Minimises Σ m |x - x₀|² + length⁶ ∫ |∇H|² + length⁵ ∫ |x″|², in which the second term is summed over the inside of
    every sheet and the third over the junction lines. Waves shorter than 2π · length are removed; a sphere stays a
    sphere and sheets keep meeting at an angle, since neither term compares one sheet with another.

    Parameters
    ----------
    vertices : (n_vertices, 3) float64
        Positions in µm.
    faces : (n_faces, 3) int
        Vertex indices.
    junctions : Junctions
        Where sheets meet.
    length : float
        Smoothing length in µm.
    held : (n_vertices,) bool
        Vertices that stay where they are.

    Returns
    -------
    (n_vertices, 3) float64
        New positions in µm.
    """
    areas = geometry.face_areas(vertices, faces)
    mass = np.bincount(faces.reshape(-1), np.repeat(areas, 3) / 3.0, len(vertices))
    mass = np.maximum(mass, _LEAST_AREA * mass.mean())
    inside = diags((junctions.degree == 0).astype(np.float64))
    laplacian = cotangent_laplacian(vertices, faces).tocsr()
    between = inside @ (laplacian - diags(laplacian.diagonal())) @ inside
    sheets = csr_matrix(between - diags(np.asarray(between.sum(axis=1)).reshape(-1)))
    curvature = csr_matrix(inside @ diags(1.0 / mass) @ laplacian)
    weight = mass * np.where(held, _HELD, 1.0)
    bending = csr_matrix(length**5 * _line_bending(vertices, junctions) + diags(weight))
    system = _Smoothing(curvature, csr_matrix(length**6 * sheets), bending)
    return vertices + system.solve(-system.apply(vertices) + weight[:, None] * vertices)


class _Smoothing:
    """The matrix curvatureᵀ · sheets · curvature + rest, symmetric and positive definite, and how to solve with it."""

    def __init__(self, curvature: csr_matrix, sheets: csr_matrix, rest: csr_matrix) -> None:
        self.curvature, self.turned, self.sheets, self.rest = curvature, csr_matrix(curvature.T), sheets, rest

    def apply(self, values: Floats) -> Floats:
        """Return the matrix times values, (n,) or (n, k)."""
        return np.asarray(self.turned @ (self.sheets @ (self.curvature @ values)) + self.rest @ values)

    def solve(self, right: Floats) -> Floats:
        """Return the solution for right sides (n, 3), by conjugate gradients."""
        n = len(right)
        operator = LinearOperator((n, n), matvec=self.apply, dtype=np.float64)
        diagonal = np.asarray(self.curvature.multiply(self.sheets @ self.curvature).sum(axis=0)).reshape(-1)
        scale = diags(1.0 / (diagonal + self.rest.diagonal()))
        found = [cg(operator, right[:, k], rtol=_TOLERANCE, maxiter=_STEPS, M=scale)[0] for k in range(3)]
        return np.stack(found, axis=1)


def _line_bending(vertices: Floats, junctions: Junctions) -> csr_matrix:
    """Return the matrix of ∫ |x″|² along junction lines, (n_vertices, n_vertices), 1/µm³; corners bend freely."""
    n, edges = len(vertices), junctions.edges
    if len(edges) == 0:
        return csr_matrix((n, n))
    long = np.linalg.norm(vertices[edges[:, 1]] - vertices[edges[:, 0]], axis=1)
    long = np.maximum(long, _LEAST_LENGTH * long.mean())
    a, b = edges[:, 0], edges[:, 1]
    entries = np.concatenate([1 / long, 1 / long, -1 / long, -1 / long])
    slopes = csr_matrix((entries, (np.concatenate([a, b, a, b]), np.concatenate([a, b, b, a]))), shape=(n, n))
    share = np.bincount(edges.reshape(-1), np.repeat(long / 2.0, 2), n)
    bending = np.divide(1.0, share, out=np.zeros(n), where=junctions.degree == 2)
    return csr_matrix(slopes.T @ diags(bending) @ slopes)
