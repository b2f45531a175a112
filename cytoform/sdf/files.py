"""Files of signed distances from other programs: HDF5 (which MAT 7.3 is) and MAT 5, read or refused with the cause."""

from __future__ import annotations

import functools
import logging
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .._typing import Floats32
from ..errors import FileFormatError

__all__ = ["DATASET", "REMEDY", "Matlab5Frames", "describe_contents", "is_matlab5", "open_hdf5", "read_matlab5"]

DATASET = "sdf_vid"
REMEDY = f"Expected an HDF5 file with a 4D dataset {DATASET!r}, as cytoform neural prepare writes."

_LOG = logging.getLogger(__name__)
_CACHED_FILES = 2  # MAT 5 files whose frames are kept in memory: such a file is read as a whole
_COPY_AGAIN = "It may be truncated, or still being copied: copy, download or prepare it again."


def open_hdf5(path: Path) -> h5py.File:
    """Open an HDF5 file for reading.

    Where another program holds the file's lock, or the drive has no file locks, it is opened without a lock and a
    warning is logged.

    Parameters
    ----------
    path : Path
        An existing file.

    Returns
    -------
    h5py.File
        To be closed by the caller.

    Raises
    ------
    FileFormatError
        When it cannot be opened, with the cause.
    """
    try:
        return h5py.File(path, "r")
    except OSError as error:
        if not _is_lock_error(error):
            raise _opening_error(path, error) from error
    try:
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        raise _opening_error(path, error) from error
    _warn_of_lock(path)
    return file


def _is_lock_error(error: OSError) -> bool:
    """Tell whether HDF5 refused a file because of its lock: the word stands in its message."""
    return re.search(r"\block", str(error), re.IGNORECASE) is not None


@functools.lru_cache(maxsize=1024)
def _warn_of_lock(path: Path) -> None:
    """Log a warning that a file is read without a lock; the cache makes it one for each file."""
    _LOG.warning(
        "%s is held by another program, or lies on a drive without file locks; it is read without a lock. Close that "
        "program if it still writes to the file.", path,
    )  # fmt: skip


def _opening_error(path: Path, error: OSError) -> FileFormatError:
    """Return the error to raise for an HDF5 file that does not open.

    The cause (permissions, open for writing, locked, empty, no HDF5, truncated) is found from h5py's message and the
    file's size.
    """
    text = str(error)
    if isinstance(error, PermissionError) or "errno = 13" in text:
        return FileFormatError(f"{path} cannot be read: permission denied.", remedy="Change its permissions.")
    if "already open" in text or "consistency flags" in text:
        return FileFormatError(
            f"{path} is open for writing in another program, or that program ended without closing it.",
            remedy="Close it there; if it is not open anywhere, run h5clear -s on it.",
        )
    if _is_lock_error(error):
        return FileFormatError(
            f"{path} is locked by another program, or lies on a drive without file locks: {text}.",
            remedy="Close it there, copy it to a local drive, or set the environment variable "
            "HDF5_USE_FILE_LOCKING=FALSE.",
        )
    if path.stat().st_size == 0:
        return FileFormatError(f"{path} is empty (0 bytes).", remedy=_COPY_AGAIN)
    if "signature not found" in text:
        return FileFormatError(f"{path} is not an HDF5 file.", remedy=REMEDY)
    return FileFormatError(f"{path} is not a complete HDF5 file: {text}.", remedy=_COPY_AGAIN)


# ---------------------------------------------------------------------------------------------------------------------
# MAT 5, which MATLAB writes without the option -v7.3, and which is not HDF5


def is_matlab5(path: Path) -> bool:
    """Tell whether a file has the 128-byte header of MATLAB's format 5 (options -v6 and -v7).

    Parameters
    ----------
    path : Path
        An existing file.

    Returns
    -------
    bool
        False for MAT 7.3, which is HDF5.

    Raises
    ------
    OSError
        When the file cannot be read.
    """
    with open(path, "rb") as file:
        head = file.read(128)
    # Ref: MathWorks, MAT-File Format, "Level 5 MAT-file header": version 0x0100, then "IM" or "MI"
    return len(head) == 128 and head[124:] in (b"\x00\x01IM", b"\x01\x00MI")


class Matlab5Frames:
    """Frames of a MAT 5 file, whose array is read as a whole with the first frame.

    MATLAB's array (n1, n2, n3, t) is seen as (t, n1, n2, n3), as its MAT 7.3 files are.

    Parameters
    ----------
    path : Path
        File of format 5 with a variable ``sdf_vid``.

    Attributes
    ----------
    shape : (4,) int
        (t, n1, n2, n3), read from the file's header.

    Raises
    ------
    FileFormatError
        When the header cannot be read, or there is no such variable of four axes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.shape = _matlab5_shape(path)

    def read(self, index: int) -> Floats32:
        """Return a copy of one frame, (n1, n2, n3) float32; raise FileFormatError if the file is truncated."""
        return np.ascontiguousarray(read_matlab5(self.path)[..., index])

    def close(self) -> None:
        """Do nothing: no file stays open between reads."""


def _matlab5_shape(path: Path) -> tuple[int, int, int, int]:
    """Return the shape (t, n1, n2, n3) of ``sdf_vid`` from the header of a MAT 5 file.

    Raises FileFormatError if the header is broken, or the variable is missing, not 4D or not of floating point.
    """
    from scipy import io

    try:
        held = {name: (shape, kind) for name, shape, kind in io.whosmat(path)}
    except Exception as error:  # whatever a broken file makes the parser do
        raise _truncated_error(path, error) from error
    if DATASET not in held:
        names = ", ".join(f"{name} {shape}" for name, (shape, _) in sorted(held.items())) or "nothing"
        raise FileFormatError(f"{path} has no variable {DATASET!r}; it holds {names}.", remedy=REMEDY)
    shape, kind = held[DATASET]
    if len(shape) != 4 or 0 in shape or kind not in ("single", "double"):
        raise FileFormatError(
            f"{DATASET} of {path} has shape {shape} and type {kind}; expected (n1, n2, n3, t) numbers.", remedy=REMEDY
        )
    return shape[3], shape[0], shape[1], shape[2]


def read_matlab5(path: Path) -> Floats32:
    """Read all of ``sdf_vid`` from a MAT 5 file; the two files read last are cached while they do not change.

    Parameters
    ----------
    path : Path
        File of format 5.

    Returns
    -------
    (n1, n2, n3, t) float32
        The array as MATLAB sees it; shared by all callers, not to be written to.

    Raises
    ------
    FileFormatError
        When the file is truncated.
    """
    status = path.stat()
    return _read_matlab5(path, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=_CACHED_FILES)
def _read_matlab5(path: Path, changed: int, size: int) -> Floats32:
    """Read ``sdf_vid`` as float32; modification time (ns) and size (bytes) only serve as the cache's key."""
    from scipy import io

    try:
        return np.asarray(io.loadmat(path, variable_names=[DATASET])[DATASET], dtype=np.float32)
    except Exception as error:  # whatever a broken file makes the parser do
        raise _truncated_error(path, error) from error


def _truncated_error(path: Path, error: Exception) -> FileFormatError:
    """Return the error to raise for a MAT 5 file that scipy cannot parse, with scipy's message."""
    return FileFormatError(
        f"{path} is not a complete MAT file: {error or type(error).__name__}.",
        remedy=f"{_COPY_AGAIN} In MATLAB: save(file, '{DATASET}', '-v7.3').",
    )


def describe_contents(file: Any) -> str:
    """Return names and shapes of an HDF5 file's datasets, and its groups with their first names, in words.

    Parameters
    ----------
    file : h5py.File
        An open file.

    Returns
    -------
    str
        At most twelve entries, such as "exported/ with data; masks (2, 3, 4)"; "nothing" for an empty file.
    """
    found = []
    for name, item in sorted(file.items()):
        if isinstance(item, h5py.Dataset):
            found.append(f"{name} {item.shape}")
        else:
            inside = ", ".join(sorted(item)[:6]) if isinstance(item, h5py.Group) else ""
            found.append(f"{name}/ with {inside}" if inside else f"{name}/")
    return "; ".join(found[:12]) or "nothing"
