"""Points and distances for training, from sequences on disk, in bounded memory.

Of each frame a *reservoir* is held: points drawn at random, those near the surface or inside apart from those far off.
Batches are drawn anew from the reservoirs, and a reservoir is drawn anew from its file once it has been used up. Where
all voxels fit into the memory granted, the reservoirs hold them all. Everything drawn follows from the seed and from
how often a frame has been visited, never from timing.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .._typing import Array, Floats, Floats32, Ints32
from ..sdf.sequence import SDFSequence
from .alignment import align
from .lattice import read_between
from .model import Space
from .sources import Sources

__all__ = ["NEAR_FRACTION", "Draw", "Item", "TrainingSet", "Variant", "coordinates", "near_distance", "variants"]


NEAR_FRACTION = 0.7  # of the points that lie inside or near the surface
_BYTES = 8  # of a point in a reservoir: its number and its distance
_LEAST_NEAR_UM, _LEAST_NEAR_VOXELS, _NEAR_WITHOUT_SCALE = 0.6, 2.0, 0.1
_VISITS = 4  # a reservoir serves as many visits at least; else frames are read for each visit
_LEAST_COARSE, _COARSE = 16, 64  # samples along an axis, at most, of the frames that blends look up
_FEATURE_TIMES, _FEATURE_SIDE, _FEATURE_BYTES = 6, 20, 2e8  # what shapes are compared by
_REACH = 0.2  # of half the cube's side: beyond it distances are alike


@dataclasses.dataclass(frozen=True)
class Item:
    """A frame of a sequence, each counted from 0."""

    sequence: int
    frame: int


@dataclasses.dataclass(frozen=True)
class Variant:
    """A mirror image of a sequence, perhaps backwards: signs of the axes and of time."""

    signs: tuple[int, int, int, int] = (1, 1, 1, 1)

    @property
    def name(self) -> str:
        """What is flipped, such as ``~zt``; nothing for the sequence itself."""
        flipped = "".join(axis for axis, sign in zip("zyxt", self.signs) if sign < 0)
        return f"~{flipped}" if flipped else ""


def variants(augment: Sequence[str]) -> list[Variant]:
    """All variants that ``augment`` (of ``mirror`` and ``time``) asks for, the sequence itself first."""
    space = itertools.product((1, -1), repeat=3) if "mirror" in augment else [(1, 1, 1)]
    times = (1, -1) if "time" in augment else (1,)
    return [Variant((*s, t)) for s in space for t in times]


@dataclasses.dataclass(frozen=True)
class Draw:
    """What a step draws: a frame of a variant, or a blend of it with a second sequence at the same time.

    Attributes
    ----------
    code, other : int
        Numbers of the codes, (variant, sequence) in C order; the same where nothing is blended.
    share : float
        Weight of the other.
    number : int
        The frame, among all frames of all sequences.
    """

    number: int
    code: int
    other: int
    share: float


@dataclasses.dataclass
class _Reservoir:
    near: Ints32
    near_values: Floats32
    far: Ints32
    far_values: Floats32
    complete: bool
    fill: int = 0  # how often it has been drawn anew

    def draw(self, n: int, fraction: float, rng: np.random.Generator) -> tuple[Ints32, Floats32]:
        """n voxels' numbers and distances, a share of them near the surface."""
        wanted = round(fraction * n) if len(self.far) else n
        if not len(self.near):
            wanted = 0
        near = rng.integers(0, max(len(self.near), 1), wanted)
        far = rng.integers(0, max(len(self.far), 1), n - wanted)
        return (
            np.concatenate([self.near[near], self.far[far]]),
            np.concatenate([self.near_values[near], self.far_values[far]]),
        )


def coordinates(numbers: Array, shape: Sequence[int]) -> Floats32:
    """Coordinates (n, 3) of voxels given by number in a frame of ``shape``: the longest axis runs from −1 to 1."""
    nz, ny, nx = shape
    index = np.stack(np.unravel_index(numbers, (nz, ny, nx)), axis=1).astype(np.float32)
    middle = (np.asarray(shape, dtype=np.float32) - 1) / 2
    return (index - middle) / np.float32(max(max(shape) - 1, 1) / 2)


class TrainingSet:
    """Sequences to learn from; batches of points come from :meth:`draw`.

    Parameters
    ----------
    sources : sequence of paths or SDFSequence
        All with the same samples and the same voxel size.
    frame_points : int
        Points of a draw.
    near_fraction : float
        Share of them inside or within ``near_um`` of the surface.
    near_um : float or None
        By default 0.6 µm, at least two voxels; 0.1 of the file's unit where there is no metric scale.
    memory : float
        Bytes that the reservoirs may take.
    augment : sequence of str
        See :func:`variants`.
    mix : float
        Share of draws that blend two sequences.
    seed : int

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
        self.sources = Sources(sources)
        self.items = [Item(s, f) for s, length in enumerate(self.sources.lengths) for f in range(length)]
        self.frame_points, self._fraction, self._seed = frame_points, near_fraction, seed
        self.space = self.sources.space()
        self._near = near_distance(self.space, near_um)
        self.variants, self._mix = variants(augment), mix
        self._coarse: dict[int, npt.NDArray[np.float16]] = {}
        # Half of the memory, at most, is for the thinned frames that blends look up.
        self._side = int(min(_COARSE, max(_LEAST_COARSE, (0.5 * memory / (2 * len(self.items))) ** (1 / 3))))
        coarse = 2 * self._side**3 * len(self.items) if mix else 0
        room = int(max(memory - coarse, 0.25 * memory) / (_BYTES * len(self.items)))
        self.resident = room >= _VISITS * frame_points
        self._room = room if self.resident else frame_points
        self._reservoirs: dict[int, _Reservoir] = {}
        self._first = np.concatenate([[0], np.cumsum(self.sources.lengths)]).astype(int).tolist()
        self.visits = np.zeros(len(self.items), dtype=np.int64)
        self._reader = ThreadPoolExecutor(1)
        self._coming: dict[int, Future[_Reservoir]] = {}

    def __len__(self) -> int:
        """Number of frames, of all variants."""
        return len(self.items) * len(self.variants)

    @property
    def names(self) -> list[str]:
        """Names of the codes, each once: all sequences, then all their variants one after the other."""
        given = self.sources.names
        unique = [n if (k := given[:i].count(n)) == 0 else f"{n}_{k + 1}" for i, n in enumerate(given)]
        return [name + v.name for v in self.variants for name in unique]

    def close(self) -> None:
        """End the reading ahead."""
        self._reader.shutdown(cancel_futures=True)

    def __enter__(self) -> TrainingSet:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self) -> None:
        """Read every frame once: each must be finite and hold an object.

        Raises
        ------
        SequenceError, FileFormatError
        """
        for item in self.items:
            self.sources.frame(item.sequence, item.frame)

    def time(self, item: Item) -> float:
        """−1 for the first frame of the sequence to 1 for the last."""
        return 2.0 * item.frame / (self.sources.lengths[item.sequence] - 1) - 1.0

    def draws(self, first: int, count: int) -> list[Draw]:
        """``count`` draws from place ``first`` on: each epoch goes once through all frames, in a new order."""
        n = len(self)
        places = range(first, first + count)
        epochs = {p // n: None for p in places}
        drawn = {e: np.random.default_rng((self._seed, 1, e)).permutation(n) for e in epochs}
        return [self._one(int(drawn[p // n][p % n]), p) for p in places]

    def _one(self, chosen: int, place: int) -> Draw:
        variant, number = divmod(chosen, len(self.items))
        code = variant * len(self.sources) + self.items[number].sequence
        rng = np.random.default_rng((self._seed, 4, place))
        if not self._mix or rng.random() >= self._mix:
            return Draw(number, code, code, 0.0)
        return Draw(number, code, int(rng.integers(len(self.variants) * len(self.sources))), float(rng.random()))

    def expect(self, draws: Sequence[Draw]) -> None:
        """Begin to read, beside the work, what these draws will need."""
        for number in (d.number for d in draws):
            if number not in self._coming and self._stale(number):
                self._coming[number] = self._reader.submit(self._read, number, int(self.visits[number]))

    def draw(self, draw: Draw) -> tuple[Floats32, Floats32]:
        """Points (n, 4) and the network's target distances (n,) of a draw, anew at each visit."""
        number = draw.number
        visit = int(self.visits[number])
        reservoir = self._reservoir(number, visit)
        rng = np.random.default_rng((self._seed, 2, number, visit))
        own = self.frame_points if not draw.share else self.frame_points // 2
        points, values = self._drawn(reservoir, number, draw.code, own, rng)
        if draw.share:
            points, values = self._blended(draw, points, values, rng)
        self.visits[number] += 1
        return points, values

    def skip(self, draw: Draw) -> None:
        """Count a draw that another process takes: what is drawn follows from how often a frame was visited."""
        self.visits[draw.number] += 1

    def _reservoir(self, number: int, visit: int) -> _Reservoir:
        if self._stale(number):
            coming = self._coming.pop(number, None)
            read = coming.result() if coming else None
            if read is None or read.fill != visit // self._lifetime:
                read = self._read(number, visit)
            self._reservoirs[number] = read
        held = self._reservoirs[number]
        if not self.resident:
            del self._reservoirs[number]
        return held

    def _signs(self, code: int) -> Floats32:
        return np.array(self.variants[code // len(self.sources)].signs, dtype=np.float32)

    def _drawn(
        self, reservoir: _Reservoir, number: int, code: int, n: int, rng: np.random.Generator
    ) -> tuple[Floats32, Floats32]:
        chosen, values = reservoir.draw(n, self._fraction, rng)
        item = self.items[number]
        points = np.empty((n, 4), dtype=np.float32)
        points[:, :3] = coordinates(chosen, self.sources.shape)
        points[:, 3] = self.time(item)
        return points * self._signs(code), values

    # -----------------------------------------------------------------------------------------------------------------
    # Blends

    def _blended(
        self, draw: Draw, points: Floats32, values: Floats32, rng: np.random.Generator
    ) -> tuple[Floats32, Floats32]:
        """Half the points from near each of the two; distances mixed as the codes are."""
        number = self._at_time(draw.other, float(points[0, 3]))
        reservoir = self._reservoir(number, int(self.visits[number]))
        others, theirs = self._drawn(reservoir, number, draw.other, self.frame_points - len(points), rng)
        others[:, 3] = points[0, 3]
        here = np.concatenate([values, self._look_up(draw.number, others * self._signs(draw.code))])
        there = np.concatenate([self._look_up(number, points * self._signs(draw.other)), theirs])
        share = np.float32(draw.share)
        return np.concatenate([points, others]), (1 - share) * here + share * there

    def _at_time(self, code: int, time: float) -> int:
        """The frame of a code's sequence next to a time of its variant."""
        sequence = code % len(self.sources)
        n = self.sources.lengths[sequence]
        frame = round((time * float(self._signs(code)[3]) + 1.0) / 2.0 * (n - 1))
        return self._first[sequence] + frame

    def _look_up(self, number: int, points: Floats32) -> Floats32:
        """Distances at any points (n, 4) of a frame, by linear interpolation between few samples."""
        if number not in self._coarse:
            self._reservoirs[number] = self._read(number, int(self.visits[number]))
        full = np.array(self.sources.shape)
        # A coarse sample stands for every full.shape/coarse.shape-th one, ends included.
        half = (full - 1) / (full.max() - 1)
        return read_between(self._coarse[number][None], points[:, :3], half, np.float32)[0]

    # -----------------------------------------------------------------------------------------------------------------

    def shape_scores(self, latent: int) -> Floats:
        """Principal components (n_codes, latent) of the shapes, scaled to a standard deviation of 1 over all.

        Each sequence counts by its distances at a few times on a coarse lattice, levelled off away from the surface.
        """
        shapes = self._shapes()
        return _scores(shapes.reshape(len(shapes), -1), latent)

    def aligned_scores(self, latent: int) -> tuple[Floats, Floats]:
        """The same of the shapes turned to be alike, and the rotations (n_codes, 3, 3) that turn them back."""
        full = np.array(self.sources.shape)
        matrices, turned = align(self._shapes(), (full - 1) / (full.max() - 1))
        return _scores(turned.reshape(len(turned), -1), latent), matrices

    def _shapes(self) -> Floats32:
        """Distances (n_codes, times, z, y, x) on a coarse lattice, levelled off away from the surface."""
        room = _FEATURE_BYTES / (4 * _FEATURE_TIMES * len(self.names))
        side = int(min(_FEATURE_SIDE, max(2.0, room ** (1 / 3))))
        each = [self._features(s, side) for s in range(len(self.sources))]
        rows = []
        for variant in self.variants:
            *space, time = (slice(None, None, sign) for sign in variant.signs)
            rows += [f[time, space[0], space[1], space[2]] for f in each]
        return np.stack(rows)

    def _features(self, sequence: int, side: int) -> Floats32:
        reach = np.float32(_REACH * self._unit if self.space.half_um else _REACH * self.space.slope)
        found = []
        for number in _spread_frames(self.sources.lengths[sequence]):
            frame = self.sources.frame(sequence, number)
            places = [np.rint(np.linspace(0, n - 1, min(n, side))).astype(int) for n in frame.shape]
            found.append(np.tanh(frame[np.ix_(*places)] / reach))
        return np.stack(found)

    def _stale(self, number: int) -> bool:
        held = self._reservoirs.get(number)
        if held is None:
            return True
        return not held.complete and held.fill != int(self.visits[number]) // self._lifetime

    @property
    def _lifetime(self) -> int:
        """Visits after which a reservoir has been used up."""
        return max(1, self._room // self.frame_points)

    def _read(self, number: int, visit: int) -> _Reservoir:
        item = self.items[number]
        values = self.sources.frame(item.sequence, item.frame).ravel() / np.float32(self._unit)
        near = np.flatnonzero(values <= self._near).astype(np.int32)
        if self._mix and number not in self._coarse:
            self._coarse[number] = _thinned(values.reshape(self.sources.shape), self._side)
        rng = np.random.default_rng((self._seed, 3, number, visit // self._lifetime))
        far_count = len(values) - len(near)
        keep_near = min(len(near), max(1, round(self._fraction * self._room)))
        keep_far = min(far_count, self._room - keep_near)
        far = _others(near, values, self._near, keep_far, rng)
        if keep_near < len(near):
            near = np.sort(rng.choice(near, keep_near, replace=False))
        complete = keep_near + keep_far == len(values)
        return _Reservoir(near, values[near], far, values[far], complete, visit // self._lifetime)

    @property
    def _unit(self) -> float:
        return self.space.half_um or 1.0


def near_distance(space: Space, near_um: float | None) -> float:
    """Distance from the surface, in the network's unit, up to which points count as near; see :class:`TrainingSet`."""
    if space.half_um is None:
        return _NEAR_WITHOUT_SCALE if near_um is None else near_um
    least = max(_LEAST_NEAR_UM, _LEAST_NEAR_VOXELS * space.spacing)
    return (least if near_um is None else near_um) / space.half_um


def _others(near: Ints32, values: Floats32, limit: float, count: int, rng: np.random.Generator) -> Ints32:
    """``count`` voxels, each at most once, that are not near."""
    total = len(values)
    if count <= 0:
        return np.zeros(0, dtype=np.int32)
    if count > 0.25 * (total - len(near)):
        far = np.flatnonzero(values > limit).astype(np.int32)
        return far if count == len(far) else np.sort(rng.choice(far, count, replace=False))
    found = np.zeros(0, dtype=np.int32)
    while len(found) < count:  # few of many: drawing and sorting out is quicker than listing them all
        more = rng.integers(0, total, 2 * count, dtype=np.int32)
        found = np.unique(np.concatenate([found, more[values[more] > limit]]))
    return np.sort(rng.choice(found, count, replace=False))


def _scores(features: Array, latent: int) -> Floats:
    """Principal components (n, latent) of features (n, m), scaled to a standard deviation of 1 over all."""
    left, size, _ = np.linalg.svd(features - features.mean(0), full_matrices=False)
    kept = min(latent, len(size))
    scores = np.zeros((len(features), latent))
    scores[:, :kept] = left[:, :kept] * size[:kept]
    deviation = float(scores.std())
    return scores / deviation if deviation > 0 else scores


def _spread_frames(count: int) -> list[int]:
    """A few frames spread over all, the same ones counted from either end."""
    first = [round(k * (count - 1) / (_FEATURE_TIMES - 1)) for k in range(_FEATURE_TIMES // 2)]
    return [*first, *(count - 1 - k for k in reversed(first))]


def _thinned(frame: Floats32, side: int) -> npt.NDArray[np.float16]:
    """A frame in fewer samples, the first and last of each axis among them, by linear interpolation."""
    size = [min(n, side) for n in frame.shape]
    if size == list(frame.shape):
        return frame.astype(np.float16)
    from scipy import ndimage

    ratio = [k / n for k, n in zip(size, frame.shape)]
    return ndimage.zoom(frame, ratio, order=1, grid_mode=False).astype(np.float16)
