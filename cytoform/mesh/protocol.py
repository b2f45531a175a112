"""The interface of every kind of triangle mesh, so that transform, rendering and fit take any of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from .._typing import Array, Floats, Ints

__all__ = ["Mesh"]


class Mesh(Protocol):
    """The interface of a triangle mesh, which is never changed: what moves is a new mesh.

    :class:`~cytoform.SurfaceMesh` and :class:`~cytoform.MultiMaterialMesh` follow it;
    :class:`cytoform.mesh.base.TriangleMesh` implements most of it for a new kind.
    """

    @property
    def vertices(self) -> Array:
        """Vertex positions in µm, (n_vertices, 3) float32 or float64, (z, y, x)."""

    @property
    def faces(self) -> Ints:
        """Vertex indices of the three corners of every triangle, (n_faces, 3)."""

    @property
    def density(self) -> Array:
        """Intensity of every face per µm², (n_faces,), in the dtype of the vertices."""

    @property
    def jump(self) -> Array:
        """Brightness per µm³ behind every face minus that before it, (n_faces,), in the dtype of the vertices.

        Behind is the side that the normal leaves, the inside of a closed surface.
        """

    @property
    def is_filled(self) -> bool:
        """Whether the jump of some face is not 0."""

    @property
    def n_vertices(self) -> int:
        """Number of vertices."""

    @property
    def n_faces(self) -> int:
        """Number of faces."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the vertices, float32 or float64."""

    @property
    def face_areas(self) -> Floats:
        """Area of every face in µm², (n_faces,)."""

    @property
    def area(self) -> float:
        """Area of all faces in µm²."""

    @property
    def volume(self) -> float:
        """Volume in µm³ that the regions enclose, summed."""

    @property
    def mass(self) -> float:
        """Total intensity: density times area, and the brightness of what is filled times its volume."""

    @property
    def bounds(self) -> tuple[Floats, Floats]:
        """Smallest and largest coordinate on each axis in µm, (3,) each."""

    @property
    def normals(self) -> Floats:
        """Unit normals of the faces, (n_faces, 3), (z, y, x), by the counter-clockwise rule."""

    def without_unused_vertices(self) -> Self:
        """Return the mesh without vertices that no face uses, the others in their order."""

    def with_vertices(self, vertices: Array) -> Self:
        """Return the same mesh with its vertices at other positions, (n_vertices, 3) in µm."""

    def with_density(self, density: npt.ArrayLike | None) -> Self:
        """Return the same mesh with another density of the faces, (n_faces,)."""

    def with_jump(self, jump: npt.ArrayLike | None) -> Self:
        """Return the same mesh with another jump of the faces, (n_faces,)."""

    def astype(self, dtype: npt.DTypeLike) -> Self:
        """Return the same mesh with positions, density and jump converted to float32 or float64."""

    def regions(self) -> Mapping[int, Mesh]:
        """Return the closed surface of every region by the region's number, from 1 on; 0 is the outside."""

    def arrays(self) -> dict[str, Array]:
        """Return the arrays that define the mesh, by name: the content of files, checkpoints and digests."""

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Self:
        """Make a mesh from the arrays that :meth:`arrays` returned."""
