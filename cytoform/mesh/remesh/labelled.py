"""Remesh touching cells: sheets, junction lines and corners each along themselves, every region's topology kept."""

from __future__ import annotations

import dataclasses
import logging

import numpy as np

from ..._typing import Array, Floats, Ints
from .. import geometry, topology
from ..multimaterial import MultiMaterialMesh
from ..volumes import region_volumes
from .complexes import arrays_of, make_complex
from .finishing import give_volumes, remove_small_angles
from .quality import check_edge
from .sweeping import sweep

__all__ = ["remesh_cells", "side_numbers"]

log = logging.getLogger(__name__)

_VOLUME_STEPS = 2


def remesh_cells(
    mesh: MultiMaterialMesh, target_edge: float, *, iterations: int = 3, keep_volumes: bool = True
) -> MultiMaterialMesh:
    """Return the same touching cells with nearly equilateral triangles whose edges are close to `target_edge`.

    Long edges are split, short ones collapsed, edges within a sheet flipped, vertices moved along their sheet or
    junction line (Botsch and Kobbelt, SGP 2004); corners, where lines meet, stay. An edge is collapsed only under the
    link condition for complexes (Dey et al. 1999) in every region and on the lines, so that all regions, contacts,
    lines and corners stay. No faces cross or fold that did not before. New vertices lie on the curved surface; at the
    end the volumes of all regions are restored. Cropped faces stay in their plane.

    Parameters
    ----------
    mesh : MultiMaterialMesh
        Cells whose regions are closed and wound as their labels say; it is not changed.
    target_edge : float
        Wanted edge length in µm.
    iterations : int, optional
        Rounds of split, collapse, flip and relax.
    keep_volumes : bool, optional
        Whether the regions get their volumes back.

    Returns
    -------
    MultiMaterialMesh
        Same dtype; density and jump of a face are those of the face that it comes from. The mesh itself, with a
        warning, if a region is open.

    Raises
    ------
    ConfigError
        When `target_edge` is not positive.
    MeshError
        When so short an edge would need millions of faces.
    """
    target = check_edge(target_edge)
    if len(topology.boundary_edges(mesh)):
        log.warning("the mesh has edges with a single face; it is left as it is")
        return mesh
    numbers, pairs = _number_pairs(mesh)
    points = mesh.vertices.astype(np.float64)
    sides, held = side_numbers(mesh)
    working = np.where(sides[:, None] * (pairs == 0) < 0, sides[:, None], pairs)
    volumes = region_volumes(points, mesh.faces, pairs, len(numbers))
    c = make_complex(points, mesh.faces, working, held, target, 1.5)
    c = sweep(c, target, iterations)
    c = remove_small_angles(c, np.zeros((0, 3)), np.zeros((0, 3)), leave=False)
    if keep_volumes:
        for _ in range(_VOLUME_STEPS):
            give_volumes(c, volumes, 0.3 * target, hold_corners=True)
    made, faces, new_pairs, _, source = arrays_of(c)
    table = np.concatenate([[0], numbers])
    return dataclasses.replace(
        mesh,
        vertices=made.astype(mesh.dtype),
        faces=faces,
        labels=table[np.maximum(new_pairs, 0)],
        density=mesh.density[source],
        jump=None if mesh.jump is None else mesh.jump[source],
        cropped=None if mesh.cropped is None else mesh.cropped[source],
    )


def _number_pairs(mesh: MultiMaterialMesh) -> tuple[Ints, Ints]:
    """Return the mesh's region numbers, (n_regions,), and its labels as 0 and 1 … n_regions, (n_faces, 2)."""
    numbers = np.array(mesh.region_ids, dtype=np.int64)
    pairs = np.searchsorted(numbers, mesh.labels) + 1
    pairs[mesh.labels == 0] = 0
    return numbers, pairs


def side_numbers(mesh: MultiMaterialMesh) -> tuple[Ints, Ints]:
    """Return the side of the image on which each cropped face lies, and the axes along which vertices are held there.

    Parameters
    ----------
    mesh : MultiMaterialMesh
        The cells.

    Returns
    -------
    sides : (n_faces,) int64
        0 for a face that is not cropped; −1 to −6 for low z, high z, low y, high y, low x, high x; −7 if it is not flat
        on a side.
    held : (n_vertices,) int64
        Bits 1, 2, 4 for z, y, x; all three at faces of side −7.
    """
    sides, held = np.zeros(mesh.n_faces, dtype=np.int64), np.zeros(mesh.n_vertices, dtype=np.int64)
    if mesh.cropped is None:
        return sides, held
    at = np.flatnonzero(mesh.cropped)
    corners: Floats = geometry.corner_points(mesh.vertices, mesh.faces[at])
    low, high = mesh.bounds
    slack = 1e-5 * float((high - low).max())
    sides[at] = -7
    for axis in range(3):
        for end, place in enumerate((low[axis], high[axis])):
            flat = (np.abs(corners[:, :, axis] - place) <= slack).all(axis=1)
            sides[at[flat & (sides[at] == -7)]] = -1 - 2 * axis - end
    for side in np.unique(sides[at]):
        vertices: Array = mesh.faces[sides == side].reshape(-1)
        held[vertices] |= 7 if side == -7 else 1 << (int(-side) - 1) // 2
    return sides, held
