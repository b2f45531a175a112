"""A point spread function from an objective's pupil with Zernike aberrations."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from .._typing import Bools, Complex, Floats
from ..errors import ConfigError
from ..options import option
from .objective import ObjectivePSF, Triple
from .registry import register
from .zernike import degrees, zernike

__all__ = ["PupilPSF"]

_TERMS = ("4:0", "12:0")


@register
@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class PupilPSF(ObjectivePSF):
    """Pupil T(ρ, φ) = exp(Σ b_j Z_j + i Σ c_j Z_j), with Z_j in ANSI order and orthonormal over the unit disc.

    Free parameters: the c_j that were named (by index), the b_j that were named, and the blur (log σ along z and
    across). Name a coefficient with the value 0 to have it found by a fit. Options beyond those below, among them
    the modalities, are those of :class:`~cytoform.optics.objective.ObjectivePSF`.
    Ref: Hanser et al. 2004, doi 10.1111/j.0022-2720.2004.01393.x (scalar, exact defocus).

    Parameters
    ----------
    numerical_aperture, wavelength, immersion_index : float
        Wavelength of the emission in µm. Emitters sit in a medium of the immersion's index.
    phase : {int: float}
        ANSI index and coefficient c_j in radians (root mean square) at the emission's wavelength; positive where the
        path is longer. Excitation sees the same path. 12 is spherical aberration, 7 and 8 coma, 3 and 5 astigmatism;
        1, 2 and 4 move the focus, which a fit's mesh can do as well.
    amplitude : {int: float}
        ANSI index and coefficient b_j of the logarithm of the amplitude.

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
        help="With pupil: a phase term to fit, its ANSI index and radians.",
    )
    amplitude: Mapping[int, float] = dataclasses.field(default_factory=dict)
    kind = "pupil"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("phase", "amplitude"):
            object.__setattr__(self, name, _coefficients(name, getattr(self, name)))

    @classmethod
    def from_options(cls, given: Mapping[str, Any], spacing: Triple | None) -> Any:
        """From fields, with `phase` as texts such as "12:0.5"; by default defocus and spherical aberration are free."""
        terms = dict(_term(text) for text in given.get("phase", _TERMS))
        return super().from_options({**given, "phase": terms}, spacing)

    def log_pupil(self, rho: Floats, phi: Floats, wavelength: float) -> Complex:
        """Σ b_j Z_j + i (λ_emission / λ) Σ c_j Z_j."""
        total = np.zeros(rho.shape, dtype=np.complex128)
        for value, change in zip(self.pupil_parameters(), self.log_pupil_slopes(rho, phi, wavelength)):
            total += value * change
        return total

    def log_pupil_slopes(self, rho: Floats, phi: Floats, wavelength: float) -> list[Complex]:
        """i (λ_emission / λ) Z_j for each c_j, then Z_j for each b_j."""
        unit = 1j * self.wavelength / wavelength
        phases = [unit * zernike(j, rho, phi) for j in self.phase]
        return phases + [zernike(j, rho, phi) + 0j for j in self.amplitude]

    def pupil_parameters(self) -> Floats:
        """c_j, then b_j, each by index."""
        return np.array([*self.phase.values(), *self.amplitude.values()], dtype=np.float64)

    def with_pupil_parameters(self, parameters: Floats) -> PupilPSF:
        """With other coefficients of the same polynomials."""
        values = iter(np.asarray(parameters).tolist())
        phase, amplitude = ({j: next(values) for j in named} for named in (self.phase, self.amplitude))
        return dataclasses.replace(self, phase=phase, amplitude=amplitude)

    def round_parameters(self) -> Bools:
        """Those of polynomials without an angle."""
        return np.array([degrees(j)[1] == 0 for j in (*self.phase, *self.amplitude)], dtype=bool)


def _term(text: str) -> tuple[int, float]:
    index, _, value = text.partition(":")
    try:
        return int(index), float(value or 0.0)
    except ValueError:
        raise ConfigError(
            f"--zernike is {text!r}; expected an ANSI index and radians.", remedy="For example --zernike 12:0.5."
        ) from None


def _coefficients(name: str, given: Any) -> dict[int, float]:
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
