"""Shapes out of a model: those it learned, new ones, and those between."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Callable, Iterator, Sequence
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
from .export import Writer
from .model import AutoDecoder
from .prior import Prior, fit_prior
from .workers import Workers

__all__ = ["Codes", "Decoding", "decode_codes", "generate", "interpolate", "reconstruct"]

_LOG = logging.getLogger(__name__)

Progress = Callable[[int, int, str], None]
Model = AutoDecoder | str | os.PathLike[str]


@dataclasses.dataclass(frozen=True, eq=False)
class Codes:
    """What shall be decoded: codes, their rotations and names.

    Attributes
    ----------
    codes : (n, latent) float
    matrices : (n, 3, 3) float
    names : list of str
    frames : list of int, optional
        Frames of each, where nothing else is asked for; those of the training by default.
    box : float
        Side of the cube that is sampled, in sides of the training's.
    """

    codes: Floats
    matrices: Floats
    names: list[str]
    frames: list[int] | None = None
    box: float = 1.0


class Decoding(TypedDict, total=False):
    """Options of everything that decodes, all by keyword.

    Attributes
    ----------
    frames : int or list of float, optional
        Number of frames, or their times from −1 (first) to 1 (last); by default as in training.
    shape : int or (3,) int, optional
        Samples along the sides; by default as in training. −1 … 1 spans the longest.
    formats : list of str
        Of the files: ``h5`` (by default), ``mat``, ``mask`` (TIFF), ``mesh`` (PLY a frame), ``points`` (PLY a frame).
    exhaustive : bool
        Ask the network at every voxel instead of following the surface.
    device : str
        ``auto`` (by default), ``cpu`` or ``cuda``.
    overwrite : bool
        Replace files that are there.
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
    """The sequences that a model has learned, at any resolution in space and time.

    Parameters
    ----------
    model : AutoDecoder or path
    which : int, str or list of these, optional
        Sequences by number or name; by default all that were given in training.
    out : path, optional
        Folder for files. Without it sequences in memory are returned.
    rotation : str or array
        ``learned``; ``none``, as the network knows the shape; or a matrix, quaternion or three angles.
    **options
        Resolution, formats and device, by keyword: see :class:`Decoding`.

    Returns
    -------
    list of SDFSequence, or of the paths that were written

    Raises
    ------
    SequenceError, ConfigError, FileFormatError, OutputError
    """
    model = _opened(model)
    model.check_learned()
    one = isinstance(which, (int, np.integer, str))
    chosen = range(model.learned.originals) if which is None else [which] if one else which
    index = [model.learned.index(w) for w in chosen]
    if not index:
        raise ConfigError("which names no sequence; expected at least one, or None for all.")
    matrices = np.stack([_matrix(model, k, rotation) for k in index])
    own = [model.learned.frames[k] for k in index] if model.learned.frames else None
    codes = Codes(model.learned.codes.double().numpy()[index], matrices, [model.learned.names[k] for k in index], own)
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
    """New living shapes, from codes drawn at random.

    Parameters
    ----------
    model : AutoDecoder or path
    n : int
    prior : str or Prior
        ``gaussian``: fitted to the learned codes; ``near``: noise around them; ``mixture``: several Gaussians.
    spread : float, optional
        Width of the prior relative to the learned codes.
    seed : int
    rotation : str or array
        ``none``; ``random``, any rotation, one for each shape; or a matrix, quaternion or three angles.

    The other options, and what is returned, are as in :func:`reconstruct`.

    Raises
    ------
    ConfigError, FileFormatError, OutputError
    """
    model = _opened(model)
    if n < 1:
        raise ConfigError(f"n is {n}; expected at least 1.")
    rng = np.random.default_rng((seed, 4))
    if isinstance(prior, str):
        model.check_learned()
    source = fit_prior(model.learned, prior, spread=spread, seed=seed) if isinstance(prior, str) else prior
    drawn = source.draw(n, rng)
    names = [f"generated_{k:03d}" for k in range(n)]
    codes = Codes(drawn, _given_matrices(rotation, n, rng), names)
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
    """Shapes between two learned ones, or one of them between its frames and voxels.

    Parameters
    ----------
    model : AutoDecoder or path
    start, end : int, str or (latent,) array
        Sequences by number or name, or codes. With ``end``, ``steps`` codes on the straight line between them, both
        included; without it, the one sequence at other times (``frames``) or samples (``shape``).
    steps : int
    rotation : str or array
        ``none``, or a matrix, quaternion or three angles; ``learned`` without ``end``.

    The other options, and what is returned, are as in :func:`reconstruct`.
    """
    model = _opened(model)
    if end is None and isinstance(start, (int, np.integer, str)):
        return reconstruct(model, start, out, rotation=rotation, **options)
    if steps < 2 and end is not None:
        raise ConfigError(f"steps is {steps}; expected at least 2, the start and the end.")
    a = model.code(start).double().numpy()
    b = a if end is None else model.code(end).double().numpy()
    along = np.linspace(0.0, 1.0, steps if end is not None else 1)[:, None]
    names = [f"between_{k:03d}" for k in range(len(along))]
    codes = Codes(a + along * (b - a), _given_matrices(rotation, len(along), np.random.default_rng(0)), names)
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
    """Sequences of given codes; parameters and result as in :func:`reconstruct`."""
    own = codes.frames or [model.space.frames] * len(codes.names)
    times = [_times(n if frames is None else frames) for n in own]
    total, done = sum(map(len, times)), 0
    sampling = Sampling.cube(model.space.samples if shape is None else shape, codes.box)
    writer = None if out is None else Writer(Path(out), formats, overwrite=overwrite, names=codes.names)
    made: list[SDFSequence] = []
    with Workers(torch_device(device)) as workers:
        decoder = Decoder(model, workers)
        for k, name in enumerate(codes.names):
            info = _info(model, sampling, times[k], own[k], name, source)
            code = torch.as_tensor(codes.codes[k])
            stream = _stream(decoder, code, codes.matrices[k], times[k], sampling, exhaustive)
            told = _told(stream, done, total, name, progress)
            if writer is None:
                made.append(SDFSequence(np.stack(list(told)), info))
            else:
                writer.write(name, told, (len(times[k]), *sampling.shape), info)
            done += len(times[k])
    return made if writer is None else writer.written


def _stream(
    decoder: Decoder,
    code: torch.Tensor,
    matrix: Floats,
    times: Sequence[float],
    sampling: Sampling,
    exhaustive: bool,
) -> Iterator[Floats32]:
    unit = np.float32(decoder.model.space.half_um or 1.0)
    for time in times:
        yield decoder.frame(code, time, sampling, rotation=matrix, exhaustive=exhaustive) * unit


def _told(
    stream: Iterator[Floats32], done: int, total: int, name: str, progress: Progress | None
) -> Iterator[Floats32]:
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


def _opened(model: Model) -> AutoDecoder:
    return model if isinstance(model, AutoDecoder) else AutoDecoder.load(model)


def _times(frames: int | Sequence[float]) -> list[float]:
    if isinstance(frames, (int, np.integer)):
        if frames < 1:
            raise ConfigError(f"frames is {frames}; expected at least 1.")
        return np.linspace(-1.0, 1.0, int(frames)).tolist() if frames > 1 else [-1.0]
    times = [float(t) for t in frames]
    if not times or not np.isfinite(times).all():
        raise ConfigError(f"frames is {frames!r}; expected a number of frames or a list of times from −1 to 1.")
    return times


def _info(
    model: AutoDecoder, sampling: Sampling, times: Sequence[float], frames: int, name: str, source: str
) -> SequenceInfo:
    space = model.space
    spacing = None if space.half_um is None else tuple(s * space.half_um for s in sampling.step)
    step = None
    if space.time_step is not None and len(times) > 1:
        step = space.time_step * (frames - 1) * abs(times[1] - times[0]) / 2.0 or None
    clamp = None if space.clamp is None else space.clamp * (space.half_um or 1.0)
    return SequenceInfo(spacing=spacing, time_step=step, clamp=clamp, name=name, source=source)  # type: ignore[arg-type]


def _matrix(model: AutoDecoder, index: int, rotation: npt.ArrayLike | str) -> Floats:
    if isinstance(rotation, str) and rotation == "learned":
        return model.rotation(index)
    return _given_matrices(rotation, 1, np.random.default_rng(0))[0]


def _given_matrices(rotation: npt.ArrayLike | str, n: int, rng: np.random.Generator) -> Floats:
    if isinstance(rotation, str):
        if rotation == "random":
            drawn = rng.standard_normal((n, 4))
            return np.stack([rotations.as_matrix(q) for q in drawn])
        if rotation != "none":
            raise ConfigError(f"rotation is {rotation!r}; expected 'none', 'random', 'learned' or numbers.")
        return np.tile(np.eye(3), (n, 1, 1))
    return np.tile(rotations.as_matrix(rotation), (n, 1, 1))
