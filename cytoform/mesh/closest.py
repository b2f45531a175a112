"""Closest points on a surface, and what is given on it taken to another one of the same shape."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from .._typing import Array, Floats, Ints
from . import geometry
from .surface import SurfaceMesh

__all__ = ["ClosestPointSearch", "closest_points", "interpolation", "transfer_density"]


class ClosestPointSearch:
    """The surface as it came in: what vertices are projected onto, and where densities are taken from."""

    def __init__(self, points: Floats, faces: Ints) -> None:
        self.corners = points[faces]
        self.faces = faces
        self.normals = geometry.face_normals(points, faces)
        self.tree = cKDTree(self.corners.mean(axis=1))

    def closest(self, queries: Floats, normals: Floats | None = None, k: int = 8) -> tuple[Ints, Floats, Floats]:
        """Closest face of the k nearest by centre, the closest point on it, and its barycentric coordinates."""
        k = min(k, len(self.corners))
        near = self.tree.query(queries, k=k)[1].reshape(len(queries), k)
        flat = near.reshape(-1)
        weights = _closest_barycentric(np.repeat(queries, k, axis=0), self.corners[flat])
        points = np.einsum("nc,nci->ni", weights, self.corners[flat]).reshape(len(queries), k, 3)
        distance = ((points - queries[:, None]) ** 2).sum(axis=2)
        if normals is not None:  # a face that looks the other way belongs to the far side of a thin sheet
            away = np.einsum("nki,ni->nk", self.normals[near], normals) < 0
            distance = np.where(away & ~away.all(axis=1, keepdims=True), np.inf, distance)
        best = np.argmin(distance, axis=1)
        rows = np.arange(len(queries))
        return near[rows, best], points[rows, best], weights.reshape(len(queries), k, 3)[rows, best]

    def project(self, queries: Floats, normals: Floats) -> Floats:
        return self.closest(queries, normals)[1]


def _closest_barycentric(queries: Floats, corners: Floats) -> Floats:
    """Barycentric coordinates of the point of each triangle closest to each query, (n, 3).

    Inside the triangle where the foot of the perpendicular lies there, else on the closest of the three edges.
    """
    a = corners[:, 0]
    u, v, w = corners[:, 1] - a, corners[:, 2] - a, queries - a
    uu, uv, vv = (np.einsum("ij,ij->i", p, q) for p, q in ((u, u), (u, v), (v, v)))
    wu, wv = np.einsum("ij,ij->i", w, u), np.einsum("ij,ij->i", w, v)
    det = uu * vv - uv * uv
    flat = det <= 1e-14 * uu * vv
    safe = np.where(flat, 1.0, det)
    s, t = (vv * wu - uv * wv) / safe, (uu * wv - uv * wu) / safe
    best = np.stack([1.0 - s - t, s, t], axis=1)
    least = np.full(len(queries), np.inf)
    outside = flat | (best < 0).any(axis=1)
    for c in range(3):
        start, run = corners[:, c], corners[:, (c + 1) % 3] - corners[:, c]
        square = np.einsum("ij,ij->i", run, run)
        along = np.einsum("ij,ij->i", queries - start, run)
        x = np.clip(np.divide(along, square, out=np.zeros_like(along), where=square > 0), 0.0, 1.0)
        distance = ((start + x[:, None] * run - queries) ** 2).sum(axis=1)
        closer = outside & (distance < least)
        least = np.where(closer, distance, least)
        best[closer] = 0.0
        best[closer, c], best[closer, (c + 1) % 3] = 1.0 - x[closer], x[closer]
    return best


def transfer_density(source: SurfaceMesh, target: SurfaceMesh) -> Array:
    """Density for the faces of `target`: that of the face of `source` whose centre is nearest, (n_faces,)."""
    if (source.density == source.density[0]).all():
        return np.full(target.n_faces, source.density[0])
    centres = [geometry.corner_points(m.vertices, m.faces).mean(axis=1) for m in (source, target)]
    return source.density[cKDTree(centres[0]).query(centres[1])[1]]


def closest_points(mesh: SurfaceMesh, points: npt.ArrayLike) -> tuple[Ints, Floats, Floats]:
    """Closest points on a surface, searched among the 16 faces nearest by centre.

    Parameters
    ----------
    mesh : SurfaceMesh
        With faces of like size: a huge face beside small ones may be missed.
    points : (n, 3) float, µm, (z, y, x)

    Returns
    -------
    faces : (n,) int
    closest : (n, 3) float64, µm
    weights : (n, 3) float64
        Barycentric coordinates of the closest points.
    """
    queries = np.asarray(points, dtype=np.float64).reshape(-1, 3)
    return ClosestPointSearch(mesh.vertices.astype(np.float64), mesh.faces).closest(queries, k=16)


def interpolation(mesh: SurfaceMesh, points: npt.ArrayLike) -> csr_matrix:
    """The matrix (n, n_vertices) that takes values at the vertices to other points: linear within the closest face.

    Parameters
    ----------
    mesh : SurfaceMesh
    points : (n, 3) float, µm, (z, y, x)
        For instance the vertices after remeshing.
    """
    faces, _, weights = closest_points(mesh, points)
    rows = np.repeat(np.arange(len(faces)), 3)
    return csr_matrix((weights.ravel(), (rows, mesh.faces[faces].ravel())), shape=(len(faces), mesh.n_vertices))
