"""Shapes decoded from a model: those that it has learned, new ones, and shapes between two others."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypedDict, Unpack

import numpy as np
import numpy.typing as npt
import torch

from .._typing import Floats, Floats32
from ..errors import ConfigError
from ..sdf.sequence import SDFSequence, SequenceInfo
from . import rotation as rotations
from .decode import Decoder, Sampling
from .devices import torch_device
from .export import SequenceWriter
from .model import AutoDecoder
from .prior import Prior, fit_prior
from .workers import Workers

__all__ = ["Codes", "Decoding", "decode_codes", "generate", "interpolate", "reconstruct"]

_LOG = logging.getLogger(__name__)

Progress = Callable[[int, int, str], None]
Model = AutoDecoder | str | os.PathLike[str]


@dataclasses.dataclass(frozen=True, eq=False)
class Codes:
    """Latent codes to decode, with a rotation and a name for each.

    Parameters
    ----------
    codes : (n, latent) float
        Latent codes.
    matrices : (n, 3, 3) float
        Rotation of each shape.
    names : list of str
        Name of each sequence, also that of its file.
    frames : list of int, optional
        Number of frames of each, unless the user asks for others; by default that of the training.
    box : float
        Side of the cube that is sampled, in sides of the training's.
    """

    codes: Floats
    matrices: Floats
    names: list[str]
    frames: list[int] | None = None
    box: float = 1.0


class Decoding(TypedDict, total=False):
    """Options of all functions that decode, by keyword.

    Attributes
    ----------
    frames : int or list of float, optional
        Number of frames, or their times from −1 (first) to 1 (last); by default as in training.
    shape : int or (3,) int, optional
        Samples along the sides; by default as in training. −1 … 1 spans the longest.
    formats : list of str
        Of the files: ``h5`` (by default), ``mat``, ``mask`` (TIFF), ``mesh`` (PLY a frame), ``points`` (PLY a frame).
    exhaustive : bool
        Evaluate the network at every voxel instead of following the surface.
    device : str
        ``auto`` (by default), ``cpu`` or ``cuda``.
    overwrite : bool
        Replace files that exist.
    progress : callable, optional
        Called with frames done, frames in all and the sequence's name.
    """

    frames: int | Sequence[float] | None
    shape: int | Sequence[int] | None
    formats: Sequence[str]
    exhaustive: bool
    device: str
    overwrite: bool
    progress: Progress | None


def reconstruct(
    model: Model,
    which: int | str | Sequence[int | str] | None = None,
    out: str | os.PathLike[str] | None = None,
    *,
    rotation: npt.ArrayLike | str = "learned",
    **options: Unpack[Decoding],
) -> list[SDFSequence] | list[Path]:
    """Decode sequences that a model has learned, at any resolution in space and time.

    Parameters
    ----------
    model : AutoDecoder or path
        The model, or its files.
    which : int, str or list of these, optional
        Sequences by number or name; by default all that were given in training.
    out : path, optional
        Folder for files. Without it sequences in memory are returned.
    rotation : str or array
        ``learned``; ``none``, as the network represents the shape; or a matrix (3, 3), a quaternion (4,) or three
        intrinsic angles (3,) in radians.
    **options
        Resolution, formats and device, by keyword: see :class:`Decoding`.

    Returns
    -------
    list of SDFSequence or of Path
        Sequences of signed distances, in µm where the model has a metric scale; or the paths that were written.

    Raises
    ------
    SequenceError
        When a sequence does not exist.
    ConfigError
        When the model has learned no sequences, or an option is out of range.
    FileFormatError
        When the model cannot be read.
    OutputError
        When files exist and ``overwrite`` is not set, or cannot be written.
    """
    model = _as_model(model)
    model.check_learned()
    chosen: Iterable[int | str]
    if which is None:
        chosen = range(model.learned.originals)
    else:
        chosen = [which] if isinstance(which, (int, np.integer, str)) else which
    index = [model.learned.index(w) for w in chosen]
    if not index:
        raise ConfigError("which names no sequence; expected at least one, or None for all.")
    matrices = np.stack([_rotation_of_sequence(model, k, rotation) for k in index])
    frames = [model.learned.frames[k] for k in index] if model.learned.frames else None
    codes = Codes(
        model.learned.codes.double().numpy()[index], matrices, [model.learned.names[k] for k in index], frames
    )
    return decode_codes(model, codes, out, source="reconstructed", **options)


def generate(
    model: Model,
    n: int,
    out: str | os.PathLike[str] | None = None,
    *,
    prior: str | Prior = "gaussian",
    spread: float | None = None,
    seed: int = 0,
    rotation: npt.ArrayLike | str = "none",
    **options: Unpack[Decoding],
) -> list[SDFSequence] | list[Path]:
    """Decode new living shapes, from latent codes drawn at random.

    Parameters
    ----------
    model : AutoDecoder or path
        The model, or its files.
    n : int
        How many shapes.
    out : path, optional
        Folder for files. Without it sequences in memory are returned.
    prior : str or Prior
        Distribution of the codes. ``gaussian``: fitted to the learned codes; ``near``: noise around them; ``mixture``:
        several Gaussians.
    spread : float, optional
        Standard deviation of the prior relative to that of the learned codes; by default 1, or 0.3 for ``near``.
    seed : int
        Of all random numbers.
    rotation : str or array
        ``none``; ``random``, a uniformly drawn rotation for each shape; or a matrix (3, 3), a quaternion (4,) or three
        intrinsic angles (3,) in radians.
    **options
        Resolution, formats and device, by keyword: see :class:`Decoding`.

    Returns
    -------
    list of SDFSequence or of Path
        Sequences of signed distances, in µm where the model has a metric scale; or the paths that were written.

    Raises
    ------
    ConfigError
        When the model has learned too few sequences, or an option is out of range.
    FileFormatError
        When the model cannot be read.
    OutputError
        When files exist and ``overwrite`` is not set, or cannot be written.
    """
    model = _as_model(model)
    if n < 1:
        raise ConfigError(f"n is {n}; expected at least 1.")
    rng = np.random.default_rng((seed, 4))
    if isinstance(prior, str):
        model.check_learned()
    distribution = fit_prior(model.learned, prior, spread=spread, seed=seed) if isinstance(prior, str) else prior
    drawn = distribution.draw(n, rng)
    names = [f"generated_{k:03d}" for k in range(n)]
    codes = Codes(drawn, _rotation_matrices(rotation, n, rng), names)
    kind = prior if isinstance(prior, str) else type(prior).__name__
    return decode_codes(model, codes, out, source=f"generated, prior {kind}, seed {seed}", **options)


def interpolate(
    model: Model,
    start: int | str | npt.ArrayLike,
    end: int | str | npt.ArrayLike | None = None,
    out: str | os.PathLike[str] | None = None,
    *,
    steps: int = 5,
    rotation: npt.ArrayLike | str = "none",
    **options: Unpack[Decoding],
) -> list[SDFSequence] | list[Path]:
    """Decode shapes on the straight line between two latent codes, or one shape between its frames and voxels.

    Parameters
    ----------
    model : AutoDecoder or path
        The model, or its files.
    start : int, str or (latent,) array
        Sequence by number or name, or a code.
    end : int, str or (latent,) array, optional
        The same for the other end of the line. Without it the one sequence is decoded at other times (``frames``) or
        samples (``shape``).
    out : path, optional
        Folder for files. Without it sequences in memory are returned.
    steps : int
        Number of codes on the line, both ends included; without ``end`` it has no effect.
    rotation : str or array
        ``none``, or a matrix (3, 3), a quaternion (4,) or three intrinsic angles (3,) in radians; ``learned`` without
        ``end``.
    **options
        Resolution, formats and device, by keyword: see :class:`Decoding`.

    Returns
    -------
    list of SDFSequence or of Path
        Sequences of signed distances, in µm where the model has a metric scale; or the paths that were written.

    Raises
    ------
    SequenceError
        When a sequence does not exist.
    ConfigError
        When a code has another length, or an option is out of range.
    FileFormatError
        When the model cannot be read.
    OutputError
        When files exist and ``overwrite`` is not set, or cannot be written.
    """
    model = _as_model(model)
    if end is None and isinstance(start, (int, np.integer, str)):
        sequence = start if isinstance(start, str) else int(start)
        return reconstruct(model, sequence, out, rotation=rotation, **options)
    if steps < 2 and end is not None:
        raise ConfigError(f"steps is {steps}; expected at least 2, the start and the end.")
    a = model.code(start).double().numpy()
    b = a if end is None else model.code(end).double().numpy()
    along = np.linspace(0.0, 1.0, steps if end is not None else 1)[:, None]
    names = [f"between_{k:03d}" for k in range(len(along))]
    codes = Codes(a + along * (b - a), _rotation_matrices(rotation, len(along), np.random.default_rng(0)), names)
    return decode_codes(model, codes, out, source="between two codes", **options)


def decode_codes(
    model: AutoDecoder,
    codes: Codes,
    out: str | os.PathLike[str] | None = None,
    *,
    frames: int | Sequence[float] | None = None,
    shape: int | Sequence[int] | None = None,
    formats: Sequence[str] = ("h5",),
    exhaustive: bool = False,
    device: str = "auto",
    overwrite: bool = False,
    progress: Progress | None = None,
    source: str = "",
) -> list[SDFSequence] | list[Path]:
    """Decode a sequence of signed distances for each of several latent codes, into memory or into files.

    Parameters
    ----------
    model : AutoDecoder
        The network.
    codes : Codes
        Latent codes, rotations and names.
    out : path, optional
        Folder for files. Without it sequences in memory are returned.
    frames : int or list of float, optional
        Number of frames, or their times from −1 to 1; by default those of ``codes``.
    shape : int or (3,) int, optional
        Samples along the sides; by default as in training.
    formats : list of str
        Of the files: some of ``h5``, ``mat``, ``mask``, ``mesh``, ``points``.
    exhaustive : bool
        Evaluate the network at every voxel instead of following the surface.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    overwrite : bool
        Replace files that exist.
    progress : callable, optional
        Called with frames done, frames in all and the sequence's name.
    source : str
        What made the sequences, stored in their metadata.

    Returns
    -------
    list of SDFSequence or of Path
        The sequences, in µm where the model has a metric scale; or the paths that were written.
    """
    usual = codes.frames or [model.space.frames] * len(codes.names)  # frames of each sequence
    times = [_frame_times(n if frames is None else frames) for n in usual]
    total, done = sum(map(len, times)), 0
    sampling = Sampling.cube(model.space.samples if shape is None else shape, codes.box)
    writer = None if out is None else SequenceWriter(Path(out), formats, overwrite=overwrite, names=codes.names)
    made: list[SDFSequence] = []
    with Workers(torch_device(device)) as workers:
        decoder = Decoder(model, workers)
        for k, name in enumerate(codes.names):
            info = _sequence_info(model, sampling, times[k], usual[k], name, source)
            code = torch.as_tensor(codes.codes[k])
            stream = _decoded_frames(decoder, code, codes.matrices[k], times[k], sampling, exhaustive)
            reported = _reported(stream, done, total, name, progress)
            if writer is None:
                made.append(SDFSequence(np.stack(list(reported)), info))
            else:
                writer.write(name, reported, (len(times[k]), *sampling.shape), info)
            done += len(times[k])
    return made if writer is None else writer.written


def _decoded_frames(
    decoder: Decoder,
    code: torch.Tensor,
    matrix: Floats,
    times: Sequence[float],
    sampling: Sampling,
    exhaustive: bool,
) -> Iterator[Floats32]:
    """Yield the signed distances (z, y, x) of a code at each time, in µm where the model has a metric scale.

    Parameters
    ----------
    decoder : Decoder
        Evaluates the network.
    code : (latent,) tensor
        Latent code of the shape.
    matrix : (3, 3) float
        Its rotation.
    times : sequence of float
        From −1 to 1.
    sampling : Sampling
        The grid.
    exhaustive : bool
        Evaluate the network at every voxel instead of following the surface.
    """
    unit = np.float32(decoder.model.space.half_um or 1.0)
    for time in times:
        yield decoder.decode_frame(code, time, sampling, rotation=matrix, exhaustive=exhaustive) * unit


def _reported(
    stream: Iterator[Floats32], done: int, total: int, name: str, progress: Progress | None
) -> Iterator[Floats32]:
    """Yield the frames of a stream unchanged, report progress after each, and warn at the end of empty ones.

    Parameters
    ----------
    stream : iterator of (z, y, x) float32
        Signed distances; a frame is empty if none is negative.
    done : int
        Frames of all earlier sequences.
    total : int
        Frames of all sequences.
    name : str
        Of this sequence, for progress and warning.
    progress : callable, optional
        Called with frames done, frames in all and the name.
    """
    empty: list[int] = []
    n = 0
    for n, frame in enumerate(stream, start=1):
        if not float(frame.min()) < 0:
            empty.append(n - 1)
        yield frame
        if progress is not None:
            progress(done + n, total, name)
    if empty:
        which = "any frame" if len(empty) == n else f"frame{'s'[: len(empty) != 1]} {', '.join(map(str, empty))}"
        _LOG.warning("%s has no shape in %s: the network's distance is nowhere negative there.", name, which)


def _as_model(model: Model) -> AutoDecoder:
    """Return the model itself, or the one that is read from a path."""
    return model if isinstance(model, AutoDecoder) else AutoDecoder.load(model)


def _frame_times(frames: int | Sequence[float]) -> list[float]:
    """Return the times of the frames: evenly spaced from −1 to 1 for a number of frames, or the list of times itself.

    Raises ConfigError if the number is below 1, or the list is empty or not finite.
    """
    if isinstance(frames, (int, np.integer)):
        if frames < 1:
            raise ConfigError(f"frames is {frames}; expected at least 1.")
        return np.linspace(-1.0, 1.0, int(frames)).tolist() if frames > 1 else [-1.0]
    times = [float(t) for t in frames]
    if not times or not np.isfinite(times).all():
        raise ConfigError(f"frames is {frames!r}; expected a number of frames or a list of times from −1 to 1.")
    return times


def _sequence_info(
    model: AutoDecoder, sampling: Sampling, times: Sequence[float], frames: int, name: str, source: str
) -> SequenceInfo:
    """Return the metadata of a decoded sequence: voxel size in µm, time step in seconds, clamp, name and source.

    Parameters
    ----------
    model : AutoDecoder
        Gives the metric scale, the time step and the clamp of its training data.
    sampling : Sampling
        Gives the voxel size.
    times : sequence of float
        Of the frames, from −1 to 1; the first two give the time step.
    frames : int
        Number of training frames between −1 and 1.
    name : str
        Of the sequence.
    source : str
        What made it.
    """
    space = model.space
    spacing = None
    if space.half_um is not None:
        z, y, x = sampling.step
        spacing = (z * space.half_um, y * space.half_um, x * space.half_um)
    step = None
    if space.time_step is not None and len(times) > 1:
        step = space.time_step * (frames - 1) * abs(times[1] - times[0]) / 2.0 or None
    clamp = None if space.clamp is None else space.clamp * (space.half_um or 1.0)
    return SequenceInfo(spacing=spacing, time_step=step, clamp=clamp, name=name, source=source)


def _rotation_of_sequence(model: AutoDecoder, index: int, rotation: npt.ArrayLike | str) -> Floats:
    """Return the rotation matrix (3, 3) for a learned sequence: the learned one for ``learned``, else that given."""
    if isinstance(rotation, str) and rotation == "learned":
        return model.rotation(index)
    matrix: Floats = _rotation_matrices(rotation, 1, np.random.default_rng(0))[0]
    return matrix


def _rotation_matrices(rotation: npt.ArrayLike | str, n: int, rng: np.random.Generator) -> Floats:
    """Return n rotation matrices (n, 3, 3) as asked for.

    ``none`` gives identities, ``random`` uniformly distributed rotations drawn from ``rng``; a matrix, quaternion or
    three angles is repeated n times. Raises ConfigError for anything else.
    """
    if isinstance(rotation, str):
        if rotation == "random":
            drawn = rng.standard_normal((n, 4))
            return np.stack([rotations.to_rotation_matrix(q) for q in drawn])
        if rotation != "none":
            raise ConfigError(f"rotation is {rotation!r}; expected 'none', 'random', 'learned' or numbers.")
        return np.tile(np.eye(3), (n, 1, 1))
    return np.tile(rotations.to_rotation_matrix(rotation), (n, 1, 1))
