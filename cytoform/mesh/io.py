"""Meshes from and to files. Files hold (x, y, z), memory (z, y, x): the swap happens here and nowhere else.

==========  =========================================  =====================================================
extension   reads                                      writes
==========  =========================================  =====================================================
``.ply``    text and binary                            binary; density and region labels where there are any
``.obj``    polygons, texture seams merged             positions and faces
``.stl``    text and binary, equal corners merged      binary, float32
``.vtp``    text data arrays                           text; density and region labels
``.rec``    multimaterial                              multimaterial, without density
==========  =========================================  =====================================================
"""

from __future__ import annotations

import io
import logging
import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..atomic import atomic_path
from ..errors import CytoformError, FileFormatError, MeshError
from .surface import SurfaceMesh

if TYPE_CHECKING:
    from .multimaterial import MultiMaterialMesh

__all__ = ["read_mesh", "write_mesh"]

PathLike = str | os.PathLike[str]
Array = npt.NDArray[Any]

_LOG = logging.getLogger(__name__)
_LABELS = ("label_from", "label_into")  # the normal points from the first region into the second
_AGAIN = "Copy it again, or export it again from its source."


class _Parts:
    """What a file holds, as it lies on disk: (x, y, z)."""

    def __init__(self, points: Array, faces: Array, density: Array | None = None, labels: Array | None = None) -> None:
        self.points = np.asarray(points, dtype=np.float64).reshape(-1, 3)
        self.faces = np.asarray(faces, dtype=np.int64).reshape(-1, 3)
        self.density = density
        self.labels = labels
        self.more: dict[str, Array] = {}  # at the vertices, only when written


def read_mesh(path: PathLike, *, dtype: npt.DTypeLike = np.float64) -> SurfaceMesh | MultiMaterialMesh:
    """Read a mesh; coordinates are taken as µm.

    Vertices at exactly equal positions become one (texture seams of OBJ and PLY, the loose triangles of STL), polygons
    are cut into fans of triangles; nothing else is changed or dropped.

    Parameters
    ----------
    path : path
        An ``.obj``, ``.ply``, ``.stl``, ``.vtp`` or ``.rec`` file, (x, y, z).
    dtype : float32 or float64
        Number type of the vertices.

    Returns
    -------
    SurfaceMesh or MultiMaterialMesh
        The latter for ``.rec`` and for ``.ply`` and ``.vtp`` files with region labels; vertices are (z, y, x).

    Raises
    ------
    FileFormatError
        When the file is missing, empty, cut short or of another kind.
    MeshError
        When there are no faces, an index is out of range or a vertex is not finite.
    """
    path = Path(path)
    reader = _by_extension(path, _READERS, "read")
    if not path.is_file():
        what = "it is a folder" if path.is_dir() else "there is no such file"
        raise FileFormatError(f"cannot read {path}: {what}; expected a mesh.", remedy="Check the path.")
    if path.stat().st_size == 0:
        raise FileFormatError(f"{path} is empty (0 bytes); expected a mesh.", remedy=_AGAIN)
    try:
        return _assembled(reader(path), dtype, merge=path.suffix.lower() in (".obj", ".ply", ".stl"))
    except MeshError as error:
        raise MeshError(f"{path}: {error.message}", remedy=error.remedy) from error
    except CytoformError:
        raise
    except OSError as error:
        raise FileFormatError(f"cannot read {path}: {error.strerror or error}.", remedy="Check the file.") from error
    except Exception as error:  # whatever a broken file makes a parser do
        reason = str(error) or type(error).__name__
        raise FileFormatError(f"{path} is damaged, cut short or of another kind: {reason}.", remedy=_AGAIN) from error


def write_mesh(
    path: PathLike, mesh: SurfaceMesh | MultiMaterialMesh, vertex_data: Mapping[str, npt.ArrayLike] | None = None
) -> None:
    """Write a mesh in µm, (x, y, z), whole or not at all.

    PLY and VTP keep the vertices' precision, the density (where it is not 1 everywhere) and region labels; OBJ and STL
    keep the surface alone, REC the surface and its labels (a log message says what is left out).

    Parameters
    ----------
    path : path
        ``.ply``, ``.obj``, ``.stl``, ``.vtp`` or ``.rec``; its folder exists.
    mesh : SurfaceMesh or MultiMaterialMesh
    vertex_data : mapping of str to (n_vertices,) float, optional
        Further numbers at the vertices, in PLY and VTP, under names without spaces; ParaView and others show them.
        :func:`read_mesh` leaves them out.

    Raises
    ------
    FileFormatError
        When the extension is unknown.
    MeshError
        When the format cannot hold the mesh: region labels in OBJ and STL, none in REC.
    OutputError
        When the place cannot be written.
    """
    path = Path(path)
    writer = _by_extension(path, _WRITERS, "written")
    labels = getattr(mesh, "labels", None)
    suffix = path.suffix.lower()
    if labels is not None and suffix in (".obj", ".stl"):
        raise MeshError(f"{suffix} files hold no region labels, the mesh has them.", remedy="Write .vtp, .ply or .rec.")
    if labels is None and suffix == ".rec":
        raise MeshError(".rec files need two region labels a face, the mesh has none.", remedy="Write .ply or .obj.")
    density = np.asarray(mesh.density)
    # A cluster's usual density is not 1 everywhere, so it is always written for those.
    kept = density if labels is not None or not np.all(density == 1) else None
    if kept is not None and labels is None and suffix in (".obj", ".stl"):
        _LOG.warning("%s: %s files hold no density; it is left out", path, suffix)
    parts = _Parts(mesh.vertices[:, ::-1], mesh.faces, kept, labels)
    parts.more = _checked_data(vertex_data or {}, mesh.n_vertices)
    if parts.more and suffix not in (".ply", ".vtp"):
        _LOG.warning("%s: %s files hold no data at vertices; they are left out", path, suffix)
    with atomic_path(path) as temporary:
        temporary.write_bytes(writer(parts, np.dtype(mesh.vertices.dtype)))


def _checked_data(vertex_data: Mapping[str, npt.ArrayLike], n_vertices: int) -> dict[str, Array]:
    found = {name: np.asarray(values, dtype=np.float64) for name, values in vertex_data.items()}
    for name, values in found.items():
        if values.shape != (n_vertices,) or not (name.isidentifier() and name.isascii()) or name in ("x", "y", "z"):
            raise MeshError(
                f"vertex data {name!r} has shape {values.shape}; expected ({n_vertices},), and a name of ASCII "
                "letters, digits and underscores other than x, y and z."
            )
    return found


def _by_extension(path: Path, table: dict[str, Any], verb: str) -> Any:
    suffix = path.suffix.lower()
    if suffix not in table:
        raise FileFormatError(
            f"{path} has the extension {suffix or '(none)'!r}; expected one of {', '.join(table)}.",
            remedy="Convert the mesh, for example with MeshLab." if verb == "read" else "Choose another extension.",
        )
    return table[suffix]


# ---------------------------------------------------------------------------------------------------------------------
# From parts to a mesh


def _assembled(parts: _Parts, dtype: npt.DTypeLike, *, merge: bool) -> SurfaceMesh | MultiMaterialMesh:
    points, faces = parts.points, parts.faces
    mesh = SurfaceMesh(points[:, ::-1], faces)  # checks shapes, indices and finiteness
    if merge:
        points, faces = _merged(points, mesh.faces)
    vertices = np.ascontiguousarray(points[:, ::-1], dtype=dtype)
    if parts.labels is not None:
        from .multimaterial import MultiMaterialMesh

        return MultiMaterialMesh(vertices, faces, parts.labels, parts.density)
    return SurfaceMesh(vertices, faces, parts.density)  # type: ignore[arg-type]


def _merged(points: Array, faces: Array) -> tuple[Array, Array]:
    """Make one of vertices at exactly equal positions, in the order in which they first appear."""
    points = points + 0.0  # -0.0 becomes 0.0
    _, first, inverse = np.unique(points, axis=0, return_index=True, return_inverse=True)
    if len(first) == len(points):
        return points, faces
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return points[first[order]], rank[inverse.reshape(-1)][faces]


def _fans(polygons: Iterable[Sequence[int]] | Array) -> tuple[Array, Array]:
    """Triangles (n, 3) of polygons as fans, and the polygon that each of them is from."""
    if isinstance(polygons, np.ndarray) and polygons.ndim == 2 and polygons.shape[1] == 3:
        return polygons, np.arange(len(polygons))
    triangles, source = [], []
    for number, polygon in enumerate(polygons):
        if len(polygon) < 3:
            raise MeshError(f"face {number} has {len(polygon)} corners; expected at least 3.", remedy=_AGAIN)
        for i in range(1, len(polygon) - 1):
            triangles.append((polygon[0], polygon[i], polygon[i + 1]))
            source.append(number)
    return np.array(triangles, dtype=np.int64).reshape(-1, 3), np.array(source, dtype=np.int64)


# ---------------------------------------------------------------------------------------------------------------------
# OBJ


def _read_obj(path: Path) -> _Parts:
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
            raise FileFormatError(f"{path}, line {number} makes no sense: {line[:60]!r}.", remedy=_AGAIN) from error
    if not points:
        raise FileFormatError(f"{path} holds no vertices; expected an OBJ mesh.", remedy="Is it of another kind?")
    faces, _ = _fans(polygons)
    if faces.size and (faces.min() < 0 or faces.max() >= len(points)):
        raise MeshError(
            f"faces name vertices {faces.min() + 1} to {faces.max() + 1}; expected 1 to {len(points)}, as there are "
            f"{len(points)} vertices.",
            remedy=_AGAIN,
        )
    return _Parts(np.array(points), faces)


def _obj_index(word: str, n_points: int) -> int:
    # "7", "7/1", "7//3"; negative numbers count back from the last vertex so far. Index 0 means none and stays -1.
    index = int(word.split("/", 1)[0])
    return index - 1 if index >= 0 else (n_points + index if n_points + index >= 0 else index)


def _write_obj(parts: _Parts, dtype: np.dtype[Any]) -> bytes:
    digits = _digits(dtype)
    lines = ["# cytoform, (x, y, z) in micrometres"]
    lines += [f"v {x:{digits}} {y:{digits}} {z:{digits}}" for x, y, z in parts.points.tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in (parts.faces + 1).tolist()]
    return ("\n".join(lines) + "\n").encode()


def _digits(dtype: np.dtype[Any]) -> str:
    return ".9g" if dtype == np.float32 else ".17g"


# ---------------------------------------------------------------------------------------------------------------------
# STL

_STL_FACET = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


def _read_stl(path: Path) -> _Parts:
    import trimesh

    data = path.read_bytes()
    _check_stl(data)
    mesh = trimesh.load_mesh(io.BytesIO(data), file_type="stl", process=False)
    return _Parts(getattr(mesh, "vertices", np.empty((0, 3))), getattr(mesh, "faces", np.empty((0, 3), np.int64)))


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


def _write_stl(parts: _Parts, dtype: np.dtype[Any]) -> bytes:
    corners = parts.points[parts.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    facets = np.zeros(len(corners), dtype=_STL_FACET)
    facets["normal"] = np.divide(normals, length, out=np.zeros_like(normals), where=length > 0)
    facets["corners"] = corners
    head = b"cytoform, binary STL, (x, y, z) in micrometres".ljust(80)
    return head + np.uint32(len(facets)).astype("<u4").tobytes() + facets.tobytes()


# ---------------------------------------------------------------------------------------------------------------------
# PLY

_PLY_TYPES = {
    **dict.fromkeys(("char", "int8"), "i1"),
    **dict.fromkeys(("uchar", "uint8"), "u1"),
    **dict.fromkeys(("short", "int16"), "i2"),
    **dict.fromkeys(("ushort", "uint16"), "u2"),
    **dict.fromkeys(("int", "int32"), "i4"),
    **dict.fromkeys(("uint", "uint32"), "u4"),
    **dict.fromkeys(("float", "float32"), "f4"),
    **dict.fromkeys(("double", "float64"), "f8"),
}


class _PlyElement:
    def __init__(self, name: str, count: str) -> None:
        self.name, self.count = name, int(count)
        self.properties: list[tuple[str, str, str | None]] = []  # name, type, type of a list's length

    def add(self, words: list[str]) -> None:
        if words[0] == "list":
            self.properties.append((words[3], _PLY_TYPES[words[2]], _PLY_TYPES[words[1]]))
        else:
            self.properties.append((words[1], _PLY_TYPES[words[0]], None))


def _ply_header(lines: Iterator[bytes]) -> tuple[str, list[_PlyElement]]:
    if next(lines, b"").strip() != b"ply":
        raise FileFormatError("it does not begin with 'ply'", remedy="Is it of another kind?")
    form, elements = "", []
    for line in lines:
        words = line.decode("latin-1").split()
        if words[:1] == ["end_header"]:
            return form, elements
        if words[:1] == ["format"]:
            form = words[1]
        elif words[:1] == ["element"]:
            elements.append(_PlyElement(words[1], words[2]))
        elif words[:1] == ["property"]:
            elements[-1].add(words[1:])
    raise ValueError("the header has no end")


def _read_ply(path: Path) -> _Parts:
    with open(path, "rb") as file:
        try:
            form, elements = _ply_header(iter(file.readline, b""))
        except FileFormatError as error:
            raise FileFormatError(f"{path} is no PLY file: {error.message}.", remedy=error.remedy) from error
        body = file.read()
    if form == "ascii":
        rows = _ply_text(body, elements)
    elif form in ("binary_little_endian", "binary_big_endian"):
        rows = _ply_binary(body, elements, "<" if "little" in form else ">")
    else:
        raise ValueError(f"its format is {form!r}; expected ascii or binary")
    found = {element.name: columns for element, columns in zip(elements, rows)}
    vertex, face = found.get("vertex", {}), found.get("face", {})
    if not {"x", "y", "z"} <= set(vertex):
        raise ValueError("it has no vertices with x, y and z")
    points = np.column_stack([np.asarray(vertex[a], dtype=np.float64) for a in "xyz"])
    polygons = face.get("vertex_indices", face.get("vertex_index", ()))
    faces, source = _fans(polygons)
    density = np.asarray(face["density"], dtype=np.float64)[source] if "density" in face else None
    labels = None
    if all(name in face for name in _LABELS):
        labels = np.column_stack([np.asarray(face[name], dtype=np.int64)[source] for name in _LABELS])
    return _Parts(points, faces, density, labels)


def _ply_text(body: bytes, elements: list[_PlyElement]) -> Iterator[dict[str, Any]]:
    lines = iter(line for line in body.decode("latin-1").splitlines() if line.strip())
    for element in elements:
        columns: dict[str, list[Any]] = {name: [] for name, _, _ in element.properties}
        for _ in range(element.count):
            line = next(lines, None)
            if line is None:
                raise ValueError(f"the header promises {element.count} of {element.name!r}, the file ends before")
            words = iter(line.split())
            for name, kind, length in element.properties:
                convert = float if kind[0] == "f" else int
                if length is None:
                    columns[name].append(convert(_word(words)))
                else:
                    columns[name].append([convert(_word(words)) for _ in range(int(_word(words)))])
        yield columns


def _word(words: Iterator[str]) -> str:
    word = next(words, None)
    if word is None:
        raise ValueError("a line has too few numbers")
    return word


def _ply_binary(body: bytes, elements: list[_PlyElement], order: str) -> Iterator[dict[str, Any]]:
    start = 0
    for element in elements:
        columns, start = _ply_even(body, start, element, order) or _ply_uneven(body, start, element, order)
        yield columns


def _ply_even(body: bytes, start: int, element: _PlyElement, order: str) -> tuple[dict[str, Any], int] | None:
    """All rows at once, where every list is as long as in the first row; None where that does not hold."""
    fields: list[Any] = []
    place = start
    for name, kind, length in element.properties:
        size = 1
        if length is not None:
            if element.count == 0 or place + int(length[1]) > len(body):
                return None
            size = int(np.frombuffer(body, order + length, 1, place)[0])
            fields.append((name + "#", order + length))
            place += int(length[1])
        fields.append((name, order + kind, (size,)) if length is not None else (name, order + kind))
        place += size * int(kind[1])
    row = np.dtype(fields)
    if start + row.itemsize * element.count > len(body):
        return None
    table = np.frombuffer(body, row, element.count, start)
    for name, _, length in element.properties:
        if length is not None and (table[name + "#"] != table[name].shape[1]).any():
            return None
    return {name: table[name] for name, _, _ in element.properties}, start + table.nbytes


def _ply_uneven(body: bytes, start: int, element: _PlyElement, order: str) -> tuple[dict[str, Any], int]:
    columns: dict[str, list[Any]] = {name: [] for name, _, _ in element.properties}

    def take(kind: str, count: int) -> list[Any]:
        nonlocal start
        values = np.frombuffer(body, order + kind, count, start).tolist()  # raises where the file ends before
        start += count * int(kind[1])
        return values

    for _ in range(element.count):
        for name, kind, length in element.properties:
            columns[name].append(take(kind, 1)[0] if length is None else take(kind, take(length, 1)[0]))
    return columns, start


def _write_ply(parts: _Parts, dtype: np.dtype[Any]) -> bytes:
    real, name = ("<f4", "float") if dtype == np.float32 else ("<f8", "double")
    head = ["ply", "format binary_little_endian 1.0", "comment cytoform, (x, y, z) in micrometres"]
    head += [f"element vertex {len(parts.points)}", *(f"property {name} {a}" for a in ("x", "y", "z", *parts.more))]
    head += [f"element face {len(parts.faces)}", "property list uchar int vertex_indices"]
    fields: list[Any] = [("n", "u1"), ("corners", "<i4", 3)]
    if parts.density is not None:
        head.append(f"property {name} density")
        fields.append(("density", real))
    if parts.labels is not None:
        head += [f"property int {label}" for label in _LABELS]
        fields.append(("labels", "<i4", 2))
    table = np.zeros(len(parts.faces), dtype=np.dtype(fields))
    table["n"], table["corners"] = 3, parts.faces
    if parts.density is not None:
        table["density"] = parts.density
    if parts.labels is not None:
        table["labels"] = parts.labels
    points = np.column_stack([parts.points, *parts.more.values()]).astype(real)
    return "\n".join([*head, "end_header\n"]).encode() + points.tobytes() + table.tobytes()


# ---------------------------------------------------------------------------------------------------------------------
# REC: a count, vertices, a count, faces with two region labels


def _read_rec(path: Path) -> _Parts:
    lines = [line for line in path.read_text(encoding="ascii").splitlines() if line.strip()]
    n_points = int(lines[0])
    if len(lines) < n_points + 2:
        raise ValueError(f"it promises {n_points} vertices and a face count, and has {len(lines) - 1} lines after that")
    n_faces = int(lines[n_points + 1])
    rows = lines[n_points + 2 :]
    if len(rows) != n_faces:
        raise ValueError(f"it promises {n_faces} faces and has {len(rows)}")
    if n_faces == 0:
        raise MeshError("the mesh has no faces; expected at least one triangle.", remedy=_AGAIN)
    points = np.array([line.split() for line in lines[1 : n_points + 1]], dtype=np.float64)
    table = np.array([row.split() for row in rows], dtype=np.int64)
    if points.shape != (n_points, 3) or table.shape != (n_faces, 5):
        raise ValueError(f"its tables have shapes {points.shape} and {table.shape}; expected 3 and 5 columns")
    return _Parts(points, table[:, :3], None, table[:, 3:])


def _write_rec(parts: _Parts, dtype: np.dtype[Any]) -> bytes:
    digits = _digits(dtype)
    assert parts.labels is not None
    lines = [str(len(parts.points))]
    lines += [f"{x:{digits}} {y:{digits}} {z:{digits}}" for x, y, z in parts.points.tolist()]
    lines.append(str(len(parts.faces)))
    lines += [" ".join(map(str, row)) for row in np.hstack([parts.faces, parts.labels]).tolist()]
    return ("\n".join(lines) + "\n").encode()


# ---------------------------------------------------------------------------------------------------------------------
# VTP: VTK's XML PolyData, with its numbers as text


def _read_vtp(path: Path) -> _Parts:
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
    faces, source = _fans(np.split(polygons["connectivity"].astype(np.int64), offsets[:-1]))
    density, labels = cells.get("density"), cells.get("labels")
    return _Parts(
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


def _write_vtp(parts: _Parts, dtype: np.dtype[Any]) -> bytes:
    real = "Float32" if dtype == np.float32 else "Float64"
    offsets = 3 * np.arange(1, len(parts.faces) + 1)
    cells = [] if parts.density is None else [_vtp_text(real, "density", parts.density, _digits(dtype))]
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
        *(_vtp_text(real, name, values, _digits(dtype)) for name, values in parts.more.items()),
        "</PointData>",
        "<CellData>" + "\n".join(cells) + "</CellData>",
        "<Points>" + _vtp_text(real, "Points", parts.points, _digits(dtype), 'NumberOfComponents="3"') + "</Points>",
        "<Polys>" + _vtp_text("Int32", "connectivity", parts.faces, "d"),
        _vtp_text("Int32", "offsets", offsets, "d") + "</Polys>",
        "</Piece>\n</PolyData>\n</VTKFile>\n",
    ]
    return "\n".join(lines).encode()


def _vtp_text(kind: str, name: str, values: Array, digits: str, extra: str = "") -> str:
    rows = np.asarray(values).reshape(len(values), -1).tolist()
    text = "\n".join(" ".join(f"{v:{digits}}" for v in row) for row in rows)
    return f'<DataArray type="{kind}" Name="{name}" {extra} format="ascii">\n{text}\n</DataArray>'


_READERS: dict[str, Callable[[Path], _Parts]] = {
    ".obj": _read_obj,
    ".ply": _read_ply,
    ".stl": _read_stl,
    ".vtp": _read_vtp,
    ".rec": _read_rec,
}
_WRITERS: dict[str, Callable[[_Parts, np.dtype[Any]], bytes]] = {
    ".obj": _write_obj,
    ".ply": _write_ply,
    ".stl": _write_stl,
    ".vtp": _write_vtp,
    ".rec": _write_rec,
}
