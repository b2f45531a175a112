"""Microscope optics: point spread functions and their transforms."""

from typing import Any

from ..errors import ConfigError
from .gaussian import GaussianPSF
from .psf import PSF

__all__ = ["PSF", "GaussianPSF", "psf_from_description"]

_KINDS = {GaussianPSF.kind: GaussianPSF}


def psf_from_description(description: dict[str, Any]) -> PSF:
    """The PSF that ``psf.describe()`` described, from a file of plain values.

    Raises
    ------
    ConfigError
        For a kind that is not known.
    """
    kind = description.get("kind")
    if kind not in _KINDS:
        raise ConfigError(f"the PSF is of kind {kind!r}; expected one of {', '.join(_KINDS)}.")
    return _KINDS[kind].from_description(description)
