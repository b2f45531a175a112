"""3D images and the grids on which they are sampled, in micrometres and in the order (z, y, x)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
from scipy import fft as _fft

from .._typing import Array, Floats, Triple
from ..errors import GridError, VolumeError

__all__ = ["Grid", "Volume"]


def _check_triple(name: str, value: Any, *, positive: bool) -> Triple:
    """Return three floats (z, y, x) made from a number or a sequence of three.

    `name` stands for the value in the message. GridError is raised unless the numbers are finite and, if `positive`,
    above 0.
    """
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
    """Return the shape as three int (z, y, x); raise GridError unless it is three whole numbers of at least 1."""
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
    """The regular grid on which an image is sampled: voxel n has its centre at ``origin + n * spacing``.

    As the renderer's box the grid is periodic with period ``shape * spacing``.

    Parameters
    ----------
    shape : (3,) int
        Number of voxels (z, y, x).
    spacing : (3,) float or float
        Voxel size in µm, (z, y, x); one number stands for all three.
    origin : (3,) float
        Position of the centre of voxel (0, 0, 0) in µm, (z, y, x).

    Raises
    ------
    GridError
        When an argument has the wrong length, or is not finite, or shape or spacing is not positive.
    """

    shape: tuple[int, int, int]
    spacing: Triple
    origin: Triple = (0.0, 0.0, 0.0)

    if TYPE_CHECKING:  # what may be passed; the fields have the types that they are converted to

        def __init__(self, shape: npt.ArrayLike, spacing: npt.ArrayLike, origin: npt.ArrayLike = ...) -> None: ...

    def __post_init__(self) -> None:
        """Check the fields and convert them to tuples of int and float."""
        object.__setattr__(self, "shape", _check_shape(self.shape))
        object.__setattr__(self, "spacing", _check_triple("spacing", self.spacing, positive=True))
        object.__setattr__(self, "origin", _check_triple("origin", self.origin, positive=False))

    @property
    def size(self) -> int:
        """Number of voxels."""
        return math.prod(self.shape)

    @property
    def extent(self) -> Triple:
        """Period of the box in µm, (z, y, x): ``shape * spacing``."""
        z, y, x = (n * d for n, d in zip(self.shape, self.spacing))
        return z, y, x

    @property
    def volume(self) -> float:
        """Volume of the periodic box in µm³, the V of the image formula."""
        return math.prod(self.extent)

    @property
    def voxel_volume(self) -> float:
        """Volume of a voxel in µm³."""
        return math.prod(self.spacing)

    @property
    def spectrum_shape(self) -> tuple[int, int, int]:
        """Shape of the half-space spectrum as ``rfftn`` lays it out: (nz, ny, nx // 2 + 1)."""
        return self.shape[0], self.shape[1], self.shape[2] // 2 + 1

    @property
    def max_modes(self) -> tuple[int, int, int]:
        """Largest mode number along z, y and x, (n - 1) // 2: on an even axis the one below the Nyquist plane."""
        z, y, x = ((n - 1) // 2 for n in self.shape)
        return z, y, x

    @property
    def centre(self) -> Floats:
        """Midpoint between the first and the last voxel centre in µm, (3,)."""
        centre: Floats = np.asarray(self.origin) + 0.5 * (np.asarray(self.shape) - 1) * np.asarray(self.spacing)
        return centre

    def frequencies(self) -> tuple[Floats, Floats, Floats]:
        """Return the angular frequencies 2π k / (n · spacing) along z, y and x.

        Returns
        -------
        z, y, x : (nz,), (ny,), (nx // 2 + 1,) float64
            In rad/µm, in FFT order; along x only those of the half space, k ≥ 0.
        """
        (nz, ny, nx), (dz, dy, dx) = self.shape, self.spacing
        scale = 2.0 * math.pi
        z, y, x = np.fft.fftfreq(nz, dz), np.fft.fftfreq(ny, dy), np.fft.rfftfreq(nx, dx)
        return cast(tuple[Floats, Floats, Floats], (scale * z, scale * y, scale * x))

    def coordinates(self) -> tuple[Floats, Floats, Floats]:
        """Return the positions of the voxel centres along z, y and x.

        Returns
        -------
        z, y, x : (nz,), (ny,), (nx,) float64
            In µm.
        """
        z, y, x = (o + d * np.arange(n) for o, d, n in zip(self.origin, self.spacing, self.shape))
        return cast(tuple[Floats, Floats, Floats], (z, y, x))

    def to_index(self, points: npt.ArrayLike) -> Floats:
        """Convert positions in µm to fractional voxel indices.

        Parameters
        ----------
        points : (..., 3) float
            Positions in µm, (z, y, x).

        Returns
        -------
        (..., 3) float64
            ``(points - origin) / spacing``.
        """
        return (np.asarray(points, dtype=np.float64) - self.origin) / self.spacing

    def to_um(self, index: npt.ArrayLike) -> Floats:
        """Convert voxel indices, which may be fractions, to positions in µm.

        Parameters
        ----------
        index : (..., 3) float
            Voxel indices, (z, y, x).

        Returns
        -------
        (..., 3) float64
            ``index * spacing + origin``.
        """
        return np.asarray(index, dtype=np.float64) * self.spacing + self.origin

    def overhang(self, points: npt.ArrayLike) -> Floats:
        """Return the length in µm by which points lie beyond the first and the last voxel centres, on each axis.

        Parameters
        ----------
        points : (n, 3) float
            Positions in µm, (z, y, x).

        Returns
        -------
        (3,) float64
            Sum over both ends of the axis, in µm; 0 where all points lie between the voxel centres.
        """
        positions = np.asarray(points, dtype=np.float64)
        first, last = np.asarray(self.origin), self.to_um(np.asarray(self.shape) - 1)
        before, behind = first - positions.min(axis=0), positions.max(axis=0) - last
        overhang: Floats = np.maximum(before, 0.0) + np.maximum(behind, 0.0)
        return overhang

    def crop(self, start: Sequence[int], stop: Sequence[int]) -> Grid:
        """Return the grid of ``data[start:stop]``, with voxels at the same positions in µm.

        Parameters
        ----------
        start : (3,) int
            First voxel index of each axis; below 0 counts as 0.
        stop : (3,) int
            Index behind the last voxel of each axis; beyond the grid counts as its end.

        Returns
        -------
        Grid
            Grid of the part.

        Raises
        ------
        GridError
            When no voxel is left on an axis.
        """
        begin = [max(0, int(a)) for a in start]
        end = [min(n, int(b)) for n, b in zip(self.shape, stop)]
        nz, ny, nx = (b - a for a, b in zip(begin, end))
        z, y, x = (o + a * d for o, a, d in zip(self.origin, begin, self.spacing))
        return Grid((nz, ny, nx), self.spacing, (z, y, x))

    def padded(self, margin: float | Sequence[float], *, fast: bool = True) -> Grid:
        """Return the grid extended behind its last voxels, so that blurred light does not wrap around into the image.

        Voxel (0, 0, 0) keeps its position: an image on this grid is the first ``shape`` voxels of the padded one.

        Parameters
        ----------
        margin : float or (3,) float
            Width added to each axis in µm, (z, y, x), rounded up to whole voxels; negative counts as 0. Three times the
            PSF's σ keeps wrap-around under 1 %.
        fast : bool
            Round the shape up to lengths for which the FFT is fast.

        Returns
        -------
        Grid
            The extended grid, with the same spacing and origin.
        """
        widths = _check_triple("margin", margin, positive=False)
        shape = [n + math.ceil(max(0.0, m) / d - 1e-9) for n, m, d in zip(self.shape, widths, self.spacing)]
        if fast:
            shape = [_fft.next_fast_len(n, real=True) for n in shape]
        nz, ny, nx = shape
        return Grid((nz, ny, nx), self.spacing, self.origin)


@dataclasses.dataclass(frozen=True, eq=False)
class Volume:
    """A 3D image with its voxel size and its position.

    Parameters
    ----------
    data : (z, y, x) array
        Intensities (or labels): integers, floats or bool. Not copied.
    spacing : (3,) float or float
        Voxel size in µm, (z, y, x); one number stands for all three.
    origin : (3,) float
        Position of the centre of voxel (0, 0, 0) in µm, (z, y, x).
    name : str
        Name of the image for messages and reports, as a rule that of its file.
    source : mapping
        What is needed to read it again, as plain values: path, channel, time point …; empty for an array in memory.
    remarks : tuple of str
        What a reader assumed or left out, one sentence each; repeated in results made from the image.

    Raises
    ------
    VolumeError
        When `data` is not 3D, is empty, or has values that are not real or not finite.
    GridError
        When spacing or origin are not three finite numbers, or the spacing is not positive.
    """

    data: Array
    spacing: Triple
    origin: Triple = (0.0, 0.0, 0.0)
    name: str = ""
    source: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    if TYPE_CHECKING:  # what may be passed; the fields have the types that they are converted to

        def __init__(
            self,
            data: npt.ArrayLike,
            spacing: npt.ArrayLike,
            origin: npt.ArrayLike = ...,
            name: str = ...,
            source: Mapping[str, Any] = ...,
            remarks: tuple[str, ...] = ...,
        ) -> None: ...

    def __repr__(self) -> str:
        """Return shape, voxel size, dtype and name on one line, without the voxels."""
        shape, size = (" × ".join(f"{n:g}" for n in triple) for triple in (np.shape(self.data), self.spacing))
        return f"Volume({shape} voxels of {size} µm (z, y, x), {np.asarray(self.data).dtype}, {self.name!r})"

    def __post_init__(self) -> None:
        """Check the data, the spacing and the origin, and convert the last two to tuples of float."""
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
        """The grid on which the image is sampled."""
        return Grid(self.shape, self.spacing, self.origin)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels (z, y, x)."""
        nz, ny, nx = self.data.shape
        return nz, ny, nx

    def crop(self, start: Sequence[int], stop: Sequence[int]) -> Volume:
        """Return the part ``data[start:stop]`` as an image at the same position in µm.

        Parameters
        ----------
        start : (3,) int
            First voxel index of each axis; below 0 counts as 0.
        stop : (3,) int
            Index behind the last voxel of each axis; beyond the image counts as its end.

        Returns
        -------
        Volume
            Its data are a view, not a copy. Its ``source``, unless empty, has the indices under "cropped_to".

        Raises
        ------
        GridError
            When no voxel is left on an axis.
        """
        grid = self.grid.crop(start, stop)
        begin = [max(0, int(a)) for a in start]
        part = tuple(slice(a, a + n) for a, n in zip(begin, grid.shape))
        source = {**self.source, "cropped_to": [[a, a + n] for a, n in zip(begin, grid.shape)]} if self.source else {}
        return dataclasses.replace(self, data=self.data[part], origin=grid.origin, source=source)
