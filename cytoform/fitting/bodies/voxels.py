"""The voxels that a body concerns: its inside, its region of interest, and those of its neighbours."""

from __future__ import annotations

import abc
import weakref
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..._typing import Bools, Floats
from ...image.volume import Grid
from ...mesh import geometry
from ...mesh.protocol import Mesh
from ...optics import PSF
from ..constants import LAST_STAGE_OWN_MEMBRANE_DISTANCE, OWN_MEMBRANE_DISTANCE
from ..neighbours import emission_mask, exclude_neighbour_light, neighbour_mask
from ..problem import padding_for

if TYPE_CHECKING:
    from ..scene import Scene

__all__ = ["BodyVoxels", "MeshT"]

MeshT = TypeVar("MeshT", bound=Mesh)


class BodyVoxels(abc.ABC, Generic[MeshT]):
    """The part of a body that decides about voxels; see :class:`.Body`.

    Parameters
    ----------
    scene : Scene
        The image.
    edge : float
        Mean length of the mesh's edges to keep, µm.
    """

    def __init__(self, scene: Scene, edge: float) -> None:
        self.scene, self.edge = scene, edge
        self._last_mesh: weakref.ref[MeshT] | None = None
        self._distances: Floats | None = None

    @staticmethod
    @abc.abstractmethod
    def voxels(mesh: Any, grid: Grid) -> Bools:
        """Return the voxels of a grid whose centres lie inside a mesh.

        Parameters
        ----------
        mesh : Mesh
            A mesh of this kind, µm.
        grid : Grid
            Grid of the voxels.

        Returns
        -------
        (z, y, x) bool
            The mask.
        """

    def inside(self, mesh: MeshT) -> Bools:
        """Return the voxels of the image inside a mesh; the result for the last mesh is kept.

        Parameters
        ----------
        mesh : Mesh
            A mesh of this kind, µm.

        Returns
        -------
        (z, y, x) bool
            The mask.
        """
        if self._last_mesh is None or self._last_mesh() is not mesh:
            self._inside, self._distances = self.voxels(mesh, self.scene.grid), None
            self._last_mesh = weakref.ref(mesh)
        return self._inside

    def distance_outside(self, mesh: MeshT) -> Floats:
        """Return the distance of every voxel of the image from the inside of a mesh.

        Parameters
        ----------
        mesh : Mesh
            A mesh of this kind, µm.

        Returns
        -------
        (z, y, x) float64
            In µm; 0 inside.
        """
        inside = self.inside(mesh)
        if self._distances is None:
            self._distances = self.scene.distance_from(inside)
        return self._distances

    def forget_distances(self) -> None:
        """Free the distances that :meth:`distance_outside` keeps: they take more memory than the image."""
        self._distances = None

    def region(self, mesh: MeshT, margin: float, cell: Bools, neighbours: Bools, *, last: bool) -> Bools:
        """Return the region of interest: the inside of the surface and `cell`, and all voxels within `margin` of them.

        Voxels that were not measured, and those that neighbours' light spoils, are left out.

        Parameters
        ----------
        mesh : Mesh
            The surface as it is.
        margin : float
            µm.
        cell : (z, y, x) bool
            The bright object that the surface is to become; empty where none is known.
        neighbours : (z, y, x) bool
            Bright voxels of neighbours.
        last : bool
            True in the last stage, in which neighbours' light is modelled and spoils no voxel.

        Returns
        -------
        (z, y, x) bool
            The mask.
        """
        if cell.any():
            region = self.scene.dilated(self.inside(mesh) | cell, margin)
        else:
            region = self.distance_outside(mesh) <= margin if self.inside(mesh).any() else self.inside(mesh)
        region = region if self.scene.measured is None else region & self.scene.measured
        return exclude_neighbour_light(region, neighbours, self.scene, last=last)

    def padding(self, mesh: MeshT, psf: PSF, region: Bools) -> tuple[float, float, float]:
        """Return the padding that a rendering needs around a region's box (:func:`.padding_for`).

        Parameters
        ----------
        mesh : Mesh
            A mesh of this kind, µm.
        psf : PSF
            The optics.
        region : (z, y, x) bool
            The region of interest.

        Returns
        -------
        (3,) float
            In µm, (z, y, x).
        """
        return padding_for(geometry.used_points(mesh.vertices, mesh.faces), psf, region, self.scene.grid)

    def neighbours(self, mesh: MeshT, candidates: Bools, cell: Bools | None = None, *, last: bool) -> Bools:
        """Find the candidates that belong to neighbours, judged from the surface as it is (:func:`.neighbour_mask`).

        Parameters
        ----------
        mesh : Mesh
            The surface as it is.
        candidates : (z, y, x) bool
            Bright voxels beside the cell.
        cell : (z, y, x) bool, optional
            The bright object that the surface is to become.
        last : bool
            True in the last stage: the surface then lies closer to its own membrane.

        Returns
        -------
        (z, y, x) bool
            The mask.
        """
        if not candidates.any():
            return candidates
        reach = (LAST_STAGE_OWN_MEMBRANE_DISTANCE if last else OWN_MEMBRANE_DISTANCE) * self.scene.voxel
        inside, away = self.inside(mesh), self.distance_outside(mesh)
        return neighbour_mask(inside, away, candidates, self.scene, reach, cell)

    def emission_mask(self, mesh: MeshT, neighbours: Bools) -> Bools:
        """Mark the voxels that may emit neighbours' light.

        Parameters
        ----------
        mesh : Mesh
            A mesh of this kind, µm.
        neighbours : (z, y, x) bool
            Bright voxels of neighbours.

        Returns
        -------
        (z, y, x) bool
            The voxels of `neighbours`, and those close around them unless they are inside of the surface or next to it.
        """
        return emission_mask(self.distance_outside(mesh), neighbours, self.scene)
