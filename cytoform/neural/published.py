"""Codes and rotations of the published auto-decoder, which are in files of their own beside its weights.

An experiment's folder there holds ``model_parameters/model.pth`` (or ``latest.pth``, or ``e0350_model.pth`` of an
epoch) and ``latent_codes/lat_vecs.mat`` with ``rot_angs.mat`` (or ``e0350_…``), or ``latent_codes/latest.pth``; older
ones hold ``latent_vecs.mat`` and ``rot_ang.mat`` next to the folders. ``specs.json`` holds samples and frames.

Ref: github.com/MIAGroupUT/IMPLICIT-CELL-SURFACES; Wiesner et al. 2024, doi 10.1016/j.media.2023.102991.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from .._typing import Array, Floats, Floats32, Ints
from ..errors import FileFormatError
from . import rotation
from .model import LearnedSequences, TrainingCube
from .reference import REMEDY, load_tensors

if TYPE_CHECKING:
    from .model import AutoDecoder

__all__ = ["find_checkpoint", "measure_training_cube", "read_learned_sequences"]

_LOG = logging.getLogger(__name__)

Given = npt.ArrayLike | str | os.PathLike[str]

_FRAMES, _SAMPLES = 30, 64  # of a reconstruction, where there is no specs.json
_CODES, _ROTATIONS = ("lat_vecs", "latent_vecs", "latent_codes", "codes"), ("rot_ang", "rot_angs", "rotations")
_EXPECTED = (
    "Expected what the published training writes: .mat with lat_vecs or rot_ang, .pth with latent_codes; or .npy."
)
_SLOPE_CODES, _SLOPE_TIMES, _SLOPE_SIDE = 4, (-1.0, 0.0, 1.0), 24  # codes, times and grid of measuring a slope


def find_checkpoint(path: Path) -> Path:
    """Return the file of weights in an experiment's folder: that of the end, else that of the last epoch.

    A path that is no folder is returned as it is. A warning says which file is taken where there are several epochs.

    Raises
    ------
    FileFormatError
        When there is no such file.
    """
    if not path.is_dir():
        return path
    folder = path / "model_parameters" if (path / "model_parameters").is_dir() else path
    files = sorted(file for file in folder.glob("*.pth") if "latent" not in file.stem and "rot" not in file.stem)
    for name in ("model.pth", "latest.pth"):
        if folder / name in files:
            return folder / name
    if not files:
        raise FileFormatError(f"{path} holds no .pth file, nor does a folder model_parameters in it.", remedy=REMEDY)
    last = max(files, key=lambda file: [int(n) for n in re.findall(r"\d+", file.stem)] or [-1])
    if len(files) > 1:
        _LOG.warning("%s holds %d checkpoints; %s is taken.", folder, len(files), last.name)
    return last


def read_learned_sequences(
    path: Path, content: Mapping[Any, Any], latent: int, codes: Given | None, rotations: Given | None
) -> tuple[LearnedSequences, list[str]]:
    """Return codes and rotations of the learned sequences: those given, or those in the checkpoint or beside it.

    Parameters
    ----------
    path : Path
        The checkpoint.
    content : mapping
        What it holds.
    latent : int
        Length of a code.
    codes : (n, latent) array or path, optional
        Latent codes, or a file of them; by default searched for.
    rotations : array or path, optional
        Three angles for each code, or matrices, or a file of them; by default searched for, and no rotations if there
        are none.

    Returns
    -------
    LearnedSequences
        Without codes where none were found.
    list of str
        The files that were searched for.

    Raises
    ------
    FileFormatError
        When a file cannot be read, or shapes do not fit.
    """
    prefix = path.stem.removesuffix("model") if path.stem.endswith("model") else ""  # e0350_ of an epoch
    wanted = [f"{prefix}lat_vecs.mat", f"{prefix}latent_vecs.mat", path.name, "latent_codes.pth"]
    found, searched = _find_numbers(path, content, codes, _CODES, wanted)
    if found is None:
        if rotations is not None:
            raise FileFormatError(
                f"rotations were given for {path.name}, and no codes were found; expected codes with them.",
                remedy="Pass codes= (--codes) as well, such as latent_codes/lat_vecs.mat.",
            )
        return LearnedSequences(torch.zeros(0, latent), torch.zeros(0, 4), [], []), searched
    numbers = _checked_codes(found, latent)
    angles, _ = _find_numbers(path, content, rotations, _ROTATIONS, [f"{prefix}rot_angs.mat", f"{prefix}rot_ang.mat"])
    if angles is None:
        _LOG.warning(
            "No rotations were found for the %d codes of %s: shapes have the orientation that the network learned.",
            len(numbers),
            path.name,
        )
    names = [f"seq_{k:03d}" for k in range(len(numbers))]
    frames = _read_specs(path).frames
    quaternions = torch.from_numpy(_checked_quaternions(angles, len(numbers))).float()
    learned = LearnedSequences(
        torch.from_numpy(numbers), quaternions, names, [""] * len(names), len(names), [frames] * len(names)
    )
    return learned, searched


class _Numbers:
    """An array of numbers, as float64, with a description of where it comes from, for messages.

    Parameters
    ----------
    values : array
        The numbers.
    origin : str
        A file's path, or what was given.
    """

    def __init__(self, values: Any, origin: str) -> None:
        self.values, self.origin = np.asarray(values, dtype=np.float64), origin


def _find_numbers(
    path: Path, content: Mapping[Any, Any], given: Given | None, keys: Sequence[str], names: Sequence[str]
) -> tuple[_Numbers | None, list[str]]:
    """Return an array that was given, or is in a given file, in the checkpoint or in a file beside it.

    Parameters
    ----------
    path : Path
        The checkpoint.
    content : mapping
        What it holds.
    given : array, path or None
        The array or the file that the user gave; None to search.
    keys : sequence of str
        Names that the array may have in a file.
    names : sequence of str
        Names of the files that may hold it.

    Returns
    -------
    _Numbers or None
        The array; None if there is none.
    list of str
        The files that were searched for; empty where no search was needed.

    Raises
    ------
    FileFormatError
        When a given file holds no such array, or a file cannot be read.
    """
    if isinstance(given, (str, os.PathLike)):
        read = _read_numbers(Path(given), keys)
        if read is None:
            raise FileFormatError(f"{given} holds none of {', '.join(keys)}.", remedy=_EXPECTED)
        return read, []
    if given is not None:
        return _Numbers(given, f"the {keys[-1]} given"), []
    inside = _numbers_in_checkpoint(content, keys)
    if inside is not None:
        return _Numbers(inside, f"{path.name}"), []
    files = [file for file in _candidate_paths(path, names) if file.is_file()]
    found = next((numbers for file in files if (numbers := _read_numbers(file, keys)) is not None), None)
    return found, [f"latent_codes/{name}" for name in names]


def _candidate_paths(path: Path, names: Sequence[str]) -> Iterator[Path]:
    """Yield the paths, in the folders of a checkpoint's experiment, where files of these names may be.

    The folders are ``latent_codes``, that of the experiment and that of the checkpoint.
    """
    parent = path.parent
    experiment = parent.parent if parent.name == "model_parameters" else parent
    for folder in (experiment / "latent_codes", experiment, parent):
        for name in names:
            if folder / name != path:
                yield folder / name


def _numbers_in_checkpoint(content: Any, keys: Sequence[str]) -> Any:
    """Return the first tensor, or embedding's weight, that a checkpoint holds under one of the keys; else None."""
    if not isinstance(content, Mapping):
        return None
    for key in keys:
        value = content.get(key)
        value = value.get("weight") if isinstance(value, Mapping) else value
        if isinstance(value, torch.Tensor):
            return value.detach().double().numpy()
    return None


def _read_numbers(path: Path, keys: Sequence[str]) -> _Numbers | None:
    """Return the array that a .pth, .mat or .npy file holds under one of the keys; None if it holds others only.

    A .npy file, and a .pth file of a single tensor, have no keys. Raises FileFormatError if the file cannot be read.
    """
    if not path.is_file():
        raise FileFormatError(f"{path} does not exist or is not a file.", remedy=_EXPECTED)
    kind = path.suffix.lower()
    try:
        if kind == ".mat":
            from scipy.io import loadmat

            content = loadmat(path)
            found = next((content[key] for key in keys if key in content), None)
        elif kind == ".npy":
            found = np.load(path, allow_pickle=False)
        else:
            loaded = load_tensors(path)
            found = loaded.numpy() if isinstance(loaded, torch.Tensor) else _numbers_in_checkpoint(loaded, keys)
        return None if found is None else _Numbers(found, str(path))
    except FileFormatError:
        raise
    except Exception as error:  # scipy's reader of .mat files raises errors of many kinds on damaged ones
        raise FileFormatError(f"{path} cannot be read: {error}", remedy=_EXPECTED) from error


def _checked_codes(found: _Numbers, latent: int) -> Floats32:
    """Return codes as (n, latent) float32, from an array (n, latent), (n, 1, latent) or (latent,).

    Raises FileFormatError if it has another shape, no rows or values that are not finite.
    """
    values = found.values
    if values.ndim == 3 and values.shape[1] == 1:  # as stored by versions without an embedding
        values = values[:, 0]
    if values.ndim == 1:
        values = values[None]
    if values.ndim != 2 or values.shape[1] != latent or not len(values) or not np.isfinite(values).all():
        raise FileFormatError(
            f"{found.origin} has codes of shape {found.values.shape}; expected (n, {latent}) finite numbers, as the "
            "network takes them.",
            remedy="Pass the codes that belong to these weights.",
        )
    return values.astype(np.float32)


def _checked_quaternions(found: _Numbers | None, count: int) -> Floats:
    """Return the quaternions (count, 4) of as many rotations, the identity for all of them if ``found`` is None.

    The rotations are angles (count, 3) in radians, intrinsic about the first, second and third axis, or matrices
    (count, 3, 3); one triple of angles is taken for all codes, with a warning. Raises FileFormatError for anything
    else.
    """
    if found is None:
        return np.tile([1.0, 0.0, 0.0, 0.0], (count, 1))
    values = found.values
    if values.shape in ((3,), (1, 3)) and count != 1:
        _LOG.warning("%s has one rotation; it is taken for all %d sequences.", found.origin, count)
        values = np.tile(values.reshape(1, 3), (count, 1))
    values = values.reshape(1, 3) if values.shape == (3,) else values
    if values.shape == (count, 3) and np.isfinite(values).all():
        return rotation.angles_to_quaternion(values)
    if values.shape == (count, 3, 3) and np.allclose(values @ values.swapaxes(1, 2), np.eye(3), atol=1e-4):
        return rotation.matrix_to_quaternion(values)
    raise FileFormatError(
        f"{found.origin} has rotations of shape {found.values.shape}; expected ({count}, 3) angles in radians, or "
        f"({count}, 3, 3) matrices, one for each code.",
        remedy="Pass the rotations that belong to these codes.",
    )


# ---------------------------------------------------------------------------------------------------------------------
# The training cube


def _read_specs(path: Path) -> TrainingCube:
    """Return the samples and frames in an experiment's ``specs.json``, or 64 samples and 30 frames if it has none.

    A file that lacks them gives a warning.
    """
    for folder in (path.parent, path.parent.parent):
        specs = folder / "specs.json"
        if specs.is_file():
            try:
                text = json.loads(specs.read_text(encoding="utf-8"))
                return TrainingCube(
                    max(map(int, text["ReconstructionDims"])), int(text["ReconstructionFramesPerSequence"])
                )
            except (OSError, ValueError, KeyError, TypeError) as error:
                defaults = f"{_SAMPLES}³ and {_FRAMES} are taken"
                _LOG.warning("%s holds no samples and frames (%r); %s.", specs, error, defaults)
                break
    return TrainingCube(_SAMPLES, _FRAMES)


def measure_training_cube(path: Path, model: AutoDecoder) -> TrainingCube:
    """Return the training cube of a published network: sampling from its specs, slope and clamp from its values.

    Published distances are clamped and divided by their largest magnitude, so that their slope is not 1; following the
    surface (``neural.decode``) needs it. The slope is the 90th percentile of the gradient's norm where the sign
    changes, the clamp the least of the frames' largest values, on a grid of 24³ points for at most four codes and three
    times.

    Parameters
    ----------
    path : Path
        The checkpoint.
    model : AutoDecoder
        The network, with its learned codes if there are any.
    """
    specs = _read_specs(path)
    codes = model.learned.codes[:_SLOPE_CODES] if len(model.learned) else torch.zeros(1, model.config.latent)
    axis = torch.linspace(-1.0, 1.0, _SLOPE_SIDE, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1)
    slopes, largest = [], []
    for code in codes.numpy():
        for time in _SLOPE_TIMES:
            points = np.concatenate([grid.reshape(-1, 3).numpy(), np.full((_SLOPE_SIDE**3, 1), time)], 1)
            values = model.decode(points, code).astype(np.float64)
            beside = _samples_beside_surface(values.reshape((_SLOPE_SIDE,) * 3))
            if len(beside):
                slopes.append(_gradient_norms(model, points[beside], code))
                largest.append(float(values.max()))
    if not slopes:
        return TrainingCube(specs.samples, specs.frames)
    slope = float(np.percentile(np.concatenate(slopes), 90))
    return TrainingCube(specs.samples, specs.frames, slope=slope, clamp=min(largest))


def _samples_beside_surface(values: Floats) -> Ints:
    """Return the numbers, in C order, of the samples whose sign differs from that of the next one along an axis."""
    inside = values < 0
    beside = np.zeros(values.shape, dtype=bool)
    for axis in range(3):
        first = [slice(None)] * 3
        first[axis] = slice(None, -1)
        beside[tuple(first)] |= np.diff(inside, axis=axis)
    return np.flatnonzero(beside)


def _gradient_norms(model: AutoDecoder, points: Floats, code: Array) -> Floats:
    """Return the norms (n,) of the network's gradient by (z, y, x) at points (n, 4), for one code."""
    dtype = model.linear_layers[0].matrix.dtype
    at = torch.as_tensor(points, dtype=dtype).requires_grad_()
    (gradient,) = torch.autograd.grad(model(at, torch.as_tensor(code, dtype=dtype)).sum(), at)
    norms: Floats = np.linalg.norm(gradient[:, :3].double().numpy(), axis=1)
    return norms
