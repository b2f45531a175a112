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
    """One image of a file, before anything is chosen of it.

    Attributes
    ----------
    path : Path
    format : str
        The format's name, for messages.
    axes : str
        A letter for each axis of the file; "?" is one without a name.
    shape : tuple of int
        Length along each axis.
    dtype : numpy.dtype
    spacing : (3,) float or None
        Voxel size in µm, (z, y, x); None, or None along an axis, where the file does not say.
    origin : (3,) float
        Position of the first voxel in µm, (z, y, x).
    load : callable
        Takes a number or a slice for each axis, gives the array.
    chunks : tuple of int
        The part that is stored as one, along each axis.
    hint : str
        What is known about the voxel size when it is not complete.
    unit_step : float or None
        Slice distance in µm that the format means where it gives none.
    frame_interval : float or None
        Seconds from one time point to the next.
    remarks : tuple of str
        What was assumed, set aside or left out, one sentence each.
    refusal : CytoformError or None
        Why it cannot be read as the file describes it; naming its axes overrides that.
    steps, starts : tuple or None
        Voxel size and origin in µm along each axis of the file, for formats that know them by position.
    coarse : Source or None
        The same image at its lowest resolution.
    zero : (3,) float or None
        Index of the voxel at position 0, for formats that position the image so.
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
        """Position of the first voxel in µm, (z, y, x), for voxels of a size in µm."""
        if self.zero is None:
            return self.origin
        z, y, x = (0.0 - index * d for index, d in zip(self.zero, size))
        return z, y, x

    def length(self, axis: str) -> int:
        """Number of entries along an axis, 1 where there is none of this name."""
        return math.prod(n for a, n in zip(self.axes, self.shape) if a == axis)

    @property
    def known_spacing(self) -> Partial:
        """What is known of the voxel size in µm, (z, y, x); None along axes of which the file says nothing."""
        return UNKNOWN if self.spacing is None else self.spacing

    @property
    def complete_spacing(self) -> tuple[float, float, float] | None:
        """Voxel size in µm, or None where a part of it is unknown."""
        z, y, x = self.known_spacing
        return None if z is None or y is None or x is None else (z, y, x)

    def with_remarks(self, *remarks: str) -> Source:
        """The same with further remarks."""
        return dataclasses.replace(self, remarks=(*self.remarks, *remarks)) if remarks else self

    def with_axes(self, axes: str) -> Source:
        """The same with other names for its axes; the voxel size follows where it is known by position."""
        if self.steps is None or self.starts is None:
            return dataclasses.replace(self, axes=axes)
        z, y, x = (axes.rfind(a) for a in "ZYX")  # -1 where the axis is missing
        dz, dy, dx = (self.steps[i] if i >= 0 else None for i in (z, y, x))
        oz, oy, ox = (self.starts[i] if i >= 0 else 0.0 for i in (z, y, x))
        return dataclasses.replace(self, axes=axes, spacing=(dz, dy, dx), origin=(oz, oy, ox))

    def without_axes(self, positions: set[int]) -> Source:
        """The same without some axes of length 1."""
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
    """One of the images of a file, not opened yet: its name, axes, shape, and how to open it."""

    name: str
    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    open: Callable[[], Source]


@dataclasses.dataclass(frozen=True)
class Images:
    """All images of a file, without pyramid levels and thumbnails."""

    path: Path
    entries: tuple[Entry, ...]

    @classmethod
    def single(cls, source: Source) -> Images:
        """A file with one image, which is known already."""
        return cls(source.path, (Entry("", source.axes, source.shape, source.dtype, lambda: source),))


@dataclasses.dataclass(frozen=True)
class ImageFormat:
    """A kind of image file.

    Attributes
    ----------
    name : str
        What such a file is, with an article, for messages: "a TIFF file".
    suffixes : tuple of str
        Ends of its files' names in small letters with the dot: (".ome.tif", ".tif").
    opened : callable
        Takes the path, gives a context manager of :class:`Images`; voxels are loaded while the context lasts. Raises
        :class:`~cytoform.errors.FileFormatError` for a damaged file; whatever else it raises becomes one.
    looks_right : callable, optional
        Takes the path of an existing file or folder, tells by a look at it whether it is of this kind. By default the
        suffix tells.
    """

    name: str
    suffixes: tuple[str, ...]
    opened: Callable[[Path], AbstractContextManager[Images]]
    looks_right: Callable[[Path], bool] | None = None

    def claims(self, path: Path) -> bool:
        """Whether an existing file or folder is of this kind."""
        return bool(suffix_of(path, self.suffixes)) if self.looks_right is None else self.looks_right(path)


def to_micrometres(value: Any, unit: Any) -> float | None:
    """A length in µm, or None where value or unit make no sense."""
    return _convert(value, unit, _UM_PER)


def to_seconds(value: Any, unit: Any) -> float | None:
    """A time in seconds, or None where value or unit make no sense."""
    return _convert(value, unit, _SECONDS_PER)


def _convert(value: Any, unit: Any, factors: dict[str, float]) -> float | None:
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
    """The error of a file whose voxels are not all there."""
    return FileFormatError(
        f"{path} is damaged or cut short: {reason}.", remedy="Copy it again, or export it again from its source."
    )
