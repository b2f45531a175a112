"""Numbers of families: checked, and drawn at random."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import ConfigError

__all__ = ["check_count", "check_number", "lognormal", "normal"]


def check_number(name: str, value: Any, low: float, high: float) -> None:
    """Raise ConfigError unless ``low <= value <= high``."""
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high
    if not good:
        raise ConfigError(f"{name} is {value!r}; expected a number from {low:g} to {high:g}.")


def check_count(name: str, value: Any, least: int) -> int:
    """The whole number, or ConfigError where it is none or below ``least``."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value < least:
        raise ConfigError(f"{name} is {value!r}; expected a whole number, at least {least}.")
    return int(value)


def lognormal(rng: np.random.Generator, mean: float, spread: float, cut: float = 2.0) -> float:
    """A log-normal number whose mean is about ``mean``; its log has deviation ``spread``, cut at ``cut`` times it."""
    return float(mean * math.exp(spread * normal(rng, cut) - 0.5 * spread**2))


def normal(rng: np.random.Generator, cut: float = 2.0) -> float:
    """A standard normal number, drawn again while beyond ± ``cut``."""
    while True:
        value = float(rng.standard_normal())
        if abs(value) <= cut:
            return value
