"""Read voxel size, origin and frame interval of TIFF files from the metadata of the programs that write them."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from typing import Any

import tifffile

from .source import UNKNOWN, Partial, to_micrometres, to_seconds

__all__ = ["Calibration", "ome_pixels", "read_calibration", "repair_xml", "shaped_metadata"]

_METRES = "m"
_ENTITY = re.compile(r"&(?!(?:[a-zA-Z]+|#\d+|#x[0-9a-fA-F]+);)")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Voxel size, origin and frame interval that the metadata of a TIFF file give for an image.

    Parameters
    ----------
    format : str
        The format's name, for messages.
    spacing : (3,) float or None
        Voxel size in µm, (z, y, x); None along each axis for which the file gives none.
    zero : (3,) float
        Index of the voxel at position 0, (z, y, x); may be a fraction.
    frame_interval : float or None
        Time from one time point to the next in s; None where the file does not give it.
    hint : str
        A sentence on an incomplete voxel size, which begins with a space; empty where there is nothing to say.
    unit_step : float or None
        Slice distance in µm that the format implies where the file gives none.
    channel_names : tuple of str
        Names of the channels, empty where the file gives none.
    """

    format: str
    spacing: Partial = UNKNOWN
    zero: tuple[float, float, float] = (0.0, 0.0, 0.0)
    frame_interval: float | None = None
    hint: str = ""
    unit_step: float | None = None
    channel_names: tuple[str, ...] = ()


def read_calibration(
    file: tifffile.TiffFile, page: Any, series: tifffile.TiffPageSeries, position: int, xml: str | None
) -> Calibration:
    """Read the calibration of one image, by the rules of the program that wrote the file.

    Parameters
    ----------
    file : tifffile.TiffFile
        The open file.
    page : tifffile.TiffPage
        The page that stands for all of the image's pages.
    series : tifffile.TiffPageSeries
        The image.
    position : int
        Number of the image among those of the file, from 0.
    xml : str or None
        OME-XML that can be parsed; None where there is none.

    Returns
    -------
    Calibration
        Voxel size, origin, frame interval and channel names, as far as the file gives them.
    """
    if xml:
        return _from_ome_xml(xml, series, position)
    if file.is_lsm:
        return _from_lsm(file.lsm_metadata or {})
    if file.is_stk:
        return _from_stk(file.stk_metadata or {})
    if file.is_imagej:
        return _from_imagej(file.imagej_metadata or {}, page)
    if file.is_micromanager:
        return _from_micromanager((file.micromanager_metadata or {}).get("Summary") or {})
    if file.is_sis:
        meta = file.sis_metadata or {}
        return Calibration(
            "TIFF",
            (None, to_micrometres(meta.get("pixelsizey"), _METRES), to_micrometres(meta.get("pixelsizex"), _METRES)),
        )
    return Calibration("TIFF", _spacing_from_tags(page, shaped_metadata(page)))


def shaped_metadata(page: Any) -> dict[str, Any]:
    """Return the JSON that tifffile writes into a page's description: "shape", and entries that its user gave.

    It is empty for pages of other programs.
    """
    try:
        meta = json.loads(page.shaped_description or "{}")
    except ValueError:  # its first versions wrote shape=(…)
        numbers = re.findall(r"\d+", page.shaped_description or "")
        meta = {"shape": [int(n) for n in numbers]}
    return meta if isinstance(meta, dict) else {}


# ---------------------------------------------------------------------------------------------------------------------
# ImageJ, and the JSON description that tifffile writes


def _pixel_size(page: Any, tag: str) -> float | None:
    """Return the size of a pixel in the page's resolution unit, from a tag that holds pixels per unit as a fraction.

    None where the page lacks the tag or it holds 0.
    """
    if tag not in page.tags:
        return None
    value = page.tags[tag].value
    numerator, denominator = value if isinstance(value, tuple) else (value, 1)
    return None if numerator == 0 else denominator / numerator


def _spacing_from_tags(page: Any, meta: Mapping[str, Any]) -> Partial:
    """Return the voxel size in µm, (z, y, x), from the resolution tags of a page and the description `meta`.

    The description holds the slice distance ("spacing") and the units ("unit", "yunit", "zunit"). Without a unit there,
    a resolution per centimetre (ResolutionUnit 3) counts; one per inch is a printer's default and does not.
    """
    unit = meta.get("unit")
    if unit is None and "ResolutionUnit" in page.tags and int(page.tags["ResolutionUnit"].value) == 3:
        unit = "cm"
    return (
        to_micrometres(meta.get("spacing"), meta.get("zunit", unit)),
        to_micrometres(_pixel_size(page, "YResolution"), meta.get("yunit", unit)),
        to_micrometres(_pixel_size(page, "XResolution"), unit),
    )


def _from_imagej(meta: Mapping[str, Any], page: Any) -> Calibration:
    """Return voxel size, origin and frame interval of an ImageJ TIFF.

    `meta` is ImageJ's description and `page` holds the resolution tags. A missing slice distance means 1 unit in
    ImageJ; it is not assumed, but becomes ``unit_step``, with a hint.
    """
    spacing = _spacing_from_tags(page, meta)
    step, hint = None, ""
    if "spacing" not in meta and spacing[1] is not None and spacing[2] is not None:
        step = to_micrometres(1, meta.get("zunit", meta.get("unit")))
        if step is not None:
            hint = f" ImageJ leaves the slice distance out where it is 1 unit, so Fiji shows dz = {step:g} µm."
    elif spacing == UNKNOWN and meta.get("unit"):
        hint = f" Its unit is {meta['unit']!r}, which is no length."
    interval = to_seconds(meta.get("finterval"), meta.get("tunit", "s"))
    return Calibration("ImageJ TIFF", spacing, _imagej_origin(meta), interval, hint, step)


def _imagej_origin(meta: Mapping[str, Any]) -> tuple[float, float, float]:
    """Return ImageJ's origin, the fractional voxel index (z, y, x) of position 0; 0 where it is missing."""
    found = []
    for axis in "zyx":
        try:
            index = float(meta.get(f"{axis}origin", 0.0))
            found.append(index if math.isfinite(index) else 0.0)
        except (TypeError, ValueError):
            found.append(0.0)
    return found[0], found[1], found[2]


# ---------------------------------------------------------------------------------------------------------------------
# Microscopes


def _from_lsm(meta: Mapping[str, Any]) -> Calibration:
    """Return voxel size and frame interval of a Zeiss LSM file, from its metadata, whose lengths are in metres."""
    z, y, x = (to_micrometres(meta.get(f"VoxelSize{a}"), _METRES) for a in "ZYX")
    return Calibration("LSM", (z, y, x), frame_interval=to_seconds(meta.get("TimeIntervall"), "s"))


def _from_stk(meta: Mapping[str, Any]) -> Calibration:
    """Return the voxel size of a MetaMorph stack, from its metadata.

    The slice distance is known only where it is the same between all slices; a hint lists distances that differ.
    """
    unit = meta.get("CalibrationUnits")
    steps = meta.get("ZDistance")
    distances = {abs(float(d)) for d in steps} if steps is not None and len(steps) else set()
    dz = to_micrometres(distances.pop(), unit) if len(distances) == 1 else None  # one distance for all slices, or none
    hint = f" Its distances between slices differ: {sorted(distances)}." if len(distances) > 1 else ""
    calibrated = meta.get("SpatialCalibration", 1)
    dy, dx = (to_micrometres(meta.get(f"{a}Calibration"), unit) if calibrated else None for a in "YX")
    return Calibration("MetaMorph STK", (dz, dy, dx), hint=hint)


def _from_micromanager(summary: Mapping[str, Any]) -> Calibration:
    """Return voxel size and frame interval of a Micro-Manager TIFF, from the "Summary" of its metadata."""
    across = to_micrometres(summary.get("PixelSize_um"), "um")
    interval = to_seconds(summary.get("Interval_ms"), "ms")
    return Calibration(
        "Micro-Manager TIFF", (to_micrometres(summary.get("z-step_um"), "um"), across, across), frame_interval=interval
    )


# ---------------------------------------------------------------------------------------------------------------------
# OME-XML


def repair_xml(xml: str) -> str | None:
    """Return OME-XML that can be parsed, with bare "&" escaped and control characters removed if need be, or None."""
    for text in (xml, _CONTROL.sub("", _ENTITY.sub("&amp;", xml))):
        try:
            ElementTree.fromstring(text)
        except ElementTree.ParseError:
            continue
        return text
    return None


def ome_pixels(xml: str) -> list[tuple[str, ElementTree.Element]]:
    """Return the name and the Pixels element of each image that an OME-XML describes."""
    found = []
    for image in ElementTree.fromstring(xml).iter():
        if image.tag.rsplit("}", 1)[-1] == "Image":
            found += [(image.get("Name", ""), e) for e in image if e.tag.rsplit("}", 1)[-1] == "Pixels"]
    return found


def _from_ome_xml(xml: str, series: tifffile.TiffPageSeries, position: int) -> Calibration:
    """Return voxel size, frame interval and channel names of image number `position` from an OME-XML.

    They are empty where the OME-XML does not describe the image `series`.
    """
    pixels = _find_pixels(series, position, ome_pixels(xml))
    if pixels is None:
        return Calibration("OME-TIFF")
    z, y, x = (to_micrometres(pixels.get(f"PhysicalSize{a}"), pixels.get(f"PhysicalSize{a}Unit", "µm")) for a in "ZYX")
    interval = to_seconds(pixels.get("TimeIncrement"), pixels.get("TimeIncrementUnit", "s"))
    units = {a: pixels.get(f"PhysicalSize{a}Unit") for a in "ZYX"}
    unknown_units = sorted(
        {u for a, u in units.items() if pixels.get(f"PhysicalSize{a}") and u and to_micrometres(1, u) is None}
    )
    hint = (
        f" Its sizes are given in {' and '.join(repr(u) for u in unknown_units)}, which is no length."
        if unknown_units
        else ""
    )
    names = [e.get("Name") or "" for e in pixels if e.tag.rsplit("}", 1)[-1] == "Channel"]
    channel_names = tuple(names) if any(names) else ()
    return Calibration("OME-TIFF", (z, y, x), frame_interval=interval, hint=hint, channel_names=channel_names)


def _find_pixels(
    series: tifffile.TiffPageSeries, position: int, images: list[tuple[str, ElementTree.Element]]
) -> ElementTree.Element | None:
    """Return the Pixels element of an OME-XML that describes an image, or None where it cannot be told.

    It is the element at `position` if its sizes give the image's number of voxels, else the first one of that number of
    voxels and of the same name, else the only one. The position alone is not enough, since tifffile leaves out images
    without data.
    """

    def fits(pixels: ElementTree.Element) -> bool:
        sizes = [int(pixels.get(f"Size{a}", 1)) for a in "XYZCT"]
        return math.prod(sizes) == math.prod(series.shape)

    if position < len(images) and fits(images[position][1]):
        return images[position][1]
    matching = [p for name, p in images if fits(p) and (not series.name or name == series.name)]
    return matching[0] if matching else (images[0][1] if len(images) == 1 else None)
