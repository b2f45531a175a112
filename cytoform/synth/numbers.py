"""Checks of the numbers of families, and random numbers with bounded tails."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import ConfigError

__all__ = ["check_count", "check_number", "truncated_lognormal", "truncated_normal"]


def check_number(name: str, value: Any, low: float, high: float) -> None:
    """Raise ConfigError unless a value is a number with ``low <= value <= high``.

    Parameters
    ----------
    name : str
        Name of the setting, for the message.
    value : object
        Value that the user gave.
    low, high : float
        Bounds, both allowed.

    Raises
    ------
    ConfigError
        When it lies outside, or is no int or float; bool and numpy integers are refused, too.
    """
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high
    if not good:
        raise ConfigError(f"{name} is {value!r}; expected a number from {low:g} to {high:g}.")


def check_count(name: str, value: Any, least: int) -> int:
    """Return a value as int, or raise ConfigError if it is no whole number of at least ``least``.

    Parameters
    ----------
    name : str
        Name of the setting, for the message.
    value : object
        Value that the user gave.
    least : int
        Smallest number allowed.

    Returns
    -------
    int
        The value.

    Raises
    ------
    ConfigError
        When it is smaller, or no int or numpy integer; bool and floats without a fraction are refused, too.
    """
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value < least:
        raise ConfigError(f"{name} is {value!r}; expected a whole number, at least {least}.")
    return int(value)


def truncated_lognormal(rng: np.random.Generator, mean: float, spread: float, cut: float = 2.0) -> float:
    """Draw a log-normal number, mean · exp(spread · n − spread² / 2) with n truncated normal.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the number.
    mean : float
        Mean of the untruncated distribution.
    spread : float
        Standard deviation of the logarithm before truncation.
    cut : float
        Largest |n|, in standard deviations.

    Returns
    -------
    float
        In the unit of ``mean``.
    """
    return float(mean * math.exp(spread * truncated_normal(rng, cut) - 0.5 * spread**2))


def truncated_normal(rng: np.random.Generator, cut: float = 2.0) -> float:
    """Draw a standard normal number, anew while its magnitude exceeds ``cut``.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the number.
    cut : float
        Largest magnitude, in standard deviations.

    Returns
    -------
    float
        Of mean 0.
    """
    while True:
        value = float(rng.standard_normal())
        if abs(value) <= cut:
            return value
