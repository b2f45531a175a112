"""Plain values: what a JSON file holds, made of numpy's numbers, arrays and paths."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import ConfigError

__all__ = ["json_value", "python_number", "short_repr"]


def short_repr(value: Any) -> str:
    """A value as messages show it: as it is typed, or by its type where that takes more than a line."""
    text = repr(value)
    return text if len(text) <= 80 and "\n" not in text else f"a {type(value).__name__}"


def python_number(value: Any) -> Any:
    """A numpy scalar, or an array without axes, as Python's number; anything else as it is."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        inner = value.item()
        return float(inner) if isinstance(inner, np.floating) else inner  # longdouble has no number of Python's
    return value


def json_value(value: Any, what: str) -> Any:
    """A value as a JSON file can hold it: numbers, texts, lists, tuples and mappings of them.

    Parameters
    ----------
    value : object
        Arrays become lists, paths texts, numpy's numbers Python's.
    what : str
        Its name, for the error.

    Raises
    ------
    ConfigError
        For anything else.
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
    name = python_number(name)
    if isinstance(name, str) or (isinstance(name, int) and not isinstance(name, bool)):
        return str(name)
    raise ConfigError(f"{what} has the key {short_repr(name)}; expected a text.", remedy="Name it with a text.")
