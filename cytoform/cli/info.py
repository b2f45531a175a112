"""``cytoform info``: axes, voxel size and intensities of an image file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import echo_table
from .inputs import Axes, Series

if TYPE_CHECKING:
    from ..image.io import ImageInfo

__all__ = ["info"]

_MAX_LISTED = 30  # most images of a file that are listed


def info(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A TIFF or OME-TIFF file, or an OME-Zarr folder.")],
    series: Series = None,
    axes: Axes = None,
) -> None:
    """Print axes, voxel size and intensities of an image file.

    Below the table stand the options that `cytoform fit` needs for this file, such as --spacing for a file without a
    voxel size, and warnings about metadata that look wrong.

    Example:
    cytoform info embryo.ome.tif
    cytoform info positions.ome.tif --series 2
    cytoform info slices_as_channels.tif --axes ZYX
    """
    from ..image.io import image_info

    found = image_info(image, extremes=True, series=series, axes=axes)
    echo_table(_rows(found, series))
    listed = f"it holds {found.images} images"  # the table lists them
    for line in (*_fit_requirements(found), *(text for text in found.remarks if not text.startswith(listed))):
        typer.echo(line[:1].upper() + line[1:])


def _rows(found: ImageInfo, series: int | None) -> list[tuple[str, str]]:
    """Return the rows of the table, names and values; `series` is the number of the image that is described."""
    rows = [("file", str(found.path)), ("format", found.format)]
    if found.images > 1:
        rows.append(("images", f"{found.images}; number {series or 0} is described here, --series N chooses"))
        if len(set(found.contents)) == 1:
            rows.append(("", f"each {found.contents[0]}"))
        else:
            rows += [("", f"{i}: {text}") for i, text in enumerate(found.contents[:_MAX_LISTED])]
            rows += [("", f"and {found.images - _MAX_LISTED} more")] if found.images > _MAX_LISTED else []
    unnamed = " (? has no name in the file; --axes gives it one)" if "?" in found.axes else ""
    rows += [
        ("axes", f"{found.axes} = {' × '.join(str(n) for n in found.shape)}{unnamed}"),
        ("values", f"{found.dtype}{_format_range(found)}"),
        ("memory", _format_bytes(math.prod(found.shape) * found.dtype.itemsize)),
        ("channels", str(found.channels)),
        ("time points", str(found.times)),
        ("voxel size", _voxel_size(found)),
    ]
    if found.spacing is not None:
        lengths = [n * d for n, d in zip(_sizes_zyx(found.axes, found.shape), found.spacing)]
        rows.append(("extent", " × ".join(f"{v:.4g}" for v in lengths) + " µm (z, y, x)"))
    if found.frame_interval is not None:
        rows.append(("frame interval", f"{found.frame_interval:g} s"))
    return rows


def _voxel_size(found: ImageInfo) -> str:
    """Return the voxel size in µm as text, with "?" for each edge that the file does not give."""
    known = found.known_spacing
    if all(d is None for d in known):
        return "not in the file"
    text = " × ".join("?" if d is None else f"{d:g}" for d in known) + " µm (z, y, x)"
    lacking = [f"d{a}" for a, d in zip("zyx", known) if d is None]
    return f"{text}; {' and '.join(lacking)} not in the file" if lacking else text


def _format_range(found: ImageInfo) -> str:
    """Return ", minimum to maximum" of the intensities; an empty text where they were not computed."""
    if found.minimum is None or found.maximum is None:
        return ""
    return f", {found.minimum:.6g} to {found.maximum:.6g}"


def _sizes_zyx(axes: str, shape: tuple[int, ...]) -> list[int]:
    """Return the numbers of voxels along z, y and x; 1 along an axis that the image does not have."""
    return [shape[axes.index(a)] if a in axes else 1 for a in "ZYX"]


def _fit_requirements(found: ImageInfo) -> list[str]:
    """Return a sentence for each option that `cytoform fit` needs, and for each reason why a fit is impossible."""
    needs = []
    flat = _sizes_zyx(found.axes, found.shape)[0] == 1
    if found.spacing is None:
        example = " ".join("0.3" if d is None else f"{d:g}" for d in found.known_spacing)
        example = "0.3 0.1 0.1" if all(d is None for d in found.known_spacing) else example
        needs.append(f"For a fit give the voxel size in µm with --spacing Z Y X, for example --spacing {example}.")
    if found.channels > 1 and not flat:
        needs.append(f"For a fit choose the membrane's channel with --channel N, 0 to {found.channels - 1}.")
    if found.times > 1 and not flat:
        needs.append(f"For a fit choose a time point with --time N, 0 to {found.times - 1}.")
    if flat:
        needs.append("This is a 2D image; a fit needs a stack with several slices.")
    if found.all_voxels and found.minimum == found.maximum:
        needs.append("All its voxels have the same value: there is nothing to fit.")
    if found.minimum is not None and found.maximum is not None and not math.isfinite(found.minimum + found.maximum):
        needs.append("Some voxels are NaN or infinite; a fit needs finite intensities.")
    return needs


def _format_bytes(count: int) -> str:
    """Return a number of bytes as text with a decimal unit, such as "168 GB"."""
    size, units = float(count), ["bytes", "kB", "MB", "GB", "TB"]
    while size >= 1000 and len(units) > 1:
        size, units = size / 1000, units[1:]
    return f"{size:.3g} {units[0]}"
