"""Sequences of signed distances: one living shape in time, one HDF5 file.

The layout is that of the published data sets, as MATLAB wrote it (Wiesner et al. 2024,
doi 10.1016/j.media.2023.102991): dataset ``sdf_vid``, float32, seen in h5py as (n3, n2, n1, t) and read as
(t, n1, n2, n3). Files that cytoform writes have (n1, n2, n3) = (z, y, x), one compressed chunk a frame, and attributes
for voxel size, unit, time step and the program and settings that made them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import h5py
import numpy as np
import numpy.typing as npt

from .._typing import AnyFloats, Array, Floats32, Triple
from .._version import __version__
from ..atomic import atomic_path
from ..errors import CytoformError, FileFormatError, SequenceError
from ..image.volume import Grid
from .files import DATASET, REMEDY, Matlab5Frames, describe_contents, is_matlab5, open_hdf5
from .signs import check_signs, gradient_at_surface

__all__ = ["DATASET", "SUFFIXES", "SDFSequence", "SequenceInfo", "natural_key", "open_sequence", "opened_sequence",
           "sequence_files", "write_sequence"]  # fmt: skip


SUFFIXES = (".h5", ".hdf5", ".mat")

_USERBLOCK = 512  # bytes in front of a MAT 7.3 file, whose rest is HDF5
_MAX_CHECKED = 4096  # files whose signs are remembered as checked
_SAME_SPACING = 1e-3  # relative difference up to which two voxel sizes count as the same


@dataclasses.dataclass(frozen=True)
class SequenceInfo:
    """Voxel size, time step, clamp, name and source of a sequence of signed distances.

    Parameters
    ----------
    spacing : (3,) float or float, optional
        Voxel size in µm, (z, y, x); None where the file carries no metric scale, as the published ones.
    time_step : float, optional
        Seconds between frames; None where it is unknown.
    clamp : float, optional
        Largest distance outside, in the unit of the distances; None where distances are not limited.
    name : str
        Name of the sequence; "" for none.
    source : str
        Program and settings that made the sequence, as text; "" where they are unknown.

    Raises
    ------
    GridError
        When ``spacing`` is not positive.
    SequenceError
        When ``time_step`` or ``clamp`` is not a positive number.
    """

    spacing: Triple | None = None
    time_step: float | None = None
    clamp: float | None = None
    name: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        if self.spacing is not None:
            object.__setattr__(self, "spacing", Grid((1, 1, 1), self.spacing).spacing)
        for field in ("time_step", "clamp"):
            value = getattr(self, field)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise SequenceError(f"{field} is {value!r}; expected a positive number, or None.")


class _FileFrames(Protocol):
    """Frames that are read from a file one at a time."""

    shape: tuple[int, int, int, int]

    def read(self, index: int) -> Array:
        """Return one frame, (z, y, x), counted from 0."""

    def close(self) -> None:
        """Close the file, if it is open."""


class _OpenFrames:
    """Frames of an open HDF5 dataset (x, y, z, t); ``shape`` is (t, z, y, x)."""

    def __init__(self, data: h5py.Dataset) -> None:
        self._data = data
        self.shape: tuple[int, int, int, int] = tuple(data.shape[::-1])

    def read(self, index: int) -> Array:
        """Return one frame as a new array, (z, y, x)."""
        return cast(Array, self._data[..., index].T)

    def close(self) -> None:
        """Close the dataset's file, unless it is closed already."""
        if self._data:
            self._data.file.close()


class _ReopenedFrames:
    """Frames of a file that is opened for each of them and closed again; ``shape`` is (t, z, y, x)."""

    def __init__(self, path: Path, shape: tuple[int, int, int, int]) -> None:
        self._path, self.shape = path, shape

    def read(self, index: int) -> Array:
        """Open the file, return one frame, (z, y, x) float32, scaled by the file's own ``scale``, and close it."""
        with open_sequence(self._path, check=False) as sequence:
            return sequence.frame(index)

    def close(self) -> None:
        """Do nothing: no file stays open between reads."""


class SDFSequence:
    """Signed distances of a shape in time, negative inside, read frame by frame from memory or from a file.

    Iterating over it gives the frames; used in a ``with``, it is closed at the end of the block.

    Parameters
    ----------
    frames : (t, z, y, x) float32 array, h5py dataset (x, y, z, t), or object with shape, read(index) and close()
        Distances in µm where ``info.spacing`` is known, else in the file's own unit.
    info : SequenceInfo
        Voxel size, time step, clamp, name and source.
    scale : float, optional
        Factor from the numbers in the file to µm. None for a factor of each frame's own, so that its gradient beside
        the surface has length 1. Not applied to arrays in memory.
    path : Path, optional
        File that the frames come from; None in memory.

    Attributes
    ----------
    shape : (4,) int
        (t, z, y, x).
    """

    def __init__(self, frames: Any, info: SequenceInfo, *, scale: float | None = 1.0, path: Path | None = None) -> None:
        self.info = info
        self.path = path
        self._frames: Array | _FileFrames = _OpenFrames(frames) if isinstance(frames, h5py.Dataset) else frames
        self._scale = scale
        self._frame_scales: dict[int, float] = {}
        self.shape = cast(tuple[int, int, int, int], tuple(self._frames.shape))

    @classmethod
    def from_array(cls, sdf: npt.ArrayLike, spacing: float | Sequence[float] | None, **info: Any) -> SDFSequence:
        """Make a sequence in memory from an array of signed distances.

        Parameters
        ----------
        sdf : (t, z, y, x) float
            Distances in µm, negative inside; converted to float32, not copied where it is float32 already.
        spacing : (3,) float or float, optional
            Voxel size in µm, (z, y, x); None where it is unknown.
        **info
            Further fields of :class:`SequenceInfo`: ``time_step``, ``clamp``, ``name``, ``source``.

        Returns
        -------
        SDFSequence
            The sequence.

        Raises
        ------
        SequenceError
            When the array is not 4D, not finite, or positive inside.
        """
        array = np.asarray(sdf, dtype=np.float32)
        if array.ndim != 4 or 0 in array.shape:
            raise SequenceError(f"sdf has shape {array.shape}; expected (t, z, y, x).")
        _check_finite(array, "sdf")
        check_signs(array[0], "frame 0 of sdf")
        size = None if spacing is None else Grid(array.shape[1:], spacing).spacing  # type: ignore[arg-type]
        return cls(array, SequenceInfo(spacing=size, **info))

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"SDFSequence({self.info.name!r}, shape={self.shape}, spacing={self.info.spacing})"

    @property
    def name(self) -> str:
        """Name of the sequence: that in ``info``, else the file's without suffix, else "sequence"."""
        return self.info.name or (self.path.stem if self.path else "sequence")

    @property
    def grid(self) -> Grid:
        """Grid of the samples, with the middle of the box at the origin; voxels of size 1 where it is unknown."""
        spacing = np.asarray(self.info.spacing or (1.0, 1.0, 1.0))
        shape = self.shape[1:]
        return Grid(shape, tuple(spacing), tuple(-0.5 * (np.asarray(shape) - 1) * spacing))

    def frame(self, index: int) -> Floats32:
        """Return the distances of one frame.

        Parameters
        ----------
        index : int
            Number of the frame, from 0; negative numbers count from the end.

        Returns
        -------
        (z, y, x) float32
            Distances in µm, negative inside; in the file's own unit where ``info.spacing`` is None. A new array, but
            for sequences in memory, of which it is a view.

        Raises
        ------
        SequenceError
            When there is no such frame, or it holds NaN or infinity.
        FileFormatError
            When the file is truncated.
        """
        if not -len(self) <= index < len(self):
            raise SequenceError(f"frame {index} was asked for; {self.name} has {len(self)}, counted from 0.")
        if isinstance(self._frames, np.ndarray):
            return cast(Floats32, self._frames[index])
        index %= len(self)
        try:
            data = np.array(self._frames.read(index), dtype=np.float32, order="C")
        except (OSError, RuntimeError) as error:
            if isinstance(error, CytoformError):
                raise
            raise FileFormatError(
                f"frame {index} of {self.path} cannot be read: {error}.",
                remedy="The file may be truncated: prepare or download it again.",
            ) from error
        _check_finite(data, f"frame {index} of {self.path}")
        scale = self._scale if self._scale is not None else self._frame_scale(index, data)
        if scale != 1.0:
            data *= np.float32(scale)
        return data

    def _frame_scale(self, index: int, data: Floats32) -> float:
        """Return the factor after which the gradient of a frame, ``data``, has length 1 (median) beside the surface.

        It is 1 for a frame without a surface. Computed once for each frame ``index``.
        """
        if index not in self._frame_scales:
            found = gradient_at_surface(data, self.grid.spacing)
            self._frame_scales[index] = 1.0 if found is None else 1.0 / found
        return self._frame_scales[index]

    def __iter__(self) -> Iterator[Floats32]:
        return (self.frame(index) for index in range(len(self)))

    def close(self) -> None:
        """Close the file; a sequence in memory stays usable."""
        if not isinstance(self._frames, np.ndarray):
            self._frames.close()

    def __enter__(self) -> SDFSequence:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the sequence to a file, frame by frame; see :func:`write_sequence`.

        Parameters
        ----------
        path : path
            ``.h5``, ``.hdf5`` or ``.mat``; replaced where it exists.

        Raises
        ------
        SequenceError
            When the suffix is another one, or a frame holds NaN or infinity.
        OutputError
            When the file cannot be written.
        """
        write_sequence(path, self, self.shape, self.info)


def natural_key(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """Return a key that sorts paths by file name in natural order: cell_2 before cell_10, upper and lower case alike.

    Parameters
    ----------
    path : Path
        Only its last part counts.

    Returns
    -------
    tuple
        Digits of the name as numbers and the text between them; then the name itself, which decides between equals.
    """
    parts = re.findall(r"\d+|\D+", path.name.lower())
    return [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts], path.name


def sequence_files(folder: str | os.PathLike[str]) -> list[Path]:
    """List the files of sequences that lie directly in a folder, in natural order (cell_2 before cell_10).

    Parameters
    ----------
    folder : path
        Folder with files ``.h5``, ``.hdf5`` or ``.mat``; hidden files and subfolders are left out.

    Returns
    -------
    list of Path
        At least one file; the files are not opened.

    Raises
    ------
    FileFormatError
        When there is no such folder, or none of these files in it.
    """
    path, remedy = Path(folder), "Pass the folder that neural prepare or simulate wrote; files lie directly in it."
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise FileFormatError(f"{path} {what}; expected a folder of sequences.", remedy=remedy)
    found = [p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and p.is_file()]
    if not found:
        raise FileFormatError(f"{path} holds no sequences; expected files {', '.join(SUFFIXES)}.", remedy=remedy)
    return sorted(found, key=natural_key)


def _check_finite(data: AnyFloats, what: str) -> None:
    """Raise SequenceError if values are NaN or infinite; ``what`` names the data in the message."""
    bad = data.size - int(np.isfinite(data).sum())
    if bad:
        raise SequenceError(f"{what} has {bad} values that are NaN or infinite; expected numbers.")


def open_sequence(
    path: str | os.PathLike[str],
    *,
    spacing: float | Sequence[float] | None = None,
    keep_open: bool = True,
    check: bool = True,
) -> SDFSequence:
    """Open a file of signed distances; frames are read when they are asked for.

    Close the sequence, or use it in a ``with``.

    Parameters
    ----------
    path : path
        HDF5 or MAT 7.3 with dataset ``sdf_vid``: written by cytoform, or a published data set as it is. A MAT file of
        format 5 (MATLAB's ``-v6`` and ``-v7``) is read too, as a whole.
    spacing : (3,) float or float, optional
        Voxel size in µm, (z, y, x), for files that carry none, such as the published ones. Their distances are voxels
        divided by each frame's largest; each frame is then scaled so that the gradient of its distances has length 1
        beside the surface. By default the file's own, or none.
    keep_open : bool
        Whether the file stays open until :meth:`SDFSequence.close`, or is open only while a frame is read.
    check : bool
        Look at the first frame, and raise where its distances are positive inside.

    Returns
    -------
    SDFSequence
        The sequence, of which no frame has been read yet but for the check.

    Raises
    ------
    FileFormatError
        When it is not such a file.
    SequenceError
        When the distances are positive inside or all negative, or ``spacing`` is not that of the file.
    """
    file = Path(path)
    if not file.is_file():
        raise FileFormatError(f"{file} does not exist or is not a file.", remedy=REMEDY)
    sequence = _open_matlab5(file, spacing) if _has_matlab5_header(file) else _open_hdf5(file, spacing)
    try:
        if check:
            _check_first(sequence)
    except BaseException:
        sequence.close()
        raise
    if keep_open or not isinstance(sequence._frames, _OpenFrames):
        return sequence
    sequence.close()
    scale = None if sequence._scale is None else 1.0
    return SDFSequence(_ReopenedFrames(file, sequence.shape), sequence.info, scale=scale, path=file)


def _has_matlab5_header(path: Path) -> bool:
    """Tell whether a file is of MATLAB's format 5, not HDF5.

    False also for a file that cannot be read: opening it as HDF5 raises the error with its cause.
    """
    try:
        return is_matlab5(path)
    except OSError:
        return False


def _open_matlab5(path: Path, spacing: Any) -> SDFSequence:
    """Open a MAT 5 file; with a voxel size in µm, frames are scaled so that their gradient has length 1."""
    frames = Matlab5Frames(path)
    size = None if spacing is None else Grid(frames.shape[1:], spacing).spacing
    return SDFSequence(frames, SequenceInfo(size), scale=1.0 if size is None else None, path=path)


def _open_hdf5(path: Path, spacing: Any) -> SDFSequence:
    """Open an HDF5 file as a sequence; the file is closed again where that fails."""
    file = open_hdf5(path)
    try:
        return _from_hdf5(file, path, spacing)
    except BaseException:
        file.close()
        raise


def _from_hdf5(file: h5py.File, path: Path, spacing: Any) -> SDFSequence:
    """Make a sequence of an open HDF5 file from its dataset ``sdf_vid`` and that dataset's attributes.

    Distances are multiplied by the attribute ``scale``, or where only the user gave a voxel size, each frame by the
    factor after which its gradient has length 1.

    Parameters
    ----------
    file : h5py.File
        Open for reading; stays open.
    path : Path
        Path of the file.
    spacing : (3,) float, float or None
        Voxel size in µm that the user gave.

    Returns
    -------
    SDFSequence
        Reads from ``file``.

    Raises
    ------
    FileFormatError
        When there is no such dataset, or it is not 4D of floating point.
    SequenceError
        When ``spacing`` differs from the file's own voxel size.
    """
    data = file.get(DATASET)
    if not isinstance(data, h5py.Dataset):
        raise FileFormatError(f"{path} has no dataset {DATASET!r}; it holds {describe_contents(file)}.", remedy=REMEDY)
    if data.ndim != 4 or 0 in data.shape or data.dtype.kind != "f":
        raise FileFormatError(
            f"{DATASET} of {path} has shape {data.shape} and type {data.dtype}; expected (x, y, z, t) numbers.",
            remedy=REMEDY,
        )
    attrs = data.attrs
    in_file = attrs.get("spacing_um")
    size = None if in_file is None and spacing is None else _voxel_size(in_file, spacing, path)
    scale = None if in_file is None and size is not None else _float_attribute(attrs, "scale") or 1.0
    info = SequenceInfo(
        spacing=size,
        time_step=_float_attribute(attrs, "time_step_s"),
        clamp=None if scale is None else _float_attribute(attrs, "clamp"),  # in the file's unit
        name=str(attrs.get("name", "")),
        source=str(attrs.get("source", "")),
    )
    return SDFSequence(data, info, scale=scale, path=path)


def _voxel_size(in_file: Any, given: Any, path: Path) -> Triple:
    """Return the voxel size (z, y, x) in µm: the file's own, or the given one where the file has none.

    Raises SequenceError if both are there and differ by more than 0.1 %: the file's distances are in µm, so that
    another voxel size would contradict them.
    """
    size = Grid((1, 1, 1), given if in_file is None else in_file).spacing
    if in_file is not None and given is not None:
        wanted = Grid((1, 1, 1), given).spacing
        if not np.allclose(wanted, size, rtol=_SAME_SPACING):
            raise SequenceError(
                f"spacing is {wanted} µm; {path} carries its own voxel size, {size} µm, and distances in µm.",
                remedy="Leave the voxel size away (--spacing), or prepare the sequence again with another one.",
            )
    return size


def _check_first(sequence: SDFSequence) -> None:
    """Raise SequenceError if the first frame's signs are wrong; a file is looked at again only once it has changed.

    A frame that cannot be read passes: reading it later raises the error.
    """
    if sequence.path is None:
        return
    status = sequence.path.stat()
    key = (str(sequence.path.resolve()), status.st_mtime_ns, status.st_size)
    if key in _checked_files():
        return
    try:
        frame = sequence.frame(0)
    except (FileFormatError, SequenceError):
        return
    check_signs(frame, f"frame 0 of {sequence.path}")
    _checked_files()[key] = None
    if len(_checked_files()) > _MAX_CHECKED:
        _checked_files().clear()


@functools.lru_cache(maxsize=1)
def _checked_files() -> dict[tuple[str, int, int], None]:
    """Return the process's table of files whose signs are right: keys are path, modification time (ns) and size."""
    return {}


def _float_attribute(attrs: Any, name: str) -> float | None:
    """Return an HDF5 attribute as a number, or None where it is missing."""
    return float(attrs[name]) if name in attrs else None


def write_sequence(
    path: str | os.PathLike[str], frames: Iterable[npt.ArrayLike], shape: Sequence[int], info: SequenceInfo
) -> None:
    """Write a sequence frame by frame, to a temporary file that replaces ``path`` only once it is complete.

    Parameters
    ----------
    path : path
        ``.h5`` or ``.hdf5``, or ``.mat`` for a MAT 7.3 file, which MATLAB loads as a variable ``sdf_vid`` of
        (t, z, y, x).
    frames : iterable of (z, y, x) float
        Distances in µm, negative inside, taken one at a time and stored as float32.
    shape : (4,) int
        Number of frames and their shape, (t, z, y, x).
    info : SequenceInfo
        Stored as attributes of the dataset.

    Raises
    ------
    SequenceError
        When the suffix is another one, a frame has another shape or is not finite, or there are more or fewer frames
        than ``shape`` says.
    OutputError
        When the file cannot be written.
    """
    target = Path(path)
    if target.suffix.lower() not in SUFFIXES:
        raise SequenceError(f"{target} has an unknown suffix {target.suffix!r}; expected one of {', '.join(SUFFIXES)}.")
    t, *size = (int(n) for n in shape)
    matlab = target.suffix.lower() == ".mat"
    with atomic_path(target) as temporary:
        with h5py.File(temporary, "w", userblock_size=_USERBLOCK if matlab else 0) as file:
            data = file.create_dataset(
                DATASET,
                shape=(*size[::-1], t),
                dtype=np.float32,
                chunks=(*size[::-1], 1),
                compression="gzip",
                compression_opts=1,
                shuffle=True,
            )
            _write_attributes(data, info, matlab)
            _write_frames(data, frames, (t, *size))
        if matlab:
            _write_matlab_header(temporary)


def _write_frames(data: h5py.Dataset, frames: Iterable[npt.ArrayLike], shape: tuple[int, ...]) -> None:
    """Fill a dataset (x, y, z, t) with frames (z, y, x), one at a time.

    Raises SequenceError if their number or shape is not that of ``shape``, (t, z, y, x), or a value is not finite.
    """
    count = 0
    for index, frame in enumerate(frames):
        array = np.asarray(frame, dtype=np.float32)
        if index >= shape[0] or array.shape != shape[1:]:
            raise SequenceError(f"frame {index} has shape {array.shape}; expected {shape[0]} frames of {shape[1:]}.")
        _check_finite(array, f"frame {index}")
        data[..., index] = array.T
        count += 1
    if count != shape[0]:
        raise SequenceError(f"there are {count} frames; expected {shape[0]}.")


def _write_attributes(data: h5py.Dataset, info: SequenceInfo, matlab: bool) -> None:
    """Set a dataset's attributes from ``info``, with layout and version, and for MATLAB the class of its variable."""
    attrs = data.attrs
    if info.spacing is not None:
        attrs["spacing_um"] = np.asarray(info.spacing)
        attrs["unit"] = "um"
    attrs["scale"] = 1.0
    attrs["axes"] = "stored (x, y, z, t); transposed: (t, z, y, x)"
    if info.time_step is not None:
        attrs["time_step_s"] = info.time_step
    if info.clamp is not None:
        attrs["clamp"] = info.clamp
    if info.name:
        attrs["name"] = info.name
    attrs["source"] = info.source or f"cytoform {__version__}"
    attrs["cytoform_version"] = __version__
    if matlab:
        attrs["MATLAB_class"] = np.bytes_("single")


def _write_matlab_header(path: Path) -> None:
    """Overwrite the first 128 bytes of an HDF5 file, its user block, by the header of a MAT 7.3 file."""
    # Ref: MathWorks, MAT-File Format, "Level 5 MAT-file header": 116 bytes of text, 8 of offset, version, "IM".
    text = f"MATLAB 7.3 MAT-file, written by cytoform {__version__}".ljust(116).encode("ascii")
    with open(path, "r+b") as file:
        file.write(text + b"\0" * 8 + (0x0200).to_bytes(2, "little") + b"IM")


@contextlib.contextmanager
def opened_sequence(source: SDFSequence | str | os.PathLike[str]) -> Iterator[SDFSequence]:
    """Return a context that gives a sequence, opened from a file and closed at the end where ``source`` is a path.

    Parameters
    ----------
    source : SDFSequence or path
        A sequence, which is given back as it is and stays open, or a file for :func:`open_sequence`.

    Yields
    ------
    SDFSequence
        The sequence to read from within the block.

    Raises
    ------
    FileFormatError, SequenceError
        As :func:`open_sequence` raises them.
    """
    if isinstance(source, SDFSequence):
        yield source
    else:
        with open_sequence(source) as sequence:
            yield sequence
