"""Codes and rotations of the published auto-decoder, which lie in files of their own beside its weights.

An experiment's folder there holds ``model_parameters/model.pth`` (or ``latest.pth``, or ``e0350_model.pth`` of an
epoch) and ``latent_codes/lat_vecs.mat`` with ``rot_angs.mat`` (or ``e0350_…``), or ``latent_codes/latest.pth``; older
ones hold ``latent_vecs.mat`` and ``rot_ang.mat`` next to the folders. ``specs.json`` tells samples and frames.

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
from .model import Learned, Space
from .reference import REMEDY, load_tensors

if TYPE_CHECKING:
    from .model import AutoDecoder

__all__ = ["checkpoint_in", "learned_of", "measured_space"]

_LOG = logging.getLogger(__name__)

Given = npt.ArrayLike | str | os.PathLike[str]

_FRAMES, _SAMPLES = 30, 64  # of a reconstruction, where no specs.json tells
_CODES, _ROTATIONS = ("lat_vecs", "latent_vecs", "latent_codes", "codes"), ("rot_ang", "rot_angs", "rotations")
_EXPECTED = (
    "Expected what the published training writes: .mat with lat_vecs or rot_ang, .pth with latent_codes; or .npy."
)
_ASKED_CODES, _ASKED_TIMES, _ASKED_SIDE = 4, (-1.0, 0.0, 1.0), 24  # where a network's slope is measured


def checkpoint_in(place: Path) -> Path:
    """The weights in an experiment's folder: of the end, else of the last epoch; a file is taken as it is.

    Raises
    ------
    FileFormatError
        When there are none.
    """
    if not place.is_dir():
        return place
    inside = place / "model_parameters" if (place / "model_parameters").is_dir() else place
    there = sorted(path for path in inside.glob("*.pth") if "latent" not in path.stem and "rot" not in path.stem)
    for name in ("model.pth", "latest.pth"):
        if inside / name in there:
            return inside / name
    if not there:
        raise FileFormatError(f"{place} holds no .pth file, nor does a folder model_parameters in it.", remedy=REMEDY)
    last = max(there, key=lambda path: [int(n) for n in re.findall(r"\d+", path.stem)] or [-1])
    if len(there) > 1:
        _LOG.warning("%s holds %d checkpoints; %s is taken.", inside, len(there), last.name)
    return last


def learned_of(
    path: Path, content: Mapping[Any, Any], latent: int, codes: Given | None, rotations: Given | None
) -> tuple[Learned, list[str]]:
    """Codes and rotations that were given, or that are in the checkpoint or beside it.

    Parameters
    ----------
    path : Path
        The checkpoint.
    content : mapping
        What it holds.
    latent : int
        Length of a code.
    codes, rotations : array or path, optional

    Returns
    -------
    Learned
        Without codes where none were found.
    list of str
        The files that were looked for.

    Raises
    ------
    FileFormatError
        When a file cannot be read, or shapes do not fit.
    """
    start = path.stem.removesuffix("model") if path.stem.endswith("model") else ""  # e0350_ of an epoch
    wanted = [f"{start}lat_vecs.mat", f"{start}latent_vecs.mat", path.name, "latent_codes.pth"]
    found, looked = _found(path, content, codes, _CODES, wanted)
    if found is None:
        if rotations is not None:
            raise FileFormatError(
                f"rotations were given for {path.name}, and no codes were found; expected codes with them.",
                remedy="Pass codes= (--codes) as well, such as latent_codes/lat_vecs.mat.",
            )
        return Learned(torch.zeros(0, latent), torch.zeros(0, 4), [], []), looked
    numbers = _codes(found, latent)
    turns, _ = _found(path, content, rotations, _ROTATIONS, [f"{start}rot_angs.mat", f"{start}rot_ang.mat"])
    if turns is None:
        _LOG.warning(
            "No rotations were found for the %d codes of %s: shapes come as the network knows them, not turned.",
            len(numbers),
            path.name,
        )
    names = [f"seq_{k:03d}" for k in range(len(numbers))]
    frames = _specs(path).frames
    quaternions = torch.from_numpy(_quaternions(turns, len(numbers))).float()
    made = Learned(torch.from_numpy(numbers), quaternions, names, [""] * len(names), len(names), [frames] * len(names))
    return made, looked


class _Named:
    """Numbers, and where they came from, for messages."""

    def __init__(self, values: Any, origin: str) -> None:
        self.values, self.origin = np.asarray(values, dtype=np.float64), origin


def _found(
    path: Path, content: Mapping[Any, Any], given: Given | None, keys: Sequence[str], names: Sequence[str]
) -> tuple[_Named | None, list[str]]:
    if isinstance(given, (str, os.PathLike)):
        read = _read(Path(given), keys)
        if read is None:
            raise FileFormatError(f"{given} holds none of {', '.join(keys)}.", remedy=_EXPECTED)
        return read, []
    if given is not None:
        return _Named(given, f"the {keys[-1]} given"), []
    inside = _inside(content, keys)
    if inside is not None:
        return _Named(inside, f"{path.name}"), []
    there = [place for place in _beside(path, names) if place.is_file()]
    found = next((numbers for place in there if (numbers := _read(place, keys)) is not None), None)
    return found, [f"latent_codes/{name}" for name in names]


def _beside(path: Path, names: Sequence[str]) -> Iterator[Path]:
    here = path.parent
    above = here.parent if here.name == "model_parameters" else here
    for folder in (above / "latent_codes", above, here):
        for name in names:
            if folder / name != path:
                yield folder / name


def _inside(content: Any, keys: Sequence[str]) -> Any:
    """A tensor, or the weight of an embedding, of a checkpoint; None where it has none."""
    if not isinstance(content, Mapping):
        return None
    for key in keys:
        value = content.get(key)
        value = value.get("weight") if isinstance(value, Mapping) else value
        if isinstance(value, torch.Tensor):
            return value.detach().double().numpy()
    return None


def _read(place: Path, keys: Sequence[str]) -> _Named | None:
    """Numbers of a .pth, .mat or .npy file; None where it holds others.

    Raises
    ------
    FileFormatError
    """
    if not place.is_file():
        raise FileFormatError(f"{place} does not exist or is not a file.", remedy=_EXPECTED)
    kind = place.suffix.lower()
    try:
        if kind == ".mat":
            from scipy.io import loadmat

            content = loadmat(place)
            found = next((content[key] for key in keys if key in content), None)
        elif kind == ".npy":
            found = np.load(place, allow_pickle=False)
        else:
            loaded = load_tensors(place)
            found = loaded.numpy() if isinstance(loaded, torch.Tensor) else _inside(loaded, keys)
        return None if found is None else _Named(found, str(place))
    except FileFormatError:
        raise
    except Exception as error:  # scipy's reader of .mat files raises errors of many kinds on damaged ones
        raise FileFormatError(f"{place} cannot be read: {error}", remedy=_EXPECTED) from error


def _codes(found: _Named, latent: int) -> Floats32:
    values = found.values
    if values.ndim == 3 and values.shape[1] == 1:  # as the code before embeddings stored them
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


def _quaternions(found: _Named | None, count: int) -> Floats:
    """(count, 4) of angles (count, 3) in radians, intrinsic about the first, second and third axis; or of matrices."""
    if found is None:
        return np.tile([1.0, 0.0, 0.0, 0.0], (count, 1))
    values = found.values
    if values.shape in ((3,), (1, 3)) and count != 1:
        _LOG.warning("%s has one rotation; it is taken for all %d sequences.", found.origin, count)
        values = np.tile(values.reshape(1, 3), (count, 1))
    values = values.reshape(1, 3) if values.shape == (3,) else values
    if values.shape == (count, 3) and np.isfinite(values).all():
        return rotation.from_angles(values)
    if values.shape == (count, 3, 3) and np.allclose(values @ values.swapaxes(1, 2), np.eye(3), atol=1e-4):
        return rotation.quaternion_of(values)
    raise FileFormatError(
        f"{found.origin} has rotations of shape {found.values.shape}; expected ({count}, 3) angles in radians, or "
        f"({count}, 3, 3) matrices, one for each code.",
        remedy="Pass the rotations that belong to these codes.",
    )


# ---------------------------------------------------------------------------------------------------------------------
# The cube


def _specs(path: Path) -> Space:
    """Samples and frames that an experiment's ``specs.json`` tells, or a guess."""
    for folder in (path.parent, path.parent.parent):
        place = folder / "specs.json"
        if place.is_file():
            try:
                text = json.loads(place.read_text(encoding="utf-8"))
                return Space(max(map(int, text["ReconstructionDims"])), int(text["ReconstructionFramesPerSequence"]))
            except (OSError, ValueError, KeyError, TypeError) as error:
                told = f"{_SAMPLES}³ and {_FRAMES} are taken"
                _LOG.warning("%s tells no samples and frames (%r); %s.", place, error, told)
                break
    return Space(_SAMPLES, _FRAMES)


def measured_space(path: Path, model: AutoDecoder) -> Space:
    """The cube of a published network: samples and frames by its specs, slope and clamp by what it answers.

    Published distances are clamped and divided by their largest magnitude, so that their slope is not 1; following the
    surface (``neural.decode``) has to know it. It is measured where the sign changes, for a few codes and times.
    """
    told = _specs(path)
    codes = model.learned.codes[:_ASKED_CODES] if len(model.learned) else torch.zeros(1, model.config.latent)
    axis = torch.linspace(-1.0, 1.0, _ASKED_SIDE, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1)
    slopes, tops = [], []
    for code in codes.numpy():
        for time in _ASKED_TIMES:
            points = np.concatenate([grid.reshape(-1, 3).numpy(), np.full((_ASKED_SIDE**3, 1), time)], 1)
            values = model.decode(points, code).astype(np.float64)
            beside = _beside_surface(values.reshape((_ASKED_SIDE,) * 3))
            if len(beside):
                slopes.append(_slopes(model, points[beside], code))
                tops.append(float(values.max()))
    if not slopes:
        return Space(told.samples, told.frames)
    slope = float(np.percentile(np.concatenate(slopes), 90))
    return Space(told.samples, told.frames, slope=slope, clamp=min(tops))


def _beside_surface(values: Floats) -> Ints:
    """Numbers of the samples whose sign differs from that of a next one."""
    inside = values < 0
    beside = np.zeros(values.shape, dtype=bool)
    for axis in range(3):
        first = [slice(None)] * 3
        first[axis] = slice(None, -1)
        beside[tuple(first)] |= np.diff(inside, axis=axis)
    return np.flatnonzero(beside)


def _slopes(model: AutoDecoder, points: Floats, code: Array) -> Floats:
    """Sizes of the gradient by place (n,)."""
    like = model.layers[0].matrix
    at = torch.as_tensor(points, dtype=like.dtype).requires_grad_()
    (gradient,) = torch.autograd.grad(model(at, torch.as_tensor(code, dtype=like.dtype)).sum(), at)
    return np.linalg.norm(gradient[:, :3].double().numpy(), axis=1)
