"""Judge the triangles of a surface: which have worn out, and whether remeshing pays."""

from __future__ import annotations

import numpy as np

from ..._typing import Bools
from ...errors import ConfigError
from .. import geometry, topology
from ..surface import SurfaceMesh

__all__ = ["check_edge", "faces_around", "needs_remesh", "uneven", "worn_faces"]


def check_edge(target_edge: float) -> float:
    """The wanted length of an edge, if it is one."""
    if not (np.isfinite(target_edge) and target_edge > 0):
        raise ConfigError(f"target_edge is {target_edge!r}; expected a positive length in µm.")
    return float(target_edge)


def needs_remesh(mesh: SurfaceMesh, target_edge: float, *, max_outside: float = 0.05, min_angle: float = 10.0) -> bool:
    """Whether triangles have degraded so far that :func:`remesh` pays.

    Parameters
    ----------
    mesh : SurfaceMesh
    target_edge : float
        µm.
    max_outside : float
        Fraction of edges that may lie outside 0.5 to 1.7 times the target.
    min_angle : float
        Smallest corner angle that is still good, degrees.
    """
    if uneven(mesh, target_edge, max_outside=max_outside):
        return True
    if min_angle > 0 and topology.corner_angles(mesh.vertices, mesh.faces).min() < min_angle:
        return True
    return len(topology.folded_edges(mesh)) > 0


def uneven(mesh: SurfaceMesh, target_edge: float, *, max_outside: float = 0.05) -> bool:
    """Whether more than a part of the edges lie outside 0.5 to 1.7 times the target, µm."""
    target = check_edge(target_edge)
    sides = geometry.edge_lengths(mesh.vertices, mesh.faces)
    return bool(((sides < 0.5 * target) | (sides > 1.7 * target)).mean() > max_outside)


def worn_faces(mesh: SurfaceMesh, target_edge: float, *, shortest: float, longest: float, min_angle: float) -> Bools:
    """Faces that have degraded, (n_faces,) bool: folded, with an edge out of bounds, or too sharp.

    Parameters
    ----------
    mesh : SurfaceMesh
    target_edge : float
        µm.
    shortest, longest : float
        Bounds of an edge in units of the target.
    min_angle : float
        Smallest corner angle that is still good, degrees.
    """
    target = check_edge(target_edge)
    corners = geometry.corner_points(mesh.vertices, mesh.faces)
    sides = np.linalg.norm(np.roll(corners, -1, axis=1) - corners, axis=2)
    worn = (sides.min(axis=1) < shortest * target) | (sides.max(axis=1) > longest * target)
    worn |= topology.corner_angles(mesh.vertices, mesh.faces).min(axis=1) < min_angle
    worn[topology.folded_edges(mesh)] = True
    return worn


def faces_around(mesh: SurfaceMesh, faces: Bools, rings: int) -> Bools:
    """Some faces (n_faces,) bool and so many rings of faces around them, (n_faces,) bool."""
    for _ in range(rings):
        at = np.zeros(mesh.n_vertices, dtype=bool)
        at[mesh.faces[faces]] = True
        faces = at[mesh.faces].any(axis=1)
    return faces
