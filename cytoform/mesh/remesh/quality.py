"""Judge the triangles of a surface: which are poor, and whether remeshing is worth while."""

from __future__ import annotations

import numpy as np

from ..._typing import Bools
from ...errors import ConfigError
from .. import geometry, topology
from ..surface import SurfaceMesh

__all__ = ["check_edge", "edges_are_uneven", "faces_around", "needs_remesh", "poor_faces"]


def check_edge(target_edge: float) -> float:
    """Return a wanted edge length as a float; raise ConfigError if it is not a positive length in µm."""
    if not (np.isfinite(target_edge) and target_edge > 0):
        raise ConfigError(f"target_edge is {target_edge!r}; expected a positive length in µm.")
    return float(target_edge)


def needs_remesh(mesh: SurfaceMesh, target_edge: float, *, max_outside: float = 0.05, min_angle: float = 10.0) -> bool:
    """Tell whether triangles have degraded so far that :func:`remesh` is worth while.

    That is the case when edge lengths are uneven (:func:`uneven`), a corner angle is too small, or two neighbouring
    faces are folded onto each other.

    Parameters
    ----------
    mesh : SurfaceMesh
        The surface.
    target_edge : float
        Wanted edge length, µm.
    max_outside : float, optional
        Fraction of edges that may lie outside 0.5 to 1.7 times the target.
    min_angle : float, optional
        Smallest corner angle that is still good, degrees; 0 for any.

    Returns
    -------
    bool
        True if remeshing is worth while.

    Raises
    ------
    ConfigError
        When `target_edge` is not positive.
    """
    if edges_are_uneven(mesh, target_edge, max_outside=max_outside):
        return True
    if min_angle > 0 and topology.corner_angles(mesh.vertices, mesh.faces).min() < min_angle:
        return True
    return len(topology.folded_edges(mesh)) > 0


def edges_are_uneven(mesh: SurfaceMesh, target_edge: float, *, max_outside: float = 0.05) -> bool:
    """Tell whether too many edges lie outside 0.5 to 1.7 times the wanted length.

    Parameters
    ----------
    mesh : SurfaceMesh
        The surface.
    target_edge : float
        Wanted edge length, µm.
    max_outside : float, optional
        Fraction of edges that may lie outside.

    Returns
    -------
    bool
        True if the fraction is larger.

    Raises
    ------
    ConfigError
        When `target_edge` is not positive.
    """
    target = check_edge(target_edge)
    sides = geometry.edge_lengths(mesh.vertices, mesh.faces)
    return bool(((sides < 0.5 * target) | (sides > 1.7 * target)).mean() > max_outside)


def poor_faces(mesh: SurfaceMesh, target_edge: float, *, shortest: float, longest: float, min_angle: float) -> Bools:
    """Tell which faces are poor: folded, with an edge out of bounds, or with too small an angle.

    Parameters
    ----------
    mesh : SurfaceMesh
        The surface.
    target_edge : float
        Wanted edge length, µm.
    shortest, longest : float
        Bounds of a face's edges in units of the target.
    min_angle : float
        Smallest corner angle that is still good, degrees.

    Returns
    -------
    (n_faces,) bool
        True for poor faces.

    Raises
    ------
    ConfigError
        When `target_edge` is not positive.
    """
    target = check_edge(target_edge)
    corners = geometry.corner_points(mesh.vertices, mesh.faces)
    sides = np.linalg.norm(np.roll(corners, -1, axis=1) - corners, axis=2)
    poor: Bools = (sides.min(axis=1) < shortest * target) | (sides.max(axis=1) > longest * target)
    poor |= topology.corner_angles(mesh.vertices, mesh.faces).min(axis=1) < min_angle
    poor[topology.folded_edges(mesh)] = True
    return poor


def faces_around(mesh: SurfaceMesh, faces: Bools, rings: int) -> Bools:
    """Return a selection of faces grown by some rings of neighbouring faces.

    Parameters
    ----------
    mesh : SurfaceMesh
        The surface.
    faces : (n_faces,) bool
        The selection to begin with.
    rings : int
        How often all faces that share a vertex with the selection are added to it.

    Returns
    -------
    (n_faces,) bool
        The grown selection.
    """
    for _ in range(rings):
        at: Bools = np.zeros(mesh.n_vertices, dtype=bool)
        at[mesh.faces[faces]] = True
        faces = np.asarray(at[mesh.faces].any(axis=1))
    return faces
