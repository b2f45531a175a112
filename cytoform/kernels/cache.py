"""The folder in which numba keeps compiled kernels, also for users who cannot write to the usual ones."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Any

import numba

__all__ = ["ensure_writable"]

_LOG = logging.getLogger(__name__)
PRIVATE_MODE = 0o700  # permissions: read, write and enter for the owner alone


def ensure_writable() -> None:
    """Set numba's cache folder to a temporary one if no usual folder can be written.

    numba looks for a folder when a kernel is declared, and raises an error when it finds none. Its usual folders come
    first: the one that NUMBA_CACHE_DIR names, ``__pycache__`` beside the kernels, the user's cache folder.
    ``numba.config.CACHE_DIR`` is changed only when none of these can be written; a warning is logged when
    NUMBA_CACHE_DIR is the one that cannot.
    """
    config: Any = numba.config  # its settings are made when numba is imported, which its stubs do not know
    if config.CACHE_DIR:
        if not _is_writable(Path(config.CACHE_DIR)):
            _LOG.warning("NUMBA_CACHE_DIR is %s, which cannot be written.", config.CACHE_DIR)
            config.CACHE_DIR = str(_temporary_folder())
        return
    if not (_is_writable(Path(__file__).parent / "__pycache__") or _is_writable(_user_cache_folder())):
        config.CACHE_DIR = str(_temporary_folder())


def _user_cache_folder() -> Path:
    """Return the folder in which numba keeps compiled code of the current user (for example ``~/.cache/numba``)."""
    from numba.misc.appdirs import AppDirs

    return Path(AppDirs(appname="numba", appauthor=False).user_cache_dir)


def _is_writable(folder: Path) -> bool:
    """Tell whether a file can be created in a folder; the folder itself is created if it does not exist."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _temporary_folder() -> Path:
    """Return a folder among the temporary files that only the current user can write.

    The folder has a fixed name and is kept for the next run. When a folder of that name belongs to somebody else or has
    other permissions than 0700, a new one is made instead and removed when Python exits: numba loads what it finds
    there as code, so nobody else may write to it.
    """
    with contextlib.suppress(OSError, AttributeError):
        folder = Path(tempfile.gettempdir()) / f"cytoform-kernels-{os.getuid()}"
        folder.mkdir(mode=PRIVATE_MODE, exist_ok=True)
        status = folder.lstat()
        is_owned = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
        if is_owned and stat.S_IMODE(status.st_mode) == PRIVATE_MODE and _is_writable(folder):
            _LOG.info("compiled kernels are kept in %s; set NUMBA_CACHE_DIR for another folder", folder)
            return folder
    folder = Path(tempfile.mkdtemp(prefix="cytoform-kernels-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
