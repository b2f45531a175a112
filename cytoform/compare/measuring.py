"""Measurement of signed distance sequences: descriptors of each body in each frame, overlap of paired sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import SequenceError
from ..linking import OverlapLinker
from ..masks import SPECK_FRACTION
from ..metrics import dice, iou
from ..sdf.sequence import opened_sequence
from .bodies import body_surface, label_bodies, touches_border
from .descriptors import describe, known_descriptors, undefined_values
from .sets import Entry

__all__ = ["OVERLAP_COLUMNS", "check_usable", "frame_columns", "measure_sequence", "overlap_rows"]


OVERLAP_COLUMNS: dict[str, type] = {
    "set": str, "sequence": str, "reference": str, "frame": int, "missing": bool, "dice": float, "jaccard": float,
    "volume_error": float,
}  # fmt: skip


def frame_columns() -> dict[str, type]:
    """Return the columns of the table of frames as a dictionary of name and type.

    There are the names of set and sequence, frame, time, counts, flags, and one column for each registered descriptor.
    """
    return {
        "set": str, "sequence": str, "frame": int, "time_s": float, "component": int, "components": int, "specks": int,
        "at_border": bool, "missing": bool, **dict.fromkeys(known_descriptors(), float),
    }  # fmt: skip


def measure_sequence(entry: Entry, set_name: str, speck: float = SPECK_FRACTION) -> list[dict[str, Any]]:
    """Measure the descriptors of every body in every frame of a sequence.

    The bodies of a frame are its connected components with at least `speck` of its voxels inside; they are linked from
    frame to frame by overlap, so that ``component`` stays the same number for the same body.

    Parameters
    ----------
    entry : Entry
        The sequence; lengths are in µm, or in voxels where it has no voxel size.
    set_name : str
        Name of its set, for the rows.
    speck : float
        Part of a frame's voxels inside below which a connected component is only counted, in ``specks``.

    Returns
    -------
    list of dict
        A row for each frame and body with the columns of :func:`frame_columns`. A frame without any voxel inside has
        one row with ``missing`` True and NaN for the descriptors.

    Raises
    ------
    SequenceError, FileFormatError
        When a frame cannot be read.
    """
    rows: list[dict[str, Any]] = []
    linker = OverlapLinker()
    step = entry.spacing or (1.0, 1.0, 1.0)
    with opened_sequence(entry.source) as sequence:
        for index, sdf in enumerate(sequence):
            labels, count, specks = label_bodies(sdf, speck)
            row = {"set": set_name, "sequence": entry.name, "frame": index, "components": count, "specks": specks}
            row["time_s"] = float("nan") if entry.time_step is None else index * entry.time_step
            if count == 0:
                rows.append(row | {"component": 0, "at_border": False, "missing": True} | undefined_values())
                continue
            for component, number in sorted((c, n) for n, c in enumerate(linker.order(labels, count), start=1)):
                surface = body_surface(sdf, labels, number, step)
                found = undefined_values() if surface is None else describe(surface)
                border = touches_border(labels == number)
                rows.append(row | {"component": component, "at_border": border, "missing": False} | found)
    return rows


def overlap_rows(real: Entry, made: Entry, set_name: str) -> list[dict[str, Any]]:
    """Compute the overlap of a reconstructed sequence with its original, frame by frame, over all voxels inside.

    Parameters
    ----------
    real : Entry
        The original.
    made : Entry
        Its reconstruction, with the same frames and grid.
    set_name : str
        Name of the reconstruction's set, for the rows.

    Returns
    -------
    list of dict
        A row for each frame, with the columns of ``OVERLAP_COLUMNS``. ``dice`` and ``jaccard`` are NaN where both
        frames are empty; ``missing`` is True where one is; ``volume_error`` is the number of voxels of the
        reconstruction over that of the original, less 1 (NaN where the original is empty).
    """
    rows = []
    with opened_sequence(real.source) as first, opened_sequence(made.source) as second:
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


def check_usable(rows: Sequence[Mapping[str, Any]], set_name: str, count: int) -> None:
    """Raise SequenceError if every frame of a set is missing.

    Parameters
    ----------
    rows : sequence of mapping
        All rows of the set from :func:`measure_sequence`.
    set_name : str
        Name of the set, for the message.
    count : int
        Number of its sequences, for the message.
    """
    if all(row["missing"] for row in rows):
        raise SequenceError(
            f"the set {set_name!r} has no usable shape: no voxel is inside in any frame of its {count} sequences.",
            remedy="Signed distances are negative inside; check their sign, or the training.",
        )
