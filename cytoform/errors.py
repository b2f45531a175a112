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
    """Base class of all errors raised on purpose.

    Parameters
    ----------
    message : str
        The value received and the value expected.
    remedy : str, optional
        Advice on what the user can do about it; None for none.
    """

    exit_code = 2

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        """Store message and remedy; the parameters are those of the class."""
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        """Return the message, followed by the remedy where there is one."""
        return self.message if self.remedy is None else f"{self.message} {self.remedy}"


class MeshError(CytoformError, ValueError):
    """Error for a mesh that cannot be used: no faces, indices out of range, not finite, not closed.

    Parameters
    ----------
    message : str
        The value received and the value expected.
    remedy : str, optional
        Advice on what the user can do about it; None for none.
    """


class VolumeError(CytoformError, ValueError):
    """Error for an image that cannot be used: wrong number of axes, not finite, constant, no voxel size.

    Parameters
    ----------
    message : str
        The value received and the value expected.
    remedy : str, optional
        Advice on what the user can do about it; None for none.
    """


class GridError(CytoformError, ValueError):
    """Error for an invalid sampling grid: its shape, spacing or origin.

    Parameters
    ----------
    message : str
        The value received and the value expected.
    remedy : str, optional
        Advice on what the user can do about it; None for none.
    """


class SequenceError(CytoformError, ValueError):
    """Error for a sequence of shapes that cannot be used: no object, too few frames, not finite, unequal spacings.

    Parameters
    ----------
    message : str
        The value received and the value expected.
    remedy : str, optional
        Advice on what the user can do about it; None for none.
    """


class FileFormatError(CytoformError, ValueError):
    """Error for a file that cannot be read in the format that it has, or seems to have.

    Parameters
    ----------
    message : str
        The value received and the value expected.
    remedy : str, optional
        Advice on what the user can do about it; None for none.
    """


class OutputError(CytoformError, OSError):
    """Error for a file or folder that cannot be written.

    Parameters
    ----------
    message : str
        The value received and the value expected.
    remedy : str, optional
        Advice on what the user can do about it; None for none.
    """

    def __str__(self) -> str:
        """Return the message, followed by the remedy where there is one; OSError would show its error number."""
        return CytoformError.__str__(self)


class BackendError(CytoformError, RuntimeError):
    """Error for a device or a library that was requested and is missing.

    Parameters
    ----------
    message : str
        The value received and the value expected.
    remedy : str, optional
        Advice on what the user can do about it; None for none.
    """


class ConfigError(CytoformError, ValueError):
    """Error for an option outside its range, or options that contradict each other.

    Parameters
    ----------
    message : str
        The value received and the value expected.
    remedy : str, optional
        Advice on what the user can do about it; None for none.
    """


class FitError(CytoformError, RuntimeError):
    """Error for a fit that cannot start or go on.

    Parameters
    ----------
    message : str
        The value received and the value expected.
    remedy : str, optional
        Advice on what the user can do about it; None for none.
    """


class Interrupted(CytoformError):
    """Error for work that the user stopped (Ctrl-C), raised after the state was saved.

    Parameters
    ----------
    message : str
        The value received and the value expected.
    remedy : str, optional
        Advice on what the user can do about it; None for none.
    """

    exit_code = 130


def name_missing_library(load: Callable[[str], Any], *, libraries: Sequence[str], remedy: str) -> Callable[[str], Any]:
    """Wrap a package's ``__getattr__`` so that a missing optional library is reported with its remedy.

    Parameters
    ----------
    load : callable
        Takes a public name and returns its value, importing what it needs.
    libraries : sequence of str
        Optional libraries, by the names under which they are imported.
    remedy : str
        Advice for the user when one of them is not installed.

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
