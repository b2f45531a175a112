"""A Gaussian point spread function with a full covariance."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .._typing import Array, Floats, Triple
from ..errors import ConfigError
from ..image.band import Band
from ..image.volume import Grid
from ..options import Option, Setting
from .registry import register

__all__ = ["FWHM_PER_SIGMA", "GaussianPSF"]

FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
_ROWS, _COLUMNS = np.tril_indices(3)
_DIAGONAL = _ROWS == _COLUMNS


@register
@dataclasses.dataclass(frozen=True, eq=False)
class GaussianPSF:
    """h(x) = exp(-½ xᵀ Σ⁻¹ x) / √((2π)³ det Σ), with ĥ(ξ) = exp(-½ ξᵀ Σ ξ).

    Its free parameters are the six entries of the lower Cholesky factor of Σ, row by row, with the logarithm of those
    on the diagonal: Σ stays symmetric positive definite whatever they are.
    Ref: Ichbiah et al. 2025, Eq. 2 (whose transform lacks an inverse).

    Parameters
    ----------
    covariance : (3, 3) float
        Σ in µm², axes (z, y, x).

    Raises
    ------
    ConfigError
        When Σ is not a symmetric positive definite 3 × 3 matrix.
    """

    covariance: Floats
    kind = "gaussian"
    centred = True

    def __post_init__(self) -> None:
        matrix = np.array(self.covariance, dtype=np.float64)
        good = matrix.shape == (3, 3) and bool(np.isfinite(matrix).all())
        if good and np.allclose(matrix, matrix.T, rtol=1e-6, atol=0.0):
            matrix = 0.5 * (matrix + matrix.T)
        else:
            good = False
        if not good or np.linalg.eigvalsh(matrix).min() <= 0:
            raise ConfigError(
                f"the PSF's covariance is {np.asarray(self.covariance).tolist()}; expected a symmetric positive "
                "definite 3 × 3 matrix in µm².",
                remedy="GaussianPSF.from_sigma((z, y, x)) makes one from widths in µm.",
            )
        object.__setattr__(self, "covariance", matrix)

    @classmethod
    def from_sigma(cls, sigma: float | Sequence[float]) -> GaussianPSF:
        """From the standard deviations along (z, y, x), µm (one number for all three)."""
        widths = np.asarray(sigma, dtype=np.float64).ravel()
        widths = np.repeat(widths, 3) if widths.size == 1 else widths
        if widths.size != 3 or not np.isfinite(widths).all() or (widths <= 0).any():
            raise ConfigError(f"sigma is {sigma!r}; expected three positive widths in µm, (z, y, x).")
        return cls(np.diag(widths**2))

    @classmethod
    def from_fwhm(cls, fwhm: float | Sequence[float]) -> GaussianPSF:
        """From the full widths at half maximum along (z, y, x), µm."""
        return cls.from_sigma(np.asarray(fwhm, dtype=np.float64) / FWHM_PER_SIGMA)

    @classmethod
    def settings(cls) -> tuple[Setting, ...]:
        """Options: its widths."""
        told = "σ of a Gaussian PSF in µm; without it, a fit guesses one to start from."
        return (Setting("sigma", Triple, None, Option(told, "Z Y X", "--psf-sigma")),)

    @classmethod
    def from_options(cls, given: Mapping[str, Any], spacing: Triple | None) -> GaussianPSF | None:
        """From `sigma`; without it the widths are left to be guessed."""
        return cls.from_sigma(given["sigma"]) if "sigma" in given else None

    @property
    def sigma(self) -> Floats:
        """Standard deviation along (z, y, x), µm."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def fwhm(self) -> Floats:
        """Full width at half maximum along (z, y, x), µm."""
        return FWHM_PER_SIGMA * self.sigma

    @property
    def parameters(self) -> Floats:
        """Log-Cholesky parameters (6,): l00, l10, l11, l20, l21, l22, with logarithms of l00, l11, l22."""
        entries = np.linalg.cholesky(self.covariance)[_ROWS, _COLUMNS]
        entries[_DIAGONAL] = np.log(entries[_DIAGONAL])
        return entries

    def with_parameters(self, parameters: npt.ArrayLike) -> GaussianPSF:
        """From log-Cholesky parameters (6,)."""
        factor = _factor(np.asarray(parameters, dtype=np.float64))
        return GaussianPSF(factor @ factor.T)

    def axial(self, gradient: Floats) -> Floats:
        """The part of a gradient (6,) that keeps the PSF round about z: one width along z and one across."""
        kept = np.zeros(6)
        kept[0] = gradient[0]
        kept[[2, 5]] = 0.5 * (gradient[2] + gradient[5])
        return kept

    def prolate(self) -> GaussianPSF:
        """No narrower along z than across, as an objective's PSF is: else both widths at their geometric mean."""
        theta = self.parameters
        across = 0.5 * (theta[2] + theta[5])
        if theta[0] >= across:
            return self
        theta[[0, 2, 5]] = (theta[0] + 2.0 * across) / 3.0
        return self.with_parameters(theta)

    def otf(self, grid: Grid) -> Floats:
        """ĥ on the half-space spectrum of a grid, real, ``rfftn`` layout."""
        return self.otf_on(Band.full(grid))

    def otf_on(self, band: Band) -> Floats:
        """ĥ on a band's box, real."""
        s, (z, y, x) = self.covariance, band.axes
        if np.count_nonzero(s - np.diag(np.diag(s))) == 0:  # separable
            return np.exp(-0.5 * s[0, 0] * z * z) * np.exp(-0.5 * s[1, 1] * y * y) * np.exp(-0.5 * s[2, 2] * x * x)
        plane = s[0, 0] * z * z + s[1, 1] * y * y + 2.0 * s[0, 1] * z * y
        mixed = 2.0 * (s[0, 2] * z + s[1, 2] * y)
        return np.exp(-0.5 * (plane + (mixed + s[2, 2] * x) * x))

    def otf_vjp(self, band: Band, cotangent: Array) -> Floats:
        """Gradient for the six parameters, (6,): ∂ĥ/∂Σ_ij = -½ ξ_i ξ_j ĥ, Σ = L Lᵀ."""
        weighted = np.real(cotangent).astype(np.float64) * self.otf_on(band) * band.weights
        if band.mask is not None:
            weighted = np.where(band.mask, weighted, 0.0)
        slope = np.empty((3, 3))
        for i, first in enumerate(band.axes):
            part = weighted * first
            for j, second in enumerate(band.axes[: i + 1]):
                slope[i, j] = slope[j, i] = -0.5 * float((part * second).sum())
        factor = np.linalg.cholesky(self.covariance)
        entries = (2.0 * slope @ factor)[_ROWS, _COLUMNS]
        entries[_DIAGONAL] *= np.diag(factor)
        return entries

    def band(self, grid: Grid, cutoff: float) -> Band:
        """Modes where ĥ exceeds `cutoff`; 0 keeps all but the Nyquist planes."""
        if cutoff <= 0:
            return Band.symmetric(grid)
        radius = math.sqrt(-2.0 * math.log(min(cutoff, 0.999)))
        limits = radius * np.sqrt(np.diag(np.linalg.inv(self.covariance)))
        widths = np.floor(limits * np.asarray(grid.extent) / (2.0 * math.pi) + 1e-9).astype(int)
        box = Band.box(grid, (int(widths[0]), int(widths[1]), int(widths[2])))
        return box.where(self.otf_on(box) >= cutoff)

    def reach(self) -> tuple[float, float, float]:
        """Four standard deviations on each axis, µm."""
        z, y, x = 4.0 * self.sigma
        return float(z), float(y), float(x)

    def profile(self, axis: int) -> tuple[Floats, Floats]:
        """Four standard deviations either way: that of its σ along the axis, whatever it is tilted by."""
        sigma = float(self.sigma[axis])
        place = np.linspace(-4.0 * sigma, 4.0 * sigma, 257)
        return place, np.exp(-0.5 * (place / sigma) ** 2)

    def blurred(self, sigma: float) -> GaussianPSF:
        """Convolved with an isotropic Gaussian of standard deviation `sigma`, µm."""
        return GaussianPSF(self.covariance + sigma**2 * np.eye(3))

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> GaussianPSF:
        """From what :meth:`describe` gave."""
        return cls(np.array(description["covariance_um2"]))

    def describe(self) -> dict[str, Any]:
        """Kind, covariance (µm²), σ and FWHM (µm) as plain values."""
        return {
            "kind": self.kind,
            "covariance_um2": self.covariance.tolist(),
            "sigma_um": self.sigma.tolist(),
            "fwhm_um": self.fwhm.tolist(),
        }

    def brief(self) -> dict[str, Any]:
        """All that :meth:`describe` gives."""
        return self.describe()


def _factor(parameters: Floats) -> Floats:
    if parameters.shape != (6,) or not np.isfinite(parameters).all():
        raise ConfigError(f"the PSF's parameters have shape {parameters.shape}; expected 6 finite numbers.")
    entries = parameters.copy()
    entries[_DIAGONAL] = np.exp(entries[_DIAGONAL])
    factor = np.zeros((3, 3))
    factor[_ROWS, _COLUMNS] = entries
    return factor
