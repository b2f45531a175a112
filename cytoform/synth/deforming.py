"""Cells that deform rapidly while they grow, as those of *Platynereis dumerilii* embryos."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from .._typing import Array
from ..errors import ConfigError
from ..mesh.shapes import sphere_of_edge
from ..mesh.surface import SurfaceMesh
from .families import Family
from .living import LivingShape
from .numbers import check_number, normal
from .primitives import Floats, Samples, harmonics

__all__ = ["Deforming", "DeformingShape"]

_MODES = 4  # shape modes that all individuals share
_DEGREES = np.repeat([2, 3, 4], [5, 7, 9])
_WEIGHTS = {2: 1.0, 3: 0.8, 4: 0.5}  # of the harmonics in a mode
_CYCLES = np.array([0.7, 1.1, 1.6, 2.3])  # of the modes' oscillations in a sequence
_EDGE = 0.065  # of the triangles, in radii, which leave the surface by less than a thousandth of a radius


@dataclasses.dataclass(frozen=True)
class Deforming(Family):
    """Smooth closed cells: an ellipsoid whose radius follows a few low spherical harmonics that swing in time.

    The log of the radius is Σ_j a_j(t) P_j(u) with four modes P_j, mixed from harmonics of degree 2 to 4, that all
    individuals share. An individual is thirteen numbers: volume, growth, two elongations, the strength of its
    deformation, and for each mode where it rests and its phase.

    From Wiesner et al. 2024: a cell's mean volume over its 30 frames is 586.5 to 5719.9 µm³, 3324.0 µm³ on average
    (Fig. 8), 90 s a frame (Section 4.1), growth over time (Fig. 4). Their 260,903 ± 186,188 interior voxels (Section
    5) then have a side of 0.23 µm, and 256 of them make the box of 60 µm. Chosen here: growth, elongation, deformation.

    Parameters
    ----------
    volume_um3 : (2,) float
        Smallest and largest mean volume of an individual; between them a beta distribution with mean 0.533.
    growth : float
        Volume of the last frame over that of the first.
    elongation : float
        Longest over middle axis before deformation.
    deformation : float
        Root mean square of the log radius of an average individual.
    """

    name: ClassVar[str] = "deforming"
    time_step_s: ClassVar[float] = 90.0

    box_um: float = 60.0
    volume_um3: tuple[float, float] = (590.0, 5720.0)
    growth: float = 3.0
    elongation: float = 1.25
    deformation: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (isinstance(self.volume_um3, (tuple, list)) and len(self.volume_um3) == 2):
            raise ConfigError(f"volume_um3 is {self.volume_um3!r}; expected (smallest, largest) in µm³.")
        low, high = self.volume_um3
        check_number("volume_um3[0]", low, 1e-3, 1e9)
        check_number("volume_um3[1]", high, low, 1e9)
        check_number("growth", self.growth, 0.2, 10.0)
        check_number("elongation", self.elongation, 1.0, 2.0)
        check_number("deformation", self.deformation, 0.0, 0.3)

    def _draw(self, rng: np.random.Generator, identity: dict[str, Any]) -> DeformingShape:
        low, high = self.volume_um3
        drawn = {
            "volume_um3": low + (high - low) * float(rng.beta(1.6, 1.4)),
            "growth": self.growth ** (1.0 + 0.15 * normal(rng)),
            "elongation": max(1.0, self.elongation * (1.0 + 0.08 * normal(rng))),
            "flattening": 0.85 + 0.06 * normal(rng),
            "deformation": self.deformation * (1.0 + 0.15 * normal(rng)),
            "rest": [0.6 * normal(rng) for _ in range(_MODES)],
            "phase": [0.08 * normal(rng) for _ in range(_MODES)],
        }
        return DeformingShape(self, {**identity, **drawn})


@lru_cache(maxsize=8)
def _pattern(seed: int) -> tuple[Floats, Floats]:
    """Modes as mixtures of the harmonics (4, 21), each with mean square 1, and where their swing begins (4,)."""
    rng = np.random.default_rng([seed, 1])
    weights = np.array([_WEIGHTS[d] for d in _DEGREES])
    mixed = rng.standard_normal((_MODES, len(_DEGREES))) * weights
    mixed = np.linalg.qr(mixed.T)[0].T  # modes that have nothing in common
    return mixed, rng.random(_MODES)


@lru_cache(maxsize=1)
def _sphere() -> tuple[SurfaceMesh, Floats]:
    ball = sphere_of_edge(1.0, (0.0, 0.0, 0.0), _EDGE)
    return ball, harmonics(ball.vertices)


class DeformingShape(LivingShape):
    """An individual of :class:`Deforming`."""

    def _amplitudes(self, t: float) -> Floats:
        """Of the modes, (4,)."""
        p = self.parameters
        _, begin = _pattern(self.family.pattern_seed)
        swing = np.sin(2.0 * np.pi * (_CYCLES * t + begin + p["phase"])) * (1.1 - 0.15 * np.arange(_MODES))
        return p["deformation"] / np.sqrt(_MODES) * (np.asarray(p["rest"]) + swing)

    def _axes(self) -> Floats:
        axes = np.array([self.parameters["flattening"], 1.0, self.parameters["elongation"]])
        return axes / np.cbrt(axes.prod())

    def _mixture(self, t: float) -> Floats:
        return self._amplitudes(t) @ _pattern(self.family.pattern_seed)[0]  # type: ignore[no-any-return]

    def _mesh(self, t: float) -> SurfaceMesh:
        ball, table = _sphere()
        radius = np.exp(table @ self._mixture(t))
        return SurfaceMesh(ball.vertices * radius[:, None] * self._axes(), ball.faces)

    def _level(self, at: Samples, t: float) -> Array:
        points = np.stack(np.broadcast_arrays(at.z, at.y, at.x), axis=-1).reshape(-1, 3) / self._axes()
        length = np.linalg.norm(points, axis=1)
        units = points / np.maximum(length, 1e-9)[:, None]
        return (length - np.exp(harmonics(units) @ self._mixture(t))).reshape(at.shape)

    def _volume(self, t: float) -> float:
        growth = self.parameters["growth"]
        mean = (growth - 1.0) / np.log(growth) if abs(growth - 1.0) > 1e-9 else 1.0
        return float(self.parameters["volume_um3"] * growth**t / mean)
