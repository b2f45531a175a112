"""A point spread function that was measured: the image of a bead, or one that another program computed."""

from __future__ import annotations

import base64
import dataclasses
import functools
import logging
import math
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .._typing import Array, Bools, Complex, Floats
from ..errors import ConfigError, VolumeError
from ..image.band import Band
from ..image.slices import slices_by_another_name
from ..image.volume import Grid, Volume
from ..options import Option, Setting
from .psf import NumericPSF, Triple
from .registry import FILE, register

__all__ = ["MeasuredPSF"]


_LOG = logging.getLogger(__name__)
_PIXELS = "float32_zlib_base64"
_ROUNDS = 200  # of the search for the centre; it stops before where nothing moves
_STILL = 1e-9  # voxels


@register
@dataclasses.dataclass(frozen=True, eq=False)
class MeasuredPSF(NumericPSF):
    """h is the band-limited function through the samples p_n of an image, centred, with integral 1.

        ĥ(ξ) = Σ_n p_n exp(-i s ξ · (x_n - c)) / Σ_n p_n    where |s ξ| < π / spacing on every axis, else 0,

    evaluated at any grid's modes as it stands, so no resampling blurs it. Outside of the image the PSF is 0. s
    stretches it by one factor along z and one across; their logarithms are the free parameters, 0 for the PSF as
    measured.

    Parameters
    ----------
    image : Volume
        The PSF, brighter than its surroundings, at least 3 voxels on each axis. Dark offsets and dim surroundings are
        taken off (`background`).
    background : float, optional
        Intensity of nothing; by default the median of the image's outermost voxels.
    centre : (3,) float, optional
        The PSF's place in µm, (z, y, x), what is imaged to its own place. By default the point that is the centroid of
        the light seen through a Gaussian window around it, as wide as the bright part: noise far off does not move it.
    stretch : (2,) float
        Factors along z and across, positive.

    Raises
    ------
    VolumeError
        When the image is constant, too small, or has no light above the background.
    ConfigError
        When a stretch is not positive.
    """

    image: Volume
    background: float | None = None
    centre: tuple[float, float, float] | None = None
    stretch: tuple[float, float] = (1.0, 1.0)
    _cache: dict[str, Any] = dataclasses.field(default_factory=dict, init=False, repr=False)
    kind = FILE
    by_name = False

    def __post_init__(self) -> None:
        stretch = np.asarray(self.stretch, dtype=np.float64).ravel()
        if stretch.shape != (2,) or not np.isfinite(stretch).all() or (stretch <= 0).any():
            raise ConfigError(f"stretch is {self.stretch!r}; expected two positive factors, along z and across.")
        object.__setattr__(self, "stretch", (float(stretch[0]), float(stretch[1])))
        data = self.image.data
        if min(data.shape) < 3 or data.min() == data.max():
            what = f"has shape {data.shape}" if min(data.shape) < 3 else f"is {data.flat[0]:g} everywhere"
            raise VolumeError(
                f"the PSF's image {what}; expected a bright spot, at least 3 voxels on each axis.",
                remedy="Crop a bead with some dark voxels around it.",
            )
        if self.background is None:
            object.__setattr__(self, "background", float(np.median(data[_shell(data.shape)])))
        if not self.samples.sum() > 0:
            raise VolumeError(
                f"the PSF's image has no light above its background of {self.background:g}.",
                remedy="Pass background=, the intensity where there is nothing.",
            )
        if self.centre is None:
            object.__setattr__(self, "centre", _middle(self.samples, self.image.grid))
        centre = tuple(float(v) for v in np.asarray(self.centre, dtype=np.float64).ravel())
        if len(centre) != 3 or not all(math.isfinite(v) for v in centre):
            raise ConfigError(f"centre is {self.centre!r}; expected a point (z, y, x) in µm.")
        object.__setattr__(self, "centre", centre)

    @classmethod
    def settings(cls) -> tuple[Setting, ...]:
        """Options: how its image is read."""
        size = "Voxel size in µm of the image of a PSF; by default its own."
        return (
            Setting("spacing", Triple, None, Option(size, "Z Y X", "--psf-spacing")),
            Setting("channel", int, None, Option("Which channel of the image of a PSF, from 0.", "N", "--psf-channel")),
        )

    @classmethod
    def from_options(cls, given: Mapping[str, Any], spacing: Triple | None) -> MeasuredPSF:
        """From the file at `path`."""
        return cls.from_file(
            given["path"], spacing=given.get("spacing"), channel=given.get("channel"), image_spacing=spacing
        )

    @classmethod
    def from_file(
        cls,
        path: str | os.PathLike[str],
        *,
        spacing: Triple | None = None,
        channel: int | None = None,
        image_spacing: Triple | None = None,
    ) -> MeasuredPSF:
        """From an image's file.

        Parameters
        ----------
        path : path
        spacing : (3,) float, optional
            Voxel size in µm, (z, y, x); by default the file's own.
        channel : int, optional
            Which one, from 0, where the file has several.
        image_spacing : (3,) float, optional
            Voxel size of the image that the PSF is for: taken, with a warning, where nothing else tells the PSF's.

        Raises
        ------
        FileFormatError, VolumeError, ConfigError
            When the file cannot be read as one stack, no voxel size is known, or a channel has to be chosen.
        """
        return cls(_read(Path(path), spacing, channel, image_spacing))

    @functools.cached_property
    def samples(self) -> Floats:
        """The image less its background, (z, y, x) float64."""
        return self.image.data.astype(np.float64) - self.background

    @property
    def parameters(self) -> Floats:
        """Logarithms of the stretch along z and across, (2,)."""
        return np.log(self.stretch)

    def with_parameters(self, parameters: npt.ArrayLike) -> MeasuredPSF:
        """Stretched otherwise."""
        theta = np.asarray(parameters, dtype=np.float64)
        if theta.shape != (2,) or not np.isfinite(theta).all():
            raise ConfigError(f"the PSF's parameters have shape {theta.shape}; expected 2 finite numbers.")
        return dataclasses.replace(self, stretch=tuple(np.exp(theta).tolist()))

    def axial(self, gradient: Floats) -> Floats:
        """All of it: one factor across keeps the PSF as round as it is."""
        return np.asarray(gradient, dtype=np.float64)

    def limits(self, extent: Triple) -> Triple:
        """The image's own Nyquist frequencies, stretched."""
        z, y, x = (math.pi / (d * s) for d, s in zip(self.image.spacing, self._factors))
        return z, y, x

    @property
    def _factors(self) -> Triple:
        along, across = self.stretch
        return along, across, across

    def otf_on(self, band: Band) -> Complex:
        """OTF on a band's box, complex; zero beyond the image's own Nyquist frequencies."""
        place = (band.grid.extent, band.shape)
        kept, found = self._cache.get("otf", (None, None))
        if kept != place:
            found = self._transform(self._phases(band))
            found.flags.writeable = False
            self._cache["otf"] = place, found
        return found

    def otf_vjp(self, band: Band, cotangent: Array) -> Floats:
        """Gradient for the two logarithms: ∂ĥ/∂log s_z = Σ_n p_n (-i s ξ_z z_n) exp(…), and y and x for the other."""
        weighted = np.asarray(cotangent) * band.weights
        if band.mask is not None:
            weighted = np.where(band.mask, weighted, 0.0)
        phases, slopes = self._phases(band), []
        for axis in range(3):
            changed = list(phases)
            changed[axis] = phases[axis] * self._exponents(band)[axis]
            slopes.append(float((weighted.conj() * self._transform(changed)).real.sum()))
        return np.array([slopes[0], slopes[1] + slopes[2]])

    def _exponents(self, band: Band) -> list[Complex]:
        """-i s ξ (x_n - c) on each axis, (modes, samples)."""
        places = [p - c for p, c in zip(self.image.grid.coordinates(), self.centre)]  # type: ignore[arg-type]
        return [-1j * s * np.outer(a.ravel(), p) for s, a, p in zip(self._factors, band.axes, places)]

    def _phases(self, band: Band) -> list[Complex]:
        limits = self.limits(band.grid.extent)
        inside = [np.abs(a.ravel()) < limit * (1.0 - 1e-12) for a, limit in zip(band.axes, limits)]
        return [np.exp(e) * i[:, None] for e, i in zip(self._exponents(band), inside)]

    def _transform(self, phases: list[Complex]) -> Complex:
        """Σ p_n · phase_z phase_y phase_x / Σ p_n, (z, y, x) modes."""
        z, y, x = phases
        found = np.tensordot(self.samples, x.real, (2, 1)) + 1j * np.tensordot(self.samples, x.imag, (2, 1))
        found = np.tensordot(y, found, (1, 1))  # (y modes, z, x modes)
        return np.tensordot(z, found, (1, 1)) / self.samples.sum()

    def view(self) -> Grid:
        """The image's own sampling, stretched, with its centre in the middle."""
        shape, spacing = np.asarray(self.image.shape), np.asarray(self.image.spacing) * self._factors
        off = np.abs(self.image.grid.to_index(self.centre) - 0.5 * (shape - 1))  # type: ignore[arg-type]
        return Grid(tuple((shape + 2 * np.ceil(off).astype(int)).tolist()), tuple(spacing.tolist()))

    def describe(self) -> dict[str, Any]:
        """Kind, settings, FWHM (µm), and the image (float32, deflated, in base 64) as plain values."""
        data = zlib.compress(np.ascontiguousarray(self.image.data, dtype="<f4").tobytes(), 6)
        return {
            "kind": self.kind,
            "shape": list(self.image.shape),
            "spacing_um": list(self.image.spacing),
            "origin_um": list(self.image.origin),
            "name": self.image.name,
            "background": self.background,
            "centre_um": list(self.centre),  # type: ignore[arg-type]
            "stretch": list(self.stretch),
            "fwhm_um": self.fwhm.tolist(),
            _PIXELS: base64.b64encode(data).decode("ascii"),
        }

    def brief(self) -> dict[str, Any]:
        """The same without the image."""
        return {name: value for name, value in self.describe().items() if name != _PIXELS}

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> MeasuredPSF:
        """From what :meth:`describe` gave; the image's values are float32."""
        raw = zlib.decompress(base64.b64decode(description[_PIXELS]))
        data = np.frombuffer(raw, dtype="<f4").reshape(description["shape"])
        image = Volume(data, description["spacing_um"], description["origin_um"], description["name"])
        return cls(image, description["background"], tuple(description["centre_um"]), tuple(description["stretch"]))


def _read(path: Path, size: Triple | None, channel: int | None, image_spacing: Triple | None) -> Volume:
    """The image of a PSF."""
    from ..image.io import image_info, read_volume

    found = image_info(path)
    axes = None if channel is not None else slices_by_another_name(found.axes, found.shape)
    if axes is not None:
        _LOG.warning("%s has no slices; its %s are read as such.", path, found.axes)
        found = image_info(path, axes=axes)
    if found.channels > 1 and channel is None:
        raise ConfigError(
            f"{path} has {found.channels} channels; expected one.",
            remedy=f"Choose one with --psf-channel N, 0 to {found.channels - 1}.",
        )
    if size is None and found.spacing is None and image_spacing is not None:
        size = image_spacing
        _LOG.warning(
            "%s does not give its voxel size: that of the image, %s µm (z, y, x), is taken. Otherwise pass "
            "--psf-spacing Z Y X.", path, " × ".join(f"{d:g}" for d in image_spacing),
        )  # fmt: skip
    if size is None and found.spacing is None:
        raise VolumeError(
            f"{path} does not give its voxel size; expected micrometres along z, y and x.",
            remedy="Pass --psf-spacing Z Y X.",
        )
    try:
        return read_volume(path, spacing=size, channel=channel, axes=axes)
    except VolumeError as error:  # its remedies are options of the image's file
        raise VolumeError(
            f"{error.message} It is read as the image of a PSF (--psf).",
            remedy="Save the PSF alone, as one (z, y, x) stack, for example from Fiji.",
        ) from error


def _shell(shape: tuple[int, ...]) -> Bools:
    """The outermost voxels."""
    outer = np.ones(shape, dtype=bool)
    outer[1:-1, 1:-1, 1:-1] = False
    return outer


def _middle(samples: Floats, grid: Grid) -> Triple:
    """The point that is the centroid of the light seen through a Gaussian window around it, µm."""
    bright = np.clip(samples - 0.2 * samples.max(), 0.0, None)
    index = np.indices(samples.shape).reshape(3, -1)
    place = (bright.ravel() * index).sum(axis=1) / bright.sum()
    spread = (bright.ravel() * (index - place[:, None]) ** 2).sum(axis=1) / bright.sum()
    width = 2.0 * np.sqrt(spread + 0.25)
    for _ in range(_ROUNDS):
        z, y, x = (np.exp(-0.5 * ((np.arange(n) - c) / w) ** 2) for n, c, w in zip(samples.shape, place, width))
        seen = samples * z[:, None, None] * y[:, None] * x
        lines = [seen.sum(axis=tuple({0, 1, 2} - {a})) for a in range(3)]
        new = np.array([float(line @ np.arange(len(line))) for line in lines]) / seen.sum()
        moved, place = float(np.abs(new - place).max()), new
        if moved < _STILL:
            break
    z, y, x = grid.to_um(place).tolist()
    return z, y, x
