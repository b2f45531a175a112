"""Check whether a TIFF file is complete and can be decoded, and turn the errors of tifffile into those of cytoform."""

from __future__ import annotations

import errno
import logging
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tifffile

from ...errors import BackendError, CytoformError, FileFormatError, VolumeError
from .foreign import foreign_file_error
from .source import truncation_error

__all__ = [
    "TifffileLog",
    "check_codec",
    "check_pages",
    "collect_log",
    "count_pages",
    "has_tiff_signature",
    "tiff_errors",
    "undecodable_error",
    "unreadable_error",
]

_PRIVATE_TAGS = 32768  # from here on tags belong to single programs; pixels do not depend on them
_NEEDED_TAGS = {254, 256, 257, 258, 259, 262, 266, 270, 273, 277, 278, 279, 284, 317, 322, 323, 324, 325, 330, 338, 339}
_REWRITE = "Open it in Fiji and save it as an uncompressed TIFF."


class TifffileLog(logging.Handler):
    """A logging handler that collects the warnings of tifffile, sorted into damage and oddities.

    Attributes
    ----------
    propagated : bool
        Whether tifffile's messages reached other handlers before this one was added.
    damage : list of str
        Messages on tags that pixels depend on and that lie beyond the end of the file.
    oddities : list of str
        All other messages, each once.
    """

    def __init__(self) -> None:
        """Make an empty log for warnings and errors."""
        super().__init__(logging.WARNING)
        self.propagated = True  # whether tifffile's messages reached other handlers before
        self.damage: list[str] = []
        self.oddities: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Sort a message into damage or oddities.

        A tag that pixels depend on and that lies beyond the file's end is damage; tags of single programs, from number
        32768 on, are ignored; the rest are oddities.
        """
        message = record.getMessage()
        tag = re.search(r"TiffTag (\d+)", message)
        code = int(tag.group(1)) if tag else 0
        if code in _NEEDED_TAGS and "invalid value offset" in message:
            self.damage.append(f"tag {code} lies beyond the file's end")
        elif code < _PRIVATE_TAGS:
            plain = f"tag {code} cannot be read" if tag else re.sub(r"<tifffile\.\w+ (?:'[^']*'|[^>]*)> ?", "", message)
            if plain.strip() not in self.oddities:
                self.oddities.append(plain.strip())


@contextmanager
def collect_log() -> Iterator[TifffileLog]:
    """Collect tifffile's warnings while the context lasts, and keep them from other handlers."""
    logger, log = logging.getLogger("tifffile"), TifffileLog()
    log.propagated = next((h.propagated for h in logger.handlers if isinstance(h, TifffileLog)), logger.propagate)
    logger.propagate = False
    logger.addHandler(log)
    try:
        yield log
    finally:
        logger.removeHandler(log)
        # Files may be closed in any order: the last one lets messages pass again.
        logger.propagate = log.propagated and not any(isinstance(h, TifffileLog) for h in logger.handlers)


def has_tiff_signature(path: Path) -> bool:
    """Tell whether a path is a file whose first two bytes name the byte order of a TIFF (II, MM or EP)."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(2) in (b"II", b"MM", b"EP")


@contextmanager
def tiff_errors(path: Path) -> Iterator[None]:
    """Turn exceptions of tifffile into errors that name the file and the cause, while the context lasts."""
    try:
        yield
    except CytoformError:
        raise
    except OSError as error:
        raise unreadable_error(path, error) from error
    except tifffile.TiffFileError as error:
        if "not a TIFF" in str(error) or "invalid TIFF" in str(error) or "NIFF" in str(error):
            raise foreign_file_error(path, str(error)) from error
        raise truncation_error(path, str(error)) from error
    except MemoryError as error:
        raise VolumeError(f"{path} does not fit into memory.", remedy="Crop the image.") from error
    except Exception as error:  # tifffile raises exceptions of any type for a broken file
        raise truncation_error(path, str(error) or type(error).__name__) from error


def unreadable_error(path: Path, error: OSError) -> FileFormatError:
    """Return the error for a file that the operating system refuses to read, with its reason."""
    if isinstance(error, PermissionError) or error.errno in (errno.EACCES, errno.EPERM):
        return FileFormatError(
            f"{path} cannot be read: permission denied.",
            remedy="Change its permissions, or close the program that holds it open.",
        )
    reason = error.strerror or str(error) or type(error).__name__
    return FileFormatError(
        f"{path} cannot be read: {reason}.", remedy="Close programs that hold it open, or copy it to a local disk."
    )


def count_pages(path: Path, file: tifffile.TiffFile) -> int:
    """Return the number of pages (image file directories) of a TIFF file, following the link from each to the next.

    Parameters
    ----------
    path : Path
        The file, for messages.
    file : tifffile.TiffFile
        The open file.

    Returns
    -------
    int
        Number of pages. For LSM and NDPI files it is the number that tifffile gives.

    Raises
    ------
    FileFormatError
        When a link leads beyond the end of the file: the file is cut short.
    """
    form, handle, size = file.tiff, file.filehandle, file.filehandle.size
    offset, seen = file.pages.first.offset, set()
    if file.is_lsm or form.is_ndpi:  # 32-bit offsets that wrap at 4 GB: tifffile corrects them
        return len(file.pages)
    while offset and offset not in seen:
        seen.add(offset)
        handle.seek(offset)
        head = handle.read(form.tagnosize)
        if offset >= size or len(head) < form.tagnosize:
            raise truncation_error(path, f"its page {len(seen) - 1} begins at byte {offset}, the file has {size}")
        tags = struct.unpack(form.tagnoformat, head)[0]
        handle.seek(offset + form.tagnosize + tags * form.tagsize)
        tail = handle.read(form.offsetsize)
        if len(tail) < form.offsetsize:
            raise truncation_error(path, f"its page {len(seen) - 1} runs beyond the file's end at byte {size}")
        offset = struct.unpack(form.offsetformat, tail)[0]
    return len(seen)


def check_pages(path: Path, pages: list[Any]) -> str:
    """Check that the data of every page lie within the page's file.

    Parameters
    ----------
    path : Path
        The file, for messages.
    pages : list of tifffile.TiffPage or TiffFrame
        The pages of an image.

    Returns
    -------
    str
        A remark on strips or tiles that are not stored and read as zero, else empty.

    Raises
    ------
    FileFormatError
        When data are missing.
    """
    empty = total = 0
    for number, page in enumerate(pages):
        offsets, counts = page.dataoffsets, page.databytecounts
        if not offsets or len(offsets) != len(counts):
            raise truncation_error(path, f"page {number} does not say where its data are")
        handle = page.parent.filehandle
        if len(counts) == 1 and page.keyframe.compression == 1:
            counts = (min(counts[0], page.nbytes),)  # some programs write too large a number
        end = max((o + n for o, n in zip(offsets, counts) if n), default=0)
        if end > handle.size:
            where = "" if handle.name == path.name else f" of {handle.name}"
            raise truncation_error(
                path, f"the data of page {number}{where} run to byte {end}, the file has {handle.size}"
            )
        wanted = _count_segments(page.keyframe)
        if len(offsets) < wanted:
            raise truncation_error(path, f"page {number} has {len(offsets)} of its {wanted} strips or tiles")
        empty += sum(n == 0 for n in counts)
        total += len(counts)
    return f"{empty} of its {total} strips or tiles are not stored; they are read as 0." if empty else ""


def _count_segments(page: Any) -> int:
    """Return the number of strips or tiles of which a page is made."""
    count = 1
    for n in page.chunked:
        count *= n
    return count


def check_codec(path: Path, page: Any) -> None:
    """Check that a page's compression and predictor can be decoded.

    Parameters
    ----------
    path : Path
        The file, for messages.
    page : tifffile.TiffPage
        A page of the image.

    Raises
    ------
    FileFormatError
        Naming the compression, when there is no decoder for it.
    BackendError
        When the library of decoders is missing.
    """
    for kind, code, table in (
        ("compression", int(page.compression), tifffile.TIFF.DECOMPRESSORS),
        ("predictor", int(page.predictor), tifffile.TIFF.UNPREDICTORS),
    ):
        if code == 1 or (kind == "compression" and 65000 <= code <= 65002):
            continue
        try:
            table[code]
        except (KeyError, ImportError) as error:
            if kind == "predictor" and int(page.compression) in tifffile.TIFF.IMAGE_COMPRESSIONS:
                continue
            name = _codec_name(page, kind)
            if not _has_imagecodecs():
                raise BackendError(
                    f"{path} uses the {kind} {name}, whose decoder is in the library imagecodecs; that is missing.",
                    remedy="pip install imagecodecs, or save the image as an uncompressed TIFF in Fiji.",
                ) from error
            raise FileFormatError(
                f"{path} uses the {kind} {name}; there is no decoder for it here.", remedy=_REWRITE
            ) from error


def _codec_name(page: Any, kind: str) -> str:
    """Return name and number of a page's codec; `kind` is "compression" or "predictor"."""
    value = getattr(page, kind)
    return f"{getattr(value, 'name', 'number')} ({int(value)})"


def _has_imagecodecs() -> bool:
    """Tell whether the library imagecodecs can be imported."""
    try:
        import imagecodecs  # noqa: F401
    except ImportError:
        return False
    return True


def undecodable_error(path: Path, page: Any, error: Exception) -> FileFormatError:
    """Return the error for data that are all stored but cannot be decoded: damaged, or of an unknown type."""
    reason = str(error) or type(error).__name__
    if int(page.compression) == 1:
        if page.dtype is None or "not supported" in reason:
            return FileFormatError(f"{path} has values of a kind that is not read: {reason}.", remedy=_REWRITE)
        return truncation_error(path, reason)
    return FileFormatError(
        f"the data of {path}, compressed as {_codec_name(page, 'compression')}, cannot be decoded: {reason}.",
        remedy=f"{_REWRITE} If Fiji cannot read it either, it is damaged: copy or export it again.",
    )
