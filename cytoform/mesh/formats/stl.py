"""STL: loose triangles, text and binary. Ref: 3D Systems, "StereoLithography Interface Specification", 1989."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...errors import FileFormatError
from .parts import EXPORT_AGAIN, Array, MeshFormat, Parts, plural
from .text import decode_text, is_binary, parse_number, split_lines, to_utf8

__all__ = ["FORMAT"]

_FACET = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_HEAD_BYTES = 84  # 80 bytes of any text, then how many triangles


def read(path: Path) -> Parts:
    """Read an STL file, text or binary: three points of its own for every triangle.

    Raise FileFormatError if it is damaged, cut short or no STL file.
    """
    data = path.read_bytes()
    remarks: list[str] = []
    # A binary file's header may begin with "solid" too; its length tells.
    if _promised_length(data) == len(data) or not _is_text(data):
        corners = _read_binary(data, remarks)
    else:
        corners = _read_text(decode_text(data), remarks)
    points = corners.reshape(-1, 3)
    return Parts(points, np.arange(len(points)).reshape(-1, 3), remarks=remarks)


def _is_text(data: bytes) -> bool:
    """Tell whether a file is a text STL: it begins with "solid" and holds no binary data."""
    text = to_utf8(data)
    return text.lstrip()[:5].lower() == b"solid" and not is_binary(text)


def _promised_length(data: bytes) -> int:
    """Return the length in bytes that a binary file's header promises; 0 if the file is shorter than a header."""
    return (
        _HEAD_BYTES + int.from_bytes(data[80:_HEAD_BYTES], "little") * _FACET.itemsize
        if len(data) >= _HEAD_BYTES
        else 0
    )


def _read_binary(data: bytes, remarks: list[str]) -> Array:
    """Return the corners of a binary file's triangles, (n, 3 corners, 3 axes) float64, (x, y, z).

    Several files joined in one are read as one mesh, with an entry in `remarks`. Raise FileFormatError if the length is
    not the one that the header promises.
    """
    found: list[Array] = []
    rest = data
    while len(rest) >= _HEAD_BYTES and _promised_length(rest) <= len(rest):  # several files may have been put together
        count = (_promised_length(rest) - _HEAD_BYTES) // _FACET.itemsize
        found.append(np.frombuffer(rest, _FACET, count, _HEAD_BYTES)["corners"])
        rest = rest[_promised_length(rest) :]
    if not found or len(rest) >= _HEAD_BYTES:
        expected = max(_promised_length(data), _HEAD_BYTES)
        raise FileFormatError(
            f"it has {len(data)} bytes; expected {expected}, as its header promises "
            f"{plural((expected - _HEAD_BYTES) // _FACET.itemsize, 'triangle')}: it is "
            f"{'cut short' if len(data) < expected else 'damaged'}, or no STL file.",
            remedy=EXPORT_AGAIN,
        )
    if len(found) > 1:
        remarks.append(f"it is {len(found)} STL files in one; they are taken together as one mesh")
    if rest.strip(b"\0\r\n "):
        remarks.append(f"{plural(len(rest), 'byte')} after the last triangle are left out")
    return np.concatenate(found).astype(np.float64)


def _read_text(text: str, remarks: list[str]) -> Array:
    """Return the corners of a text file's triangles, (n, 3 corners, 3 axes) float64, (x, y, z).

    Several solids are read as one mesh, with an entry in `remarks`. Raise FileFormatError if a line cannot be read or
    the end is missing.
    """
    corners: list[list[float]] = []
    solids, open_solid, in_facet, before = 0, False, False, 0
    for line_number, line in enumerate(split_lines(text), start=1):
        words = line.split()
        keyword = words[0].lower() if words else ""
        try:
            if keyword == "solid":
                solids, open_solid = solids + 1, True
            elif keyword == "endsolid":
                open_solid = False
            elif keyword == "facet":
                if in_facet:
                    raise ValueError("the facet before has no 'endfacet'")
                in_facet, before = True, len(corners)
            elif keyword == "vertex":
                if len(words) != 4:
                    raise ValueError(f"expected 3 coordinates, found {plural(len(words) - 1, 'number')}")
                corners.append([parse_number(word) for word in words[1:]])
            elif keyword == "endfacet":
                in_facet = False
                if len(corners) - before != 3:
                    raise ValueError(f"the facet has {plural(len(corners) - before, 'corner')}; expected 3")
        except ValueError as error:
            message = f"line {line_number} makes no sense: {line[:60]!r}; {error}."
            raise FileFormatError(message, remedy=EXPORT_AGAIN) from error
    if in_facet or open_solid or solids == 0:
        raise FileFormatError(
            "it is cut short: its last triangle or its last line, 'endsolid', is missing.", remedy=EXPORT_AGAIN
        )
    if solids > 1:
        remarks.append(f"its {solids} solids are taken together as one mesh")
    return np.array(corners).reshape(-1, 3, 3)


def write(parts: Parts, dtype: np.dtype[Any]) -> bytes:
    """Return a binary STL file's bytes, with the unit normal of each triangle.

    Numbers are float32, whatever the `dtype` of the vertices is.
    """
    corners = parts.points[parts.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    facets = np.zeros(len(corners), dtype=_FACET)
    facets["normal"] = np.divide(normals, length, out=np.zeros_like(normals), where=length > 0)
    facets["corners"] = corners
    head = b"cytoform, binary STL, (x, y, z) in micrometres".ljust(80)
    count: bytes = np.uint32(len(facets)).astype("<u4").tobytes()
    return head + count + facets.tobytes()


FORMAT = MeshFormat("an STL file", (".stl",), read, write)
