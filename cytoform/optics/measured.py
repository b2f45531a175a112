"""A point spread function that was measured: the image of a bead, or an image that another program computed."""

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
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from .._typing import Array, Bools, Complex, Floats, Triple
from ..errors import ConfigError, VolumeError
from ..image.band import Band
from ..image.slices import axes_with_slices
from ..image.volume import Grid, Volume
from ..options import Option, Setting
from .psf import NumericPSF
from .registry import FILE, register

__all__ = ["MeasuredPSF"]


_LOG = logging.getLogger(__name__)
_PIXELS = "float32_zlib_base64"
_MAX_ITERATIONS = 200  # of the search for the centre
_CONVERGED = 1e-9  # voxels; the search ends where the centre moves by less


@register
@dataclasses.dataclass(frozen=True, eq=False)
class MeasuredPSF(NumericPSF):
    """A measured PSF: the band-limited function through the samples p_n of an image, centred, with integral 1.

        ĥ(ξ) = Σ_n p_n exp(-i s ξ · (x_n - c)) / Σ_n p_n    where |s ξ| < π / spacing on every axis, else 0,

    is evaluated at the modes of any grid, so no resampling blurs the PSF. Outside of the image the PSF is 0. s
    stretches it by one factor along z and one across; their logarithms are the free parameters, 0 for the PSF as
    measured.

    Parameters
    ----------
    image : Volume
        The PSF, brighter than its surroundings, at least 3 voxels on each axis.
    background : float, optional
        Intensity that is subtracted from the image; the median of its outermost voxels by default.
    centre : (3,) float, optional
        Centre c of the PSF, (z, y, x) in µm: the image of a point at c is the PSF as measured. By default the point
        that is the centroid of the image under a Gaussian window around that point; the window is as wide as the bright
        part, so that noise far off does not move the centre.
    stretch : (2,) float
        Factors s along z and across, positive; 1 by default.

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
            object.__setattr__(self, "background", float(np.median(data[_border_mask(data.shape)])))
        if not self.samples.sum() > 0:
            raise VolumeError(
                f"the PSF's image has no light above its background of {self.background:g}.",
                remedy="Pass background=, the intensity without light.",
            )
        if self.centre is None:
            object.__setattr__(self, "centre", _windowed_centroid(self.samples, self.image.grid))
        centre = tuple(float(v) for v in np.asarray(self.centre, dtype=np.float64).ravel())
        if len(centre) != 3 or not all(math.isfinite(v) for v in centre):
            raise ConfigError(f"centre is {self.centre!r}; expected a point (z, y, x) in µm.")
        object.__setattr__(self, "centre", centre)

    @classmethod
    def settings(cls) -> tuple[Setting, ...]:
        """Return the command-line options of this kind: voxel size and channel of the image.

        Returns
        -------
        tuple of Setting
            `--psf-spacing` and `--psf-channel`.
        """
        size = "Voxel size in µm of the image of the PSF along z, y and x; by default read from its file."
        return (
            Setting("spacing", Triple, None, Option(size, "Z Y X", "--psf-spacing")),
            Setting(
                "channel",
                int,
                None,
                Option("Number of the channel in the image of the PSF, from 0.", "N", "--psf-channel"),
            ),
        )

    @classmethod
    def from_options(cls, given: Mapping[str, Any], spacing: Triple | None) -> MeasuredPSF:
        """Read the PSF from the file that the options name.

        Parameters
        ----------
        given : mapping
            Options by field: `path`, and optionally `spacing` (µm) and `channel`.
        spacing : (3,) float or None
            Voxel size (z, y, x) in µm of the image that the PSF is for, taken where the file has none.

        Returns
        -------
        MeasuredPSF
            The PSF.

        Raises
        ------
        FileFormatError, VolumeError, ConfigError
            As for :meth:`from_file`.
        """
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
        """Read the PSF from an image file.

        Parameters
        ----------
        path : path
            File of the image.
        spacing : (3,) float, optional
            Voxel size (z, y, x), µm; that of the file by default.
        channel : int, optional
            Channel, from 0, where the file has several.
        image_spacing : (3,) float, optional
            Voxel size (z, y, x) in µm of the image that the PSF is for: taken, with a warning, where neither `spacing`
            nor the file gives the PSF's.

        Returns
        -------
        MeasuredPSF
            The PSF.

        Raises
        ------
        FileFormatError, VolumeError, ConfigError
            When the file cannot be read as one stack, no voxel size is known, or a channel has to be chosen.
        """
        return cls(_read_psf_image(Path(path), spacing, channel, image_spacing))

    @functools.cached_property
    def samples(self) -> Floats:
        """Image minus its background, (z, y, x) float64."""
        return self.image.data.astype(np.float64) - cast(float, self.background)

    @property
    def parameters(self) -> Floats:
        """Free parameters: the logarithms of the stretch along z and across, (2,)."""
        return np.log(self.stretch)

    def with_parameters(self, parameters: npt.ArrayLike) -> MeasuredPSF:
        """Return the same PSF with other stretch factors.

        Parameters
        ----------
        parameters : (2,) float
            Logarithms of the stretch along z and across.

        Returns
        -------
        MeasuredPSF
            The new PSF.

        Raises
        ------
        ConfigError
            When there are not two finite numbers.
        """
        theta = np.asarray(parameters, dtype=np.float64)
        if theta.shape != (2,) or not np.isfinite(theta).all():
            raise ConfigError(f"the PSF's parameters have shape {theta.shape}; expected 2 finite numbers.")
        return dataclasses.replace(self, stretch=tuple(np.exp(theta).tolist()))

    def axial(self, gradient: Floats) -> Floats:
        """Return the gradient unchanged: one factor across keeps the PSF as rotationally symmetric as it was measured.

        Parameters
        ----------
        gradient : (2,) float
            Gradient for the logarithms of the stretch.

        Returns
        -------
        (2,) float64
            The same gradient.
        """
        return np.asarray(gradient, dtype=np.float64)

    def limits(self, extent: Triple) -> Triple:
        """Return the Nyquist frequencies of the stretched image, beyond which the OTF is 0.

        Parameters
        ----------
        extent : (3,) float
            Period of the grid along (z, y, x), µm; not used.

        Returns
        -------
        (3,) tuple of float
            Angular frequency along (z, y, x), rad/µm.
        """
        z, y, x = (math.pi / (d * s) for d, s in zip(self.image.spacing, self._stretch_zyx))
        return z, y, x

    @property
    def _stretch_zyx(self) -> Triple:
        """Stretch factors along (z, y, x)."""
        along, across = self.stretch
        return along, across, across

    def otf_on(self, band: Band) -> Complex:
        """Return the OTF at the frequencies of a band; zero beyond the image's Nyquist frequencies.

        Parameters
        ----------
        band : Band
            Box of low modes of a grid.

        Returns
        -------
        (band.shape) complex128
            ĥ on the band's box, read-only. The last result is kept.
        """
        position = (band.grid.extent, band.shape)
        key: tuple[Any, ...] | None
        found: Complex
        key, found = self._cache.get("otf", (None, None))
        if key != position:
            found = self._transform(self._phases(band))
            found.flags.writeable = False
            self._cache["otf"] = position, found
        return found

    def otf_vjp(self, band: Band, cotangent: Array) -> Floats:
        """Return the vector-Jacobian product of :meth:`otf_on`, for the logarithms of the stretch.

        ∂ĥ/∂log s_z = Σ_n p_n (-i s ξ_z z_n) exp(…) / Σ_n p_n; the sum of the same for y and x belongs to the factor
        across.

        Parameters
        ----------
        band : Band
            Box of low modes of a grid.
        cotangent : (band.shape) complex
            Cotangent c on the band's box.

        Returns
        -------
        (2,) float64
            d/dθ of Re Σ conj(c) ĥ over the full spectrum that the half-space box stands for.
        """
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
        """Return -i s ξ (x_n - c) for each axis, an array (modes, samples) per axis."""
        positions = [p - c for p, c in zip(self.image.grid.coordinates(), self.centre)]  # type: ignore[arg-type]
        axes = zip(self._stretch_zyx, band.axes, positions)
        return [np.asarray(-1j * s * np.outer(a.ravel(), p), dtype=np.complex128) for s, a, p in axes]

    def _phases(self, band: Band) -> list[Complex]:
        """Return exp(-i s ξ (x_n - c)) for each axis, (modes, samples), zero at modes from the Nyquist frequency on."""
        limits = self.limits(band.grid.extent)
        inside = [np.abs(a.ravel()) < limit * (1.0 - 1e-12) for a, limit in zip(band.axes, limits)]
        return [np.asarray(np.exp(e) * i[:, None], dtype=np.complex128) for e, i in zip(self._exponents(band), inside)]

    def _transform(self, phases: list[Complex]) -> Complex:
        """Return Σ_n p_n phase_z phase_y phase_x / Σ_n p_n on the band's box, from three arrays (modes, samples)."""
        z, y, x = phases
        found = np.tensordot(self.samples, x.real, (2, 1)) + 1j * np.tensordot(self.samples, x.imag, (2, 1))
        found = np.tensordot(y, found, (1, 1))  # (y modes, z, x modes)
        otf: Complex = np.tensordot(z, found, (1, 1)) / self.samples.sum()
        return otf

    def view(self) -> Grid:
        """Return a grid with the stretched spacing of the image, enlarged so that the centre lies in its middle.

        Returns
        -------
        Grid
            Grid on which widths and extent are measured.
        """
        shape, spacing = np.asarray(self.image.shape), np.asarray(self.image.spacing) * self._stretch_zyx
        off = np.abs(self.image.grid.to_index(self.centre) - 0.5 * (shape - 1))  # type: ignore[arg-type]
        return Grid(tuple((shape + 2 * np.ceil(off).astype(int)).tolist()), tuple(spacing.tolist()))

    def describe(self) -> dict[str, Any]:
        """Return kind, settings, FWHM (µm), and the image (float32, deflated, in base 64) as plain values.

        Returns
        -------
        dict
            All that :meth:`from_description` needs.
        """
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
        """Return the entries of :meth:`describe` without the image.

        Returns
        -------
        dict
            Plain values.
        """
        return {name: value for name, value in self.describe().items() if name != _PIXELS}

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> MeasuredPSF:
        """Restore a PSF from the description that :meth:`describe` gave.

        Parameters
        ----------
        description : dict
            With the image's shape, spacing, origin and deflated values, background, centre and stretch.

        Returns
        -------
        MeasuredPSF
            The PSF; the values of its image are float32.
        """
        raw = zlib.decompress(base64.b64decode(description[_PIXELS]))
        data = np.frombuffer(raw, dtype="<f4").reshape(description["shape"])
        image = Volume(data, description["spacing_um"], description["origin_um"], description["name"])
        return cls(image, description["background"], tuple(description["centre_um"]), tuple(description["stretch"]))


def _read_psf_image(path: Path, size: Triple | None, channel: int | None, image_spacing: Triple | None) -> Volume:
    """Read the image of a PSF from a file as one (z, y, x) stack.

    `size` is the voxel size (µm) that the user gave, `image_spacing` the one of the image that the PSF is for, which is
    taken with a warning where the file has none. A file without a z axis whose planes are time points or channels is
    read as a stack, with a warning. Raises ConfigError where a channel has to be chosen, VolumeError where no voxel
    size is known or the file is no stack.
    """
    from ..image.io import image_info, read_volume

    found = image_info(path)
    axes = None if channel is not None else axes_with_slices(found.axes, found.shape)
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
    except VolumeError as error:  # its remedies name options for the image, not for the PSF
        raise VolumeError(
            f"{error.message} It is read as the image of a PSF (--psf).",
            remedy="Save the PSF alone, as one (z, y, x) stack, for example from Fiji.",
        ) from error


def _border_mask(shape: tuple[int, ...]) -> Bools:
    """Return a mask of this shape that is True at the outermost voxels."""
    outer = np.ones(shape, dtype=bool)
    outer[1:-1, 1:-1, 1:-1] = False
    return outer


def _windowed_centroid(samples: Floats, grid: Grid) -> Triple:
    """Return the point (z, y, x), µm, that is the centroid of the samples under a Gaussian window around that point.

    The window's σ is twice the standard deviation of the part brighter than 20 % of the maximum. The point is found by
    fixed-point iteration from the centroid of that part.
    """
    bright = np.clip(samples - 0.2 * samples.max(), 0.0, None)
    index = np.indices(samples.shape).reshape(3, -1)
    position = (bright.ravel() * index).sum(axis=1) / bright.sum()
    spread = (bright.ravel() * (index - position[:, None]) ** 2).sum(axis=1) / bright.sum()
    width = 2.0 * np.sqrt(spread + 0.25)
    for _ in range(_MAX_ITERATIONS):
        z, y, x = (np.exp(-0.5 * ((np.arange(n) - c) / w) ** 2) for n, c, w in zip(samples.shape, position, width))
        seen = samples * z[:, None, None] * y[:, None] * x
        lines = [seen.sum(axis=tuple({0, 1, 2} - {a})) for a in range(3)]
        new = np.array([float(line @ np.arange(len(line))) for line in lines]) / seen.sum()
        moved, position = float(np.abs(new - position).max()), new
        if moved < _CONVERGED:
            break
    z, y, x = grid.to_um(position).tolist()
    return z, y, x
