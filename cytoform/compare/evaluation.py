"""Comparison of made (reconstructed, generated) shapes with real ones: descriptors, tests, overlap and latent codes."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, cast

from .._typing import Array, Triple
from ..atomic import ensure_folder
from ..errors import ConfigError
from ..image.volume import Grid
from ..masks import SPECK_FRACTION
from ..tables import structured
from .codes import code_space
from .comparison import Evaluation
from .measuring import OVERLAP_COLUMNS, check_usable, frame_columns, measure_sequence, overlap_rows
from .sets import Entry, check_paired, collect_sets, length_unit, match_originals
from .shapes import choose_surfaces
from .statistics import FEW, critical_distance, sequence_table, test_table

__all__ = ["evaluate"]

Progress = Callable[[int, int, str], None]

_log = logging.getLogger(__name__)


def evaluate(
    real: Any,
    made: Any,
    out: str | os.PathLike[str] | None = None,
    *,
    codes: Any = None,
    labels: Any = None,
    names: tuple[str, str] = ("real", "made"),
    paired: bool | str | Collection[str] | None = None,
    spacing: float | Sequence[float] | None = None,
    speck: float = SPECK_FRACTION,
    seed: int = 0,
    progress: Progress | None = None,
) -> Evaluation:
    """Compare made shapes with real ones, in descriptors over time, statistical tests, overlap and latent codes.

    Parameters
    ----------
    real : list of SDFSequence or path, or a folder
        The reference set of sequences of signed distances; a folder stands for the HDF5 files in it.
    made : list of SDFSequence or path, or a folder, or dict of str to these
        The set to compare, or several sets by name, for example
        ``{"reconstructed": "run/reconstructed", "generated": "run/generated"}``.
    out : path, optional
        Folder to save tables, figures and ``report.html`` to; see :meth:`Evaluation.save`. By default nothing is
        written.
    codes : (n, latent) array or NamedCodes, or dict of str to these, optional
        Latent codes, in the order of the sequences, or with their names; a dictionary gives them for each set. A bare
        array belongs to the first set with as many sequences: paired sets are asked first, then other made sets, then
        the reference.
    labels : (n,) sequence, or dict of str to these, optional
        Family of each code, for colours and the silhouette.
    names : (str, str)
        Names of `real` and `made`; the second is not used where `made` is a dictionary.
    paired : bool, str or collection of str, optional
        Sets in which each shape is the reconstruction of a real one (of the same name, or else in the same order), with
        its frames and grid: True for all made sets, a name, or names. None by default.
    spacing : (3,) float or float, optional
        Voxel size in µm, (z, y, x), of sequences that carry none.
    speck : float
        Connected components with less than this part of a frame's voxels inside are counted, not measured; 0 to below
        0.5.
    seed : int
        Seed of t-SNE.
    progress : callable, optional
        Called after each sequence with (number of sequences done, number of all, name).

    Returns
    -------
    Evaluation
        Tables, tests and notes.

    Raises
    ------
    SequenceError
        When a set is empty or has no usable shape, paired sequences have different grids, some sequences have a voxel
        size and others none, or codes do not match.
    FileFormatError
        When a file does not hold signed distances.
    OutputError
        When `out` cannot be written.
    ConfigError
        When `speck` is out of its range.
    """
    if not 0.0 <= speck < 0.5:
        raise ConfigError(f"speck is {speck!r}; expected 0 or more and less than 0.5, a part of the voxels inside.")
    if out is not None:
        ensure_folder(out)
    voxel_size = None if spacing is None else Grid((1, 1, 1), cast("Triple", spacing)).spacing
    sets = collect_sets(real, made, names, voxel_size)
    paired_names = check_paired(paired, list(sets)[1:])
    unit = length_unit(sets)
    matched, notes = match_originals(sets, paired_names)
    candidates = [*paired_names, *(n for n in list(sets)[1:] if n not in paired_names), next(iter(sets))]
    space = None
    if codes is not None:
        space, more = code_space(codes, labels, {n: [e.name for e in s] for n, s in sets.items()}, candidates, seed)
        notes += more
    frames, overlap = _measure_sets(sets, matched, speck, progress)
    sequences = sequence_table(frames, overlap)
    tests = test_table(sequences, frames, next(iter(sets)), list(sets)[1:])
    notes += _notes(sets, sequences, unit)
    surfaces = choose_surfaces(sets, matched)
    found = Evaluation(
        tuple(sets), paired_names, unit, frames, sequences, tests, overlap, space, tuple(notes), surfaces
    )
    if out is not None:
        found.save(out)
    return found


def _measure_sets(
    sets: Mapping[str, Sequence[Entry]], matched: Mapping[tuple[str, str], Entry], speck: float, progress: Any
) -> tuple[Array, Array]:
    """Measure all sequences and return the tables of frames and of overlap, as structured arrays.

    Parameters
    ----------
    sets : mapping of str to sequence of Entry
        The sequences of each set, the reference first.
    matched : mapping of (set, sequence name) to Entry
        The original of each reconstruction; overlap is measured for these.
    speck : float
        Part of a frame's voxels inside below which a connected component is not measured.
    progress : callable or None
        Called after each sequence with (number done, number of all, name).

    Raises
    ------
    SequenceError
        When no frame of a set has any voxel inside.
    """
    frames: list[dict[str, Any]] = []
    overlap: list[dict[str, Any]] = []
    total, done = sum(len(entries) for entries in sets.values()), 0
    for name, entries in sets.items():
        first = len(frames)
        for entry in entries:
            _log.debug("measuring %s of %s", entry.name, name)
            frames += measure_sequence(entry, name, speck)
            if (name, entry.name) in matched:
                overlap += overlap_rows(matched[name, entry.name], entry, name)
            done += 1
            if progress is not None:
                progress(done, total, f"{name}: {entry.name}")
        check_usable(frames[first:], name, len(entries))
    return structured(frames, frame_columns()), structured(overlap, OVERLAP_COLUMNS)


def _notes(sets: Mapping[str, Sequence[Entry]], sequences: Array, unit: str) -> list[str]:
    """Return warnings for the reader of a comparison, one sentence each.

    They say that lengths are in voxels, how many frames are empty or cut by the grid, how many components were dropped
    as too small, and that a set has fewer than ``FEW`` sequences.

    Parameters
    ----------
    sets : mapping of str to sequence of Entry
        The sequences of each set, the reference first.
    sequences : structured (n,) array
        The table with one row for each sequence.
    unit : str
        Unit of lengths, "µm" or "voxels".
    """
    notes = []
    if unit == "voxels":
        notes.append("The sequences carry no metric scale: lengths are in voxels, areas and volumes in powers of them.")
    for name in sets:
        part = sequences[sequences["set"] == name]
        total = int(part["frames"].sum())
        for column, what in (
            ("missing", "have no shape and are left out"),
            ("at_border", "are cut by the border of the grid"),
        ):
            if part[column].any():
                notes.append(f"{name}: {int(part[column].sum())} of {total} frames {what}.")
        if part["specks"].any():
            notes.append(
                f"{name}: {int(part['specks'].sum())} small components beside the bodies (specks) are left out."
            )
    few = [name for name, entries in sets.items() if len(entries) < FEW]
    if few:
        reference_count, *made_counts = (len(entries) for entries in sets.values())
        low = max(critical_distance(reference_count, n) for n in made_counts)
        notes.append(
            f"Fewer than {FEW} sequences in {', '.join(few)}: only large differences can be detected "
            f"(D above about {low:.2f})."
        )
    return notes
