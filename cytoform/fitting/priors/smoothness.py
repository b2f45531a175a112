"""What is known of a surface before an image is looked at: that it bends smoothly, and what a user adds."""

from __future__ import annotations

import math
from typing import Any, Protocol

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
    """A negative logarithm of a probability density of surfaces, but for a constant.

    Called with a mesh, it gives the value and its gradient for the vertices, (n_vertices, 3), per µm. A value of 1 more
    makes a surface e times less probable; the image speaks through its number of voxels and its noise.
    """

    def __call__(self, mesh: Mesh) -> tuple[float, Array]: ...


class Smoothness:
    """A quadratic energy of how fast the curvature changes, for a mesh of even triangles.

    With U the umbrella operator (the mean of a vertex's neighbours less the vertex itself, which for edges e is about
    e²/4 times the surface's Laplacian), the energy is (32 / (√3 e²)) Σ |U U x|². U x is e² H / 2 along the normal, H
    the mean curvature; so the energy is about (e⁴ / 3) ∫ |ΔH|² dA, without a unit: what is rough at the scale of an
    edge costs most, and a bend many edges wide next to nothing. Vertices may count for more or less than that.

    Parameters
    ----------
    mesh : Mesh
        Its connectivity counts.
    edge : float
        Mean length of the edges, µm.
    weights : (n_vertices,) float, optional
        What each vertex's part of the energy is multiplied by; 1 by default.
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
        """Value and gradient (n_vertices, 3) per µm."""
        points = np.asarray(mesh.vertices, dtype=np.float64)
        slope = self._matrix @ points
        return float((slope * points).sum()), 2.0 * slope

    def roughness(self, mesh: Mesh) -> Floats:
        """The energy's part of every vertex, (n_vertices,): what lies along the normal, without the weights."""
        normals = geometry.vertex_normals(mesh.vertices, mesh.faces)
        along = ((self._twice @ np.asarray(mesh.vertices, dtype=np.float64)) * normals).sum(axis=1)
        return self._scale * along**2

    def second(self, modes: Array, normals: Array) -> Floats:
        """Second derivatives (k, k) for moves along the normals (n_vertices, 3) in modes (n_vertices, k).

        The vertices are free to slide along the surface as suits the energy: what they gain is taken away (a Schur
        complement). On a curved surface that is much, in smooth modes most of it.
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
        return modes.T @ (block(normals, normals) @ modes) - mixed.T @ splu(slide.tocsc()).solve(mixed)


class Contact:
    """Two parts of a surface that lie face to face do not pass through each other.

    For each pair of vertices with opposite normals whose distance is below `reach` and whose offset across the normal
    is below an edge, and the gap g between them along the normal, the energy is max(0, 1 - g / edge)². A gap is counted
    from the side on which the second lies now, be it through the body or across a cleft.

    Parameters
    ----------
    mesh : Mesh
        Without self-intersections.
    edge : float
        Mean length of the edges, µm.
    reach : float
        How near pairs have to be now, µm.
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
        """The pairs (k, 2) that lie face to face, and the direction (k, 3) from the first to the second side."""
        pairs = pairs[(normals[pairs[:, 0]] * normals[pairs[:, 1]]).sum(axis=1) < FACING_COSINE]
        along = normals[pairs[:, 0]] - normals[pairs[:, 1]]
        along /= np.linalg.norm(along, axis=1, keepdims=True)
        apart = points[pairs[:, 1]] - points[pairs[:, 0]]
        gap = (apart * along).sum(axis=1)
        near = np.linalg.norm(apart - gap[:, None] * along, axis=1) < edge
        return pairs[near], (np.where(gap < 0, -1.0, 1.0)[:, None] * along)[near]

    def __call__(self, mesh: Mesh) -> tuple[float, Floats]:
        """Value and gradient (n_vertices, 3) per µm."""
        points = np.asarray(mesh.vertices, dtype=np.float64)
        gap = ((points[self._two] - points[self._one]) * self._along).sum(axis=1)
        short = np.maximum(1.0 - gap / self._edge, 0.0)
        push = (-2.0 * short / self._edge)[:, None] * self._along
        slope = np.zeros_like(points)
        for axis in range(3):
            slope[:, axis] = np.bincount(self._two, push[:, axis], len(points))
            slope[:, axis] -= np.bincount(self._one, push[:, axis], len(points))
        return float((short**2).sum()), slope
