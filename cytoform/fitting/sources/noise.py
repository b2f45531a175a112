"""The noise of an image: its variance in the dark, and how it grows with the light (photons)."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.optimize import nnls

from ..._typing import Floats

__all__ = ["noise_model", "rough_variance"]

_BINS = 16
_LEAST_IN_BIN = 200  # voxels
_MAD = 1.4826  # standard deviations of a normal distribution in its median absolute deviation


def _finest(image: Floats) -> Floats:
    """Return the finest detail of an image, scaled so that white noise keeps its variance; smooth light vanishes.

    The voxels at the border are left out, (z - 2, y - 2, x - 2). It is the product of second differences along all
    axes of three voxels or more (Immerkær 1996, doi 10.1006/cviu.1996.0060).
    """
    found = image
    for axis in range(3):
        if image.shape[axis] >= 3:
            found = ndimage.correlate1d(found, np.array([-1.0, 2.0, -1.0]) / np.sqrt(6.0), axis=axis)
    return _inner(found)


def _inner(image: Floats) -> Floats:
    """Return an image without the voxels at its border, but whole along axes of fewer than three voxels."""
    return image[tuple(slice(1, -1) if n >= 3 else slice(None) for n in image.shape)]


def rough_variance(image: Floats) -> float:
    """Estimate the variance of the noise in most of an image's voxels, the dark ones.

    Parameters
    ----------
    image : (z, y, x) float64
        The image.

    Returns
    -------
    float
        Variance, above 0.
    """
    detail = _finest(image)
    deviation = _MAD * float(np.median(np.abs(detail - np.median(detail))))
    least = 1e-6 * float(image.max() - image.min())
    return max(deviation, least) ** 2


def noise_model(residual: Floats, light: Floats) -> tuple[Floats, tuple[float, float]]:
    """Fit the variance a + b · light to the finest detail of a residual, which no misfit of the model reaches.

    Parameters
    ----------
    residual : (z, y, x) float64
        Image minus its model.
    light : (z, y, x) float64
        The model, background included.

    Returns
    -------
    variance : (z, y, x) float64
        Variance of the noise in each voxel.
    coefficients : (float, float)
        The variance where the light is least, and its growth per unit of light; both 0 or more.
    """
    squared = _finest(residual)
    above = np.maximum(light - float(light.min()), 0.0)
    floor = rough_variance(residual)
    inner = _inner(above).ravel()
    order, top = np.argsort(inner), float(inner.max())
    if top <= 0:
        return np.full_like(residual, floor), (floor, 0.0)
    edges = np.searchsorted(inner[order], top * np.linspace(0.0, 1.0, _BINS + 1) ** 1.5)
    rows, values, counts = [], [], []
    start = 0
    for end in edges[1:]:
        if end - start < _LEAST_IN_BIN:
            continue  # joined with the next bin
        part = order[start:end]
        detail = squared.ravel()[part]
        rows.append(inner[part].mean())
        values.append((_MAD * np.median(np.abs(detail - np.median(detail)))) ** 2)
        counts.append(end - start)
        start = end
    if len(rows) < 2:
        return np.full_like(residual, floor), (floor, 0.0)
    weight = np.sqrt(np.array(counts)) / np.maximum(values, 0.1 * floor)
    design = np.column_stack([np.ones(len(rows)), rows])
    (a, b), _ = nnls(design * weight[:, None], np.array(values) * weight)
    a = max(a, 0.1 * floor)
    return a + b * above, (float(a), float(b))
