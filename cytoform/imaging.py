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
    mesh: SurfaceMesh, psf: PSF, grid: Grid, *, room: float | Sequence[float] | None = None, **options: Any
) -> Array:
    """Image of a mesh on a grid as if it were cut from a wider one: nothing wraps around from the other side.

    Parameters
    ----------
    mesh : SurfaceMesh or MultiMaterialMesh
        µm, (z, y, x), with its density in intensity per µm². May stick out of the grid.
    psf : PSF
    grid : Grid
        Of the image.
    room : float or (3,) float, optional
        How much wider the grid is that the mesh is rendered on, µm. By default twice the PSF's reach, and as much as
        the mesh sticks out. The PSF's reach alone is enough for a mesh inside of the grid.
    **options
        Of :func:`cytoform.render`: backend, device, tolerance, cutoff, normalize, deterministic.

    Returns
    -------
    (z, y, x) float32 or float64
        The dtype of the mesh's vertices; intensity per µm³.

    Raises
    ------
    GridError, ConfigError, BackendError
        As :func:`cytoform.render`.
    """
    return _crop_to(_rendered_wide(mesh, psf, grid, room, options), grid)


def _rendered_wide(mesh: SurfaceMesh, psf: PSF, grid: Grid, room: Any, options: dict[str, Any]) -> Array:
    """The image with the room around it."""
    if room is None:
        room = tuple(grid.overhang(mesh.bounds) + 2.0 * np.asarray(psf.reach()))
    return render(mesh, psf, grid.padded(room), **options)


def _crop_to(image: Array, grid: Grid) -> Array:
    return np.ascontiguousarray(image[tuple(slice(n) for n in grid.shape)])


def camera_image(
    image: Array, *, photons: float = 100.0, background: float = 100.0, read_noise: float = 2.0,
    seed: int = 0,
) -> npt.NDArray[np.uint16]:  # fmt: skip
    """What a camera makes of an image: photons are counted, an offset and read-out noise are added.

    Parameters
    ----------
    image : (z, y, x) float
        Light, in any unit. Negative values count as none.
    photons : float
        Mean number of photons in the brightest voxel; a photon is one grey value.
    background, read_noise : float
        The camera's offset and the standard deviation of its read-out, in grey values.
    seed : int
        Of the noise.

    Returns
    -------
    (z, y, x) uint16

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
    """The noise of a camera, for :func:`make_sample`; numbers as for :func:`camera_image`."""

    photons: float = 100.0
    background: float = 100.0
    read_noise: float = 2.0

    def __call__(self, light: Array, seed: int) -> npt.NDArray[np.uint16]:
        """The camera's image of the light, (z, y, x)."""
        return camera_image(light, **dataclasses.asdict(self), seed=seed)


@dataclasses.dataclass(frozen=True)
class GaussianNoise:
    """Noise of one standard deviation in all voxels, for :func:`make_sample`.

    Parameters
    ----------
    deviation : float
        In the unit of the light; 0 for none.

    Raises
    ------
    ConfigError
        When it is negative or not finite.
    """

    deviation: float

    def __post_init__(self) -> None:
        if not 0 <= self.deviation < np.inf:
            raise ConfigError(f"deviation is {self.deviation!r}; expected a finite number, 0 or more.")

    def __call__(self, light: Array, seed: int) -> Array:
        """The light with noise, (z, y, x), in its own dtype."""
        if self.deviation == 0:
            return light
        noise = np.random.default_rng(seed).normal(0.0, self.deviation, light.shape)
        return (light + noise).astype(light.dtype)


@dataclasses.dataclass(frozen=True, eq=False)
class Sample:
    """A simulated image with what is known about it.

    Attributes
    ----------
    image : Volume
        With noise.
    light : (z, y, x) float
        The same without noise and background.
    truth : SurfaceMesh
        The surface in it, µm.
    psf : PSF
        What it was blurred with.
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
    room: float | Sequence[float] | None = None,
    name: str = "",
    **options: Any,
) -> Sample:
    """Simulate the image of a body whose surface is known.

    Parameters
    ----------
    truth : SurfaceMesh
        µm, (z, y, x), with its density in intensity per µm².
    psf : PSF
    grid : Grid
        Of the image.
    noise : function of (light (z, y, x), seed), optional
        Gives the image's values, such as :class:`CameraNoise` and :class:`GaussianNoise`; none by default.
    seed : int
        Of the noise.
    peak : float, optional
        What the brightest voxel of the light is scaled to; by default it stays as it is rendered.
    dtype : dtype
        Of the light.
    room, **options
        As for :func:`render_on`.
    name : str
        Of the image.

    Returns
    -------
    Sample
        The same for the same seed.

    Raises
    ------
    GridError, ConfigError, BackendError
        As :func:`render_on`; ConfigError too when nothing of the body is in the image and `peak` is given (all of it
        is further away than the PSF reaches, or the brightest voxel is below the rendering's tolerance), and when the
        noise gives another shape than the light's.
    """
    if peak is not None:
        _check_within_reach(truth, psf, grid)
    wide = _rendered_wide(truth, psf, grid, room, options)
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
    """Refuse a body so far off that a rendering holds nothing but its own ripples there."""
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
    return f"({', '.join(f'{x:.4g}' for x in point)})"


def _scale_to_peak(light: Array, peak: float, least: float) -> Array:
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
    data = np.asarray(noise(light, seed))
    if data.shape != light.shape:
        name = getattr(noise, "__name__", None) or type(noise).__name__
        raise ConfigError(
            f"the noise, {name}, gives an image of shape {data.shape}; expected that of the light, {light.shape}.",
            remedy="Let it return a value for each voxel.",
        )
    return data
