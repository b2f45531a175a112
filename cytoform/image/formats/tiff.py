"""Read TIFF, ImageJ TIFF, OME-TIFF and the TIFFs of some microscopes.

tifffile decodes them. Where the file's metadata agree with the planes that are stored, the metadata name the axes;
where they contradict them, the pages are read in their order with a remark, or an error names the cause.
"""

from __future__ import annotations

import dataclasses
import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from ...errors import CytoformError, FileFormatError
from .calibration import Calibration, ome_pixels, read_calibration, repair_xml, shaped_metadata
from .source import Array, Entry, ImageFormat, Images, Index, Source, truncation_error
from .tiff_checks import (
    TifffileLog,
    check_codec,
    check_pages,
    collect_log,
    count_pages,
    has_tiff_signature,
    tiff_errors,
    undecodable_error,
)

__all__ = ["FORMAT"]

_PLAIN: dict[str, Any] = {
    "is_ome": False,
    "is_imagej": False,
    "is_shaped": False,
    "is_mmstack": False,
    "is_ndtiff": False,
}
_UNNAMED = "QI"  # tifffile's letters for an axis without a name
_MAX_LISTED = 5  # missing files named in a message
_MASK = 4  # bit of NewSubfileType that marks a transparency mask


@dataclasses.dataclass
class _Contents:
    """The images of a TIFF file as they will be read, and the faults found in its metadata.

    Parameters
    ----------
    file : tifffile.TiffFile
        The file, opened with the repaired OME-XML where it had to be repaired.
    series : list of tifffile.TiffPageSeries
        The images.
    xml : str or None
        OME-XML that can be parsed; None where there is none.
    remarks : list of str
        What was assumed or left out, one sentence each.
    log : TifffileLog
        Warnings of tifffile.
    refusal : CytoformError or None
        Error to raise when a volume is requested, since the metadata describe more planes than are stored.
    missing : list of str
        Names of files that the OME-XML refers to and that are missing.
    """

    file: tifffile.TiffFile
    series: list[tifffile.TiffPageSeries]
    xml: str | None
    remarks: list[str]
    log: TifffileLog
    refusal: CytoformError | None = None
    missing: list[str] = dataclasses.field(default_factory=list)


@contextmanager
def _open_images(path: Path) -> Iterator[Images]:
    """Open a TIFF file while the context lasts, and give its images.

    Raises
    ------
    FileFormatError
        When it is no TIFF, is cut short, or cannot be decoded.
    """
    with collect_log() as log, ExitStack() as stack:
        with tiff_errors(path):
            contents = _read_contents(path, stack, log)
            entries = tuple(
                _make_entry(path, contents, i, s) for i, s in enumerate(contents.series) if i == 0 or _is_image(s)
            )
        yield Images(path, entries)


FORMAT = ImageFormat(
    "a TIFF file", (".ome.tiff", ".ome.tif", ".tiff", ".tif", ".lsm", ".stk"), _open_images, has_tiff_signature
)


def _is_image(series: tifffile.TiffPageSeries) -> bool:
    """Tell whether a series is an image in its own right, neither a thumbnail nor a mask."""
    return not (series.keyframe.is_reduced or series.keyframe.subfiletype & _MASK)


# ---------------------------------------------------------------------------------------------------------------------
# The planes that are stored, and those that the metadata describe


def _read_contents(path: Path, stack: ExitStack, log: TifffileLog) -> _Contents:
    """Find the images of a TIFF file, as its metadata describe them or, where these contradict the pages, page by page.

    Files are opened on `stack`, which closes them. FileFormatError is raised where the file is cut short or has no
    image.
    """
    file = stack.enter_context(tifffile.TiffFile(path))
    if not len(file.pages):
        raise truncation_error(path, "it holds no image")
    count = count_pages(path, file)
    file, xml, remarks = _reopen_with_sound_xml(path, file, stack)
    contents = _Contents(file, [], xml, remarks, log)
    contradiction = _fill_in_series(path, contents, count)
    if log.damage:
        raise truncation_error(path, log.damage[0])
    if contradiction:
        plain = stack.enter_context(tifffile.TiffFile(path, **_PLAIN))
        contents.series = list(plain.series)
        contents.remarks.append(f"{contradiction}; this is set aside and its pages are read as they are.")
        log.oddities.clear()
    contents.series = [s for s in contents.series if math.prod(s.shape)]
    if not contents.series:
        raise truncation_error(path, "it holds no image")
    return contents


def _reopen_with_sound_xml(
    path: Path, file: tifffile.TiffFile, stack: ExitStack
) -> tuple[tifffile.TiffFile, str | None, list[str]]:
    """Return the TIFF file, its OME-XML and remarks.

    Where the OME-XML had to be repaired, or is in another file, the file is opened anew with it, on `stack`. The
    OME-XML is None where the file has none, or none that can be parsed; then its pages are read as they are.
    """
    if not (file.is_ome and file.ome_metadata):
        return file, None, []
    xml, remarks = repair_xml(file.ome_metadata), []
    if xml is None:
        plain = stack.enter_context(tifffile.TiffFile(path, is_ome=False))
        return plain, None, ["its OME-XML cannot be parsed; it is set aside and its pages are read as they are."]
    if xml != file.ome_metadata:
        remarks.append("its OME-XML has what XML does not allow, such as a bare '&'; it is read all the same.")
    binary = next((e for e in ElementTree.fromstring(xml) if e.tag.endswith("BinaryOnly")), None)
    if binary is not None:
        name = binary.get("MetadataFile", "")
        companion = path.parent / name
        text = companion.read_text(encoding="utf-8", errors="replace") if name and companion.is_file() else None
        xml = None if text is None else repair_xml(re.sub(r"^\ufeff?\s*<\?xml[^>]*\?>", "", text))
        if xml is None:
            remarks.append(
                f"its metadata are in the file {name}, which is {'missing' if text is None else 'no sound OME-XML'}; "
                "only the planes of this file are read, as pages."
            )
            return stack.enter_context(tifffile.TiffFile(path, is_ome=False)), None, remarks
    if xml != file.ome_metadata:
        file = stack.enter_context(tifffile.TiffFile(path, omexml=xml))
    return file, xml, remarks


def _fill_in_series(path: Path, contents: _Contents, count: int) -> str:
    """Fill in ``contents.series`` with the images that the metadata describe; return how these contradict the pages.

    The text is empty where metadata and pages agree. `count` is the number of pages (image file directories) in the
    file.
    """
    file = contents.file
    try:
        contents.series = list(file.series)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # tifffile raises exceptions of any type for metadata that it does not expect
        if contents.xml and _missing_files(path, contents.xml):
            contents.missing = _missing_files(path, contents.xml)
            return f"its OME-XML describes planes in other files, which are missing ({_list_some(contents.missing)})"
        return f"its metadata cannot be made sense of ({str(error) or type(error).__name__})"
    if any(int(n) != n or isinstance(n, float) for s in contents.series for n in s.shape):
        return "its metadata count planes in numbers that are not whole"
    kind = contents.series[0].kind if contents.series else ""
    if contents.xml and kind in ("ome", "generic", "uniform", ""):
        return _check_ome(path, contents, count)
    if file.is_imagej and kind in ("imagej", "generic", "uniform", ""):
        return _check_imagej(path, contents, count)
    if file.is_shaped and kind in ("shaped", "generic", "uniform", ""):
        return _check_shaped(path, contents, count)
    return ""


def _count_planes(series: tifffile.TiffPageSeries) -> int:
    """Return the number of planes of an image: its number of voxels divided by that of a page."""
    return math.prod(series.shape) // max(series.keyframe.size, 1)


def _count_planes_in_chain(contents: _Contents) -> int:
    """Return how many planes of the main chain of pages the images and their pyramid levels use.

    In the main chain each page (image file directory) links to the next; pages in SubIFDs are not part of it.
    """
    levels = [level for s in contents.series for level in s.levels]
    return sum(_count_planes(level) for level in levels if not level.keyframe.is_subifd)


def _has_all_planes(series: tifffile.TiffPageSeries, size: int) -> bool:
    """Tell whether every plane of an image has a page, or all lie in one piece within the file's `size` in bytes."""
    if len(series.pages) == _count_planes(series):
        return True
    return series.dataoffset is not None and series.dataoffset + series.nbytes <= size


def _incomplete_error(path: Path, statement: str, count: int, shape: tuple[int, ...]) -> FileFormatError:
    """Return the error for a file with fewer planes than its metadata describe.

    `statement` is what the metadata state, `count` the number of planes of shape `shape` that are stored.
    """
    what = f"one plane of {shape} is" if count == 1 else f"{count} planes are"
    return FileFormatError(
        f"{path} is cut short, or its metadata are those of another image: {statement}, {what} there.",
        remedy="Copy it again, or export it again from its source; to read the planes as they are, name the axes of "
        "the file: axes= or --axes, such as ZYX.",
    )


def _check_shaped(path: Path, contents: _Contents, count: int) -> str:
    """Return how the shape noted by tifffile contradicts the pages; empty where they agree.

    ``contents.refusal`` is set where a single page is smaller than the shape. `count` is the number of pages.
    """
    page = contents.file.pages.first
    shape = tuple(shaped_metadata(page).get("shape", ()))
    statement = f"the shape noted in it by tifffile is {shape}"
    kind = contents.series[0].kind if contents.series else ""
    size = contents.file.filehandle.size
    if (
        kind == "shaped"
        and all(_has_all_planes(s, size) for s in contents.series)
        and _count_planes_in_chain(contents) >= count
    ):
        return ""
    if count == 1 and math.prod(shape) > page.size:
        contents.refusal = _incomplete_error(path, statement, 1, page.shape)
    return f"{statement}, it has {count} {'page' if count == 1 else 'pages'} of {page.shape}"


def _check_imagej(path: Path, contents: _Contents, count: int) -> str:
    """Return how the counts in ImageJ's description contradict the planes that are stored; empty where they agree.

    ImageJ may store all planes behind a single page. ``contents.refusal`` is set where planes are missing. `count` is
    the number of pages.
    """
    meta = contents.file.imagej_metadata or {}
    page = contents.file.pages.first
    counts = [int(meta.get(k, 1)) for k in ("channels", "slices", "frames")]
    product, images = math.prod(counts), int(meta.get("images", 1))
    series = contents.series[0] if contents.series else None
    virtual = series is not None and series.kind == "imagej" and _has_all_planes(series, contents.file.filehandle.size)
    planes = max(count, _count_planes(series)) if series is not None and virtual else count
    named = [f"{n} {k}" for n, k in zip(counts, ("channels", "slices", "frames")) if n != 1] or [f"{images} images"]
    statement = f"ImageJ's description counts {' × '.join(named)}"
    samples = max(1, page.samplesperpixel)
    if virtual and product in (1, planes, planes * samples):
        if images > planes * samples:
            contents.remarks.append(f"its ImageJ description counts {images} images, {planes} planes are there.")
            if count == 1:
                contents.refusal = _incomplete_error(path, f"{statement} ({images} images)", planes, page.shape)
        return ""
    if count == 1 and max(product, images) > planes * samples:
        contents.refusal = _incomplete_error(path, statement, 1, page.shape)
    return f"{statement}, it has {planes} planes"


def _check_ome(path: Path, contents: _Contents, count: int) -> str:
    """Return how the OME-XML contradicts the pages; empty where they agree.

    ``contents.missing`` lists files of the set that are missing; ``contents.refusal`` is set where planes are; a remark
    is added on pages that the OME-XML leaves out. `count` is the number of pages.
    """
    assert contents.xml is not None
    log = contents.log
    contents.missing = _missing_files(path, contents.xml)
    if not contents.series or contents.series[0].kind != "ome":
        why = next((text for text in log.oddities if "OME" in text), "")
        return f"its OME-XML does not fit its pages{f' ({why})' if why else ''}"
    holes = [sum(p is None for p in s.pages) for s in contents.series]
    log.oddities = [t for t in log.oddities if "zeroed" not in t and "files" not in t]  # named in the remarks below
    if any(holes) and not contents.missing:
        first = contents.series[holes.index(max(holes))]
        statement = f"its OME-XML describes {_count_planes(first)} planes, {first.axes} = {first.shape}"
        log.oddities = [t for t in log.oddities if "index" not in t]
        if len(contents.series) == 1 and sum(n > 1 for n, a in zip(first.shape, first.axes) if a not in "YXS") <= 1:
            return f"{statement}, it has {count} pages"
        contents.refusal = _incomplete_error(path, statement, count, contents.file.pages.first.shape)
        return f"{statement}, it has {count} pages"
    used = {p.index for s in contents.series for p in s.pages if p is not None and p.parent is contents.file}
    unused = count - len(used) if used else 0
    if unused > 0 and not contents.missing and _count_planes_in_chain(contents) < count:
        log.oddities = [t for t in log.oddities if "expected" not in t]
        contents.remarks.append(f"{unused} of its {count} pages are not described by its OME-XML; they are left out.")
    return ""


def _missing_files(path: Path, xml: str) -> list[str]:
    """Return the sorted names of the files that an OME-XML refers to and that are not in the folder of `path`."""
    names = {
        uuid.get("FileName", "")
        for _, pixels in ome_pixels(xml)
        for uuid in pixels.iter()
        if uuid.tag.rsplit("}", 1)[-1] == "UUID"
    }
    own_name = path.name.lower()
    return sorted(n for n in names if n and n.lower() != own_name and not (path.parent / n).is_file())


def _list_some(names: list[str]) -> str:
    """Return the first five names as text, followed by the number of those left out."""
    return ", ".join(names[:_MAX_LISTED]) + (
        f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    )


# ---------------------------------------------------------------------------------------------------------------------
# One image


def _axis_letters(series: tifffile.TiffPageSeries) -> str:
    """Return a letter for each axis of an image, with "?" in place of those by which tifffile marks unknown axes."""
    return "".join("?" if a in _UNNAMED else a for a in series.axes)


def _make_entry(path: Path, contents: _Contents, number: int, series: tifffile.TiffPageSeries) -> Entry:
    """Describe image number `number` of a TIFF file by name, axes, shape and dtype; it is opened on request."""

    def open_() -> Source:
        with tiff_errors(path):
            return _make_source(path, contents, number, series)

    name = series.name if contents.xml else ""
    return Entry(name, _axis_letters(series), tuple(series.shape), np.dtype(series.dtype), open_)


def _make_source(path: Path, contents: _Contents, number: int, series: tifffile.TiffPageSeries) -> Source:
    """Open image number `number` of a TIFF file as a source, whose voxels are loaded later.

    FileFormatError is raised where its data are incomplete or no decoder is known; voxel size and origin are read from
    the metadata, and remarks on them are added.
    """
    page: Any = series.keyframe
    known = read_calibration(contents.file, page, series, number, contents.xml)
    remarks = list(contents.remarks)
    if series.dataoffset is not None:  # all in one piece: only its end has to be checked
        _check_end(path, series)
    else:
        holes = sum(p is None for p in series.pages)
        if holes:
            files = (
                f" lie in files that are missing ({_list_some(contents.missing)})"
                if contents.missing
                else " are missing"
            )
            remarks.append(f"{holes} of its {len(series.pages)} planes{files}.")
        elif contents.missing:
            remarks.append(f"files of other images of its set are missing: {_list_some(contents.missing)}.")
        remarks += [text for text in [check_pages(path, [p for p in series.pages if p is not None])] if text]
    check_codec(path, page)
    if int(page.photometric) == 0:
        remarks.append("white is zero in it (the TIFF tag says so): its values are read as stored, dark means bright.")
    remarks += [f"tifffile says of it: {text.rstrip('.')}." for text in contents.log.oddities]
    source = _make_level_source(path, contents, series, known)
    coarse = _make_level_source(path, contents, series.levels[-1], known) if len(series.levels) > 1 else None
    return dataclasses.replace(source, remarks=tuple(remarks), refusal=contents.refusal, coarse=coarse)


def _check_end(path: Path, series: tifffile.TiffPageSeries) -> None:
    """Raise FileFormatError where the data of an image, which lie in one piece, run beyond the end of the file."""
    assert series.dataoffset is not None
    end, size = series.dataoffset + series.nbytes, series.keyframe.parent.filehandle.size
    if end > size:
        raise truncation_error(path, f"its data run to byte {end}, the file has {size}")


def _make_level_source(path: Path, contents: _Contents, series: tifffile.TiffPageSeries, known: Calibration) -> Source:
    """Return one pyramid level of an image as a source with voxel size, origin and names as `known` has them."""
    shape = tuple(series.shape)
    chunks = tuple(n if a in "YXS" else 1 for n, a in zip(shape, series.axes))

    def load(index: Index) -> Array:
        try:
            return _load_part(path, contents, series, index)
        except (CytoformError, OSError, MemoryError):
            raise
        except Exception as error:  # decoders raise exceptions of any type
            raise undecodable_error(path, series.keyframe, error) from error

    format_, spacing, zero, hint = known.format, known.spacing, known.zero, known.hint
    source = Source(
        path, format_, _axis_letters(series), shape, np.dtype(series.dtype), spacing, (0.0, 0.0, 0.0), load, chunks
    )
    unit_step, interval, names = known.unit_step, known.frame_interval, known.channel_names
    return dataclasses.replace(
        source, hint=hint, unit_step=unit_step, frame_interval=interval, zero=zero, channel_names=names
    )


def _load_part(path: Path, contents: _Contents, series: tifffile.TiffPageSeries, index: Index) -> Array:
    """Load the part of an image that `index` selects, a number or a slice for each axis.

    Only what is selected is read: a part of the file where the voxels lie uncompressed in one piece, else the pages
    that it meets. FileFormatError is raised where a page is missing.
    """
    shape, page = tuple(series.shape), series.keyframe
    if series.dataoffset is not None and page.is_memmappable and page.parent.filehandle.is_file:
        kind = np.dtype(series.dtype).newbyteorder(page.parent.byteorder)
        whole = np.memmap(page.parent.filehandle.path, kind, "r", series.dataoffset, shape)
        return np.array(whole[index])
    lead = next((k for k in range(len(shape) + 1) if math.prod(shape[:k]) == len(series.pages)), None)
    if lead is None or math.prod(shape[lead:]) != page.size:
        return series.asarray()[index]
    while lead < len(shape) and shape[lead] == 1:
        lead += 1
    chosen = np.arange(len(series.pages)).reshape(shape[:lead])[index[:lead]]
    keys = np.ravel(chosen).tolist()
    if any(series.pages[k] is None for k in keys):
        raise _missing_planes_error(path, contents)
    data = page.parent.root.asarray(key=keys, series=series)
    return data.reshape(np.shape(chosen) + shape[lead:])[(slice(None),) * np.ndim(chosen) + index[lead:]]


def _missing_planes_error(path: Path, contents: _Contents) -> FileFormatError:
    """Return the error for planes of a TIFF file that are missing, with the missing files that hold them if known."""
    if contents.missing:
        return FileFormatError(
            f"planes of {path} lie in files that are missing: {_list_some(contents.missing)}.",
            remedy=f"Put them into the folder {path.parent}, or choose a channel or time point that is there.",
        )
    return truncation_error(path, "some of its planes are missing")
