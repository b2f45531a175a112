"""What every kind of triangle mesh offers, so that transform, rendering and fit take any of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from .._typing import Array, Floats, Ints

__all__ = ["Mesh"]


class Mesh(Protocol):
    """A triangle mesh that is never changed: what moves is a new mesh.

    :class:`~cytoform.SurfaceMesh` and :class:`~cytoform.MultiMaterialMesh` follow it;
    :class:`cytoform.mesh.base.TriangleMesh` writes most of it for a new kind.
    """

    @property
    def vertices(self) -> Array:
        """Positions in µm, (n_vertices, 3) float32 or float64, (z, y, x)."""

    @property
    def faces(self) -> Ints:
        """Corners of the triangles, (n_faces, 3)."""

    @property
    def density(self) -> Array:
        """Intensity of every face per µm², (n_faces,), in the dtype of the vertices."""

    @property
    def n_vertices(self) -> int:
        """Number of vertices."""

    @property
    def n_faces(self) -> int:
        """Number of faces."""

    @property
    def dtype(self) -> np.dtype:
        """float32 or float64, the dtype of the vertices."""

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
        """Density times area, summed."""

    @property
    def bounds(self) -> tuple[Floats, Floats]:
        """Smallest and largest coordinate on each axis in µm, (3,) each."""

    def with_vertices(self, vertices: Array) -> Self:
        """Move the vertices: the same mesh with other positions, (n_vertices, 3) µm."""

    def with_density(self, density: npt.ArrayLike | None) -> Self:
        """Stain the faces anew: the same mesh with another density, (n_faces,)."""

    def astype(self, dtype: npt.DTypeLike) -> Self:
        """Convert positions and density to float32 or float64."""

    def regions(self) -> Mapping[int, Mesh]:
        """Return the closed surface of every region by its number, from 1 on; 0 is the outside."""

    def arrays(self) -> dict[str, Array]:
        """Return all that makes the mesh, by name: what files, checkpoints and digests hold."""

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Self:
        """Make a mesh of what :meth:`arrays` gave."""
