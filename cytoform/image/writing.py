"""Write images as TIFF files with their voxel size."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import tifffile

from .._typing import Array, PathLike, Triple
from ..atomic import atomic_path
from ..errors import VolumeError
from .volume import Volume

_LOG = logging.getLogger(__name__)

__all__ = ["write_volume"]


_CLASSIC_TIFF_BYTES = 3_900_000_000  # ImageJ's TIFFs hold 4 GB
_EXACT_IN_FLOAT32 = 2**24  # float32 holds all whole numbers up to here exactly


def write_volume(
    path: PathLike,
    volume: Volume | npt.ArrayLike,
    spacing: float | Sequence[float] | None = None,
) -> None:
    """Write a 3D image as a TIFF file with its voxel size; an error leaves no partial file.

    ``.ome.tif`` and ``.ome.tiff`` give an OME-TIFF, other names a TIFF as ImageJ writes it. OME-TIFF keeps float64 and
    integers of up to 32 bits; ImageJ knows uint8, uint16 and float32 only. Values are stored in the smallest type that
    holds them: bool becomes uint8 (0 and 1), whole numbers become uint8 or uint16 where they fit, else float32 where
    that is exact, else the file is a plain TIFF of the same integers; float16 and, for ImageJ, float64 become float32
    (with float32's 7 digits). uint8, uint16 and float32 are stored as they are.

    Parameters
    ----------
    path : path
        File to write; its folder must exist.
    volume : Volume or (z, y, x) array
        The image.
    spacing : (3,) float or float, optional
        Voxel size in µm, (z, y, x); needed for an array, overrides that of a Volume.

    Raises
    ------
    VolumeError
        When an array comes without a voxel size, or the image is not 3D and finite.
    OutputError
        When the file cannot be written.
    """
    image = _to_volume(volume, spacing)
    name = Path(path).name.lower()
    ome = name.endswith((".ome.tif", ".ome.tiff"))
    data = _to_storable_type(np.asarray(image.data), ome=ome)
    with atomic_path(path, suffix=None if name.endswith((".tif", ".tiff")) else ".tif") as temporary:
        if ome:
            _warn_origin_not_stored(Path(path), image)
            _write_ome(temporary, data, image)
        elif data.dtype.name in ("uint8", "uint16", "float32") and data.nbytes < _CLASSIC_TIFF_BYTES:
            _write_imagej(temporary, data, image)
        else:
            _warn_origin_not_stored(Path(path), image)
            _write_plain(temporary, data, image)


def _to_volume(volume: Volume | npt.ArrayLike, spacing: float | Sequence[float] | None) -> Volume:
    """Return the image as a Volume with the given voxel size in µm; None keeps a Volume's own.

    VolumeError is raised for an array without a voxel size.
    """
    if isinstance(volume, Volume):
        if spacing is None:
            return volume
        return dataclasses.replace(volume, spacing=cast(Triple, spacing))  # Volume accepts one number as well
    if spacing is None:
        raise VolumeError(
            "an array came without a voxel size; expected micrometres along z, y and x.",
            remedy="Pass spacing=(dz, dy, dx), or a Volume.",
        )
    return Volume(np.asarray(volume), cast(Triple, spacing))


def _to_storable_type(data: Array, *, ome: bool) -> Array:
    """Convert (z, y, x) data to the smallest number type that holds their values and that the format knows.

    `ome` means OME-TIFF, which holds integers of up to 32 bits and float64; else ImageJ's TIFF. Integers that ImageJ's
    types cannot hold are returned unchanged; VolumeError is raised for those that OME-TIFF cannot hold.
    """
    if data.dtype.kind == "b":
        return data.astype(np.uint8)
    if data.dtype.kind == "f":
        return data.astype(data.dtype.newbyteorder("=") if ome and data.dtype.itemsize == 8 else np.float32)
    storable = ("uint8", "uint16", "int8", "int16", "int32", "uint32") if ome else ("uint8", "uint16")
    if data.dtype.name in storable:
        return data
    low, high = int(data.min()), int(data.max())
    kinds = (np.uint8, np.uint16, np.int32, np.uint32) if ome else (np.uint8, np.uint16)
    for kind in kinds:
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return data.astype(kind)
    if not ome and max(-low, high) <= _EXACT_IN_FLOAT32:
        return data.astype(np.float32)
    if ome:
        raise VolumeError(
            f"the image has values from {low} to {high}; an OME-TIFF holds integers of 32 bits.",
            remedy="Write it as .tif, or convert it to float64.",
        )
    return data


def _write_imagej(path: Path, data: Array, image: Volume) -> None:
    """Write (z, y, x) data as ImageJ's TIFF, with the voxel size and the origin of `image`."""
    dz, dy, dx = image.spacing
    meta: dict[str, Any] = {"axes": "ZYX", "spacing": dz, "unit": "um"}
    for axis, position, size in zip("zyx", image.origin, image.spacing):
        if position:
            meta[f"{axis}origin"] = repr(-position / size)
    tifffile.imwrite(path, data, imagej=True, resolution=(1 / dx, 1 / dy), metadata=meta)


def _warn_origin_not_stored(path: Path, image: Volume) -> None:
    """Log a warning if the image has an origin other than 0, which the format of the file at `path` does not store."""
    if any(image.origin):
        _LOG.warning(
            "%s: this kind of TIFF holds no origin; the origin of the image, %s µm, is not stored", path, image.origin
        )


def _write_ome(path: Path, data: Array, image: Volume) -> None:
    """Write (z, y, x) data as OME-TIFF with the voxel size of `image`."""
    dz, dy, dx = image.spacing
    meta = {"axes": "ZYX", "PhysicalSizeZ": dz, "PhysicalSizeY": dy, "PhysicalSizeX": dx}
    meta |= {f"PhysicalSize{a}Unit": "µm" for a in "ZYX"}
    tifffile.imwrite(path, data, ome=True, photometric="minisblack", metadata=meta)


def _write_plain(path: Path, data: Array, image: Volume) -> None:
    """Write (z, y, x) data as a TIFF of tifffile's own kind, with the voxel size of `image` in its JSON description."""
    dz, dy, dx = image.spacing
    meta = {"axes": "ZYX", "spacing": dz, "unit": "um"}
    tifffile.imwrite(path, data, photometric="minisblack", resolution=(1 / dx, 1 / dy), metadata=meta)
