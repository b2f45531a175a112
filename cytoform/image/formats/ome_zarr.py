"""Read OME-Zarr folders: one image, several images, or one resolution level of an image."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import BackendError, CytoformError, FileFormatError
from .foreign import foreign_folder_error
from .ngff import Description, describe_array, is_known_version
from .source import UNKNOWN, Array, Entry, ImageFormat, Images, Index, Source, truncation_error
from .tiff_checks import unreadable_error

_LOG = logging.getLogger(__name__)

__all__ = ["FORMAT"]

_MARKER_FILES = ("zarr.json", ".zgroup", ".zarray", ".zattrs")
_MAX_LISTED = 5  # members of a group named in a message
_MAX_COUNTED = 50_000  # chunks; of more, the missing ones are not counted, which takes long
_EXPECTED = "expected an OME-Zarr image (NGFF 0.1 to 0.6)"


def _is_zarr(path: Path) -> bool:
    """Tell whether a path is a folder with a metadata file of Zarr (zarr.json, .zgroup, .zarray or .zattrs)."""
    return path.is_dir() and any((path / name).is_file() for name in _MARKER_FILES)


@contextmanager
def _open_images(path: Path) -> Iterator[Images]:
    """Open an OME-Zarr folder while the context lasts, and give its images.

    Raises
    ------
    FileFormatError
        When it is no Zarr, or none that holds an image.
    BackendError
        When the library zarr is not installed.
    """
    if not _is_zarr(path):
        raise foreign_folder_error(path)
    try:
        import zarr
    except ImportError as error:
        raise BackendError(
            f"{path} is an OME-Zarr, and the library zarr is not installed.", remedy="pip install cytoform[zarr]"
        ) from error
    with _zarr_errors(path):
        entries = _list_entries(path, zarr.open(str(path), mode="r"))
    yield Images(path, tuple(entries))


FORMAT = ImageFormat("an OME-Zarr folder", (".ome.zarr", ".zarr"), _open_images, _is_zarr)


@contextmanager
def _zarr_errors(path: Path) -> Iterator[None]:
    """Turn exceptions of zarr into FileFormatError with the file's name, while the context lasts."""
    try:
        yield
    except (CytoformError, MemoryError):
        raise
    except PermissionError as error:
        raise unreadable_error(path, error) from error
    except Exception as error:  # zarr's errors differ from version to version
        reason = str(error) or type(error).__name__
        raise FileFormatError(
            f"{path} cannot be read as OME-Zarr: {reason.rstrip('.')}.",
            remedy="Expected NGFF 0.1 to 0.6 with multiscales metadata; export it again.",
        ) from error


# ---------------------------------------------------------------------------------------------------------------------
# Which images there are


def _list_entries(path: Path, node: Any) -> list[Entry]:
    """Return the images in a Zarr group or array `node`, whose folder is `path`.

    An array is one image; a group with "multiscales" holds one for each entry; a well or a collection of bioformats2raw
    holds those of its members. FileFormatError is raised for a plate and for a group without images.
    """
    if hasattr(node, "shape"):
        return [_array_entry(path, node)]
    meta, version = _read_metadata(node)
    if meta.get("multiscales"):
        names = _channel_names(meta)
        return [_multiscale_entry(path, node, scales, version, names) for scales in meta["multiscales"]]
    if "plate" in meta:
        wells = [str(w.get("path", "")) for w in meta["plate"].get("wells", ()) if isinstance(w, Mapping)]
        example = f", such as {path / wells[0]}" if wells else ""
        raise FileFormatError(
            f"{path} is a plate of many images; expected one image.",
            remedy=f"Give the path of a well or of one field inside of it{example}.",
        )
    children = _collection_names(node, meta)
    entries = [dataclasses.replace(e, name=n) for n in children if n in node for e in _list_entries(path / n, node[n])]
    if missing := [n for n in children if n not in node]:
        _LOG.warning("%s lists images that are not there: %s", path, ", ".join(missing))
    if entries:
        return entries if len(entries) > 1 else [dataclasses.replace(entries[0], name="")]
    inner = _inner_paths(node, meta)
    where = f" of the images inside of it: {', '.join(inner)}" if inner else " of the image inside of it"
    raise FileFormatError(
        f"{path} is a Zarr without multiscales metadata; {_EXPECTED}.", remedy=f"Give the path{where}."
    )


def _read_metadata(node: Any) -> tuple[Mapping[str, Any], str]:
    """Return the NGFF metadata of a group and their version, empty where they give none."""
    attributes = node.attrs.asdict()
    meta = attributes.get("ome", attributes)
    version = meta.get("version", "")
    if not version and meta.get("multiscales"):
        version = meta["multiscales"][0].get("version", "")
    return meta, str(version or "")


def _collection_names(node: Any, meta: Mapping[str, Any]) -> list[str]:
    """Return the names of the members that are images: of a well its fields, of a bioformats2raw collection its series.

    A collection lists them, or numbers them from 0. Other groups have none.
    """
    if "well" in meta:
        return [str(i.get("path")) for i in meta["well"].get("images", ())]
    if "bioformats2raw.layout" not in meta:
        return []
    if "OME" in node:
        series = _read_metadata(node["OME"])[0].get("series")
        if series:
            return [str(s) for s in series]
    names: list[str] = []
    while str(len(names)) in node:
        names.append(str(len(names)))
    return names


def _inner_paths(node: Any, meta: Mapping[str, Any]) -> list[str]:
    """Return the names of up to five members of a group that may hold images, and "…" where there are more."""
    names = [str(n) for n in meta.get("labels", ())] or sorted(str(n) for n, _ in node.members())
    return names[:_MAX_LISTED] + (["…"] if len(names) > _MAX_LISTED else [])


def _channel_names(meta: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the labels of the channels from the block "omero" of the metadata; none where all of them are empty."""
    omero = meta.get("omero")
    channels = omero.get("channels") if isinstance(omero, Mapping) else None
    labels = [str(c.get("label") or "") if isinstance(c, Mapping) else "" for c in channels or ()]
    return tuple(labels) if any(labels) else ()


def _multiscale_entry(
    path: Path, node: Any, scales: Mapping[str, Any], version: str, channel_names: tuple[str, ...]
) -> Entry:
    """Describe a multi-resolution image of an OME-Zarr, which is opened at its highest resolution.

    Parameters
    ----------
    path : Path
        Folder of the image.
    node : zarr.Group
        Its group.
    scales : mapping
        Its entry of "multiscales". The first data set is the image; the last one, at the lowest resolution, becomes its
        ``coarse``.
    version : str
        Version of the NGFF specification; empty where it is not known.
    channel_names : tuple of str
        Names of the channels; may be empty.
    """
    level = scales["datasets"][0]  # the highest resolution comes first
    array = node[level["path"]]
    found = _describe_level(path, scales, level, array, version)

    def open_() -> Source:
        source = dataclasses.replace(_make_source(path, array, found), channel_names=channel_names)
        last = scales["datasets"][-1]
        if last is not level:
            lowest = node[last["path"]]
            source = dataclasses.replace(source, coarse=_make_source(path, lowest, found, counted=False))
        return source

    return Entry(str(scales.get("name") or ""), found.axes, tuple(array.shape), np.dtype(array.dtype), open_)


def _describe_level(
    path: Path, scales: Mapping[str, Any], level: Mapping[str, Any], array: Any, version: str
) -> Description:
    """Return axes, voxel size and origin of an array from its metadata.

    A version that is not known is read as 0.6, with a remark. FileFormatError is raised where the metadata do not fit
    the array, or the version is not known and they name no axes.
    """
    try:
        found = describe_array(scales, level, array.ndim)
    except (ValueError, TypeError, KeyError) as error:
        unknown = "" if is_known_version(version) else f" Its NGFF version {version} is not known here."
        raise FileFormatError(
            f"{path} has metadata that do not fit its array of shape {tuple(array.shape)}: {error}.{unknown}",
            remedy="Export it again as NGFF 0.4 or 0.5.",
        ) from error
    if is_known_version(version):
        return found
    if "axes" not in scales and "coordinateSystems" not in scales:
        raise FileFormatError(
            f"{path} is of NGFF version {version}, which is not known here; {_EXPECTED}.",
            remedy="Export it as NGFF 0.4 or 0.5.",
        )
    remark = f"its NGFF version {version} is not known here; it is read as if it were 0.6: check axes and voxel size."
    return dataclasses.replace(found, remarks=(remark, *found.remarks))


def _array_entry(path: Path, array: Any) -> Entry:
    """Describe an array that was given by its own path.

    Its metadata are those of the image in a folder above that has it as a level. Without these the axes are the array's
    dimension names, else the last letters of TCZYX, with a remark, and the voxel size is unknown.
    """
    found = _describe_from_parent(path, array)
    if found is None:
        dimensions = getattr(array.metadata, "dimension_names", None) or ()
        named = len(dimensions) == array.ndim and all(dimensions)
        axes = "".join(str(n)[:1].upper() for n in dimensions) if named else "TCZYX"[-array.ndim :]
        axes = "?" * (array.ndim - len(axes)) + axes
        remarks = () if named else (f"it is an array without names for its axes; they are taken as {axes}.",)
        found = Description(axes, (None,) * array.ndim, (0.0,) * array.ndim, None, "", remarks)
    return Entry("", found.axes, tuple(array.shape), np.dtype(array.dtype), lambda: _make_source(path, array, found))


def _describe_from_parent(path: Path, array: Any) -> Description | None:
    """Return the metadata of an array from the image, one or two folders above, of which it is a level, or None."""
    import zarr

    whole = path.resolve()
    for folder in list(whole.parents)[:2]:
        if not _is_zarr(folder):
            continue
        node = zarr.open(str(folder), mode="r")
        if hasattr(node, "shape"):
            return None
        meta, version = _read_metadata(node)
        for scales in meta.get("multiscales", ()):
            for level in scales.get("datasets", ()):
                if (folder / str(level.get("path"))).resolve() == whole:
                    return _describe_level(path, scales, level, array, version)
    return None


# ---------------------------------------------------------------------------------------------------------------------
# One array


def _make_source(path: Path, array: Any, found: Description, *, counted: bool = True) -> Source:
    """Return a Zarr array as a source with axes, voxel size and origin as `found` has them.

    With `counted`, a remark states how many of its chunks are not stored.
    """

    def load(index: Index) -> Array:
        try:
            return np.asarray(array[index])
        except (MemoryError, PermissionError):
            raise
        except Exception as error:  # a damaged chunk
            raise truncation_error(path, str(error) or type(error).__name__) from error

    shape = tuple(array.shape)
    chunks = tuple(getattr(array, "shards", None) or array.chunks)
    remarks = found.remarks + (_remark_on_missing_chunks(array) if counted else ())
    source = Source(
        path,
        "OME-Zarr",
        found.axes,
        shape,
        np.dtype(array.dtype),
        UNKNOWN,
        (0.0, 0.0, 0.0),
        load,
        chunks,
        found.hint,
        frame_interval=found.frame_interval,
        remarks=remarks,
        steps=found.steps,
        starts=found.starts,
    )
    return source.with_axes(found.axes)


def _remark_on_missing_chunks(array: Any) -> tuple[str, ...]:
    """Return a remark on the number of chunks that are not stored, or none where all are stored.

    Chunks that are not stored are read as the fill value. Writers leave out chunks of one value; an incomplete copy
    lacks some as well. Arrays of more than 50 000 chunks are not counted.
    """
    chunks = getattr(array, "shards", None) or array.chunks
    total = math.prod(-(-n // c) for n, c in zip(array.shape, chunks))
    if not 0 < total <= _MAX_COUNTED:
        return ()
    stored = array.nchunks_initialized
    if getattr(array, "shards", None):
        stored = -(-stored * total // max(array.nchunks, 1))
    missing = total - stored
    return (f"{missing} of its {total} chunks are not stored; they are read as {array.fill_value}.",) if missing else ()
