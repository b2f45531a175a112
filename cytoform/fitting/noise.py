"""Estimate the noise of an image from a fit's residuals, and the Fisher information of the image on the surface."""

from __future__ import annotations

import numpy as np

from .._typing import Array
from ..image.band import Band
from ..mesh import geometry
from ..mesh.protocol import Mesh
from ..optics import PSF
from ..rendering import Renderer
from .constants import MOST_BAND_SHARE, TRANSFORM_ERROR_FACTOR
from .evaluations import ImageFit
from .priors.strength import FisherInformation
from .problem import Problem

__all__ = ["fisher_information", "noise_variance"]


def noise_variance(problem: Problem, image_fit: ImageFit, psf: PSF, blur: float) -> float:
    """Estimate the variance of white noise that disturbs a surface as much as the residuals do.

    It has as much power as the residuals, weighted over the modes by the image's sensitivity |ĥ|² |ξ|⁴ to bends of the
    surface (ξ in units of the band). Noise outside of the optics' band then says nothing about the shape, and a misfit,
    which is smooth, counts for more than its share of voxels; for white noise the weights do not matter. The variance
    of the rendering's own error is added.

    Parameters
    ----------
    problem : Problem
        Image and settings.
    image_fit : ImageFit
        Residuals of the surface.
    psf : PSF
        Present PSF.
    blur : float
        σ of the stage's blur, voxels.

    Returns
    -------
    float
        Variance for each voxel, in the squared unit of the scaled image.
    """
    renderer = problem.shape_renderer(psf, blur)
    band = renderer.band
    sensitivity = np.abs(renderer.psf.otf_on(band)) ** 2 * band.scatter(band.radii**4)
    total = float(image_fit.weights.sum(dtype=np.float64))
    return _transform_variance(problem) + renderer.power(image_fit.residual, sensitivity) / total


def fisher_information(problem: Problem, mesh: Mesh, psf: PSF) -> FisherInformation:
    """Estimate the Fisher information per µm² of the unblurred image on a flat sheet stained as the surface is.

    All residuals count as noise. A sheet's squared derivative along its normal, summed over the distance from it, is in
    the mean over its directions 2π times the integral of the squared PSF; a Gaussian with the same integral stands for
    the PSF.

    Parameters
    ----------
    problem : Problem
        Image and settings.
    mesh : Mesh
        The surface, in the working precision.
    psf : PSF
        Present PSF.
    """
    image_fit, renderer = problem.image_fit(mesh, psf), problem.shape_renderer(psf)
    residual, gain, weights = image_fit.residual, image_fit.gain, image_fit.weights
    total = float(weights.sum(dtype=np.float64))
    band, power = renderer.band, _band_power(residual, weights, renderer)
    square = float((band.kept_weights * np.abs(psf.otf_on(band)) ** 2).sum(dtype=np.float64)) / band.grid.volume
    sigma = (8.0 * np.pi**1.5 * square) ** (-1.0 / 3.0)
    areas = geometry.face_areas(mesh.vertices, mesh.faces)
    density_square, jump_square = (
        0.0 if values is None else float((np.asarray(values, dtype=np.float64) ** 2 * areas).sum() / areas.sum())
        for values in (mesh.density, mesh.jump)
    )
    squared_image = np.where(problem.region, image_fit.rendered, 0).astype(np.float64) ** 2
    mean_weight = float((weights * squared_image).sum() / squared_image.sum()) * float(problem.region.sum()) / total
    noise = (_transform_variance(problem) + power) * float(np.prod(problem.volume.spacing))
    everywhere = float((residual**2).sum(dtype=np.float64)) / total
    scale = gain**2 * mean_weight / noise
    return FisherInformation(scale * density_square, sigma, _misfit_share(power, everywhere, band), scale * jump_square)


def _transform_variance(problem: Problem) -> float:
    """Return the variance of the rendering's own error, which the transform's tolerance allows, in the scaled unit."""
    return (TRANSFORM_ERROR_FACTOR * problem.tolerance) ** 2


def _band_power(residual: Array, weights: Array, renderer: Renderer) -> float:
    """Return the power of a residual, (z, y, x), on the renderer's band, per unit of the voxels' total weight."""
    return renderer.power(residual) / float(weights.sum(dtype=np.float64))


def _misfit_share(inside: float, everywhere: float, band: Band) -> float:
    """Return the share, 0 to 1, of a residual's power on a band that exceeds white noise.

    White noise is taken to have, for each mode, the power that the residual has outside of the band. If the band has
    more than MOST_BAND_SHARE of all modes, too few are left to tell, and the share is 1.

    Parameters
    ----------
    inside : float
        Power for each mode on the band.
    everywhere : float
        Power for each mode on all modes.
    band : Band
        The band.
    """
    part = float(band.kept_weights.sum(dtype=np.float64)) / band.grid.size
    if part > MOST_BAND_SHARE or inside <= 0:
        return 1.0
    outside = (everywhere - part * inside) / (1.0 - part)
    return float(np.clip(1.0 - outside / inside, 0.0, 1.0))
