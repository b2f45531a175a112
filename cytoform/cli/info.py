"""``cytoform info``: what an image file holds."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import echo_table

if TYPE_CHECKING:
    from ..image.io import ImageInfo

__all__ = ["info"]


def info(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A TIFF or OME-TIFF file, or an OME-Zarr folder.")],
) -> None:
    """Tell what an image file holds.

    Axes, voxel size, channels, intensities, and which flags a fit of it would need.

    Example:
    cytoform info embryo.ome.tif
    """
    from ..image.io import image_info

    found = image_info(image, extremes=True)
    size, count = found.spacing, math.prod(found.shape)
    rows = [
        ("file", str(found.path)),
        ("format", found.format),
        ("axes", f"{found.axes} = {' × '.join(str(n) for n in found.shape)}"),
        ("values", f"{found.dtype}, {_number(found.minimum)} to {_number(found.maximum)}"),
        ("memory", _bytes(count * found.dtype.itemsize)),
        ("channels", str(found.channels)),
        ("time points", str(found.times)),
        ("voxel size", "not in the file" if size is None else " × ".join(f"{d:g}" for d in size) + " µm (z, y, x)"),
    ]
    if size is not None:
        lengths = [n * d for n, d in zip(_zyx(found.axes, found.shape), size)]
        rows.append(("extent", " × ".join(f"{v:.4g}" for v in lengths) + " µm (z, y, x)"))
    echo_table(rows)
    for need in _needs(found):
        typer.echo(need)


def _zyx(axes: str, shape: tuple[int, ...]) -> list[int]:
    return [shape[axes.index(a)] if a in axes else 1 for a in "ZYX"]


def _needs(found: ImageInfo) -> list[str]:
    """What `cytoform fit` will ask for, in words."""
    needs = []
    if found.spacing is None:
        needs.append("For a fit give the voxel size in µm with --spacing Z Y X, for example --spacing 0.3 0.1 0.1.")
    if found.channels > 1:
        needs.append(f"For a fit choose the membrane's channel with --channel N, 0 to {found.channels - 1}.")
    if found.times > 1:
        needs.append(f"For a fit choose a time point with --time N, 0 to {found.times - 1}.")
    if _zyx(found.axes, found.shape)[0] == 1:
        needs.append("This is a 2D image; a fit needs a stack with several slices.")
    if found.minimum is not None and found.minimum == found.maximum:
        needs.append("All its voxels have the same value: there is nothing to fit.")
    if found.minimum is not None and not math.isfinite(found.minimum + found.maximum):
        needs.append("Some voxels are NaN or infinite; a fit needs finite intensities.")
    return needs


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.6g}"


def _bytes(count: int) -> str:
    size, units = float(count), ["bytes", "kB", "MB", "GB", "TB"]
    while size >= 1000 and len(units) > 1:
        size, units = size / 1000, units[1:]
    return f"{size:.3g} {units[0]}"
