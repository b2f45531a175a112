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
_ABSORPTION = 2e-5  # makes √(n² - NA² ρ²) smooth where it is zero; dims 10 µm of sample by a thousandth
_INNER = 0.98  # the focus is judged on rays within this part of what the sample lets through
_NODES, _SHARES = (0.5 * v for v in np.polynomial.legendre.leggauss(64))
_NODES = _NODES + 0.5


@register
@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class GibsonLanniPSF(ObjectivePSF):
    """The layered model of Gibson and Lanni: sample, coverglass and immersion, each with index and thickness.

    The path of a ray at pupil radius ρ differs from the design's by

        OPD(ρ) = d q(n_s) + t_g q(n_g) - t_g* q(n_g*) + t_i q(n_i) - t_i* q(n_i*),    q(n) = √(n² - NA² ρ²),

    with the emitter at the depth d below the coverglass, * for the values that the objective was made for, and t_i =
    t_i* less the defocus. Here the focus is put where the path's share of defocus vanishes (least squares over the
    pupil's inner part): z = 0 is in the middle of the light whatever the depth, which changes the PSF's shape only.
    :attr:`stage_depth` tells how far the stage has to go. Rays beyond the sample's critical angle (NA ρ > n_s) fade
    exponentially with the depth, as they do. The integral is scalar: polarisation, which widens the PSF across by
    6 % at NA 1.2 and 10 % at NA 1.4 (oil), is left out.
    Ref: Gibson & Lanni 1992, doi 10.1364/JOSAA.9.000154, Eqs. 4 to 7; with an even pupil (``apodisation="none"``) as
    published.

    Free parameters: those of `free`, depth by its logarithm and the sample's index by a logistic curve between its
    bounds, then the blur's. Options beyond those below are those of :class:`~cytoform.optics.objective.ObjectivePSF`.

    Parameters
    ----------
    numerical_aperture, wavelength, immersion_index : float
        Wavelength of the emission in µm; the immersion's actual index n_i.
    depth : float
        d, µm, positive if free, else 0 or more.
    sample_index : float
        n_s.
    immersion_index_design : float, optional
        n_i*; the actual one by default.
    working_distance : float
        t_i*, the immersion's thickness by design, µm. Counts only where n_i differs from n_i*.
    coverglass_index, coverglass_index_design, coverglass_thickness, coverglass_thickness_design : float
        n_g, n_g*, t_g and t_g* (µm); the design's are the actual ones by default.
    free : tuple of "depth" and "sample_index"
        Which are parameters of a fit. Both bring about the same spherical aberration, so one alone is found better.
    sample_index_bounds : (2,) float
        Where a free sample index stays.

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

    sample_index: float = option(metavar="N", help="With gibson-lanni: around the cell, about 1.36.")
    depth: float = option(metavar="µm", help="With gibson-lanni: of the cell below the coverglass.")
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
        """How far the stage moves from the coverglass's inner face to the focus, µm: the depth as it seems.

        An oil objective has to move farther than the depth in a watery sample. Depths read off a stage are to be
        scaled by depth / stage_depth.
        """
        return self._share(self._path(_NODES * self._inner).real)

    def log_pupil(self, rho: Floats, phi: Floats, wavelength: float) -> Complex:
        """i k OPD at the focus; its real part is what fades beyond the critical angle."""
        return self._focused(self._path, rho, wavelength)

    def log_pupil_slopes(self, rho: Floats, phi: Floats, wavelength: float) -> list[Complex]:
        """For log depth and for the logistic variable of the sample's index, where they are free."""
        changes = {"depth": self._depth_slope, "sample_index": self._index_slope}
        return [self._focused(changes[name], rho, wavelength) for name in self.free]

    def pupil_parameters(self) -> Floats:
        """Log depth, and log((n_s - low) / (high - n_s)), where they are free."""
        low, high = self.sample_index_bounds
        given = {
            "depth": lambda: math.log(self.depth),
            "sample_index": lambda: math.log((self.sample_index - low) / (high - self.sample_index)),
        }
        return np.array([given[name]() for name in self.free], dtype=np.float64)

    def with_pupil_parameters(self, parameters: Floats) -> GibsonLanniPSF:
        """With another depth and sample index."""
        low, high = self.sample_index_bounds
        taken = {
            "depth": lambda v: math.exp(v),
            "sample_index": lambda v: low + (high - low) * min(max(0.5 + 0.5 * math.tanh(0.5 * v), 1e-9), 1.0 - 1e-9),
        }
        return dataclasses.replace(self, **{n: taken[n](float(v)) for n, v in zip(self.free, parameters)})

    def round_parameters(self) -> Bools:
        """All of them."""
        return np.ones(len(self.free), dtype=bool)

    # -- paths, µm ----------------------------------------------------------------------------------------------------

    def _leg(self, index: float, rho: Floats) -> Complex:
        """q(n) = √(n² - NA² ρ²), the path per µm of thickness; imaginary beyond the critical angle."""
        return np.sqrt(index**2 - (self.numerical_aperture * rho) ** 2 + 1j * _ABSORPTION)

    def _path(self, rho: Floats) -> Complex:
        leg = functools.partial(self._leg, rho=rho)
        glass = self.coverglass_thickness * leg(self.coverglass_index)
        glass = glass - self.coverglass_thickness_design * leg(self.coverglass_index_design)
        oil = self.working_distance * (leg(self.immersion_index) - leg(self.immersion_index_design))
        return self.depth * leg(self.sample_index) + (glass + oil).real

    def _depth_slope(self, rho: Floats) -> Complex:
        return self.depth * self._leg(self.sample_index, rho)

    def _index_slope(self, rho: Floats) -> Complex:
        low, high = self.sample_index_bounds
        step = (self.sample_index - low) * (high - self.sample_index) / (high - low)
        return step * self.depth * self.sample_index / self._leg(self.sample_index, rho)

    @property
    def _inner(self) -> float:
        """Radius within which the focus is judged: the same for every sample index that a fit may try."""
        least = self.sample_index_bounds[0] if "sample_index" in self.free else self.sample_index
        return min(1.0, _INNER * least / self.numerical_aperture)

    def _focused(self, path: Any, rho: Floats, wavelength: float) -> Complex:
        """i k (path - its share of defocus - a constant): linear in the path, so it takes derivatives as well."""
        inner = self._inner * _NODES
        share = self._share(path(inner).real)
        edge = np.sqrt(self.immersion_index**2 - (self.numerical_aperture * rho) ** 2)
        # a constant phase changes nothing, but small ones keep digits; a constant amplitude is normalised away
        mean = path(np.zeros(1))[0] - share * self.immersion_index
        return 2j * math.pi / wavelength * (path(rho) - share * edge - mean)

    def _share(self, path: Floats) -> float:
        """µm of defocus in the immersion that come closest to a path at the nodes, over the pupil's area."""
        rho = self._inner * _NODES
        weight = _SHARES * rho
        leg = np.sqrt(self.immersion_index**2 - (self.numerical_aperture * rho) ** 2)
        leg = leg - (weight * leg).sum() / weight.sum()
        return float((weight * leg * path).sum() / (weight * leg * leg).sum())
