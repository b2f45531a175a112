"""``--spacing``: the voxel size of sequences that carry none, such as the published ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..inputs import Triple

if TYPE_CHECKING:
    from ...sdf import SDFSequence

__all__ = ["Spacing", "at_scale"]

Spacing = Annotated[
    Triple | None,
    typer.Option(
        "--spacing",
        metavar="Z Y X",
        help="Voxel size in µm of sequences that carry none, such as the published ones; without it lengths are in "
        "voxels.",
    ),
]


def at_scale(files: Sequence[Path], spacing: Triple | None) -> list[Path | SDFSequence]:
    """The files as they are, or sequences with that voxel size, whose files are open only while a frame is read.

    Raises
    ------
    SequenceError
        When a file carries another voxel size.
    FileFormatError
        When a file is no sequence.
    """
    if spacing is None:
        return list(files)
    from ...sdf import open_sequence

    return [open_sequence(path, spacing=spacing, keep_open=False) for path in files]
