"""How strong the priors of surface and staining have to be: learnt from the image, as far as it can tell.

A prior says what is alike on all surfaces, and a surface is rough here and smooth there. Where it is smooth, a prior of
its own strength keeps out more of the noise; where it is rough, a weaker one keeps more of the shape.

In a mode of wave number k an image that tells G of it (a precision) and a prior of precision Q give the amplitude
G y / (G + Q), y what the image alone would say. If the mode's true precision is T, the energy ½ Q s² of that amplitude
has the mean ½ Q G (G + T) / (T (G + Q)²): what is seen of the energy tells T, by the method of moments.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from scipy.integrate import trapezoid

from ..._typing import Floats
from ...optim import LaplacianPreconditioner
from .field import StainingPrior
from .smoothness import Smoothness

__all__ = ["Sight", "learnt_spread", "learnt_stiffness"]


SOFTEST, STIFFEST = 0.1, 20.0  # times the prior's own strength: how far it may be learnt to be from that
EVENEST = 0.03  # of the spread that was expected: how even a staining may be learnt to be
PATCH = 1.0  # λ of the smoothing (1 + λL)^-2 that gathers roughness, from about 18 π λ squared edges
# Degrees of freedom that a prior's own strength counts for beside those of a patch. Energies are averaged: a rough
# patch is believed at once (strength 0.1 is found as 0.12), a smooth one less (10 as about 4).
DOUBT = 2.0
CHUNK = 10_000  # vertices at a time
WAVES, STEPS, GRADES = 400, 120, 31  # wave numbers, strengths that are tried, and strengths until now in a table


@dataclasses.dataclass(frozen=True)
class Sight:
    """What an image tells of a stained sheet, for each µm² of it, the same everywhere.

    The PSF counts as round and Gaussian: the sheet's profile is gain · N(distance; σ).

    Attributes
    ----------
    contrast : float
        gain², times the density's mean square, over the variance of the noise and a voxel's volume; by the weight that
        bright voxels have.
    sigma : float
        σ of the PSF, µm.
    misfit : float
        Which part of the power that is left unexplained, on the modes that the optics pass, is no white noise: what
        exceeds that on the others.
    """

    contrast: float
    sigma: float
    misfit: float = 0.0

    @property
    def trust(self) -> float:
        """How far what is seen tells strengths: 1 for noise alone, 0 where half of what is left is a misfit or more.

        A misfit roughens surface and staining as well.
        """
        return max(0.0, 1.0 - 2.0 * self.misfit)

    def of_place(self, squares: Floats) -> Floats:
        """Precision of a wave of the sheet along its normal, for squared wave numbers (1/µm²)."""
        return self.contrast / (4.0 * math.sqrt(math.pi) * self.sigma**3) * self._passed(squares)

    def of_staining(self, squares: Floats) -> Floats:
        """The same of a wave of the logarithm of its density."""
        return self.contrast / (2.0 * math.sqrt(math.pi) * self.sigma) * self._passed(squares)

    def _passed(self, squares: Floats) -> Floats:
        return np.exp(-np.minimum(self.sigma**2 * squares, 100.0))


def learnt_stiffness(
    prior: Smoothness, roughness: Floats, weight: float, sight: Sight, gather: LaplacianPreconditioner
) -> Floats:
    """What the smoothness energy has to be multiplied by at every vertex.

    Parameters
    ----------
    prior : Smoothness
        As it was while the surface came to where it is, with its weights until now.
    roughness : (n_vertices,) float
        Energy of each vertex along the normal, without the weights (:meth:`Smoothness.roughness`).
    weight : float
        What the energy was multiplied by as a whole.
    sight : Sight
    gather : LaplacianPreconditioner
        Of the mesh, with λ = PATCH.

    Returns
    -------
    (n_vertices,) float64
        Between SOFTEST and STIFFEST, each to the power of `sight.trust`.
    """
    edge = prior.edge
    squares = _squares(edge, WAVES)
    bends = weight * edge**4 * squares**4 / 6.0  # d² (e⁴/3) ∫ |ΔH|² dA of a wave, H = k² d / 2
    seen = sight.of_place(squares)
    free = 18.0 * math.pi * PATCH * edge**2 * _per_area(seen / (seen + bends), squares)
    tried = np.geomspace(SOFTEST**sight.trust, STIFFEST**sight.trust, STEPS)
    grades = np.geomspace(SOFTEST, STIFFEST, GRADES)
    table = np.array([_expected(seen, grade * bends, tried[:, None] * bends, squares) / grade for grade in grades])
    area = 0.5 * math.sqrt(3.0) * edge**2
    energy = free * weight * gather.solve(roughness) / area
    found = np.empty(len(energy))
    for i in range(0, len(energy), CHUNK):
        some = slice(i, i + CHUNK)
        expected = _between(table, prior.weights[some])  # falls with the strength that is tried
        own = expected[:, np.abs(np.log(tried)).argmin()]
        seen_there = (energy[some] + DOUBT * own) / (free + DOUBT)
        found[some] = tried[np.minimum((expected > seen_there[:, None]).sum(axis=1), STEPS - 1)]
    return found


def _between(table: Floats, weights: Floats) -> Floats:
    """Rows of a table over GRADES of strength, (n, STEPS), for strengths between them."""
    place = (np.log(weights) - math.log(SOFTEST)) / math.log(STIFFEST / SOFTEST) * (GRADES - 1)
    below = np.clip(place.astype(int), 0, GRADES - 2)
    part = np.clip(place - below, 0.0, 1.0)[:, None]
    return (1.0 - part) * table[below] + part * table[below + 1]


def learnt_spread(prior: StainingPrior, stain: Floats, area: float, expected: float, sight: Sight) -> float:
    """The standard deviation of the staining's field, no larger than what was expected.

    Parameters
    ----------
    prior : StainingPrior
        As it was while the staining came to be what it is.
    stain : (n_vertices,) float
    area : float
        Of the surface, µm².
    expected : float
        The setting.
    sight : Sight

    Returns
    -------
    float
        Of the field, which has no unit.
    """
    squares = _squares(prior.edge, 10 * WAVES)
    held, seen = prior.precision(squares), sight.of_staining(squares)
    tried = np.geomspace(EVENEST**sight.trust * expected, expected, STEPS)
    true = held * (prior.spread / tried[:, None]) ** 2
    energies = area * _expected(seen, held, true, squares)  # grows with the spread that is tried
    return float(tried[min(int((energies < prior(stain)[0]).sum()), STEPS - 1)])


def _squares(edge: float, count: int) -> Floats:
    """Squared wave numbers up to what vertices an edge apart can carry, 1/µm²."""
    return np.linspace(1e-3, 8.0 * math.pi / math.sqrt(3.0), count) / edge**2


def _per_area(values: Floats, squares: Floats) -> Floats:
    """Sum over the waves of a sheet, for each µm²: ∫ d²k / (2π)², over the last axis."""
    return trapezoid(values, squares, axis=-1) / (4.0 * math.pi)


def _expected(seen: Floats, held: Floats, true: Floats, squares: Floats) -> Floats:
    """Mean energy ½ Q s² for each µm² where the prior is Q and the truth T."""
    return _per_area(0.5 * held * seen * (seen + true) / (true * (seen + held) ** 2), squares)
