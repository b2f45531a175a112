"""The normal matrix Jᵀ J of a fit, from inner products of changes of the modelled image."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import ndimage

from ..._typing import Array, Floats
from ...image.band import Band
from ...mesh.protocol import Mesh
from ...optics import PSF
from ..bodies.measures import Measure
from ..constants import LEAST_FREE_SHARE, MOST_BAND_SHARE, PSF_PARAMETER_STEP
from ..evaluations import ImageFit
from ..priors.staining import staining_slope
from ..problem import Problem
from .gram import SurfacePoints, optics_widths
from .inside import fill_whole_columns
from .residuals import residual_power

__all__ = ["ImageInformation", "Unknowns"]


@dataclasses.dataclass(frozen=True, eq=False)
class Unknowns:
    """The unknowns of a fit for which its errors are computed.

    Their order: modes of the position, modes of the staining, directions of the PSF's parameters, gain, background.

    Parameters
    ----------
    mesh : Mesh
        The surface, with its density.
    normals : (n_vertices, 3) float
        Unit normals, along which it moves.
    modes : (n_vertices, n_modes) float
        Modes of its position, µm, and, if `stain` is given, of its staining.
    stain : (n_vertices,) float or None
        Field of the staining; None if it was not fitted.
    psf : PSF
        The PSF.
    directions : (n_parameters, k) float
        Directions of its parameters that were fitted.
    """

    mesh: Mesh
    normals: Floats
    modes: Floats
    stain: Floats | None
    psf: PSF
    directions: Floats

    @property
    def n_surface(self) -> int:
        """Number of the unknowns of position and staining."""
        return int(self.modes.shape[1]) * (1 if self.stain is None else 2)

    @property
    def staining_modes(self) -> Floats | None:
        """Modes of the logarithm of the density, (n_vertices, n_modes); None if the staining was not fitted."""
        return None if self.stain is None else staining_slope(self.stain)[:, None] * self.modes

    def slope(self, measure: Measure) -> Floats:
        """Return the derivatives of a measure of the surface for the modes of its position, (n_modes,)."""
        found: Floats = self.modes.T @ (measure.gradient * self.normals).sum(axis=1)
        return found

    def surface_variances(self, covariance: Floats) -> Floats:
        """Return the variance of each vertex's position, (n_vertices,) µm², from a covariance of all unknowns."""
        n = self.modes.shape[1]
        found: Floats = np.maximum(((self.modes @ covariance[:n, :n]) * self.modes).sum(axis=1), 0.0)
        return found


class ImageInformation:
    """What the image says of the unknowns at the optimum of a fit, and how far its noise and misfit scatter that.

    All follows from correlations of the PSF with itself and with its changes (:class:`.SurfacePoints`).

    Parameters
    ----------
    problem : Problem
        Image, region and optics.
    unknowns : Unknowns
        The unknowns, n in all.
    image_fit : ImageFit
        Residuals, gain and weights of the surface.

    Attributes
    ----------
    information : (n, n) float64
        Jᵀ W J, with J the derivatives of the modelled image for the unknowns and W the voxels' weights.
    residual : ResidualPower
        Power of the residual.
    """

    def __init__(self, problem: Problem, unknowns: Unknowns, image_fit: ImageFit) -> None:
        psf = unknowns.psf
        self._problem, self._mesh, self._image_fit = problem, unknowns.mesh, image_fit
        self._renderer = problem.renderer(psf, problem.config.cutoff)
        band = self._renderer.band
        self.residual = residual_power(self._renderer, image_fit)
        self._otfs = [psf.otf_on(band), *_otf_changes(psf, unknowns.directions, band)]
        widths = optics_widths(band, np.abs(self._otfs[0]) ** 2)
        self._weights = _around_vertices(problem, unknowns.mesh, image_fit.weights, widths)
        self._points = SurfacePoints(
            unknowns.mesh, unknowns.normals, unknowns.modes, unknowns.staining_modes, np.sqrt(self._weights), widths
        )
        self._voxels = float(image_fit.weights.sum(dtype=np.float64))
        units = np.full(unknowns.n_surface + len(self._otfs) + 1, image_fit.gain)
        units[-2:] = 1.0  # gain and background by themselves
        self._scale = np.outer(units, units)
        matrix = self._points.normal_matrix(band, self._otfs, 1.0, self._voxels)
        self._filling: tuple[Floats, float] | None = None
        if unknowns.mesh.jump is not None:
            self._filling = fill_whole_columns(matrix, self._renderer, self._otfs[1:], problem, unknowns, image_fit)
        self.information: Floats = self._scale * _without_rounding(matrix)

    def filling_error(self, covariance: Floats, variance: float) -> float:
        """Return the standard error of the brightness inside over that of the mesh's jump, in the scaled unit.

        Parameters
        ----------
        covariance : (n, n) float
            Covariance of the unknowns.
        variance : float
            Variance of white noise, in the squared unit of the scaled image.
        """
        if self._filling is None:  # the gain of a body that is filled alone
            return float(np.sqrt(max(float(covariance[-2, -2]), 0.0)))
        column, square = self._filling
        column = column * np.sqrt(np.diag(self._scale)) / square
        return float(np.sqrt(max(variance / square + float(column @ covariance @ column), 0.0)))

    def scatter(self, absorbed: float) -> Floats:
        """Return Jᵀ W^½ Σ W^½ J, (n, n), with Σ the covariance of what the model left unexplained before it was fitted.

        Σ is the sum of white noise, which has the power that the residual has around each vertex beyond the optics'
        band, and of a smooth misfit: what exceeds that on the band, enlarged by what the fit has taken up.

        Parameters
        ----------
        absorbed : float
            Share of the data's degrees of freedom on the band that the fit has taken up, 0 to 1.
        """
        residual, band, otfs = self.residual, self._renderer.band, self._otfs
        if self._mesh.jump is not None:  # gain and PSF change the whole inside, so the power is taken as even
            return max(residual.mean_square / max(1.0 - absorbed, LEAST_FREE_SHARE), residual.white) * self.information
        white, inside = self._local_powers()
        misfit = np.maximum(inside / max(1.0 - absorbed, LEAST_FREE_SHARE) - white, 0.0)
        excess = max(residual.mean_square / max(1.0 - absorbed, LEAST_FREE_SHARE) - residual.white, 0.0)
        widths = optics_widths(band, np.abs(otfs[0]) ** 2 * residual.spectrum)
        noise = self._points.weighted(white).normal_matrix(band, otfs, 1.0, self._voxels, residual.white)
        smooth = self._points.weighted(misfit, widths).normal_matrix(
            band, otfs, residual.spectrum, self._voxels, excess
        )
        return self._scale * (noise + smooth)

    def _local_powers(self) -> tuple[Floats, Floats]:
        """Return the residual's power beyond and on the optics' band around every vertex, (n_vertices,) each.

        Power is averaged over the voxels that the vertex lights up, for each voxel and each mode.
        """
        renderer, image_fit, residual = self._renderer, self._image_fit, self.residual
        box = renderer.transform(image_fit.residual).astype(np.result_type(image_fit.residual, np.complex64))
        on_band = renderer.picture(box)[tuple(slice(0, n) for n in image_fit.residual.shape)]
        on_band = renderer.band.grid.voxel_volume * on_band
        inside, whole = (
            _around_vertices(self._problem, self._mesh, np.square(image, dtype=np.float64), self._points.widths)
            / np.maximum(self._weights, 1e-6)
            for image in (on_band, image_fit.residual)
        )
        part = residual.band_share
        white = (whole - inside) / (1.0 - part) if part < MOST_BAND_SHARE else np.zeros(len(inside))
        return np.maximum(white, 0.0), inside / part


def _without_rounding(matrix: Floats) -> Floats:
    """Return a matrix of inner products without the eigenvalues that are no larger than its error.

    Interpolation, and a region that cuts the image of the surface off, make eigenvalues negative. The lowest one tells
    how large such errors are; all that are below its size are raised to it.
    """
    size = np.sqrt(np.maximum(np.diag(matrix), 1e-300))
    values, vectors = np.linalg.eigh(matrix / np.outer(size, size))
    if values[0] >= 0:
        return matrix
    found: Floats = np.outer(size, size) * ((vectors * np.maximum(values, -values[0])) @ vectors.T)
    return found


def _otf_changes(psf: PSF, directions: Floats, band: Band) -> list[Array]:
    """Return the derivatives of a PSF's transform along directions of its parameters, by central differences."""
    changes = []
    for direction in directions.T:
        up, down = (psf.with_parameters(psf.parameters + s * PSF_PARAMETER_STEP * direction) for s in (1.0, -1.0))
        changes.append((up.otf_on(band) - down.otf_on(band)) / (2.0 * PSF_PARAMETER_STEP))
    return changes


def _around_vertices(problem: Problem, mesh: Mesh, image: Array, widths: Floats) -> Floats:
    """Average an image, (z, y, x), over the voxels that each vertex lights up, (n_vertices,).

    The mean is over a Gaussian as wide as the squared PSF (`widths` are √2 times the PSF's); voxels outside of the
    region's box count as 0.
    """
    smooth = ndimage.gaussian_filter(
        np.asarray(image, dtype=np.float64), 0.5 * widths / np.asarray(problem.grid.spacing), mode="constant"
    )
    index = problem.grid.to_index(np.asarray(mesh.vertices, dtype=np.float64))
    found: Floats = ndimage.map_coordinates(smooth, index.T, order=1, mode="constant")
    return np.maximum(found, 0.0)
