"""What the commands share: error messages, options of several numbers, tables, progress bars and result folders."""

from __future__ import annotations

import contextlib
import errno
import inspect
import math
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import typer
from typer.core import TyperCommand, TyperGroup

from ..atomic import ensure_folder
from ..errors import CytoformError, OutputError

__all__ = [
    "DEBUG",
    "Command",
    "FitProgressBar",
    "Group",
    "ProgressBar",
    "check_empty",
    "command_settings",
    "echo_table",
    "result_folder",
]

DEBUG = "CYTOFORM_DEBUG"
_UsageError: Any = typer.BadParameter.__base__  # which typer does not export


def _message(error: BaseException) -> str:
    """Return the text that users read for an error: what is wrong, with the file's name where the error has one."""
    if isinstance(error, CytoformError):
        return str(error)
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return "there is not enough memory. Crop the image, or take coarser voxels or triangles."
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    name = getattr(error, "filename", None)
    return f"{name}: {reason}." if name else f"{reason}."


class Group(TyperGroup):
    """A group of commands that turns errors which a user can mend into a message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; after a CytoformError, OSError, MemoryError or Ctrl-C print a message and exit.

        The exit code is the error's `exit_code`, 2 where it has none, and 130 after Ctrl-C. With --debug the error is
        raised as it is.
        """
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
    """A command whose options of two or three numbers may be written ``0.3,0.1,0.1``, with a help in plain text."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line, with messages that name the option, the value and what was expected.

        Raises
        ------
        click.UsageError
            When an argument or option is missing, repeated, unknown or not of its type.
        """
        separated = self._split_commas(args)
        self._refuse_repeats(ctx, separated)
        try:
            return super().parse_args(ctx, list(separated))  # which empties the list
        except typer.BadParameter as error:
            param = getattr(error, "param", None)
            if hasattr(error, "param_type"):  # typer's error about what is missing has no public name
                raise _UsageError(_missing_value_message(error), ctx=ctx) from error
            raise typer.BadParameter(_invalid_value_message(error, separated), ctx=ctx, param=param) from error

    def _split_commas(self, args: list[str]) -> list[str]:
        """Return the words of the command line with ``0.3,0.1,0.1`` as three words after options of several numbers."""
        several = {name: p.nargs for p in self.params if getattr(p, "nargs", 1) in (2, 3) for name in p.opts}
        separated: list[str] = []
        for k, arg in enumerate(args):
            name, equals, value = arg.partition("=")
            if equals and name in several and "," in value:
                separated += [name, *value.split(",")]
            elif k and args[k - 1] in several and arg.count(",") == several[args[k - 1]] - 1:
                separated += arg.split(",")
            else:
                separated.append(arg)
        return separated

    def _refuse_repeats(self, ctx: Any, args: list[str]) -> None:
        """Raise BadParameter if an option that takes one value occurs twice: only the last value would be used."""
        for param in cast("list[Any]", self.params):
            if not getattr(param, "multiple", True) and not getattr(param, "is_flag", False):
                occurrences = [a for a in args if a.partition("=")[0] in param.opts]
                if len(occurrences) > 1:
                    raise typer.BadParameter(
                        f"it was given {len(occurrences)} times; expected once. Run the command once for each value.",
                        ctx=ctx,
                        param=param,
                    )

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the words after the command's name in its usage line: options, then arguments by their plain names."""
        names = []
        for param in self.params:
            if param.param_type_name == "argument":
                name = (param.metavar or param.name or "").upper()
                names.append(name if param.required else f"[{name}]")
        return ["[OPTIONS]", *names]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the help of arguments and options to `formatter`, without the names of Python types."""
        for title, kind in (("Arguments", "argument"), ("Options", "option")):
            records = [p.get_help_record(ctx) for p in self.get_params(ctx) if p.param_type_name == kind]
            rows = [(_TYPE.sub("", name), _BOUND.sub(_bound_in_words, text)) for name, text in filter(None, records)]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


_TYPE = re.compile(r"\s*<[^<>]*>")
_BOUND = re.compile(r"(?:[\w.]+(<=?))?x([<>]=?)([\w.-]+)|([\w.-]+)<=x\b")
_COUNTS = {1: "a", 2: "two", 3: "three"}


def _bound_in_words(bound: re.Match[str]) -> str:
    """Return a lower bound such as ``x>=0`` as "at least 0", and any other bound as it is."""
    return f"at least {bound[3]}" if bound[0].startswith("x>=") else bound[0]


def _missing_value_message(error: Any) -> str:
    """Return a message that names the missing argument or option and says what was expected, taken from its help."""
    param = error.param
    name = (param.metavar or param.name).upper() if param.param_type_name == "argument" else param.opts[0]
    text = (param.help or "a value").rstrip(".")
    text = text[:1].lower() + text[1:] if text[1:2].islower() or text[1:2] == " " else text
    return f"{name} is missing; expected {text}."


def _invalid_value_message(error: typer.BadParameter, args: Sequence[str]) -> str:
    """Return a message that quotes an option's value from the command line `args` and says what was expected.

    Only errors of numbers and their limits are reworded; other messages are returned as they are.
    """
    param, text = cast("Any", getattr(error, "param", None)), error.message
    kind = "whole number" if "valid integer" in text else "number" if "valid number" in text else ""
    if param is None or not (kind or "greater than or equal" in text or "less than or equal" in text):
        return text
    at = next((k for k, arg in enumerate(args) if arg.partition("=")[0] in param.opts), None)
    values = [] if at is None else [v for v in (args[at].partition("=")[2], *args[at + 1 :]) if v][: param.nargs]
    got = " ".join(values) or "something else"
    if not kind:
        return f"the value is {got}; expected a number {text.partition('should be ')[2] or text}."
    example = f", such as {' '.join(('0.3', '0.1', '0.1')[: param.nargs])}" if kind == "number" else ""
    words = f"{_COUNTS.get(param.nargs, param.nargs)} {kind}{'s' * (param.nargs > 1)}{example}"
    return f"the value is {got}; expected {words}."


def command_settings(command: Callable[..., Any]) -> dict[str, Any]:
    """Return the keyword arguments with which a function is registered as a command: class, help and epilogue.

    The help is the function's docstring; its lines after "Example" or "Examples" become the epilogue, line by line. The
    class is the function's attribute `command_class`, by default :class:`Command`.
    """
    text, _, examples = (inspect.getdoc(command) or "").partition("\nExample")  # python -OO leaves docstrings out
    lines = [line.strip() for line in examples.splitlines() if line.strip(": s")]
    epilog = "\b\n" + "\n".join(["Examples:", *(f"  {line}" for line in lines)]) if lines else None
    return {"cls": getattr(command, "command_class", Command), "help": text.strip(), "epilog": epilog}


def echo_table(rows: Sequence[tuple[str, str]]) -> None:
    """Print pairs of name and value in two columns."""
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        typer.echo(f"  {name:<{width}}  {value}")


class FitProgressBar:
    """Progress bars of a fit on stderr, one for each of its phases: time left, loss and R².

    Use it as a context and call it with each :class:`cytoform.fitting.Progress`. All bars show the share of the whole
    run's time that has passed since the context was entered, and the time that is left of it. On a terminal they move
    between the calls, too.

    Parameters
    ----------
    quiet : bool
        Show nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bar: Any = None
        self._phase = self._note = ""
        self._begin = self._end = self._shown = 0.0  # times on the monotonic clock, s
        self._pause = 0.0  # least time between two pictures of the bar, s
        self._closed = threading.Event()

    def __enter__(self) -> FitProgressBar:
        self._begin = time.monotonic()
        if not self._quiet:
            typer.echo("Preparing; the first run on a machine also compiles, for up to a minute …", err=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._closed.set()
        if self._bar is not None:
            if kind is None:
                self._bar.n = 1.0
                self._bar.set_postfix_str(self._postfix(0.0))
            self._bar.close()

    def __call__(self, progress: Any) -> None:
        """Show the state of the fit after a step, or as a phase begins."""
        if self._quiet:
            return
        now, first = time.monotonic(), self._bar is None
        if progress.phase != self._phase:
            self._open(progress.phase, progress.message)
        self._end = now + progress.seconds_left
        known = "" if progress.r2 is None else f", R² {progress.r2:.3f}"
        self._note = f", loss {progress.loss:.4g}{known}" if progress.loss == progress.loss else ""  # not NaN
        name = f"stage {int(progress.stage) + 1}" if progress.phase == "fit" else progress.phase
        self._bar.set_description_str(name, refresh=False)
        if now - self._shown >= self._pause:
            self._show()
        if first and sys.stderr.isatty():
            threading.Thread(target=self._keep_moving, daemon=True).start()

    def _open(self, phase: str, message: str) -> None:
        """Close the bar of the phase before and open one for `phase`; print a `message` with which a phase begins."""
        from tqdm import tqdm

        terminal = sys.stderr.isatty()
        if self._bar is not None:
            self._show()
            self._bar.close()
        if message and phase != "fit":
            typer.echo(message[:1].upper() + message[1:], err=True)
        self._phase, self._shown = phase, 0.0
        self._pause = 0.2 if terminal else 10.0  # s; a log file keeps every line
        form = "{desc} {percentage:3.0f}%|{bar}| [{elapsed}{postfix}]"
        bar = tqdm(total=1.0, file=sys.stderr, bar_format=form, dynamic_ncols=True, delay=1e9)
        bar.delay, bar.start_t = 0.0, bar.start_t - (time.monotonic() - self._begin)
        bar.n = 0.0 if self._bar is None else self._bar.n
        self._bar = bar

    def _keep_moving(self) -> None:
        """Show the time that passes until the context ends."""
        while not self._closed.wait(0.5):
            self._show()

    def _show(self) -> None:
        """Show the present share of the run's time, never less than before, and the time left, at least a second."""
        now = self._shown = time.monotonic()
        left, bar = max(self._end - now, 1.0), self._bar
        bar.n = max(bar.n, min((now - self._begin) / (now - self._begin + left), 0.99))
        bar.set_postfix_str(self._postfix(left))

    def _postfix(self, left: float) -> str:
        """Return the text behind a bar's time: the seconds that are left, if any, and loss and R²."""
        return (f"about {self._bar.format_interval(math.ceil(left))} left" if left else "done") + self._note


class ProgressBar:
    """Progress bar on stderr for work that is counted in units, with the time left.

    Use it as a context and call it with the number of finished units.

    Parameters
    ----------
    unit : str
        Plural name of the units, such as "frames".
    quiet : bool
        Show nothing.
    """

    def __init__(self, unit: str, *, quiet: bool = False) -> None:
        self._unit, self._quiet = unit, quiet
        self._bar: Any = None
        self._stage: str | None = None
        self._first, self._begin = 0, 0.0

    def __enter__(self) -> ProgressBar:
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
        """Show that `done` of `total` units are finished.

        Parameters
        ----------
        done : int
            Units that are finished.
        total : int
            All units.
        name : str
            What is worked on now, shown in front of the bar; by default `stage` is shown.
        stage : str
            Name of the stage of the work. A new stage gets a bar of its own, and its time is counted anew.
        note : str
            Text shown behind the bar.
        left : float, optional
            Seconds still to go; by default estimated from the mean speed so far.
        first : int
            Units that were finished before this run began, as after a resume.
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
        """Close the bar of the stage before and open one for `stage`, which begins with `first` units finished."""
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


def _missing_folders(folder: Path) -> list[Path]:
    """Return those of `folder` and its parents that do not exist, innermost first."""
    missing = []
    for path in (folder, *folder.parents):
        if os.path.lexists(path):
            break
        missing.append(path)
    return missing


def check_empty(folder: Path, *, overwrite: bool) -> None:
    """Raise OutputError if a result folder exists and is not empty, unless `overwrite` is True."""
    if not overwrite and folder.is_dir() and any(folder.iterdir()):
        raise OutputError(
            f"the result folder {folder} exists and is not empty.",
            remedy="Choose another one with --out, or pass --overwrite.",
        )


@contextlib.contextmanager
def result_folder(folder: Path) -> Iterator[Path]:
    """Make a result folder with its parents, check that files can be written in it, and yield it.

    If the block raises, the folders that were made here and are empty are removed.

    Raises
    ------
    OutputError
        When the folder cannot be made, or files cannot be written in it.
    """
    made = _missing_folders(folder)
    try:
        yield ensure_folder(folder)
    except BaseException:
        for path in made:
            with contextlib.suppress(OSError):  # not empty, or never made
                path.rmdir()
        raise
