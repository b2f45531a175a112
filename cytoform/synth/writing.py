"""A family as files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ..atomic import ensure_folder
from ..errors import FileFormatError, OutputError, SequenceError
from ..sdf.sequence import open_sequence, write_sequence
from .families import FRAMES, Family, family
from .numbers import check_count

__all__ = ["write_family"]

_REMEDY = "Choose another folder, or pass overwrite=True (--overwrite)."


def write_family(
    name: str | Family,
    n: int,
    folder: str | os.PathLike[str],
    *,
    seed: int = 0,
    n_frames: int = FRAMES,
    shape: int = 64,
    clamp_um: float | None = None,
    progress: Callable[[int, int], None] | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Write individuals of a family, one HDF5 file each; what is there already with the same settings is kept.

    Parameters
    ----------
    name : str or Family
    n : int
        How many.
    folder : path
        Made where it is missing.
    seed, n_frames, shape, clamp_um
        As for :meth:`Family.sample_many` and :meth:`LivingShape.sequence`.
    progress : function of (done, n), optional
        Called after each file.
    overwrite : bool
        Write all anew, also over files with other settings.

    Returns
    -------
    list of Path

    Raises
    ------
    ConfigError
        When a number is out of range, or a shape does not fit into the box.
    OutputError
        When a file cannot be written, or one with other settings, broken or not ours is in the way.
    """
    check_count("n_frames", n_frames, 2)
    shapes = family(name).sample_many(n, seed)
    shapes[0].grid(shape)
    place = ensure_folder(folder)
    paths = [place / f"{living.name}.h5" for living in shapes]
    for done, (living, path) in enumerate(zip(shapes, paths), start=1):
        grid, frames, info = living.plan(n_frames, shape, None, clamp_um)
        if overwrite or not _is_written(path, info.source):
            write_sequence(path, frames, (n_frames, *grid.shape), info)
        if progress is not None:
            progress(done, n)
    return paths


def _is_written(path: Path, source: str) -> bool:
    """Whether the file is there with these settings; anything else in its place is an error."""
    if not path.exists():
        return False
    try:
        with open_sequence(path) as there:
            same = there.info.source == source
    except (FileFormatError, SequenceError) as error:
        raise OutputError(f"{path} is in the way and cannot be read as a sequence: {error}", remedy=_REMEDY) from error
    if not same:
        raise OutputError(f"{path} holds a sequence with other settings, or none of ours.", remedy=_REMEDY)
    return True
