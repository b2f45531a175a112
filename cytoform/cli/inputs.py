"""Options about an image's file that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Axes", "Series", "Triple", "plain_stem"]

Triple = tuple[float, float, float]

Series = Annotated[
    int | None, typer.Option("--series", metavar="N", min=0, help="Which image of a file with several, from 0.")
]
Axes = Annotated[
    str | None, typer.Option("--axes", metavar="AXES", help="What the file's axes are, such as ZYX or TZYX.")
]

_SUFFIXES = (".ome.tiff", ".ome.tif", ".ome.zarr", ".tiff", ".tif", ".zarr")


def plain_stem(path: Path) -> str:
    """The file's name without its extension, also a double one such as ``.ome.tif``."""
    name = path.resolve().name
    found = next((s for s in _SUFFIXES if name.lower().endswith(s) and len(name) > len(s)), path.suffix)
    return name[: len(name) - len(found)] if found else name
