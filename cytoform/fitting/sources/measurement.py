"""A measured image with its noise, background and optics, and the rendering of sources of light in it."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from ..._typing import Array, Complex, Floats
from ...errors import VolumeError
from ...image.volume import Grid, Volume
from ...mesh.simplices import Simplices
from ...optics import PSF
from ...optics.gaussian import FWHM_PER_SIGMA
from ...rendering import Renderer

__all__ = ["Measurement", "psf_widths"]

_CUTOFF = 1e-4  # modes at which the OTF is smaller are not rendered
_TOLERANCE = 1e-5  # relative error allowed to a rendering


def psf_widths(psf: PSF) -> Floats:
    """Return the standard deviations along (z, y, x) of the Gaussian that has a PSF's widths at half maximum.

    Parameters
    ----------
    psf : PSF
        The point spread function.

    Returns
    -------
    (3,) float64
        µm.
    """
    return np.asarray(psf.fwhm, dtype=np.float64) / FWHM_PER_SIGMA


@dataclasses.dataclass(frozen=True, eq=False)
class Measurement:
    """An image, the variance of its noise, its background, and the PSF: all that a model of sources is compared with.

    Parameters
    ----------
    image : (z, y, x) float64
        Measured intensities.
    grid : Grid
        Grid of the image.
    psf : PSF
        Point spread function.
    variance : (z, y, x) float64
        Variance of the noise in each voxel.
    background : (z, y, x) float64
        Intensity without any source.
    """

    image: Floats
    grid: Grid
    psf: PSF
    variance: Floats
    background: Floats

    @classmethod
    def from_volume(cls, volume: Volume, psf: PSF) -> Measurement:
        """Make a measurement of an image, with unit variance and its median as background.

        Parameters
        ----------
        volume : Volume
            The image.
        psf : PSF
            Point spread function.

        Returns
        -------
        Measurement
            To be completed by estimates of noise and background.

        Raises
        ------
        VolumeError
            When all voxels have one value.
        """
        image = np.asarray(volume.data, dtype=np.float64)
        if image.min() == image.max():
            raise VolumeError(
                f"the image is constant: all its voxels are {image.flat[0]:g}; expected sources of light in it.",
                remedy="Choose another channel or time point, or check how it was exported.",
            )
        level = np.full_like(image, np.median(image))
        return cls(image, volume.grid, psf, np.ones_like(image), level)

    @functools.cached_property
    def sigma(self) -> Floats:
        """Widths of the PSF as standard deviations along (z, y, x), µm, (3,)."""
        return psf_widths(self.psf)

    @functools.cached_property
    def weights(self) -> Floats:
        """Reciprocal of the variance, (z, y, x)."""
        return 1.0 / self.variance

    @functools.cached_property
    def renderer(self) -> Renderer:
        """The renderer on the image's grid, padded so that no blurred light wraps around."""
        margin = 2.0 * np.asarray(self.psf.reach())
        grid = self.grid.padded(tuple(margin))
        return Renderer(self.psf, self.psf.band(grid, _CUTOFF), device="cpu", tolerance=_TOLERANCE)

    def crop(self, image: Array) -> Floats:
        """Return the part of an image on the renderer's grid that was measured, (z, y, x) float64."""
        part: Floats = np.ascontiguousarray(image[tuple(slice(n) for n in self.grid.shape)], dtype=np.float64)
        return part

    def render(self, sources: Simplices | None) -> Floats:
        """Return the image of sources of light, without background, (z, y, x); 0 where there are none (None)."""
        if sources is None:
            return np.zeros(self.grid.shape)
        return self.crop(self.renderer.render(sources))

    def blur(self, image: Floats, *, adjoint: bool = True) -> Floats:
        """Return an image convolved with the PSF, or correlated with it (`adjoint`), (z, y, x)."""
        return self.crop(self.renderer.blur(image, adjoint=adjoint))

    @functools.cached_property
    def squared(self) -> Complex:
        """The squared PSF as an OTF on all modes of the renderer's grid, in ``rfftn`` layout, 1/µm³ at frequency 0."""
        grid = self.renderer.band.grid
        box = self.renderer.band.expand(self.renderer._otf_on_host)
        peak = np.fft.irfftn(box, grid.shape, axes=(0, 1, 2)) / grid.voxel_volume
        found: Complex = np.fft.rfftn(peak**2) * grid.voxel_volume
        return found

    def blur_squared(self, image: Floats) -> Floats:
        """Return an image correlated with the squared PSF, (z, y, x): Σ_n image_n h(x_n - x)² · voxel volume."""
        grid = self.renderer.band.grid
        whole = np.zeros(grid.shape)
        whole[tuple(slice(n) for n in image.shape)] = image
        return self.crop(np.fft.irfftn(np.fft.rfftn(whole) * self.squared.conj(), grid.shape, axes=(0, 1, 2)))

    def replace(self, **changes: object) -> Measurement:
        """Return a measurement with other fields."""
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]
