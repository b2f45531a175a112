"""VTP files of points and polylines, as ParaView, VTK and PyVista write them: vertex cells and lines, with numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..._typing import Array, Ints
from ...errors import FileFormatError, MeshError
from .parts import EXPORT_AGAIN
from .vtk_data import VtkFile
from .vtp import array_element

__all__ = ["read_cells", "vtp_bytes"]


def vtp_bytes(
    points: Array, cells: Ints, kind: str, point_data: Mapping[str, Array], cell_data: Mapping[str, Array]
) -> bytes:
    """Return the bytes of a VTP file of points or lines.

    Parameters
    ----------
    points : (n, 3) float
        Positions, (x, y, z).
    cells : (m, k) int
        Points of each cell: one for a vertex cell, two for a line.
    kind : "Verts" or "Lines"
        What the cells are.
    point_data : mapping of str to (n,) array
        Numbers at the points.
    cell_data : mapping of str to (m,) array
        Numbers of the cells.

    Returns
    -------
    bytes
        The file, with arrays in base64 compressed by zlib.
    """
    count = {name: len(cells) if name == kind else 0 for name in ("Verts", "Lines", "Strips", "Polys")}
    numbers = " ".join(f'NumberOf{name}="{n}"' for name, n in count.items())
    ends = cells.shape[1] * np.arange(1, len(cells) + 1)
    lines = [
        '<?xml version="1.0"?>',
        "<!-- cytoform, (x, y, z) in micrometres -->",
        '<VTKFile type="PolyData" version="1.0" byte_order="LittleEndian" header_type="UInt64" '
        'compressor="vtkZLibDataCompressor">',
        f'<PolyData>\n<Piece NumberOfPoints="{len(points)}" {numbers}>\n<PointData>',
        *(array_element(name, np.asarray(values)) for name, values in point_data.items()),
        "</PointData>\n<CellData>",
        *(array_element(name, np.asarray(values)) for name, values in cell_data.items()),
        "</CellData>\n<Points>",
        array_element("Points", np.asarray(points)),
        f"</Points>\n<{kind}>",
        array_element("connectivity", cells.astype(np.int32).ravel()),
        array_element("offsets", ends.astype(np.int32)),
        f"</{kind}>\n</Piece>\n</PolyData>\n</VTKFile>\n",
    ]
    return "\n".join(lines).encode()


def read_cells(path: Path, kind: str) -> tuple[Array, list[Ints], dict[str, Array], dict[str, Array]]:
    """Read points and the cells of one kind from a VTP file of one piece.

    Parameters
    ----------
    path : Path
        The file.
    kind : "Verts" or "Lines"
        Which cells.

    Returns
    -------
    points : (n, 3) float
        Positions, (x, y, z).
    cells : list of (k,) int
        Points of each cell.
    point_data : dict of str to array
        Numbers at the points.
    cell_data : dict of str to array
        Numbers of the cells, one row each.

    Raises
    ------
    FileFormatError
        When the file is of another type, damaged, or has several pieces.
    MeshError
        When a cell names a point that is not there.
    """
    file = VtkFile(path.read_bytes())
    if file.root.get("type") != "PolyData":
        raise FileFormatError(f"it is a VTK file of type {file.root.get('type')!r}; expected 'PolyData'.")
    pieces = file.root.findall("./PolyData/Piece")
    if len(pieces) != 1:
        raise FileFormatError(f"it has {len(pieces)} pieces; expected one.", remedy="Merge them, in ParaView.")
    piece = pieces[0]
    element = piece.find("./Points/DataArray")
    points = np.zeros((0, 3)) if element is None else file.array(element).reshape(-1, 3)
    arrays = {e.get("Name"): file.array(e) for e in piece.findall(f"./{kind}/DataArray")}
    corners = np.asarray(arrays.get("connectivity", np.zeros(0)), dtype=np.int64)
    ends = np.asarray(arrays.get("offsets", np.zeros(0)), dtype=np.int64)
    if len(ends) and (ends[-1] != len(corners) or (np.diff(ends) < 0).any()):
        raise FileFormatError("its cells do not fit their offsets: it is damaged.", remedy=EXPORT_AGAIN)
    if len(corners) and (corners.min() < 0 or corners.max() >= len(points)):
        raise MeshError(f"a cell names point {corners.max()}; expected 0 to {len(points) - 1}.", remedy=EXPORT_AGAIN)
    found = [
        {str(e.get("Name")): file.array(e) for e in piece.findall(f"./{section}/DataArray")}
        for section in ("PointData", "CellData")
    ]
    for name, values in found[0].items():
        if len(values) != len(points):
            raise FileFormatError(f"its array {name!r} has {len(values)} rows; expected {len(points)}, one a point.")
    return points, np.split(corners, ends[:-1]) if len(ends) else [], found[0], found[1]
