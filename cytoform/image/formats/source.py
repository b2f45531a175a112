"""Describe the images of a file: their axes and calibration, and a function that loads their voxels.

A kind of image file is an :class:`ImageFormat`: its suffixes, and a function that opens a file as :class:`Images`. Each
of these is an :class:`Entry` that opens a :class:`Source`. ``tests/image/test_extension.py`` has a complete example.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from ..._typing import Array
from ...errors import CytoformError, FileFormatError
from ...file_registry import suffix_of

__all__ = ["UNKNOWN", "Array", "Entry", "ImageFormat", "Images", "Index", "Partial", "Source", "to_micrometres",
           "to_seconds", "truncation_error"]  # fmt: skip

Partial = tuple[float | None, float | None, float | None]
Index = tuple[int | slice, ...]

UNKNOWN: Partial = (None, None, None)

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

_SECONDS_PER: dict[str, float] = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), 1e-3),
    **dict.fromkeys(("us", "µs", "μs", "usec", "microsecond", "microseconds"), 1e-6),
    **dict.fromkeys(("ns", "nanosecond", "nanoseconds"), 1e-9),
    **dict.fromkeys(("min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
}


@dataclasses.dataclass(frozen=True)
class Source:
    """One image of a file with all its channels and time points, not loaded yet.

    Parameters
    ----------
    path : Path
        Path of the file or folder.
    format : str
        The format's name, for messages.
    axes : str
        A letter for each axis of the file; "?" is an axis without a name.
    shape : tuple of int
        Length of each axis.
    dtype : numpy.dtype
        Number type of the voxels.
    spacing : (3,) float or None
        Voxel size in µm, (z, y, x); None, or None along an axis, where the file does not give it.
    origin : (3,) float
        Position of the first voxel in µm, (z, y, x).
    load : callable
        Takes a tuple with a number or a slice for each axis, returns the array.
    chunks : tuple of int
        Length, along each axis, of the part that is stored as one; empty where it is not known.
    hint : str
        A sentence on an incomplete voxel size, which begins with a space; empty where there is nothing to say.
    unit_step : float or None
        Slice distance in µm that the format implies where the file gives none.
    frame_interval : float or None
        Time from one time point to the next in s; None where the file does not give it.
    remarks : tuple of str
        What was assumed, set aside or left out, one sentence each.
    refusal : CytoformError or None
        Error that is raised when a volume is requested, since the metadata contradict the stored planes; None where
        they agree. Names for the axes, given by the user, remove it.
    steps : tuple of (float or None), or None
        Voxel size in µm along each axis of the file, for formats that give it axis by axis; replaces `spacing` when the
        axes are renamed.
    starts : tuple of float, or None
        Position of the first voxel in µm along each axis of the file, likewise.
    coarse : Source or None
        The same image at its lowest resolution.
    zero : (3,) float or None
        Index (z, y, x) of the voxel at position 0, for formats that give the origin as an index; None takes `origin`.
    channel_names : tuple of str
        Names of the channels, empty where the file gives none.
    """

    path: Path
    format: str
    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    spacing: Partial | None
    origin: tuple[float, float, float]
    load: Callable[[Index], Array]
    chunks: tuple[int, ...] = ()
    hint: str = ""
    unit_step: float | None = None
    frame_interval: float | None = None
    remarks: tuple[str, ...] = ()
    refusal: CytoformError | None = None
    steps: tuple[float | None, ...] | None = None
    starts: tuple[float, ...] | None = None
    coarse: Source | None = None
    zero: tuple[float, float, float] | None = None
    channel_names: tuple[str, ...] = ()

    def origin_at(self, size: Sequence[float]) -> tuple[float, float, float]:
        """Return the position of the first voxel: ``-zero * size`` where ``zero`` is given, else ``origin``.

        Parameters
        ----------
        size : (3,) float
            Voxel size in µm, (z, y, x).

        Returns
        -------
        (3,) float
            In µm, (z, y, x).
        """
        if self.zero is None:
            return self.origin
        z, y, x = (0.0 - index * d for index, d in zip(self.zero, size))
        return z, y, x

    def length(self, axis: str) -> int:
        """Return the length of the axis with a letter, 1 where there is none.

        Parameters
        ----------
        axis : str
            One letter; where several axes have it, their lengths are multiplied.

        Returns
        -------
        int
            Number of entries.
        """
        return math.prod(n for a, n in zip(self.axes, self.shape) if a == axis)

    @property
    def known_spacing(self) -> Partial:
        """Voxel size in µm, (z, y, x); None along each axis for which the file gives none."""
        return UNKNOWN if self.spacing is None else self.spacing

    @property
    def complete_spacing(self) -> tuple[float, float, float] | None:
        """Voxel size in µm, (z, y, x); None where the file does not give all of it."""
        z, y, x = self.known_spacing
        return None if z is None or y is None or x is None else (z, y, x)

    def with_remarks(self, *remarks: str) -> Source:
        """Return the image with further remarks behind its own.

        Parameters
        ----------
        *remarks : str
            One sentence each.

        Returns
        -------
        Source
            The image; itself where there are no remarks.
        """
        return dataclasses.replace(self, remarks=(*self.remarks, *remarks)) if remarks else self

    def with_axes(self, axes: str) -> Source:
        """Return the image with another letter for each axis.

        Where ``steps`` and ``starts`` give voxel size and origin axis by axis, ``spacing`` and ``origin`` follow the
        letters.

        Parameters
        ----------
        axes : str
            The new letters, one for each axis.

        Returns
        -------
        Source
            The image; the voxels are the same.
        """
        if self.steps is None or self.starts is None:
            return dataclasses.replace(self, axes=axes)
        z, y, x = (axes.rfind(a) for a in "ZYX")  # -1 where the axis is missing
        dz, dy, dx = (self.steps[i] if i >= 0 else None for i in (z, y, x))
        oz, oy, ox = (self.starts[i] if i >= 0 else 0.0 for i in (z, y, x))
        return dataclasses.replace(self, axes=axes, spacing=(dz, dy, dx), origin=(oz, oy, ox))

    def without_axes(self, positions: set[int]) -> Source:
        """Return the image without some axes of length 1.

        Parameters
        ----------
        positions : set of int
            Numbers of these axes, from 0.

        Returns
        -------
        Source
            The image; its ``load`` takes an index for the remaining axes.
        """
        keep = [i for i in range(len(self.shape)) if i not in positions]
        if len(keep) == len(self.shape):
            return self

        def load(index: Index) -> Array:
            full: list[int | slice] = [0] * len(self.shape)
            for position, chosen in zip(keep, index):
                full[position] = chosen
            return self.load(tuple(full))

        def kept(values: Any) -> Any:
            return None if values is None else tuple(values[i] for i in keep)

        return dataclasses.replace(
            self,
            axes="".join(self.axes[i] for i in keep),
            shape=kept(self.shape),
            chunks=kept(self.chunks) if self.chunks else (),
            load=load,
            steps=kept(self.steps),
            starts=kept(self.starts),
            coarse=None if self.coarse is None else self.coarse.without_axes(positions),
        )


@dataclasses.dataclass(frozen=True)
class Entry:
    """One image of a file, not opened yet.

    Parameters
    ----------
    name : str
        Name of the image in the file; empty where it has none.
    axes : str
        A letter for each axis of the file; "?" is an axis without a name.
    shape : tuple of int
        Length of each axis.
    dtype : numpy.dtype
        Number type of the voxels.
    open : callable
        Takes nothing, returns the image as a :class:`Source`.
    """

    name: str
    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    open: Callable[[], Source]


@dataclasses.dataclass(frozen=True)
class Images:
    """All images of a file, without pyramid levels and thumbnails.

    Parameters
    ----------
    path : Path
        Path of the file or folder.
    entries : tuple of Entry
        The images, in the order of the file.
    """

    path: Path
    entries: tuple[Entry, ...]

    @classmethod
    def single(cls, source: Source) -> Images:
        """Make the description of a file with one image, which is open already.

        Parameters
        ----------
        source : Source
            The image.

        Returns
        -------
        Images
            With one entry, which has no name.
        """
        return cls(source.path, (Entry("", source.axes, source.shape, source.dtype, lambda: source),))


@dataclasses.dataclass(frozen=True)
class ImageFormat:
    """A format of image files: its suffixes and its reader.

    Parameters
    ----------
    name : str
        What such a file is, with an article, for messages: "a TIFF file".
    suffixes : tuple of str
        Ends of its files' names in small letters with the dot: (".ome.tif", ".tif").
    opened : callable
        Takes the path, returns a context manager of :class:`Images`; voxels are loaded while the context lasts. Raises
        :class:`~cytoform.errors.FileFormatError` for a damaged file; other exceptions are turned into that one.
    looks_right : callable, optional
        Takes the path of an existing file or folder, returns whether it is of this format, as a rule by its first
        bytes. By default the suffix decides.
    """

    name: str
    suffixes: tuple[str, ...]
    opened: Callable[[Path], AbstractContextManager[Images]]
    looks_right: Callable[[Path], bool] | None = None

    def claims(self, path: Path) -> bool:
        """Tell whether an existing path is of this format: by ``looks_right`` where given, else by its suffix.

        Parameters
        ----------
        path : Path
            An existing file or folder.

        Returns
        -------
        bool
            Whether this format shall read it.
        """
        return bool(suffix_of(path, self.suffixes)) if self.looks_right is None else self.looks_right(path)


def to_micrometres(value: Any, unit: Any) -> float | None:
    """Return the absolute value of a length with a unit, such as "nm" or "inch", in µm to 12 digits.

    None where the value is no number, 0 or infinite, or the unit is unknown or missing.
    """
    return _convert(value, unit, _UM_PER)


def to_seconds(value: Any, unit: Any) -> float | None:
    """Return the absolute value of a time with a unit, such as "ms" or "min", in s to 12 digits.

    None where the value is no number, 0 or infinite, or the unit is unknown or missing.
    """
    return _convert(value, unit, _SECONDS_PER)


def _convert(value: Any, unit: Any, factors: dict[str, float]) -> float | None:
    """Return the absolute value times the factor of its unit, to 12 digits; None where value or unit cannot be used.

    `factors` maps units in small letters to factors. Damaged encodings of "µ" are recognised.
    """
    text = re.sub(r"\\u00b5", "µ", str(unit or ""), flags=re.IGNORECASE).strip().lower()
    factor = factors.get(text.replace("\ufffd", "µ").replace("âµ", "µ"))
    try:
        number = abs(float(value))
    except (TypeError, ValueError):
        return None
    if factor is None or not math.isfinite(number) or number == 0:
        return None
    return float(f"{number * factor:.12g}")


def truncation_error(path: Path, reason: str) -> FileFormatError:
    """Return the error for a file whose voxels are not all stored, with the reason."""
    return FileFormatError(
        f"{path} is damaged or cut short: {reason}.", remedy="Copy it again, or export it again from its source."
    )
