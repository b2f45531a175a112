"""Read the metadata of OME-Zarr (NGFF 0.1 to 0.6): axes, units and the transformation from voxel indices to µm.

Source: ngff.openmicroscopy.org, versions 0.1 to 0.5 and the specification of coordinate systems in 0.6.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from .source import to_micrometres, to_seconds

__all__ = ["Description", "describe_array", "is_known_version"]

_KNOWN = re.compile(r"0\.[1-6](\D.*)?$")
_TYPES = {"time": "T", "channel": "C"}


@dataclasses.dataclass(frozen=True)
class Description:
    """What the metadata of OME-Zarr say of one array.

    Parameters
    ----------
    axes : str
        A letter for each axis; "?" is an axis of unknown meaning.
    steps : tuple of float or None
        Length of a voxel along each axis in µm; None where it is unknown or no length.
    starts : tuple of float
        Position of the first voxel along each axis in µm.
    frame_interval : float or None
        Time from one time point to the next in s; None where it is unknown.
    hint : str
        A sentence on an incomplete voxel size, which begins with a space; empty where it is complete.
    remarks : tuple of str
        What was assumed or left out, one sentence each.
    """

    axes: str
    steps: tuple[float | None, ...]
    starts: tuple[float, ...]
    frame_interval: float | None
    hint: str
    remarks: tuple[str, ...]


def is_known_version(version: str) -> bool:
    """Tell whether a version of the NGFF specification is one of 0.1 to 0.6, a draft of these, or empty."""
    return not version or _KNOWN.match(version) is not None


def describe_array(scales: Mapping[str, Any], level: Mapping[str, Any], ndim: int) -> Description:
    """Return the axes, the voxel size and the origin of an array of an OME-Zarr.

    The transformations of the level, then those of the image, are joined to one scale and shift for each axis; others
    are named in a remark, and leave the voxel size unknown where they may change it.

    Parameters
    ----------
    scales : mapping
        The image's entry of "multiscales".
    level : mapping
        The array's entry of its "datasets".
    ndim : int
        Number of axes of the array.

    Returns
    -------
    Description
        Axes, voxel size and origin, with remarks.

    Raises
    ------
    ValueError
        When the number of axes is not the array's, or a transformation has the wrong length.
    """
    if "coordinateSystems" in scales:
        entries, transform, remarks = _read_coordinate_systems(scales, level, ndim)
    else:
        entries = [a if isinstance(a, Mapping) else {"name": a} for a in scales.get("axes") or "tczyx"[-ndim:]]
        of_level, of_image = (_transformation_list(d.get("coordinateTransformations")) for d in (level, scales))
        transform, unapplied = _compose([*of_level, *of_image], ndim)
        remarks = [_remark_on_unapplied(unapplied)] if unapplied else []
        if _may_change_voxel_size(unapplied) or not (of_level or of_image):
            transform = None
    if len(entries) != ndim:
        raise ValueError(f"its metadata name {len(entries)} axes, the array has {ndim}")
    axes, guess_remark = _axis_letters(entries)
    if guess_remark:
        remarks.append(guess_remark)
    scale, shift = transform if transform is not None else ([1.0] * ndim, [0.0] * ndim)
    units = [e.get("unit") for e in entries]
    steps = tuple(to_micrometres(s, u) if transform is not None else None for s, u in zip(scale, units))
    starts = tuple(_signed_micrometres(t, u) for t, u in zip(shift, units))
    if any(s < 0 for s in scale):
        remarks.append(f"its scale {tuple(scale)} has negative numbers; their size is taken, and nothing is mirrored.")
    if any(t and to_micrometres(t, u) is None for t, u in zip(shift, units)):
        remarks.append(f"its translation {tuple(shift)} has no unit of length; the origin is taken as 0 there.")
    interval = None
    if "T" in axes and transform is not None:
        interval = to_seconds(scale[axes.index("T")], units[axes.index("T")])
    hint = "" if transform is None else f" Its scale is {tuple(scale)} with units {tuple(units)}."
    complete = all(a in axes and steps[axes.index(a)] is not None for a in "ZYX")
    return Description(axes, steps, starts, interval, "" if complete else hint, tuple(remarks))


def _signed_micrometres(value: float, unit: Any) -> float:
    """Return a position with a unit in µm, with its sign; 0 where value or unit cannot be used."""
    size = to_micrometres(value, unit) or 0.0
    return -size if value < 0 else size


def _axis_letters(entries: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Return a letter for each entry of the metadata's "axes", and a remark where the order decided, else empty.

    A letter follows from the axis's type (time, channel, space), then from its name; axes of space with other names are
    X, Y and Z from the last one on. An axis of unknown meaning, or a letter that occurs twice, becomes "?".
    """
    letters = []
    for entry in entries:
        name, kind = str(entry.get("name", "")), str(entry.get("type", "") or "").lower()
        first = name[:1].upper()
        if kind in _TYPES:
            letters.append(_TYPES[kind])
        elif kind == "space":
            letters.append(first if len(name) == 1 and first in "ZYX" else "s")
        elif not kind:
            letters.append(first if len(name) == 1 and first in "TCZYX" else "?")
        else:
            letters.append("?")
    by_name = {"time": "T", "channel": "C", "depth": "Z", "height": "Y", "width": "X"}
    letters = [by_name.get(str(e.get("name", "")).lower(), a) if a == "?" else a for a, e in zip(letters, entries)]
    free = [a for a in "XYZ" if a not in letters]
    taken = []
    for position in range(len(letters) - 1, -1, -1):
        if letters[position] == "s":
            letters[position] = free.pop(0) if free else "?"
            taken.append(f"{entries[position].get('name')!r} as {letters[position].lower()}")
    axes = "".join(letters)
    repeated = [a for a in set(axes) if a != "?" and axes.count(a) > 1]
    if repeated:
        axes = "".join("?" if a in repeated else a for a in axes)
    return axes, f"its axes are taken by their order: {', '.join(reversed(taken))}." if taken else ""


# ---------------------------------------------------------------------------------------------------------------------
# Transformations that only stretch and shift

ScaleShift = tuple[list[float], list[float]]  # position = scale * index + shift, axis by axis


def _transformation_list(transformations: Any) -> list[Mapping[str, Any]]:
    """Return the transformations of the metadata that are mappings; none where the metadata have none."""
    return [t for t in transformations or () if isinstance(t, Mapping)]


def _compose(steps: Sequence[Mapping[str, Any]], ndim: int) -> tuple[ScaleShift, list[str]]:
    """Join transformations to one scale and shift for each axis; return them and the types of those left out.

    A transformation is left out where it does more than scale and shift each axis.
    """
    scale, shift = [1.0] * ndim, [0.0] * ndim
    unapplied = []
    for step in steps:
        transform = _scale_shift(step, ndim)
        if transform is None:
            unapplied.append(str(step.get("type")))
            continue
        scale = [a * b for a, b in zip(scale, transform[0])]
        shift = [t * b + c for t, b, c in zip(shift, *transform)]
    return (scale, shift), unapplied


def _may_change_voxel_size(kinds: Sequence[str]) -> bool:
    """Tell whether one of these types of transformation may change the voxel size.

    All types may, but displacement and coordinate fields.
    """
    return not {"displacements", "coordinates"}.issuperset(kinds)


def _remark_on_unapplied(kinds: Sequence[str]) -> str:
    """Return the remark that transformations of these types are not applied."""
    return f"its metadata have transformations ({', '.join(sorted(set(kinds)))}) that are not applied."


def _scale_shift(step: Mapping[str, Any], ndim: int) -> ScaleShift | None:
    """Return a transformation as scale and shift of each axis, or None where it does more or is of unknown type.

    Lists of the wrong length raise ValueError.
    """
    kind = step.get("type")
    ones, zeros = [1.0] * ndim, [0.0] * ndim
    if kind == "identity":
        return ones, zeros
    if kind == "scale" and "scale" in step:
        return _parse_numbers(step["scale"], ndim), zeros
    if kind == "translation" and "translation" in step:
        return ones, _parse_numbers(step["translation"], ndim)
    if kind == "sequence":
        transform, unapplied = _compose(_transformation_list(step.get("transformations")), ndim)
        return None if unapplied else transform
    if kind == "mapAxis":
        return (ones, zeros) if list(step.get("mapAxis", ())) == list(range(ndim)) else None
    if kind in ("affine", "rotation") and kind in step:
        return _scale_shift_of_matrix(step[kind], ndim)
    if kind == "byDimension":
        return _scale_shift_by_dimension(step, ndim)
    return None


def _parse_numbers(values: Any, ndim: int) -> list[float]:
    """Return the numbers of a transformation as floats; raise ValueError unless there are `ndim`."""
    numbers = [float(v) for v in values]
    if len(numbers) != ndim:
        raise ValueError(f"a transformation has {len(numbers)} numbers, the array has {ndim} axes")
    return numbers


def _scale_shift_of_matrix(rows: Any, ndim: int) -> ScaleShift | None:
    """Return the diagonal and the last column of an affine matrix, or None where it is not diagonal.

    The matrix has the shape (ndim, ndim), whose shift is 0, or (ndim, ndim + 1).
    """
    matrix = [[float(v) for v in row] for row in rows]
    if len(matrix) != ndim or any(len(row) not in (ndim, ndim + 1) for row in matrix):
        return None
    if any(matrix[i][j] for i in range(ndim) for j in range(ndim) if i != j):
        return None
    return [matrix[i][i] for i in range(ndim)], [row[ndim] if len(row) > ndim else 0.0 for row in matrix]


def _scale_shift_by_dimension(step: Mapping[str, Any], ndim: int) -> ScaleShift | None:
    """Return the scale and shift of a transformation of type "byDimension", or None where it does more."""
    scale, shift = [1.0] * ndim, [0.0] * ndim
    for part in _transformation_list(step.get("transformations")):
        inputs, outputs = (part.get(f"{d}_axes", part.get(f"{d}Axes")) for d in ("input", "output"))
        inner = part.get("transformation", part)
        if not inputs or list(inputs) != list(outputs or ()):
            return None
        if not all(isinstance(i, int) and 0 <= i < ndim for i in inputs):
            return None
        transform = _scale_shift(inner, len(inputs))
        if transform is None:
            return None
        for axis, a, b in zip(inputs, *transform):
            scale[axis], shift[axis] = a, b
    return scale, shift


# ---------------------------------------------------------------------------------------------------------------------
# Coordinate systems (0.6)


def _system_name(end: Any) -> str:
    """Return the name of a coordinate system at the input or output of a transformation; empty where it has none."""
    return str(end.get("name", "") or end.get("path", "")) if isinstance(end, Mapping) else str(end or "")


def _count_length_axes(system: Mapping[str, Any]) -> int:
    """Return the number of axes of a coordinate system that are of type space with a unit of length."""
    return sum(
        a.get("type") == "space" and to_micrometres(1, a.get("unit")) is not None for a in system.get("axes", ())
    )


def _read_coordinate_systems(
    scales: Mapping[str, Any], level: Mapping[str, Any], ndim: int
) -> tuple[list[Mapping[str, Any]], ScaleShift | None, list[str]]:
    """Return axes, scale and shift, and remarks from metadata that list coordinate systems (NGFF 0.6).

    The level's transformations lead to the intrinsic system, in which an image is to be viewed and processed. Where
    another transformation of the image leads from there to a system with more axes of known length, that system is
    taken. The scale and shift are None where the voxel size is unknown.
    """
    systems = {str(s.get("name")): s for s in scales["coordinateSystems"]}
    steps = _transformation_list(level.get("coordinateTransformations"))
    target = next((_system_name(t.get("output")) for t in reversed(steps) if t.get("output")), "")
    system = systems.get(target)
    remarks = []
    if system is None:
        if not systems:
            raise ValueError("its metadata list no coordinate system")
        target, system = next(iter(systems.items()))
        if len(systems) > 1:
            remarks.append(f"its metadata do not tell which coordinate system its voxels have; {target!r} is taken.")
    transform, unapplied = _compose(steps, ndim)
    further = _transformation_list(scales.get("coordinateTransformations"))
    starting_here = [t for t in further if _system_name(t.get("input")) in ("", target)]
    candidates = [t for t in starting_here if _system_name(t.get("output")) in systems]
    lengths = _count_length_axes(system)
    longer = [t for t in candidates if _count_length_axes(systems[_system_name(t["output"])]) > lengths]
    better = [t for t in longer if _scale_shift(t, ndim)]
    if better:
        target, system = _system_name(better[0]["output"]), systems[_system_name(better[0]["output"])]
        transform, unapplied = _compose([*steps, better[0]], ndim)
        remarks.append(f"its voxel size is that of its coordinate system {target!r}.")
    elif candidates:
        names = ", ".join(repr(_system_name(t.get("output"))) for t in candidates)
        remarks.append(f"it is read in its own coordinate system {target!r}; {names} is not used.")
    if unapplied:
        remarks.append(_remark_on_unapplied(unapplied))
    known = bool(steps) and not _may_change_voxel_size(unapplied)
    return list(system.get("axes", ())), transform if known else None, remarks
