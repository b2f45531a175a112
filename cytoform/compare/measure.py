"""What is measured on sequences of signed distances: volume, surface and sphericity of each daughter, and overlap."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage, optimize

from ..errors import SequenceError
from ..masks import SPECK
from ..metrics import dice, iou, sphericity, sphericity_media2024, sphericity_miccai2022
from ..sdf.sequence import SDFSequence, opened, sequence_files

__all__ = ["DESCRIPTORS", "Entry", "Tracker", "body_surface", "collect", "measure_sequence", "overlap_rows", "pairs",
           "split", "table"]  # fmt: skip

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]
Source = SDFSequence | str | os.PathLike[str]

DESCRIPTORS = ("volume", "area", "sphericity", "sphericity_miccai2022", "sphericity_media2024")

FRAME_COLUMNS: dict[str, type] = {
    "set": str, "sequence": str, "frame": int, "time_s": float, "component": int, "components": int, "specks": int,
    "at_border": bool, "missing": bool, **dict.fromkeys(DESCRIPTORS, float),
}  # fmt: skip
OVERLAP_COLUMNS: dict[str, type] = {
    "set": str, "sequence": str, "reference": str, "frame": int, "missing": bool, "dice": float, "jaccard": float,
    "volume_error": float,
}  # fmt: skip

_TOUCHING = np.ones((3, 3, 3), dtype=bool)  # voxels that share a corner belong together, as in MATLAB's bwconncomp
_FINE = 12.0  # steps in a body's radius, 3 V / A, from which marching cubes errs by 0.4 % or less in the volume
_MOST_FINER = 4
_MOST_VOXELS = 8_000_000  # of a refined box
_HALF = 0.5  # of a predecessor; who covers that much of it is its heir


# ---------------------------------------------------------------------------------------------------------------------
# Tables


def table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, type]) -> Array:
    """Rows as a structured array, a field for each column; text fields are as wide as needed."""
    widths = {n: max([1, *(len(row[n]) for row in rows)]) for n, kind in columns.items() if kind is str}
    kinds = {str: "", int: "i8", float: "f8", bool: "?"}
    dtype = [(name, f"U{widths[name]}" if kind is str else kinds[kind]) for name, kind in columns.items()]
    return np.array([tuple(row[name] for name in columns) for row in rows], dtype=dtype)


# ---------------------------------------------------------------------------------------------------------------------
# Sets of sequences


@dataclasses.dataclass(frozen=True, eq=False)
class Entry:
    """One sequence of a set: where it is and what its head says.

    Attributes
    ----------
    name : str
        Unique within its set.
    source : SDFSequence or path
    shape : (t, z, y, x)
    spacing : (3,) float or None
        Voxel size in µm; None where there is no metric scale.
    time_step : float or None
        Seconds.
    """

    name: str
    source: Source
    shape: tuple[int, int, int, int]
    spacing: tuple[float, float, float] | None
    time_step: float | None

    @property
    def stem(self) -> str:
        """Name of the file without its suffix; the sequence's name where it is in memory."""
        return self.name if isinstance(self.source, SDFSequence) else Path(self.source).stem


def collect(what: Any, set_name: str, spacing: tuple[float, float, float] | None = None) -> list[Entry]:
    """The sequences of a set.

    Parameters
    ----------
    what : SDFSequence, path, or list of them
        A folder stands for the HDF5 files in it, in natural order.
    set_name : str
        For messages.
    spacing : (3,) float, optional
        Voxel size in µm of those that carry none.

    Raises
    ------
    SequenceError
        When there are none.
    FileFormatError
        When a file is not one of signed distances, or a folder holds none.
    """
    given = [what] if isinstance(what, SDFSequence | str | os.PathLike) else list(what)
    entries: list[Entry] = []
    for source in (s for one in given for s in _files(one, set_name)):
        with opened(source) as sequence:
            name, info, shape = sequence.name, sequence.info, sequence.shape
        taken = {entry.name for entry in entries}
        unique = next(n for n in (name, *(f"{name} ({k})" for k in range(2, len(taken) + 3))) if n not in taken)
        entries.append(Entry(unique, source, shape, info.spacing or spacing, info.time_step))
    if not entries:
        raise SequenceError(f"the set {set_name!r} has no sequences.", remedy="Pass at least one sequence or file.")
    return entries


def _files(one: Any, set_name: str) -> list[Any]:
    if isinstance(one, SDFSequence):
        return [one]
    if not isinstance(one, str | os.PathLike):
        raise SequenceError(
            f"the set {set_name!r} holds a {type(one).__name__}; expected SDFSequence objects, files or a folder.",
            remedy="Make one with SDFSequence.from_array(sdf, spacing).",
        )
    place = Path(one)
    return sequence_files(place) if place.is_dir() else [place]


def pairs(real: Sequence[Entry], made: Sequence[Entry], set_name: str) -> tuple[list[tuple[Entry, Entry]], str]:
    """Which sequence is the reconstruction of which: by name, else by file name, else by order.

    Returns
    -------
    list of (real, made), and "name" or "order"

    Raises
    ------
    SequenceError
        When the names do not match and the numbers differ, or a pair has unlike grids.
    """
    found, how = None, "name"
    for key in ("name", "stem"):
        at = {getattr(entry, key): entry for entry in real}
        if len(at) == len(real) and all(getattr(entry, key) in at for entry in made):
            found = [(at[getattr(entry, key)], entry) for entry in made]
            break
    if found is None:
        if len(real) != len(made):
            raise SequenceError(
                f"{set_name!r} is paired with the real set, but has {len(made)} sequences, that one {len(real)}, and "
                "their names differ; expected equal names, or as many.",
                remedy="Name each reconstruction as its original, or leave the set unpaired.",
            )
        found, how = list(zip(real, made)), "order"
    for first, second in found:
        _check_alike(first, second, set_name)
    return found, how


def _check_alike(real: Entry, made: Entry, set_name: str) -> None:
    remedy = "Decode the reconstructions on the grid and frames of the originals, or leave the set unpaired."
    if real.shape != made.shape:
        raise SequenceError(
            f"{made.name!r} of {set_name!r} has shape {made.shape} (t, z, y, x), and {real.name!r}, which it is paired "
            f"with, {real.shape}; expected the same frames and grid.",
            remedy=remedy,
        )
    if real.spacing and made.spacing and not np.allclose(real.spacing, made.spacing, rtol=1e-4):
        raise SequenceError(
            f"{made.name!r} of {set_name!r} has voxels of {made.spacing} µm, and {real.name!r}, which it is paired "
            f"with, {real.spacing}; expected the same.",
            remedy=remedy,
        )


# ---------------------------------------------------------------------------------------------------------------------
# One frame


def split(sdf: npt.ArrayLike, speck: float = SPECK) -> tuple[Ints, int, int]:
    """The bodies in a frame.

    Parameters
    ----------
    sdf : (z, y, x) float
        Negative inside.
    speck : float
        Components with less than this part of all voxels inside are no bodies.

    Returns
    -------
    labels : (z, y, x) int32
        1 for the largest body, 2 for the next, ...; 0 for the outside and for specks.
    count : int
        Bodies; 0 in an empty frame.
    specks : int
        Components left out.
    """
    parts, n = ndimage.label(np.asarray(sdf) < 0, structure=_TOUCHING, output=np.int32)
    if n == 0:
        return parts, 0, 0
    size = np.bincount(parts.ravel(), minlength=n + 1)[1:]
    order = np.argsort(-size, kind="stable")
    kept = order[size[order] >= speck * size.sum()]
    name = np.zeros(n + 1, dtype=np.int32)
    name[kept + 1] = np.arange(1, len(kept) + 1)
    return name[parts], len(kept), n - len(kept)


def body_surface(sdf: npt.ArrayLike, labels: Ints, number: int, spacing: Sequence[float]) -> tuple[float, float]:
    """Volume and surface area of one body, from marching cubes at the zero level.

    Bodies of few voxels are sampled finer first, by cubic splines: against spheres and capsules the volume then
    errs by 0.5 % or less from a radius of 3 voxels on, the area by half as much. Sharp edges are cut: a cube with sides
    of 20 voxels loses 2 % of its area. What is cut by the border of the grid is closed there.

    Parameters
    ----------
    sdf : (z, y, x) float
        Signed distance in any unit.
    labels : (z, y, x) int32
        From :func:`split`; bodies share no corner, so that no cell of the grid holds the surfaces of two.
    number : int
        Which body.
    spacing : (3,) float
        Voxel size, µm.

    Returns
    -------
    volume, area : float
        µm³, µm².

    Ref: Lewiner et al. 2003, doi 10.1080/10867651.2003.10487582.
    """
    box = ndimage.find_objects(labels, number)[number - 1]
    box = tuple(slice(max(0, s.start - 3), s.stop + 3) for s in box)
    field = np.asarray(sdf)[box].astype(np.float64)
    field = np.where(labels[box] == number, field, np.abs(field))
    field = _closed(field)
    step = np.asarray(spacing, dtype=np.float64)
    volume, area = _enclosed(field, step)
    finer = np.clip(np.ceil(_FINE * step * area / (3.0 * volume)), 1, _MOST_FINER).astype(int) if volume > 0 else 1
    if np.any(finer > 1) and field.size * np.prod(finer) <= _MOST_VOXELS:
        volume, area = _enclosed(_finer(field, finer), step / finer)
    return volume, area


def _finer(field: Floats, factors: npt.NDArray[np.int64]) -> Floats:
    """Cubic splines through a field's samples, at ``factors`` times as many steps along the axes.

    Axis after axis, each a product with the matrix of the splines: several times as quick as ``ndimage.zoom`` at once.
    """
    splines = [
        ndimage.zoom(np.eye(n), (((n - 1) * factor + 1) / n, 1), order=3, mode="nearest")
        for n, factor in zip(field.shape, factors.tolist())
    ]
    along_z = (splines[0] @ field.reshape(len(field), -1)).reshape(-1, *field.shape[1:])
    return np.matmul(splines[1], along_z) @ splines[2].T  # type: ignore[no-any-return]


def _closed(field: Floats) -> Floats:
    """With one voxel more on each side, outside; a wall that the grid cuts then lies half a voxel behind its end."""
    padded = np.pad(field, 1, mode="edge")
    inner = padded[1:-1, 1:-1, 1:-1].copy()
    padded = np.abs(padded)
    padded[1:-1, 1:-1, 1:-1] = inner
    return padded


def _enclosed(field: Floats, step: Floats) -> tuple[float, float]:
    from skimage import measure

    points, faces, _, _ = measure.marching_cubes(field, 0.0)
    points = points.astype(np.float64) * step
    corners = (points - points.mean(axis=0))[faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    volume = abs(float(np.einsum("ni,ni->", corners[:, 0], across))) / 6.0
    return volume, 0.5 * float(np.linalg.norm(across, axis=1).sum())


def _at_border(inside: Bools) -> bool:
    return any(bool(np.take(inside, end, axis=axis).any()) for axis in range(3) for end in (0, -1))


def _describe(volume: float, area: float) -> dict[str, float]:
    if not (volume > 0 and area > 0):
        return dict.fromkeys(DESCRIPTORS, float("nan"))
    roundness = (f(volume, area) for f in (sphericity, sphericity_miccai2022, sphericity_media2024))
    return dict(zip(DESCRIPTORS, (volume, area, *roundness)))


# ---------------------------------------------------------------------------------------------------------------------
# Frames in time


class Tracker:
    """Gives the bodies of each frame the numbers of those that they overlap in the frames before.

    In the first frame the largest is 0. When a body divides, the daughter that covers more of it keeps its number and
    the other gets the next; when two bodies become one again, it has the lower number of those that it covers. Bodies
    that overlap with nothing take the free number whose last place was nearest.
    """

    def __init__(self) -> None:
        self._last: list[Bools] = []

    def order(self, labels: Ints, count: int) -> list[int]:
        """Numbers of the bodies 1 ... count of a frame, (count,), from 0."""
        bodies = [labels == number for number in range(1, count + 1)]
        known = len(self._last)
        score = np.full((count, known + count), -1.0) - 1e-6 * np.arange(known + count)  # a new number: the last resort
        for row, body in enumerate(bodies):
            for column, last in enumerate(self._last):
                score[row, column] = self._likeness(body, last) - 1e-6 * column
        rows, columns = optimize.linear_sum_assignment(-score)
        found = [int(c) for _, c in sorted(zip(rows, columns))]
        for body, number in sorted(zip(bodies, found), key=lambda item: item[1]):
            self._last[number : number + 1] = [body]
        return found

    @staticmethod
    def _likeness(body: Bools, last: Bools) -> float:
        covered = float((body & last).sum()) / float(last.sum())
        if covered > 0:
            return min(covered, _HALF)
        apart = np.subtract(ndimage.center_of_mass(body), ndimage.center_of_mass(last))
        return -1e-3 * float(np.linalg.norm(apart) / np.linalg.norm(body.shape))


def measure_sequence(entry: Entry, set_name: str, speck: float = SPECK) -> list[dict[str, Any]]:
    """Descriptors of a sequence, a row for each frame and body (see ``FRAME_COLUMNS``).

    A frame without a voxel inside gives one row, ``missing``, with NaN. Lengths are µm, or voxels where the sequence
    carries no metric scale.

    Raises
    ------
    SequenceError, FileFormatError
        When a frame cannot be read.
    """
    rows, tracker = [], Tracker()
    step = entry.spacing or (1.0, 1.0, 1.0)
    with opened(entry.source) as sequence:
        for index, sdf in enumerate(sequence):
            labels, count, specks = split(sdf, speck)
            row = {"set": set_name, "sequence": entry.name, "frame": index, "components": count, "specks": specks}
            row["time_s"] = float("nan") if entry.time_step is None else index * entry.time_step
            if count == 0:
                rows.append(row | {"component": 0, "at_border": False, "missing": True} | _describe(0.0, 0.0))
                continue
            for component, number in sorted((c, n) for n, c in enumerate(tracker.order(labels, count), start=1)):
                found = _describe(*body_surface(sdf, labels, number, step))
                border = _at_border(labels == number)
                rows.append(row | {"component": component, "at_border": border, "missing": False} | found)
    return rows


def overlap_rows(real: Entry, made: Entry, set_name: str) -> list[dict[str, Any]]:
    """Dice and Jaccard of each frame, counted in voxels, specks and all; NaN where both frames are empty.

    ``volume_error`` is the reconstruction's number of voxels over the original's, less 1.
    """
    rows = []
    with opened(real.source) as first, opened(made.source) as second:
        for index in range(len(first)):
            a, b = first.frame(index) < 0, second.frame(index) < 0
            n, m = int(a.sum()), int(b.sum())
            empty = n == 0 and m == 0
            rows.append({
                "set": set_name, "sequence": made.name, "reference": real.name, "frame": index,
                "missing": n == 0 or m == 0,
                "dice": float("nan") if empty else dice(a, b),
                "jaccard": float("nan") if empty else iou(a, b),
                "volume_error": m / n - 1.0 if n else float("nan"),
            })  # fmt: skip
    return rows
