"""Rendering of a mesh through the optics to an image, with the gradient beside it.

I_n = (1/V) Σ_k ĥ(ξ_k) û(ξ_k) exp(i ξ_k · x_n): real, signed, DC included, Nyquist planes left out.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from . import devices as _devices
from ._typing import Array, Floats
from .errors import ConfigError, GridError, VolumeError
from .fourier import (
    BackendName,
    MeshGradient,
    MeshTransform,
    OnBand,
    SceneGradient,
    Shells,
    device_for,
    on_device,
    pruned,
)
from .image.band import Band
from .image.volume import Grid
from .loss import affine_of_moments, best_pair
from .mesh.protocol import Mesh
from .mesh.scene import Scene
from .mesh.simplices import Simplices
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


SHARED_VOXELS = 1_000_000
"""Voxels of a grid from which its FFTs use several threads."""


def default_tolerance(dtype: npt.DTypeLike) -> float:
    """Return the error allowed to a rendering by default, relative to the image's maximum.

    Parameters
    ----------
    dtype : float32 or float64
        dtype of the mesh's vertices.

    Returns
    -------
    float
        1e-4 for float32, 1e-8 for float64.
    """
    return 1e-4 if np.dtype(dtype) == np.float32 else 1e-8


@dataclasses.dataclass(frozen=True, eq=False)
class RenderGradient:
    """Gradient of Σ cotangent · image.

    Parameters
    ----------
    vertices : (n_vertices, 3) float
        Derivative for each coordinate of the mesh, per µm, (z, y, x).
    density : (n_faces,) float
        Derivative for the density of each face.
    psf : (n_parameters,) float64
        Derivative for the PSF's free parameters.
    jump : (n_faces,) float or None
        Derivative for the jump of each face of a filled mesh, as :class:`~cytoform.fourier.MeshGradient` has it; None
        for a mesh without a jump.
    bodies : mapping of str to MeshGradient
        For a scene, the derivatives of every body by its name; `vertices` and `density` hold them one after another.
    """

    vertices: Array
    density: Array
    psf: Floats
    jump: Array | None = None
    bodies: Mapping[str, MeshGradient] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, eq=False)
class LeastSquares:
    """A least-squares loss at its best gain and background, with its gradient for the mesh.

    Parameters
    ----------
    value : float
        Loss, Σ w (gain · rendering + background - observed)² / Σ w.
    gain : float
        Intensity of the measured image per unit of the rendering.
    background : float
        Intensity of the measured image where the rendering is zero.
    mesh : MeshGradient
        Derivative of the loss for vertices and densities.
    filling : float
        Factor on the mesh's jump at which the loss is least; 1 unless surface and inside are both bright.
    """

    value: float
    gain: float
    background: float
    mesh: MeshGradient
    filling: float = 1.0


@dataclasses.dataclass(frozen=True, eq=False)
class PSFLeastSquares:
    """A least-squares loss at its best gain and background, with its gradient for the PSF.

    Parameters
    ----------
    value : float
        Loss, Σ w (gain · rendering + background - observed)² / Σ w.
    gain : float
        Intensity of the measured image per unit of the rendering.
    background : float
        Intensity of the measured image where the rendering is zero.
    psf : (n_parameters,) float64
        Derivative of the loss for the PSF's free parameters.
    """

    value: float
    gain: float
    background: float
    psf: Floats


class Target:
    """A measured image o with voxel weights w, and its moments and spectra for a least-squares loss.

    Parameters
    ----------
    observed : (z, y, x) float
        Measured image, in the precision of the rendering. It lies at the first voxels of the rendering's grid; voxels
        of a larger grid outside of it do not count.
    weights : (z, y, x) float
        Weight of each voxel, zero or more.

    Attributes
    ----------
    total : float
        Σ w.
    mean : float
        Weighted mean of the measured image, Σ w o / Σ w.
    variance : float
        Weighted sum of squares about the mean, Σ w (o - mean)².
    level : float
        The mean in the precision of the image, which is subtracted before the image is transformed.

    Raises
    ------
    GridError
        When the shapes differ.
    VolumeError
        When a value is not finite, or a weight negative.
    ConfigError
        When all weights are 0.
    """

    def __init__(self, observed: Array, weights: Array) -> None:
        if observed.ndim != 3 or weights.shape != observed.shape:
            raise GridError(f"weights have shape {weights.shape}; expected that of the image, {observed.shape}.")
        if not (np.isfinite(observed).all() and np.isfinite(weights).all() and weights.min(initial=0.0) >= 0):
            raise VolumeError("image and weights of a loss must be finite, and weights zero or more.")
        real = np.float32 if observed.dtype == np.float32 else np.float64
        self.observed: Array = np.ascontiguousarray(observed, dtype=real)
        self.weights: Array = np.ascontiguousarray(weights, dtype=real)
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
        self.level = float(real(self.mean))  # subtracted before the transform, as rounded there
        self._boxes: dict[tuple[Any, ...], tuple[Any, Any]] = {}

    def loss(self, first: float, second: float, mixed: float) -> tuple[float, float, float]:
        """Return the loss at the best gain and background, from three weighted sums over a rendering m.

        Parameters
        ----------
        first : float
            Σ w m.
        second : float
            Σ w m².
        mixed : float
            Σ w m o.

        Returns
        -------
        value : float
            Σ w (gain · m + background - o)² / Σ w.
        gain : float
            The gain of :func:`cytoform.loss.best_affine`.
        background : float
            The background of :func:`cytoform.loss.best_affine`.
        """
        mean = first / self.total
        variance, covariance = second - first * mean, mixed - first * self.mean
        gain, background = affine_of_moments(mean, self.mean, variance, covariance, self.variance)
        square = gain * gain * variance - 2.0 * gain * covariance + self.variance
        offset = gain * mean + background - self.mean
        return max(square, 0.0) / self.total + offset * offset, gain, background

    @functools.cached_property
    def arrays_on_device(self) -> tuple[Any, Any]:
        """Image and weights as arrays on the CUDA device, copied at the first use."""
        xp = _devices.device_arrays()
        return xp.asarray(self.observed), xp.asarray(self.weights)

    def transforms(self, band: Band, images: ModuleType, workers: int) -> tuple[Any, Any]:
        """Return the spectra of w and of w (o - level) on a band's box; those of the last band are kept.

        `level` is subtracted since a camera's offset would cost digits.

        Parameters
        ----------
        band : Band
            Its box is used, without its mask.
        images : module
            :mod:`cytoform.fourier.pruned`, or :mod:`cytoform.fourier.on_device` for spectra on the device.
        workers : int
            Threads of the FFTs.

        Returns
        -------
        of_weights : (band.shape) complex
            Spectrum of w.
        of_image : (band.shape) complex
            Spectrum of w (o - level).

        Raises
        ------
        GridError
            When the image is larger than the band's grid.
        """
        if any(n > m for n, m in zip(self.observed.shape, band.grid.shape)):
            raise GridError(
                f"the image has shape {self.observed.shape}; expected at most the grid's {band.grid.shape}."
            )
        key = (band.grid, band.shape, images.__name__)
        found = self._boxes.get(key)
        if found is None:
            whole = Band(band.grid, band.shape)
            observed, weights = self.arrays_on_device if images is on_device else (self.observed, self.weights)
            above = weights * (observed - observed.dtype.type(self.level))
            found = images.to_band(weights, whole, workers=workers), images.to_band(above, whole, workers=workers)
            self._boxes = {key: found}
        return found


@dataclasses.dataclass(frozen=True)
class Renderer:
    """Optics, grid and numerical settings of a rendering, with which a fit renders every iterate.

    Parameters
    ----------
    psf : PSF
        The point spread function.
    band : Band
        Modes that are rendered, on the (periodic) grid of the image.
    backend : "auto", "exact" or "nufft"
        The closed formula, or quadrature points with a non-uniform FFT; "auto" (default) takes the quicker one.
    device : "auto", "cpu" or "cuda"
        Where the work is done; "auto" (default) takes a CUDA device where there is one.
    tolerance : float, optional
        Relative error allowed to the mesh's transform, weighted by the OTF where an image is rendered; 1e-5 for float32
        and 1e-8 for float64 by default.
    normalize : bool
        Divide by the mesh's total intensity: Σ density · area, and brightness · volume of what is filled; off by
        default.
    deterministic : bool
        Run FFTs on one thread, so that results are bit-identical from run to run; off by default.
    """

    psf: PSF
    band: Band
    backend: str = "auto"
    device: str = "auto"
    tolerance: float | None = None
    normalize: bool = False
    deterministic: bool = False

    def prepared(self, mesh: Mesh | Simplices | Scene, *, behind_optics: bool = True) -> OnBand:
        """Prepare a mesh for its transform on the band, and choose the back end.

        Parameters
        ----------
        mesh : Mesh, PointSet, Filaments, TetrahedralMesh or Scene
            Positions in µm, (z, y, x).
        behind_optics : bool
            True (default) for the image: modes that the optics damp may err more. False for :meth:`spectrum`, in which
            all modes count alike.

        Returns
        -------
        OnBand
            The prepared mesh.
        """
        return self._transform(self._shells if behind_optics else None).prepare(mesh)

    def spectrum(self, mesh: Mesh | Simplices | Scene) -> Array:
        """Return the Fourier transform of a mesh on the band, without the optics, so that any PSF may be applied to it.

        Parameters
        ----------
        mesh : Mesh, PointSet, Filaments, TetrahedralMesh or Scene
            Positions in µm, (z, y, x).

        Returns
        -------
        (band.shape) complex
            û on the band's box.
        """
        return _devices.to_host(self.prepared(mesh, behind_optics=False).forward())

    def render(self, mesh: Mesh | Simplices | Scene) -> Array:
        """Return the image of a mesh.

        Parameters
        ----------
        mesh : Mesh, PointSet, Filaments, TetrahedralMesh or Scene
            Positions in µm, (z, y, x).

        Returns
        -------
        (z, y, x) float
            Image on the band's grid, in intensity per µm³.
        """
        return self.image(self.prepared(mesh).forward())

    def image(self, spectrum: Any) -> Array:
        """Return the image of a mesh from its spectrum, which is multiplied with the OTF.

        Parameters
        ----------
        spectrum : (band.shape) complex
            û on the band's box, as :meth:`spectrum` gives it, on the host or the device.

        Returns
        -------
        (z, y, x) float
            Image on the band's grid, in intensity per µm³.
        """
        return _devices.to_host(self._fft_module.to_image(self._times_otf(spectrum), self.band, workers=self._workers))

    def _times_otf(self, spectrum: Any) -> Any:
        """Return a spectrum, on the host or the device, times the OTF, in the array type of the images."""
        return (self._array_module.asarray(spectrum) * self._otf).astype(spectrum.dtype)

    @functools.cached_property
    def _uses_cuda(self) -> bool:
        """Whether images and spectra are computed on a CUDA device."""
        return device_for(self.device, self.backend) == "cuda"

    @property
    def _fft_module(self) -> ModuleType:
        """Module with the FFTs between band and image: `fourier.on_device` on a CUDA device, else `fourier.pruned`."""
        return on_device if self._uses_cuda else pruned

    @property
    def _array_module(self) -> ModuleType:
        """Module of the arrays that hold images and spectra: CuPy on a CUDA device, else NumPy."""
        return _devices.device_arrays() if self._uses_cuda else np

    @property
    def _workers(self) -> int:
        """Threads of the FFTs: one if `deterministic`, or for a grid so small that they would wait for each other."""
        return 1 if self.deterministic or self.band.grid.size < SHARED_VOXELS else _devices.thread_count()

    @functools.cached_property
    def _otf_on_host(self) -> Array:
        """OTF on the band's box, zero at modes that are not kept, as a NumPy array."""
        otf = self.psf.otf_on(self.band)
        return otf if self.band.mask is None else np.where(self.band.mask, otf, 0)

    @functools.cached_property
    def _otf(self) -> Any:
        """OTF on the band's box, zero at modes that are not kept, in the array type of the images."""
        return self._array_module.asarray(self._otf_on_host)

    @functools.cached_property
    def _shells(self) -> Shells:
        """Modulus of the OTF by shells of the band, which weighs the errors of the mesh's spectrum."""
        return Shells.from_weights(self.band, self._otf_on_host)

    def _spectrum_cotangent(self, cotangent: Array) -> Any:
        """Return the gradient of Σ cotangent · image for the spectrum behind the optics, on the band's box."""
        box = self._fft_module.to_band(self._array_module.asarray(cotangent), self.band, workers=self._workers)
        return box / box.real.dtype.type(self.band.grid.volume)

    def mesh_vjp(self, mesh: Mesh | Simplices | Scene, cotangent: Array) -> MeshGradient:
        """Return the gradient of Σ cotangent · image for the mesh.

        Parameters
        ----------
        mesh : Mesh, PointSet, Filaments, TetrahedralMesh or Scene
            Positions in µm, (z, y, x).
        cotangent : (z, y, x) float
            Cotangent on the band's grid.

        Returns
        -------
        MeshGradient
            Derivatives for vertices and densities.
        """
        return self._transform(self._shells).vjp(mesh, self._otf.conj() * self._spectrum_cotangent(cotangent))

    def prepared_vjp(self, here: OnBand, cotangent: Array, *, filling: float = 1.0) -> MeshGradient:
        """Return the gradient of Σ cotangent · image for a mesh that :meth:`prepared` has prepared, not for its jumps.

        Parameters
        ----------
        here : OnBand
            The prepared mesh.
        cotangent : (z, y, x) float
            Cotangent on the band's grid.
        filling : float
            Factor on the image of what is filled; 1 by default.

        Returns
        -------
        MeshGradient
            Derivatives for vertices and densities.
        """
        slope = self._otf.conj() * self._spectrum_cotangent(cotangent)
        return here.vjp(slope, filling=filling, with_jump=False)

    def least_squares(self, mesh: Mesh | Simplices | Scene, target: Target) -> LeastSquares:
        """Return the least-squares loss of a mesh at the best gain and background, and its gradient for the mesh.

        The loss is Σ w (gain · rendering + background - observed)² / Σ w with gain and background from
        :func:`cytoform.loss.best_affine`. They minimise the loss, so their own derivatives vanish and the gradient
        needs no term for them; where the gain is held at its least positive value, such a term is left out. One pass
        over the image suffices: the gradient for the rendering is a sum of w · rendering, w and w · observed, of which
        only the first is new.

        Parameters
        ----------
        mesh : Mesh, PointSet, Filaments, TetrahedralMesh or Scene
            Positions in µm, (z, y, x).
        target : Target
            Measured image and weights.

        Returns
        -------
        LeastSquares
            Loss, gain, background, and gradient for the mesh.
        """
        return self.loss_of(self.prepared(mesh), target)

    def loss_of(self, here: OnBand, target: Target) -> LeastSquares:
        """Return :meth:`least_squares` of a mesh that :meth:`prepared` has prepared.

        Parameters
        ----------
        here : OnBand
            The prepared mesh.
        target : Target
            Measured image and weights.

        Returns
        -------
        LeastSquares
            Loss, gain, background, and gradient for the mesh.
        """
        sheet, inside = here.parts()
        if sheet is not None and inside is not None:
            return self._loss_of_both(here, sheet, inside, target)
        slope, value, gain, background = self._loss_gradient(
            self._times_otf(inside if sheet is None else here.forward() if self.normalize else sheet), target
        )
        return LeastSquares(value, gain, background, here.vjp(self._otf.conj() * slope, with_jump=False))

    def _loss_of_both(self, here: OnBand, sheet: Any, inside: Any, target: Target) -> LeastSquares:
        """Return :meth:`least_squares` of a stained surface with a bright inside, each at its best brightness.

        `sheet` and `inside` are the two transforms of the mesh. Both brightnesses, zero or more, and the background
        minimise the loss, so the gradient needs no term for them (variable projection).
        """
        boxes = [self._times_otf(part) for part in (sheet, inside)]
        visit = (
            _moments_visitor_on_device(*target.arrays_on_device)
            if self._uses_cuda
            else _moments_visitor(target.observed, target.weights)
        )
        found = [self._fft_module.through_image(box, self.band, visit, workers=self._workers) for box in boxes]
        weighted, (one, two) = [box for box, _ in found], [np.sum(sums, axis=0) for _, sums in found]
        cross = (self.band.kept_weights * _devices.to_host(weighted[0].conj() * boxes[1]).real).sum(dtype=np.float64)
        mixed = float(cross) / self.band.grid.volume - one[0] * two[0] / target.total
        variances = np.array([[one[1] - one[0] ** 2 / target.total, mixed],
                              [mixed, two[1] - two[0] ** 2 / target.total]])  # fmt: skip
        covariances = np.array([part[2] - part[0] * target.mean for part in (one, two)])
        gains = np.array(best_pair(variances, covariances, target.variance))
        value = float(gains @ variances @ gains - 2.0 * gains @ covariances) + target.variance
        background = target.mean - float(gains @ [one[0], two[0]]) / target.total
        of_weights, of_image = target.transforms(self.band, self._fft_module, self._workers)
        slope = gains[0] * weighted[0] + gains[1] * weighted[1] + (background - target.level) * of_weights - of_image
        slope = (slope * (gains[0] * 2.0 / (target.total * self.band.grid.volume))).astype(sheet.dtype)
        ratio = float(gains[1] / gains[0])
        gradient = here.vjp(self._otf.conj() * slope, filling=ratio, with_jump=False)
        return LeastSquares(max(value, 0.0) / target.total, float(gains[0]), background, gradient, ratio)

    def psf_least_squares(self, spectrum: Array, target: Target) -> PSFLeastSquares:
        """Return the least-squares loss at the best gain and background, and its gradient for the PSF's parameters.

        Parameters
        ----------
        spectrum : (band.shape) complex
            û of the mesh on the band's box, as :meth:`spectrum` gives it.
        target : Target
            Measured image and weights.

        Returns
        -------
        PSFLeastSquares
            Loss, gain, background, and gradient for the PSF.
        """
        slope, value, gain, background = self._loss_gradient(self._times_otf(spectrum), target)
        gradient = self.psf.otf_vjp(self.band, _devices.to_host(slope) * np.conj(spectrum))
        return PSFLeastSquares(value, gain, background, gradient)

    def _loss_gradient(self, box: Any, target: Target) -> tuple[Any, float, float, float]:
        """Return the loss's gradient for a spectrum behind the optics, then loss, gain and background.

        `box` holds this spectrum on the band's box; so does the gradient.
        """
        visit = (
            _moments_visitor_on_device(*target.arrays_on_device)
            if self._uses_cuda
            else _moments_visitor(target.observed, target.weights)
        )
        weights, weighted = target.transforms(self.band, self._fft_module, self._workers)
        box, sums = self._fft_module.through_image(box, self.band, visit, workers=self._workers)
        value, gain, background = target.loss(*np.sum(sums, axis=0).tolist())
        slope = gain * (gain * box + (background - target.level) * weights - weighted)
        slope *= slope.real.dtype.type(2.0 / (target.total * self.band.grid.volume))
        return slope, value, gain, background

    def psf_vjp(self, spectrum: Array, cotangent: Array) -> Floats:
        """Return the gradient of Σ cotangent · image for the PSF's parameters.

        Parameters
        ----------
        spectrum : (band.shape) complex
            û of the mesh on the band's box, as :meth:`spectrum` gives it.
        cotangent : (z, y, x) float
            Cotangent on the band's grid.

        Returns
        -------
        (n_parameters,) float64
            Derivative for the PSF's free parameters.
        """
        return self.psf.otf_vjp(self.band, _devices.to_host(self._spectrum_cotangent(cotangent)) * np.conj(spectrum))

    def transform(self, image: Array) -> Array:
        """Return the spectrum Σ_n image_n exp(-i ξ · x_n) of an image on the band's box.

        Parameters
        ----------
        image : (z, y, x) float
            Image at the first voxels of the grid; the rest of the grid is zero.

        Returns
        -------
        (band.shape) complex
            Spectrum, zero at modes that are not kept.
        """
        whole = np.zeros(self.band.grid.shape, dtype=image.dtype)
        whole[tuple(slice(0, n) for n in image.shape)] = image
        return _devices.to_host(
            self._fft_module.to_band(self._array_module.asarray(whole), self.band, workers=self._workers)
        )

    def picture(self, box: Array) -> Array:
        """Return the image of a spectrum that has been multiplied with the OTF already.

        Parameters
        ----------
        box : (band.shape) complex
            Spectrum on the band's box.

        Returns
        -------
        (z, y, x) float
            Image on the band's grid.
        """
        return _devices.to_host(
            self._fft_module.to_image(self._array_module.asarray(box), self.band, workers=self._workers)
        )

    def power(self, image: Array, sensitivity: Array | float = 1.0) -> float:
        """Return the weighted mean of |Σ_n image_n exp(-i ξ · x_n)|² over the kept modes of the full spectrum.

        Parameters
        ----------
        image : (z, y, x) float
            Image at the first voxels of the grid; the rest of the grid is zero.
        sensitivity : (band.shape) float, or float
            Weight of each mode, zero or more; 1 by default.

        Returns
        -------
        float
            Mean power, in the squared unit of the image.
        """
        box, weights = self.transform(image), self.band.kept_weights * sensitivity
        return float((weights * np.abs(box).astype(np.float64) ** 2).sum() / weights.sum())

    def blur(self, image: Array, *, adjoint: bool = False) -> Array:
        """Convolve an image with the PSF on the periodic grid, or apply the adjoint of this convolution.

        Parameters
        ----------
        image : (z, y, x) float
            Image at the first voxels of the grid; the rest of the grid is zero.
        adjoint : bool
            Use conj(ĥ) in place of ĥ; off by default.

        Returns
        -------
        (z, y, x) float
            Image on the whole grid.
        """
        box, otf = self.transform(image), self._otf_on_host
        box = (box * (otf.conj() if adjoint else otf)).astype(box.dtype)
        return self.picture(box * box.real.dtype.type(self.band.grid.voxel_volume))

    def with_backend(self, backend: str) -> Renderer:
        """Return a renderer with another back end, which shares the OTF of this one.

        With ``backend="auto"`` a mesh that moves may cross the border at which the other back end is expected to be
        quicker; images then jump by the tolerance, which a line search takes for a change of the loss. What moves a
        mesh step by step therefore keeps a choice for a while.

        Parameters
        ----------
        backend : "auto", "exact" or "nufft"
            The back end.

        Returns
        -------
        Renderer
            The new renderer.
        """
        other = dataclasses.replace(self, backend=backend)
        vars(other).update({name: getattr(self, name) for name in ("_otf_on_host", "_otf", "_shells")})
        return other

    def with_psf(self, psf: PSF) -> Renderer:
        """Return a renderer with another PSF on the same band.

        Parameters
        ----------
        psf : PSF
            The new PSF.

        Returns
        -------
        Renderer
            The new renderer.
        """
        return dataclasses.replace(self, psf=psf)

    def _transform(self, shells: Shells | None = None) -> MeshTransform:
        """Return the transform of meshes with the settings of this renderer; `shells` are the weights of the modes."""
        return MeshTransform(
            self.band, self.backend, self.device, self.tolerance, self.normalize, self.deterministic, shells
        )


def _moments_visitor(observed: Array, weights: Array) -> Any:
    """Return a function for :func:`.pruned.through_image` that replaces each slab of a rendering m by w m.

    The function returns Σ w m, Σ w m² and Σ w m o of the slab, (3,), for the measured image o and the weights w.
    """
    loops = _devices.load_kernels("residual")

    def visit(planes: slice, image: Array) -> Array:
        sums = np.zeros(3)
        loops.weighted_moments(image, observed[planes], weights[planes], sums)
        return sums

    return visit


def _moments_visitor_on_device(observed: Any, weights: Any) -> Any:
    """Return the function of :func:`_moments_visitor` for arrays on the device, where the slab is the whole image.

    Voxels of the rendering outside of the measured image are set to 0.
    """

    def visit(planes: slice, image: Any) -> Array:
        inside = image[tuple(slice(0, n) for n in observed.shape)]
        weighted = weights * inside
        sums = [float(weighted.sum(dtype=np.float64))]
        for other in (inside, observed):  # one after another: memory on a device is scarce
            sums.append(float((weighted * other).sum(dtype=np.float64)))
        image[...] = 0
        inside[...] = weighted
        return np.array(sums)

    return visit


def _renderer(
    mesh: Mesh | Simplices | Scene, psf: PSF, grid: Grid, *, backend: str, device: str, tolerance: float | None,
    cutoff: float | None, normalize: bool, deterministic: bool,
) -> Renderer:  # fmt: skip
    """Return the renderer of :func:`render`: default tolerance, and the band of the modes above the cutoff."""
    tolerance = default_tolerance(mesh.vertices.dtype) if tolerance is None else tolerance
    band = psf.band(grid, tolerance / 10.0 if cutoff is None else cutoff)
    return Renderer(psf, band, backend, device, tolerance, normalize, deterministic)


def render(
    mesh: Mesh | Simplices | Scene,
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
    """Render a mesh: return its image through a point spread function.

    Parameters
    ----------
    mesh : SurfaceMesh, MultiMaterialMesh, PointSet, Filaments, TetrahedralMesh or Scene
        Positions in µm, (z, y, x), with the density in intensity per µm² (of filaments per µm, of tetrahedra per µm³,
        of points the brightness) and, where bodies are filled, the jump in intensity per µm³.
    psf : PSF
        The point spread function.
    grid : Grid
        The image's grid. It is periodic: what leaves it on one side enters on the other. Where that matters, render on
        ``grid.padded(psf.reach())`` and crop.
    backend : "auto", "exact" or "nufft"
        The closed formula, or quadrature points with a non-uniform FFT; "auto" (default) takes the quicker one.
    device : "auto", "cpu" or "cuda"
        Where the work is done; "auto" (default) takes a CUDA device where there is one.
    tolerance : float, optional
        Error allowed, relative to the image's maximum: 1e-4 for float32, 1e-8 for float64 by default.
    cutoff : float, optional
        Frequencies are kept where |ĥ| is at least this part of its maximum; a tenth of the tolerance by default, 0 for
        all. The error is about 1.3 times the cutoff.
    normalize : bool
        Divide by the mesh's total intensity: Σ density · area, and brightness · volume of what is filled; off by
        default.
    deterministic : bool
        Run finufft and FFTs on one thread, so that results are bit-identical from run to run; off by default.

    Returns
    -------
    (z, y, x) float32 or float64
        The image, in the dtype of the mesh's vertices; intensity per µm³ (density in 1/µm² gives 1/µm³).

    Raises
    ------
    ConfigError, BackendError
        For a tolerance or a normalisation that is not possible, or a back end that cannot be used.
    """
    renderer = _renderer(
        mesh, psf, grid, backend=backend, device=device, tolerance=tolerance, cutoff=cutoff, normalize=normalize,
        deterministic=deterministic,
    )  # fmt: skip
    return renderer.render(mesh)


def render_vjp(
    mesh: Mesh | Simplices | Scene,
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
    """Return the vector-Jacobian product of :func:`render`.

    Parameters
    ----------
    mesh : SurfaceMesh, MultiMaterialMesh, PointSet, Filaments, TetrahedralMesh or Scene
        Positions in µm, (z, y, x), with the density in intensity per µm² (of filaments per µm, of tetrahedra per µm³,
        of points the brightness) and, where bodies are filled, the jump in intensity per µm³.
    psf : PSF
        The point spread function.
    grid : Grid
        The image's grid, periodic.
    cotangent : (z, y, x) float
        Cotangent of the image, of the grid's shape.
    backend : "auto", "exact" or "nufft"
        The closed formula, or quadrature points with a non-uniform FFT; "auto" (default) takes the quicker one.
    device : "auto", "cpu" or "cuda"
        Where the work is done; "auto" (default) takes a CUDA device where there is one.
    tolerance : float, optional
        Error allowed, relative to the image's maximum: 1e-4 for float32, 1e-8 for float64 by default.
    cutoff : float, optional
        Frequencies are kept where |ĥ| is at least this part of its maximum; a tenth of the tolerance by default, 0 for
        all.
    normalize : bool
        Differentiate the image divided by the mesh's total intensity; off by default.
    deterministic : bool
        Run finufft and FFTs on one thread, so that results are bit-identical from run to run; off by default.

    Returns
    -------
    RenderGradient
        d/d(vertices), d/d(density), d/d(PSF parameters) and, for a filled mesh, d/d(jump) of Σ cotangent · image. The
        PSF's part is taken on the modes that are kept (the band itself is not differentiated).

    Raises
    ------
    ConfigError, BackendError, GridError
        For a tolerance or a normalisation that is not possible, a back end that cannot be used, or a cotangent of
        another shape.
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
    of_psf = renderer.psf_vjp(renderer.spectrum(mesh), cotangent)
    bodies = moved.bodies if isinstance(moved, SceneGradient) else {}
    return RenderGradient(moved.vertices, moved.density, of_psf, moved.jump, bodies)
