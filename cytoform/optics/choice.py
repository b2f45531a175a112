"""Choice of a point spread function by its kind, or the path of an image of it, and options."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .._typing import Triple
from ..errors import ConfigError, FileFormatError
from ..options import NEEDED, Setting
from .psf import PSF
from .registry import FILE, named_kinds, psf_from_options, settings_of_kind

__all__ = ["PSFOptions", "psf_settings"]


def psf_settings(without: Collection[str] = ()) -> tuple[Setting, ...]:
    """Return the options of all kinds of PSF except the kinds in `without`, each option once."""
    kinds = [kind for kind in (*named_kinds(), FILE) if kind not in without]
    return tuple({setting.flag: setting for kind in kinds for setting in settings_of_kind(kind)}.values())


def _without_numpy_types(value: Any) -> Any:
    """Convert NumPy scalars to Python numbers, and arrays and lists to tuples; return other values unchanged."""
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    return tuple(value) if isinstance(value, list) else value


@dataclasses.dataclass(frozen=True)
class PSFOptions:
    """Choice of a PSF by kind and options, as on a command line; checked when made, computed or read by :meth:`psf`.

    Parameters
    ----------
    kind : str or path
        "gaussian", "gibson-lanni", "pupil" or another registered kind, or the path of an image of the PSF.
    options : mapping
        Options of the kind, named as in ``cytoform fit --help`` without the leading dashes and with underscores in
        place of other dashes: ``{"na": 1.1, "wavelength": 0.52, "immersion_index": 1.33}``. None and [] mean that an
        option is not used.

    Raises
    ------
    ConfigError
        When an option is not known, does not belong to the kind, or is missing, and for a kind that is no text.
    FileFormatError
        When the kind is neither known nor a file.
    """

    kind: str = "gaussian"
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.kind, (str, bytes, os.PathLike)) or not os.fspath(self.kind):
            raise ConfigError(f"the PSF's kind is {self.kind!r}; expected {', '.join(named_kinds())} or a path.")
        object.__setattr__(self, "kind", str(os.fsdecode(self.kind)))
        if not isinstance(self.options, Mapping):
            what = f"the PSF's options are {self.options!r}; expected a mapping of names to values."
            raise ConfigError(what, remedy="Such as {'psf_sigma': (0.5, 0.2, 0.2)}.")
        given = {name: _without_numpy_types(value) for name, value in self.options.items()}
        given = {name: value for name, value in given.items() if value is not None and value != ()}
        object.__setattr__(self, "options", given)
        if self.is_file and not Path(self.kind).exists():
            more = "" if Path(self.kind).suffix else " Import the module that registers it, if it is one of your own."
            raise FileFormatError(
                f"--psf is {self.kind!r}; expected {', '.join(named_kinds())} or an image file, and there is "
                "no file of that name.",
                remedy=f"Check the name or the path.{more}",
            )
        self._check_options()

    def _check_options(self) -> None:
        """Raise ConfigError if an option does not belong to the kind, or an option that the kind needs is missing."""
        allowed = settings_of_kind(FILE if self.is_file else self.kind)
        for key in self.options:
            if key not in {setting.key for setting in allowed}:
                raise self._unexpected_option(key)
        if missing := [s.flag for s in allowed if s.default is NEEDED and s.key not in self.options]:
            raise ConfigError(
                f"--psf {self.kind} came without {', '.join(missing)}; expected these numbers of the microscope.",
                remedy="They are on the objective and in the image's metadata; --psf gaussian needs none.",
            )

    def _unexpected_option(self, key: str) -> ConfigError:
        """Return the error for the option `key`, which belongs to other kinds (the error lists them) or to none."""
        flags = {setting.key: setting.flag for setting in psf_settings()}
        if key not in flags:
            return ConfigError(f"a PSF has no option {key!r}; expected one of {', '.join(flags)}.")
        accepting = [f"--psf {k}" for k in named_kinds() if key in {s.key for s in settings_of_kind(k)}]
        accepting += ["--psf FILE"] if key in {s.key for s in settings_of_kind(FILE)} else []
        name = "a PSF from a file" if self.is_file else f"the {self.kind} PSF"
        return ConfigError(
            f"{flags[key]} came with {name}; expected it with {' or '.join(accepting)}.", remedy="Leave it away."
        )

    @property
    def is_file(self) -> bool:
        """Whether the PSF is read from an image: `kind` is a path, not a registered kind."""
        return self.kind not in named_kinds()

    @property
    def known(self) -> bool:
        """Whether the options determine a PSF; False for a Gaussian without widths, which a fit has to guess."""
        return self.is_file or self.psf() is not None

    def psf(self, spacing: Triple | None = None) -> PSF | None:
        """Compute the PSF, or read it from its file.

        Parameters
        ----------
        spacing : (3,) float, optional
            Voxel size (z, y, x) in µm of the image that the PSF is for. Computed PSFs are blurred by these voxels
            unless a blur is given; an image of a PSF without a voxel size is taken to have the same.

        Returns
        -------
        PSF or None
            None where the options leave the PSF to be guessed.

        Raises
        ------
        ConfigError, FileFormatError, VolumeError
            For values that the kind refuses, or an image that cannot be read.
        """
        kind = FILE if self.is_file else self.kind
        fields = {setting.key: setting.field for setting in settings_of_kind(kind)}
        given = {fields[key]: value for key, value in self.options.items()}
        return psf_from_options(kind, {"path": self.kind, **given} if self.is_file else given, spacing)

    def as_dict(self) -> dict[str, Any]:
        """Return kind and options as plain values, with tuples as lists.

        Returns
        -------
        dict
            With the keys "kind" and "options".
        """
        options = {name: list(value) if isinstance(value, tuple) else value for name, value in self.options.items()}
        return {"kind": self.kind, "options": options}
