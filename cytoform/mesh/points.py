"""Points of light, such as single molecules, vesicles or beads smaller than the resolution."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy.typing as npt

from .._typing import Array
from .simplices import Simplices

__all__ = ["PointSet"]


@dataclasses.dataclass(frozen=True, eq=False)
class PointSet(Simplices):
    """Points of light with a brightness each.

    Parameters
    ----------
    positions : (n, 3) float32 or float64
        µm, (z, y, x). Their dtype is the dtype of all that is computed from the points.
    brightness : (n,) float or float, optional
        Total intensity of every point; 1 by default.

    Raises
    ------
    MeshError
        When there is no point, a shape is another one, or a value is not finite.
    """

    positions: Array
    brightness: Array = None  # type: ignore[assignment]

    order = 0
    _names = ("positions", None, "brightness")

    if TYPE_CHECKING:  # what may be passed; the fields have the types that they are converted to

        def __init__(self, positions: npt.ArrayLike, brightness: npt.ArrayLike | None = None) -> None: ...

    @property
    def vertices(self) -> Array:
        """The positions, under the name that every kind of object has them."""
        return self.positions

    @property
    def density(self) -> Array:
        """The brightness, under the name that every kind of object has it."""
        return self.brightness
