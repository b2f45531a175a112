"""Model of the time that value and gradient of a transform take on the CPU, by which the quicker back end is chosen.

Times are sums of a few kinds of work, each times a constant; ``benchmarks/cost.py`` measures both transforms over
meshes, bands, tolerances and precisions, fits the constants and reports how often the model picks the quicker one. They
come from one machine, and all work but what finufft does with one thread is assumed to scale with the number of
threads: near the border between the two the pick may be wrong on another machine, far from it the ratio decides.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from .. import devices
from .._typing import Floats
from ..image.band import Band
from ..kernels.triangle import SERIES_LIMIT, SHORT_LIMIT
from . import exact, nufft, quadrature

__all__ = ["EXACT", "NUFFT", "SIMPLICES", "exact_work", "faster", "nufft_work"]


_SAMPLE_SIZE = 200  # faces, and modes, from which spreads and numbers of points are estimated
# Nanoseconds per unit of each kind of work in exact_work and nufft_work, times the number of threads in use.
EXACT: dict[str, tuple[float, ...]] = {
    "float32": (1.63e05, 0, 55.6, 4.64, 1.3, 3.38),
    "float64": (3.36e05, 0, 91, 4.93, 3.77, 1.53),
}
NUFFT: dict[str, tuple[float, ...]] = {
    "complex64": (5.72e05, 0, 29.4, 854, 0.832, 1.68),
    "complex128": (1.57e06, 1.48e03, 79.2, 37.8, 2.92, 3.22),
}

# Nanoseconds for value and gradient of a pair of a mode and a point, segment or tetrahedron, times the threads in use.
SIMPLICES = {0: 2.5, 1: 5.0, 3: 150.0}


def faster(
    corners: Floats, band: Band, *, dtype: npt.DTypeLike, tolerance: float, shells: quadrature.Shells | None,
    deterministic: bool,
) -> Literal["exact", "nufft"]:  # fmt: skip
    """Return the back end that the model expects to compute value and gradient in less time.

    The choice is not remembered: what moves a mesh step by step keeps a choice itself (:meth:`.Renderer.with_backend`).

    Parameters
    ----------
    corners : (n_faces, 3 corners, 3 axes) float64
        Corners of the faces, µm, (z, y, x); of k + 1 corners for other simplices.
    band : Band
        Modes that are computed.
    dtype : float32 or float64
        Working precision.
    tolerance : float
        Relative error allowed to the non-uniform FFT.
    shells : Shells or None
        Weights of the modes behind the optics; None for equal weights.
    deterministic : bool
        Whether finufft runs on one thread.

    Returns
    -------
    "exact" or "nufft"
        The back end.
    """
    kind, work = nufft_work(corners, band, dtype=dtype, tolerance=tolerance, shells=shells, deterministic=deterministic)
    if corners.shape[1] == 3:
        one = float(np.dot(EXACT[np.dtype(dtype).name], exact_work(corners, band)))
    else:
        one = SIMPLICES[corners.shape[1] - 1] * len(corners) * exact.lanes(band)
    return "exact" if one <= float(np.dot(NUFFT[kind], work)) else "nufft"


def exact_work(corners: Floats, band: Band) -> Floats:
    """Return the amounts of work of the closed formula, (6,), in the order of the constants `EXACT`.

    They are calls (1), faces, entries of the faces' phase tables, pairs of a face and a mode (as the loops take them,
    in whole vector lanes), and pairs whose phase spread exceeds the lower and the upper limit of the series. Spreads
    are those of a sample of faces and modes.
    """
    pairs = float(len(corners) * exact.lanes(band))
    some, modes = _subsample(corners), _subsample(band.frequencies)
    phases = np.abs((some - some.mean(axis=1, keepdims=True)) @ modes.T).max(axis=1)
    short, long = (float(np.mean(phases > limit)) for limit in (SHORT_LIMIT, SERIES_LIMIT))
    return np.array([1.0, len(corners), len(corners) * sum(band.shape), pairs, pairs * short, pairs * long])


def nufft_work(
    corners: Floats, band: Band, *, dtype: npt.DTypeLike, tolerance: float, shells: quadrature.Shells | None,
    deterministic: bool,
) -> tuple[str, Floats]:  # fmt: skip
    """Return precision and amounts of work, (6,), of the non-uniform FFT, in the order of the constants `NUFFT`.

    The amounts are calls (1), faces, modes of the box, quadrature points, grid points that they spread to, and
    operations of the FFTs on finufft's finer grid. The last two hold one transform of points and four of modes,
    averaged; work that finufft does with one thread counts as often as there are threads. The precision is "complex64"
    or "complex128".
    """
    points_tolerance, eps, complex_type = nufft.split_tolerance(dtype, tolerance, band, shells)
    points = _count_points(corners, band, points_tolerance, shells)
    upsampling = nufft.upsampling_factor(eps, complex_type)
    # Barnett et al. 2019, Eq. 3.3, and finufft's formula for its smaller upsampling factor
    width = math.ceil(math.log10(1.0 / eps)) + 1
    if upsampling < 2.0:
        width = math.ceil(-math.log(eps) / (math.pi * math.sqrt(1.0 - 1.0 / upsampling)))
    fine = math.prod(max(upsampling * m, 2.0 * width) for m in band.shape)
    modes, threads = math.prod(band.shape), devices.thread_count()
    one, four = threads if deterministic or points <= nufft.ORDERED else 1, threads if deterministic else 1
    alone = (one + 4.0 * four) / 5.0
    work = [1.0, len(corners), modes, points, alone * points * width**3, alone * fine * math.log2(fine)]
    return np.dtype(complex_type).name, np.array(work)


def _subsample(rows: Floats) -> Floats:
    """Return at most 200 rows of an array, evenly spaced, or all where there are fewer."""
    return rows[:: max(1, -(-len(rows) // _SAMPLE_SIZE))]


def _count_points(corners: Floats, band: Band, tolerance: float, shells: quadrature.Shells | None) -> float:
    """Estimate the number of quadrature points of a mesh from a sample of its faces."""
    some = _subsample(corners)
    return len(nufft.gauss_points(some, band, tolerance, shells)) * len(corners) / max(len(some), 1)
