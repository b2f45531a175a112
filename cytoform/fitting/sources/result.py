"""What results of fits of points and of filaments share: the model, its measures, warnings and files."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..._typing import Bools, Floats
from ..._version import __version__
from ...atomic import ensure_folder, write_text
from ...image.io import write_volume
from ...image.volume import Volume
from ...optics import PSF
from .config import SourcesConfig
from .measurement import Measurement
from .rounds import SourceFit

__all__ = ["SourcesResult", "common_fields"]

_BRIGHT = 0.1  # of the brightest light of sources: voxels above it are those that the sources explain
_POOR = 0.1  # misfit, in parts of the light, from which there is a warning
_SURE = 4.0  # standard deviations by which a misfit has to exceed the noise


def common_fields(found: SourceFit, volume: Volume, config: SourcesConfig, begin: float) -> dict[str, Any]:
    """Return the fields of a :class:`SourcesResult` by name.

    Parameters
    ----------
    found : SourceFit
        The fit.
    volume : Volume
        The measured image.
    config : SourcesConfig
        Settings.
    begin : float
        ``time.perf_counter()`` when the fit began.

    Returns
    -------
    dict of str to object
        Arguments of the result.
    """
    background, light = (
        Volume(data, volume.spacing, volume.origin, volume.name) for data in (found.measurement.background, found.light)
    )
    return {
        "psf": found.measurement.psf, "background": background, "light": light, "noise": found.noise,
        "settings": config.as_dict(), "image": volume, "measurement": found.measurement,
        "seconds": time.perf_counter() - begin,
    }  # fmt: skip


@dataclasses.dataclass(frozen=True, eq=False)
class SourcesResult:
    """A fit of sources of light; the base of the results for points and filaments.

    Parameters
    ----------
    psf : PSF
        Point spread function, fitted or given.
    background : Volume
        Intensity without sources.
    light : Volume
        Image of the sources alone.
    noise : (float, float)
        Variance of the noise in the dark, and its growth per unit of light.
    settings : mapping
        Settings of the fit as plain values.
    image : Volume
        The measured image.
    measurement : Measurement
        Image, noise, background and PSF as the fit used them.
    seconds : float
        Time of the fit.
    """

    psf: PSF
    background: Volume
    light: Volume
    noise: tuple[float, float]
    settings: Mapping[str, Any]
    image: Volume
    measurement: Measurement
    seconds: float

    @functools.cached_property
    def model(self) -> Volume:
        """Background plus the light of all sources."""
        data = (self.background.data + self.light.data).astype(np.float32)
        return Volume(data, self.image.spacing, self.image.origin, self.image.name)

    @property
    def residual(self) -> Floats:
        """Image minus model, (z, y, x)."""
        found: Floats = self.measurement.image - self.background.data - self.light.data
        return found

    @functools.cached_property
    def bright(self) -> Bools:
        """Voxels in which the sources have more than a tenth of their brightest light, (z, y, x)."""
        top = float(self.light.data.max())
        found: Bools = self.light.data > _BRIGHT * top if top > 0 else np.zeros(self.light.shape, dtype=bool)
        return found

    @functools.cached_property
    def r2(self) -> float:
        """Share of the variance that the model explains in the voxels of :attr:`bright`; NaN without sources."""
        inside = self.bright
        if inside.sum() < 2:
            return float("nan")
        values = self.measurement.image[inside]
        return 1.0 - float((self.residual[inside] ** 2).sum() / ((values - values.mean()) ** 2).sum())

    @functools.cached_property
    def misfit(self) -> float:
        """What the residual has beyond the noise in :attr:`bright`, in parts of the light there (root mean square)."""
        inside = self.bright
        if not inside.any():
            return 0.0
        variance = self.measurement.variance[inside]
        excess = float((self.residual[inside] ** 2 - variance).mean())
        spread = _SURE * float(np.sqrt(2.0 * (variance**2).sum())) / inside.sum()
        return float(np.sqrt(max(excess, 0.0) / (self.light.data[inside] ** 2).mean())) if excess > spread else 0.0

    def warnings(self) -> tuple[str, ...]:
        """Return what to know before the result is used, a sentence each.

        Returns
        -------
        tuple of str
            Empty where nothing speaks against it.
        """
        found = list(self.image.remarks)
        if self.misfit > _POOR:
            found.append(
                f"The model leaves {100 * self.misfit:.0f} % of the light unexplained beyond the noise: look at the "
                "residual in the report. A wrong PSF, sources wider than the PSF, or other structures do this."
            )
        return tuple(found)

    def summary(self) -> dict[str, Any]:
        """Return the numbers of the fit as plain values, as ``fit.json`` has them.

        Returns
        -------
        dict of str to object
            Without the table of sources.
        """
        return {
            "version": __version__,
            "r2": None if np.isnan(self.r2) else self.r2,
            "misfit": self.misfit,
            "background": float(np.mean(self.background.data)),
            "background_range": [float(self.background.data.min()), float(self.background.data.max())],
            "noise_variance": self.noise[0],
            "noise_growth": self.noise[1],
            "psf": self.psf.brief(),
            "spacing_um": list(self.image.spacing),
            "image": self.image.name,
            "seconds": self.seconds,
            "warnings": list(self.warnings()),
            "config": dict(self.settings),
        }

    def _save_common(self, folder: str | os.PathLike[str]) -> Path:
        """Write the rendering and ``fit.json`` into a folder, made if it is missing, and return it."""
        made = ensure_folder(folder)
        write_volume(made / "rendered.tif", self.model)
        write_text(made / "fit.json", json.dumps(self.summary(), indent=2, allow_nan=False) + "\n")
        return made
