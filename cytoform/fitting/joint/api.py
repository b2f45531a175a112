"""Fit several bodies and a point spread function to one image: the entry point of a joint fit."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..._typing import Array, Bools, Floats
from ...errors import ConfigError, VolumeError
from ...image.volume import Volume
from ...mesh.points import PointSet
from ...mesh.scene import Scene, scaled_brightness
from ...mesh.simplices import Simplices
from ...optics import PSF
from ..checks import check_region
from ..config import FitConfig
from ..start.begin import guess_psf
from .loop import JointFit
from .model import JointLoss
from .result import BodyBrightness, SceneResult

__all__ = ["fit_scene"]


def fit_scene(
    volume: Volume,
    scene: Scene,
    psf: PSF | None = None,
    config: FitConfig | None = None,
    *,
    roi: npt.ArrayLike | None = None,
    fixed: Iterable[str] = (),
    texture: bool = False,
) -> SceneResult:
    """Fit several bodies, each with its own brightness, and one point spread function (PSF) to an image.

    All bodies move together, so the light between two that touch is shared by what explains it best. The brightness of
    each body (of its surface and of its inside apart, if it has both) and the background are solved for at each step;
    no brightness is negative.

    Parameters
    ----------
    volume : Volume
        Fluorescence image, (z, y, x), with its voxel size in µm.
    scene : Scene
        Start: bodies near where they are in the image, µm, (z, y, x). Densities and jumps say how the staining of a
        body is spread over it; their common size does not matter.
    psf : PSF, optional
        Start of the PSF; by default a Gaussian that is guessed from the voxel size.
    config : FitConfig, optional
        Settings; ``FitConfig()`` by default. Of settings with one value a stage the last is used. Staining, robust loss
        and camera are not used.
    roi : (z, y, x) array, optional
        Region of interest: voxels other than 0 enter the loss; all by default. What is bright in it and no body
        explains disturbs the fit.
    fixed : iterable of str
        Names of bodies whose shape is held; only their brightness is fitted.
    texture : bool
        Whether the brightness inside filled bodies may be uneven: a polynomial of second order in each, whose strength
        is learnt from the image.

    Returns
    -------
    SceneResult
        Bodies, PSF, brightnesses with standard errors, and the model of the image.

    Raises
    ------
    ConfigError, FitError, MeshError, VolumeError
        If an image, scene, region or setting cannot be used.
    """
    begin = time.perf_counter()
    config = FitConfig() if config is None else config
    region = _region(volume, roi)
    held = _checked_names(scene, fixed)
    observed, low, size = _scaled(volume, region, config)
    names, bodies = _apart(scene.astype(np.float64))
    fit = JointFit(
        observed, region.astype(observed.dtype), volume.grid, bodies,
        guess_psf(volume.spacing) if psf is None else psf, config, [name not in held for name in names],
        textured=texture,
    )  # fmt: skip
    found = fit.run()
    return _result(fit, found, names, volume, (low, size), time.perf_counter() - begin)


def _region(volume: Volume, roi: npt.ArrayLike | None) -> Bools:
    """Return the region of interest, (z, y, x) bool: all voxels by default; raise FitError for another shape."""
    if roi is None:
        return np.ones(volume.shape, dtype=bool)
    region: Bools = np.asarray(roi) != 0
    check_region(region, volume)
    return region


def _checked_names(scene: Scene, fixed: Iterable[str]) -> set[str]:
    """Return the names of the bodies that are held; raise ConfigError for one that is not in the scene."""
    held = {fixed} if isinstance(fixed, str) else set(fixed)
    unknown = sorted(held - set(scene.bodies))
    if unknown:
        raise ConfigError(f"fixed names {unknown[0]!r}; expected some of {', '.join(map(repr, scene.bodies))}.")
    return held


def _scaled(volume: Volume, region: Bools, config: FitConfig) -> tuple[Array, float, float]:
    """Return the image with its 1st and 99.8th percentile in the region at 0 and 1, and what undoes that."""
    data = np.asarray(volume.data, dtype=config.dtype)
    low, high = (float(v) for v in np.percentile(data[region], (1.0, 99.8)))
    if not high > low:
        raise VolumeError(f"every voxel of the region of interest is {low:g}; expected an image of cells.")
    return ((data - low) / (high - low)).astype(config.dtype), low, high - low


def _result(
    fit: JointFit, found: JointLoss, names: list[str], volume: Volume, scale: tuple[float, float], seconds: float
) -> SceneResult:
    """Gather the result: brightnesses into the bodies, intensities in the image's own unit."""
    low, size = scale
    errors = _standard_errors(fit, found) * size
    gains = found.brightness.gains * size
    bodies: dict[str, Any] = {}
    brightness: dict[str, BodyBrightness] = {}
    for name in dict.fromkeys(names):
        mine = [number for number, other in enumerate(names) if other == name]
        body, own = fit.bodies[mine[0]], [column for number in mine for column in found.parts[number]]
        rough = 0.0 if fit.texture is None else float(fit.texture.amplitudes[mine[0]])
        if isinstance(body, PointSet):
            bodies[name], brightness[name] = _bright_points([fit.bodies[n] for n in mine], gains[own], errors[own])
        else:
            bodies[name], brightness[name] = _bright_body(body, gains[own], errors[own], rough)
    light = 0.0 if fit.texture is None else fit.texture.light
    model = (found.brightness.model + light) * size + low
    return SceneResult(
        Scene(bodies), fit.psf, found.brightness.background * size + low, brightness,
        Volume(model.astype(fit.observed.dtype), volume.spacing, volume.origin), fit.r2_of(found),
        float(np.sqrt(found.value)) * size, None if fit.texture is None else fit.texture.spread,
        [dataclasses.astuple(entry) for entry in fit.history], fit.stop_reason, seconds, fit.config,
    )  # fmt: skip


def _apart(scene: Scene) -> tuple[list[str], list[Any]]:
    """Return the names and bodies of a scene with every point a body of its own, as each has its own brightness."""
    names: list[str] = []
    bodies: list[Any] = []
    for name, body in scene.bodies.items():
        found: list[Any] = [body]
        if isinstance(body, PointSet):
            found = [PointSet(p[None], b[None]) for p, b in zip(body.positions, body.brightness)]
        names += [name] * len(found)
        bodies += found
    return names, bodies


def _bright_points(points: list[PointSet], gains: Floats, errors: Floats) -> tuple[PointSet, BodyBrightness]:
    """Return points as one body in the image's intensities, and their mean brightness with its standard error."""
    own = np.array([float(point.brightness[0]) for point in points])
    found = PointSet(np.concatenate([point.positions for point in points]), gains * own)
    error = float(np.linalg.norm(errors * own)) / len(points)
    return found, BodyBrightness(float(np.mean(gains * own)), error, None, None)


def _standard_errors(fit: JointFit, found: JointLoss) -> Floats:
    """Return the standard error of each gain from what is left unexplained, taken for white noise, shapes held."""
    positive = found.brightness.gains > 0
    covariance = np.full(len(positive), np.inf)
    if positive.any():
        inverse = np.linalg.pinv(found.brightness.normal[np.ix_(positive, positive)])
        covariance[positive] = found.value * np.diag(inverse)
    diagonal = np.maximum(np.diag(found.brightness.normal), 1e-300)
    covariance[~positive] = found.value / diagonal[~positive]
    return np.asarray(np.sqrt(np.maximum(covariance, 0.0)))


def _bright_body(body: Any, gains: Floats, errors: Floats, rough: float) -> tuple[Any, BodyBrightness]:
    """Return a body in the image's intensities and its brightness.

    `gains` and `errors` are those of its parts: of its surface and its inside if it has both.
    """
    if isinstance(body, Simplices):
        mean = float(np.average(body.strength, weights=body.sizes))
        return scaled_brightness(body, float(gains[0])), BodyBrightness(
            float(gains[0]) * mean, float(errors[0]) * abs(mean), None, None
        )
    filled = body.jump is not None and bool(np.any(body.jump))
    stained = not filled or bool(np.any(body.density))
    level = float(np.abs(body.jump).max()) if filled else 0.0
    density = float(body.face_areas @ np.asarray(body.density, dtype=np.float64)) / float(body.face_areas.sum())
    bright = BodyBrightness(
        float(gains[0]) * density if stained else None, float(errors[0]) * density if stained else None,
        float(gains[-1]) * level if filled else None, float(errors[-1]) * level if filled else None, rough,
    )  # fmt: skip
    return scaled_brightness(body, float(gains[0]) if stained else 1.0, float(gains[-1])), bright
