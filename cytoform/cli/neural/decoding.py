"""What the commands that decode shapes share: conversion of their options, and writing of the shapes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from ...errors import ConfigError
from ..console import ProgressBar, echo_table

if TYPE_CHECKING:
    from ...neural.model import AutoDecoder

__all__ = ["decoding_options", "parse_frames", "parse_rotation", "parse_sequences", "parse_shape", "write_shapes"]

Number = TypeVar("Number", int, float)


def parse_sequences(model: AutoDecoder, texts: Sequence[str]) -> list[int | str]:
    """Return the learned sequences that --which names: numbers as int, names as str.

    Parameters
    ----------
    model : AutoDecoder
        The model that has learned the sequences.
    texts : sequence of str
        Names or numbers from 0, each text one or several that are separated by commas.

    Returns
    -------
    list of int or str
        In the order of the texts.

    Raises
    ------
    SequenceError
        When the model has no sequence of that name or number.
    """
    known = set(model.learned.names)
    parts = [part for text in texts for part in ([text] if text in known else text.split(","))]
    found = [_name_or_number(part.strip(), known) for part in parts]
    for which in found:
        model.learned.index(which)
    return found


def _name_or_number(text: str, known: set[str]) -> int | str:
    """Return a text that is a known name or no whole number as it is, and any other as an int."""
    try:
        return text if text in known else int(text)
    except ValueError:
        return text


def _parse_numbers(text: str, kind: Callable[[str], Number]) -> list[Number]:
    """Return the numbers of a text that are separated by commas; an empty list if one of them is no number."""
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        return []


def parse_frames(text: str | None) -> int | list[float] | None:
    """Return the value of --frames: a number of frames (int), or times from −1 (first) to 1 (last) (list of float).

    None stays None. Raises ConfigError for any other text.
    """
    if text is None:
        return None
    times = _parse_numbers(text, float)
    counts = times if "," in text or "." in text else _parse_numbers(text, int)
    if not counts:
        raise ConfigError(f"--frames is {text!r}; expected a number of frames, or times such as -1,0,1.")
    if counts is times and all(-1.0 <= t <= 1.0 for t in times):
        return times
    if counts is times or counts[0] < 1:
        raise ConfigError(
            f"--frames is {text!r}; expected a number of frames, at least 1, or times from -1 (first) to 1 (last)."
        )
    return int(counts[0])


def parse_shape(text: str | None) -> int | list[int] | None:
    """Return the value of --shape: the number of samples along all axes (int), or along z, y and x (list of int).

    None stays None. Raises ConfigError for any other text, and for fewer than 2 samples.
    """
    if text is None:
        return None
    counts = _parse_numbers(text, int)
    if len(counts) not in (1, 3) or min(counts) < 2:
        raise ConfigError(
            f"--shape is {text!r}; expected a whole number, at least 2, or three of them such as 64,64,64."
        )
    return counts if len(counts) == 3 else counts[0]


def parse_rotation(text: str, *words: str) -> str | list[float]:
    """Return the value of --rotation: one of `words` as it is, or three angles, given in degrees, in radians.

    Raises ConfigError for any other text.
    """
    if text in words:
        return text
    angles = [math.radians(angle) for angle in _parse_numbers(text, float)]
    if len(angles) != 3 or not all(map(math.isfinite, angles)):
        raise ConfigError(
            f"--rotation is {text!r}; expected {', '.join(words)}, or three angles in degrees such as 90,0,0."
        )
    return angles


def decoding_options(
    frames: str | None, shape: str | None, formats: list[str] | None, exhaustive: bool, device: str
) -> dict[str, Any]:
    """Return the keyword arguments of :class:`cytoform.neural.generation.Decoding` for the options of a command.

    The format is h5 by default. Raises ConfigError for an unknown format and for `frames` and `shape` that are not
    understood; see :func:`parse_frames` and :func:`parse_shape`.
    """
    from ...neural.export import FORMATS

    unknown = sorted(set(formats or ()) - set(FORMATS))
    if unknown:
        raise ConfigError(f"--format is {unknown[0]!r}; expected one of {', '.join(FORMATS)}.")
    return {
        "frames": parse_frames(frames),
        "shape": parse_shape(shape),
        "formats": tuple(formats or ("h5",)),
        "exhaustive": exhaustive,
        "device": device,
    }


def write_shapes(decode: Callable[..., list[Any]], out: Path, *, quiet: bool, **options: Any) -> list[Path]:
    """Decode shapes into files under a progress bar, and print how many files were written.

    Parameters
    ----------
    decode : callable
        Function that writes the files and returns their paths; gets `out`, `progress` and the options.
    out : Path
        Folder for the files.
    quiet : bool
        Show no progress bar.
    **options : object
        Keyword arguments of `decode`.

    Returns
    -------
    list of Path
        The files, or folders of files, that were written.
    """
    with ProgressBar("frames", quiet=quiet) as bar:
        written = decode(out=out, progress=bar, **options)
    echo_table([("written", f"{len(written)} {'file or folder' if len(written) == 1 else 'files and folders'}")])
    typer.echo(f"They are in {out}")
    return written
