"""PLY: text and binary, either byte order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import FileFormatError
from .parts import LABELS, Parts, fans

__all__ = ["read", "write"]

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


def read(path: Path) -> Parts:
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
    faces, source = fans(polygons)
    density = np.asarray(face["density"], dtype=np.float64)[source] if "density" in face else None
    labels = None
    if all(name in face for name in LABELS):
        labels = np.column_stack([np.asarray(face[name], dtype=np.int64)[source] for name in LABELS])
    return Parts(points, faces, density, labels)


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


def write(parts: Parts, dtype: np.dtype[Any]) -> bytes:
    real, name = ("<f4", "float") if dtype == np.float32 else ("<f8", "double")
    head = ["ply", "format binary_little_endian 1.0", "comment cytoform, (x, y, z) in micrometres"]
    head += [f"element vertex {len(parts.points)}", *(f"property {name} {a}" for a in ("x", "y", "z", *parts.more))]
    head += [f"element face {len(parts.faces)}", "property list uchar int vertex_indices"]
    fields: list[Any] = [("n", "u1"), ("corners", "<i4", 3)]
    if parts.density is not None:
        head.append(f"property {name} density")
        fields.append(("density", real))
    if parts.labels is not None:
        head += [f"property int {label}" for label in LABELS]
        fields.append(("labels", "<i4", 2))
    table = np.zeros(len(parts.faces), dtype=np.dtype(fields))
    table["n"], table["corners"] = 3, parts.faces
    if parts.density is not None:
        table["density"] = parts.density
    if parts.labels is not None:
        table["labels"] = parts.labels
    points = np.column_stack([parts.points, *parts.more.values()]).astype(real)
    return "\n".join([*head, "end_header\n"]).encode() + points.tobytes() + table.tobytes()
