"""Fit filaments to an image."""

from __future__ import annotations

import time

import numpy as np

from ..._typing import Floats
from ...errors import ConfigError, MeshError
from ...image.volume import Volume
from ...mesh.filaments import Filaments
from ...optics import PSF
from ..sources.errors import misfit_factors
from ..sources.gauss_newton import Linear, Start, linearise
from ..sources.measurement import Measurement
from ..sources.result import common_fields
from ..sources.rounds import SourceFit
from ..start.begin import guess_psf
from .config import FilamentsConfig
from .network import Chain, Network
from .result import Branch, FilamentsResult
from .search import fit_network
from .sources import FilamentSources

__all__ = ["fit_filaments"]

_BORDER = 1.5  # σ from the outer edges of the image
_MISFIT = 1.2  # factor on standard errors from which there is a flag


def fit_filaments(
    volume: Volume, filaments: Filaments | None = None, psf: PSF | None = None, config: FilamentsConfig | None = None
) -> FilamentsResult:
    """Fit filaments, such as microtubules, actin bundles or thin tubes, to an image: single lines or a network.

    Ridges of the image give lines and branchings; their vertices and the density along them move until the rendering
    matches the image, with a prior on bends (worm-like chain) and on changes of the density. Gaps are bridged where
    there is light, parts without light removed, and lines added that the residual shows. Nothing is random.

    Parameters
    ----------
    volume : Volume
        Fluorescence image, (z, y, x), with its voxel size in µm.
    filaments : Filaments, optional
        Start; by default filaments are searched. Given filaments are adjusted, but nothing is added or removed unless
        ``config.search`` is True.
    psf : PSF, optional
        The PSF, which is fixed unless ``config.infer_psf`` is True; by default a Gaussian that is guessed from the
        voxel size and fitted.
    config : FilamentsConfig, optional
        Settings; ``FilamentsConfig()`` by default.

    Returns
    -------
    FilamentsResult
        Filaments with their lengths and densities, standard errors, background, PSF and the model of the image.

    Raises
    ------
    VolumeError, MeshError, ConfigError
        If an image, start or setting cannot be used.

    Examples
    --------
    >>> result = cf.fit_filaments(cf.read_volume("microtubules.tif"))
    >>> result.table()["length_um"]
    """
    begin = time.perf_counter()
    config = FilamentsConfig() if config is None else config
    if not isinstance(config, FilamentsConfig):
        raise ConfigError(f"config is a {type(config).__name__}; expected a FilamentsConfig.")
    start_psf = guess_psf(volume.spacing) if psf is None else psf
    measurement = Measurement.from_volume(volume, start_psf)
    infer = (psf is None if config.infer_psf is None else config.infer_psf) and start_psf.parameters.size > 0
    search = filaments is None if config.search is None else config.search
    given = None if filaments is None else _as_network(filaments, measurement)
    found = fit_network(measurement, given, config, infer_psf=infer, search=search)
    return _result(found, volume, config, infer, begin)


def _as_network(filaments: Filaments, measurement: Measurement) -> Network:
    """Return given filaments as the start of a fit; raise MeshError if they are of no use in this image."""
    if not isinstance(filaments, Filaments):
        raise MeshError(f"filaments is a {type(filaments).__name__}; expected Filaments.")
    network = Network.of(filaments).where(np.ones(len(filaments.segments), dtype=bool))
    index, shape = measurement.grid.to_index(network.vertices), np.asarray(measurement.grid.shape)
    away = ((index < -0.5) | (index > shape - 0.5)).any(axis=1)
    if away.any():
        raise MeshError(
            f"{int(away.sum())} of {len(index)} vertices lie outside of the image.",
            remedy="Positions are in µm, (z, y, x), and count from the image's origin.",
        )
    if np.ptp(network.density) == 0:  # no scale is known
        nearest = tuple(np.rint(index).astype(int).T)
        above = float(np.median(measurement.image[nearest] - measurement.background.flat[0]))
        scale = 2.0 * np.pi * float(np.exp(2.0 * np.log(measurement.sigma).mean()))
        least = 1e-3 * float(np.ptp(measurement.image))
        network = Network(network.vertices, network.segments, np.full(len(network.density), max(above, least) * scale))
    return network


def _result(found: SourceFit, volume: Volume, config: FilamentsConfig, infer: bool, begin: float) -> FilamentsResult:
    """Return the result of a fit, with standard errors."""
    measurement = found.measurement
    common = common_fields(found, volume, config, begin)
    if found.fitted is None:
        return FilamentsResult(**common)
    sources = found.fitted.sources
    assert isinstance(sources, FilamentSources)
    network, what = sources.network, Start(infer, config.psf_shape == "axial")
    problem = linearise(sources, measurement, found.residual, what)
    middles = network.vertices[network.segments].mean(axis=1)
    factors = misfit_factors(measurement, found.residual / found.spread, middles) * found.spread
    places = 3 * len(network.vertices)
    variances = problem.blocks(1)[:, 0, 0]
    at_vertices = np.ones(len(network.vertices))
    np.maximum.at(at_vertices, network.segments.ravel(), np.repeat(factors, 2))
    return FilamentsResult(
        **common,
        filaments=network.filaments(),
        density_se=np.sqrt(variances[places:]) * factors,
        vertex_se=np.sqrt(variances[:places]).reshape(-1, 3) * at_vertices[:, None],
        branches=_branches(network, problem, factors, measurement),
    )


def _branches(network: Network, problem: Linear, factors: Floats, measurement: Measurement) -> tuple[Branch, ...]:
    """Return all branches with their mean densities and what is at their ends."""
    chains, places = network.chains(), 3 * len(network.vertices)
    rows = np.zeros((len(chains), places + len(network.segments)))
    for k, chain in enumerate(chains):
        lengths = network.lengths[chain.segments]
        rows[k, places + chain.segments] = lengths / lengths.sum()
    errors = np.sqrt(np.diag(problem.covariance_of(rows)))
    found = []
    for k, chain in enumerate(chains):
        lengths, mean_factor = network.lengths[chain.segments], float(np.sqrt((factors[chain.segments] ** 2).mean()))
        ends = (_end(network, chain, 0, measurement), _end(network, chain, -1, measurement))
        density = float(rows[k, places:] @ network.density)
        found.append(
            Branch(
                network.vertices[chain.vertices], float(lengths.sum()), density, float(errors[k]) * mean_factor, ends,
                mean_factor > _MISFIT,
            )
        )  # fmt: skip
    return tuple(found)


def _end(network: Network, chain: Chain, which: int, measurement: Measurement) -> str:
    """Return what is at the first (0) or last (-1) vertex of a branch."""
    vertex = int(chain.vertices[which])
    degree = int(network.degrees[vertex])
    if degree > 2:
        return "branching"
    if chain.vertices[0] == chain.vertices[-1]:
        return "closed"
    grid, place = measurement.grid, network.vertices[vertex]
    low = (place - grid.to_um(np.full(3, -0.5))) / measurement.sigma
    high = (grid.to_um(np.asarray(grid.shape) - 0.5) - place) / measurement.sigma
    return "border" if min(low.min(), high.min()) < _BORDER else "free"
