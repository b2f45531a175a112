"""What the commands about networks share: their options, sequences, and what to do next."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Device",
    "Exhaustive",
    "Formats",
    "Frames",
    "ModelPath",
    "Overwrite",
    "Quiet",
    "Rotation",
    "Sequences",
    "Shape",
    "leads",
    "next_command",
    "sequence_files",
]

ModelPath = Annotated[Path, typer.Argument(metavar="MODEL", help="Folder of a training, or its model.safetensors.")]
Sequences = Annotated[list[Path], typer.Argument(metavar="SEQUENCES", help="Folders of sequences (HDF5), or files.")]
Frames = Annotated[
    str | None,
    typer.Option(
        metavar="N",
        help="Number of frames, or their times from -1 (first) to 1 (last), such as -1,0,1; by default as in training.",
    ),
]
Shape = Annotated[
    str | None,
    typer.Option(metavar="N", help="Samples along each side of the cube, or Z,Y,X; by default as in training."),
]
Formats = Annotated[
    list[str] | None,
    typer.Option(
        "--format",
        "-f",
        metavar="NAME",
        help="h5, mat, mask (TIFF), mesh or points (a PLY a frame); h5 by default. May be repeated.",
    ),
]
Rotation = Annotated[
    str,
    typer.Option(
        metavar="HOW",
        help="learned, none, or three angles in degrees, such as 90,0,0: about z, the turned y, the twice turned x.",
    ),
]
Exhaustive = Annotated[
    bool, typer.Option("--exhaustive", help="Ask the network at every voxel instead of following the surface.")
]
Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu or cuda.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]


def leads() -> bool:
    """Whether this process is the one that speaks: the only one, or the first that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


def next_command(*words: str | Path) -> None:
    """Tell what to do next."""
    typer.echo(f"Next:  {shlex.join(['cytoform', 'neural', *(str(w) for w in words)])}")


def sequence_files(places: Sequence[Path]) -> list[Path]:
    """Files as they are given; of a folder all sequences in it, in natural order.

    Raises
    ------
    FileFormatError
        When a place does not exist, or a folder holds no sequences.
    """
    from ...sdf import sequence_files as inside

    return [path for place in places for path in ([place] if place.is_file() else inside(place))]
