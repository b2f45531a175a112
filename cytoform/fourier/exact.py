"""The Fourier transform of a triangle mesh by its closed formula, mode by mode, on the CPU."""

from __future__ import annotations

import dataclasses
import weakref

import numpy as np
import numpy.typing as npt

from .. import devices
from .._typing import Array, Bools, Floats, Ints
from ..image.band import Band
from ..kernels.triangle import BLOCK, LANES
from .filled import Filling, inverse_squares
from .scale import largest_modulus

__all__ = ["Faces", "FilledFaces", "Simplices", "forward_at", "lanes"]

PARTS_PER_THREAD = 8  # parts into which the faces are divided for the adjoint, so that threads end together


def forward_at(corners: Floats, strengths: Floats, frequencies: Floats, *, dtype: npt.DTypeLike) -> Floats:
    """Return Σ strengths · G over the faces at any frequencies, with G = ∫ exp(-i x·ξ) dS / (2 area) of a face.

    Parameters
    ----------
    corners : (n_faces, 3 corners, 3 axes) float64
        Corners of the faces, µm, (z, y, x).
    strengths : (n_faces,) float64
        Twice the area times the density.
    frequencies : (n, 3) float64
        Angular frequencies, rad/µm, (z, y, x).
    dtype : float32 or float64
        Working precision.

    Returns
    -------
    (n, 2) float64
        Real and imaginary parts.
    """
    out = np.empty((len(frequencies), 2))
    with devices.parallel_kernels("mesh_ft_cpu") as loops:
        loops.mesh_ft(corners, strengths, frequencies, np.empty(0, dtype), out)
    return out


class Faces:
    """The faces of a mesh on a band, for their transform by the closed formula and its adjoint.

    The transform is Σ strengths · G over the faces, with G = ∫ exp(-i x·ξ) dS / (2 area) of a face.

    Parameters
    ----------
    corners : (n_faces, 3 corners, 3 axes) float64
        µm, (z, y, x), relative to the grid's origin.
    strengths : (n_faces,) float64
        Twice the area times the density.
    band : Band
        Modes that are computed.
    dtype : float32 or float64
        Working precision.
    """

    def __init__(self, corners: Floats, strengths: Floats, band: Band, *, dtype: npt.DTypeLike = np.float64) -> None:
        self.corners, self.strengths, self.band, self.dtype = corners, strengths, band, np.dtype(dtype)

    def forward(self) -> Array:
        """Return the transform Σ strengths · G on the band's box, complex; 0 at modes that are not kept.

        It is complex64 for a working precision of float32, else complex128.
        """
        complex_type = np.result_type(self.dtype, np.complex64)
        lines = _lines(self.band)
        out = np.empty((len(lines.numbers), 2, lines.length))
        corners, work = lines.permuted(self.corners), lines.workspace(BLOCK, self.dtype)
        with devices.parallel_kernels("mesh_ft_cpu") as loops:
            loops.mesh_ft_lines(corners, self.strengths, *lines.kernel_arguments(self.dtype), work, out)
        return lines.to_box(out, complex_type)

    def adjoint(self, cotangent: Array) -> tuple[Floats, Floats]:
        """Return the gradients of Re Σ conj(c) G over the full spectrum, for the strength and the corners of each face.

        Parameters
        ----------
        cotangent : (band.shape) complex
            Cotangent c on the band's box.

        Returns
        -------
        values : (n_faces,) float64
            Σ w_k Re conj(c_k) G_k, with w_k the modes of the full spectrum that mode k stands for.
        moves : (n_faces, 3 corners, 3 axes) float64
            Σ w_k Re conj(c_k) ∂G_k/∂corner, per µm.
        """
        n_faces, band = len(self.corners), self.band
        values, moves = np.empty(n_faces), np.empty((n_faces, 3, 3))
        weighted = np.asarray(cotangent * band.weights, dtype=np.complex128)
        lines = _lines(band)
        size = largest_modulus(weighted.ravel()[band.index])
        parts = min(PARTS_PER_THREAD * devices.thread_count(), max(n_faces, 1))
        corners, work = lines.permuted(self.corners), lines.workspace(parts, self.dtype)
        given = lines.from_box(weighted / size, self.dtype)
        with devices.parallel_kernels("mesh_ft_cpu") as loops:
            loops.mesh_ft_lines_adjoint(corners, *lines.kernel_arguments(self.dtype), given, work, values, moves)
        out = np.empty_like(moves)
        out[:, :, list(lines.order)] = moves
        return values * size, out * size


class FilledFaces:
    """The faces of a mesh and the bodies that they bound, on a band, for both transforms by the closed formula.

    The transforms are Σ strengths · G, with G = ∫ exp(-i x·ξ) dS / (2 area) of a face, and that of the bodies.

    Parameters
    ----------
    corners : (n_faces, 3 corners, 3 axes) float64
        µm, (z, y, x), relative to the grid's origin.
    strengths : (n_faces,) float64
        Twice the area times the density.
    filling : Filling
        The bodies, in the same coordinates.
    band : Band
        Modes that are computed.
    dtype : float32 or float64
        Working precision.
    """

    def __init__(
        self, corners: Floats, strengths: Floats, filling: Filling, band: Band, *, dtype: npt.DTypeLike = np.float64
    ) -> None:
        self.corners, self.strengths, self.filling = corners - filling.centre, strengths, filling
        self.band, self.dtype = band, np.dtype(dtype)

    def forward(self) -> tuple[Array, Array]:
        """Return the transforms of membranes and of bodies on the band's box, complex; 0 at modes that are not kept.

        They are complex64 for a working precision of float32, else complex128.
        """
        complex_type, band, lines = np.result_type(self.dtype, np.complex64), self.band, _lines(self.band)
        out = np.empty((len(lines.numbers), 4, lines.length))
        fluxes = lines.permuted(self.filling.fluxes[:, None])[:, 0]
        with devices.parallel_kernels("filled_ft_cpu") as loops:
            loops.filled_lines(
                lines.permuted(self.corners), self.strengths, fluxes, *lines.kernel_arguments(self.dtype),
                lines.workspace(BLOCK, self.dtype), out,
            )  # fmt: skip
        phase = band.phase(self.filling.centre, sign=-1.0)
        shell = lines.to_box(out[:, :2], np.complex128) * phase
        body = lines.to_box(out[:, 2:], np.complex128) * (1j * inverse_squares(band) * phase)
        if band.mask is None or band.mask[0, 0, 0]:
            body[0, 0, 0] = self.filling.mass
        return shell.astype(complex_type), body.astype(complex_type)

    def adjoint(self, cotangent: Array, *, of_jump: bool = True) -> tuple[Floats, Floats, Floats, Floats | None]:
        """Return the gradients of Re Σ conj(c) û over the full spectrum for what each face adds to either transform.

        Parameters
        ----------
        cotangent : (band.shape) complex
            Cotangent c on the band's box.
        of_jump : bool
            Return the derivative for the jump; on by default.

        Returns
        -------
        values : (n_faces,) float64
            Σ w_k Re conj(c_k) G_k, with w_k the modes of the full spectrum that mode k stands for.
        moves : (n_faces, 3 corners, 3 axes) float64
            Σ w_k Re conj(c_k) ∂G_k/∂corner, per µm.
        corner_values : (n_faces, 3 corners) float64
            Mean over the face of its corner's linear hat function times Σ w_k Re conj(c_k) exp(-i x·ξ_k), halved.
        by_jump : (n_faces,) float64 or None
            Derivative of the bodies' part for the face's jump; None unless asked for.
        """
        n_faces, band, lines, filling = len(self.corners), self.band, _lines(self.band), self.filling
        values, moves = np.empty(n_faces), np.empty((n_faces, 3, 3))
        corner_values, by_jump = np.empty((n_faces, 3)), np.empty(n_faces)
        weighted = np.asarray(cotangent * band.weights * band.phase(filling.centre, sign=1.0), dtype=np.complex128)
        over = weighted * inverse_squares(band)
        size, over_size = (largest_modulus(a.ravel()[band.index]) for a in (weighted, over))
        given = np.concatenate(
            [lines.from_box(weighted / size, self.dtype), lines.from_box(over / over_size, self.dtype)], axis=1
        )
        parts = min(PARTS_PER_THREAD * devices.thread_count(), max(n_faces, 1))
        normals = lines.permuted(filling.normals[:, None])[:, 0]
        with devices.parallel_kernels("filled_ft_cpu") as loops:
            loops.filled_lines_adjoint(
                lines.permuted(self.corners), normals, *lines.kernel_arguments(self.dtype), given,
                lines.workspace(parts, self.dtype), values, moves, corner_values, by_jump,
            )  # fmt: skip
        out = np.empty_like(moves)
        out[:, :, list(lines.order)] = moves
        by_jump = by_jump * over_size + _value_at_zero(cotangent, band) * filling.cones
        return values * size, out * size, corner_values * size, by_jump if of_jump else None


class Simplices:
    """Points, segments, triangles or tetrahedra on a band, for their transform by the closed formula and its adjoint.

    The transform is Σ strengths · G, with G = ∫ exp(-i x·ξ) / (k! size) of a simplex of order k.

    Parameters
    ----------
    corners : (n, k + 1 corners, 3 axes) float64
        µm, (z, y, x), relative to the grid's origin.
    strengths : (n,) float64
        k! times the size times the density.
    band : Band
        Modes that are computed.
    dtype : float32 or float64
        Working precision.
    """

    def __init__(self, corners: Floats, strengths: Floats, band: Band, *, dtype: npt.DTypeLike = np.float64) -> None:
        self.corners, self.strengths, self.band, self.dtype = corners, strengths, band, np.dtype(dtype)

    def forward(self) -> Array:
        """Return the transform on the band's box, complex64 or complex128; 0 at modes that are not kept."""
        lines = _lines(self.band)
        out = np.empty((len(lines.numbers), 2, lines.length))
        with devices.parallel_kernels("simplex_ft_cpu") as loops:
            loops.simplex_lines(
                lines.permuted(self.corners), self.strengths, *_without_ends(lines.kernel_arguments(self.dtype)),
                lines.workspace(BLOCK, self.dtype, offsets=3), out,
            )  # fmt: skip
        return lines.to_box(out, np.result_type(self.dtype, np.complex64))

    def adjoint(self, cotangent: Array) -> tuple[Floats, Floats]:
        """Return the gradients of Re Σ conj(c) G over the full spectrum, for strength and corners of each simplex.

        Parameters
        ----------
        cotangent : (band.shape) complex
            Cotangent c on the band's box.

        Returns
        -------
        values : (n,) float64
            Σ w_k Re conj(c_k) G_k, with w_k the modes of the full spectrum that mode k stands for.
        moves : (n, k + 1 corners, 3 axes) float64
            Σ w_k Re conj(c_k) ∂G_k/∂corner, per µm.
        """
        band, lines, count = self.band, _lines(self.band), len(self.corners)
        values, moves = np.empty(count), np.empty(self.corners.shape)
        weighted = np.asarray(cotangent * band.weights, dtype=np.complex128)
        size = largest_modulus(weighted.ravel()[band.index])
        parts = min(PARTS_PER_THREAD * devices.thread_count(), max(count, 1))
        with devices.parallel_kernels("simplex_ft_cpu") as loops:
            loops.simplex_lines_adjoint(
                lines.permuted(self.corners), *_without_ends(lines.kernel_arguments(self.dtype)),
                lines.from_box(weighted / size, self.dtype), lines.workspace(parts, self.dtype, offsets=3), values,
                moves,
            )  # fmt: skip
        out = np.empty_like(moves)
        out[:, :, list(lines.order)] = moves
        return values * size, out * size


def _without_ends(arguments: tuple[Array, ...]) -> tuple[Array, ...]:
    """Return the arguments of a loop without the ends of its steps, by which only triangles choose a formula."""
    return *arguments[:4], arguments[6]


def _value_at_zero(cotangent: Array, band: Band) -> float:
    """Return the real part of a cotangent (band.shape) at frequency 0, or 0 where that mode is not kept."""
    kept = band.mask is None or band.mask[0, 0, 0]
    return float(cotangent[0, 0, 0].real) if kept else 0.0


@dataclasses.dataclass(frozen=True, eq=False)
class _Lines:
    """The kept modes of a band as lines along one axis, as the loops of :mod:`cytoform.kernels.mesh_ft_cpu` take them.

    A loop takes the modes of a line in blocks of `LANES`.

    Parameters
    ----------
    shape : (3,) int
        Shape of the band's box.
    mask : (shape) bool or None
        Modes of the box that are kept. (Shape and mask are copied: a reference to the band would keep it alive.)
    order : (3,) int
        The box's axes as (axis 0, axis 1, axis of the lines).
    sort : (n,) int
        Indices of a line's modes in ascending order of frequency.
    numbers : (n_lines, 4) int
        Index of every line on axes 0 and 1, its first block and the end of its blocks.
    axes : three float arrays
        Angular frequencies on axes 0, 1 and along a line, rad/µm; the last is padded to whole blocks.
    """

    shape: tuple[int, int, int]
    mask: Bools | None
    order: tuple[int, int, int]
    sort: Ints
    numbers: Ints
    axes: tuple[Floats, Floats, Floats]

    @property
    def length(self) -> int:
        """Number of modes along a line, padded to whole blocks."""
        return len(self.axes[2])

    def permuted(self, corners: Floats) -> Floats:
        """Return coordinates (n_faces, 3, 3) with their last axis in the order of `order`."""
        return np.ascontiguousarray(corners[:, :, list(self.order)])

    def kernel_arguments(self, dtype: npt.DTypeLike) -> tuple[Array, ...]:
        """Return frequencies and `numbers` in the order of the loops' arguments.

        Frequencies are those of the three axes, those along a line in `dtype`, and the first and last of each block.
        """
        along = self.axes[2]
        ends = along[::LANES].copy(), along[LANES - 1 :: LANES].copy()
        return *self.axes, along.astype(dtype), *ends, self.numbers

    def workspace(self, count: int, dtype: npt.DTypeLike, offsets: int = 2) -> tuple[Array, ...]:
        """Return empty arrays for the phase tables of `count` faces, in the order of the loops' arguments.

        `offsets` is the number of corners that a table has relative to the centroid.
        """
        n0, n1, n2 = map(len, self.axes)
        return (
            np.empty((count, 2, 3)), np.empty((count, offsets, 3)), np.empty((count, n0, 2)), np.empty((count, n1, 2)),
            np.empty((count, 2, n2), dtype),
        )  # fmt: skip

    def to_box(self, out: Floats, complex_type: npt.DTypeLike) -> Array:
        """Return values on the lines, (n_lines, 2, length), on the band's box, complex; 0 at modes not kept."""
        shape = tuple(self.shape[d] for d in self.order)
        turned = np.zeros(shape, dtype=complex_type)
        i0, i1 = self.numbers[:, 0], self.numbers[:, 1]
        count = len(self.sort)
        turned.real[i0[:, None], i1[:, None], self.sort] = out[:, 0, :count]
        turned.imag[i0[:, None], i1[:, None], self.sort] = out[:, 1, :count]
        box = np.empty(self.shape, dtype=complex_type)
        np.transpose(box, self.order)[...] = turned
        if self.mask is not None:
            box[~self.mask] = 0
        return box

    def from_box(self, box: Array, dtype: npt.DTypeLike) -> Array:
        """Return real and imaginary parts of the box's kept modes on the lines, (n_lines, 2, length), 0 elsewhere."""
        kept = box if self.mask is None else np.where(self.mask, box, 0)
        i0, i1 = self.numbers[:, 0], self.numbers[:, 1]
        chosen = np.transpose(kept, self.order)[i0[:, None], i1[:, None], self.sort]
        out = np.zeros((len(self.numbers), 2, self.length), dtype=dtype)
        out[:, 0, : len(self.sort)] = chosen.real
        out[:, 1, : len(self.sort)] = chosen.imag
        return out


_lines_by_band: weakref.WeakKeyDictionary[Band, _Lines] = weakref.WeakKeyDictionary()


def _lines(band: Band) -> _Lines:
    """Return the lines of a band; they are kept as long as the band exists."""
    if band not in _lines_by_band:
        _lines_by_band[band] = _make_lines(band)
    return _lines_by_band[band]


def lanes(band: Band) -> int:
    """Return the number of modes that the loops compute for a face, which includes unused ones in whole blocks."""
    numbers = _lines(band).numbers
    return LANES * int((numbers[:, 3] - numbers[:, 2]).sum())


def _make_lines(band: Band) -> _Lines:
    """Arrange the kept modes of a band as lines along the axis that leaves the fewest places of a block unused."""
    last = min(range(3), key=lambda d: (-(-band.shape[d] // LANES) * LANES / band.shape[d], d != 1))
    first_axis, second_axis = (d for d in range(3) if d != last)
    order = (first_axis, second_axis, last)
    axes = [a.ravel() for a in band.axes]
    sort = np.argsort(axes[last], kind="stable")
    along = axes[last][sort]
    along = np.concatenate([along, np.full(-len(along) % LANES, along[-1])])
    mask = np.ones(band.shape, dtype=bool) if band.mask is None else band.mask
    kept = np.transpose(mask, order)[:, :, sort]
    numbers = np.argwhere(kept.any(axis=2))
    rows = kept[numbers[:, 0], numbers[:, 1]]
    first, stop = rows.argmax(axis=1), rows.shape[1] - rows[:, ::-1].argmax(axis=1)
    numbers = np.column_stack([numbers, first // LANES, -(-stop // LANES)]).astype(np.int64)
    return _Lines(
        band.shape, band.mask, order, sort, np.ascontiguousarray(numbers), (axes[order[0]], axes[order[1]], along)
    )
