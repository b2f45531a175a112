"""Files of signed distances as others wrote them: HDF5 (MAT 7.3 among it) and MAT 5, opened or refused with a cause."""

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

__all__ = ["DATASET", "REMEDY", "Matlab5", "held_by", "is_matlab5", "open_hdf5", "read_matlab5"]

DATASET = "sdf_vid"
REMEDY = f"Expected an HDF5 file with a 4D dataset {DATASET!r}, as cytoform neural prepare writes."

_LOG = logging.getLogger(__name__)
_HELD = 2  # MAT 5 files whose frames are kept in memory: such a file is read as a whole
_AGAIN = "It may be truncated, or still being copied: copy, download or prepare it again."


def open_hdf5(path: Path) -> h5py.File:
    """An HDF5 file, open for reading; without a lock where another program holds one or the drive knows none.

    Raises
    ------
    FileFormatError
        When it cannot be opened, with the cause.
    """
    try:
        return h5py.File(path, "r")
    except OSError as error:
        if not _locked(error):
            raise _refused(path, error) from error
    try:
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        raise _refused(path, error) from error
    _tell_locked(path)
    return file


def _locked(error: OSError) -> bool:
    return re.search(r"\block", str(error), re.IGNORECASE) is not None


@functools.lru_cache(maxsize=1024)
def _tell_locked(path: Path) -> None:
    """Said once for each file."""
    _LOG.warning(
        "%s is held by another program, or lies on a drive without file locks; it is read without a lock. Close that "
        "program if it still writes to the file.", path,
    )  # fmt: skip


def _refused(path: Path, error: OSError) -> FileFormatError:
    """The cause in words, of h5py's messages and the file's first bytes."""
    text = str(error)
    if isinstance(error, PermissionError) or "errno = 13" in text:
        return FileFormatError(f"{path} cannot be read: permission denied.", remedy="Change its permissions.")
    if "already open" in text or "consistency flags" in text:
        return FileFormatError(
            f"{path} is open for writing in another program, or that program ended without closing it.",
            remedy="Close it there; if it is not open anywhere, run h5clear -s on it.",
        )
    if _locked(error):
        return FileFormatError(
            f"{path} is locked by another program, or lies on a drive without file locks: {text}.",
            remedy="Close it there, copy it to a local drive, or set the environment variable "
            "HDF5_USE_FILE_LOCKING=FALSE.",
        )
    if path.stat().st_size == 0:
        return FileFormatError(f"{path} is empty (0 bytes).", remedy=_AGAIN)
    if "signature not found" in text:
        return FileFormatError(f"{path} is not an HDF5 file.", remedy=REMEDY)
    return FileFormatError(f"{path} is not a complete HDF5 file: {text}.", remedy=_AGAIN)


# ---------------------------------------------------------------------------------------------------------------------
# MAT 5, which MATLAB writes unless it is told -v7.3, and which is not HDF5


def is_matlab5(path: Path) -> bool:
    """Whether a file begins as MATLAB's formats 5 (-v6 and -v7) do."""
    with open(path, "rb") as file:
        head = file.read(128)
    # Ref: MathWorks, MAT-File Format, "Level 5 MAT-file header": version 0x0100, then "IM" or "MI"
    return len(head) == 128 and head[124:] in (b"\x00\x01IM", b"\x01\x00MI")


class Matlab5:
    """Frames of a MAT 5 file: ``shape`` is known at once, the numbers are read as a whole with the first frame.

    MATLAB's array (n1, n2, n3, t) is seen as (t, n1, n2, n3), as its MAT 7.3 files are.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.shape = _matlab5_shape(path)

    def read(self, index: int) -> Floats32:
        """One frame (n1, n2, n3)."""
        return np.ascontiguousarray(read_matlab5(self.path)[..., index])

    def close(self) -> None:
        """Nothing stays open."""


def _matlab5_shape(path: Path) -> tuple[int, int, int, int]:
    from scipy import io

    try:
        held = {name: (shape, kind) for name, shape, kind in io.whosmat(path)}
    except Exception as error:  # whatever a broken file makes the parser do
        raise _broken(path, error) from error
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
    """All of ``sdf_vid`` as MATLAB sees it, (n1, n2, n3, t), from a file of format 5.

    Raises
    ------
    FileFormatError
        When the file breaks off.
    """
    status = path.stat()
    return _read_matlab5(path, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=_HELD)
def _read_matlab5(path: Path, changed: int, size: int) -> Floats32:
    from scipy import io

    try:
        return np.asarray(io.loadmat(path, variable_names=[DATASET])[DATASET], dtype=np.float32)
    except Exception as error:  # whatever a broken file makes the parser do
        raise _broken(path, error) from error


def _broken(path: Path, error: Exception) -> FileFormatError:
    return FileFormatError(
        f"{path} is not a complete MAT file: {error or type(error).__name__}.",
        remedy=f"{_AGAIN} In MATLAB: save(file, '{DATASET}', '-v7.3').",
    )


def held_by(file: Any) -> str:
    """What an HDF5 file holds, in words: names with their shapes."""
    found = []
    for name, item in sorted(file.items()):
        if isinstance(item, h5py.Dataset):
            found.append(f"{name} {item.shape}")
        else:
            inside = ", ".join(sorted(item)[:6]) if isinstance(item, h5py.Group) else ""
            found.append(f"{name}/ with {inside}" if inside else f"{name}/")
    return "; ".join(found[:12]) or "nothing"
