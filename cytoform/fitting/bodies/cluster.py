"""A cluster of cells that share interfaces: one mesh, each of whose faces separates two regions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

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
    "The triangles of the cluster are not remeshed while it moves, so they degrade if the start is far off. Standard "
    "errors are not computed for clusters."
)


def enclosed(mesh: MultiMaterialMesh, grid: Grid) -> Bools:
    """Return the voxels inside any of a cluster's regions, (z, y, x) bool."""
    inside = np.zeros(grid.shape, dtype=bool)
    for region in mesh.regions().values():
        inside |= mesh_to_mask(region, grid)
    return inside


def volume_and_area(mesh: MultiMaterialMesh) -> Mapping[str, Measure]:
    """Measure the total volume of the regions, µm³, and the area of all interfaces, each counted once, µm².

    Returns a Measure each, under ``volume_um3`` and ``area_um2``.
    """
    out = (mesh.labels > 0).astype(np.float64) @ np.array([1.0, -1.0])  # 0 where a face parts two regions
    parts = mesh.vertices, mesh.faces
    volume = geometry.volume_gradient(*parts) * out[:, None, None]
    at_corners = volume, geometry.area_gradient(*parts)
    slopes = (geometry.sum_at_vertices(slope, mesh.faces, mesh.n_vertices) for slope in at_corners)
    values = mesh.volume, mesh.area
    return {name: Measure(v, s) for name, v, s in zip(("volume_um3", "area_um2"), values, slopes)}


@register_body
class ClusterBody(Body[MultiMaterialMesh]):
    """A cluster that starts from a mesh of the user's; its triangles are not remeshed."""

    kind = "cluster"
    mesh_class = MultiMaterialMesh
    branching = True
    voxels = staticmethod(enclosed)
    measures: ClassVar[Callable[[Any], Mapping[str, Measure]]] = staticmethod(volume_and_area)

    def checked(self, mesh: MultiMaterialMesh) -> tuple[MultiMaterialMesh, tuple[str, ...]]:
        """Return a cluster in float64 without unused vertices, with a remark that its triangles stay as they are.

        Raises FitError if a region is open or wound the wrong way, or if no voxel of the image lies inside.
        """
        for number, region in mesh.regions().items():
            if not topology.is_closed(region):
                raise FitError(
                    f"region {number} of the cluster {topology.describe_gaps(region)}; expected a closed surface.",
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
        """Return 2 for faces between two cells, which carry two membranes, and 1 for the others, (n_faces,)."""
        return np.where((mesh.labels > 0).all(axis=1), 2.0, 1.0)
