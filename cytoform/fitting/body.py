"""What a fit has to know of the kind of mesh that it moves, and nothing else in the loop does."""

from __future__ import annotations

import dataclasses
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.sparse import csr_matrix

from ..image.volume import Volume
from ..masks import mesh_to_mask
from ..mesh import topology
from ..mesh.closest import interpolation
from ..mesh.remesh import faces_around, needs_remesh, remesh, uneven, worn_faces
from ..mesh.surface import SurfaceMesh
from .initial import halo_of, typical_voxel
from .prior import Contact, Prior, Smoothness
from .staining import StainingPrior
from .surroundings import AROUND, OFF, neighbours_beyond

__all__ = ["Body", "SurfaceBody", "region_around"]

MeshT = TypeVar("MeshT")
# What a triangle may become before it is mended; in the last stage a change of triangles costs more than a poor one.
BOUNDS = {"shortest": 0.33, "longest": 2.0, "min_angle": 14.0}
LAST_BOUNDS = {"shortest": 0.1, "longest": 3.0, "min_angle": 4.0}
LOST = 0.02  # of the volume: a remeshing that changes more of it does not keep the shape
RINGS = 3  # of faces around worn ones that are remeshed with them


class Body(Protocol[MeshT]):
    """A kind of mesh: which voxels one concerns, and how its elements are kept in shape."""

    def region(self, mesh: MeshT, margin: float, own: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """All voxels that belong to the mesh or to `own`, or lie within `margin` µm of them, (z, y, x) bool."""

    def neighbours(
        self, mesh: MeshT, others: npt.NDArray[np.bool_], reach: float, own: npt.NDArray[np.bool_] | None = None
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Bright voxels of neighbours and where their light reaches, given what is bright beside the cell.

        `reach` in voxels: what is nearer, to the mesh or to the voxels `own` that it is to become, may be its own.
        """

    def sources(self, mesh: MeshT, others: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Voxels that neighbours' light may come from, (z, y, x) bool."""

    def worn(self, mesh: MeshT, *, last: bool) -> bool:
        """Whether its elements have degraded; the last stage puts up with more."""

    def care(self, mesh: MeshT, *, last: bool) -> MeshT | None:
        """A better mesh of the same shape where its elements have degraded, else None."""

    def carry(self, mesh: MeshT, better: MeshT) -> csr_matrix:
        """The matrix that takes values at the vertices of one to those of the other."""

    def sound(self, mesh: MeshT) -> bool:
        """Whether it neither folds nor crosses itself."""

    def smoothness(self, mesh: MeshT, weights: npt.NDArray[np.float64] | None = None) -> Smoothness:
        """The energy of a rough surface, for the mesh's connectivity and what each vertex counts for."""

    def contact(self, mesh: MeshT, move: float) -> Prior:
        """What keeps parts that lie face to face, or come to after moves of so many µm, from passing through each
        other, from where they lie now."""

    def staining(self, mesh: MeshT, spread: float, reach: float) -> StainingPrior:
        """What is known of the density's logarithm, for the mesh's connectivity."""


@dataclasses.dataclass(frozen=True, eq=False)
class SurfaceBody:
    """A closed surface in an image.

    Parameters
    ----------
    volume : Volume
    edge : float
        Mean length of the edges to keep, µm.
    measured : (z, y, x) bool, optional
        Voxels that the microscope measured; all by default. The others never count.
    """

    volume: Volume
    edge: float
    measured: npt.NDArray[np.bool_] | None = None

    def region(self, mesh: SurfaceMesh, margin: float, own: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """The inside of the surface, `own`, and `margin` µm around them, where the image was measured."""
        region = region_around(mesh_to_mask(mesh, self.volume.grid) | own, self.volume, margin)
        return region if self.measured is None else region & self.measured

    def neighbours(
        self, mesh: SurfaceMesh, others: npt.NDArray[np.bool_], reach: float, own: npt.NDArray[np.bool_] | None = None
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """By a watershed from the surface and from what lies beyond `reach` voxels of it and of `own`."""
        inside = mesh_to_mask(mesh, self.volume.grid)
        theirs = neighbours_beyond(inside, others, self.volume, reach * typical_voxel(self.volume.spacing), own)
        return theirs, halo_of(theirs, self.volume.spacing)

    def sources(self, mesh: SurfaceMesh, others: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """What is bright of the neighbours, and around it what is not next to the surface.

        The first stays whatever the surface does: were it to make way, a surface could creep into a neighbour.
        """
        voxel = typical_voxel(self.volume.spacing)
        away = ndimage.distance_transform_edt(~mesh_to_mask(mesh, self.volume.grid), sampling=self.volume.spacing)
        return others | (region_around(others, self.volume, AROUND * voxel) & (away > OFF * voxel))

    def worn(self, mesh: SurfaceMesh, *, last: bool) -> bool:
        """Whether a triangle has an edge or an angle out of bounds, or many edges are somewhat out of them."""
        return bool(self._worn(mesh, last).any()) or uneven(mesh, self.edge)

    def care(self, mesh: SurfaceMesh, *, last: bool) -> SurfaceMesh | None:
        """Edges split, collapsed and flipped: around the worn triangles, and where that does not do, everywhere.

        None also where no remeshing leaves fewer worn triangles on a sound surface of the same volume.
        """
        worn, everywhere = self._worn(mesh, last), needs_remesh(mesh, self.edge, min_angle=0.0)
        if not (worn.any() or everywhere):
            return None
        if not everywhere:
            better = remesh(mesh, self.edge, within=faces_around(mesh, worn, RINGS))
            if not self._worn(better, last).any() and self._same(better, mesh):
                return better
        better = remesh(mesh, self.edge)
        gained = everywhere or self._worn(better, last).sum() < worn.sum()
        return better if better is not mesh and gained and self._same(better, mesh) else None

    def _worn(self, mesh: SurfaceMesh, last: bool) -> npt.NDArray[np.bool_]:
        return worn_faces(mesh, self.edge, **(LAST_BOUNDS if last else BOUNDS))

    def _same(self, better: SurfaceMesh, mesh: SurfaceMesh) -> bool:
        return abs(better.volume - mesh.volume) <= LOST * abs(mesh.volume) and self.sound(better)

    def carry(self, mesh: SurfaceMesh, better: SurfaceMesh) -> csr_matrix:
        """Linear within the closest face."""
        return interpolation(mesh, better.vertices)

    def sound(self, mesh: SurfaceMesh) -> bool:
        """No folded or empty faces, no self-intersections."""
        return topology.quality(mesh).sound and topology.self_intersections(mesh) == 0

    def smoothness(self, mesh: SurfaceMesh, weights: npt.NDArray[np.float64] | None = None) -> Smoothness:
        """How fast the curvature changes, over the length of an edge."""
        return Smoothness(mesh, self.edge, weights)

    def contact(self, mesh: SurfaceMesh, move: float) -> Prior:
        """By the gap along the normal; pairs are sought as far as two moves along it may bring together."""
        return Contact(mesh, self.edge, 1.5 * self.edge + 2.0 * move)

    def staining(self, mesh: SurfaceMesh, spread: float, reach: float) -> StainingPrior:
        """A random field of a standard deviation and a range, µm."""
        return StainingPrior(mesh, self.edge, spread, reach)


def region_around(inside: npt.NDArray[np.bool_], volume: Volume, margin: float) -> npt.NDArray[np.bool_]:
    """All voxels of a mask and within `margin` µm of it, (z, y, x) bool."""
    if not inside.any():
        return inside
    return ndimage.distance_transform_edt(~inside, sampling=volume.spacing) <= margin
