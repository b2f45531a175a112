"""Made shapes compared with real ones: descriptors in time, tests, overlap and latent codes."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, cast

from .._typing import Array, Triple
from ..atomic import ensure_folder
from ..errors import ConfigError
from ..image.volume import Grid
from ..masks import SPECK
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
    speck: float = SPECK,
    seed: int = 0,
    progress: Progress | None = None,
) -> Evaluation:
    """Compare made shapes with real ones.

    Parameters
    ----------
    real : list of SDFSequence or path, or a folder
        The reference.
    made : the same, or a dict of set names and such
        For example ``{"reconstructed": "run/reconstructed", "generated": "run/generated"}``.
    out : path, optional
        Where to save tables, figures and ``report.html``; see :meth:`Evaluation.save`.
    codes : (n, latent) array or NamedCodes, or dict of set names and such, optional
        Latent codes, in the order of the sequences, or with their names. A bare array belongs to the first paired set,
        or else made set, or else the reference, with as many sequences.
    labels : (n,) sequence, or dict of set names and such, optional
        Families of the codes.
    names : (str, str)
        What to call `real` and `made`; the second is not used where `made` is a dict.
    paired : bool, str or set of str
        Sets in which each shape is the reconstruction of a real one (of the same name, or else in the same order), with
        its frames and grid: True for all.
    spacing : (3,) float or float, optional
        Voxel size in µm, (z, y, x), of sequences that carry none.
    speck : float
        Components with less than this part of a frame's voxels inside are counted, not measured.
    seed : int
        Of t-SNE.
    progress : callable, optional
        Called with (sequences done, sequences in all, name).

    Returns
    -------
    Evaluation

    Raises
    ------
    SequenceError
        When a set is empty or has no usable shape, paired sequences have unlike grids, some sequences have a voxel size
        and others none, or codes do not match.
    FileFormatError, OutputError, ConfigError
    """
    if not 0.0 <= speck < 0.5:
        raise ConfigError(f"speck is {speck!r}; expected 0 or more and less than 0.5, a part of the volume.")
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
    notes = []
    if unit == "voxels":
        notes.append("The sequences carry no metric scale: lengths are in voxels, areas and volumes in powers of them.")
    for name in sets:
        part = sequences[sequences["set"] == name]
        total = int(part["frames"].sum())
        for column, what in (("missing", "have no shape and are left out"), ("at_border", "are cut by the grid")):
            if part[column].any():
                notes.append(f"{name}: {int(part[column].sum())} of {total} frames {what}.")
        if part["specks"].any():
            notes.append(f"{name}: {int(part['specks'].sum())} specks beside the bodies are left out.")
    few = [name for name, entries in sets.items() if len(entries) < FEW]
    if few:
        reference_count, *made_counts = (len(entries) for entries in sets.values())
        low = max(critical_distance(reference_count, n) for n in made_counts)
        notes.append(
            f"Fewer than {FEW} sequences in {', '.join(few)}: only large differences show (D above about {low:.2f})."
        )
    return notes
