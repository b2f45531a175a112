"""PLY: text and binary, either byte order. Ref: G. Turk, "The PLY polygon file format", Stanford, 1994."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import FileFormatError
from .parts import (
    EXPORT_AGAIN,
    LABELS,
    Array,
    MeshFormat,
    Parts,
    Polygons,
    count_phrase,
    exact_number_format,
    plural,
    triangulate,
    triangulate_strips,
)
from .text import parse_number, split_lines, to_utf8

__all__ = ["FORMAT"]

_TYPES = {
    **dict.fromkeys(("char", "int8"), "i1"),
    **dict.fromkeys(("uchar", "uint8"), "u1"),
    **dict.fromkeys(("short", "int16"), "i2"),
    **dict.fromkeys(("ushort", "uint16"), "u2"),
    **dict.fromkeys(("int", "int32"), "i4"),
    **dict.fromkeys(("uint", "uint32"), "u4"),
    **dict.fromkeys(("long", "int64"), "i8"),  # these two by meshio and others
    **dict.fromkeys(("ulong", "uint64"), "u8"),
    **dict.fromkeys(("float", "float32"), "f4"),
    **dict.fromkeys(("double", "float64"), "f8"),
}
_CORNERS = ("vertex_indices", "vertex_index", "vertex_indexes", "vertex_ids")
_USED = ("vertex", "face", "tristrips")
_LINE = 100  # bytes that hold the first line


class _Element:
    """An element of a PLY header, such as "vertex" or "face": its name, number of rows, and properties of a row."""

    def __init__(self, name: str, count: str) -> None:
        self.name, self.count = name, int(count)
        self.properties: list[tuple[str, str, str | None]] = []  # name, type, type of a list's length

    def add(self, words: list[str]) -> None:
        """Add a property from the words of its header line.

        They are a type and a name, or "list", the type of the length, the type of the entries, and a name.
        """
        if words[0] == "list":
            self.properties.append((words[3], _numpy_type(words[2]), _numpy_type(words[1])))
        else:
            self.properties.append((words[1], _numpy_type(words[0]), None))


def _numpy_type(word: str) -> str:
    """Return NumPy's code for a number type of PLY, such as "f4" for "float".

    Raise FileFormatError if it is unknown.
    """
    if word not in _TYPES:
        raise FileFormatError(
            f"its header has the type {word!r}; expected one of {', '.join(_TYPES)}.", remedy=EXPORT_AGAIN
        )
    return _TYPES[word]


def _cut_short_error(element: _Element, actual: int) -> FileFormatError:
    """Return the error for an element of which only `actual` rows exist, fewer than the header promises."""
    return FileFormatError(
        f"it is cut short: its header promises {plural(element.count, element.name)}, and {actual} are there.",
        remedy=EXPORT_AGAIN,
    )


def read(path: Path) -> Parts:
    """Read a PLY file: vertices, polygons and triangle strips; density, jump and region labels at the faces.

    Raise FileFormatError or MeshError if it is damaged, cut short or without vertices.
    """
    data = to_utf8(path.read_bytes())
    file_format, elements, body = _parse_header(data)
    remarks: list[str] = []
    if file_format == "ascii":
        rows = list(_read_text(body, elements, remarks))
    elif file_format in ("binary_little_endian", "binary_big_endian"):
        rows = list(_read_binary(body, elements, "<" if "little" in file_format else ">", remarks))
    else:
        message = f"its format is {file_format!r}; expected ascii, binary_little_endian or binary_big_endian."
        raise FileFormatError(message, remedy=EXPORT_AGAIN)
    remarks += [f"{count_phrase(e.count, e.name)} left out" for e in elements if e.name not in _USED and e.count]
    found = {element.name: columns for element, columns in zip(elements, rows)}
    vertex = found.get("vertex", {})
    if not {"x", "y", "z"} <= set(vertex):
        raise FileFormatError("it has no vertices with x, y and z.", remedy=EXPORT_AGAIN)
    points = np.column_stack([np.asarray(vertex[a], dtype=np.float64) for a in "xyz"])
    return _assemble_parts(points, found.get("face", {}), found.get("tristrips", {}), remarks)


def _parse_header(data: bytes) -> tuple[str, list[_Element], bytes]:
    """Return the format, the elements, and the bytes after the header, whose lines may end as on any system."""
    first = re.match(rb"[^\r\n]*(\r\n|\r|\n)", data[:_LINE])
    newline = b"\r" if first and first[1] == b"\r" else b"\n"
    start = data.find(newline + b"end_header")
    if data[:3] != b"ply" or data[3:4] not in (b"\n", b"\r", b" "):
        raise FileFormatError("it is no PLY file: it does not begin with 'ply'.", remedy="Is it of another kind?")
    if start < 0:
        raise FileFormatError("its header has no end: it is cut short.", remedy=EXPORT_AGAIN)
    file_format, elements = "", []
    for line in split_lines(data[:start].decode("latin-1")):
        words = line.split()
        if words[:1] == ["format"]:
            file_format = words[1]
        elif words[:1] == ["element"]:
            elements.append(_Element(words[1], words[2]))
        elif words[:1] == ["property"]:
            elements[-1].add(words[1:])
    end = data.find(newline, start + 1)
    return file_format, elements, b"" if end < 0 else data[end + 1 :]


def _assemble_parts(points: Array, face: dict[str, Any], tristrips: dict[str, Any], remarks: list[str]) -> Parts:
    """Return the file's parts from the columns of its elements "face" and "tristrips", by property name.

    Polygons and strips become triangles; density, jump and labels are kept unless there are strips, which have none.
    """
    faces, source = triangulate(points, Polygons.of(_corner_lists(face, "face")), remarks)
    more, _ = triangulate_strips(_split_at_restarts(Polygons.of(_corner_lists(tristrips, "tristrips"))))
    numbers = [name for name in ("density", "jump", *LABELS) if name in face]
    if len(more):
        if numbers:
            remarks.append(f"{' and '.join(numbers)} at the faces are left out, as its triangle strips have none")
        return Parts(points, np.concatenate([faces, more]), remarks=remarks)
    density, jump = (
        np.asarray(face[name], dtype=np.float64)[source] if name in face else None for name in ("density", "jump")
    )
    labels = None
    if all(name in face for name in LABELS):
        labels = np.column_stack([np.asarray(face[name], dtype=np.int64)[source] for name in LABELS])
    return Parts(points, faces, density, labels, remarks, jump)


def _corner_lists(columns: dict[str, Any], element: str) -> Any:
    """Return an element's lists of vertex indices, under any of their usual names.

    `columns` holds the element's properties by name; () is returned where there are none, as the element is not in the
    file. Raise FileFormatError if it has other properties only.
    """
    for name in _CORNERS:
        if name in columns:
            return columns[name]
    if columns:
        raise FileFormatError(
            f"its element {element!r} has the properties {', '.join(columns)}; expected {' or '.join(_CORNERS[:2])}.",
            remedy="Export it again, for example with MeshLab.",
        )
    return ()


def _split_at_restarts(polygons: Polygons) -> Polygons:
    """Return triangle strips split where a corner is -1, which marks the start of a new strip."""
    owner = np.repeat(np.arange(len(polygons.sizes)), polygons.sizes)
    cut = polygons.corners < 0
    part = owner + np.cumsum(cut)
    _, sizes = np.unique(part[~cut], return_counts=True)
    return Polygons(polygons.corners[~cut], sizes.astype(np.int64))


# ---------------------------------------------------------------------------------------------------------------------
# Text


def _read_text(body: bytes, elements: list[_Element], remarks: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the columns of each element of a text file, by property name.

    Raise FileFormatError if lines are missing; lines after the last element get an entry in `remarks`.
    """
    lines = [line for line in split_lines(body.decode("latin-1")) if line.strip()]
    start = 0
    for element in elements:
        if not element.properties:
            yield {}
            continue
        rows = lines[start : start + element.count]
        if len(rows) < element.count:
            raise _cut_short_error(element, len(rows))
        start += element.count
        columns = _read_uniform_text(rows, element)
        yield _read_text_row_by_row(rows, element) if columns is None else columns
    if start < len(lines):
        remarks.append(f"{plural(len(lines) - start, 'line')} after what its header promises are left out")


def _read_uniform_text(rows: list[str], element: _Element) -> dict[str, Any] | None:
    """Return the columns of an element read from all rows at once, or None if its lists differ in length.

    Numbers of a column are (n,), lists (n, k). None also where a word is no number or an integer has decimals.
    """
    words = [row.split() for row in rows]
    if not words or any(len(row) != len(words[0]) for row in words):
        return None
    try:
        table = np.array(words, dtype=np.float64)  # exact for whole numbers up to 2^53
    except ValueError:
        return None
    columns: dict[str, Array] = {}
    position = 0
    for name, kind, length in element.properties:
        size = 1
        if length is not None:
            if position >= table.shape[1] or (table[:, position] != table[0, position]).any():
                return None
            size, position = int(table[0, position]), position + 1
        part: Array = table[:, position : position + size]
        if kind[0] != "f":
            whole = part.astype(np.int64)
            if (whole != part).any():
                return None
            part = whole
        columns[name] = part if length is not None else part.reshape(-1)
        position += size
    return columns if position == table.shape[1] else None


def _read_text_row_by_row(rows: list[str], element: _Element) -> dict[str, Any]:
    """Return the columns of an element as lists, read row by row; raise FileFormatError naming a row that is wrong."""
    columns: dict[str, list[Any]] = {name: [] for name, _, _ in element.properties}
    for index, row in enumerate(rows):
        words = iter(row.split())
        try:
            for name, kind, length in element.properties:
                convert = parse_number if kind[0] == "f" else int
                if length is None:
                    columns[name].append(convert(_next_word(words)))
                else:
                    columns[name].append([convert(_next_word(words)) for _ in range(int(_next_word(words)))])
            if next(words, None) is not None:
                raise ValueError("there are more numbers in the line than its header promises")
        except ValueError as error:
            message = f"its {element.name} {index} makes no sense: {row[:60]!r}; {error}."
            raise FileFormatError(message, remedy=EXPORT_AGAIN) from error
    return columns


def _next_word(words: Iterator[str]) -> str:
    """Return the next word of a line; raise ValueError if there is none."""
    word = next(words, None)
    if word is None:
        raise ValueError("there are fewer numbers in the line than its header promises (is it cut short?)")
    return word


# ---------------------------------------------------------------------------------------------------------------------
# Binary


def _read_binary(body: bytes, elements: list[_Element], order: str, remarks: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the columns of each element of a binary file, by property name; `order` is "<" (little endian) or ">".

    Bytes after the last element get an entry in `remarks`.
    """
    start = 0
    for element in elements:
        if element.properties:
            columns, start = _read_uniform_binary(body, start, element, order) or _read_binary_row_by_row(
                body, start, element, order
            )
            yield columns
        else:
            yield {}
    if body[start:].strip(b"\0\r\n "):
        remarks.append(f"{plural(len(body) - start, 'byte')} after what its header promises are left out")


def _read_uniform_binary(body: bytes, start: int, element: _Element, order: str) -> tuple[dict[str, Any], int] | None:
    """Return an element's columns, read all at once from byte `start`, and the byte after them.

    None if its lists differ in length or the file is too short. `order` is "<" (little endian) or ">".
    """
    fields: list[Any] = []
    position = start
    for name, kind, length in element.properties:
        size = 1
        if length is not None:
            if element.count == 0 or position + int(length[1]) > len(body):
                return None
            size = int(np.frombuffer(body, order + length, 1, position)[0])
            fields.append((name + "#", order + length))
            position += int(length[1])
        fields.append((name, order + kind, (size,)) if length is not None else (name, order + kind))
        position += size * int(kind[1])
    row = np.dtype(fields)
    if start + row.itemsize * element.count > len(body):
        return None
    table = np.frombuffer(body, row, element.count, start)
    for name, _, length in element.properties:
        if length is not None and (table[name + "#"] != table[name].shape[1]).any():
            return None
    return {name: table[name] for name, _, _ in element.properties}, start + table.nbytes


def _read_binary_row_by_row(body: bytes, start: int, element: _Element, order: str) -> tuple[dict[str, Any], int]:
    """Return an element's columns as lists, read number by number from byte `start`, and the byte after them.

    `order` is "<" (little endian) or ">". Raise FileFormatError if the file is too short.
    """
    columns: dict[str, list[Any]] = {name: [] for name, _, _ in element.properties}

    def take(kind: str, count: int) -> list[Any]:
        nonlocal start
        size = count * int(kind[1])
        if size < 0 or start + size > len(body):
            done = min((len(values) for values in columns.values()), default=0)
            raise _cut_short_error(element, done)
        values: list[Any] = np.frombuffer(body, order + kind, count, start).tolist()
        start += size
        return values

    for _ in range(element.count):
        for name, kind, length in element.properties:
            columns[name].append(take(kind, 1)[0] if length is None else take(kind, take(length, 1)[0]))
    return columns, start


# ---------------------------------------------------------------------------------------------------------------------
# Writing


def write(parts: Parts, dtype: np.dtype[Any]) -> bytes:
    """Return a PLY file's bytes: binary, or text where faces have a density, jump or labels.

    meshio reads such numbers from text alone. Numbers have the precision of `dtype`.
    """
    name = "float" if dtype == np.float32 else "double"
    numbers = [a for a in ("density", "jump") if getattr(parts, a) is not None]
    text = bool(numbers) or parts.labels is not None
    head = ["ply", f"format {'ascii' if text else 'binary_little_endian'} 1.0"]
    head += ["comment cytoform, (x, y, z) in micrometres", f"element vertex {len(parts.points)}"]
    head += [f"property {name} {a}" for a in ("x", "y", "z", *parts.vertex_data)]
    head += [f"element face {len(parts.faces)}", "property list uchar int vertex_indices"]
    head += [f"property {name} {a}" for a in numbers]
    head += [f"property int {label}" for label in LABELS] * (parts.labels is not None)
    points = np.column_stack([parts.points, *parts.vertex_data.values()])
    body = _text_body(points, parts, exact_number_format(dtype)) if text else _binary_body(points, parts, dtype)
    return "\n".join([*head, "end_header\n"]).encode() + body


def _text_body(points: Array, parts: Parts, number_format: str) -> bytes:
    """Return the rows of a text file: points, then faces with their density, jump and labels.

    points (n, 3 + k) hold the numbers at the points after the coordinates.
    """
    row = " ".join([f"{{:{number_format}}}"] * points.shape[1])
    lines = [row.format(*values) for values in points.tolist()]
    columns: list[list[Any]] = parts.faces.T.tolist()
    row = "3 {} {} {}"
    for numbers in (parts.density, parts.jump):
        if numbers is not None:
            row, columns = row + f" {{:{number_format}}}", [*columns, numbers.tolist()]
    if parts.labels is not None:
        row, columns = row + " {} {}", columns + parts.labels.T.tolist()
    lines += [row.format(*values) for values in zip(*columns)]
    return ("\n".join(lines) + "\n").encode()


def _binary_body(points: Array, parts: Parts, dtype: np.dtype[Any]) -> bytes:
    """Return the bytes of a binary file: points, then faces, little endian.

    points (n, 3 + k) hold the numbers at the points after the coordinates.
    """
    table = np.zeros(len(parts.faces), dtype=[("n", "u1"), ("corners", "<i4", 3)])
    table["n"], table["corners"] = 3, parts.faces
    return points.astype("<f4" if dtype == np.float32 else "<f8").tobytes() + table.tobytes()


FORMAT = MeshFormat("a PLY file", (".ply",), read, write, labels="optional", density=True, vertex_data=True, jump=True)
