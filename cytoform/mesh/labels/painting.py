"""Label images from meshes of touching cells."""

from __future__ import annotations

import logging
from typing import Protocol

import numpy as np

from ..._typing import Array, Ints
from ...errors import MeshError
from ...kernels import label_rows
from .. import topology
from ..multimaterial import MultiMaterialMesh

__all__ = ["GridLike", "labels_from_mesh"]

log = logging.getLogger(__name__)


class GridLike(Protocol):
    """The sampling of an image: :class:`cytoform.Grid`, or anything with its shape, spacing and origin."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of voxels, (z, y, x)."""

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size in µm, (z, y, x)."""

    @property
    def origin(self) -> tuple[float, float, float]:
        """Position of the centre of voxel (0, 0, 0) in µm, (z, y, x)."""


def labels_from_mesh(mesh: MultiMaterialMesh, grid: GridLike) -> Array:
    """Return the label image of a mesh of touching cells: the region in which the centre of each voxel lies.

    Each row of voxels along x is a ray; where it passes a face, the label becomes that of the region on the face's
    other side. A centre exactly on a face counts as if it were slightly further along all axes, so that no voxel is
    lost between two cells. What lies outside of the grid is cropped.

    Parameters
    ----------
    mesh : MultiMaterialMesh
        The cells; every region closed, normals from region labels[:, 0] to labels[:, 1].
    grid : Grid
        Sampling of the image, µm.

    Returns
    -------
    (z, y, x) int32 or int64
        Region numbers; 0 outside. int64 where a number needs it.

    Raises
    ------
    MeshError
        When a region is open: no label could be told.
    """
    lonely = topology.boundary_edges(mesh)
    if len(lonely):
        raise MeshError(
            f"the mesh is open: {len(lonely)} edges have only one face; expected closed regions.",
            remedy="Repair it with cytoform.mesh.repair, or export it again.",
        )
    shape = np.array(grid.shape, dtype=np.int64)
    points = np.ascontiguousarray((mesh.vertices - np.asarray(grid.origin)) / np.asarray(grid.spacing), np.float64)
    numbers, index = np.unique(np.concatenate([[0], mesh.labels.reshape(-1)]), return_inverse=True)
    pairs = index.reshape(-1)[1:].reshape(-1, 2).astype(np.int64)
    start: Ints = np.zeros(int(shape[0] * shape[1]) + 1, dtype=np.int64)
    label_rows.count_crossings(points, mesh.faces, shape, start)
    start = np.cumsum(start)
    place, face = np.empty(start[-1]), np.empty(start[-1], dtype=np.int64)
    label_rows.fill_crossings(points, mesh.faces, shape, start[:-1], place, face)
    painted = np.empty(tuple(grid.shape), dtype=np.int32)
    wrong = label_rows.paint_rows(start[:-1], place, face, pairs, painted)
    if wrong:
        log.warning("faces and labels of the mesh contradict each other at %d of %d places; repair it first", wrong,
                    len(place))  # fmt: skip
    dtype = np.int32 if numbers.max() < 2**31 else np.int64
    labels: Array = numbers.astype(dtype)[painted]
    return labels
