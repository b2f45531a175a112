"""Options of the command line made from those that the library declares (:mod:`cytoform.options`).

A field of the fit's job, one of its settings, and an option of a kind of PSF are written once, where they belong; here
they become parameters of a command, and what was typed becomes arguments again.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any

import typer
import typer.main

from ..options import NEEDED, Option, Setting, reserve
from .console import Command

__all__ = ["annotated", "given", "parameters", "with_options"]

Parameters = Sequence[inspect.Parameter]


def annotated(kind: Any, told: Option, flag: str) -> Any:
    """A type with an option's words, as typer reads them.

    Parameters
    ----------
    kind : type
    told : Option
    flag : str
        Its name on the command line, such as "--na"; without dashes it is an argument.
    """
    words = {"metavar": told.metavar or None, "help": told.help}
    if not flag.startswith("-"):
        return Annotated[kind, typer.Argument(**{**words, "metavar": flag})]  # type: ignore[arg-type]
    names = [flag, told.short] if told.short else [flag]
    return Annotated[kind, typer.Option(*names, min=told.least, **words)]  # type: ignore[arg-type]


def parameters(settings: Iterable[Setting], *, needed: bool = True) -> list[inspect.Parameter]:
    """Parameters of a command.

    Parameters
    ----------
    settings : iterable of Setting
    needed : bool
        False lets one be left away that has no default, as it is needed with others only.
    """
    return [_parameter(setting, needed) for setting in settings]


def _parameter(setting: Setting, needed: bool) -> inspect.Parameter:
    kind, default = setting.kind, setting.default
    if setting.option.off:
        default = False
    elif default is NEEDED and needed:
        default = inspect.Parameter.empty
    elif default is NEEDED or default is None:
        default, kind = None, typing.Optional[_bare(kind)]  # noqa: UP045
    hint = annotated(kind, setting.option, setting.flag)
    return inspect.Parameter(setting.key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)


def _bare(kind: Any) -> Any:
    """The type without None."""
    inner = [k for k in typing.get_args(kind) if k is not type(None)]
    return inner[0] if isinstance(kind, types.UnionType) and len(inner) == 1 else kind


def given(settings: Iterable[Setting], said: Mapping[str, Any]) -> dict[str, Any]:
    """What was typed, by field; without what was left away.

    Parameters
    ----------
    settings : iterable of Setting
    said : mapping
        The command's arguments.
    """
    found = {s.field: (not said[s.key] if s.option.off else said[s.key]) for s in settings if s.key in said}
    return {field: value for field, value in found.items() if value is not None}


def with_options(make: Callable[[], Parameters], *, after: str = "") -> Callable[[Any], Any]:
    """Give a command that takes ``**said`` parameters that are made when it is used: their modules take time to load.

    Parameters
    ----------
    make : callable
        Gives the parameters.
    after : str
        The command's own parameter behind which they are put; in front of all by default.
    """

    def mark(command: Callable[..., None]) -> Callable[..., None]:
        command.shown_as = LateCommand  # type: ignore[attr-defined]
        own = inspect.signature(command, eval_str=True).parameters.values()
        command.own = [p for p in own if p.kind is not p.VAR_KEYWORD]  # type: ignore[attr-defined]
        reserve(name for p in command.own for name in _names(p))  # type: ignore[attr-defined]
        command.whole = lambda: _whole(command, make(), after)  # type: ignore[attr-defined]
        command.__signature__ = inspect.Signature()  # type: ignore[attr-defined]
        return command

    return mark


def _names(parameter: inspect.Parameter) -> list[str]:
    """What no other option of the command may be called: its name in Python, that of its flag, and its letter."""
    flags = [f for told in typing.get_args(parameter.annotation)[1:] for f in getattr(told, "param_decls", None) or ()]
    return [parameter.name, *(f.lstrip("-").replace("-", "_") if f.startswith("--") else f for f in flags)]


def _whole(command: Callable[..., None], more: Parameters, after: str) -> Any:
    """A command with all its parameters, as typer makes it."""
    own = list(command.own)  # type: ignore[attr-defined]
    place = [p.name for p in own].index(after) + 1 if after else 0
    every = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*own[:place], *more, *own[place:])]

    def run(**said: Any) -> None:
        command(**said)

    run.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
    app = typer.Typer(add_completion=False)
    app.command(cls=Command)(run)
    return typer.main.get_command(app)


class LateCommand(Command):
    """A command that gets its parameters when it is used."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Make the parameters first."""
        if hasattr(self.callback, "whole"):
            whole = self.callback.whole()  # type: ignore[union-attr]
            self.params, self.callback = whole.params, whole.callback
        return super().make_context(*args, **kwargs)
