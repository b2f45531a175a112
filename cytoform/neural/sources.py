"""Sequences of signed distances to learn from, all with the same samples; a file is open only while it is read."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np

from .._typing import Floats32
from ..errors import SequenceError
from ..sdf.sequence import SDFSequence, SequenceInfo, opened_sequence
from .model import TrainingCube

__all__ = ["SequenceReader"]


_SPACING_TOLERANCE = 1e-3  # relative difference of two voxel sizes that count as the same


@dataclasses.dataclass(frozen=True, eq=False)
class _Header:
    """What is read once of a sequence: its source, name, metadata and shape (t, z, y, x)."""

    source: SDFSequence | Path
    name: str
    info: SequenceInfo
    shape: tuple[int, int, int, int]


class SequenceReader:
    """Reader of the frames of several sequences, from any number of files, none of which stays open, or from memory.

    Parameters
    ----------
    sources : sequence of paths or SDFSequence
        Files of signed distances, or sequences in memory; all with the same samples and isotropic voxel size.

    Attributes
    ----------
    names : list of str
        Name of each sequence, as stored in it.
    lengths : list of int
        Number of frames of each sequence.
    shape : (3,) int
        Samples of a frame along z, y and x, the same for all.

    Raises
    ------
    SequenceError
        When there is no sequence, one has fewer than two frames, or their samples or voxel sizes differ.
    FileFormatError
        When a file holds no sequence.
    """

    def __init__(self, sources: Sequence[SDFSequence | str | Path]) -> None:
        if not sources:
            raise SequenceError("there are no sequences to learn from.", remedy="Pass .h5 files of neural prepare.")
        self._headers = [_read_header(source) for source in sources]
        _check_same_sampling(self._headers)
        self.names = [header.name for header in self._headers]
        self.lengths = [header.shape[0] for header in self._headers]
        self.shape = self._headers[0].shape[1:]

    def __len__(self) -> int:
        return len(self._headers)

    def read_frame(self, sequence: int, frame: int) -> Floats32:
        """Return the signed distances (z, y, x) of a frame of a sequence, both given by number, in the file's unit.

        Raises
        ------
        SequenceError
            When no voxel is inside, that is, no distance is negative.
        FileFormatError
            When the file is truncated.
        """
        header = self._headers[sequence]
        with opened_sequence(header.source) as file:
            values = file.frame(frame)
        if not float(values.min()) < 0:
            raise SequenceError(
                f"frame {frame} of {header.name} has no voxel inside; expected an object in each frame.",
                remedy="Prepare the sequence again, or leave it out.",
            )
        return values

    def training_cube(self) -> TrainingCube:
        """Return the cube around the sequences' frames: its sampling, metric scale, slope, clamp and time step.

        Samples, scale, clamp and time step are those of the first sequence. The slope is 1 where the voxel size is
        known; elsewhere it is measured on the first frame, see :func:`_median_slope`.
        """
        info, samples = self._headers[0].info, max(self.shape)
        half = None if info.spacing is None else 0.5 * (samples - 1) * info.spacing[0]
        return TrainingCube(
            samples=samples,
            frames=max(self.lengths),
            half_um=half,
            slope=1.0 if half else _median_slope(self.read_frame(0, 0), self.names[0]),
            clamp=None if info.clamp is None else info.clamp / (half or 1.0),
            time_step=info.time_step,
        )


def _read_header(source: SDFSequence | str | Path) -> _Header:
    """Return the source, name, metadata and shape of a sequence, without reading its frames."""
    with opened_sequence(source) as sequence:
        kept = source if isinstance(source, SDFSequence) else Path(source)
        return _Header(kept, sequence.name, sequence.info, sequence.shape)


def _median_slope(frame: Floats32, name: str) -> float:
    """Return the median norm of a frame's gradient beside the surface, as change of distance per half side of the cube.

    Only voxels count whose sign differs from that of a neighbour along an axis, since most of a clamped frame is
    constant. Raises SequenceError, with the sequence's ``name``, if there are none.
    """
    inside = frame < 0
    beside = np.zeros(frame.shape, dtype=bool)
    for axis in range(3):
        changes = np.diff(inside, axis=axis)
        part = [slice(None)] * 3
        for side in (slice(None, -1), slice(1, None)):
            part[axis] = side
            beside[tuple(part)] |= changes
    size = np.linalg.norm(np.stack(cast(Sequence[Floats32], np.gradient(frame))), axis=0)[beside]
    if not len(size) or not float(np.median(size)) > 0:
        raise SequenceError(
            f"frame 0 of {name} has no surface, its distances are all of one sign; expected an object.",
            remedy="Prepare the sequence again, or leave it out.",
        )
    slope: float = float(np.median(size)) * 0.5 * (max(frame.shape) - 1)
    return slope


def _check_same_sampling(headers: Sequence[_Header]) -> None:
    """Check that sequences, one header each, can be learned together; raise SequenceError if not.

    Each must have at least two frames, as many samples along z, y and x as the first one, and the same voxel size,
    equal along all axes (to 0.1 %).
    """
    first = headers[0]
    for sequence in headers:
        if sequence.shape[0] < 2:
            raise SequenceError(f"{sequence.name} has 1 frame; expected two or more, a shape in time.")
        if sequence.shape[1:] != first.shape[1:]:
            raise SequenceError(
                f"{sequence.name} has frames of {sequence.shape[1:]}, {first.name} of {first.shape[1:]}; "
                "expected the same for all.",
                remedy="Prepare them together, with one shape and box.",
            )
        _check_spacing(sequence, first)


def _check_spacing(sequence: _Header, first: _Header) -> None:
    """Raise SequenceError if a sequence's voxels differ in size from those of the first one, or along their axes.

    Relative differences up to 0.1 % are accepted. Either all sequences or none must have a voxel size.
    """
    spacing, expected = sequence.info.spacing, first.info.spacing
    differs = (spacing is None) != (expected is None)
    if differs or (spacing and expected and not np.allclose(spacing, expected, rtol=_SPACING_TOLERANCE)):
        raise SequenceError(
            f"{sequence.name} has voxels of {spacing} µm, {first.name} of {expected}; expected the same for all.",
            remedy="Prepare them together, with one box_um.",
        )
    if spacing and not np.allclose(spacing, spacing[0], rtol=_SPACING_TOLERANCE):
        raise SequenceError(
            f"{sequence.name} has voxels of {spacing} µm; expected the same size along all axes.",
            remedy="Prepare it again: neural prepare gives isotropic samples.",
        )
