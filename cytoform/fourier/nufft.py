"""The transform of a triangle mesh through Gauss points and a non-uniform FFT.

The surface becomes weighted points (:mod:`.quadrature`); finufft's type 1 gives all modes of the band's box at once,
its type 2 the exact adjoint of that. Ref: Barnett, Magland, af Klinteberg, SIAM J. Sci. Comput. 41 (2019) C479.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import backend
from ..image.band import Band
from . import quadrature

__all__ = ["adjoint", "forward", "gauss_points"]

Floats = npt.NDArray[np.float64]

# Parts of the tolerance. A surface's spectrum falls with frequency, and the relative error over the whole band has to
# keep the tolerance too, so each part of the error is held well below it.
QUADRATURE_SHARE = 0.3
NUFFT_SHARE = 0.1
SMALLEST_NUFFT_TOLERANCE = 1e-14
# finufft's single precision loses about this times the number of modes on the longest axis.
SINGLE_ROUNDING = 1.2e-7


@dataclasses.dataclass(frozen=True)
class _Group:
    faces: npt.NDArray[np.int64]
    points: Floats  # (q, 3) barycentric
    weights: Floats  # (q,)
    start: int

    @property
    def stop(self) -> int:
        return self.start + len(self.faces) * len(self.weights)


def gauss_points(corners: Floats, band: Band, tolerance: float) -> list[_Group]:
    """Faces in groups that share a rule, chosen so that no face errs by more than `tolerance` times its area."""
    edges = np.roll(corners, -1, axis=1) - corners
    spreads = band.support(edges).max(axis=1)
    orders, pieces = quadrature.orders_for(spreads, tolerance)
    groups, start = [], 0
    for order, count in np.unique(np.stack([orders, pieces], axis=1), axis=0):
        faces = np.flatnonzero((orders == order) & (pieces == count))
        points, weights = quadrature.composite(int(order), int(count))
        groups.append(_Group(faces, points, weights, start))
        start = groups[-1].stop
    return groups


def forward(
    corners: Floats,
    strengths: Floats,
    band: Band,
    *,
    dtype: npt.DTypeLike = np.float64,
    tolerance: float | None = None,
    device: str = "cpu",
    deterministic: bool = False,
) -> npt.NDArray:
    """Transform of triangles on a band; parameters as :func:`cytoform.fourier.exact.forward`.

    tolerance : float
        Error allowed, relative to the mesh's total mass mode by mode and to the spectrum in the L2 norm.
    deterministic : bool
        One thread, so that sums have one order.
    """
    tolerance = _default_tolerance(dtype) if tolerance is None else tolerance
    groups = gauss_points(corners, band, tolerance * QUADRATURE_SHARE)
    positions = _angles(_positions(corners, groups), band)
    masses = np.empty(len(positions[0]))
    for g in groups:
        masses[g.start : g.stop] = (0.5 * strengths[g.faces, None] * g.weights).ravel()
    complex_type = _precision(dtype, tolerance, band)
    plan = _plan(1, band.shape, 1, _nufft_tolerance(tolerance, complex_type), complex_type, _threads(deterministic))
    plan.setpts(*_as_real(positions, complex_type))
    sources = masses * np.exp(-1j * _shift(band) * positions[2])
    box = plan.execute(np.ascontiguousarray(sources, dtype=complex_type))
    box = np.fft.ifftshift(box, axes=(0, 1)).astype(np.result_type(dtype, np.complex64), copy=False)
    return box if band.mask is None else np.where(band.mask, box, box.dtype.type(0))


def adjoint(
    corners: Floats,
    strengths: Floats,
    band: Band,
    cotangent: npt.NDArray,
    *,
    dtype: npt.DTypeLike = np.float64,
    tolerance: float | None = None,
    device: str = "cpu",
    deterministic: bool = False,
) -> tuple[Floats, Floats]:
    """Adjoint of :func:`forward`; results as :func:`cytoform.fourier.exact.adjoint`."""
    tolerance = _default_tolerance(dtype) if tolerance is None else tolerance
    groups = gauss_points(corners, band, tolerance * QUADRATURE_SHARE)
    positions = _angles(_positions(corners, groups), band)
    complex_type = _precision(dtype, tolerance, band)
    fields = _fields(positions, band, cotangent, tolerance, complex_type, deterministic)
    values, moves = np.empty(len(corners)), np.empty((len(corners), 3, 3))
    for g in groups:
        part = fields[:, g.start : g.stop].reshape(4, len(g.faces), len(g.weights))
        values[g.faces] = 0.5 * (part[0] @ g.weights)
        weighted = 0.5 * g.points * g.weights[:, None]
        moves[g.faces] = np.einsum("dfq,qp->fpd", part[1:], weighted, optimize=True)
    return values, moves


def _fields(positions, band: Band, cotangent, tolerance: float, complex_type, deterministic: bool) -> Floats:
    """Re Σ w conj(c) exp(-i x·ξ) and its gradient at the points, (4, n_points)."""
    kept = cotangent if band.mask is None else np.where(band.mask, cotangent, 0)
    conjugate = np.conj(kept) * band.weights
    stack = np.empty((4, *band.shape), dtype=complex_type)
    stack[0] = conjugate
    for d, axis in enumerate(band.axes):
        stack[d + 1] = (-1j * axis) * conjugate
    stack = np.ascontiguousarray(np.fft.fftshift(stack, axes=(1, 2)))
    plan = _plan(2, band.shape, 4, _nufft_tolerance(tolerance, complex_type), complex_type, _threads(deterministic))
    plan.setpts(*_as_real(positions, complex_type))
    out = plan.execute(stack)
    turn = np.exp(-1j * _shift(band) * positions[2])
    return np.ascontiguousarray((out * turn).real, dtype=np.float64)


def _positions(corners: Floats, groups: list[_Group]) -> Floats:
    positions = np.empty((groups[-1].stop, 3))
    for g in groups:
        positions[g.start : g.stop] = np.einsum("qp,fpd->fqd", g.points, corners[g.faces], optimize=True).reshape(-1, 3)
    return positions


def _angles(positions: Floats, band: Band) -> list[Floats]:
    """Positions as angles in [-π, π) of the periodic box, formed in float64."""
    turns = positions / np.asarray(band.grid.extent)
    turns -= np.floor(turns + 0.5)
    return [np.ascontiguousarray(2.0 * math.pi * turns[:, d]) for d in range(3)]


def _as_real(positions: list[Floats], complex_type: Any) -> list[npt.NDArray]:
    real = np.float32 if complex_type == np.complex64 else np.float64
    return [p.astype(real, copy=False) for p in positions]


def _shift(band: Band) -> int:
    """finufft centres its modes; along x the band starts at mode 0."""
    return band.shape[2] // 2


def _default_tolerance(dtype: npt.DTypeLike) -> float:
    return 1e-5 if np.dtype(dtype) == np.float32 else 1e-8


def _nufft_tolerance(tolerance: float, complex_type: Any) -> float:
    smallest = 1e-6 if complex_type == np.complex64 else SMALLEST_NUFFT_TOLERANCE
    return max(tolerance * NUFFT_SHARE, smallest)


def _precision(dtype: npt.DTypeLike, tolerance: float, band: Band) -> Any:
    """Single precision where it can keep the tolerance, else double."""
    single = np.dtype(dtype) == np.float32 and tolerance * NUFFT_SHARE >= SINGLE_ROUNDING * 4 * max(band.shape)
    return np.complex64 if single else np.complex128


def _threads(deterministic: bool) -> int:
    return 1 if deterministic else backend.threads()


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

    return finufft.Plan(kind, modes, n_trans=transforms, eps=eps, isign=-1, dtype=type_name, nthreads=n_threads)
