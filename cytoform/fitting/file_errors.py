"""Name a file that is damaged, whatever its reading raised."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ..errors import CytoformError, FileFormatError

__all__ = ["as_file_format_error"]


@contextlib.contextmanager
def as_file_format_error(what: str, remedy: str) -> Iterator[None]:
    """Turn the errors that reading a damaged file raises into one that says `what` cannot be read, with a remedy.

    Raises
    ------
    FileFormatError
        In place of the errors of files, values and types; errors raised on purpose stay as they are.
    """
    try:
        yield
    except CytoformError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FileFormatError(f"{what} ({type(error).__name__}: {error}).", remedy=remedy) from error
