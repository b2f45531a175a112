"""What a fit minimises: a measured image, the voxels that count, and the rendering of an iterate.

Nothing here knows what kind of mesh is moved: only vertices, faces, densities and a renderer.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import ndimage

from .._typing import Array, Bools
from ..devices import to_host
from ..errors import VolumeError
from ..image.volume import Grid, Volume
from ..loss import best_affine, huber_weights, signal_weights
from ..mesh import geometry
from ..mesh.protocol import Mesh
from ..optics import PSF
from ..rendering import Renderer, Target
from .checks import check_region
from .config import FitConfig
from .constants import PSF_CUTOFF
from .neighbours import estimate_neighbour_light
from .scene import typical_voxel
from .values import FinalModel, Frozen, ImageFit, PsfStep, ShapeStep

__all__ = ["Problem", "padding_for"]


class Problem:
    """Image, region of interest and optics of one fit, in the fit's working precision.

    The image is cut to the region of interest; the rendering has room around it for the PSF, so that nothing wraps
    around. Intensities are scaled to a contrast of about 1 inside, gains and backgrounds are in the scaled unit.

    Parameters
    ----------
    volume : Volume
    region : (z, y, x) bool
        Voxels that count.
    padding : (3,) float
        Room around the region for the PSF, µm: what it reaches.
    config : FitConfig
    neighbours : (z, y, x) bool, optional
        Bright voxels of neighbours. Their light is taken away before an image is blurred, so that it does not leak
        into the region.
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
        self._whole = np.asarray(volume.data, dtype=self.dtype)
        inside = self._whole[self.slices][self.region]
        low, high = np.percentile(inside, (1.0, 99.8))
        if not high > low:
            raise VolumeError(f"every voxel of the region of interest is {low:g}; expected an image of a cell.")
        self.offset, self.scale = float(low), float(high - low)
        self._clean = self._whole if neighbours is None else np.where(neighbours, self.dtype.type(low), self._whole)
        self._transform = config.backend
        self._light: Array | None = None  # of neighbours, in the sharp image
        self._given: Target | None = None  # the sharp image with other weights
        self._plain_weights = self.region.astype(self.dtype)
        self._observed = lru_cache(maxsize=4)(self._observe)
        self._blurred = lru_cache(maxsize=2)(self._target_at)
        self._plain = lru_cache(maxsize=1)(lambda: Target(self._sharp(), self._plain_weights))
        self._narrow = lru_cache(maxsize=2)(self._optics)  # a PSF that stays is the same object
        self._with_transform = lru_cache(maxsize=2)(
            lambda psf, blur: self._narrow(psf, blur).with_backend(self._transform)
        )

    def freeze(
        self,
        mesh: Mesh,
        psf: PSF,
        blur: float = 0.0,
        *,
        transform: str = "",
        emission_mask: Bools | None = None,
        weigh_at: Mesh | None = None,
    ) -> Frozen:
        """Hold what stays the same until the next pause as it is at a surface; what was held before is forgotten.

        Which transform renders meshes near this one (``backend="auto"``); the light of neighbours, which is taken off
        the sharp image; and the weights of residuals, where the settings have a camera or a robust loss.

        Parameters
        ----------
        mesh : Mesh
            In the fit's working precision.
        psf : PSF
        blur : float
            Of the stage, σ in voxels.
        transform : "exact" or "nufft", optional
            As it was chosen before; chosen here by default.
        emission_mask : (z, y, x) bool, optional
            Voxels of the whole image that neighbours' light may come from; by default none is modelled.
        weigh_at : Mesh, optional
            The surface whose residuals tell weights; by default residuals weigh by the settings alone.
        """
        if emission_mask is not None or self._light is not None or self._given is not None:
            self._blurred.cache_clear()
            self._plain.cache_clear()
        self._transform, self._light, self._given = transform or self.config.backend, None, None
        self._with_transform.cache_clear()
        here = self.at(psf, blur).prepared(mesh)
        rendered = self.at(psf, blur).image(here.forward())[self._box]
        self._transform = here.backend
        self._with_transform.cache_clear()
        if emission_mask is not None:
            weights = self.region.astype(self.dtype)
            self._light = estimate_neighbour_light(
                self.at(psf), rendered, self._observed(0.0), weights, emission_mask[self.slices]
            )
        if weigh_at is not None and (self.config.robust is not None or self.config.camera is not None):
            self._given = self._reweighed(rendered if weigh_at is mesh else self.at(psf).render(weigh_at)[self._box])
        return Frozen(self._transform, self._image_fit(rendered, blur))

    def _observe(self, blur: float) -> Array:
        """The image in the region's box, scaled and blurred by a σ in voxels."""
        image = (self._clean - self.dtype.type(self.offset)) / self.dtype.type(self.scale)
        if blur > 0:
            image = ndimage.gaussian_filter(image, blur * self.voxel / np.asarray(self.volume.spacing), mode="nearest")
        return np.ascontiguousarray(image[self.slices])

    def _target_at(self, blur: float) -> Target:
        return Target(self._observed(blur) if blur > 0 else self._sharp(), self._weigh(blur))

    def _sharp(self) -> Array:
        """The image that is not blurred, without the light of neighbours."""
        return self._observed(0.0) if self._light is None else self._observed(0.0) - self._light

    def target(self, blur: float = 0.0) -> Target:
        """Return the image that is fitted, blurred by a σ in voxels, with the weights of its voxels."""
        return self._given if self._given is not None and blur == 0 else self._blurred(blur)

    def _weigh(self, blur: float) -> Array:
        observed = self._observed(blur)
        dark = float(np.percentile(observed[self.region], 5.0))
        weights = signal_weights(np.where(self.region, observed, dark), dark, floor=self.config.weight_floor)
        return np.where(self.region, weights, 0).astype(self.dtype)

    def _reweighed(self, rendered: Array) -> Target:
        """The sharp image with weights of residuals as they are at a surface, by its rendering.

        A camera gives each voxel one over its variance where the model is right (so that repeated least squares come
        to the maximum of its likelihood), a robust loss those of Huber's.
        """
        observed, camera = self._sharp(), self.config.camera
        weights = self._weigh(0.0)
        gain, background = best_affine(rendered, observed, weights)
        model = gain * rendered + background
        if camera is not None:
            light = 0.0 if self._light is None else self._light
            certain = camera.weights((model + light) * self.scale + self.offset)
            weights = (weights * certain / certain[self.region].mean()).astype(self.dtype)
            self._plain_weights = weights
            self._plain.cache_clear()
        if self.config.robust is not None:
            residual = np.where(self.region, np.sqrt(weights) * (observed - model), 0)
            weights = weights * huber_weights(residual, self.region, self.config.robust).astype(self.dtype)
        return Target(observed, weights)

    def renderer(self, psf: PSF, cutoff: float, grid: Grid | None = None) -> Renderer:
        """Make a renderer for the optics at a point of the fit."""
        config = self.config
        return Renderer(
            psf,
            psf.band(self.padded if grid is None else grid, cutoff),
            config.backend,
            config.device,
            config.tolerance,
            deterministic=config.deterministic,
        )

    def at(self, psf: PSF, blur: float = 0.0) -> Renderer:
        """Return the renderer of shape steps: the narrow band of a PSF on an image blurred by a σ in voxels."""
        return self._with_transform(psf, blur)

    def _optics(self, psf: PSF, blur: float) -> Renderer:
        return self.renderer(psf.blurred(blur * self.voxel) if blur > 0 else psf, self.config.cutoff)

    def shape_step(self, mesh: Mesh, psf: PSF, blur: float) -> ShapeStep:
        """Compute the weighted L2 loss on the narrow band, with gain and background at their best."""
        renderer = self.at(psf, blur)
        found = renderer.loss_of(renderer.prepared(mesh), self.target(blur))
        vertices, density = (np.asarray(g, dtype=np.float64) for g in (found.mesh.vertices, found.mesh.density))
        return ShapeStep(found.value, vertices, density, found.gain, found.background)

    def image_fit(self, mesh: Mesh, psf: PSF, blur: float = 0.0) -> ImageFit:
        """Compute what a surface explains of the image, and what is left over."""
        return self._image_fit(self.at(psf, blur).render(mesh)[self._box], blur)

    def _image_fit(self, rendered: Array, blur: float) -> ImageFit:
        target = self.target(blur)
        gain, background = best_affine(rendered, target.observed, target.weights)
        residual = np.sqrt(target.weights) * (target.observed - (gain * rendered + background))
        return ImageFit(rendered, residual.astype(self.dtype), gain, target.weights)

    def psf_spectrum(self, mesh: Mesh, psf: PSF) -> tuple[Renderer, Array]:
        """Compute the mesh's spectrum for steps of the PSF around `psf`, on the modes above a thousandth of its OTF."""
        renderer = self.renderer(psf, PSF_CUTOFF)
        return renderer, to_host(renderer.prepared(mesh, behind_optics=False).forward())

    def psf_step(self, renderer: Renderer, spectrum: Array, psf: PSF) -> PsfStep:
        """Compute the plain L2 loss of a PSF, given the spectrum of the mesh."""
        target = self._plain()
        found = renderer.with_psf(psf).psf_least_squares(spectrum, target)
        spread = max(target.variance / target.total, 1e-30)
        return PsfStep(found.value, found.psf, found.gain, found.background, 1.0 - found.value / spread)

    def raw_intensity(self, gain: float, background: float) -> tuple[float, float]:
        """Convert gain and background to the image's own intensities."""
        return gain * self.scale, background * self.scale + self.offset

    def final_model(self, mesh: Mesh, psf: PSF, emission_mask: Bools | None = None) -> FinalModel:
        """Render the cell and estimate the light of neighbours on the whole image.

        `sources` are voxels of neighbours, (z, y, x) bool; without them there is no such light.
        """
        grid, dtype = self.volume.grid, self.dtype
        padding = np.asarray(psf.reach()) + grid.overhang(geometry.used_points(mesh.vertices, mesh.faces))
        renderer = self.renderer(psf, PSF_CUTOFF, grid.padded(tuple(padding)))
        spectrum = renderer.prepared(mesh, behind_optics=False).forward()
        rendered = renderer.image(spectrum)[tuple(slice(0, n) for n in grid.shape)]
        light, observed = None, self._whole
        if emission_mask is not None and emission_mask.any():
            weights = np.zeros(grid.shape, dtype=dtype)
            weights[self.slices] = self.region
            scaled = (observed - dtype.type(self.offset)) / dtype.type(self.scale)
            light = (self.scale * estimate_neighbour_light(renderer, rendered, scaled, weights, emission_mask)).astype(
                np.float32
            )
            observed = observed - light
        gain, background = best_affine(rendered[self.slices][self.region], observed[self.slices][self.region])
        return FinalModel((gain * rendered + background).astype(np.float32), light, gain, background)


def padding_for(points: Array, psf: PSF, region: Bools, grid: Grid) -> tuple[float, float, float]:
    """Work out the room that a rendering needs around a region's box, µm, so that nothing wraps around into it.

    The PSF's reach, with something to spare for its growth, and what sticks out of the box at either end.

    Parameters
    ----------
    points : (n, 3) float
        Of the mesh, µm.
    psf : PSF
    region : (z, y, x) bool
        Of the whole image.
    grid : Grid
        The image's.
    """
    where = np.argwhere(region)
    box = grid.crop(where.min(axis=0), where.max(axis=0) + 1)
    spare = np.maximum(1.25 * np.asarray(psf.reach()), 6.0 * np.asarray(grid.spacing))
    z, y, x = spare + box.overhang(points)
    return float(z), float(y), float(x)
