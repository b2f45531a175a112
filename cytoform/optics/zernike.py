"""Zernike polynomials on the unit disc, in ANSI order, orthonormal."""

from __future__ import annotations

import math

import numpy as np

from .._typing import Floats
from ..errors import ConfigError

__all__ = ["degrees", "zernike"]


def degrees(index: int) -> tuple[int, int]:
    """Return radial degree n and azimuthal frequency m of the polynomial with ANSI index j = (n (n + 2) + m) / 2.

    Parameters
    ----------
    index : int
        ANSI index j, 0 or more.

    Returns
    -------
    n : int
        Radial degree.
    m : int
        Azimuthal frequency, -n to n.

    Raises
    ------
    ConfigError
        When the index is not a whole number of 0 or more.
    """
    if isinstance(index, bool) or int(index) != index or index < 0:
        raise ConfigError(f"a Zernike index is {index!r}; expected a whole number of 0 or more, in ANSI order.")
    j = int(index)
    n = (math.isqrt(8 * j + 1) - 1) // 2
    return n, 2 * j - n * (n + 2)


def zernike(index: int, rho: Floats, phi: Floats) -> Floats:
    """Evaluate the polynomial N R_n^|m|(ρ) cos(m φ) for m ≥ 0, N R_n^|m|(ρ) sin(|m| φ) for m < 0.

    N = √(2 (n + 1) / (1 + δ_m0)), so that ∫ Z_i Z_j over the unit disc is π δ_ij (Noll's normalisation): a phase of c
    Z_j has a root mean square of c. The indices are ANSI's: 1 and 2 tilt, 3 and 5 astigmatism, 4 defocus, 6 and 9
    trefoil, 7 and 8 coma, 12 spherical. Ref: ANSI Z80.28; Noll 1976, doi 10.1364/JOSA.66.000207.

    Parameters
    ----------
    index : int
        ANSI index j.
    rho : float array
        Radius, 1 at the edge.
    phi : float array
        Angle from x towards y, radians, of the shape of `rho`.

    Returns
    -------
    float64, the shape of `rho`
        Values of the polynomial.
    """
    n, m = degrees(index)
    radial = np.zeros_like(rho, dtype=np.float64)
    for k in range((n - abs(m)) // 2 + 1):
        halves = ((n + abs(m)) // 2 - k, (n - abs(m)) // 2 - k)
        factor = math.factorial(n - k) / math.factorial(k) / math.prod(math.factorial(h) for h in halves)
        radial = radial + (-1) ** k * factor * rho ** (n - 2 * k)
    angular = np.cos(m * phi) if m >= 0 else np.sin(-m * phi)
    return math.sqrt((2.0 if m else 1.0) * (n + 1)) * radial * angular
