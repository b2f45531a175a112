"""What the commands about networks share: their options, and how their texts become arguments."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import ConfigError, FileFormatError
from ..console import WorkBar, echo_table

if TYPE_CHECKING:
    from ...neural.model import AutoDecoder

__all__ = [
    "Device",
    "Exhaustive",
    "Formats",
    "Frames",
    "ModelPath",
    "Overwrite",
    "Quiet",
    "Rotation",
    "Shape",
    "frames_of",
    "leads",
    "next_command",
    "open_model",
    "resolution",
    "rotation_of",
    "sequence_files",
    "shape_of",
    "wanted",
    "write_shapes",
]

ModelPath = Annotated[Path, typer.Argument(metavar="MODEL", help="Folder of a training, or its model.safetensors.")]
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


def open_model(path: Path) -> AutoDecoder:
    """A trained model.

    Raises
    ------
    FileFormatError
        When there is none.
    BackendError
        When torch is missing.
    """
    remedy = "Pass the folder that neural train wrote, or the model.safetensors in it."
    if not path.exists():
        raise FileFormatError(f"{path} does not exist.", remedy=remedy)
    if path.is_dir() and not (path / "model.safetensors").is_file():
        if (path / "checkpoint.safetensors").is_file():
            raise FileFormatError(
                f"the training in {path} has not ended, so that there is no model yet.",
                remedy=f"Go on with it: cytoform neural train ... --out {path} --resume.",
            )
        raise FileFormatError(f"{path} holds no model.safetensors.", remedy=remedy)
    if path.is_file() and path.suffix not in (".safetensors", ".json"):
        raise FileFormatError(f"{path} is no model.safetensors.", remedy=remedy)
    from ...neural import AutoDecoder

    return AutoDecoder.load(path)


def wanted(model: AutoDecoder, texts: Sequence[str]) -> list[int | str]:
    """Sequences of a model, told by names or numbers; a text may hold several, parted by commas.

    Raises
    ------
    SequenceError
        When there is none of that name or number.
    """
    known = set(model.learned.names)
    parts = [part for text in texts for part in ([text] if text in known else text.split(","))]
    found = [_number_or_name(part.strip(), known) for part in parts]
    for which in found:
        model.learned.index(which)
    return found


def _number_or_name(text: str, known: set[str]) -> int | str:
    try:
        return text if text in known else int(text)
    except ValueError:
        return text


def frames_of(text: str | None) -> int | list[float] | None:
    """``--frames``: a number of frames, or times from −1 to 1.

    Raises
    ------
    ConfigError
    """
    if text is None:
        return None
    try:
        times = [float(part) for part in text.split(",")]
        count = None if "," in text or "." in text else int(text)
    except ValueError as error:
        raise ConfigError(f"--frames is {text!r}; expected a number of frames, or times such as -1,0,1.") from error
    if count is None and all(-1.0 <= t <= 1.0 for t in times):
        return times
    if count is None or count < 1:
        raise ConfigError(
            f"--frames is {text!r}; expected a number of frames, at least 1, or times from -1 (first) to 1 (last)."
        )
    return count


def shape_of(text: str | None) -> int | list[int] | None:
    """``--shape``: samples along all sides, or along each.

    Raises
    ------
    ConfigError
    """
    if text is None:
        return None
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = []
    if len(counts) not in (1, 3) or min(counts) < 2:
        raise ConfigError(
            f"--shape is {text!r}; expected a whole number, at least 2, or three of them such as 64,64,64."
        )
    return counts if len(counts) == 3 else counts[0]


def rotation_of(text: str, *words: str) -> str | list[float]:
    """``--rotation``: one of ``words``, or three angles in radians.

    Raises
    ------
    ConfigError
    """
    if text in words:
        return text
    try:
        angles = [math.radians(float(part)) for part in text.split(",")]
    except ValueError:
        angles = []
    if len(angles) != 3 or not all(map(math.isfinite, angles)):
        raise ConfigError(
            f"--rotation is {text!r}; expected {', '.join(words)}, or three angles in degrees such as 90,0,0."
        )
    return angles


def resolution(
    frames: str | None, shape: str | None, formats: list[str] | None, exhaustive: bool, device: str
) -> dict[str, Any]:
    """The arguments that all decoding takes.

    Raises
    ------
    ConfigError
    """
    from ...neural.export import FORMATS

    unknown = sorted(set(formats or ()) - set(FORMATS))
    if unknown:
        raise ConfigError(f"--format is {unknown[0]!r}; expected one of {', '.join(FORMATS)}.")
    return {
        "frames": frames_of(frames),
        "shape": shape_of(shape),
        "formats": tuple(formats or ("h5",)),
        "exhaustive": exhaustive,
        "device": device,
    }


def write_shapes(decode: Callable[..., list[Any]], out: Path, *, quiet: bool, **options: Any) -> list[Path]:
    """Let ``decode`` write shapes into ``out`` under a progress bar, and tell what was written."""
    with WorkBar("frames", quiet=quiet) as bar:
        written = decode(out=out, progress=bar, **options)
    echo_table([("written", f"{len(written)} {'file or folder' if len(written) == 1 else 'files and folders'}")])
    typer.echo(f"They are in {out}")
    return written
