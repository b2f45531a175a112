"""Energies of the surface itself: smooth curvature, parts that do not pass through each other, and a user's prior."""

from __future__ import annotations

import math
from typing import Any, Protocol, cast

import numpy as np
from scipy.sparse import block_array, diags, identity
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from ..._typing import Array, Floats
from ...mesh import geometry
from ...mesh.laplacian import combinatorial_laplacian
from ...mesh.protocol import Mesh
from ..constants import FACING_COSINE, PAIRS_PER_CHUNK, SLIDING_STIFFNESS

__all__ = ["Contact", "Prior", "Smoothness"]


class Prior(Protocol):
    """A user's prior: a negative log probability density of surfaces, up to a constant.

    Called with the fit's mesh (a :class:`cytoform.SurfaceMesh` or :class:`cytoform.MultiMaterialMesh`), it returns the
    value and its gradient for the vertices, (n_vertices, 3), per µm. One more makes a surface e times less probable;
    the image counts against it by its number of voxels and its noise.
    """

    def __call__(self, mesh: Any, /) -> tuple[float, Array]: ...


class Smoothness:
    """A quadratic regulariser of the change of curvature, for a mesh of even triangles.

    With U the umbrella operator (the mean of a vertex's neighbours less the vertex itself, for edges e about e²/4 times
    the surface's Laplacian), the energy is (32 / (√3 e²)) Σ w |U U x|², w the vertex's factor. U x is e² H / 2 along
    the normal, H the mean curvature; so the energy is about (e⁴ / 3) ∫ |ΔH|² dA, without a unit. Roughness at the scale
    of an edge costs most, a bend many edges wide next to nothing.

    Parameters
    ----------
    mesh : Mesh
        Only its connectivity is used.
    edge : float
        Mean length of its edges, µm.
    weights : (n_vertices,) float, optional
        Factor on each vertex's part of the energy; 1 by default.
    """

    def __init__(self, mesh: Mesh, edge: float, weights: Floats | None = None) -> None:
        self.edge = edge
        self.weights = np.ones(mesh.n_vertices) if weights is None else weights
        laplacian = combinatorial_laplacian(mesh.faces, mesh.n_vertices)
        umbrella = diags(1.0 / laplacian.diagonal()) @ laplacian
        self._scale, self._twice = 32.0 / (math.sqrt(3.0) * edge**2), umbrella @ umbrella
        weighed = self._twice if (self.weights == 1.0).all() else diags(self.weights) @ self._twice
        self._matrix = (self._scale * (self._twice.T @ weighed)).tocsr()

    def __call__(self, mesh: Mesh) -> tuple[float, Floats]:
        """Return the energy of a mesh and its gradient for the vertices, (n_vertices, 3), per µm."""
        points = np.asarray(mesh.vertices, dtype=np.float64)
        slope = self._matrix @ points
        return float((slope * points).sum()), 2.0 * slope

    def roughness(self, mesh: Mesh) -> Floats:
        """Return each vertex's part of the energy that lies along its normal, with all factors 1, (n_vertices,).

        It is (32 / (√3 e²)) (n · U U x)², n the vertex's unit normal. The part of U U x along the surface is left out:
        it depends on how even the triangles are, not on the shape.
        """
        normals = geometry.vertex_normals(mesh.vertices, mesh.faces)
        along = ((self._twice @ np.asarray(mesh.vertices, dtype=np.float64)) * normals).sum(axis=1)
        return cast(Floats, self._scale * along**2)

    def second(self, modes: Array, normals: Array) -> Floats:
        """Project the energy's Hessian on modes of the surface along its normals: a (k, k) matrix.

        `modes` are (n_vertices, k), `normals` (n_vertices, 3). Vertices may slide along the surface at will, so what
        they gain by sliding is subtracted (a Schur complement); on a curved surface that is much, in smooth modes most
        of it.
        """
        along = np.eye(3)[np.abs(normals).argmin(axis=1)]
        first = np.cross(normals, along)
        first /= np.linalg.norm(first, axis=1, keepdims=True)
        sides = (first, np.cross(normals, first))

        def block(left: Array, right: Array) -> Any:
            return sum(2.0 * diags(left[:, a]) @ self._matrix @ diags(right[:, a]) for a in range(3))

        n = len(normals)
        slide = block_array([[block(a, b) for b in sides] for a in sides]) + SLIDING_STIFFNESS * identity(2 * n)
        mixed = np.vstack([block(side, normals) @ modes for side in sides])
        return cast(
            Floats,
            modes.T @ (block(normals, normals) @ modes)
            - mixed.T
            @ splu(
                slide.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
            ).solve(mixed),
        )


class Contact:
    """An energy that keeps two parts of a surface that face each other from passing through each other.

    A pair of vertices faces each other if their distance is below `reach`, the cosine between their normals is below
    FACING_COSINE, and their offset across the mean normal is below an edge. With g the gap between them along that
    normal, its energy is max(0, 1 - g / edge)². The sign of g is that at which both lie now, so a pair may face each
    other through the body or across a cleft.

    Parameters
    ----------
    mesh : Mesh
        A surface without self-intersections.
    edge : float
        Mean length of its edges, µm.
    reach : float
        Largest distance of a pair now, µm.
    """

    def __init__(self, mesh: Mesh, edge: float, reach: float) -> None:
        points = np.asarray(mesh.vertices, dtype=np.float64)
        normals = geometry.vertex_normals(points, mesh.faces)
        found = cKDTree(points).query_pairs(reach, output_type="ndarray")
        parts = [
            self._facing(points, normals, found[i : i + PAIRS_PER_CHUNK], edge)
            for i in range(0, len(found), PAIRS_PER_CHUNK)
        ]
        nothing = (np.zeros((0, 2), dtype=np.int64), np.zeros((0, 3)))
        pairs, self._along = (np.concatenate(column) for column in zip(nothing, *parts))
        (self._one, self._two), self._edge = pairs.T, edge

    @staticmethod
    def _facing(points: Array, normals: Array, pairs: Array, edge: float) -> tuple[Array, Array]:
        """Keep the pairs of vertices that face each other, with the unit vector from the first to the second of each.

        Parameters
        ----------
        points, normals : (n_vertices, 3) float
            Positions in µm and unit normals.
        pairs : (n, 2) int
            Candidates, indices of vertices.
        edge : float
            Largest offset across the mean normal, µm.

        Returns
        -------
        pairs : (k, 2) int
        along : (k, 3) float
            Along the mean of the first normal and the reversed second one, towards the second vertex.
        """
        pairs = pairs[(normals[pairs[:, 0]] * normals[pairs[:, 1]]).sum(axis=1) < FACING_COSINE]
        along = normals[pairs[:, 0]] - normals[pairs[:, 1]]
        along /= np.linalg.norm(along, axis=1, keepdims=True)
        apart = points[pairs[:, 1]] - points[pairs[:, 0]]
        gap = (apart * along).sum(axis=1)
        near = np.linalg.norm(apart - gap[:, None] * along, axis=1) < edge
        return pairs[near], (np.where(gap < 0, -1.0, 1.0)[:, None] * along)[near]

    def __call__(self, mesh: Mesh) -> tuple[float, Floats]:
        """Return the energy of a mesh and its gradient for the vertices, (n_vertices, 3), per µm."""
        points = np.asarray(mesh.vertices, dtype=np.float64)
        gap = ((points[self._two] - points[self._one]) * self._along).sum(axis=1)
        short = np.maximum(1.0 - gap / self._edge, 0.0)
        push = (-2.0 * short / self._edge)[:, None] * self._along
        slope = np.zeros_like(points)
        for axis in range(3):
            slope[:, axis] = np.bincount(self._two, push[:, axis], len(points))
            slope[:, axis] -= np.bincount(self._one, push[:, axis], len(points))
        return float((short**2).sum()), slope
