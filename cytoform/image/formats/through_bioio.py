"""Read files of microscopes (CZI, LIF, ND2 and others) with the library bioio and its plugins, one for each format.

``pip install "cytoform[formats]"`` brings bioio with those plugins whose licence and dependencies allow it. Others are
for the user to install: that for CZI is under the GPL, that for Bio-Formats runs Java. Any plugin that is installed
is used. Ref: github.com/bioio-devs/bioio.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import BackendError, FileFormatError
from ...file_registry import suffix_of
from .foreign import fiji_remedy, identify_foreign_file
from .source import (
    Array,
    Entry,
    ImageFormat,
    Images,
    Index,
    Partial,
    Source,
    to_micrometres,
    to_seconds,
    truncation_error,
)

__all__ = ["FORMAT"]

_LOG = logging.getLogger(__name__)

# Suffix, and the plugin of bioio that reads files with it.
_PLUGINS: dict[str, str] = {
    ".czi": "bioio-czi",
    ".lif": "bioio-lif",
    ".nd2": "bioio-nd2",
    ".dv": "bioio-dv",
    ".r3d": "bioio-dv",
    ".sldy": "bioio-sldy",
    ".vsi": "bioio-vsi",
    **dict.fromkeys((".ics", ".ims", ".lei", ".oib", ".oif", ".oir", ".sld", ".zvi"), "bioio-bioformats"),
}
_INCLUDED = ("bioio-dv", "bioio-lif", "bioio-nd2")  # the extra "formats" installs these
_NOTES = {"bioio-czi": " (its licence is the GPL)", "bioio-bioformats": " (it runs Java)"}
_AXES = "TCZYXS"


@contextmanager
def _open_images(path: Path) -> Iterator[Images]:
    """Open a microscope's file with bioio while the context lasts, and give its images.

    Raises
    ------
    FileFormatError
        When bioio or the plugin for this suffix is not installed, or the file cannot be read or holds no image.
    """
    plugins = {point.name for point in metadata.entry_points(group="bioio.readers")}
    plugin = _PLUGINS.get(suffix_of(path, _PLUGINS), "")
    try:
        from bioio import BioImage
        from bioio_base.exceptions import UnsupportedFileFormatError
    except ImportError as error:
        raise _not_installed_error(path, plugin) from error
    try:
        with _mute_in_this_thread(BioImage.__module__):
            image = BioImage(path)
            entries = tuple(_make_entry(path, image, scene) for scene in range(len(image.scenes)))
    except (OSError, MemoryError):
        raise
    except UnsupportedFileFormatError as error:
        if plugin not in plugins:
            raise _not_installed_error(path, plugin) from error
        raise _unreadable_error(path, _plugin_error(path, plugin, error)) from error
    except Exception as error:  # plugins raise exceptions of any type
        raise _unreadable_error(path, error) from error
    if not entries:
        raise truncation_error(path, "it holds no image")
    yield Images(path, entries)


def _has_known_suffix(path: Path) -> bool:
    """Tell whether a path is a file with a suffix that one of bioio's plugins reads."""
    return path.is_file() and bool(suffix_of(path, _PLUGINS))


FORMAT = ImageFormat(
    "a microscope's file that bioio reads (CZI, LIF, ND2 and others)", tuple(_PLUGINS), _open_images, _has_known_suffix
)


@contextmanager
def _mute_in_this_thread(name: str) -> Iterator[None]:
    """Suppress messages of the logger `name` that come from this thread, while the context lasts.

    The error that follows says the same.
    """
    logger, this_thread = logging.getLogger(name), threading.get_ident()

    def from_another_thread(record: logging.LogRecord) -> bool:
        return record.thread != this_thread

    logger.addFilter(from_another_thread)
    try:
        yield
    finally:
        logger.removeFilter(from_another_thread)


def _plugin_error(path: Path, plugin: str, error: Exception) -> Exception:
    """Return the exception that a plugin itself raises for a file, or `error` where it raises none.

    The message of bioio would only advise the user to install further plugins.
    """
    [point, *_] = metadata.entry_points(group="bioio.readers", name=plugin)
    try:
        point.load().ReaderMetadata.get_reader()(path)
    except Exception as plugin_error:  # plugins raise exceptions of any type
        return plugin_error
    return error


def _describe_kind(path: Path) -> str:
    """Return what a file is, such as "a Zeiss CZI file": by its first bytes, else by its suffix."""
    known = identify_foreign_file(path)
    return f"a {path.suffix.lower()} file by its extension" if known is None else known[0]


def _not_installed_error(path: Path, plugin: str) -> FileFormatError:
    """Return the error for a file whose plugin, or bioio itself, is not installed; it states how to install them."""
    more = "" if plugin in _INCLUDED else f" {plugin}"
    return FileFormatError(
        f"{path} is {_describe_kind(path)}; it is read through bioio with its plugin {plugin}, which are not both "
        "installed.",
        remedy=f'Install them: pip install "cytoform[formats]"{more}{_NOTES.get(plugin, "")}. Or without them: '
        f"{fiji_remedy(path)}",
    )


def _unreadable_error(path: Path, error: Exception) -> FileFormatError:
    """Return the error for a file that bioio cannot read, with the reason that `error` gives."""
    reason = " ".join(str(getattr(error, "msg_extra", None) or error).split()) or type(error).__name__
    return FileFormatError(
        f"{path} is {_describe_kind(path)}, and bioio cannot read it: {reason.rstrip('.')}.",
        remedy=f"Check that it is complete. {fiji_remedy(path)}",
    )


# ---------------------------------------------------------------------------------------------------------------------
# One image of a file, which bioio calls a scene


def _make_entry(path: Path, image: Any, scene: int) -> Entry:
    """Describe image number `scene` of a file that is open in bioio (a BioImage) by name, axes, shape and dtype."""
    image.set_scene(scene)
    name = str(image.current_scene) if len(image.scenes) > 1 else ""
    shape = tuple(int(n) for n in image.dims.shape)
    return Entry(name, image.dims.order, shape, np.dtype(image.dtype), lambda: _make_source(path, image, scene))


def _make_source(path: Path, image: Any, scene: int) -> Source:
    """Return image number `scene` of a file that is open in bioio (a BioImage) as a source; voxels are loaded later."""
    image.set_scene(scene)
    axes, shape = image.dims.order, tuple(int(n) for n in image.dims.shape)

    def load(index: Index) -> Array:
        return _load_part(path, image, scene, index)

    chunks = tuple(n if axis in "ZYXS" else 1 for axis, n in zip(axes, shape))
    return Source(
        path,
        _format_name(path),
        axes,
        shape,
        np.dtype(image.dtype),
        _spacing(image),
        (0.0, 0.0, 0.0),
        load,
        chunks,
        frame_interval=_frame_interval(image),
        remarks=_remarks(image),
        channel_names=tuple(str(name) for name in image.channel_names or ()),
    )


def _format_name(path: Path) -> str:
    """Return the name of a file's format: its suffix in capitals."""
    return path.suffix.lstrip(".").upper()


def _load_part(path: Path, image: Any, scene: int, index: Index) -> Array:
    """Load the part of image number `scene` that `index` selects, a number or a slice for each axis.

    `image` is the file as a BioImage. Only the blocks of dask that the part meets are read; one block is one channel at
    one time point. BackendError is raised where a library is missing, FileFormatError where the data cannot be decoded.
    """
    try:
        image.set_scene(scene)
        return np.asarray(image.dask_data[index].compute(scheduler="synchronous"))
    except (OSError, MemoryError):
        raise
    except ImportError as error:
        raise BackendError(f"{path} needs {error.name} to be read: {error}.", remedy="Install that library.") from error
    except Exception as error:  # plugins raise exceptions of any type
        raise truncation_error(path, str(error) or type(error).__name__) from error


def _units(image: Any) -> dict[str, str]:
    """Return the unit of each of the axes T, Z, Y and X of a BioImage; seconds and µm where the plugin gives none."""
    try:
        properties = image.dimension_properties
        found = {axis: getattr(properties, axis).unit for axis in "TZYX"}
    except Exception as error:  # of metadata that a plugin did not expect
        _LOG.debug("units are not known: %s", error)
        found = {}
    usual = dict.fromkeys("ZYX", "µm") | {"T": "s"}
    return usual | {axis: str(unit) for axis, unit in found.items() if unit is not None}


def _spacing(image: Any) -> Partial:
    """Return the voxel size of a BioImage's current scene in µm, (z, y, x), with None for each axis not given."""
    sizes, units = image.physical_pixel_sizes, _units(image)
    z, y, x = (to_micrometres(getattr(sizes, axis), units[axis]) for axis in "ZYX")
    return z, y, x


def _frame_interval(image: Any) -> float | None:
    """Return the time between the time points of a BioImage's current scene in s; None where it is not given."""
    interval = image.time_interval
    if isinstance(interval, timedelta):
        return to_seconds(interval.total_seconds(), "s")
    return to_seconds(interval, _units(image)["T"])


def _remarks(image: Any) -> tuple[str, ...]:
    """Return remarks on a BioImage's current scene: axes of which only the first entry is read, joined mosaic tiles."""
    dims = image.reader.dims
    dropped = [f"{a} ({n} entries)" for a, n in zip(dims.order, dims.shape) if a not in f"{_AXES}M" and n > 1]
    remarks = [f"of its axes {' and '.join(dropped)} only the first entry is read."] if dropped else []
    if "M" in dims.order and "M" not in image.dims.order:
        remarks.append("its mosaic tiles are put together to one image by bioio.")
    return tuple(remarks)
