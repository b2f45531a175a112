"""Former names of settings, which :class:`.FitConfig` still takes and reads, with a DeprecationWarning."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping
from typing import Any, TypeVar

from ..errors import ConfigError

__all__ = ["FORMER_NAMES", "by_present_name", "present_name", "take_former_names"]

FORMER_NAMES = {
    "smoothness": "preconditioning",
    "stiffness": "smoothness_weight",
    "place_start": "align_start",
    "contact": "contact_weight",
    "staining_reach": "staining_correlation_length",
}

Settings = TypeVar("Settings")


def present_name(name: str) -> str:
    """Return the present name of a setting, with a DeprecationWarning if `name` is its former one."""
    if name not in FORMER_NAMES:
        return name
    message = f"FitConfig's {name} is called {FORMER_NAMES[name]} now; the old name will go in version 0.3."
    warnings.warn(message, DeprecationWarning, stacklevel=3)
    return FORMER_NAMES[name]


def by_present_name(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return stored settings by their present names; those under former names need no warning."""
    return {FORMER_NAMES.get(name, name): value for name, value in stored.items()}


def take_former_names(cls: type[Settings]) -> type[Settings]:
    """Wrap the constructor of a class of settings so that it takes former names too; return the changed class.

    A former name gives a DeprecationWarning; a setting under both names raises ConfigError.
    """
    make = cls.__init__

    @functools.wraps(make)
    def init(self: Settings, *values: Any, **named: Any) -> None:
        present = {}
        for name, value in named.items():  # no comprehension: the warning finds its caller by counting stack frames
            present[present_name(name)] = value
        if len(present) < len(named):
            both = [f"{old} and {new}" for old, new in FORMER_NAMES.items() if {old, new} <= set(named)]
            raise ConfigError(f"{'; '.join(both)} are two names of one setting; pass only the second.")
        make(self, *values, **present)

    cls.__init__ = init  # type: ignore[method-assign, assignment]
    return cls
