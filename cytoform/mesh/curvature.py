"""Mean and Gaussian curvature of a triangle surface at its vertices."""

from __future__ import annotations

import numpy as np
from scipy.sparse import diags
from scipy.sparse.linalg import splu

from .._typing import Array, Floats
from ..errors import MeshError
from . import geometry, topology
from .laplacian import cotangent_laplacian
from .surface import SurfaceMesh

__all__ = ["curvatures"]


def curvatures(mesh: SurfaceMesh, *, smoothing: float = 0.0) -> tuple[Floats, Floats]:
    """Mean and Gaussian curvature at the vertices.

    The mean curvature is half the cotangent Laplacian of the places along the normal, the Gaussian the angle that the
    faces around a vertex lack of 2 π, each over the vertex's share of the area: its Voronoi cell, or a half or a
    quarter of a face with an obtuse corner. Ref: Meyer, Desbrun, Schröder, Barr, "Discrete Differential-Geometry
    Operators for Triangulated 2-Manifolds", 2003, doi 10.1007/978-3-662-05105-4_2.

    Parameters
    ----------
    mesh : SurfaceMesh
        Closed.
    smoothing : float
        Length in µm over which both are averaged along the surface, by one implicit step of diffusion; 0 for none.
        Without any they are as noisy as the mesh is rough.

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
        For an open surface or a negative length.
    """
    if not topology.is_closed(mesh):
        raise MeshError(f"the surface {topology.gaps(mesh)}; expected a closed one.", remedy="Close its holes first.")
    if not smoothing >= 0:
        raise MeshError(f"smoothing is {smoothing!r}; expected a length in µm, 0 or more.")
    vertices, faces = np.asarray(mesh.vertices, dtype=np.float64), mesh.faces
    laplacian, area = cotangent_laplacian(vertices, faces), _vertex_areas(vertices, faces)
    inward, used = laplacian @ vertices, geometry.used_vertices(faces, len(vertices))
    mean = 0.5 * (inward * geometry.vertex_normals(vertices, faces)).sum(axis=1)
    angles = topology.corner_angles(vertices, faces)
    gaussian = 2.0 * np.pi - np.bincount(faces.reshape(-1), np.radians(angles).reshape(-1), len(vertices))
    if smoothing > 0:
        step = (diags(np.where(used, area, 1.0)) + 0.5 * smoothing**2 * laplacian).tocsc()
        mean, gaussian = splu(step).solve(np.stack([mean, gaussian], axis=1)).T
    else:
        mean, gaussian = mean / np.where(used, area, 1.0), gaussian / np.where(used, area, 1.0)
    return np.where(used, mean, np.nan), np.where(used, gaussian, np.nan)


def _vertex_areas(vertices: Floats, faces: Array) -> Floats:
    """The area that belongs to each vertex, (n_vertices,), µm²; all of them are the surface's."""
    corners = geometry.corner_points(vertices, faces)
    areas = geometry.face_areas(vertices, faces)
    squares = ((np.roll(corners, 1, axis=1) - np.roll(corners, -1, axis=1)) ** 2).sum(axis=2)  # of the side across
    # a corner's cotangent: (b² + c² - a²) / (4 · area)
    cot = (squares.sum(axis=1, keepdims=True) - 2.0 * squares) / np.maximum(4.0 * areas, 1e-300)[:, None]
    twisted = cot * squares
    share = (twisted.sum(axis=1, keepdims=True) - twisted) / 8.0
    blunt = cot < 0
    share = np.where(blunt.any(axis=1, keepdims=True), areas[:, None] * np.where(blunt, 0.5, 0.25), share)
    return np.bincount(faces.reshape(-1), share.reshape(-1), len(vertices))
