"""Files of latent codes: CSV with a header and a row for each sequence, its name and the numbers of its code."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._typing import Array, Floats
from ...errors import FileFormatError

if TYPE_CHECKING:
    from ...compare.codes import NamedCodes

__all__ = ["SEQUENCE_COLUMN", "read_codes", "write_codes"]

SEQUENCE_COLUMN = "sequence"
_CODE = re.compile(r"c\d+$")
_EXPECTED = (
    "Expected .npy with (n, latent) numbers, or .csv with a header (sequence,c0,c1,...) or numbers only, "
    "and a row for each sequence."
)


def write_codes(path: Path, names: Sequence[str], codes: Any) -> None:
    """Write latent codes as CSV with the columns sequence, c0, c1, ...; no part of a file is left after a failure.

    Parameters
    ----------
    path : Path
        The file to write.
    names : sequence of str
        Names of the sequences, one for each code.
    codes : (n, latent) numbers
        The codes.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    from ...atomic import write_text
    from ...tables import csv_text

    latent = len(codes[0]) if len(codes) else 0
    rows = ([name, *map(float, code)] for name, code in zip(names, codes))
    write_text(path, csv_text([SEQUENCE_COLUMN, *(f"c{k}" for k in range(latent))], rows))


def read_codes(path: Path) -> NamedCodes | Array:
    """Read latent codes from a file.

    Parameters
    ----------
    path : Path
        A file of :func:`write_codes`, another CSV file, with or without a header (a line that begins with ``#`` is a
        comment), or a .npy file.

    Returns
    -------
    NamedCodes or (n, latent) array
        NamedCodes where the file names its sequences.

    Raises
    ------
    FileFormatError
        When the file does not exist or does not hold codes.
    """
    if not path.is_file():
        raise FileFormatError(
            f"{path} does not exist or is not a file.",
            remedy="Pass with --codes the codes.csv that neural train or neural encode wrote.",
        )
    try:
        if path.suffix.lower() == ".npy":
            return np.asarray(np.load(path, allow_pickle=False))
        return _parse_csv(path.read_text(encoding="utf-8-sig"))
    except (ValueError, EOFError) as error:  # UnicodeDecodeError is a ValueError
        raise FileFormatError(f"{path} does not hold latent codes: {error}.", remedy=_EXPECTED) from error


def _parse_csv(text: str) -> NamedCodes | Array:
    """Return the codes in a CSV text; raise ValueError if it has no rows, ragged rows or text in place of numbers.

    With a header the codes are the columns c0, c1, ..., or, without such names, all columns but ``sequence``.
    """
    rows = [row for row in csv.reader(io.StringIO(text)) if row and not row[0].lstrip().startswith("#")]
    if not rows:
        raise ValueError("it has no rows")
    if all(_is_number(cell) for cell in rows[0]):
        return _columns_as_numbers(rows, range(len(rows[0])), 1)
    head = [cell.strip() for cell in rows[0]]
    columns = [k for k, name in enumerate(head) if _CODE.match(name)]
    columns = columns or [k for k, name in enumerate(head) if name != SEQUENCE_COLUMN]
    if len(rows) < 2:
        raise ValueError("it has a header and no rows")
    codes = _columns_as_numbers(rows[1:], columns, 2)
    if SEQUENCE_COLUMN not in head:
        return codes
    from ...compare.codes import NamedCodes

    return NamedCodes([row[head.index(SEQUENCE_COLUMN)] for row in rows[1:]], codes)


def _columns_as_numbers(rows: list[list[str]], columns: Sequence[int], first: int) -> Floats:
    """Return the cells of the given columns as numbers, (rows, columns).

    Raises ValueError if a row has another length than the first one or a cell is no number; the message counts rows
    from `first`.
    """
    width = len(rows[0])
    for number, row in enumerate(rows, start=first):
        if len(row) != width:
            raise ValueError(f"row {number} has {len(row)} cells and the one before it {width}")
        wrong = [row[k] for k in columns if not _is_number(row[k])]
        if wrong:
            raise ValueError(f"row {number} has {wrong[0]!r} where a number is expected")
    return np.array([[float(row[k]) for k in columns] for row in rows])


def _is_number(text: str) -> bool:
    """Tell whether a text can be converted to a float."""
    try:
        float(text)
    except ValueError:
        return False
    return True
