"""How noisy an image is, by what a surface leaves unexplained, and what that lets the image tell of the surface."""

from __future__ import annotations

import numpy as np

from .._typing import Array
from ..image.band import Band
from ..mesh import geometry
from ..mesh.protocol import Mesh
from ..optics import PSF
from ..rendering import Renderer
from .constants import MOST_BAND_SHARE, TRANSFORM_ERROR_FACTOR
from .priors.strength import FisherInformation
from .problem import Problem
from .values import ImageFit

__all__ = ["fisher_information", "noise_variance"]


def noise_variance(problem: Problem, found: ImageFit, psf: PSF, blur: float) -> float:
    """Estimate the variance of white noise as strong as what a surface leaves unexplained, in the scaled unit.

    The residuals' power on the narrow band for each mode: noise outside of it says nothing about the shape, and a
    misfit, which is smooth, counts for more than its share of voxels. The rendering's own error comes on top.
    """
    return _unsure(problem) + _power(found.residual, found.weights, problem.at(psf, blur))


def fisher_information(problem: Problem, mesh: Mesh, psf: PSF) -> FisherInformation:
    """Estimate the Fisher information of the sharp image about a sheet stained as the surface is.

    What is left unexplained counts as noise. A flat sheet's slope across, squared and summed over the distance, is in
    the mean over its directions 2π times the PSF's square summed over space: a Gaussian of the same sum stands for the
    PSF.
    """
    found, renderer = problem.image_fit(mesh, psf), problem.at(psf)
    residual, gain, weights = found.residual, found.gain, found.weights
    total = float(weights.sum(dtype=np.float64))
    band, power = renderer.band, _power(residual, weights, renderer)
    square = float((band.kept_weights * np.abs(psf.otf_on(band)) ** 2).sum(dtype=np.float64)) / band.grid.volume
    sigma = (8.0 * np.pi**1.5 * square) ** (-1.0 / 3.0)
    areas = geometry.face_areas(mesh.vertices, mesh.faces)
    stained = float((np.asarray(mesh.density, dtype=np.float64) ** 2 * areas).sum() / areas.sum())
    shown = np.where(problem.region, found.rendered, 0).astype(np.float64) ** 2
    weighed = float((weights * shown).sum() / shown.sum()) * float(problem.region.sum()) / total
    noise = (_unsure(problem) + power) * float(np.prod(problem.volume.spacing))
    everywhere = float((residual**2).sum(dtype=np.float64)) / total
    return FisherInformation(gain**2 * stained * weighed / noise, sigma, _misfit(power, everywhere, band))


def _unsure(problem: Problem) -> float:
    """Variance that the transform's tolerance leaves open."""
    return (TRANSFORM_ERROR_FACTOR * problem.config.tolerance) ** 2


def _power(residual: Array, weights: Array, renderer: Renderer) -> float:
    """Power of a residual, for each voxel that counts, on the modes that the optics pass."""
    return renderer.power(residual) / float(weights.sum(dtype=np.float64))


def _misfit(inside: float, everywhere: float, band: Band) -> float:
    """Which part of a residual's power on a band exceeds that on the other modes, given both on all of them.

    All of it where the others are too few to tell.
    """
    part = float(band.kept_weights.sum(dtype=np.float64)) / band.grid.size
    if part > MOST_BAND_SHARE or inside <= 0:
        return 1.0
    outside = (everywhere - part * inside) / (1.0 - part)
    return float(np.clip(1.0 - outside / inside, 0.0, 1.0))
