"""Point spread functions: the protocol, a base class for those without a closed form, and a blurred PSF."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from .._typing import Array, Floats, Triple
from ..errors import ConfigError
from ..image.band import Band
from ..image.volume import Grid, Volume
from .registry import psf_from_description, register

__all__ = ["PSF", "Blurred", "NumericPSF", "band_above", "sample"]


_FINER = 16  # samples of a profile are interpolated this many times finer before its width is read
_FAINT = 0.005  # of the peak: a PSF extends along an axis as far as its maximum over the other axes exceeds this


@runtime_checkable
class PSF(Protocol):
    """A point spread function h with integral 1 and free parameters θ (protocol of all kinds).

    The optical transfer function (OTF) is its Fourier transform ĥ(ξ) = ∫ h(x) exp(-i x·ξ) dx, ĥ(0) = 1.

    Attributes
    ----------
    kind : str
        Name of the kind, such as "gaussian", under which files store it.
    """

    kind: str

    @property
    def centred(self) -> bool:
        """Whether h(x) = h(-x) for every θ, so that ĥ is real and the image of a point stays at the point.

        A fit of a PSF that is not centred moves the mesh along with the parameters, since θ may shift the image.
        """

    @property
    def fwhm(self) -> Floats:
        """Full width at half maximum along (z, y, x), µm, (3,)."""

    @property
    def parameters(self) -> Floats:
        """Free parameters θ, (n,), without constraints: any real values make a valid PSF."""

    def with_parameters(self, parameters: npt.ArrayLike) -> PSF:
        """Return a PSF of the same kind with other parameters.

        Parameters
        ----------
        parameters : (n,) float
            New values of θ.

        Returns
        -------
        PSF
            The new PSF; this one is unchanged.
        """

    def axial(self, gradient: Floats) -> Floats:
        """Project a gradient for θ onto the changes that keep the PSF rotationally symmetric about the optical axis, z.

        Parameters
        ----------
        gradient : (n,) float
            Gradient for θ.

        Returns
        -------
        (n,) float64
            The gradient with the components removed that would break the symmetry.
        """

    def prolate(self) -> PSF:
        """Return this PSF where it is at least as wide along z as across, else a similar one with equal widths.

        Returns
        -------
        PSF
            Itself, or a new PSF.
        """

    def otf(self, grid: Grid) -> Array:
        """Return the OTF at all frequencies of a grid.

        Parameters
        ----------
        grid : Grid
            Grid whose half-space spectrum is meant.

        Returns
        -------
        (nz, ny, nx // 2 + 1) float or complex
            ĥ in ``rfftn`` layout.
        """

    def otf_on(self, band: Band) -> Array:
        """Return the OTF at the frequencies of a band.

        Parameters
        ----------
        band : Band
            Box of low modes of a grid.

        Returns
        -------
        (band.shape) float or complex
            ĥ on the band's box.
        """

    def otf_vjp(self, band: Band, cotangent: Array) -> Floats:
        """Return the vector-Jacobian product of :meth:`otf_on`, for θ.

        Parameters
        ----------
        band : Band
            Box of low modes of a grid.
        cotangent : (band.shape) complex
            Cotangent c on the band's box.

        Returns
        -------
        (n,) float64
            d/dθ of Re Σ conj(c) ĥ over the full spectrum that the half-space box stands for.
        """

    def band(self, grid: Grid, cutoff: float) -> Band:
        """Return the modes of a grid at which |ĥ| is at least `cutoff` times its maximum.

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

    def reach(self) -> tuple[float, float, float]:
        """Return how far the PSF extends from its centre on each axis: the padding that a periodic grid needs.

        Returns
        -------
        (3,) tuple of float
            Distance along (z, y, x), µm, beyond which the PSF is negligible.
        """

    def blurred(self, sigma: float) -> PSF:
        """Return this PSF convolved with an isotropic Gaussian.

        Parameters
        ----------
        sigma : float
            Standard deviation of the Gaussian, µm; 0 changes nothing.

        Returns
        -------
        PSF
            The convolved PSF, with the same free parameters.
        """

    def profile(self, axis: int) -> tuple[Floats, Floats] | None:
        """Return the PSF's profile along one axis where a formula gives it.

        Parameters
        ----------
        axis : int
            0, 1 or 2 for z, y or x.

        Returns
        -------
        tuple of (n,) float64, or None
            Positions in µm and values with maximum 1; None where the profile has to be sampled.
        """

    def describe(self) -> dict[str, Any]:
        """Return kind, parameters and the widths `fwhm_um` as plain values for a JSON file.

        Returns
        -------
        dict
            All that :func:`psf_from_description` needs to restore the PSF.
        """

    def brief(self) -> dict[str, Any]:
        """Return :meth:`describe` without entries that are too long to read, such as pixels.

        Returns
        -------
        dict
            Plain values.
        """


class NumericPSF:
    """Base class of PSFs without a closed form: finds bands, widths and extent from samples of the PSF.

    A subclass defines :meth:`otf_on`, `otf_vjp`, :meth:`limits`, :meth:`view`, :meth:`describe`, `parameters`,
    `with_parameters` and `axial`.

    Attributes
    ----------
    kind : str
        Name of the kind, under which files store it.
    centred : bool
        True in a subclass that is the same at x and at -x whatever its parameters are; False by default.
    """

    kind: str
    centred = False

    def otf_on(self, band: Band) -> Array:
        """Return the OTF at the frequencies of a band; every subclass defines it.

        Parameters
        ----------
        band : Band
            Box of low modes of a grid.

        Returns
        -------
        (band.shape) float or complex
            ĥ on the band's box.
        """
        raise NotImplementedError

    def limits(self, extent: Triple) -> Triple:
        """Return the frequency on each axis beyond which the OTF is zero or negligible; every subclass defines it.

        Parameters
        ----------
        extent : (3,) float
            Period of the grid along (z, y, x), µm.

        Returns
        -------
        (3,) tuple of float
            Angular frequency along (z, y, x), rad/µm.
        """
        raise NotImplementedError

    def view(self) -> Grid:
        """Return a grid wide enough for the PSF and fine enough for its peak; every subclass defines it.

        Returns
        -------
        Grid
            Grid on which widths and extent are measured.
        """
        raise NotImplementedError

    def otf(self, grid: Grid) -> Array:
        """Return the OTF at all frequencies of a grid.

        Parameters
        ----------
        grid : Grid
            Grid whose half-space spectrum is meant.

        Returns
        -------
        (nz, ny, nx // 2 + 1) float or complex
            ĥ in ``rfftn`` layout.
        """
        return self.otf_on(Band.full(grid))

    def sample(self, grid: Grid) -> Volume:
        """Sample the band-limited PSF on a grid.

        Spacings that are too coarse for the PSF's finest detail lose that detail, and the samples ring.

        Parameters
        ----------
        grid : Grid
            Shape and spacing of the samples; its origin is not used.

        Returns
        -------
        Volume
            The PSF in 1/µm³; its centre is at voxel ``shape // 2``, at (0, 0, 0) µm.
        """
        return sample(self, grid)

    def band(self, grid: Grid, cutoff: float) -> Band:
        """Return the modes of a grid at which |ĥ| is at least `cutoff`.

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
        return band_above(self, grid, cutoff)

    def prolate(self) -> Any:
        """Return this PSF unchanged: its length along z follows from the optics, not from free widths.

        Returns
        -------
        NumericPSF
            Itself.
        """
        return self

    def blurred(self, sigma: float) -> Any:
        """Return this PSF convolved with an isotropic Gaussian.

        Parameters
        ----------
        sigma : float
            Standard deviation of the Gaussian, µm; 0 changes nothing.

        Returns
        -------
        Blurred or NumericPSF
            The convolved PSF; itself where `sigma` is 0.
        """
        return Blurred(self, sigma) if sigma > 0 else self

    def profile(self, axis: int) -> tuple[Floats, Floats] | None:
        """Return None: no formula gives the profile, it has to be sampled.

        Parameters
        ----------
        axis : int
            0, 1 or 2 for z, y or x.

        Returns
        -------
        None
            Always.
        """
        return None

    def describe(self) -> dict[str, Any]:
        """Return kind, parameters and the widths `fwhm_um` as plain values for a JSON file; every subclass defines it.

        Returns
        -------
        dict
            All that :func:`psf_from_description` needs to restore the PSF.
        """
        raise NotImplementedError

    def brief(self) -> dict[str, Any]:
        """Return all that :meth:`describe` gives.

        Returns
        -------
        dict
            Plain values.
        """
        return self.describe()

    @functools.cached_property
    def _sampled(self) -> Volume:
        """The PSF sampled on the grid of :meth:`view`, 1/µm³."""
        return self.sample(self.view())

    @functools.cached_property
    def fwhm(self) -> Floats:
        """Full width at half maximum along (z, y, x) through the brightest voxel of :meth:`view`, µm, (3,).

        Where the profile does not fall to half of its maximum within the view, the width ends at the border of the
        view.
        """
        peak = np.unravel_index(int(np.argmax(self._sampled.data)), self._sampled.shape)
        lines = [np.moveaxis(self._sampled.data, a, -1)[tuple(np.delete(peak, a))] for a in range(3)]
        return np.array([_full_width_half_maximum(line) * d for line, d in zip(lines, self._sampled.spacing)])

    def reach(self) -> Triple:
        """Return how far the PSF extends from its centre on each axis: the padding that a periodic grid needs.

        Returns
        -------
        (3,) tuple of float
            Distance along (z, y, x), µm, beyond which no sample exceeds 0.5 % of the peak. Out-of-focus light of a
            wide-field microscope never ends; the fainter rest of it is ignored.
        """
        return self._reach

    @functools.cached_property
    def _reach(self) -> Triple:
        """Distance along (z, y, x), µm, beyond which no sample exceeds 0.5 % of the peak, plus one sample."""
        size = np.abs(self._sampled.data)
        bright = size > _FAINT * size.max()
        found = []
        for axis, (n, d) in enumerate(zip(size.shape, self._sampled.spacing)):
            seen = np.flatnonzero(bright.any(axis=tuple({0, 1, 2} - {axis})))
            found.append(d * float(max(n // 2 - seen[0], seen[-1] - n // 2) + 1))
        return found[0], found[1], found[2]


def sample(psf: PSF | NumericPSF, grid: Grid) -> Volume:
    """Sample a PSF on a grid by the inverse Fourier transform of its OTF.

    Nyquist planes are left out. The result is in 1/µm³, its centre at voxel ``shape // 2``, at (0, 0, 0) µm.
    """
    band = Band.symmetric(grid)
    data = np.fft.irfftn(band.expand(psf.otf_on(band)), grid.shape, axes=(0, 1, 2)) / grid.voxel_volume
    origin = [-(n // 2) * d for n, d in zip(grid.shape, grid.spacing)]
    return Volume(np.fft.fftshift(data), grid.spacing, tuple(origin), "PSF")  # type: ignore[arg-type]


def band_above(psf: Any, grid: Grid, cutoff: float) -> Band:
    """Return the smallest box of a grid's modes around all modes with |ĥ| ≥ `cutoff`, with a mask of these modes.

    Parameters
    ----------
    psf : NumericPSF
        Its OTF is computed within its :meth:`~NumericPSF.limits` only.
    grid : Grid
        Grid of the image.
    cutoff : float
        Part of the maximum ĥ(0) = 1; 0 keeps all modes but the Nyquist planes.

    Returns
    -------
    Band
        The box and its mask.
    """
    if cutoff <= 0:
        return Band.symmetric(grid)
    widths = [int(w * length / (2.0 * math.pi) + 1e-9) for w, length in zip(psf.limits(grid.extent), grid.extent)]
    outer = Band.box(grid, (widths[0], widths[1], widths[2]))
    kept = np.abs(psf.otf_on(outer)) >= min(cutoff, 0.999)
    most = [int(np.abs(k[kept.any(axis=tuple({0, 1, 2} - {a}))]).max()) for a, k in enumerate(outer.modes)]
    inner = Band.box(grid, (most[0], most[1], most[2]))
    return inner.where(_crop_to_band(kept, outer, inner))


def _crop_to_band(box: Array, outer: Band, inner: Band) -> Array:
    """Return the values at the modes of `inner` from values on the box of `outer`, a larger band on the same grid."""
    (kz, ky, kx), (nz, ny, _) = inner.modes, outer.shape
    return box[np.ix_(kz % nz, ky % ny, kx)]


def _full_width_half_maximum(line: Floats) -> float:
    """Return the full width at half maximum of a profile's highest peak, in samples of the profile.

    The profile (n,) is interpolated 16 times finer by zero-padding its spectrum, and the crossings of the half maximum
    linearly. Where one side does not fall that far, the width ends at the end of the profile.
    """
    n = len(line)
    spectrum = np.zeros(_FINER * n // 2 + 1, dtype=complex)
    spectrum[: (n + 1) // 2] = np.fft.rfft(line)[: (n + 1) // 2]
    fine = np.fft.irfft(spectrum, _FINER * n) * _FINER
    peak = int(np.argmax(fine))
    half, below = 0.5 * fine[peak], np.flatnonzero(fine < 0.5 * fine[peak])
    first, last = 0.0, float(len(fine) - 1)
    if (below < peak).any():
        a = int(below[below < peak][-1])
        first = a + (half - fine[a]) / (fine[a + 1] - fine[a])
    if (below > peak).any():
        b = int(below[below > peak][0])
        last = b - (half - fine[b]) / (fine[b - 1] - fine[b])
    return (last - first) / _FINER


@register
@dataclasses.dataclass(frozen=True, eq=False)
class Blurred(NumericPSF):
    """A PSF convolved with an isotropic Gaussian, ĥ(ξ) exp(-½ σ² |ξ|²); its free parameters are those of the inner PSF.

    Parameters
    ----------
    psf : NumericPSF
        The inner PSF, which is convolved.
    sigma_of_blur : float
        Standard deviation σ of the Gaussian, µm, positive.

    Raises
    ------
    ConfigError
        When `sigma_of_blur` is not positive.
    """

    psf: Any
    sigma_of_blur: float
    kind = "blurred"
    by_name = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.sigma_of_blur) and self.sigma_of_blur > 0):
            raise ConfigError(f"the blur's sigma is {self.sigma_of_blur!r}; expected a positive width in µm.")

    @property
    def centred(self) -> bool:  # type: ignore[override]
        """Whether the inner PSF is centred (:attr:`PSF.centred`)."""
        centred: bool = self.psf.centred
        return centred

    @property
    def parameters(self) -> Floats:
        """Free parameters of the inner PSF, (n,)."""
        parameters: Floats = self.psf.parameters
        return parameters

    def with_parameters(self, parameters: npt.ArrayLike) -> Blurred:
        """Return the same blur of the inner PSF with other parameters.

        Parameters
        ----------
        parameters : (n,) float
            New free parameters of the inner PSF.

        Returns
        -------
        Blurred
            The new PSF.
        """
        return Blurred(self.psf.with_parameters(parameters), self.sigma_of_blur)

    def axial(self, gradient: Floats) -> Floats:
        """Project a gradient onto the changes that keep the inner PSF rotationally symmetric about z.

        Parameters
        ----------
        gradient : (n,) float
            Gradient for the parameters of the inner PSF.

        Returns
        -------
        (n,) float64
            The projected gradient.
        """
        kept: Floats = self.psf.axial(gradient)
        return kept

    def prolate(self) -> Blurred:
        """Return the same blur of the inner PSF's :meth:`PSF.prolate`.

        Returns
        -------
        Blurred
            Itself where the inner PSF does not change.
        """
        inner = self.psf.prolate()
        return self if inner is self.psf else Blurred(inner, self.sigma_of_blur)

    def blurred(self, sigma: float) -> Blurred:
        """Return the inner PSF with one Gaussian for both blurs, whose variances add.

        Parameters
        ----------
        sigma : float
            Standard deviation of the additional Gaussian, µm; 0 changes nothing.

        Returns
        -------
        Blurred
            The convolved PSF; itself where `sigma` is 0.
        """
        return Blurred(self.psf, math.hypot(self.sigma_of_blur, sigma)) if sigma > 0 else self

    def otf_on(self, band: Band) -> Array:
        """Return the OTF at the frequencies of a band: that of the inner PSF times the Gaussian's.

        Parameters
        ----------
        band : Band
            Box of low modes of a grid.

        Returns
        -------
        (band.shape) float or complex
            ĥ on the band's box.
        """
        otf: Array = self.psf.otf_on(band) * self._gaussian_otf(band)
        return otf

    def otf_vjp(self, band: Band, cotangent: Array) -> Floats:
        """Return the vector-Jacobian product of :meth:`otf_on`, for the parameters of the inner PSF.

        Parameters
        ----------
        band : Band
            Box of low modes of a grid.
        cotangent : (band.shape) complex
            Cotangent c on the band's box.

        Returns
        -------
        (n,) float64
            d/dθ of Re Σ conj(c) ĥ over the full spectrum that the half-space box stands for.
        """
        gradient: Floats = self.psf.otf_vjp(band, cotangent * self._gaussian_otf(band))
        return gradient

    def _gaussian_otf(self, band: Band) -> Floats:
        """Return the Gaussian's transform exp(-½ σ² |ξ|²) on a band's box."""
        z, y, x = (np.exp(-0.5 * (self.sigma_of_blur * a) ** 2) for a in band.axes)
        return z * y * x

    def limits(self, extent: Triple) -> Triple:
        """Return the frequency on each axis at which the inner OTF ends or the Gaussian's transform falls below 1e-9.

        Parameters
        ----------
        extent : (3,) float
            Period of the grid along (z, y, x), µm.

        Returns
        -------
        (3,) tuple of float
            Angular frequency along (z, y, x), rad/µm: the smaller of the two.
        """
        most = math.sqrt(2.0 * math.log(1e9)) / self.sigma_of_blur
        z, y, x = (min(most, inner) for inner in self.psf.limits(extent))
        return z, y, x

    def view(self) -> Grid:
        """Return the inner PSF's viewing grid, extended by 4 σ of the blur on each side.

        Returns
        -------
        Grid
            Grid on which widths and extent are measured.
        """
        inner = self.psf.view()
        shape = [n + 2 * math.ceil(4.0 * self.sigma_of_blur / d) for n, d in zip(inner.shape, inner.spacing)]
        return Grid((shape[0], shape[1], shape[2]), inner.spacing)

    def describe(self) -> dict[str, Any]:
        """Return kind, inner PSF, σ of the blur (µm) and FWHM (µm) as plain values.

        Returns
        -------
        dict
            All that :meth:`from_description` needs.
        """
        return self._description(self.psf.describe())

    def brief(self) -> dict[str, Any]:
        """Return the same entries as :meth:`describe`, with the inner PSF in brief.

        Returns
        -------
        dict
            Plain values.
        """
        return self._description(self.psf.brief())

    def _description(self, inner: dict[str, Any]) -> dict[str, Any]:
        """Return the description of this PSF around `inner`, a description of the inner PSF."""
        return {"kind": self.kind, "psf": inner, "blur_um": self.sigma_of_blur, "fwhm_um": self.fwhm.tolist()}

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> Blurred:
        """Restore a PSF from the description that :meth:`describe` gave.

        Parameters
        ----------
        description : mapping
            Its `psf` is the description of the inner PSF, its `blur_um` the σ of the blur in µm.

        Returns
        -------
        Blurred
            The PSF.
        """
        return cls(psf_from_description(description["psf"]), description["blur_um"])
