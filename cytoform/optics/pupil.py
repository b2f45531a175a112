"""A point spread function from an objective's pupil with Zernike aberrations."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from .._typing import Bools, Complex, Floats, Triple
from ..errors import ConfigError
from ..options import option
from .objective import ObjectivePSF
from .registry import register
from .zernike import degrees, zernike

__all__ = ["PupilPSF"]

_DEFAULT_TERMS = ("4:0", "12:0")


@register
@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class PupilPSF(ObjectivePSF):
    """The PSF of a pupil with Zernike aberrations, T(ρ, φ) = exp(Σ b_j Z_j + i Σ c_j Z_j).

    Z_j are the Zernike polynomials in ANSI order, orthonormal over the unit disc. Free parameters are the c_j that are
    named (by index), the b_j that are named, and the blur (log σ along z and across). Name a coefficient with the value
    0 to have it found by a fit. Ref: Hanser et al. 2004, doi 10.1111/j.0022-2720.2004.01393.x (scalar, exact defocus).

    Parameters
    ----------
    numerical_aperture : float
        Numerical aperture NA, below the immersion's index.
    wavelength : float
        Wavelength of the emission in vacuum, µm.
    immersion_index : float
        Refractive index of the immersion, and of the medium around the emitters.
    modality : "widefield", "confocal" or "light-sheet"
        The emission's intensity is multiplied with nothing ("widefield", the default), with the excitation's intensity
        through the same objective ("confocal", a closed pinhole), or with a Gaussian along z ("light-sheet"). A wide
        field's PSF is cut to the axial period of the grid it is computed for.
    excitation_wavelength : float, optional
        µm; for "confocal" only, 0.92 of the emission's by default (a usual Stokes shift).
    sheet_fwhm : float, optional
        Full width at half maximum of the light sheet along z, µm; needed for "light-sheet" and refused otherwise.
    apodisation : "aplanatic" or "none"
        Amplitude over the pupil: (cos θ)^(-1/2), as of a lens that obeys the sine condition ("aplanatic", the default),
        or even ("none").
    blur : (2,) float or float, optional
        σ in µm along z and across of a Gaussian that the PSF is convolved with, positive, free in a fit; None (default)
        for no blur.
    phase : {int: float}
        ANSI index and coefficient c_j in radians (root mean square) at the emission's wavelength; positive where the
        path is longer; none by default. Excitation has the same path. 12 is spherical aberration, 7 and 8 coma, 3 and 5
        astigmatism; 1, 2 and 4 move the focus, which a fit's mesh can do as well.
    amplitude : {int: float}
        ANSI index and coefficient b_j of the logarithm of the amplitude; none by default.

    Raises
    ------
    ConfigError
        For an aperture that the immersion index does not allow, a wavelength that is not in µm, an index that is no
        Zernike polynomial's or 0 (it changes nothing), or an illumination that is not complete.

    Examples
    --------
    >>> psf = PupilPSF(numerical_aperture=1.1, wavelength=0.52, immersion_index=1.33, phase={12: 0.5},
    ...                modality="light-sheet", sheet_fwhm=2.0)
    """

    phase: Mapping[int, float] = option(
        default_factory=dict,
        kind=list[str],
        name="--zernike",
        metavar="J:C",
        help="Zernike term of the pupil's phase to fit: ANSI index J and first value C in radians; for pupil. "
        "May be repeated.",
    )
    amplitude: Mapping[int, float] = dataclasses.field(default_factory=dict)
    kind = "pupil"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("phase", "amplitude"):
            object.__setattr__(self, name, _checked_coefficients(name, getattr(self, name)))

    @classmethod
    def from_options(cls, given: Mapping[str, Any], spacing: Triple | None) -> Any:
        """Make a PSF from the options that were given.

        Parameters
        ----------
        given : mapping
            Options by field; `phase` holds texts such as "12:0.5". Without it defocus and spherical aberration are
            free.
        spacing : (3,) float or None
            Voxel size (z, y, x) in µm of the image; without the option `blur` the PSF is blurred by these voxels.

        Returns
        -------
        PupilPSF
            The PSF.
        """
        terms = dict(_parse_term(text) for text in given.get("phase", _DEFAULT_TERMS))
        return super().from_options({**given, "phase": terms}, spacing)

    def log_pupil(self, rho: Floats, phi: Floats, wavelength: float) -> Complex:
        """Return Σ b_j Z_j + i (λ_emission / λ) Σ c_j Z_j, the logarithm of the pupil function without apodisation.

        Parameters
        ----------
        rho : float array
            Pupil radius, 1 at the edge.
        phi : float array
            Pupil angle from x towards y, radians, of the shape of `rho`.
        wavelength : float
            Wavelength λ of the beam in vacuum, µm.

        Returns
        -------
        complex128, the shape of `rho`
            i · phase (radians) + log amplitude.
        """
        total = np.zeros(rho.shape, dtype=np.complex128)
        for value, change in zip(self.pupil_parameters(), self.log_pupil_slopes(rho, phi, wavelength)):
            total += value * change
        return total

    def log_pupil_slopes(self, rho: Floats, phi: Floats, wavelength: float) -> list[Complex]:
        """Return the derivatives of :meth:`log_pupil`: i (λ_emission / λ) Z_j for each c_j, then Z_j for each b_j.

        Parameters
        ----------
        rho : float array
            Pupil radius, 1 at the edge.
        phi : float array
            Pupil angle from x towards y, radians, of the shape of `rho`.
        wavelength : float
            Wavelength λ of the beam in vacuum, µm.

        Returns
        -------
        list of complex128 arrays, the shape of `rho`
            One for each coefficient.
        """
        unit = 1j * self.wavelength / wavelength
        phases = [np.asarray(unit * zernike(j, rho, phi), dtype=np.complex128) for j in self.phase]
        return phases + [np.asarray(zernike(j, rho, phi) + 0j, dtype=np.complex128) for j in self.amplitude]

    def pupil_parameters(self) -> Floats:
        """Return the coefficients c_j, then b_j, each in order of the index j.

        Returns
        -------
        (n,) float64
            Radians for the c_j, dimensionless for the b_j.
        """
        return np.array([*self.phase.values(), *self.amplitude.values()], dtype=np.float64)

    def with_pupil_parameters(self, parameters: Floats) -> PupilPSF:
        """Return the same optics with other coefficients of the same polynomials.

        Parameters
        ----------
        parameters : (n,) float
            In the order of :meth:`pupil_parameters`.

        Returns
        -------
        PupilPSF
            The new PSF.
        """
        values = iter(np.asarray(parameters).tolist())
        phase, amplitude = ({j: next(values) for j in named} for named in (self.phase, self.amplitude))
        return dataclasses.replace(self, phase=phase, amplitude=amplitude)

    def round_parameters(self) -> Bools:
        """Return which coefficients keep the pupil rotationally symmetric: those of polynomials without an angle.

        Returns
        -------
        (n,) bool
            In the order of :meth:`pupil_parameters`.
        """
        return np.array([degrees(j)[1] == 0 for j in (*self.phase, *self.amplitude)], dtype=bool)


def _parse_term(text: str) -> tuple[int, float]:
    """Parse a text such as "12:0.5" to ANSI index and coefficient (radians, 0 where it is missing).

    Raises ConfigError for any other text.
    """
    index, _, value = text.partition(":")
    try:
        return int(index), float(value or 0.0)
    except ValueError:
        raise ConfigError(
            f"--zernike is {text!r}; expected an ANSI index and radians.", remedy="For example --zernike 12:0.5."
        ) from None


def _checked_coefficients(name: str, given: Any) -> dict[int, float]:
    """Return the coefficients `given` as a dict of int to float, sorted by index.

    Raises ConfigError, which names the setting `name`, for an index below 1 or a coefficient that is not finite.
    """
    try:
        found = {int(j): float(value) for j, value in dict(given).items()}
        good = all(j >= 1 and str(j) == str(k) for j, k in zip(found, given))
        good = good and all(math.isfinite(value) for value in found.values())
    except (TypeError, ValueError):
        good, found = False, {}
    if not good:
        raise ConfigError(
            f"{name} is {given!r}; expected Zernike indices in ANSI order, from 1, with finite coefficients.",
            remedy=f"For example {name}={{12: 0.0}} for spherical aberration.",
        )
    return dict(sorted(found.items()))
