"""OBJ: positions and polygons. Ref: Wavefront, "Object Files (.obj)", appendix B1."""

from __future__ import annotations

import collections
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import FileFormatError, MeshError
from .parts import EXPORT_AGAIN, MeshFormat, Parts, Polygons, count_phrase, exact_number_format, plural, triangulate
from .text import decode_text, parse_number, split_lines

__all__ = ["FORMAT"]

# Statements whose words are names, which may end with a backslash of a Windows path.
_NAMES = frozenset(("#", "mtllib", "usemtl", "o", "g", "maplib", "usemap", "shadow_obj", "trace_obj"))
_LEFT_OUT = {"l": "line", "p": "point", "curv": "free-form curve", "curv2": "free-form curve",
             "surf": "free-form surface"}  # fmt: skip


def read(path: Path) -> Parts:
    """Read an OBJ file: vertices and polygons, as triangles; other elements are counted in the remarks.

    Raise FileFormatError or MeshError if a line cannot be read or a face names a vertex that does not exist.
    """
    points: list[list[float]] = []
    polygons: list[list[int]] = []
    seen: collections.Counter[str] = collections.Counter()
    for line_number, line in _statements(decode_text(path.read_bytes())):
        keyword, *words = line.split()
        try:
            if keyword == "v":
                points.append(_parse_position(words))
                seen["weight"] += len(words) == 4 and parse_number(words[3]) != 1.0
            elif keyword in ("f", "fo"):
                polygons.append([_parse_index(word, len(points)) for word in words])
                seen["object"] += seen.pop("new object", 0) > 0
            elif keyword == "o":
                seen["new object"] = 1
            elif keyword in _LEFT_OUT:
                seen[_LEFT_OUT[keyword]] += 1
        except MeshError:
            raise
        except ValueError as error:
            message = f"line {line_number} makes no sense: {line[:60]!r}; {error}."
            raise FileFormatError(message, remedy=EXPORT_AGAIN) from error
    if not points:
        raise FileFormatError("it holds no vertices; expected an OBJ mesh.", remedy="Is it of another kind?")
    found = Polygons.of(polygons)
    _check_corners(found, len(points))
    remarks = _describe_left_out(seen)
    positions = np.array(points)
    faces, _ = triangulate(positions, found, remarks)
    return Parts(positions, faces, remarks=remarks)


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Yield each statement with the number of its first line, without comments and empty lines.

    A line that ends with a backslash continues in the next.
    """
    whole, start = "", 0
    for line_number, line in enumerate(split_lines(text), start=1):
        start = start if whole else line_number
        whole += line
        first = whole.split(None, 1)[:1]
        if first and first[0][0] != "#" and first[0] not in _NAMES:
            whole = whole.split("#", 1)[0].rstrip()
            if whole.endswith("\\"):
                whole = whole[:-1] + " "
                continue
            if whole:
                yield start, whole
        elif first == ["o"]:
            yield start, whole
        whole = ""
    if whole:
        raise FileFormatError("its last line ends with a backslash: the rest is missing.", remedy=EXPORT_AGAIN)


def _parse_position(words: list[str]) -> list[float]:
    """Return x, y and z of a vertex statement's words; a weight or a colour after them is left out.

    Raise ValueError if there are not 3, 4 (weight), 6 (colour) or 7 numbers (both).
    """
    # x y z, with a weight (x y z w), a colour (x y z r g b) or both
    if len(words) not in (3, 4, 6, 7):
        raise ValueError(f"expected 3 coordinates, found {plural(len(words), 'number')}")
    return [parse_number(word) for word in words[:3]]


def _parse_index(word: str, n_points: int) -> int:
    """Return the vertex index, counted from 0, of a word of a face statement such as "7", "7/1" or "7//3".

    Negative numbers count back from the last of the n_points vertices read so far. Index 0 stands for no vertex and
    gives -1. Raise ValueError if it is no number, MeshError if it lies before the first vertex.
    """
    # "7", "7/1", "7//3"; negative numbers count back from the last vertex so far. Index 0 means none and stays -1.
    try:
        index = int(word.split("/", 1)[0])
    except ValueError:
        raise ValueError(f"{word!r} names no vertex") from None
    if n_points + index < 0:
        raise MeshError(
            f"a face names vertex {index}; expected 1 to {n_points} or −1 to −{n_points}.", remedy=EXPORT_AGAIN
        )
    return index - 1 if index >= 0 else n_points + index


def _check_corners(polygons: Polygons, n_points: int) -> None:
    """Raise MeshError if a polygon names a vertex that does not exist among n_points."""
    corners = polygons.corners
    if corners.size and (corners.min() < 0 or corners.max() >= n_points):
        raise MeshError(
            f"faces name vertices {corners.min() + 1} to {corners.max() + 1}; expected 1 to {n_points}, as there are "
            f"{n_points} vertices.",
            remedy=EXPORT_AGAIN,
        )


def _describe_left_out(seen: collections.Counter[str]) -> list[str]:
    """Return remarks on what was left out or simplified, from the counts `seen` of each kind of statement."""
    found = [f"{count_phrase(seen[what], what)} left out" for what in dict.fromkeys(_LEFT_OUT.values()) if seen[what]]
    if seen["weight"]:
        found.append(f"the weight, a fourth coordinate, of {plural(seen['weight'], 'vertex')} is left out")
    if seen["object"] > 1:
        found.append(f"its {seen['object']} objects are taken together as one mesh")
    return found


def write(parts: Parts, dtype: np.dtype[Any]) -> bytes:
    """Return an OBJ file's bytes: positions with every digit of `dtype`, and triangles."""
    number_format = exact_number_format(dtype)
    lines = ["# cytoform, (x, y, z) in micrometres"]
    lines += [f"v {x:{number_format}} {y:{number_format}} {z:{number_format}}" for x, y, z in parts.points.tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in (parts.faces + 1).tolist()]
    return ("\n".join(lines) + "\n").encode()


FORMAT = MeshFormat("an OBJ file", (".obj",), read, write)
