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
from ..constants import (
    LEAST_SMOOTHNESS_FACTOR,
    LEAST_SPREAD_RATIO,
    MOST_SMOOTHNESS_FACTOR,
    N_STRENGTHS,
    N_TABLE_ROWS,
    N_WAVE_NUMBERS,
    PATCH_SMOOTHING,
    PRIOR_DEGREES_OF_FREEDOM,
    VERTICES_PER_CHUNK,
)
from .field import StainingPrior
from .smoothness import Smoothness

__all__ = ["FisherInformation", "estimate_smoothness_factors", "estimate_staining_spread"]


# Degrees of freedom that a prior's own strength counts for beside those of a patch. Energies are averaged: a rough
# patch is believed at once (strength 0.1 is found as 0.12), a smooth one less (10 as about 4).


@dataclasses.dataclass(frozen=True)
class FisherInformation:
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
    def reliability(self) -> float:
        """How far what is seen tells strengths: 1 for noise alone, 0 where half of what is left is a misfit or more.

        A misfit roughens surface and staining as well.
        """
        return max(0.0, 1.0 - 2.0 * self.misfit)

    def of_position(self, squares: Floats) -> Floats:
        """Precision of a wave of the sheet along its normal, for squared wave numbers (1/µm²)."""
        return self.contrast / (4.0 * math.sqrt(math.pi) * self.sigma**3) * self._passed(squares)

    def of_staining(self, squares: Floats) -> Floats:
        """The same of a wave of the logarithm of its density."""
        return self.contrast / (2.0 * math.sqrt(math.pi) * self.sigma) * self._passed(squares)

    def _passed(self, squares: Floats) -> Floats:
        return np.exp(-np.minimum(self.sigma**2 * squares, 100.0))


def estimate_smoothness_factors(
    prior: Smoothness, roughness: Floats, weight: float, information: FisherInformation, gather: LaplacianPreconditioner
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
    sight : FisherInformation
    gather : LaplacianPreconditioner
        Of the mesh, with λ = PATCH_SMOOTHING.

    Returns
    -------
    (n_vertices,) float64
        Between LEAST_SMOOTHNESS_FACTOR and MOST_SMOOTHNESS_FACTOR, each to the power of `information.reliability`.
    """
    edge = prior.edge
    squares = _squares(edge, N_WAVE_NUMBERS)
    bends = weight * edge**4 * squares**4 / 6.0  # d² (e⁴/3) ∫ |ΔH|² dA of a wave, H = k² d / 2
    seen = information.of_position(squares)
    free = 18.0 * math.pi * PATCH_SMOOTHING * edge**2 * _per_area(seen / (seen + bends), squares)
    tried = np.geomspace(
        LEAST_SMOOTHNESS_FACTOR**information.reliability, MOST_SMOOTHNESS_FACTOR**information.reliability, N_STRENGTHS
    )
    grades = np.geomspace(LEAST_SMOOTHNESS_FACTOR, MOST_SMOOTHNESS_FACTOR, N_TABLE_ROWS)
    table = np.array([_expected(seen, grade * bends, tried[:, None] * bends, squares) / grade for grade in grades])
    area = 0.5 * math.sqrt(3.0) * edge**2
    energy = free * weight * gather.solve(roughness) / area
    found = np.empty(len(energy))
    for i in range(0, len(energy), VERTICES_PER_CHUNK):
        some = slice(i, i + VERTICES_PER_CHUNK)
        expected = _between(table, prior.weights[some])  # falls with the strength that is tried
        own = expected[:, np.abs(np.log(tried)).argmin()]
        seen_there = (energy[some] + PRIOR_DEGREES_OF_FREEDOM * own) / (free + PRIOR_DEGREES_OF_FREEDOM)
        found[some] = tried[np.minimum((expected > seen_there[:, None]).sum(axis=1), N_STRENGTHS - 1)]
    return found


def _between(table: Floats, weights: Floats) -> Floats:
    """Rows of a table over N_TABLE_ROWS of strength, (n, N_STRENGTHS), for strengths between them."""
    place = (
        (np.log(weights) - math.log(LEAST_SMOOTHNESS_FACTOR))
        / math.log(MOST_SMOOTHNESS_FACTOR / LEAST_SMOOTHNESS_FACTOR)
        * (N_TABLE_ROWS - 1)
    )
    below = np.clip(place.astype(int), 0, N_TABLE_ROWS - 2)
    part = np.clip(place - below, 0.0, 1.0)[:, None]
    return (1.0 - part) * table[below] + part * table[below + 1]


def estimate_staining_spread(
    prior: StainingPrior, stain: Floats, area: float, expected: float, information: FisherInformation
) -> float:
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
    sight : FisherInformation

    Returns
    -------
    float
        Of the field, which has no unit.
    """
    squares = _squares(prior.edge, 10 * N_WAVE_NUMBERS)
    held, seen = prior.precision(squares), information.of_staining(squares)
    tried = np.geomspace(LEAST_SPREAD_RATIO**information.reliability * expected, expected, N_STRENGTHS)
    true = held * (prior.spread / tried[:, None]) ** 2
    energies = area * _expected(seen, held, true, squares)  # grows with the spread that is tried
    return float(tried[min(int((energies < prior(stain)[0]).sum()), N_STRENGTHS - 1)])


def _squares(edge: float, count: int) -> Floats:
    """Squared wave numbers up to what vertices an edge apart can prolongation, 1/µm²."""
    return np.linspace(1e-3, 8.0 * math.pi / math.sqrt(3.0), count) / edge**2


def _per_area(values: Floats, squares: Floats) -> Floats:
    """Sum over the waves of a sheet, for each µm²: ∫ d²k / (2π)², over the last axis."""
    return trapezoid(values, squares, axis=-1) / (4.0 * math.pi)


def _expected(seen: Floats, held: Floats, true: Floats, squares: Floats) -> Floats:
    """Mean energy ½ Q s² for each µm² where the prior is Q and the truth T."""
    return _per_area(0.5 * held * seen * (seen + true) / (true * (seen + held) ** 2), squares)
