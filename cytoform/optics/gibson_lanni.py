"""The point spread function of an emitter below a coverglass, in a medium that the objective was not made for."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import numpy as np

from .._typing import Bools, Complex, Floats
from ..errors import ConfigError
from ..options import option
from .objective import ObjectivePSF, check_index
from .registry import register

__all__ = ["GibsonLanniPSF"]


FREE = ("depth", "sample_index")
_ABSORPTION = 2e-5  # makes √(n² - NA² ρ²) smooth where it is zero; 10 µm of sample absorb a thousandth
_FOCUS_FRACTION = 0.98  # of the radius that the sample lets through: the focus is determined within it
_NODES, _NODE_WEIGHTS = (0.5 * v for v in np.polynomial.legendre.leggauss(64))
_NODES = _NODES + 0.5


@register
@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class GibsonLanniPSF(ObjectivePSF):
    """The PSF of Gibson and Lanni's layered model: sample, coverglass and immersion, each with index and thickness.

    The path of a ray at pupil radius ρ differs from the path in the design by

        OPD(ρ) = d q(n_s) + t_g q(n_g) - t_g* q(n_g*) + t_i q(n_i) - t_i* q(n_i*),    q(n) = √(n² - NA² ρ²),

    with the emitter at the depth d below the coverglass, * for the values that the objective was made for, and t_i =
    t_i* minus the defocus. The focus is set where the OPD contains no defocus (least squares over the inner part of the
    pupil): z = 0 is in the middle of the light whatever the depth, which changes only the shape of the PSF.
    :attr:`stage_depth` is the stage's travel to this focus. Rays beyond the sample's critical angle (NA ρ > n_s) decay
    exponentially with the depth. The integral is scalar: polarisation, which widens the PSF across by 6 % at NA 1.2 and
    10 % at NA 1.4 (oil), is left out. Ref: Gibson & Lanni 1992, doi 10.1364/JOSAA.9.000154, Eqs. 4 to 7; with an even
    pupil (``apodisation="none"``) as published.

    The free parameters are those named by `free`, the depth as its logarithm and the sample's index as the logit of its
    position between its bounds, then those of the blur.

    Parameters
    ----------
    numerical_aperture : float
        Numerical aperture NA of the objective, below the indices of immersion and coverglass.
    wavelength : float
        Wavelength of the emission in vacuum, µm.
    immersion_index : float
        n_i, the actual refractive index of the immersion medium.
    modality : "widefield", "confocal" or "light-sheet"
        As for :class:`PupilPSF`: emission alone (default), or times the excitation's intensity, or times a Gaussian
        sheet.
    excitation_wavelength : float, optional
        Wavelength of the excitation, µm, for "confocal" only; 0.92 of the emission's by default.
    sheet_fwhm : float, optional
        Full width at half maximum of the light sheet along z, µm, for "light-sheet" only.
    apodisation : "aplanatic" or "none"
        Amplitude over the pupil: even ("none", the default), or (cos θ)^(-1/2) ("aplanatic").
    blur : (2,) float or float, optional
        σ in µm along z and across of a Gaussian that the PSF is convolved with, positive, free in a fit; None (default)
        for no blur.
    sample_index : float
        n_s, refractive index around the cell.
    depth : float
        d, µm, positive if free, else 0 or more.
    immersion_index_design : float, optional
        n_i*; the actual index by default.
    working_distance : float
        t_i*, thickness of the immersion by design, µm. Counts only where n_i differs from n_i*.
    coverglass_index : float
        n_g.
    coverglass_index_design : float, optional
        n_g*; the actual index by default.
    coverglass_thickness : float
        t_g, µm.
    coverglass_thickness_design : float, optional
        t_g*, µm; the actual thickness by default.
    free : tuple of "depth" and "sample_index"
        Which of the two a fit may change. Both cause the same spherical aberration, so one alone is determined better.
    sample_index_bounds : (2,) float
        Lower and upper bound of a free sample index.

    Raises
    ------
    ConfigError
        For an aperture that immersion or coverglass do not let through, a wavelength that is not in µm, values out of
        range, or an illumination that is not complete.

    Examples
    --------
    >>> psf = GibsonLanniPSF(numerical_aperture=1.4, wavelength=0.52, immersion_index=1.515, sample_index=1.38,
    ...                      depth=5.0)
    """

    sample_index: float = option(metavar="N", help="Refractive index around the cell, about 1.36; for gibson-lanni.")
    depth: float = option(metavar="µm", help="Depth of the cell below the coverglass in µm; for gibson-lanni.")
    immersion_index_design: float | None = None
    working_distance: float = 150.0
    coverglass_index: float = 1.515
    coverglass_index_design: float | None = None
    coverglass_thickness: float = 170.0
    coverglass_thickness_design: float | None = None
    free: tuple[str, ...] = FREE
    sample_index_bounds: tuple[float, float] = (1.3, 1.6)
    apodisation: str = "none"
    kind = "gibson-lanni"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("immersion_index", "coverglass_index", "coverglass_thickness"):
            if getattr(self, f"{name}_design") is None:
                object.__setattr__(self, f"{name}_design", getattr(self, name))
        for name in ("immersion_index_design", "coverglass_index", "coverglass_index_design"):
            check_index(name, getattr(self, name))
            self._check_aperture(name, getattr(self, name))
        check_index("sample_index", self.sample_index)
        self._check_free()
        for name in ("depth", "working_distance", "coverglass_thickness", "coverglass_thickness_design"):
            value, least = getattr(self, name), name == "depth" and "depth" in self.free
            good = isinstance(value, (int, float)) and math.isfinite(value)
            if not good or value < 0 or (least and value == 0):
                wanted = "a positive length in µm, as it is free" if least else "0 µm or more"
                raise ConfigError(f"{name} is {value!r}; expected {wanted}.")

    def _check_free(self) -> None:
        """Sort `free`, convert `sample_index_bounds` to floats, and raise ConfigError if either is not valid."""
        if not set(self.free) <= set(FREE):
            raise ConfigError(f"free is {self.free!r}; expected names out of {' and '.join(FREE)}, or none.")
        object.__setattr__(self, "free", tuple(n for n in FREE if n in self.free))
        low, high = bounds = tuple(float(b) for b in self.sample_index_bounds)
        object.__setattr__(self, "sample_index_bounds", bounds)
        if not 1.0 <= low < high <= 2.5 or ("sample_index" in self.free and not low < self.sample_index < high):
            raise ConfigError(
                f"sample_index is {self.sample_index:g}, its bounds {low:g} and {high:g}; expected it between them.",
                remedy="Set sample_index_bounds, or leave sample_index out of free.",
            )

    @property
    def stage_depth(self) -> float:
        """Travel of the stage from the coverglass's inner face to the focus, µm: the apparent depth.

        An oil objective has to move farther than the depth in a watery sample. Depths read off a stage are scaled by
        depth / stage_depth.
        """
        return self._defocus_of_path(self._optical_path(_NODES * self._focus_radius).real)

    def log_pupil(self, rho: Floats, phi: Floats, wavelength: float) -> Complex:
        """Return i k OPD(ρ) at the focus, the logarithm of the pupil function without apodisation.

        Its real part is the decay beyond the critical angle.

        Parameters
        ----------
        rho : float array
            Pupil radius, 1 at the edge.
        phi : float array
            Pupil angle, radians; not used, since the pupil is rotationally symmetric.
        wavelength : float
            Wavelength of the beam in vacuum, µm.

        Returns
        -------
        complex128, the shape of `rho`
            i · phase (radians) + log amplitude.
        """
        return self._refocus(self._optical_path, rho, wavelength)

    def log_pupil_slopes(self, rho: Floats, phi: Floats, wavelength: float) -> list[Complex]:
        """Return the derivatives of :meth:`log_pupil` for the pupil's free parameters.

        Parameters
        ----------
        rho : float array
            Pupil radius, 1 at the edge.
        phi : float array
            Pupil angle, radians; not used.
        wavelength : float
            Wavelength of the beam in vacuum, µm.

        Returns
        -------
        list of complex128 arrays, the shape of `rho`
            One for each name in `free`: for log(depth) and for the logit of the sample's index.
        """
        changes = {"depth": self._depth_derivative, "sample_index": self._index_derivative}
        return [self._refocus(changes[name], rho, wavelength) for name in self.free]

    def pupil_parameters(self) -> Floats:
        """Return log(depth) and the logit log((n_s - low) / (high - n_s)) of the sample's index, where they are free.

        Returns
        -------
        (n,) float64
            One value for each name in `free`.
        """
        low, high = self.sample_index_bounds
        given = {
            "depth": lambda: math.log(self.depth),
            "sample_index": lambda: math.log((self.sample_index - low) / (high - self.sample_index)),
        }
        return np.array([given[name]() for name in self.free], dtype=np.float64)

    def with_pupil_parameters(self, parameters: Floats) -> GibsonLanniPSF:
        """Return the same optics with another depth and sample index.

        Parameters
        ----------
        parameters : (n,) float
            In the order of :meth:`pupil_parameters`.

        Returns
        -------
        GibsonLanniPSF
            The new PSF. A sample index keeps a billionth of the interval away from its bounds.
        """
        low, high = self.sample_index_bounds
        taken = {
            "depth": lambda v: math.exp(v),
            "sample_index": lambda v: low + (high - low) * min(max(0.5 + 0.5 * math.tanh(0.5 * v), 1e-9), 1.0 - 1e-9),
        }
        changes: dict[str, Any] = {n: taken[n](float(v)) for n, v in zip(self.free, parameters)}
        return dataclasses.replace(self, **changes)

    def round_parameters(self) -> Bools:
        """Return True for every pupil parameter: all keep the pupil rotationally symmetric.

        Returns
        -------
        (n,) bool
            All True.
        """
        return np.ones(len(self.free), dtype=bool)

    # -- paths, µm ----------------------------------------------------------------------------------------------------

    def _path_per_thickness(self, index: float, rho: Floats) -> Complex:
        """Return q(n) = √(n² - NA² ρ²), the optical path per µm of a layer's thickness.

        It is imaginary beyond the critical angle.
        """
        path: Complex = np.sqrt(index**2 - (self.numerical_aperture * rho) ** 2 + 1j * _ABSORPTION)
        return path

    def _optical_path(self, rho: Floats) -> Complex:
        """Return the OPD of rays at pupil radii `rho`, without defocus, µm.

        Its imaginary part, the decay beyond the critical angle, comes from the sample alone.
        """
        leg = functools.partial(self._path_per_thickness, rho=rho)
        # __post_init__ has set them
        index_design, thickness_design = self.coverglass_index_design, self.coverglass_thickness_design
        immersion_design = self.immersion_index_design
        assert index_design is not None and thickness_design is not None and immersion_design is not None
        glass = self.coverglass_thickness * leg(self.coverglass_index)
        glass = glass - thickness_design * leg(index_design)
        oil = self.working_distance * (leg(self.immersion_index) - leg(immersion_design))
        return self.depth * leg(self.sample_index) + (glass + oil).real

    def _depth_derivative(self, rho: Floats) -> Complex:
        """Return ∂OPD/∂log d = d q(n_s) at pupil radii `rho`, µm."""
        return self.depth * self._path_per_thickness(self.sample_index, rho)

    def _index_derivative(self, rho: Floats) -> Complex:
        """Return the derivative of the OPD for the logit of the sample's index at pupil radii `rho`, µm."""
        low, high = self.sample_index_bounds
        step = (self.sample_index - low) * (high - self.sample_index) / (high - low)
        return step * self.depth * self.sample_index / self._path_per_thickness(self.sample_index, rho)

    @property
    def _focus_radius(self) -> float:
        """Pupil radius within which the focus is determined, 0.98 n_s / NA and at most 1.

        For a free sample index n_s is its lower bound, so that the radius is the same throughout a fit.
        """
        least = self.sample_index_bounds[0] if "sample_index" in self.free else self.sample_index
        return min(1.0, _FOCUS_FRACTION * least / self.numerical_aperture)

    def _refocus(self, path: Any, rho: Floats, wavelength: float) -> Complex:
        """Return i k (path - δ q(n_i) - a constant) at pupil radii `rho`, δ the best-fitting defocus of the path.

        `path` is a function that returns a path in µm for pupil radii. The operation is linear in the path, so it takes
        the derivatives of the OPD as well.
        """
        inner = self._focus_radius * _NODES
        share = self._defocus_of_path(path(inner).real)
        edge = np.sqrt(self.immersion_index**2 - (self.numerical_aperture * rho) ** 2)
        # a constant phase changes nothing, but small phases keep digits; a constant amplitude is normalised away
        mean = path(np.zeros(1))[0] - share * self.immersion_index
        logarithm: Complex = 2j * math.pi / wavelength * (path(rho) - share * edge - mean)
        return logarithm

    def _defocus_of_path(self, path: Floats) -> float:
        """Return the defocus in µm of the immersion that fits a path best, by least squares over the inner pupil.

        `path` holds the path in µm at the Gauss-Legendre nodes (64,) of the inner pupil; a constant is fitted along
        with it.
        """
        rho = self._focus_radius * _NODES
        weight = _NODE_WEIGHTS * rho
        leg = np.sqrt(self.immersion_index**2 - (self.numerical_aperture * rho) ** 2)
        leg = leg - (weight * leg).sum() / weight.sum()
        return float((weight * leg * path).sum() / (weight * leg * leg).sum())
