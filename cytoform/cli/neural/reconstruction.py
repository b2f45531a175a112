"""``cytoform neural reconstruct``: the sequences that a network has learned."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

import typer

from .decoding import resolution, rotation_of, wanted, write_shapes
from .models import open_model
from .options import Device, Exhaustive, Formats, Frames, ModelPath, Overwrite, Quiet, Rotation, Shape

__all__ = ["reconstruct"]


def reconstruct(
    model: ModelPath,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the files.")] = Path(
        "reconstructed"
    ),
    which: Annotated[
        list[str] | None,
        typer.Option(
            "--which",
            "-w",
            metavar="NAME|N",
            help="Sequences by name or by number, from 0; all by default. May be repeated, or parted by commas.",
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
    """Write the sequences that a model has learned.

    At any resolution: --shape sets how finely the same cube is sampled, --frames how finely the same time.

    Examples:
    cytoform neural reconstruct run --out reconstructed
    cytoform neural reconstruct run --which 0,3 --shape 256 --format mask --format mesh
    cytoform neural reconstruct run --frames 59 --rotation none
    """
    turned = rotation_of(rotation, "learned", "none")
    options = resolution(frames, shape, formats, exhaustive, device)
    opened = open_model(model)
    chosen = wanted(opened, which) if which else None
    from ...neural import reconstruct as run

    decode = functools.partial(run, opened, chosen)
    write_shapes(decode, out, quiet=quiet, rotation=turned, overwrite=overwrite, **options)
