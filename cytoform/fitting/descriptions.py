"""Convert what describes a fit job in plain values into its fields, and its fields into values that can be hashed."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from ..errors import ConfigError, CytoformError
from ..image.volume import Volume
from ..mesh.protocol import Mesh
from ..optics import PSF, PSFOptions, psf_from_description
from .digests import array_digest
from .json_values import python_number, short_repr
from .references import PATH, ImageFile, Region, path_text

__all__ = ["as_image", "as_psf", "as_region", "as_start", "checked_fields", "hashable_value", "wrong_type"]


def wrong_type(name: str, value: Any, expected: str, remedy: str | None = None) -> ConfigError:
    """Return, not raise, a ConfigError that says what value a setting `name` has and what was `expected`."""
    return ConfigError(f"{name} is {short_repr(value)}; expected {expected}.", remedy=remedy)


def as_image(given: Any) -> ImageFile | Volume:
    """Return the image of a job: a path becomes an ImageFile; raise ConfigError if `given` is no image."""
    if isinstance(given, PATH):
        return ImageFile(path_text(given, "image"))
    if not isinstance(given, (ImageFile, Volume)):
        raise wrong_type("image", given, "a path, an ImageFile or a Volume", "Volume(array, spacing) makes one.")
    return given


def as_region(given: Any) -> Region | None:
    """Return the region of a job: None or a Region unchanged; a path, array or Volume as the source of a Region."""
    return given if given is None or isinstance(given, Region) else Region(given)


def as_start(given: Any) -> str | Mesh:
    """Return the start of a job: "auto" for None, a word or path as text, a mesh unchanged; else raise ConfigError."""
    if given is None:
        return "auto"
    if isinstance(given, PATH):
        return path_text(given, "start")
    if not hasattr(given, "faces"):
        raise wrong_type("start", given, "auto, sphere, ellipsoid, a mesh file or a mesh")
    return cast("Mesh", given)


def as_psf(given: Any) -> PSFOptions | PSF | None:
    """Convert what was given as the PSF of a job; no file is read here.

    Parameters
    ----------
    given : object
        None, a PSF or a PSFOptions is returned unchanged. The path of an image of the PSF becomes a PSFOptions of that
        path. A mapping with "options" gives the fields of a PSFOptions; any other is what :meth:`.PSF.describe`
        returned, and becomes that PSF.

    Raises
    ------
    ConfigError
        If it is none of these or the description is incomplete.
    """
    if given is None or isinstance(given, PSFOptions) or hasattr(type(given), "describe"):
        return cast("PSFOptions | PSF | None", given)
    if isinstance(given, PATH):
        return PSFOptions(os.fsdecode(given))
    if not isinstance(given, Mapping):
        raise wrong_type("psf", given, "a PSF, a PSFOptions, a path, or what describes one")
    if "options" in given:
        return PSFOptions(**checked_fields(PSFOptions, "the PSF", given))
    try:
        return psf_from_description(given)
    except CytoformError:
        raise
    except Exception as error:  # whatever its class does with a broken description
        raise wrong_type(
            "psf", given, f"the whole of what describe() gives, and there is {type(error).__name__}: {error}",
            "Options such as psf_sigma belong to a kind as {'kind': …, 'options': {…}}.",
        ) from error  # fmt: skip


def checked_fields(cls: Any, what: str, values: Any, also: str = "") -> dict[str, Any]:
    """Return the values of a dataclass's fields after checking their names.

    Parameters
    ----------
    cls : type
        The dataclass. Fields without a default have to be there.
    what : str
        What an error calls the object, such as "the job".
    values : mapping of str to object
        Values by field; another type raises ConfigError.
    also : str
        A further name that is allowed and left out of the result; empty for none.

    Raises
    ------
    ConfigError
        If a name is unknown or one is missing.
    """
    fields = dataclasses.fields(cls)
    names = [field.name for field in fields]
    expected = f"expected {', '.join(names)}."
    if not isinstance(values, Mapping):
        raise ConfigError(f"{what} is {short_repr(values)}; expected values by name: {', '.join(names)}.")
    if unknown := sorted(str(name) for name in values if name not in (*names, also)):
        raise ConfigError(f"{what} names {', '.join(unknown)}; {expected}", remedy="Omit what is not known.")
    empty = dataclasses.MISSING
    needed = [field.name for field in fields if field.default is empty and field.default_factory is empty]
    if missing := [name for name in needed if name not in values]:
        raise ConfigError(f"{what} has no {', '.join(missing)}; {expected}", remedy="Add what is missing.")
    return {name: values[name] for name in names if name in values}


def hashable_value(value: Any) -> Any:
    """Convert a value that JSON cannot hold into lists, numbers and texts that identify it.

    Arrays become shape, dtype and SHA-256; volumes their voxels, spacing and origin; meshes their class and arrays; a
    functools.partial its function and arguments; paths their text; anything else its qualified name.
    """
    value = python_number(value)
    if isinstance(value, np.ndarray):
        return [list(value.shape), value.dtype.str, array_digest(value)]
    if isinstance(value, Volume):
        return [hashable_value(np.asarray(value.data)), value.spacing, value.origin]
    if hasattr(value, "arrays"):
        return [
            type(value).__qualname__,
            {name: hashable_value(np.asarray(array)) for name, array in value.arrays().items()},
        ]
    if isinstance(value, functools.partial):
        return [value.func, value.args, value.keywords]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, (bool, int, float, str)):
        return value
    return getattr(value, "__qualname__", type(value).__qualname__)
