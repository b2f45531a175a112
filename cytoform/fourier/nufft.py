"""The transform of a triangle mesh through Gauss points and a non-uniform FFT.

The surface becomes weighted points (:mod:`.quadrature`); finufft's type 1 gives all modes of the band's box at once,
its type 2 the exact adjoint of that. Ref: Barnett, Magland, af Klinteberg, SIAM J. Sci. Comput. 41 (2019) C479.
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
from .scale import largest

__all__ = ["Faces", "Points", "accuracy", "gauss_points", "upsampling"]


# Parts of the tolerance. A surface's spectrum falls with frequency, and the relative error over the whole band has to
# keep the tolerance too, so each part of the error is held well below it.
SHARES = (0.3, 0.1)  # of the points and of finufft
# Where high modes count less, so does finufft's error, most of which lies there.
WEIGHTED_SHARES = (0.5, 1.0)
# Below these finufft's kernels lose their digits (and it says so on stderr).
SMALLEST_SINGLE, SMALLEST_DOUBLE = 2e-6, 1e-14
# The smaller upsampling of finufft's grid, and the least tolerances for it: its kernels are wide, those of single
# precision lose digits below.
LOW_UPSAMPLING = 1.25
LOW_UPSAMPLING_TOLERANCE = {"complex64": 1.5e-5, "complex128": 1e-6}
# finufft's single precision loses about this times the number of modes on the longest axis.
SINGLE_ROUNDING = 1.2e-7
# Up to so many points are spread by one thread, in one order: more save little, and their sums differ from run to
# run. All else, the adjoint and FFTs among it, gives the same bits on every run with as many threads.
ORDERED = 80_000


@dataclasses.dataclass(frozen=True, eq=False)
class Points:
    """Which rule every face has, and where its points lie among all.

    rules (n_faces,) numbers of the rules below; offsets (n_faces + 1,) of the faces' points; the rules one after
    another: starts (n_rules + 1,), barycentric (n, 3), weights (n,).
    """

    rules: Ints
    offsets: Ints
    starts: Ints
    barycentric: Floats
    weights: Floats

    def __len__(self) -> int:
        return int(self.offsets[-1])


def gauss_points(corners: Floats, band: Band, tolerance: float, shells: quadrature.Shells | None = None) -> Points:
    """Rules for faces, chosen so that no face errs by more than `tolerance` times its area at any mode.

    With `shells` errors count as much as the modes do.
    """
    edges = np.roll(corners, -1, axis=1) - corners
    if shells is None:
        index, pieces = quadrature.rules_for(band.support(edges).max(axis=1), tolerance)
    else:
        index, pieces = quadrature.rules_for(band.reach(edges).max(axis=1), tolerance, shells)
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
    """Faces on a band, for their transform and its adjoint.

    Parameters
    ----------
    corners, strengths, band, dtype
        As for :class:`cytoform.fourier.exact.Faces`.
    tolerance : float
        Error allowed, relative to the mesh's total mass mode by mode and to the spectrum in the L2 norm.
    shells : Shells, optional
        How much modes count: the tolerance then holds for the spectrum times these weights.
    deterministic : bool
        One thread in finufft, so that sums have one order however many points there are.
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
        for_points, self._eps, self._complex = accuracy(dtype, tolerance, band, shells)
        self.points = gauss_points(corners, band, for_points, shells)
        self._threads = 1 if deterministic else devices.threads()
        self._places = np.empty((3, len(self.points)), dtype=np.empty(0, self._complex).real.dtype)
        self._sources = np.empty(len(self.points), dtype=self._complex)
        p = self.points
        with devices.parallel_loops("points") as loops:
            loops.scatter(
                corners, strengths, 1.0 / np.asarray(band.grid.extent), float(self._shift), p.rules, p.starts,
                p.barycentric, p.weights, p.offsets, self._places, self._sources,
            )  # fmt: skip

    @property
    def _shift(self) -> int:
        """finufft centres its modes; along x the band starts at mode 0."""
        return self.band.shape[2] // 2

    def _plan(self, kind: int, transforms: int) -> Any:
        devices.check_fork()
        few = kind == 1 and len(self.points) <= ORDERED
        plan = _plan(kind, self.band.shape, transforms, self._eps, self._complex, 1 if few else self._threads)
        plan.setpts(*self._places)
        return plan

    def forward(self) -> Array:
        """Transform on the band's box, complex64 or complex128."""
        box = np.fft.ifftshift(self._plan(1, 1).execute(self._sources), axes=(0, 1))
        box = box.astype(np.result_type(self.dtype, np.complex64), copy=False)
        if self.band.mask is not None:
            box[~self.band.mask] = 0
        return box

    def adjoint(self, cotangent: Array) -> tuple[Floats, Floats]:
        """Adjoint of :meth:`forward`; results as :meth:`cytoform.fourier.exact.Faces.adjoint`."""
        band, p = self.band, self.points
        stack = np.empty((4, *band.shape), dtype=self._complex)
        # the largest is 1, whatever the unit of a loss: nothing over- or underflows in single precision
        size = largest(cotangent.ravel()[band.index])
        stack[0] = np.fft.fftshift(np.conj(cotangent) / size, axes=(0, 1))
        stack[0] *= band.weights.astype(stack.real.dtype)
        if band.mask is not None:
            stack[0][~np.fft.fftshift(band.mask, axes=(0, 1))] = 0
        for d, axis in enumerate(band.axes):
            np.multiply(stack[0], np.fft.fftshift(-1j * axis, axes=(0, 1)).astype(self._complex), out=stack[d + 1])
        fields = self._plan(2, 4).execute(stack)
        values, moves = np.empty(len(p.rules)), np.empty((len(p.rules), 3, 3))
        with devices.parallel_loops("points") as loops:
            loops.gather(
                fields, self._places, float(self._shift), p.rules, p.starts, p.barycentric, p.weights, p.offsets,
                values, moves,
            )  # fmt: skip
        values *= size
        moves *= size
        return values, moves


def accuracy(
    dtype: npt.DTypeLike, tolerance: float, band: Band, shells: quadrature.Shells | None
) -> tuple[float, float, Any]:
    """What the points may err by, finufft's tolerance and its precision: single where that can keep it, else double."""
    for_points, for_nufft = (tolerance * share for share in (SHARES if shells is None else WEIGHTED_SHARES))
    if np.dtype(dtype) == np.float32 and for_nufft >= max(SINGLE_ROUNDING * 4 * max(band.shape), SMALLEST_SINGLE):
        return for_points, for_nufft, np.complex64
    return for_points, max(for_nufft, SMALLEST_DOUBLE), np.complex128


def upsampling(eps: float, complex_type: Any) -> float:
    """Of finufft's grid: less costs wider kernels and saves FFTs, which is quicker for points and modes of a mesh."""
    return LOW_UPSAMPLING if eps >= LOW_UPSAMPLING_TOLERANCE[np.dtype(complex_type).name] else 2.0


_plans = threading.local()


def _plan(
    kind: int, modes: tuple[int, int, int], transforms: int, eps: float, complex_type: Any, n_threads: int
) -> Any:
    """A finufft plan, kept for the next call of the same shape (a few for each thread)."""
    if not hasattr(_plans, "get"):
        _plans.get = functools.lru_cache(maxsize=8)(_make_plan)
    return _plans.get(kind, modes, transforms, eps, np.dtype(complex_type).name, n_threads)


def _make_plan(kind, modes, transforms, eps, type_name, n_threads):
    import finufft

    return finufft.Plan(
        kind, modes, n_trans=transforms, eps=eps, isign=-1, dtype=type_name, nthreads=n_threads,
        upsampfac=upsampling(eps, type_name),
    )  # fmt: skip
