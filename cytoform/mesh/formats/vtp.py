"""VTP: VTK's XML PolyData, with its numbers as text."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import FileFormatError, MeshError
from .parts import Parts, digits, fans

Array = npt.NDArray[Any]


__all__ = ["read", "write"]


def read(path: Path) -> Parts:
    root = ElementTree.parse(path).getroot()
    if root.tag != "VTKFile" or root.get("type") != "PolyData":
        raise FileFormatError(f"{path} is no VTK PolyData.", remedy="Export it as .vtp with text data, or as .ply.")
    if len(root.findall(".//Piece")) > 1:
        raise FileFormatError(f"{path} has several pieces; expected one.", remedy="Merge them, or export as .ply.")
    points = _vtp_array(path, root.find(".//Points/DataArray"))
    polygons = {e.get("Name"): _vtp_array(path, e) for e in root.findall(".//Polys/DataArray")}
    cells = {e.get("Name"): _vtp_array(path, e) for e in root.findall(".//CellData/DataArray")}
    if points is None or len(polygons.get("offsets", ())) == 0:
        raise MeshError("the mesh has no faces; expected at least one triangle.", remedy="Is it a point cloud?")
    offsets = polygons["offsets"].astype(np.int64)
    faces, source = fans(np.split(polygons["connectivity"].astype(np.int64), offsets[:-1]))
    density, labels = cells.get("density"), cells.get("labels")
    return Parts(
        points.reshape(-1, 3),
        faces,
        None if density is None else density[source],
        None if labels is None else labels.reshape(-1, 2).astype(np.int64)[source],
    )


def _vtp_array(path: Path, element: ElementTree.Element | None) -> Any:
    if element is None:
        return None
    if element.get("format") != "ascii":
        raise FileFormatError(
            f"{path} stores its numbers in the form {element.get('format')!r}; expected 'ascii'.",
            remedy="Export it with text (ASCII) data, or as .ply.",
        )
    return np.array((element.text or "").split(), dtype=np.float64)


def write(parts: Parts, dtype: np.dtype[Any]) -> bytes:
    real = "Float32" if dtype == np.float32 else "Float64"
    offsets = 3 * np.arange(1, len(parts.faces) + 1)
    cells = [] if parts.density is None else [_vtp_text(real, "density", parts.density, digits(dtype))]
    if parts.labels is not None:
        cells.append(_vtp_text("Int32", "labels", parts.labels, "d", 'NumberOfComponents="2"'))
    lines = [
        '<?xml version="1.0"?>',
        "<!-- cytoform, (x, y, z) in micrometres -->",
        '<VTKFile type="PolyData" version="0.1" byte_order="LittleEndian">',
        "<PolyData>",
        f'<Piece NumberOfPoints="{len(parts.points)}" NumberOfVerts="0" NumberOfLines="0" NumberOfStrips="0" '
        f'NumberOfPolys="{len(parts.faces)}">',
        "<PointData>",
        *(_vtp_text(real, name, values, digits(dtype)) for name, values in parts.more.items()),
        "</PointData>",
        "<CellData>" + "\n".join(cells) + "</CellData>",
        "<Points>" + _vtp_text(real, "Points", parts.points, digits(dtype), 'NumberOfComponents="3"') + "</Points>",
        "<Polys>" + _vtp_text("Int32", "connectivity", parts.faces, "d"),
        _vtp_text("Int32", "offsets", offsets, "d") + "</Polys>",
        "</Piece>\n</PolyData>\n</VTKFile>\n",
    ]
    return "\n".join(lines).encode()


def _vtp_text(kind: str, name: str, values: Array, digits: str, extra: str = "") -> str:
    rows = np.asarray(values).reshape(len(values), -1).tolist()
    text = "\n".join(" ".join(f"{v:{digits}}" for v in row) for row in rows)
    return f'<DataArray type="{kind}" Name="{name}" {extra} format="ascii">\n{text}\n</DataArray>'
