"""Fit a code and a rotation to a sequence that the network has not seen.

Rotations spread evenly over all are tried, each with the mean code; the best are followed a while, and the best of
these to the end with L-BFGS. The code is sought in units of the learned codes' own spread, with a prior that may keep
it among them. Points are drawn once, so that the answer is that of one well-defined problem: Eq. 10 of Wiesner et al.
2024 (doi 10.1016/j.media.2023.102991), whose answer turns with the data (their theorem 1).
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch

from .._typing import Bools, Floats, Floats32, Ints
from ..errors import ConfigError, SequenceError
from ..sdf.sequence import SDFSequence
from . import blocks, rotation
from .data import NEAR_FRACTION, coordinates, near_distance
from .devices import torch_device
from .generation import Codes, Decoding, decode_codes
from .model import AutoDecoder, Space
from .sources import Sources
from .workers import Workers

__all__ = ["EncodeConfig", "Encoded", "encode"]

Tensor = torch.Tensor

_HUBER = 0.1  # voxels of the training grid, below which the loss is smoothed for L-BFGS
_BOX_TOLERANCE = 1e-2
_HELD: dict[str, Any] = {
    "rounds": (10, 20, 120, 30), "points": (800, 3000, 8000, 60000), "prior": 1e-5, "aside": 0.3, "surface": 0.0,
}  # fmt: skip
_CLOSE: dict[str, Any] = {
    "rounds": (8, 16, 150, 80), "points": (800, 3000, 8000, 20000), "prior": 0.0, "aside": 4.0, "surface": 0.9,
}  # fmt: skip
_LAST = 2  # rounds, in which the surface may count more
_THINNED = 64  # times as many voxels as are wanted are sorted at most


@dataclasses.dataclass(frozen=True)
class EncodeConfig:
    """How a code is sought.

    Attributes
    ----------
    rotation : bool
        Whether the shape may be turned; without it the data must be aligned as the training's were.
    starts : int
        Rotations tried.
    followed : tuple of int
        How many of the best are kept after each round.
    rounds : tuple of int, optional
        Iterations of L-BFGS in each round; one more than ``followed``.
    points : tuple of int, optional
        Points of each round, over all frames.
    prior : float, optional
        Weight of the code's distance from the learned ones, in the network's unit of distance per standard deviation.
        A smaller one follows shapes unlike the learned ones more closely, and leaves the code less well determined.
    aside : float, optional
        How wide the prior is in directions in which the learned codes hardly differ, relative to their standard
        deviation; what holds for a small ``prior`` holds for a large ``aside``.
    surface : float, optional
        Share of the points that lie in a thin layer on both sides of the surface, in the last two rounds: what is deep
        inside then hardly counts. 0 for points as in a training, 70 % of them inside or near the surface.
    seed : int

    What is None follows from the network. One that has learned blends (``TrainConfig.mix``, as with the preset
    ``encoding``) knows the space between its codes: unseen shapes are followed closely, without a prior, by the points
    beside the surface. For any other the code is held near the learned ones, so that it is well determined and turns
    with the data. See :meth:`suited_to`.
    """

    rotation: bool = True
    starts: int = 60
    followed: tuple[int, ...] = (8, 1, 1)
    rounds: tuple[int, ...] | None = None
    points: tuple[int, ...] | None = None
    prior: float | None = None
    aside: float | None = None
    surface: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        rounds = _HELD["rounds"] if self.rounds is None else self.rounds
        points = _HELD["points"] if self.points is None else self.points
        if self.starts < 1 or min(self.followed + rounds + points) < 1:
            raise ConfigError("starts, followed, rounds and points are counts; expected at least 1.")
        if not (len(rounds) == len(points) == len(self.followed) + 1):
            raise ConfigError(
                f"there are {len(rounds)} rounds, {len(points)} numbers of points and {len(self.followed)} "
                "cuts between; expected as many points as rounds, and one cut fewer."
            )
        for name in ("prior", "aside"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ConfigError(f"{name} is {value!r}; expected a number of at least 0.")
        if self.surface is not None and not 0 <= self.surface < 1:
            raise ConfigError(f"surface is {self.surface!r}; expected a share of at least 0 and less than 1.")

    def suited_to(self, model: AutoDecoder) -> EncodeConfig:
        """These settings, with those that were not given as the network needs them.

        After blends: rounds (8, 16, 150, 80), points (800, 3000, 8000, 20000), prior 0, aside 4, surface 0.9. Else:
        (10, 20, 120, 30), (800, 3000, 8000, 60000), 1e-5, 0.3 and 0.
        """
        usual = _CLOSE if model.notes.get("training", {}).get("mix", 0.0) > 0 else _HELD
        missing = {name: value for name, value in usual.items() if getattr(self, name) is None}
        return dataclasses.replace(self, **missing)


@dataclasses.dataclass(frozen=True, eq=False)
class Encoded:
    """A code and a rotation that a sequence was found to have.

    Attributes
    ----------
    code : (latent,) float
    rotation : (3, 3) float
        Turns the network's shape into the one seen.
    loss : float
        Mean absolute difference at the points, in µm where the model has a metric scale.
    name : str
    model : AutoDecoder
    frames : int
        Of the sequence.
    shape : (3,) int
        Its samples.
    box : float
        Half its cube's side, in that of the model's.
    """

    code: Floats
    rotation: Floats
    loss: float
    name: str
    model: AutoDecoder
    frames: int
    shape: tuple[int, int, int]
    box: float = 1.0

    def reconstruct(self, out: str | os.PathLike[str] | None = None, **options: Unpack[Decoding]) -> SDFSequence | Path:
        """The shape as the network knows it, turned as the data, in the box of the data.

        Parameters
        ----------
        out : path, optional
            Folder for files. Without it a sequence in memory is returned.
        **options
            See :class:`cytoform.neural.generation.Decoding`; frames and samples are those of the data by default.
        """
        codes = Codes(self.code[None], self.rotation[None], [self.name], box=self.box)
        if options.get("frames") is None:
            options["frames"] = self.frames
        if options.get("shape") is None:
            options["shape"] = self.shape
        return decode_codes(self.model, codes, out, source="encoded", **options)[0]


def encode(
    model: AutoDecoder | str | os.PathLike[str],
    sequence: SDFSequence | str | os.PathLike[str],
    config: EncodeConfig | None = None,
    *,
    device: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> Encoded:
    """Fit a code and a rotation to an unseen sequence; the network stays as it is.

    Parameters
    ----------
    model : AutoDecoder or path
    sequence : SDFSequence or path
        In the box that the model was trained in; its samples and frames may be others.
    config : EncodeConfig, optional
    device : str
    progress : callable, optional
        Called with starts followed so far and in all.

    Returns
    -------
    Encoded

    Raises
    ------
    SequenceError
        When the sequence lies in another box, or cannot be learned from (see :func:`train`).
    ConfigError
        When the model has learned no codes to begin with.
    """
    model = model if isinstance(model, AutoDecoder) else AutoDecoder.load(model)
    model.check_learned()
    config = (config or EncodeConfig()).suited_to(model)
    source = sequence if isinstance(sequence, SDFSequence) else Path(sequence)
    with Workers(torch_device(device)) as workers:
        data = _points(model, source, config, NEAR_FRACTION, layer=False)
        close = _points(model, source, config, config.surface, layer=True) if config.surface else data
        search = _Search(model, data, close, config, workers)
        best = search.run(progress)
        loss = search.difference(best) * (model.space.half_um or 1.0)
    code, turn = search.code(best.weights).numpy(), best.matrix.numpy()
    return Encoded(code, turn, loss, data.name, model, len(data.points), data.shape, data.box)


@dataclasses.dataclass(frozen=True, eq=False)
class _Data:
    """Points (frames, P, 4) and targets (frames, P) of all frames; samples, and half side in that of the model."""

    points: Tensor
    target: Tensor
    name: str
    shape: tuple[int, int, int]
    box: float

    def first(self, count: int) -> tuple[Tensor, Tensor]:
        per_frame = max(1, min(count // len(self.points), self.points.shape[1]))
        return self.points[:, :per_frame], self.target[:, :per_frame]


def _points(
    model: AutoDecoder, source: SDFSequence | Path, config: EncodeConfig, share: float, *, layer: bool
) -> _Data:
    """Points of all frames, ``share`` of them near the surface or inside, or in a layer on both sides of it."""
    sources = Sources([source])
    frames, space = sources.lengths[0], sources.space()
    ratio = _ratio(model.space, space, _reach(sources.frame(0, 0)))
    near = near_distance(space, model.notes.get("training", {}).get("near_um"))
    count = -(-max(config.points or ()) // frames)
    rng = np.random.default_rng((config.seed, 5))
    points = np.empty((frames, count, 4))
    target = np.empty((frames, count))
    for k in range(frames):
        values = sources.frame(0, k).ravel() / np.float32(space.half_um or 1.0)
        beside = (np.abs(values) if layer else values) <= near
        chosen = rng.permutation(_spread_voxels(beside, count, sources.shape, rng, share))  # any part is a fair one
        points[k, :, :3] = coordinates(chosen, sources.shape) * ratio  # from the sequence's half side to the model's
        points[k, :, 3] = 2.0 * k / (frames - 1) - 1.0
        target[k] = values[chosen] * ratio
    dtype = model.layers[0].matrix.dtype
    at, wanted = (torch.as_tensor(a, dtype=dtype) for a in (points, target))
    return _Data(at, wanted, sources.names[0], sources.shape, ratio)


def _ratio(own: Space, given: Space, reach: float) -> float:
    """Half side of a sequence's cube in that of the model's; its inside reaches up to ``reach`` times its own."""
    ours, theirs = own.half_um, given.half_um
    if (ours is None) != (theirs is None):
        raise SequenceError(
            f"the sequence's box has a half side of {theirs} µm, the model's {ours}; expected both to have a metric "
            "scale, or neither.",
            remedy="Pass spacing= to open_sequence (--spacing), or prepare both alike.",
        )
    ratio = theirs / ours if ours and theirs else 1.0
    if reach * ratio > 1.0 + _BOX_TOLERANCE:
        raise SequenceError(
            f"the shape reaches {reach * ratio:.2f} times as far as the box of the model, whose half side is "
            f"{ours or 1:.4g} µm; expected it to lie inside.",
            remedy="Train with a larger box_um, or prepare the sequence centred.",
        )
    return ratio


def _spread_voxels(
    near: Bools,
    count: int,
    shape: tuple[int, int, int],
    rng: np.random.Generator,
    share: float = NEAR_FRACTION,
) -> Ints:
    """``count`` voxels of a frame, ``share`` of them near, spread evenly over both kinds.

    Those that are not near come from the ball inside the cube: the corners would not turn with the data. Each kind is
    lined up along a curve that fills space and cut into parts of equal length, of which each gives one voxel: sums of
    smooth functions over them scatter less than half as much as over voxels drawn at random.
    """
    kinds = [np.flatnonzero(near), np.flatnonzero(~near & _ball(shape).ravel())]
    wanted = round(share * count) if len(kinds[1]) else count
    chosen = []
    for numbers, n in zip(kinds, (wanted, count - wanted)):
        if n and len(numbers) > _THINNED * n:  # sorting them all would take longer than the rest
            numbers = numbers[rng.integers(0, len(numbers), _THINNED * n)]
        line = numbers[np.argsort(_along_curve(numbers, shape), kind="stable")]
        chosen.append(line[((np.arange(n) + rng.random(n)) * (len(line) / max(n, 1))).astype(np.int64)])
    return np.concatenate(chosen)


def _ball(shape: tuple[int, int, int]) -> Bools:
    """The voxels within the ball that touches the cube's faces."""
    z, y, x = np.ogrid[tuple(slice(-1, 1, n * 1j) for n in shape)]
    return z * z + y * y + x * x <= 1.0


def _along_curve(numbers: Ints, shape: tuple[int, int, int]) -> Ints:
    """Places of voxels along the Z-order curve: the bits of z, y and x in turn (Morton 1966)."""
    place = np.zeros(len(numbers), dtype=np.int64)
    for axis, index in enumerate(np.unravel_index(numbers, shape)):
        for bit in range(int(max(shape)).bit_length()):
            place |= ((index >> bit) & 1) << (3 * bit + 2 - axis)
    return place


def _reach(frame: Floats32) -> float:
    """How far the inside of a frame reaches from its middle along an axis, in half sides of the cube."""
    inside = np.argwhere(frame < 0)
    middle = (np.asarray(frame.shape) - 1) / 2
    return float(np.abs(inside - middle).max() / middle.max())


@dataclasses.dataclass(eq=False)
class _Candidate:
    """Where a search stands: the code in units of the codes' spread, the rotation, the mean loss with the prior."""

    weights: Tensor
    matrix: Tensor
    loss: float


class _Search:
    """L-BFGS over code and rotation: the first rounds on ``data``, the last ones on ``close``."""

    def __init__(self, model: AutoDecoder, data: _Data, close: _Data, config: EncodeConfig, workers: Workers) -> None:
        self.data, self.close, self.config, self.workers = data, close, config, workers
        self.dtype = model.layers[0].matrix.dtype
        self.folded = blocks.fold(model, device=workers.device)
        self.mean, self.basis = _basis(model.learned.codes.double(), config.aside or 0.0)
        self.huber = _HUBER * 2.0 / (model.space.samples - 1) * model.space.slope

    def code(self, weights: Tensor) -> Tensor:
        """Code (latent,) of weights in units of the codes' spread."""
        return self.mean + self.basis @ weights

    def run(self, progress: Callable[[int, int], None] | None) -> _Candidate:
        c = self.config
        rotations = rotation.even_rotations(c.starts) if c.rotation else rotation.even_rotations(1)
        zero = torch.zeros(self.basis.shape[1], dtype=torch.float64)
        found = [_Candidate(zero, torch.as_tensor(rotation.as_matrix(q)), np.inf) for q in rotations]
        total, done = self._work(len(found)), 0
        rounds = c.rounds or ()
        for n, (steps, points) in enumerate(zip(rounds, c.points or ())):
            batch = (self.close if n >= len(rounds) - _LAST else self.data).first(points)
            for k, candidate in enumerate(found):
                found[k] = self._follow(candidate, batch, steps)
                done += 1
                if progress is not None:
                    progress(done, total)
            found = _best(found, c.followed[n] if n < len(c.followed) else 1)
        return found[0]

    def difference(self, found: _Candidate) -> float:
        """Mean absolute difference at the points, without prior and smoothing, in the network's unit."""
        points, target = self.data.points, self.data.target
        frames = len(points)
        device = self.workers.device
        codes = self.code(found.weights).to(device, self.dtype).expand(frames, -1).contiguous()
        turns = found.matrix.to(device, self.dtype).expand(frames, -1, -1).contiguous()
        work = self.workers.cut(points.to(device), target.to(device))
        passed, _ = self.workers.run(self.folded, work, codes, turns, weights=False)
        return passed.loss / target.numel()

    def _work(self, starts: int) -> int:
        return starts + sum(min(starts, n) for n in self.config.followed)

    def _follow(self, start: _Candidate, batch: tuple[Tensor, Tensor], steps: int) -> _Candidate:
        """L-BFGS over the code's weights and a small turn on top of the rotation it begins with."""
        turning = self.config.rotation
        unknown = torch.cat([start.weights, torch.zeros(3 * turning, dtype=torch.float64)]).requires_grad_()
        optimizer = torch.optim.LBFGS([unknown], max_iter=steps, history_size=20, line_search_fn="strong_wolfe")
        work = self.workers.cut(*(t.to(self.workers.device) for t in batch))

        def closure() -> Tensor:
            loss, gradient = self._loss(unknown.detach(), start.matrix, batch, work)
            unknown.grad = gradient
            return torch.tensor(loss, dtype=torch.float64)

        optimizer.step(closure)
        weights, matrix = self._split(unknown.detach(), start.matrix)
        loss, _ = self._loss(unknown.detach(), start.matrix, batch, work)
        return _Candidate(weights, matrix, loss)

    def _split(self, unknown: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor]:
        n = self.basis.shape[1]
        return unknown[:n], _turned(matrix, unknown[n:]) if self.config.rotation else matrix

    def _loss(
        self, unknown: Tensor, matrix: Tensor, batch: tuple[Tensor, Tensor], work: list[Any]
    ) -> tuple[float, Tensor]:
        n, frames = self.basis.shape[1], len(batch[0])
        count = batch[1].numel()
        turn = unknown[n:].clone().requires_grad_()
        turned = _turned(matrix, turn) if self.config.rotation else matrix
        weights = unknown[:n]
        device = self.workers.device
        codes = self.code(weights).to(device, self.dtype).expand(frames, -1).contiguous()
        turns = turned.detach().to(device, self.dtype).expand(frames, -1, -1).contiguous()
        passed, _ = self.workers.run(self.folded, work, codes, turns, weights=False, huber=self.huber)
        d_code = passed.codes.sum(0).double().cpu() / count
        prior = self.config.prior or 0.0
        loss = passed.loss / count + prior * float(weights @ weights)
        gradient = [self.basis.T @ d_code + 2.0 * prior * weights]
        if self.config.rotation:
            d_turn = passed.turns.sum(0).double().cpu() / count
            gradient.append(torch.autograd.grad((turned * d_turn).sum(), turn)[0])
        return loss, torch.cat(gradient)


def _turned(matrix: Tensor, turn: Tensor) -> Tensor:
    """The rotation after a further turn about the vector ``turn``, by about its length."""
    quaternion = torch.cat([torch.ones(1, dtype=turn.dtype), 0.5 * turn])
    return rotation.to_matrix(quaternion) @ matrix


def _best(found: list[_Candidate], count: int) -> list[_Candidate]:
    return sorted(found, key=lambda c: c.loss)[:count]


def _basis(codes: Tensor, aside: float) -> tuple[Tensor, Tensor]:
    """Mean of the codes, and directions (latent, k) scaled by their standard deviation along them.

    Directions in which no learned codes differ are there too, scaled by ``aside``: unseen shapes differ from all seen.
    """
    mean = codes.mean(0)
    _, size, directions = torch.linalg.svd(codes - mean, full_matrices=True)
    deviation = torch.zeros(codes.shape[1], dtype=codes.dtype)
    deviation[: len(size)] = size / max(len(codes) - 1, 1) ** 0.5
    typical = float(codes.std()) if len(codes) > 1 else float(codes.abs().mean())
    floor = max(aside * typical, 1e-6)
    return mean, directions.T * deviation.clamp(min=floor)
