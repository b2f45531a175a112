"""Select the low-frequency modes of a grid's spectrum that are computed."""

from __future__ import annotations

import dataclasses
import math
from functools import cached_property
from typing import cast

import numpy as np
import numpy.typing as npt

from .._typing import Array, Bools, Complex, Floats, Ints
from ..errors import GridError
from .volume import Grid

__all__ = ["Band"]


@dataclasses.dataclass(frozen=True, eq=False)
class Band:
    """A box of the lowest frequencies of a grid's half-space spectrum, with a mask of the modes that are kept.

    Along z and y the box holds ``shape[0]`` and ``shape[1]`` modes in FFT order, along x the modes 0 .. ``shape[2] -
    1``. Mode k of an axis has the angular frequency 2π k / (n · spacing).

    Parameters
    ----------
    grid : Grid
        Grid of the image whose spectrum it is.
    shape : (3,) int
        Number of modes of the box along z, y and x; from 1 to the grid's ``spectrum_shape``.
    mask : (shape) bool, optional
        True at the modes that are kept; all modes of the box by default.

    Raises
    ------
    GridError
        When the shape does not fit the grid, or the mask is not bool or has another shape than the box.
    """

    grid: Grid
    shape: tuple[int, int, int]
    mask: Bools | None = None

    def __post_init__(self) -> None:
        """Check shape and mask."""
        if any(m < 1 or m > n for m, n in zip(self.shape, self.grid.spectrum_shape)):
            raise GridError(
                f"the band's shape is {self.shape}; expected 1 to {self.grid.spectrum_shape} modes on the axes."
            )
        if self.mask is not None and (self.mask.shape != tuple(self.shape) or self.mask.dtype != bool):
            raise GridError(
                f"the band's mask is {self.mask.dtype} of shape {self.mask.shape}; expected bool of {self.shape}."
            )

    @classmethod
    def full(cls, grid: Grid) -> Band:
        """Make the band of the whole half-space spectrum as ``rfftn`` lays it out, Nyquist planes included."""
        return cls(grid, grid.spectrum_shape)

    @classmethod
    def box(cls, grid: Grid, half_widths: tuple[int, int, int]) -> Band:
        """Make the band of all modes with |k| ≤ `half_widths` (3,) on each axis.

        Widths are clipped to 0 .. the grid's ``max_modes``, so that no Nyquist plane is included (its modes have no
        partner of the opposite sign).
        """
        bz, by, bx = (max(0, min(int(b), m)) for b, m in zip(half_widths, grid.max_modes))
        return cls(grid, (2 * bz + 1, 2 * by + 1, bx + 1))

    @classmethod
    def symmetric(cls, grid: Grid) -> Band:
        """Make the band of all modes whose opposite mode exists: the whole spectrum without its Nyquist planes."""
        return cls.box(grid, grid.max_modes)

    def where(self, mask: Bools) -> Band:
        """Return a band with the same box that keeps only the modes where `mask`, bool of the box's shape, is True."""
        return Band(self.grid, self.shape, np.ascontiguousarray(mask))

    @cached_property
    def modes(self) -> tuple[Ints, Ints, Ints]:
        """Mode numbers k of the box along z, y and x: three int arrays of lengths ``shape``; z and y in FFT order."""
        mz, my, mx = self.shape
        return _fft_order(mz), _fft_order(my), np.arange(mx)

    @cached_property
    def axes(self) -> tuple[Floats, Floats, Floats]:
        """Angular frequencies ξ of the box in rad/µm: (mz, 1, 1), (1, my, 1), (1, 1, mx), which broadcast to it."""
        z, y, x = (2.0 * math.pi / length * k for length, k in zip(self.grid.extent, self.modes))
        return cast(tuple[Floats, Floats, Floats], (z[:, None, None], y[None, :, None], x[None, None, :]))

    @cached_property
    def index(self) -> Ints:
        """Flat (row-major) indices in the box of the modes that are kept, (size,) int."""
        if self.mask is None:
            return np.arange(math.prod(self.shape))
        return np.flatnonzero(self.mask)

    @property
    def size(self) -> int:
        """Number of modes that are kept, counted in the half space."""
        return len(self.index)

    @cached_property
    def frequencies(self) -> Floats:
        """Angular frequencies ξ in rad/µm, (z, y, x), of the modes that are kept, (size, 3)."""
        return np.stack([np.broadcast_to(a, self.shape).ravel()[self.index] for a in self.axes], axis=1)

    @cached_property
    def weights(self) -> Floats:
        """Number of modes of the full spectrum that each x-plane of the box represents, (1, 1, mx) float.

        It is 1 for k = 0 and for the Nyquist plane of an even axis, else 2, since the half space leaves out -k.
        """
        weights = np.full(self.shape[2], 2.0)
        weights[0] = 1.0
        if self.grid.shape[2] % 2 == 0 and self.shape[2] == self.grid.spectrum_shape[2]:
            weights[-1] = 1.0
        return weights[None, None, :]

    @cached_property
    def kept_weights(self) -> Floats:
        """Weight of each mode of the box: :attr:`weights` at the modes that are kept, 0 at the others."""
        weights = np.broadcast_to(self.weights, self.shape)
        return weights if self.mask is None else np.where(self.mask, weights, 0.0)

    @cached_property
    def limits(self) -> Floats:
        """Largest |ξ| of the box along z, y and x in rad/µm, (3,)."""
        return np.array([np.abs(a).max() for a in self.axes])

    @cached_property
    def _ellipsoid(self) -> Floats:
        """Three semi-axes in rad/µm, proportional to :attr:`limits`, of the least ellipsoid around all kept modes."""
        return self.limits * float(self._distances(self.limits).max(initial=0.0))

    @cached_property
    def radii(self) -> Floats:
        """Radii √Σ (ξ_a / s_a)² of the kept modes, (size,), with the semi-axes s of an ellipsoid around all of them.

        The ellipsoid has the proportions of :attr:`limits`; the largest radius is 1.
        """
        return self._distances(self._ellipsoid)

    def _distances(self, semi_axes: Floats) -> Floats:
        """Return √Σ (ξ_a / s_a)² of the kept modes, (size,), for semi-axes s (3,) in rad/µm; a zero counts as 1."""
        squares = sum((a / s) ** 2 for a, s in zip(self.axes, np.where(semi_axes > 0, semi_axes, 1.0)))
        distances: Floats = np.sqrt(np.asarray(squares).ravel()[self.index])
        return distances

    def phase_bound(self, vectors: Array) -> Floats:
        """Return an upper bound of |v · ξ| / radius over the kept modes for vectors v (..., 3) in µm, (...) in rad.

        The bound is the length of v with each component multiplied by the semi-axis of the ellipsoid of :attr:`radii`.
        """
        bound: Floats = np.linalg.norm(np.asarray(vectors, dtype=np.float64) * self._ellipsoid, axis=-1)
        return bound

    def max_phase(self, vectors: Array) -> Floats:
        """Return an upper bound of |v · ξ| over the kept modes for vectors v (..., 3) in µm, (...) in rad.

        It is the smaller of the bounds of the box and of the ellipsoid around the modes (the support function of each).
        """
        size = np.abs(np.asarray(vectors, dtype=np.float64))
        bound: Floats = np.minimum(size @ self.limits, self.phase_bound(size))
        return bound

    def phase(self, shift: npt.ArrayLike, sign: float = -1.0) -> Complex:
        """Return exp(sign · i · ξ · shift) at all modes of the box, kept or not, for a shift (3,) in µm.

        Multiplying a spectrum by it with ``sign=-1`` moves the image by `shift`.
        """
        z, y, x = (np.exp(sign * 1j * a * float(s)) for a, s in zip(self.axes, np.asarray(shift, dtype=np.float64)))
        phase: Complex = z * y * x
        return phase

    def scatter(self, values: Array) -> Array:
        """Return an array of the box's shape with `values` (size,) at the modes that are kept and zero elsewhere."""
        box = np.zeros(math.prod(self.shape), dtype=values.dtype)
        box[self.index] = values
        return box.reshape(self.shape)

    def expand(self, box: Array) -> Array:
        """Return the half-space spectrum of the whole grid that has the values of `box` in the band and zero elsewhere.

        All modes of the box are copied, kept or not.
        """
        full = np.zeros(self.grid.spectrum_shape, dtype=box.dtype)
        full[self._positions_in_spectrum()] = box
        return full

    def restrict(self, spectrum: Array) -> Array:
        """Return the box's part of the grid's half-space spectrum, with zero at the modes that are not kept."""
        box = spectrum[self._positions_in_spectrum()]
        return box if self.mask is None else np.where(self.mask, box, 0)

    def _positions_in_spectrum(self) -> tuple[Array, ...]:
        """Return the index arrays that select the box in a half-space spectrum of the whole grid."""
        (kz, ky, kx), (nz, ny, _) = self.modes, self.grid.shape
        return np.ix_(kz % nz, ky % ny, kx)


def _fft_order(n: int) -> Ints:
    """Return the mode numbers of an axis of n samples in FFT order: 0, 1, …, then the negative ones up to -1, int."""
    modes: Ints = np.rint(np.fft.fftfreq(n) * n).astype(np.int64)
    return modes
