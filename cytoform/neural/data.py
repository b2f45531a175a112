"""Points and distances for training, from sequences on disk, in bounded memory.

Of each frame a *reservoir* is kept in memory: voxels drawn at random, those near the surface or inside separately from
those far from it. The points of a step are drawn from the reservoirs, and a reservoir is drawn anew from its file once
as many points have been drawn from it as it holds. Where the memory granted suffices for all voxels, the reservoirs
hold them all. Everything drawn follows from the seed and from how often a frame has been visited, never from timing.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from .._typing import Array, Floats, Floats32, Ints32
from ..sdf.sequence import SDFSequence
from .alignment import align
from .lattice import interpolate_trilinear
from .model import TrainingCube
from .sources import SequenceReader

__all__ = [
    "NEAR_FRACTION",
    "Draw",
    "FrameIndex",
    "TrainingSet",
    "Variant",
    "near_distance",
    "variants",
    "voxel_coordinates",
]


NEAR_FRACTION = 0.7  # of the points that lie inside or near the surface
_BYTES = 8  # of a point in a reservoir: its number and its distance
_LEAST_NEAR_UM, _LEAST_NEAR_VOXELS, _NEAR_WITHOUT_SCALE = 0.6, 2.0, 0.1
_VISITS = 4  # least visits that a reservoir in memory serves; with less memory frames are read at each visit
_LEAST_COARSE, _MOST_COARSE = 16, 64  # samples along an axis, at most, of the coarse frames for blends
_FEATURE_TIMES, _FEATURE_SIDE, _FEATURE_BYTES = 6, 20, 2e8  # of the coarse distances by which shapes are compared
_SATURATION = 0.2  # of half the cube's side: the distance at which features saturate


@dataclasses.dataclass(frozen=True)
class FrameIndex:
    """A frame of a sequence, given by the sequence's number and the frame's number in it, both counted from 0."""

    sequence: int
    frame: int


@dataclasses.dataclass(frozen=True)
class Variant:
    """A mirror image of a sequence, perhaps with time reversed: signs that multiply the coordinates (z, y, x, t)."""

    signs: tuple[int, int, int, int] = (1, 1, 1, 1)

    @property
    def name(self) -> str:
        """Suffix that names the axes that are flipped, such as ``~zt``; empty for the sequence itself."""
        flipped = "".join(axis for axis, sign in zip("zyxt", self.signs) if sign < 0)
        return f"~{flipped}" if flipped else ""


def variants(augment: Sequence[str]) -> list[Variant]:
    """Return all variants of a sequence that ``augment`` asks for, the sequence itself first.

    ``mirror`` in ``augment`` stands for all 8 mirror images along the axes, ``time`` for each variant also with time
    reversed.
    """
    space = itertools.product((1, -1), repeat=3) if "mirror" in augment else [(1, 1, 1)]
    times = (1, -1) if "time" in augment else (1,)
    return [Variant((z, y, x, t)) for z, y, x in space for t in times]


@dataclasses.dataclass(frozen=True)
class Draw:
    """A frame that a step learns from, in one of its variants, or its blend with a second sequence at the same time.

    Parameters
    ----------
    frame : int
        Number of the frame among the frames of all sequences.
    code : int
        Number of the frame's latent code: variant times number of sequences plus sequence.
    second_code : int
        Number of the code that is blended in; the same as ``code`` where nothing is blended.
    second_weight : float
        Weight of the second code and its distances in the blend, from 0 to 1; that of the first is 1 minus this.
    """

    frame: int
    code: int
    second_code: int
    second_weight: float


@dataclasses.dataclass
class _Reservoir:
    """Voxels of a frame from which points are drawn.

    Parameters
    ----------
    near : (n,) int32
        Numbers, in C order, of voxels inside or within the near distance of the surface.
    near_values : (n,) float32
        Their distances, in the network's unit.
    far : (m,) int32
        Numbers of voxels farther from the surface.
    far_values : (m,) float32
        Their distances, in the network's unit.
    complete : bool
        Whether these are all voxels of the frame.
    fill : int
        How many times the reservoir has been drawn anew.
    """

    near: Ints32
    near_values: Floats32
    far: Ints32
    far_values: Floats32
    complete: bool
    fill: int = 0

    def draw(self, n: int, fraction: float, rng: np.random.Generator) -> tuple[Ints32, Floats32]:
        """Draw n voxels, with repetitions, and return their numbers and distances.

        A share ``fraction`` of them lies near the surface or inside; where the reservoir has voxels of one kind only,
        all n are of that kind.
        """
        wanted = round(fraction * n) if len(self.far) else n
        if not len(self.near):
            wanted = 0
        near = rng.integers(0, max(len(self.near), 1), wanted)
        far = rng.integers(0, max(len(self.far), 1), n - wanted)
        return (
            np.concatenate([self.near[near], self.far[far]]),
            np.concatenate([self.near_values[near], self.far_values[far]]),
        )


def voxel_coordinates(numbers: Array, shape: Sequence[int]) -> Floats32:
    """Return the network's coordinates (n, 3) of voxels given by number, in C order, in a frame of ``shape`` (z, y, x).

    The origin is the frame's centre. The longest axis runs from −1 at its first voxel to 1 at its last; all axes have
    the same scale.
    """
    nz, ny, nx = shape
    index = np.stack(np.unravel_index(numbers, (nz, ny, nx)), axis=1).astype(np.float32)
    middle = (np.asarray(shape, dtype=np.float32) - 1) / 2
    return cast(Floats32, (index - middle) / np.float32(max(max(shape) - 1, 1) / 2))


class TrainingSet:
    """Sequences to learn from: lists the frames that each step learns from, and draws points with their distances.

    Parameters
    ----------
    sources : sequence of paths or SDFSequence
        All with the same samples and the same voxel size.
    frame_points : int
        Points of a draw.
    near_fraction : float
        Share of them inside or within ``near_um`` of the surface.
    near_um : float or None
        In µm; None for 0.6 µm, but two voxels at least. Without a metric scale, in the file's unit; None for 0.1.
    memory : float
        Bytes that the reservoirs, and the coarse frames for blends, may take.
    augment : sequence of str
        ``mirror`` and ``time``, for further variants of each sequence; see :func:`variants`.
    mix : float
        Share of draws that blend two sequences.
    seed : int
        Of all that is drawn.

    Attributes
    ----------
    sources : SequenceReader
        Reads the sequences.
    frames : list of FrameIndex
        The frames of all sequences; a frame's number is its position in this list.
    cube : TrainingCube
        Sampling and scale of the sequences.
    variants : list of Variant
        The variants of each sequence, itself first.
    resident : bool
        Whether the reservoirs are kept from draw to draw; else there is too little memory, and each draw reads its
        frame.
    visits : (n_frames,) int64
        How many draws each frame has had.

    Raises
    ------
    SequenceError
        When there is no sequence, one has fewer than two frames, or they do not match each other.
    """

    def __init__(
        self,
        sources: Sequence[SDFSequence | str | Path],
        *,
        frame_points: int,
        near_fraction: float = NEAR_FRACTION,
        near_um: float | None = None,
        memory: float = 1e9,
        augment: Sequence[str] = (),
        mix: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.sources = SequenceReader(sources)
        self.frames = [FrameIndex(s, f) for s, length in enumerate(self.sources.lengths) for f in range(length)]
        self.frame_points, self._fraction, self._seed = frame_points, near_fraction, seed
        self.cube = self.sources.training_cube()
        self._near_limit = near_distance(self.cube, near_um)
        self.variants, self._blend_share = variants(augment), mix
        self._coarse_frames: dict[int, npt.NDArray[np.float16]] = {}
        # Half of the memory, at most, is for the coarse frames that blends interpolate.
        self._coarse_side = int(
            min(_MOST_COARSE, max(_LEAST_COARSE, (0.5 * memory / (2 * len(self.frames))) ** (1 / 3)))
        )
        coarse = 2 * self._coarse_side**3 * len(self.frames) if mix else 0
        affordable = int(max(memory - coarse, 0.25 * memory) / (_BYTES * len(self.frames)))  # points of a reservoir
        self.resident = affordable >= _VISITS * frame_points
        self._reservoir_points = affordable if self.resident else frame_points
        self._reservoirs: dict[int, _Reservoir] = {}
        self._first_frames: list[int] = np.concatenate([[0], np.cumsum(self.sources.lengths)]).astype(int).tolist()
        self.visits = np.zeros(len(self.frames), dtype=np.int64)
        self._executor = ThreadPoolExecutor(1)
        self._pending: dict[int, Future[_Reservoir]] = {}

    def __len__(self) -> int:
        """Return the number of frames of all sequences and all their variants."""
        return len(self.frames) * len(self.variants)

    @property
    def names(self) -> list[str]:
        """Names of the latent codes: of all sequences, then of their second variant, and so on.

        Sequences of the same name are numbered, and a variant's suffix is appended.
        """
        given = self.sources.names
        unique = [n if (k := given[:i].count(n)) == 0 else f"{n}_{k + 1}" for i, n in enumerate(given)]
        return [name + v.name for v in self.variants for name in unique]

    def close(self) -> None:
        """End the background thread that reads frames in advance; frames not yet begun are not read."""
        self._executor.shutdown(cancel_futures=True)

    def __enter__(self) -> TrainingSet:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check_frames(self) -> None:
        """Read every frame once, to find any that cannot be learned from.

        Raises
        ------
        SequenceError
            When a frame has values that are not finite, or no voxel inside.
        FileFormatError
            When a file is truncated.
        """
        for frame in self.frames:
            self.sources.read_frame(frame.sequence, frame.frame)

    def frame_time(self, frame: FrameIndex) -> float:
        """Return the network's time coordinate of a frame: −1 for the first frame of its sequence, 1 for the last."""
        return 2.0 * frame.frame / (self.sources.lengths[frame.sequence] - 1) - 1.0

    def draws(self, first: int, count: int) -> list[Draw]:
        """Return ``count`` draws, from number ``first`` on, of the endless sequence of draws that the seed determines.

        A draw is a frame in one of its variants, perhaps blended with a second sequence. Each epoch goes through all
        frames of all variants once, in a new random order.
        """
        n = len(self)
        numbers = range(first, first + count)
        epochs = {k // n: None for k in numbers}
        orders = {e: np.random.default_rng((self._seed, 1, e)).permutation(n) for e in epochs}
        return [self._make_draw(int(orders[k // n][k % n]), k) for k in numbers]

    def _make_draw(self, chosen: int, number: int) -> Draw:
        """Return draw number ``number``: the frame and variant chosen, perhaps blended with a second code.

        ``chosen`` is variant times number of frames plus frame. With probability ``mix`` a second code and its weight
        in the blend are drawn uniformly.
        """
        variant, frame = divmod(chosen, len(self.frames))
        code = variant * len(self.sources) + self.frames[frame].sequence
        rng = np.random.default_rng((self._seed, 4, number))
        if not self._blend_share or rng.random() >= self._blend_share:
            return Draw(frame, code, code, 0.0)
        return Draw(frame, code, int(rng.integers(len(self.variants) * len(self.sources))), float(rng.random()))

    def prefetch(self, draws: Sequence[Draw]) -> None:
        """Start to read, in a background thread, the frames that these draws will need from their files.

        These are the frames of which no voxels are in memory, or only ones that have been drawn from often enough.
        """
        for frame in (d.frame for d in draws):
            if frame not in self._pending and self._is_stale(frame):
                self._pending[frame] = self._executor.submit(self._fill_reservoir, frame, int(self.visits[frame]))

    def sample(self, draw: Draw) -> tuple[Floats32, Floats32]:
        """Draw points (n, 4) and return them with the distances (n,) wanted there, in the network's unit.

        The points are voxels of the draw's frame, new at each visit; the frame's count of visits rises by 1. Of a draw
        that blends two sequences, half lie at the voxels of each, and the distances of both are averaged with the
        draw's weights.
        """
        frame = draw.frame
        visit = int(self.visits[frame])
        reservoir = self._current_reservoir(frame, visit)
        rng = np.random.default_rng((self._seed, 2, frame, visit))
        n = self.frame_points if not draw.second_weight else self.frame_points // 2
        points, values = self._sample_reservoir(reservoir, frame, draw.code, n, rng)
        if draw.second_weight:
            points, values = self._blend(draw, points, values, rng)
        self.visits[frame] += 1
        return points, values

    def skip(self, draw: Draw) -> None:
        """Count a visit of a draw's frame without drawing its points, for a draw that another process takes.

        The points drawn later follow from how often a frame was visited, so all processes must count alike.
        """
        self.visits[draw.frame] += 1

    def _current_reservoir(self, frame: int, visit: int) -> _Reservoir:
        """Return the voxels of a frame from which the points of its visit number ``visit`` are drawn.

        They are read and drawn anew from the file if none are in memory, or these have served as many visits as they
        may.
        """
        if self._is_stale(frame):
            pending = self._pending.pop(frame, None)
            filled = pending.result() if pending else None
            if filled is None or filled.fill != visit // self._visits_per_fill:
                filled = self._fill_reservoir(frame, visit)
            self._reservoirs[frame] = filled
        reservoir = self._reservoirs[frame]
        if not self.resident:
            del self._reservoirs[frame]
        return reservoir

    def _axis_signs(self, code: int) -> Floats32:
        """Return the signs (4,) by which a code's variant multiplies (z, y, x, t): −1 where an axis is flipped."""
        return np.array(self.variants[code // len(self.sources)].signs, dtype=np.float32)

    def _sample_reservoir(
        self, reservoir: _Reservoir, frame: int, code: int, n: int, rng: np.random.Generator
    ) -> tuple[Floats32, Floats32]:
        """Draw n points (n, 4), mirrored as the code's variant is, and their distances (n,) from a frame's reservoir.

        Parameters
        ----------
        reservoir : _Reservoir
            Voxels of the frame.
        frame : int
            Number of the frame among all.
        code : int
            Number of the code, which determines the variant.
        n : int
            Number of points.
        rng : numpy.random.Generator
            Source of the random numbers.
        """
        chosen, values = reservoir.draw(n, self._fraction, rng)
        points = np.empty((n, 4), dtype=np.float32)
        points[:, :3] = voxel_coordinates(chosen, self.sources.shape)
        points[:, 3] = self.frame_time(self.frames[frame])
        return points * self._axis_signs(code), values

    # -----------------------------------------------------------------------------------------------------------------
    # Blends

    def _blend(
        self, draw: Draw, points: Floats32, values: Floats32, rng: np.random.Generator
    ) -> tuple[Floats32, Floats32]:
        """Add points near a second sequence's surface, and average the distances of both sequences at all points.

        Parameters
        ----------
        draw : Draw
            The frame and the second code; the frame of the second sequence is the one nearest in time.
        points : (n, 4) float32
            Points of the first sequence.
        values : (n,) float32
            Its distances there.
        rng : numpy.random.Generator
            Source of the random numbers.

        Returns
        -------
        points : (frame_points, 4) float32
            Points of both sequences.
        values : (frame_points,) float32
            (1 − w) times the distance in the first sequence plus w times that in the second, w being the draw's second
            weight. Where a point is not a voxel of the sequence, its distance is interpolated between coarse samples.
        """
        second = self._frame_at_time(draw.second_code, float(points[0, 3]))
        reservoir = self._current_reservoir(second, int(self.visits[second]))
        n = self.frame_points - len(points)
        more_points, more_values = self._sample_reservoir(reservoir, second, draw.second_code, n, rng)
        more_points[:, 3] = points[0, 3]
        in_first = self._interpolate_coarse(draw.frame, more_points * self._axis_signs(draw.code))
        in_second = self._interpolate_coarse(second, points * self._axis_signs(draw.second_code))
        of_first, of_second = np.concatenate([values, in_first]), np.concatenate([in_second, more_values])
        weight = np.float32(draw.second_weight)
        blended = (1 - weight) * of_first + weight * of_second
        return np.concatenate([points, more_points]), cast(Floats32, blended)

    def _frame_at_time(self, code: int, time: float) -> int:
        """Return the frame of a code's sequence that is nearest to a time of its variant, as number among all frames.

        ``time`` runs from −1 to 1, and backwards through the sequence if the variant reverses time.
        """
        sequence = code % len(self.sources)
        n = self.sources.lengths[sequence]
        frame = round((time * float(self._axis_signs(code)[3]) + 1.0) / 2.0 * (n - 1))
        return self._first_frames[sequence] + frame

    def _interpolate_coarse(self, frame: int, points: Floats32) -> Floats32:
        """Return a frame's distances at any points (n, 4), by trilinear interpolation between its coarse samples."""
        if frame not in self._coarse_frames:
            self._reservoirs[frame] = self._fill_reservoir(frame, int(self.visits[frame]))
        full = np.array(self.sources.shape)
        # The first and last coarse sample of an axis are those of the full frame.
        half_sides = (full - 1) / (full.max() - 1)
        values: Floats32 = interpolate_trilinear(
            self._coarse_frames[frame][None], points[:, :3], half_sides, np.float32
        )[0]
        return values

    # -----------------------------------------------------------------------------------------------------------------

    def shape_scores(self, latent: int) -> Floats:
        """Return the principal component scores (n_codes, latent) of the shapes, scaled to a standard deviation of 1.

        Each code's shape is represented by its distances at a few times on a coarse lattice, saturated away from the
        surface.
        """
        shapes = self._coarse_shapes()
        return _principal_components(shapes.reshape(len(shapes), -1), latent)

    def aligned_scores(self, latent: int) -> tuple[Floats, Floats]:
        """Return the principal component scores of the shapes rotated into register, and the rotations found.

        The scores (n_codes, latent) are as in :meth:`shape_scores`. The rotations (n_codes, 3, 3) are those of
        :func:`cytoform.neural.alignment.align`.
        """
        full = np.array(self.sources.shape)
        matrices, rotated = align(self._coarse_shapes(), (full - 1) / (full.max() - 1))
        return _principal_components(rotated.reshape(len(rotated), -1), latent), matrices

    def _coarse_shapes(self) -> Floats32:
        """Return the distances (n_codes, times, z, y, x) of all variants on a coarse lattice, saturated by tanh.

        The side of the lattice follows from a bound on the memory of the whole array, 200 MB, and is at most 20.
        """
        samples = _FEATURE_BYTES / (4 * _FEATURE_TIMES * len(self.names))  # of a frame, at most
        side = int(min(_FEATURE_SIDE, max(2.0, samples ** (1 / 3))))
        sequences = [self._coarse_sequence(s, side) for s in range(len(self.sources))]
        rows = []
        for variant in self.variants:
            *space, time = (slice(None, None, sign) for sign in variant.signs)
            rows += [f[time, space[0], space[1], space[2]] for f in sequences]
        return np.stack(rows)

    def _coarse_sequence(self, sequence: int, side: int) -> Floats32:
        """Return a sequence's distances at a few times on a coarse lattice, as tanh(distance / d), (times, z, y, x).

        ``side`` is the number of samples along each axis, at most, and d is 0.2 of half the cube's side.
        """
        saturation = np.float32(_SATURATION * self._unit if self.cube.half_um else _SATURATION * self.cube.slope)
        found = []
        for number in _evenly_spaced_frames(self.sources.lengths[sequence]):
            frame = self.sources.read_frame(sequence, number)
            index = [np.rint(np.linspace(0, n - 1, min(n, side))).astype(int) for n in frame.shape]
            found.append(np.tanh(frame[np.ix_(*index)] / saturation))
        return np.stack(found)

    def _is_stale(self, frame: int) -> bool:
        """Tell whether a frame must be read again before its next visit.

        That is so if none of its voxels are in memory, or some but not all, and these have served as many visits as
        they may.
        """
        reservoir = self._reservoirs.get(frame)
        if reservoir is None:
            return True
        return not reservoir.complete and reservoir.fill != int(self.visits[frame]) // self._visits_per_fill

    @property
    def _visits_per_fill(self) -> int:
        """Number of visits that the voxels of a frame in memory serve before others are drawn from the file.

        It is their number over that of the points of a draw, at least 1.
        """
        return max(1, self._reservoir_points // self.frame_points)

    def _fill_reservoir(self, frame: int, visit: int) -> _Reservoir:
        """Read a frame and return voxels drawn from it at random, from which the points of later visits are drawn.

        As many are drawn as the memory granted allows, a share of them near the surface or inside, at random by seed
        and visit number ``visit``. With blends, the frame's coarse samples are kept, too.
        """
        item = self.frames[frame]
        values = self.sources.read_frame(item.sequence, item.frame).ravel() / np.float32(self._unit)
        near = np.flatnonzero(values <= self._near_limit).astype(np.int32)
        if self._blend_share and frame not in self._coarse_frames:
            self._coarse_frames[frame] = _downsampled(values.reshape(self.sources.shape), self._coarse_side)
        rng = np.random.default_rng((self._seed, 3, frame, visit // self._visits_per_fill))
        far_count = len(values) - len(near)
        keep_near = min(len(near), max(1, round(self._fraction * self._reservoir_points)))
        keep_far = min(far_count, self._reservoir_points - keep_near)
        far = _choose_far_voxels(near, values, self._near_limit, keep_far, rng)
        if keep_near < len(near):
            near = np.sort(rng.choice(near, keep_near, replace=False))
        complete = keep_near + keep_far == len(values)
        return _Reservoir(near, values[near], far, values[far], complete, visit // self._visits_per_fill)

    @property
    def _unit(self) -> float:
        """The network's unit of distance in µm, half the cube's side; 1 without a metric scale."""
        return self.cube.half_um or 1.0


def near_distance(cube: TrainingCube, near_um: float | None) -> float:
    """Return the distance from the surface up to which points count as near, in the network's unit.

    ``near_um`` is in µm, or in the file's unit without a metric scale; None for 0.6 µm, but two voxels at least, or for
    0.1 of the file's unit.
    """
    if cube.half_um is None:
        return _NEAR_WITHOUT_SCALE if near_um is None else near_um
    least = max(_LEAST_NEAR_UM, _LEAST_NEAR_VOXELS * cube.spacing)
    return (least if near_um is None else near_um) / cube.half_um


def _choose_far_voxels(near: Ints32, values: Floats32, limit: float, count: int, rng: np.random.Generator) -> Ints32:
    """Choose ``count`` voxels, each at most once, whose distance exceeds ``limit``; return their numbers, sorted.

    Parameters
    ----------
    near : (n,) int32
        Numbers of the voxels whose distance does not exceed the limit.
    values : (voxels,) float32
        Distances of all voxels.
    limit : float
        The near distance.
    count : int
        How many voxels to choose, no more than there are.
    rng : numpy.random.Generator
        Source of the random numbers.
    """
    total = len(values)
    if count <= 0:
        return np.zeros(0, dtype=np.int32)
    if count > 0.25 * (total - len(near)):
        far = np.flatnonzero(values > limit).astype(np.int32)
        return far if count == len(far) else np.sort(rng.choice(far, count, replace=False))
    found = np.zeros(0, dtype=np.int32)
    while len(found) < count:  # few of many: drawing and discarding is quicker than listing them all
        more = rng.integers(0, total, 2 * count, dtype=np.int32)
        found = np.unique(np.concatenate([found, more[values[more] > limit]]))
    return np.sort(rng.choice(found, count, replace=False))


def _principal_components(features: Array, latent: int) -> Floats:
    """Return the principal component scores (n, latent) of features (n, m), scaled to a standard deviation of 1.

    The scale is one for all components, so that the first ones keep their larger variance. Components beyond the rank
    are 0.
    """
    left, size, _ = np.linalg.svd(features - features.mean(0), full_matrices=False)
    kept = min(latent, len(size))
    scores = np.zeros((len(features), latent))
    scores[:, :kept] = left[:, :kept] * size[:kept]
    deviation = float(scores.std())
    return scores / deviation if deviation > 0 else scores


def _evenly_spaced_frames(count: int) -> list[int]:
    """Return six frame numbers spread evenly over ``count`` frames, the same counted from either end."""
    first = [round(k * (count - 1) / (_FEATURE_TIMES - 1)) for k in range(_FEATURE_TIMES // 2)]
    return [*first, *(count - 1 - k for k in reversed(first))]


def _downsampled(frame: Floats32, side: int) -> npt.NDArray[np.float16]:
    """Return a frame with at most ``side`` samples along each axis, by linear interpolation, as float16.

    The first and last sample of each axis stay where they are.
    """
    size = [min(n, side) for n in frame.shape]
    if size == list(frame.shape):
        return frame.astype(np.float16)
    from scipy import ndimage

    ratio = [k / n for k, n in zip(size, frame.shape)]
    coarse: Floats32 = ndimage.zoom(frame, ratio, order=1, grid_mode=False)
    return coarse.astype(np.float16)
