"""Images from and to files: TIFF, ImageJ TIFF, OME-TIFF and OME-Zarr, with their voxel size.

Every reader describes a file as a :class:`_Source`: its axes, its calibration, and a function that loads one channel at
one time point. What is asked of a file and what it lacks is decided once, for all formats.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import os
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from ..atomic import atomic_path
from ..errors import BackendError, CytoformError, FileFormatError, VolumeError
from .volume import Grid, Volume

__all__ = ["ImageInfo", "image_info", "read_volume", "write_volume"]

PathLike = str | os.PathLike[str]
Partial = tuple[float | None, float | None, float | None]
Array = npt.NDArray[Any]

_LOG = logging.getLogger(__name__)
_UNKNOWN: Partial = (None, None, None)
_CLASSIC_TIFF_BYTES = 3_900_000_000  # ImageJ's TIFFs hold 4 GB
_EXACT_IN_FLOAT32 = 2**24  # whole numbers up to here survive the way through float32

_UM_PER: dict[str, float] = {
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometer", "micrometre", "micrometers"), 1.0),
    **dict.fromkeys(("nm", "nanometer", "nanometre", "nanometers"), 1e-3),
    **dict.fromkeys(("mm", "millimeter", "millimetre"), 1e3),
    **dict.fromkeys(("cm", "centimeter", "centimetre"), 1e4),
    **dict.fromkeys(("m", "meter", "metre"), 1e6),
    **dict.fromkeys(("pm", "picometer", "picometre"), 1e-6),
    **dict.fromkeys(("å", "angstrom"), 1e-4),
    **dict.fromkeys(("inch", "in", "inches"), 25400.0),
}


@dataclasses.dataclass(frozen=True)
class ImageInfo:
    """What an image file holds.

    Attributes
    ----------
    path : Path
    format : str
        ``"TIFF"``, ``"ImageJ TIFF"``, ``"OME-TIFF"`` or ``"OME-Zarr"``.
    axes : str
        One letter for each axis of the file, such as ``"TCZYX"``.
    shape : tuple of int
        Its length along each of them.
    dtype : numpy.dtype
    spacing : (3,) float or None
        Voxel size in µm, (z, y, x); None where the file does not say, or not all of it.
    channels, times : int
        Number of channels and time points, at least 1.
    minimum, maximum : float or None
        Extremes over all channels and time points, when asked for.
    """

    path: Path
    format: str
    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    spacing: tuple[float, float, float] | None
    channels: int
    times: int
    minimum: float | None = None
    maximum: float | None = None


@dataclasses.dataclass(frozen=True)
class _Source:
    path: Path
    format: str
    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    spacing: Partial
    origin: tuple[float, float, float]
    load: Callable[[tuple[int | slice, ...]], Array]
    hint: str = ""  # what is known about the voxel size when it is not complete

    def length(self, axis: str) -> int:
        return self.shape[self.axes.index(axis)] if axis in self.axes else 1

    @property
    def complete_spacing(self) -> tuple[float, float, float] | None:
        z, y, x = self.spacing
        return None if z is None or y is None or x is None else (z, y, x)


# ---------------------------------------------------------------------------------------------------------------------
# What a caller asks for


def read_volume(
    path: PathLike,
    *,
    spacing: float | Sequence[float] | None = None,
    channel: int | None = None,
    time: int | None = None,
) -> Volume:
    """Read one 3D image.

    Parameters
    ----------
    path : path
        A TIFF, ImageJ TIFF or OME-TIFF file, or an OME-Zarr folder (NGFF 0.4 or 0.5, read at its highest resolution).
    spacing : (3,) float or float, optional
        Voxel size in µm, (z, y, x); by default the file's own.
    channel, time : int, optional
        Which channel and which time point, counted from 0. Needed where there are several.

    Returns
    -------
    Volume
        (z, y, x), in the file's number type. The origin is the file's own (ImageJ's origin, OME-Zarr's translation),
        else 0.

    Raises
    ------
    FileFormatError
        When the file is missing, empty, cut short or of another kind.
    VolumeError
        When it is not 3D, holds several channels or time points and none is chosen, gives no voxel size, or has values
        that are not finite.
    BackendError
        When an OME-Zarr is to be read and zarr is not installed.
    """
    path = Path(path)
    with _opened(path) as source:
        index = _choose(source, channel=channel, time=time)
        size = _voxel_size(source) if spacing is None else Grid((1, 1, 1), spacing).spacing  # type: ignore[arg-type]
        data = source.load(index)
    return Volume(_in_order(data, source, index), size, source.origin, path.name)


def image_info(path: PathLike, *, extremes: bool = False) -> ImageInfo:
    """Describe an image file of any number of axes, without loading it unless ``extremes`` are asked for.

    Raises
    ------
    FileFormatError, BackendError
        As :func:`read_volume`.
    """
    with _opened(Path(path)) as source:
        low = high = None
        if extremes and math.prod(source.shape):
            data = source.load((slice(None),) * len(source.shape))
            low, high = float(data.min()), float(data.max())
        samples = source.length("S") if "C" not in source.axes else 1
        return ImageInfo(
            path=source.path,
            format=source.format,
            axes=source.axes,
            shape=source.shape,
            dtype=source.dtype,
            spacing=source.complete_spacing,
            channels=max(1, source.length("C") * samples),
            times=max(1, source.length("T")),
            minimum=low,
            maximum=high,
        )


def write_volume(
    path: PathLike,
    volume: Volume | npt.ArrayLike,
    spacing: float | Sequence[float] | None = None,
) -> None:
    """Write a 3D image as TIFF with its voxel size, whole or not at all.

    ``.ome.tif`` and ``.ome.tiff`` give an OME-TIFF, other names a TIFF as ImageJ writes it. OME-TIFF keeps float64 and
    integers of up to 32 bits; ImageJ knows uint8, uint16 and float32 only. Values are stored in the smallest type that
    holds them: bool becomes uint8 (0 and 1), whole numbers become uint8 or uint16 where they fit, else float32 where
    that is exact, else the file is a plain TIFF of the same integers; float16 and, for ImageJ, float64 become float32
    (with float32's 7 digits). uint8, uint16 and float32 are stored as they are.

    Parameters
    ----------
    path : path
        File to write; its folder exists.
    volume : Volume or (z, y, x) array
        The image.
    spacing : (3,) float or float, optional
        Voxel size in µm, (z, y, x); needed for an array, overrides that of a Volume.

    Raises
    ------
    VolumeError
        When an array comes without a voxel size, or the image is not 3D and finite.
    OutputError
        When the place cannot be written.
    """
    image = _as_volume(volume, spacing)
    name = Path(path).name.lower()
    ome = name.endswith((".ome.tif", ".ome.tiff"))
    data = _storable(np.asarray(image.data), ome=ome)
    with atomic_path(path, suffix=None if name.endswith((".tif", ".tiff")) else ".tif") as temporary:
        if ome:
            _write_ome(temporary, data, image)
        elif data.dtype.name in ("uint8", "uint16", "float32") and data.nbytes < _CLASSIC_TIFF_BYTES:
            _write_imagej(temporary, data, image)
        else:
            _write_plain(temporary, data, image)


# ---------------------------------------------------------------------------------------------------------------------
# Choosing channel and time, and bringing axes in order


def _selected(source: _Source, axis: str, what: str, flag: str, chosen: int | None) -> int:
    count = source.length(axis)
    if chosen is None:
        if count > 1:
            raise VolumeError(
                f"{source.path} has {count} {what}; expected one.",
                remedy=f"Choose one with {flag}=N or --{flag} N, 0 to {count - 1}.",
            )
        return 0
    if not 0 <= int(chosen) < count:
        raise VolumeError(
            f"{flag} is {chosen}, but {source.path} has {count} {what}; expected 0 to {count - 1}.",
            remedy=f"Numbers count from 0; pass another {flag}= or --{flag}.",
        )
    return int(chosen)


def _choose(source: _Source, *, channel: int | None, time: int | None) -> tuple[int | slice, ...]:
    # One entry an axis of the file: a number where one is chosen, a full slice for z, y and x.
    _check_axes(source)
    colour = "S" if source.length("S") > 1 and source.length("C") == 1 else "C"
    if colour == "S" and channel is None:
        count = source.length("S")
        raise VolumeError(
            f"{source.path} is a colour (RGB) image, shape {source.shape}; expected one channel.",
            remedy=f"Choose one with channel=N or --channel N, 0 to {count - 1}, or convert it to grey values.",
        )
    chosen = {
        colour: _selected(source, colour, "channels", "channel", channel),
        "T": _selected(source, "T", "time points", "time", time),
    }
    return tuple(slice(None) if axis in "ZYX" else chosen.get(axis, 0) for axis in source.axes)


def _check_axes(source: _Source) -> None:
    other = [a for a in source.axes if a not in "TCZYXS" and source.length(a) > 1]
    if other or (source.length("S") > 1 and source.length("C") > 1):
        raise VolumeError(
            f"{source.path} has axes {source.axes} of lengths {source.shape}; expected (z, y, x), with channels and "
            "time points marked as such.",
            remedy="Save it with named axes, as ImageJ TIFF or OME-TIFF, or save one 3D image out of it.",
        )
    if math.prod(source.shape) == 0:
        raise VolumeError(f"{source.path} is empty, shape {source.shape}; expected at least one voxel.")
    if not {"Y", "X"} <= set(source.axes) or source.length("Z") == 1:
        times = source.length("T")
        extra = f" If its {times} time points are slices, correct the axes in its properties." if times > 1 else ""
        raise VolumeError(
            f"{source.path} is a 2D image, axes {source.axes}, shape {source.shape}; expected 3D, (z, y, x).",
            remedy="Use a stack with several slices." + extra,
        )


def _in_order(data: Array, source: _Source, index: tuple[int | slice, ...]) -> Array:
    axes = [a for a, i in zip(source.axes, index) if isinstance(i, slice)]
    data = data.transpose([axes.index(a) for a in "ZYX"])
    return np.ascontiguousarray(data, dtype=data.dtype.newbyteorder("="))


def _voxel_size(source: _Source) -> tuple[float, float, float]:
    complete = source.complete_spacing
    if complete is not None:
        return complete
    known = [f"d{a} = {v:g} µm" for a, v in zip("zyx", source.spacing) if v is not None]
    found = f", only {', '.join(known)}" if known else ""
    raise VolumeError(
        f"{source.path} does not give its voxel size{found}; expected micrometres along z, y and x.{source.hint}",
        remedy="Pass spacing=(dz, dy, dx) in µm, on the command line --spacing dz,dy,dx.",
    )


# ---------------------------------------------------------------------------------------------------------------------
# Opening


@contextmanager
def _opened(path: Path) -> Iterator[_Source]:
    if not path.exists():
        raise FileFormatError(f"there is no file {path}; expected an image.", remedy="Check the path.")
    if path.is_dir():
        yield _zarr_source(path)
        return
    if path.stat().st_size == 0:
        raise FileFormatError(f"{path} is empty (0 bytes); expected a TIFF image.", remedy="Copy or export it again.")
    with _tiff_errors(path) as complaints, tifffile.TiffFile(path) as file:
        yield _tiff_source(path, file, complaints)


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if "TiffTag" not in message or "value offset" in message:  # an odd private tag alone does no harm
            self.messages.append(message)


@contextmanager
def _tiff_errors(path: Path) -> Iterator[list[str]]:
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
        raise _truncated(path, str(error) or type(error).__name__) from error
    finally:
        logger.removeHandler(collector)
        logger.propagate = propagate


def _truncated(path: Path, reason: str) -> FileFormatError:
    return FileFormatError(
        f"{path} is damaged or cut short: {reason}.", remedy="Copy it again, or export it again from its source."
    )


# ---------------------------------------------------------------------------------------------------------------------
# TIFF


def _tiff_source(path: Path, file: tifffile.TiffFile, complaints: list[str]) -> _Source:
    if not file.series or not len(file.pages):
        raise _truncated(path, "it holds no image")
    series = file.series[0]
    if len(file.series) > 1:
        _LOG.info("%s holds %d images; the first one is read", path, len(file.series))
    if complaints:
        raise _truncated(path, complaints[0])
    _check_complete(path, file, series)
    kind, spacing, origin = _tiff_calibration(file)
    axes = _named_axes(series.axes)

    def load(index: tuple[int | slice, ...]) -> Array:
        data = _load_tiff(file, series, index)
        if complaints:
            raise _truncated(path, complaints[0])
        return data

    return _Source(path, kind, axes, tuple(series.shape), np.dtype(series.dtype), spacing, origin, load)


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
        raise _truncated(path, f"{missing} of {len(pages)} planes are not in the file (or its companion files)")
    end = 0
    if series.dataoffset is not None:
        end = series.dataoffset + series.nbytes
    for page in pages:
        counts = [o + n for o, n in zip(page.dataoffsets, page.databytecounts)]
        end = max([end, *counts])
    if end > size and not file.is_ome:
        raise _truncated(path, f"its data run to byte {end}, the file has {size}")
    if end > size:  # the planes of an OME-TIFF may lie in other files
        for page in pages:
            own = page.parent.filehandle.size
            if any(o + n > own for o, n in zip(page.dataoffsets, page.databytecounts)):
                raise _truncated(path, f"a plane runs beyond the end of {page.parent.filename}")
    promised, planes = _declared_planes(file), math.prod(n for n, a in zip(series.shape, series.axes) if a not in "YXS")
    samples = math.prod(n for n, a in zip(series.shape, series.axes) if a == "S")
    if promised is not None and planes * samples < promised:
        raise _truncated(path, f"its metadata promise {promised} planes, {planes} are there")
    for meta in file.shaped_metadata or ():
        shape = tuple(meta.get("shape", ()))
        if shape and math.prod(shape) > sum(math.prod(s.shape) for s in file.series):
            raise _truncated(path, f"its metadata promise shape {shape}, shape {tuple(series.shape)} is there")


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


def _um(value: Any, unit: Any) -> float | None:
    """A length in µm, or None where value or unit make no sense."""
    text = re.sub(r"\\u00b5", "µ", str(unit or ""), flags=re.IGNORECASE).strip().lower()
    factor = _UM_PER.get(text.replace("\ufffd", "µ").replace("âµ", "µ"))
    try:
        number = abs(float(value))
    except (TypeError, ValueError):
        return None
    if factor is None or not math.isfinite(number) or number == 0:
        return None
    return float(f"{number * factor:.12g}")


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
        _um(meta.get("spacing"), meta.get("zunit", unit)),
        _um(_pixel_size(page, "YResolution"), meta.get("yunit", unit)),
        _um(_pixel_size(page, "XResolution"), unit),
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
        return _UNKNOWN
    pixels = next((e for e in root.iter() if e.tag.rsplit("}", 1)[-1] == "Pixels"), None)
    if pixels is None:
        return _UNKNOWN
    z, y, x = (_um(pixels.get(f"PhysicalSize{a}"), pixels.get(f"PhysicalSize{a}Unit", "µm")) for a in "ZYX")
    return z, y, x


# ---------------------------------------------------------------------------------------------------------------------
# OME-Zarr


def _zarr_source(path: Path) -> _Source:
    if not any((path / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray", ".zattrs")):
        raise FileFormatError(
            f"{path} is a folder without an image in it; expected a TIFF file or an OME-Zarr folder.",
            remedy="Give the path of one file, or of the folder that holds zarr.json or .zgroup.",
        )
    try:
        import zarr
    except ImportError as error:
        raise BackendError(
            f"{path} is an OME-Zarr, and the library zarr is not installed.", remedy="pip install cytoform[zarr]"
        ) from error
    try:
        return _zarr_image(path, zarr.open(str(path), mode="r"))
    except CytoformError:
        raise
    except Exception as error:  # zarr's errors differ from version to version
        raise FileFormatError(
            f"{path} cannot be read as OME-Zarr: {error or type(error).__name__}.",
            remedy="Expected NGFF 0.4 or 0.5 with multiscales metadata; export it again.",
        ) from error


def _zarr_image(path: Path, node: Any) -> _Source:
    if hasattr(node, "shape"):  # an array without metadata around it
        names = getattr(node.metadata, "dimension_names", None) or ()
        axes = "".join(str(n)[:1].upper() for n in names) or "TCZYX"[-node.ndim :]
        return _zarr_level(path, node, axes, _UNKNOWN, (0.0, 0.0, 0.0), "")
    attributes = node.attrs.asdict()
    meta = attributes.get("ome", attributes)
    if "plate" in meta or "well" in meta:
        raise FileFormatError(
            f"{path} is a plate of many images; expected one image.", remedy="Give the path of one field inside of it."
        )
    if "multiscales" not in meta:
        if "bioformats2raw.layout" in meta and "0" in node:
            return _zarr_image(path / "0", node["0"])
        raise FileFormatError(
            f"{path} is a Zarr without multiscales metadata; expected an OME-Zarr image (NGFF 0.4 or 0.5).",
            remedy="Give the path of the image inside of it.",
        )
    scales = meta["multiscales"][0]
    level = scales["datasets"][0]  # the highest resolution comes first
    array = node[level["path"]]
    entries = [a if isinstance(a, Mapping) else {"name": a} for a in scales.get("axes", "tczyx"[-array.ndim :])]
    axes = "".join(str(a.get("name", "?"))[:1].upper() for a in entries)
    scale, shift = _zarr_transform(level, scales, array.ndim)
    spacing = tuple(_along(axes, a, [_um(s, e.get("unit")) for s, e in zip(scale, entries)]) for a in "ZYX")
    moved = [_signed_um(t, e.get("unit")) for t, e in zip(shift, entries)]
    origin = tuple(_along(axes, a, moved) or 0.0 for a in "ZYX")
    hint = ""
    if None in spacing:
        hint = f" Its scale is {tuple(scale)} with units {tuple(e.get('unit') for e in entries)}."
    return _zarr_level(path, array, axes, spacing, origin, hint)  # type: ignore[arg-type]


def _along(axes: str, axis: str, values: Sequence[float | None]) -> float | None:
    return values[axes.index(axis)] if axis in axes else None


def _signed_um(value: float, unit: Any) -> float:
    return math.copysign(_um(value, unit) or 0.0, value)


def _zarr_transform(level: Mapping[str, Any], scales: Mapping[str, Any], ndim: int) -> tuple[list[float], list[float]]:
    # position = scale * index + shift; the level's own transformations come first, then those of the whole image.
    scale, shift = [1.0] * ndim, [0.0] * ndim
    steps = [*level.get("coordinateTransformations", ()), *scales.get("coordinateTransformations", ())]
    for step in steps:
        if step.get("type") == "scale":
            scale = [a * float(b) for a, b in zip(scale, step["scale"])]
            shift = [a * float(b) for a, b in zip(shift, step["scale"])]
        elif step.get("type") == "translation":
            shift = [a + float(b) for a, b in zip(shift, step["translation"])]
    return scale, shift


def _zarr_level(
    path: Path, array: Any, axes: str, spacing: Partial, origin: tuple[float, float, float], hint: str
) -> _Source:
    def load(index: tuple[int | slice, ...]) -> Array:
        try:
            return np.asarray(array[index])
        except Exception as error:  # a damaged chunk
            raise _truncated(path, str(error) or type(error).__name__) from error

    if len(axes) != len(array.shape):
        raise FileFormatError(f"{path} names axes {axes} for an array of shape {tuple(array.shape)}; expected as many.")
    return _Source(path, "OME-Zarr", axes, tuple(array.shape), np.dtype(array.dtype), spacing, origin, load, hint)


# ---------------------------------------------------------------------------------------------------------------------
# Writing


def _as_volume(volume: Volume | npt.ArrayLike, spacing: float | Sequence[float] | None) -> Volume:
    if isinstance(volume, Volume):
        if spacing is None:
            return volume
        return dataclasses.replace(volume, spacing=spacing)
    if spacing is None:
        raise VolumeError(
            "an array came without a voxel size; expected micrometres along z, y and x.",
            remedy="Pass spacing=(dz, dy, dx), or a Volume.",
        )
    return Volume(np.asarray(volume), spacing)  # type: ignore[arg-type]


def _storable(data: Array, *, ome: bool) -> Array:
    if data.dtype.kind == "b":
        return data.astype(np.uint8)
    if data.dtype.kind == "f":
        return data.astype(data.dtype.newbyteorder("=") if ome and data.dtype.itemsize == 8 else np.float32)
    known = ("uint8", "uint16", "int8", "int16", "int32", "uint32") if ome else ("uint8", "uint16")
    if data.dtype.name in known:
        return data
    low, high = int(data.min()), int(data.max())
    kinds = (np.uint8, np.uint16, np.int32, np.uint32) if ome else (np.uint8, np.uint16)
    for kind in kinds:
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return data.astype(kind)
    if not ome and max(-low, high) <= _EXACT_IN_FLOAT32:
        return data.astype(np.float32)
    if ome:
        raise VolumeError(
            f"the image has values from {low} to {high}; an OME-TIFF holds integers of 32 bits.",
            remedy="Write it as .tif, or convert it to float64.",
        )
    return data


def _write_imagej(path: Path, data: Array, image: Volume) -> None:
    dz, dy, dx = image.spacing
    meta: dict[str, Any] = {"axes": "ZYX", "spacing": dz, "unit": "um"}
    for axis, place, size in zip("zyx", image.origin, image.spacing):
        if place:
            meta[f"{axis}origin"] = repr(-place / size)
    tifffile.imwrite(path, data, imagej=True, resolution=(1 / dx, 1 / dy), metadata=meta)


def _write_ome(path: Path, data: Array, image: Volume) -> None:
    dz, dy, dx = image.spacing
    meta = {"axes": "ZYX", "PhysicalSizeZ": dz, "PhysicalSizeY": dy, "PhysicalSizeX": dx}
    meta |= {f"PhysicalSize{a}Unit": "µm" for a in "ZYX"}
    tifffile.imwrite(path, data, ome=True, photometric="minisblack", metadata=meta)


def _write_plain(path: Path, data: Array, image: Volume) -> None:
    dz, dy, dx = image.spacing
    meta = {"axes": "ZYX", "spacing": dz, "unit": "um"}
    tifffile.imwrite(path, data, photometric="minisblack", resolution=(1 / dx, 1 / dy), metadata=meta)
