"""``cytoform neural``: neural networks of cell shapes. torch, h5py and scipy load when a command runs."""

from __future__ import annotations

import typer

from ..console import command_settings
from .conversion import convert
from .encoding import encode
from .evaluation import evaluate
from .generation import generate
from .interpolation import interpolate
from .preparation import prepare
from .reconstruction import reconstruct
from .simulation import simulate
from .training import train

__all__ = ["neural"]

neural = typer.Typer(
    name="neural",
    help="Learn cell shapes with a neural network, and generate new ones.",
    epilog="\b\nExamples:\n  cytoform neural simulate dividing -n 10"
    "\n  cytoform neural train dividing --out run --minutes 5"
    "\n  cytoform neural generate run --out generated --format mesh",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for _command in (prepare, simulate, train, reconstruct, generate, interpolate, encode, evaluate, convert):
    neural.command(_command.__name__, **command_settings(_command))(_command)
