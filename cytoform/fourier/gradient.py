"""The gradient of a scalar for an object's vertices and brightness, and sums at vertices in a fixed order."""

from __future__ import annotations

import dataclasses

import numpy as np

from .._typing import Array

__all__ = ["MeshGradient", "sum_at_vertices"]


@dataclasses.dataclass(frozen=True, eq=False)
class MeshGradient:
    """Gradient of a scalar for the vertices, densities and jumps of a mesh, or of points, filaments or tetrahedra.

    All are in the dtype of the mesh.

    Parameters
    ----------
    vertices : (n_vertices, 3) float
        Derivative for each coordinate, per µm, (z, y, x).
    density : (n_faces,) float
        Derivative for the density of each face, segment or tetrahedron, or the brightness of each point.
    jump : (n_faces,) float or None
        Derivative for the jump of each face, for changes of the jumps that leave no gap, such as one of a region's
        brightness; None for a mesh without a jump, or where it was not asked for.
    """

    vertices: Array
    density: Array
    jump: Array | None = None


def sum_at_vertices(corner: Array, simplices: Array, n_vertices: int) -> Array:
    """Sum values at the corners of faces or other simplices to the vertices, in a fixed order.

    Parameters
    ----------
    corner : (n, k + 1, 3) float64
        Values at the corners.
    simplices : (n, k + 1) int
        Vertex indices of the corners.
    n_vertices : int
        Number of vertices.

    Returns
    -------
    (n_vertices, 3) float64
        Sums; 0 at a vertex that is no corner.
    """
    index = simplices.ravel()
    flat = corner.reshape(-1, 3)
    return np.stack([np.bincount(index, weights=flat[:, d], minlength=n_vertices) for d in range(3)], axis=1)
