"""Points and filaments from and to files. Files hold (x, y, z), memory (z, y, x).

==========  =====================================  ==========================================
extension   points                                 filaments
==========  =====================================  ==========================================
``.vtp``    vertex cells with brightness           lines with density
``.csv``    columns z_um, y_um, x_um, brightness   not written: a table has no connections
``.swc``    not written: it holds trees            trees of nodes, with density behind each
==========  =====================================  ==========================================
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from .._typing import Array, PathLike
from ..atomic import write_bytes
from ..errors import CytoformError, FileFormatError, MeshError
from ..tables import csv_text
from .filaments import Filaments
from .formats.parts import EXPORT_AGAIN
from .formats.swc import parse_swc, swc_text
from .formats.vtp_lines import read_cells, vtp_bytes
from .points import PointSet

__all__ = ["read_filaments", "read_points", "write_filaments", "write_points"]

T = TypeVar("T")
_COLUMNS = ("z_um", "y_um", "x_um", "brightness")


def write_points(path: PathLike, points: PointSet, data: Mapping[str, npt.ArrayLike] | None = None) -> None:
    """Write points in µm to a file, completely or not at all.

    Parameters
    ----------
    path : path
        ``.vtp`` or ``.csv``; its folder exists.
    points : PointSet
        The points.
    data : mapping of str to (n,) float, optional
        Further numbers of the points, such as standard errors, by name.

    Raises
    ------
    FileFormatError
        When the extension is another one.
    MeshError
        When `data` has another shape.
    OutputError
        When the file cannot be written there.
    """
    path = Path(path)
    more = _checked(data or {}, len(points.positions))
    suffix = _suffix(path, (".vtp", ".csv"))
    if suffix == ".csv":
        columns = [*points.positions.T, points.brightness, *more.values()]
        text = csv_text([*_COLUMNS, *more], zip(*(c.tolist() for c in columns)), digits=None)
        write_bytes(path, text.encode())
        return
    cells = np.arange(len(points.positions))[:, None]
    write_bytes(
        path, vtp_bytes(points.positions[:, ::-1], cells, "Verts", {"brightness": points.brightness, **more}, {})
    )


def read_points(path: PathLike) -> PointSet:
    """Read points from a file; coordinates are taken as µm.

    Parameters
    ----------
    path : path
        A ``.csv`` file with columns z_um, y_um, x_um (or z, y, x) and, if it has one, brightness, or a ``.vtp`` file.

    Returns
    -------
    PointSet
        float64, (z, y, x); the brightness is 1 where the file has none.

    Raises
    ------
    FileFormatError
        When the file is missing, damaged or of another kind.
    MeshError
        When there is no point, or a value is not finite.
    """
    path = Path(path)
    return _read(path, _points_of_csv if _suffix(path, (".vtp", ".csv")) == ".csv" else _points_of_vtp)


def write_filaments(path: PathLike, filaments: Filaments, data: Mapping[str, npt.ArrayLike] | None = None) -> None:
    """Write filaments in µm to a file, completely or not at all.

    Parameters
    ----------
    path : path
        ``.vtp`` or ``.swc``; its folder exists. In SWC a closed loop is cut at one place.
    filaments : Filaments
        The filaments.
    data : mapping of str to (n_segments,) float, optional
        Further numbers of the segments, by name; in VTP only.

    Raises
    ------
    FileFormatError
        When the extension is another one.
    MeshError
        When `data` has another shape.
    OutputError
        When the file cannot be written there.
    """
    path, more = Path(path), _checked(data or {}, len(filaments.segments))
    points = filaments.vertices[:, ::-1]
    if _suffix(path, (".vtp", ".swc")) == ".swc":
        write_bytes(path, swc_text(points, filaments.segments, filaments.density).encode())
        return
    numbers = {"density": filaments.density, **more}
    write_bytes(path, vtp_bytes(points, filaments.segments, "Lines", {}, numbers))


def read_filaments(path: PathLike) -> Filaments:
    """Read filaments from a file; coordinates are taken as µm.

    Parameters
    ----------
    path : path
        A ``.swc`` file, whose nodes at the same place are one vertex, or a ``.vtp`` file of lines.

    Returns
    -------
    Filaments
        float64, (z, y, x); the density is 1 where the file has none.

    Raises
    ------
    FileFormatError
        When the file is missing, damaged or of another kind.
    MeshError
        When there is no segment, or a value is not finite.
    """
    path = Path(path)
    return _read(path, _filaments_of_swc if _suffix(path, (".vtp", ".swc")) == ".swc" else _filaments_of_vtp)


def _suffix(path: Path, known: tuple[str, ...]) -> str:
    """Return a path's extension; raise FileFormatError if it is none of those known."""
    suffix = path.suffix.lower()
    if suffix not in known:
        raise FileFormatError(f"{path} has the extension {suffix or '(none)'!r}; expected {' or '.join(known)}.")
    return suffix


def _checked(data: Mapping[str, npt.ArrayLike], count: int) -> dict[str, Array]:
    """Return further numbers as float64 arrays (count,) by name; raise MeshError if one has another shape."""
    found = {name: np.asarray(values, dtype=np.float64) for name, values in data.items()}
    for name, values in found.items():
        if values.shape != (count,):
            raise MeshError(f"data {name!r} has shape {values.shape}; expected ({count},).")
    return found


def _read(path: Path, parse: Callable[[Path], T]) -> T:
    """Return what `parse` makes of a file; whatever a broken file makes it raise becomes an error with the path."""
    if not path.is_file():
        raise FileFormatError(f"cannot read {path}: there is no such file.", remedy="Check the path.")
    try:
        return parse(path)
    except MeshError as error:
        raise MeshError(f"{path}: {error.message}", remedy=error.remedy) from error
    except CytoformError as error:
        raise FileFormatError(f"{path}: {error.message}", remedy=error.remedy or EXPORT_AGAIN) from error
    except Exception as error:  # whatever a broken file makes a parser do
        reason = (str(error) or type(error).__name__).rstrip(".")
        raise FileFormatError(f"{path} is damaged or of another kind: {reason}.", remedy=EXPORT_AGAIN) from error


def _points_of_csv(path: Path) -> PointSet:
    """Read points from a CSV file with named columns."""
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
    names = list(rows[0]) if rows else []
    columns = [next((n for n in names if n in (name, name.removesuffix("_um"))), None) for name in _COLUMNS]
    if None in columns[:3]:
        raise FileFormatError(f"it has the columns {', '.join(names) or '(none)'}; expected z_um, y_um and x_um.")
    positions = np.array([[float(row[name]) for name in columns[:3] if name] for row in rows])
    light = columns[3]
    return PointSet(positions, None if light is None else [float(row[light]) for row in rows])


def _points_of_vtp(path: Path) -> PointSet:
    """Read all points of a VTP file, with the numbers "brightness" at them."""
    points, _, data, _ = read_cells(path, "Verts")
    return PointSet(np.ascontiguousarray(points[:, ::-1], dtype=np.float64), data.get("brightness"))


def _filaments_of_swc(path: Path) -> Filaments:
    """Read filaments from an SWC file."""
    points, segments, density = parse_swc(path.read_text(encoding="utf-8", errors="replace"))
    return Filaments(np.ascontiguousarray(points[:, ::-1]), segments, density)


def _filaments_of_vtp(path: Path) -> Filaments:
    """Read filaments from the lines of a VTP file, with the numbers "density" of the lines."""
    points, lines, _, data = read_cells(path, "Lines")
    segments = [np.column_stack([line[:-1], line[1:]]) for line in lines]
    joined = np.concatenate(segments) if segments else np.zeros((0, 2), dtype=np.int64)
    density = data.get("density")
    if density is not None and len(density) == len(lines):
        density = np.repeat(density, [len(s) for s in segments])
    else:
        density = None
    return Filaments(np.ascontiguousarray(points[:, ::-1], dtype=np.float64), joined, density)
