"""Choose the image, the names of its axes, the channel, the time point and the voxel size of an image file."""

from __future__ import annotations

import dataclasses
import math
import operator
from typing import Any

import numpy as np

from ..errors import VolumeError
from .formats.source import Array, Entry, Images, Index, Source

__all__ = [
    "LETTERS",
    "choose_index",
    "describe_entry",
    "open_chosen_image",
    "remedy_for_2d",
    "spacing_remark",
    "spacing_remedy",
    "to_zyx",
    "voxel_size",
]

LETTERS = "TCZYXS"
_AXIS_WORDS = {"T": "time points", "C": "channels", "Z": "slices", "S": "colours"}
_OTHER_AXES = {"H": "lifetime", "P": "phase", "A": "angle", "E": "wavelength", "R": "region", "M": "mosaic tile"}
_MAX_LISTED = 6  # images named in a message


# ---------------------------------------------------------------------------------------------------------------------
# The image, and names for its axes


def open_chosen_image(images: Images, *, series: int | None, axes: str | None) -> Source:
    """Open the requested image of a file and name its axes.

    Parameters
    ----------
    images : Images
        All images of the file.
    series : int, optional
        Number of the image, from 0; by default the first one, with a remark where there are more.
    axes : str, optional
        Names for the axes of the file. With one more than an image has, images of one shape are stacked along it. By
        default the file's own names; axes without a name are guessed.

    Returns
    -------
    Source
        The image, without loaded voxels.

    Raises
    ------
    VolumeError
        When there is no such image, or the names do not fit.
    """
    given_axes = None if axes is None else _check_axis_letters(axes)
    count = len(images.entries)
    number = 0 if series is None else _whole_number(series, "series")
    if not 0 <= number < count:
        raise VolumeError(
            f"series is {series}, but {images.path} holds {count} {'image' if count == 1 else 'images'}; expected "
            f"{'0' if count == 1 else f'0 to {count - 1}'}.",
            remedy="Images count from 0; cytoform info lists them.",
        )
    if given_axes is not None and series is None and _can_be_stacked(images, given_axes):
        return _with_given_axes(_stack_images(images), given_axes)
    source = images.entries[number].open()
    if count > 1 and series is None:
        source = source.with_remarks(_remark_on_several(images))
    return _with_guessed_axes(source) if given_axes is None else _with_given_axes(source, given_axes)


def _remark_on_several(images: Images) -> str:
    """Return the remark on a file with several images: their number, what they are, and that the first one is read."""
    count = len(images.entries)
    lines = [describe_entry(e) for e in images.entries]
    if len(set(lines)) == 1:
        same = f"it holds {count} images, each {lines[0]}; the first one is read"
        return f"{same}, series=N (--series N) chooses another."
    listed = "; ".join(f"{i}: {line}" for i, line in enumerate(lines[:_MAX_LISTED]))
    more = f"; and {count - _MAX_LISTED} more" if count > _MAX_LISTED else ""
    return f"it holds {count} images ({listed}{more}); the first one is read, series=N (--series N) chooses another."


def _check_axis_letters(axes: str) -> str:
    """Return the user's names of the axes in capitals.

    VolumeError is raised unless they are letters of T, C, Z, Y, X and S, none repeated, with Y and X among them.
    """
    wanted = str(axes).strip().upper()
    good = set(wanted) <= set(LETTERS) and len(set(wanted)) == len(wanted) and {"Y", "X"} <= set(wanted)
    if not good:
        raise VolumeError(
            f"axes is {axes!r}; expected a letter for each axis of the file, Y and X among them, none twice.",
            remedy="T is time, C channel, Z slice, Y row, X column, S colour: for example axes='ZYX' (--axes ZYX).",
        )
    return wanted


def _with_given_axes(source: Source, wanted: str) -> Source:
    """Return the image with its axes named by the user, one letter for each.

    Where there are fewer letters than axes, axes of length 1 are dropped, the first ones first; VolumeError is raised
    if the numbers still differ.
    """
    unit_length = {i for i, n in enumerate(source.shape) if n == 1}
    if len(wanted) < len(source.shape):
        source = source.without_axes(set(list(sorted(unit_length))[: len(source.shape) - len(wanted)]))
    if len(wanted) != len(source.shape):
        raise VolumeError(
            f"axes={wanted!r} names {len(wanted)} axes, but {source.path} has {len(source.shape)}, of lengths "
            f"{_format_shape(source)} (by itself: {_format_axes(source.axes)}); expected a letter for each.",
            remedy="T is time, C channel, Z slice, Y row, X column, S colour.",
        )
    return dataclasses.replace(source.with_axes(wanted), refusal=None)


def _with_guessed_axes(source: Source) -> Source:
    """Return the image with guessed names for its axes without one (letter "?"), and a remark on the guess.

    Such axes of length 1 are dropped; the others are taken as Z, then T, then C, as far as these are free. No remark is
    needed where the only one is Z.
    """
    source = source.without_axes({i for i, (a, n) in enumerate(zip(source.axes, source.shape)) if a == "?" and n == 1})
    unnamed = [i for i, a in enumerate(source.axes) if a == "?"]
    named = source.with_axes(_guess_axes(source.axes))
    names = [named.axes[i] for i in unnamed]
    if names in ([], ["Z"]) or "?" in names:
        return named
    what = ", ".join(f"{source.shape[p]} {_AXIS_WORDS[a]}" for p, a in zip(unnamed, names))
    return named.with_remarks(
        f"{'axes without a name are' if len(unnamed) > 1 else 'an axis without a name is'} taken as {what} "
        f"({named.axes}); pass axes='{named.axes}' (--axes {named.axes}) or another order to be certain."
    )


def _guess_axes(axes: str) -> str:
    """Return the axes with each "?" replaced by a free letter of Z, T and C, or unchanged if too few are free."""
    count, free = axes.count("?"), [a for a in "ZTC" if a not in axes]
    names = iter(sorted(free[:count], key="TCZ".index) if count <= len(free) else "?" * count)
    return "".join(next(names) if a == "?" else a for a in axes)


def describe_entry(entry: Entry) -> str:
    """Describe an image of a file in one line: its name, axes and shape."""
    label = f"{entry.name}, " if entry.name else ""
    return f"{label}{_guess_axes(entry.axes)} = {' × '.join(str(n) for n in entry.shape)}"


def _can_be_stacked(images: Images, wanted: str) -> bool:
    """Tell whether a file has several images of one shape and dtype, with one axis less than `wanted` names."""
    first = images.entries[0]
    alike = all((e.shape, e.dtype) == (first.shape, first.dtype) for e in images.entries)
    return len(images.entries) > 1 and alike and len(wanted) == len(first.shape) + 1


def _stack_images(images: Images) -> Source:
    """Return the images of a file, all of one shape, as one with a further first axis; each is opened when read."""
    entries = images.entries
    first = entries[0].open()

    def load(index: Index) -> Array:
        if not isinstance(index[0], slice):
            return entries[index[0]].open().load(index[1:])
        parts = [entry.open().load(index[1:]) for entry in entries[index[0]]]
        return np.stack(parts)

    return dataclasses.replace(
        first.with_remarks(f"its {len(entries)} images of shape {first.shape} are stacked."),
        axes="?" + first.axes,
        shape=(len(entries), *first.shape),
        chunks=(1, *first.chunks),
        load=load,
        steps=None if first.steps is None else (None, *first.steps),
        starts=None if first.starts is None else (0.0, *first.starts),
        coarse=None,
    )


def _format_shape(source: Source) -> str:
    """Return the lengths of the axes as text, such as "3 × 64 × 64"."""
    return " × ".join(str(n) for n in source.shape)


def _format_axes(axes: str) -> str:
    """Return the letters of the axes as text, with a note if an axis has no name ("?")."""
    return axes + (" (? has no name)" if "?" in axes else "")


# ---------------------------------------------------------------------------------------------------------------------
# Channel and time, and bringing axes in order


def choose_index(
    source: Source, images: Images, *, channel: int | None, time: int | None
) -> tuple[Index, dict[str, int | None]]:
    """Return the index of one channel at one time point in a file's array.

    Parameters
    ----------
    source : Source
        The image.
    images : Images
        All images of the file, for the remedies in messages.
    channel : int or None
        Number of the channel, from 0; may be None where there is only one. Of a colour image, the colour.
    time : int or None
        Number of the time point, from 0; may be None where there is only one.

    Returns
    -------
    index : tuple of int or slice
        One entry for each axis of the file: a number where one is chosen, a full slice for z, y and x.
    chosen : dict
        "channel" and "time"; None where the file has only one.

    Raises
    ------
    VolumeError
        When it is not 3D, or a choice is missing or out of range.
    CytoformError
        The error that the reader attached to the image (``source.refusal``).
    """
    if source.refusal is not None:
        raise source.refusal
    _check_axes(source, images)
    channel_axis = "S" if source.length("S") > 1 and source.length("C") == 1 else "C"
    if channel_axis == "S" and channel is None:
        count = source.length("S")
        raise VolumeError(
            f"{source.path} is a colour (RGB) image, {source.axes} = {_format_shape(source)}; expected one channel.",
            remedy=f"Choose one with channel=N or --channel N, 0 to {count - 1}, or convert it to grey values.",
        )
    numbers = {
        channel_axis: _choose_entry(source, channel_axis, "channels", "channel", channel),
        "T": _choose_entry(source, "T", "time points", "time", time),
    }
    index = tuple(slice(None) if axis in "ZYX" else numbers.get(axis, 0) for axis in source.axes)
    chosen = {
        "channel": numbers[channel_axis] if source.length(channel_axis) > 1 else None,
        "time": numbers["T"] if source.length("T") > 1 else None,
    }
    return index, chosen


def _choose_entry(source: Source, axis: str, what: str, flag: str, chosen: int | None) -> int:
    """Return the number chosen along an axis, 0 where it is None and the axis has length 1.

    `what` names the entries of the axis in messages and `flag` the option; VolumeError is raised for a number that is
    missing or out of range.
    """
    count = source.length(axis)
    if chosen is None:
        if count > 1:
            raise VolumeError(
                f"{source.path} has {count} {what}; expected one.",
                remedy=f"Choose one with {flag}=N or --{flag} N, 0 to {count - 1}.",
            )
        return 0
    number = _whole_number(chosen, flag)
    if not 0 <= number < count:
        raise VolumeError(
            f"{flag} is {chosen}, but {source.path} has {count} {what}; expected 0 to {count - 1}.",
            remedy=f"Numbers count from 0; pass another {flag}= or --{flag}.",
        )
    return number


def _whole_number(chosen: Any, flag: str) -> int:
    """Return a chosen number as int; raise VolumeError, which names the option `flag`, unless it is a whole number."""
    try:
        if isinstance(chosen, bool | np.bool_):
            raise TypeError
        return operator.index(chosen)
    except TypeError:
        raise VolumeError(
            f"{flag} is {chosen!r}, of type {type(chosen).__name__}; expected a whole number, counted from 0.",
            remedy=f"Pass for example {flag}=0.",
        ) from None


def _check_axes(source: Source, images: Images) -> None:
    """Raise VolumeError unless the image is 3D: slices, rows and columns, beside them channels and time points only."""
    other = [a for a, n in zip(source.axes, source.shape) if a not in LETTERS and n > 1]
    if other:
        kinds = [_OTHER_AXES.get(a, "no name" if a == "?" else f"the letter {a}") for a in other]
        raise VolumeError(
            f"{source.path} has axes {_format_axes(source.axes)} of lengths {_format_shape(source)}, among them "
            f"{' and '.join(kinds)}; expected slices, rows and columns, with channels and time points.",
            remedy="Name its axes with axes= or --axes, a letter each, such as TCZYX; or save one 3D image out of it.",
        )
    if source.length("S") > 1 and source.length("C") > 1:
        raise VolumeError(
            f"{source.path} has {source.length('C')} channels of {source.length('S')} colours each; expected one value "
            "a voxel.",
            remedy="Split its colours, in Fiji with Image > Color > Split Channels, and save one of them.",
        )
    if math.prod(source.shape) == 0:
        raise VolumeError(
            f"{source.path} is empty, {source.axes} = {_format_shape(source)}; expected at least one voxel."
        )
    if not {"Y", "X"} <= set(source.axes) or source.length("Z") == 1:
        raise _error_of_2d(source, images)


def _error_of_2d(source: Source, images: Images) -> VolumeError:
    """Return the error for a 2D image; its remedy is to choose another image, stack images or rename an axis."""
    count = len(images.entries)
    alike = len({e.shape for e in images.entries}) == 1
    several = f" holds {count} images{' of this shape' if alike else ''}, and this one" if count > 1 else ""
    return VolumeError(
        f"{source.path}{several} is a 2D image, {_format_axes(source.axes)} = {_format_shape(source)}; "
        "expected 3D, (z, y, x).",
        remedy=remedy_for_2d(source, images) or "Use a stack with several slices.",
    )


def remedy_for_2d(source: Source, images: Images) -> str:
    """Return advice on how to read a 2D image as 3D, in one or two sentences.

    The text is empty for a 3D image and where no advice is known. The advice is to choose another image of the file
    that is 3D, to stack its images, or to name an axis of channels, time points or colours Z.
    """
    if source.length("Z") > 1 or not {"Y", "X"} <= set(source.axes):
        return ""
    volumes = [
        str(i) for i, e in enumerate(images.entries) if any(a in "Z?" and n > 1 for a, n in zip(e.axes, e.shape))
    ]
    if volumes:
        return (
            f"Of the file's images, {' and '.join(volumes[:_MAX_LISTED])} is 3D: choose it with series=N or --series N."
        )
    hints = []
    count = len(images.entries)
    if count > 1 and len({(e.shape, e.dtype) for e in images.entries}) == 1 and "Z" not in source.axes:
        axes = "Z" + source.axes
        hints.append(
            f"If its {count} images are slices that were saved one by one, pass axes='{axes}' (--axes {axes}): "
            "then they are stacked."
        )
    for axis in "CTS":
        if source.length(axis) > (4 if axis == "S" else 1):
            axes = "".join(a.replace(axis, "Z") for a, n in zip(source.axes, source.shape) if n > 1 or a in "YX")
            what = f"its {source.length(axis)} {_AXIS_WORDS[axis]}"
            hints.append(f"If {what} are slices, pass axes='{axes}' (--axes {axes}).")
    return " ".join(hints)


def to_zyx(data: Array, source: Source, index: Index) -> Array:
    """Return loaded data with the axes in the order (z, y, x), contiguous and in the machine's byte order.

    `index` is the one they were loaded with: its slices are the axes that `data` has.
    """
    axes = [a for a, i in zip(source.axes, index) if isinstance(i, slice)]
    data = data.transpose([axes.index(a) for a in "ZYX"])
    return np.ascontiguousarray(data, dtype=data.dtype.newbyteorder("="))


# ---------------------------------------------------------------------------------------------------------------------
# Voxel size


def voxel_size(source: Source) -> tuple[float, float, float]:
    """Return the file's voxel size in µm, (z, y, x).

    Raises
    ------
    VolumeError
        When the file does not give all of it; the message states what is known and which option to pass.
    """
    complete = source.complete_spacing
    if complete is not None:
        return complete
    known = [f"d{a} = {v:g} µm" for a, v in zip("zyx", source.known_spacing) if v is not None]
    found = f", only {', '.join(known)}" if known else ""
    raise VolumeError(
        f"{source.path} does not give its voxel size{found}; expected micrometres along z, y and x.{source.hint}",
        remedy=spacing_remedy(source),
    )


def spacing_remedy(source: Source) -> str:
    """Return advice on which voxel size to pass, with the numbers in µm that the file gives."""
    z, y, x = source.known_spacing
    if z is None and y is not None and x is not None:
        if source.unit_step is not None:
            text = ",".join(f"{v:g}" for v in (source.unit_step, y, x))
            spaced = text.replace(",", ", ")
            return f"If that is right, pass spacing=({spaced}) in µm, on the command line --spacing {text}."
        return (
            f"Pass spacing=(dz, {y:g}, {x:g}) in µm with the distance dz of the slices, on the command line --spacing "
            f"dz,{y:g},{x:g}."
        )
    return "Pass spacing=(dz, dy, dx) in µm, on the command line --spacing Z Y X."


def spacing_remark(source: Source) -> str:
    """Return a warning about sizes of exactly 1 µm, which many programs write by default, or an empty text."""
    size = source.complete_spacing
    if size is None:
        return ""
    z, y, x = (d == 1.0 for d in size)
    if z and y and x:
        return "its voxel size is exactly 1 µm each way: many programs write 1 where they know none; check, --spacing."
    if z:
        return (
            f"its z step is exactly 1 µm beside {size[2]:g} across: many programs write 1 where they know no z step; "
            "check, --spacing."
        )
    if y and x:
        return (
            f"its voxels are exactly 1 µm across beside a z step of {size[0]:g} µm: many programs write 1 where they "
            "know no voxel size; check, --spacing."
        )
    return ""
