"""Repair a mesh of touching cells, and say what was changed."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix, diags

from ..._typing import Floats, Ints
from ...errors import MeshError
from .. import geometry, topology
from ..crossing import crossing_faces
from ..multimaterial import MultiMaterialMesh
from .edges import cell_edges
from .parting import part_touching_sheets
from .validity import CellsValidity, check_cells

__all__ = ["RepairedCells", "repair_cells"]

_ROUNDS = 40  # of smoothing around crossing faces
_EMPTY = 1e-6  # share of a cell's volume below which a separate piece of its surface is dropped


@dataclasses.dataclass(frozen=True)
class RepairedCells:
    """A repaired mesh of touching cells.

    Parameters
    ----------
    mesh : MultiMaterialMesh
        The mesh after the repair.
    changes : tuple of str
        What was changed, one sentence each; empty if nothing was.
    before, after : CellsValidity
        The defects before and after it.
    """

    mesh: MultiMaterialMesh
    changes: tuple[str, ...]
    before: CellsValidity
    after: CellsValidity


def repair_cells(mesh: MultiMaterialMesh) -> RepairedCells:
    """Repair what can be repaired in a mesh of touching cells without guessing.

    In turn: coinciding ends of edges are merged, faces without area and pairs of equal faces dropped, faces turned
    until windings agree with the labels (:meth:`MultiMaterialMesh.repaired`); sheets that only touch along an edge or
    at a vertex are parted; separate pieces that enclose nothing are dropped; vertices around crossing faces are
    smoothed along their sheets and lines while that makes fewer of them.

    Parameters
    ----------
    mesh : MultiMaterialMesh
        The cells; not changed.

    Returns
    -------
    RepairedCells
        The mesh, the changes, and the defects before and after. A sound mesh comes back as it is.

    Raises
    ------
    MeshError
        When a region is open, or windings contradict the labels, and stay so: which, and how many edges.
    """
    before = check_cells(mesh)
    if before.sound:
        return RepairedCells(mesh, (), before, before)
    changes = []
    made = mesh.repaired()
    if made.n_faces < mesh.n_faces:
        changes.append(f"dropped {mesh.n_faces - made.n_faces} faces without area or in equal pairs")
    if turned := _count_turned(mesh, made):
        changes.append(f"turned {turned} faces whose winding disagreed with their labels")
    parted, n_parted = part_touching_sheets(made)
    if n_parted:
        changes.append(f"parted sheets that only touched, at {n_parted} vertices")
    whole, n_pieces = _drop_empty_pieces(parted)
    if n_pieces:
        changes.append(f"dropped {n_pieces} pieces that enclosed nothing, {parted.n_faces - whole.n_faces} faces")
    smoothed, n_moved = _smooth_crossings(whole)
    if n_moved:
        changes.append(f"smoothed {n_moved} vertices around faces that crossed")
    after = check_cells(smoothed)
    if not after.closed:
        raise MeshError(
            f"the mesh of cells cannot be repaired: {'; '.join(after.describe())}.",
            remedy="Fill the gaps or correct the labels where the mesh was made, and export it again.",
        )
    return RepairedCells(smoothed, tuple(changes), before, after)


def _count_turned(mesh: MultiMaterialMesh, made: MultiMaterialMesh) -> int:
    """Return how many faces of a repaired mesh run the other way than in the first one, by their corners' positions."""

    def turns(which: MultiMaterialMesh) -> dict[bytes, bool]:
        """Return for each face, by the positions of its corners, which way it runs around them."""
        points = which.vertices[which.faces].astype(np.float64) + 0.0
        order = np.lexsort(points.transpose(2, 0, 1), axis=1)
        placed = np.take_along_axis(points, order[:, :, None], axis=1)
        even = (order[:, 1] - order[:, 0]) % 3 == 1
        return {face.tobytes(): bool(e) for face, e in zip(placed, even)}

    old, new = turns(mesh), turns(made)
    return sum(1 for key, turn in new.items() if key in old and old[key] != turn)


def _drop_empty_pieces(mesh: MultiMaterialMesh) -> tuple[MultiMaterialMesh, int]:
    """Return the mesh without separate pieces that enclose next to nothing, and their number.

    Such a piece has at each of its cells less than 1e-6 of that cell's volume.
    """
    piece = topology.components(mesh.faces)
    numbers = np.array(mesh.region_ids)
    cones = geometry.face_volumes(mesh.vertices, mesh.faces)
    found = np.zeros((int(piece.max()) + 1, len(numbers)))
    for side, sign in ((0, 1.0), (1, -1.0)):
        inner = mesh.labels[:, side] > 0
        np.add.at(found, (piece[inner], np.searchsorted(numbers, mesh.labels[inner, side])), sign * cones[inner])
    empty = (np.abs(found) <= _EMPTY * np.abs(found.sum(axis=0))).all(axis=1)
    keep = ~empty[piece]
    if keep.all() or not keep.any():
        return mesh, 0
    rest = dataclasses.replace(
        mesh, faces=mesh.faces[keep], labels=mesh.labels[keep], density=mesh.density[keep],
        jump=None if mesh.jump is None else mesh.jump[keep],
        cropped=None if mesh.cropped is None else mesh.cropped[keep],
    )  # fmt: skip
    return rest.without_unused_vertices(), int(empty.sum())


def _smooth_crossings(mesh: MultiMaterialMesh) -> tuple[MultiMaterialMesh, int]:
    """Return the mesh with vertices near crossing faces smoothed while that reduces crossings, and how many moved."""
    mean, best = _mean_along_kind(mesh), mesh
    points = mesh.vertices.astype(np.float64)
    pairs = crossing_faces(points, mesh.faces)
    least = len(pairs)
    for turn in range(_ROUNDS):
        if len(pairs) == 0:
            break
        near = np.zeros(mesh.n_vertices, dtype=bool)
        near[mesh.faces[pairs.reshape(-1)]] = True
        for _ in range(turn // 10):
            near[mesh.faces[near[mesh.faces].any(axis=1)]] = True
        points = np.where(near[:, None], 0.5 * points + 0.5 * np.asarray(mean @ points), points)
        pairs = crossing_faces(points, mesh.faces)
        if len(pairs) < least:
            least, best = len(pairs), mesh.with_vertices(points.astype(mesh.dtype))
    return best, int((best.vertices != mesh.vertices).any(axis=1).sum())


def _mean_along_kind(mesh: MultiMaterialMesh) -> csr_matrix[np.float64]:
    """Return the matrix that takes the mean of a vertex's neighbours: on lines those on the line; corners stay."""
    edges, n = cell_edges(mesh), mesh.n_vertices
    degree: Ints = np.bincount(edges.ends[edges.on_line].reshape(-1), minlength=n)
    rows, cols = np.concatenate([edges.ends, edges.ends[:, ::-1]]).T
    weight: Floats = np.where(degree[rows] == 0, 1.0, (degree[rows] == 2) & np.tile(edges.on_line, 2)).astype(
        np.float64
    )
    matrix = csr_matrix(coo_matrix((weight, (rows, cols)), shape=(n, n)))
    total = np.asarray(matrix.sum(axis=1)).reshape(-1)
    return csr_matrix(diags(1.0 / np.maximum(total, 1.0)) @ matrix + diags((total == 0).astype(np.float64)))
