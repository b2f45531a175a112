"""Register kinds of image files: the built-in readers, and those of users and other packages.

A package that is installed beside cytoform adds one with an entry point of the group ``cytoform.image_formats``, named
for a suffix, that is an :class:`~cytoform.image.formats.source.ImageFormat`::

    [project.entry-points."cytoform.image_formats"]
    ".toy" = "toy_reader:FORMAT"
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np

from ...errors import CytoformError, FileFormatError
from ...file_registry import FileRegistry, suffix_of
from . import ome_zarr, through_bioio, tiff
from .source import Array, Entry, ImageFormat, Images, Index, Source
from .tiff_checks import unreadable_error

__all__ = ["REGISTRY", "file_suffixes", "is_image_folder", "open_images", "plain_stem", "register", "unregister"]

T = TypeVar("T")

REGISTRY: FileRegistry[ImageFormat] = FileRegistry(
    ImageFormat, "cytoform.image_formats", (tiff.FORMAT, ome_zarr.FORMAT, through_bioio.FORMAT)
)
register, unregister, file_suffixes = REGISTRY.register, REGISTRY.unregister, REGISTRY.file_suffixes


def plain_stem(path: Path) -> str:
    """Return a file's name without its extension, also without a double one such as ``.ome.tif``."""
    path = path.resolve()
    found = suffix_of(path, REGISTRY.suffixes()) or path.suffix
    return path.name[: len(path.name) - len(found)] if found else path.name


def is_image_folder(path: Path) -> bool:
    """Tell whether a path is a folder that a registered format reads as an image, such as an OME-Zarr."""
    return path.is_dir() and REGISTRY.find(path) is not None


@contextmanager
def open_images(path: Path) -> Iterator[Images]:
    """Open an image file or folder of any registered format while the context lasts, and give its images.

    An unknown file is opened as TIFF and an unknown folder as OME-Zarr, whose errors name the true format. Errors of
    the reader are turned into those below, with the file's name.

    Raises
    ------
    FileFormatError
        When the file is missing, empty, damaged or of an unknown format, or its reader returns something else than
        Images, Sources and arrays of the requested shape.
    BackendError
        When a library that its format needs is not installed.
    """
    try:
        found = path.exists()
        folder = found and path.is_dir()
        empty = found and not folder and path.stat().st_size == 0
        form = None if empty or not found else REGISTRY.find(path)
    except OSError as error:
        if isinstance(error, CytoformError):
            raise
        raise unreadable_error(path, error) from error
    if not found:
        raise FileFormatError(f"there is no file {path}; expected an image.", remedy="Check the path.")
    if empty:
        raise FileFormatError(f"{path} is empty (0 bytes); expected an image.", remedy="Copy or export it again.")
    form = form or (ome_zarr.FORMAT if folder else tiff.FORMAT)  # their errors say which other format the file has
    with ExitStack() as stack:
        images = _call_reader(path, lambda: stack.enter_context(form.opened(path)))
        if not isinstance(images, Images) or not images.entries:
            what = "no image" if isinstance(images, Images) else f"an object of type {type(images).__name__}"
            raise _reader_error(path, form, what, "Images with an entry at least")
        yield Images(images.path, tuple(_guard_entry(path, form, entry) for entry in images.entries))


def _reader_error(path: Path, form: ImageFormat, given: str, expected: str) -> FileFormatError:
    """Return the error for a reader that returns `given` in place of `expected`."""
    return FileFormatError(
        f"{path}: the reader of {form.name} gives {given}; expected {expected}.",
        remedy="This is a mistake of that reader; tell its author.",
    )


def _call_reader(path: Path, call: Callable[[], T]) -> T:
    """Return what a call of a reader returns, and turn its exceptions into FileFormatError.

    Errors of cytoform and MemoryError pass unchanged.
    """
    try:
        return call()
    except (CytoformError, MemoryError):
        raise
    except OSError as error:
        raise unreadable_error(path, error) from error
    except Exception as error:  # of any reader's library
        raise FileFormatError(
            f"{path} cannot be read: {str(error).rstrip('.') or type(error).__name__}.",
            remedy="Copy it again, or export it again from its source.",
        ) from error


def _guard_entry(path: Path, form: ImageFormat, entry: Entry) -> Entry:
    """Return the entry with an ``open`` that checks the reader's source and turns exceptions into FileFormatError."""

    def open_() -> Source:
        return _guard_source(path, form, _call_reader(path, entry.open))

    return dataclasses.replace(entry, open=open_)


def _guard_source(path: Path, form: ImageFormat, source: Source) -> Source:
    """Return the source with a ``load`` that checks the reader's arrays and turns exceptions into FileFormatError.

    FileFormatError is raised unless the reader returned a Source with one letter for each axis.
    """
    if not isinstance(source, Source):
        raise _reader_error(path, form, f"an object of type {type(source).__name__}", "a Source")
    if len(source.axes) != len(source.shape):
        given = f"the axes {source.axes!r} for an image of shape {source.shape}"
        raise _reader_error(path, form, given, "a letter for each")

    def load(index: Index) -> Array:
        data = _call_reader(path, lambda: np.asarray(source.load(index)))
        asked = tuple(len(range(*i.indices(n))) for i, n in zip(index, source.shape) if isinstance(i, slice))
        if data.shape != asked:
            raise _reader_error(path, form, f"an array of shape {data.shape}", f"{asked}, which is asked for")
        return data

    coarse = None if source.coarse is None else _guard_source(path, form, source.coarse)
    return dataclasses.replace(source, load=load, coarse=coarse)
