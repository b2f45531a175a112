"""Writing of a family's individuals as sequence files."""

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
    """Write individuals of a family as sequences of signed distances, one HDF5 file each.

    Files that were written with the same settings are kept as they are.

    Parameters
    ----------
    name : str or Family
        Name of a family, with its default numbers, or a family.
    n : int
        How many individuals, at least 1.
    folder : path
        Folder for the files, named after family, seed and number; made where it is missing.
    seed : int
        Seed of the random numbers, from 0.
    n_frames : int
        Frames of each sequence, evenly spaced from t = 0 to t = 1; at least 2.
    shape : int
        Voxels along each side of the cube, at least 8.
    clamp_um : float, optional
        Largest distance outside, µm; None for no limit.
    progress : function of (done, n), optional
        Called after each file.
    overwrite : bool
        Write all anew, also over files with other settings.

    Returns
    -------
    list of Path
        The files, written or kept, in the order of the individuals.

    Raises
    ------
    ConfigError
        When a number is out of range, or a shape does not fit into the box.
    OutputError
        When a file cannot be written, or a file is in the way that has other settings, is broken or is no sequence.
    """
    check_count("n_frames", n_frames, 2)
    shapes = family(name).sample_many(n, seed)
    shapes[0].grid(shape)
    root = ensure_folder(folder)
    paths = [root / f"{living.name}.h5" for living in shapes]
    for done, (living, path) in enumerate(zip(shapes, paths), start=1):
        grid, frames, info = living.plan(n_frames, shape, None, clamp_um)
        if overwrite or not _already_written(path, info.source):
            write_sequence(path, frames, (n_frames, *grid.shape), info)
        if progress is not None:
            progress(done, n)
    return paths


def _already_written(path: Path, source: str) -> bool:
    """Tell whether a file holds a sequence with the settings ``source``; False where there is no file.

    Raises OutputError if the file holds a sequence with other settings, or cannot be read as one.
    """
    if not path.exists():
        return False
    try:
        with open_sequence(path) as sequence:
            same = sequence.info.source == source
    except (FileFormatError, SequenceError) as error:
        raise OutputError(f"{path} is in the way and cannot be read as a sequence: {error}", remedy=_REMEDY) from error
    if not same:
        raise OutputError(f"{path} holds a sequence with other settings, or of another program.", remedy=_REMEDY)
    return True
