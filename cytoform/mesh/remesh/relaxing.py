"""Move vertices along the surface to even out triangles, and smooth folds away."""

from __future__ import annotations

import logging

import numpy as np
from scipy.sparse import csr_matrix, diags

from ..._typing import Bools, Floats, Ints
from .. import geometry, topology
from ..closest import ClosestPointSearch
from ..surface import SurfaceMesh
from .edges import build_edges, vertex_adjacency
from .limits import MIN_MEAN_RATIO, MIN_NORMAL_COSINE, doubled_normals, mean_ratio, row_cosines

__all__ = ["relax", "untangle"]

log = logging.getLogger(__name__)


def _averaging_matrix(faces: Ints, n_vertices: int, fixed: Bools) -> csr_matrix[np.float64]:
    """Return the sparse matrix (n_vertices, n_vertices) that gives every vertex the mean of its neighbours.

    Vertices marked by `fixed` (n_vertices,) and those without faces keep their value.
    """
    adjacency = vertex_adjacency(topology.edges(faces), n_vertices)
    degree = np.asarray(adjacency.sum(axis=1)).reshape(-1)
    still = (degree == 0) | fixed
    scale = np.where(still, 0.0, 1.0 / np.maximum(degree, 1.0))
    return csr_matrix(diags(scale) @ adjacency + diags(still.astype(np.float64)))


def relax(points: Floats, faces: Ints, reference: ClosestPointSearch | None) -> Floats:
    """Move each vertex along the surface towards the area-weighted centre of its faces; return the new points, (n, 3).

    The move is the component in the tangent plane. With `reference`, the moved vertices are projected onto that
    surface. Boundary vertices stay, and so do vertices whose move would degenerate a face.
    """
    n_vertices = len(points)
    edges = build_edges(faces, n_vertices)
    corners = points[faces]
    areas = 0.5 * np.linalg.norm(doubled_normals(corners), axis=1)
    weight = np.bincount(faces.reshape(-1), weights=np.repeat(areas, 3), minlength=n_vertices)
    centres = areas[:, None] * corners.mean(axis=1)
    target = np.stack([np.bincount(faces.reshape(-1), np.repeat(c, 3), n_vertices) for c in centres.T], axis=1)
    target = np.divide(target, weight[:, None], out=points.copy(), where=weight[:, None] > 0)
    normals = geometry.vertex_normals(points, faces)
    step = target - points
    step -= np.einsum("ij,ij->i", step, normals)[:, None] * normals
    step[edges.fixed] = 0.0
    moved = points + step
    if reference is not None:
        moved = np.where(edges.fixed[:, None], points, reference.project(moved, normals))
    return _undo_degenerating_moves(points, moved, faces)


def _undo_degenerating_moves(points: Floats, moved: Floats, faces: Ints) -> Floats:
    """Return the moved points with moves undone at faces that would rotate by more than 60°, fold over or get flat.

    points and moved (n_vertices, 3) are the positions before and after. Undoing is repeated up to ten times, as it
    changes neighbouring faces; if that does not suffice, all moves are undone.
    """
    before, quality = doubled_normals(points[faces]), mean_ratio(points[faces])
    pairs = topology.interior_edges(faces)[0] // 3
    folds = row_cosines(before[pairs[:, 0]], before[pairs[:, 1]])
    for _ in range(10):
        after = doubled_normals(moved[faces])
        bad = (row_cosines(before, after) < MIN_NORMAL_COSINE) | (
            mean_ratio(moved[faces]) < np.minimum(MIN_MEAN_RATIO, 0.9 * quality)
        )
        new = row_cosines(after[pairs[:, 0]], after[pairs[:, 1]])
        bad[pairs[new < np.minimum(-0.5, folds - 1e-9)]] = True
        if not bad.any():
            return moved
        moved = moved.copy()
        back = np.unique(faces[bad])
        moved[back] = points[back]
    return points


def untangle(mesh: SurfaceMesh, *, rounds: int = 60, fold_angle: float = topology.FOLD_ANGLE) -> SurfaceMesh:
    """Smooth a surface around folded and zero-area faces until there are none; the faces' vertex indices stay the same.

    Each round replaces the vertices near such faces three times by the mean of their neighbours. The patch that is
    smoothed grows by a ring every 10 rounds, so that a stubborn fold is smoothed over a wider area. What is left after
    the last round is logged. Boundary vertices stay.

    Parameters
    ----------
    mesh : SurfaceMesh
        The surface; it is not changed.
    rounds : int, optional
        Rounds of smoothing, at most.
    fold_angle : float, optional
        Degrees between neighbouring normals above which the two faces count as folded.

    Returns
    -------
    SurfaceMesh
        With moved vertices; the input itself if it has no such faces.
    """
    fixed = np.zeros(mesh.n_vertices, dtype=bool)
    fixed[topology.boundary_edges(mesh)] = True
    mean = _averaging_matrix(mesh.faces, mesh.n_vertices, fixed)
    for round_number in range(rounds):
        bad = _bad_vertices(mesh, fold_angle)
        if not bad.any():
            return mesh
        for _ in range(1 + round_number // 10):
            bad[mesh.faces[bad[mesh.faces].any(axis=1)]] = True
        points = mesh.vertices.astype(np.float64)
        for _ in range(3):
            points = np.where(bad[:, None], np.asarray(mean @ points), points)
        mesh = mesh.with_vertices(points.astype(mesh.dtype))
    if _bad_vertices(mesh, fold_angle).any():
        log.info("%d folded faces are left after %d rounds", topology.quality(mesh).n_folded, rounds)
    return mesh


def _bad_vertices(mesh: SurfaceMesh, fold_angle: float) -> Bools:
    """Tell which vertices belong to a folded or zero-area face, (n_vertices,) bool; `fold_angle` in degrees."""
    bad = np.zeros(mesh.n_vertices, dtype=bool)
    bad[mesh.faces[topology.folded_edges(mesh, fold_angle=fold_angle)]] = True
    bad[mesh.faces[topology.zero_area_faces(mesh)]] = True
    return bad
