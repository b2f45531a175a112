"""Areas, normals, volumes and lengths of triangle meshes, always formed in float64."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = [
    "area_gradient",
    "bounding_box",
    "corner_points",
    "edge_lengths",
    "enclosed_volume",
    "face_areas",
    "face_normals",
    "surface_centroid",
    "vertex_normals",
]

Floats = npt.NDArray[np.float64]


def corner_points(vertices: npt.NDArray, faces: npt.NDArray) -> Floats:
    """Corners of every face, (n_faces, 3 corners, 3 axes), float64, µm."""
    return np.asarray(vertices, dtype=np.float64)[faces]


def _doubled_normals(corners: Floats) -> Floats:
    # (z, y, x) is a left-handed order of (x, y, z), so the cross product of (z, y, x) triples points inwards for faces
    # that run counter-clockwise seen from outside; hence the sign.
    return -np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def face_areas(vertices: npt.NDArray, faces: npt.NDArray) -> Floats:
    """Area of every face in µm², (n_faces,)."""
    return 0.5 * np.linalg.norm(_doubled_normals(corner_points(vertices, faces)), axis=1)


def face_normals(vertices: npt.NDArray, faces: npt.NDArray) -> Floats:
    """Unit normals (z, y, x), (n_faces, 3), outwards for counter-clockwise faces; zero where a face has no area."""
    normals = _doubled_normals(corner_points(vertices, faces))
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.divide(normals, length, out=np.zeros_like(normals), where=length > 0)


def vertex_normals(vertices: npt.NDArray, faces: npt.NDArray) -> Floats:
    """Area-weighted unit normals at the vertices, (n_vertices, 3)."""
    normals = _doubled_normals(corner_points(vertices, faces))
    total = np.zeros((len(vertices), 3))
    for corner in range(3):
        np.add.at(total, faces[:, corner], normals)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.divide(total, length, out=np.zeros_like(total), where=length > 0)


def area_gradient(vertices: npt.NDArray, faces: npt.NDArray) -> Floats:
    """Derivative of every face's area with respect to its corners, (n_faces, 3 corners, 3 axes), µm.

    ∂A/∂v_p = ½ n̂ × e_p with e_p the edge opposite to corner p (Ichbiah et al. 2025, below Eq. 7); zero where the
    area is zero, where no derivative exists.
    """
    corners = corner_points(vertices, faces)
    normals = -face_normals(vertices, faces)  # the cross product in (z, y, x) components
    opposite = np.roll(corners, -2, axis=1) - np.roll(corners, -1, axis=1)
    return 0.5 * np.cross(normals[:, None, :], opposite)


def enclosed_volume(vertices: npt.NDArray, faces: npt.NDArray) -> float:
    """Signed volume in µm³ that a closed surface encloses, positive for outward normals."""
    corners = corner_points(vertices, faces)
    corners = corners - corners.reshape(-1, 3).mean(axis=0)
    return float(-np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6.0)


def surface_centroid(vertices: npt.NDArray, faces: npt.NDArray) -> Floats:
    """Centre of mass of the surface in µm, (3,)."""
    areas = face_areas(vertices, faces)
    centres = corner_points(vertices, faces).mean(axis=1)
    total = areas.sum()
    return centres.mean(axis=0) if total == 0 else (areas[:, None] * centres).sum(axis=0) / total


def edge_lengths(vertices: npt.NDArray, faces: npt.NDArray) -> Floats:
    """Length in µm of the edge opposite to each corner, (n_faces, 3)."""
    corners = corner_points(vertices, faces)
    return np.linalg.norm(np.roll(corners, -2, axis=1) - np.roll(corners, -1, axis=1), axis=2)


def bounding_box(vertices: npt.NDArray) -> tuple[Floats, Floats]:
    """Smallest and largest coordinate on each axis in µm."""
    points = np.asarray(vertices, dtype=np.float64)
    return points.min(axis=0), points.max(axis=0)
