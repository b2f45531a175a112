"""Convert numbers of numpy, arrays and paths to plain values, which a JSON file can hold."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import ConfigError

__all__ = ["json_value", "python_number", "short_repr"]


def short_repr(value: Any) -> str:
    """Return the repr of a value for a message, or "a TYPE" if that is longer than 80 characters or a line."""
    text = repr(value)
    return text if len(text) <= 80 and "\n" not in text else f"a {type(value).__name__}"


def python_number(value: Any) -> Any:
    """Convert a numpy scalar or an array without axes to Python's number; return anything else unchanged."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        inner = value.item()
        return float(inner) if isinstance(inner, np.floating) else inner  # longdouble has no number of Python's
    return value


def json_value(value: Any, what: str) -> Any:
    """Convert a value to what a JSON file can hold: numbers, bool, None, texts, and lists, tuples and mappings of them.

    Parameters
    ----------
    value : object
        Arrays become lists, paths and bytes texts, numbers of numpy those of Python.
    what : str
        What an error calls the value.

    Raises
    ------
    ConfigError
        If it is or contains anything else.
    """
    value = python_number(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (bytes, os.PathLike)):
        return os.fsdecode(value)
    if isinstance(value, np.ndarray):
        return json_value(value.tolist(), what)
    if isinstance(value, (list, tuple)):
        made = [json_value(v, f"{what}[{k}]") for k, v in enumerate(value)]
        return made if isinstance(value, list) else tuple(made)
    if isinstance(value, Mapping):
        return {_key(name, what): json_value(v, f"{what}[{name!r}]") for name, v in value.items()}
    raise ConfigError(
        f"{what} is {short_repr(value)}; expected a plain value.",
        remedy="Numbers, texts, paths, arrays, lists and mappings of them can be stored.",
    )


def _key(name: Any, what: str) -> str:
    """Convert the key of a mapping, a text or whole number, to text; raise ConfigError, naming `what`, otherwise."""
    name = python_number(name)
    if isinstance(name, str) or (isinstance(name, int) and not isinstance(name, bool)):
        return str(name)
    raise ConfigError(f"{what} has the key {short_repr(name)}; expected a text.", remedy="Name it with a text.")
