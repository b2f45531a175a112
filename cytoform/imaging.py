"""Simulate images: a rendering without wrap-around, a camera's image, and a sample with its ground truth."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ._typing import Array
from .errors import ConfigError
from .image.volume import Grid, Volume
from .mesh.surface import SurfaceMesh
from .optics import PSF, Camera
from .rendering import default_tolerance, render

__all__ = ["CameraNoise", "GaussianNoise", "Noise", "Sample", "camera_image", "make_sample", "render_on"]

Noise = Callable[[Array, int], Array]
"""Takes noise-free light (z, y, x) and a seed, returns the noisy image (z, y, x)."""


def render_on(
    mesh: SurfaceMesh, psf: PSF, grid: Grid, *, margin: float | Sequence[float] | None = None, **options: Any
) -> Array:
    """Render a mesh on a grid as if it were cut from a wider one, so that nothing wraps around from the other side.

    Parameters
    ----------
    mesh : SurfaceMesh or MultiMaterialMesh
        µm, (z, y, x), with its density in intensity per µm². It may extend beyond the grid.
    psf : PSF
        Point spread function of the microscope.
    grid : Grid
        Grid of the image.
    margin : float or (3,) float, optional
        Width in µm by which the grid for rendering is extended behind its last voxels. By default twice the distance
        from its centre at which the PSF ends (``psf.reach()``), and the mesh's overhang. Once that distance is enough
        for a mesh inside of the grid.
    **options : object
        Keyword arguments of :func:`cytoform.render`: backend, device, tolerance, cutoff, normalize, deterministic.

    Returns
    -------
    (z, y, x) float32 or float64
        The dtype of the mesh's vertices; intensity per µm³.

    Raises
    ------
    GridError
        When the width is not finite.
    ConfigError
        When an option is out of range.
    BackendError
        When a requested device or library is missing.
    """
    return _crop_to(_render_extended(mesh, psf, grid, margin, options), grid)


def _render_extended(mesh: SurfaceMesh, psf: PSF, grid: Grid, margin: Any, options: dict[str, Any]) -> Array:
    """Render a mesh on the grid extended by `margin` µm behind its last voxels, and return all of that image.

    None for `margin` takes twice the PSF's extent and the mesh's overhang; `options` are keyword arguments of
    :func:`cytoform.render`.
    """
    if margin is None:
        margin = tuple(grid.overhang(mesh.bounds) + 2.0 * np.asarray(psf.reach()))
    return render(mesh, psf, grid.padded(margin), **options)


def _crop_to(image: Array, grid: Grid) -> Array:
    """Return the part of an image on an extended grid that lies on `grid`, as a contiguous array."""
    return np.ascontiguousarray(image[tuple(slice(n) for n in grid.shape)])


def camera_image(
    image: Array, *, photons: float = 100.0, background: float = 100.0, read_noise: float = 2.0,
    seed: int = 0,
) -> npt.NDArray[np.uint16]:  # fmt: skip
    """Simulate a camera's image: photons are counted (Poisson), an offset and read-out noise are added.

    Parameters
    ----------
    image : (z, y, x) float
        Light, in any unit. Negative values count as 0.
    photons : float
        Mean number of photons in the brightest voxel; a photon is one grey value.
    background : float
        The camera's offset in grey values.
    read_noise : float
        Standard deviation of the read-out noise in grey values.
    seed : int
        Seed of the noise.

    Returns
    -------
    (z, y, x) uint16
        Grey values.

    Raises
    ------
    ConfigError
        When a number is out of range.
    """
    if not (photons > 0 and read_noise >= 0 and background >= 0 and photons + background < 60_000):
        raise ConfigError(
            f"photons is {photons:g}, background {background:g}, read noise {read_noise:g}; expected photons above 0, "
            "the others 0 or more, and a sum that a 16-bit camera holds."
        )
    light = np.clip(np.asarray(image, dtype=np.float64), 0.0, None)
    camera = Camera(offset=background, read_noise=read_noise, bits=16)
    return camera.simulate(photons * light / max(float(light.max()), 1e-300), seed)


@dataclasses.dataclass(frozen=True)
class CameraNoise:
    """The noise of a camera, as a function for :func:`make_sample`.

    Parameters
    ----------
    photons : float
        Mean number of photons in the brightest voxel; a photon is one grey value.
    background : float
        The camera's offset in grey values.
    read_noise : float
        Standard deviation of the read-out noise in grey values.
    """

    photons: float = 100.0
    background: float = 100.0
    read_noise: float = 2.0

    def __call__(self, light: Array, seed: int) -> npt.NDArray[np.uint16]:
        """Return the camera's image of the light, (z, y, x)."""
        return camera_image(light, **dataclasses.asdict(self), seed=seed)


@dataclasses.dataclass(frozen=True)
class GaussianNoise:
    """Normal noise of one standard deviation in all voxels, as a function for :func:`make_sample`.

    Parameters
    ----------
    deviation : float
        Standard deviation in the unit of the light; 0 for none.

    Raises
    ------
    ConfigError
        When it is negative or not finite.
    """

    deviation: float

    def __post_init__(self) -> None:
        """Check the deviation."""
        if not 0 <= self.deviation < np.inf:
            raise ConfigError(f"deviation is {self.deviation!r}; expected a finite number, 0 or more.")

    def __call__(self, light: Array, seed: int) -> Array:
        """Return the light with noise, (z, y, x), in the dtype of the light."""
        if self.deviation == 0:
            return light
        noise = np.random.default_rng(seed).normal(0.0, self.deviation, light.shape)
        return (light + noise).astype(light.dtype)


@dataclasses.dataclass(frozen=True, eq=False)
class Sample:
    """A simulated image with its ground truth.

    Parameters
    ----------
    image : Volume
        The image with noise.
    light : (z, y, x) float
        The same without noise and background.
    truth : SurfaceMesh
        The surface that was rendered, in µm.
    psf : PSF
        The point spread function of the image.
    """

    image: Volume
    light: Array
    truth: SurfaceMesh
    psf: PSF


def make_sample(
    truth: SurfaceMesh,
    psf: PSF,
    grid: Grid,
    *,
    noise: Noise | None = None,
    seed: int = 0,
    peak: float | None = None,
    dtype: npt.DTypeLike = np.float32,
    margin: float | Sequence[float] | None = None,
    name: str = "",
    **options: Any,
) -> Sample:
    """Simulate the image of a body whose surface is known.

    Parameters
    ----------
    truth : SurfaceMesh
        Its surface in µm, (z, y, x), with its density in intensity per µm².
    psf : PSF
        Point spread function of the microscope.
    grid : Grid
        Grid of the image.
    noise : function of (light (z, y, x), seed), optional
        Returns the image's values, such as :class:`CameraNoise` and :class:`GaussianNoise`; none by default.
    seed : int
        Seed of the noise.
    peak : float, optional
        Value to which the brightest voxel of the light is scaled; by default the light is not scaled.
    dtype : dtype
        Number type of the light.
    margin : float or (3,) float, optional
        Width in µm by which the grid for rendering is extended behind its last voxels; by default as in
        :func:`render_on`.
    name : str
        Name of the image.
    **options : object
        Keyword arguments of :func:`cytoform.render`: backend, device, tolerance, cutoff, normalize, deterministic.

    Returns
    -------
    Sample
        The image and its ground truth; the same for the same seed.

    Raises
    ------
    GridError
        When `margin` is not finite.
    ConfigError
        When an option is out of range; when `peak` is given and no light of the body is in the image (all of it is
        further away than the PSF's extent, or the brightest voxel is below the rendering's tolerance); when the noise
        gives another shape than the light's.
    BackendError
        When a requested device or library is missing.
    """
    if peak is not None:
        _check_within_reach(truth, psf, grid)
    wide = _render_extended(truth, psf, grid, margin, options)
    light = _crop_to(wide, grid)
    if peak is not None:
        tolerance = options.get("tolerance")
        part = default_tolerance(wide.dtype) if tolerance is None else max(tolerance, 100.0 * np.finfo(wide.dtype).eps)
        light = _scale_to_peak(light, peak, part * float(max(wide.max(), -wide.min())))
    light = light.astype(dtype, copy=False)
    data = light if noise is None else _add_noise(light, noise, seed)
    return Sample(Volume(data, grid.spacing, grid.origin, name), light, truth, psf)


_REMEDY = "Is the body on the grid? Coordinates are µm, (z, y, x)."


def _check_within_reach(truth: SurfaceMesh, psf: PSF, grid: Grid) -> None:
    """Raise ConfigError if the body is further from the image, along an axis, than the PSF extends.

    The rendering there would hold nothing but its numerical error, which must not be scaled to a peak.
    """
    (low, high), reach = np.asarray(truth.bounds, dtype=np.float64), np.asarray(psf.reach())
    first, last = np.asarray(grid.origin), grid.to_um(np.asarray(grid.shape) - 1)
    if np.any(low > last + reach) or np.any(high < first - reach):
        raise ConfigError(
            f"the body lies from {_format_point(low)} to {_format_point(high)} µm, the image from "
            f"{_format_point(first)} to {_format_point(last)}, and the PSF reaches {_format_point(reach)} far; "
            "expected light in the image, to scale it to a peak.",
            remedy=_REMEDY,
        )


def _format_point(point: Array) -> str:
    """Return a point as text with 4 digits, such as "(1.5, 0, 2.25)"."""
    return f"({', '.join(f'{x:.4g}' for x in point)})"


def _scale_to_peak(light: Array, peak: float, least: float) -> Array:
    """Return the light scaled so that its brightest voxel is `peak`.

    ConfigError is raised unless the brightest voxel exceeds `least`, the error of the rendering.
    """
    brightest = light.max()
    if not brightest > least:
        raise ConfigError(
            f"the image's brightest voxel is {brightest:g}, which is no more than the rendering errs by ({least:g}); "
            f"expected light, to scale it to a peak of {peak:g}.",
            remedy=_REMEDY,
        )
    scaled: Array = light * peak / brightest
    return scaled


def _add_noise(light: Array, noise: Noise, seed: int) -> Array:
    """Return the image that `noise` makes of the light and the seed; raise ConfigError where its shape differs."""
    data = np.asarray(noise(light, seed))
    if data.shape != light.shape:
        name = getattr(noise, "__name__", None) or type(noise).__name__
        raise ConfigError(
            f"the noise, {name}, gives an image of shape {data.shape}; expected that of the light, {light.shape}.",
            remedy="Let it return a value for each voxel.",
        )
    return data
