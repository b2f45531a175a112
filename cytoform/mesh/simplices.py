"""The base class of points, filaments and tetrahedra: simplices of one order with a brightness each."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from .._typing import Array, Floats, Ints
from ..errors import MeshError
from . import geometry
from .base import check_vertices

__all__ = ["Simplices"]


def check_indices(name: str, simplices: Any, n_corners: int, n_vertices: int) -> Ints:
    """Return vertex indices as a contiguous int64 array of shape (n, n_corners).

    Raise MeshError, with the argument's `name`, if there are none, the shape or the type is another one, or an index is
    below 0 or not below n_vertices.
    """
    array = np.asarray(simplices)
    if array.size == 0:
        raise MeshError(f"{name} is empty; expected at least one row of {n_corners} vertices.")
    if array.ndim != 2 or array.shape[1] != n_corners or array.dtype.kind not in "iu":
        raise MeshError(
            f"{name} has shape {array.shape} and type {array.dtype}; expected (n, {n_corners}) whole numbers.",
            remedy="Give the indices of the vertices of each, counted from 0.",
        )
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= n_vertices:
        raise MeshError(
            f"{name} names vertices {low} to {high}; expected 0 to {n_vertices - 1}, one of {n_vertices} vertices.",
            remedy="Indices count from 0.",
        )
    return np.ascontiguousarray(array, dtype=np.int64)


def check_numbers(name: str, values: Any, count: int, dtype: Any) -> Array:
    """Return one number for each simplex as an array of shape (count,) and the given dtype; None gives 1 everywhere.

    Raise MeshError, with the argument's `name`, if the shape is another one or a value is not finite.
    """
    array = np.asarray(1.0 if values is None else values, dtype=dtype)
    if array.ndim == 0:
        array = np.full(count, array[()], dtype=dtype)
    if array.shape != (count,) or not np.isfinite(array).all():
        raise MeshError(
            f"{name} has shape {array.shape}; expected ({count},) finite values.",
            remedy="Give one number for all, or one for each.",
        )
    return np.ascontiguousarray(array)


class Simplices:
    """The base class of simplices of one order, which are never changed: what moves is a new object.

    A kind is a frozen dataclass that has the fields named in `_names`: positions, rows of vertices (None where every
    vertex is one of them) and brightness.

    Attributes
    ----------
    order : int
        0 for points, 1 for segments, 3 for tetrahedra: one less than the corners of each.
    """

    order: ClassVar[int]
    _names: ClassVar[tuple[str, str | None, str]]

    def __post_init__(self) -> None:
        """Check and convert the fields."""
        positions, rows, brightness = self._names
        try:
            vertices = check_vertices(getattr(self, positions))
        except MeshError as error:
            raise MeshError(error.message.replace("vertices", positions), remedy=error.remedy) from error
        if rows is None:
            simplices = np.arange(len(vertices))[:, None]
            if len(vertices) == 0:
                raise MeshError(f"{positions} is empty; expected at least one point.")
        else:
            simplices = check_indices(rows, getattr(self, rows), self.order + 1, len(vertices))
            object.__setattr__(self, rows, simplices)
        bad = int((~np.isfinite(vertices[np.unique(simplices)]).all(axis=1)).sum())
        if bad:
            raise MeshError(
                f"{bad} of {len(vertices)} {positions} are NaN or infinite; expected finite coordinates in µm.",
                remedy="Leave them out.",
            )
        object.__setattr__(self, positions, vertices)
        object.__setattr__(
            self, brightness, check_numbers(brightness, getattr(self, brightness), len(simplices), vertices.dtype)
        )

    if TYPE_CHECKING:  # each kind has these, as fields or under names of its own

        @property
        def vertices(self) -> Array:
            """Positions of the vertices in µm, (n_vertices, 3)."""
            raise NotImplementedError

        @property
        def density(self) -> Array:
            """Brightness per unit of size, (n,)."""
            raise NotImplementedError

    @property
    def _vertices(self) -> Array:
        """Positions of the vertices in µm, (n_vertices, 3)."""
        found: Array = getattr(self, self._names[0])
        return found

    @cached_property
    def indices(self) -> Ints:
        """Indices of the corners of each simplex, (n, order + 1), whatever the kind calls them."""
        rows = self._names[1]
        found: Ints = np.arange(len(self._vertices))[:, None] if rows is None else getattr(self, rows)
        return found

    @property
    def strength(self) -> Array:
        """Brightness of each simplex per unit of its size, (n,), whatever the kind calls it."""
        found: Array = getattr(self, self._names[2])
        return found

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the positions, float32 or float64."""
        return self._vertices.dtype

    @cached_property
    def sizes(self) -> Floats:
        """Size of each simplex, (n,) float64: 1 for a point, length in µm, volume in µm³."""
        return geometry.simplex_sizes(self.corners, precise=self.dtype != np.float32)

    @property
    def corners(self) -> Floats:
        """Positions of the corners of each simplex in µm, (n, order + 1, 3) float64."""
        return np.asarray(self._vertices, dtype=np.float64)[self.indices]

    @property
    def mass(self) -> float:
        """Total brightness, the Fourier transform at frequency zero: Σ strength · size."""
        return float(self.sizes @ self.strength.astype(np.float64))

    @property
    def bounds(self) -> tuple[Floats, Floats]:
        """Smallest and largest coordinate on each axis in µm, (3,) each, of the corners."""
        corners = self.corners.reshape(-1, 3)
        return corners.min(axis=0), corners.max(axis=0)

    def with_vertices(self, vertices: npt.ArrayLike) -> Self:
        """Return the same simplices with their vertices at other positions.

        Parameters
        ----------
        vertices : (n_vertices, 3) float32 or float64
            New positions in µm, (z, y, x), one for each vertex.

        Returns
        -------
        Simplices
            Of the same kind.

        Raises
        ------
        MeshError
            When the shape is another one, or a position is not finite.
        """
        array = np.asarray(vertices)
        if array.shape != self._vertices.shape:
            raise MeshError(f"vertices has shape {array.shape}; expected {self._vertices.shape}, as before.")
        return dataclasses.replace(self, **{self._names[0]: array})  # type: ignore[type-var]

    def with_density(self, density: npt.ArrayLike | None) -> Self:
        """Return the same simplices with another brightness.

        Parameters
        ----------
        density : (n,) float, float or None
            Brightness per unit of size; one number for all, None for 1.

        Returns
        -------
        Simplices
            Of the same kind.

        Raises
        ------
        MeshError
            When the shape is another one, or a value is not finite.
        """
        return dataclasses.replace(self, **{self._names[2]: density})  # type: ignore[type-var]

    def arrays(self) -> dict[str, Array]:
        """Return the fields by name, from which the constructor makes the same simplices again.

        Returns
        -------
        dict of str to array
            Every field of the dataclass.
        """
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]

    def astype(self, dtype: npt.DTypeLike) -> Self:
        """Return the same simplices with positions and brightness in another precision.

        Parameters
        ----------
        dtype : float32 or float64
            The number type to convert to.

        Returns
        -------
        Simplices
            Of the same kind.
        """
        changed = {self._names[0]: self._vertices.astype(dtype), self._names[2]: self.strength.astype(dtype)}
        return dataclasses.replace(self, **changed)  # type: ignore[type-var]
