"""The program ``cytoform``: its commands, its options and its entry point."""

from __future__ import annotations

import logging
import os
import sys
from typing import Annotated

import typer

from .._version import __version__
from . import demo, fitting, forces, info, rendering
from .console import DEBUG, Group, command_settings
from .neural import neural

__all__ = ["app", "main"]

app = typer.Typer(
    name="cytoform",
    cls=Group,
    help="Measure the shape of living cells in 3D fluorescence images, and generate new cells. Lengths are in µm.",
    epilog="Start with:  cytoform demo    then:  cytoform fit IMAGE",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(requested: bool) -> None:
    """Print the version and end the program, if --version was given."""
    if requested:
        typer.echo(f"cytoform {__version__}")
        raise typer.Exit()


@app.callback()
def _global_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", envvar=DEBUG, help="Show tracebacks and log messages, for a bug report.")
    ] = False,
) -> None:
    """Set up plotting and logging before a command runs: no windows, and log messages on stderr."""
    os.environ["MPLBACKEND"] = "Agg"  # no window, whatever backend a notebook's kernel has set
    logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING, format="%(message)s")
    if debug:  # these two log too much at level DEBUG
        logging.getLogger("matplotlib").setLevel(logging.INFO)
        logging.getLogger("numba").setLevel(logging.INFO)


for _name, _command in (
    ("demo", demo.demo),
    ("fit", fitting.fit),
    ("render", rendering.render),
    ("forces", forces.forces),
    ("info", info.info),
):
    app.command(_name, **command_settings(_command))(_command)
app.add_typer(neural, name="neural")


def main() -> None:
    """Run the program with the arguments of the command line; the entry point of the console script."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a console that cannot show µ shows a replacement
            stream.reconfigure(errors="replace")
    app(prog_name="cytoform")
