"""Sphericity of a body: Wadell's, and the powers of it that two papers print under the same name."""

from __future__ import annotations

import math

from ..errors import MeshError

__all__ = ["sphericity", "sphericity_media2024", "sphericity_miccai2022"]


def _check_positive(volume: float, area: float) -> None:
    """Raise MeshError unless volume (µm³) and area (µm²) are both finite and above 0."""
    if not (math.isfinite(volume) and math.isfinite(area) and volume > 0 and area > 0):
        raise MeshError(
            f"volume is {volume:g} µm³ and area {area:g} µm²; expected both to be positive.",
            remedy="Is the surface closed, with faces counter-clockwise seen from outside?",
        )


def sphericity(volume: float, area: float) -> float:
    """Return Wadell's sphericity π^(1/3) (6 V)^(2/3) / A, the area of the sphere of equal volume over the area.

    Ref: Wadell 1935, doi 10.1086/624298.

    Parameters
    ----------
    volume : float
        V, µm³.
    area : float
        A, µm².

    Returns
    -------
    float
        1 for a sphere, less for all else.

    Raises
    ------
    MeshError
        When volume or area is not finite and positive.
    """
    _check_positive(volume, area)
    return float(math.pi ** (1.0 / 3.0) * (6.0 * volume) ** (2.0 / 3.0) / area)


def sphericity_miccai2022(volume: float, area: float) -> float:
    """Return A^1.5 / (6 √π V), Wadell's sphericity to the power −1.5.

    Ref: Wiesner et al. 2022, doi 10.1007/978-3-031-16440-8_6.

    Parameters
    ----------
    volume : float
        V, µm³.
    area : float
        A, µm².

    Returns
    -------
    float
        1 for a sphere, *more* for all else.

    Raises
    ------
    MeshError
        When volume or area is not finite and positive.
    """
    _check_positive(volume, area)
    return float(area**1.5 / (6.0 * math.sqrt(math.pi) * volume))


def sphericity_media2024(volume: float, area: float) -> float:
    """Return 36 π V² / A³, Wadell's sphericity cubed.

    Of the readings of the paper's definition this one fits its tables best.
    Ref: Wiesner et al. 2024, doi 10.1016/j.media.2023.102991.

    Parameters
    ----------
    volume : float
        V, µm³.
    area : float
        A, µm².

    Returns
    -------
    float
        1 for a sphere, less for all else.

    Raises
    ------
    MeshError
        When volume or area is not finite and positive.
    """
    _check_positive(volume, area)
    return 36.0 * math.pi * volume**2 / area**3
