"""Find lines in an image: ridges of the matched filter, thinned to a skeleton, and its graph.

At a ridge the two most negative curvatures are large (Sato et al. 1998, doi 10.1016/S1361-8415(98)80009-1); here the
weaker of them, in units of what noise gives. All is done on a grid on which the PSF is round.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from skimage.filters import apply_hysteresis_threshold
from skimage.morphology import skeletonize

from ..._typing import Bools, Floats
from ..sources.matched import matched_filter, significance_limit
from ..sources.measurement import Measurement
from .network import Network

__all__ = ["find_lines"]

_SAMPLES = 2.2  # of the grid for σ of the PSF
_LOW = 3.0  # significance at which a ridge ends
_SHARE = 0.25  # of the ridge nearby, likewise
_NEARBY = 3.0  # σ
_SPUR = 2.5  # σ: shorter branches with a free end are thinned noise
_SMOOTHING = 8


def find_lines(
    measurement: Measurement, residual: Floats, light: Floats, *, false_finds: float, model_error: float, spread: float,
    shortest: float,
) -> Network | None:  # fmt: skip
    """Find lines in what is not explained yet.

    Parameters
    ----------
    measurement : Measurement
        Noise, PSF and grid.
    residual : (z, y, x) float64
        Image minus model.
    light : (z, y, x) float64
        Light of the filaments found so far.
    false_finds : float
        Mean number of lines begun in an image of noise.
    model_error : float
        Relative error of the model.
    spread : float
        Standard deviation of correlated noise over that of white noise.
    shortest : float
        Least length of a line without branchings, in σ.

    Returns
    -------
    Network or None
        Lines as fine as the skeleton, with density 1; None where there are none.
    """
    _, significance = matched_filter(measurement, residual, light, model_error)
    sigma = measurement.sigma
    step = sigma / _SAMPLES / measurement.grid.spacing  # voxels
    count = np.maximum(np.floor((np.asarray(residual.shape) - 1) / step).astype(int) + 1, 1)
    axes = [s * np.arange(n) for s, n in zip(step, count)]
    fine = ndimage.map_coordinates(significance / spread, np.meshgrid(*axes, indexing="ij"), order=3, mode="nearest")
    ridge = _ridge(fine)
    high = significance_limit(measurement, false_finds)
    width = 2 * round(_NEARBY * _SAMPLES) + 1
    low = np.maximum(_LOW, _SHARE * ndimage.maximum_filter(ridge, size=width))
    mask = apply_hysteresis_threshold(np.where(ridge > low, ridge, 0.0), 1e-9, high)
    if not mask.any():
        return None
    network = _graph(skeletonize(mask))
    if network is None:
        return None
    network = _without_spurs(network, _SPUR * _SAMPLES, shortest * _SAMPLES)
    if network is None:
        return None
    scaled = Network(measurement.grid.to_um(network.vertices * step), network.segments, network.density)
    return scaled.resampled(float(np.exp(np.log(sigma).mean())) / _SAMPLES, _SMOOTHING)


def _ridge(fine: Floats) -> Floats:
    """Return how strong a ridge is at each sample: the second most negative curvature over its noise, 0 or more."""
    pad = 3
    fine = np.pad(fine, pad, mode="edge")
    slopes = np.gradient(fine)
    rows = [np.gradient(slope) for slope in slopes]
    inner = tuple(slice(pad, -pad) for _ in range(3))
    lit = fine[inner] > _LOW  # the curvatures elsewhere do not matter
    chosen = [[part[inner][lit] for part in row] for row in rows]
    hessian = np.stack([np.stack(row, axis=-1) for row in chosen], axis=-2)
    values = np.linalg.eigvalsh(0.5 * (hessian + hessian.swapaxes(-1, -2)))
    noise = np.sqrt(3.0) / (2.0 * _SAMPLES**2)  # of a second derivative, the correlation being exp(-r² / 4 σ²)
    found = np.zeros(lit.shape)
    found[lit] = np.maximum(-values[..., 1], 0.0) / noise
    return found


def _graph(skeleton: Bools) -> Network | None:
    """Return the network of a skeleton's voxels, in voxel indices; voxels where branches meet become one vertex."""
    index = np.argwhere(skeleton)
    if len(index) < 2:
        return None
    pairs = cKDTree(index).query_pairs(1.8, output_type="ndarray")
    if not len(pairs):
        return None
    crowded = np.bincount(pairs.ravel(), minlength=len(index)) > 2
    inside = pairs[crowded[pairs].all(axis=1)]
    links = coo_matrix((np.ones(len(inside)), (inside[:, 0], inside[:, 1])), shape=(len(index), len(index)))
    _, group = connected_components(links, directed=False)
    total = np.bincount(group)
    places = np.column_stack([np.bincount(group, weights=column) / total for column in index.T.astype(float)])
    segments = np.unique(np.sort(group[pairs], axis=1), axis=0)
    segments = segments[segments[:, 0] != segments[:, 1]]
    if not len(segments):
        return None
    return Network(places, segments, np.ones(len(segments))).where(np.ones(len(segments), dtype=bool))


def _without_spurs(network: Network, spur: float, shortest: float) -> Network | None:
    """Return the network without short branches that end freely and short lines; None where nothing is left."""
    for _ in range(3):
        degrees, kept = network.degrees, np.ones(len(network.segments), dtype=bool)
        for chain in network.chains():
            ends = degrees[chain.vertices[[0, -1]]]
            least = shortest if (ends == 1).all() else spur if (ends == 1).any() else 0.0
            if network.lengths[chain.segments].sum() < least:
                kept[chain.segments] = False
        if not kept.any():
            return None
        if kept.all():
            break
        network = network.where(kept)
    return network
