"""Make structured arrays and CSV text of the rows of a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ._typing import Array

__all__ = ["csv_text", "structured"]


def structured(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, type]) -> Array:
    """Return rows as a structured array.

    Parameters
    ----------
    rows : sequence of mappings
        A mapping from column to value for each row, with all columns.
    columns : mapping of str to type
        Names of the columns, and their types: str, int, float or bool.

    Returns
    -------
    (n,) structured array
        A field for each column; text fields are as wide as their longest value.
    """
    widths = {n: max([1, *(len(row[n]) for row in rows)]) for n, kind in columns.items() if kind is str}
    kinds = {str: "", int: "i8", float: "f8", bool: "?"}
    dtype = [(name, f"U{widths[name]}" if kind is str else kinds[kind]) for name, kind in columns.items()]
    return np.array([tuple(row[name] for name in columns) for row in rows], dtype=dtype)


def csv_text(head: Iterable[str], rows: Iterable[Iterable[Any]], *, digits: int | None = 9) -> str:
    """Return a table as CSV, with commas between cells and a line feed at the end of each line.

    Parameters
    ----------
    head : iterable of str
        Names of the columns.
    rows : iterable of iterables
        Cells of each row. NaN becomes an empty cell, True and False become 1 and 0.
    digits : int, optional
        Significant digits of floats; None for as many as identify the number.

    Returns
    -------
    str
        The table, with the names of the columns in the first line.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([_format_cell(value, digits) for value in row] for row in rows)
    return buffer.getvalue()


def _format_cell(value: Any, digits: int | None) -> str:
    """Return a value as text: bool as 1 or 0, NaN as empty text, floats with `digits` digits or all (None)."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return "" if np.isnan(value) else repr(value) if digits is None else f"{value:.{digits}g}"
    return str(value)
