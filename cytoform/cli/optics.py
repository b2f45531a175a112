"""Options of ``fit`` and ``render`` that choose the point spread function (PSF)."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..options import Option, Setting, reserve, reserved, settings_of

if TYPE_CHECKING:
    from ..optics import PSFOptions

__all__ = ["psf_from_arguments", "psf_options"]

_LOG = logging.getLogger(__name__)
reserve(["psf"])


def psf_options() -> list[Setting]:
    """Return --psf and the options of all kinds of PSF, without defaults, since the kinds have defaults of their own.

    A kind that has an option of the same name as another option of the commands is left out, with a warning.
    """
    from ..optics.choice import psf_settings
    from ..optics.registry import named_kinds

    without = _conflicting_kinds()
    for kind, flag in without.items():
        _LOG.warning("the PSF %s is left out of the command line: its option %s cannot be one here.", kind, flag)
    kinds = ", ".join(kind for kind in named_kinds() if kind not in without)
    text = f"Point spread function (PSF): {kinds}, or an image of the PSF (a TIFF file); gaussian by default."
    options = [dataclasses.replace(setting, default=None) for setting in psf_settings(without)]
    return [Setting("kind", str, None, Option(text, "KIND", "--psf")), *options]


def psf_from_arguments(arguments: Mapping[str, Any]) -> PSFOptions:
    """Return the PSF that the values of a command's parameters choose: its kind and its options, checked.

    Parameters
    ----------
    arguments : mapping
        Values of the command's parameters, by name; None where an option was not given.

    Returns
    -------
    PSFOptions
        A Gaussian where --psf was not given.

    Raises
    ------
    ConfigError
        When an option is missing or does not belong to the kind, or the command line cannot take the kind's options.
    FileFormatError
        When the kind is neither known nor a file.
    """
    from ..optics import PSFOptions
    from ..optics.choice import psf_settings

    without = _conflicting_kinds()
    if arguments["psf"] in without:
        raise ConfigError(
            f"--psf is {arguments['psf']}, which cannot be chosen here: its option {without[arguments['psf']]} cannot "
            "be one of the command line, which has one of that name for something else.",
            remedy="Use it from Python, or give the option another name where it is declared, option(name=…).",
        )
    settings = psf_settings(without)
    return PSFOptions(arguments["psf"] or "gaussian", {setting.key: arguments[setting.key] for setting in settings})


def _conflicting_kinds() -> dict[str, str]:
    """Return the kinds of PSF that have an option of the same name as an option of the commands, with that option."""
    from ..fitting import FitConfig, FitJob, ImageFile, Region
    from ..optics.registry import FILE, named_kinds, settings_of_kind, unusable

    parts = (FitConfig, FitJob, ImageFile, Region)
    taken = {name for part in parts for setting in settings_of(part) for name in setting.names} | reserved()
    found = {kind: unusable(settings_of_kind(kind), taken) for kind in (*named_kinds(), FILE)}
    return {kind: flag for kind, flag in found.items() if flag}
