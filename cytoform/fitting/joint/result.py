"""The result of a joint fit: bodies in the image's own intensities, their brightness, and the files of it."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from ..._typing import Array
from ..._version import __version__
from ...atomic import ensure_folder, write_text
from ...image.io import write_volume
from ...image.volume import Volume
from ...mesh import geometry
from ...mesh.base import TriangleMesh
from ...mesh.filaments import Filaments
from ...mesh.scene import Scene
from ...mesh.scene_files import write_scene
from ...optics import PSF
from ...tables import csv_text, structured
from ..config import FitConfig

__all__ = ["BodyBrightness", "SceneResult"]

COLUMNS: dict[str, type] = {
    "body": str, "kind": str, "brightness": float, "brightness_se": float, "inside": float, "inside_se": float,
    "texture": float, "z_um": float, "y_um": float, "x_um": float, "volume_um3": float, "area_um2": float,
    "length_um": float,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class BodyBrightness:
    """How bright one body is, in the image's intensities.

    Attributes
    ----------
    stained : float or None
        Mean density of its surface (per µm²), its filaments (per µm) or its tetrahedra (per µm³), or the mean
        brightness of its points; None for a body that has only an inside.
    stained_error : float or None
        Standard error of it, with shapes and PSF held.
    inside : float or None
        Brightness of the inside per µm³: the largest jump of its faces; None without one.
    inside_error : float or None
        Standard error of it, with shapes and PSF held.
    texture : float
        Root mean square of the unevenness inside, over the brightness of the inside.
    """

    stained: float | None
    stained_error: float | None
    inside: float | None
    inside_error: float | None
    texture: float = 0.0


@dataclasses.dataclass(frozen=True, eq=False)
class SceneResult:
    """Result of :func:`cytoform.fit_scene`.

    Attributes
    ----------
    scene : Scene
        The bodies, with densities, jumps and brightnesses in the image's intensities.
    psf : PSF
        The fitted point spread function.
    background : float
        Intensity where no body is.
    brightness : dict of str to BodyBrightness
        How bright each body is, with standard errors.
    model : Volume
        The fitted image: all bodies, textures and background.
    r2 : float
        1 - Σ (model - image)² / Σ (image - mean)² in the region of interest.
    noise : float
        Standard deviation of what is left unexplained, in the image's intensities.
    texture_spread : float or None
        Standard deviation of the unevenness inside bodies that was learnt from the image; None if it was not fitted.
    history : list of tuple
        (steps, loss, R²) after each round; the loss is scaled by the image's range.
    stop_reason : str
        Why the fit ended.
    seconds : float
        Time that it took.
    config : FitConfig
        Its settings.
    """

    scene: Scene
    psf: PSF
    background: float
    brightness: dict[str, BodyBrightness]
    model: Volume
    r2: float
    noise: float
    texture_spread: float | None
    history: list[tuple[int, float, float]]
    stop_reason: str
    seconds: float
    config: FitConfig

    @property
    def converged(self) -> bool:
        """Whether the fit ended because nothing was gained any more."""
        return self.stop_reason.startswith("converged")

    def table(self) -> Array:
        """Return one row for each body: kind, brightness with standard errors, place, volume, area or length.

        Returns
        -------
        (n_bodies,) structured array
            A number that a kind of body does not have is NaN.
        """
        return structured([self._row(name) for name in self.scene.bodies], COLUMNS)

    def _row(self, name: str) -> dict[str, Any]:
        """Return the row of one body."""
        body, bright = self.scene[name], self.brightness[name]
        nan = float("nan")
        mesh = body if isinstance(body, TriangleMesh) else None
        points = np.asarray(body.vertices, dtype=np.float64)
        place = points.mean(axis=0) if mesh is None else geometry.surface_centroid(mesh.vertices, mesh.faces)
        numbers = [bright.stained, bright.stained_error, bright.inside, bright.inside_error]
        row = [nan if value is None else value for value in numbers]
        sizes = (
            nan if mesh is None else float(mesh.volume), nan if mesh is None else float(mesh.area),
            body.length if isinstance(body, Filaments) else nan,
        )  # fmt: skip
        cells = [name, type(body).__name__, *row, bright.texture, *map(float, place), *sizes]
        return dict(zip(COLUMNS, cells))

    def summary(self) -> dict[str, Any]:
        """Return the numbers of the fit as plain values, as ``fit.json`` has them.

        Returns
        -------
        dict
            Bodies, background, PSF, R², noise, and how the fit ended.
        """
        rows = [self._row(name) for name in self.scene.bodies]
        tidy = [{k: None if isinstance(v, float) and np.isnan(v) else v for k, v in row.items()} for row in rows]
        return {
            "version": __version__,
            "bodies": tidy,
            "background": self.background,
            "psf": self.psf.describe(),
            "r2": self.r2,
            "noise": self.noise,
            "texture_spread": self.texture_spread,
            "iterations": self.history[-1][0] if self.history else 0,
            "seconds": self.seconds,
            "stop_reason": self.stop_reason,
            "seed": self.config.seed,
        }

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``scene.h5``, ``bodies.csv``, ``fit.json`` and ``rendered.tif`` into a folder, and return it.

        Parameters
        ----------
        folder : path
            The folder, made if it is missing. Each file is written whole or not at all.

        Returns
        -------
        Path
            The folder.
        """
        path = ensure_folder(folder)
        write_scene(path / "scene.h5", self.scene)
        rows = [self._row(name).values() for name in self.scene.bodies]
        write_text(path / "bodies.csv", csv_text(COLUMNS, rows))
        write_text(path / "fit.json", json.dumps(self.summary(), indent=2, allow_nan=False) + "\n")
        write_volume(path / "rendered.tif", self.model)
        return path
