"""Signed distances of a latent code on a grid of samples: at every voxel, or only where the surface may pass.

Following the surface: the network is evaluated at the centre of blocks of 8³ voxels. Where the distance there is larger
than the surface could be away from any voxel of the block, the whole block lies on one side; else it is split into
eight blocks, down to single voxels. The network's distances are inexact; ``MARGIN`` allows for their errors.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from .._typing import Array, Floats, Floats32, Ints
from ..errors import ConfigError
from . import blocks
from .model import AutoDecoder
from .workers import Workers

__all__ = ["Decoder", "Sampling"]


MARGIN = 1.5  # factor by which the network's distance may change faster than a true distance
COARSEST = 8  # voxels along the side of the first blocks
_CLAMP_SHARE = 0.8  # of the clamp: a block's split threshold stays below, else no block could be excluded
_TOLERANCE = 1e-6  # of half the cube's side
_CORNERS = np.stack(np.meshgrid((0, 1), (0, 1), (0, 1), indexing="ij"), -1).reshape(-1, 3)
_LEAST_VOXELS = 0.25  # least distance from the surface of a voxel in a block that is not split


@dataclasses.dataclass(frozen=True)
class Sampling:
    """A grid of samples in the network's coordinates: voxel n of an axis lies at ``first + n * step``.

    Parameters
    ----------
    shape : (3,) int
        Number of samples along z, y and x.
    first, step : (3,) float
        Coordinate of the first sample, and distance between samples, along each axis.
    """

    shape: tuple[int, int, int]
    first: tuple[float, float, float]
    step: tuple[float, float, float]

    @classmethod
    def cube(cls, shape: int | Sequence[int], half: float = 1.0) -> Sampling:
        """Return a grid centred in the cube, with one step for all axes, whose longest axis runs from −half to half.

        Parameters
        ----------
        shape : int or (3,) int
            Number of samples along each axis; one number stands for all three.
        half : float
            Half side of the grid; −1 and 1 are the first and the last sample of the training's cube.

        Raises
        ------
        ConfigError
            When the shape is not one or three numbers of at least 2.
        """
        n = (int(shape),) * 3 if isinstance(shape, (int, np.integer)) else tuple(int(k) for k in shape)
        if len(n) != 3 or min(n) < 2:
            raise ConfigError(f"shape is {shape!r}; expected a number of samples of at least 2, or three of them.")
        step = 2.0 * half / (max(n) - 1)
        nz, ny, nx = n
        first = (-0.5 * step * (nz - 1), -0.5 * step * (ny - 1), -0.5 * step * (nx - 1))
        return cls((nz, ny, nx), first, (step, step, step))

    def corners(self) -> Floats:
        """Return the coordinates (8, 3) of the outermost samples."""
        corners: Floats = self.first + _CORNERS * (np.asarray(self.shape) - 1) * self.step
        return corners


class Decoder:
    """Samples a model's signed distance on grids, and counts how many points the network was evaluated at.

    Parameters
    ----------
    model : AutoDecoder
        The network, copied as it is.
    workers : Workers
        Threads, and the device, that evaluate it.

    Attributes
    ----------
    evaluations : int
        Number of points at which the network was evaluated so far.
    """

    def __init__(self, model: AutoDecoder, workers: Workers) -> None:
        self.model, self._workers, self._dtype = model, workers, model.linear_layers[0].matrix.dtype
        self._folded = blocks.fold_weights(model, device=workers.device)
        self.evaluations = 0

    def decode_frame(
        self,
        code: torch.Tensor,
        time: float,
        sampling: Sampling,
        *,
        rotation: npt.ArrayLike | None = None,
        exhaustive: bool = False,
    ) -> Floats32:
        """Return the signed distances of one frame on a grid, in the network's unit.

        Parameters
        ----------
        code : (latent,) tensor
            Latent code of the shape.
        time : float
            −1 for the first frame … 1 for the last.
        sampling : Sampling
            The grid.
        rotation : (3, 3), optional
            R of the rotated shape f(Rᵀ x); by default none.
        exhaustive : bool
            Evaluate the network at every voxel. Otherwise voxels away from the surface get an interpolated distance of
            the right sign.

        Returns
        -------
        ``sampling.shape`` float32
            The distances, negative inside.
        """
        distances = _VoxelDistances(self, code, time, sampling, rotation)
        return (
            _sample_everywhere(distances, sampling)
            if exhaustive
            else _sample_along_surface(distances, sampling, self.model)
        )


def _learned_outside_cube(model: AutoDecoder) -> bool:
    """Tell whether the network may have learned from points outside of its cube, as it does if rotations are learned.

    Where the model's notes do not say how it was trained, the result is True.
    """
    return bool(model.notes.get("training", {}).get("rotation", True))


class _VoxelDistances:
    """Evaluates the network at positions given in voxels, for one code, time, grid and rotation.

    Outside of a cube that the network was not trained beyond, its value is the distance at the nearest point of the
    cube plus the distance to that point times the network's slope.

    Parameters
    ----------
    decoder : Decoder
        Whose network is evaluated, and whose evaluations are counted.
    code : (latent,) tensor
        Latent code of the shape.
    time : float
        From −1 to 1.
    sampling : Sampling
        The grid that the voxels belong to.
    rotation : (3, 3) array or None
        R of the rotated shape f(Rᵀ x).
    """

    def __init__(
        self, decoder: Decoder, code: torch.Tensor, time: float, sampling: Sampling, rotation: npt.ArrayLike | None
    ) -> None:
        device = decoder._workers.device
        self._decoder, self._time = decoder, time
        self._code = code.to(device=device, dtype=decoder._dtype)
        self._first, self._step = np.asarray(sampling.first), np.asarray(sampling.step)
        self._rotation = np.eye(3) if rotation is None else np.asarray(rotation, dtype=np.float64)
        farthest = float(np.abs(sampling.corners() @ self._rotation).max())
        self._leaves_cube = farthest > 1.0 + _TOLERANCE and not _learned_outside_cube(decoder.model)
        self._slope = decoder.model.space.slope

    def __call__(self, index: Array) -> Floats32:
        """Return the signed distances (n,) at positions (n, 3) in voxels of the grid, whole or fractional."""
        points = (self._first + index * self._step) @ self._rotation
        if self._leaves_cube:
            inside = np.clip(points, -1.0, 1.0)
            beyond = np.linalg.norm(points - inside, axis=1)
            distances: Floats32 = self._evaluate(inside) + (self._slope * beyond).astype(np.float32)
            return distances
        return self._evaluate(points)

    def _evaluate(self, points: Floats) -> Floats32:
        """Return the network's value (n,) at points (n, 3) in its coordinates, at the time and code given."""
        xyzt = np.empty((len(points), 4), dtype=np.float32 if self._decoder._dtype == torch.float32 else np.float64)
        xyzt[:, :3], xyzt[:, 3] = points, self._time
        self._decoder.evaluations += len(xyzt)
        tensor = torch.from_numpy(xyzt).to(self._decoder._workers.device)
        found = self._decoder._workers.values(self._decoder._folded, tensor, self._code)
        values: Floats32 = found.cpu().numpy().astype(np.float32, copy=False)
        return values


def _sample_everywhere(distances: _VoxelDistances, sampling: Sampling) -> Floats32:
    """Return the network's distances (z, y, x) at every voxel of a grid, evaluated plane by plane."""
    nz, ny, nx = sampling.shape
    plane = np.stack(np.meshgrid(np.arange(ny), np.arange(nx), indexing="ij"), -1).reshape(-1, 2)
    out: Floats32 = np.empty((nz, ny * nx), dtype=np.float32)
    for z in range(nz):
        out[z] = distances(np.concatenate([np.full((len(plane), 1), z), plane], 1))
    return out.reshape(nz, ny, nx)


def _sample_along_surface(distances: _VoxelDistances, sampling: Sampling, model: AutoDecoder) -> Floats32:
    """Return the distances (z, y, x) on a grid, with the network evaluated only in blocks that the surface may pass.

    The grid is divided into blocks of 8³ voxels (smaller if distances are clamped: :func:`_first_block_side`), and the
    network is evaluated at their centres. Blocks with |distance| up to :func:`_split_threshold` there are split into
    eight, down to single voxels, which get the network's own value. Voxels of the other blocks get values interpolated
    between the centres of the first blocks; near the surface these are shifted to the value at their block's centre and
    keep its sign (:func:`_shift_blocks`).

    Parameters
    ----------
    distances : _VoxelDistances
        Evaluates the network at voxels.
    sampling : Sampling
        The grid.
    model : AutoDecoder
        The network; its slope and clamp set the thresholds.
    """
    side = _first_block_side(sampling, model)
    if side < 2:
        return _sample_everywhere(distances, sampling)
    count = tuple(-(-n // side) for n in sampling.shape)
    corners = np.stack(np.meshgrid(*(np.arange(n) * side for n in count), indexing="ij"), -1).reshape(-1, 3)
    found = distances(corners + 0.5 * (side - 1))
    field = _interpolate_blocks(found.reshape(count), side)
    beside = np.abs(found) <= 3.0 * _split_threshold(side, sampling, model)
    _shift_blocks(field, corners[beside], side, found[beside], _least_distance(sampling, model))
    while True:
        near = np.abs(found) <= _split_threshold(side, sampling, model)
        corners = corners[near]
        side //= 2
        corners = (corners[:, None] + side * _CORNERS).reshape(-1, 3)
        if not len(corners):
            break
        if side == 1:
            field[tuple(corners.T)] = distances(corners)
            break
        found = distances(corners + 0.5 * (side - 1))
        _shift_blocks(field, corners, side, found, _least_distance(sampling, model))
    nz, ny, nx = sampling.shape
    return np.ascontiguousarray(field[:nz, :ny, :nx])


def _split_threshold(side: int, sampling: Sampling, model: AutoDecoder) -> float:
    """Return the largest distance at a block's centre for which the surface may still pass between its voxels.

    It is half the block's diagonal times the network's slope times ``MARGIN``, for a block of ``side``³ voxels.
    """
    half = 0.5 * side * float(np.linalg.norm(sampling.step))
    return MARGIN * model.space.slope * half


def _least_distance(sampling: Sampling, model: AutoDecoder) -> float:
    """Return the least distance from the surface that voxels get in blocks that are not split, in the network's unit.

    It is a quarter of the smallest step of the grid times the network's slope.
    """
    return _LEAST_VOXELS * min(sampling.step) * model.space.slope


def _first_block_side(sampling: Sampling, model: AutoDecoder) -> int:
    """Return the side, in voxels, of the largest blocks into which the grid is divided: 8, 4, 2 or 1.

    A block is left out if |distance| at its centre exceeds :func:`_split_threshold`, which grows with the side.
    Distances of a network with a clamp do not exceed the clamp; so 8 is halved until the threshold is at most 0.8 of
    the clamp, or the side is 1. Without a clamp it is 8.
    """
    clamp = model.space.clamp
    side = COARSEST
    while side > 1 and clamp is not None and _split_threshold(side, sampling, model) > _CLAMP_SHARE * clamp:
        side //= 2
    return side


def _interpolate_blocks(coarse: Floats32, side: int) -> Floats32:
    """Return distances at all voxels by linear interpolation between the centres of blocks of side³ voxels.

    ``coarse`` holds one distance for each block, (z, y, x); the result has ``side`` times as many samples along each
    axis.
    """
    field = coarse
    for axis in range(3):
        field = np.moveaxis(
            np.tensordot(_interpolation_weights(coarse.shape[axis], side), field, axes=(1, axis)), 0, axis
        )
    return np.ascontiguousarray(field)


def _interpolation_weights(count: int, side: int) -> Floats32:
    """Return the weights (count · side, count) of linear interpolation from block centres to voxels along one axis.

    ``count`` is the number of blocks, ``side`` their voxels. Voxels before the first and after the last centre are
    extrapolated linearly.
    """
    position = (np.arange(count * side) - 0.5 * (side - 1)) / side
    if count == 1:
        return np.ones((side, 1), dtype=np.float32)
    low = np.clip(np.floor(position).astype(int), 0, count - 2)
    weights = np.zeros((count * side, count), dtype=np.float32)
    rows = np.arange(count * side)
    weights[rows, low] = 1.0 - (position - low)
    weights[rows, low + 1] = position - low
    return weights


def _shift_blocks(field: Floats32, corners: Ints, side: int, found: Floats32, least: float) -> None:
    """Shift the distances in each block so that their mean is the value found at its centre, in place.

    Parameters
    ----------
    field : (z, y, x) float32
        Distances at all voxels.
    corners : (n, 3) int
        First voxel of each block.
    side : int
        Voxels along the side of a block.
    found : (n,) float32
        The network's value at each block's centre.
    least : float
        Least size of a distance; smaller ones, and those of another sign than the value at the centre, are set to it
        with that sign.
    """
    offsets = np.stack(np.meshgrid(*(np.arange(side),) * 3, indexing="ij"), -1).reshape(-1, 3)
    z, y, x = ((corners[:, axis, None] + offsets[None, :, axis]) for axis in range(3))
    values = field[z, y, x]
    values += (found - values.mean(1))[:, None]
    sign = np.where(found < 0, -1.0, 1.0).astype(np.float32)[:, None]
    field[z, y, x] = sign * np.maximum(sign * values, np.float32(least))
