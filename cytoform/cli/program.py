"""The commands put together, and how errors reach the user: a message on stderr and an exit code, no traceback."""

from __future__ import annotations

import logging
import os
import sys
from typing import Annotated

import typer

from .._version import __version__
from . import demo, fitting, info, rendering
from .console import DEBUG, Group, as_shown
from .neural import neural

__all__ = ["app", "main"]

app = typer.Typer(
    name="cytoform",
    cls=Group,
    help="The shape of living cells from 3D fluorescence images, in micrometres.",
    epilog="Start with:  cytoform demo    then:  cytoform fit IMAGE",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cytoform {__version__}")
        raise typer.Exit()


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and end.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", envvar=DEBUG, help="Show tracebacks and log messages, for reporting a bug.")
    ] = False,
) -> None:
    os.environ["MPLBACKEND"] = "Agg"  # whatever a notebook's kernel left there: nothing is drawn in a window
    logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING, format="%(message)s")
    if debug:  # the libraries have much to say
        logging.getLogger("matplotlib").setLevel(logging.INFO)
        logging.getLogger("numba").setLevel(logging.INFO)


for _name, _command in (
    ("demo", demo.demo),
    ("fit", fitting.fit),
    ("render", rendering.render),
    ("info", info.info),
):
    app.command(_name, **as_shown(_command))(_command)
app.add_typer(neural, name="neural")


def main() -> None:
    """Entry point of the console script."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a console that cannot show µ shows something else
            stream.reconfigure(errors="replace")
    app(prog_name="cytoform")
