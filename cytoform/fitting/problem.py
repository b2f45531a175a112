"""What a fit minimises: a measured image, the voxels that count, and the rendering of an iterate.

Nothing here knows what kind of mesh is moved: only vertices, faces, densities and a renderer.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..errors import FitError, VolumeError
from ..image.band import Band
from ..image.volume import Grid, Volume
from ..loss import best_affine, huber_weights, signal_weights
from ..mesh import geometry
from ..mesh.protocol import Mesh
from ..optics import PSF, Camera
from ..rendering import Renderer, Target
from .config import FitConfig
from .initial import typical_voxel
from .strength import Sight
from .surroundings import light_of

__all__ = ["Problem", "PsfStep", "ShapeStep"]

UNSURE = 2.0  # times the transform's tolerance is what a rendering is off by, in units of the image's contrast
MOST_SEEN = 0.95  # of the modes: where the optics pass more, too few are left to tell a misfit from noise
PSF_CUTOFF = 1e-3  # PSF steps and final images use the modes above this part of the OTF's maximum


@dataclasses.dataclass(frozen=True, eq=False)
class ShapeStep:
    """Loss of the shape at an iterate, with the gain and background that fit best, and its gradient.

    `vertices` (n_vertices, 3) per µm, `density` (n_faces,).
    """

    loss: float
    vertices: npt.NDArray[np.float64]
    density: npt.NDArray[np.float64]
    gain: float
    background: float


@dataclasses.dataclass(frozen=True, eq=False)
class PsfStep:
    """Plain L2 loss at a PSF, its gradient for the PSF's parameters, gain, background and R² in the region."""

    loss: float
    parameters: npt.NDArray[np.float64]
    gain: float
    background: float
    r2: float


class Problem:
    """Image, region of interest and optics of one fit, in the fit's working precision.

    The image is cut to the region of interest; the rendering has room around it for the PSF, so that nothing wraps
    around. Intensities are scaled to a contrast of about 1 inside, gains and backgrounds are in the scaled unit.

    Parameters
    ----------
    volume : Volume
    roi : (z, y, x) bool
        Voxels that count.
    room : (3,) float
        Room around the region for the PSF, µm: what it reaches.
    config : FitConfig
    excluded : (z, y, x) bool, optional
        Bright neighbours. Their light is taken away before an image is blurred, so that it does not leak into the
        region.
    """

    def __init__(
        self,
        volume: Volume,
        roi: npt.NDArray[np.bool_],
        room: tuple[float, float, float],
        config: FitConfig,
        excluded: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        check_roi(roi, volume)
        self.volume, self.config = volume, config
        self.dtype = np.dtype(config.dtype)
        self.voxel = typical_voxel(volume.spacing)
        where = np.argwhere(roi)
        start, stop = where.min(axis=0), where.max(axis=0) + 1
        self.slices = tuple(slice(int(a), int(b)) for a, b in zip(start, stop))
        self.roi = np.ascontiguousarray(roi[self.slices])
        self.grid = volume.grid.crop(start, stop)
        self.padded: Grid = self.grid.padded(room)
        self._whole = np.asarray(volume.data, dtype=self.dtype)
        inside = self._whole[self.slices][self.roi]
        low, high = np.percentile(inside, (1.0, 99.8))
        if not high > low:
            raise VolumeError(f"every voxel of the region of interest is {low:g}; expected an image of a cell.")
        self.offset, self.scale = float(low), float(high - low)
        self._clean = self._whole if excluded is None else np.where(excluded, self.dtype.type(low), self._whole)
        self._observed = lru_cache(maxsize=4)(self._observe)
        self._blurred = lru_cache(maxsize=2)(self._target_at)
        self._given: Target | None = None  # the sharp image with other weights
        self._plain_weights = self.roi.astype(self.dtype)
        self._light: npt.NDArray | None = None  # of neighbours, in the sharp image
        self._narrow = lru_cache(maxsize=2)(self._optics)  # a PSF that stays is the same object
        self._plain = lru_cache(maxsize=1)(lambda: Target(self._sharp(), self._plain_weights))

    def _observe(self, blur: float) -> npt.NDArray:
        """The image in the region's box, scaled and blurred by a σ in voxels."""
        image = (self._clean - self.dtype.type(self.offset)) / self.dtype.type(self.scale)
        if blur > 0:
            image = ndimage.gaussian_filter(image, blur * self.voxel / np.asarray(self.volume.spacing), mode="nearest")
        return np.ascontiguousarray(image[self.slices])

    def _target_at(self, blur: float) -> Target:
        return Target(self._observed(blur) if blur > 0 else self._sharp(), self._weigh(blur))

    def _sharp(self) -> npt.NDArray:
        """The image that is not blurred, without the light of neighbours."""
        return self._observed(0.0) if self._light is None else self._observed(0.0) - self._light

    def _target(self, blur: float) -> Target:
        return self._given if self._given is not None and blur == 0 else self._blurred(blur)

    def _weigh(self, blur: float) -> npt.NDArray:
        observed = self._observed(blur)
        dark = float(np.percentile(observed[self.roi], 5.0))
        weights = signal_weights(np.where(self.roi, observed, dark), dark, floor=self.config.weight_floor)
        return np.where(self.roi, weights, 0).astype(self.dtype)

    def take_light(self, mesh: Mesh, psf: PSF, sources: npt.NDArray[np.bool_]) -> None:
        """From here on the sharp image is without light from `sources`, voxels of the whole image, (z, y, x) bool."""
        sources = sources[self.slices]
        renderer, observed = self._narrow(psf, 0.0), self._observed(0.0)
        rendered = renderer.render(mesh)[tuple(slice(0, n) for n in self.grid.shape)]
        self._light = light_of(renderer, rendered, observed, self.roi.astype(self.dtype), sources)
        self._given = None
        self._blurred.cache_clear()
        self._plain.cache_clear()

    def renderer(self, psf: PSF, cutoff: float, grid: Grid | None = None) -> Renderer:
        """A renderer for the optics at a point of the fit."""
        config = self.config
        return Renderer(
            psf,
            psf.band(self.padded if grid is None else grid, cutoff),
            config.backend,
            config.device,
            config.tolerance,
            deterministic=config.deterministic,
        )

    def shape_step(self, mesh: Mesh, psf: PSF, blur: float) -> ShapeStep:
        """Weighted L2 loss on the narrow band, with gain and background at their best."""
        found = self._narrow(psf, blur).least_squares(mesh, self._target(blur))
        vertices, density = (np.asarray(g, dtype=np.float64) for g in (found.mesh.vertices, found.mesh.density))
        return ShapeStep(found.value, vertices, density, found.gain, found.background)

    def reweigh(self, mesh: Mesh, psf: PSF, limit: float | None = None, camera: Camera | None = None) -> None:
        """Weigh residuals of the image that is not blurred as they are at a surface.

        `camera` gives each voxel one over its variance where the model is right (so that repeated least squares come
        to the maximum of its likelihood), `limit` those of Huber's loss.
        """
        renderer, observed = self._narrow(psf, 0.0), self._sharp()
        rendered = renderer.render(mesh)[tuple(slice(0, n) for n in self.grid.shape)]
        weights = self._weigh(0.0)
        gain, background = best_affine(rendered, observed, weights)
        model = gain * rendered + background
        if camera is not None:
            light = 0.0 if self._light is None else self._light
            certain = camera.weights((model + light) * self.scale + self.offset)
            weights = (weights * certain / certain[self.roi].mean()).astype(self.dtype)
            self._plain_weights = weights
            self._plain.cache_clear()
        if limit is not None:
            residual = np.where(self.roi, np.sqrt(weights) * (observed - model), 0)
            weights = weights * huber_weights(residual, self.roi, limit).astype(self.dtype)
        self._given = Target(observed, weights)

    def noise(self, mesh: Mesh, psf: PSF, blur: float) -> float:
        """Variance of white noise as strong as what a surface leaves unexplained, on the modes that the optics pass.

        The residuals' power on the narrow band for each mode: noise outside of it says nothing about the shape, and a
        misfit, which is smooth, counts for more than its share of voxels. The rendering's own error comes on top.
        """
        residual, _, weights = self.left_over(mesh, psf, blur)
        return self._unsure + _power(residual, weights, self._narrow(psf, blur))

    def sight(self, mesh: Mesh, psf: PSF) -> Sight:
        """What the image that is not blurred tells of a sheet stained as the surface is, by what is left unexplained.

        A flat sheet's slope across, squared and summed over the distance, is in the mean over its directions 2π times
        the PSF's square summed over space: a Gaussian of the same sum stands for the PSF.
        """
        rendered, residual, gain, weights = self._explained(mesh, psf, 0.0)
        renderer, total = self._narrow(psf, 0.0), float(weights.sum(dtype=np.float64))
        band, power = renderer.band, _power(residual, weights, renderer)
        square = float((band.kept_weights * np.abs(psf.otf_on(band)) ** 2).sum(dtype=np.float64)) / band.grid.volume
        sigma = (8.0 * np.pi**1.5 * square) ** (-1.0 / 3.0)
        areas = geometry.face_areas(mesh.vertices, mesh.faces)
        stained = float((np.asarray(mesh.density, dtype=np.float64) ** 2 * areas).sum() / areas.sum())
        shown = np.where(self.roi, rendered, 0).astype(np.float64) ** 2
        weighed = float((weights * shown).sum() / shown.sum()) * float(self.roi.sum()) / total
        noise = (self._unsure + power) * float(np.prod(self.volume.spacing))
        everywhere = float((residual**2).sum(dtype=np.float64)) / total
        return Sight(gain**2 * stained * weighed / noise, sigma, _misfit(power, everywhere, band))

    def left_over(self, mesh: Mesh, psf: PSF, blur: float = 0.0) -> tuple[npt.NDArray, float, npt.NDArray]:
        """What a surface leaves unexplained times the root of its weight, the gain, and the weights, (z, y, x) each."""
        return self._explained(mesh, psf, blur)[1:]

    def _explained(self, mesh: Mesh, psf: PSF, blur: float) -> tuple[npt.NDArray, npt.NDArray, float, npt.NDArray]:
        """The rendering of a surface, and what :meth:`left_over` gives."""
        target = self._target(blur)
        rendered = self._narrow(psf, blur).render(mesh)[tuple(slice(0, n) for n in self.grid.shape)]
        gain, background = best_affine(rendered, target.observed, target.weights)
        residual = np.sqrt(target.weights) * (target.observed - (gain * rendered + background))
        return rendered, residual.astype(self.dtype), gain, target.weights

    @property
    def _unsure(self) -> float:
        """Variance that the transform's tolerance leaves open."""
        return (UNSURE * self.config.tolerance) ** 2

    def _optics(self, psf: PSF, blur: float) -> Renderer:
        """The narrow band of a PSF on an image blurred by a σ in voxels."""
        return self.renderer(psf.blurred(blur * self.voxel) if blur > 0 else psf, self.config.cutoff)

    def psf_spectrum(self, mesh: Mesh, psf: PSF) -> tuple[Renderer, npt.NDArray]:
        """The mesh's spectrum for steps of the PSF around `psf`, on the modes above a thousandth of its OTF."""
        renderer = self.renderer(psf, PSF_CUTOFF)
        return renderer, renderer.spectrum(mesh)

    def psf_step(self, renderer: Renderer, spectrum: npt.NDArray, psf: PSF) -> PsfStep:
        """Plain L2 loss of a PSF, given the spectrum of the mesh."""
        target = self._plain()
        found = renderer.with_psf(psf).psf_least_squares(spectrum, target)
        spread = max(target.variance / target.total, 1e-30)
        return PsfStep(found.value, found.psf, found.gain, found.background, 1.0 - found.value / spread)

    def raw_intensity(self, gain: float, background: float) -> tuple[float, float]:
        """Gain and background in the image's own intensities."""
        return gain * self.scale, background * self.scale + self.offset

    def final_model(
        self, mesh: Mesh, psf: PSF, sources: npt.NDArray[np.bool_] | None = None
    ) -> tuple[npt.NDArray, npt.NDArray | None, float, float]:
        """The cell's image, gain · rendering + background, the light of neighbours, gain and background, all raw.

        On the image's grid. `sources` are voxels of neighbours, (z, y, x) bool; without them the light is None.
        """
        grid, dtype = self.volume.grid, self.dtype
        room = np.asarray(psf.reach()) + grid.overhang(geometry.used_points(mesh.vertices, mesh.faces))
        renderer = self.renderer(psf, PSF_CUTOFF, grid.padded(tuple(room)))
        rendered = renderer.image(renderer.spectrum(mesh))[tuple(slice(0, n) for n in grid.shape)]
        light, observed = None, self._whole
        if sources is not None and sources.any():
            weights = np.zeros(grid.shape, dtype=dtype)
            weights[self.slices] = self.roi
            scaled = (observed - dtype.type(self.offset)) / dtype.type(self.scale)
            light = (self.scale * light_of(renderer, rendered, scaled, weights, sources)).astype(np.float32)
            observed = observed - light
        gain, background = best_affine(rendered[self.slices][self.roi], observed[self.slices][self.roi])
        return (gain * rendered + background).astype(np.float32), light, gain, background


def _power(residual: npt.NDArray, weights: npt.NDArray, renderer: Renderer) -> float:
    """Power of a residual, for each voxel that counts, on the modes that the optics pass."""
    return renderer.power(residual) / float(weights.sum(dtype=np.float64))


def _misfit(inside: float, everywhere: float, band: Band) -> float:
    """Which part of a residual's power on a band exceeds that on the other modes, given both on all of them.

    All of it where the others are too few to tell.
    """
    part = float(band.kept_weights.sum(dtype=np.float64)) / band.grid.size
    if part > MOST_SEEN or inside <= 0:
        return 1.0
    outside = (everywhere - part * inside) / (1.0 - part)
    return float(np.clip(1.0 - outside / inside, 0.0, 1.0))


def room_for(mesh: Mesh, psf: PSF, roi: npt.NDArray[np.bool_], volume: Volume) -> tuple[float, float, float]:
    """Room that the rendering on a region's box needs, µm, so that nothing wraps around into it.

    The PSF's reach, with something to spare for its growth, and what sticks out of the box at either end.
    """
    where = np.argwhere(roi)
    box = volume.grid.crop(where.min(axis=0), where.max(axis=0) + 1)
    spare = np.maximum(1.25 * np.asarray(psf.reach()), 6.0 * np.asarray(volume.spacing))
    z, y, x = spare + box.overhang(geometry.used_points(mesh.vertices, mesh.faces))
    return float(z), float(y), float(x)


def check_roi(roi: npt.NDArray, volume: Volume) -> None:
    """Refuse a region of another shape, or an empty one."""
    if roi.shape != volume.shape:
        raise FitError(
            f"the region of interest has shape {roi.shape}; expected {volume.shape}, the image's.",
            remedy="Draw it on the image itself.",
        )
    if not roi.any():
        raise FitError("the region of interest is empty; expected some voxels.", remedy="Choose another label or mask.")
