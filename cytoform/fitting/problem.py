"""The objective of a fit: a measured image, its region of interest, and the rendering of a mesh through the optics.

The mesh is only asked for vertices, faces and densities, so that any kind of mesh can be fitted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable
from functools import lru_cache
from typing import cast

import numpy as np
from scipy import ndimage

from .._typing import Array, Bools, Floats
from ..devices import to_host
from ..errors import VolumeError
from ..image.volume import Grid, Volume
from ..loss import best_affine, huber_weights, signal_weights
from ..mesh.protocol import Mesh
from ..optics import PSF
from ..rendering import Renderer, Target
from .checks import check_region
from .config import FitConfig
from .constants import LOOSEST_TOLERANCE, PSF_CUTOFF, TOLERANCE_OF_NOISE
from .evaluations import ImageFit, PauseEvaluation, PSFLoss, ShapeLoss
from .neighbours import estimate_neighbour_light
from .scene import typical_voxel

__all__ = ["Problem", "padding_for"]


class Problem:
    """Image, region of interest and optics of one fit, in the fit's working precision.

    The image is cut to the box of the region of interest; the rendering is padded for the PSF, so that nothing wraps
    around. Intensities are scaled such that the 1st and 99.8th percentile in the region are 0 and 1; gains and
    backgrounds are in this scaled unit.

    Parameters
    ----------
    volume : Volume
        The image.
    region : (z, y, x) bool
        Region of interest: voxels that enter the loss.
    padding : (3,) float
        Padding of the rendering around the region's box on each axis, µm (:func:`padding_for`).
    config : FitConfig
        Settings of the fit.
    neighbours : (z, y, x) bool, optional
        Bright voxels of neighbours. They are replaced by the dark level before the image is blurred, so that their
        light does not leak into the region.

    Raises
    ------
    FitError
        If the region has another shape than the image, or is empty.
    VolumeError
        If the image is constant in it.
    """

    def __init__(
        self,
        volume: Volume,
        region: Bools,
        padding: tuple[float, float, float],
        config: FitConfig,
        neighbours: Bools | None = None,
    ) -> None:
        check_region(region, volume)
        self.volume, self.config = volume, config
        self.dtype = np.dtype(config.dtype)
        self.voxel = typical_voxel(volume.spacing)
        where = np.argwhere(region)
        start, stop = where.min(axis=0), where.max(axis=0) + 1
        self.slices = tuple(slice(int(a), int(b)) for a, b in zip(start, stop))
        self.region = np.ascontiguousarray(region[self.slices])
        self.grid = volume.grid.crop(start, stop)
        self.padded: Grid = self.grid.padded(padding)
        self._box = tuple(slice(0, n) for n in self.grid.shape)  # the region's, in a rendering
        self.image = np.asarray(volume.data, dtype=self.dtype)
        inside = self.image[self.slices][self.region]
        low, high = np.percentile(inside, (1.0, 99.8))
        if not high > low:
            raise VolumeError(f"every voxel of the region of interest is {low:g}; expected an image of a cell.")
        self.offset, self.scale = float(low), float(high - low)
        self._image_without_neighbours = (
            self.image if neighbours is None else np.where(neighbours, self.dtype.type(low), self.image)
        )
        self._transform, self.tolerance = config.backend, config.tolerance
        self._light: Array | None = None  # of neighbours, in the unblurred image
        self._reweighted_target: Target | None = None  # the unblurred image with weights of residuals
        self._psf_weights = self.region.astype(self.dtype)
        self._observed = lru_cache(maxsize=4)(self.scaled_image)
        self._blurred = lru_cache(maxsize=2)(self._target_at)
        self._psf_target = lru_cache(maxsize=1)(lambda: Target(self._sharp_image(), self._psf_weights))
        self._narrow_band = lru_cache(maxsize=2)(self._new_shape_renderer)  # an unchanged PSF is the same object
        self._with_transform = lru_cache(maxsize=2)(
            lambda psf, blur: self._narrow_band(psf, blur).with_backend(self._transform)
        )

    def update_at_pause(
        self,
        mesh: Mesh,
        psf: PSF,
        blur: float = 0.0,
        *,
        transform: str = "",
        emission_mask: Bools | None = None,
        reweight_at: Mesh | None = None,
    ) -> PauseEvaluation:
        """Compute at a mesh what stays fixed until the next pause; replaces what was computed before.

        It is the transform that renders meshes near this one, the light of neighbours, which is subtracted from the
        unblurred image, and the weights of residuals if the settings have a camera or a robust loss.

        Parameters
        ----------
        mesh : Mesh
            In the fit's working precision.
        psf : PSF
            Present PSF.
        blur : float
            σ of the stage's blur, voxels.
        transform : "exact", "nufft" or ""
            Transform that an earlier pause chose; with "" it is chosen at this mesh, as ``config.backend`` allows.
        emission_mask : (z, y, x) bool, optional
            Voxels of the whole image that light of neighbours may come from; by default none is modelled.
        reweight_at : Mesh, optional
            Mesh at whose residuals the weights of a camera or a robust loss are computed; by default they are not.
        """
        if emission_mask is not None or self._light is not None or self._reweighted_target is not None:
            self._blurred.cache_clear()
            self._psf_target.cache_clear()
        self._transform, self._light, self._reweighted_target = transform or self.config.backend, None, None
        self._with_transform.cache_clear()
        self._set_tolerance(self.config.tolerance)
        prepared = self.shape_renderer(psf, blur).prepared(mesh)
        rendered = self.shape_renderer(psf, blur).image(prepared.forward())[self._box]
        self._transform = prepared.backend
        self._with_transform.cache_clear()
        if emission_mask is not None:
            weights = self.region.astype(self.dtype)
            self._light = estimate_neighbour_light(
                self.shape_renderer(psf), rendered, self._observed(0.0), weights, emission_mask[self.slices]
            )
        if reweight_at is not None and (self.config.robust is not None or self.config.camera is not None):
            self._reweighted_target = self._reweighted(
                rendered if reweight_at is mesh else self.shape_renderer(psf).render(reweight_at)[self._box]
            )
        image_fit = self._image_fit(rendered, blur)
        root = float(np.sqrt((image_fit.residual**2).sum(dtype=np.float64) / image_fit.weights.sum(dtype=np.float64)))
        loosest = LOOSEST_TOLERANCE * self.config.tolerance
        self._set_tolerance(
            loosest if blur > 0 else float(np.clip(TOLERANCE_OF_NOISE * root, self.config.tolerance, loosest))
        )
        return PauseEvaluation(self._transform, image_fit)

    def _set_tolerance(self, tolerance: float) -> None:
        """Set the tolerance of the transform for shape steps until the next pause."""
        if tolerance != self.tolerance:
            self.tolerance = tolerance
            self._narrow_band.cache_clear()
            self._with_transform.cache_clear()

    def scaled_image(self, blur: float = 0.0) -> Array:
        """Return the scaled image in the region's box, (z, y, x), blurred by a Gaussian of σ `blur` in voxels."""
        image = (self._image_without_neighbours - self.dtype.type(self.offset)) / self.dtype.type(self.scale)
        if blur > 0:
            image = ndimage.gaussian_filter(image, blur * self.voxel / np.asarray(self.volume.spacing), mode="nearest")
        return np.ascontiguousarray(image[self.slices])

    def _target_at(self, blur: float) -> Target:
        """Return the scaled image, blurred by σ `blur` in voxels, with the weights of its brightness.

        The light of neighbours is subtracted from the unblurred image only.
        """
        return Target(self._observed(blur) if blur > 0 else self._sharp_image(), self._signal_weights(blur))

    def _sharp_image(self) -> Array:
        """Return the scaled, unblurred image in the region's box less the light of neighbours, (z, y, x)."""
        return self._observed(0.0) if self._light is None else self._observed(0.0) - self._light

    def target(self, blur: float = 0.0) -> Target:
        """Return the image to fit, blurred by σ `blur` in voxels, with the weights of its voxels.

        For the unblurred image these are the weights of residuals of the last pause, if there are any.
        """
        return self._reweighted_target if self._reweighted_target is not None and blur == 0 else self._blurred(blur)

    def _signal_weights(self, blur: float) -> Array:
        """Return the weights of the region's voxels by brightness, (z, y, x); 0 outside of the region.

        They rise with the image, blurred by σ `blur` in voxels, from ``config.weight_floor`` at its 5th percentile to 1
        at its maximum.
        """
        observed = self._observed(blur)
        dark = float(np.percentile(observed[self.region], 5.0))
        weights = signal_weights(np.where(self.region, observed, dark), dark, floor=self.config.weight_floor)
        return np.where(self.region, weights, 0).astype(self.dtype)

    def _reweighted(self, rendered: Array) -> Target:
        """Return the unblurred image, less the light of neighbours, with new weights of its voxels.

        Gain and background are fitted first, so that gain · `rendered` + background is near the image. The weights are
        those of brightness (all 1 by default). With a camera in the settings they are multiplied by 1 / variance of the
        counts that the model predicts, relative to its mean over the region; repeated least squares with such weights
        converge to the maximum of the likelihood if the weights of brightness are 1. The PSF is fitted with these
        products, too. A robust loss then multiplies the weights by those of Huber's loss, small where the residual is
        large; not those of the PSF's fit.

        Parameters
        ----------
        rendered : (z, y, x) float
            Rendering of the mesh in the region's box, before gain and background.
        """
        observed, camera = self._sharp_image(), self.config.camera
        weights = self._signal_weights(0.0)
        gain, background = best_affine(rendered, observed, weights)
        model = gain * rendered + background
        if camera is not None:
            light = 0.0 if self._light is None else self._light
            precision = camera.weights((model + light) * self.scale + self.offset)
            weights = (weights * precision / precision[self.region].mean()).astype(self.dtype)
            self._psf_weights = weights
            self._psf_target.cache_clear()
        if self.config.robust is not None:
            residual = np.where(self.region, np.sqrt(weights) * (observed - model), 0)
            weights = weights * huber_weights(residual, self.region, self.config.robust).astype(self.dtype)
        return Target(observed, weights)

    def renderer(self, psf: PSF, cutoff: float, grid: Grid | None = None) -> Renderer:
        """Make a renderer of a PSF on the modes where its OTF exceeds `cutoff` of its maximum.

        `grid` is the padded grid of the region's box by default.
        """
        config = self.config
        return Renderer(
            psf,
            psf.band(self.padded if grid is None else grid, cutoff),
            config.backend,
            config.device,
            config.tolerance,
            deterministic=config.deterministic,
        )

    def shape_renderer(self, psf: PSF, blur: float = 0.0) -> Renderer:
        """Return the renderer of shape steps: a PSF, blurred by σ `blur` in voxels, on its narrow band.

        The last two renderers are kept. Their transform is the one that the last pause chose.
        """
        return self._with_transform(cast("Hashable", psf), blur)

    def _new_shape_renderer(self, psf: PSF, blur: float) -> Renderer:
        """Make the renderer of shape steps, its transform still open; `blur` is σ in voxels."""
        blurred = psf.blurred(blur * self.voxel) if blur > 0 else psf
        return dataclasses.replace(self.renderer(blurred, self.config.cutoff), tolerance=self.tolerance)

    def shape_loss(self, mesh: Mesh, psf: PSF, blur: float) -> ShapeLoss:
        """Compute the weighted L2 loss of a mesh and its gradient on the narrow band, at the best gain and background.

        `mesh` is in the working precision; `blur` is the σ of the stage's blur in voxels.
        """
        renderer = self.shape_renderer(psf, blur)
        found = renderer.loss_of(renderer.prepared(mesh), self.target(blur))
        vertices, density = (np.asarray(g, dtype=np.float64) for g in (found.mesh.vertices, found.mesh.density))
        return ShapeLoss(found.value, vertices, density, found.gain, found.background, found.filling)

    def image_fit(self, mesh: Mesh, psf: PSF, blur: float = 0.0) -> ImageFit:
        """Render a mesh, fit gain and background to the image, and return rendering and residuals.

        The mesh is in the working precision; image and PSF are blurred by σ `blur` in voxels.
        """
        return self._image_fit(self.shape_renderer(psf, blur).render(mesh)[self._box], blur)

    def _image_fit(self, rendered: Array, blur: float) -> ImageFit:
        """Fit gain and background of a rendering in the region's box to the image blurred by σ `blur` in voxels."""
        target = self.target(blur)
        gain, background = best_affine(rendered, target.observed, target.weights)
        model: Array = gain * rendered + background
        residual = np.sqrt(target.weights) * (target.observed - model)
        return ImageFit(rendered, residual.astype(self.dtype), gain, target.weights)

    def psf_spectrum(self, mesh: Mesh, psf: PSF) -> tuple[Renderer, Array]:
        """Compute a mesh's spectrum, before the optics, for PSF steps; returns it with the renderer of its band.

        The band consists of the modes where the OTF of `psf` exceeds PSF_CUTOFF of its maximum.
        """
        renderer = self.renderer(psf, PSF_CUTOFF)
        return renderer, to_host(renderer.prepared(mesh, behind_optics=False).forward())

    def psf_loss(self, renderer: Renderer, spectrum: Array, psf: PSF) -> PSFLoss:
        """Compute the L2 loss at a PSF on the unblurred image, with its gradient, from a mesh's :meth:`psf_spectrum`.

        The voxels of the region have equal weights, or those of a camera.
        """
        target = self._psf_target()
        found = renderer.with_psf(psf).psf_least_squares(spectrum, target)
        spread = max(target.variance / target.total, 1e-30)
        return PSFLoss(found.value, found.psf, found.gain, found.background, 1.0 - found.value / spread)

    def psf_gradient(self, mesh: Mesh, psf: PSF, blur: float) -> Floats:
        """Compute the gradient of :meth:`shape_loss` for the PSF's parameters, (n_parameters,)."""
        renderer = self.shape_renderer(psf, blur)
        spectrum = to_host(renderer.prepared(mesh).forward())
        return renderer.psf_least_squares(spectrum, self.target(blur)).psf

    def raw_intensity(self, gain: float, background: float) -> tuple[float, float]:
        """Convert gain and background from the scaled unit to the image's own intensities; return both."""
        return gain * self.scale, background * self.scale + self.offset


def padding_for(points: Array, psf: PSF, region: Bools, grid: Grid) -> tuple[float, float, float]:
    """Return the padding that a rendering needs on each axis around a region's box, µm, so that nothing wraps into it.

    It is 1.25 times the PSF's extent (at least 6 voxels), as the PSF may grow, plus how far the mesh extends beyond the
    box.

    Parameters
    ----------
    points : (n, 3) float
        Vertices of the mesh, µm.
    psf : PSF
        Its extent is ``psf.reach()``.
    region : (z, y, x) bool
        Region of interest in the whole image.
    grid : Grid
        Grid of the image.
    """
    where = np.argwhere(region)
    box = grid.crop(where.min(axis=0), where.max(axis=0) + 1)
    spare = np.maximum(1.25 * np.asarray(psf.reach()), 6.0 * np.asarray(grid.spacing))
    z, y, x = spare + box.overhang(points)
    return float(z), float(y), float(x)
