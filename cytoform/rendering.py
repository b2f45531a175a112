"""From a mesh through the optics to an image, with the gradient beside it.

I_n = (1/V) Σ_k ĥ(ξ_k) û(ξ_k) exp(i ξ_k · x_n): real, signed, DC included, Nyquist planes left out.
"""

from __future__ import annotations

import dataclasses
import functools
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from . import devices as _devices
from ._typing import Array, Floats
from .errors import ConfigError, GridError, VolumeError
from .fourier import BackendName, MeshGradient, MeshOnBand, MeshTransform, Shells, device_for, on_device, pruned
from .image.band import Band
from .image.volume import Grid
from .loss import affine_of_moments
from .mesh.protocol import Mesh
from .optics import PSF

__all__ = [
    "LeastSquares",
    "PSFLeastSquares",
    "RenderGradient",
    "Renderer",
    "Target",
    "default_tolerance",
    "render",
    "render_vjp",
]


def default_tolerance(dtype: npt.DTypeLike) -> float:
    """1e-4 for float32 and 1e-8 for float64, relative to the image's maximum."""
    return 1e-4 if np.dtype(dtype) == np.float32 else 1e-8


@dataclasses.dataclass(frozen=True, eq=False)
class RenderGradient:
    """Gradient of Σ cotangent · image: `vertices` (n, 3), `density` (n_faces,), `psf` (n_parameters,)."""

    vertices: Array
    density: Array
    psf: Floats


@dataclasses.dataclass(frozen=True, eq=False)
class LeastSquares:
    """A least-squares loss at its best gain and background, and its gradient for the mesh."""

    value: float
    gain: float
    background: float
    mesh: MeshGradient


@dataclasses.dataclass(frozen=True, eq=False)
class PSFLeastSquares:
    """The same with its gradient for the PSF's parameters, (n,)."""

    value: float
    gain: float
    background: float
    psf: Floats


class Target:
    """A measured image and its weights, with what of a least-squares loss does not depend on the rendering.

    Parameters
    ----------
    observed, weights : (z, y, x) float
        In the precision of the rendering, at the first voxels of its grid; where that is larger, nothing counts.
        Weights are zero or more.
    """

    def __init__(self, observed: Array, weights: Array) -> None:
        if observed.ndim != 3 or weights.shape != observed.shape:
            raise GridError(f"weights have shape {weights.shape}; expected that of the image, {observed.shape}.")
        if not (np.isfinite(observed).all() and np.isfinite(weights).all() and weights.min(initial=0.0) >= 0):
            raise VolumeError("image and weights of a loss must be finite, and weights zero or more.")
        real = np.float32 if observed.dtype == np.float32 else np.float64
        self.observed = np.ascontiguousarray(observed, dtype=real)
        self.weights = np.ascontiguousarray(weights, dtype=real)
        sums = np.zeros(3)
        for w, o in zip(self.weights, self.observed):  # plane by plane: no copies of the whole image
            w, o = w.astype(np.float64), o.astype(np.float64)
            weighted = w * o
            sums += w.sum(), weighted.sum(), (weighted * o).sum()
        self.total = float(sums[0])
        if not self.total > 0:
            raise ConfigError("all weights of the loss are 0; expected some voxel to count.", remedy="Check the ROI.")
        self.mean = float(sums[1]) / self.total
        self.variance = max(float(sums[2]) - self.mean * float(sums[1]), 0.0)
        self.level = float(real(self.mean))  # what is taken from the image before it is transformed, as rounded there
        self._boxes: dict[tuple, tuple[Any, Any]] = {}

    def loss(self, first: float, second: float, mixed: float) -> tuple[float, float, float]:
        """Loss, gain and background from Σ w m, Σ w m² and Σ w m o of a rendering m."""
        mean = first / self.total
        variance, covariance = second - first * mean, mixed - first * self.mean
        gain, background = affine_of_moments(mean, self.mean, variance, covariance, self.variance)
        square = gain * gain * variance - 2.0 * gain * covariance + self.variance
        offset = gain * mean + background - self.mean
        return max(square, 0.0) / self.total + offset * offset, gain, background

    @functools.cached_property
    def there(self) -> tuple[Any, Any]:
        """Image and weights on the device."""
        xp = _devices.device_arrays()
        return xp.asarray(self.observed), xp.asarray(self.weights)

    def on(self, band: Band, images: ModuleType, workers: int) -> tuple[Any, Any]:
        """Transforms of w and of w (o - level) on a band's box: a camera's offset would cost digits.

        `images` transforms them: :mod:`cytoform.fourier.pruned`, or :mod:`cytoform.fourier.on_device` there.
        """
        if any(n > m for n, m in zip(self.observed.shape, band.grid.shape)):
            raise GridError(
                f"the image has shape {self.observed.shape}; expected at most the grid's {band.grid.shape}."
            )
        key = (band.grid, band.shape, images.__name__)
        found = self._boxes.get(key)
        if found is None:
            whole = Band(band.grid, band.shape)
            observed, weights = self.there if images is on_device else (self.observed, self.weights)
            above = weights * (observed - observed.dtype.type(self.level))
            found = images.to_band(weights, whole, workers=workers), images.to_band(above, whole, workers=workers)
            self._boxes = {key: found}
        return found


@dataclasses.dataclass(frozen=True)
class Renderer:
    """Optics, grid and numerics of a rendering; what a fit renders every iterate with.

    Parameters
    ----------
    psf : PSF
    band : Band
        Modes that are rendered, of the grid that the image is on (periodic).
    backend, device, tolerance, normalize, deterministic
        As for :func:`cytoform.mesh_ft`.
    """

    psf: PSF
    band: Band
    backend: str = "auto"
    device: str = "auto"
    tolerance: float | None = None
    normalize: bool = False
    deterministic: bool = False

    def prepared(self, mesh: Mesh, *, behind_optics: bool = True) -> MeshOnBand:
        """Prepare a mesh for its transform on the band, and choose the back end.

        Parameters
        ----------
        mesh : Mesh
        behind_optics : bool
            For the image; otherwise for :meth:`spectrum`, in which all modes count alike.
        """
        return self._transform(self._shells if behind_optics else None).of(mesh)

    def spectrum(self, mesh: Mesh) -> Array:
        """Transform of the mesh on the band, before the optics; good for any optics on the band."""
        return _devices.to_host(self.prepared(mesh, behind_optics=False).forward())

    def render(self, mesh: Mesh) -> Array:
        """Image (z, y, x) of a mesh."""
        return self.image(self.prepared(mesh).forward())

    def image(self, spectrum: Any) -> Array:
        """Image (z, y, x) of a mesh's spectrum."""
        return _devices.to_host(self._images.to_image(self._behind_optics(spectrum), self.band, workers=self._workers))

    def _behind_optics(self, spectrum: Any) -> Any:
        """A spectrum, here or there, times the OTF; where images are made."""
        return (self._arrays.asarray(spectrum) * self._otf).astype(spectrum.dtype)

    @functools.cached_property
    def _there(self) -> bool:
        """Whether images and spectra are on a CUDA device."""
        return device_for(self.device, self.backend) == "cuda"

    @property
    def _images(self) -> ModuleType:
        return on_device if self._there else pruned

    @property
    def _arrays(self) -> ModuleType:
        return _devices.device_arrays() if self._there else np

    @property
    def _workers(self) -> int:
        return 1 if self.deterministic else _devices.threads()

    @functools.cached_property
    def _otf_here(self) -> Array:
        """The OTF, zero at modes that are left out."""
        otf = self.psf.otf_on(self.band)
        return otf if self.band.mask is None else np.where(self.band.mask, otf, 0)

    @functools.cached_property
    def _otf(self) -> Any:
        """The same where images are made."""
        return self._arrays.asarray(self._otf_here)

    @functools.cached_property
    def _shells(self) -> Shells:
        return Shells.of(self.band, self._otf_here)

    def _cotangent(self, cotangent: Array) -> Any:
        box = self._images.to_band(self._arrays.asarray(cotangent), self.band, workers=self._workers)
        return box / box.real.dtype.type(self.band.grid.volume)

    def mesh_vjp(self, mesh: Mesh, cotangent: Array):
        """Gradient for the mesh of Σ cotangent · image."""
        return self._transform(self._shells).vjp(mesh, self._otf.conj() * self._cotangent(cotangent))

    def least_squares(self, mesh: Mesh, target: Target) -> LeastSquares:
        """Σ w (gain · rendering + background - observed)² / Σ w at the gain and background of :func:`best_affine`.

        They make it least, but where the gain is held at its least positive value; its own slope is left out then. One
        pass over the image: with those two at their best, the gradient for the rendering is a sum of three images,
        w · rendering, w and w · observed, of which only the first is new.
        """
        return self.loss_of(self.prepared(mesh), target)

    def loss_of(self, here: MeshOnBand, target: Target) -> LeastSquares:
        """:meth:`least_squares` of a mesh that is prepared already (:meth:`prepared`)."""
        slope, *found = self._slope(self._behind_optics(here.forward()), target)
        return LeastSquares(*found, here.vjp(self._otf.conj() * slope))

    def psf_least_squares(self, spectrum: Array, target: Target) -> PSFLeastSquares:
        """The same loss, and its gradient for the PSF's parameters, given the mesh's spectrum."""
        slope, *found = self._slope(self._behind_optics(spectrum), target)
        return PSFLeastSquares(*found, self.psf.otf_vjp(self.band, _devices.to_host(slope) * np.conj(spectrum)))

    def _slope(self, box: Any, target: Target) -> tuple[Any, float, float, float]:
        """Gradient of the loss for a box behind the optics, on the band; loss, gain and background."""
        visit = _moments_there(*target.there) if self._there else _moments(target.observed, target.weights)
        weights, weighted = target.on(self.band, self._images, self._workers)
        box, sums = self._images.through_image(box, self.band, visit, workers=self._workers)
        value, gain, background = target.loss(*np.sum(sums, axis=0).tolist())
        slope = gain * (gain * box + (background - target.level) * weights - weighted)
        slope *= slope.real.dtype.type(2.0 / (target.total * self.band.grid.volume))
        return slope, value, gain, background

    def psf_vjp(self, spectrum: Array, cotangent: Array) -> Floats:
        """Gradient for the PSF's parameters of Σ cotangent · image, given the mesh's spectrum."""
        return self.psf.otf_vjp(self.band, _devices.to_host(self._cotangent(cotangent)) * np.conj(spectrum))

    def transform(self, image: Array) -> Array:
        """Σ_n image_n exp(-i ξ · x_n) on the band's box, of an image (z, y, x) at the first voxels of the grid."""
        whole = np.zeros(self.band.grid.shape, dtype=image.dtype)
        whole[tuple(slice(0, n) for n in image.shape)] = image
        return _devices.to_host(self._images.to_band(self._arrays.asarray(whole), self.band, workers=self._workers))

    def picture(self, box: Array) -> Array:
        """Image (z, y, x) of a box that is behind the optics already."""
        return _devices.to_host(self._images.to_image(self._arrays.asarray(box), self.band, workers=self._workers))

    def power(self, image: Array) -> float:
        """Mean of |:meth:`transform`|² over the modes that are kept."""
        box, weights = self.transform(image), self.band.kept_weights
        return float((weights * np.abs(box).astype(np.float64) ** 2).sum() / weights.sum())

    def blur(self, image: Array, *, adjoint: bool = False) -> Array:
        """An image at the first voxels of the (periodic) grid through the optics, on all of it; or the adjoint."""
        box, otf = self.transform(image), self._otf_here
        box = (box * (otf.conj() if adjoint else otf)).astype(box.dtype)
        return self.picture(box * box.real.dtype.type(self.band.grid.voxel_volume))

    def with_backend(self, backend: str) -> Renderer:
        """The same with another back end; what was worked out of the optics is shared.

        With ``backend="auto"`` a mesh that moves may cross the border at which the other back end is expected to be
        quicker; images then jump by the tolerance, which a line search takes for a change of the loss. What moves a
        mesh step by step therefore keeps a choice for a while.
        """
        other = dataclasses.replace(self, backend=backend)
        vars(other).update({name: getattr(self, name) for name in ("_otf_here", "_otf", "_shells")})
        return other

    def with_psf(self, psf: PSF) -> Renderer:
        """The same with another PSF on the same band."""
        return dataclasses.replace(self, psf=psf)

    def _transform(self, shells: Shells | None = None) -> MeshTransform:
        return MeshTransform(
            self.band, self.backend, self.device, self.tolerance, self.normalize, self.deterministic, shells
        )


def _moments(observed: Array, weights: Array) -> Any:
    """What is done at each slab of a rendering m: it becomes w m; returns Σ w m, Σ w m² and Σ w m o."""
    loops = _devices.loops("residual")

    def visit(planes: slice, image: Array) -> Array:
        sums = np.zeros(3)
        loops.weighted_moments(image, observed[planes], weights[planes], sums)
        return sums

    return visit


def _moments_there(observed: Any, weights: Any) -> Any:
    """The same on the device, where the slab is the whole image."""

    def visit(planes: slice, image: Any) -> Array:
        inside = image[tuple(slice(0, n) for n in observed.shape)]
        weighted = weights * inside
        sums = [float(weighted.sum(dtype=np.float64))]
        for other in (inside, observed):  # one after another: room on a device is dear
            sums.append(float((weighted * other).sum(dtype=np.float64)))
        image[...] = 0
        inside[...] = weighted
        return np.array(sums)

    return visit


def _renderer(mesh: Mesh, psf: PSF, grid: Grid, *, backend, device, tolerance, cutoff, normalize, deterministic):
    tolerance = default_tolerance(mesh.vertices.dtype) if tolerance is None else tolerance
    band = psf.band(grid, tolerance / 10.0 if cutoff is None else cutoff)
    return Renderer(psf, band, backend, device, tolerance, normalize, deterministic)


def render(
    mesh: Mesh,
    psf: PSF,
    grid: Grid,
    *,
    backend: BackendName = "auto",
    device: _devices.Device = "auto",
    tolerance: float | None = None,
    cutoff: float | None = None,
    normalize: bool = False,
    deterministic: bool = False,
) -> Array:
    """Image of a mesh through a point spread function.

    Parameters
    ----------
    mesh : SurfaceMesh or MultiMaterialMesh
        µm, (z, y, x), with its density in intensity per µm².
    psf : PSF
    grid : Grid
        The image's grid. It is periodic: what leaves it on one side comes in on the other. Render on
        ``grid.padded(psf.reach())`` and cut where that matters.
    backend, device, normalize, deterministic
        As for :func:`cytoform.mesh_ft`.
    tolerance : float, optional
        Error allowed, relative to the image's maximum: 1e-4 for float32, 1e-8 for float64 by default.
    cutoff : float, optional
        Frequencies are kept where |ĥ| exceeds this part of its maximum; a tenth of the tolerance by default, 0 for
        all. The error is about 1.3 times the cutoff.

    Returns
    -------
    (z, y, x) float32 or float64
        The dtype of the mesh's vertices; intensity per voxel volume (density in 1/µm² gives 1/µm³).
    """
    renderer = _renderer(
        mesh, psf, grid, backend=backend, device=device, tolerance=tolerance, cutoff=cutoff, normalize=normalize,
        deterministic=deterministic,
    )  # fmt: skip
    return renderer.render(mesh)


def render_vjp(
    mesh: Mesh,
    psf: PSF,
    grid: Grid,
    cotangent: Array,
    *,
    backend: BackendName = "auto",
    device: _devices.Device = "auto",
    tolerance: float | None = None,
    cutoff: float | None = None,
    normalize: bool = False,
    deterministic: bool = False,
) -> RenderGradient:
    """Vector-Jacobian product of :func:`render`.

    Parameters
    ----------
    cotangent : (z, y, x) float
        Others as in :func:`render`.

    Returns
    -------
    RenderGradient
        d/d(vertices), d/d(density) and d/d(PSF parameters) of Σ cotangent · image. The PSF's part is taken on the
        modes that are kept (the band itself is not differentiated).
    """
    cotangent = np.asarray(cotangent)
    if cotangent.shape != grid.shape:
        raise GridError(f"cotangent has shape {cotangent.shape}; expected {grid.shape}, the grid's.")
    cotangent = cotangent.astype(mesh.vertices.dtype, copy=False)
    renderer = _renderer(
        mesh, psf, grid, backend=backend, device=device, tolerance=tolerance, cutoff=cutoff, normalize=normalize,
        deterministic=deterministic,
    )  # fmt: skip
    moved = renderer.mesh_vjp(mesh, cotangent)
    return RenderGradient(moved.vertices, moved.density, renderer.psf_vjp(renderer.spectrum(mesh), cotangent))
