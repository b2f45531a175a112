"""Cells that grow, furrow and divide, as those of *C. elegans* embryos."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np

from .._typing import Array
from ..mesh.surface import SurfaceMesh
from .families import FRAMES, Family
from .living import LivingShape
from .numbers import check_number, truncated_lognormal, truncated_normal
from .primitives import Samples, hermite_step, level_surface, smooth_min, smootherstep

__all__ = ["Dividing", "DividingShape"]

_FURROW = 0.42  # time from the first elongation to the division
_PINCH = 0.5  # rate at which the balls part at the division, relative to its mean over that time
_OVERLAP = 2.1  # overlap of the two balls in the mother, in radii
_GAP = 0.45  # gap between the daughters at the end, in radii
_BLEND = (1.1, 0.45, 0.06)  # width of the rounding between the balls: mother, at the division, daughters
_STEP = 0.1  # step of the marching-cubes lattice, in radii
_WAVES = np.array([[0.5, 1.1, 0.9], [1.0, -0.4, 1.2], [-0.9, 0.8, 1.5]])  # wave vectors of the warp, rad per radius
_TOWARDS = np.array([[0.2, 1.0, 0.1], [1.0, 0.2, -0.2], [0.5, -0.6, 0.3]])  # displacement directions of its waves


@dataclasses.dataclass(frozen=True)
class Dividing(Family):
    """Mother cells that grow, elongate along x, furrow, and divide into two daughters that move apart and grow.

    Two balls with a smooth union: their gap c, less half the width of the rounding, passes zero exactly at the
    division, so there is one body before and two after, and a neck that thins out. A gentle warp, which tears nothing,
    bends them. An individual is ten numbers: volume, growth, asymmetry, time of division, three axes, three bends.

    From Wiesner et al. 2024: division at frame 15 of 30 (Section 5.1), 60 s a frame and voxels of 0.09 µm (Section
    4.2), 515,533 ± 260,459 interior voxels, both daughters together (Section 5): 376 ± 190 µm³ with cubic voxels of
    that side. The table of Wiesner et al. 2022 says 34.7 ± 12.5 µm³ and 62.8 ± 16.1 µm², of which we keep the relative
    spread and the ratio A^1.5 / (6 √π V) = 1.35. Chosen here: growth, elongation, asymmetry; the box.

    Parameters
    ----------
    box_um : float
        Side of the cube that sequences are sampled in, µm; 1 to 1000.
    pattern_seed : int
        Not used: individuals of this family share no random numbers.
    volume_um3 : float
        Mean volume over time and individuals, both daughters together, µm³.
    spread : float
        Standard deviation of the log of an individual's volume; 0 to 1.
    growth : float
        Mean of the volume of the last frame over that of the first; 0.5 to 6.
    asymmetry : float
        Mean ratio of the daughters' radii, larger over smaller; 1 to 1.5.
    jitter : float
        Standard deviation of the time of division, in frames of 30, cut at twice this; 0 to 2.

    Raises
    ------
    ConfigError
        When a number is out of range.
    """

    name: ClassVar[str] = "dividing"
    time_step_s: ClassVar[float] = 60.0

    box_um: float = 28.0
    volume_um3: float = 376.0
    spread: float = 0.32
    growth: float = 2.4
    asymmetry: float = 1.1
    jitter: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("volume_um3", self.volume_um3, 1e-3, 1e9)
        check_number("spread", self.spread, 0.0, 1.0)
        check_number("growth", self.growth, 0.5, 6.0)
        check_number("asymmetry", self.asymmetry, 1.0, 1.5)
        check_number("jitter", self.jitter, 0.0, 2.0)

    def _draw(self, rng: np.random.Generator, identity: dict[str, Any]) -> DividingShape:
        """Draw volume, growth, asymmetry, time of division, axes and bends; ``identity`` joins the parameters."""
        drawn = {
            "volume_um3": truncated_lognormal(rng, self.volume_um3, self.spread, cut=1.8),
            "growth": self.growth ** (1.0 + 0.15 * truncated_normal(rng)),
            "asymmetry": max(1.0, self.asymmetry + 0.05 * truncated_normal(rng)),
            "division": (14.5 + self.jitter * truncated_normal(rng)) / (FRAMES - 1),
            "elongation": 1.18 + 0.08 * truncated_normal(rng),
            "flattening": 0.74 + 0.05 * truncated_normal(rng),
            "flattening_daughters": 0.75 + 0.05 * truncated_normal(rng),
            "bend": [0.11 * truncated_normal(rng, 1.8) for _ in _WAVES],
        }
        return DividingShape(self, {**identity, **drawn})


class DividingShape(LivingShape):
    """Individual of :class:`Dividing`; local coordinates are in mean radii of the daughters.

    Parameters
    ----------
    family : Dividing
        Family that it was drawn from.
    parameters : dict
        Numbers drawn for it, plain values for JSON.
    """

    @property
    def division(self) -> float:
        """Time in [0, 1] at which one body becomes two."""
        return float(self.parameters["division"])

    def _balls(self, t: float) -> tuple[float, float, float, float]:
        """Return the parameters of the smooth union of two balls at time ``t``.

        Returns
        -------
        four floats
            Radius of the larger and of the smaller ball, gap between them (negative: overlap), width of the rounding.
            The gap less half the width is zero at the division.
        """
        ratio = self.parameters["asymmetry"]
        small = (2.0 / (1.0 + ratio**3)) ** (1.0 / 3.0)
        away = t - self.division
        slope = _OVERLAP * _PINCH / _FURROW  # of the gap in time, the same on both sides of the division
        if away <= 0:
            gap = -_OVERLAP * float(hermite_step(-away / _FURROW, _PINCH))
            blend = _BLEND[1] + (_BLEND[0] - _BLEND[1]) * float(smootherstep(-away / _FURROW))
        else:
            gap = _GAP * (1.0 - float(np.exp(-away * slope / _GAP)))
            blend = _BLEND[2] + (_BLEND[1] - _BLEND[2]) * float(np.exp(-((away / 0.1) ** 2)))
        return small * ratio, small, gap + 0.5 * blend, blend

    def _axes(self, t: float) -> Array:
        """Return the stretch of the balls along z, y and x at time ``t``, (3,): the mother's, then the daughters'."""
        p, after = self.parameters, float(smootherstep((t - self.division + 0.3) / 0.6))
        flat = p["flattening"] + (p["flattening_daughters"] - p["flattening"]) * after
        long = p["elongation"] + (0.9 - p["elongation"]) * after
        return np.array([flat, 1.0, long])

    def _level(self, at: Samples, t: float) -> Array:
        """Evaluate the smooth union of both balls at time ``t``, after undoing warp and stretch; of ``at.shape``."""
        first, second, gap, blend = self._balls(t)
        z, y, x = self._unwarped(at)
        sz, sy, sx = self._axes(t).tolist()
        z, y, x = z / sz, y / sy, x / sx
        middle = 0.5 * (first - second)  # of the two balls together
        left, right = -(second + 0.5 * gap) - middle, (first + 0.5 * gap) - middle
        across = z * z + y * y
        one = np.sqrt(across + (x - right) ** 2) - first
        two = np.sqrt(across + (x - left) ** 2) - second
        return np.asarray(smooth_min(one, two, blend))

    def _unwarped(self, at: Samples) -> list[Any]:
        """Return the coordinates [z, y, x] of points before the warp, the sum of three cosine waves of displacement.

        Displacements differ by less than the points do, so that the warp folds nothing.
        """
        out = [at.z, at.y, at.x]
        for wave, towards, size in zip(_WAVES, _TOWARDS, self.parameters["bend"]):
            phase = at.z * float(wave[0]) + at.y * float(wave[1]) + at.x * float(wave[2])
            bump = size * np.cos(phase)
            out = [o + bump * float(d) for o, d in zip(out, towards)]
        return out

    def _mesh(self, t: float) -> SurfaceMesh:
        """Return the zero level set at time ``t``, sought in a box that holds both balls."""
        first, second, gap, _ = self._balls(t)
        half = self._axes(t) * np.array([1.25, 1.25, first + second + 0.5 * max(gap, 0.0) + 0.25]) + 0.45
        return level_surface(lambda at: self._level(at, t), -half, half, _STEP)

    def _volume(self, t: float) -> float:
        """Return the volume at time ``t``, µm³: it grows exponentially, with the drawn volume as its mean over time."""
        growth = self.parameters["growth"]
        mean = (growth - 1.0) / np.log(growth) if abs(growth - 1.0) > 1e-9 else 1.0
        return float(self.parameters["volume_um3"] * growth**t / mean)
