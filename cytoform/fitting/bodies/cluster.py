"""A cluster of cells that share their interfaces: one mesh whose faces part two regions each."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..._typing import Bools, Floats
from ...errors import FitError
from ...image.volume import Grid
from ...masks import mesh_to_mask
from ...mesh import geometry, topology
from ...mesh.multimaterial import MultiMaterialMesh
from .base import Body
from .measures import Measure
from .registry import register_body

__all__ = ["ClusterBody"]

KEPT = (
    "The triangles of the cluster are not mended while it moves: a start that is far off will wear them out. Standard "
    "errors are not worked out for clusters."
)


def enclosed(mesh: MultiMaterialMesh, grid: Grid) -> Bools:
    """Find the voxels inside any of a cluster's regions, (z, y, x)."""
    inside = np.zeros(grid.shape, dtype=bool)
    for region in mesh.regions().values():
        inside |= mesh_to_mask(region, grid)
    return inside


def volume_and_area(mesh: MultiMaterialMesh) -> Mapping[str, Measure]:
    """Measure the volume of all regions together, µm³, and the area of all interfaces, each counted once, µm²."""
    out = (mesh.labels > 0).astype(np.float64) @ np.array([1.0, -1.0])  # 0 where a face parts two regions
    parts = mesh.vertices, mesh.faces
    volume = geometry.volume_gradient(*parts) * out[:, None, None]
    slopes = volume, geometry.area_gradient(*parts)
    slopes = (geometry.sum_at_vertices(slope, mesh.faces, mesh.n_vertices) for slope in slopes)
    values = sum(mesh.region_volumes().values()), mesh.area
    return {name: Measure(v, s) for name, v, s in zip(("volume_um3", "area_um2"), values, slopes)}


@register_body
class ClusterBody(Body[MultiMaterialMesh]):
    """A cluster from a mesh that the user gives, as :class:`.Body` has it; its triangles stay as they are."""

    kind = "cluster"
    mesh_class = MultiMaterialMesh
    branching = True
    voxels = staticmethod(enclosed)
    measures = staticmethod(volume_and_area)

    def checked(self, mesh: MultiMaterialMesh) -> tuple[MultiMaterialMesh, tuple[str, ...]]:
        """Refuse clusters with a region that is open or wound the wrong way, or that lie outside of the image."""
        for number, region in mesh.regions().items():
            if not topology.is_closed(region):
                raise FitError(
                    f"region {number} of the cluster {topology.gaps(region)}; expected a closed surface.",
                    remedy="Close its holes first.",
                )
            if region.volume <= 0:
                raise FitError(
                    f"region {number} of the cluster is wound the wrong way: its volume is {region.volume:.3g} µm³.",
                    remedy="Turn its faces first: MultiMaterialMesh.repaired().",
                )
        mesh = mesh.without_unused_vertices().astype(np.float64)
        if not self.inside(mesh).any():
            raise FitError(
                "no voxel of the image lies inside the cluster.",
                remedy="Is the mesh in µm, in the image's frame? Coordinates are (z, y, x) in Python.",
            )
        return mesh, (KEPT,)

    def pattern(self, mesh: MultiMaterialMesh) -> Floats:
        """Return 2 between two cells, where two membranes lie, and 1 elsewhere."""
        return np.where((mesh.labels > 0).all(axis=1), 2.0, 1.0)
