"""Images from and to files: TIFF, ImageJ TIFF, OME-TIFF and OME-Zarr, with their voxel size.

Every reader describes a file as images, each a :class:`~cytoform.image.formats.source.Source`: its axes, its
calibration, and a function that loads one channel at one time point. What is asked of a file and what it lacks is
decided once, for all formats (:mod:`~cytoform.image.choosing`).
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FileFormatError, VolumeError
from .choosing import (
    chosen_index,
    chosen_source,
    described,
    flat_remedy,
    in_order,
    spacing_remark,
    spacing_remedy,
    voxel_size,
)
from .extremes import Extremes
from .extremes import extremes as find_extremes
from .formats.ome_zarr import opened_zarr
from .formats.source import Images, Partial, Source
from .formats.tiff import opened_tiff
from .formats.tiff_checks import unreadable
from .volume import Grid, Volume
from .writing import write_volume

__all__ = ["ImageInfo", "image_info", "read_volume", "write_volume"]

PathLike = str | os.PathLike[str]

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class ImageInfo:
    """What an image file holds.

    Attributes
    ----------
    path : Path
    format : str
        ``"TIFF"``, ``"ImageJ TIFF"``, ``"OME-TIFF"``, ``"OME-Zarr"``, or the TIFF of a microscope: ``"LSM"``,
        ``"MetaMorph STK"``, ``"Micro-Manager TIFF"``.
    axes : str
        One letter for each axis of the file, such as ``"TCZYX"``; "?" is one without a name.
    shape : tuple of int
        Its length along each of them.
    dtype : numpy.dtype
    spacing : (3,) float or None
        Voxel size in µm, (z, y, x); None where the file does not say, or not all of it.
    channels, times : int
        Number of channels and time points, at least 1.
    minimum, maximum : float or None
        Extremes over all channels and time points, when asked for; None where the image is too large to look.
    all_voxels : bool
        Whether the extremes are those of all voxels.
    known_spacing : (3,) float or None
        What the file says of the voxel size, None along axes of which it says nothing.
    frame_interval : float or None
        Seconds from one time point to the next, where the file says.
    images : int
        How many images the file holds; pyramid levels and thumbnails do not count.
    contents : tuple of str
        Name, axes and shape of each of them.
    remarks : tuple of str
        What was assumed, set aside or left out, and what it lacks, one sentence each.
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
    all_voxels: bool = False
    known_spacing: Partial = (None, None, None)
    frame_interval: float | None = None
    images: int = 1
    contents: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def read_volume(
    path: PathLike,
    *,
    spacing: float | Sequence[float] | None = None,
    channel: int | None = None,
    time: int | None = None,
    series: int | None = None,
    axes: str | None = None,
) -> Volume:
    """Read one 3D image.

    Parameters
    ----------
    path : path
        A TIFF, ImageJ TIFF or OME-TIFF file, or an OME-Zarr folder (NGFF 0.1 to 0.6, read at its highest resolution;
        the path of an array inside of it reads that level).
    spacing : (3,) float or float, optional
        Voxel size in µm, (z, y, x); by default the file's own.
    channel, time : int, optional
        Which channel and which time point, counted from 0. Needed where there are several.
    series : int, optional
        Which image of the file, counted from 0; by default the first one.
    axes : str, optional
        Names for the axes of the file, in its order, in place of its own: T time, C channel, Z slice, Y row, X column,
        S colour. ``"ZYX"`` reads slices that a file calls channels or time points; with one axis more than its images
        have, images of one shape are stacked along the first one.

    Returns
    -------
    Volume
        (z, y, x), in the file's number type. The origin is the file's own (ImageJ's origin, OME-Zarr's translation),
        else 0. ``source`` holds path, format, series, channel, time and axes as they were chosen, spacing where it was
        given, and spacing_from, "file" or "given". ``remarks`` tell what was assumed, set aside or left out; each is
        logged as a warning, once for a file.

    Raises
    ------
    FileFormatError
        When the file is missing, empty, cut short, compressed in an unknown way or of another kind.
    VolumeError
        When it is not 3D, holds several channels or time points and none is chosen, gives no voxel size, has values
        that are not finite, or does not fit into memory.
    BackendError
        When an OME-Zarr is to be read and zarr is not installed, or a decoder's library is missing.
    """
    path = Path(path)
    with _opened(path) as images:
        source = chosen_source(images, series=series, axes=axes)
        index, chosen = chosen_index(source, images, channel=channel, time=time)
        size = voxel_size(source) if spacing is None else Grid((1, 1, 1), spacing).spacing  # type: ignore[arg-type]
        remarks = source.remarks
        if spacing is None and spacing_remark(source):
            remarks = (*remarks, spacing_remark(source))
        data = in_order(_loaded(source, index), source, index)
    where: dict[str, Any] = {"path": os.path.abspath(path), "format": source.format, "series": int(series or 0)}
    where |= {**chosen, "axes": None if axes is None else source.axes}
    given = spacing is not None
    where |= {"spacing": list(size) if given else None, "spacing_from": "given" if given else "file"}
    for remark in remarks:
        _warn(str(path), _stamp(path), remark)
    return Volume(data, size, source.origin_at(size), path.name, where, remarks)


def image_info(
    path: PathLike, *, extremes: bool = False, series: int | None = None, axes: str | None = None
) -> ImageInfo:
    """Describe an image file of any number of axes.

    Memory and time stay bounded: the extremes of a large image are those of its coarsest level, or are left out.

    Parameters
    ----------
    path : path
        As in :func:`read_volume`.
    extremes : bool
        Look for the smallest and the largest value.
    series, axes : optional
        As in :func:`read_volume`.

    Raises
    ------
    FileFormatError, BackendError
        As :func:`read_volume`.
    VolumeError
        When there is no such image, or the axes do not fit.
    """
    with _opened(Path(path)) as images:
        source = chosen_source(images, series=series, axes=axes)
        found = find_extremes(source) if extremes else Extremes()
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
            minimum=found.minimum,
            maximum=found.maximum,
            all_voxels=found.complete,
            known_spacing=source.spacing,
            frame_interval=source.frame_interval,
            images=len(images.entries),
            contents=tuple(described(entry) for entry in images.entries),
            remarks=_all_remarks(source, images, found),
        )


def _all_remarks(source: Source, images: Images, found: Extremes) -> tuple[str, ...]:
    lacking = f"{source.hint.strip()} {spacing_remedy(source)}" if source.hint else ""
    hints = [found.remark, spacing_remark(source), lacking, flat_remedy(source, images)]
    refusal = [str(source.refusal)] if source.refusal is not None else []
    return (*source.remarks, *refusal, *(text for text in hints if text))


def _loaded(source: Source, index: tuple[int | slice, ...]) -> Any:
    try:
        return source.load(index)
    except MemoryError as error:
        kept = [n for n, i in zip(source.shape, index) if isinstance(i, slice)]
        size = np.prod(kept, dtype=float) * source.dtype.itemsize / 1e9
        raise VolumeError(
            f"{source.path} has {' × '.join(str(n) for n in kept)} voxels, {size:.3g} GB: too many for the memory.",
            remedy="Crop the image, or save it at a lower resolution; of an OME-Zarr give the path of a coarser level.",
        ) from error


@functools.cache
def _warn(path: str, stamp: int, remark: str) -> None:
    # Once for a state of a file: a film is read time point by time point.
    _LOG.warning("%s: %s", path, remark)


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


@contextmanager
def _opened(path: Path) -> Iterator[Images]:
    try:
        found = path.exists()
        folder = found and path.is_dir()
        empty = found and not folder and path.stat().st_size == 0
    except OSError as error:
        raise unreadable(path, error) from error
    if not found:
        raise FileFormatError(f"there is no file {path}; expected an image.", remedy="Check the path.")
    if empty:
        raise FileFormatError(f"{path} is empty (0 bytes); expected a TIFF image.", remedy="Copy or export it again.")
    with opened_zarr(path) if folder else opened_tiff(path) as images:
        yield images
