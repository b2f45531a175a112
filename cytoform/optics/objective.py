"""Base class of the computed PSFs: objective, illumination, residual blur, and the gradient of the OTF."""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .._typing import Array, Bools, Complex, Floats, Triple
from ..errors import ConfigError
from ..image.band import Band
from ..image.volume import Grid
from ..options import option
from .gaussian import FWHM_PER_SIGMA
from .psf import NumericPSF
from .scalar import BEYOND, SPARE, Beam, Pupil, Stack

__all__ = ["MODALITIES", "Blur", "ObjectivePSF"]


MODALITIES = ("widefield", "confocal", "light-sheet")
APODISATIONS = ("aplanatic", "none")
_STEEP = 1e-3  # least cos θ in the aplanatic factor, which is infinite at 0
_NEGLIGIBLE = 1e-9  # of the maximum: a Gaussian's transform ends where it falls below
_VIEW = 12.0  # width of the viewing grid across, in resolution lengths λ / NA


@dataclasses.dataclass(frozen=True)
class Blur:
    """A Gaussian, symmetric about z, that a PSF is convolved with: pixels, motion, whatever theory leaves out.

    Parameters
    ----------
    axial : float
        Standard deviation along z, µm, positive.
    lateral : float
        Standard deviation along y and x, µm, positive.

    Raises
    ------
    ConfigError
        When a standard deviation is not positive.
    """

    axial: float
    lateral: float

    def __post_init__(self) -> None:
        for name in ("axial", "lateral"):
            value = getattr(self, name)
            if not (isinstance(value, (int, float)) and math.isfinite(value) and value > 0):
                raise ConfigError(
                    f"the blur's {name} width is {value!r}; expected a positive σ in µm.", remedy="None means no blur."
                )

    def otf_on(self, band: Band) -> Floats:
        """Return the Gaussian's Fourier transform on a band's box, exp(-½ (σ_z² ξ_z² + σ² ξ_y² + σ² ξ_x²))."""
        z, y, x = (np.exp(-0.5 * (s * a) ** 2) for s, a in zip((self.axial, self.lateral, self.lateral), band.axes))
        return z * y * x

    def log_sigma_derivatives(self, band: Band, weights: Floats) -> list[float]:
        """Return Σ weights · ∂ log(transform) / ∂ log σ over a band's box, for the σ along z and the σ across."""
        z, y, x = (np.broadcast_to(a * a, band.shape) for a in band.axes)
        return [-float((weights * z).sum()) * self.axial**2, -float((weights * (y + x)).sum()) * self.lateral**2]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class ObjectivePSF(NumericPSF, abc.ABC):
    """Base class of PSFs from scalar diffraction through an objective (:mod:`cytoform.optics.scalar`).

    A subclass defines the pupil function by :meth:`log_pupil`, :meth:`log_pupil_slopes`, :meth:`pupil_parameters`,
    :meth:`with_pupil_parameters` and :meth:`round_parameters`.

    Parameters
    ----------
    numerical_aperture : float
        Numerical aperture NA, below the immersion's index.
    wavelength : float
        Wavelength of the emission in vacuum, µm.
    immersion_index : float
        Refractive index of the immersion medium.
    modality : "widefield", "confocal" or "light-sheet"
        The emission's intensity is multiplied with nothing ("widefield", the default), with the excitation's intensity
        through the same objective ("confocal", a point detector: a closed pinhole), or with a Gaussian along z
        ("light-sheet"). A wide field's PSF is cut to the axial period of the grid it is computed for.
    excitation_wavelength : float, optional
        µm; for "confocal" only, 0.92 of the emission's by default (a usual Stokes shift).
    sheet_fwhm : float, optional
        Full width at half maximum of the light sheet along z, µm; needed for "light-sheet" and refused otherwise.
    apodisation : "aplanatic" or "none"
        A lens that obeys the sine condition concentrates light towards the pupil's edge ("aplanatic", the default):
        amplitude (cos θ)^(-1/2) over the pupil's area, which is √(cos θ) over the solid angle and keeps energy. "none"
        is an even pupil.
    blur : (2,) float or float, optional
        σ in µm along z and across of a Gaussian that the PSF is convolved with, positive, free in a fit; None (default)
        for no blur.

    Raises
    ------
    ConfigError
        For values out of range, or an illumination that is not complete.
    """

    numerical_aperture: float = option(
        name="--na", metavar="NA", help="Numerical aperture of the objective; for gibson-lanni and pupil."
    )
    wavelength: float = option(
        metavar="µm", help="Wavelength of the emission in µm, such as 0.52 for green; for gibson-lanni and pupil."
    )
    immersion_index: float = option(
        metavar="N", help="Refractive index of the immersion medium: water 1.33, oil 1.515; for gibson-lanni and pupil."
    )
    modality: str = option(
        "widefield",
        metavar="NAME",
        help="Kind of microscope: widefield (by default), confocal or light-sheet; for gibson-lanni and pupil.",
    )
    excitation_wavelength: float | None = option(
        None,
        name="--excitation",
        metavar="µm",
        help="Wavelength of the excitation in µm, for confocal; by default 0.92 times that of the emission.",
    )
    sheet_fwhm: float | None = option(
        None, metavar="µm", help="Thickness of the light sheet in µm (full width at half maximum), for light-sheet."
    )
    apodisation: str = "aplanatic"
    blur: Any = option(
        None,
        kind=tuple[float, float],
        name="--psf-blur",
        metavar="Z XY",
        help="σ in µm along z and across of a Gaussian that blurs a computed PSF; in a fit by default "
        "the voxel size / √12.",
    )
    _cache: dict[str, Any] = dataclasses.field(default_factory=dict, init=False, repr=False)

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
        """Raise ConfigError if the aperture is not positive, or not below `index`, the setting called `name`."""
        aperture = self.numerical_aperture
        if not (_is_number(aperture) and aperture > 0):
            raise ConfigError(f"numerical_aperture is {aperture!r}; expected a positive number.")
        if aperture >= index:
            raise ConfigError(
                f"numerical_aperture is {aperture:g} and {name} {index:g}; expected an aperture below the index.",
                remedy="Air has an index of 1, water 1.33, oil 1.515.",
            )

    def _check_illumination(self) -> None:
        """Raise ConfigError if excitation or sheet do not match the modality; set the default excitation wavelength."""
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
        """Make a PSF from the options that were given.

        Parameters
        ----------
        given : mapping
            Options by field.
        spacing : (3,) float or None
            Voxel size (z, y, x) in µm of the image. Without the option `blur` the PSF is blurred by these voxels, whose
            σ is their size / √12 (the mean of y and x across).

        Returns
        -------
        ObjectivePSF
            The PSF.
        """
        blur = given.get("blur")
        if blur is None and spacing is not None:
            blur = (spacing[0] / math.sqrt(12.0), 0.5 * (spacing[1] + spacing[2]) / math.sqrt(12.0))
        return cls(**{**given, "blur": blur})

    # -- the pupil, which subclasses define ---------------------------------------------------------------------------

    @abc.abstractmethod
    def log_pupil(self, rho: Floats, phi: Floats, wavelength: float) -> Complex:
        """Return the logarithm of the pupil function without apodisation, i · phase + log amplitude.

        Parameters
        ----------
        rho : float array
            Pupil radius, 1 at the edge.
        phi : float array
            Pupil angle from x towards y, radians, of the shape of `rho`.
        wavelength : float
            Wavelength of the beam in vacuum, µm.

        Returns
        -------
        complex128, the shape of `rho`
            Phases in radians, positive where the optical path is longer.
        """

    @abc.abstractmethod
    def log_pupil_slopes(self, rho: Floats, phi: Floats, wavelength: float) -> list[Complex]:
        """Return the derivatives of :meth:`log_pupil` for the pupil's free parameters.

        Parameters
        ----------
        rho : float array
            Pupil radius, 1 at the edge.
        phi : float array
            Pupil angle from x towards y, radians, of the shape of `rho`.
        wavelength : float
            Wavelength of the beam in vacuum, µm.

        Returns
        -------
        list of complex128 arrays, the shape of `rho`
            One for each parameter, in the order of :meth:`pupil_parameters`.
        """

    @abc.abstractmethod
    def pupil_parameters(self) -> Floats:
        """Return the pupil's free parameters.

        Returns
        -------
        (n,) float64
            Values without constraints; the blur's parameters are not among them.
        """

    @abc.abstractmethod
    def with_pupil_parameters(self, parameters: Floats) -> ObjectivePSF:
        """Return the same optics with other free parameters of the pupil.

        Parameters
        ----------
        parameters : (n,) float
            In the order of :meth:`pupil_parameters`.

        Returns
        -------
        ObjectivePSF
            The new PSF.
        """

    @abc.abstractmethod
    def round_parameters(self) -> Bools:
        """Return which of the pupil's free parameters keep it rotationally symmetric about its centre.

        Returns
        -------
        (n,) bool
            In the order of :meth:`pupil_parameters`.
        """

    # -- parameters ---------------------------------------------------------------------------------------------------

    @property
    def parameters(self) -> Floats:
        """Free parameters of the pupil, then log σ of the blur along z and across where there is a blur, (n,)."""
        blur = [] if self.blur is None else [math.log(self.blur.axial), math.log(self.blur.lateral)]
        return np.concatenate([self.pupil_parameters(), blur])

    def with_parameters(self, parameters: npt.ArrayLike) -> Any:
        """Return the same optics with other parameters.

        Parameters
        ----------
        parameters : (n,) float
            In the order of :attr:`parameters`.

        Returns
        -------
        ObjectivePSF
            The new PSF. It shares the sampling and its tables with this one.

        Raises
        ------
        ConfigError
            When there are not n finite numbers.
        """
        theta, n = np.asarray(parameters, dtype=np.float64), len(self.parameters)
        if theta.shape != (n,) or not np.isfinite(theta).all():
            raise ConfigError(f"the PSF's parameters have shape {theta.shape}; expected {n} finite numbers.")
        if self.blur is None:
            found = self.with_pupil_parameters(theta)
        else:
            blur = Blur(*np.exp(theta[-2:]).tolist())
            found = dataclasses.replace(self.with_pupil_parameters(theta[:-2]), blur=blur)
        if "stack" in self._cache:  # frequencies, samples and tables do not depend on the parameters
            found._cache["stack"] = self._cache["stack"]
        return found

    def axial(self, gradient: Floats) -> Floats:
        """Project a gradient onto the changes that keep the PSF rotationally symmetric about z.

        Parameters
        ----------
        gradient : (n,) float
            Gradient for :attr:`parameters`.

        Returns
        -------
        (n,) float64
            With 0 for the parameters of the pupil that break the symmetry.
        """
        kept = np.concatenate([self.round_parameters(), np.ones(0 if self.blur is None else 2, dtype=bool)])
        return np.where(kept, gradient, 0.0)

    # -- transform ----------------------------------------------------------------------------------------------------

    @property
    def beams(self) -> tuple[Beam, ...]:
        """Emission beam, and for a confocal microscope the excitation beam after it."""
        colours = [self.wavelength] + ([self.excitation_wavelength] if self.modality == "confocal" else [])
        return tuple(Beam(c, self.numerical_aperture, self.immersion_index) for c in colours)  # type: ignore[arg-type]

    @property
    def _sheet_sigma(self) -> float | None:
        """Standard deviation of the light sheet along z, µm; None without a sheet."""
        return None if self.sheet_fwhm is None else self.sheet_fwhm / FWHM_PER_SIGMA

    def limits(self, extent: Triple) -> Triple:
        """Return the frequency on each axis beyond which the OTF is zero or negligible.

        Across it is 2 · 2π NA / λ, summed over the beams; along z the range of k_z, with a margin for the light sheet
        or for the cut of a wide field. A blur ends both where its transform falls below 1e-9.

        Parameters
        ----------
        extent : (3,) float
            Period of the grid along (z, y, x), µm.

        Returns
        -------
        (3,) tuple of float
            Angular frequency along (z, y, x), rad/µm.
        """
        across = 2.0 * sum(b.edge for b in self.beams)
        along = SPARE * sum(b.depth for b in self.beams)
        if self._sheet_sigma is None:
            along += BEYOND * 2.0 * math.pi / extent[0]
        else:
            along += math.sqrt(2.0 * math.log(1.0 / _NEGLIGIBLE)) / self._sheet_sigma
        if self.blur is not None:
            most = math.sqrt(2.0 * math.log(1.0 / _NEGLIGIBLE))
            along, across = min(along, most / self.blur.axial), min(across, most / self.blur.lateral)
        return along, across, across

    def otf_on(self, band: Band) -> Complex:
        """Return the OTF at the frequencies of a band; zero beyond :meth:`limits`.

        Parameters
        ----------
        band : Band
            Box of low modes of a grid.

        Returns
        -------
        (band.shape) complex128
            ĥ on the band's box, read-only. The last result is kept.
        """
        found: Complex | None = self._cached("otf", band)
        if found is None:
            sharp = self._otf_without_blur(band)
            found = sharp if self.blur is None else sharp * self.blur.otf_on(band)
            self._store("otf", band, found)
        return found

    def otf_vjp(self, band: Band, cotangent: Array) -> Floats:
        """Return the vector-Jacobian product of :meth:`otf_on`, by hand-written reverse mode through the transforms.

        With ĥ = S / S_0 times the blur, ∂ĥ_k = (∂S_k - ĥ_k ∂S_0) / S_0. The gradient for the intensities is taken back
        to the pupil T, where s = T conj(∂L/∂T) is multiplied with the derivative of log T for each parameter.

        Parameters
        ----------
        band : Band
            Box of low modes of a grid.
        cotangent : (band.shape) complex
            Cotangent c on the band's box.

        Returns
        -------
        (n,) float64
            d/dθ of Re Σ conj(c) ĥ over the full spectrum that the half-space box stands for.
        """
        weighted = np.asarray(cotangent, dtype=np.complex128) * band.weights
        if band.mask is not None:
            weighted = np.where(band.mask, weighted, 0.0)
        blur = (
            []
            if self.blur is None
            else self.blur.log_sigma_derivatives(band, (weighted.conj() * self.otf_on(band)).real)
        )
        if not len(self.pupil_parameters()):
            return np.array(blur)
        if self.blur is not None:
            weighted = weighted * self.blur.otf_on(band)
        sharp, (stack, inside) = self._otf_without_blur(band), self._stack_for(band)
        total = self._normalisation(band)
        inner = weighted[inside] / total
        inner[0, 0, 0] -= float((weighted.conj() * sharp).real.sum()) / total
        slopes = self._pupil_slopes(stack, stack.vjp(self._pupil_functions(stack), inner))
        return np.array(slopes + blur)

    def _pupil_slopes(self, stack: Stack, sources: list[Complex]) -> list[float]:
        """Return the gradient for the pupil's free parameters, Re Σ source · ∂ log T / ∂θ summed over the beams.

        `sources` holds s = T conj(∂L/∂T) on the pupil of each beam, as :meth:`Stack.vjp` gives it.
        """
        found = np.zeros(len(self.pupil_parameters()))
        for beam, pupil, source in zip(self.beams, stack.pupils, sources):
            changes = self.log_pupil_slopes(pupil.rho, pupil.phi, beam.wavelength)
            found += [float((source * change).real.sum()) for change in changes]
        return found.tolist()

    def _otf_without_blur(self, band: Band) -> Complex:
        """Return the OTF on a band's box before the blur, complex128; the last result is kept."""
        found: Complex | None = self._cached("sharp", band)
        if found is None:
            stack, inside = self._stack_for(band)
            spectrum = stack.transform(self._pupil_functions(stack))
            total = float(spectrum[0, 0, 0].real)
            found = np.zeros(band.shape, dtype=np.complex128)
            found[inside] = spectrum / total
            self._store("sharp", band, found)
            self._store("total", band, total)
        return found

    def _normalisation(self, band: Band) -> float:
        """Return S_0, the spectrum of the intensity at frequency 0 by which the OTF was divided."""
        self._otf_without_blur(band)
        total: float = self._cached("total", band)
        return total

    def _stack_for(self, band: Band) -> tuple[Stack, Any]:
        """Return the :class:`Stack` for the band's modes within the optical limits, and their indices in the box.

        The last result is kept, and handed on to PSFs with other parameters.
        """
        found: tuple[Stack, Any] | None = self._cached("stack", band)
        if found is None:
            sharp = dataclasses.replace(self, blur=None).limits(band.grid.extent)
            axes = [a.ravel() for a in band.axes]
            kept = [np.flatnonzero(np.abs(a) <= limit) for a, limit in zip(axes, sharp)]
            z, y, x = (a[k] for a, k in zip(axes, kept))
            found = Stack(self.beams, self._sheet_sigma, band.grid.extent, (z, y, x)), np.ix_(*kept)
            self._store("stack", band, found)
        return found

    def _pupil_functions(self, stack: Stack) -> list[Complex]:
        """Return the pupil function of each beam on the samples of a stack's pupils."""
        return [self._pupil_function(beam, pupil) for beam, pupil in zip(self.beams, stack.pupils)]

    def _pupil_function(self, beam: Beam, pupil: Pupil) -> Complex:
        """Return the pupil function T of a beam, with apodisation, times the covered fraction of each sample's cell."""
        even: Complex = np.multiply(pupil.cover, np.exp(self.log_pupil(pupil.rho, pupil.phi, beam.wavelength)))
        if self.apodisation == "none":
            return even
        aplanatic: Complex = even / np.sqrt(np.maximum(pupil.k_z / beam.wavenumber, _STEEP))
        return aplanatic

    def _cached(self, name: str, band: Band) -> Any:
        """Return the value kept under `name` if it belongs to the same grid and box as `band`, else None."""
        key, value = self._cache.get(name, (None, None))
        return value if key == (band.grid.extent, band.grid.shape, band.shape) else None

    def _store(self, name: str, band: Band, value: Any) -> None:
        """Keep a value under `name` for the grid and box of `band`, replacing the last; arrays become read-only."""
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
        self._cache[name] = (band.grid.extent, band.grid.shape, band.shape), value

    # -- sampling and description --------------------------------------------------------------------------------------

    def view(self) -> Grid:
        """Return a grid for widths and extent: some resolution lengths wide, sampled at twice the optical band.

        Strong aberrations, blur and sheet change its size; it has at most 192 samples on an axis.

        Returns
        -------
        Grid
            Grid on which widths and extent are measured.
        """
        z, y, x = (0.5 * math.pi / w for w in dataclasses.replace(self, blur=None).limits((math.inf,) * 3))
        beam = self.beams[0]
        across, along = _VIEW * beam.wavelength / beam.aperture, 12.0 * 2.0 * math.pi / beam.depth
        strength = self._phase_range() / beam.depth
        sizes = [along + 4.0 * strength, across + strength, across + strength]
        if self._sheet_sigma is not None:
            sizes[0] = min(sizes[0], 9.0 * self._sheet_sigma)
        if self.blur is not None:
            sizes = [s + 8.0 * w for s, w in zip(sizes, (self.blur.axial, self.blur.lateral, self.blur.lateral))]
        shape = tuple(min(192, math.ceil(s / d)) for s, d in zip(sizes, (z, y, x)))
        return Grid(shape, tuple(max(s / n, d) for s, n, d in zip(sizes, shape, (z, y, x))))  # type: ignore[arg-type]

    def _phase_range(self) -> float:
        """Return the range (largest minus smallest) of the pupil's phase, radians."""
        rho, phi = np.meshgrid(np.linspace(0.0, 1.0, 33), np.linspace(0.0, 2.0 * np.pi, 24, endpoint=False))
        return float(np.ptp(self.log_pupil(rho, phi, self.wavelength).imag))

    def describe(self) -> dict[str, Any]:
        """Return kind, all settings and the FWHM (µm) as plain values.

        Returns
        -------
        dict
            All that :meth:`from_description` needs.
        """
        values: dict[str, Any] = {"kind": self.kind}
        for field in dataclasses.fields(self):
            if field.init:
                values[field.name] = json_value(getattr(self, field.name))
        return {**values, "fwhm_um": self.fwhm.tolist()}

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> Any:
        """Restore a PSF from the description that :meth:`describe` gave.

        Parameters
        ----------
        description : dict
            Settings by field; other entries are ignored.

        Returns
        -------
        ObjectivePSF
            The PSF.
        """
        names = {field.name for field in dataclasses.fields(cls) if field.init}
        return cls(**{name: value for name, value in description.items() if name in names})


def json_value(value: Any) -> Any:
    """Convert a setting to a value for JSON: a blur to its two σ, mapping keys to text, tuples to lists."""
    if isinstance(value, Blur):
        return [value.axial, value.lateral]
    if isinstance(value, dict):
        return {str(name): float(number) for name, number in value.items()}
    if isinstance(value, tuple):
        return list(value)
    return value


def _is_number(value: Any) -> bool:
    """Tell whether a value is a finite number, Python's or NumPy's, and not a bool."""
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and math.isfinite(value)


def check_index(name: str, value: Any) -> None:
    """Raise ConfigError if `value`, the setting called `name`, is no refractive index of 1 to 2.5."""
    if not (_is_number(value) and 1.0 <= value <= 2.5):
        raise ConfigError(
            f"{name} is {value!r}; expected a refractive index of 1 to 2.5.",
            remedy="Air has 1, water 1.33, cells about 1.38, oil and coverglass 1.515.",
        )


def check_wavelength(name: str, value: Any) -> None:
    """Raise ConfigError if `value`, the setting called `name`, is no wavelength of light of 0.1 to 3 µm.

    The message says so where the value looks like nanometres.
    """
    if _is_number(value) and 0.1 <= value <= 3.0:
        return
    number = _is_number(value) and 100.0 <= value <= 3000.0
    raise ConfigError(
        f"{name} is {value!r}; expected a wavelength in µm, 0.1 to 3.",
        remedy=f"In nanometres? Then it is {value / 1000.0:g} µm." if number else "Green light has 0.52.",
    )
