"""Tetrahedral meshes: bodies whose brightness differs from place to place inside."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy.typing as npt

from .._typing import Array, Floats
from .simplices import Simplices

__all__ = ["TetrahedralMesh"]


@dataclasses.dataclass(frozen=True, eq=False)
class TetrahedralMesh(Simplices):
    """Tetrahedra with a brightness per volume each.

    Parameters
    ----------
    vertices : (n_vertices, 3) float32 or float64
        Positions in µm, (z, y, x). Their dtype is the dtype of all that is computed from the mesh. Vertices that no
        tetrahedron uses are kept and have no influence.
    tetrahedra : (n_tetrahedra, 4) int
        Indices of the four vertices of every tetrahedron, counted from 0, in any order.
    density : (n_tetrahedra,) float or float, optional
        Intensity per µm³; 1 by default.

    Raises
    ------
    MeshError
        When there is no tetrahedron, an index is out of range, a shape is another one, or a value is not finite.
    """

    vertices: Array
    tetrahedra: Array
    density: Array = None  # type: ignore[assignment]

    order = 3
    _names = ("vertices", "tetrahedra", "density")

    if TYPE_CHECKING:  # what may be passed; the fields have the types that they are converted to

        def __init__(
            self, vertices: npt.ArrayLike, tetrahedra: npt.ArrayLike, density: npt.ArrayLike | None = None
        ) -> None: ...

    @property
    def volumes(self) -> Floats:
        """Volume of every tetrahedron in µm³, (n_tetrahedra,) float64, zero or more."""
        return self.sizes

    @property
    def volume(self) -> float:
        """Volume of all tetrahedra in µm³, each counted once."""
        return float(self.sizes.sum())
