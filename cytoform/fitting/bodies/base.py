"""What a fit has to know of a kind of mesh; nothing else in the room names one."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from ...image.volume import Grid
from ...mesh.closest import interpolation
from ...mesh.io import read_mesh, write_mesh
from ...mesh.protocol import Mesh
from ..neighbours import light_sources, neighbours_seen_from, region_off
from ..priors.smoothness import Contact, Prior, Smoothness
from ..priors.staining import StainingPrior
from .measures import Measure, volume_and_area

if TYPE_CHECKING:
    from ..request import Request
    from ..scene import Scene
    from ..state import State

__all__ = ["Body"]

MeshT = TypeVar("MeshT", bound=Mesh)
Bools = npt.NDArray[np.bool_]
# Voxels: what is bright and nearer to the surface may be its own, before the last stage and in it.
REACH, LAST_REACH = 5.0, 3.0


class Body(abc.ABC, Generic[MeshT]):
    """A kind of mesh in an image: its start, the voxels it concerns, its upkeep, what is known of it beforehand.

    A new kind derives from this class in a file of its own, sets `kind` and `mesh_class`, writes the three abstract
    methods, replaces what is particular to it, and registers itself (:func:`.register_body`).

    Parameters
    ----------
    scene : Scene
        The image.
    edge : float
        Mean length of the mesh's edges to keep, µm.
    """

    kind: ClassVar[str]
    mesh_class: ClassVar[type]
    mesh_file: ClassVar[str] = "mesh.ply"

    def __init__(self, scene: Scene, edge: float) -> None:
        self.scene, self.edge = scene, edge

    # -- start ---------------------------------------------------------------------------------------------------------

    def begin(self, request: Request) -> State:
        """Make the state that a fit starts from; by default of one object in the image."""
        from ..start.begin import begin

        return begin(self, request)

    @abc.abstractmethod
    def checked(self, mesh: MeshT) -> MeshT:
        """Check a user's start and bring it into shape: float64, edges as long as wanted.

        Raises
        ------
        FitError
            When it cannot be a start.
        """

    @abc.abstractmethod
    def starts(self, mask: Bools, init: str) -> list[MeshT]:
        """Make starts for an object whose mask is known, the usual one first.

        Parameters
        ----------
        mask : (z, y, x) bool
        init : "auto", "ellipsoid", "sphere" or "label"
            The setting; "label" for further starts that follow the mask.
        """

    def tidied(self, mesh: MeshT) -> MeshT:
        """Bring the triangles of a moved start into shape; itself where they are good."""
        return mesh

    # -- voxels --------------------------------------------------------------------------------------------------------

    @staticmethod
    @abc.abstractmethod
    def voxels(mesh: Any, grid: Grid) -> Bools:
        """Find the voxels whose centre lies inside, (z, y, x)."""

    def inside(self, mesh: MeshT) -> Bools:
        """Return the voxels inside a mesh, worked out once for each."""
        return self.scene.inside(mesh, self.voxels)

    def region(self, mesh: MeshT, margin: float, cell: Bools, neighbours: Bools, *, last: bool) -> Bools:
        """Return the region of interest: the inside of the surface, `cell`, and `margin` µm around them.

        Less what was not measured, and what neighbours' light spoils.

        Parameters
        ----------
        mesh : Mesh
        margin : float
            µm.
        cell : (z, y, x) bool
            The bright object that the surface is to become, where one is known.
        neighbours : (z, y, x) bool
        last : bool
            Whether the last stage asks, in which the neighbours' light is modelled.
        """
        if cell.any():
            region = self.scene.around(self.inside(mesh) | cell, margin)
        else:
            region = self._around(mesh, margin)
        region = region if self.scene.measured is None else region & self.scene.measured
        return region_off(region, neighbours, self.scene, last=last)

    def _around(self, mesh: MeshT, margin: float) -> Bools:
        inside = self.inside(mesh)
        return self.scene.away(mesh, self.voxels) <= margin if inside.any() else inside

    def neighbours(self, mesh: MeshT, candidates: Bools, cell: Bools | None = None, *, last: bool) -> Bools:
        """Find which candidates belong to neighbours, seen from the surface as it is, (z, y, x)."""
        if not candidates.any():
            return candidates
        reach = (LAST_REACH if last else REACH) * self.scene.voxel
        inside, away = self.inside(mesh), self.scene.away(mesh, self.voxels)
        return neighbours_seen_from(inside, away, candidates, self.scene, reach, cell)

    def sources(self, mesh: MeshT, neighbours: Bools) -> Bools:
        """Find the voxels that neighbours' light may come from, (z, y, x)."""
        return light_sources(self.scene.away(mesh, self.voxels), neighbours, self.scene)

    # -- upkeep of the triangles ---------------------------------------------------------------------------------------

    def worn(self, mesh: MeshT, *, last: bool) -> bool:
        """Tell whether triangles have degraded; the last stage puts up with more. By default they never do."""
        return False

    def care(self, mesh: MeshT, *, last: bool) -> MeshT | None:
        """Make a better mesh of the same shape where triangles have degraded, else None."""
        return None

    def carry(self, mesh: MeshT, better: MeshT) -> csr_matrix:
        """Return the matrix that takes values at vertices of one to those of the other: linear in the closest face."""
        return interpolation(mesh, better.vertices)

    def sound(self, mesh: MeshT) -> bool:
        """Tell whether it neither folds nor crosses itself; by default it is taken to."""
        return True

    # -- what is known beforehand --------------------------------------------------------------------------------------

    def smoothness(self, mesh: MeshT, weights: npt.NDArray[np.float64] | None = None) -> Smoothness:
        """Return the energy of a curvature that changes quickly, for the mesh's connectivity."""
        return Smoothness(mesh, self.edge, weights)

    def contact(self, mesh: MeshT, move: float) -> Prior:
        """Return what keeps parts that lie face to face, now or after moves of so many µm, from passing through."""
        return Contact(mesh, self.edge, 1.5 * self.edge + 2.0 * move)

    def staining(self, mesh: MeshT, spread: float, reach: float) -> StainingPrior:
        """Return the random field of a standard deviation and a range (µm) behind the density."""
        return StainingPrior(mesh, self.edge, spread, reach)

    # -- numbers and files ---------------------------------------------------------------------------------------------

    @staticmethod
    def measures(mesh: Any) -> Mapping[str, Measure]:
        """Measure what standard errors are worked out for: at least ``volume_um3`` and ``area_um2``."""
        return volume_and_area(mesh)

    @classmethod
    def write(cls, mesh: MeshT, folder: Path, at_vertices: Mapping[str, npt.NDArray]) -> None:
        """Write the mesh's files into a result's folder, with values at the vertices, (n_vertices,) each."""
        for name in (cls.mesh_file, "mesh.vtp"):  # ParaView and PyVista show numbers at vertices of the second alone
            write_mesh(folder / name, mesh, at_vertices)

    @classmethod
    def read(cls, folder: Path) -> MeshT:
        """Read the mesh of a result's folder."""
        return read_mesh(folder / cls.mesh_file)
