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
    """A box of low modes of a grid's half-space spectrum, and which of its modes are kept.

    Along z and y the box holds `shape` modes in FFT order, along x the modes 0 .. shape[2] - 1.

    Parameters
    ----------
    grid : Grid
    shape : (3,) int
        Modes of the box; at most the grid's ``spectrum_shape``.
    mask : (shape) bool, optional
        Modes that are kept; all by default.
    """

    grid: Grid
    shape: tuple[int, int, int]
    mask: Bools | None = None

    def __post_init__(self) -> None:
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
        """The whole half-space spectrum as ``rfftn`` lays it out, Nyquist planes included."""
        return cls(grid, grid.spectrum_shape)

    @classmethod
    def box(cls, grid: Grid, half_widths: tuple[int, int, int]) -> Band:
        """All modes up to `half_widths` on each axis, never a Nyquist plane (it has no partner)."""
        bz, by, bx = (max(0, min(int(b), m)) for b, m in zip(half_widths, grid.max_modes))
        return cls(grid, (2 * bz + 1, 2 * by + 1, bx + 1))

    @classmethod
    def symmetric(cls, grid: Grid) -> Band:
        """All modes that have a partner: the spectrum without its Nyquist planes."""
        return cls.box(grid, grid.max_modes)

    def where(self, mask: Bools) -> Band:
        """The same box with only the modes of `mask` kept."""
        return Band(self.grid, self.shape, np.ascontiguousarray(mask))

    @cached_property
    def modes(self) -> tuple[Ints, Ints, Ints]:
        """Mode numbers on the three axes."""
        mz, my, mx = self.shape
        return _fft_order(mz), _fft_order(my), np.arange(mx)

    @cached_property
    def axes(self) -> tuple[Floats, Floats, Floats]:
        """Angular frequencies in rad/µm, shaped to broadcast to the box."""
        z, y, x = (2.0 * math.pi / length * k for length, k in zip(self.grid.extent, self.modes))
        return cast(tuple[Floats, Floats, Floats], (z[:, None, None], y[None, :, None], x[None, None, :]))

    @cached_property
    def index(self) -> Ints:
        """Flat indices of the kept modes in the box."""
        if self.mask is None:
            return np.arange(math.prod(self.shape))
        return np.flatnonzero(self.mask)

    @property
    def size(self) -> int:
        """Number of kept modes of the half space."""
        return len(self.index)

    @cached_property
    def frequencies(self) -> Floats:
        """The kept modes' angular frequencies in rad/µm, (size, 3)."""
        return np.stack([np.broadcast_to(a, self.shape).ravel()[self.index] for a in self.axes], axis=1)

    @cached_property
    def weights(self) -> Floats:
        """How many modes of the full spectrum each x-plane of the box stands for, (1, 1, mx): 1 or 2."""
        weights = np.full(self.shape[2], 2.0)
        weights[0] = 1.0
        if self.grid.shape[2] % 2 == 0 and self.shape[2] == self.grid.spectrum_shape[2]:
            weights[-1] = 1.0
        return weights[None, None, :]

    @cached_property
    def kept_weights(self) -> Floats:
        """:attr:`weights` of the kept modes on the box, 0 of the others."""
        weights = np.broadcast_to(self.weights, self.shape)
        return weights if self.mask is None else np.where(self.mask, weights, 0.0)

    @cached_property
    def limits(self) -> Floats:
        """Largest angular frequency of the box on each axis, rad/µm, (3,)."""
        return np.array([np.abs(a).max() for a in self.axes])

    @cached_property
    def _ellipsoid(self) -> Floats:
        """Semi-axes of an ellipsoid along the axes around all kept modes, rad/µm."""
        return self.limits * float(self._distances(self.limits).max(initial=0.0))

    @cached_property
    def radii(self) -> Floats:
        """Distance of the kept modes from zero, (size,), in units of the ellipsoid around them: 1 at the most."""
        return self._distances(self._ellipsoid)

    def _distances(self, semi_axes: Floats) -> Floats:
        """Of the kept modes from zero, (size,), in units of an ellipsoid."""
        squares = sum((a / s) ** 2 for a, s in zip(self.axes, np.where(semi_axes > 0, semi_axes, 1.0)))
        distances: Floats = np.sqrt(np.asarray(squares).ravel()[self.index])
        return distances

    def reach(self, vectors: Array) -> Floats:
        """Upper bound of |vector · frequency| / radius over the kept modes, (..., 3) µm -> (...) radians."""
        bound: Floats = np.linalg.norm(np.asarray(vectors, dtype=np.float64) * self._ellipsoid, axis=-1)
        return bound

    def support(self, vectors: Array) -> Floats:
        """Upper bound of max |vector · frequency| over the kept modes, (..., 3) µm -> (...) radians."""
        size = np.abs(np.asarray(vectors, dtype=np.float64))
        bound: Floats = np.minimum(size @ self.limits, self.reach(size))
        return bound

    def phase(self, shift: npt.ArrayLike, sign: float = -1.0) -> Complex:
        """exp(sign · i · frequency · shift) on the box, for a shift (3,) in µm."""
        z, y, x = (np.exp(sign * 1j * a * float(s)) for a, s in zip(self.axes, np.asarray(shift, dtype=np.float64)))
        phase: Complex = z * y * x
        return phase

    def scatter(self, values: Array) -> Array:
        """Values at the kept modes to the box, zero elsewhere."""
        box = np.zeros(math.prod(self.shape), dtype=values.dtype)
        box[self.index] = values
        return box.reshape(self.shape)

    def expand(self, box: Array) -> Array:
        """The box in the half-space spectrum of the grid, zero elsewhere."""
        full = np.zeros(self.grid.spectrum_shape, dtype=box.dtype)
        full[self._positions_in_spectrum()] = box
        return full

    def restrict(self, spectrum: Array) -> Array:
        """The box of a half-space spectrum; modes that are not kept are set to zero."""
        box = spectrum[self._positions_in_spectrum()]
        return box if self.mask is None else np.where(self.mask, box, 0)

    def _positions_in_spectrum(self) -> tuple[Array, ...]:
        (kz, ky, kx), (nz, ny, _) = self.modes, self.grid.shape
        return np.ix_(kz % nz, ky % ny, kx)


def _fft_order(n: int) -> Ints:
    modes: Ints = np.rint(np.fft.fftfreq(n) * n).astype(np.int64)
    return modes
