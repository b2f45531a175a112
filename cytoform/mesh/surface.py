"""A closed (or open) triangle surface with a fluorophore density per face."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import MeshError
from . import geometry

__all__ = ["SurfaceMesh"]


def check_vertices(vertices: Any) -> npt.NDArray:
    array = np.asarray(vertices)
    if array.ndim != 2 or array.shape[1] != 3:
        raise MeshError(f"vertices has shape {array.shape}; expected (n_vertices, 3), µm, (z, y, x).")
    if array.dtype not in (np.float32, np.float64):
        if array.dtype.kind not in "iuf":
            raise MeshError(f"vertices has values of type {array.dtype}; expected float32 or float64.")
        array = array.astype(np.float64)
    return np.ascontiguousarray(array)


def check_finite(vertices: npt.NDArray, faces: npt.NDArray[np.int64]) -> None:
    """Refuse NaN and infinity in vertices that a face uses."""
    bad = ~np.isfinite(vertices).all(axis=1)
    if bad.any() and bad[faces].any():
        count = int((bad & geometry.used_vertices(faces, len(vertices))).sum())
        raise MeshError(
            f"{count} of {len(vertices)} vertices are NaN or infinite; expected finite coordinates in µm.",
            remedy="Remove them from the mesh, or export it again.",
        )


def check_faces(faces: Any, n_vertices: int) -> npt.NDArray[np.int64]:
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


def check_density(density: Any, n_faces: int, dtype: Any) -> npt.NDArray:
    if density is None:
        return np.ones(n_faces, dtype=dtype)
    array = np.asarray(density, dtype=dtype)
    if array.ndim == 0:
        array = np.full(n_faces, array[()], dtype=dtype)
    if array.shape != (n_faces,) or not np.isfinite(array).all():
        raise MeshError(f"density has shape {array.shape}; expected ({n_faces},) finite values, one for each face.")
    return np.ascontiguousarray(array)


@dataclasses.dataclass(frozen=True, eq=False)
class SurfaceMesh:
    """A triangle surface.

    Parameters
    ----------
    vertices : (n_vertices, 3) float32 or float64
        Positions in µm, (z, y, x). Their dtype is the dtype of all that is computed from the mesh. Those that no face
        uses are kept and count for nothing.
    faces : (n_faces, 3) int
        Corners, counter-clockwise seen from outside.
    density : (n_faces,) float or float, optional
        Intensity per µm² of membrane; 1 by default.

    Raises
    ------
    MeshError
        When there are no faces, an index is out of range, or a value that a face uses is not finite.
    """

    vertices: npt.NDArray
    faces: npt.NDArray[np.int64]
    density: npt.NDArray = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        vertices = check_vertices(self.vertices)
        faces = check_faces(self.faces, len(vertices))
        check_finite(vertices, faces)
        object.__setattr__(self, "vertices", vertices)
        object.__setattr__(self, "faces", faces)
        object.__setattr__(self, "density", check_density(self.density, len(faces), vertices.dtype))

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
    def face_areas(self) -> npt.NDArray[np.float64]:
        """Area of every face in µm²."""
        return geometry.face_areas(self.vertices, self.faces)

    @property
    def area(self) -> float:
        """Area of the surface in µm²."""
        return float(self.face_areas.sum())

    @property
    def volume(self) -> float:
        """Enclosed volume in µm³ (signed: negative when the faces are wound the wrong way)."""
        return geometry.enclosed_volume(self.vertices, self.faces)

    @property
    def mass(self) -> float:
        """Density times area, summed: the transform at frequency zero."""
        return float((self.face_areas * self.density.astype(np.float64)).sum())

    @property
    def normals(self) -> npt.NDArray[np.float64]:
        """Unit outward normals of the faces, (z, y, x)."""
        return geometry.face_normals(self.vertices, self.faces)

    @property
    def bounds(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Smallest and largest coordinate on each axis in µm, of the vertices that a face uses."""
        return geometry.bounding_box(self.vertices, self.faces)

    def without_unused_vertices(self) -> SurfaceMesh:
        """The same surface with the vertices that some face uses, in their order; itself where all are used."""
        used = geometry.used_vertices(self.faces, self.n_vertices)
        if used.all():
            return self
        return SurfaceMesh(self.vertices[used], (np.cumsum(used) - 1)[self.faces], self.density)

    def with_vertices(self, vertices: npt.NDArray) -> SurfaceMesh:
        """The same surface, moved: one position for each vertex."""
        array = np.asarray(vertices)
        if array.shape != self.vertices.shape:
            raise MeshError(f"vertices has shape {array.shape}; expected {self.vertices.shape}, as before.")
        return SurfaceMesh(array, self.faces, self.density)

    def with_density(self, density: npt.ArrayLike | None) -> SurfaceMesh:
        """The same surface with another density."""
        return SurfaceMesh(self.vertices, self.faces, density)  # type: ignore[arg-type]

    def astype(self, dtype: npt.DTypeLike) -> SurfaceMesh:
        """The same surface in float32 or float64."""
        return SurfaceMesh(self.vertices.astype(dtype), self.faces, self.density.astype(dtype))
