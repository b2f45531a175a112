"""Which point spread function a command takes: options that ``fit`` and ``render`` share, and what they add up to."""

from __future__ import annotations

import dataclasses
import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError, FileFormatError, VolumeError
from ..image.slices import slices_by_another_name
from .inputs import Triple

if TYPE_CHECKING:
    from ..image.volume import Volume
    from ..optics import PSF

__all__ = ["Aperture", "Blur", "Depth", "Excitation", "Immersion", "Kind", "Modality", "Optics", "PsfChannel",
           "PsfSpacing", "SampleIndex", "Sheet", "Wavelength", "Zernike"]  # fmt: skip

_LOG = logging.getLogger(__name__)

Kind = Annotated[
    str | None,
    typer.Option("--psf", metavar="KIND", help="gaussian, gibson-lanni, pupil, or an image of the PSF (TIFF)."),
]
Aperture = Annotated[float | None, typer.Option("--na", metavar="NA", help="Numerical aperture of the objective.")]
Wavelength = Annotated[float | None, typer.Option("--wavelength", metavar="µm", help="Of the emission: green is 0.52.")]
Immersion = Annotated[
    float | None, typer.Option("--immersion-index", metavar="N", help="Refractive index: water 1.33, oil 1.515.")
]
SampleIndex = Annotated[
    float | None, typer.Option("--sample-index", metavar="N", help="With gibson-lanni: around the cell, about 1.36.")
]
Depth = Annotated[
    float | None, typer.Option("--depth", metavar="µm", help="With gibson-lanni: of the cell below the coverglass.")
]
Modality = Annotated[
    str | None, typer.Option("--modality", metavar="NAME", help="widefield (by default), confocal or light-sheet.")
]
Excitation = Annotated[float | None, typer.Option("--excitation", metavar="µm", help="With confocal: its wavelength.")]
Sheet = Annotated[
    float | None, typer.Option("--sheet-fwhm", metavar="µm", help="With light-sheet: its thickness at half maximum.")
]
Zernike = Annotated[
    list[str] | None,
    typer.Option("--zernike", metavar="J:C", help="With pupil: a phase term to fit, its ANSI index and radians."),
]
Blur = Annotated[
    tuple[float, float] | None,
    typer.Option("--psf-blur", metavar="Z XY", help="σ in µm of a Gaussian that widens a computed PSF."),
]

PsfSpacing = Annotated[
    Triple | None,
    typer.Option("--psf-spacing", metavar="Z Y X", help="Voxel size in µm of the image of a PSF; by default its own."),
]
PsfChannel = Annotated[
    int | None, typer.Option("--psf-channel", metavar="N", help="Which channel of the image of a PSF, from 0.")
]

_NEEDED = {
    "pupil": ("--na", "--wavelength", "--immersion-index"),
    "gibson-lanni": ("--na", "--wavelength", "--immersion-index", "--sample-index", "--depth"),
}
_TAKEN = {
    "gaussian": ("--psf-sigma",),
    "pupil": (*_NEEDED["pupil"], "--modality", "--excitation", "--sheet-fwhm", "--zernike", "--psf-blur"),
    "gibson-lanni": (*_NEEDED["gibson-lanni"], "--modality", "--excitation", "--sheet-fwhm", "--psf-blur"),
    "file": ("--psf-spacing", "--psf-channel"),
}


@dataclasses.dataclass(frozen=True)
class Optics:
    """What was said about the PSF, by option; checked when made.

    Parameters
    ----------
    kind : str, optional
        --psf: a kind, or the path of an image. A Gaussian by default.
    given : dict
        Option names and their values, None where an option was not used.

    Raises
    ------
    ConfigError
        When an option is missing or does not belong to the kind.
    FileFormatError
        When the kind is neither known nor a file.
    """

    kind: str | None
    given: dict[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "given", {n: v for n, v in self.given.items() if v is not None and v != []})
        if self.family == "file" and not Path(self.kind).exists():  # type: ignore[arg-type]
            raise FileFormatError(
                f"--psf is {self.kind!r}; expected gaussian, gibson-lanni, pupil or an image file, and there is "
                "no file of that name.",
                remedy="Check the name or the path.",
            )
        if strange := [n for n in self.given if n not in _TAKEN[self.family]]:
            takers = [f"--psf {k}" for k, taken in _TAKEN.items() if strange[0] in taken]
            name = "a PSF from a file" if self.family == "file" else f"the {self.family} PSF"
            raise ConfigError(
                f"{strange[0]} came with {name}; expected it with {' or '.join(takers)}.", remedy="Leave it away."
            )
        if missing := [n for n in _NEEDED.get(self.family, ()) if n not in self.given]:
            raise ConfigError(
                f"--psf {self.family} came without {', '.join(missing)}; expected these numbers of the microscope.",
                remedy="They are on the objective and in the image's metadata; --psf gaussian needs none.",
            )

    @property
    def family(self) -> str:
        """One of gaussian, pupil, gibson-lanni, and file."""
        kind = self.kind or "gaussian"
        return kind if kind in _TAKEN and kind != "file" else "file"

    @property
    def known(self) -> bool:
        """Whether there is a PSF, not only a kind."""
        return self.family != "gaussian" or "--psf-sigma" in self.given

    def psf(self, spacing: Triple | None = None) -> PSF | None:
        """The PSF; None where a Gaussian's widths were not given.

        Parameters
        ----------
        spacing : (3,) float, optional
            Voxel size in µm: a computed PSF without --psf-blur is widened by the voxels, whose σ is their size / √12.
        """
        from ..optics import GaussianPSF, GibsonLanniPSF, MeasuredPSF, PupilPSF

        if self.family == "gaussian":
            return GaussianPSF.from_sigma(self.given["--psf-sigma"]) if self.known else None
        if self.family == "file":
            return MeasuredPSF(self._image(spacing))
        options = self._objective(spacing)
        if self.family == "pupil":
            terms = self.given.get("--zernike", ["4:0", "12:0"])
            return PupilPSF(**options, phase=dict(_term(t) for t in terms))
        return GibsonLanniPSF(**options, sample_index=self.given["--sample-index"], depth=self.given["--depth"])

    def _image(self, spacing: Triple | None) -> Volume:
        """The image of a PSF; its voxel size is `spacing`, the image's, where neither file nor user gives one."""
        from ..image.io import image_info, read_volume

        path, size = Path(self.kind), self.given.get("--psf-spacing")  # type: ignore[arg-type]
        found = image_info(path)
        axes = None if "--psf-channel" in self.given else slices_by_another_name(found.axes, found.shape)
        if axes is not None:
            _LOG.warning("%s has no slices; its %s are read as such.", path, found.axes)
            found = image_info(path, axes=axes)
        if found.channels > 1 and "--psf-channel" not in self.given:
            raise ConfigError(
                f"{path} has {found.channels} channels; expected one.",
                remedy=f"Choose one with --psf-channel N, 0 to {found.channels - 1}.",
            )
        if size is None and found.spacing is None and spacing is not None:
            size = spacing
            _LOG.warning(
                "%s does not give its voxel size: that of the image, %s µm (z, y, x), is taken. Otherwise pass "
                "--psf-spacing Z Y X.", path, " × ".join(f"{d:g}" for d in spacing),
            )  # fmt: skip
        if size is None and found.spacing is None:
            raise VolumeError(
                f"{path} does not give its voxel size; expected micrometres along z, y and x.",
                remedy="Pass --psf-spacing Z Y X.",
            )
        try:
            return read_volume(path, spacing=size, channel=self.given.get("--psf-channel"), axes=axes)
        except VolumeError as error:  # its remedies are options of the image's file
            raise VolumeError(
                f"{error.message} It is read as the image of a PSF (--psf).",
                remedy="Save the PSF alone, as one (z, y, x) stack, for example from Fiji.",
            ) from error

    def _objective(self, spacing: Triple | None) -> dict[str, Any]:
        blur = self.given.get("--psf-blur")
        if blur is None and spacing is not None:
            blur = (spacing[0] / math.sqrt(12.0), 0.5 * (spacing[1] + spacing[2]) / math.sqrt(12.0))
        return {
            "numerical_aperture": self.given["--na"],
            "wavelength": self.given["--wavelength"],
            "immersion_index": self.given["--immersion-index"],
            "modality": self.given.get("--modality", "widefield"),
            "excitation_wavelength": self.given.get("--excitation"),
            "sheet_fwhm": self.given.get("--sheet-fwhm"),
            "blur": blur,
        }


def _term(text: str) -> tuple[int, float]:
    index, _, value = text.partition(":")
    try:
        return int(index), float(value or 0.0)
    except ValueError:
        raise ConfigError(
            f"--zernike is {text!r}; expected an ANSI index and radians.", remedy="For example --zernike 12:0.5."
        ) from None
