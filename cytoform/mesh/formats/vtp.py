"""VTP: VTK's XML PolyData, as ParaView, VTK and PyVista write it."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from ...errors import FileFormatError, MeshError
from .parts import (
    EXPORT_AGAIN,
    Array,
    MeshFormat,
    Parts,
    Polygons,
    count_phrase,
    plural,
    triangulate,
    triangulate_strips,
)
from .vtk_data import VtkFile, encode_array

__all__ = ["FORMAT", "array_element"]

_CELLS = ("Verts", "Lines", "Polys", "Strips")  # the order in which numbers at cells stand
_LABELS = ("label1", "label2")  # the names of other programs; ours have both in one array
_GHOST = "vtkGhostType"


def read(path: Path) -> Parts:
    """Read a VTP file: points, polygons, triangle strips of all its pieces; density, jump, labels at the cells.

    Raise FileFormatError if it is of another type or damaged, MeshError if it has no faces. Numbers that only some of
    the pieces have are left out, with a remark.
    """
    file = VtkFile(path.read_bytes())
    kind = file.root.get("type")
    if kind != "PolyData":
        raise FileFormatError(
            f"it is a VTK file of type {kind!r}; expected 'PolyData'.",
            remedy="In ParaView apply “Extract Surface” and save it as .vtp.",
        )
    pieces = [_Piece(file, element) for element in file.root.findall("./PolyData/Piece")]
    pieces = [piece for piece in pieces if len(piece.faces)]
    if not pieces:
        raise MeshError("the mesh has no faces; expected at least one triangle.", remedy="Is it a point cloud?")
    remarks = [remark for piece in pieces for remark in piece.remarks]
    starts = np.cumsum([0, *(len(piece.points) for piece in pieces)])
    faces = np.concatenate([piece.faces + start for piece, start in zip(pieces, starts)])
    found: dict[str, Array | None] = {}
    for name in ("density", "jump", "labels"):
        columns = [getattr(piece, name) for piece in pieces]
        there = [column is not None for column in columns]
        if any(there) and not all(there):
            remarks.append(f"{name} are left out, as not all of its pieces have them")
        found[name] = np.concatenate(columns) if all(there) else None
    points = np.concatenate([piece.points for piece in pieces])
    return Parts(points, faces, found["density"], found["labels"], remarks, found["jump"])


class _Piece:
    """One of the pieces of a file: points, triangles, and the density, jump and labels of these."""

    def __init__(self, file: VtkFile, element: ElementTree.Element) -> None:
        self.file, self.element = file, element
        self.remarks: list[str] = []
        points = element.find("./Points/DataArray")
        self.points = np.zeros((0, 3)) if points is None else file.array(points).reshape(-1, 3).astype(np.float64)
        self._check_count("NumberOfPoints", len(self.points))
        cells = {name: self._read_polygons(name) for name in _CELLS}
        for name, what in (("Verts", "vertex cell"), ("Lines", "line")):
            if len(cells[name].sizes):
                self.remarks.append(f"{count_phrase(len(cells[name].sizes), what)} left out")
        faces, source = triangulate(self.points, cells["Polys"], self.remarks)
        more, strip = triangulate_strips(cells["Strips"])
        before = len(cells["Verts"].sizes) + len(cells["Lines"].sizes)
        self.faces = np.concatenate([faces, more])
        self.cells = np.concatenate([source + before, strip + before + len(cells["Polys"].sizes)])
        self.n_cells = before + len(cells["Polys"].sizes) + len(cells["Strips"].sizes)
        self._drop_ghosts()
        density, labels, pair = (
            self._cell_array("density"),
            self._cell_array("labels"),
            tuple(map(self._cell_array, _LABELS)),
        )
        self.density, self.jump = density, self._cell_array("jump")
        self.labels = None
        if labels is not None and labels.ndim == 2 and labels.shape[1] == 2:
            self.labels = labels.astype(np.int64)
        elif all(label is not None for label in pair):
            self.labels = np.column_stack(pair).astype(np.int64)  # type: ignore[arg-type]

    def _check_count(self, attribute: str, actual: int) -> None:
        """Raise FileFormatError if an attribute of the piece promises another number than `actual`.

        The attribute may be missing.
        """
        promised = self.element.get(attribute)
        if promised is not None and int(promised) != actual:
            raise FileFormatError(
                f"it promises {attribute}={promised} and has {actual}: it is damaged or cut short.", remedy=EXPORT_AGAIN
            )

    def _read_polygons(self, name: str) -> Polygons:
        """Return the cells of one kind ("Verts", "Lines", "Polys" or "Strips"); none where the piece has no such cells.

        Each of VTK's offsets is where a cell's corners end. Raise FileFormatError or MeshError if the numbers disagree.
        """
        arrays = {e.get("Name"): e for e in self.element.findall(f"./{name}/DataArray")}
        if not {"connectivity", "offsets"} <= set(arrays):
            self._check_count(f"NumberOf{name}", 0)
            return Polygons(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
        corners, ends = (self.file.array(arrays[k]).astype(np.int64) for k in ("connectivity", "offsets"))
        self._check_count(f"NumberOf{name}", len(ends))
        sizes = np.diff(ends, prepend=0)
        if (sizes < 0).any() or sizes.sum() != len(corners):
            raise FileFormatError(
                f"its {name} have {len(corners)} corners; expected {sizes.sum()} as their offsets say.",
                remedy=EXPORT_AGAIN,
            )
        if name == "Strips" and len(corners) and (corners.min() < 0 or corners.max() >= len(self.points)):
            raise MeshError(
                f"triangle strips name vertices {corners.min()} to {corners.max()}; expected 0 to "
                f"{len(self.points) - 1}.",
                remedy=EXPORT_AGAIN,
            )
        return Polygons(corners, sizes)

    def _cell_array(self, name: str) -> Array | None:
        """Return the array `name` of numbers at the cells, one row for every triangle; None where there is none."""
        element = self.element.find(f"./CellData/DataArray[@Name='{name}']")
        if element is None:
            return None
        values = self.file.array(element)
        if len(values) != self.n_cells:
            raise FileFormatError(
                f"its array {name!r} has {len(values)} rows; expected one for each of {plural(self.n_cells, 'cell')}.",
                remedy=EXPORT_AGAIN,
            )
        at_triangles: Array = values[self.cells]
        return at_triangles

    def _drop_ghosts(self) -> None:
        """Leave out triangles of cells that are hidden or belong to a neighbouring piece of a parallel run."""
        ghosts = self._cell_array(_GHOST)
        if ghosts is not None and ghosts.any():
            self.remarks.append(f"{plural(int((ghosts != 0).sum()), 'triangle')} of ghost or hidden cells are left out")
            self.faces, self.cells = self.faces[ghosts == 0], self.cells[ghosts == 0]


def write(parts: Parts, dtype: np.dtype[Any]) -> bytes:
    """Return a VTP file's bytes, with arrays in base64 compressed by zlib, which is valid XML.

    Numbers have the precision of `dtype`.
    """
    real = np.dtype(np.float32 if dtype == np.float32 else np.float64)
    offsets = 3 * np.arange(1, len(parts.faces) + 1)
    numbers = {"density": parts.density, "jump": parts.jump, **parts.face_data}
    cells = [array_element(name, np.asarray(a, dtype=real)) for name, a in numbers.items() if a is not None]
    if parts.labels is not None:
        cells.append(array_element("labels", np.asarray(parts.labels, dtype=np.int32)))
    lines = [
        '<?xml version="1.0"?>',
        "<!-- cytoform, (x, y, z) in micrometres -->",
        '<VTKFile type="PolyData" version="1.0" byte_order="LittleEndian" header_type="UInt64" '
        'compressor="vtkZLibDataCompressor">',
        "<PolyData>",
        f'<Piece NumberOfPoints="{len(parts.points)}" NumberOfVerts="0" NumberOfLines="0" NumberOfStrips="0" '
        f'NumberOfPolys="{len(parts.faces)}">',
        "<PointData>",
        *(array_element(name, np.asarray(values, dtype=real)) for name, values in parts.vertex_data.items()),
        "</PointData>",
        "<CellData>",
        *cells,
        "</CellData>",
        "<Points>",
        array_element("Points", np.asarray(parts.points, dtype=real)),
        "</Points>",
        "<Polys>",
        array_element("connectivity", np.asarray(parts.faces, dtype=np.int32).reshape(-1)),
        array_element("offsets", offsets.astype(np.int32)),
        "</Polys>",
        "</Piece>\n</PolyData>\n</VTKFile>\n",
    ]
    return "\n".join(lines).encode()


def array_element(name: str, values: Array) -> str:
    """Return the XML element of an array, (n,) or (n, k), with its numbers in base64."""
    kind = f"{'Float' if values.dtype.kind == 'f' else 'Int'}{8 * values.dtype.itemsize}"
    components = f'NumberOfComponents="{values.shape[1]}" ' if values.ndim == 2 else ""
    return f'<DataArray type="{kind}" Name="{name}" {components}format="binary">{encode_array(values)}</DataArray>'


FORMAT = MeshFormat("a VTP file", (".vtp",), read, write, labels="optional", density=True, vertex_data=True)
