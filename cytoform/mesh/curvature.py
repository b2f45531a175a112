"""Mean and Gaussian curvature of a triangle surface at its vertices."""

from __future__ import annotations

import numpy as np
from scipy.sparse import diags
from scipy.sparse.linalg import splu

from .._typing import Array, Floats
from ..errors import MeshError
from . import geometry, topology
from .laplacian import cotangent_laplacian
from .protocol import Mesh

__all__ = ["curvatures"]


def curvatures(mesh: Mesh, *, smoothing: float = 0.0) -> tuple[Floats, Floats]:
    """Estimate mean and Gaussian curvature at the vertices.

    The mean curvature is half the cotangent Laplacian of the positions, projected on the normal; the Gaussian curvature
    is the angle that the faces around a vertex lack of 2 π. Each is divided by the vertex's part of the area: its
    Voronoi cell, or a half or a quarter of a face with an obtuse corner. Ref: Meyer, Desbrun, Schröder, Barr, "Discrete
    Differential-Geometry Operators for Triangulated 2-Manifolds", 2003, doi 10.1007/978-3-662-05105-4_2.

    Parameters
    ----------
    mesh : Mesh
        Closed.
    smoothing : float, optional
        Length in µm over which both are averaged along the surface, by one implicit step of diffusion; 0, the default,
        for no averaging. Without it they are as noisy as the mesh is rough.

    Returns
    -------
    mean : (n_vertices,) float64
        (k₁ + k₂) / 2 in 1/µm, positive where the surface is convex: 1/R on a sphere.
    gaussian : (n_vertices,) float64
        k₁ k₂ in 1/µm²; its integral over a closed surface is 4 π (1 - genus). Both are NaN at a vertex that no face
        uses.

    Raises
    ------
    MeshError
        When the surface is open or `smoothing` is negative.
    """
    if not topology.is_closed(mesh):
        raise MeshError(
            f"the surface {topology.describe_gaps(mesh)}; expected a closed one.", remedy="Close its holes first."
        )
    if not smoothing >= 0:
        raise MeshError(f"smoothing is {smoothing!r}; expected a length in µm, 0 or more.")
    vertices, faces = np.asarray(mesh.vertices, dtype=np.float64), mesh.faces
    laplacian, area = cotangent_laplacian(vertices, faces), _vertex_areas(vertices, faces)
    inward, used = np.asarray(laplacian @ vertices), geometry.used_vertices(faces, len(vertices))
    mean: Floats = 0.5 * (inward * geometry.vertex_normals(vertices, faces)).sum(axis=1)
    angles = topology.corner_angles(vertices, faces)
    gaussian = 2.0 * np.pi - np.bincount(faces.reshape(-1), np.radians(angles).reshape(-1), len(vertices))
    if smoothing > 0:
        step = (diags(np.where(used, area, 1.0)) + 0.5 * smoothing**2 * laplacian).tocsc()
        smoothed = splu(step).solve(np.stack([mean, gaussian], axis=1))
        mean, gaussian = smoothed[:, 0], smoothed[:, 1]
    else:
        mean, gaussian = mean / np.where(used, area, 1.0), gaussian / np.where(used, area, 1.0)
    return np.where(used, mean, np.nan), np.where(used, gaussian, np.nan)


def _vertex_areas(vertices: Floats, faces: Array) -> Floats:
    """Return the part of the surface's area that belongs to each vertex, (n_vertices,), µm².

    It is the vertex's Voronoi cell; of a face with an obtuse corner, that corner gets a half and the others a quarter
    (Meyer et al. 2003). The parts sum to the whole area.
    """
    corners = geometry.corner_points(vertices, faces)
    areas = geometry.face_areas(vertices, faces)
    squares = ((np.roll(corners, 1, axis=1) - np.roll(corners, -1, axis=1)) ** 2).sum(
        axis=2
    )  # of the side opposite to each corner
    # a corner's cotangent: (b² + c² - a²) / (4 · area)
    cot = (squares.sum(axis=1, keepdims=True) - 2.0 * squares) / np.maximum(4.0 * areas, 1e-300)[:, None]
    twisted = cot * squares
    share = (twisted.sum(axis=1, keepdims=True) - twisted) / 8.0
    obtuse = cot < 0
    share = np.where(obtuse.any(axis=1, keepdims=True), areas[:, None] * np.where(obtuse, 0.5, 0.25), share)
    return np.asarray(np.bincount(faces.reshape(-1), share.reshape(-1), len(vertices)), dtype=np.float64)
