"""Exceptions that cytoform raises on purpose, each with a remedy for the user.

Every error that cytoform raises on purpose derives from :class:`CytoformError`. Its text names the
value received, the value expected and a remedy; the command line prints that text and exits with code 2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

__all__ = [
    "BackendError",
    "ConfigError",
    "CytoformError",
    "FileFormatError",
    "FitError",
    "GridError",
    "Interrupted",
    "MeshError",
    "OutputError",
    "SequenceError",
    "VolumeError",
    "name_missing_library",
]


class CytoformError(Exception):
    """Base of all errors raised on purpose.

    Parameters
    ----------
    message : str
        What came and what was expected.
    remedy : str, optional
        What the user can do about it.
    """

    exit_code = 2

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return self.message if self.remedy is None else f"{self.message} {self.remedy}"


class MeshError(CytoformError, ValueError):
    """A mesh that cannot be used: no faces, indices out of range, not finite, not closed."""


class VolumeError(CytoformError, ValueError):
    """An image that cannot be used: wrong number of axes, not finite, constant, no voxel size."""


class GridError(CytoformError, ValueError):
    """A sampling grid that makes no sense: shape, spacing or origin."""


class SequenceError(CytoformError, ValueError):
    """A sequence of shapes that cannot be used: no object, too few frames, not finite, spacings that do not match."""


class FileFormatError(CytoformError, ValueError):
    """A file that cannot be read as what it claims to be."""


class OutputError(CytoformError, OSError):
    """A place that cannot be written."""

    def __str__(self) -> str:
        return CytoformError.__str__(self)


class BackendError(CytoformError, RuntimeError):
    """A device or a library that was asked for and is not there."""


class ConfigError(CytoformError, ValueError):
    """An option outside its range, or options that contradict each other."""


class FitError(CytoformError, RuntimeError):
    """A fit that cannot start or go on."""


class Interrupted(CytoformError):
    """Work stopped by the user (Ctrl-C) after its state was saved."""

    exit_code = 130


def name_missing_library(load: Callable[[str], Any], *, libraries: Sequence[str], remedy: str) -> Callable[[str], Any]:
    """Wrap a package's ``__getattr__`` so that a missing optional library is reported with its remedy.

    Parameters
    ----------
    load : callable
        Takes a public name and returns its value, importing what it needs.
    libraries : sequence of str
        Optional libraries, by the names they are imported by.
    remedy : str
        What to tell the user when one of them is not installed.

    Returns
    -------
    callable
        Does what `load` does, but raises BackendError where one of `libraries` cannot be imported.
    """

    def load_or_explain(name: str) -> Any:
        try:
            return load(name)
        except ModuleNotFoundError as error:
            if error.name not in libraries:
                raise
            raise BackendError(f"{name} needs {error.name}, which is not installed.", remedy=remedy) from error

    return load_or_explain
