"""The sequences that a training learns from: alike in their samples, each file open only while a frame is read."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .._typing import Floats32
from ..errors import SequenceError
from ..sdf.sequence import SDFSequence, SequenceInfo, opened
from .model import Space

__all__ = ["Sources"]


_SAME = 1e-3  # relative difference at which two boxes count as different


@dataclasses.dataclass(frozen=True, eq=False)
class _Head:
    """What a sequence says of itself, and where its frames are."""

    source: SDFSequence | Path
    name: str
    info: SequenceInfo
    shape: tuple[int, int, int, int]


class Sources:
    """Sequences from files or memory; any number of files, since none stays open.

    Parameters
    ----------
    sources : sequence of paths or SDFSequence

    Attributes
    ----------
    names : list of str
        As the sequences call themselves.
    lengths : list of int
        Their frames.
    shape : (3,) int
        Samples of a frame, (z, y, x), the same for all.

    Raises
    ------
    SequenceError
        When there is no sequence, one has fewer than two frames, or they do not match each other.
    FileFormatError
        When a file is no sequence.
    """

    def __init__(self, sources: Sequence[SDFSequence | str | Path]) -> None:
        if not sources:
            raise SequenceError("there are no sequences to learn from.", remedy="Pass .h5 files of neural prepare.")
        self._heads = [_head(source) for source in sources]
        _check_same(self._heads)
        self.names = [head.name for head in self._heads]
        self.lengths = [head.shape[0] for head in self._heads]
        self.shape = self._heads[0].shape[1:]

    def __len__(self) -> int:
        return len(self._heads)

    def frame(self, sequence: int, frame: int) -> Floats32:
        """Distances of one frame (z, y, x), in the unit of the file.

        Raises
        ------
        SequenceError
            When no voxel is inside.
        FileFormatError
            When the file breaks off.
        """
        head = self._heads[sequence]
        with opened(head.source) as there:
            values = there.frame(frame)
        if not float(values.min()) < 0:
            raise SequenceError(
                f"frame {frame} of {head.name} has no voxel inside; expected an object in each frame.",
                remedy="Prepare the sequence again, or leave it out.",
            )
        return values

    def space(self) -> Space:
        """The cube and the time that they are in."""
        info, samples = self._heads[0].info, max(self.shape)
        half = None if info.spacing is None else 0.5 * (samples - 1) * info.spacing[0]
        return Space(
            samples=samples,
            frames=max(self.lengths),
            half_um=half,
            slope=1.0 if half else _slope(self.frame(0, 0), self.names[0]),
            clamp=None if info.clamp is None else info.clamp / (half or 1.0),
            time_step=info.time_step,
        )


def _head(source: SDFSequence | str | Path) -> _Head:
    with opened(source) as sequence:
        kept = source if isinstance(source, SDFSequence) else Path(source)
        return _Head(kept, sequence.name, sequence.info, sequence.shape)


def _slope(frame: Floats32, name: str) -> float:
    """Median change of the distance beside the surface, per half of the cube's side.

    Beside the surface: where the sign changes to a next voxel. Most of a clamped frame does not change at all.
    """
    inside = frame < 0
    beside = np.zeros(frame.shape, dtype=bool)
    for axis in range(3):
        changes = np.diff(inside, axis=axis)
        there = [slice(None)] * 3
        for part in (slice(None, -1), slice(1, None)):
            there[axis] = part
            beside[tuple(there)] |= changes
    size = np.linalg.norm(np.stack(np.gradient(frame)), axis=0)[beside]
    if not len(size) or not float(np.median(size)) > 0:
        raise SequenceError(
            f"frame 0 of {name} has no surface, its distances are all of one sign; expected an object.",
            remedy="Prepare the sequence again, or leave it out.",
        )
    return float(np.median(size)) * 0.5 * (max(frame.shape) - 1)


def _check_same(heads: Sequence[_Head]) -> None:
    first = heads[0]
    for sequence in heads:
        if sequence.shape[0] < 2:
            raise SequenceError(f"{sequence.name} has 1 frame; expected two or more, a shape in time.")
        if sequence.shape[1:] != first.shape[1:]:
            raise SequenceError(
                f"{sequence.name} has frames of {sequence.shape[1:]}, {first.name} of {first.shape[1:]}; "
                "expected the same for all.",
                remedy="Prepare them together, with one shape and box.",
            )
        _check_spacing(sequence, first)


def _check_spacing(sequence: _Head, first: _Head) -> None:
    ours, others = sequence.info.spacing, first.info.spacing
    if (ours is None) != (others is None) or (ours and not np.allclose(ours, others, rtol=_SAME)):
        raise SequenceError(
            f"{sequence.name} has voxels of {ours} µm, {first.name} of {others}; expected the same for all.",
            remedy="Prepare them together, with one box_um.",
        )
    if ours and not np.allclose(ours, ours[0], rtol=_SAME):
        raise SequenceError(
            f"{sequence.name} has voxels of {ours} µm; expected the same size along all axes.",
            remedy="Prepare it again: neural prepare gives isotropic samples.",
        )
