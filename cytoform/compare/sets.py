"""Sets of sequences to compare: their files, and which sequence is the reconstruction of which."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import SequenceError
from ..sdf.sequence import SDFSequence, opened_sequence, sequence_files

__all__ = ["Entry", "check_paired", "collect_set", "collect_sets", "length_unit", "match_originals", "pair_sequences"]

Source = SDFSequence | str | os.PathLike[str]


@dataclasses.dataclass(frozen=True, eq=False)
class Entry:
    """One sequence of a set: its source and what the header says.

    Parameters
    ----------
    name : str
        Unique within its set.
    source : SDFSequence or path
        The sequence in memory, or its file.
    shape : (4,) int
        Number of frames and voxels, (t, z, y, x).
    spacing : (3,) float or None
        Voxel size in µm, (z, y, x); None where there is no metric scale.
    time_step : float or None
        Time between frames, seconds; None where it is not known.
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


def collect_set(given: Any, set_name: str, spacing: tuple[float, float, float] | None = None) -> list[Entry]:
    """List the sequences of one set, with their names made unique and their headers read.

    Parameters
    ----------
    given : SDFSequence, path, or list of these
        Sequences, files or folders; a folder stands for the HDF5 files in it, in natural order.
    set_name : str
        Name of the set, for messages.
    spacing : (3,) float, optional
        Voxel size in µm, (z, y, x), of those that carry none.

    Returns
    -------
    list of Entry
        In the given order; a name that occurs again gets " (2)", " (3)", ... behind it.

    Raises
    ------
    SequenceError
        When there are no sequences, or an item is neither a sequence nor a path.
    FileFormatError
        When a file is not one of signed distances, or a folder holds none.
    """
    given = [given] if isinstance(given, SDFSequence | str | os.PathLike) else list(given)
    entries: list[Entry] = []
    for source in (s for one in given for s in _sources(one, set_name)):
        with opened_sequence(source) as sequence:
            name, info, shape = sequence.name, sequence.info, sequence.shape
        taken = {entry.name for entry in entries}
        unique = next(n for n in (name, *(f"{name} ({k})" for k in range(2, len(taken) + 3))) if n not in taken)
        entries.append(Entry(unique, source, shape, info.spacing or spacing, info.time_step))
    if not entries:
        raise SequenceError(f"the set {set_name!r} has no sequences.", remedy="Pass at least one sequence or file.")
    return entries


def _sources(one: Any, set_name: str) -> list[Any]:
    """Return what an item stands for as a list: a sequence or a file alone, a folder the sequence files in it.

    Raise SequenceError if the item is neither a SDFSequence nor a path; `set_name` is for its message.
    """
    if isinstance(one, SDFSequence):
        return [one]
    if not isinstance(one, str | os.PathLike):
        raise SequenceError(
            f"the set {set_name!r} holds a {type(one).__name__}; expected SDFSequence objects, files or a folder.",
            remedy="Make a sequence with SDFSequence.from_array(sdf, spacing).",
        )
    path = Path(one)
    return sequence_files(path) if path.is_dir() else [path]


def pair_sequences(
    real: Sequence[Entry], made: Sequence[Entry], set_name: str
) -> tuple[list[tuple[Entry, Entry]], str]:
    """Pair reconstructed sequences with their originals and check that grids agree.

    Pairs have equal names where all names of `made` occur in `real`, else equal file names without suffix, else the
    same index.

    Parameters
    ----------
    real : sequence of Entry
        The originals.
    made : sequence of Entry
        The reconstructions.
    set_name : str
        Name of the reconstructions' set, for messages.

    Returns
    -------
    pairs : list of (Entry, Entry)
        Original and reconstruction.
    how : str
        "name" or "order".

    Raises
    ------
    SequenceError
        When the names do not match and the numbers differ, or a pair has different grids.
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
                f"{set_name!r} is paired with the real set, but has {len(made)} sequences, the real set {len(real)}, "
                "and their names differ; expected equal names, or equal numbers.",
                remedy="Name each reconstruction as its original, or leave the set unpaired.",
            )
        found, how = list(zip(real, made)), "order"
    for first, second in found:
        _check_same_grid(first, second, set_name)
    return found, how


def _check_same_grid(real: Entry, made: Entry, set_name: str) -> None:
    """Raise SequenceError if a pair differs in frames, grid or voxel size (by more than 1e-4, relative).

    A voxel size that one of the two lacks is not compared; `set_name` is for the message.
    """
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


def collect_sets(real: Any, made: Any, names: tuple[str, str], spacing: Any) -> dict[str, list[Entry]]:
    """List the sequences of all sets by set name, the reference first.

    Parameters
    ----------
    real : SDFSequence, path, or list of these
        The reference set.
    made : mapping of str to these, or the same as `real`
        The other sets by name, or a single one.
    names : (str, str)
        Name of the reference, and of a single other set.
    spacing : (3,) float or None
        Voxel size in µm, (z, y, x), of sequences that carry none.

    Returns
    -------
    dict of str to list of Entry
        The sequences of each set.

    Raises
    ------
    SequenceError
        When there is no made set, or one has the reference's name; see also :func:`collect_set`.
    """
    made_sets = dict(made) if isinstance(made, Mapping) else {names[1]: made}
    if not made_sets or names[0] in made_sets:
        raise SequenceError(f"made has the sets {list(made_sets)}; expected at least one, none called {names[0]!r}.")
    return {name: collect_set(given, name, spacing) for name, given in {names[0]: real, **made_sets}.items()}


def check_paired(paired: Any, made_names: list[str]) -> tuple[str, ...]:
    """Return the names of the made sets that hold reconstructions, in the order of `made_names`.

    `paired` is True for all of them, a name, or several names; None, False or an empty one for no set. Raise
    SequenceError if it names another set.
    """
    if not paired:
        return ()
    wanted = made_names if paired is True else [paired] if isinstance(paired, str) else list(paired)
    unknown = [name for name in wanted if name not in made_names]
    if unknown:
        raise SequenceError(f"paired names {unknown[0]!r}; expected one of the made sets: {', '.join(made_names)}.")
    return tuple(name for name in made_names if name in wanted)


def length_unit(sets: Mapping[str, Sequence[Entry]]) -> str:
    """Return the unit of lengths for all sequences: "µm" where all have a voxel size, "voxels" where none has.

    Raise SequenceError if some have one and others not.
    """
    bare = [(name, entry.name) for name, entries in sets.items() for entry in entries if entry.spacing is None]
    if bare and len(bare) < sum(len(entries) for entries in sets.values()):
        raise SequenceError(
            f"{bare[0][1]!r} of {bare[0][0]!r} carries no voxel size ({len(bare)} sequences in all), and others do; "
            "expected a voxel size for all or for none.",
            remedy="Pass the voxel size in µm, (z, y, x), of those that carry none: spacing=, or --spacing Z Y X.",
        )
    return "voxels" if bare else "µm"


def match_originals(
    sets: Mapping[str, Sequence[Entry]], paired_names: Sequence[str]
) -> tuple[dict[tuple[str, str], Entry], list[str]]:
    """Find the original of each reconstruction, by name or else by order.

    Parameters
    ----------
    sets : mapping of str to sequence of Entry
        The sequences of each set, the reference first.
    paired_names : sequence of str
        Names of the sets that hold reconstructions.

    Returns
    -------
    matched : dict of (set, sequence name) to Entry
        The original of each reconstruction.
    notes : list of str
        A warning for each set that is paired by order.

    Raises
    ------
    SequenceError
        When a set cannot be paired; see :func:`pair_sequences`.
    """
    reference = next(iter(sets))
    matched: dict[tuple[str, str], Entry] = {}
    notes: list[str] = []
    for name in paired_names:
        found, how = pair_sequences(sets[reference], sets[name], name)
        matched |= {(name, second.name): first for first, second in found}
        if how == "order":
            notes.append(f"{name}: the names of its sequences are not those of {reference}; paired in order.")
    return matched, notes
