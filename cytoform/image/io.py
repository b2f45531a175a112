"""Images from and to files: TIFF, ImageJ TIFF, OME-TIFF and OME-Zarr, with their voxel size.

Every reader describes a file as a :class:`~cytoform.image.formats.source.Source`: its axes, its calibration, and a
function that loads one channel at one time point. What is asked of a file and what it lacks is decided once, for all
formats.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from ..errors import FileFormatError, VolumeError
from .formats.ome_zarr import zarr_source
from .formats.source import Array, Source
from .formats.tiff import tiff_errors, tiff_source
from .volume import Grid, Volume
from .writing import write_volume

__all__ = ["ImageInfo", "image_info", "read_volume", "write_volume"]

PathLike = str | os.PathLike[str]


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


# ---------------------------------------------------------------------------------------------------------------------
# Choosing channel and time, and bringing axes in order


def _selected(source: Source, axis: str, what: str, flag: str, chosen: int | None) -> int:
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


def _choose(source: Source, *, channel: int | None, time: int | None) -> tuple[int | slice, ...]:
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


def _check_axes(source: Source) -> None:
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


def _in_order(data: Array, source: Source, index: tuple[int | slice, ...]) -> Array:
    axes = [a for a, i in zip(source.axes, index) if isinstance(i, slice)]
    data = data.transpose([axes.index(a) for a in "ZYX"])
    return np.ascontiguousarray(data, dtype=data.dtype.newbyteorder("="))


def _voxel_size(source: Source) -> tuple[float, float, float]:
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
def _opened(path: Path) -> Iterator[Source]:
    if not path.exists():
        raise FileFormatError(f"there is no file {path}; expected an image.", remedy="Check the path.")
    if path.is_dir():
        yield zarr_source(path)
        return
    if path.stat().st_size == 0:
        raise FileFormatError(f"{path} is empty (0 bytes); expected a TIFF image.", remedy="Copy or export it again.")
    with tiff_errors(path) as complaints, tifffile.TiffFile(path) as file:
        yield tiff_source(path, file, complaints)
