"""The option ``--spacing``: the voxel size of sequences whose files have none, such as the published ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..inputs import Triple

if TYPE_CHECKING:
    from ...sdf import SDFSequence

__all__ = ["Spacing", "with_spacing"]

Spacing = Annotated[
    Triple | None,
    typer.Option(
        "--spacing",
        metavar="Z Y X",
        help="Voxel size in µm along z, y and x of sequences whose files have none, such as the published ones; "
        "without it lengths are in voxels.",
    ),
]


def with_spacing(files: Sequence[Path], spacing: Triple | None) -> list[Path | SDFSequence]:
    """Return the paths of sequences as they are, or, with a voxel size, the sequences with that voxel size.

    Parameters
    ----------
    files : sequence of Path
        Files of sequences.
    spacing : (3,) float or None
        Voxel size (z, y, x) in µm; None to use those of the files.

    Returns
    -------
    list of Path or list of SDFSequence
        The file of a sequence is open only while a frame is read.

    Raises
    ------
    SequenceError
        When a file has another voxel size.
    FileFormatError
        When a file does not hold a sequence.
    """
    if spacing is None:
        return list(files)
    from ...sdf import open_sequence

    return [open_sequence(path, spacing=spacing, keep_open=False) for path in files]
