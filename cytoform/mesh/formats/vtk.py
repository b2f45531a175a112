"""Legacy VTK: triangles and polygons of PolyData and unstructured grids, as text or binary, with two labels a face."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...errors import FileFormatError, MeshError
from .parts import EXPORT_AGAIN, Array, MeshFormat, Parts, Polygons, triangulate

__all__ = ["FORMAT"]

_TYPES = {
    "double": "f8", "float": "f4", "int": "i4", "unsigned_int": "u4", "long": "i8", "unsigned_long": "u8",
    "short": "i2", "unsigned_short": "u2", "char": "i1", "unsigned_char": "u1", "vtktypeint64": "i8",
    "vtktypeuint64": "u8", "vtkidtype": "i8", "vtktypeint32": "i4",
}  # fmt: skip
_FLAT = (5, 7, 9)  # VTK's numbers of triangle, polygon and quadrilateral
_LABELS = ("label1", "label2")


class _Scanner:
    """The bytes of a file and how far they have been read."""

    def __init__(self, data: bytes, binary: bool) -> None:
        self.data, self.at, self.binary = data, 0, binary

    def words(self) -> list[str]:
        """Return the words of the next line that is not empty; none at the end of the file."""
        while self.at < len(self.data):
            end = self.data.find(b"\n", self.at)
            end = len(self.data) if end < 0 else end
            line = self.data[self.at : end].decode("latin-1").split()
            self.at = end + 1
            if line:
                return line
        return []

    def array(self, count: int, kind: str) -> Array:
        """Return the next `count` numbers of one of VTK's types; raise FileFormatError if there are too few."""
        if kind.lower() not in _TYPES or count < 0:
            raise FileFormatError(f"it has {count} numbers of type {kind!r}, which is unknown.", remedy=EXPORT_AGAIN)
        dtype = np.dtype(">" + _TYPES[kind.lower()])
        if self.binary:
            body = self.data[self.at : self.at + count * dtype.itemsize]
            self.at += len(body)
            found = np.frombuffer(body, dtype, len(body) // dtype.itemsize)
        else:
            taken: list[bytes] = []
            while len(taken) < count and self.at < len(self.data):
                end = self.data.find(b"\n", self.at)
                end = len(self.data) if end < 0 else end
                taken += self.data[self.at : end].split()
                self.at = end + 1
            found = np.array(taken[:count]).astype(np.float64).astype(dtype.newbyteorder("="))
        if len(found) != count:
            raise FileFormatError(
                f"it promises {count} numbers and has {len(found)}: it is damaged or cut short.", remedy=EXPORT_AGAIN
            )
        return found.astype(dtype.newbyteorder("="))


def read(path: Path) -> Parts:
    """Read a legacy VTK file: points, triangles and polygons, and the labels at the cells.

    Raise FileFormatError if it is damaged or of another kind, MeshError if it has no faces.
    """
    data = path.read_bytes()
    head = data.split(b"\n", 3)
    if len(head) < 4 or not head[0].startswith(b"# vtk DataFile") or head[2].strip() not in (b"ASCII", b"BINARY"):
        raise FileFormatError("it does not begin as a legacy VTK file does.", remedy=EXPORT_AGAIN)
    file = _Scanner(data, head[2].strip() == b"BINARY")
    file.at = sum(len(line) + 1 for line in head[:3])
    kind = file.words()
    if kind[:1] != ["DATASET"] or kind[1:] not in (["POLYDATA"], ["UNSTRUCTURED_GRID"]):
        raise FileFormatError(
            f"it is a VTK file with {' '.join(kind[1:]) or 'nothing'}; expected POLYDATA or UNSTRUCTURED_GRID.",
            remedy="In ParaView apply “Extract Surface” and save it as .vtp.",
        )
    points, polygons, types, arrays = _read_sections(file)
    return _assemble(points, polygons, types, arrays)


def _read_sections(file: _Scanner) -> tuple[Array, Polygons, Array | None, dict[str, Array]]:
    """Return points, polygons, their types (None if not given) and the arrays at cells of a file."""
    points, polygons, types = np.zeros((0, 3)), Polygons(np.zeros(0, np.int64), np.zeros(0, np.int64)), None
    arrays: dict[str, Array] = {}
    at_cells = False
    while words := file.words():
        name = words[0].upper()
        if name == "POINTS":
            points = file.array(3 * int(words[1]), words[2]).reshape(-1, 3)
        elif name in ("POLYGONS", "CELLS"):
            polygons = _read_polygons(file, int(words[1]), int(words[2]))
        elif name == "CELL_TYPES":
            types = file.array(int(words[1]), "int")
        elif name in ("VERTICES", "LINES", "TRIANGLE_STRIPS"):
            raise FileFormatError(
                f"it has {name}; expected polygons alone.", remedy="In ParaView apply “Extract Surface”, save as .vtp."
            )
        elif name in ("CELL_DATA", "POINT_DATA"):
            at_cells = name == "CELL_DATA"
        elif name == "METADATA":
            _skip_block(file)
        else:
            found = _read_arrays(file, words, len(polygons.sizes) if at_cells else len(points))
            arrays.update(found if at_cells else {})
    return points, polygons, types, arrays


def _skip_block(file: _Scanner) -> None:
    """Move behind the next empty line."""
    end = file.data.find(b"\n\n", file.at)
    file.at = len(file.data) if end < 0 else end + 2


def _read_polygons(file: _Scanner, n: int, size: int) -> Polygons:
    """Return polygons in the form of version 5.1 (offsets and corners) or before (each number of corners first)."""
    start = file.at
    words = file.words()
    if words[:1] == ["OFFSETS"]:
        offsets = file.array(n, words[1]).astype(np.int64)
        words = file.words()
        return Polygons(file.array(size, words[1]).astype(np.int64), np.diff(offsets))
    file.at = start
    table = file.array(size, "int").astype(np.int64)
    sizes, corners, at = [], [], 0
    for _ in range(n):
        if at >= size:
            raise FileFormatError(f"its cells do not fill {size} numbers: it is damaged.", remedy=EXPORT_AGAIN)
        sizes.append(int(table[at]))
        corners.append(table[at + 1 : at + 1 + sizes[-1]])
        at += 1 + sizes[-1]
    return Polygons(np.concatenate([np.zeros(0, np.int64), *corners]), np.array(sizes, dtype=np.int64))


def _read_arrays(file: _Scanner, words: list[str], n: int) -> dict[str, Array]:
    """Return the arrays that a line announces: SCALARS or FIELD; raise FileFormatError for other words."""
    if words[0].upper() == "SCALARS" and len(words) >= 3:
        width = int(words[3]) if len(words) > 3 else 1
        start = file.at
        if file.words()[:1] != ["LOOKUP_TABLE"]:
            file.at = start
        return {words[1]: file.array(n * width, words[2]).reshape(n, width)}
    if words[0].upper() == "FIELD" and len(words) == 3:
        found = {}
        for _ in range(int(words[2])):
            line = file.words()
            if line[:1] == ["METADATA"]:
                _skip_block(file)
                line = file.words()
            if len(line) != 4:
                break
            found[line[0]] = file.array(int(line[1]) * int(line[2]), line[3]).reshape(int(line[2]), int(line[1]))
        return found
    raise FileFormatError(f"the section {' '.join(words)[:40]!r} is not understood.", remedy=EXPORT_AGAIN)


def _assemble(points: Array, polygons: Polygons, types: Array | None, arrays: dict[str, Array]) -> Parts:
    """Return the parts of a mesh: triangles with the labels of their cells."""
    remarks: list[str] = []
    if types is not None and not np.isin(types, _FLAT).all():
        raise FileFormatError(
            "it has cells that are no triangles or polygons.", remedy="In ParaView apply “Extract Surface”."
        )
    if len(polygons.sizes) == 0:
        raise MeshError("the mesh has no faces; expected at least one triangle.", remedy="Is it a point cloud?")
    low, high = int(polygons.corners.min()), int(polygons.corners.max())
    if low < 0 or high >= len(points):
        raise MeshError(f"faces name vertices {low} to {high}; expected 0 to {len(points) - 1}.", remedy=EXPORT_AGAIN)
    faces, source = triangulate(points, polygons, remarks)
    pair = [arrays.get(name) for name in _LABELS]
    labels = arrays.get("labels")
    if all(a is not None for a in pair):
        labels = np.column_stack(pair)  # type: ignore[arg-type]
    if labels is not None and (labels.ndim != 2 or labels.shape != (len(polygons.sizes), 2)):
        labels = None
    at_faces = {k: v[source].reshape(-1) for k, v in arrays.items() if k in ("density", "jump") and v.size == len(v)}
    return Parts(
        points, faces, at_faces.get("density"), None if labels is None else labels.astype(np.int64)[source], remarks,
        at_faces.get("jump"),
    )  # fmt: skip


FORMAT = MeshFormat("a legacy VTK file", (".vtk",), read, None, labels="optional", density=True)
