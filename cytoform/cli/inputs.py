"""Options of several commands that say which part of an image file to read."""

from __future__ import annotations

from pathlib import Path

from .._typing import Triple
from ..options import AXES, SERIES
from .generated import annotated

__all__ = ["Axes", "Series", "Triple", "plain_stem"]


Series = annotated(int | None, SERIES, SERIES.name)
Axes = annotated(str | None, AXES, AXES.name)


def plain_stem(path: Path) -> str:
    """Return a file's name without its suffix; a double suffix such as ``.ome.tif`` is removed as a whole."""
    from ..image.formats import registry

    return registry.plain_stem(path)
