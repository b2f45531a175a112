"""From masks or meshes of living cells to aligned sequences of signed distances, one file a cell."""

from __future__ import annotations

import dataclasses
import itertools
import json
import logging
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from .._typing import Floats32
from .._version import __version__
from ..atomic import ensure_folder
from ..errors import ConfigError, SequenceError
from ..image.volume import Grid
from ..linking import Lineage
from .align import align_track, followed
from .distance import has_sample, mesh_sdf
from .kept import is_there
from .necks import looks_like_two
from .remarks import Remarks, frames_told, listed
from .sequence import SequenceInfo, write_sequence
from .settings import PrepareConfig, PrepareProgress, Teller
from .tracks import Bodies, Reader, Track

__all__ = ["PrepareConfig", "PrepareProgress", "prepare"]

_LOG = logging.getLogger(__name__)
_MARGIN = 0.1  # of the largest body's reach, around it
_CLAMP = 0.25  # of the box
_TWO = (
    "If they are two cells, give each a label of its own. If one cell divides, label its halves and pass daughters "
    "(--daughters M:A,B), or part them and pass parts=2 (--parts 2); up to then it is one body, as here."
)


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
    channel: int | None = None,
    axes: str | None = None,
    series: int | None = None,
    overwrite: bool = False,
    progress: Callable[[PrepareProgress], None] | None = None,
    **settings: Any,
) -> list[Path]:
    """Make sequences of signed distances from masks or meshes in time, one file each.

    Every frame's object (the largest connected part of a mask) gets a smooth surface, is centred at its centroid,
    turned onto its principal axes without flips from frame to frame (two daughters: see
    :func:`cytoform.sdf.align.align_track`), and its exact signed distance is sampled on a cube that is the same for all
    sequences of the call.

    What is left out or looks odd is told in warnings of this module's loggers: parts and specks beside an object,
    labels that the image's border cuts (see ``border``), the value −1 (outside, as ilastik and napari mean it), bodies
    too small for the samples, objects that look like two touching ones, gaps and short sequences, other files.

    Parameters
    ----------
    source : path, list or array
        Masks: a TIFF or OME-Zarr of (t, z, y, x), a folder or list of 3D TIFFs, one a frame, in natural order, or an
        array (t, z, y, x). Where there is more than one value above 0, each label is one sequence.
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
    channel, series : int, optional
        Which channel, and which of several images of a file, counted from 0; needed where there are several.
    axes : str, optional
        A letter for each axis of the file, where its own are wrong or missing; see :func:`cytoform.read_volume`.
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
        When an object is missing in a frame, it or all labels touch the border, nothing is long enough or has samples
        inside, voxel sizes differ, or a body does not fit the box.
    VolumeError, MeshError, FileFormatError
        When an image or a mesh cannot be used.
    OutputError
        When a file is in the way. Nothing is overwritten.
    """
    config = _settings(settings)
    if suffix not in (".h5", ".mat"):
        raise ConfigError(f"suffix is {suffix!r}; expected '.h5' or '.mat'.")
    tell = Teller(progress)
    reading = {k: v for k, v in (("channel", channel), ("axes", axes), ("series", series)) if v is not None}
    reader = Reader(config, spacing, labels, Lineage(daughters or {}), tracks, name, tell, reading)
    found = reader.read(source)
    reader.remarks.tell(config.parts)
    config = _timed(config, reader.frame_interval)
    runs = _long_enough(found, config, reader.remarks)
    if config.parts > 1 and not daughters:  # labels know already who is who
        runs = {label: run.with_bodies(followed(run.bodies)) for label, run in runs.items()}
    aligned = {label: run.with_bodies(align_track(run.bodies, rotate=config.align)) for label, run in runs.items()}
    box = _box(aligned, config)
    aligned = _with_samples(aligned, box, config)
    reader.remarks.tell_small(set(aligned))
    _tell_of_two(aligned)
    clamp = _CLAMP * box if config.clamp_um is None else float(config.clamp_um)
    infos = _infos(found, dataclasses.replace(config, box_um=box, clamp_um=clamp))
    return _write_all(ensure_folder(out), suffix, aligned, infos, config.shape, tell, overwrite=overwrite)


def _settings(given: dict[str, Any]) -> PrepareConfig:
    try:
        return PrepareConfig(**given)
    except TypeError as error:
        raise ConfigError(f"{error}; expected those of PrepareConfig.") from error


def _infos(tracks: Sequence[Track], config: PrepareConfig) -> dict[str, SequenceInfo]:
    """What each file says of itself, by the tracks' names; `config` has a box and a clamp."""
    infos = {}
    for track in tracks:
        made = {**dataclasses.asdict(config), "input": track.digest.hexdigest()}
        text = json.dumps({"made_by": "cytoform prepare", "from": track.source, "settings": made}, sort_keys=True)
        spacing = _size(float(config.box_um), config.shape)  # type: ignore[arg-type]
        infos[track.name] = SequenceInfo(spacing, config.time_step, config.clamp_um, track.name, text)
    return infos


def _write_all(
    folder: Path,
    suffix: str,
    runs: Mapping[str, _Run],
    infos: Mapping[str, SequenceInfo],
    shape: int,
    tell: Teller,
    *,
    overwrite: bool,
) -> list[Path]:
    """Files of all sequences; those that are there already, made of the same, are kept."""
    places = {name: folder / f"{_plain(name)}{suffix}" for name in runs}
    wanted = [name for name, place in places.items() if overwrite or not is_there(place, infos[name].source)]
    tell.start("distances", sum(len(runs[name].bodies) for name in wanted))
    for name in wanted:
        _write(places[name], runs[name].bodies, infos[name], shape, tell)
    return list(places.values())


def _timed(config: PrepareConfig, interval: float | None) -> PrepareConfig:
    """The settings with the file's own time between frames, where none was given."""
    if config.time_step is not None or interval is None or not (math.isfinite(interval) and interval > 0):
        return config
    _LOG.info("the time step, %g s, is the file's own", interval)
    return dataclasses.replace(config, time_step=float(interval))


def _plain(name: str) -> str:
    return re.sub(r"[^\w.+-]+", "_", name).strip(".") or "sequence"


@dataclasses.dataclass(frozen=True)
class _Run:
    """Frames in a row: their bodies, and the number of the first one in the movie."""

    bodies: list[Bodies]
    first: int

    def with_bodies(self, bodies: list[Bodies]) -> _Run:
        return dataclasses.replace(self, bodies=bodies)

    def part(self, start: int, stop: int) -> _Run:
        return _Run(self.bodies[start:stop], self.first + start)

    def told(self, places: Sequence[int]) -> str:
        """Frames at places in the run, by their numbers in the movie."""
        return frames_told([self.first + k for k in places])


def _long_enough(tracks: list[Track], config: PrepareConfig, remarks: Remarks) -> dict[str, _Run]:
    """Longest runs of frames without a gap, cut to the wanted number, without those that are too short."""
    runs, gaps = {}, []
    for track in tracks:
        numbers = sorted(track.frames)
        start, stop = _longest_run(numbers)
        run = numbers[start:stop]
        if len(run) < len(numbers):
            gaps.append(f"{track.name} ({frames_told(run)}, {len(numbers) - len(run)} left out)")
        runs[track.name] = _Run([track.frames[k] for k in run[: config.n_frames]], run[0])
    kept = {name: run for name, run in runs.items() if len(run.bodies) >= config.min_frames}
    if not kept:
        longest = max(len(run.bodies) for run in runs.values())
        remedy = "Pass all time points together: a (t, z, y, x) file, or a folder with one file a frame."
        if len(tracks) > 1 and max(max(track.frames) for track in tracks) > 0:
            remedy = "If a cell has another number in each frame, track the cells first, or make one mask of the cell."
        raise SequenceError(
            f"the longest of {len(tracks)} sequences has {longest} frame{'s' * (longest > 1)} in a row; "
            f"expected at least {config.min_frames}.",
            remedy=remarks.border_told() if remarks.border else remedy,
        )
    if gaps:
        _LOG.warning("Sequences with gaps, of which the longest run is used: %s.", listed(gaps))
    _tell_short([name for name in runs if name not in kept], config.min_frames)
    return kept


def _longest_run(numbers: Sequence[int]) -> tuple[int, int]:
    """Start and stop, among increasing numbers, of the longest run without a gap."""
    cuts = [0, *(k for k in range(1, len(numbers)) if numbers[k] - numbers[k - 1] > 1), len(numbers)]
    return max(itertools.pairwise(cuts), key=lambda run: run[1] - run[0])


def _tell_short(names: list[str], least: int) -> None:
    if names:
        _LOG.warning("Sequences of fewer than %d frames in a row are left out: %s.", least, listed(names))


def _with_samples(aligned: dict[str, _Run], box: float, config: PrepareConfig) -> dict[str, _Run]:
    """The sequences without frames that have no sample inside: of each its longest run of others."""
    grid = _grid(_size(box, config.shape), config.shape)
    kept: dict[str, _Run] = {}
    without: dict[str, str] = {}
    for name, run in aligned.items():
        inside = [[has_sample(body, grid) for body in bodies] for bodies in run.bodies]
        bad = [k for k, each in enumerate(inside) if not any(each)]
        lost = [k for k, each in enumerate(inside) if any(each) and not all(each)]
        if lost:
            told = "%s: a body of %s lies between the samples and is lost; raise shape (--shape)."
            _LOG.warning(told, name, run.told(lost))
        start, stop = _longest_between(bad, len(run.bodies))
        if not bad or stop - start >= config.min_frames:
            kept[name] = run.part(start, stop)
        if bad:
            rest = f"; {kept[name].told(range(stop - start))} are used" if name in kept else ""
            without[name] = f"{name} ({run.told(bad)}{rest})"
    if not without:
        return kept
    told = f"too small for samples of {grid.spacing[0]:.3g} µm, none lies inside: {listed(list(without.values()))}"
    way = "Leave them out (labels, --label), or raise shape (--shape)"
    if not kept:
        raise SequenceError(f"all sequences are {told}.", remedy=f"{way}, or make the box smaller (box_um, --box).")
    _LOG.warning("Left out, %s. %s.", told, way)
    return kept


def _longest_between(gaps: list[int], count: int) -> tuple[int, int]:
    """Start and stop of the longest run of numbers below ``count`` that are no gaps."""
    others = [k for k in range(count) if k not in gaps]
    return (others[(run := _longest_run(others))[0]], others[run[1] - 1] + 1) if others else (0, 0)


def _tell_of_two(aligned: Mapping[str, _Run]) -> None:
    """Warn of frames whose one body looks like two that touch."""
    told = []
    for name, run in aligned.items():
        found = [k for k, bodies in enumerate(run.bodies) if len(bodies) == 1 and looks_like_two(bodies[0])]
        if found:
            told.append(f"{name} ({run.told(found)})")
    if told:
        _LOG.warning("Looks like two touching bodies under one label: %s. %s", listed(told), _TWO)


def _reach(bodies: Bodies) -> float:
    return max(float(np.abs(body.bounds).max()) for body in bodies)


def _box(aligned: Mapping[str, _Run], config: PrepareConfig) -> float:
    """Side of the cube, ``shape`` samples, in µm."""
    samples = config.shape / (config.shape - 1)
    if config.box_um is None:
        reach = max(_reach(bodies) for run in aligned.values() for bodies in run.bodies)
        return 2 * (1 + _MARGIN) * reach * samples
    for name, run in aligned.items():
        for index, bodies in enumerate(run.bodies, start=run.first):
            if 2 * _reach(bodies) * samples > config.box_um:
                raise SequenceError(
                    f"box_um is {config.box_um:g}; frame {index} of {name} needs {2 * _reach(bodies) * samples:.4g}.",
                    remedy="Pass a larger box, or none to have it chosen.",
                )
    return float(config.box_um)


def _size(box: float, samples: int) -> tuple[float, float, float]:
    """Voxel size of a cube, µm."""
    return (box / samples,) * 3


def _grid(size: tuple[float, float, float], n: int) -> Grid:
    return Grid((n, n, n), size, tuple(-0.5 * (n - 1) * np.asarray(size)))  # type: ignore[arg-type]


def _write(path: Path, frames: list[Bodies], info: SequenceInfo, n: int, tell: Teller) -> None:
    grid = _grid(info.spacing, n)  # type: ignore[arg-type]

    def sampled() -> Iterator[Floats32]:
        for bodies in frames:
            yield np.minimum.reduce([mesh_sdf(body, grid, clamp=info.clamp) for body in bodies])
            tell.step()

    write_sequence(path, sampled(), (len(frames), n, n, n), info)
    _LOG.info("%s: %d frames, cytoform %s", path, len(frames), __version__)
