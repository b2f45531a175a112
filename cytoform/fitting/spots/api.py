"""Fit points of light to an image."""

from __future__ import annotations

import time

import numpy as np
from scipy.spatial import cKDTree

from ..._typing import Floats
from ...errors import ConfigError, MeshError
from ...image.volume import Volume
from ...mesh.points import PointSet
from ...optics import PSF
from ..sources.errors import misfit_factors
from ..sources.gauss_newton import Start, linearise
from ..sources.measurement import Measurement
from ..sources.result import common_fields
from ..sources.rounds import SourceFit
from ..start.begin import guess_psf
from .config import PointsConfig
from .result import PointsResult
from .search import fit_positions, points_of
from .sources import PointSources

__all__ = ["fit_points"]

_CROWDED = 2.355  # σ: the width at half maximum
_BORDER = 1.5  # σ from the outer edges of the image
_FAINT = 1.3  # of the least significance that is accepted
_MISFIT = 1.2  # factor on standard errors from which there is a flag


def fit_points(
    volume: Volume, points: PointSet | None = None, psf: PSF | None = None, config: PointsConfig | None = None
) -> PointsResult:
    """Fit points of light, such as single molecules, vesicles or beads smaller than the resolution, to an image.

    Points are searched with a matched filter in what is not explained yet, split where two explain the image better,
    and removed where they are not significant. Positions, brightnesses, the background and, if wanted, the PSF are
    adjusted together: maximum likelihood for Gaussian noise whose variance may grow with the light. Nothing is random.

    Parameters
    ----------
    volume : Volume
        Fluorescence image, (z, y, x), with its voxel size in µm.
    points : PointSet, optional
        Start; by default points are searched. Given points are adjusted, but none are added or removed unless
        ``config.search`` is True.
    psf : PSF, optional
        The PSF, which is fixed unless ``config.infer_psf`` is True; by default a Gaussian that is guessed from the
        voxel size and fitted.
    config : PointsConfig, optional
        Settings; ``PointsConfig()`` by default.

    Returns
    -------
    PointsResult
        Positions and brightnesses with standard errors, background, PSF and the model of the image.

    Raises
    ------
    VolumeError, MeshError, ConfigError
        If an image, start or setting cannot be used.

    Examples
    --------
    >>> result = cf.fit_points(cf.read_volume("beads.tif"))
    >>> result.positions, result.position_se
    """
    begin = time.perf_counter()
    config = PointsConfig() if config is None else config
    if not isinstance(config, PointsConfig):
        raise ConfigError(f"config is a {type(config).__name__}; expected a PointsConfig.")
    start_psf = guess_psf(volume.spacing) if psf is None else psf
    measurement = Measurement.from_volume(volume, start_psf)
    infer = psf is None if config.infer_psf is None else config.infer_psf
    search = points is None if config.search is None else config.search
    given = None if points is None else _as_sources(points, measurement)
    found = fit_positions(measurement, given, config, infer_psf=infer and start_psf.parameters.size > 0, search=search)
    return _result(found, volume, config, infer, begin)


def _as_sources(points: PointSet, measurement: Measurement) -> PointSources:
    """Return given points as the start of a fit; raise MeshError if one is of no use in this image."""
    if not isinstance(points, PointSet):
        raise MeshError(f"points is a {type(points).__name__}; expected a PointSet.")
    positions = np.asarray(points.positions, dtype=np.float64)
    index, shape = measurement.grid.to_index(positions), np.asarray(measurement.grid.shape)
    away = ((index < -0.5) | (index > shape - 0.5)).any(axis=1)
    if away.any():
        raise MeshError(
            f"{int(away.sum())} of {len(positions)} points lie outside of the image.",
            remedy="Positions are in µm, (z, y, x), and count from the image's origin.",
        )
    brightness = np.asarray(points.brightness, dtype=np.float64)
    if not (brightness > 0).any() or np.ptp(brightness) == 0:  # no scale is known
        above = measurement.image[tuple(np.rint(index).astype(int).T)] - measurement.background.flat[0]
        peak = (2.0 * np.pi) ** 1.5 * float(np.prod(measurement.sigma))
        brightness = np.maximum(above, 0.1 * np.abs(above).max()) * peak
    return PointSources(positions, np.maximum(brightness, 1e-6 * brightness.max()), measurement)


def _result(found: SourceFit, volume: Volume, config: PointsConfig, infer: bool, begin: float) -> PointsResult:
    """Return the result of a fit, with standard errors and flags."""
    measurement, points = found.measurement, points_of(found)
    common = common_fields(found, volume, config, begin)
    if points is None:
        return PointsResult(**common)
    what = Start(infer and measurement.psf.parameters.size > 0, config.psf_shape == "axial")
    covariance = linearise(points, measurement, found.residual, what).blocks(4) * found.spread**2
    factors = misfit_factors(measurement, found.residual / found.spread, points.positions)
    covariance = covariance * (factors**2)[:, None, None]
    flags = _flags(found, points, np.sqrt(covariance[:, 3, 3]), factors)
    return PointsResult(
        **common, positions=points.positions, brightness=points.brightness, covariance=covariance, flags=flags
    )


def _flags(found: SourceFit, points: PointSources, errors: Floats, factors: Floats) -> tuple[str, ...]:
    """Return the words for what is doubtful about each point."""
    measurement = found.measurement
    scaled, grid = points.positions / measurement.sigma, measurement.grid
    near = np.asarray(cKDTree(scaled).query(scaled, k=2)[0])[:, 1] if len(points) > 1 else np.full(1, np.inf)
    low = (points.positions - grid.to_um(np.full(3, -0.5))) / measurement.sigma
    high = (grid.to_um(np.asarray(grid.shape) - 0.5) - points.positions) / measurement.sigma
    doubts = {
        "border": np.minimum(low, high).min(axis=1) < _BORDER,
        "crowded": near < _CROWDED,
        "misfit": factors > _MISFIT,
        "faint": points.brightness < _FAINT * found.limit * errors,
    }
    return tuple(" ".join(word for word, which in doubts.items() if which[k]) for k in range(len(points)))
