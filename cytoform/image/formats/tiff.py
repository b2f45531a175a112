"""TIFF, ImageJ TIFF and OME-TIFF files as sources."""

from __future__ import annotations

import logging
import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from ...errors import CytoformError, FileFormatError, VolumeError
from .source import UNKNOWN, Array, Partial, Source, truncated, um

__all__ = ["tiff_errors", "tiff_source"]

_LOG = logging.getLogger(__name__)


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if "TiffTag" not in message or "value offset" in message:  # an odd private tag alone does no harm
            self.messages.append(message)


@contextmanager
def tiff_errors(path: Path) -> Iterator[list[str]]:
    # tifffile logs what is wrong with a file and goes on; collect that, and translate what it raises.
    logger, collector = logging.getLogger("tifffile"), _Collector()
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(collector)
    try:
        yield collector.messages
    except CytoformError:
        raise
    except PermissionError as error:
        raise FileFormatError(f"{path} cannot be read: permission denied.", remedy="Change its permissions.") from error
    except tifffile.TiffFileError as error:
        raise FileFormatError(
            f"{path} is not a readable TIFF: {error}.",
            remedy="Expected a TIFF file or an OME-Zarr folder; export the image as TIFF.",
        ) from error
    except MemoryError as error:
        raise VolumeError(f"{path} does not fit into memory.", remedy="Crop the image.") from error
    except Exception as error:  # whatever a broken file makes a decoder do
        raise truncated(path, str(error) or type(error).__name__) from error
    finally:
        logger.removeHandler(collector)
        logger.propagate = propagate


def tiff_source(path: Path, file: tifffile.TiffFile, complaints: list[str]) -> Source:
    if not file.series or not len(file.pages):
        raise truncated(path, "it holds no image")
    series = file.series[0]
    if len(file.series) > 1:
        _LOG.info("%s holds %d images; the first one is read", path, len(file.series))
    if complaints:
        raise truncated(path, complaints[0])
    _check_complete(path, file, series)
    kind, spacing, origin = _tiff_calibration(file)
    axes = _named_axes(series.axes)

    def load(index: tuple[int | slice, ...]) -> Array:
        data = _load_tiff(file, series, index)
        if complaints:
            raise truncated(path, complaints[0])
        return data

    return Source(path, kind, axes, tuple(series.shape), np.dtype(series.dtype), spacing, origin, load)


def _named_axes(axes: str) -> str:
    # Pages without a name are slices, when there is one such axis and no z.
    unnamed = [a for a in axes if a not in "TCZYXS"]
    if len(unnamed) == 1 and "Z" not in axes:
        return axes.replace(unnamed[0], "Z")
    return axes


def _declared_planes(file: tifffile.TiffFile) -> int | None:
    # How many planes the file's own metadata promises.
    if file.is_imagej:
        meta = file.imagej_metadata or {}
        sizes = [int(meta.get(k, 1)) for k in ("channels", "slices", "frames")]
        return max(math.prod(sizes), int(meta.get("images", 1)))
    return None


def _check_complete(path: Path, file: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> None:
    size = file.filehandle.size
    pages = list(series.pages)
    if any(page is None for page in pages):
        missing = sum(page is None for page in pages)
        raise truncated(path, f"{missing} of {len(pages)} planes are not in the file (or its companion files)")
    end = 0
    if series.dataoffset is not None:
        end = series.dataoffset + series.nbytes
    for page in pages:
        counts = [o + n for o, n in zip(page.dataoffsets, page.databytecounts)]
        end = max([end, *counts])
    if end > size and not file.is_ome:
        raise truncated(path, f"its data run to byte {end}, the file has {size}")
    if end > size:  # the planes of an OME-TIFF may lie in other files
        for page in pages:
            own = page.parent.filehandle.size
            if any(o + n > own for o, n in zip(page.dataoffsets, page.databytecounts)):
                raise truncated(path, f"a plane runs beyond the end of {page.parent.filename}")
    promised, planes = _declared_planes(file), math.prod(n for n, a in zip(series.shape, series.axes) if a not in "YXS")
    samples = math.prod(n for n, a in zip(series.shape, series.axes) if a == "S")
    if promised is not None and planes * samples < promised:
        raise truncated(path, f"its metadata promise {promised} planes, {planes} are there")
    for meta in file.shaped_metadata or ():
        shape = tuple(meta.get("shape", ()))
        if shape and math.prod(shape) > sum(math.prod(s.shape) for s in file.series):
            raise truncated(path, f"its metadata promise shape {shape}, shape {tuple(series.shape)} is there")


def _load_tiff(file: tifffile.TiffFile, series: tifffile.TiffPageSeries, index: tuple[int | slice, ...]) -> Array:
    # Only the planes of the chosen channel and time are read, where each plane is a page of the file.
    lead = [n for n, a in zip(series.shape, series.axes) if a not in "YXS"]
    flat = series.axes.endswith("YX") and len(series.shape) - len(lead) == 2
    plane = series.shape[-2] * series.shape[-1]
    if not flat or not 1 < len(series.pages) == math.prod(lead) or series.keyframe.size != plane:
        return series.asarray()[index]
    planes = np.arange(math.prod(lead)).reshape(lead)[index[:-2]]
    data = file.asarray(key=planes.ravel().tolist(), series=series)
    return data.reshape(planes.shape + tuple(series.shape[-2:]))[(..., *index[-2:])]


def _tiff_calibration(file: tifffile.TiffFile) -> tuple[str, Partial, tuple[float, float, float]]:
    zero = (0.0, 0.0, 0.0)
    if file.is_ome and file.ome_metadata:
        return "OME-TIFF", _ome_spacing(file.ome_metadata), zero
    if file.is_imagej:
        meta = file.imagej_metadata or {}
        spacing = _described_spacing(file, meta)
        return "ImageJ TIFF", spacing, _imagej_origin(meta, spacing)
    shaped = file.shaped_metadata or ({},)
    return "TIFF", _described_spacing(file, shaped[0]), zero


def _pixel_size(page: Any, tag: str) -> float | None:
    """Units a pixel, from a tag that holds pixels a unit as a fraction."""
    if tag not in page.tags:
        return None
    value = page.tags[tag].value
    numerator, denominator = value if isinstance(value, tuple) else (value, 1)
    return None if numerator == 0 else denominator / numerator


def _described_spacing(file: tifffile.TiffFile, meta: Mapping[str, Any]) -> Partial:
    # ImageJ's way: resolution tags in pixels a unit, the unit's name and the slice distance in the description. A
    # resolution in dots an inch without a unit in the description is a printer's default, no calibration; a resolution
    # in cm (3) is meant.
    page: Any = file.pages.first
    unit = meta.get("unit")
    if unit is None and "ResolutionUnit" in page.tags and int(page.tags["ResolutionUnit"].value) == 3:
        unit = "cm"
    return (
        um(meta.get("spacing"), meta.get("zunit", unit)),
        um(_pixel_size(page, "YResolution"), meta.get("yunit", unit)),
        um(_pixel_size(page, "XResolution"), unit),
    )


def _imagej_origin(meta: Mapping[str, Any], spacing: Partial) -> tuple[float, float, float]:
    # ImageJ counts its origin in pixels: position = (index - origin) * size.
    found = []
    for axis, size in zip("zyx", spacing):
        try:
            found.append(-float(meta.get(f"{axis}origin", 0.0)) * (size or 0.0) + 0.0)
        except (TypeError, ValueError):
            found.append(0.0)
    return found[0], found[1], found[2]


def _ome_spacing(xml: str) -> Partial:
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return UNKNOWN
    pixels = next((e for e in root.iter() if e.tag.rsplit("}", 1)[-1] == "Pixels"), None)
    if pixels is None:
        return UNKNOWN
    z, y, x = (um(pixels.get(f"PhysicalSize{a}"), pixels.get(f"PhysicalSize{a}Unit", "µm")) for a in "ZYX")
    return z, y, x
