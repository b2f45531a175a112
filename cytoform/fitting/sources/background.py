"""A smooth background: a constant, or a cubic spline whose knots are as far apart as the image allows.

The number of knots is chosen by the Bayesian information criterion (Schwarz 1978, doi 10.1214/aos/1176344136): more
knots only where they explain more than noise would. No knots are closer than eight standard deviations of the PSF, so
that the background cannot take up the light of points or lines.
"""

from __future__ import annotations

import numpy as np
from scipy.interpolate import BSpline
from scipy.linalg import cho_factor, cho_solve

from ..._typing import Floats
from ...errors import ConfigError
from .measurement import Measurement

__all__ = ["smooth_background"]

_APART = 8.0  # least distance of knots, in standard deviations of the PSF
_LEVELS = 4  # of splines, each with half the distance of knots
_MOST = 1_500  # coefficients
_BLOCKS = 30_000  # most blocks of voxels whose means are fitted
_RIDGE = 1e-9  # of the largest diagonal entry: coefficients without data are 0
_CLIP = 4.0  # standard deviations of a block's residual beyond which it holds light that is not explained yet


def smooth_background(measurement: Measurement, residual: Floats, kind: str = "auto") -> Floats:
    """Fit a smooth background to what sources do not explain.

    Parameters
    ----------
    measurement : Measurement
        Weights, grid and widths of the PSF.
    residual : (z, y, x) float64
        Image minus the light of all sources that were found so far.
    kind : "auto", "constant" or "smooth"
        "auto" takes a spline only where it explains more than noise would, "constant" one number, "smooth" the spline
        with the most knots.

    Returns
    -------
    (z, y, x) float64
        The background.

    Raises
    ------
    ConfigError
        When `kind` is another word.
    """
    if kind not in ("auto", "constant", "smooth"):
        raise ConfigError(f"background is {kind!r}; expected 'auto', 'constant' or 'smooth'.")
    shape, weights = residual.shape, measurement.weights
    means, mass, centres = _block_means(residual, weights, measurement)
    best, table = np.inf, np.zeros((1, 1, 1))
    counts: tuple[int, ...] = (0, 0, 0)
    for tried in _ladder(measurement, kind):
        bases = [_basis(c, n, count) for c, n, count in zip(centres, shape, tried)]
        coefficients, misfit = _robust_fit(bases, means, mass)
        score = misfit + np.log(means.size) * coefficients.size
        if score > best and kind != "smooth":
            break
        best, counts, table = score, tried, coefficients
    z, y, x = (_basis(np.arange(n), n, count) for n, count in zip(shape, counts))
    return _expand(table, z, y, x)


def _ladder(measurement: Measurement, kind: str) -> list[tuple[int, ...]]:
    """Return the numbers of pieces of a spline on the three axes to try, coarse to fine; 0 is a constant on an axis."""
    extent = np.asarray(measurement.grid.extent)
    most = np.floor(extent / (_APART * measurement.sigma)).astype(int)
    tried: list[tuple[int, ...]] = [(0, 0, 0)]
    if kind == "constant":
        return tried
    for level in range(_LEVELS):
        pieces = np.rint(2.0**level * extent / extent.max())
        counts = tuple(int(c) for c in np.where(most < 1, 0, np.clip(pieces, 1, np.maximum(most, 1))))
        size = np.prod([c + 3 if c else 1 for c in counts])
        if counts not in tried and size <= _MOST:
            tried.append(counts)
    return tried


def _basis(index: Floats, length: int, pieces: int) -> Floats:
    """Return cubic B-splines with `pieces` equal intervals on an axis, (n, pieces + 3); ones for 0 pieces."""
    if pieces == 0:
        return np.ones((len(index), 1))
    knots = np.linspace(-0.5, length - 0.5, pieces + 1)
    step = knots[1] - knots[0]
    knots = np.concatenate([knots[0] + step * np.arange(-3, 0), knots, knots[-1] + step * np.arange(1, 4)])
    found: Floats = BSpline.design_matrix(np.asarray(index, dtype=np.float64), knots, 3).toarray()
    return found


def _expand(table: Floats, z: Floats, y: Floats, x: Floats) -> Floats:
    """Return Σ_abc table_abc z_ia y_jb x_kc, (i, j, k)."""
    found: Floats = np.einsum("ia,jb,kc,abc->ijk", z, y, x, table, optimize=True)
    return found


def _block_means(residual: Floats, weights: Floats, measurement: Measurement) -> tuple[Floats, Floats, list[Floats]]:
    """Return weighted means of blocks of voxels, about as wide as the PSF, the weight of each, and their centres.

    The centres are voxel indices along the three axes.
    """
    size = np.maximum(np.rint(2.0 * measurement.sigma / measurement.grid.spacing), 1).astype(int)
    shape = np.asarray(residual.shape)
    while np.prod(-(-shape // size)) > _BLOCKS:
        size = size + 1
    starts = [np.arange(0, n, s) for n, s in zip(shape, size)]
    mass, light = weights, weights * residual
    for axis, start in enumerate(starts):
        mass, light = np.add.reduceat(mass, start, axis=axis), np.add.reduceat(light, start, axis=axis)
    ends = [np.minimum(start + s, n) for start, s, n in zip(starts, size, shape)]
    return light / mass, mass, [0.5 * (a + b - 1) for a, b in zip(starts, ends)]


def _normal_matrix(bases: list[Floats], mass: Floats) -> Floats:
    """Return Bᵀ diag(mass) B for B the tensor product of three bases, (m, m), one axis after another."""
    squares = [np.einsum("ia,ib->iab", basis, basis) for basis in bases]
    found = np.einsum("ijk,iab,jcd,kef->acebdf", mass, *squares, optimize=True)
    size = int(np.prod(found.shape[:3]))
    matrix: Floats = found.reshape(size, size)
    return matrix


def _robust_fit(bases: list[Floats], means: Floats, mass: Floats) -> tuple[Floats, float]:
    """Fit the blocks' means, leaving out bright blocks; return coefficients and -2 times the log likelihood.

    A block counts up to `_CLIP` standard deviations of all blocks, so that sources not found yet do not draw it up.
    """
    scale, shape = 1.0 / np.sqrt(mass), [basis.shape[1] for basis in bases]
    normal = _normal_matrix(bases, mass)
    factor = cho_factor(normal + _RIDGE * normal.diagonal().max() * np.eye(len(normal)))
    target = np.minimum(means, np.median(means) + _CLIP * scale)
    for _ in range(6):
        right = np.einsum("ia,jb,kc,ijk->abc", *bases, mass * target, optimize=True)
        coefficients = cho_solve(factor, right.ravel()).reshape(shape)
        expected = _expand(coefficients, bases[0], bases[1], bases[2])
        away = means - expected
        spread = np.maximum(1.0, 1.4826 * np.median(np.abs(away) / scale)) * scale
        target = expected + np.clip(away, -_CLIP * spread, _CLIP * spread)
    square = float((np.minimum(np.abs(away), _CLIP * spread) ** 2 / scale**2).mean())
    return coefficients, means.size * float(np.log(max(square, 1e-300)))  # of an unknown variance
