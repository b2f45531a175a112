"""What the commands about networks share: options, files of sequences, and the line with the next command."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = [
    "ANGLES",
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
    "echo_next_command",
    "frames_option",
    "is_main_process",
    "sequence_files",
    "shape_option",
]

ANGLES = (
    "three angles in degrees, such as 90,0,0, about z, the rotated y axis and the rotated x axis, one after the other"
)
ModelPath = Annotated[
    Path, typer.Argument(metavar="MODEL", help="The folder of a trained network, or its model.safetensors.")
]
Sequences = Annotated[
    list[Path],
    typer.Argument(metavar="SEQUENCES", help="Folders of sequences of signed distances (HDF5 files), or single files."),
]


def frames_option(default: str) -> Any:
    """Return the option --frames; `default` ends its help, "by default ..."."""
    text = "Number of frames, or their times from -1 (first frame) to 1 (last frame), such as -1,0,1"
    return typer.Option(metavar="N", help=f"{text}; by default {default}.")


def shape_option(default: str) -> Any:
    """Return the option --shape; `default` ends its help, "by default ..."."""
    text = "Number of voxels along each side of the cube, or Z,Y,X"
    return typer.Option(metavar="N", help=f"{text}; by default {default}.")


Frames = Annotated[str | None, frames_option("the frames of the training")]
Shape = Annotated[str | None, shape_option("as in the training")]
Formats = Annotated[
    list[str] | None,
    typer.Option(
        "--format",
        "-f",
        metavar="NAME",
        help="Format of the output: h5 or mat (signed distances), mask (TIFF), mesh or points (one PLY file a frame); "
        "h5 by default. May be repeated.",
    ),
]
Rotation = Annotated[
    str,
    typer.Option(
        metavar="HOW",
        help=f"Rotation of the cells: learned, none, or {ANGLES}.",
    ),
]
Exhaustive = Annotated[
    bool, typer.Option("--exhaustive", help="Evaluate the network at every voxel, not only near the surface; slower.")
]
Device = Annotated[str, typer.Option(metavar="NAME", help="Processor to compute on: auto, cpu or cuda.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress bar.")]


def is_main_process() -> bool:
    """Tell whether this process prints and writes results: it is the only one, or the first that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


def echo_next_command(*words: str | Path) -> None:
    """Print the command that a user may run next, ``cytoform neural`` and `words`, quoted for a shell."""
    typer.echo(f"Next:  {shlex.join(['cytoform', 'neural', *(str(w) for w in words)])}")


def sequence_files(paths: Sequence[Path]) -> list[Path]:
    """Return the files of sequences: each path that is a file, and all sequences in each folder, in natural order.

    Raises
    ------
    FileFormatError
        When a path does not exist, or a folder holds no sequences.
    """
    from ...sdf import sequence_files as files_in_folder

    return [file for path in paths for file in ([path] if path.is_file() else files_in_folder(path))]
