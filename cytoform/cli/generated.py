"""Parameters of commands made from the options that the library declares (:mod:`cytoform.options`).

An option is declared once, at the field that it sets: of the fit's job, of its settings, or of a kind of PSF. Here it
becomes a parameter of a command, and the values of the command line become values of fields again.
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

__all__ = ["annotated", "parameters", "values_by_field", "with_options"]

Parameters = Sequence[inspect.Parameter]


def annotated(kind: Any, option: Option, flag: str) -> Any:
    """Return the annotation from which typer makes an option or an argument.

    Parameters
    ----------
    kind : type
        Type of the value.
    option : Option
        Help text, placeholder, letter and limit.
    flag : str
        Name on the command line, such as "--na"; a name without dashes, such as "IMAGE", makes an argument.

    Returns
    -------
    object
        ``Annotated[kind, ...]``.
    """
    words = {"metavar": option.metavar or None, "help": option.help}
    if not flag.startswith("-"):
        return Annotated[kind, typer.Argument(**{**words, "metavar": flag})]  # type: ignore[arg-type]
    names = [flag, option.short] if option.short else [flag]
    return Annotated[kind, typer.Option(*names, min=option.least, **words)]  # type: ignore[arg-type]


def parameters(settings: Iterable[Setting], *, needed: bool = True) -> list[inspect.Parameter]:
    """Return the parameters of a command that correspond to options.

    Parameters
    ----------
    settings : iterable of Setting
        The options.
    needed : bool
        Whether options without a default are required. False makes them optional with the default None, as for the
        options of one kind of PSF, which other kinds do not need.

    Returns
    -------
    list of inspect.Parameter
        One for each option, keyword-only.
    """
    return [_as_parameter(setting, needed) for setting in settings]


def _as_parameter(setting: Setting, needed: bool) -> inspect.Parameter:
    """Return the parameter of one option, as for :func:`parameters`; a switch is False by default."""
    kind, default = setting.kind, setting.default
    if setting.option.off:
        default = False
    elif default is NEEDED and needed:
        default = inspect.Parameter.empty
    elif default is NEEDED or default is None:
        default, kind = None, typing.Optional[_without_none(kind)]  # noqa: UP045
    hint = annotated(kind, setting.option, setting.flag)
    return inspect.Parameter(setting.key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)


def _without_none(kind: Any) -> Any:
    """Return the type T of ``T | None``, and any other type as it is."""
    inner = [k for k in typing.get_args(kind) if k is not type(None)]
    return inner[0] if isinstance(kind, types.UnionType) and len(inner) == 1 else kind


def values_by_field(settings: Iterable[Setting], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that users gave, by the name of the field that each sets.

    Parameters
    ----------
    settings : iterable of Setting
        Options whose values are wanted.
    arguments : mapping
        Values of the command's parameters, by name.

    Returns
    -------
    dict
        Options that are None (not given) are left out; a switch that sets a field to False is negated.
    """
    found = {
        s.field: (not arguments[s.key] if s.option.off else arguments[s.key]) for s in settings if s.key in arguments
    }
    return {field: value for field, value in found.items() if value is not None}


def with_options(make: Callable[[], Parameters], *, after: str = "") -> Callable[[Any], Any]:
    """Make a decorator that adds parameters to a command which takes ``**arguments``.

    The parameters are made when the command is used, not when it is defined: the modules that declare them load slowly.

    Parameters
    ----------
    make : callable
        Returns the parameters to add.
    after : str
        Name of the command's parameter behind which they are put; by default they come first.

    Returns
    -------
    callable
        The decorator.
    """

    def mark(command: Callable[..., None]) -> Callable[..., None]:
        command.command_class = LazyCommand  # type: ignore[attr-defined]
        declared = inspect.signature(command, eval_str=True).parameters.values()
        command.declared = [p for p in declared if p.kind is not p.VAR_KEYWORD]  # type: ignore[attr-defined]
        reserve(name for p in command.declared for name in _taken_names(p))  # type: ignore[attr-defined]
        command.build = lambda: _complete_command(command, make(), after)  # type: ignore[attr-defined]
        command.__signature__ = inspect.Signature()  # type: ignore[attr-defined]
        return command

    return mark


def _taken_names(parameter: inspect.Parameter) -> list[str]:
    """Return the names that no other option may have: the parameter's, those of its flags in Python, its letter."""
    flags = [
        f for option in typing.get_args(parameter.annotation)[1:] for f in getattr(option, "param_decls", None) or ()
    ]
    return [parameter.name, *(f.lstrip("-").replace("-", "_") if f.startswith("--") else f for f in flags)]


def _complete_command(command: Callable[..., None], more: Parameters, after: str) -> Any:
    """Return the typer command with the function's declared parameters and `more`, put behind the parameter `after`."""
    declared = list(command.declared)  # type: ignore[attr-defined]
    at = [p.name for p in declared].index(after) + 1 if after else 0
    every = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*declared[:at], *more, *declared[at:])]

    def run(**arguments: Any) -> None:
        command(**arguments)

    run.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
    app = typer.Typer(add_completion=False)
    app.command(cls=Command)(run)
    return typer.main.get_command(app)


class LazyCommand(Command):
    """A command whose parameters are made when it is used; see :func:`with_options`."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Make the command's parameters, then parse the command line."""
        if hasattr(self.callback, "build"):
            built = self.callback.build()  # type: ignore[union-attr]
            self.params, self.callback = built.params, built.callback
        return super().make_context(*args, **kwargs)
