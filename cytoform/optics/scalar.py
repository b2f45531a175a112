"""Scalar diffraction: from a pupil to the intensity on planes to its Fourier transform, and back for the gradient.

The amplitude on the plane z is the transform of the pupil T times the phase of defocus,

    a(x, y, z) = Σ_κ T(κ) exp(-i k_z(κ) z) exp(i κ · (x, y)),        k_z = √((2π n / λ)² - |κ|²),

exact in the angle (no paraxial expansion). z grows away from the objective: the image at z > 0 is taken with the focus
z beyond the emitter. The intensity is Π |a|² over the beams (emission; with a confocal pinhole excitation too) times a
weight along z (a light sheet), and its transform at the requested modes is a sum over the samples:

* laterally the samples are dense enough that |a|², whose band is twice the pupil's, does not alias into those modes;
  the window is wide enough for the cone of light at the outermost plane or, where that would cost too much, a multiple
  of the grid's period. Neither depends on the grid's spacing;
* axially they cover the grid's period, or the thickness of the light sheet. The light of a wide field does not fade
  along z (every plane holds the same energy): its PSF is the one that is cut to the grid's axial period.

Ref: Goodman, Introduction to Fourier Optics; Hanser et al. 2004, doi 10.1111/j.0022-2720.2004.01393.x; Mertz,
Introduction to Optical Microscopy.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator

import numpy as np
from scipy import fft

from .. import devices as _devices
from .._typing import Complex, Floats

__all__ = ["BEYOND", "SPARE", "Beam", "Pupil", "Sampling", "Stack"]


_FAR = 6.5  # σ at which a light sheet is cut: exp(-6.5²/2) is 7e-10
_MARGIN = 12.0  # λ / NA between the cone of light and the border of the window
_MOST = 1e7  # largest number of samples of the intensity, unless the grid's period needs more
_AT_ONCE = 2**20  # samples of the planes that are processed at a time
SPARE = 1.15  # factor by which planes are closer than the intensity's axial band needs
BEYOND = 6  # axial modes beyond that band: the cut of a wide field makes its band infinite


@dataclasses.dataclass(frozen=True)
class Beam:
    """Light of one wavelength through the aperture of an objective.

    Parameters
    ----------
    wavelength : float
        In vacuum, µm.
    aperture : float
        Numerical aperture NA.
    index : float
        Refractive index n of the medium.
    """

    wavelength: float
    aperture: float
    index: float

    @property
    def edge(self) -> float:
        """Pupil radius 2π NA / λ, rad/µm."""
        return 2.0 * math.pi * self.aperture / self.wavelength

    @property
    def wavenumber(self) -> float:
        """Wavenumber in the medium, 2π n / λ, rad/µm."""
        return 2.0 * math.pi * self.index / self.wavelength

    @property
    def depth(self) -> float:
        """Range of k_z over the pupil, which is the axial band of the intensity, rad/µm."""
        return self.wavenumber - math.sqrt(self.wavenumber**2 - self.edge**2)


@dataclasses.dataclass(frozen=True)
class Sampling:
    """Spacing and extent of the samples of the intensity, on planes along z and on a periodic window across.

    Parameters
    ----------
    step : float
        Distance of the planes, µm.
    half : int
        Planes on either side of the focus: they lie at step · (-half … half).
    window : (2,) float
        Period of the samples along y and x, µm.
    counts : (2,) int
        Numbers of samples along y and x.
    """

    step: float
    half: int
    window: tuple[float, float]
    counts: tuple[int, int]

    @classmethod
    def for_modes(
        cls, beams: tuple[Beam, ...], sheet: float | None, extent: tuple[float, float, float],
        highest: tuple[float, float],
    ) -> Sampling:  # fmt: skip
        """Choose the samples from which the transform at given modes of a grid can be computed without aliasing.

        Parameters
        ----------
        beams : tuple of Beam
            Emission, and excitation where it counts.
        sheet : float or None
            σ of a Gaussian light sheet along z, µm; None without a sheet.
        extent : (3,) float
            Period of the grid, µm, (z, y, x).
        highest : (2,) float
            Largest angular frequency of the modes along y and x, rad/µm.

        Returns
        -------
        Sampling
            Planes over the grid's axial period or 6.5 σ of the sheet, and a window around the cone of light.
        """
        deep = SPARE * sum(b.depth for b in beams) + (0.0 if sheet is None else _FAR / sheet)
        far = 0.5 * extent[0] if sheet is None else min(0.5 * extent[0], _FAR * sheet)
        half = math.ceil(far * deep / math.pi) + BEYOND
        step = extent[0] / (2 * half + 1) if far == 0.5 * extent[0] else far / half
        beam = beams[0]
        cone = 2.0 * far * beam.aperture / math.sqrt(beam.index**2 - beam.aperture**2)
        want = cone + 2.0 * _MARGIN * beam.wavelength / beam.aperture
        wide = 2.0 * sum(b.edge for b in beams)
        dense = [(wide + h) / (2.0 * math.pi) for h in highest]  # samples per µm
        most = _MOST / ((2 * half + 1) * (wide / math.pi) ** 2)  # not from the band, or the OTF would depend on it
        window = _lateral_window(want, extent[1:], most)
        counts = [fft.next_fast_len(math.ceil(w * d) + 1) for w, d in zip(window, dense)]
        return cls(step, half, window, (counts[0], counts[1]))

    @property
    def planes(self) -> Floats:
        """Axial positions of the planes, µm, (2 half + 1,)."""
        return np.asarray(self.step * np.arange(-self.half, self.half + 1), dtype=np.float64)

    @property
    def positions(self) -> tuple[Floats, Floats]:
        """Lateral positions of the samples along y and along x, µm: two arrays with 0 first (FFT order)."""
        y, x = (np.asarray(w * np.fft.fftfreq(n), dtype=np.float64) for w, n in zip(self.window, self.counts))
        return y, x


def _lateral_window(want: float, periods: tuple[float, float], most: float) -> tuple[float, float]:
    """Return the period of the lateral window along y and x, µm.

    It is `want` in both directions if a window of `most` µm² allows it, else the multiples of the grid's `periods` that
    fit. Light that leaves such a window re-enters it on the other side, as it does on the periodic grid.
    """
    if want * want <= most:
        return want, want
    y, x = (max(1, min(math.ceil(want / p), int(math.sqrt(most) / p))) * p for p in periods)
    return y, x


class Pupil:
    """A beam's pupil, sampled at the lateral frequencies of a :class:`Sampling`.

    Parameters
    ----------
    beam : Beam
        The light.
    sampling : Sampling
        Samples of the intensity, whose window gives the spacing of the frequencies.

    Attributes
    ----------
    rho, phi : (ny, nx) float64
        Radius (1 at the edge; samples beyond the edge are moved onto it) and angle from x towards y.
    cover : (ny, nx) float64
        Fraction of each sample's cell that lies inside the pupil.
    k_z : (ny, nx) float64
        Axial wavenumber, rad/µm.
    """

    def __init__(self, beam: Beam, sampling: Sampling) -> None:
        steps = [2.0 * math.pi / w for w in sampling.window]
        self._modes = [np.arange(-m, m + 1) for m in (math.ceil(beam.edge / s + 0.5) for s in steps)]
        self._counts = sampling.counts
        y, x = (s * k for s, k in zip(steps, self._modes))
        y, x = y[:, None], x[None, :]
        radius = np.hypot(y, x)
        self.phi = np.arctan2(y, x) + 0.0 * radius
        self.cover = _area_fraction_inside(beam.edge - radius, steps[0] * np.sin(self.phi), steps[1] * np.cos(self.phi))
        self.rho = np.minimum(radius / beam.edge, 1.0)
        self.k_z = np.sqrt(beam.wavenumber**2 - (beam.edge * self.rho) ** 2)

    def amplitude(self, pupil: Complex, planes: Floats) -> Complex:
        """Return the amplitude Σ_κ T(κ) exp(-i k_z z) exp(i κ · (x, y)) on some planes.

        Parameters
        ----------
        pupil : (ny, nx) complex128
            Pupil function T.
        planes : (n,) float64
            Positions z, µm.

        Returns
        -------
        (n, y, x) complex128
            Amplitude at the samples of each plane.
        """
        field = pupil * self.defocus(planes)
        (ny, nx), (ky, kx) = self._counts, self._modes
        rows = np.zeros((len(planes), ny, len(kx)), dtype=np.complex128)
        rows[:, ky % ny] = field
        rows = fft.ifft(rows, axis=1, norm="forward", overwrite_x=True, workers=_devices.thread_count())
        full = np.zeros((len(planes), ny, nx), dtype=np.complex128)
        full[:, :, kx % nx] = rows
        found: Complex = fft.ifft(full, axis=2, norm="forward", overwrite_x=True, workers=_devices.thread_count())
        return found

    def adjoint(self, amplitude: Complex, planes: Floats) -> Complex:
        """Return the adjoint of :meth:`amplitude` for amplitudes (n, y, x) on planes at z (n,) µm, (ny, nx).

        Contributions of the planes are summed.
        """
        (ny, nx), (ky, kx) = self._counts, self._modes
        full = fft.fft(amplitude, axis=2, overwrite_x=True, workers=_devices.thread_count())
        rows = fft.fft(full[:, :, kx % nx], axis=1, overwrite_x=True, workers=_devices.thread_count())
        found: Complex = (rows[:, ky % ny] * self.defocus(planes).conj()).sum(axis=0)
        return found

    def defocus(self, planes: Floats) -> Complex:
        """Return the phase factor of defocus exp(-i k_z z) for planes at z (n,) µm, (n, ny, nx)."""
        phase: Complex = np.exp(-1j * self.k_z * planes[:, None, None])
        return phase


def _area_fraction_inside(distance: Floats, height: Floats, width: Floats) -> Floats:
    """Return the fraction of a rectangle's area on one side of a line at a signed `distance` from its centre.

    `height` and `width` are the rectangle's two edges projected onto the normal of the line. The fraction is the
    distribution function of the sum of two uniform variables of these widths.
    """
    a, b = np.maximum(np.abs(height), 1e-9), np.maximum(np.abs(width), 1e-9)
    a, b = np.maximum(a, 1e-4 * b), np.maximum(b, 1e-4 * a)

    def square(t: Floats) -> Floats:
        return np.maximum(distance + 0.5 * t, 0.0) ** 2

    return np.clip((square(a + b) - square(a - b) - square(b - a) + square(-a - b)) / (2.0 * a * b), 0.0, 1.0)


def _fourier_kernel(frequencies: Floats, positions: Floats) -> Complex:
    """Return exp(-i ξ x) for frequencies ξ (m,) and positions x (n,), as an array (m, n).

    Where n is even, the position at the window's border has no partner: its value is the mean over both borders.
    """
    waves: Complex = np.exp(-1j * np.outer(frequencies, positions))
    if len(positions) % 2 == 0:
        border = len(positions) // 2
        waves[:, border] = waves[:, border].real
    return waves


class Stack:
    """The Fourier transform of the intensity on a stack of planes, at modes of a grid.

    Parameters
    ----------
    beams : tuple of Beam
        Emission, and excitation where it counts.
    sheet : float or None
        σ of a Gaussian light sheet along z, µm; None without a sheet.
    extent : (3,) float
        The grid's period, µm, (z, y, x).
    frequencies : three float arrays
        Angular frequencies of the modes on the axes (z, y, x), rad/µm, each (n,).
    """

    def __init__(
        self, beams: tuple[Beam, ...], sheet: float | None, extent: tuple[float, float, float],
        frequencies: tuple[Floats, Floats, Floats],
    ) -> None:  # fmt: skip
        highest = [float(np.abs(f).max()) for f in frequencies[1:]]
        self.sampling = Sampling.for_modes(beams, sheet, extent, (highest[0], highest[1]))
        self.pupils = tuple(Pupil(b, self.sampling) for b in beams)
        planes = self.sampling.planes
        self._weights = np.ones(len(planes)) if sheet is None else np.exp(-0.5 * (planes / sheet) ** 2)
        y, x = self.sampling.positions
        self._z, self._y, self._x = (_fourier_kernel(f, p) for f, p in zip(frequencies, (planes, y, x)))

    def transform(self, fields: list[Complex]) -> Complex:
        """Return Σ intensity · exp(-i ξ · x) over all samples at the modes.

        Parameters
        ----------
        fields : list of (ny, nx) complex128
            Pupil function T of each beam, on the samples of its :class:`Pupil`.

        Returns
        -------
        (nz, ny, nx) complex128
            One value per mode.
        """
        (ny, nx), count = self.sampling.counts, len(self._x)
        halves = np.ascontiguousarray(np.concatenate([self._x.real, self._x.imag]).T)  # one real product for both
        found = np.empty((len(self._y), len(self._weights), count), dtype=np.complex128)
        for part in self._plane_slices():
            intensity = self._intensity(self._amplitudes(fields, part), part)
            both = (intensity.reshape(-1, nx) @ halves).reshape(-1, ny, 2 * count)
            rows = np.empty((len(both), ny, count), dtype=np.complex128)
            rows.real, rows.imag = both[..., :count], both[..., count:]
            found[:, part] = np.tensordot(self._y, rows, (1, 1))  # one large product: matmul of stacks is slow
        spectrum: Complex = np.tensordot(self._z, found, (1, 1))
        return spectrum

    def vjp(self, fields: list[Complex], cotangent: Complex) -> list[Complex]:
        """Return s = T · conj(∂L/∂T) of each beam, the reverse mode of :meth:`transform`.

        The change of Re Σ conj(cotangent) · transform is Re Σ s · δ(log T).

        Parameters
        ----------
        fields : list of (ny, nx) complex128
            Pupil function T of each beam.
        cotangent : (nz, ny, nx) complex128
            Cotangent at the modes, each multiplied with its weight in the full spectrum.

        Returns
        -------
        list of (ny, nx) complex128
            s of each beam.
        """
        per_plane = np.tensordot(self._z.conj().T, cotangent, 1)
        (ny, nx), back_y = self.sampling.counts, self._y.conj().T
        halves, count = np.concatenate([self._x.real, self._x.imag]), len(self._x)
        found = [np.zeros(f.shape, dtype=np.complex128) for f in fields]
        for part in self._plane_slices():
            rows = np.tensordot(back_y, per_plane[part], (1, 1))  # (y, z, modes)
            both = np.concatenate([rows.real, rows.imag], axis=-1).reshape(-1, 2 * count)
            slope = (both @ halves).reshape(ny, -1, nx).swapaxes(0, 1)  # Re Σ rows · conj(exp(-i ξ x))
            slope = slope * self._weights[part, None, None]
            amplitudes = self._amplitudes(fields, part)
            for k, (pupil, field) in enumerate(zip(self.pupils, fields)):
                others = [np.abs(a) ** 2 for j, a in enumerate(amplitudes) if j != k]
                back = 2.0 * functools.reduce(np.multiply, others, slope) * amplitudes[k]
                found[k] += pupil.adjoint(back, self.sampling.planes[part]).conj() * field
        return found

    def _amplitudes(self, fields: list[Complex], part: slice) -> list[Complex]:
        """Return the amplitude of each beam on the planes of the slice `part`, (planes, y, x)."""
        planes = self.sampling.planes[part]
        return [pupil.amplitude(field, planes) for pupil, field in zip(self.pupils, fields)]

    def _intensity(self, amplitudes: list[Complex], part: slice) -> Floats:
        """Return Π |a|² over the beams times the sheet's weight, on the planes of the slice `part`, (planes, y, x)."""
        sizes = [a.real**2 + a.imag**2 for a in amplitudes]
        return functools.reduce(np.multiply, sizes) * self._weights[part, None, None]

    def _plane_slices(self) -> Iterator[slice]:
        """Yield slices of the planes, each of so many that about a million samples are in work at a time."""
        count = max(1, _AT_ONCE // math.prod(self.sampling.counts))
        for begin in range(0, len(self._weights), count):
            yield slice(begin, begin + count)
