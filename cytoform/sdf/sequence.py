"""Sequences of signed distances: one living shape in time, one HDF5 file.

The layout is that of the published data sets, as MATLAB wrote it (Wiesner et al. 2024,
doi 10.1016/j.media.2023.102991): dataset ``sdf_vid``, float32, seen in h5py as (n3, n2, n1, t) and read as
(t, n1, n2, n3). Ours have (n1, n2, n3) = (z, y, x), one compressed chunk a frame, and attributes for voxel size, unit,
time step and origin.
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
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from .._typing import Array, Floats32
from .._version import __version__
from ..atomic import atomic_path
from ..errors import CytoformError, FileFormatError, SequenceError
from ..image.volume import Grid
from .files import DATASET, REMEDY, Matlab5, held_by, is_matlab5, open_hdf5
from .signs import check_signs, slope

__all__ = ["DATASET", "SUFFIXES", "SDFSequence", "SequenceInfo", "natural", "open_sequence", "opened",
           "sequence_files", "write_sequence"]  # fmt: skip


SUFFIXES = (".h5", ".hdf5", ".mat")

_USERBLOCK = 512  # bytes in front of a MAT 7.3 file, whose rest is HDF5
_REMEMBERED = 4096  # files that were looked at
_SAME = 1e-3  # relative difference at which two voxel sizes count as different


@dataclasses.dataclass(frozen=True)
class SequenceInfo:
    """What is known of a sequence beside its distances.

    Attributes
    ----------
    spacing : (3,) float or None
        Voxel size in µm, (z, y, x); None where the file carries no metric scale, as the published ones.
    time_step : float or None
        Seconds between frames.
    clamp : float or None
        Largest distance outside that is kept, in the unit of the distances.
    name : str
        What the sequence is called.
    source : str
        What made it.
    """

    spacing: tuple[float, float, float] | None = None
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


class _InFile:
    """Frames of an open HDF5 file."""

    def __init__(self, data: h5py.Dataset) -> None:
        self._data = data
        self.shape = tuple(data.shape[::-1])

    def read(self, index: int) -> Array:
        return self._data[..., index].T

    def close(self) -> None:
        if self._data:
            self._data.file.close()


class _Reopened:
    """Frames of a file that is open only while one of them is read."""

    def __init__(self, path: Path, shape: tuple[int, int, int, int]) -> None:
        self._path, self.shape = path, shape

    def read(self, index: int) -> Array:
        with open_sequence(self._path, check=False) as sequence:
            return sequence.frame(index)

    def close(self) -> None:
        """Nothing stays open."""


class SDFSequence:
    """Signed distances of a shape in time, negative inside, read frame by frame from memory or from a file.

    Parameters
    ----------
    frames : (t, z, y, x) array or h5py dataset (x, y, z, t)
        Distances in µm where ``info.spacing`` is known, else in the file's own unit.
    info : SequenceInfo
    """

    def __init__(self, frames: Any, info: SequenceInfo, *, scale: float | None = 1.0, path: Path | None = None) -> None:
        self.info = info
        self.path = path
        self._frames = _InFile(frames) if isinstance(frames, h5py.Dataset) else frames
        self._scale = scale  # None: each frame's own, so that its distances grow by a µm a µm
        self._scales: dict[int, float] = {}
        self._on_disk = not isinstance(frames, np.ndarray)
        self.shape: tuple[int, int, int, int] = tuple(self._frames.shape)

    @classmethod
    def from_array(cls, sdf: npt.ArrayLike, spacing: float | Sequence[float] | None, **info: Any) -> SDFSequence:
        """A sequence in memory from (t, z, y, x) distances in µm; ``info`` as in :class:`SequenceInfo`.

        Raises
        ------
        SequenceError
            When it is not 4D, not finite, or positive inside.
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
        """The sequence's name: that of the file, where it has none of its own."""
        return self.info.name or (self.path.stem if self.path else "sequence")

    @property
    def grid(self) -> Grid:
        """Where the samples are: the middle of the box is the origin; voxels of 1 where the size is unknown."""
        spacing = np.asarray(self.info.spacing or (1.0, 1.0, 1.0))
        shape = self.shape[1:]
        return Grid(shape, tuple(spacing), tuple(-0.5 * (np.asarray(shape) - 1) * spacing))

    def frame(self, index: int) -> Floats32:
        """Distances of one frame, (z, y, x) float32, µm.

        Raises
        ------
        SequenceError
            When there is no such frame, or it holds NaN or infinity.
        FileFormatError
            When the file breaks off.
        """
        if not -len(self) <= index < len(self):
            raise SequenceError(f"frame {index} was asked for; {self.name} has {len(self)}, counted from 0.")
        if not self._on_disk:
            return self._frames[index]
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
        scale = self._scale if self._scale is not None else self._own_scale(index, data)
        if scale != 1.0:
            data *= np.float32(scale)
        return data

    def _own_scale(self, index: int, data: Floats32) -> float:
        """What turns a frame's distances into µm: they grow by one a µm beside the surface."""
        if index not in self._scales:
            found = slope(data, self.grid.spacing)
            self._scales[index] = 1.0 if found is None else 1.0 / found
        return self._scales[index]

    def __iter__(self) -> Iterator[Floats32]:
        return (self.frame(index) for index in range(len(self)))

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._on_disk:
            self._frames.close()

    def __enter__(self) -> SDFSequence:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write to ``path``; see :func:`write_sequence`."""
        write_sequence(path, self, self.shape, self.info)


def natural(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """Key that sorts paths by name with numbers as numbers: cell_2 before cell_10, whatever the case of the letters."""
    parts = re.findall(r"\d+|\D+", path.name.lower())
    return [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts], path.name


def sequence_files(folder: str | os.PathLike[str]) -> list[Path]:
    """The files of sequences that lie directly in a folder, in natural order; hidden ones are left out.

    Raises
    ------
    FileFormatError
        When there is no such folder, or none of these files in it.
    """
    place, remedy = Path(folder), "Pass the folder that neural prepare or simulate wrote; files lie directly in it."
    if not place.is_dir():
        what = "is not a folder" if place.exists() else "does not exist"
        raise FileFormatError(f"{place} {what}; expected a folder of sequences.", remedy=remedy)
    found = [p for p in place.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and p.is_file()]
    if not found:
        raise FileFormatError(f"{place} holds no sequences; expected files {', '.join(SUFFIXES)}.", remedy=remedy)
    return sorted(found, key=natural)


def _check_finite(data: Array, what: str) -> None:
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
    """Open a sequence of signed distances; frames are read when they are asked for. Close it, or use it in a ``with``.

    Parameters
    ----------
    path : path
        HDF5 or MAT 7.3 with dataset ``sdf_vid``: ours, or one of the published data sets as it is. A MAT file of
        format 5 (MATLAB's ``-v6`` and ``-v7``) is read too, as a whole.
    spacing : (3,) float or float, optional
        Voxel size in µm, (z, y, x), for files that carry none, such as the published ones. Their distances are voxels
        divided by each frame's largest; each frame is then scaled so that beside its surface distances grow by one µm
        a µm.
    keep_open : bool
        Whether the file stays open until :meth:`SDFSequence.close`, or is open only while a frame is read.
    check : bool
        Refuse distances that are positive inside; looks at the first frame.

    Raises
    ------
    FileFormatError
        When it is not such a file.
    SequenceError
        When the distances are positive inside or all negative, or ``spacing`` is not that of the file.
    """
    place = Path(path)
    if not place.is_file():
        raise FileFormatError(f"{place} does not exist or is not a file.", remedy=REMEDY)
    sequence = _matlab5(place, spacing) if _unlike_hdf5(place) else _hdf5(place, spacing)
    try:
        if check:
            _check_first(sequence)
    except BaseException:
        sequence.close()
        raise
    if keep_open or not isinstance(sequence._frames, _InFile):
        return sequence
    sequence.close()
    scale = None if sequence._scale is None else 1.0
    return SDFSequence(_Reopened(place, sequence.shape), sequence.info, scale=scale, path=place)


def _unlike_hdf5(path: Path) -> bool:
    try:
        return is_matlab5(path)
    except OSError:  # told when it is opened
        return False


def _matlab5(path: Path, spacing: Any) -> SDFSequence:
    frames = Matlab5(path)
    size = None if spacing is None else Grid(frames.shape[1:], spacing).spacing
    return SDFSequence(frames, SequenceInfo(size), scale=1.0 if size is None else None, path=path)


def _hdf5(path: Path, spacing: Any) -> SDFSequence:
    file = open_hdf5(path)
    try:
        return _from_file(file, path, spacing)
    except BaseException:
        file.close()
        raise


def _from_file(file: h5py.File, path: Path, spacing: Any) -> SDFSequence:
    data = file.get(DATASET)
    if not isinstance(data, h5py.Dataset):
        raise FileFormatError(f"{path} has no dataset {DATASET!r}; it holds {held_by(file)}.", remedy=REMEDY)
    if data.ndim != 4 or 0 in data.shape or data.dtype.kind != "f":
        raise FileFormatError(
            f"{DATASET} of {path} has shape {data.shape} and type {data.dtype}; expected (x, y, z, t) numbers.",
            remedy=REMEDY,
        )
    attrs = data.attrs
    own = attrs.get("spacing_um")
    size = None if own is None and spacing is None else _voxel_size(own, spacing, path)
    scale = None if own is None and size is not None else _number(attrs, "scale") or 1.0
    info = SequenceInfo(
        spacing=size,
        time_step=_number(attrs, "time_step_s"),
        clamp=None if scale is None else _number(attrs, "clamp"),  # in the file's unit
        name=str(attrs.get("name", "")),
        source=str(attrs.get("source", "")),
    )
    return SDFSequence(data, info, scale=scale, path=path)


def _voxel_size(own: Any, given: Any, path: Path) -> tuple[float, float, float]:
    """The file's own voxel size, which one that is given may repeat but not replace: its distances are in µm."""
    size = Grid((1, 1, 1), given if own is None else own).spacing
    if own is not None and given is not None:
        told = Grid((1, 1, 1), given).spacing
        if not np.allclose(told, size, rtol=_SAME):
            raise SequenceError(
                f"spacing is {told} µm; {path} carries its own voxel size, {size} µm, and distances in µm.",
                remedy="Leave the voxel size away (--spacing), or prepare the sequence again with another one.",
            )
    return size


def _check_first(sequence: SDFSequence) -> None:
    """Signs of the first frame, looked at once for each state of a file."""
    if sequence.path is None:
        return
    status = sequence.path.stat()
    key = (str(sequence.path.resolve()), status.st_mtime_ns, status.st_size)
    if key in _sound():
        return
    try:
        frame = sequence.frame(0)
    except (FileFormatError, SequenceError):
        return  # told when the frame is asked for
    check_signs(frame, f"frame 0 of {sequence.path}")
    _sound()[key] = None
    if len(_sound()) > _REMEMBERED:
        _sound().clear()


@functools.lru_cache(maxsize=1)
def _sound() -> dict[tuple[str, int, int], None]:
    """Files whose signs were found right."""
    return {}


def _number(attrs: Any, name: str) -> float | None:
    return float(attrs[name]) if name in attrs else None


def write_sequence(
    path: str | os.PathLike[str], frames: Iterable[npt.ArrayLike], shape: Sequence[int], info: SequenceInfo
) -> None:
    """Write a sequence frame by frame, whole or not at all.

    Parameters
    ----------
    path : path
        ``.h5``, or ``.mat`` for a MAT 7.3 file, which MATLAB loads as a variable ``sdf_vid`` of (t, z, y, x).
    frames : iterable of (z, y, x) arrays
        Distances in µm, taken one at a time.
    shape : (t, z, y, x)
    info : SequenceInfo

    Raises
    ------
    SequenceError
        When a frame has another shape, is not finite, or there are more or fewer than ``shape`` says.
    OutputError
        When the place cannot be written.
    """
    place = Path(path)
    if place.suffix.lower() not in SUFFIXES:
        raise SequenceError(f"{place} has an unknown suffix {place.suffix!r}; expected one of {', '.join(SUFFIXES)}.")
    t, *size = (int(n) for n in shape)
    matlab = place.suffix.lower() == ".mat"
    with atomic_path(place) as temporary:
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
            _describe(data, info, matlab)
            _fill(data, frames, (t, *size))
        if matlab:
            _write_header(temporary)


def _fill(data: h5py.Dataset, frames: Iterable[npt.ArrayLike], shape: tuple[int, ...]) -> None:
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


def _describe(data: h5py.Dataset, info: SequenceInfo, matlab: bool) -> None:
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


def _write_header(path: Path) -> None:
    # Ref: MathWorks, MAT-File Format, "Level 5 MAT-file header": 116 bytes of text, 8 of offset, version, "IM".
    text = f"MATLAB 7.3 MAT-file, written by cytoform {__version__}".ljust(116).encode("ascii")
    with open(path, "r+b") as file:
        file.write(text + b"\0" * 8 + (0x0200).to_bytes(2, "little") + b"IM")


@contextlib.contextmanager
def opened(source: SDFSequence | str | os.PathLike[str]) -> Iterator[SDFSequence]:
    """The sequence itself, or the one in a file, which is closed at the end of the block."""
    if isinstance(source, SDFSequence):
        yield source
    else:
        with open_sequence(source) as sequence:
            yield sequence
