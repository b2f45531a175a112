"""What a fit has to know of the kind of mesh that it moves, and nothing else in the loop does."""

from __future__ import annotations

import dataclasses
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..image.volume import Volume
from ..masks import mesh_to_mask
from ..mesh.remesh import needs_remesh, remesh
from ..mesh.surface import SurfaceMesh

__all__ = ["Body", "SurfaceBody", "region_around"]

MeshT = TypeVar("MeshT")


class Body(Protocol[MeshT]):
    """A kind of mesh: which voxels one concerns, and how its elements are kept in shape."""

    def region(self, mesh: MeshT, margin: float) -> npt.NDArray[np.bool_]:
        """All voxels that belong to the mesh or lie within `margin` µm of it, (z, y, x) bool."""

    def care(self, mesh: MeshT) -> MeshT | None:
        """A better mesh of the same shape where its elements have degraded, else None."""


@dataclasses.dataclass(frozen=True, eq=False)
class SurfaceBody:
    """A closed surface in an image.

    Parameters
    ----------
    volume : Volume
    edge : float
        Mean length of the edges to keep, µm.
    """

    volume: Volume
    edge: float

    def region(self, mesh: SurfaceMesh, margin: float) -> npt.NDArray[np.bool_]:
        """The inside of the surface and `margin` µm around it."""
        return region_around(mesh, self.volume, margin)

    def care(self, mesh: SurfaceMesh) -> SurfaceMesh | None:
        """Edges split, collapsed and flipped where triangles have degraded."""
        return remesh(mesh, self.edge) if needs_remesh(mesh, self.edge) else None


def region_around(mesh: SurfaceMesh, volume: Volume, margin: float) -> npt.NDArray[np.bool_]:
    """All voxels inside a closed surface or within `margin` µm of it, (z, y, x) bool."""
    inside = mesh_to_mask(mesh, volume.grid)
    if not inside.any():
        return inside
    return ndimage.distance_transform_edt(~inside, sampling=volume.spacing) <= margin
