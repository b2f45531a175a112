"""What a fit has to know of a kind of mesh; nothing else in the room names one."""

from __future__ import annotations

import abc
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from scipy.sparse import csr_matrix

from ..._typing import Array, Bools, Floats
from ...errors import FileFormatError, FitError
from ...image.volume import Grid
from ...mesh import geometry
from ...mesh.closest import interpolation
from ...mesh.io import read_mesh, write_mesh
from ...mesh.protocol import Mesh
from ...optics import PSF
from ..constants import LAST_STAGE_OWN_MEMBRANE_DISTANCE, OWN_MEMBRANE_DISTANCE
from ..neighbours import emission_mask, exclude_neighbour_light, neighbour_mask
from ..priors.field import StainingPrior
from ..priors.smoothness import Contact, Prior, Smoothness
from ..problem import padding_for
from .measures import Measure, volume_and_area

if TYPE_CHECKING:
    from ..request import Request
    from ..scene import Scene
    from ..state import State

__all__ = ["Body"]

MeshT = TypeVar("MeshT", bound=Mesh)
# Voxels: what is bright and nearer to the surface may be its own, before the last stage and in it.


class Body(abc.ABC, Generic[MeshT]):
    """A kind of mesh in an image: its start, the voxels it concerns, its upkeep, what is known of it beforehand.

    A new kind derives from this class in a file of its own, sets `kind` and `mesh_class`, writes the two abstract
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
    remeshed: ClassVar[bool] = False
    """Whether its triangles are brought to the edge that the settings want; else the edge is the start's own."""
    branching: ClassVar[bool] = False
    """Whether sheets meet along lines; curvature and standard errors are not worked out for such meshes."""

    def __init__(self, scene: Scene, edge: float) -> None:
        self.scene, self.edge = scene, edge
        self._seen: weakref.ref[MeshT] | None = None
        self._away: Floats | None = None

    # -- start ---------------------------------------------------------------------------------------------------------

    def begin(self, request: Request) -> State:
        """Make the state that a fit starts from; by default of one object in the image."""
        from ..start.begin import begin

        return begin(self, request)

    @abc.abstractmethod
    def checked(self, mesh: MeshT) -> tuple[MeshT, tuple[str, ...]]:
        """Check a user's start and bring it into shape: float64, and edges of `edge` where it is `remeshed`.

        Returns
        -------
        mesh : Mesh
        remarks : tuple of str
            What the user should know of it, a sentence each.

        Raises
        ------
        FitError
            When it cannot be a start.
        """

    def starts(self, mask: Bools, init: str) -> list[MeshT]:
        """Make starts for an object whose mask is known, the usual one first; asked of surfaces where none is given.

        Parameters
        ----------
        mask : (z, y, x) bool
        init : "auto", "ellipsoid", "sphere" or "label"
            The setting; "label" for further starts that follow the mask.
        """
        raise FitError(f"a {self.kind} is not found in an image.", remedy="Give a mesh to start from.")

    def tidied(self, mesh: MeshT) -> MeshT:
        """Bring the triangles of a moved start into shape; itself where they are good."""
        return mesh

    # -- voxels --------------------------------------------------------------------------------------------------------

    @staticmethod
    @abc.abstractmethod
    def voxels(mesh: Any, grid: Grid) -> Bools:
        """Find the voxels whose centre lies inside, (z, y, x)."""

    def inside(self, mesh: MeshT) -> Bools:
        """Return the voxels inside a mesh, (z, y, x); those of the mesh that was asked for last are kept."""
        if self._seen is None or self._seen() is not mesh:
            self._inside, self._away = self.voxels(mesh, self.scene.grid), None
            self._seen = weakref.ref(mesh)
        return self._inside

    def away(self, mesh: MeshT) -> Floats:
        """Return the distance of every voxel from those inside a mesh, µm; 0 inside, (z, y, x)."""
        inside = self.inside(mesh)
        if self._away is None:
            self._away = self.scene.distance_from(inside)
        return self._away

    def forget_distances(self) -> None:
        """Forget the distances of :meth:`away`: they take more memory than the image."""
        self._away = None

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
            region = self.away(mesh) <= margin if self.inside(mesh).any() else self.inside(mesh)
        region = region if self.scene.measured is None else region & self.scene.measured
        return exclude_neighbour_light(region, neighbours, self.scene, last=last)

    def padding(self, mesh: MeshT, psf: PSF, region: Bools) -> tuple[float, float, float]:
        """Return the room that a rendering needs around a region's box, µm (:func:`.padding_for`)."""
        return padding_for(geometry.used_points(mesh.vertices, mesh.faces), psf, region, self.scene.grid)

    def neighbours(self, mesh: MeshT, candidates: Bools, cell: Bools | None = None, *, last: bool) -> Bools:
        """Find which candidates belong to neighbours, seen from the surface as it is, (z, y, x)."""
        if not candidates.any():
            return candidates
        reach = (LAST_STAGE_OWN_MEMBRANE_DISTANCE if last else OWN_MEMBRANE_DISTANCE) * self.scene.voxel
        inside, away = self.inside(mesh), self.away(mesh)
        return neighbour_mask(inside, away, candidates, self.scene, reach, cell)

    def emission_mask(self, mesh: MeshT, neighbours: Bools) -> Bools:
        """Find the voxels that neighbours' light may come from, (z, y, x)."""
        return emission_mask(self.away(mesh), neighbours, self.scene)

    # -- staining ------------------------------------------------------------------------------------------------------

    def pattern(self, mesh: MeshT) -> Floats | None:
        """Return what an evenly stained mesh has for a density, (n_faces,); None, the default, for 1 everywhere."""
        return None

    # -- upkeep of the triangles ---------------------------------------------------------------------------------------

    def needs_remeshing(self, mesh: MeshT, *, last: bool) -> bool:
        """Tell whether triangles have degraded; the last stage puts up with more. By default they never do."""
        return False

    def improved(self, mesh: MeshT, *, last: bool) -> MeshT | None:
        """Make a better mesh of the same shape where triangles have degraded, else None."""
        return None

    def prolongation(self, mesh: MeshT, better: MeshT) -> csr_matrix:
        """Return the matrix that takes values at vertices of one to those of the other: linear in the closest face."""
        return interpolation(mesh, better.vertices)

    def is_embedded(self, mesh: MeshT) -> bool:
        """Tell whether it neither folds nor crosses itself; by default it is taken to."""
        return True

    # -- what is known beforehand --------------------------------------------------------------------------------------

    smoothness: ClassVar[Callable[..., Smoothness]] = Smoothness
    """Makes the energy of a rough surface, of a mesh, its edge (µm) and weights at the vertices."""

    contact: ClassVar[Callable[..., Prior]] = Contact
    """Makes what keeps parts from passing through each other, of a mesh, its edge and how near pairs have to be, µm."""

    staining: ClassVar[Callable[..., StainingPrior]] = StainingPrior
    """Makes the random field behind the density, of a mesh, its edge, a standard deviation and a range, µm."""

    # -- numbers and files ---------------------------------------------------------------------------------------------

    measures: ClassVar[Callable[[Any], Mapping[str, Measure]]] = staticmethod(volume_and_area)
    """Measures what standard errors are worked out for: ``volume_um3`` and ``area_um2`` of a mesh."""

    @classmethod
    def write(cls, mesh: MeshT, folder: Path, at_vertices: Mapping[str, Array]) -> None:
        """Write the mesh's files into a result's folder, with values at the vertices, (n_vertices,) each."""
        for name in (cls.mesh_file, "mesh.vtp"):  # ParaView and PyVista show numbers at vertices of the second alone
            write_mesh(folder / name, mesh, at_vertices)

    @classmethod
    def read(cls, folder: Path) -> MeshT:
        """Read the mesh of a result's folder.

        Raises
        ------
        FileFormatError
            When it is missing, damaged, or a mesh of another kind.
        """
        mesh = read_mesh(folder / cls.mesh_file)
        if not isinstance(mesh, cls.mesh_class):
            kinds = f"{type(mesh).__name__}; expected a {cls.mesh_class.__name__}"
            raise FileFormatError(f"{folder / cls.mesh_file} is a {kinds}.")
        return mesh
