"""OBJ: positions and polygons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...errors import FileFormatError, MeshError
from .parts import AGAIN, Parts, digits, fans

__all__ = ["read", "write"]


def read(path: Path) -> Parts:
    points: list[list[float]] = []
    polygons: list[list[int]] = []
    text = path.read_text(encoding="utf-8", errors="replace").replace("\\\n", " ")
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split("#", 1)[0].split()
        if not words or words[0] not in ("v", "f"):
            continue
        try:
            if words[0] == "v":
                x, y, z = words[1:4]
                points.append([float(x), float(y), float(z)])
            else:
                polygons.append([_obj_index(word, len(points)) for word in words[1:]])
        except ValueError as error:
            raise FileFormatError(f"{path}, line {number} makes no sense: {line[:60]!r}.", remedy=AGAIN) from error
    if not points:
        raise FileFormatError(f"{path} holds no vertices; expected an OBJ mesh.", remedy="Is it of another kind?")
    faces, _ = fans(polygons)
    if faces.size and (faces.min() < 0 or faces.max() >= len(points)):
        raise MeshError(
            f"faces name vertices {faces.min() + 1} to {faces.max() + 1}; expected 1 to {len(points)}, as there are "
            f"{len(points)} vertices.",
            remedy=AGAIN,
        )
    return Parts(np.array(points), faces)


def _obj_index(word: str, n_points: int) -> int:
    # "7", "7/1", "7//3"; negative numbers count back from the last vertex so far. Index 0 means none and stays -1.
    index = int(word.split("/", 1)[0])
    return index - 1 if index >= 0 else (n_points + index if n_points + index >= 0 else index)


def write(parts: Parts, dtype: np.dtype[Any]) -> bytes:
    form = digits(dtype)
    lines = ["# cytoform, (x, y, z) in micrometres"]
    lines += [f"v {x:{form}} {y:{form}} {z:{form}}" for x, y, z in parts.points.tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in (parts.faces + 1).tolist()]
    return ("\n".join(lines) + "\n").encode()
