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
        A file or folder of any format that :func:`cytoform.read_volume` reads.
    spacing : (3,) float or float, optional
        Voxel size in µm, (z, y, x); by default the file's own.
    series : int, optional
        Number of the image in the file, from 0; by default the first one.
    axes : str, optional
        Names for the axes of the file, in its order, in place of its own: T time, C channel, Z slice, Y row, X column,
        S colour. With one axis more than its images have, images of one shape are stacked along the first one.

    Returns
    -------
    Series
        The open file. Close it, or open it in a with statement.

    Raises
    ------
    FileFormatError
        When the file is missing, damaged or of another kind.
    BackendError
        When a library that the format needs is not installed.
    VolumeError
        When there is no such image, or the axes do not fit.
    GridError
        When the given spacing is not positive.

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
    """An open image file: its axes and calibration, and its volumes, which are loaded one at a time on request.

    :func:`open_series` makes one. Iterating over it gives the volumes of all time points; its length is their number.

    Parameters
    ----------
    path : Path
        Path of the file or folder.
    images : Images
        All images of the file.
    source : Source
        The chosen image as its reader describes it, with the axes of the file.
    spacing : (3,) float or None
        Voxel size in µm, (z, y, x), given by the user; None takes the file's own.
    number : int or None
        Number of the chosen image as the user gave it; None stands for the first one.
    axes : str or None
        Names of the axes as the user gave them; None where the file's own are used.
    stack : ExitStack
        Closes the file.

    Attributes
    ----------
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
        """Keep what :func:`open_series` opened and chose; the parameters are those of the class."""
        self.path, self.images, self.source = path, images, source
        self._given_spacing, self._number, self._axes = spacing, number, axes
        self._stack: ExitStack | None = stack
        doubt = "" if spacing is not None else spacing_remark(source)
        self.remarks = (*source.remarks, doubt) if doubt else source.remarks

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """Number of time points, channels, slices, rows and columns; 1 along an axis that the file lacks.

        Colours (RGB) of an image without other channels count as its channels.
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
        """Voxel size in µm, (z, y, x): the given one, else the file's; None where the file does not give all of it."""
        return self._given_spacing or self.source.complete_spacing

    @property
    def known_spacing(self) -> Partial:
        """Voxel size in µm, (z, y, x), that the file gives; None along each axis for which it gives none."""
        return self.source.known_spacing

    @property
    def frame_interval(self) -> float | None:
        """Time from one time point to the next in s; None where the file does not give it."""
        return self.source.frame_interval

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Names of the channels, empty where the file gives none."""
        return self.source.channel_names

    def volume(self, *, time: int | None = None, channel: int | None = None) -> Volume:
        """Load one channel at one time point.

        Parameters
        ----------
        time : int, optional
            Number of the time point, from 0. Needed where there are several.
        channel : int, optional
            Number of the channel, from 0. Needed where there are several.

        Returns
        -------
        Volume
            (z, y, x), as :func:`cytoform.read_volume` describes it. The series' remarks are logged as warnings, once
            for a file.

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
        """Load all time points of a channel one after another.

        Parameters
        ----------
        channel : int, optional
            Number of the channel, from 0. Needed where there are several.

        Yields
        ------
        Volume
            (z, y, x), one for each time point. Errors are those of :meth:`volume`.
        """
        for time in range(self.times):
            yield self.volume(time=time, channel=channel)

    def __len__(self) -> int:
        return self.times

    def __iter__(self) -> Iterator[Volume]:
        return self.volumes()

    def close(self) -> None:
        """Close the file; volumes that were loaded stay usable."""
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
        """Return what is needed to read the volume again, as plain values.

        These are path, format, series, channel, time, axes and spacing.

        `chosen` holds channel and time; `size` is the voxel size in µm, (z, y, x), which is kept only where the user
        gave it.
        """
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
    """Load the part of an image that `index` selects; raise VolumeError where it does not fit into memory.

    `index` has a number or a slice for each axis of the file.
    """
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
    """Log a remark on a file as a warning, once for each state of the file (`stamp`, its time of modification).

    A movie is read time point by time point, and would repeat its remarks at each of them.
    """
    _LOG.warning("%s: %s", path, remark)


def _modification_time(path: Path) -> int:
    """Return when a file was last changed in ns since 1970; 0 where the system does not say."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
