"""What the commands that decode shapes share: how their options become arguments, and the writing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from ...errors import ConfigError
from ..console import WorkBar, echo_table

if TYPE_CHECKING:
    from ...neural.model import AutoDecoder

__all__ = ["frames_of", "resolution", "rotation_of", "shape_of", "wanted", "write_shapes"]

Number = TypeVar("Number", int, float)


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


def _numbers(text: str, kind: Callable[[str], Number]) -> list[Number]:
    """Numbers parted by commas; none where one of them is no number."""
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        return []


def frames_of(text: str | None) -> int | list[float] | None:
    """``--frames``: a number of frames, or times from −1 to 1.

    Raises
    ------
    ConfigError
    """
    if text is None:
        return None
    times = _numbers(text, float)
    counts = times if "," in text or "." in text else _numbers(text, int)
    if not counts:
        raise ConfigError(f"--frames is {text!r}; expected a number of frames, or times such as -1,0,1.")
    if counts is times and all(-1.0 <= t <= 1.0 for t in times):
        return times
    if counts is times or counts[0] < 1:
        raise ConfigError(
            f"--frames is {text!r}; expected a number of frames, at least 1, or times from -1 (first) to 1 (last)."
        )
    return int(counts[0])


def shape_of(text: str | None) -> int | list[int] | None:
    """``--shape``: samples along all sides, or along each.

    Raises
    ------
    ConfigError
    """
    if text is None:
        return None
    counts = _numbers(text, int)
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
    angles = [math.radians(angle) for angle in _numbers(text, float)]
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
