"""Microscope optics: point spread functions and their transforms, and the camera behind them."""

from typing import Any

from ..errors import ConfigError
from .camera import Camera
from .gaussian import GaussianPSF
from .gibson_lanni import GibsonLanniPSF
from .measured import MeasuredPSF
from .psf import PSF, Blurred
from .pupil import PupilPSF

__all__ = [
    "PSF",
    "Blurred",
    "Camera",
    "GaussianPSF",
    "GibsonLanniPSF",
    "MeasuredPSF",
    "PupilPSF",
    "psf_from_description",
]

_KINDS: dict[str, Any] = {k.kind: k for k in (GaussianPSF, GibsonLanniPSF, MeasuredPSF, PupilPSF)}


def psf_from_description(description: dict[str, Any]) -> PSF:
    """The PSF that ``psf.describe()`` described, from a file of plain values.

    Raises
    ------
    ConfigError
        For a kind that is not known.
    """
    kind = description.get("kind")
    if kind == Blurred.kind:
        return Blurred(psf_from_description(description["psf"]), description["blur_um"])
    if kind not in _KINDS:
        raise ConfigError(f"the PSF is of kind {kind!r}; expected one of {', '.join((*_KINDS, Blurred.kind))}.")
    return _KINDS[kind].from_description(description)
