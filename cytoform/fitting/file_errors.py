"""Turn the errors that reading a damaged file raises into one FileFormatError."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ..errors import CytoformError, FileFormatError

__all__ = ["as_file_format_error"]


@contextlib.contextmanager
def as_file_format_error(what: str, remedy: str) -> Iterator[None]:
    """Return a context in which OSError, ValueError, KeyError, TypeError and AttributeError become a FileFormatError.

    Errors of this package pass unchanged.

    Parameters
    ----------
    what : str
        First words of the message, such as "FILE cannot be read as a checkpoint"; the original error follows in
        brackets.
    remedy : str
        What the user may do.

    Raises
    ------
    FileFormatError
        In place of the original error.
    """
    try:
        yield
    except CytoformError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FileFormatError(f"{what} ({type(error).__name__}: {error}).", remedy=remedy) from error
