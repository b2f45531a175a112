"""``cytoform neural generate``: new living shapes."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

import typer

from .decoding import resolution, rotation_of, write_shapes
from .models import open_model
from .options import Device, Exhaustive, Formats, Frames, ModelPath, Overwrite, Quiet, Shape, next_command

__all__ = ["generate"]


def generate(
    model: ModelPath,
    n: Annotated[int, typer.Option("--n", "-n", metavar="N", min=1, help="Number of new shapes.")] = 10,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the files.")] = Path("generated"),
    prior: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Codes come from: gaussian, fitted to the learned ones; near, around each of them; mixture, several.",
        ),
    ] = "gaussian",
    spread: Annotated[
        float | None,
        typer.Option(metavar="S", help="Width relative to the learned codes; 1 by default, 0.3 with near."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Another seed makes other shapes.")] = 0,
    rotation: Annotated[
        str,
        typer.Option(
            metavar="HOW",
            help="none, random, or three angles in degrees, such as 90,0,0: about z, the turned y, the twice turned x.",
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
    """Make new living shapes, from codes drawn at random.

    Examples:
    cytoform neural generate run -n 20 --out generated
    cytoform neural generate run -n 5 --prior near --format mask --format mesh --shape 128
    cytoform neural generate run -n 5 --seed 7 --rotation random
    """
    turned = rotation_of(rotation, "none", "random")
    options = resolution(frames, shape, formats, exhaustive, device)
    opened = open_model(model)
    from ...neural import generate as run

    decode = functools.partial(run, opened, n, prior=prior, spread=spread, seed=seed)
    write_shapes(decode, out, quiet=quiet, rotation=turned, overwrite=overwrite, **options)
    if {"h5", "mat"} & set(options["formats"]):
        next_command("evaluate", "REAL", out)
