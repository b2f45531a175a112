"""STL: loose triangles, text and binary."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from .parts import Parts

__all__ = ["read", "write"]

_STL_FACET = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


def read(path: Path) -> Parts:
    import trimesh

    data = path.read_bytes()
    _check_stl(data)
    mesh = trimesh.load_mesh(io.BytesIO(data), file_type="stl", process=False)
    return Parts(getattr(mesh, "vertices", np.empty((0, 3))), getattr(mesh, "faces", np.empty((0, 3), np.int64)))


def _check_stl(data: bytes) -> None:
    # Triangles that are missing at the end would go unnoticed.
    promised = int.from_bytes(data[80:84], "little")
    if len(data) >= 84 and len(data) == 84 + promised * _STL_FACET.itemsize:
        return
    text = data.lower()
    if not text.lstrip().startswith(b"solid"):
        raise ValueError(f"it has {len(data)} bytes; expected {84 + promised * _STL_FACET.itemsize} as its header says")
    if b"endsolid" not in text or text.count(b"endfacet") != text.count(b"facet normal"):
        raise ValueError("its last triangle or its last line, 'endsolid', is missing")


def write(parts: Parts, dtype: np.dtype[Any]) -> bytes:
    corners = parts.points[parts.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    facets = np.zeros(len(corners), dtype=_STL_FACET)
    facets["normal"] = np.divide(normals, length, out=np.zeros_like(normals), where=length > 0)
    facets["corners"] = corners
    head = b"cytoform, binary STL, (x, y, z) in micrometres".ljust(80)
    return head + np.uint32(len(facets)).astype("<u4").tobytes() + facets.tobytes()
