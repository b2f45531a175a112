"""TIFF, ImageJ TIFF, OME-TIFF and the TIFFs of some microscopes as sources.

tifffile reads them. What the file's metadata say of its planes is believed where it agrees with the planes that are
there; where it does not, a remark says so and the pages are read as they are, or the true cause is told.
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
from .calibration import Calibration, calibration, mended_xml, ome_pixels, shaped_metadata
from .source import Array, Entry, ImageFormat, Images, Index, Source, truncated
from .tiff_checks import Log, begins_as_tiff, check_codec, check_pages, collected, count_pages, tiff_errors, undecodable

__all__ = ["FORMAT"]

_PLAIN = {"is_ome": False, "is_imagej": False, "is_shaped": False, "is_mmstack": False, "is_ndtiff": False}
_UNNAMED = "QI"  # tifffile's letters for an axis without a name
_LISTED = 5  # names shown of missing files
_MASK = 4  # bit of a page's kind


@dataclasses.dataclass
class _Reading:
    # The images of a file as they will be read, and what was found out about them.
    file: tifffile.TiffFile  # whose metadata count
    series: list[tifffile.TiffPageSeries]
    xml: str | None
    remarks: list[str]
    log: Log
    refusal: CytoformError | None = None
    missing: list[str] = dataclasses.field(default_factory=list)


@contextmanager
def _opened(path: Path) -> Iterator[Images]:
    """Open a TIFF file while the context lasts, and describe its images.

    Raises
    ------
    FileFormatError
        When it is no TIFF, is cut short, or cannot be decoded.
    """
    with collected() as log, ExitStack() as stack:
        with tiff_errors(path):
            reading = _reading(path, stack, log)
            entries = tuple(_entry(path, reading, i, s) for i, s in enumerate(reading.series) if i == 0 or _counts(s))
        yield Images(path, entries)


FORMAT = ImageFormat("a TIFF file", (".ome.tiff", ".ome.tif", ".tiff", ".tif", ".lsm", ".stk"), _opened, begins_as_tiff)


def _counts(series: tifffile.TiffPageSeries) -> bool:
    # Thumbnails and masks of an image are no images of their own.
    return not (series.keyframe.is_reduced or series.keyframe.subfiletype & _MASK)


# ---------------------------------------------------------------------------------------------------------------------
# Which planes there are, and what the metadata say of them


def _reading(path: Path, stack: ExitStack, log: Log) -> _Reading:
    file = stack.enter_context(tifffile.TiffFile(path))
    if not len(file.pages):
        raise truncated(path, "it holds no image")
    count = count_pages(path, file)
    file, xml, remarks = _with_sound_xml(path, file, stack)
    reading = _Reading(file, [], xml, remarks, log)
    doubt = _described(path, reading, count)
    if log.damage:
        raise truncated(path, log.damage[0])
    if doubt:
        plain = stack.enter_context(tifffile.TiffFile(path, **_PLAIN))
        reading.series = list(plain.series)
        reading.remarks.append(f"{doubt}; this is set aside and its pages are read as they are.")
        log.oddities.clear()
    reading.series = [s for s in reading.series if math.prod(s.shape)]
    if not reading.series:
        raise truncated(path, "it holds no image")
    return reading


def _with_sound_xml(
    path: Path, file: tifffile.TiffFile, stack: ExitStack
) -> tuple[tifffile.TiffFile, str | None, list[str]]:
    # The file opened anew where its OME-XML has to be mended or lies in another file.
    if not (file.is_ome and file.ome_metadata):
        return file, None, []
    xml, remarks = mended_xml(file.ome_metadata), []
    if xml is None:
        again = stack.enter_context(tifffile.TiffFile(path, is_ome=False))
        return again, None, ["its OME-XML cannot be parsed; it is set aside and its pages are read as they are."]
    if xml != file.ome_metadata:
        remarks.append("its OME-XML has what XML does not allow, such as a bare '&'; it is read all the same.")
    binary = next((e for e in ElementTree.fromstring(xml) if e.tag.endswith("BinaryOnly")), None)
    if binary is not None:
        name = binary.get("MetadataFile", "")
        companion = path.parent / name
        text = companion.read_text(encoding="utf-8", errors="replace") if name and companion.is_file() else None
        xml = None if text is None else mended_xml(re.sub(r"^\ufeff?\s*<\?xml[^>]*\?>", "", text))
        if xml is None:
            remarks.append(
                f"its metadata are in the file {name}, which is {'missing' if text is None else 'no sound OME-XML'}; "
                "only the planes of this file are read, as pages."
            )
            return stack.enter_context(tifffile.TiffFile(path, is_ome=False)), None, remarks
    if xml != file.ome_metadata:
        file = stack.enter_context(tifffile.TiffFile(path, omexml=xml))
    return file, xml, remarks


def _described(path: Path, reading: _Reading, count: int) -> str:
    # Fill in the images as the metadata describe them; a text tells why these are not to be believed.
    file = reading.file
    try:
        reading.series = list(file.series)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # tifffile meets metadata that it did not expect
        if reading.xml and _missing_files(path, reading.xml):
            reading.missing = _missing_files(path, reading.xml)
            return f"its OME-XML describes planes in other files, which are missing ({_some(reading.missing)})"
        return f"its metadata cannot be made sense of ({str(error) or type(error).__name__})"
    if any(int(n) != n or isinstance(n, float) for s in reading.series for n in s.shape):
        return "its metadata count planes in numbers that are not whole"
    kind = reading.series[0].kind if reading.series else ""
    if reading.xml and kind in ("ome", "generic", "uniform", ""):
        return _doubt_ome(path, reading, count)
    if file.is_imagej and kind in ("imagej", "generic", "uniform", ""):
        return _doubt_imagej(path, reading, count)
    if file.is_shaped and kind in ("shaped", "generic", "uniform", ""):
        return _doubt_shaped(path, reading, count)
    return ""


def _planes(series: tifffile.TiffPageSeries) -> int:
    return math.prod(series.shape) // max(series.keyframe.size, 1)


def _in_chain(reading: _Reading) -> int:
    # Planes of the chain of pages that the images and their levels account for.
    levels = [level for s in reading.series for level in s.levels]
    return sum(_planes(level) for level in levels if not level.keyframe.is_subifd)


def _present(series: tifffile.TiffPageSeries, size: int) -> bool:
    # Every plane has a page, or they lie in one piece within the file.
    if len(series.pages) == _planes(series):
        return True
    return series.dataoffset is not None and series.dataoffset + series.nbytes <= size


def _refused(path: Path, says: str, count: int, shape: tuple[int, ...]) -> FileFormatError:
    what = f"one plane of {shape} is" if count == 1 else f"{count} planes are"
    return FileFormatError(
        f"{path} is cut short, or its metadata are those of another image: {says}, {what} there.",
        remedy="Copy it again, or export it again from its source; to read the planes as they are, name the axes of "
        "the file: axes= or --axes, such as ZYX.",
    )


def _doubt_shaped(path: Path, reading: _Reading, count: int) -> str:
    page = reading.file.pages.first
    shape = tuple(shaped_metadata(page).get("shape", ()))
    says = f"the shape noted in it by tifffile is {shape}"
    kind = reading.series[0].kind if reading.series else ""
    size = reading.file.filehandle.size
    if kind == "shaped" and all(_present(s, size) for s in reading.series) and _in_chain(reading) >= count:
        return ""
    if count == 1 and math.prod(shape) > page.size:
        reading.refusal = _refused(path, says, 1, page.shape)
    return f"{says}, it has {count} {'page' if count == 1 else 'pages'} of {page.shape}"


def _doubt_imagej(path: Path, reading: _Reading, count: int) -> str:
    meta = reading.file.imagej_metadata or {}
    page = reading.file.pages.first
    counts = [int(meta.get(k, 1)) for k in ("channels", "slices", "frames")]
    product, images = math.prod(counts), int(meta.get("images", 1))
    series = reading.series[0] if reading.series else None
    virtual = series is not None and series.kind == "imagej" and _present(series, reading.file.filehandle.size)
    planes = max(count, _planes(series)) if series is not None and virtual else count
    named = [f"{n} {k}" for n, k in zip(counts, ("channels", "slices", "frames")) if n != 1] or [f"{images} images"]
    says = f"ImageJ's description counts {' × '.join(named)}"
    samples = max(1, page.samplesperpixel)
    if virtual and product in (1, planes, planes * samples):
        if images > planes * samples:
            reading.remarks.append(f"its ImageJ description counts {images} images, {planes} planes are there.")
            if count == 1:
                reading.refusal = _refused(path, f"{says} ({images} images)", planes, page.shape)
        return ""
    if count == 1 and max(product, images) > planes * samples:
        reading.refusal = _refused(path, says, 1, page.shape)
    return f"{says}, it has {planes} planes"


def _doubt_ome(path: Path, reading: _Reading, count: int) -> str:
    assert reading.xml is not None
    log = reading.log
    reading.missing = _missing_files(path, reading.xml)
    if not reading.series or reading.series[0].kind != "ome":
        why = next((text for text in log.oddities if "OME" in text), "")
        return f"its OME-XML does not fit its pages{f' ({why})' if why else ''}"
    holes = [sum(p is None for p in s.pages) for s in reading.series]
    log.oddities = [t for t in log.oddities if "zeroed" not in t and "files" not in t]  # told below
    if any(holes) and not reading.missing:
        first = reading.series[holes.index(max(holes))]
        says = f"its OME-XML describes {_planes(first)} planes, {first.axes} = {first.shape}"
        log.oddities = [t for t in log.oddities if "index" not in t]
        if len(reading.series) == 1 and sum(n > 1 for n, a in zip(first.shape, first.axes) if a not in "YXS") <= 1:
            return f"{says}, it has {count} pages"
        reading.refusal = _refused(path, says, count, reading.file.pages.first.shape)
        return f"{says}, it has {count} pages"
    used = {p.index for s in reading.series for p in s.pages if p is not None and p.parent is reading.file}
    unused = count - len(used) if used else 0
    if unused > 0 and not reading.missing and _in_chain(reading) < count:
        log.oddities = [t for t in log.oddities if "expected" not in t]
        reading.remarks.append(f"{unused} of its {count} pages are not described by its OME-XML; they are left out.")
    return ""


def _missing_files(path: Path, xml: str) -> list[str]:
    names = {
        uuid.get("FileName", "")
        for _, pixels in ome_pixels(xml)
        for uuid in pixels.iter()
        if uuid.tag.rsplit("}", 1)[-1] == "UUID"
    }
    own = path.name.lower()
    return sorted(n for n in names if n and n.lower() != own and not (path.parent / n).is_file())


def _some(names: list[str]) -> str:
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")


# ---------------------------------------------------------------------------------------------------------------------
# One image


def _axes(series: tifffile.TiffPageSeries) -> str:
    return "".join("?" if a in _UNNAMED else a for a in series.axes)


def _entry(path: Path, reading: _Reading, place: int, series: tifffile.TiffPageSeries) -> Entry:
    def open_() -> Source:
        with tiff_errors(path):
            return _source(path, reading, place, series)

    name = series.name if reading.xml else ""
    return Entry(name, _axes(series), tuple(series.shape), np.dtype(series.dtype), open_)


def _source(path: Path, reading: _Reading, place: int, series: tifffile.TiffPageSeries) -> Source:
    page: Any = series.keyframe
    known = calibration(reading.file, page, series, place, reading.xml)
    remarks = list(reading.remarks)
    if series.dataoffset is not None:  # all in one piece: a look at its end is enough
        _check_end(path, series)
    else:
        holes = sum(p is None for p in series.pages)
        if holes:
            files = f" lie in files that are missing ({_some(reading.missing)})" if reading.missing else " are missing"
            remarks.append(f"{holes} of its {len(series.pages)} planes{files}.")
        elif reading.missing:
            remarks.append(f"files of other images of its set are missing: {_some(reading.missing)}.")
        remarks += [text for text in [check_pages(path, [p for p in series.pages if p is not None])] if text]
    check_codec(path, page)
    if int(page.photometric) == 0:
        remarks.append("white is zero in it (the TIFF tag says so): its values are read as stored, dark means bright.")
    remarks += [f"tifffile says of it: {text.rstrip('.')}." for text in reading.log.oddities]
    source = _level(path, reading, series, known)
    coarse = _level(path, reading, series.levels[-1], known) if len(series.levels) > 1 else None
    return dataclasses.replace(source, remarks=tuple(remarks), refusal=reading.refusal, coarse=coarse)


def _check_end(path: Path, series: tifffile.TiffPageSeries) -> None:
    assert series.dataoffset is not None
    end, size = series.dataoffset + series.nbytes, series.keyframe.parent.filehandle.size
    if end > size:
        raise truncated(path, f"its data run to byte {end}, the file has {size}")


def _level(path: Path, reading: _Reading, series: tifffile.TiffPageSeries, known: Calibration) -> Source:
    shape = tuple(series.shape)
    chunks = tuple(n if a in "YXS" else 1 for n, a in zip(shape, series.axes))

    def load(index: Index) -> Array:
        try:
            return _loaded(path, reading, series, index)
        except (CytoformError, OSError, MemoryError):
            raise
        except Exception as error:  # decoders raise whatever they like
            raise undecodable(path, series.keyframe, error) from error

    format_, spacing, zero, hint = known.format, known.spacing, known.zero, known.hint
    source = Source(path, format_, _axes(series), shape, np.dtype(series.dtype), spacing, (0.0, 0.0, 0.0), load, chunks)
    unit_step, interval, names = known.unit_step, known.frame_interval, known.channel_names
    return dataclasses.replace(
        source, hint=hint, unit_step=unit_step, frame_interval=interval, zero=zero, channel_names=names
    )


def _loaded(path: Path, reading: _Reading, series: tifffile.TiffPageSeries, index: Index) -> Array:
    # Only what is asked for is read: a part of the file where the voxels lie in one piece, else the pages concerned.
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
        raise _absent(path, reading)
    data = page.parent.root.asarray(key=keys, series=series)
    return data.reshape(np.shape(chosen) + shape[lead:])[(slice(None),) * np.ndim(chosen) + index[lead:]]


def _absent(path: Path, reading: _Reading) -> FileFormatError:
    if reading.missing:
        return FileFormatError(
            f"planes of {path} lie in files that are missing: {_some(reading.missing)}.",
            remedy=f"Put them into the folder {path.parent}, or choose a channel or time point that is there.",
        )
    return truncated(path, "some of its planes are missing")
