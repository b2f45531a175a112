"""Made shapes compared with real ones: descriptors in time, tests, overlap, latent codes, and a page to judge it by."""

from __future__ import annotations

import csv
import dataclasses
import io
import logging
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..atomic import ensure_folder, write_bytes, write_text
from ..errors import ConfigError, SequenceError
from ..image.volume import Grid
from .codes import PCA, CodeSpace, NamedCodes, code_space, pca, silhouette, tsne
from .measure import (
    DESCRIPTORS,
    FRAME_COLUMNS,
    OVERLAP_COLUMNS,
    SPECK,
    Entry,
    collect,
    measure_sequence,
    overlap_rows,
    pairs,
    table,
)
from .shapes import Pictured, pictured
from .statistics import FEW, cliffs_delta, sequence_table, smallest_distance, test_table

__all__ = ["DESCRIPTORS", "PCA", "CodeSpace", "Evaluation", "NamedCodes", "cliffs_delta", "evaluate", "pca",
           "silhouette", "tsne"]  # fmt: skip

Array = npt.NDArray[Any]
Progress = Callable[[int, int, str], None]

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """A comparison of sets of time-evolving shapes.

    Attributes
    ----------
    sets : tuple of str
        The reference first.
    paired : tuple of str
        Sets whose shapes are reconstructions of the reference's.
    unit : str
        "µm", or "voxels" where the sequences carry no metric scale.
    frames : structured (n,) array
        A row for each set, sequence, frame and component: ``volume`` (unit³), ``area`` (unit²), ``sphericity``
        (Wadell), ``sphericity_miccai2022``, ``sphericity_media2024``; ``components``, ``specks``, ``at_border``,
        ``missing``.
    sequences : structured (n,) array
        A row for each sequence; means over frames of means over components.
    tests : structured (n,) array
        Kolmogorov–Smirnov tests of each set against the reference, by sequence and at each frame.
    overlap : structured (n,) array
        ``dice`` and ``jaccard`` for each frame of the paired sets.
    codes : CodeSpace or None
    notes : tuple of str
        Warnings in words.
    pictured : tuple of tuples of Pictured
        Surfaces of a few sequences of each set, for the page.
    """

    sets: tuple[str, ...]
    paired: tuple[str, ...]
    unit: str
    frames: Array
    sequences: Array
    tests: Array
    overlap: Array
    codes: CodeSpace | None = None
    notes: tuple[str, ...] = ()
    pictured: tuple[tuple[Pictured, ...], ...] = ()

    @property
    def reference(self) -> str:
        """Name of the set that the others are compared with."""
        return self.sets[0]

    @property
    def summary(self) -> str:
        """The result in a few lines of plain words."""
        from .page import summary_lines

        return "\n".join(summary_lines(self))

    def unit_of(self, descriptor: str) -> str:
        """Unit of a descriptor, such as "µm³"; "" where it has none."""
        power = {"volume": "³", "area": "²"}.get(descriptor, "")
        return f"{self.unit.removesuffix('s') if self.unit != 'µm' else self.unit}{power}" if power else ""

    def tables(self) -> dict[str, str]:
        """The CSV files: name and content. Columns name their unit (``volume_um3``, or ``volume_voxel3``)."""
        unit = "um" if self.unit == "µm" else "voxel"
        named = {"volume": f"volume_{unit}3", "area": f"area_{unit}2"}
        files = {name: _csv(getattr(self, name), named) for name in ("frames", "sequences")}
        files["tests"] = _csv(self.tests, {}, named)
        files["overlap"] = _csv(self.overlap, {})
        if self.codes is not None:
            files["codes"] = _codes_csv(self.codes)
        return {f"{name}.csv": text for name, text in files.items()}

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the tables as CSV, the figures as PNG, and ``report.html``, a page with all of it inside.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        OutputError
            When it cannot be written.
        """
        from .page import evaluation_html, pictures

        place = ensure_folder(folder)
        for name, text in self.tables().items():
            write_text(place / name, text)
        drawn = pictures(self)
        for name, data in drawn.items():
            write_bytes(place / f"{name}.png", data)
        write_text(place / "report.html", evaluation_html(self, drawn))
        return place


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
    size = None if spacing is None else Grid((1, 1, 1), spacing).spacing  # type: ignore[arg-type]
    sets = _sets(real, made, names, size)
    together = _paired(paired, list(sets)[1:])
    unit = _unit(sets)
    matched, notes = _match(sets, together)
    likely = [*together, *(n for n in list(sets)[1:] if n not in together), next(iter(sets))]
    space = None
    if codes is not None:
        space, more = code_space(codes, labels, {n: [e.name for e in s] for n, s in sets.items()}, likely, seed)
        notes += more
    frames, overlap = _measure(sets, matched, speck, progress)
    sequences = sequence_table(frames, overlap)
    tests = test_table(sequences, frames, next(iter(sets)), list(sets)[1:])
    notes += _notes(sets, sequences, unit)
    shown = pictured(sets, matched)
    found = Evaluation(tuple(sets), together, unit, frames, sequences, tests, overlap, space, tuple(notes), shown)
    if out is not None:
        found.save(out)
    return found


def _sets(real: Any, made: Any, names: tuple[str, str], spacing: Any) -> dict[str, list[Entry]]:
    others = dict(made) if isinstance(made, Mapping) else {names[1]: made}
    if not others or names[0] in others:
        raise SequenceError(f"made has the sets {list(others)}; expected at least one, none called {names[0]!r}.")
    return {name: collect(what, name, spacing) for name, what in {names[0]: real, **others}.items()}


def _paired(paired: Any, others: list[str]) -> tuple[str, ...]:
    if not paired:
        return ()
    wanted = others if paired is True else [paired] if isinstance(paired, str) else list(paired)
    unknown = [name for name in wanted if name not in others]
    if unknown:
        raise SequenceError(f"paired names {unknown[0]!r}; expected one of the made sets: {', '.join(others)}.")
    return tuple(name for name in others if name in wanted)


def _unit(sets: Mapping[str, Sequence[Entry]]) -> str:
    """What lengths are measured in, the same for all sequences."""
    bare = [(name, entry.name) for name, entries in sets.items() for entry in entries if entry.spacing is None]
    if bare and len(bare) < sum(len(entries) for entries in sets.values()):
        raise SequenceError(
            f"{bare[0][1]!r} of {bare[0][0]!r} carries no voxel size, as {len(bare)} in all, and others do; expected "
            "all or none.",
            remedy="Pass the voxel size in µm, (z, y, x), of those that carry none: spacing=, or --spacing Z Y X.",
        )
    return "voxels" if bare else "µm"


def _match(
    sets: Mapping[str, Sequence[Entry]], together: Sequence[str]
) -> tuple[dict[tuple[str, str], Entry], list[str]]:
    """The original of each reconstruction, by set and name, and notes."""
    reference = next(iter(sets))
    matched: dict[tuple[str, str], Entry] = {}
    notes: list[str] = []
    for name in together:
        found, how = pairs(sets[reference], sets[name], name)
        matched |= {(name, second.name): first for first, second in found}
        if how == "order":
            notes.append(f"{name}: the names of its sequences are not those of {reference}; paired in order.")
    return matched, notes


def _measure(
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
        if all(row["missing"] for row in frames[first:]):
            raise SequenceError(
                f"the set {name!r} has no usable shape: no voxel is inside in any frame of its {len(entries)} "
                "sequences.",
                remedy="Signed distances are negative inside; check their sign, or the training.",
            )
    return table(frames, FRAME_COLUMNS), table(overlap, OVERLAP_COLUMNS)


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
        first, *others = (len(entries) for entries in sets.values())
        low = max(smallest_distance(first, n) for n in others)
        notes.append(
            f"Fewer than {FEW} sequences in {', '.join(few)}: only large differences show (D above about {low:.2f})."
        )
    return notes


# ---------------------------------------------------------------------------------------------------------------------
# CSV


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.9g}"
    return str(value)


def _csv(rows: Array, heads: Mapping[str, str], cells: Mapping[str, str] | None = None) -> str:
    """A table as text; empty cells for NaN, 1 and 0 for yes and no. ``cells`` renames values of ``descriptor``."""
    names = list(rows.dtype.names or ())
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([heads.get(name, name) for name in names])
    for row in rows.tolist():
        values = [cells.get(v, v) if cells and n == "descriptor" else v for n, v in zip(names, row)]
        writer.writerow([_cell(value) for value in values])
    return buffer.getvalue()


def _codes_csv(space: CodeSpace) -> str:
    shown = min(3, space.pca.scores.shape[1])
    columns = ["set", "sequence", "label", *(f"pc{k + 1}" for k in range(shown)), "tsne1", "tsne2"]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*columns, *(f"z{k}" for k in range(space.codes.shape[1]))])
    plane = np.full((len(space.codes), 2), np.nan) if space.tsne is None else space.tsne
    labels = np.full(len(space.codes), "") if space.labels is None else space.labels
    for row in range(len(space.codes)):
        numbers = [*space.pca.scores[row, :shown], *plane[row], *space.codes[row]]
        writer.writerow([space.sets[row], space.sequences[row], labels[row], *(_cell(float(v)) for v in numbers)])
    return buffer.getvalue()
