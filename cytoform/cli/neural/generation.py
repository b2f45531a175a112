"""``cytoform neural generate``: new cells from a trained network."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

import typer

from .decoding import decoding_options, parse_rotation, write_shapes
from .models import open_model
from .options import ANGLES, Device, Exhaustive, Formats, Frames, ModelPath, Overwrite, Quiet, Shape, echo_next_command

__all__ = ["generate"]


def generate(
    model: ModelPath,
    n: Annotated[int, typer.Option("--n", "-n", metavar="N", min=1, help="Number of new cells.")] = 10,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Result folder.")] = Path("generated"),
    prior: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Distribution of the latent codes: gaussian, fitted to the learned codes; near, a Gaussian around "
            "each learned code; mixture, several Gaussians.",
        ),
    ] = "gaussian",
    spread: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            help="Standard deviation of the new codes relative to the learned ones; 1 by default, 0.3 for near.",
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option("--seed", metavar="N", min=0, help="Seed of the random codes; another seed makes other cells."),
    ] = 0,
    rotation: Annotated[
        str,
        typer.Option(
            metavar="HOW",
            help=f"Rotation of the cells: none, random, or {ANGLES}.",
        ),
    ] = "none",
    frames: Frames = None,
    shape: Shape = None,
    formats: Formats = None,
    exhaustive: Exhaustive = False,
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Generate new moving cells with a trained network.

    Latent codes are drawn at random from a distribution like that of the learned codes, and decoded to sequences of 3D
    shapes.

    Examples:
    cytoform neural generate run -n 20 --out generated
    cytoform neural generate run -n 5 --prior near --format mask --format mesh --shape 128
    cytoform neural generate run -n 5 --seed 7 --rotation random
    """
    angles = parse_rotation(rotation, "none", "random")
    options = decoding_options(frames, shape, formats, exhaustive, device)
    opened = open_model(model)
    from ...neural import generate as run

    decode = functools.partial(run, opened, n, prior=prior, spread=spread, seed=seed)
    write_shapes(decode, out, quiet=quiet, rotation=angles, overwrite=overwrite, **options)
    if {"h5", "mat"} & set(options["formats"]):
        echo_next_command("evaluate", "REAL", out)
