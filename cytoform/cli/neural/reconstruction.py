"""``cytoform neural reconstruct``: the training's sequences as a network has learned them."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

import typer

from .decoding import decoding_options, parse_rotation, parse_sequences, write_shapes
from .models import open_model
from .options import Device, Exhaustive, Formats, Frames, ModelPath, Overwrite, Quiet, Rotation, Shape

__all__ = ["reconstruct"]


def reconstruct(
    model: ModelPath,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Result folder.")] = Path("reconstructed"),
    which: Annotated[
        list[str] | None,
        typer.Option(
            "--which",
            "-w",
            metavar="NAME|N",
            help="Sequences to write, by name or by number from 0, separated by commas; all by default. May be "
            "repeated.",
        ),
    ] = None,
    frames: Frames = None,
    shape: Shape = None,
    formats: Formats = None,
    rotation: Rotation = "learned",
    exhaustive: Exhaustive = False,
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Write the cells of the training as learned by the network.

    The resolution is free: --shape sets the number of voxels of the cube, --frames the number of frames.

    Examples:
    cytoform neural reconstruct run --out reconstructed
    cytoform neural reconstruct run --which 0,3 --shape 256 --format mask --format mesh
    cytoform neural reconstruct run --frames 59 --rotation none
    """
    angles = parse_rotation(rotation, "learned", "none")
    options = decoding_options(frames, shape, formats, exhaustive, device)
    opened = open_model(model)
    chosen = parse_sequences(opened, which) if which else None
    from ...neural import reconstruct as run

    decode = functools.partial(run, opened, chosen)
    write_shapes(decode, out, quiet=quiet, rotation=angles, overwrite=overwrite, **options)
