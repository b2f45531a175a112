"""A Gaussian point spread function with a full covariance matrix."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
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
    """A Gaussian PSF, h(x) = exp(-½ xᵀ Σ⁻¹ x) / √((2π)³ det Σ), with ĥ(ξ) = exp(-½ ξᵀ Σ ξ).

    Its free parameters are the six entries of the lower Cholesky factor of Σ, row by row, with the logarithm of those
    on the diagonal: Σ stays symmetric positive definite whatever they are. Ref: Ichbiah et al. 2025, Eq. 2 (whose
    transform lacks an inverse).

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
    def from_sigma(cls, sigma: npt.ArrayLike) -> GaussianPSF:
        """Make a PSF from standard deviations along the axes.

        Parameters
        ----------
        sigma : float or (3,) float
            Standard deviations along (z, y, x), µm, positive; one number stands for all three.

        Returns
        -------
        GaussianPSF
            With a diagonal covariance.

        Raises
        ------
        ConfigError
            When a width is not positive, or there are not three.
        """
        widths = np.asarray(sigma, dtype=np.float64).ravel()
        widths = np.repeat(widths, 3) if widths.size == 1 else widths
        if widths.size != 3 or not np.isfinite(widths).all() or (widths <= 0).any():
            raise ConfigError(f"sigma is {sigma!r}; expected three positive widths in µm, (z, y, x).")
        return cls(np.diag(widths**2))

    @classmethod
    def from_fwhm(cls, fwhm: npt.ArrayLike) -> GaussianPSF:
        """Make a PSF from full widths at half maximum along the axes.

        Parameters
        ----------
        fwhm : float or (3,) float
            Full widths at half maximum along (z, y, x), µm, positive; one number stands for all three.

        Returns
        -------
        GaussianPSF
            With a diagonal covariance.

        Raises
        ------
        ConfigError
            When a width is not positive, or there are not three.
        """
        return cls.from_sigma(np.asarray(fwhm, dtype=np.float64) / FWHM_PER_SIGMA)

    @classmethod
    def settings(cls) -> tuple[Setting, ...]:
        """Return the command-line options of this kind: its three widths σ.

        Returns
        -------
        tuple of Setting
            One option, `--psf-sigma`.
        """
        text = (
            "σ of a Gaussian PSF in µm along z, y and x; by default a fit estimates it, starting from the voxel size."
        )
        return (Setting("sigma", Triple, None, Option(text, "Z Y X", "--psf-sigma")),)

    @classmethod
    def from_options(cls, given: Mapping[str, Any], spacing: Triple | None) -> GaussianPSF | None:
        """Make a PSF from the options that were given.

        Parameters
        ----------
        given : mapping
            Options by field; `sigma` holds the standard deviations along (z, y, x), µm.
        spacing : (3,) float or None
            Voxel size of the image, µm; not used.

        Returns
        -------
        GaussianPSF or None
            None without `sigma`: a fit then guesses the widths.
        """
        return cls.from_sigma(given["sigma"]) if "sigma" in given else None

    @property
    def sigma(self) -> Floats:
        """Standard deviation along (z, y, x), µm, (3,): the square roots of the covariance's diagonal."""
        return np.asarray(np.sqrt(np.diag(self.covariance)), dtype=np.float64)

    @property
    def fwhm(self) -> Floats:
        """Full width at half maximum along (z, y, x), µm, (3,)."""
        return FWHM_PER_SIGMA * self.sigma

    @property
    def parameters(self) -> Floats:
        """Log-Cholesky parameters (6,): l00, l10, l11, l20, l21, l22 of Σ = L Lᵀ, with logarithms of l00, l11, l22."""
        entries: Floats = np.linalg.cholesky(self.covariance).astype(np.float64, copy=False)[_ROWS, _COLUMNS]
        entries[_DIAGONAL] = np.log(entries[_DIAGONAL])
        return entries

    def with_parameters(self, parameters: npt.ArrayLike) -> GaussianPSF:
        """Make a PSF from log-Cholesky parameters.

        Parameters
        ----------
        parameters : (6,) float
            In the order of :attr:`parameters`.

        Returns
        -------
        GaussianPSF
            The new PSF.

        Raises
        ------
        ConfigError
            When there are not six finite numbers.
        """
        factor = _cholesky_factor(np.asarray(parameters, dtype=np.float64))
        return GaussianPSF(factor @ factor.T)

    def axial(self, gradient: Floats) -> Floats:
        """Project a gradient onto the changes that keep the PSF rotationally symmetric about z.

        Parameters
        ----------
        gradient : (6,) float
            Gradient for the log-Cholesky parameters.

        Returns
        -------
        (6,) float64
            With l00 unchanged (the width along z), the entries of l11 and l22 replaced by their mean (one width
            across), and 0 for the others.
        """
        kept = np.zeros(6)
        kept[0] = gradient[0]
        kept[[2, 5]] = 0.5 * (gradient[2] + gradient[5])
        return kept

    def prolate(self) -> GaussianPSF:
        """Return a PSF that is at least as wide along z as across, as an objective's PSF is.

        The widths are compared by l00 and the mean of the logarithms of l11 and l22. Where the one along z is smaller,
        all three are set to their geometric mean.

        Returns
        -------
        GaussianPSF
            Itself where it is wide enough along z.
        """
        theta = self.parameters
        across = 0.5 * (theta[2] + theta[5])
        if theta[0] >= across:
            return self
        theta[[0, 2, 5]] = (theta[0] + 2.0 * across) / 3.0
        return self.with_parameters(theta)

    def otf(self, grid: Grid) -> Floats:
        """Return the OTF at all frequencies of a grid.

        Parameters
        ----------
        grid : Grid
            Grid whose half-space spectrum is meant.

        Returns
        -------
        (nz, ny, nx // 2 + 1) float64
            ĥ in ``rfftn`` layout.
        """
        return self.otf_on(Band.full(grid))

    def otf_on(self, band: Band) -> Floats:
        """Return the OTF at the frequencies of a band.

        Parameters
        ----------
        band : Band
            Box of low modes of a grid.

        Returns
        -------
        (band.shape) float64
            ĥ on the band's box.
        """
        s, (z, y, x) = self.covariance, band.axes
        if np.count_nonzero(s - np.diag(np.diag(s))) == 0:  # separable
            otf: Floats = (
                np.exp(-0.5 * s[0, 0] * z * z) * np.exp(-0.5 * s[1, 1] * y * y) * np.exp(-0.5 * s[2, 2] * x * x)
            )
            return otf
        plane = s[0, 0] * z * z + s[1, 1] * y * y + 2.0 * s[0, 1] * z * y
        mixed = 2.0 * (s[0, 2] * z + s[1, 2] * y)
        tilted: Floats = np.exp(-0.5 * (plane + (mixed + s[2, 2] * x) * x))
        return tilted

    def otf_vjp(self, band: Band, cotangent: Array) -> Floats:
        """Return the vector-Jacobian product of :meth:`otf_on`, from ∂ĥ/∂Σ_ij = -½ ξ_i ξ_j ĥ and Σ = L Lᵀ.

        Parameters
        ----------
        band : Band
            Box of low modes of a grid.
        cotangent : (band.shape) complex
            Cotangent c on the band's box.

        Returns
        -------
        (6,) float64
            d/dθ of Re Σ conj(c) ĥ over the full spectrum that the half-space box stands for.
        """
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
        """Return the modes of a grid at which ĥ is at least `cutoff`.

        Parameters
        ----------
        grid : Grid
            Grid of the image.
        cutoff : float
            Part of the maximum ĥ(0) = 1; 0 keeps all modes but the Nyquist planes.

        Returns
        -------
        Band
            Smallest box around these modes, with a mask of them.
        """
        if cutoff <= 0:
            return Band.symmetric(grid)
        radius = math.sqrt(-2.0 * math.log(min(cutoff, 0.999)))
        limits = radius * np.sqrt(np.diag(np.linalg.inv(self.covariance)))
        widths = np.floor(limits * np.asarray(grid.extent) / (2.0 * math.pi) + 1e-9).astype(int)
        box = Band.box(grid, (int(widths[0]), int(widths[1]), int(widths[2])))
        return box.where(self.otf_on(box) >= cutoff)

    def reach(self) -> tuple[float, float, float]:
        """Return how far the PSF extends from its centre on each axis: four standard deviations.

        Returns
        -------
        (3,) tuple of float
            Distance along (z, y, x), µm.
        """
        z, y, x = 4.0 * self.sigma
        return float(z), float(y), float(x)

    def profile(self, axis: int) -> tuple[Floats, Floats]:
        """Return the Gaussian of the standard deviation along one axis, out to four standard deviations on both sides.

        Parameters
        ----------
        axis : int
            0, 1 or 2 for z, y or x.

        Returns
        -------
        positions : (257,) float64
            Positions on the axis, µm.
        values : (257,) float64
            Values with maximum 1. A tilt of the covariance is ignored.
        """
        sigma = float(self.sigma[axis])
        place = np.linspace(-4.0 * sigma, 4.0 * sigma, 257)
        return place, np.exp(-0.5 * (place / sigma) ** 2)

    def blurred(self, sigma: float) -> GaussianPSF:
        """Return this PSF convolved with an isotropic Gaussian: σ² is added to the covariance's diagonal.

        Parameters
        ----------
        sigma : float
            Standard deviation of the Gaussian, µm.

        Returns
        -------
        GaussianPSF
            The convolved PSF.
        """
        return GaussianPSF(self.covariance + sigma**2 * np.eye(3))

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> GaussianPSF:
        """Restore a PSF from the description that :meth:`describe` gave.

        Parameters
        ----------
        description : dict
            Its `covariance_um2` is the covariance in µm².

        Returns
        -------
        GaussianPSF
            The PSF.
        """
        return cls(np.array(description["covariance_um2"]))

    def describe(self) -> dict[str, Any]:
        """Return kind, covariance (µm²), σ (µm) and FWHM (µm) as plain values.

        Returns
        -------
        dict
            All that :meth:`from_description` needs.
        """
        return {
            "kind": self.kind,
            "covariance_um2": self.covariance.tolist(),
            "sigma_um": self.sigma.tolist(),
            "fwhm_um": self.fwhm.tolist(),
        }

    def brief(self) -> dict[str, Any]:
        """Return all that :meth:`describe` gives.

        Returns
        -------
        dict
            Plain values.
        """
        return self.describe()


def _cholesky_factor(parameters: Floats) -> Floats:
    """Return the lower Cholesky factor L (3, 3) of the covariance, µm, from the six log-Cholesky parameters.

    Raises ConfigError where there are not six finite numbers.
    """
    if parameters.shape != (6,) or not np.isfinite(parameters).all():
        raise ConfigError(f"the PSF's parameters have shape {parameters.shape}; expected 6 finite numbers.")
    entries = parameters.copy()
    entries[_DIAGONAL] = np.exp(entries[_DIAGONAL])
    factor = np.zeros((3, 3))
    factor[_ROWS, _COLUMNS] = entries
    return factor
