"""The Fourier transform of a triangle mesh through quadrature points and a non-uniform FFT.

The surface becomes weighted points (:mod:`.quadrature`); finufft's type 1 transform gives all modes of the band's box
at once, its type 2 the exact adjoint. Ref: Barnett, Magland, af Klinteberg, SIAM J. Sci. Comput. 41 (2019) C479.
"""

from __future__ import annotations

import dataclasses
import functools
import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import devices
from .._typing import Array, Floats, Ints
from ..image.band import Band
from . import quadrature
from .scale import largest_modulus

__all__ = ["Faces", "Points", "gauss_points", "split_tolerance", "upsampling_factor"]


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
        self._threads = 1 if deterministic or len(self.points) < SHARED_POINTS else devices.thread_count()
        self._positions = np.empty((3, len(self.points)), dtype=np.empty(0, self._complex).real.dtype)
        self._sources = np.empty(len(self.points), dtype=self._complex)
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

    def _plan(self, kind: int, transforms: int) -> Any:
        """Return a finufft plan of type `kind` (1 or 2) for so many transforms at a time, with the points set.

        Up to `ORDERED` points a type 1 transform runs on one thread, so that its sums have one order.
        """
        devices.check_fork()
        few = kind == 1 and len(self.points) <= ORDERED
        plan = _plan(kind, self.band.shape, transforms, self._eps, self._complex, 1 if few else self._threads)
        plan.setpts(*self._positions)
        return plan

    def forward(self) -> Array:
        """Return the transform on the band's box, complex64 or complex128; 0 at modes that are not kept."""
        box = np.fft.ifftshift(self._plan(1, 1).execute(self._sources), axes=(0, 1))
        box = box.astype(np.result_type(self.dtype, np.complex64), copy=False)
        if self.band.mask is not None:
            box[~self.band.mask] = 0
        return box

    def forward_each(self, strengths: Floats) -> Array:
        """Return the transforms for other strengths of the faces, (m, n_faces), on boxes (m, z, y, x), complex."""
        p = self.points
        sources = np.empty((len(strengths), len(p)), dtype=self._complex)
        with devices.parallel_kernels("points") as loops:
            loops.scatter_strengths(
                strengths, self._positions, float(self._first_mode_shift), p.rules, p.starts, p.weights, p.offsets,
                sources,
            )  # fmt: skip
        found = self._plan(1, len(strengths)).execute(sources).reshape(len(strengths), *self.band.shape)
        boxes = np.fft.ifftshift(found, axes=(1, 2))
        if self.band.mask is not None:
            boxes[:, ~self.band.mask] = 0
        return boxes

    def values_each(self, cotangents: Array) -> tuple[Floats, Floats]:
        """Return sums of several adjoint fields over the faces, of the first one also with the weights of the corners.

        Parameters
        ----------
        cotangents : (m, z, y, x) complex
            Cotangents c on the band's box.

        Returns
        -------
        values : (m, n_faces) float64
            Σ w_k Re conj(c_k) G_k for each cotangent, as :meth:`adjoint` gives them.
        corner_values : (n_faces, 3 corners) float64
            The same for the first one, with the corner's barycentric coordinate as a factor in the integral of G.
        """
        band, p = self.band, self.points
        size = largest_modulus(cotangents.reshape(len(cotangents), -1)[:, band.index].ravel())
        stack = np.fft.fftshift(np.conj(cotangents) / size, axes=(1, 2)).astype(self._complex)
        stack *= band.weights.astype(stack.real.dtype)
        if band.mask is not None:
            stack[:, ~np.fft.fftshift(band.mask, axes=(0, 1))] = 0
        fields = self._plan(2, len(stack)).execute(stack if len(stack) > 1 else stack[0]).reshape(len(stack), -1)
        values, corner_values = np.empty((len(stack), len(p.rules))), np.empty((len(p.rules), 3))
        with devices.parallel_kernels("points") as loops:
            loops.gather_values(
                fields, self._positions, float(self._first_mode_shift), p.rules, p.starts, p.barycentric, p.weights,
                p.offsets, values, corner_values,
            )  # fmt: skip
        return size * values, size * corner_values

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
        band, p = self.band, self.points
        stack = np.empty((4, *band.shape), dtype=self._complex)
        # the largest is 1, whatever the unit of a loss: nothing over- or underflows in single precision
        size = largest_modulus(cotangent.ravel()[band.index])
        stack[0] = np.fft.fftshift(np.conj(cotangent) / size, axes=(0, 1))
        stack[0] *= band.weights.astype(stack.real.dtype)
        if band.mask is not None:
            stack[0][~np.fft.fftshift(band.mask, axes=(0, 1))] = 0
        for d, axis in enumerate(band.axes):
            np.multiply(stack[0], np.fft.fftshift(-1j * axis, axes=(0, 1)).astype(self._complex), out=stack[d + 1])
        fields = self._plan(2, 4).execute(stack)
        values, moves = np.empty(len(p.rules)), np.empty((len(p.rules), 3, 3))
        with devices.parallel_kernels("points") as loops:
            loops.gather(
                fields, self._positions, float(self._first_mode_shift), p.rules, p.starts, p.barycentric, p.weights,
                p.offsets, values, moves,
            )  # fmt: skip
        values *= size
        moves *= size
        return values, moves


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
