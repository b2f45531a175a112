"""Files of an earlier run that are kept, because they would come out the same."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from ..errors import FileFormatError, OutputError, SequenceError
from .sequence import open_sequence

__all__ = ["is_there"]

_LOG = logging.getLogger(__name__)
_REMEDY = "Choose another folder, or pass overwrite=True (--overwrite)."


def is_there(path: Path, source: str) -> bool:
    """Whether a file holds a sequence that was made from the same with the same settings.

    Parameters
    ----------
    path : Path
    source : str
        What the file would say of how it was made (:attr:`SequenceInfo.source`).

    Raises
    ------
    OutputError
        When anything else is in the file's place.
    """
    if not path.exists():
        return False
    try:
        with open_sequence(path) as sequence:
            same = _recipe(sequence.info.source) == _recipe(source)
    except (FileFormatError, SequenceError) as error:
        raise OutputError(f"{path} is in the way and cannot be read as a sequence: {error}", remedy=_REMEDY) from error
    if not same:
        raise OutputError(
            f"{path} exists and was made from other shapes or with other settings; nothing was overwritten.",
            remedy=_REMEDY,
        )
    _LOG.info("%s is there already", path)
    return True


def _recipe(text: str) -> Any:
    """What decides whether two files are made alike: the settings and the input's digest, but not where it lay."""
    try:
        told = json.loads(text)
        return told["made_by"], told["settings"]
    except (ValueError, KeyError, TypeError):
        return text
