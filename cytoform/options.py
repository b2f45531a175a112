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
    """How a setting is shown to users: its help text, its name on the command line and its limits.

    Parameters
    ----------
    help : str
        One sentence of help.
    metavar : str
        Placeholder for the value in the help, such as "µm" or "Z Y X".
    name : str
        Name on the command line, such as "--na", or, for an argument without a name, "IMAGE"; by default it is made
        from the field's name.
    short : str
        One letter with a dash as an alternative name, such as "-o"; none by default.
    least : float, optional
        Smallest value allowed; None for no limit.
    kind : type, optional
        Type of the value that the user gives, where it is not the field's and has to be converted.
    off : bool
        Whether the option is a switch that sets a field from True to False.
    """

    help: str
    metavar: str = ""
    name: str = ""
    short: str = ""
    least: float | None = None
    kind: Any = None
    off: bool = False


SERIES = Option("Number of the image in a file that holds several, from 0.", "N", "--series", least=0)
AXES = Option("Order of the file's axes, such as ZYX or TZYX; by default read from the file.", "AXES", "--axes")


@dataclasses.dataclass(frozen=True)
class Setting:
    """One option together with the field that it sets.

    Parameters
    ----------
    field : str
        Name of the field, or of the function's argument, that it sets.
    kind : type
        Type of the value, such as ``float | None``.
    default : object
        Default value; ``NEEDED`` where there is none.
    option : Option
        How it is shown to users.
    """

    field: str
    kind: Any
    default: Any
    option: Option

    @property
    def flag(self) -> str:
        """Name on the command line, such as "--sheet-fwhm"."""
        return self.option.name or "--" + self.field.replace("_", "-")

    @property
    def key(self) -> str:
        """Name on the command line as a name in Python, such as "sheet_fwhm"."""
        return self.flag.lstrip("-").replace("-", "_").lower()

    @property
    def names(self) -> tuple[str, ...]:
        """Identifiers that no other option of the same command may have: the name in Python, and the letter."""
        return (self.key, self.option.short) if self.option.short else (self.key,)


def option(default: Any = NEEDED, *, default_factory: Any = NEEDED, shared: Option | None = None, **words: Any) -> Any:
    """Declare a dataclass field that users can set as an option.

    Parameters
    ----------
    default : object
        Default of the field; by default the user must give a value.
    default_factory : callable
        Makes the default of the field, as for :func:`dataclasses.field`; none by default.
    shared : Option, optional
        An existing option to use; by default one is made from `words`.
    **words : object
        Arguments of :class:`Option`: help, metavar, name, short, least, kind, off.

    Returns
    -------
    object
        The field, as of :func:`dataclasses.field`, with the option in its metadata.
    """
    known = {"default": default, "default_factory": default_factory}
    given = {name: value for name, value in known.items() if value is not NEEDED}
    return dataclasses.field(**given, metadata={_KEY: Option(**words) if shared is None else shared})


def settings_of(dataclass: type) -> tuple[Setting, ...]:
    """Return the options among a dataclass's fields, in the order of the fields.

    Parameters
    ----------
    dataclass : type
        The dataclass.

    Returns
    -------
    tuple of Setting
        One for each field that was declared by :func:`option`.
    """
    found = []
    for field in dataclasses.fields(dataclass):
        declared = field.metadata.get(_KEY)
        if declared is not None:
            default = None if field.default_factory is not dataclasses.MISSING else field.default
            found.append(Setting(field.name, declared.kind or _resolve_type(dataclass, field.name), default, declared))
    return tuple(found)


def reserve(names: Iterable[str]) -> None:
    """Reserve names of a command's own options, so that options of other parts, such as PSFs, cannot take them.

    Parameters
    ----------
    names : iterable of str
        Names in Python and letters, as :attr:`Setting.names` gives them.
    """
    _RESERVED.update(names)


def reserved() -> frozenset[str]:
    """Return the names that the modules imported so far have reserved.

    Returns
    -------
    frozenset of str
        Names in Python and letters, as :attr:`Setting.names` gives them.
    """
    return frozenset(_RESERVED)


def _resolve_type(cls: type, name: str) -> Any:
    """Return the type of one field of a class from its annotation.

    The annotations of other fields are not evaluated, since they may name types that only type checkers import.
    """
    owner = next(c for c in cls.__mro__ if name in vars(c).get("__annotations__", {}))
    only = type("Only", (), {"__annotations__": {name: owner.__annotations__[name]}, "__module__": owner.__module__})
    return typing.get_type_hints(only)[name]
