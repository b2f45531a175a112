"""Find the filaments in an image: ridges of the residual, adjustment, removal of dark parts, until nothing changes."""

from __future__ import annotations

import dataclasses

import numpy as np

from ..._typing import Floats
from ..sources.gauss_newton import Fitted, Start, adjust
from ..sources.measurement import Measurement
from ..sources.noise import rough_variance
from ..sources.rounds import SourceFit, updated
from ..sources.windows import Windows
from .config import FilamentsConfig
from .joining import join_ends
from .network import Network
from .ridges import find_lines
from .sources import FilamentSources

__all__ = ["fit_network"]

_DARK = 0.5  # a segment is removed if the image has less than this part of its light
_SURE = 4.0  # standard deviations by which a segment's light has to exceed the noise
_SETTLED = 1e-3  # mean squared step in units of the standard errors, at which the steps end


def fit_network(
    measurement: Measurement, given: Network | None, config: FilamentsConfig, *, infer_psf: bool, search: bool
) -> SourceFit:
    """Fit filaments to an image, and search for those that are missing.

    Parameters
    ----------
    measurement : Measurement
        Image, grid and start of the PSF.
    given : Network, optional
        Filaments to start from; none by default.
    config : FilamentsConfig
        Settings.
    infer_psf : bool
        Whether to fit the PSF.
    search : bool
        Whether to add, join and remove filaments.

    Returns
    -------
    SourceFit
        Filaments, background, noise and PSF.
    """
    floor = rough_variance(measurement.image)
    measurement = measurement.replace(variance=np.full(measurement.grid.shape, floor))
    now = updated(SourceFit(None, measurement, (floor, 0.0), 1.0, 0.0, 0), config)
    network = given
    for round_number in range(config.rounds if search else 1):
        new = _new_lines(now, config) if search else None
        if new is not None:
            network = new if network is None else network.joined(new)
        if network is None:
            return now
        joined = False
        if search:
            network, joined = join_ends(network, now.measurement.sigma)
        now, network = _adjusted(now, network, config, infer_psf and round_number > 0)
        removed = False
        if search:
            network, removed = _without_dark(now, network, config)
            if network is None:
                return dataclasses.replace(now, fitted=None)
        now = dataclasses.replace(now, rounds=round_number + 1)
        if removed:
            now, network = _adjusted(now, network, config, infer_psf)
        if new is None and not removed and not joined and round_number > 0:
            break
    assert network is not None
    return _adjusted(now, network, config, infer_psf)[0]


def _size(measurement: Measurement) -> float:
    """Return the geometric mean of the PSF's standard deviations, µm."""
    return float(np.exp(np.log(measurement.sigma).mean()))


def _new_lines(now: SourceFit, config: FilamentsConfig) -> Network | None:
    """Return the lines that the residual shows, with a first density; None where there are none."""
    measurement = now.measurement
    found = find_lines(
        measurement, now.residual, now.light, false_finds=config.false_finds, model_error=config.model_error,
        spread=now.spread, shortest=config.shortest,
    )  # fmt: skip
    if found is None:
        return None
    found = found.resampled(config.segment * _size(measurement))
    index = np.rint(measurement.grid.to_index(found.vertices)).astype(int)
    index = np.clip(index, 0, np.asarray(measurement.grid.shape) - 1)
    above = now.residual[tuple(index.T)][found.segments].mean(axis=1)
    section = 2.0 * np.pi * _size(measurement) ** 2
    density = np.maximum(above, 0.2 * max(float(np.median(above)), 1e-300)) * section
    return Network(found.vertices, found.segments, density)


def _adjusted(now: SourceFit, network: Network, config: FilamentsConfig, infer_psf: bool) -> tuple[SourceFit, Network]:
    """Return the fit of a network, adjusted, divided anew and adjusted again, with background and noise."""
    what = Start(infer_psf, config.psf_shape == "axial", config.iterations, _SETTLED)
    for _ in range(2):
        network = network.resampled(config.segment * _size(now.measurement))
        fitted = adjust(FilamentSources(network, network, now.measurement, config), now.measurement, what)
        now = updated(dataclasses.replace(now, fitted=fitted, measurement=fitted.measurement), config)
        network = _network(fitted)
    return now, network


def _network(fitted: Fitted) -> Network:
    """Return the fitted network."""
    network: Network = fitted.sources.network  # type: ignore[attr-defined]
    return network


def _without_dark(now: SourceFit, network: Network, config: FilamentsConfig) -> tuple[Network | None, bool]:
    """Return the network without segments whose light is not in the image and without short lines; whether any were."""
    share, significance = _light_found(now, network)
    kept = (share > _DARK) & (significance > _SURE * now.spread)
    if not kept.any():
        return None, True
    left = network.where(kept)
    degrees, long = left.degrees, np.ones(len(left.segments), dtype=bool)
    for chain in left.chains():
        ends = degrees[chain.vertices[[0, -1]]]
        least = config.shortest if (ends == 1).all() else 0.5 * config.shortest if (ends == 1).any() else 0.0
        if left.lengths[chain.segments].sum() < least * _size(now.measurement):
            long[chain.segments] = False
    if not long.any():
        return None, True
    return left.where(long), not (kept.all() and long.all())


def _light_found(now: SourceFit, network: Network) -> tuple[Floats, Floats]:
    """Return which part of each segment's light the image has, all others being as they are, and how sure it is.

    It is the factor on the segment's light that fits the image best, and its significance in standard deviations.
    """
    assert now.fitted is not None
    positions, brightness, _ = FilamentSources(network, network, now.measurement, FilamentsConfig()).quadrature()
    windows = Windows(now.measurement, positions, brightness)
    score = (windows.project(now.residual)[:, 3] * brightness).reshape(-1, 2).sum(axis=1)
    normal = windows.normal_matrix()[3::4, 3::4].tocsr()
    first, second = np.arange(0, len(brightness), 2), np.arange(1, len(brightness), 2)
    own = (normal.diagonal() * brightness**2).reshape(-1, 2).sum(axis=1)
    mixed = np.asarray(normal[first, second]).ravel() * brightness[first] * brightness[second]
    information = np.maximum(own + 2.0 * mixed, 1e-300)
    share = 1.0 + score / information
    return share, share * np.sqrt(information)
