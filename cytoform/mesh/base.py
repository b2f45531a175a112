"""The base class of all kinds of triangle meshes, and the checks of the arrays that they are made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from .._typing import Array, Bools, Floats, Ints
from ..errors import MeshError
from . import geometry
from .protocol import Mesh

__all__ = ["TriangleMesh"]


def check_vertices(vertices: Any) -> Array:
    """Return vertices as a contiguous float32 or float64 array of shape (n_vertices, 3); integers become float64.

    Raise MeshError if the shape is another one or the values are not real numbers.
    """
    array = np.asarray(vertices)
    if array.ndim != 2 or array.shape[1] != 3:
        raise MeshError(f"vertices has shape {array.shape}; expected (n_vertices, 3), µm, (z, y, x).")
    if array.dtype not in (np.float32, np.float64):
        if array.dtype.kind not in "iuf":
            raise MeshError(f"vertices has values of type {array.dtype}; expected float32 or float64.")
        array = array.astype(np.float64)
    return np.ascontiguousarray(array)


def check_finite(vertices: Array, faces: Ints) -> None:
    """Raise MeshError if a vertex that some face uses is NaN or infinite; vertices without faces may be."""
    bad: Bools = np.asarray(~np.isfinite(vertices).all(axis=1))
    if bad.any() and bad[faces].any():
        count = int((bad & geometry.used_vertices(faces, len(vertices))).sum())
        raise MeshError(
            f"{count} of {len(vertices)} vertices are NaN or infinite; expected finite coordinates in µm.",
            remedy="Remove them from the mesh, or export it again.",
        )


def check_faces(faces: Any, n_vertices: int) -> Ints:
    """Return faces as a contiguous int64 array of shape (n_faces, 3).

    Raise MeshError if there are none, the shape or the type is another one, or an index is below 0 or not below
    n_vertices.
    """
    array = np.asarray(faces)
    if array.size == 0:
        raise MeshError("the mesh has no faces; expected at least one triangle.", remedy="Is it a point cloud?")
    if array.ndim != 2 or array.shape[1] != 3:
        raise MeshError(
            f"faces has shape {array.shape}; expected (n_faces, 3).", remedy="Triangulate polygons before loading."
        )
    if array.dtype.kind not in "iu":
        raise MeshError(f"faces has values of type {array.dtype}; expected whole numbers.")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= n_vertices:
        raise MeshError(
            f"faces name vertices {low} to {high}; expected 0 to {n_vertices - 1}, as there are {n_vertices} vertices.",
            remedy="Indices count from 0.",
        )
    return np.ascontiguousarray(array, dtype=np.int64)


def check_per_face(name: str, values: Any, n_faces: int, dtype: Any, default: float) -> Array:
    """Return numbers of the faces, such as their density, as an array of shape (n_faces,) and the given dtype.

    None gives `default` everywhere, one number the same for all faces. Raise MeshError, with the argument's `name`, if
    the shape is another one or a value is not finite.
    """
    if values is None:
        return np.full(n_faces, default, dtype=dtype)
    array = np.asarray(values, dtype=dtype)
    if array.ndim == 0:
        array = np.full(n_faces, array[()], dtype=dtype)
    if array.shape != (n_faces,) or not np.isfinite(array).all():
        raise MeshError(f"{name} has shape {array.shape}; expected ({n_faces},) finite values, one for each face.")
    return np.ascontiguousarray(array)


@dataclasses.dataclass(frozen=True, eq=False)
class TriangleMesh:
    """The base class of a triangle mesh: vertices and faces, checked when made; a kind of mesh adds its own fields.

    A kind is a frozen dataclass whose fields are arrays. It has fields `density` and `jump`, returns the default of the
    former in :meth:`_default_density`, and checks its further fields in :meth:`_check_extra_fields`.

    Parameters
    ----------
    vertices : (n_vertices, 3) float32 or float64
        Positions in µm, (z, y, x).
    faces : (n_faces, 3) int
        Indices of the three vertices of every triangle, counted from 0.

    Raises
    ------
    MeshError
        When there are no faces, an index is out of range, or a value that a face uses is not finite.
    """

    vertices: Array
    faces: Ints

    if TYPE_CHECKING:  # each kind of mesh has these fields, after its further ones

        @property
        def density(self) -> Array:
            """Intensity of every face per µm², (n_faces,)."""
            raise NotImplementedError

        @property
        def jump(self) -> Array:
            """Brightness per µm³ behind every face minus that before it, (n_faces,)."""
            raise NotImplementedError

    def __post_init__(self) -> None:
        vertices = check_vertices(self.vertices)
        faces = check_faces(self.faces, len(vertices))
        check_finite(vertices, faces)
        object.__setattr__(self, "vertices", vertices)
        object.__setattr__(self, "faces", faces)
        self._check_extra_fields()
        density = self._default_density() if self.density is None else self.density
        object.__setattr__(self, "density", check_per_face("density", density, len(faces), vertices.dtype, 1.0))
        object.__setattr__(self, "jump", check_per_face("jump", self.jump, len(faces), vertices.dtype, 0.0))

    def _check_extra_fields(self) -> None:
        """Check the fields that a kind of mesh adds; raise MeshError if one is wrong.

        They are converted and set with ``object.__setattr__``, as the dataclass is frozen. The base class has none.
        """

    def _default_density(self) -> Array | None:
        """Return the density of the faces where none is given, (n_faces,); None for 1 everywhere."""
        return None

    @property
    def n_vertices(self) -> int:
        """Number of vertices."""
        return len(self.vertices)

    @property
    def n_faces(self) -> int:
        """Number of faces."""
        return len(self.faces)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the vertices, float32 or float64."""
        return self.vertices.dtype

    @cached_property
    def is_filled(self) -> bool:
        """Whether the jump of some face is not 0: the mesh then bounds bodies that are bright inside."""
        return bool(self.jump.any())

    @cached_property
    def face_areas(self) -> Floats:
        """Area of every face in µm², (n_faces,) float64."""
        return geometry.face_areas(self.vertices, self.faces)

    @property
    def area(self) -> float:
        """Area of all faces in µm², each counted once."""
        return float(self.face_areas.sum())

    @property
    def volume(self) -> float:
        """Volume in µm³ that the regions enclose, summed."""
        return float(sum(region.volume for region in self.regions().values()))

    def regions(self) -> Mapping[int, Mesh]:
        """Return the closed surface of every region by the region's number; each kind of mesh implements it.

        Returns
        -------
        mapping of int to Mesh
            Regions count from 1; 0 is the outside, which is not among them.
        """
        raise NotImplementedError

    @property
    def mass(self) -> float:
        """Total intensity, the Fourier transform at frequency zero: Σ density · area, and Σ jump · volume if filled."""
        mass = float((self.face_areas * self.density.astype(np.float64)).sum())
        return mass + geometry.filled_mass(self.vertices, self.faces, self.jump) if self.is_filled else mass

    @property
    def normals(self) -> Floats:
        """Unit normals of the faces, (n_faces, 3) float64, (z, y, x), by the counter-clockwise rule."""
        return geometry.face_normals(self.vertices, self.faces)

    @property
    def bounds(self) -> tuple[Floats, Floats]:
        """Smallest and largest coordinate on each axis in µm, (3,) each, of the vertices that some face uses."""
        return geometry.bounding_box(self.vertices, self.faces)

    def without_unused_vertices(self) -> Self:
        """Return the same mesh without the vertices that no face uses.

        Returns
        -------
        TriangleMesh
            Of the same kind, the remaining vertices in their order; the mesh itself when all are used.
        """
        used = geometry.used_vertices(self.faces, self.n_vertices)
        if used.all():
            return self
        return dataclasses.replace(self, vertices=self.vertices[used], faces=(np.cumsum(used) - 1)[self.faces])

    def with_vertices(self, vertices: Array) -> Self:
        """Return the same mesh with its vertices at other positions.

        Parameters
        ----------
        vertices : (n_vertices, 3) float32 or float64
            New positions in µm, (z, y, x), one for each vertex.

        Returns
        -------
        TriangleMesh
            Of the same kind; faces, density and all other fields are the same.

        Raises
        ------
        MeshError
            When the shape is another one, or a position that a face uses is not finite.
        """
        array = np.asarray(vertices)
        if array.shape != self.vertices.shape:
            raise MeshError(f"vertices has shape {array.shape}; expected {self.vertices.shape}, as before.")
        return dataclasses.replace(self, vertices=array)

    def with_density(self, density: npt.ArrayLike | None) -> Self:
        """Return the same mesh with another density of its faces.

        Parameters
        ----------
        density : (n_faces,) float, float or None
            Intensity per µm²; one number for all faces, None for the default of this kind of mesh.

        Returns
        -------
        TriangleMesh
            Of the same kind, with all other fields the same.

        Raises
        ------
        MeshError
            When the shape is another one, or a value is not finite.
        """
        return dataclasses.replace(self, density=density)  # type: ignore[call-arg]

    def with_jump(self, jump: npt.ArrayLike | None) -> Self:
        """Return the same mesh with another jump of brightness at its faces.

        Parameters
        ----------
        jump : (n_faces,) float, float or None
            Brightness per µm³ on the side that the normal leaves minus that on the side that it enters; one number for
            all faces, None for 0.

        Returns
        -------
        TriangleMesh
            Of the same kind, with all other fields the same.

        Raises
        ------
        MeshError
            When the shape is another one, or a value is not finite.
        """
        return dataclasses.replace(self, jump=jump)  # type: ignore[call-arg]

    def astype(self, dtype: npt.DTypeLike) -> Self:
        """Return the same mesh with positions, density and jump in another precision.

        Parameters
        ----------
        dtype : float32 or float64
            The number type to convert to.

        Returns
        -------
        TriangleMesh
            Of the same kind.
        """
        return dataclasses.replace(  # type: ignore[call-arg]
            self, vertices=self.vertices.astype(dtype), density=self.density.astype(dtype), jump=self.jump.astype(dtype)
        )

    def arrays(self) -> dict[str, Array]:
        """Return the arrays that define the mesh: the content of files, checkpoints and digests.

        Returns
        -------
        dict of str to array
            Every field of the dataclass by its name; without a jump that is 0 everywhere.
        """
        names = [field.name for field in dataclasses.fields(self)]
        return {name: getattr(self, name) for name in names if name != "jump" or self.is_filled}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Self:
        """Make a mesh from the arrays that :meth:`arrays` returned.

        Parameters
        ----------
        arrays : mapping of str to array
            Every field of the dataclass by its name.

        Returns
        -------
        TriangleMesh
            Of the class on which the method is called.
        """
        return cls(**arrays)
