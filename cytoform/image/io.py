"""Read and write images with their voxel size: TIFF, ImageJ TIFF, OME-TIFF, OME-Zarr and registered formats.

Every reader describes a file as images, each a :class:`~cytoform.image.formats.source.Source`: its axes, its
calibration, and a function that loads one channel at one time point. :mod:`~cytoform.image.formats.registry` lists the
readers. Image, channel, time point, axes and voxel size are chosen by the same rules for all formats
(:mod:`~cytoform.image.choosing`), and one object gives all volumes of a file (:mod:`~cytoform.image.series`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._typing import PathLike
from .choosing import describe_entry, remedy_for_2d, spacing_remark, spacing_remedy
from .extremes import Extremes, find_extremes
from .formats.source import Images, Partial, Source
from .series import open_series
from .volume import Volume
from .writing import write_volume

__all__ = ["ImageInfo", "image_info", "read_volume", "write_volume"]


@dataclasses.dataclass(frozen=True)
class ImageInfo:
    """Description of an image file, without its voxels.

    Parameters
    ----------
    path : Path
        Path of the file or folder.
    format : str
        ``"TIFF"``, ``"ImageJ TIFF"``, ``"OME-TIFF"``, ``"OME-Zarr"``, the TIFF of a microscope (``"LSM"``,
        ``"MetaMorph STK"``, ``"Micro-Manager TIFF"``), or the name that another reader gives.
    axes : str
        One letter for each axis of the file, such as ``"TCZYX"``; "?" is an axis without a name.
    shape : tuple of int
        Length of each axis of the file.
    dtype : numpy.dtype
        Number type of the voxels.
    spacing : (3,) float or None
        Voxel size in µm, (z, y, x); None where the file does not give all of it.
    channels : int
        Number of channels, at least 1.
    times : int
        Number of time points, at least 1.
    minimum : float or None
        Smallest value over all channels and time points; None when not asked for or when the image is too large.
    maximum : float or None
        Largest value, likewise.
    all_voxels : bool
        Whether minimum and maximum are taken over all voxels, not over a coarser level or a part.
    known_spacing : (3,) float or None
        Voxel size in µm, (z, y, x), with None along each axis for which the file gives none.
    frame_interval : float or None
        Time from one time point to the next in s; None where the file does not give it.
    images : int
        Number of images in the file; pyramid levels and thumbnails do not count.
    contents : tuple of str
        Name, axes and shape of each of these images.
    remarks : tuple of str
        What was assumed, set aside or left out, and what the file lacks, one sentence each.
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
    """Read one 3D image: one channel at one time point of a file.

    Parameters
    ----------
    path : path
        A TIFF, ImageJ TIFF or OME-TIFF file, or an OME-Zarr folder (NGFF 0.1 to 0.6, read at its highest resolution;
        the path of an array inside of it reads that level). With the extra "formats" a file of a microscope that bioio
        reads (CZI, LIF, ND2 and others), and any format that was registered (:func:`cytoform.image.formats.register`).
    spacing : (3,) float or float, optional
        Voxel size in µm, (z, y, x); by default the file's own.
    channel : int, optional
        Number of the channel, from 0. Needed where there are several.
    time : int, optional
        Number of the time point, from 0. Needed where there are several.
    series : int, optional
        Number of the image in the file, from 0; by default the first one.
    axes : str, optional
        Names for the axes of the file, in its order, in place of its own: T time, C channel, Z slice, Y row, X column,
        S colour. ``"ZYX"`` reads slices that a file calls channels or time points; with one axis more than its images
        have, images of one shape are stacked along the first one.

    Returns
    -------
    Volume
        (z, y, x), in the file's number type. The origin is the file's own (ImageJ's origin, OME-Zarr's translation),
        else 0. ``source`` holds path, format, series, channel, time and axes as they were chosen, spacing where it was
        given, and spacing_from, "file" or "given". ``remarks`` state what was assumed, set aside or left out; each is
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
    with open_series(path, spacing=spacing, series=series, axes=axes) as opened:
        return opened.volume(time=time, channel=channel)


def image_info(
    path: PathLike, *, extremes: bool = False, series: int | None = None, axes: str | None = None
) -> ImageInfo:
    """Describe an image file of any number of axes: its format, axes, shape, voxel size, channels and time points.

    Memory and time stay bounded: minimum and maximum of a large image are those of its coarsest level, or are left out.

    Parameters
    ----------
    path : path
        File or folder of any format that :func:`read_volume` reads.
    extremes : bool
        Find the smallest and the largest value, which reads voxels; False by default.
    series : int, optional
        Number of the image in the file, from 0; by default the first one.
    axes : str, optional
        Names for the axes of the file, in its order, in place of its own: letters of T, C, Z, Y, X and S.

    Returns
    -------
    ImageInfo
        The description.

    Raises
    ------
    FileFormatError
        When the file is missing, empty, cut short, compressed in an unknown way or of another kind.
    BackendError
        When a library that the format needs is not installed.
    VolumeError
        When there is no such image, or the axes do not fit.
    """
    with open_series(path, series=series, axes=axes) as opened:
        source, images = opened.source, opened.images
        found = find_extremes(source) if extremes else Extremes()
        return ImageInfo(
            path=source.path,
            format=source.format,
            axes=source.axes,
            shape=source.shape,
            dtype=source.dtype,
            spacing=opened.spacing,
            channels=opened.channels,
            times=opened.times,
            minimum=found.minimum,
            maximum=found.maximum,
            all_voxels=found.complete,
            known_spacing=opened.known_spacing,
            frame_interval=opened.frame_interval,
            images=len(images.entries),
            contents=tuple(describe_entry(entry) for entry in images.entries),
            remarks=_all_remarks(source, images, found),
        )


def _all_remarks(source: Source, images: Images, found: Extremes) -> tuple[str, ...]:
    """Return all remarks on a file, one sentence each: the reader's, why it cannot be read, and doubts and remedies.

    The last are those on the extremes, on a suspicious or missing voxel size and on an image without depth.
    """
    lacking = f"{source.hint.strip()} {spacing_remedy(source)}" if source.hint else ""
    hints = [found.remark, spacing_remark(source), lacking, remedy_for_2d(source, images)]
    refusal = [str(source.refusal)] if source.refusal is not None else []
    return (*source.remarks, *refusal, *(text for text in hints if text))
