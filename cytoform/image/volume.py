"""3D images and the grids on which they are sampled, in micrometres and in the order (z, y, x)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from scipy import fft as _fft

from .._typing import Array, Floats, Triple
from ..errors import GridError, VolumeError

__all__ = ["Grid", "Volume"]


def _check_triple(name: str, value: Any, *, positive: bool) -> Triple:
    array = np.asarray(value, dtype=np.float64).ravel()
    if array.size == 1:
        array = np.repeat(array, 3)
    good = array.size == 3 and bool(np.isfinite(array).all()) and (not positive or bool((array > 0).all()))
    if not good:
        kind = "positive numbers" if positive else "finite numbers"
        raise GridError(
            f"{name} is {value!r}; expected three {kind} in µm, in the order (z, y, x).",
            remedy=f"Pass {name}=(z, y, x), for example {name}=(0.3, 0.1, 0.1).",
        )
    return float(array[0]), float(array[1]), float(array[2])


def _check_shape(value: Any) -> tuple[int, int, int]:
    try:
        shape = tuple(int(n) for n in value)
        good = len(shape) == 3 and all(n >= 1 for n in shape) and all(float(a) == b for a, b in zip(value, shape))
    except (TypeError, ValueError):
        good, shape = False, ()
    if not good:
        raise GridError(
            f"shape is {value!r}; expected three whole numbers of voxels, (z, y, x), each at least 1.",
            remedy="Pass for example shape=(64, 128, 128).",
        )
    return shape[0], shape[1], shape[2]


@dataclasses.dataclass(frozen=True)
class Grid:
    """Where an image is sampled: index n sits at ``origin + n * spacing`` (a voxel's centre).

    As the renderer's box the grid is periodic with period ``shape * spacing``.

    Parameters
    ----------
    shape : (3,) int
        Number of voxels (z, y, x).
    spacing : (3,) float or float
        Voxel size in µm, (z, y, x).
    origin : (3,) float
        Position of voxel (0, 0, 0) in µm.

    Raises
    ------
    GridError
        When an argument has the wrong length, or is not finite or positive.
    """

    shape: tuple[int, int, int]
    spacing: Triple
    origin: Triple = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _check_shape(self.shape))
        object.__setattr__(self, "spacing", _check_triple("spacing", self.spacing, positive=True))
        object.__setattr__(self, "origin", _check_triple("origin", self.origin, positive=False))

    @property
    def size(self) -> int:
        """Number of voxels."""
        return math.prod(self.shape)

    @property
    def extent(self) -> Triple:
        """Period of the box in µm, ``shape * spacing``."""
        z, y, x = (n * d for n, d in zip(self.shape, self.spacing))
        return z, y, x

    @property
    def volume(self) -> float:
        """Volume of the box in µm³, the V of the image formula."""
        return math.prod(self.extent)

    @property
    def voxel_volume(self) -> float:
        """Volume of a voxel in µm³."""
        return math.prod(self.spacing)

    @property
    def spectrum_shape(self) -> tuple[int, int, int]:
        """Shape of the half-space spectrum, as ``rfftn`` lays it out."""
        return self.shape[0], self.shape[1], self.shape[2] // 2 + 1

    @property
    def max_modes(self) -> tuple[int, int, int]:
        """Largest mode number kept on each axis; an even axis drops its Nyquist plane."""
        z, y, x = ((n - 1) // 2 for n in self.shape)
        return z, y, x

    @property
    def centre(self) -> Floats:
        """Middle of the voxel centres in µm, (3,)."""
        centre: Floats = np.asarray(self.origin) + 0.5 * (np.asarray(self.shape) - 1) * np.asarray(self.spacing)
        return centre

    def frequencies(self) -> tuple[Floats, Floats, Floats]:
        """Angular frequencies 2π k / (n · spacing) in rad/µm, one array an axis, FFT order, half of them along x."""
        (nz, ny, nx), (dz, dy, dx) = self.shape, self.spacing
        scale = 2.0 * math.pi
        z, y, x = np.fft.fftfreq(nz, dz), np.fft.fftfreq(ny, dy), np.fft.rfftfreq(nx, dx)
        return cast(tuple[Floats, Floats, Floats], (scale * z, scale * y, scale * x))

    def coordinates(self) -> tuple[Floats, Floats, Floats]:
        """Positions of the voxel centres in µm, one array an axis."""
        z, y, x = (o + d * np.arange(n) for o, d, n in zip(self.origin, self.spacing, self.shape))
        return cast(tuple[Floats, Floats, Floats], (z, y, x))

    def to_index(self, points: npt.ArrayLike) -> Floats:
        """Fractional voxel indices of points in µm, (..., 3)."""
        return (np.asarray(points, dtype=np.float64) - self.origin) / self.spacing

    def to_um(self, index: npt.ArrayLike) -> Floats:
        """Positions in µm of (fractional) voxel indices, (..., 3)."""
        return np.asarray(index, dtype=np.float64) * self.spacing + self.origin

    def overhang(self, points: npt.ArrayLike) -> Floats:
        """How far points (n, 3) µm stick out of the voxel centres, both ends of an axis together, (3,) µm."""
        positions = np.asarray(points, dtype=np.float64)
        first, last = np.asarray(self.origin), self.to_um(np.asarray(self.shape) - 1)
        before, behind = first - positions.min(axis=0), positions.max(axis=0) - last
        overhang: Floats = np.maximum(before, 0.0) + np.maximum(behind, 0.0)
        return overhang

    def crop(self, start: Sequence[int], stop: Sequence[int]) -> Grid:
        """The grid of ``data[start:stop]``, in voxels."""
        begin = [max(0, int(a)) for a in start]
        end = [min(n, int(b)) for n, b in zip(self.shape, stop)]
        nz, ny, nx = (b - a for a, b in zip(begin, end))
        z, y, x = (o + a * d for o, a, d in zip(self.origin, begin, self.spacing))
        return Grid((nz, ny, nx), self.spacing, (z, y, x))

    def padded(self, margin: float | Sequence[float], *, fast: bool = True) -> Grid:
        """The grid with room behind its last voxel, so that nothing wraps around into the image.

        Voxel (0, 0, 0) stays where it is: an image on this grid is the first ``shape`` voxels of the padded one.

        Parameters
        ----------
        margin : float or (3,) float
            Room in µm; three times the PSF's σ keeps wrap-around under 1 %.
        fast : bool
            Round the shape up to lengths that the FFT likes.
        """
        widths = _check_triple("margin", margin, positive=False)
        shape = [n + math.ceil(max(0.0, m) / d - 1e-9) for n, m, d in zip(self.shape, widths, self.spacing)]
        if fast:
            shape = [_fft.next_fast_len(n, real=True) for n in shape]
        nz, ny, nx = shape
        return Grid((nz, ny, nx), self.spacing, self.origin)


@dataclasses.dataclass(frozen=True, eq=False)
class Volume:
    """A 3D image with its voxel size.

    Parameters
    ----------
    data : (z, y, x) array
        Intensities (or labels). Not copied.
    spacing : (3,) float or float
        Voxel size in µm, (z, y, x).
    origin : (3,) float
        Position of voxel (0, 0, 0) in µm.
    name : str
        Where it came from, for messages and reports.
    source : mapping
        What is needed to read it again, as plain values: path, channel, time point …; empty for an array in memory.
    remarks : tuple of str
        What a reader assumed or left out, one sentence each; repeated in results made from the image.

    Raises
    ------
    VolumeError
        When `data` is not 3D, is empty, or has values that are not finite.
    """

    data: Array
    spacing: Triple
    origin: Triple = (0.0, 0.0, 0.0)
    name: str = ""
    source: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        data = np.asarray(self.data)
        label = f"image {self.name!r}" if self.name else "data"
        if data.ndim != 3:
            raise VolumeError(
                f"{label} has {data.ndim} axes, shape {data.shape}; expected 3, (z, y, x).",
                remedy="Choose one channel and one time point, or stack the slices.",
            )
        if data.size == 0:
            raise VolumeError(f"{label} is empty, shape {data.shape}; expected at least one voxel.")
        if data.dtype.kind not in "uifb":
            raise VolumeError(f"{label} has values of type {data.dtype}; expected real numbers.")
        if data.dtype.kind == "f" and not np.isfinite(data).all():
            bad = int(data.size - np.isfinite(data).sum())
            raise VolumeError(
                f"{label} has {bad} voxels of {data.size} that are NaN or infinite; expected finite intensities.",
                remedy="Replace them, for example with numpy.nan_to_num, or crop them away.",
            )
        object.__setattr__(self, "data", data)
        object.__setattr__(self, "spacing", _check_triple("spacing", self.spacing, positive=True))
        object.__setattr__(self, "origin", _check_triple("origin", self.origin, positive=False))

    @property
    def grid(self) -> Grid:
        """The grid that the image is sampled on."""
        return Grid(self.shape, self.spacing, self.origin)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels (z, y, x)."""
        nz, ny, nx = self.data.shape
        return nz, ny, nx

    def crop(self, start: Sequence[int], stop: Sequence[int]) -> Volume:
        """The part between two voxel indices, with its place in µm kept."""
        grid = self.grid.crop(start, stop)
        begin = [max(0, int(a)) for a in start]
        part = tuple(slice(a, a + n) for a, n in zip(begin, grid.shape))
        source = {**self.source, "cropped_to": [[a, a + n] for a, n in zip(begin, grid.shape)]} if self.source else {}
        return dataclasses.replace(self, data=self.data[part], origin=grid.origin, source=source)
