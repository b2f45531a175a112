"""Cells with a bleb-covered body and thin filopodia that grow and branch, as simulated A549 lung carcinoma cells."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from .._typing import Array, Floats
from ..errors import ConfigError
from ..mesh.surface import SurfaceMesh
from .families import Family
from .living import LivingShape
from .numbers import check_count, check_number, truncated_lognormal, truncated_normal
from .primitives import (
    Samples,
    cone_level,
    ellipsoid_level,
    fibonacci_directions,
    level_surface,
    smooth_min,
    smootherstep,
)

__all__ = ["Filopodial", "FilopodialShape"]

PLACEMENTS = ("pattern", "free")

_BLEBS = 14  # on every body
_BODY_AXES = np.array([0.86, 0.98, 1.19])  # half axes (z, y, x) of the body without blebs, its mean radius 1
_SLOTS = 9  # directions in which filopodia may leave the body
_PIECES = 5  # straight round cones of which a branch is made
_TAPER = (1.5, 1.1, 0.85, 0.65)  # radius at the root, after the first fork, after the second, at the tips
_LENGTHS = (1.0, 0.62, 0.5)  # relative lengths of stem, branches and their branches
_ROOT = 0.55  # distance of a filopodium's root from the body's middle, in radii of the body
_FLARE = 1.6  # width of the rounding at the body, in filopodium radii
_WEB = 0.6  # width of the rounding at a fork, in filopodium radii
_EXTENT = 0.45  # largest coordinate of filopodia over the box's side; the rest is for the shift to the centroid
_RESOLVED = 1.5  # least radius of a filopodium in voxels at which a sampled tip stays connected


@dataclasses.dataclass(frozen=True)
class Filopodial(Family):
    """Cells with a constant bleb-covered body and filopodia that begin one after another, lengthen, fork and taper.

    Every filopodium is a fixed, gently curved tree of round cones, of which a growing part is there. With the placement
    ``pattern`` all individuals share nine trees (direction, curvature, forks), around which they vary a little; with
    ``free`` each has its own, as the published cells, which share the body alone.

    From Wiesner et al. 2024: 294,265 ± 41,406 interior voxels (Section 5), 20 s a frame and voxels of 0.125 µm
    (Section 4.3): 575 ± 81 µm³ with voxels of that side. The table of Wiesner et al. 2022 says 50.8 ± 3.1 µm³, of which
    we keep the relative spread of the body, and A^1.5 / (6 √π V) = 2.64 ± 0.51 over all frames. Chosen here: the
    number, length and radius of the filopodia, and the box.

    Parameters
    ----------
    box_um : float
        Side of the cube that sequences are sampled in, µm; 1 to 1000.
    pattern_seed : int
        Seed of the random numbers that all individuals share: blebs, and with placement ``pattern`` the nine trees.
    radius_um : float
        Radius of a filopodium past its root, µm; 1.5 times that at the root, 0.65 times at a tip. The default stays
        connected in 256 samples along the box; for coarser ones see :meth:`resolved_at`.
    body_um3 : float
        Mean volume of the body with its blebs, µm³, nearly: the blebs are taken to add a fifth to the ellipsoid.
    length_um : float
        Mean length of a stem, from its root inside the body to the first fork, µm.
    generations : int
        1: no forks, 2: stems fork once, 3: their branches fork again.
    least : int
        Smallest number of filopodia of an individual, at least 1.
    most : int
        Largest number of filopodia of an individual, at most nine.
    placement : str
        ``pattern`` or ``free``.

    Raises
    ------
    ConfigError
        When a number is out of range, or ``placement`` is another word.
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
        """Return the family with filopodia thick enough to stay connected when sampled.

        The radius becomes at least 1.5 voxels, so that a tip is at least 1.95 voxels across; at 64 samples in 40 µm it
        becomes 0.94 µm.

        Parameters
        ----------
        shape : int
            Samples along each side of the box, at least 8.

        Returns
        -------
        Filopodial
            With ``radius_um`` raised where it was smaller.

        Raises
        ------
        ConfigError
            When the radius would exceed 0.3 of the body's, or ``shape`` is below 8.
        """
        voxel = self.box_um / check_count("shape", shape, 8)
        return dataclasses.replace(self, radius_um=max(self.radius_um, _RESOLVED * voxel))

    def _draw(self, rng: np.random.Generator, identity: dict[str, Any]) -> FilopodialShape:
        """Draw body, blebs and filopodia, and shorten filopodia to the box; ``identity`` joins the parameters."""
        pattern = np.random.default_rng([self.pattern_seed, 3])
        common = pattern if self.placement == "pattern" else rng
        drawn = {
            "body_um3": truncated_lognormal(rng, self.body_um3, 0.08),
            "body_axes": (_BODY_AXES * (1.0 + 0.05 * np.array([truncated_normal(rng) for _ in range(3)]))).tolist(),
            "blebs": _draw_blebs(pattern, rng),
            "filopodia": _draw_filopodia(common, rng, self),
        }
        for tree in drawn["filopodia"]:
            _shorten_into_box(tree, _root(drawn, tree), _EXTENT * self.box_um - self.radius_um)
        return FilopodialShape(self, {**identity, **drawn})


def _unit(vector: npt.ArrayLike) -> Floats:
    """Return a vector divided by its length, float64."""
    array = np.asarray(vector, dtype=np.float64)
    return array / np.linalg.norm(array)


def _draw_blebs(pattern: np.random.Generator, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Draw the blebs of a body.

    Parameters
    ----------
    pattern : numpy.random.Generator
        Draws what all individuals share: directions, mean sizes, and period and phase of the swelling.
    rng : numpy.random.Generator
        Draws an individual's deviations from it.

    Returns
    -------
    list of dict
        ``direction`` (unit vector, (z, y, x)), ``radius`` (in radii of the body), ``cycles`` (of swelling in a
        sequence) and ``begin`` (phase at t = 0, in cycles).
    """
    blebs = []
    for direction in fibonacci_directions(_BLEBS):
        at = _unit(direction + 0.25 * pattern.standard_normal(3))
        size, begin = pattern.uniform(0.24, 0.4), pattern.random()
        swell = {"cycles": float(pattern.uniform(0.6, 1.4)), "begin": float(begin + 0.05 * truncated_normal(rng))}
        blebs.append({"direction": at.tolist(), "radius": float(size * (1.0 + 0.1 * truncated_normal(rng))), **swell})
    return blebs


def _draw_filopodia(
    common: np.random.Generator, rng: np.random.Generator, kind: Filopodial
) -> list[list[dict[str, Any]]]:
    """Draw the filopodia of an individual, each as a tree of branches (:func:`_draw_tree`).

    All nine directions are drawn, and the first few of a random order kept, so that their number changes nothing else.

    Parameters
    ----------
    common : numpy.random.Generator
        Draws what individuals share with the placement ``pattern``: order, directions, curvature and forks. With
        ``free`` it is the same generator as ``rng``.
    rng : numpy.random.Generator
        Draws number and deviations of the individual.
    kind : Filopodial
        The family.

    Returns
    -------
    list of lists of dict
        For each filopodium its branches, parents first.
    """
    count = int(rng.integers(kind.least, kind.most + 1))
    directions = fibonacci_directions(_SLOTS)
    if kind.placement == "free":
        directions = directions @ np.linalg.qr(rng.standard_normal((3, 3)))[0]
    order = common.permutation(_SLOTS)
    trees = []
    for slot in order:
        heading = _unit(directions[slot] + 0.15 * common.standard_normal(3))
        heading = _unit(heading + 0.12 * np.array([truncated_normal(rng) for _ in range(3)]))
        trees.append(_draw_tree(common, rng, kind, heading))
    return trees[:count]


def _draw_tree(
    common: np.random.Generator, rng: np.random.Generator, kind: Filopodial, heading: Floats
) -> list[dict[str, Any]]:
    """Draw one filopodium: a stem, and branches that fork in two up to the family's number of generations.

    Parameters
    ----------
    common, rng : numpy.random.Generator
        As for :func:`_draw_filopodia`.
    kind : Filopodial
        The family.
    heading : (3,) float64
        Unit vector along which the stem leaves the body, (z, y, x).

    Returns
    -------
    list of dict
        Branches, parents first: those of :func:`_draw_branch` with ``parent`` (index, −1 for the stem),
        ``generation`` (0 for the stem), ``length_um``, and the times ``onset`` and ``ready`` at which growth begins and
        ends (sequences last from 0 to 1).
    """
    onset = float(common.uniform(-0.22, 0.14) + 0.04 * truncated_normal(rng))
    length = kind.length_um * float(common.uniform(0.85, 1.15)) * (1.0 + 0.15 * truncated_normal(rng))
    speed = 1.0 + 0.1 * truncated_normal(rng)
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
    """Draw one curved branch, and the directions of the two branches that follow at its end.

    Parameters
    ----------
    common, rng : numpy.random.Generator
        As for :func:`_draw_filopodia`.
    generation : int
        0 for a stem, 1 for its branches, 2 for theirs; later ones are shorter.
    along : (3,) float64
        Unit vector along which the branch begins, (z, y, x).

    Returns
    -------
    branch : dict
        ``heading`` (``along``), ``bend`` (change of direction from beginning to end, (3,)) and ``length_um``, here
        still in lengths of the stem.
    forks : list of two (3,) float64
        Unit vectors, on average 68° apart.
    """
    side = _unit(np.cross(along, common.standard_normal(3)))
    bend = 0.45 * (common.standard_normal() * 0.5 + 0.3 * truncated_normal(rng))
    length = _LENGTHS[generation] * float(common.uniform(0.8, 1.2)) * (1.0 + 0.08 * truncated_normal(rng))
    end = _unit(along + bend * side)
    angle = np.deg2rad(34.0 + 6.0 * common.standard_normal() + 3.0 * truncated_normal(rng))
    across = _unit(np.cross(end, common.standard_normal(3)))
    unequal = float(np.clip(0.5 + 0.12 * common.standard_normal(), 0.3, 0.7))
    forks = [np.cos(a) * end + np.sin(a) * across for a in (2 * angle * unequal, -2 * angle * (1 - unequal))]
    return {"heading": along.tolist(), "bend": (bend * side).tolist(), "length_um": length}, forks


class FilopodialShape(LivingShape):
    """Individual of :class:`Filopodial`; local coordinates are in µm, with the body's middle at the origin.

    Parameters
    ----------
    family : Filopodial
        Family that it was drawn from.
    parameters : dict
        Numbers drawn for it, plain values for JSON.
    """

    family: Filopodial

    def __init__(self, family: Filopodial, parameters: dict[str, Any]) -> None:
        super().__init__(family, parameters)
        self._radius = family.radius_um
        self._body = _body_radius(parameters)

    def _blebs(self, t: float) -> list[tuple[Floats, float]]:
        """Return middle, (3,) (z, y, x), and radius of every bleb at time ``t``, µm."""
        found = []
        for bleb in self.parameters["blebs"]:
            swell = 1.0 + 0.16 * np.sin(2.0 * np.pi * (bleb["cycles"] * t + bleb["begin"]))
            at = np.asarray(bleb["direction"]) * self.parameters["body_axes"] * 0.86
            found.append((at * self._body, float(bleb["radius"] * swell * self._body)))
        return found

    def _cones(self, t: float) -> list[list[tuple[Floats, Floats, tuple[float, float]]]]:
        """Return the cones of every branch that has begun to grow by time ``t``; see :meth:`_branch_cones`."""
        found = []
        for tree in self.parameters["filopodia"]:
            for branch, start in zip(tree, _branch_starts(tree, _root(self.parameters, tree))):
                grown = (t - branch["onset"]) / (branch["ready"] - branch["onset"])
                if grown > 0:
                    found.append(self._branch_cones(branch, start, min(1.0, grown)))
        return found

    def _branch_cones(
        self, branch: dict[str, Any], start: Floats, grown: float
    ) -> list[tuple[Floats, Floats, tuple[float, float]]]:
        """Return the five round cones of a branch that has grown to a part of its length.

        Parameters
        ----------
        branch : dict
            As :func:`_draw_tree` returns it.
        start : (3,) float64
            Its beginning, (z, y, x), µm.
        grown : float
            Part of its length that is there, 0 to 1.

        Returns
        -------
        list of (start, end, radii)
            Both ends, (3,) each, and both radii of every cone, µm.
        """
        path = _branch_points(branch, start, grown)
        generation = branch["generation"]
        last = generation == self.family.generations - 1
        # Thinner towards the tip, which moves: the parent narrows to what its branches begin with.
        root, tip = _TAPER[generation], _TAPER[-1] if last else _TAPER[generation + 1]
        young = 0.3 + 0.7 * float(smootherstep(grown * branch["length_um"] / (2.5 * self._radius)))
        radii = self._radius * young * np.linspace(root, tip, _PIECES + 1)
        return [(path[i], path[i + 1], (float(radii[i]), float(radii[i + 1]))) for i in range(_PIECES)]

    def _level(self, at: Samples, t: float) -> Array:
        """Evaluate the smooth union of body, blebs and branches at time ``t``; of ``at.shape``, µm.

        Each part is evaluated in its bounding box only; elsewhere the level is capped at two radii of a filopodium.
        """
        cap = 2.0 * self._radius
        level = np.full(at.shape, cap, dtype=at.dtype)
        self._add_body(level, at, t, cap)
        body = level.copy()
        for cones in self._cones(t):
            _add_branch(level, body, at, cones, self._radius, cap)
        return level

    def _add_body(self, level: Array, at: Samples, t: float, cap: float) -> None:
        """Write the level of the ellipsoid and its blebs at time ``t`` into ``level``, near the body only.

        Parameters
        ----------
        level : array of ``at.shape``
            Changed in place.
        at : Samples
            Points, µm.
        t : float
            Time in [0, 1].
        cap : float
            Largest level, and margin of the boxes in which parts are evaluated, µm.
        """
        axes = np.asarray(self.parameters["body_axes"]) * self._body
        index, near = at.within(-1.6 * axes - cap, 1.6 * axes + cap)
        part = ellipsoid_level(near, np.zeros(3), axes)
        width = 0.22 * self._body
        for middle, radius in self._blebs(t):
            half = radius + width + cap
            inner, close = near.within(middle - half, middle + half)
            part[inner] = smooth_min(part[inner], cone_level(close, middle, middle, (radius, radius)), width)
        level[index] = np.minimum(part, cap)

    def _mesh(self, t: float) -> SurfaceMesh:
        """Return the zero level set at time ``t``, sought in the bounding box of body, blebs and branches."""
        balls = [(middle, radius) for middle, radius in self._blebs(t)]
        axes = np.asarray(self.parameters["body_axes"]) * self._body
        balls += [(axes * sign, 0.0) for sign in (-1.0, 1.0)]
        balls += [(end, radii[1]) for cones in self._cones(t) for _, end, radii in cones]
        low = np.min([p - r for p, r in balls], axis=0) - self._radius
        high = np.max([p + r for p, r in balls], axis=0) + self._radius
        step = max(_TAPER[-1] * self._radius * 0.8, 0.04 * self._body)
        return level_surface(lambda at: self._level(at, t), low, high, step)


def _branch_points(branch: dict[str, Any], start: Floats, grown: float) -> Floats:
    """Return points along the centre line of a branch, start + length · (s heading + s² bend / 2).

    Parameters
    ----------
    branch : dict
        As :func:`_draw_tree` returns it.
    start : (3,) float64
        Its beginning, (z, y, x), µm.
    grown : float
        Largest s: the part of its length that is there, 0 to 1.

    Returns
    -------
    (6, 3) float64
        Points at evenly spaced s from the beginning to the tip, µm: the ends of its cones.
    """
    s = np.linspace(0.0, grown, _PIECES + 1)[:, None]
    along, bend = np.asarray(branch["heading"]), np.asarray(branch["bend"])
    points: Floats = start + branch["length_um"] * (s * along + 0.5 * s * s * bend)
    return points


def _root(parameters: dict[str, Any], tree: list[dict[str, Any]]) -> Floats:
    """Return the root of a filopodium inside the body, (3,) (z, y, x), µm, given a shape's parameters and the tree."""
    inside = _ROOT * _body_radius(parameters) * np.asarray(parameters["body_axes"])
    position: Floats = np.asarray(tree[0]["heading"]) * inside
    return position


def _branch_starts(tree: list[dict[str, Any]], root: Floats) -> list[Floats]:
    """Return the beginning of every branch, (3,) µm: the root for the stem, the parent's full-grown end for others."""
    starts: list[Floats] = []
    for branch in tree:
        parent = branch["parent"]
        starts.append(root if parent < 0 else _branch_points(tree[parent], starts[parent], 1.0)[-1])
    return starts


def _shorten_into_box(tree: list[dict[str, Any]], root: Floats, limit: float) -> None:
    """Shorten all branches of a filopodium, in place, by 5 % at a time until no coordinate exceeds a limit.

    Parameters
    ----------
    tree : list of dict
        Branches; their ``length_um`` is changed. After 60 times they are left as they are.
    root : (3,) float64
        Beginning of the stem, µm.
    limit : float
        Largest magnitude of a coordinate of the full-grown centre lines, µm.
    """
    for _ in range(60):
        paths = [_branch_points(branch, start, 1.0) for branch, start in zip(tree, _branch_starts(tree, root))]
        if np.abs(paths).max() <= limit:
            return
        for branch in tree:
            branch["length_um"] *= 0.95


def _add_branch(level: Array, body: Array, at: Samples, cones: list[Any], radius: float, cap: float) -> None:
    """Unite a branch with ``level``, in place: rounded by 0.6 radii at other branches and by 1.6 at the body.

    Parameters
    ----------
    level : array of ``at.shape``
        Level of body and branches so far, µm; changed near the branch.
    body : array of ``at.shape``
        Level of the body alone, µm.
    at : Samples
        Points, µm.
    cones : list of (start, end, radii)
        The branch, as :meth:`FilopodialShape._branch_cones` returns it.
    radius : float
        Radius of a filopodium, µm, the unit of the roundings.
    cap : float
        Largest level, and margin of the boxes in which cones are evaluated, µm.
    """
    flare, web = _FLARE * radius, _WEB * radius
    ends = np.array([p for cone in cones for p in cone[:2]])
    margin = max(max(cone[2]) for cone in cones) + cap
    index, near = at.within(ends.min(axis=0) - margin, ends.max(axis=0) + margin)
    branch = np.full(near.shape, cap, dtype=level.dtype)
    for start, end, radii in cones:
        wide = max(radii) + cap
        inner, close = near.within(np.minimum(start, end) - wide, np.maximum(start, end) + wide)
        branch[inner] = np.minimum(branch[inner], cone_level(close, start, end, radii))
    joined = np.minimum(smooth_min(level[index], branch, web), smooth_min(body[index], branch, flare))
    level[index] = joined


def _body_radius(parameters: dict[str, Any]) -> float:
    """Return the mean radius of a shape's ellipsoid, µm: the drawn volume is 1.2 times the ellipsoid's, for blebs."""
    volume = parameters["body_um3"] / (1.2 * float(np.prod(parameters["body_axes"])))
    return float((volume * 3.0 / (4.0 * np.pi)) ** (1.0 / 3.0))
