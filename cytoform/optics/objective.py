"""What the computed PSFs share: an objective, a way to illuminate, a residual blur, and the gradient for all of it."""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from .._typing import Array, Bools, Complex, Floats
from ..errors import ConfigError
from ..image.band import Band
from ..image.volume import Grid
from ..options import option
from .gaussian import FWHM_PER_SIGMA
from .psf import NumericPSF, Triple
from .scalar import BEYOND, SPARE, Beam, Pupil, Stack

__all__ = ["MODALITIES", "Blur", "ObjectivePSF"]


MODALITIES = ("widefield", "confocal", "light-sheet")
APODISATIONS = ("aplanatic", "none")
_STEEP = 1e-3  # least cos θ that the aplanatic factor sees: it is infinite where a ray runs across the axis
_NEGLIGIBLE = 1e-9
_VIEW = 12.0  # resolution lengths λ / NA shown across


@dataclasses.dataclass(frozen=True)
class Blur:
    """A Gaussian, round about z, that widens a PSF: pixels, motion, whatever theory leaves out.

    Parameters
    ----------
    axial, lateral : float
        Standard deviations along z and across, µm, positive.
    """

    axial: float
    lateral: float

    def __post_init__(self) -> None:
        for name in ("axial", "lateral"):
            value = getattr(self, name)
            if not (isinstance(value, (int, float)) and math.isfinite(value) and value > 0):
                raise ConfigError(
                    f"the blur's {name} width is {value!r}; expected a positive σ in µm.", remedy="None leaves it away."
                )

    def on(self, band: Band) -> Floats:
        """Its transform on a band's box."""
        z, y, x = (np.exp(-0.5 * (s * a) ** 2) for s, a in zip((self.axial, self.lateral, self.lateral), band.axes))
        return z * y * x

    def slopes(self, band: Band, weights: Floats) -> list[float]:
        """Σ weights · ∂ log(transform) / ∂ log σ, for σ along z and across."""
        z, y, x = (np.broadcast_to(a * a, band.shape) for a in band.axes)
        return [-float((weights * z).sum()) * self.axial**2, -float((weights * (y + x)).sum()) * self.lateral**2]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class ObjectivePSF(NumericPSF, abc.ABC):
    """Scalar diffraction through an objective; see :mod:`cytoform.optics.scalar` for the integral and its limits.

    Parameters
    ----------
    numerical_aperture : float
    wavelength : float
        Of the emission in vacuum, µm.
    immersion_index : float
        Refractive index of the immersion medium.
    modality : "widefield", "confocal" or "light-sheet"
        What is multiplied with the emission's intensity: nothing; the excitation's intensity through the same
        objective (a point detector: a closed pinhole); a Gaussian sheet along z. A wide field's PSF is cut to the
        axial period of the grid it is wanted on.
    excitation_wavelength : float, optional
        µm; for "confocal" only, 0.92 of the emission's by default (a usual Stokes shift).
    sheet_fwhm : float, optional
        Full width at half maximum of the light sheet, µm; needed for "light-sheet" and refused otherwise.
    apodisation : "aplanatic" or "none"
        A lens that obeys the sine condition concentrates light towards the pupil's edge: amplitude (cos θ)^(-1/2) over
        the pupil's area, which is √(cos θ) over the solid angle and keeps energy. "none" is an even pupil.
    blur : (2,) float or float, optional
        σ in µm along z and across of a Gaussian that the PSF is convolved with, positive, free in a fit. By default
        there is none.
    """

    numerical_aperture: float = option(name="--na", metavar="NA", help="Numerical aperture of the objective.")
    wavelength: float = option(metavar="µm", help="Of the emission: green is 0.52.")
    immersion_index: float = option(metavar="N", help="Refractive index: water 1.33, oil 1.515.")
    modality: str = option("widefield", metavar="NAME", help="widefield (by default), confocal or light-sheet.")
    excitation_wavelength: float | None = option(
        None, name="--excitation", metavar="µm", help="With confocal: its wavelength."
    )
    sheet_fwhm: float | None = option(None, metavar="µm", help="With light-sheet: its thickness at half maximum.")
    apodisation: str = "aplanatic"
    blur: Any = option(
        None,
        kind=tuple[float, float],
        name="--psf-blur",
        metavar="Z XY",
        help="σ in µm of a Gaussian that widens a computed PSF.",
    )
    _cache: dict[str, Any] = dataclasses.field(default_factory=dict, init=False, repr=False)

    kind: ClassVar[str]

    def __post_init__(self) -> None:
        check_index("immersion_index", self.immersion_index)
        check_wavelength("wavelength", self.wavelength)
        self._check_aperture("immersion_index", self.immersion_index)
        for name, known in (("modality", MODALITIES), ("apodisation", APODISATIONS)):
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} is {getattr(self, name)!r}; expected one of {', '.join(known)}.")
        self._check_illumination()
        if self.blur is not None and not isinstance(self.blur, Blur):
            widths = np.asarray(self.blur, dtype=np.float64).ravel().tolist()
            if len(widths) not in (1, 2):
                raise ConfigError(f"blur is {self.blur!r}; expected two positive widths in µm, along z and across.")
            object.__setattr__(self, "blur", Blur(widths[0], widths[-1]))

    def _check_aperture(self, name: str, index: float) -> None:
        aperture = self.numerical_aperture
        if not (_is_number(aperture) and aperture > 0):
            raise ConfigError(f"numerical_aperture is {aperture!r}; expected a positive number.")
        if aperture >= index:
            raise ConfigError(
                f"numerical_aperture is {aperture:g} and {name} {index:g}; expected an aperture below the index.",
                remedy="Air has an index of 1, water 1.33, oil 1.515.",
            )

    def _check_illumination(self) -> None:
        confocal, sheet = self.modality == "confocal", self.modality == "light-sheet"
        if self.excitation_wavelength is not None:
            if not confocal:
                raise ConfigError(
                    f"excitation_wavelength came with modality {self.modality!r}; expected it with 'confocal' only."
                )
            check_wavelength("excitation_wavelength", self.excitation_wavelength)
        elif confocal:
            object.__setattr__(self, "excitation_wavelength", 0.92 * self.wavelength)
        if sheet != (self.sheet_fwhm is not None):
            what = "no sheet_fwhm came" if sheet else f"sheet_fwhm came with modality {self.modality!r}"
            raise ConfigError(
                f"{what}; expected it with modality 'light-sheet', and only there.",
                remedy="It is the thickness of the sheet in µm where the cell is, full width at half maximum.",
            )
        if self.sheet_fwhm is not None and not (_is_number(self.sheet_fwhm) and self.sheet_fwhm > 0):
            raise ConfigError(f"sheet_fwhm is {self.sheet_fwhm!r}; expected a positive thickness in µm.")

    @classmethod
    def from_options(cls, given: Mapping[str, Any], spacing: Triple | None) -> Any:
        """From fields; without `blur` it is widened by the voxels of an image, whose σ is their size / √12."""
        blur = given.get("blur")
        if blur is None and spacing is not None:
            blur = (spacing[0] / math.sqrt(12.0), 0.5 * (spacing[1] + spacing[2]) / math.sqrt(12.0))
        return cls(**{**given, "blur": blur})

    # -- what a kind of pupil has of its own ------------------------------------------------------------------------

    @abc.abstractmethod
    def log_pupil(self, rho: Floats, phi: Floats, wavelength: float) -> Complex:
        """Logarithm of the pupil function, without apodisation: i · phase + log amplitude, phases in radians.

        A phase is positive where the path is longer.
        """

    @abc.abstractmethod
    def log_pupil_slopes(self, rho: Floats, phi: Floats, wavelength: float) -> list[Complex]:
        """Its derivative for each of the pupil's free parameters."""

    @abc.abstractmethod
    def pupil_parameters(self) -> Floats:
        """The pupil's free parameters, (n,)."""

    @abc.abstractmethod
    def with_pupil_parameters(self, parameters: Floats) -> ObjectivePSF:
        """The same with other ones."""

    @abc.abstractmethod
    def round_parameters(self) -> Bools:
        """Which of them keep the pupil round about its centre, (n,)."""

    # -- parameters ---------------------------------------------------------------------------------------------------

    @property
    def parameters(self) -> Floats:
        """The pupil's free parameters, then log σ of the blur along z and across where there is a blur."""
        blur = [] if self.blur is None else [math.log(self.blur.axial), math.log(self.blur.lateral)]
        return np.concatenate([self.pupil_parameters(), blur])

    def with_parameters(self, parameters: npt.ArrayLike) -> Any:
        """The same optics at other parameters, (n,).

        Raises
        ------
        ConfigError
            When their number is another, or one is not finite.
        """
        theta, n = np.asarray(parameters, dtype=np.float64), len(self.parameters)
        if theta.shape != (n,) or not np.isfinite(theta).all():
            raise ConfigError(f"the PSF's parameters have shape {theta.shape}; expected {n} finite numbers.")
        if self.blur is None:
            found = self.with_pupil_parameters(theta)
        else:
            blur = Blur(*np.exp(theta[-2:]).tolist())
            found = dataclasses.replace(self.with_pupil_parameters(theta[:-2]), blur=blur)
        if "stack" in self._cache:  # frequencies, samples and tables are the instrument's, not the parameters'
            found._cache["stack"] = self._cache["stack"]
        return found

    def axial(self, gradient: Floats) -> Floats:
        """The part of a gradient (n,) that keeps the PSF round about z."""
        kept = np.concatenate([self.round_parameters(), np.ones(0 if self.blur is None else 2, dtype=bool)])
        return np.where(kept, gradient, 0.0)

    # -- transform ----------------------------------------------------------------------------------------------------

    @property
    def beams(self) -> tuple[Beam, ...]:
        """Emission, and for a confocal microscope excitation."""
        colours = [self.wavelength] + ([self.excitation_wavelength] if self.modality == "confocal" else [])
        return tuple(Beam(c, self.numerical_aperture, self.immersion_index) for c in colours)  # type: ignore[arg-type]

    @property
    def _sheet(self) -> float | None:
        return None if self.sheet_fwhm is None else self.sheet_fwhm / FWHM_PER_SIGMA

    def limits(self, extent: Triple) -> Triple:
        """The optical band: 2 · 2π NA / λ a beam across; along z the range of k_z, and what sheet or cut add."""
        across = 2.0 * sum(b.edge for b in self.beams)
        along = SPARE * sum(b.depth for b in self.beams)
        if self._sheet is None:
            along += BEYOND * 2.0 * math.pi / extent[0]
        else:
            along += math.sqrt(2.0 * math.log(1.0 / _NEGLIGIBLE)) / self._sheet
        if self.blur is not None:
            most = math.sqrt(2.0 * math.log(1.0 / _NEGLIGIBLE))
            along, across = min(along, most / self.blur.axial), min(across, most / self.blur.lateral)
        return along, across, across

    def otf_on(self, band: Band) -> Complex:
        """OTF on a band's box, complex; zero beyond :meth:`limits`."""
        found = self._kept("otf", band)
        if found is None:
            sharp = self._sharp(band)
            found = sharp if self.blur is None else sharp * self.blur.on(band)
            self._keep("otf", band, found)
        return found

    def otf_vjp(self, band: Band, cotangent: Array) -> Floats:
        """Gradient for the parameters, (n,), by hand-written reverse mode through the transforms.

        With ĥ = S / S_0 times the blur, ∂ĥ_k = (∂S_k - ĥ_k ∂S_0) / S_0; the intensities' slope goes back to the pupil,
        where s = T conj(∂L/∂T) meets the derivative of log T for each parameter.
        """
        weighted = np.asarray(cotangent, dtype=np.complex128) * band.weights
        if band.mask is not None:
            weighted = np.where(band.mask, weighted, 0.0)
        blur = [] if self.blur is None else self.blur.slopes(band, (weighted.conj() * self.otf_on(band)).real)
        if not len(self.pupil_parameters()):
            return np.array(blur)
        if self.blur is not None:
            weighted = weighted * self.blur.on(band)
        sharp, (stack, inside) = self._sharp(band), self._stack(band)
        total = self._total(band)
        inner = weighted[inside] / total
        inner[0, 0, 0] -= float((weighted.conj() * sharp).real.sum()) / total
        slopes = self._pupil_slopes(stack, stack.vjp(self._fields(stack), inner))
        return np.array(slopes + blur)

    def _pupil_slopes(self, stack: Stack, sources: list[Complex]) -> list[float]:
        found = np.zeros(len(self.pupil_parameters()))
        for beam, pupil, source in zip(self.beams, stack.pupils, sources):
            changes = self.log_pupil_slopes(pupil.rho, pupil.phi, beam.wavelength)
            found += [float((source * change).real.sum()) for change in changes]
        return found.tolist()

    def _sharp(self, band: Band) -> Complex:
        """OTF on a band's box before the blur."""
        found = self._kept("sharp", band)
        if found is None:
            stack, inside = self._stack(band)
            spectrum = stack.transform(self._fields(stack))
            total = float(spectrum[0, 0, 0].real)
            found = np.zeros(band.shape, dtype=np.complex128)
            found[inside] = spectrum / total
            self._keep("sharp", band, found)
            self._keep("total", band, total)
        return found

    def _total(self, band: Band) -> float:
        self._sharp(band)
        return self._kept("total", band)

    def _stack(self, band: Band) -> tuple[Stack, Any]:
        """What computes the transform at the band's modes within the optical limits, and their place in the box."""
        found = self._kept("stack", band)
        if found is None:
            sharp = dataclasses.replace(self, blur=None).limits(band.grid.extent)
            axes = [a.ravel() for a in band.axes]
            kept = [np.flatnonzero(np.abs(a) <= limit) for a, limit in zip(axes, sharp)]
            z, y, x = (a[k] for a, k in zip(axes, kept))
            found = Stack(self.beams, self._sheet, band.grid.extent, (z, y, x)), np.ix_(*kept)
            self._keep("stack", band, found)
        return found

    def _fields(self, stack: Stack) -> list[Complex]:
        return [self._field(beam, pupil) for beam, pupil in zip(self.beams, stack.pupils)]

    def _field(self, beam: Beam, pupil: Pupil) -> Complex:
        """The pupil function of a beam."""
        even = pupil.cover * np.exp(self.log_pupil(pupil.rho, pupil.phi, beam.wavelength))
        if self.apodisation == "none":
            return even
        return even / np.sqrt(np.maximum(pupil.k_z / beam.wavenumber, _STEEP))

    def _kept(self, name: str, band: Band) -> Any:
        place, value = self._cache.get(name, (None, None))
        return value if place == (band.grid.extent, band.grid.shape, band.shape) else None

    def _keep(self, name: str, band: Band, value: Any) -> None:
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
        self._cache[name] = (band.grid.extent, band.grid.shape, band.shape), value

    # -- for people ---------------------------------------------------------------------------------------------------

    def view(self) -> Grid:
        """Some resolution lengths wide and deep, more with strong aberrations, at twice the optical band."""
        z, y, x = (0.5 * math.pi / w for w in dataclasses.replace(self, blur=None).limits((math.inf,) * 3))
        beam = self.beams[0]
        across, along = _VIEW * beam.wavelength / beam.aperture, 12.0 * 2.0 * math.pi / beam.depth
        strength = self._strength() / beam.depth
        sizes = [along + 4.0 * strength, across + strength, across + strength]
        if self._sheet is not None:
            sizes[0] = min(sizes[0], 9.0 * self._sheet)
        if self.blur is not None:
            sizes = [s + 8.0 * w for s, w in zip(sizes, (self.blur.axial, self.blur.lateral, self.blur.lateral))]
        shape = tuple(min(192, math.ceil(s / d)) for s, d in zip(sizes, (z, y, x)))
        return Grid(shape, tuple(max(s / n, d) for s, n, d in zip(sizes, shape, (z, y, x))))  # type: ignore[arg-type]

    def _strength(self) -> float:
        """Range of the pupil's phase, radians."""
        rho, phi = np.meshgrid(np.linspace(0.0, 1.0, 33), np.linspace(0.0, 2.0 * np.pi, 24, endpoint=False))
        return float(np.ptp(self.log_pupil(rho, phi, self.wavelength).imag))

    def describe(self) -> dict[str, Any]:
        """Kind, all settings and the FWHM (µm) as plain values."""
        values: dict[str, Any] = {"kind": self.kind}
        for field in dataclasses.fields(self):
            if field.init:
                values[field.name] = plain(getattr(self, field.name))
        return {**values, "fwhm_um": self.fwhm.tolist()}

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> Any:
        """From what :meth:`describe` gave."""
        names = {field.name for field in dataclasses.fields(cls) if field.init}
        return cls(**{name: value for name, value in description.items() if name in names})


def plain(value: Any) -> Any:
    """A setting as JSON holds it."""
    if isinstance(value, Blur):
        return [value.axial, value.lateral]
    if isinstance(value, dict):
        return {str(name): float(number) for name, number in value.items()}
    if isinstance(value, tuple):
        return list(value)
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and math.isfinite(value)


def check_index(name: str, value: Any) -> None:
    """Refuse what is no refractive index.

    Raises
    ------
    ConfigError
    """
    if not (_is_number(value) and 1.0 <= value <= 2.5):
        raise ConfigError(
            f"{name} is {value!r}; expected a refractive index of 1 to 2.5.",
            remedy="Air has 1, water 1.33, cells about 1.38, oil and coverglass 1.515.",
        )


def check_wavelength(name: str, value: Any) -> None:
    """Refuse what is no wavelength of light in µm.

    Raises
    ------
    ConfigError
    """
    if _is_number(value) and 0.1 <= value <= 3.0:
        return
    number = _is_number(value) and 100.0 <= value <= 3000.0
    raise ConfigError(
        f"{name} is {value!r}; expected a wavelength in µm, 0.1 to 3.",
        remedy=f"In nanometres? Then it is {value / 1000.0:g} µm." if number else "Green light has 0.52.",
    )
