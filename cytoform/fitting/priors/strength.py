"""Estimate the strengths of the priors of surface and staining from the image (empirical Bayes).

One prior serves all surfaces, but a surface is rough here and smooth there. Where it is smooth, a stronger prior
removes more of the noise; where it is rough, a weaker one keeps more of the shape.

In a mode of wave number k, let G be the image's Fisher information and Q the prior's precision. The fit's amplitude is
G y / (G + Q), with y the amplitude that the image alone would give. If the mode's true precision is T, the energy ½ Q
s² of that amplitude has the mean ½ Q G (G + T) / (T (G + Q)²). The measured energy gives T by the method of moments.
"""

from __future__ import annotations

import dataclasses
import math
from typing import cast

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


@dataclasses.dataclass(frozen=True)
class FisherInformation:
    """The Fisher information of an image about a stained sheet, per µm² of the sheet and the same everywhere.

    The PSF is replaced by an isotropic Gaussian: the sheet's profile is gain · N(distance; σ).

    Attributes
    ----------
    contrast : float
        gain² times the mean square of the density, over the noise variance times the volume of a voxel, 1/µm³; scaled
        by the mean weight of the voxels that the sheet lights up.
    sigma : float
        σ of the Gaussian, µm.
    misfit : float
        Part of the residual's power on the modes that the optics pass that is not white noise, 0 to 1: what exceeds the
        power on the other modes.
    filling : float
        The same as `contrast` with the mean square of the jump of brightness across the sheet, 1/µm⁵.
    """

    contrast: float
    sigma: float
    misfit: float = 0.0
    filling: float = 0.0

    @property
    def reliability(self) -> float:
        """How far strengths can be estimated: 1 for a residual of noise alone, 0 if half of it or more is misfit.

        A misfit roughens surface and staining, too, and would be taken for true roughness.
        """
        return max(0.0, 1.0 - 2.0 * self.misfit)

    def of_position(self, squares: Floats) -> Floats:
        """Return the information about a plane wave of the sheet's position along its normal, (n,).

        `squares` are squared wave numbers, (n,) 1/µm².
        """
        sheet = self.contrast / (4.0 * math.sqrt(math.pi) * self.sigma**3)
        edge = self.filling / (2.0 * math.sqrt(math.pi) * self.sigma)  # a filled body's edge that moves is a sheet
        return (sheet + edge) * self._transfer(squares)

    def of_staining(self, squares: Floats) -> Floats:
        """Return the information about a plane wave of the density's logarithm, (n,); `squares` as for a position."""
        return self.contrast / (2.0 * math.sqrt(math.pi) * self.sigma) * self._transfer(squares)

    def _transfer(self, squares: Floats) -> Floats:
        """Return the squared transfer of the Gaussian optics, exp(-σ² k²), (n,); `squares` are k², (n,) 1/µm²."""
        return np.exp(-np.minimum(self.sigma**2 * squares, 100.0))


def estimate_smoothness_factors(
    prior: Smoothness, roughness: Floats, weight: float, information: FisherInformation, gather: LaplacianPreconditioner
) -> Floats:
    """Estimate the factor on the smoothness energy at every vertex, by the method of moments.

    The energy around a vertex, averaged over a patch, is compared with its expectation for a table of factors.

    Parameters
    ----------
    prior : Smoothness
        The prior that the surface was fitted with, with its factors until now.
    roughness : (n_vertices,) float
        Energy of each vertex along its normal, without the factors (:meth:`Smoothness.roughness`).
    weight : float
        The regularisation weight that multiplied the whole energy.
    information : FisherInformation
    gather : LaplacianPreconditioner
        Averages over a patch: λ = PATCH_SMOOTHING, for the mesh's connectivity.

    Returns
    -------
    (n_vertices,) float64
        Between LEAST_SMOOTHNESS_FACTOR and MOST_SMOOTHNESS_FACTOR, both to the power of `information.reliability`.
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
        expected = _interpolated_rows(table, prior.weights[some])  # decreases with the factor
        unchanged = expected[:, np.abs(np.log(tried)).argmin()]
        seen_there = (energy[some] + PRIOR_DEGREES_OF_FREEDOM * unchanged) / (free + PRIOR_DEGREES_OF_FREEDOM)
        found[some] = tried[np.minimum((expected > seen_there[:, None]).sum(axis=1), N_STRENGTHS - 1)]
    return found


def _interpolated_rows(table: Floats, weights: Floats) -> Floats:
    """Interpolate rows of a table linearly in the logarithm of the factor.

    `table` is (N_TABLE_ROWS, N_STRENGTHS), a row for each factor between the least and the most; `weights` (n,) are the
    factors wanted. Returns (n, N_STRENGTHS).
    """
    row = (
        (np.log(weights) - math.log(LEAST_SMOOTHNESS_FACTOR))
        / math.log(MOST_SMOOTHNESS_FACTOR / LEAST_SMOOTHNESS_FACTOR)
        * (N_TABLE_ROWS - 1)
    )
    below = np.clip(row.astype(int), 0, N_TABLE_ROWS - 2)
    part = np.clip(row - below, 0.0, 1.0)[:, None]
    return cast(Floats, (1.0 - part) * table[below] + part * table[below + 1])


def estimate_staining_spread(
    prior: StainingPrior, stain: Floats, area: float, expected: float, information: FisherInformation
) -> float:
    """Estimate the standard deviation of the staining's field; it is at most the expected one.

    The field's energy is compared with its expectation for a series of standard deviations.

    Parameters
    ----------
    prior : StainingPrior
        The prior that the staining was fitted with.
    stain : (n_vertices,) float
        The field.
    area : float
        Of the surface, µm².
    expected : float
        The setting ``FitConfig.staining_spread``.
    information : FisherInformation

    Returns
    -------
    float
        Without a unit.
    """
    squares = _squares(prior.edge, 10 * N_WAVE_NUMBERS)
    held, seen = prior.precision(squares), information.of_staining(squares)
    tried = np.geomspace(LEAST_SPREAD_RATIO**information.reliability * expected, expected, N_STRENGTHS)
    true = held * (prior.spread / tried[:, None]) ** 2
    energies = area * _expected(seen, held, true, squares)  # increases with the spread
    return float(tried[min(int((energies < prior(stain)[0]).sum()), N_STRENGTHS - 1)])


def _squares(edge: float, count: int) -> Floats:
    """Return `count` squared wave numbers, 1/µm², up to the largest that vertices an `edge` (µm) apart can carry."""
    return np.linspace(1e-3, 8.0 * math.pi / math.sqrt(3.0), count) / edge**2


def _per_area(values: Floats, squares: Floats) -> Floats:
    """Sum values (…, n) over all plane waves of a sheet, per µm²: ∫ d²k / (2π)²; `squares` are k², (n,) 1/µm²."""
    return cast(Floats, trapezoid(values, squares, axis=-1) / (4.0 * math.pi))


def _expected(seen: Floats, held: Floats, true: Floats, squares: Floats) -> Floats:
    """Return the expected energy ½ Q s² per µm², summed over all plane waves.

    `seen` is the image's information G, `held` the prior's precision Q, `true` the true precision T, all (…, n) over
    the squared wave numbers `squares` (n,).
    """
    return _per_area(0.5 * held * seen * (seen + true) / (true * (seen + held) ** 2), squares)
