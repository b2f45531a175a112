"""Options: the fields of a dataclass that users set from outside Python, on a command line or in a form.

A field becomes an option where it is declared, ``edge: float | None = option(None, metavar="µm", help="…")``; its name,
type and default are the field's own. :func:`settings_of` reads them back.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable
from typing import Any

__all__ = ["AXES", "NEEDED", "SERIES", "Option", "Setting", "option", "reserve", "reserved", "settings_of"]

NEEDED: Any = dataclasses.MISSING  # the default of a setting that the user must give
_KEY = "option"
_RESERVED = {"help", "-h"}


@dataclasses.dataclass(frozen=True)
class Option:
    """What people are told of a setting.

    Parameters
    ----------
    help : str
        One sentence.
    metavar : str
        What stands for the value, such as "µm" or "Z Y X".
    name : str
        On the command line, such as "--na", or, for what is told without a name, "IMAGE"; made from the field's name by
        default.
    short : str
        A letter for it, such as "-o".
    least : float, optional
        Smallest value.
    kind : type, optional
        What is typed, where that is another type than the field's: it has to be turned into the field's value.
    off : bool
        The field is True, and the option, a switch, makes it False.
    """

    help: str
    metavar: str = ""
    name: str = ""
    short: str = ""
    least: float | None = None
    kind: Any = None
    off: bool = False


SERIES = Option("Which image of a file with several, from 0.", "N", "--series", least=0)
AXES = Option("What the file's axes are, such as ZYX or TZYX.", "AXES", "--axes")


@dataclasses.dataclass(frozen=True)
class Setting:
    """One option.

    Parameters
    ----------
    field : str
        The field, or the argument, that it sets.
    kind : type
        Such as ``float | None``.
    default : object
        ``NEEDED`` where there is none.
    option : Option
    """

    field: str
    kind: Any
    default: Any
    option: Option

    @property
    def flag(self) -> str:
        """The name on the command line, such as "--sheet-fwhm"."""
        return self.option.name or "--" + self.field.replace("_", "-")

    @property
    def key(self) -> str:
        """The same as a name in Python, such as "sheet_fwhm"."""
        return self.flag.lstrip("-").replace("-", "_").lower()

    @property
    def names(self) -> tuple[str, ...]:
        """All that no other option of the same command may be called: the name in Python, and the letter."""
        return (self.key, self.option.short) if self.option.short else (self.key,)


def option(default: Any = NEEDED, *, default_factory: Any = NEEDED, told: Option | None = None, **words: Any) -> Any:
    """A dataclass's field that is an option.

    Parameters
    ----------
    default, default_factory
        As for :func:`dataclasses.field`.
    told : Option, optional
        One that is there already; else it is made from `words`.
    **words
        As for :class:`Option`.
    """
    known = {"default": default, "default_factory": default_factory}
    given = {name: value for name, value in known.items() if value is not NEEDED}
    return dataclasses.field(**given, metadata={_KEY: Option(**words) if told is None else told})


def settings_of(cls: type) -> tuple[Setting, ...]:
    """The options among a dataclass's fields, in their order."""
    found = []
    for field in dataclasses.fields(cls):
        declared = field.metadata.get(_KEY)
        if declared is not None:
            default = None if field.default_factory is not dataclasses.MISSING else field.default
            found.append(Setting(field.name, declared.kind or _resolve_type(cls, field.name), default, declared))
    return tuple(found)


def reserve(names: Iterable[str]) -> None:
    """Keep names (:attr:`Setting.names`) of a command's own options from those that others bring, such as PSFs."""
    _RESERVED.update(names)


def reserved() -> frozenset[str]:
    """The names that are kept by what is imported so far."""
    return frozenset(_RESERVED)


def _resolve_type(cls: type, name: str) -> Any:
    """The type of one field: those of others may be known to type checkers only."""
    owner = next(c for c in cls.__mro__ if name in vars(c).get("__annotations__", {}))
    only = type("Only", (), {"__annotations__": {name: owner.__annotations__[name]}, "__module__": owner.__module__})
    return typing.get_type_hints(only)[name]
