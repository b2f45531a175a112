"""From masks or meshes of living cells to aligned sequences of signed distances, one file a cell."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .. import __version__
from ..atomic import ensure_folder
from ..errors import ConfigError, FileFormatError, OutputError, SequenceError
from ..image.volume import Grid
from .align import align_track, followed
from .distance import mesh_sdf
from .sequence import SequenceInfo, open_sequence, write_sequence
from .settings import PrepareConfig, PrepareProgress, Teller
from .tracks import Bodies, Reader, Track

__all__ = ["PrepareConfig", "PrepareProgress", "prepare"]

_LOG = logging.getLogger(__name__)
_MARGIN = 0.1  # of the largest body's reach, around it
_CLAMP = 0.25  # of the box


def prepare(
    source: Any,
    out: str | os.PathLike[str],
    *,
    spacing: float | Sequence[float] | None = None,
    labels: Sequence[int] | None = None,
    daughters: Mapping[int, tuple[int, int]] | None = None,
    tracks: Sequence[str] | None = None,
    name: str | None = None,
    suffix: Literal[".h5", ".mat"] = ".h5",
    overwrite: bool = False,
    progress: Callable[[PrepareProgress], None] | None = None,
    **settings: Any,
) -> list[Path]:
    """Make sequences of signed distances from masks or meshes in time, one file each.

    Every frame's object (the largest connected part of a mask) gets a smooth surface, is centred at its centroid,
    turned onto its principal axes without flips from frame to frame (two daughters: see
    :func:`cytoform.sdf.align.align_track`), and its exact signed distance is sampled on a cube that is the same for all
    sequences of the call.

    Parameters
    ----------
    source : path, list or array
        Masks: a TIFF or OME-Zarr of (t, z, y, x), a folder or list of 3D TIFFs, one a frame, in natural order, or an
        array (t, z, y, x). Where there is more than one value besides 0, each label is one sequence.
        Meshes: a list of closed SurfaceMesh or mesh files, one a frame, or an ``.npz`` of ``<track>_t<MM>_v``, (n, 3)
        vertices (x, y, z), and ``<track>_t<MM>_f``, faces.
    out : path
        Folder for the files, named after the tracks.
    spacing : (3,) float or float, optional
        Voxel size in µm, (z, y, x); by default the file's own. Needed for arrays and ``.npz``.
    labels : list of int, optional
        Only these labels.
    daughters : mapping of label to two labels, optional
        ``{mother: (daughter, daughter)}``: the mother's sequence goes on with both.
    tracks : list of str, optional
        Only these tracks of an ``.npz``.
    name : str, optional
        Name of the sequence, or what the names of labels begin with; the file's by default.
    suffix : ".h5" or ".mat"
    overwrite : bool
        Replace files made with other settings or from other shapes. Files made with the same are kept as they are.
    progress : callable, optional
        Called with a :class:`PrepareProgress`.
    **settings
        Those of :class:`PrepareConfig`.

    Returns
    -------
    list of Path
        The files, also those that were there already.

    Raises
    ------
    SequenceError
        When an object is missing in a frame or touches the border, nothing is long enough, voxel sizes differ, or a
        body does not fit the box.
    VolumeError, MeshError, FileFormatError
        When an image or a mesh cannot be used.
    OutputError
        When a file is in the way. Nothing is overwritten.
    """
    try:
        config = PrepareConfig(**settings)
    except TypeError as error:
        raise ConfigError(f"{error}; expected those of PrepareConfig.") from error
    if suffix not in (".h5", ".mat"):
        raise ConfigError(f"suffix is {suffix!r}; expected '.h5' or '.mat'.")
    tell = Teller(progress)
    found = Reader(config, spacing, labels, daughters or {}, tracks, name, tell).read(source)
    runs = _long_enough(found, config)
    if config.parts > 1 and not daughters:  # labels know already who is who
        runs = {label: followed(frames) for label, frames in runs.items()}
    aligned = {label: align_track(frames, rotate=config.align) for label, frames in runs.items()}
    box = _box(aligned, config)
    clamp = _CLAMP * box if config.clamp_um is None else float(config.clamp_um)
    digests = {track.name: track.digest.hexdigest() for track in found}
    sources = {track.name: track.source for track in found}
    folder = ensure_folder(out)
    jobs = []
    for label, frames in aligned.items():
        made = {**dataclasses.asdict(config), "box_um": box, "clamp_um": clamp, "input": digests[label]}
        text = json.dumps({"made_by": "cytoform prepare", "from": sources[label], "settings": made}, sort_keys=True)
        path = folder / f"{_plain(label)}{suffix}"
        if overwrite or not _is_there(path, text):
            info = SequenceInfo(_size(box, config), config.time_step, clamp, label, text)
            jobs.append((path, frames, info))
    tell.start("distances", sum(len(frames) for _, frames, _ in jobs))
    for path, frames, info in jobs:
        _write(path, frames, info, config, tell)
    return [folder / f"{_plain(label)}{suffix}" for label in aligned]


def _plain(name: str) -> str:
    return re.sub(r"[^\w.+-]+", "_", name).strip(".") or "sequence"


def _run(track: Track) -> list[int]:
    """Numbers of the longest run of frames without a gap."""
    numbers = sorted(track.frames)
    runs = np.split(numbers, 1 + np.flatnonzero(np.diff(numbers) > 1))
    best = max(runs, key=len).tolist()
    if len(runs) > 1:
        _LOG.warning("%s has gaps: frames %d to %d are used, %d others left out", track.name, best[0], best[-1],
                     len(numbers) - len(best))  # fmt: skip
    return best


def _long_enough(tracks: list[Track], config: PrepareConfig) -> dict[str, list[Bodies]]:
    """Frames by name, cut to the wanted number, without the tracks that are too short."""
    runs = {track.name: [track.frames[k] for k in _run(track)[: config.n_frames]] for track in tracks}
    lengths = [len(frames) for frames in runs.values()]
    kept = {name: frames for name, frames in runs.items() if len(frames) >= config.min_frames}
    if not kept:
        raise SequenceError(
            f"the longest of {len(tracks)} sequences has {max(lengths)} frame{'s' * (max(lengths) > 1)} in a row; "
            f"expected at least {config.min_frames}.",
            remedy="Pass all time points together: a (t, z, y, x) file, or a folder with one file a frame.",
        )
    if len(kept) < len(tracks):
        _LOG.info("%d of %d sequences are shorter than %d frames and left out", len(tracks) - len(kept), len(tracks),
                  config.min_frames)  # fmt: skip
    return kept


def _reach(bodies: Bodies) -> float:
    return max(float(np.abs(body.bounds).max()) for body in bodies)


def _box(aligned: Mapping[str, list[Bodies]], config: PrepareConfig) -> float:
    """Side of the cube, ``shape`` samples, in µm."""
    samples = config.shape / (config.shape - 1)
    if config.box_um is None:
        reach = max(_reach(bodies) for frames in aligned.values() for bodies in frames)
        return 2 * (1 + _MARGIN) * reach * samples
    for name, frames in aligned.items():
        for index, bodies in enumerate(frames):
            if 2 * _reach(bodies) * samples > config.box_um:
                raise SequenceError(
                    f"box_um is {config.box_um:g}; frame {index} of {name} needs {2 * _reach(bodies) * samples:.4g}.",
                    remedy="Pass a larger box, or none to have it chosen.",
                )
    return float(config.box_um)


def _size(box: float, config: PrepareConfig) -> tuple[float, float, float]:
    return (box / config.shape,) * 3


def _recipe(text: str) -> Any:
    """What decides whether two files are made alike: the settings and the input's digest, but not where it lay."""
    try:
        told = json.loads(text)
        return told["made_by"], told["settings"]
    except (ValueError, KeyError, TypeError):
        return text


def _is_there(path: Path, text: str) -> bool:
    """Whether the file was made from the same with the same settings; anything else in its place is an error."""
    if not path.exists():
        return False
    try:
        with open_sequence(path) as sequence:
            if _recipe(sequence.info.source) == _recipe(text):
                _LOG.info("%s is there already", path)
                return True
    except (FileFormatError, SequenceError):
        pass
    raise OutputError(
        f"{path} exists and was made from other shapes or with other settings; nothing was overwritten.",
        remedy="Choose another folder, or pass overwrite=True (--overwrite).",
    )


def _write(path: Path, frames: list[Bodies], info: SequenceInfo, config: PrepareConfig, tell: Teller) -> None:
    n = config.shape
    size = np.asarray(info.spacing)
    grid = Grid((n, n, n), size, -0.5 * (n - 1) * size)  # type: ignore[arg-type]

    def sampled() -> Iterator[npt.NDArray[np.float32]]:
        for bodies in frames:
            yield np.minimum.reduce([mesh_sdf(body, grid, clamp=info.clamp) for body in bodies])
            tell.step()

    write_sequence(path, sampled(), (len(frames), n, n, n), info)
    _LOG.info("%s: %d frames, cytoform %s", path, len(frames), __version__)
