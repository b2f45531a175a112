"""A cluster of cells that share their interfaces: one mesh whose faces part two regions each."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ...errors import FitError, MeshError
from ...image.volume import Grid
from ...masks import mesh_to_mask
from ...mesh import geometry, topology
from ...mesh.multimaterial import MultiMaterialMesh
from .base import Body
from .measures import Measure
from .registry import register_body

__all__ = ["ClusterBody"]

Bools = npt.NDArray[np.bool_]
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
            if not topology.is_closed(region) or region.volume <= 0:
                what = topology.gaps(region) if not topology.is_closed(region) else "is wound the wrong way"
                raise FitError(
                    f"region {number} of the cluster {what}; expected a closed surface.",
                    remedy="Mend it first: MultiMaterialMesh.repaired().",
                )
        mesh = mesh.without_unused_vertices().astype(np.float64)
        if not self.inside(mesh).any():
            raise FitError(
                "no voxel of the image lies inside the cluster.",
                remedy="Is the mesh in µm, in the image's frame? Coordinates are (z, y, x) in Python.",
            )
        return mesh, (KEPT,)

    def starts(self, mask: Bools, init: str) -> list[MultiMaterialMesh]:
        """Refuse: a cluster is not found in an image yet."""
        raise MeshError("a cluster cannot be found in an image.", remedy="Give a mesh of it to start from.")
