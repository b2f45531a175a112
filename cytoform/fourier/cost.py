"""Which transform is done first on the CPU: a model of the time that value and gradient take together.

Times are sums of a few kinds of work, each times a constant; ``benchmarks/cost.py`` measures both transforms over
meshes, bands, tolerances and precisions, fits the constants and says how often the model picks the quicker one. Only
the ratio of the two counts, so that constants from one machine serve on another.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from .. import backend
from ..image.band import Band
from ..kernels.triangle import LANES, SERIES_LIMIT, SHORT_LIMIT
from . import nufft, quadrature

__all__ = ["EXACT", "NUFFT", "exact_work", "faster", "nufft_work"]

Floats = npt.NDArray[np.float64]

_SAMPLE = 200  # faces that stand for all
# Nanoseconds for the kinds of work that exact_work and nufft_work count, with one thread.
EXACT: dict[str, tuple[float, ...]] = {
    "float32": (0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "float64": (0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
}
NUFFT: dict[str, tuple[float, ...]] = {
    "complex64": (0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "complex128": (0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
}


def faster(
    corners: Floats, band: Band, *, dtype: npt.DTypeLike, tolerance: float, shells: quadrature.Shells | None,
    deterministic: bool,
) -> Literal["exact", "nufft"]:  # fmt: skip
    """The transform that the model expects to be done first; arguments as for :class:`.nufft.Faces`."""
    one = float(np.dot(EXACT[np.dtype(dtype).name], exact_work(corners, band)))
    kind, work = nufft_work(corners, band, dtype=dtype, tolerance=tolerance, shells=shells)
    other = float(np.dot(NUFFT[kind], work))
    if deterministic:  # finufft keeps to one thread then
        other *= backend.threads()
    return "exact" if one <= other else "nufft"


def exact_work(corners: Floats, band: Band) -> Floats:
    """Work of the closed formula: calls, faces, entries of their tables, pairs, pairs beyond each limit of the series.

    Pairs are counted as the loops take them, in whole lanes.
    """
    lanes = min(math.ceil(m / LANES) * LANES / m for m in band.shape)
    pairs = lanes * len(corners) * band.size
    spreads = _spreads(corners, band)
    # modes fill an ellipsoid: the part of them so far out that a face's spread passes a limit
    beyond = [
        float(np.mean(1.0 - np.minimum(limit / np.maximum(spreads, 1e-300), 1.0) ** 3))
        for limit in (SHORT_LIMIT, SERIES_LIMIT)
    ]
    return np.array([1.0, len(corners), len(corners) * sum(band.shape), pairs, pairs * beyond[0], pairs * beyond[1]])


def nufft_work(
    corners: Floats, band: Band, *, dtype: npt.DTypeLike, tolerance: float, shells: quadrature.Shells | None
) -> tuple[str, Floats]:
    """Precision and work of the fast transform: calls, faces, modes of the box, points, their neighbours, FFTs."""
    points_tolerance, eps, complex_type = nufft.accuracy(dtype, tolerance, band, shells)
    points = _points_of(corners, band, points_tolerance, shells)
    upsampling = nufft.upsampling(eps)
    # Barnett et al. 2019, Eq. 3.3, and what finufft takes for its smaller upsampling
    width = math.ceil(math.log10(1.0 / eps)) + 1
    if upsampling < 2.0:
        width = math.ceil(-math.log(eps) / (math.pi * math.sqrt(1.0 - 1.0 / upsampling)))
    fine = math.prod(max(upsampling * m, 2.0 * width) for m in band.shape)
    modes = math.prod(band.shape)
    work = [1.0, len(corners), modes, points, points * width**3, fine * math.log2(fine)]
    return np.dtype(complex_type).name, np.array(work)


def _some(corners: Floats) -> Floats:
    return corners[:: max(1, len(corners) // _SAMPLE)]


def _spreads(corners: Floats, band: Band) -> Floats:
    """Phase spreads of some faces at the band's border."""
    some = _some(corners)
    return band.reach(np.roll(some, -1, axis=1) - some).max(axis=1)


def _points_of(corners: Floats, band: Band, tolerance: float, shells: quadrature.Shells | None) -> float:
    some = _some(corners)
    return len(nufft.gauss_points(some, band, tolerance, shells)) * len(corners) / max(len(some), 1)
