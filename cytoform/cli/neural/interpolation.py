"""``cytoform neural interpolate``: cells between two learned ones, or one at more frames and voxels."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import ConfigError
from .decoding import decoding_options, parse_rotation, parse_sequences, write_shapes
from .models import open_model
from .options import ANGLES, Device, Exhaustive, Formats, Frames, ModelPath, Overwrite, Quiet, Shape

if TYPE_CHECKING:
    from ...neural.model import AutoDecoder

__all__ = ["interpolate"]


def interpolate(
    model: ModelPath,
    start: Annotated[
        str, typer.Argument(metavar="START", help="The first learned sequence: its name, or its number from 0.")
    ],
    end: Annotated[
        str | None, typer.Argument(metavar="END", help="The last learned sequence: its name, or its number from 0.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Result folder.")] = Path("interpolated"),
    steps: Annotated[
        int | None,
        typer.Option(metavar="N", min=2, help="Number of cells from START to END, both included; 5 by default."),
    ] = None,
    frames: Frames = None,
    shape: Shape = None,
    formats: Formats = None,
    rotation: Annotated[
        str,
        typer.Option(
            metavar="HOW",
            help=f"Rotation of the cells: none, learned (without END), or {ANGLES}.",
        ),
    ] = "none",
    exhaustive: Exhaustive = False,
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Write cells with shapes between those of two learned cells.

    The latent codes of START and END are interpolated linearly. Without END the cell START is written at another number
    of frames (--frames) or voxels (--shape).

    Examples:
    cytoform neural interpolate run 0 1 --steps 7 --out between
    cytoform neural interpolate run dividing-s0-00 --frames 117 --rotation learned --format mask
    """
    words = ("none", "learned") if end is None else ("none",)
    angles = parse_rotation(rotation, *words)
    options = decoding_options(frames, shape, formats, exhaustive, device)
    if end is None and steps is not None:
        raise ConfigError("--steps was given without END.", remedy="Name a second sequence, or use --frames for one.")
    if end is None and frames is None and shape is None:
        raise ConfigError(
            "there is nothing to interpolate: one sequence, at its own frames and voxels.",
            remedy="Name a second sequence, or give more --frames, or a larger --shape.",
        )
    opened = open_model(model)
    first = _parse_one_sequence(opened, start)
    last = None if end is None else _parse_one_sequence(opened, end)
    from ...neural import interpolate as run

    decode = functools.partial(run, opened, first, last, steps=steps or 5)
    write_shapes(decode, out, quiet=quiet, rotation=angles, overwrite=overwrite, **options)


def _parse_one_sequence(model: AutoDecoder, text: str) -> int | str:
    """Return the one learned sequence that a text names; raise ConfigError if it names several."""
    found = parse_sequences(model, [text])
    if len(found) != 1:
        raise ConfigError(f"{text!r} names {len(found)} sequences; expected one.")
    return found[0]
