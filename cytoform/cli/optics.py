"""Which point spread function a command takes: options that ``fit`` and ``render`` share."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..options import Option, Setting, reserve, reserved, settings_of

if TYPE_CHECKING:
    from ..optics import PSFOptions

__all__ = ["chosen_psf", "psf_options"]

_LOG = logging.getLogger(__name__)
reserve(["psf"])


def psf_options() -> list[Setting]:
    """--psf and the options of all kinds."""
    from ..optics.choice import psf_settings
    from ..optics.registry import named_kinds

    without = _left_out()
    for kind, flag in without.items():
        _LOG.warning("the PSF %s is left out of the command line: its option %s cannot be one here.", kind, flag)
    told = f"{', '.join(k for k in named_kinds() if k not in without)}, or an image of the PSF (TIFF)."
    own = [dataclasses.replace(setting, default=None) for setting in psf_settings(without)]  # kinds have own defaults
    return [Setting("kind", str, None, Option(told, "KIND", "--psf")), *own]


def chosen_psf(said: Mapping[str, Any]) -> PSFOptions:
    """What was typed of the PSF, checked.

    Raises
    ------
    ConfigError
        When an option is missing or does not belong to the kind, or the command line cannot take the kind's options.
    FileFormatError
        When the kind is neither known nor a file.
    """
    from ..optics import PSFOptions
    from ..optics.choice import psf_settings

    without = _left_out()
    if said["psf"] in without:
        raise ConfigError(
            f"--psf is {said['psf']}, which cannot be chosen here: its option {without[said['psf']]} cannot be one of "
            "the command line, which has one of that name for something else.",
            remedy="Use it from Python, or give the option another name where it is declared, option(name=…).",
        )
    settings = psf_settings(without)
    return PSFOptions(said["psf"] or "gaussian", {setting.key: said[setting.key] for setting in settings})


def _left_out() -> dict[str, str]:
    """Kinds with an option that the commands cannot take, as they have one of its name themselves, and that option."""
    from ..fitting import FitConfig, FitJob, ImageFile, Region
    from ..optics.registry import FILE, named_kinds, settings_of_kind, unusable

    parts = (FitConfig, FitJob, ImageFile, Region)
    taken = {name for part in parts for setting in settings_of(part) for name in setting.names} | reserved()
    found = {kind: unusable(settings_of_kind(kind), taken) for kind in (*named_kinds(), FILE)}
    return {kind: flag for kind, flag in found.items() if flag}
