"""Move vertices within the surface, and smooth folds out of it."""

from __future__ import annotations

import logging

import numpy as np
from scipy.sparse import csr_matrix, diags

from ..._typing import Bools, Floats, Ints
from .. import geometry, topology
from ..closest import Reference
from ..surface import SurfaceMesh
from .edges import connect, neighbours
from .fairness import SLIVER, TURN, cosine, doubled, evenness

__all__ = ["relax", "untangle"]

log = logging.getLogger(__name__)


def _average(faces: Ints, n_vertices: int, fixed: Bools) -> csr_matrix:
    """The matrix that gives every vertex the mean of its neighbours (fixed and unused ones stay)."""
    wide = neighbours(topology.edges(faces), n_vertices)
    degree = np.asarray(wide.sum(axis=1)).reshape(-1)
    still = (degree == 0) | fixed
    scale = np.where(still, 0.0, 1.0 / np.maximum(degree, 1.0))
    return (diags(scale) @ wide + diags(still.astype(np.float64))).tocsr()


def relax(points: Floats, faces: Ints, reference: Reference | None) -> Floats:
    """Move each vertex within the surface towards the area-weighted centre of its neighbourhood, then project."""
    n_vertices = len(points)
    net = connect(faces, n_vertices)
    corners = points[faces]
    areas = 0.5 * np.linalg.norm(doubled(corners), axis=1)
    weight = np.bincount(faces.reshape(-1), weights=np.repeat(areas, 3), minlength=n_vertices)
    centres = areas[:, None] * corners.mean(axis=1)
    target = np.stack([np.bincount(faces.reshape(-1), np.repeat(c, 3), n_vertices) for c in centres.T], axis=1)
    target = np.divide(target, weight[:, None], out=points.copy(), where=weight[:, None] > 0)
    normals = geometry.vertex_normals(points, faces)
    step = target - points
    step -= np.einsum("ij,ij->i", step, normals)[:, None] * normals
    step[net.fixed] = 0.0
    moved = points + step
    if reference is not None:
        moved = np.where(net.fixed[:, None], points, reference.project(moved, normals))
    return _hold_back(points, moved, faces)


def _hold_back(points: Floats, moved: Floats, faces: Ints) -> Floats:
    """Undo the moves that turn a face over, fold it onto a neighbour or flatten it."""
    before, quality = doubled(points[faces]), evenness(points[faces])
    pairs = topology.interior_edges(faces)[0] // 3
    folds = cosine(before[pairs[:, 0]], before[pairs[:, 1]])
    for _ in range(10):
        after = doubled(moved[faces])
        bad = (cosine(before, after) < TURN) | (evenness(moved[faces]) < np.minimum(SLIVER, 0.9 * quality))
        new = cosine(after[pairs[:, 0]], after[pairs[:, 1]])
        bad[pairs[new < np.minimum(-0.5, folds - 1e-9)]] = True
        if not bad.any():
            return moved
        moved = moved.copy()
        back = np.unique(faces[bad])
        moved[back] = points[back]
    return points


def untangle(mesh: SurfaceMesh, *, rounds: int = 60, fold_angle: float = topology.FOLD_ANGLE) -> SurfaceMesh:
    """Smooth around folded and zero-area faces until there are none; the connectivity stays.

    The patch that is smoothed grows by a ring every 10 rounds, so that a stubborn fold is ironed out over a wider
    area. What is left after the last round is logged. Boundary vertices stay.

    Parameters
    ----------
    mesh : SurfaceMesh
    rounds : int
    fold_angle : float
        Degrees between neighbouring normals from which on the two faces count as folded.
    """
    fixed = np.zeros(mesh.n_vertices, dtype=bool)
    fixed[topology.boundary_edges(mesh)] = True
    mean = _average(mesh.faces, mesh.n_vertices, fixed)
    for turn in range(rounds):
        bad = _bad_vertices(mesh, fold_angle)
        if not bad.any():
            return mesh
        for _ in range(1 + turn // 10):
            bad[mesh.faces[bad[mesh.faces].any(axis=1)]] = True
        points = mesh.vertices.astype(np.float64)
        for _ in range(3):
            points = np.where(bad[:, None], mean @ points, points)
        mesh = mesh.with_vertices(points.astype(mesh.dtype))
    if _bad_vertices(mesh, fold_angle).any():
        log.info("%d folded faces are left after %d rounds", topology.quality(mesh).n_folded, rounds)
    return mesh


def _bad_vertices(mesh: SurfaceMesh, fold_angle: float) -> Bools:
    bad = np.zeros(mesh.n_vertices, dtype=bool)
    bad[mesh.faces[topology.folded_edges(mesh, fold_angle=fold_angle)]] = True
    bad[mesh.faces[topology.zero_area_faces(mesh)]] = True
    return bad
