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
from ..fourier import Mesh
from ..image.volume import Grid, Volume
from ..loss import best_affine, huber_weights, signal_weights, weighted_l2
from ..optics import PSF
from ..render import Renderer, Target
from .config import FitConfig
from .initial import typical_voxel

__all__ = ["Problem", "PsfStep", "ShapeStep"]

PSF_CUTOFF = 1e-3  # PSF steps and final images use the modes above this part of the OTF's maximum


@dataclasses.dataclass(frozen=True, eq=False)
class ShapeStep:
    """Loss of the shape at an iterate, its gradient (n_vertices, 3), and the gain and background that fit best."""

    loss: float
    vertices: npt.NDArray[np.float64]
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
        self._weights = lru_cache(maxsize=4)(self._weigh)
        self._target = lru_cache(maxsize=2)(lambda blur: Target(self._observed(blur), self._weights(blur)))
        self._narrow = lru_cache(maxsize=2)(self._optics)  # a PSF that stays is the same object
        self._plain = lru_cache(maxsize=1)(lambda: Target(self._observed(0.0), self.roi.astype(self.dtype)))

    def _observe(self, blur: float) -> npt.NDArray:
        """The image in the region's box, scaled and blurred by a σ in voxels."""
        image = (self._clean - self.dtype.type(self.offset)) / self.dtype.type(self.scale)
        if blur > 0:
            image = ndimage.gaussian_filter(image, blur * self.voxel / np.asarray(self.volume.spacing), mode="nearest")
        return np.ascontiguousarray(image[self.slices])

    def _weigh(self, blur: float) -> npt.NDArray:
        observed = self._observed(blur)
        dark = float(np.percentile(observed[self.roi], 5.0))
        weights = signal_weights(np.where(self.roi, observed, dark), dark, floor=self.config.weight_floor)
        return np.where(self.roi, weights, 0).astype(self.dtype)

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

    def shape_step(self, mesh: Mesh, psf: PSF, blur: float, *, robust: float | None = None) -> ShapeStep:
        """Weighted L2 loss on the narrow band, with gain and background at their best."""
        renderer = self._narrow(psf, blur)
        if robust is None:
            found = renderer.least_squares(mesh, self._target(blur))
            return ShapeStep(found.value, found.mesh.vertices.astype(np.float64), found.gain, found.background)
        inside = tuple(slice(0, n) for n in self.grid.shape)
        rendered, observed = renderer.render(mesh)[inside], self._observed(blur)
        weights = self._weights(blur)
        # the same weights, or the steps of the shape and those of the gain would not go down the same loss
        gain, background = best_affine(rendered, observed, weights)
        residual = np.where(self.roi, observed - (gain * rendered + background), 0)
        weights = weights * huber_weights(residual, self.roi, robust).astype(self.dtype)
        gain, background = best_affine(rendered, observed, weights)
        loss = weighted_l2(rendered, observed, weights, gain=gain, background=background)
        cotangent = np.zeros(self.padded.shape, dtype=self.dtype)
        cotangent[inside] = loss.image
        gradient = renderer.mesh_vjp(mesh, cotangent)
        return ShapeStep(loss.value, gradient.vertices.astype(np.float64), gain, background)

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

    def final_model(self, mesh: Mesh, psf: PSF) -> tuple[npt.NDArray, float, float]:
        """The model of the whole image, gain · rendering + background, with gain and background in raw intensities."""
        grid = self.volume.grid
        renderer = self.renderer(
            psf, PSF_CUTOFF, grid.padded(tuple(np.asarray(psf.reach()) + grid.overhang(mesh.vertices)))
        )
        rendered = renderer.image(renderer.spectrum(mesh))[tuple(slice(0, n) for n in grid.shape)]
        gain, background = best_affine(rendered[self.slices][self.roi], self._whole[self.slices][self.roi])
        return (gain * rendered + background).astype(np.float32), gain, background


def room_for(mesh: Mesh, psf: PSF, roi: npt.NDArray[np.bool_], volume: Volume) -> tuple[float, float, float]:
    """Room that the rendering on a region's box needs, µm, so that nothing wraps around into it.

    The PSF's reach, with something to spare for its growth, and what sticks out of the box at either end.
    """
    where = np.argwhere(roi)
    box = volume.grid.crop(where.min(axis=0), where.max(axis=0) + 1)
    spare = np.maximum(1.25 * np.asarray(psf.reach()), 6.0 * np.asarray(volume.spacing))
    z, y, x = spare + box.overhang(mesh.vertices)
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
