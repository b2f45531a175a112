"""Which point spread function a command takes: options that ``fit`` and ``render`` share."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..options import Option, Setting

if TYPE_CHECKING:
    from ..optics import PSFOptions

__all__ = ["chosen_psf", "psf_options"]


def psf_options() -> list[Setting]:
    """--psf and the options of all kinds."""
    from ..optics.choice import psf_settings
    from ..optics.registry import named_kinds

    told = f"{', '.join(named_kinds())}, or an image of the PSF (TIFF)."
    own = [dataclasses.replace(setting, default=None) for setting in psf_settings()]  # a kind has its own defaults
    return [Setting("kind", str, None, Option(told, "KIND", "--psf")), *own]


def chosen_psf(said: Mapping[str, Any]) -> PSFOptions:
    """What was typed of the PSF, checked.

    Raises
    ------
    ConfigError
        When an option is missing or does not belong to the kind.
    FileFormatError
        When the kind is neither known nor a file.
    """
    from ..optics import PSFOptions
    from ..optics.choice import psf_settings

    return PSFOptions(said["psf"] or "gaussian", {setting.key: said[setting.key] for setting in psf_settings()})
