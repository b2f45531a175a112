"""Latent codes as CSV: a header, then a row for each sequence with its name and numbers; pandas reads it as it is."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import FileFormatError

if TYPE_CHECKING:
    from ...compare.codes import NamedCodes

__all__ = ["NAME", "read_codes", "write_codes"]

NAME = "sequence"
_CODE = re.compile(r"c\d+$")
_EXPECTED = (
    "Expected .npy with (n, latent) numbers, or .csv with a header (sequence,c0,c1,...) or numbers only, "
    "and a row for each sequence."
)


def write_codes(place: Path, names: Sequence[str], codes: Any) -> None:
    """Write codes as CSV, whole or not at all.

    Parameters
    ----------
    place : Path
    names : sequence of str
        Of the sequences, one for each code.
    codes : (n, latent) numbers

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    from ...atomic import write_text
    from ...tables import csv_text

    latent = len(codes[0]) if len(codes) else 0
    rows = ([name, *map(float, code)] for name, code in zip(names, codes))
    write_text(place, csv_text([NAME, *(f"c{k}" for k in range(latent))], rows))


def read_codes(path: Path) -> NamedCodes | np.ndarray:
    """Codes of a file: what :func:`write_codes` wrote, .npy, or CSV of numbers only (``#`` begins a comment).

    Returns
    -------
    NamedCodes where the file names its sequences, else a float array (n, latent)

    Raises
    ------
    FileFormatError
        When the file is missing or holds something else.
    """
    if not path.is_file():
        raise FileFormatError(
            f"{path} does not exist or is not a file.",
            remedy="Pass with --codes the codes.csv that neural train or neural encode wrote.",
        )
    try:
        if path.suffix.lower() == ".npy":
            return np.asarray(np.load(path, allow_pickle=False))
        return _table(path.read_text(encoding="utf-8-sig"))
    except (ValueError, EOFError) as error:  # UnicodeDecodeError is a ValueError
        raise FileFormatError(f"{path} does not hold latent codes: {error}.", remedy=_EXPECTED) from error


def _table(text: str) -> NamedCodes | np.ndarray:
    rows = [row for row in csv.reader(io.StringIO(text)) if row and not row[0].lstrip().startswith("#")]
    if not rows:
        raise ValueError("it has no rows")
    if all(_is_number(cell) for cell in rows[0]):
        return _numbers(rows, range(len(rows[0])), 1)
    head = [cell.strip() for cell in rows[0]]
    columns = [k for k, name in enumerate(head) if _CODE.match(name)]
    columns = columns or [k for k, name in enumerate(head) if name != NAME]
    if len(rows) < 2:
        raise ValueError("it has a header and no rows")
    codes = _numbers(rows[1:], columns, 2)
    if NAME not in head:
        return codes
    from ...compare.codes import NamedCodes

    return NamedCodes([row[head.index(NAME)] for row in rows[1:]], codes)


def _numbers(rows: list[list[str]], columns: Sequence[int], first: int) -> np.ndarray:
    """The cells of columns as numbers; ``first`` is the number of the first row, for messages."""
    width = len(rows[0])
    for number, row in enumerate(rows, start=first):
        if len(row) != width:
            raise ValueError(f"row {number} has {len(row)} cells and the one before it {width}")
        wrong = [row[k] for k in columns if not _is_number(row[k])]
        if wrong:
            raise ValueError(f"row {number} has {wrong[0]!r} where a number is expected")
    return np.array([[float(row[k]) for k in columns] for row in rows])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
