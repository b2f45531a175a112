"""Open an image file as one lazy (t, c, z, y, x) array and load one channel at one time point at a time."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import numpy as np

from .._typing import PathLike, Triple
from ..errors import VolumeError
from .choosing import choose_index, open_chosen_image, spacing_remark, to_zyx, voxel_size
from .formats.registry import open_images
from .formats.source import Images, Partial, Source
from .volume import Grid, Volume

__all__ = ["Series", "open_series"]

Spacing = float | Sequence[float] | None

_LOG = logging.getLogger(__name__)


def open_series(
    path: PathLike, *, spacing: Spacing = None, series: int | None = None, axes: str | None = None
) -> Series:
    """Open an image file of any number of time points and channels, without loading voxels.

    Parameters
    ----------
    path : path
        A file or folder of any kind that :func:`cytoform.read_volume` reads.
    spacing : (3,) float or float, optional
        Voxel size in µm, (z, y, x); by default the file's own.
    series : int, optional
        Which image of the file, counted from 0; by default the first one.
    axes : str, optional
        Names for the axes of the file, in its order, in place of its own; see :func:`cytoform.read_volume`.

    Returns
    -------
    Series
        Close it, or open it in a with statement.

    Raises
    ------
    FileFormatError, BackendError
        When the file is missing, damaged or of another kind, or a library that it needs is missing.
    VolumeError
        When there is no such image, or the axes do not fit.

    Examples
    --------
    >>> with open_series("embryo.ome.tif") as movie:  # doctest: +SKIP
    ...     for volume in movie.volumes(channel=1):
    ...         print(volume.shape, volume.data.max())
    """
    with ExitStack() as stack:
        images = stack.enter_context(open_images(Path(path)))
        source = open_chosen_image(images, series=series, axes=axes)
        size = (
            None if spacing is None else Grid((1, 1, 1), cast(Triple, spacing)).spacing
        )  # Grid accepts one number as well
        return Series(Path(path), images, source, size, series, axes, stack.pop_all())


class Series:
    """An image file that is open: its axes and calibration, and its volumes, which are loaded when they are asked for.

    :func:`open_series` makes one. At any time no more than one volume is loaded by it.

    Attributes
    ----------
    path : Path
    source : Source
        The image as its reader describes it, with the axes of the file.
    images : Images
        All images of the file.
    remarks : tuple of str
        What was assumed, set aside or left out, one sentence each.
    """

    def __init__(
        self,
        path: Path,
        images: Images,
        source: Source,
        spacing: tuple[float, float, float] | None,
        number: int | None,
        axes: str | None,
        stack: ExitStack,
    ) -> None:
        self.path, self.images, self.source = path, images, source
        self._given_spacing, self._number, self._axes = spacing, number, axes
        self._stack: ExitStack | None = stack
        doubt = "" if spacing is not None else spacing_remark(source)
        self.remarks = (*source.remarks, doubt) if doubt else source.remarks

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """Time points, channels, slices, rows and columns; 1 along an axis that the file has not.

        Colours (RGB) of an image without other channels are its channels.
        """
        t, c, z, y, x, s = (self.source.length(axis) for axis in "TCZYXS")
        return t, c * s if "C" not in self.source.axes else c, z, y, x

    @property
    def times(self) -> int:
        """Number of time points, at least 1."""
        return max(1, self.shape[0])

    @property
    def channels(self) -> int:
        """Number of channels, at least 1."""
        return max(1, self.shape[1])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Number type of the voxels."""
        return self.source.dtype

    @property
    def format(self) -> str:
        """Name of the file's format."""
        return self.source.format

    @property
    def spacing(self) -> tuple[float, float, float] | None:
        """Voxel size in µm, (z, y, x): the given one, else the file's; None where that is not complete."""
        return self._given_spacing or self.source.complete_spacing

    @property
    def known_spacing(self) -> Partial:
        """What the file says of the voxel size in µm, (z, y, x); None along axes of which it says nothing."""
        return self.source.known_spacing

    @property
    def frame_interval(self) -> float | None:
        """Seconds from one time point to the next, None where the file does not say."""
        return self.source.frame_interval

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Names of the channels, empty where the file gives none."""
        return self.source.channel_names

    def volume(self, *, time: int | None = None, channel: int | None = None) -> Volume:
        """Load one channel at one time point.

        Parameters
        ----------
        time, channel : int, optional
            Counted from 0. Needed where there are several.

        Returns
        -------
        Volume
            As :func:`cytoform.read_volume` describes it. The series' remarks are logged as warnings, once for a file.

        Raises
        ------
        FileFormatError
            When the data are cut short or cannot be decoded.
        VolumeError
            When the series is closed or not 3D, a choice is missing or out of range, there is no voxel size, values are
            not finite, or they do not fit into memory.
        """
        if self._stack is None:
            raise VolumeError(f"{self.path} was closed; expected an open series.", remedy="Open it with open_series.")
        index, chosen = choose_index(self.source, self.images, channel=channel, time=time)
        size = voxel_size(self.source) if self._given_spacing is None else self._given_spacing
        data = to_zyx(_load_part(self.source, index), self.source, index)
        for remark in self.remarks:
            _warn_once(str(self.path), _modification_time(self.path), remark)
        origin = self.source.origin_at(size)
        return Volume(data, size, origin, self.path.name, self._source_record(chosen, size), self.remarks)

    def volumes(self, *, channel: int | None = None) -> Iterator[Volume]:
        """Load all time points of a channel one by one, (t, z, y, x); errors as in :meth:`volume`."""
        for time in range(self.times):
            yield self.volume(time=time, channel=channel)

    def __len__(self) -> int:
        return self.times

    def __iter__(self) -> Iterator[Volume]:
        return self.volumes()

    def close(self) -> None:
        """Close the file; volumes that were loaded stay."""
        if self._stack is not None:
            self._stack.close()
            self._stack = None

    def __enter__(self) -> Series:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Series {self.path.name!r}, {self.format}, (t, c, z, y, x) = {self.shape}, {self.dtype}>"

    def _source_record(self, chosen: dict[str, int | None], size: tuple[float, float, float]) -> dict[str, Any]:
        # What is needed to read the volume again, as plain values.
        given = self._given_spacing is not None
        return {
            "path": os.path.abspath(self.path),
            "format": self.format,
            "series": int(self._number or 0),
            **chosen,
            "axes": None if self._axes is None else self.source.axes,
            "spacing": list(size) if given else None,
            "spacing_from": "given" if given else "file",
        }


def _load_part(source: Source, index: tuple[int | slice, ...]) -> Any:
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
def _warn_once(path: str, stamp: int, remark: str) -> None:
    # Once for a state of a file: a film is read time point by time point.
    _LOG.warning("%s: %s", path, remark)


def _modification_time(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
