"""Where numba keeps compiled kernels, also for users whose folders cannot be written (containers, clusters)."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import shutil
import stat
import tempfile
from pathlib import Path

import numba

__all__ = ["ensure_writable"]

_LOG = logging.getLogger(__name__)
PRIVATE_MODE = 0o700


def ensure_writable() -> None:
    """Give numba a folder for compiled kernels where neither the package's own nor the user's can be written.

    numba looks for a folder when a kernel is declared, and raises where it finds none. Its own choices come first: the
    folder that NUMBA_CACHE_DIR names, ``__pycache__`` beside the kernels, the user's cache folder.
    """
    if numba.config.CACHE_DIR:
        if not _is_writable(Path(numba.config.CACHE_DIR)):
            _LOG.warning("NUMBA_CACHE_DIR is %s, which cannot be written.", numba.config.CACHE_DIR)
            numba.config.CACHE_DIR = str(_temporary_folder())
        return
    if not (_is_writable(Path(__file__).parent / "__pycache__") or _is_writable(_user_cache_folder())):
        numba.config.CACHE_DIR = str(_temporary_folder())


def _user_cache_folder() -> Path:
    """The folder that numba makes for a user."""
    from numba.misc.appdirs import AppDirs

    return Path(AppDirs(appname="numba", appauthor=False).user_cache_dir)


def _is_writable(folder: Path) -> bool:
    """Whether a file can be made in a folder, which is made where it can be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _temporary_folder() -> Path:
    """A folder of this user alone among the temporary files: kept for the next run, else for this one.

    numba loads what it finds there as code, so a folder that anybody else owns or may write is not used.
    """
    with contextlib.suppress(OSError, AttributeError):
        folder = Path(tempfile.gettempdir()) / f"cytoform-kernels-{os.getuid()}"
        folder.mkdir(mode=PRIVATE_MODE, exist_ok=True)
        status = folder.lstat()
        is_private = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
        if is_private and stat.S_IMODE(status.st_mode) == PRIVATE_MODE and _is_writable(folder):
            _LOG.info("compiled kernels are kept in %s; set NUMBA_CACHE_DIR for another folder", folder)
            return folder
    folder = Path(tempfile.mkdtemp(prefix="cytoform-kernels-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
