"""OME-Zarr folders as sources."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import BackendError, CytoformError, FileFormatError
from .source import UNKNOWN, Array, Partial, Source, truncated, um

__all__ = ["zarr_source"]


def zarr_source(path: Path) -> Source:
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


def _zarr_image(path: Path, node: Any) -> Source:
    if hasattr(node, "shape"):  # an array without metadata around it
        names = getattr(node.metadata, "dimension_names", None) or ()
        axes = "".join(str(n)[:1].upper() for n in names) or "TCZYX"[-node.ndim :]
        return _zarr_level(path, node, axes, UNKNOWN, (0.0, 0.0, 0.0), "")
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
    spacing = tuple(_along(axes, a, [um(s, e.get("unit")) for s, e in zip(scale, entries)]) for a in "ZYX")
    moved = [_signed_um(t, e.get("unit")) for t, e in zip(shift, entries)]
    origin = tuple(_along(axes, a, moved) or 0.0 for a in "ZYX")
    hint = ""
    if None in spacing:
        hint = f" Its scale is {tuple(scale)} with units {tuple(e.get('unit') for e in entries)}."
    return _zarr_level(path, array, axes, spacing, origin, hint)  # type: ignore[arg-type]


def _along(axes: str, axis: str, values: Sequence[float | None]) -> float | None:
    return values[axes.index(axis)] if axis in axes else None


def _signed_um(value: float, unit: Any) -> float:
    return math.copysign(um(value, unit) or 0.0, value)


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
) -> Source:
    def load(index: tuple[int | slice, ...]) -> Array:
        try:
            return np.asarray(array[index])
        except Exception as error:  # a damaged chunk
            raise truncated(path, str(error) or type(error).__name__) from error

    if len(axes) != len(array.shape):
        raise FileFormatError(f"{path} names axes {axes} for an array of shape {tuple(array.shape)}; expected as many.")
    return Source(path, "OME-Zarr", axes, tuple(array.shape), np.dtype(array.dtype), spacing, origin, load, hint)
