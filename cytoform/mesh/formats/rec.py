"""REC: number of vertices, vertices, number of faces, faces with two region labels; as text or binary.

The binary form is that of the tools for foams and embryos (VirtualEmbryo's delaunay-watershed and foambryo): little
endian, uint64 count, float64 (x, y, z) each, uint64 count, and for each face three int64 vertices and two int32 labels.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import FileFormatError, MeshError
from .parts import EXPORT_AGAIN, Array, MeshFormat, Parts, exact_number_format
from .text import decode_text, is_binary, parse_number, split_lines, to_utf8

__all__ = ["FORMAT"]


def read(path: Path) -> Parts:
    """Read a REC file, text or binary: vertices, faces and their region labels.

    Raise FileFormatError if it is damaged or cut short, MeshError if it has no faces or a face names a vertex that does
    not exist.
    """
    data = path.read_bytes()
    binary = _USUAL.fits(data) or is_binary(to_utf8(data))
    points, table = _read_binary(data) if binary else _read_text(decode_text(data))
    if len(table) == 0:
        raise MeshError("the mesh has no faces; expected at least one triangle.", remedy=EXPORT_AGAIN)
    if table[:, :3].min() < 0 or table[:, :3].max() >= len(points):
        raise MeshError(
            f"faces name vertices {table[:, :3].min()} to {table[:, :3].max()}; expected 0 to {len(points) - 1}, as "
            f"there are {len(points)} vertices.",
            remedy=EXPORT_AGAIN,
        )
    return Parts(points, table[:, :3], None, table[:, 3:])


# ---------------------------------------------------------------------------------------------------------------------
# Binary


@dataclasses.dataclass(frozen=True)
class _Layout:
    """Number types of a binary file (NumPy's codes): of counts, coordinates, the faces' vertices and their labels."""

    count: str
    real: str
    vertex: str
    label: str

    def length(self, n_points: int, n_faces: int) -> int:
        """Return the length in bytes of a file with so many vertices and faces."""
        sizes = (np.dtype(t).itemsize for t in (self.count, self.real, self.vertex, self.label))
        count, real, vertex, label = sizes
        return 2 * count + 3 * n_points * real + n_faces * (3 * vertex + 2 * label)

    def counts(self, data: bytes) -> tuple[int, int] | None:
        """Return the numbers of vertices and faces that a file promises; None if it ends before the second number."""
        size = np.dtype(self.count).itemsize
        n_points = int.from_bytes(data[:size], "little")
        second = size + 3 * n_points * np.dtype(self.real).itemsize
        if second + size > len(data):
            return None
        return n_points, int.from_bytes(data[second : second + size], "little")

    def fits(self, data: bytes) -> bool:
        """Tell whether the file has exactly the length that its counts promise in this layout."""
        counts = self.counts(data)
        return counts is not None and self.length(*counts) == len(data)

    def read(self, data: bytes) -> tuple[Array, Array]:
        """Return the points (n, 3) float64 and a table (n_faces, 5) int64 of three vertices and two labels."""
        n_points, n_faces = self.counts(data) or (0, 0)
        size = np.dtype(self.count).itemsize
        points = np.frombuffer(data, self.real, 3 * n_points, size).reshape(-1, 3).astype(np.float64)
        row = np.dtype([("vertices", self.vertex, 3), ("labels", self.label, 2)])
        table = np.frombuffer(data, row, n_faces, 2 * size + points.size * np.dtype(self.real).itemsize)
        return points, np.hstack([table["vertices"], table["labels"]]).astype(np.int64)


_USUAL = _Layout("<u8", "<f8", "<i8", "<i4")


def _layouts() -> Iterator[_Layout]:
    """Yield the usual layout, then all others that combine 32-bit and 64-bit numbers."""
    yield _USUAL
    for types in itertools.product(("<u8", "<u4"), ("<f8", "<f4"), ("<i8", "<i4"), ("<i4", "<i8")):
        if _Layout(*types) != _USUAL:
            yield _Layout(*types)


def _read_binary(data: bytes) -> tuple[Array, Array]:
    """Return points and faces table (:meth:`_Layout.read`) of a binary file in the only layout that fits it.

    Raise FileFormatError if no layout fits, or several do equally.
    """
    found = [layout for layout in _layouts() if layout.fits(data)]
    if _USUAL in found:
        return _USUAL.read(data)
    tables = [layout.read(data) for layout in found]
    tables = [(p, t) for p, t in tables if len(t) and 0 <= t[:, :3].min() and t[:, :3].max() < len(p)]
    if len(tables) == 1:
        return tables[0]
    if tables:
        raise FileFormatError(
            f"it is a binary .rec file of {len(data)} bytes, which {len(tables)} word lengths fit equally.",
            remedy="Export it as text, or with 64-bit counts, coordinates and vertices and 32-bit labels.",
        )
    raise FileFormatError(_describe_mismatch(data), remedy=EXPORT_AGAIN)


def _describe_mismatch(data: bytes) -> str:
    """Return a sentence on why a binary file does not fit the usual layout: how many bytes it promises and has."""
    n_points = int.from_bytes(data[:8], "little")
    if n_points > 2**40:
        return "it is neither a text nor a binary .rec file (uint64 count, float64 coordinates, …)."
    counts = _USUAL.counts(data)
    if counts is None:
        needed = _USUAL.length(n_points, 0)
        return (
            f"it is a binary .rec file and cut short: it promises {n_points} vertices, which with the counts take "
            f"{needed} bytes, and has {len(data)} bytes in all."
        )
    n_faces, expected = counts[1], _USUAL.length(*counts)
    whole = max(0, len(data) - _USUAL.length(n_points, 0)) // (_USUAL.length(0, 1) - _USUAL.length(0, 0))
    if len(data) < expected:
        return (
            f"it is a binary .rec file and cut short: it promises {n_points} vertices and {n_faces} faces, which take "
            f"{expected} bytes, and has {len(data)} bytes: {whole} faces."
        )
    return (
        f"it is a binary .rec file of {n_points} vertices and {n_faces} faces, which take {expected} bytes; it has "
        f"{len(data)} bytes. Its numbers are of other types, or there is more in it than a mesh."
    )


# ---------------------------------------------------------------------------------------------------------------------
# Text


def _read_text(text: str) -> tuple[Array, Array]:
    """Return points (n, 3) and a table (n_faces, 5) of three vertices and two labels from a text file.

    Text after "#" and empty lines are skipped. Raise FileFormatError if lines or numbers are missing.
    """
    lines = [line for line in (line.split("#", 1)[0] for line in split_lines(text)) if line.strip()]
    n_points = int(lines[0]) if lines else 0
    if len(lines) < n_points + 2:
        raise _damaged_error(
            f"it promises {n_points} vertices and a face count, and has {len(lines) - 1} lines after that"
        )
    n_faces = int(lines[n_points + 1])
    rows = lines[n_points + 2 :]
    if len(rows) != n_faces:
        raise _damaged_error(f"it promises {n_faces} faces and has {len(rows)}")
    points = [_parse_numbers(line, f"vertex {k}", 3, parse_number) for k, line in enumerate(lines[1 : n_points + 1])]
    table = [_parse_numbers(row, f"face {k}", 5, int) for k, row in enumerate(rows)]
    return np.array(points, dtype=np.float64), np.array(table, dtype=np.int64).reshape(-1, 5)


def _parse_numbers(line: str, what: str, width: int, convert: Callable[[str], Any]) -> list[Any]:
    """Return the `width` numbers of a line, converted by `convert`; raise FileFormatError naming `what` if it fails."""
    words = line.split()
    if len(words) != width:
        raise _damaged_error(f"{what} has {len(words)} numbers; expected {width}")
    try:
        return [convert(word) for word in words]
    except ValueError as error:
        raise _damaged_error(f"{what} makes no sense: {line[:60]!r}; {error}") from error


def _damaged_error(reason: str) -> FileFormatError:
    """Return the error for a damaged file, with the reason and the advice to export it again."""
    return FileFormatError(f"{reason}.", remedy=EXPORT_AGAIN)


def write(parts: Parts, dtype: np.dtype[Any]) -> bytes:
    """Return a text REC file's bytes, with the precision of `dtype`."""
    number_format = exact_number_format(dtype)
    labels = np.zeros((len(parts.faces), 0), dtype=np.int64) if parts.labels is None else parts.labels
    lines = [str(len(parts.points))]
    lines += [f"{x:{number_format}} {y:{number_format}} {z:{number_format}}" for x, y, z in parts.points.tolist()]
    lines.append(str(len(parts.faces)))
    lines += [" ".join(map(str, row)) for row in np.hstack([parts.faces, labels]).tolist()]
    return ("\n".join(lines) + "\n").encode()


FORMAT = MeshFormat("a REC file", (".rec",), read, write, labels="required", merge=False)
