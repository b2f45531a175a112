"""Virtual work of tensions and pressures at the vertices of a mesh, and how it changes when vertices move."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix, hstack

from .._typing import Bools, Floats, Ints
from ..mesh import geometry

__all__ = ["Unknowns", "force_matrix", "stiffness_matrix", "vertex_areas"]


_FLATTEST = 0.1  # a face's area counts as at least so much of the square of its longest edge: needles are not stiff


@dataclasses.dataclass(frozen=True, eq=False)
class Unknowns:
    """The tensions and pressures of a mesh, in the order in which they are solved for.

    Parameters
    ----------
    pairs : (n_pairs, 2) int64
        The two regions of every interface, the smaller number first.
    pair_of_face : (n_faces,) int64
        Interface of every face.
    regions : (n_regions,) int64
        Regions whose pressure is unknown, ascending; the outside, 0, has pressure 0 and is not among them.
    sides : (n_faces, 2) int64
        Index into `regions` of the two sides of every face, -1 for the outside.
    active : (n_faces,) bool
        Faces that have a tension; the others have no equation.
    """

    pairs: Ints
    pair_of_face: Ints
    regions: Ints
    sides: Ints
    active: Bools

    @property
    def n_pairs(self) -> int:
        """Number of interfaces, which are the first unknowns."""
        return len(self.pairs)

    @property
    def count(self) -> int:
        """Number of tensions and pressures."""
        return len(self.pairs) + len(self.regions)


def _coordinates(faces: Ints) -> Ints:
    """Return the numbers of the nine coordinates of every face's corners, (n_faces, 9): 3 · vertex + axis."""
    return (3 * faces[:, :, None] + np.arange(3)).reshape(len(faces), 9)


def vertex_areas(vertices: Floats, faces: Ints) -> Floats:
    """Return a third of the area of the faces around every vertex.

    Parameters
    ----------
    vertices : (n_vertices, 3) float64
        Positions in µm.
    faces : (n_faces, 3) int
        Vertex indices.

    Returns
    -------
    (n_vertices,) float64
        In µm².
    """
    areas = geometry.face_areas(vertices, faces)
    return np.asarray(np.bincount(faces.reshape(-1), np.repeat(areas, 3) / 3.0, len(vertices)), dtype=np.float64)


def force_matrix(vertices: Floats, faces: Ints, unknowns: Unknowns) -> csr_matrix:
    """Return the matrix that turns tensions and pressures into the slope of the energy at every vertex.

    The energy is Σ γ_ij A_ij - Σ p_i V_i; its slope vanishes in mechanical equilibrium. By the divergence theorem that
    is the law of Young and Dupré at junction lines and that of Young and Laplace on sheets. Ref: Brakke, "The Surface
    Evolver", Experimental Mathematics 1 (1992) 141–165.

    Parameters
    ----------
    vertices : (n_vertices, 3) float64
        Positions in µm.
    faces : (n_faces, 3) int
        Vertex indices; the normal points from the first into the second region.
    unknowns : Unknowns
        Interfaces, regions and active faces.

    Returns
    -------
    (3 n_vertices, n_unknowns) sparse
        Row 3 v + axis; columns in µm for tensions, in µm² for pressures.
    """
    index = _coordinates(faces)
    slopes = geometry.area_gradient(vertices, faces).reshape(-1, 9) * unknowns.active[:, None]
    shape = (3 * len(vertices), unknowns.n_pairs)
    columns = np.repeat(unknowns.pair_of_face, 9)
    tensions = coo_matrix((slopes.reshape(-1), (index.reshape(-1), columns)), shape=shape)
    swept = geometry.volume_gradient(vertices, faces).reshape(-1, 9)
    pressures = csr_matrix((3 * len(vertices), len(unknowns.regions)))
    for side, sign in ((0, -1.0), (1, 1.0)):  # a face that moves along its normal enlarges the region behind it
        there = unknowns.sides[:, side] >= 0
        entries = (sign * swept[there]).reshape(-1)
        columns = np.repeat(unknowns.sides[there, side], 9)
        pressures = pressures + csr_matrix((entries, (index[there].reshape(-1), columns)), shape=pressures.shape)
    return csr_matrix(hstack([tensions, pressures]))


def stiffness_matrix(vertices: Floats, faces: Ints, unknowns: Unknowns, values: Floats) -> csr_matrix:
    """Return how forces change when vertices move off their sheets: the second derivatives Σ γ ∫ |∇u_n|².

    u_n is the move along the normal; terms with the curvature, small on lengths below its radius, are left out.

    Parameters
    ----------
    vertices : (n_vertices, 3) float64
        Positions in µm.
    faces : (n_faces, 3) int
        Vertex indices.
    unknowns : Unknowns
        Interfaces, regions and active faces.
    values : (n_unknowns,) float64
        Tensions, then pressures, which have no influence.

    Returns
    -------
    (3 n_vertices, 3 n_vertices) sparse
        Symmetric; positive semi-definite for positive tensions.
    """
    tensions = values[: unknowns.n_pairs][unknowns.pair_of_face] * unknowns.active
    corners, normals = geometry.corner_points(vertices, faces), geometry.face_normals(vertices, faces)
    opposite = np.roll(corners, -2, axis=1) - np.roll(corners, -1, axis=1)
    areas = geometry.face_areas(vertices, faces)
    areas = np.maximum(areas, _FLATTEST * (opposite**2).sum(axis=2).max(axis=1))
    slopes = (
        np.einsum("fia,fja->fij", opposite, opposite) * (tensions / (4.0 * np.maximum(areas, 1e-300)))[:, None, None]
    )
    blocks = np.einsum("fij,fa,fb->fiajb", slopes, normals, normals)
    index = _coordinates(faces)
    rows, columns = np.repeat(index, 9, axis=1), np.tile(index, (1, 9))
    size = 3 * len(vertices)
    return csr_matrix((blocks.reshape(-1), (rows.reshape(-1), columns.reshape(-1))), shape=(size, size))
