"""REC: a count, vertices, a count, faces with two region labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...errors import MeshError
from .parts import AGAIN, Parts, digits

__all__ = ["read", "write"]


def read(path: Path) -> Parts:
    lines = [line for line in path.read_text(encoding="ascii").splitlines() if line.strip()]
    n_points = int(lines[0])
    if len(lines) < n_points + 2:
        raise ValueError(f"it promises {n_points} vertices and a face count, and has {len(lines) - 1} lines after that")
    n_faces = int(lines[n_points + 1])
    rows = lines[n_points + 2 :]
    if len(rows) != n_faces:
        raise ValueError(f"it promises {n_faces} faces and has {len(rows)}")
    if n_faces == 0:
        raise MeshError("the mesh has no faces; expected at least one triangle.", remedy=AGAIN)
    points = np.array([line.split() for line in lines[1 : n_points + 1]], dtype=np.float64)
    table = np.array([row.split() for row in rows], dtype=np.int64)
    if points.shape != (n_points, 3) or table.shape != (n_faces, 5):
        raise ValueError(f"its tables have shapes {points.shape} and {table.shape}; expected 3 and 5 columns")
    return Parts(points, table[:, :3], None, table[:, 3:])


def write(parts: Parts, dtype: np.dtype[Any]) -> bytes:
    form = digits(dtype)
    assert parts.labels is not None
    lines = [str(len(parts.points))]
    lines += [f"{x:{form}} {y:{form}} {z:{form}}" for x, y, z in parts.points.tolist()]
    lines.append(str(len(parts.faces)))
    lines += [" ".join(map(str, row)) for row in np.hstack([parts.faces, parts.labels]).tolist()]
    return ("\n".join(lines) + "\n").encode()
