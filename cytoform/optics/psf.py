"""What every point spread function offers."""

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
_FAINT = 0.005  # a PSF reaches as far as its maximum along the other axes exceeds this part of its peak


@runtime_checkable
class PSF(Protocol):
    """A point spread function with integral 1 and free parameters θ.

    The optical transfer function (OTF) is its Fourier transform ĥ(ξ) = ∫ h(x) exp(-i x·ξ) dx, ĥ(0) = 1.
    """

    kind: str

    @property
    def centred(self) -> bool:
        """Whether the light stays where it is whatever θ is: the PSF is the same at x and at -x, so ĥ is real.

        In a fit, the parameters of a PSF that is not move along with the surface.
        """

    @property
    def fwhm(self) -> Floats:
        """Full width at half maximum along (z, y, x), µm, (3,)."""

    @property
    def parameters(self) -> Floats:
        """Free parameters θ, (n,), without constraints: any real values make a valid PSF."""

    def with_parameters(self, parameters: npt.ArrayLike) -> PSF:
        """The same kind of PSF at other parameters."""

    def axial(self, gradient: Floats) -> Floats:
        """The part of a parameter gradient that keeps the PSF round about the optical axis, z."""

    def prolate(self) -> PSF:
        """The like PSF that is no narrower along z than across."""

    def otf(self, grid: Grid) -> Array:
        """OTF on the half-space spectrum of a grid, ``rfftn`` layout."""

    def otf_on(self, band: Band) -> Array:
        """OTF on a band's box."""

    def otf_vjp(self, band: Band, cotangent: Array) -> Floats:
        """d/dθ of Re Σ conj(cotangent) ĥ over the full spectrum that the band's box stands for, (n,)."""

    def band(self, grid: Grid, cutoff: float) -> Band:
        """The modes where |ĥ| exceeds `cutoff` times its maximum."""

    def reach(self) -> tuple[float, float, float]:
        """How far the PSF reaches from its centre on each axis, µm: what a grid is padded with."""

    def blurred(self, sigma: float) -> PSF:
        """Convolved with an isotropic Gaussian of standard deviation `sigma`, µm."""

    def profile(self, axis: int) -> tuple[Floats, Floats] | None:
        """Positions (µm) and values (maximum 1) along one axis by a formula; None where it has to be sampled."""

    def describe(self) -> dict[str, Any]:
        """Kind and parameters as plain values for a JSON file, and the widths `fwhm_um`."""

    def brief(self) -> dict[str, Any]:
        """The same without what is too large for people to read."""


class NumericPSF:
    """What PSFs without a closed form share; they have :meth:`otf_on`, :meth:`limits` and :meth:`view` of their own.

    A kind whose light stays in its place whatever its parameters are sets ``centred = True``.
    """

    kind: str
    centred = False

    def otf_on(self, band: Band) -> Array:
        """OTF on a band's box."""
        raise NotImplementedError

    def limits(self, extent: Triple) -> Triple:
        """Angular frequency on each axis beyond which the OTF is zero or negligible on a grid of a period, rad/µm."""
        raise NotImplementedError

    def view(self) -> Grid:
        """A grid that is wide enough to see the PSF's extent and fine enough to see its peak."""
        raise NotImplementedError

    def otf(self, grid: Grid) -> Array:
        """OTF on the half-space spectrum of a grid, complex, ``rfftn`` layout."""
        return self.otf_on(Band.full(grid))

    def sample(self, grid: Grid) -> Volume:
        """The PSF at a grid's spacing, 1/µm³, its centre at voxel ``shape // 2``, which lies at (0, 0, 0) µm.

        It is the band-limited PSF: spacings above half its finest detail lose that detail, and ring.
        """
        return sample(self, grid)  # type: ignore[arg-type]

    def band(self, grid: Grid, cutoff: float) -> Band:
        """Modes where |ĥ| exceeds `cutoff`; 0 keeps all but the Nyquist planes."""
        return band_above(self, grid, cutoff)

    def prolate(self) -> Any:
        """Itself: optics are as long as they are."""
        return self

    def blurred(self, sigma: float) -> Any:
        """Convolved with an isotropic Gaussian of standard deviation `sigma`, µm."""
        return Blurred(self, sigma) if sigma > 0 else self  # type: ignore[arg-type]

    def profile(self, axis: int) -> tuple[Floats, Floats] | None:
        """None: it has to be sampled."""
        return None

    def describe(self) -> dict[str, Any]:
        """Kind and parameters as plain values."""
        raise NotImplementedError

    def brief(self) -> dict[str, Any]:
        """All that :meth:`describe` gives."""
        return self.describe()

    @functools.cached_property
    def _seen(self) -> Volume:
        return self.sample(self.view())

    @functools.cached_property
    def fwhm(self) -> Floats:
        """Full width at half maximum along (z, y, x) through the brightest voxel, µm.

        Where the view ends before the profile has fallen so far: up to its end.
        """
        peak = np.unravel_index(int(np.argmax(self._seen.data)), self._seen.shape)
        lines = [np.moveaxis(self._seen.data, a, -1)[tuple(np.delete(peak, a))] for a in range(3)]
        return np.array([_width(line) * d for line, d in zip(lines, self._seen.spacing)])

    def reach(self) -> Triple:
        """How far the PSF reaches on each axis, µm: where it is nowhere above 0.5 % of its peak any more.

        Out-of-focus light of a wide field goes on for ever; only what is above that part of the peak counts.
        """
        return self._reach

    @functools.cached_property
    def _reach(self) -> Triple:
        size = np.abs(self._seen.data)
        bright = size > _FAINT * size.max()
        found = []
        for axis, (n, d) in enumerate(zip(size.shape, self._seen.spacing)):
            seen = np.flatnonzero(bright.any(axis=tuple({0, 1, 2} - {axis})))
            found.append(d * float(max(n // 2 - seen[0], seen[-1] - n // 2) + 1))
        return found[0], found[1], found[2]


def sample(psf: PSF, grid: Grid) -> Volume:
    """Any PSF in space, by the inverse transform of its OTF; see :meth:`NumericPSF.sample`."""
    band = Band.symmetric(grid)
    data = np.fft.irfftn(band.expand(psf.otf_on(band)), grid.shape, axes=(0, 1, 2)) / grid.voxel_volume
    origin = [-(n // 2) * d for n, d in zip(grid.shape, grid.spacing)]
    return Volume(np.fft.fftshift(data), grid.spacing, tuple(origin), "PSF")  # type: ignore[arg-type]


def band_above(psf: Any, grid: Grid, cutoff: float) -> Band:
    """The smallest box of a grid's modes with all where |ĥ| exceeds `cutoff`, and which they are.

    Parameters
    ----------
    psf : NumericPSF
        Its OTF is computed within its :meth:`~NumericPSF.limits` only.
    cutoff : float
        In parts of ĥ(0) = 1, the largest value; 0 keeps all modes but the Nyquist planes.
    """
    if cutoff <= 0:
        return Band.symmetric(grid)
    widths = [int(w * length / (2.0 * math.pi) + 1e-9) for w, length in zip(psf.limits(grid.extent), grid.extent)]
    outer = Band.box(grid, (widths[0], widths[1], widths[2]))
    kept = np.abs(psf.otf_on(outer)) >= min(cutoff, 0.999)
    most = [int(np.abs(k[kept.any(axis=tuple({0, 1, 2} - {a}))]).max()) for a, k in enumerate(outer.modes)]
    inner = Band.box(grid, (most[0], most[1], most[2]))
    return inner.where(inner_part(kept, outer, inner))


def inner_part(box: Array, outer: Band, inner: Band) -> Array:
    """The modes of `inner` out of values on the box of `outer`, which holds them all and shares its grid."""
    (kz, ky, kx), (nz, ny, _) = inner.modes, outer.shape
    return box[np.ix_(kz % nz, ky % ny, kx)]


def _width(line: Floats) -> float:
    """Full width at half maximum of a profile's highest peak, in samples, or up to the profile's end."""
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
    """A PSF convolved with an isotropic Gaussian, ĥ(ξ) exp(-½ σ² |ξ|²); its free parameters are those of the PSF.

    Parameters
    ----------
    psf : NumericPSF
    sigma_of_blur : float
        Standard deviation of the Gaussian, µm, positive.

    Raises
    ------
    ConfigError
        When it is not positive.
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
        """As the PSF within."""
        return self.psf.centred

    @property
    def parameters(self) -> Floats:
        """Those of the PSF within."""
        return self.psf.parameters

    def with_parameters(self, parameters: npt.ArrayLike) -> Blurred:
        """The same blur on the PSF within at other parameters."""
        return Blurred(self.psf.with_parameters(parameters), self.sigma_of_blur)

    def axial(self, gradient: Floats) -> Floats:
        """As the PSF within."""
        return self.psf.axial(gradient)

    def prolate(self) -> Blurred:
        """The same blur on the like of the PSF within."""
        inner = self.psf.prolate()
        return self if inner is self.psf else Blurred(inner, self.sigma_of_blur)

    def blurred(self, sigma: float) -> Blurred:
        """One blur for both: variances add."""
        return Blurred(self.psf, math.hypot(self.sigma_of_blur, sigma)) if sigma > 0 else self

    def otf_on(self, band: Band) -> Array:
        """OTF on a band's box."""
        return self.psf.otf_on(band) * self._gaussian(band)

    def otf_vjp(self, band: Band, cotangent: Array) -> Floats:
        """Gradient for the parameters of the PSF within, (n,)."""
        return self.psf.otf_vjp(band, cotangent * self._gaussian(band))

    def _gaussian(self, band: Band) -> Floats:
        z, y, x = (np.exp(-0.5 * (self.sigma_of_blur * a) ** 2) for a in band.axes)
        return z * y * x

    def limits(self, extent: Triple) -> Triple:
        """Where the OTF within ends, or the Gaussian falls below 1e-9."""
        most = math.sqrt(2.0 * math.log(1e9)) / self.sigma_of_blur
        z, y, x = (min(most, inner) for inner in self.psf.limits(extent))
        return z, y, x

    def view(self) -> Grid:
        """The inner PSF's, with room for the blur."""
        inner = self.psf.view()
        shape = [n + 2 * math.ceil(4.0 * self.sigma_of_blur / d) for n, d in zip(inner.shape, inner.spacing)]
        return Grid(tuple(shape), inner.spacing)  # type: ignore[arg-type]

    def describe(self) -> dict[str, Any]:
        """Kind, the PSF within, σ of the blur (µm) and FWHM (µm) as plain values."""
        return self._described(self.psf.describe())

    def brief(self) -> dict[str, Any]:
        """The same with the PSF within in brief."""
        return self._described(self.psf.brief())

    def _described(self, inner: dict[str, Any]) -> dict[str, Any]:
        return {"kind": self.kind, "psf": inner, "blur_um": self.sigma_of_blur, "fwhm_um": self.fwhm.tolist()}

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> Blurred:
        """From what :meth:`describe` gave."""
        return cls(psf_from_description(description["psf"]), description["blur_um"])
