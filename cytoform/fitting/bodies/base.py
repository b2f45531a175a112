"""The interface of a body: all that a fit needs to know of a kind of mesh."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from scipy.sparse import csr_matrix

from ..._typing import Array, Bools, Floats
from ...errors import FileFormatError, FitError
from ...mesh.closest import interpolation_matrix
from ...mesh.io import read_mesh, write_mesh
from ..priors.field import StainingPrior
from ..priors.smoothness import Contact, Prior, Smoothness
from .measures import Measure, volume_and_area
from .voxels import BodyVoxels, MeshT

if TYPE_CHECKING:
    from ..request import Request
    from ..state import State

__all__ = ["Body"]


class Body(BodyVoxels[MeshT]):
    """A kind of mesh in an image: how it starts, which voxels it concerns, how its triangles are kept good, its priors.

    A new kind derives from this class in a file of its own, sets `kind` and `mesh_class`, writes the two abstract
    methods, overrides what differs, and registers itself (:func:`.register_body`).

    Parameters
    ----------
    scene : Scene
        The image.
    edge : float
        Mean length of the mesh's edges to keep, µm.

    Attributes
    ----------
    kind : str
        Name in files and messages.
    mesh_class : type
        Class of the meshes that this body moves.
    mesh_file : str
        File name of the mesh in a result's folder.
    """

    kind: ClassVar[str]
    mesh_class: ClassVar[type]
    mesh_file: ClassVar[str] = "mesh.ply"
    remeshed: ClassVar[bool] = False
    """True if meshes are remeshed to the edge of the settings; else the start keeps its own edges."""
    branching: ClassVar[bool] = False
    """True if sheets meet along lines; curvature and standard errors are not computed for such meshes."""

    # -- start ---------------------------------------------------------------------------------------------------------

    def begin(self, request: Request) -> State:
        """Make the state that a fit starts from; by default of one object in the image.

        Parameters
        ----------
        request : Request
            The user's input: image, start, region or label, PSF and settings.

        Returns
        -------
        State
            The state before the first step.
        """
        from ..start.begin import begin

        return begin(self, request)

    @abc.abstractmethod
    def checked(self, mesh: MeshT) -> tuple[MeshT, tuple[str, ...]]:
        """Check a user's start and prepare it: float64, and edges of length `edge` if the kind is `remeshed`.

        Parameters
        ----------
        mesh : Mesh
            The user's start.

        Returns
        -------
        mesh : Mesh
            The start to fit.
        remarks : tuple of str
            What the user should know of it, a sentence each.

        Raises
        ------
        FitError
            When the mesh cannot be a start.
        """

    def starts(self, mask: Bools, init: str) -> list[MeshT]:
        """Make start meshes for an object whose mask is known, the usual one first.

        Parameters
        ----------
        mask : (z, y, x) bool
            The object.
        init : "auto", "ellipsoid", "sphere" or "label"
            The setting of that name; "label" for further starts that follow the mask.

        Returns
        -------
        list of Mesh
            The starts; at least one, but for "label".

        Raises
        ------
        FitError
            When the kind cannot be started from a mask, which is the default.
        """
        raise FitError(f"no start for a {self.kind} can be found in an image.", remedy="Pass a mesh to start from.")

    def tidied(self, mesh: MeshT) -> MeshT:
        """Return a start that was moved with its triangles remeshed where they need it.

        Parameters
        ----------
        mesh : Mesh
            A mesh of this kind, µm.

        Returns
        -------
        Mesh
            The remeshed start; `mesh` itself by default.
        """
        return mesh

    # -- staining ------------------------------------------------------------------------------------------------------

    def pattern(self, mesh: MeshT) -> Floats | None:
        """Return the density of the evenly stained mesh; None, the default, for 1 everywhere.

        Parameters
        ----------
        mesh : Mesh
            A mesh of this kind, µm.

        Returns
        -------
        (n_faces,) float64 or None
            In relative units.
        """
        return None

    # -- triangles -----------------------------------------------------------------------------------------------------

    def needs_remeshing(self, mesh: MeshT, *, last: bool) -> bool:
        """Tell whether triangles are out of bounds.

        Parameters
        ----------
        mesh : Mesh
            A mesh of this kind, µm.
        last : bool
            Whether the last stage asks, whose bounds are wider.

        Returns
        -------
        bool
            False by default.
        """
        return False

    def improved(self, mesh: MeshT, *, last: bool) -> MeshT | None:
        """Return a better mesh of the same shape if triangles are out of bounds.

        Parameters
        ----------
        mesh : Mesh
            A mesh of this kind, µm.
        last : bool
            Whether the last stage asks, whose bounds are wider.

        Returns
        -------
        Mesh or None
            None, the default, if nothing has to be changed.
        """
        return None

    def evened(self, mesh: MeshT) -> MeshT | None:
        """Return a mesh of the same shape with even edges of the wanted length.

        Parameters
        ----------
        mesh : Mesh
            A mesh of this kind, µm.

        Returns
        -------
        Mesh or None
            None, the default, if nothing has to be changed.
        """
        return None

    def prolongation(self, mesh: MeshT, better: MeshT) -> csr_matrix:
        """Return the prolongation matrix that carries values at the vertices of one mesh over to another one.

        Parameters
        ----------
        mesh : Mesh
            The mesh that has the values.
        better : Mesh
            The mesh that gets them.

        Returns
        -------
        (n_vertices of better, n_vertices of mesh) sparse
            Linear interpolation in the closest face.
        """
        return interpolation_matrix(mesh, better.vertices)

    def is_embedded(self, mesh: MeshT) -> bool:
        """Tell whether the surface neither folds nor crosses itself.

        Parameters
        ----------
        mesh : Mesh
            A mesh of this kind, µm.

        Returns
        -------
        bool
            True by default.
        """
        return True

    # -- priors ------------------------------------------------------------------------------------------------------

    smoothness: ClassVar[Callable[..., Smoothness]] = Smoothness
    """Makes the smoothness energy from a mesh, its edge (µm) and factors at the vertices."""

    contact: ClassVar[Callable[..., Prior]] = Contact
    """Makes the contact energy from a mesh, its edge and the largest distance of a pair, µm."""

    staining: ClassVar[Callable[..., StainingPrior]] = StainingPrior
    """Makes the prior of the staining from a mesh, its edge (µm), a standard deviation and a correlation length, µm."""

    # -- numbers and files ---------------------------------------------------------------------------------------------

    measures: ClassVar[Callable[[Any], Mapping[str, Measure]]] = staticmethod(volume_and_area)
    """Measures a mesh with derivatives, for standard errors: ``volume_um3`` and ``area_um2``."""

    @classmethod
    def write(cls, mesh: MeshT, folder: Path, at_vertices: Mapping[str, Array]) -> None:
        """Write the mesh's files into a result's folder.

        Parameters
        ----------
        mesh : Mesh
            A mesh of this kind, µm.
        folder : Path
            The folder; it exists.
        at_vertices : mapping of str to (n_vertices,) float
            Further numbers at the vertices, by name.
        """
        for name in (cls.mesh_file, "mesh.vtp"):  # ParaView and PyVista show numbers at vertices of VTP files only
            write_mesh(folder / name, mesh, at_vertices)

    @classmethod
    def read(cls, folder: Path) -> MeshT:
        """Read the mesh of a result's folder.

        Parameters
        ----------
        folder : Path
            The folder.

        Returns
        -------
        Mesh
            The mesh.

        Raises
        ------
        FileFormatError
            When the file is missing, damaged, or holds a mesh of another kind.
        """
        mesh = read_mesh(folder / cls.mesh_file)
        if not isinstance(mesh, cls.mesh_class):
            kinds = f"{type(mesh).__name__}; expected a {cls.mesh_class.__name__}"
            raise FileFormatError(f"{folder / cls.mesh_file} is a {kinds}.")
        return cast(MeshT, mesh)
