"""A closed (or open) triangle surface with a fluorophore density on every face, empty or filled."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy.typing as npt

from .._typing import Array
from . import geometry
from .base import TriangleMesh

__all__ = ["SurfaceMesh"]


@dataclasses.dataclass(frozen=True, eq=False)
class SurfaceMesh(TriangleMesh):
    """A triangle surface with a fluorophore density on every face.

    Parameters
    ----------
    vertices : (n_vertices, 3) float32 or float64
        Positions in µm, (z, y, x). Their dtype is the dtype of all that is computed from the mesh. Vertices that no
        face uses are kept and have no influence.
    faces : (n_faces, 3) int
        Indices of the three vertices of every triangle, counter-clockwise seen from outside.
    density : (n_faces,) float or float, optional
        Intensity per µm² of membrane; 1 by default.
    jump : (n_faces,) float or float, optional
        Brightness per µm³ on the side that the normal leaves (inside) minus that on the side that it enters; 0 by
        default. One number fills a closed surface with that brightness.

    Raises
    ------
    MeshError
        When there are no faces, an index is out of range, or a value that a face uses is not finite.
    """

    density: Array = None  # type: ignore[assignment]
    jump: Array = None  # type: ignore[assignment]

    if TYPE_CHECKING:  # what may be passed; the fields have the types that they are converted to

        def __init__(
            self,
            vertices: npt.ArrayLike,
            faces: npt.ArrayLike,
            density: npt.ArrayLike | None = None,
            jump: npt.ArrayLike | None = None,
        ) -> None: ...

    @property
    def volume(self) -> float:
        """Enclosed volume in µm³ (signed: negative when the normals point inwards)."""
        return geometry.enclosed_volume(self.vertices, self.faces)

    def regions(self) -> Mapping[int, SurfaceMesh]:
        """Return the surface itself as the only region.

        Returns
        -------
        mapping of int to SurfaceMesh
            The surface under the number 1.
        """
        return {1: self}
