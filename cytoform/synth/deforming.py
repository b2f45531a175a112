"""Cells that deform rapidly while they grow, as those of *Platynereis dumerilii* embryos."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from .._typing import Array, Floats
from ..errors import ConfigError
from ..mesh.shapes import sphere_of_edge
from ..mesh.surface import SurfaceMesh
from .families import Family
from .living import LivingShape
from .numbers import check_number, truncated_normal
from .primitives import Samples, spherical_harmonics

__all__ = ["Deforming", "DeformingShape"]

_MODES = 4  # shape modes that all individuals share
_DEGREES = np.repeat([2, 3, 4], [5, 7, 9])  # degrees of the 21 spherical harmonics
_WEIGHTS = {2: 1.0, 3: 0.8, 4: 0.5}  # standard deviations of the harmonics' coefficients in a mode, by degree
_CYCLES = np.array([0.7, 1.1, 1.6, 2.3])  # oscillations of each mode in a sequence
_EDGE = 0.065  # edges of the triangles, in radii: they deviate from the surface by less than a thousandth of a radius


@dataclasses.dataclass(frozen=True)
class Deforming(Family):
    """Smooth closed cells: ellipsoids whose radius is modulated by low spherical harmonics that oscillate in time.

    The log of the radius is Σ_j a_j(t) P_j(u) with four modes P_j, mixed from harmonics of degree 2 to 4, that all
    individuals share. An individual is thirteen numbers: volume, growth, two elongations, the strength of its
    deformation, and for each mode its mean amplitude (``rest``) and its phase.

    From Wiesner et al. 2024: a cell's mean volume over its 30 frames is 586.5 to 5719.9 µm³, 3324.0 µm³ on average
    (Fig. 8), 90 s a frame (Section 4.1), growth over time (Fig. 4). Their 260,903 ± 186,188 interior voxels (Section
    5) then have a side of 0.23 µm, and 256 of them make the box of 60 µm. Chosen here: growth, elongation, deformation.

    Parameters
    ----------
    box_um : float
        Side of the cube that sequences are sampled in, µm; 1 to 1000.
    pattern_seed : int
        Seed of the modes and their phases, which all individuals share.
    volume_um3 : (2,) float
        Smallest and largest mean volume of an individual over its frames, µm³; between them a beta distribution with
        mean 0.533 of the range.
    growth : float
        Mean of the volume of the last frame over that of the first; 0.2 to 10.
    elongation : float
        Mean of the longest over the middle axis before deformation; 1 to 2.
    deformation : float
        Root mean square of the log radius of an average individual; 0 to 0.3.

    Raises
    ------
    ConfigError
        When a number is out of range.
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
        """Draw volume, growth, axes, and mean amplitude and phase of each mode; ``identity`` joins the parameters."""
        low, high = self.volume_um3
        drawn = {
            "volume_um3": low + (high - low) * float(rng.beta(1.6, 1.4)),
            "growth": self.growth ** (1.0 + 0.15 * truncated_normal(rng)),
            "elongation": max(1.0, self.elongation * (1.0 + 0.08 * truncated_normal(rng))),
            "flattening": 0.85 + 0.06 * truncated_normal(rng),
            "deformation": self.deformation * (1.0 + 0.15 * truncated_normal(rng)),
            "rest": [0.6 * truncated_normal(rng) for _ in range(_MODES)],
            "phase": [0.08 * truncated_normal(rng) for _ in range(_MODES)],
        }
        return DeformingShape(self, {**identity, **drawn})


@lru_cache(maxsize=8)
def _shared_modes(seed: int) -> tuple[Floats, Floats]:
    """Draw the modes that all individuals of a family share.

    Parameters
    ----------
    seed : int
        The family's ``pattern_seed``.

    Returns
    -------
    coefficients : (4, 21) float64
        Each mode as a combination of the spherical harmonics; orthonormal, so that modes have mean square 1.
    phases : (4,) float64
        Phase of each mode's oscillation at t = 0, in cycles, 0 to 1.
    """
    rng = np.random.default_rng([seed, 1])
    weights = np.array([_WEIGHTS[d] for d in _DEGREES])
    mixed = rng.standard_normal((_MODES, len(_DEGREES))) * weights
    mixed = np.linalg.qr(mixed.T)[0].T  # orthonormal rows
    return mixed, rng.random(_MODES)


@lru_cache(maxsize=1)
def _unit_sphere() -> tuple[SurfaceMesh, Floats]:
    """Return a mesh of the unit sphere, and the spherical harmonics at its vertices, (n_vertices, 21)."""
    ball = sphere_of_edge(1.0, (0.0, 0.0, 0.0), _EDGE)
    return ball, spherical_harmonics(ball.vertices)


class DeformingShape(LivingShape):
    """Individual of :class:`Deforming`; local coordinates are in radii of the undeformed ellipsoid.

    Parameters
    ----------
    family : Deforming
        Family that it was drawn from.
    parameters : dict
        Numbers drawn for it, plain values for JSON.
    """

    def _amplitudes(self, t: float) -> Floats:
        """Return the amplitude a_j of each mode at time ``t``, (4,): its mean plus a sine of time."""
        p = self.parameters
        _, phases = _shared_modes(self.family.pattern_seed)
        oscillation = np.sin(2.0 * np.pi * (_CYCLES * t + phases + p["phase"])) * (1.1 - 0.15 * np.arange(_MODES))
        amplitudes: Floats = p["deformation"] / np.sqrt(_MODES) * (np.asarray(p["rest"]) + oscillation)
        return amplitudes

    def _axes(self) -> Floats:
        """Return the half axes (z, y, x) of the undeformed ellipsoid, (3,), with product 1."""
        axes = np.array([self.parameters["flattening"], 1.0, self.parameters["elongation"]])
        scaled: Floats = axes / np.cbrt(axes.prod())
        return scaled

    def _harmonic_coefficients(self, t: float) -> Floats:
        """Return the coefficients of the log radius at time ``t`` in the spherical harmonics, (21,)."""
        return self._amplitudes(t) @ _shared_modes(self.family.pattern_seed)[0]

    def _mesh(self, t: float) -> SurfaceMesh:
        """Return a unit sphere with each vertex moved to its radius at time ``t`` and stretched along the axes."""
        ball, table = _unit_sphere()
        radius = np.exp(table @ self._harmonic_coefficients(t))
        return SurfaceMesh(ball.vertices * radius[:, None] * self._axes(), ball.faces)

    def _level(self, at: Samples, t: float) -> Array:
        """Evaluate |p| − radius(p / |p|) at time ``t``, with points p divided by the half axes; of ``at.shape``."""
        points = np.stack(np.broadcast_arrays(at.z, at.y, at.x), axis=-1).reshape(-1, 3) / self._axes()
        length = np.linalg.norm(points, axis=1)
        units = points / np.maximum(length, 1e-9)[:, None]
        level: Floats = length - np.exp(spherical_harmonics(units) @ self._harmonic_coefficients(t))
        return level.reshape(at.shape)

    def _volume(self, t: float) -> float:
        """Return the volume at time ``t``, µm³: it grows exponentially, with the drawn volume as its mean over time."""
        growth = self.parameters["growth"]
        mean = (growth - 1.0) / np.log(growth) if abs(growth - 1.0) > 1e-9 else 1.0
        return float(self.parameters["volume_um3"] * growth**t / mean)
