"""``cytoform neural interpolate``: shapes between two, or one between its frames."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import ConfigError
from .decoding import resolution, rotation_of, wanted, write_shapes
from .models import open_model
from .options import Device, Exhaustive, Formats, Frames, ModelPath, Overwrite, Quiet, Shape

if TYPE_CHECKING:
    from ...neural.model import AutoDecoder

__all__ = ["interpolate"]


def interpolate(
    model: ModelPath,
    start: Annotated[str, typer.Argument(metavar="START", help="A learned sequence, by name or by number, from 0.")],
    end: Annotated[str | None, typer.Argument(metavar="END", help="Another one to go to.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the files.")] = Path(
        "interpolated"
    ),
    steps: Annotated[
        int | None,
        typer.Option(metavar="N", min=2, help="Shapes from START to END, both included; 5 by default."),
    ] = None,
    frames: Frames = None,
    shape: Shape = None,
    formats: Formats = None,
    rotation: Annotated[
        str,
        typer.Option(
            metavar="HOW",
            help="none, learned (without END), or three angles in degrees, such as 90,0,0: about z, the turned y, the "
            "twice turned x.",
        ),
    ] = "none",
    exhaustive: Exhaustive = False,
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Write living shapes between two learned ones.

    With one alone, that one between its frames (--frames) and voxels (--shape).

    Examples:
    cytoform neural interpolate run 0 1 --steps 7 --out between
    cytoform neural interpolate run dividing-s0-00 --frames 117 --rotation learned --format mask
    """
    words = ("none", "learned") if end is None else ("none",)
    turned = rotation_of(rotation, *words)
    options = resolution(frames, shape, formats, exhaustive, device)
    if end is None and steps is not None:
        raise ConfigError("--steps came without END.", remedy="Name a second sequence, or use --frames for one.")
    if end is None and frames is None and shape is None:
        raise ConfigError(
            "there is nothing to interpolate: one sequence, at its own frames and voxels.",
            remedy="Name a second sequence, or give more --frames, or a larger --shape.",
        )
    opened = open_model(model)
    ends = [_one(opened, text) for text in (start, end) if text is not None]
    from ...neural import interpolate as run

    decode = functools.partial(run, opened, *ends, steps=steps or 5)
    write_shapes(decode, out, quiet=quiet, rotation=turned, overwrite=overwrite, **options)


def _one(model: AutoDecoder, text: str) -> int | str:
    found = wanted(model, [text])
    if len(found) != 1:
        raise ConfigError(f"{text!r} names {len(found)} sequences; expected one.")
    return found[0]
