"""What all kinds of triangle meshes have in common, and the checks of what they are made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from .._typing import Array, Floats, Ints
from ..errors import MeshError
from . import geometry
from .protocol import Mesh

__all__ = ["TriangleMesh"]


def check_vertices(vertices: Any) -> Array:
    array = np.asarray(vertices)
    if array.ndim != 2 or array.shape[1] != 3:
        raise MeshError(f"vertices has shape {array.shape}; expected (n_vertices, 3), µm, (z, y, x).")
    if array.dtype not in (np.float32, np.float64):
        if array.dtype.kind not in "iuf":
            raise MeshError(f"vertices has values of type {array.dtype}; expected float32 or float64.")
        array = array.astype(np.float64)
    return np.ascontiguousarray(array)


def check_finite(vertices: Array, faces: Ints) -> None:
    """Refuse NaN and infinity in vertices that a face uses."""
    bad = ~np.isfinite(vertices).all(axis=1)
    if bad.any() and bad[faces].any():
        count = int((bad & geometry.used_vertices(faces, len(vertices))).sum())
        raise MeshError(
            f"{count} of {len(vertices)} vertices are NaN or infinite; expected finite coordinates in µm.",
            remedy="Remove them from the mesh, or export it again.",
        )


def check_faces(faces: Any, n_vertices: int) -> Ints:
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


def check_density(density: Any, n_faces: int, dtype: Any) -> Array:
    if density is None:
        return np.ones(n_faces, dtype=dtype)
    array = np.asarray(density, dtype=dtype)
    if array.ndim == 0:
        array = np.full(n_faces, array[()], dtype=dtype)
    if array.shape != (n_faces,) or not np.isfinite(array).all():
        raise MeshError(f"density has shape {array.shape}; expected ({n_faces},) finite values, one for each face.")
    return np.ascontiguousarray(array)


@dataclasses.dataclass(frozen=True, eq=False)
class TriangleMesh:
    """Vertices and faces, checked when made; a kind of mesh adds its own fields and `density`.

    A kind is a frozen dataclass whose fields are arrays. It has a field `density`, says its default in
    :meth:`_default_density`, and checks further fields in :meth:`_check_more`.

    Parameters
    ----------
    vertices : (n_vertices, 3) float32 or float64
        Positions in µm, (z, y, x).
    faces : (n_faces, 3) int

    Raises
    ------
    MeshError
        When there are no faces, an index is out of range, or a value that a face uses is not finite.
    """

    vertices: Array
    faces: Ints

    if TYPE_CHECKING:  # a field of each kind, after its own

        @property
        def density(self) -> Array: ...

    def __post_init__(self) -> None:
        vertices = check_vertices(self.vertices)
        faces = check_faces(self.faces, len(vertices))
        check_finite(vertices, faces)
        object.__setattr__(self, "vertices", vertices)
        object.__setattr__(self, "faces", faces)
        self._check_more()
        density = self._default_density() if self.density is None else self.density
        object.__setattr__(self, "density", check_density(density, len(faces), vertices.dtype))

    def _check_more(self) -> None:
        """Check the fields that a kind adds; they are set with ``object.__setattr__``."""

    def _default_density(self) -> Array | None:
        """Return the density of the faces where none is given; None for 1 everywhere."""
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
    def dtype(self) -> np.dtype:
        """float32 or float64, the dtype of the vertices."""
        return self.vertices.dtype

    @cached_property
    def face_areas(self) -> Floats:
        """Area of every face in µm²."""
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
        """Return the closed surface of every region by its number, from 1 on; each kind of mesh writes its own."""
        raise NotImplementedError

    @property
    def mass(self) -> float:
        """Density times area, summed: the transform at frequency zero."""
        return float((self.face_areas * self.density.astype(np.float64)).sum())

    @property
    def normals(self) -> Floats:
        """Unit normals of the faces, (z, y, x), by the counter-clockwise rule."""
        return geometry.face_normals(self.vertices, self.faces)

    @property
    def bounds(self) -> tuple[Floats, Floats]:
        """Smallest and largest coordinate on each axis in µm, of the vertices that a face uses."""
        return geometry.bounding_box(self.vertices, self.faces)

    def without_unused_vertices(self) -> Self:
        """The same mesh with the vertices that some face uses, in their order; itself where all are used."""
        used = geometry.used_vertices(self.faces, self.n_vertices)
        if used.all():
            return self
        return dataclasses.replace(self, vertices=self.vertices[used], faces=(np.cumsum(used) - 1)[self.faces])

    def with_vertices(self, vertices: Array) -> Self:
        """The same mesh, moved: one position for each vertex."""
        array = np.asarray(vertices)
        if array.shape != self.vertices.shape:
            raise MeshError(f"vertices has shape {array.shape}; expected {self.vertices.shape}, as before.")
        return dataclasses.replace(self, vertices=array)

    def with_density(self, density: npt.ArrayLike | None) -> Self:
        """The same mesh with another density, (n_faces,) or a number; None for the default of its kind."""
        return dataclasses.replace(self, density=density)  # type: ignore[call-arg]

    def astype(self, dtype: npt.DTypeLike) -> Self:
        """The same mesh in float32 or float64."""
        return dataclasses.replace(  # type: ignore[call-arg]
            self, vertices=self.vertices.astype(dtype), density=self.density.astype(dtype)
        )

    def arrays(self) -> dict[str, Array]:
        """All that makes the mesh, by name: what files, checkpoints and digests hold."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Self:
        """Make a mesh of what :meth:`arrays` gave."""
        return cls(**arrays)
