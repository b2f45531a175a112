"""Cells with a blebby body and thin filopodia that grow and branch, as simulated A549 lung carcinoma cells."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from .._typing import Array
from ..errors import ConfigError
from ..mesh.surface import SurfaceMesh
from .families import Family
from .living import LivingShape
from .numbers import check_count, check_number, lognormal, normal
from .primitives import Floats, Samples, cone_level, ease, ellipsoid_level, level_surface, smooth_min, spread_directions

__all__ = ["Filopodial", "FilopodialShape"]

PLACEMENTS = ("pattern", "free")

_BLEBS = 14
_BODY_AXES = np.array([0.86, 0.98, 1.19])  # of the body without blebs, its mean radius 1
_SLOTS = 9  # places for filopodia
_PIECES = 5  # straight pieces a branch
_TAPER = (1.5, 1.1, 0.85, 0.65)  # radius at the root, after the first fork, after the second, at the tips
_LENGTHS = (1.0, 0.62, 0.5)  # of stem, branches and their branches
_ROOT = 0.55  # where a filopodium begins inside the body, in radii of it
_FLARE = 1.6  # width of the rounding at the body, in filopodium radii
_WEB = 0.6  # width of the rounding at a fork, in filopodium radii
_ROOM = 0.45  # of the box on either side that filopodia may reach into; the rest is for the move to the centroid
_RESOLVED = 1.5  # radii at the root that a voxel has to fit into, so that a sampled tip holds together


@dataclasses.dataclass(frozen=True)
class Filopodial(Family):
    """A bleb-covered body that stays, and filopodia that leave it one after another, lengthen, fork and taper.

    Every filopodium follows a fixed, gently curved tree of round cones; growing is going further along it. With the
    placement ``pattern`` all individuals share nine places, ways to curve and fork, around which they vary a little;
    with ``free`` each has its own, as the published cells, which share the body alone.

    From Wiesner et al. 2024: 294,265 ± 41,406 interior voxels (Section 5), 20 s a frame and voxels of 0.125 µm
    (Section 4.3): 575 ± 81 µm³ with voxels of that side. The table of Wiesner et al. 2022 says 50.8 ± 3.1 µm³, of which
    we keep the relative spread of the body, and A^1.5 / (6 √π V) = 2.64 ± 0.51 over all frames. Chosen here: the
    number, length and radius of the filopodia, and the box.

    Parameters
    ----------
    radius_um : float
        Radius of a filopodium past its root, µm; 1.5 times that at the root, 0.65 times at a tip. The default stays
        connected in 256 samples along the box; for coarser ones see :meth:`resolved_at`.
    body_um3 : float
        Mean volume of the body, blebs included, about.
    length_um : float
        Mean length of a stem, from inside the body to the first fork.
    generations : int
        1: no forks, 2: stems fork once, 3: their branches fork again.
    least, most : int
        Number of filopodia of an individual; at most nine.
    placement : str
        ``pattern`` or ``free``.
    """

    name: ClassVar[str] = "filopodial"
    time_step_s: ClassVar[float] = 20.0
    thin_parts: ClassVar[str] = "filopodia"

    box_um: float = 40.0
    radius_um: float = 0.45
    body_um3: float = 525.0
    length_um: float = 6.8
    generations: int = 3
    least: int = 5
    most: int = 9
    placement: str = "pattern"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("body_um3", self.body_um3, 1.0, 1e9)
        radius = (self.body_um3 * 3.0 / (4.0 * np.pi)) ** (1.0 / 3.0)
        check_number("radius_um", self.radius_um, 0.02 * radius, 0.3 * radius)
        check_number("length_um", self.length_um, 0.2 * radius, 10.0 * radius)
        for name in ("generations", "least", "most"):
            check_count(name, getattr(self, name), 1)
        check_number("generations", self.generations, 1, 3)
        check_number("most", self.most, self.least, _SLOTS)
        if self.placement not in PLACEMENTS:
            raise ConfigError(f"placement is {self.placement!r}; expected one of {', '.join(PLACEMENTS)}.")

    def resolved_at(self, shape: int) -> Self:
        """The family with filopodia thick enough to hold together in ``shape`` samples along the box.

        A tip then is at least 1.95 voxels across; at 64 samples in 40 µm the radius becomes 0.94 µm.
        """
        voxel = self.box_um / check_count("shape", shape, 8)
        return dataclasses.replace(self, radius_um=max(self.radius_um, _RESOLVED * voxel))

    def _draw(self, rng: np.random.Generator, identity: dict[str, Any]) -> FilopodialShape:
        pattern = np.random.default_rng([self.pattern_seed, 3])
        common = pattern if self.placement == "pattern" else rng
        drawn = {
            "body_um3": lognormal(rng, self.body_um3, 0.08),
            "body_axes": (_BODY_AXES * (1.0 + 0.05 * np.array([normal(rng) for _ in range(3)]))).tolist(),
            "blebs": _draw_blebs(pattern, rng),
            "filopodia": _draw_filopodia(common, rng, self),
        }
        for tree in drawn["filopodia"]:
            _keep_within(tree, _root(drawn, tree), _ROOM * self.box_um - self.radius_um)
        return FilopodialShape(self, {**identity, **drawn})


def _unit(vector: npt.ArrayLike) -> Floats:
    array = np.asarray(vector, dtype=np.float64)
    return array / np.linalg.norm(array)  # type: ignore[no-any-return]


def _draw_blebs(pattern: np.random.Generator, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Bulges of the body: where all individuals have them, their own sizes, and how they swell in time."""
    blebs = []
    for direction in spread_directions(_BLEBS):
        at = _unit(direction + 0.25 * pattern.standard_normal(3))
        size, begin = pattern.uniform(0.24, 0.4), pattern.random()
        swell = {"cycles": float(pattern.uniform(0.6, 1.4)), "begin": float(begin + 0.05 * normal(rng))}
        blebs.append({"direction": at.tolist(), "radius": float(size * (1.0 + 0.1 * normal(rng))), **swell})
    return blebs


def _draw_filopodia(
    common: np.random.Generator, rng: np.random.Generator, kind: Filopodial
) -> list[list[dict[str, Any]]]:
    """For each filopodium its branches, parents first; ``common`` draws what may be shared, ``rng`` what never is."""
    count = int(rng.integers(kind.least, kind.most + 1))
    directions = spread_directions(_SLOTS)
    if kind.placement == "free":
        directions = directions @ np.linalg.qr(rng.standard_normal((3, 3)))[0]
    order = common.permutation(_SLOTS)
    trees = []
    for slot in order:  # all slots draw, so that the number leaves the others as they are
        heading = _unit(directions[slot] + 0.15 * common.standard_normal(3))
        heading = _unit(heading + 0.12 * np.array([normal(rng) for _ in range(3)]))
        trees.append(_draw_tree(common, rng, kind, heading))
    return trees[:count]


def _draw_tree(
    common: np.random.Generator, rng: np.random.Generator, kind: Filopodial, heading: Floats
) -> list[dict[str, Any]]:
    onset = float(common.uniform(-0.22, 0.14) + 0.04 * normal(rng))
    length = kind.length_um * float(common.uniform(0.85, 1.15)) * (1.0 + 0.15 * normal(rng))
    speed = 1.0 + 0.1 * normal(rng)
    branches: list[dict[str, Any]] = []
    ends: list[tuple[int, Floats]] = [(-1, heading)]
    for generation in range(kind.generations):
        following = []
        for parent, along in ends:
            branch, forks = _draw_branch(common, rng, generation, along)
            branch |= {"parent": parent, "generation": generation, "length_um": length * branch["length_um"]}
            before = branches[parent]["ready"] if parent >= 0 else onset
            branch |= {"onset": before, "ready": before + 0.38 * branch["length_um"] / (kind.length_um * speed)}
            branches.append(branch)
            following += [(len(branches) - 1, fork) for fork in forks]
        ends = following
    return branches


def _draw_branch(
    common: np.random.Generator, rng: np.random.Generator, generation: int, along: Floats
) -> tuple[dict[str, Any], list[Floats]]:
    """A curved branch that starts along ``along``, and where the two that follow it head."""
    side = _unit(np.cross(along, common.standard_normal(3)))
    bend = 0.45 * (common.standard_normal() * 0.5 + 0.3 * normal(rng))
    length = _LENGTHS[generation] * float(common.uniform(0.8, 1.2)) * (1.0 + 0.08 * normal(rng))
    end = _unit(along + bend * side)
    angle = np.deg2rad(34.0 + 6.0 * common.standard_normal() + 3.0 * normal(rng))
    across = _unit(np.cross(end, common.standard_normal(3)))
    unequal = float(np.clip(0.5 + 0.12 * common.standard_normal(), 0.3, 0.7))
    forks = [np.cos(a) * end + np.sin(a) * across for a in (2 * angle * unequal, -2 * angle * (1 - unequal))]
    return {"heading": along.tolist(), "bend": (bend * side).tolist(), "length_um": length}, forks


class FilopodialShape(LivingShape):
    """An individual of :class:`Filopodial`. Its own frame is in µm; the body's middle is its origin."""

    family: Filopodial

    def __init__(self, family: Filopodial, parameters: dict[str, Any]) -> None:
        super().__init__(family, parameters)
        self._radius = family.radius_um
        self._body = _body_radius(parameters)

    def _blebs(self, t: float) -> list[tuple[Floats, float]]:
        """Middle and radius of every bleb, µm."""
        found = []
        for bleb in self.parameters["blebs"]:
            swell = 1.0 + 0.16 * np.sin(2.0 * np.pi * (bleb["cycles"] * t + bleb["begin"]))
            at = np.asarray(bleb["direction"]) * self.parameters["body_axes"] * 0.86
            found.append((at * self._body, float(bleb["radius"] * swell * self._body)))
        return found

    def _cones(self, t: float) -> list[list[tuple[Floats, Floats, tuple[float, float]]]]:
        """For every branch that has begun the cones it is made of: both ends and both radii, µm."""
        found = []
        for tree in self.parameters["filopodia"]:
            for branch, start in zip(tree, _starts(tree, _root(self.parameters, tree))):
                grown = (t - branch["onset"]) / (branch["ready"] - branch["onset"])
                if grown > 0:
                    found.append(self._pieces(branch, start, min(1.0, grown)))
        return found

    def _pieces(self, branch: dict[str, Any], start: Floats, grown: float) -> list[tuple[Floats, Floats, Any]]:
        path = _path(branch, start, grown)
        generation = branch["generation"]
        last = generation == self.family.generations - 1
        # Thinner towards the tip, which moves: the parent narrows to what its branches begin with.
        root, tip = _TAPER[generation], _TAPER[-1] if last else _TAPER[generation + 1]
        young = 0.3 + 0.7 * float(ease(grown * branch["length_um"] / (2.5 * self._radius)))
        radii = self._radius * young * np.linspace(root, tip, _PIECES + 1)
        return [(path[i], path[i + 1], (float(radii[i]), float(radii[i + 1]))) for i in range(_PIECES)]

    def _level(self, at: Samples, t: float) -> Array:
        far = 2.0 * self._radius  # what is said of places far from everything: enough to be outside
        level = np.full(at.shape, far, dtype=at.dtype)
        self._add_body(level, at, t, far)
        body = level.copy()
        for pieces in self._cones(t):
            _add_branch(level, body, at, pieces, self._radius, far)
        return level

    def _add_body(self, level: Array, at: Samples, t: float, far: float) -> None:
        axes = np.asarray(self.parameters["body_axes"]) * self._body
        where, near = at.within(-1.6 * axes - far, 1.6 * axes + far)
        part = ellipsoid_level(near, np.zeros(3), axes)
        width = 0.22 * self._body
        for middle, radius in self._blebs(t):
            reach = radius + width + far
            inner, close = near.within(middle - reach, middle + reach)
            part[inner] = smooth_min(part[inner], cone_level(close, middle, middle, (radius, radius)), width)
        level[where] = np.minimum(part, far)

    def _mesh(self, t: float) -> SurfaceMesh:
        places = [(middle, radius) for middle, radius in self._blebs(t)]
        axes = np.asarray(self.parameters["body_axes"]) * self._body
        places += [(axes * sign, 0.0) for sign in (-1.0, 1.0)]
        places += [(end, radii[1]) for pieces in self._cones(t) for _, end, radii in pieces]
        low = np.min([p - r for p, r in places], axis=0) - self._radius
        high = np.max([p + r for p, r in places], axis=0) + self._radius
        step = max(_TAPER[-1] * self._radius * 0.8, 0.04 * self._body)
        return level_surface(lambda at: self._level(at, t), low, high, step)


def _path(branch: dict[str, Any], start: Floats, grown: float) -> Floats:
    """Corners of a branch that has grown to a part of its length, (pieces + 1, 3), µm."""
    s = np.linspace(0.0, grown, _PIECES + 1)[:, None]
    along, bend = np.asarray(branch["heading"]), np.asarray(branch["bend"])
    return start + branch["length_um"] * (s * along + 0.5 * s * s * bend)  # type: ignore[no-any-return]


def _root(parameters: dict[str, Any], tree: list[dict[str, Any]]) -> Floats:
    """Where a filopodium begins inside the body, (3,), µm."""
    inside = _ROOT * _body_radius(parameters) * np.asarray(parameters["body_axes"])
    return np.asarray(tree[0]["heading"]) * inside  # type: ignore[no-any-return]


def _starts(tree: list[dict[str, Any]], root: Floats) -> list[Floats]:
    """Where every branch of a filopodium begins, µm."""
    starts: list[Floats] = []
    for branch in tree:
        parent = branch["parent"]
        starts.append(root if parent < 0 else _path(tree[parent], starts[parent], 1.0)[-1])
    return starts


def _keep_within(tree: list[dict[str, Any]], root: Floats, limit: float) -> None:
    """Shorten a filopodium until no coordinate of it is beyond ``limit`` µm."""
    for _ in range(60):
        paths = [_path(branch, start, 1.0) for branch, start in zip(tree, _starts(tree, root))]
        if np.abs(paths).max() <= limit:
            return
        for branch in tree:
            branch["length_um"] *= 0.95


def _add_branch(level: Array, body: Array, at: Samples, pieces: list[Any], radius: float, far: float) -> None:
    """Join a branch to ``level``: smoothly to the other branches, and more so to the body."""
    flare, web = _FLARE * radius, _WEB * radius
    ends = np.array([p for piece in pieces for p in piece[:2]])
    reach = max(max(piece[2]) for piece in pieces) + far
    where, near = at.within(ends.min(axis=0) - reach, ends.max(axis=0) + reach)
    rod = np.full(near.shape, far, dtype=level.dtype)
    for start, end, radii in pieces:
        wide = max(radii) + far
        inner, close = near.within(np.minimum(start, end) - wide, np.maximum(start, end) + wide)
        rod[inner] = np.minimum(rod[inner], cone_level(close, start, end, radii))
    joined = np.minimum(smooth_min(level[where], rod, web), smooth_min(body[where], rod, flare))
    level[where] = joined


def _body_radius(parameters: dict[str, Any]) -> float:
    """Mean radius of the ellipsoid, µm, whose body has the volume drawn when blebs add a fifth to it."""
    volume = parameters["body_um3"] / (1.2 * float(np.prod(parameters["body_axes"])))
    return float((volume * 3.0 / (4.0 * np.pi)) ** (1.0 / 3.0))
