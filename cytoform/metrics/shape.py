"""How round a body is: Wadell's sphericity, and the powers of it that two papers print under the same name."""

from __future__ import annotations

import math

from ..errors import MeshError

__all__ = ["sphericity", "sphericity_media2024", "sphericity_miccai2022"]


def _check_positive(volume: float, area: float) -> None:
    if not (math.isfinite(volume) and math.isfinite(area) and volume > 0 and area > 0):
        raise MeshError(
            f"volume is {volume:g} µm³ and area {area:g} µm²; expected both to be positive.",
            remedy="Is the surface closed, with faces counter-clockwise seen from outside?",
        )


def sphericity(volume: float, area: float) -> float:
    """Wadell's sphericity π^(1/3) (6 V)^(2/3) / A: 1 for a sphere, less for all else.

    Parameters
    ----------
    volume : float, µm³
    area : float, µm²

    Raises
    ------
    MeshError
        When one of them is not positive.

    Ref: Wadell 1935, doi 10.1086/624298.
    """
    _check_positive(volume, area)
    return float(math.pi ** (1.0 / 3.0) * (6.0 * volume) ** (2.0 / 3.0) / area)


def sphericity_miccai2022(volume: float, area: float) -> float:
    """A^1.5 / (6 √π V) = Wadell^(−1.5), 1 for a sphere, *more* for all else.

    Ref: Wiesner et al. 2022, doi 10.1007/978-3-031-16440-8_6.
    """
    _check_positive(volume, area)
    return float(area**1.5 / (6.0 * math.sqrt(math.pi) * volume))


def sphericity_media2024(volume: float, area: float) -> float:
    """36 π V² / A³ = Wadell³, 1 for a sphere, less for all else.

    The reading that fits the tables best. Ref: Wiesner et al. 2024, doi 10.1016/j.media.2023.102991.
    """
    _check_positive(volume, area)
    return 36.0 * math.pi * volume**2 / area**3
