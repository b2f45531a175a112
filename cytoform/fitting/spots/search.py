"""Find the points in an image: search the residual, adjust all points, remove and split, until nothing changes."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import special
from scipy.spatial import cKDTree
from skimage.feature import peak_local_max

from ..._typing import Array, Bools, Floats
from ..sources.gauss_newton import Start, adjust, linearise
from ..sources.matched import matched_filter, significance_limit
from ..sources.measurement import Measurement
from ..sources.noise import rough_variance
from ..sources.rounds import SourceFit, updated
from .config import PointsConfig
from .sources import PointSources
from .splitting import split_candidates

__all__ = ["fit_positions", "points_of"]

_NEAR = 1.6  # standard deviations of the PSF: pairs closer than this are compared with a single point
_APART = 0.5  # of σ: least distance of a new point from those found in the same round
_SHARING = 3.0  # of σ: points that are closer share light
_REMOVALS = 4  # most removals in a round


def fit_positions(
    measurement: Measurement, given: PointSources | None, config: PointsConfig, *, infer_psf: bool, search: bool
) -> SourceFit:
    """Fit points to an image, and search for those that are missing.

    Parameters
    ----------
    measurement : Measurement
        Image, grid and start of the PSF.
    given : PointSources, optional
        Points to start from; none by default.
    config : PointsConfig
        Settings.
    infer_psf : bool
        Whether to fit the PSF.
    search : bool
        Whether to add, remove and split points.

    Returns
    -------
    SourceFit
        Points, background, noise and PSF.
    """
    floor = rough_variance(measurement.image)
    measurement = measurement.replace(variance=np.full(measurement.grid.shape, floor))
    now = SourceFit(None, measurement, (floor, 0.0), 1.0, significance_limit(measurement, config.false_finds), 0)
    now = updated(now, config)
    if given is not None:
        now = _adjusted(now, given, config, infer_psf)
    for round_number in range(config.rounds if search or given is None else 1):
        points = points_of(now)
        changed, points = _searched(now, config, split=round_number > 0) if search else (False, points)
        if points is None:
            break
        now = _adjusted(now, points, config, infer_psf)
        if search:
            now, removed = _without_faint(now, config, infer_psf)
            changed = changed or removed
        now = dataclasses.replace(now, rounds=round_number + 1)
        if not changed and (round_number > 1 or not search):
            break
    if search and now.fitted is not None:
        now = _without_needless_pairs(now, config)
    return _polished(now, config, infer_psf)


def _adjusted(now: SourceFit, points: PointSources, config: PointsConfig, infer_psf: bool) -> SourceFit:
    """Return a fit with other points, adjusted, and background and noise estimated anew."""
    what = Start(infer_psf, config.psf_shape == "axial", config.iterations)
    fitted = adjust(_with_measurement(points, now.measurement), now.measurement, what)
    return updated(dataclasses.replace(now, fitted=fitted, measurement=fitted.measurement), config)


def _polished(now: SourceFit, config: PointsConfig, infer_psf: bool) -> SourceFit:
    """Return a fit whose points are adjusted to the last estimate of background and noise."""
    points = points_of(now)
    if points is None:
        return now
    now = _adjusted(now, points, config, infer_psf)
    points = points_of(now)
    assert points is not None
    what = Start(infer_psf, config.psf_shape == "axial", config.iterations)
    fitted = adjust(_with_measurement(points, now.measurement), now.measurement, what)
    return dataclasses.replace(now, fitted=fitted, measurement=fitted.measurement)


def points_of(now: SourceFit) -> PointSources | None:
    """Return the points of a fit; None where there are none."""
    if now.fitted is None:
        return None
    assert isinstance(now.fitted.sources, PointSources)
    return now.fitted.sources


def _with_measurement(points: PointSources, measurement: Measurement) -> PointSources:
    """Return points bounded by another measurement."""
    return dataclasses.replace(points, measurement=measurement)


def _searched(now: SourceFit, config: PointsConfig, *, split: bool) -> tuple[bool, PointSources | None]:
    """Return whether points were added, and the points with those that the residual shows and those split in two."""
    measurement, points = now.measurement, points_of(now)
    brightness, significance = matched_filter(measurement, now.residual, now.light, config.model_error)
    found = _peaks(significance / now.spread, now.limit)
    positions, strength = measurement.grid.to_um(found), brightness[tuple(found.T)]
    apart = _far_enough(positions / measurement.sigma, significance[tuple(found.T)])
    positions, strength = positions[apart], strength[apart]
    changed = len(positions) > 0
    if points is None:
        return changed, PointSources(positions, strength, measurement) if changed else None
    if split and config.split:
        doubled, half = split_candidates(
            measurement, points.positions, points.brightness, now.residual / now.spread, config.false_finds,
            config.model_error,
        )  # fmt: skip
        if len(positions):  # a new point beside it may be the other half
            distance, _ = cKDTree(positions / measurement.sigma).query(points.positions / measurement.sigma)
            doubled &= np.asarray(distance) > _SHARING
        if doubled.any():
            changed = True
            ends = [points.positions[doubled] + sign * half[doubled] for sign in (1.0, -1.0)]
            halves = 0.5 * points.brightness[doubled]
            points = points.where(~doubled).joined(np.concatenate(ends), np.concatenate([halves, halves]))
    return changed, points.joined(positions, strength)


def _peaks(significance: Floats, limit: float) -> Array:
    """Return the voxels (n, 3) of local maxima above a limit, the highest first."""
    if significance.max() <= limit:
        return np.zeros((0, 3), dtype=np.int64)
    found: Array = peak_local_max(significance, min_distance=1, threshold_abs=limit, exclude_border=False)
    return found


def _far_enough(scaled: Floats, significance: Floats) -> Bools:
    """Return which points have no more significant one closer than `_APART`; positions are in units of σ, (n, 3)."""
    kept = np.ones(len(scaled), dtype=bool)
    for i, j in sorted(cKDTree(scaled).query_pairs(_APART)) if len(scaled) else []:
        kept[i if significance[i] < significance[j] else j] = False
    return kept


def _without_faint(now: SourceFit, config: PointsConfig, infer_psf: bool) -> tuple[SourceFit, bool]:
    """Return the fit without the points whose brightness is not significant, and whether there were any.

    Points that share one light are all uncertain; of those only the faintest goes at a time.
    """
    changed = False
    for _ in range(_REMOVALS):
        points = points_of(now)
        assert points is not None
        problem = linearise(points, now.measurement, now.residual, Start())
        variance = problem.blocks(4)[:, 3, 3]  # rounding may make that of two points in one place negative
        significance = points.brightness / (np.sqrt(np.where(variance > 0, variance, np.inf)) * now.spread)
        faint = significance < now.limit
        tree = cKDTree(points.positions / now.measurement.sigma)
        for k in np.flatnonzero(faint)[np.argsort(significance[faint])]:
            if faint[k]:
                near = tree.query_ball_point(points.positions[k] / now.measurement.sigma, _SHARING)
                faint[[other for other in near if other != k]] = False
        if not faint.any():
            break
        changed = True
        if faint.all():
            return dataclasses.replace(now, fitted=None), True
        now = _adjusted(now, points.where(~faint), config, infer_psf)
    return now, changed


def _without_needless_pairs(now: SourceFit, config: PointsConfig) -> SourceFit:
    """Return the fit with those close pairs made one point that a single one explains as well (likelihood ratio)."""
    points = points_of(now)
    assert points is not None and now.fitted is not None
    scaled = points.positions / now.measurement.sigma
    taken, pairs = np.zeros(len(points), dtype=bool), []
    for i, j in sorted(cKDTree(scaled).query_pairs(_NEAR), key=lambda p: np.linalg.norm(scaled[p[0]] - scaled[p[1]])):
        if not taken[i] and not taken[j]:
            pairs.append((i, j))
            taken[[i, j]] = True
    if not pairs:
        return now
    single = _merged(points, pairs)
    other = adjust(single, now.measurement, Start(iterations=config.iterations))
    places = single.positions[len(points) - 2 * len(pairs) :]
    gain = _local_misfit(now.measurement, other.residual, places) - _local_misfit(
        now.measurement, now.fitted.residual, places
    )
    limit = special.chdtri(4, min(config.false_finds / len(points), 0.5)) * now.spread**2
    needless = [pair for pair, gained in zip(pairs, gain) if gained < limit]
    if not needless:
        return now
    return _adjusted(now, _merged(points, needless), config, False)


def _merged(points: PointSources, pairs: list[tuple[int, int]]) -> PointSources:
    """Return points with each pair replaced by one at its centre of light, behind the others."""
    index = np.array(pairs)
    light = points.brightness[index]
    centres = (points.positions[index] * light[..., None]).sum(axis=1) / light.sum(axis=1)[:, None]
    rest = np.ones(len(points), dtype=bool)
    rest[index.ravel()] = False
    return points.where(rest).joined(centres, light.sum(axis=1))


def _local_misfit(measurement: Measurement, residual: Floats, places: Floats) -> Floats:
    """Return Σ residual² / variance within three standard deviations of the PSF around each place, (n,)."""
    squares, grid = measurement.weights * residual**2, measurement.grid
    found = []
    for place in places:
        low = np.floor(grid.to_index(place - 3.0 * measurement.sigma)).astype(int)
        high = np.ceil(grid.to_index(place + 3.0 * measurement.sigma)).astype(int) + 1
        box = tuple(slice(max(a, 0), max(b, 0)) for a, b in zip(low, high))
        found.append(float(squares[box].sum()))
    return np.array(found)
