"""Options about an image's file that several commands share."""

from __future__ import annotations

from pathlib import Path

from .._typing import Triple
from ..options import AXES, SERIES
from .generated import annotated

__all__ = ["Axes", "Series", "Triple", "plain_stem"]


Series = annotated(int | None, SERIES, SERIES.name)
Axes = annotated(str | None, AXES, AXES.name)


def plain_stem(path: Path) -> str:
    """The file's name without its extension, also a double one such as ``.ome.tif``."""
    from ..image.formats import registry

    return registry.plain_stem(path)
