"""What the commands share: errors as messages, three numbers an option, tables, the progress bar, the result folder."""

from __future__ import annotations

import contextlib
import errno
import inspect
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from ..atomic import ensure_folder
from ..errors import CytoformError, OutputError

__all__ = [
    "DEBUG",
    "Command",
    "Group",
    "ProgressBar",
    "WorkBar",
    "as_shown",
    "check_empty",
    "echo_table",
    "result_folder",
]

DEBUG = "CYTOFORM_DEBUG"
_UsageError: Any = typer.BadParameter.__base__  # which typer does not export


def _message(error: BaseException) -> str:
    if isinstance(error, CytoformError):
        return str(error)
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return "there is not enough memory. Crop the image, or take coarser voxels or triangles."
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    name = getattr(error, "filename", None)
    return f"{name}: {reason}." if name else f"{reason}."


class Group(TyperGroup):
    """Turns errors that a user can do something about into a message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (CytoformError, OSError, MemoryError) as error:
            if ctx.params.get("debug") or isinstance(error, BrokenPipeError):
                raise
            code = getattr(error, "exit_code", 2)
            start = "" if code == 130 else "Error: "
            typer.echo(f"{start}{_message(error)}", err=True)
            raise typer.Exit(code) from error
        except KeyboardInterrupt as error:
            typer.echo("Interrupted.", err=True)
            raise typer.Exit(130) from error


class Command(TyperCommand):
    """A command whose options of two or three numbers also come as ``0.3,0.1,0.1``, and whose help is plain text."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        spread = self._spread(args)
        self._refuse_repeats(ctx, spread)
        try:
            return super().parse_args(ctx, list(spread))  # which takes it apart
        except typer.BadParameter as error:
            if hasattr(error, "param_type"):  # typer's error about what is missing has no public name
                raise _UsageError(_missing_words(error), ctx=ctx) from error
            raise typer.BadParameter(_expected(error, spread), ctx=ctx, param=getattr(error, "param", None)) from error

    def _spread(self, args: list[str]) -> list[str]:
        """Take numbers that are joined by commas apart."""
        several = {name: p.nargs for p in self.params if getattr(p, "nargs", 1) in (2, 3) for name in p.opts}
        spread: list[str] = []
        for k, arg in enumerate(args):
            name, equals, value = arg.partition("=")
            if equals and name in several and "," in value:
                spread += [name, *value.split(",")]
            elif k and args[k - 1] in several and arg.count(",") == several[args[k - 1]] - 1:
                spread += arg.split(",")
            else:
                spread.append(arg)
        return spread

    def _refuse_repeats(self, ctx: Any, args: list[str]) -> None:
        """Refuse an option that is given twice and takes one value: only the last one would be used."""
        for param in self.params:
            if not getattr(param, "multiple", True) and not getattr(param, "is_flag", False):
                came = [a for a in args if a.partition("=")[0] in param.opts]
                if len(came) > 1:
                    raise typer.BadParameter(
                        f"it was given {len(came)} times; expected once. Run the command once for each value.",
                        ctx=ctx,
                        param=param,
                    )

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The words after the command's name: options, then arguments by their plain names."""
        names = []
        for param in self.params:
            if param.param_type_name == "argument":
                name = (param.metavar or param.name or "").upper()
                names.append(name if param.required else f"[{name}]")
        return ["[OPTIONS]", *names]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments and options with their help, without the names of Python types."""
        for title, kind in (("Arguments", "argument"), ("Options", "option")):
            found = [p.get_help_record(ctx) for p in self.get_params(ctx) if p.param_type_name == kind]
            rows = [(_TYPE.sub("", name), _BOUND.sub(_in_words, text)) for name, text in filter(None, found)]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


_TYPE = re.compile(r"\s*<[^<>]*>")
_BOUND = re.compile(r"(?:[\w.]+(<=?))?x([<>]=?)([\w.-]+)|([\w.-]+)<=x\b")
_COUNTS = {1: "a", 2: "two", 3: "three"}


def _in_words(found: re.Match[str]) -> str:
    """A bound such as ``x>=0`` as words; others stay as they are."""
    return f"at least {found[3]}" if found[0].startswith("x>=") else found[0]


def _missing_words(error: Any) -> str:
    """Which argument or option is missing, and what was expected, by its help."""
    param = error.param
    name = (param.metavar or param.name).upper() if param.param_type_name == "argument" else param.opts[0]
    text = (param.help or "a value").rstrip(".")
    text = text[:1].lower() + text[1:] if text[1:2].islower() or text[1:2] == " " else text
    return f"{name} is missing; expected {text}."


def _expected(error: typer.BadParameter, args: Sequence[str]) -> str:
    """What came with an option and what was expected, in place of a parser's words."""
    param, text = getattr(error, "param", None), error.message
    kind = "whole number" if "valid integer" in text else "number" if "valid number" in text else ""
    if param is None or not (kind or "greater than or equal" in text or "less than or equal" in text):
        return text
    came = next((k for k, arg in enumerate(args) if arg.partition("=")[0] in param.opts), None)
    values = [] if came is None else [v for v in (args[came].partition("=")[2], *args[came + 1 :]) if v][: param.nargs]
    got = " ".join(values) or "something else"
    if not kind:
        return f"{got} came; expected a number {text.partition('should be ')[2] or text}."
    example = ", such as 0.25" if kind == "number" else ""
    words = f"{_COUNTS.get(param.nargs, param.nargs)} {kind}{'s' * (param.nargs > 1)}{example}"
    return f"{got} came; expected {words}."


def as_shown(command: Callable[..., Any]) -> dict[str, Any]:
    """A command's help: its docstring, with the part from "Example" on kept line by line."""
    text, _, examples = (inspect.getdoc(command) or "").partition("\nExample")  # python -OO leaves docstrings out
    lines = [line.strip() for line in examples.splitlines() if line.strip(": s")]
    epilog = "\b\n" + "\n".join(["Examples:", *(f"  {line}" for line in lines)]) if lines else None
    return {"cls": getattr(command, "shown_as", Command), "help": text.strip(), "epilog": epilog}


def echo_table(rows: Sequence[tuple[str, str]]) -> None:
    """Print names and values in two columns."""
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        typer.echo(f"  {name:<{width}}  {value}")


class ProgressBar:
    """Shows a fit's progress on stderr: steps, time left, loss. Use as a context; call it with each progress."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bar: Any = None

    def __enter__(self) -> ProgressBar:
        if not self._quiet:
            typer.echo("Preparing; the first run on a machine also compiles, for up to a minute …", err=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, progress: Any) -> None:
        if self._quiet:
            return
        if self._bar is None:
            self._bar = self._open(int(progress.total))
        bar = self._bar
        bar.n = min(int(progress.iteration), bar.total)
        bar.set_description_str(f"stage {int(progress.stage) + 1}", refresh=False)
        known = "" if progress.r2 is None else f", R² {progress.r2:.3f}"
        bar.set_postfix_str(f"loss {progress.loss:.4g}{known}", refresh=False)
        bar.update(0)
        bar.refresh() if bar.n == bar.total else None

    @staticmethod
    def _open(total: int) -> Any:
        from tqdm import tqdm

        form = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}, at most {remaining} left{postfix}]"
        return tqdm(total=total, file=sys.stderr, bar_format=form, mininterval=0.2, dynamic_ncols=True)


class WorkBar:
    """Shows on stderr how far long work is, and the time left. Use as a context; call it with what is done.

    Parameters
    ----------
    unit : str
        What is counted.
    quiet : bool
        Show nothing.
    """

    def __init__(self, unit: str, *, quiet: bool = False) -> None:
        self._unit, self._quiet = unit, quiet
        self._bar: Any = None
        self._stage: str | None = None
        self._first, self._begin = 0, 0.0

    def __enter__(self) -> WorkBar:
        self._begin = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(
        self,
        done: int,
        total: int,
        name: str = "",
        *,
        stage: str = "",
        note: str = "",
        left: float | None = None,
        first: int = 0,
    ) -> None:
        """Show that `done` of `total` is done.

        Parameters
        ----------
        name : str
            What is worked on.
        stage : str
            Another stage has a bar of its own, and its time is counted anew.
        note : str
            Shown at the end.
        left : float, optional
            Seconds still to go; by default judged by the mean speed so far.
        first : int
            What was done before the work began.
        """
        if self._quiet:
            return
        if stage != self._stage:
            self._open(stage, first, total)
        bar = self._bar
        seconds = time.monotonic() - self._begin
        if left is None and done > self._first:
            left = seconds / (done - self._first) * (total - done)
        known = "" if left is None else f"{bar.format_interval(left)} left"
        bar.total = total
        bar.set_description_str(name or stage, refresh=False)
        bar.set_postfix_str(", ".join(text for text in (known, note) if text), refresh=False)
        bar.update(done - bar.n)
        if done >= total:
            bar.refresh()

    def _open(self, stage: str, first: int, total: int) -> None:
        from tqdm import tqdm

        if self._bar is not None:
            self._bar.close()
            self._begin = time.monotonic()
        self._stage, self._first = stage, first
        form = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} {unit} [{elapsed}{postfix}]"
        pause = 0.2 if sys.stderr.isatty() else 10.0  # a log file keeps every line
        self._bar = tqdm(
            total=total, unit=self._unit, file=sys.stderr, bar_format=form, mininterval=pause, dynamic_ncols=True
        )
        self._bar.start_t -= time.monotonic() - self._begin


def _missing(folder: Path) -> list[Path]:
    """The folders that have to be made for `folder` to exist, innermost first."""
    wanted = []
    for place in (folder, *folder.parents):
        if os.path.lexists(place):
            break
        wanted.append(place)
    return wanted


def check_empty(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder for results that has something in it, unless told otherwise.

    Raises
    ------
    OutputError
        When it has.
    """
    if not overwrite and folder.is_dir() and any(folder.iterdir()):
        raise OutputError(
            f"the result folder {folder} exists and is not empty.",
            remedy="Choose another one with --out, or pass --overwrite.",
        )


@contextlib.contextmanager
def result_folder(folder: Path) -> Iterator[Path]:
    """Make a result folder and check that it can be written; when the block fails, empty ones that were made go again.

    Raises
    ------
    OutputError
        When it cannot be made or written.
    """
    made = _missing(folder)
    try:
        yield ensure_folder(folder)
    except BaseException:
        for place in made:
            with contextlib.suppress(OSError):  # not empty, or never made
                place.rmdir()
        raise
