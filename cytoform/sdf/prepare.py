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

from .._typing import Floats32, Triple
from .._version import __version__
from ..atomic import ensure_folder
from ..errors import ConfigError, SequenceError
from ..image.volume import Grid
from ..linking import Lineage
from .align import align_track, order_bodies
from .distance import has_sample, mesh_sdf
from .existing import already_written
from .necks import looks_like_two
from .preparation_warnings import PreparationWarnings, format_frames, format_names
from .reading import Bodies, SurfaceTrack, TrackReader
from .sequence import SequenceInfo, write_sequence
from .settings import PrepareConfig, PrepareProgress, ProgressReporter

__all__ = ["PrepareConfig", "PrepareProgress", "prepare"]

_LOG = logging.getLogger(__name__)
_MARGIN = 0.1  # between the largest coordinate of a body and the box's wall, as a fraction of that coordinate
_CLAMP = 0.25  # of the box's side
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

    Every frame's object (the largest connected component of a mask) gets a smooth surface, is centred at its centroid,
    turned onto its principal axes without flips from frame to frame (two daughters: see
    :func:`cytoform.sdf.align.align_track`), and its exact signed distance is sampled on a cube that is the same for all
    sequences of the call.

    Warnings are logged about everything that is left out or looks odd: further components and specks beside an object,
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
        Folder for the files, named after the tracks; made where it is missing.
    spacing : (3,) float or float, optional
        Voxel size in µm, (z, y, x); by default the file's own. Needed for arrays and ``.npz`` (the factor from its unit
        to µm).
    labels : list of int, optional
        Only these labels; all by default.
    daughters : mapping of label to two labels, optional
        ``{mother: (daughter, daughter)}``: the mother's sequence goes on with both.
    tracks : list of str, optional
        Only these tracks of an ``.npz``; all by default.
    name : str, optional
        Name of the sequence, or what the names of labels begin with; the file's by default.
    suffix : ".h5" or ".mat"
        Format of the files: HDF5, or MAT 7.3 for MATLAB.
    channel : int, optional
        Channel to read, counted from 0; needed where there are several.
    axes : str, optional
        A letter for each axis of the file, where its own are wrong or missing; see :func:`cytoform.read_volume`.
    series : int, optional
        Which of several images of a file, counted from 0; needed where there are several.
    overwrite : bool
        Write all files anew, also over files made from other shapes or with other settings. Otherwise files made from
        the same shapes with the same settings are kept as they are, and others raise an error.
    progress : callable, optional
        Called with a :class:`PrepareProgress` after each frame.
    **settings
        Fields of :class:`PrepareConfig`, such as ``shape=96``.

    Returns
    -------
    list of Path
        The files, also those that were kept.

    Raises
    ------
    ConfigError
        When a setting does not exist or is out of its range.
    SequenceError
        When an object is missing in a frame, it or all labels touch the border, no sequence is long enough or has
        samples inside, voxel sizes differ, or a body does not fit the box.
    VolumeError, MeshError, FileFormatError
        When an image or a mesh cannot be used.
    OutputError
        When a file of another sequence is in the way. Nothing is overwritten.
    """
    config = _checked_settings(settings)
    if suffix not in (".h5", ".mat"):
        raise ConfigError(f"suffix is {suffix!r}; expected '.h5' or '.mat'.")
    reporter = ProgressReporter(progress)
    options = {k: v for k, v in (("channel", channel), ("axes", axes), ("series", series)) if v is not None}
    reader = TrackReader(config, spacing, labels, Lineage(daughters or {}), tracks, name, reporter, options)
    found = reader.read(source)
    reader.warnings.log(config.parts)
    config = _with_time_step(config, reader.frame_interval)
    runs = _longest_runs(found, config, reader.warnings)
    if config.parts > 1 and not daughters:  # labels say already which body is which
        runs = {label: run.with_bodies(order_bodies(run.bodies)) for label, run in runs.items()}
    aligned = {label: run.with_bodies(align_track(run.bodies, rotate=config.align)) for label, run in runs.items()}
    box = _cube_side(aligned, config)
    aligned = _drop_frames_without_samples(aligned, box, config)
    reader.warnings.log_few_voxels(set(aligned))
    _warn_of_touching_bodies(aligned)
    clamp = _CLAMP * box if config.clamp_um is None else float(config.clamp_um)
    infos = _sequence_infos(found, dataclasses.replace(config, box_um=box, clamp_um=clamp))
    return _write_all(ensure_folder(out), suffix, aligned, infos, config.shape, reporter, overwrite=overwrite)


def _checked_settings(given: dict[str, Any]) -> PrepareConfig:
    """Return the settings with the values that the user gave; raise ConfigError for a name or value that is wrong."""
    try:
        return PrepareConfig(**given)
    except TypeError as error:
        raise ConfigError(f"{error}; expected those of PrepareConfig.") from error


def _sequence_infos(tracks: Sequence[SurfaceTrack], config: PrepareConfig) -> dict[str, SequenceInfo]:
    """Return the attributes of each track's file, by the tracks' names.

    The source is JSON of the settings, the input's path and its digest.

    Parameters
    ----------
    tracks : list of SurfaceTrack
        All tracks that were read.
    config : PrepareConfig
        Settings whose ``box_um`` and ``clamp_um`` are known.

    Returns
    -------
    dict of str to SequenceInfo
        With voxel size, time step, clamp, name and source.
    """
    infos = {}
    for track in tracks:
        made = {**dataclasses.asdict(config), "input": track.digest.hexdigest()}
        text = json.dumps({"made_by": "cytoform prepare", "from": track.source, "settings": made}, sort_keys=True)
        spacing = _voxel_size(float(config.box_um), config.shape)  # type: ignore[arg-type]
        infos[track.name] = SequenceInfo(spacing, config.time_step, config.clamp_um, track.name, text)
    return infos


def _write_all(
    folder: Path,
    suffix: str,
    runs: Mapping[str, _FrameRun],
    infos: Mapping[str, SequenceInfo],
    shape: int,
    progress: ProgressReporter,
    *,
    overwrite: bool,
) -> list[Path]:
    """Sample and write all sequences, but for files that hold the same sequence already.

    Parameters
    ----------
    folder : Path
        An existing folder.
    suffix : ".h5" or ".mat"
        Format of the files.
    runs : mapping of str to _FrameRun
        Aligned bodies by the sequences' names, which also name the files.
    infos : mapping of str to SequenceInfo
        Attributes of the files by the same names.
    shape : int
        Samples along each side of the cube.
    progress : ProgressReporter
        Told of the number of frames to write and of each that is finished.
    overwrite : bool
        Write also files that exist.

    Returns
    -------
    list of Path
        All files, written or kept.

    Raises
    ------
    OutputError
        When a file holds another sequence and ``overwrite`` is False; nothing has been written then.
    """
    paths = {name: folder / f"{_file_stem(name)}{suffix}" for name in runs}
    wanted = [name for name, path in paths.items() if overwrite or not already_written(path, infos[name].source)]
    progress.start("distances", sum(len(runs[name].bodies) for name in wanted))
    for name in wanted:
        _write(paths[name], runs[name].bodies, infos[name], shape, progress)
    return list(paths.values())


def _with_time_step(config: PrepareConfig, interval: float | None) -> PrepareConfig:
    """Return the settings with the image file's interval between frames (s) as ``time_step``, where none was given."""
    if config.time_step is not None or interval is None or not (math.isfinite(interval) and interval > 0):
        return config
    _LOG.info("the time step, %g s, is the file's own", interval)
    return dataclasses.replace(config, time_step=float(interval))


def _file_stem(name: str) -> str:
    """Return a name with everything but letters, digits and ``_ . + -`` replaced by ``_``; "sequence" for none."""
    return re.sub(r"[^\w.+-]+", "_", name).strip(".") or "sequence"


@dataclasses.dataclass(frozen=True)
class _FrameRun:
    """Successive frames of a movie: the bodies of each, and the number of the first one in the movie."""

    bodies: list[Bodies]
    first: int

    def with_bodies(self, bodies: list[Bodies]) -> _FrameRun:
        """Return the same frames with other bodies."""
        return dataclasses.replace(self, bodies=bodies)

    def part(self, start: int, stop: int) -> _FrameRun:
        """Return the frames from index ``start`` to before ``stop`` of this run."""
        return _FrameRun(self.bodies[start:stop], self.first + start)

    def format_frames(self, indices: Sequence[int]) -> str:
        """Return frames, given by their indices in this run, as numbers in the movie, such as "frames 4 to 9"."""
        return format_frames([self.first + k for k in indices])


def _longest_runs(
    tracks: list[SurfaceTrack], config: PrepareConfig, warnings: PreparationWarnings
) -> dict[str, _FrameRun]:
    """Return each track's longest run of frames without a gap, cut to ``n_frames``; log what is left out.

    Parameters
    ----------
    tracks : list of SurfaceTrack
        Each with at least one frame.
    config : PrepareConfig
        Its ``n_frames`` and ``min_frames`` apply.
    warnings : PreparationWarnings
        Frames left out at the border, for the message of the error.

    Returns
    -------
    dict of str to _FrameRun
        By the tracks' names, only runs of at least ``min_frames``.

    Raises
    ------
    SequenceError
        When no run is long enough.
    """
    runs, gaps = {}, []
    for track in tracks:
        numbers = sorted(track.frames)
        start, stop = _longest_run(numbers)
        run = numbers[start:stop]
        if len(run) < len(numbers):
            gaps.append(f"{track.name} ({format_frames(run)}, {len(numbers) - len(run)} left out)")
        runs[track.name] = _FrameRun([track.frames[k] for k in run[: config.n_frames]], run[0])
    kept = {name: run for name, run in runs.items() if len(run.bodies) >= config.min_frames}
    if not kept:
        longest = max(len(run.bodies) for run in runs.values())
        remedy = "Pass all time points together: a (t, z, y, x) file, or a folder with one file a frame."
        if len(tracks) > 1 and max(max(track.frames) for track in tracks) > 0:
            remedy = "If a cell has another number in each frame, track the cells first, or make one mask of the cell."
        raise SequenceError(
            f"the longest of {len(tracks)} sequences has {longest} frame{'s' * (longest > 1)} in a row; "
            f"expected at least {config.min_frames}.",
            remedy=warnings.border_message() if warnings.cut_by_border else remedy,
        )
    if gaps:
        _LOG.warning("Sequences with gaps, of which the longest run is used: %s.", format_names(gaps))
    _warn_of_short_runs([name for name in runs if name not in kept], config.min_frames)
    return kept


def _longest_run(numbers: Sequence[int]) -> tuple[int, int]:
    """Return start and stop indices, among increasing numbers, of the first longest run without a gap."""
    cuts = [0, *(k for k in range(1, len(numbers)) if numbers[k] - numbers[k - 1] > 1), len(numbers)]
    return max(itertools.pairwise(cuts), key=lambda run: run[1] - run[0])


def _warn_of_short_runs(names: list[str], least: int) -> None:
    """Log that the named sequences are left out because they have fewer than ``least`` frames in a row."""
    if names:
        _LOG.warning("Sequences of fewer than %d frames in a row are left out: %s.", least, format_names(names))


def _drop_frames_without_samples(
    aligned: dict[str, _FrameRun], box: float, config: PrepareConfig
) -> dict[str, _FrameRun]:
    """Return each sequence's longest run of frames in which at least one sample lies inside a body.

    What is left out is logged, and bodies without a sample in frames where another body has one.

    Parameters
    ----------
    aligned : dict of str to _FrameRun
        Aligned bodies by the sequences' names.
    box : float
        Side of the cube, µm.
    config : PrepareConfig
        Its ``shape`` is the number of samples along a side; shorter runs than its ``min_frames`` are dropped.

    Returns
    -------
    dict of str to _FrameRun
        The sequences that remain.

    Raises
    ------
    SequenceError
        When none remains.
    """
    grid = _centred_grid(_voxel_size(box, config.shape), config.shape)
    kept: dict[str, _FrameRun] = {}
    without: dict[str, str] = {}
    for name, run in aligned.items():
        inside = [[has_sample(body, grid) for body in bodies] for bodies in run.bodies]
        bad = [k for k, each in enumerate(inside) if not any(each)]
        lost = [k for k, each in enumerate(inside) if any(each) and not all(each)]
        if lost:
            text = "%s: a body of %s lies between the samples and is lost; raise shape (--shape)."
            _LOG.warning(text, name, run.format_frames(lost))
        start, stop = _longest_run_without(bad, len(run.bodies))
        if not bad or stop - start >= config.min_frames:
            kept[name] = run.part(start, stop)
        if bad:
            rest = f"; {kept[name].format_frames(range(stop - start))} are used" if name in kept else ""
            without[name] = f"{name} ({run.format_frames(bad)}{rest})"
    if not without:
        return kept
    names = format_names(list(without.values()))
    text = f"too small for samples of {grid.spacing[0]:.3g} µm, none lies inside: {names}"
    remedy = "Leave them out (labels, --label), or raise shape (--shape)"
    if not kept:
        raise SequenceError(f"all sequences are {text}.", remedy=f"{remedy}, or make the box smaller (box_um, --box).")
    _LOG.warning("Left out, %s. %s.", text, remedy)
    return kept


def _longest_run_without(gaps: list[int], count: int) -> tuple[int, int]:
    """Return start and stop of the longest run of indices below ``count`` that holds no gap; (0, 0) for none."""
    others = [k for k in range(count) if k not in gaps]
    return (others[(run := _longest_run(others))[0]], others[run[1] - 1] + 1) if others else (0, 0)


def _warn_of_touching_bodies(aligned: Mapping[str, _FrameRun]) -> None:
    """Log a warning about frames with one body that looks like two touching ones (:func:`looks_like_two`)."""
    entries = []
    for name, run in aligned.items():
        found = [k for k, bodies in enumerate(run.bodies) if len(bodies) == 1 and looks_like_two(bodies[0])]
        if found:
            entries.append(f"{name} ({run.format_frames(found)})")
    if entries:
        _LOG.warning("Looks like two touching bodies under one label: %s. %s", format_names(entries), _TWO)


def _largest_coordinate(bodies: Bodies) -> float:
    """Return the largest magnitude of any coordinate of the bodies, µm: the half side of the cube that they fill."""
    return max(float(np.abs(body.bounds).max()) for body in bodies)


def _cube_side(aligned: Mapping[str, _FrameRun], config: PrepareConfig) -> float:
    """Return the side of the cube that all sequences are sampled in, µm, ``shape`` voxels long.

    It is ``box_um`` where that is given. Otherwise the outermost samples lie a tenth beyond the largest coordinate of
    all bodies. Raises SequenceError if a body reaches beyond the outermost samples of a given box.
    """
    samples = config.shape / (config.shape - 1)
    if config.box_um is None:
        largest = max(_largest_coordinate(bodies) for run in aligned.values() for bodies in run.bodies)
        return 2 * (1 + _MARGIN) * largest * samples
    for name, run in aligned.items():
        for index, bodies in enumerate(run.bodies, start=run.first):
            needed = 2 * _largest_coordinate(bodies) * samples
            if needed > config.box_um:
                raise SequenceError(
                    f"box_um is {config.box_um:g}; frame {index} of {name} needs {needed:.4g}.",
                    remedy="Pass a larger box, or none to have it chosen.",
                )
    return float(config.box_um)


def _voxel_size(box: float, samples: int) -> Triple:
    """Return the voxel size (z, y, x) in µm of a cube with side ``box`` µm and ``samples`` voxels along each side."""
    return (box / samples,) * 3


def _centred_grid(spacing: Triple, n: int) -> Grid:
    """Return the grid of n³ samples whose middle is the origin; ``spacing`` in µm, (z, y, x)."""
    return Grid((n, n, n), spacing, tuple(-0.5 * (n - 1) * np.asarray(spacing)))


def _write(path: Path, frames: list[Bodies], info: SequenceInfo, n: int, progress: ProgressReporter) -> None:
    """Sample the signed distances of a sequence on n³ voxels and write them, frame by frame.

    Of several bodies in a frame the smallest distance counts. The progress is reported after each frame.
    """
    grid = _centred_grid(info.spacing, n)  # type: ignore[arg-type]

    def sampled() -> Iterator[Floats32]:
        for bodies in frames:
            yield np.minimum.reduce([mesh_sdf(body, grid, clamp=info.clamp) for body in bodies])
            progress.step()

    write_sequence(path, sampled(), (len(frames), n, n, n), info)
    _LOG.info("%s: %d frames, cytoform %s", path, len(frames), __version__)
