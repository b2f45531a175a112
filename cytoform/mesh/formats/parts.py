"""What a mesh file holds, between its bytes and a mesh."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import MeshError

__all__ = ["AGAIN", "LABELS", "Parts", "digits", "fans"]

Array = npt.NDArray[Any]

LABELS = ("label_from", "label_into")  # the normal points from the first region into the second
AGAIN = "Copy it again, or export it again from its source."


class Parts:
    """What a file holds, as it lies on disk: (x, y, z)."""

    def __init__(self, points: Array, faces: Array, density: Array | None = None, labels: Array | None = None) -> None:
        self.points = np.asarray(points, dtype=np.float64).reshape(-1, 3)
        self.faces = np.asarray(faces, dtype=np.int64).reshape(-1, 3)
        self.density = density
        self.labels = labels
        self.more: dict[str, Array] = {}  # at the vertices, only when written


def fans(polygons: Iterable[Sequence[int]] | Array) -> tuple[Array, Array]:
    """Triangles (n, 3) of polygons as fans, and the polygon that each of them is from."""
    if isinstance(polygons, np.ndarray) and polygons.ndim == 2 and polygons.shape[1] == 3:
        return polygons, np.arange(len(polygons))
    triangles, source = [], []
    for number, polygon in enumerate(polygons):
        if len(polygon) < 3:
            raise MeshError(f"face {number} has {len(polygon)} corners; expected at least 3.", remedy=AGAIN)
        for i in range(1, len(polygon) - 1):
            triangles.append((polygon[0], polygon[i], polygon[i + 1]))
            source.append(number)
    return np.array(triangles, dtype=np.int64).reshape(-1, 3), np.array(source, dtype=np.int64)


def digits(dtype: np.dtype[Any]) -> str:
    return ".9g" if dtype == np.float32 else ".17g"
