"""Write files atomically: to a temporary name in the same folder, which is flushed and then renamed.

An error on the way (no permission, a full disk, a missing folder) becomes an :class:`~cytoform.errors.OutputError`, the
temporary file is removed, and an earlier file of that name stays unchanged.

A new file gets the permissions that the umask allows (0644 as a rule), whatever the library that wrote it chose; a file
that is replaced keeps its permissions.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from ._typing import PathLike
from .errors import OutputError

__all__ = ["atomic_path", "ensure_folder", "write_bytes", "write_text"]


_MAX_NAME = 200  # file systems allow 255 bytes; the temporary name adds a prefix

_OTHER = "Choose another folder, or another name."
_REASONS: dict[int, tuple[str, str]] = {
    errno.ENOSPC: ("the disk is full", "Free some space, or write to another disk."),
    errno.EACCES: ("permission denied", "Choose a folder that you may write to, or change its permissions."),
    errno.EPERM: ("permission denied", "Choose a folder that you may write to, or change its permissions."),
    errno.EROFS: ("the file system is read-only", "Choose a folder that you may write to."),
    errno.ENOTDIR: ("a part of its path is a file, not a folder", _OTHER),
    errno.EEXIST: ("a file of that name is in the way", _OTHER),
    errno.EISDIR: ("it is a folder; expected a file", _OTHER),
    errno.ENOENT: ("its folder does not exist", "Make the folder first, or choose another one."),
    errno.ENAMETOOLONG: ("the name is too long", "Choose a shorter name."),
    errno.EFBIG: ("the file would be too large for this file system", "Write to another disk."),
}
if hasattr(errno, "EDQUOT"):
    _REASONS[errno.EDQUOT] = ("your disk quota is used up", "Free some space, or write to another disk.")


def _output_error(path: Path, error: OSError) -> OutputError:
    """Return the OutputError for a path that cannot be written, with reason and remedy by the error's number."""
    fallback = (error.strerror or str(error) or type(error).__name__, "Choose another folder, or check the disk.")
    reason, remedy = _REASONS.get(error.errno or 0, fallback)
    return OutputError(f"cannot write {path}: {reason}.", remedy=remedy)


def _is_about_target(error: OSError, target: Path, temporary: Path) -> bool:
    """Tell whether an OSError is about the target, the temporary file or their folder, or names no file at all.

    Errors about other files, such as a missing input, are not turned into OutputError.
    """
    if error.filename is None:
        return True
    name = os.fspath(error.filename)
    name = name if isinstance(name, str) else os.fsdecode(name)
    return Path(name) in (target, temporary, target.parent)


def _temporary_path(target: Path, suffix: str | None) -> Path:
    """Return a random path in the target's folder, whose name ends as the target's or, if given, with `suffix`."""
    name = target.name if suffix is None else target.stem + suffix
    return target.with_name(f".tmp-{secrets.token_hex(4)}-{name[-_MAX_NAME:]}")


def _permissions_for(target: Path, temporary: Path) -> int | None:
    """Return the permission bits of the file that is replaced, else those of a new file; None on Windows.

    Those of a new file are read off `temporary`, which is made for a moment: reading the umask would change it for all
    threads.
    """
    if os.name != "posix":
        return None
    with contextlib.suppress(FileNotFoundError):
        return stat.S_IMODE(target.stat().st_mode)
    handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        return stat.S_IMODE(os.fstat(handle).st_mode)
    finally:
        os.close(handle)
        temporary.unlink()


def _set_permissions(path: Path, mode: int | None) -> None:
    """Set the permission bits of a file, unless they are None or as wanted."""
    if mode is None or stat.S_IMODE(path.stat().st_mode) == mode:
        return
    with contextlib.suppress(PermissionError):  # some network and memory-card file systems have no permissions
        path.chmod(mode)


def _flush(path: Path) -> None:
    """Write a file's buffered data to the disk."""
    with open(path, "r+b") as file:
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Write a folder's entries to the disk, so that a renamed file survives a power cut, on systems that allow it."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def atomic_path(path: PathLike, suffix: str | None = None) -> Iterator[Path]:
    """Give a temporary path to write to, which replaces ``path`` when the block ends without an exception.

    Parameters
    ----------
    path : path
        Path of the file. A symbolic link is followed.
    suffix : str, optional
        Extension of the temporary name, such as ``".h5"``; by default the name ends as ``path`` does, so that a writer
        which chooses the format by extension chooses the right one.

    Yields
    ------
    Path
        A name in the same folder that does not exist yet. The file gets the umask's permissions, or those of the file
        that it replaces.

    Raises
    ------
    OutputError
        When the folder is missing or cannot be written, the disk is full, or ``path`` is a folder. Nothing is left
        behind and an earlier file stays as it was, also after any other exception in the block.
    """
    target = Path(os.path.realpath(path))
    temporary = _temporary_path(target, suffix)
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
        if not target.parent.is_dir():
            code = errno.ENOTDIR if target.parent.exists() else errno.ENOENT
            raise OSError(code, os.strerror(code), str(target.parent))
        mode = _permissions_for(target, temporary)
        yield temporary
        _flush(temporary)
        _set_permissions(temporary, mode)
        os.replace(temporary, target)
    except OutputError:
        raise
    except OSError as error:
        if not _is_about_target(error, target, temporary):
            raise
        raise _output_error(Path(path), error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    _flush_folder(target.parent)


def write_bytes(path: PathLike, data: bytes) -> None:
    """Write bytes to a file atomically: an error leaves an earlier file unchanged.

    Parameters
    ----------
    path : path
        Path of the file.
    data : bytes
        Its content.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: PathLike, text: str) -> None:
    """Write text to a file atomically, as UTF-8 with ``\\n`` line ends.

    Surrogates, as in the names of files of old disks, which UTF-8 cannot encode, are written as ``\\udcb5`` and the
    like.

    Parameters
    ----------
    path : path
        Path of the file.
    text : str
        Its content.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def ensure_folder(path: PathLike) -> Path:
    """Make a folder and those above it, and check that files can be written in it by writing one.

    Parameters
    ----------
    path : path
        Path of the folder.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    OutputError
        When it cannot be made or written, for example because a file of that name exists.
    """
    folder = Path(path)
    probe = folder / f".tmp-{secrets.token_hex(4)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open(probe, "xb") as file:
            file.write(b"\0")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _output_error(folder, error) from error
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)
    return folder
