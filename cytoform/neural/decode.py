"""From a code to sampled distances: every voxel, or only those that the surface may pass.

Following the surface: blocks of 8³ voxels are asked at their centre. Where the distance there is larger than the
surface could be away from any voxel of the block, the whole block lies on one side; else it is split in eight, down to
single voxels. The network's distance is one up to its errors, for which ``MARGIN`` leaves room.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from .._typing import Floats, Floats32, Ints
from ..errors import ConfigError
from . import blocks
from .model import AutoDecoder
from .workers import Workers

__all__ = ["Decoder", "Sampling"]


MARGIN = 1.5  # by how much the network's distance may change quicker than a true one
COARSEST = 8  # voxels along the side of the first blocks
_CLAMP_ROOM = 0.8  # a block's limit stays below this part of the clamp, else nothing could be ruled out
_EDGE = 1e-6  # of half the cube's side
_EIGHT = np.stack(np.meshgrid((0, 1), (0, 1), (0, 1), indexing="ij"), -1).reshape(-1, 3)
_LEAST = 0.25  # voxels from the surface that a voxel in a block without surface is given at least


@dataclasses.dataclass(frozen=True)
class Sampling:
    """Samples in the network's coordinates: voxel n of an axis sits at ``first + n * step``.

    Attributes
    ----------
    shape : (3,) int
    first, step : (3,) float
    """

    shape: tuple[int, int, int]
    first: tuple[float, float, float]
    step: tuple[float, float, float]

    @classmethod
    def cube(cls, shape: int | Sequence[int], half: float = 1.0) -> Sampling:
        """A cube in ``shape`` samples: each axis, or the longest where they differ, runs from −half to half.

        −1 and 1 are the first and the last sample of the training's cube.

        Raises
        ------
        ConfigError
            When the shape is not one or three numbers of at least 2.
        """
        n = (int(shape),) * 3 if isinstance(shape, (int, np.integer)) else tuple(int(k) for k in shape)
        if len(n) != 3 or min(n) < 2:
            raise ConfigError(f"shape is {shape!r}; expected a number of samples of at least 2, or three of them.")
        step = 2.0 * half / (max(n) - 1)
        first = tuple(-0.5 * step * (k - 1) for k in n)
        return cls(n, first, (step, step, step))  # type: ignore[arg-type]

    def corners(self) -> Floats:
        """Outermost samples (8, 3)."""
        return self.first + _EIGHT * (np.asarray(self.shape) - 1) * self.step  # type: ignore[no-any-return]


class Decoder:
    """Samples a model's distance, and counts how often it asks the network.

    Parameters
    ----------
    model : AutoDecoder
    device : torch.device
    workers : Workers

    Attributes
    ----------
    evaluations : int
        Points that the network was asked so far.
    """

    def __init__(self, model: AutoDecoder, workers: Workers) -> None:
        like = model.layers[0].matrix
        self.model, self._workers, self._dtype = model, workers, like.dtype
        self._folded = blocks.fold(model, device=workers.device)
        self.evaluations = 0

    def frame(
        self,
        code: torch.Tensor,
        time: float,
        sampling: Sampling,
        *,
        rotation: npt.ArrayLike | None = None,
        exhaustive: bool = False,
    ) -> Floats32:
        """Distances of one frame in the network's unit.

        Parameters
        ----------
        code : (latent,)
        time : float
            −1 for the first frame … 1 for the last.
        sampling : Sampling
        rotation : (3, 3), optional
        exhaustive : bool
            Ask at every voxel. Otherwise voxels well off the surface get an interpolated distance of the right sign.

        Returns
        -------
        ``sampling.shape`` float32
        """
        ask = _Question(self, code, time, sampling, rotation)
        return _everywhere(ask, sampling) if exhaustive else _along_surface(ask, sampling, self.model)


def _knows_beyond(model: AutoDecoder) -> bool:
    """Whether the network may have learned from places outside of its cube, as it does with rotations."""
    return bool(model.notes.get("training", {}).get("rotation", True))


class _Question:
    """Asks the network for distances at places given in voxels.

    Outside of the cube that the network knows, the distance at its border grows by the way from there.
    """

    def __init__(self, decoder: Decoder, code: torch.Tensor, time: float, sampling: Sampling, rotation: object) -> None:
        device = decoder._workers.device
        self._decoder, self._time = decoder, time
        self._code = code.to(device=device, dtype=decoder._dtype)
        self._first, self._step = np.asarray(sampling.first), np.asarray(sampling.step)
        self._turn = np.eye(3) if rotation is None else np.asarray(rotation, dtype=np.float64)
        reach = float(np.abs(sampling.corners() @ self._turn).max())
        self._leaves = reach > 1.0 + _EDGE and not _knows_beyond(decoder.model)
        self._slope = decoder.model.space.slope

    def __call__(self, index: Floats | Ints) -> Floats32:
        places = (self._first + index * self._step) @ self._turn
        if self._leaves:
            inside = np.clip(places, -1.0, 1.0)
            further = np.linalg.norm(places - inside, axis=1)
            return self._ask(inside) + (self._slope * further).astype(np.float32)
        return self._ask(places)

    def _ask(self, places: Floats) -> Floats32:
        points = np.empty((len(places), 4), dtype=np.float32 if self._decoder._dtype == torch.float32 else np.float64)
        points[:, :3], points[:, 3] = places, self._time
        self._decoder.evaluations += len(points)
        given = torch.from_numpy(points).to(self._decoder._workers.device)
        found = self._decoder._workers.values(self._decoder._folded, given, self._code)
        return found.cpu().numpy().astype(np.float32, copy=False)


def _everywhere(ask: _Question, sampling: Sampling) -> Floats32:
    nz, ny, nx = sampling.shape
    plane = np.stack(np.meshgrid(np.arange(ny), np.arange(nx), indexing="ij"), -1).reshape(-1, 2)
    out = np.empty((nz, ny * nx), dtype=np.float32)
    for z in range(nz):
        out[z] = ask(np.concatenate([np.full((len(plane), 1), z), plane], 1))
    return out.reshape(nz, ny, nx)


def _along_surface(ask: _Question, sampling: Sampling, model: AutoDecoder) -> Floats32:
    side = _first_side(sampling, model)
    if side < 2:
        return _everywhere(ask, sampling)
    count = tuple(-(-n // side) for n in sampling.shape)
    corners = np.stack(np.meshgrid(*(np.arange(n) * side for n in count), indexing="ij"), -1).reshape(-1, 3)
    found = ask(corners + 0.5 * (side - 1))
    field = _spread(found.reshape(count), side)
    beside = np.abs(found) <= 3.0 * _limit(side, sampling, model)
    _settle(field, corners[beside], side, found[beside], _least(sampling, model))
    while True:
        near = np.abs(found) <= _limit(side, sampling, model)
        corners = corners[near]
        side //= 2
        corners = (corners[:, None] + side * _EIGHT).reshape(-1, 3)
        if not len(corners):
            break
        if side == 1:
            field[tuple(corners.T)] = ask(corners)
            break
        found = ask(corners + 0.5 * (side - 1))
        _settle(field, corners, side, found, _least(sampling, model))
    nz, ny, nx = sampling.shape
    return np.ascontiguousarray(field[:nz, :ny, :nx])


def _limit(side: int, sampling: Sampling, model: AutoDecoder) -> float:
    """Largest distance at a block's centre with which the surface may still pass between its voxels."""
    half = 0.5 * side * float(np.linalg.norm(sampling.step))
    return MARGIN * model.space.slope * half


def _least(sampling: Sampling, model: AutoDecoder) -> float:
    return _LEAST * min(sampling.step) * model.space.slope


def _first_side(sampling: Sampling, model: AutoDecoder) -> int:
    clamp = model.space.clamp
    side = COARSEST
    while side > 1 and clamp is not None and _limit(side, sampling, model) > _CLAMP_ROOM * clamp:
        side //= 2
    return side


def _spread(coarse: Floats32, side: int) -> Floats32:
    """Distances at the blocks' centres interpolated linearly to their voxels, each of the sign of its block."""
    field = coarse
    for axis in range(3):
        field = np.moveaxis(np.tensordot(_weights(coarse.shape[axis], side), field, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(field)


def _weights(count: int, side: int) -> Floats32:
    """Linear interpolation from ``count`` block centres to ``count * side`` voxels; the ends go on straight."""
    place = (np.arange(count * side) - 0.5 * (side - 1)) / side
    if count == 1:
        return np.ones((side, 1), dtype=np.float32)
    low = np.clip(np.floor(place).astype(int), 0, count - 2)
    weights = np.zeros((count * side, count), dtype=np.float32)
    rows = np.arange(count * side)
    weights[rows, low] = 1.0 - (place - low)
    weights[rows, low + 1] = place - low
    return weights


def _settle(field: Floats32, corners: Ints, side: int, found: Floats32, least: float) -> None:
    """Shift each block's voxels so that their mean is what was found at its centre, all with its sign."""
    offsets = np.stack(np.meshgrid(*(np.arange(side),) * 3, indexing="ij"), -1).reshape(-1, 3)
    z, y, x = ((corners[:, axis, None] + offsets[None, :, axis]) for axis in range(3))
    held = field[z, y, x]
    held += (found - held.mean(1))[:, None]
    sign = np.where(found < 0, -1.0, 1.0).astype(np.float32)[:, None]
    field[z, y, x] = sign * np.maximum(sign * held, np.float32(least))
