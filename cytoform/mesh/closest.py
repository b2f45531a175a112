"""Closest points on a surface, and values on it carried over to another surface of the same shape."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from .._typing import Floats, Ints
from . import geometry, topology
from .protocol import Mesh
from .surface import SurfaceMesh

__all__ = ["ClosestPointSearch", "closest_points", "interpolation_matrix", "with_face_values_of"]


class ClosestPointSearch:
    """A search structure for the closest points on a surface: a KD-tree of the face centres.

    Parameters
    ----------
    points : (n_vertices, 3) float64, µm
        Vertices of the surface.
    faces : (n_faces, 3) int
        Its triangles.
    """

    def __init__(self, points: Floats, faces: Ints) -> None:
        self.corners = points[faces]
        self.faces = faces
        self.normals = geometry.face_normals(points, faces)
        self.tree = cKDTree(self.corners.mean(axis=1))

    def closest(self, queries: Floats, normals: Floats | None = None, k: int = 8) -> tuple[Ints, Floats, Floats]:
        """Return for every query its closest face, the closest point on it, and that point's barycentric coordinates.

        The search is among the k faces whose centres are nearest. With `normals` (n, 3), one for each query, faces
        whose own normal points the other way are left out where any other face is among the k: they belong to the far
        side of a thin sheet. Shapes (n,), (n, 3) in µm and (n, 3).
        """
        k = min(k, len(self.corners))
        near = self.tree.query(queries, k=k)[1].reshape(len(queries), k)
        flat = near.reshape(-1)
        weights = _closest_barycentric(np.repeat(queries, k, axis=0), self.corners[flat])
        points = np.einsum("nc,nci->ni", weights, self.corners[flat]).reshape(len(queries), k, 3)
        distance = ((points - queries[:, None]) ** 2).sum(axis=2)
        if normals is not None:  # a face with the opposite normal belongs to the far side of a thin sheet
            away = np.einsum("nki,ni->nk", self.normals[near], normals) < 0
            distance = np.where(away & ~away.all(axis=1, keepdims=True), np.inf, distance)
        best = np.argmin(distance, axis=1)
        rows = np.arange(len(queries))
        return near[rows, best], points[rows, best], weights.reshape(len(queries), k, 3)[rows, best]

    def project(self, queries: Floats, normals: Floats) -> Floats:
        """Return the point on the surface closest to each query, (n, 3), µm.

        It lies on a face whose normal does not oppose the query's (`normals`, (n, 3)), as in :meth:`closest`.
        """
        return self.closest(queries, normals)[1]


def _closest_barycentric(queries: Floats, corners: Floats) -> Floats:
    """Return the barycentric coordinates of the point of each triangle closest to each query, (n, 3).

    corners (n, 3 corners, 3 axes), one triangle for each query (n, 3). The point lies inside the triangle where the
    foot of the perpendicular does, else on the closest of the three edges.
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


def with_face_values_of(source: SurfaceMesh, target: SurfaceMesh) -> SurfaceMesh:
    """Return `target` with density and jump of another mesh of the same shape.

    The density of a face is that of the nearest face. The jump of a connected component is the one that most of its
    faces have nearest by, since a closed surface has the same jump all over it.
    """
    nearest: Ints = np.zeros(target.n_faces, dtype=np.int64)
    if not all((array == array[0]).all() for array in (source.density, source.jump) if array is not None):
        centres = [geometry.corner_points(m.vertices, m.faces).mean(axis=1) for m in (source, target)]
        nearest = np.asarray(cKDTree(centres[0]).query(centres[1])[1], dtype=np.int64)
    made = target.with_density(source.density[nearest])
    if source.jump is None:
        return made
    values, index = np.unique(source.jump, return_inverse=True)
    pieces = topology.components(target.faces)
    votes = np.zeros((int(pieces.max()) + 1, len(values)), dtype=np.int64)
    np.add.at(votes, (pieces, index.reshape(-1)[nearest]), 1)
    return made.with_jump(values[votes.argmax(axis=1)][pieces])


def closest_points(mesh: Mesh, points: npt.ArrayLike) -> tuple[Ints, Floats, Floats]:
    """Find the closest points on a surface, searched among the 16 faces nearest by centre.

    Parameters
    ----------
    mesh : Mesh
        With faces of like size: a huge face beside small ones may be missed.
    points : (n, 3) float, µm
        The queries, (z, y, x).

    Returns
    -------
    faces : (n,) int
        Face of each closest point.
    closest : (n, 3) float64, µm
        The closest points.
    weights : (n, 3) float64
        Their barycentric coordinates.
    """
    queries = np.asarray(points, dtype=np.float64).reshape(-1, 3)
    return ClosestPointSearch(mesh.vertices.astype(np.float64), mesh.faces).closest(queries, k=16)


def interpolation_matrix(mesh: Mesh, points: npt.ArrayLike) -> csr_matrix:
    """Return the sparse matrix that interpolates values from a surface's vertices to other points.

    Interpolation is linear within the closest face (barycentric coordinates of the closest point).

    Parameters
    ----------
    mesh : Mesh
        The surface at whose vertices the values are given.
    points : (n, 3) float, µm
        Where to interpolate, (z, y, x); for instance the vertices after remeshing.

    Returns
    -------
    csr_matrix
        (n, n_vertices), three entries a row that sum to 1.
    """
    faces, _, weights = closest_points(mesh, points)
    rows = np.repeat(np.arange(len(faces)), 3)
    return csr_matrix((weights.ravel(), (rows, mesh.faces[faces].ravel())), shape=(len(faces), mesh.n_vertices))
