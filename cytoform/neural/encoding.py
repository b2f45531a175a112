"""Fit a latent code and a rotation to a sequence that the network has not seen.

Rotations spread evenly over all are tried, each with the mean code; the best are optimised further, and the best of
these to the end, all by L-BFGS. The code is sought in units of the learned codes' spread, with a prior that may hold it
near them. Points are drawn once, so that the result solves one well-defined problem: Eq. 10 of Wiesner et al. 2024
(doi 10.1016/j.media.2023.102991), whose solution rotates with the data (their theorem 1).
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
from .data import NEAR_FRACTION, near_distance, voxel_coordinates
from .devices import torch_device
from .generation import Codes, Decoding, decode_codes
from .model import AutoDecoder, TrainingCube
from .sources import SequenceReader
from .workers import Block, Workers

__all__ = ["EncodeConfig", "Encoded", "encode"]

Tensor = torch.Tensor

_HUBER_VOXELS = 0.1  # residual, in voxels of the training data, below which the loss is smoothed for L-BFGS
_BOX_TOLERANCE = 1e-2  # relative: by how much a shape may exceed the model's box
_NEAR_LEARNED: dict[str, Any] = {
    "rounds": (10, 20, 120, 30), "points": (800, 3000, 8000, 60000), "prior": 1e-5, "aside": 0.3, "surface": 0.0,
}  # fmt: skip
_FREE: dict[str, Any] = {
    "rounds": (8, 16, 150, 80), "points": (800, 3000, 8000, 20000), "prior": 0.0, "aside": 4.0, "surface": 0.9,
}  # fmt: skip
_SURFACE_ROUNDS = 2  # last rounds, whose points may lie beside the surface
_MOST_SORTED = 64  # voxels to sort, at most, as a multiple of those wanted


@dataclasses.dataclass(frozen=True)
class EncodeConfig:
    """Settings of the search for a code.

    Settings that are None follow from the network. For one that has learned blends (``TrainConfig.mix``, as with the
    preset ``encoding``) the space between its codes has a meaning: unseen shapes are fitted closely, without a prior,
    by the points beside the surface. For any other network the code is held near the learned ones, so that it is well
    determined and rotates with the data. See :meth:`suited_to`.

    Parameters
    ----------
    rotation : bool
        Whether a rotation of the shape is sought; without it the data must be aligned as the training's were.
    starts : int
        Number of initial rotations.
    followed : tuple of int
        How many of the best candidates are kept after each round.
    rounds : tuple of int, optional
        Iterations of L-BFGS in each round; one more than ``followed``.
    points : tuple of int, optional
        Points of each round, over all frames.
    prior : float, optional
        Regularisation weight of the code's squared distance from the mean of the learned ones, in the network's unit of
        distance per squared standard deviation. A smaller one fits shapes unlike the learned ones more closely, and
        leaves the code less well determined.
    aside : float, optional
        Standard deviation of the prior in directions in which the learned codes hardly differ, relative to their
        overall standard deviation; a large one has the same effect as a small ``prior``.
    surface : float, optional
        Share of the points that lie in a thin layer on both sides of the surface, in the last two rounds: what is deep
        inside then hardly counts. 0 for points as in a training, 70 % of them inside or near the surface.
    seed : int
        Of the points drawn.

    Raises
    ------
    ConfigError
        When a value is out of range, or the numbers of rounds, points and ``followed`` do not match.
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
        rounds = _NEAR_LEARNED["rounds"] if self.rounds is None else self.rounds
        points = _NEAR_LEARNED["points"] if self.points is None else self.points
        if self.starts < 1 or min(self.followed + rounds + points) < 1:
            raise ConfigError("starts, followed, rounds and points are counts; expected at least 1.")
        if not (len(rounds) == len(points) == len(self.followed) + 1):
            raise ConfigError(
                f"there are {len(rounds)} rounds, {len(points)} numbers of points and {len(self.followed)} "
                "values of followed; expected as many points as rounds, and one value of followed fewer."
            )
        for name in ("prior", "aside"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ConfigError(f"{name} is {value!r}; expected a number of at least 0.")
        if self.surface is not None and not 0 <= self.surface < 1:
            raise ConfigError(f"surface is {self.surface!r}; expected a share of at least 0 and less than 1.")

    def suited_to(self, model: AutoDecoder) -> EncodeConfig:
        """Return these settings, with those that are None set to suit the network.

        After a training with blends these are rounds (8, 16, 150, 80), points (800, 3000, 8000, 20000), prior 0, aside
        4, surface 0.9; else (10, 20, 120, 30), (800, 3000, 8000, 60000), 1e-5, 0.3 and 0.

        Parameters
        ----------
        model : AutoDecoder
            The network that will be searched.

        Returns
        -------
        EncodeConfig
            Without None among its values.
        """
        defaults = _FREE if model.notes.get("training", {}).get("mix", 0.0) > 0 else _NEAR_LEARNED
        missing = {name: value for name, value in defaults.items() if getattr(self, name) is None}
        return dataclasses.replace(self, **missing)


@dataclasses.dataclass(frozen=True, eq=False)
class Encoded:
    """The code and the rotation that were found for a sequence.

    Parameters
    ----------
    code : (latent,) float
        Latent code.
    rotation : (3, 3) float
        Rotates the network's shape into the one of the sequence.
    loss : float
        Mean absolute difference of the distances at the points, in µm where the model has a metric scale.
    name : str
        Name of the sequence.
    model : AutoDecoder
        The network.
    frames : int
        Number of frames of the sequence.
    shape : (3,) int
        Samples of the sequence along z, y and x.
    box : float
        Half side of the sequence's cube, divided by that of the model's.
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
        """Decode the shape from its code, rotated as the data, in the box of the data.

        Parameters
        ----------
        out : path, optional
            Folder for files. Without it a sequence in memory is returned.
        **options
            See :class:`cytoform.neural.generation.Decoding`; frames and samples are those of the data by default.

        Returns
        -------
        SDFSequence or Path
            The sequence; or the path of the first file written.
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
        The model, or its files.
    sequence : SDFSequence or path
        Signed distances; the shape must lie in the box that the model was trained in. Samples and frames may be others.
    config : EncodeConfig, optional
        Settings of the search; by default those of :class:`EncodeConfig`.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    progress : callable, optional
        Called with the number of minimisations done so far and in all.

    Returns
    -------
    Encoded
        Code, rotation and loss.

    Raises
    ------
    SequenceError
        When the shape does not lie in the model's box, or the sequence cannot be learned from (see :func:`train`).
    ConfigError
        When the model has learned no codes to begin with.
    FileFormatError
        When the model or the sequence cannot be read.
    """
    model = model if isinstance(model, AutoDecoder) else AutoDecoder.load(model)
    model.check_learned()
    config = (config or EncodeConfig()).suited_to(model)
    source = sequence if isinstance(sequence, SDFSequence) else Path(sequence)
    with Workers(torch_device(device)) as workers:
        data = _draw_points(model, source, config, NEAR_FRACTION, layer=False)
        late = _draw_points(model, source, config, config.surface, layer=True) if config.surface else data
        search = _Search(model, data, late, config, workers)
        best = search.run(progress)
        loss = search.mean_difference(best) * (model.space.half_um or 1.0)
    code, matrix = search.code(best.weights).numpy(), best.matrix.numpy()
    return Encoded(code, matrix, loss, data.name, model, len(data.points), data.shape, data.box)


@dataclasses.dataclass(frozen=True, eq=False)
class _Points:
    """Points of all frames of a sequence, and the distances wanted there.

    Parameters
    ----------
    points : (frames, P, 4) tensor
        Coordinates (z, y, x, t) of the model.
    target : (frames, P) tensor
        Signed distances in the model's unit.
    name : str
        Of the sequence.
    shape : (3,) int
        Samples of a frame.
    box : float
        Half side of the sequence's cube, divided by that of the model's.
    """

    points: Tensor
    target: Tensor
    name: str
    shape: tuple[int, int, int]
    box: float

    def first(self, count: int) -> tuple[Tensor, Tensor]:
        """Return the first points and targets of each frame, about ``count`` over all frames."""
        per_frame = max(1, min(count // len(self.points), self.points.shape[1]))
        return self.points[:, :per_frame], self.target[:, :per_frame]


def _draw_points(
    model: AutoDecoder, source: SDFSequence | Path, config: EncodeConfig, share: float, *, layer: bool
) -> _Points:
    """Draw points of all frames of a sequence, with the distances wanted there.

    Raises SequenceError if the shape does not lie in the model's box, or only one of both has a metric scale.

    Parameters
    ----------
    model : AutoDecoder
        Gives the scale of coordinates and distances.
    source : SDFSequence or Path
        The sequence.
    config : EncodeConfig
        Gives the number of points, that of the largest round, and the seed.
    share : float
        Share of the points near the surface.
    layer : bool
        Count only points in a layer on both sides of the surface as near; otherwise all points inside, too.
    """
    sources = SequenceReader([source])
    frames, cube = sources.lengths[0], sources.training_cube()
    ratio = _half_side_ratio(model.space, cube, _inside_extent(sources.read_frame(0, 0)))
    near = near_distance(cube, model.notes.get("training", {}).get("near_um"))
    count = -(-max(config.points or ()) // frames)
    rng = np.random.default_rng((config.seed, 5))
    points = np.empty((frames, count, 4))
    target = np.empty((frames, count))
    for k in range(frames):
        values = sources.read_frame(0, k).ravel() / np.float32(cube.half_um or 1.0)
        beside = (np.abs(values) if layer else values) <= near
        chosen = rng.permutation(
            _choose_voxels(beside, count, sources.shape, rng, share)
        )  # in random order, so that any part of them is representative
        points[k, :, :3] = (
            voxel_coordinates(chosen, sources.shape) * ratio
        )  # from the sequence's half side to the model's
        points[k, :, 3] = 2.0 * k / (frames - 1) - 1.0
        target[k] = values[chosen] * ratio
    dtype = model.linear_layers[0].matrix.dtype
    at, wanted = (torch.as_tensor(a, dtype=dtype) for a in (points, target))
    return _Points(at, wanted, sources.names[0], sources.shape, ratio)


def _half_side_ratio(model: TrainingCube, sequence: TrainingCube, extent: float) -> float:
    """Return the half side of a sequence's cube divided by that of the model's; 1 without a metric scale.

    Raises SequenceError if only one of them has a metric scale, or the shape's extent, in half sides of its cube, times
    the ratio exceeds 1 by more than 1 %.
    """
    half_um, sequence_half_um = model.half_um, sequence.half_um
    if (half_um is None) != (sequence_half_um is None):
        raise SequenceError(
            f"the sequence's box has a half side of {sequence_half_um} µm, the model's {half_um}; "
            "expected both to have a metric scale, or neither.",
            remedy="Pass spacing= to open_sequence (--spacing), or prepare both alike.",
        )
    ratio = sequence_half_um / half_um if half_um and sequence_half_um else 1.0
    if extent * ratio > 1.0 + _BOX_TOLERANCE:
        raise SequenceError(
            f"the shape reaches {extent * ratio:.2f} times as far as the box of the model, whose half side is "
            f"{half_um or 1:.4g} µm; expected it to lie inside.",
            remedy="Train with a larger box_um, or prepare the sequence centred.",
        )
    return ratio


def _choose_voxels(
    near: Bools,
    count: int,
    shape: tuple[int, int, int],
    rng: np.random.Generator,
    share: float = NEAR_FRACTION,
) -> Ints:
    """Choose ``count`` voxels of a frame, a share of them near the surface, spread evenly, and return their numbers.

    Voxels that are not near come from the ball inside the cube, since the cube's corners would not rotate with the
    data. The voxels of each kind are sorted along a space-filling curve and cut into parts of equal length, from each
    of which one is drawn: sums of smooth functions over them scatter less than half as much as over voxels drawn
    independently.

    Parameters
    ----------
    near : (voxels,) bool
        Which voxels are near the surface.
    count : int
        How many voxels to choose.
    shape : (3,) int
        Samples of the frame.
    rng : numpy.random.Generator
        Source of the random numbers.
    share : float
        Share of those near the surface.
    """
    kinds = [np.flatnonzero(near), np.flatnonzero(~near & _inscribed_ball(shape).ravel())]
    wanted = round(share * count) if len(kinds[1]) else count
    chosen = []
    for numbers, n in zip(kinds, (wanted, count - wanted)):
        if n and len(numbers) > _MOST_SORTED * n:  # sorting them all would take longer than the rest
            numbers = numbers[rng.integers(0, len(numbers), _MOST_SORTED * n)]
        line = numbers[np.argsort(_z_order(numbers, shape), kind="stable")]
        chosen.append(line[((np.arange(n) + rng.random(n)) * (len(line) / max(n, 1))).astype(np.int64)])
    return np.concatenate(chosen)


def _inscribed_ball(shape: tuple[int, int, int]) -> Bools:
    """Return which voxels (z, y, x) lie in the ball, or ellipsoid, that touches the faces of the frame."""
    z, y, x = np.ogrid[tuple(slice(-1, 1, n * 1j) for n in shape)]
    inside: Bools = z * z + y * y + x * x <= 1.0
    return inside


def _z_order(numbers: Ints, shape: tuple[int, int, int]) -> Ints:
    """Return the positions of voxels, given by number in C order, along the Z-order curve (Morton 1966).

    A position's bits are those of the indices z, y and x interleaved, so that voxels close on the curve are close in
    space.
    """
    position = np.zeros(len(numbers), dtype=np.int64)
    for axis, index in enumerate(np.unravel_index(numbers, shape)):
        for bit in range(int(max(shape)).bit_length()):
            position |= ((index >> bit) & 1) << (3 * bit + 2 - axis)
    return position


def _inside_extent(frame: Floats32) -> float:
    """Return the largest distance of an inside voxel from the centre along an axis, in half sides of the cube."""
    inside = np.argwhere(frame < 0)
    middle = (np.asarray(frame.shape) - 1) / 2
    return float(np.abs(inside - middle).max() / middle.max())


@dataclasses.dataclass(eq=False)
class _Candidate:
    """A code and a rotation that the search has reached.

    Parameters
    ----------
    weights : (k,) tensor
        The code, as coordinates in the basis of the learned codes' spread.
    matrix : (3, 3) tensor
        The rotation.
    loss : float
        Mean smoothed absolute difference of the distances, plus the prior's term.
    """

    weights: Tensor
    matrix: Tensor
    loss: float


class _Search:
    """Search for the code and the rotation of least loss, by L-BFGS from many rotations.

    Parameters
    ----------
    model : AutoDecoder
        The network.
    data : _Points
        Points of all rounds but the last two.
    late : _Points
        Points of the last two rounds.
    config : EncodeConfig
        Settings without None.
    workers : Workers
        Evaluate the network.
    """

    def __init__(
        self, model: AutoDecoder, data: _Points, late: _Points, config: EncodeConfig, workers: Workers
    ) -> None:
        self.data, self.late, self.config, self.workers = data, late, config, workers
        self.dtype = model.linear_layers[0].matrix.dtype
        self.folded = blocks.fold_weights(model, device=workers.device)
        self.mean, self.basis = _code_basis(model.learned.codes.double(), config.aside or 0.0)
        self.huber = _HUBER_VOXELS * 2.0 / (model.space.samples - 1) * model.space.slope

    def code(self, weights: Tensor) -> Tensor:
        """Return the latent code (latent,) for coordinates (k,) in the basis: the mean code plus basis @ weights."""
        return self.mean + self.basis @ weights

    def run(self, progress: Callable[[int, int], None] | None) -> _Candidate:
        """Minimise from all rotations, keep the best after each round, and return the best of the last round.

        ``progress`` is called with the number of minimisations done so far and in all.
        """
        c = self.config
        rotations = rotation.even_rotations(c.starts) if c.rotation else rotation.even_rotations(1)
        zero = torch.zeros(self.basis.shape[1], dtype=torch.float64)
        found = [_Candidate(zero, torch.as_tensor(rotation.to_rotation_matrix(q)), np.inf) for q in rotations]
        total, done = self._number_of_minimisations(len(found)), 0
        rounds = c.rounds or ()
        for n, (steps, points) in enumerate(zip(rounds, c.points or ())):
            batch = (self.late if n >= len(rounds) - _SURFACE_ROUNDS else self.data).first(points)
            for k, candidate in enumerate(found):
                found[k] = self._minimise(candidate, batch, steps)
                done += 1
                if progress is not None:
                    progress(done, total)
            found = _lowest_losses(found, c.followed[n] if n < len(c.followed) else 1)
        return found[0]

    def mean_difference(self, found: _Candidate) -> float:
        """Return a candidate's mean absolute difference of the distances at the points, in the network's unit.

        It has no prior's term, and is not smoothed.
        """
        points, target = self.data.points, self.data.target
        frames = len(points)
        device = self.workers.device
        codes = self.code(found.weights).to(device, self.dtype).expand(frames, -1).contiguous()
        matrices = found.matrix.to(device, self.dtype).expand(frames, -1, -1).contiguous()
        work = self.workers.split_into_blocks(points.to(device), target.to(device))
        sums, _ = self.workers.loss_and_gradients(self.folded, work, codes, matrices, weights=False)
        return sums.loss / target.numel()

    def _number_of_minimisations(self, starts: int) -> int:
        """Return the number of minimisations in all rounds: ``starts``, then as many as are kept after each round."""
        return starts + sum(min(starts, n) for n in self.config.followed)

    def _minimise(self, start: _Candidate, batch: tuple[Tensor, Tensor], steps: int) -> _Candidate:
        """Return a candidate improved by L-BFGS over the code's coordinates and a small further rotation.

        ``batch`` holds the points (frames, P, 4) and targets (frames, P), ``steps`` is the number of iterations.
        """
        with_rotation = self.config.rotation
        unknown = torch.cat([start.weights, torch.zeros(3 * with_rotation, dtype=torch.float64)]).requires_grad_()
        optimizer = torch.optim.LBFGS([unknown], max_iter=steps, history_size=20, line_search_fn="strong_wolfe")
        work = self.workers.split_into_blocks(*(t.to(self.workers.device) for t in batch))

        def closure() -> Tensor:
            loss, gradient = self._loss_and_gradient(unknown.detach(), start.matrix, batch, work)
            unknown.grad = gradient
            return torch.tensor(loss, dtype=torch.float64)

        optimizer.step(closure)  # type: ignore[no-untyped-call]
        weights, matrix = self._weights_and_rotation(unknown.detach(), start.matrix)
        loss, _ = self._loss_and_gradient(unknown.detach(), start.matrix, batch, work)
        return _Candidate(weights, matrix, loss)

    def _weights_and_rotation(self, unknown: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor]:
        """Return the code's coordinates and the rotation matrix that a vector of unknowns stands for.

        The vector holds the k coordinates and, if a rotation is sought, the rotation vector of a small rotation that
        follows ``matrix``; else ``matrix`` itself is the rotation.
        """
        n = self.basis.shape[1]
        return unknown[:n], _rotate_further(matrix, unknown[n:]) if self.config.rotation else matrix

    def _loss_and_gradient(
        self, unknown: Tensor, matrix: Tensor, batch: tuple[Tensor, Tensor], work: list[Block]
    ) -> tuple[float, Tensor]:
        """Return the loss at a vector of unknowns and its gradient with respect to them.

        The loss is the mean of |f − target|, smoothed near 0, plus the prior's weight times the squared norm of the
        code's coordinates.

        Parameters
        ----------
        unknown : (k,) or (k + 3,) tensor
            The code's coordinates and, if a rotation is sought, the rotation vector.
        matrix : (3, 3) tensor
            The rotation before that of the vector.
        batch : (points, target)
            Points (frames, P, 4) and distances wanted (frames, P).
        work : list of Block
            The batch, split into blocks.
        """
        n, frames = self.basis.shape[1], len(batch[0])
        count = batch[1].numel()
        vector = unknown[n:].clone().requires_grad_()
        rotated = _rotate_further(matrix, vector) if self.config.rotation else matrix
        weights = unknown[:n]
        device = self.workers.device
        codes = self.code(weights).to(device, self.dtype).expand(frames, -1).contiguous()
        matrices = rotated.detach().to(device, self.dtype).expand(frames, -1, -1).contiguous()
        sums, _ = self.workers.loss_and_gradients(self.folded, work, codes, matrices, weights=False, huber=self.huber)
        d_code = sums.d_codes.sum(0).double().cpu() / count
        prior = self.config.prior or 0.0
        loss = sums.loss / count + prior * float(weights @ weights)
        gradient = [self.basis.T @ d_code + 2.0 * prior * weights]
        if self.config.rotation:
            d_matrix = sums.d_matrices.sum(0).double().cpu() / count
            gradient.append(torch.autograd.grad((rotated * d_matrix).sum(), vector)[0])
        return loss, torch.cat(gradient)


def _rotate_further(matrix: Tensor, vector: Tensor) -> Tensor:
    """Return the rotation ``matrix`` followed by one about the vector ``vector``, by about its length in radians.

    It is that of the quaternion (1, vector / 2), exact for small angles only, and differentiable.
    """
    quaternion = torch.cat([torch.ones(1, dtype=vector.dtype), 0.5 * vector])
    return rotation.quaternion_to_matrix(quaternion) @ matrix


def _lowest_losses(found: list[_Candidate], count: int) -> list[_Candidate]:
    """Return the ``count`` candidates of the lowest losses, sorted."""
    return sorted(found, key=lambda c: c.loss)[:count]


def _code_basis(codes: Tensor, aside: float) -> tuple[Tensor, Tensor]:
    """Return the mean (latent,) of the learned codes, and a basis (latent, latent) of their spread.

    The columns of the basis are the principal directions of the codes (n, latent), scaled by the standard deviation
    along them, but at least by ``aside`` times the codes' overall standard deviation: unseen shapes may differ from the
    learned ones in directions in which these do not differ.
    """
    mean = codes.mean(0)
    _, size, directions = torch.linalg.svd(codes - mean, full_matrices=True)
    deviation = torch.zeros(codes.shape[1], dtype=codes.dtype)
    deviation[: len(size)] = size / max(len(codes) - 1, 1) ** 0.5
    typical = float(codes.std()) if len(codes) > 1 else float(codes.abs().mean())
    floor = max(aside * typical, 1e-6)
    return mean, directions.T * deviation.clamp(min=floor)
