"""Options about an image's file that several commands share."""

from __future__ import annotations

from pathlib import Path

from ..options import AXES, SERIES
from .generated import annotated

__all__ = ["Axes", "Series", "Triple", "plain_stem"]

Triple = tuple[float, float, float]

Series = annotated(int | None, SERIES, SERIES.name)
Axes = annotated(str | None, AXES, AXES.name)

_SUFFIXES = (".ome.tiff", ".ome.tif", ".ome.zarr", ".tiff", ".tif", ".zarr")


def plain_stem(path: Path) -> str:
    """The file's name without its extension, also a double one such as ``.ome.tif``."""
    name = path.resolve().name
    found = next((s for s in _SUFFIXES if name.lower().endswith(s) and len(name) > len(s)), path.suffix)
    return name[: len(name) - len(found)] if found else name
