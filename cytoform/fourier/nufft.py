"""The Fourier transform of a triangle mesh through quadrature points and a non-uniform FFT.

The surface becomes weighted points (:mod:`.quadrature`); finufft's type 1 transform gives all modes of the band's box
at once, its type 2 the exact adjoint. Ref: Barnett, Magland, af Klinteberg, SIAM J. Sci. Comput. 41 (2019) C479.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import devices
from .._typing import Array, Floats, Ints
from ..image.band import Band
from . import quadrature
from .filled import Filling, inverse_squares
from .scale import largest_modulus

__all__ = ["Faces", "FilledFaces", "Points", "Simplices", "gauss_points", "split_tolerance", "upsampling_factor"]


# Parts of the tolerance. A surface's spectrum falls with frequency, and the relative error over the whole band has to
# keep the tolerance too, so each part of the error is held well below it.
SHARES = (0.3, 0.1)  # of the quadrature and of finufft
# The same with weights: most of finufft's error lies at high modes, which then have small weights.
WEIGHTED_SHARES = (0.5, 1.0)
# Least tolerances of finufft in single and double precision: below, its kernels lose digits (and it warns on stderr).
SMALLEST_SINGLE, SMALLEST_DOUBLE = 2e-6, 1e-14
# The smaller upsampling factor of finufft's grid, and the least tolerances for it: its kernels are wide, and those of
# single precision lose digits below.
LOW_UPSAMPLING = 1.25
LOW_UPSAMPLING_TOLERANCE = {"complex64": 1.5e-5, "complex128": 1e-6}
# Relative error of finufft's single precision, per mode on the longest axis.
SINGLE_ROUNDING = 1.2e-7
# Up to this number of points are spread by one thread, in one order: several threads would save little time, and their
# sums differ from run to run. Everything else (adjoint, FFTs) gives the same bits on every run with as many threads.
ORDERED = 80_000
# Error of finufft at the lowest modes as a part of its tolerance, where the sums over a closed surface nearly cancel:
# measured over bodies from the box's size down to a tenth of a voxel (tests/fourier/test_filled.py).
LOW_MODE_ERROR = 0.6
# Radius in the band, relative to its border, at which errors of the rules, weighted with the optics, are largest.
HALFWAY = 0.5
# From this number of points on several threads save more time than they take to meet.
SHARED_POINTS = 20_000


@dataclasses.dataclass(frozen=True, eq=False)
class Points:
    """Quadrature rule of every face, and where its points lie among all points.

    Parameters
    ----------
    rules : (n_faces,) int
        Number of each face's rule among the rules below.
    offsets : (n_faces + 1,) int
        Index of each face's first point among all points.
    starts : (n_rules + 1,) int
        Index of each rule's first point in `barycentric` and `weights`, which hold the rules one after another.
    barycentric : (n, 3) float
        Barycentric coordinates of the rules' points.
    weights : (n,) float
        Weights of the rules' points; those of a rule sum to 1.
    """

    rules: Ints
    offsets: Ints
    starts: Ints
    barycentric: Floats
    weights: Floats

    def __len__(self) -> int:
        return int(self.offsets[-1])


def gauss_points(corners: Floats, band: Band, tolerance: float, shells: quadrature.Shells | None = None) -> Points:
    """Choose a quadrature rule for every face so that no face errs by more than `tolerance` times its area at any mode.

    Parameters
    ----------
    corners : (n_faces, 3 corners, 3 axes) float64
        Corners of the faces, µm, (z, y, x).
    band : Band
        Modes that are computed.
    tolerance : float
        Error allowed for a unit of area.
    shells : Shells, optional
        Weights by which the errors of the modes are multiplied; 1 by default.

    Returns
    -------
    Points
        The rules.
    """
    if corners.shape[1] != 3:
        return _gauss_points(corners, band, tolerance, shells)
    edges = np.roll(corners, -1, axis=1) - corners
    if shells is None:
        index, pieces = quadrature.rules_for(band.max_phase(edges).max(axis=1), tolerance)
    else:
        index, pieces = quadrature.rules_for(band.phase_bound(edges).max(axis=1), tolerance, shells)
    key = index * (int(pieces.max(initial=1)) + 1) + pieces
    found, first, rules = np.unique(key, return_index=True, return_inverse=True)
    tables = [quadrature.composite(int(index[k]), int(pieces[k])) for k in first]
    sizes = np.array([len(weights) for _, weights in tables])
    return Points(
        rules.astype(np.int64),
        np.concatenate([[0], np.cumsum(sizes[rules])]),
        np.concatenate([[0], np.cumsum(sizes)]),
        np.concatenate([points for points, _ in tables]),
        np.concatenate([weights for _, weights in tables]),
    )


def _gauss_points(corners: Floats, band: Band, tolerance: float, shells: quadrature.Shells | None) -> Points:
    """Choose a rule for every simplex (n, k + 1 corners, 3), as :func:`gauss_points` does, from products of Gauss's."""
    order = corners.shape[1] - 1
    pairs = list(itertools.combinations(range(order + 1), 2))
    edges = np.stack([corners[:, i] - corners[:, j] for i, j in pairs], axis=1) if pairs else np.zeros_like(corners)
    spreads = (band.max_phase(edges) if shells is None else band.phase_bound(edges)).max(axis=1)
    chosen = np.stack(quadrature.gauss_rules_for(order, spreads, tolerance, shells or quadrature.Shells()), axis=1)
    found, rules = np.unique(chosen, axis=0, return_inverse=True)
    tables = [quadrature.gauss_composite(order, int(count), int(pieces)) for count, pieces in found]
    rules = rules.reshape(-1)
    sizes = np.array([len(weights) for _, weights in tables])
    return Points(
        rules.astype(np.int64), np.concatenate([[0], np.cumsum(sizes[rules])]),
        np.concatenate([[0], np.cumsum(sizes)]), np.concatenate([points for points, _ in tables]),
        np.concatenate([weights for _, weights in tables]),
    )  # fmt: skip


class Faces:
    """The faces of a mesh on a band, for their transform by a non-uniform FFT and its adjoint.

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
        Precision of the result.
    tolerance : float
        Error allowed, relative to the mesh's total mass mode by mode and to the spectrum in the L2 norm.
    shells : Shells, optional
        Weights of the modes: the tolerance then holds for the spectrum times these weights; 1 by default.
    deterministic : bool
        Run finufft on one thread, so that sums have one order however many points there are.
    """

    def __init__(
        self,
        corners: Floats,
        strengths: Floats,
        band: Band,
        *,
        dtype: npt.DTypeLike = np.float64,
        tolerance: float = 1e-8,
        shells: quadrature.Shells | None = None,
        deterministic: bool = False,
    ) -> None:
        self.band, self.dtype = band, np.dtype(dtype)
        for_points, self._eps, self._complex = split_tolerance(dtype, tolerance, band, shells)
        self.points = gauss_points(corners, band, for_points, shells)
        self._place(corners, strengths[None], deterministic)

    def _place(self, corners: Floats, strengths: Floats, deterministic: bool) -> None:
        """Compute the points' positions, and their strengths for sets of strengths of the faces (n_sets, n_faces)."""
        band = self.band
        self._threads = 1 if deterministic or len(self.points) < SHARED_POINTS else devices.thread_count()
        self._positions = np.empty((3, len(self.points)), dtype=np.empty(0, self._complex).real.dtype)
        self._sources = np.empty((len(strengths), len(self.points)), dtype=self._complex)
        p = self.points
        with devices.parallel_kernels("points") as loops:
            loops.scatter(
                corners, strengths, 1.0 / np.asarray(band.grid.extent), float(self._first_mode_shift), p.rules,
                p.starts, p.barycentric, p.weights, p.offsets, self._positions, self._sources,
            )  # fmt: skip

    @property
    def _first_mode_shift(self) -> int:
        """Difference of finufft's mode numbers along x, which are centred, and the band's, which begin at 0."""
        return self.band.shape[2] // 2

    def _plan(self, kind: int, transforms: int, eps: float | None = None) -> Any:
        """Return a finufft plan of type `kind` (1 or 2) for so many transforms at a time, with the points set.

        `eps` is finufft's tolerance; None for that of the points. Up to `ORDERED` points a type 1 transform runs on one
        thread, so that its sums have one order.
        """
        devices.check_fork()
        few = kind == 1 and len(self.points) <= ORDERED
        eps = self._eps if eps is None else eps
        plan = _plan(kind, self.band.shape, transforms, eps, self._complex, 1 if few else self._threads)
        plan.setpts(*self._positions)
        return plan

    def forward(self) -> Array:
        """Return the transform on the band's box, complex64 or complex128; 0 at modes that are not kept."""
        return self._in_band(self._plan(1, 1).execute(self._sources[0]))

    def _in_band(self, spectrum: Array) -> Array:
        """Return a transform by finufft on the band's box, 0 at modes that are not kept, in the result's precision."""
        box = np.fft.ifftshift(spectrum, axes=(0, 1))
        box = box.astype(np.result_type(self.dtype, np.complex64), copy=False)
        if self.band.mask is not None:
            box[~self.band.mask] = 0
        return box

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
        stack = np.empty((4, *self.band.shape), dtype=self._complex)
        size = self._fill_cotangents(stack, cotangent)
        values, moves = self._gather(self._plan(2, 4).execute(stack))
        values *= size
        moves *= size
        return values, moves

    def _fill_cotangents(self, stack: Array, cotangent: Array) -> float:
        """Fill a stack (1 or 4, band.shape) with conj(c), and its derivatives along the axes; return c's size.

        The first is divided by that size, so that the largest is 1, whatever the unit of a loss: nothing over- or
        underflows in single precision.
        """
        band = self.band
        size = largest_modulus(cotangent.ravel()[band.index])
        stack[0] = np.fft.fftshift(np.conj(cotangent) / size, axes=(0, 1))
        stack[0] *= band.weights.astype(stack.real.dtype)
        if band.mask is not None:
            stack[0][~np.fft.fftshift(band.mask, axes=(0, 1))] = 0
        for out, axis in zip(stack[1:], band.axes):
            np.multiply(stack[0], np.fft.fftshift(-1j * axis, axes=(0, 1)).astype(self._complex), out=out)
        return size

    def _gather(self, fields: Array) -> tuple[Floats, Floats]:
        """Return values and moves of :meth:`adjoint` from the four fields at the points."""
        p = self.points
        values, moves = np.empty(len(p.rules)), np.empty((len(p.rules), p.barycentric.shape[1], 3))
        with devices.parallel_kernels("points") as loops:
            loops.gather(
                fields, self._positions, float(self._first_mode_shift), p.rules, p.starts, p.barycentric, p.weights,
                p.offsets, values, moves,
            )  # fmt: skip
        return values, moves


class Simplices(Faces):
    """Points, segments or tetrahedra on a band, for their transform by a non-uniform FFT and its adjoint.

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
        Precision of the result.
    tolerance : float
        Error allowed, as for :class:`Faces`.
    shells : Shells, optional
        Weights of the modes, as for :class:`Faces`.
    deterministic : bool
        Run finufft on one thread, so that sums have one order however many points there are.
    """

    def __init__(
        self,
        corners: Floats,
        strengths: Floats,
        band: Band,
        *,
        dtype: npt.DTypeLike = np.float64,
        tolerance: float = 1e-8,
        shells: quadrature.Shells | None = None,
        deterministic: bool = False,
    ) -> None:
        self._per_half = 2.0 / math.factorial(corners.shape[1] - 1)  # the loops are a triangle's, of 1 / 2!
        super().__init__(
            corners, self._per_half * strengths, band, dtype=dtype, tolerance=tolerance, shells=shells,
            deterministic=deterministic,
        )  # fmt: skip

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
        values, moves = super().adjoint(cotangent)
        return self._per_half * values, self._per_half * moves


class FilledFaces(Faces):
    """The faces of a mesh and the bodies that they bound, on a band, for both transforms by a non-uniform FFT.

    The density and the three components of jump · normal are four weights at the same points: one batched transform.
    The bodies' part is divided by |ξ|, which enlarges errors at low modes; the tolerance is made smaller by as much.

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
        Precision of the result.
    tolerance : float
        Error allowed, relative to the total mass of each part mode by mode and to its spectrum in the L2 norm.
    shells : Shells, optional
        Weights of the modes, as for :class:`Faces`.
    deterministic : bool
        Run finufft on one thread, so that sums have one order however many points there are.
    """

    def __init__(
        self,
        corners: Floats,
        strengths: Floats,
        filling: Filling,
        band: Band,
        *,
        dtype: npt.DTypeLike = np.float64,
        tolerance: float = 1e-8,
        shells: quadrature.Shells | None = None,
        deterministic: bool = False,
    ) -> None:
        self.band, self.dtype, self.filling = band, np.dtype(dtype), filling
        self.has_shell = bool(strengths.any())
        for_points, self._eps, self._complex = split_filled_tolerance(dtype, tolerance, band, shells, filling)
        # the image at the points, for all but the jump, is not divided by |ξ|
        self._image_eps = max(self._eps, split_tolerance(dtype, tolerance, band, shells)[1])
        self.points = gauss_points(corners, band, for_points, shells)
        fluxes = filling.fluxes.T
        self._place(corners, np.concatenate([strengths[None], fluxes]) if self.has_shell else fluxes, deterministic)

    def forward(self) -> tuple[Array | None, Array]:  # type: ignore[override]  # two parts
        """Return the transforms of membranes and of bodies on the band's box; 0 at modes that are not kept.

        They are complex64 or complex128. The first is None where no face has a density.
        """
        band = self.band
        spectra = self._plan(1, len(self._sources)).execute(self._sources)
        body = self._in_band(sum(v * np.fft.fftshift(a, axes=(0, 1)).astype(v.real.dtype)
                                 for v, a in zip(spectra[-3:], band.axes)))  # fmt: skip
        body *= (1j * inverse_squares(band)).astype(body.dtype)
        if band.mask is None or band.mask[0, 0, 0]:
            body[0, 0, 0] = self.filling.mass
        return self._in_band(spectra[0]) if self.has_shell else None, body

    def adjoint(  # type: ignore[override]  # four parts
        self, cotangent: Array, *, of_jump: bool = True
    ) -> tuple[Floats, Floats, Floats, Floats | None]:
        """Return the gradients of Re Σ conj(c) û over the full spectrum for what each face adds to either transform.

        Parameters
        ----------
        cotangent : (band.shape) complex
            Cotangent c on the band's box.
        of_jump : bool
            Compute the derivative for the jump, which takes three more transforms; on by default.

        Returns
        -------
        values : (n_faces,) float64
            Σ w_k Re conj(c_k) G_k, with w_k the modes of the full spectrum that mode k stands for.
        moves : (n_faces, 3 corners, 3 axes) float64
            Σ w_k Re conj(c_k) ∂G_k/∂corner, per µm; 0 where no face has a density.
        corner_values : (n_faces, 3 corners) float64
            Mean over the face of its corner's linear hat function times Σ w_k Re conj(c_k) exp(-i x·ξ_k), halved.
        by_jump : (n_faces,) float64 or None
            Derivative of the bodies' part for the face's jump; None unless asked for.
        """
        band, p, own = self.band, self.points, 4 if self.has_shell else 1
        stack = np.empty((own + (3 if of_jump else 0), *band.shape), dtype=self._complex)
        size = self._fill_cotangents(stack[:own], cotangent)
        if of_jump:
            over = np.fft.fftshift(1j * inverse_squares(band), axes=(0, 1))
            for out, axis in zip(stack[own:], band.axes):
                np.multiply(stack[0], (over * np.fft.fftshift(axis, axes=(0, 1))).astype(self._complex), out=out)
        fields = self._plan(2, len(stack), None if of_jump else self._image_eps).execute(stack)
        fields = fields.reshape(len(stack), -1)
        corner_values = np.empty((len(p.rules), 3))
        with devices.parallel_kernels("points") as loops:
            loops.gather_at_corners(
                fields[0], self._positions, float(self._first_mode_shift), p.rules, p.starts, p.barycentric, p.weights,
                p.offsets, corner_values,
            )  # fmt: skip
        if self.has_shell:
            values, moves = self._gather(fields[:4])
        else:
            values, moves = corner_values.sum(axis=1), np.zeros((len(p.rules), 3, 3))
        by_jump = self._by_jump(fields[own:], stack[own:], cotangent, size) if of_jump else None
        return values * size, moves * size, corner_values * size, by_jump

    def _by_jump(self, fields: Array, stack: Array, cotangent: Array, size: float) -> Floats:
        """Return the derivative for the jumps from the three fields at the points, and on the modes, less 1 amid them.

        A field that is the same everywhere does not count, as the faces close: its value at the bodies' centre is taken
        off, as the closed formula does.
        """
        p, band, normals = self.points, self.band, self.filling.normals
        sums = np.empty((3, len(p.rules)))
        with devices.parallel_kernels("points") as loops:
            loops.gather_sums(
                fields, self._positions, float(self._first_mode_shift), p.rules, p.starts, p.weights, p.offsets, sums
            )
        phase = np.fft.fftshift(band.phase(self.filling.centre), axes=(0, 1))
        amid = np.array([(a * phase).sum().real for a in stack])
        at_zero = float(cotangent[0, 0, 0].real) if band.mask is None or band.mask[0, 0, 0] else 0.0
        by_flux: Floats = size * np.einsum("fd,df->f", normals, sums - 0.5 * amid[:, None])
        return by_flux + at_zero * self.filling.cones


def split_tolerance(
    dtype: npt.DTypeLike, tolerance: float, band: Band, shells: quadrature.Shells | None
) -> tuple[float, float, Any]:
    """Split a tolerance into that of the quadrature and that of finufft, and choose finufft's precision.

    Parameters
    ----------
    dtype : float32 or float64
        Precision of the result.
    tolerance : float
        Relative error allowed to the whole transform.
    band : Band
        Modes that are computed.
    shells : Shells or None
        Weights of the modes; with them larger parts of the tolerance are used.

    Returns
    -------
    for_points : float
        Tolerance of the quadrature.
    for_nufft : float
        Tolerance of finufft, at least 1e-14.
    complex_type : type
        complex64 where `dtype` is float32 and single precision can keep the tolerance on so many modes, else
        complex128.
    """
    for_points, for_nufft = (tolerance * share for share in (SHARES if shells is None else WEIGHTED_SHARES))
    if np.dtype(dtype) == np.float32 and for_nufft >= max(SINGLE_ROUNDING * 4 * max(band.shape), SMALLEST_SINGLE):
        return for_points, for_nufft, np.complex64
    return for_points, max(for_nufft, SMALLEST_DOUBLE), np.complex128


def split_filled_tolerance(
    dtype: npt.DTypeLike, tolerance: float, band: Band, shells: quadrature.Shells | None, filling: Filling
) -> tuple[float, float, Any]:
    """Split a tolerance as :func:`split_tolerance` does, for filled bodies.

    Parameters
    ----------
    dtype : float32 or float64
        Precision of the result.
    tolerance : float
        Relative error allowed to the whole transform.
    band : Band
        Modes that are computed.
    shells : Shells or None
        Weights of the modes; with them larger parts of the tolerance are used.
    filling : Filling
        The bodies: with their depth d, an error ε of the sums over points is one of ε / (|ξ| d) of the bodies' part.

    Returns
    -------
    for_points : float
        Tolerance of the quadrature.
    for_nufft : float
        Tolerance of finufft, at least 1e-14.
    complex_type : type
        complex64 or complex128.
    """
    lowest = 2.0 * np.pi / max(band.grid.extent)
    highest = float(band.limits.max())
    for_points = tolerance * _part_below_one(HALFWAY * highest * filling.depth)
    for_nufft = tolerance * _part_below_one(lowest * filling.depth / LOW_MODE_ERROR)
    for_points = split_tolerance(dtype, for_points, band, shells)[0]
    return for_points, *split_tolerance(dtype, for_nufft, band, shells)[1:]


def _part_below_one(part: float) -> float:
    """Return 1 or one of 0.5, 0.2, 0.1, 0.05 and so on that is at most `part`: few values, for which plans are kept."""
    if part >= 1.0:
        return 1.0
    decade = 10.0 ** math.floor(math.log10(max(part, 1e-12)))
    return decade * max((step for step in (1.0, 2.0, 5.0) if step * decade <= part), default=1.0)


def upsampling_factor(eps: float, complex_type: Any) -> float:
    """Return finufft's upsampling factor: 1.25 where the tolerance `eps` allows it, else 2.

    The smaller one needs wider spreading kernels and smaller FFTs, which is quicker for the points and modes of a mesh.
    """
    return LOW_UPSAMPLING if eps >= LOW_UPSAMPLING_TOLERANCE[np.dtype(complex_type).name] else 2.0


_plans = threading.local()


def _plan(
    kind: int, modes: tuple[int, int, int], transforms: int, eps: float, complex_type: Any, n_threads: int
) -> Any:
    """Return a finufft plan, kept for the next call with the same arguments (eight plans per thread).

    Parameters
    ----------
    kind : 1 or 2
        finufft's type of the transform.
    modes : (3,) int
        Numbers of modes.
    transforms : int
        Transforms at a time.
    eps : float
        Tolerance of finufft.
    complex_type : complex64 or complex128
        Precision.
    n_threads : int
        Threads that finufft uses.
    """
    if not hasattr(_plans, "get"):
        _plans.get = functools.lru_cache(maxsize=8)(_make_plan)
    return _plans.get(kind, modes, transforms, eps, np.dtype(complex_type).name, n_threads)


def _make_plan(
    kind: int, modes: tuple[int, int, int], transforms: int, eps: float, type_name: str, n_threads: int
) -> Any:
    """Make a finufft plan with exp(-i …) as its kernel; arguments as for :func:`_plan`, the precision by its name."""
    import finufft

    return finufft.Plan(
        kind, modes, n_trans=transforms, eps=eps, isign=-1, dtype=type_name, nthreads=n_threads,
        upsampfac=upsampling_factor(eps, type_name),
    )  # fmt: skip
