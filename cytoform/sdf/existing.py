"""Sequence files of an earlier run: kept where they hold the sequence that would be written, else refused."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from ..errors import FileFormatError, OutputError, SequenceError
from .sequence import open_sequence

__all__ = ["already_written"]

_LOG = logging.getLogger(__name__)
_REMEDY = "Choose another folder, or pass overwrite=True (--overwrite)."


def already_written(path: Path, source: str) -> bool:
    """Tell whether a file holds a sequence made from the same shapes with the same settings.

    Two sequences count as the same when their sources (:attr:`SequenceInfo.source`) name the same program, settings
    and digest of the input; where the input lay does not count.

    Parameters
    ----------
    path : Path
        File to look at.
    source : str
        Source that a new file would carry.

    Returns
    -------
    bool
        True for the same sequence, False where there is no file.

    Raises
    ------
    OutputError
        When the file holds another sequence, or cannot be read as one.
    """
    if not path.exists():
        return False
    try:
        with open_sequence(path) as sequence:
            same = _comparable_source(sequence.info.source) == _comparable_source(source)
    except (FileFormatError, SequenceError) as error:
        raise OutputError(f"{path} is in the way and cannot be read as a sequence: {error}", remedy=_REMEDY) from error
    if not same:
        raise OutputError(
            f"{path} exists and was made from other shapes or with other settings; nothing was overwritten.",
            remedy=_REMEDY,
        )
    _LOG.info("%s exists already, made from the same shapes with the same settings; it is kept", path)
    return True


def _comparable_source(text: str) -> Any:
    """Return the part of a sequence's source that decides whether two sequences are the same.

    Of JSON with ``made_by`` and ``settings`` (which hold the input's digest) these two, without the input's path; any
    other text as it is.
    """
    try:
        source = json.loads(text)
        return source["made_by"], source["settings"]
    except (ValueError, KeyError, TypeError):
        return text
