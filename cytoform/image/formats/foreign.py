"""Identify files that cytoform does not read, and state how to convert them to a format that it reads."""

from __future__ import annotations

from pathlib import Path

from ...errors import FileFormatError

__all__ = ["fiji_remedy", "foreign_file_error", "foreign_folder_error", "identify_foreign_file"]

_HEAD = 4096  # bytes in which signatures of formats are sought
_MAX_LISTED = 5  # names shown of a folder

_BIOFORMATS = (
    "Open it in Fiji (File > Import > Bio-Formats) and save it as OME-TIFF, or convert it with Bio-Formats' command "
    "line: bfconvert {name} {stem}.ome.tif."
)
_JOIN = "in Fiji, File > Import > Image Sequence joins them to a stack; save that as TIFF."
_PLANE = f"A fit needs a stack of slices in one file. If there is a picture of each slice: {_JOIN}"
_ARRAY = 'Load it with numpy and write it with cytoform.write_volume("{stem}.tif", array, spacing=(dz, dy, dx)).'
_HDF5 = (
    "It may hold any number of arrays. Find the image with h5py and write it with "
    'cytoform.write_volume("{stem}.tif", array, spacing=(dz, dy, dx)); Fiji opens such files of Imaris, ilastik and '
    "BigDataViewer and saves them as OME-TIFF."
)
_PACKED = "Unpack it, then give the path of the image inside of it."
_MEDICAL = "Convert it to TIFF, for example with Fiji or SimpleITK."

# Offset in the file, signature there, name of the format, remedy.
_MAGIC: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file (.h5, .hdf5, Imaris .ims)", _HDF5),
    (0, b"ZISRAWFILE", "a Zeiss CZI file", _BIOFORMATS),
    (0, b"\x70\x00\x00\x00", "a Leica LIF file", _BIOFORMATS),
    (0, b"\xda\xce\xbe\x0a", "a Nikon ND2 file", _BIOFORMATS),
    (0, b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 image (or an old Nikon ND2 file)", _BIOFORMATS),
    (0, b"OLYMPUSRAWFORMAT", "an Olympus OIR file", _BIOFORMATS),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a compound file of Microsoft's (Olympus OIB, Zeiss ZVI, …)", _BIOFORMATS),
    (0, b"\x89PNG\r\n\x1a\n", "a PNG picture, one plane", _PLANE),
    (0, b"\xff\xd8\xff", "a JPEG picture, one plane and with loss", _PLANE),
    (0, b"GIF8", "a GIF picture", _PLANE),
    (0, b"BM", "a BMP picture, one plane", _PLANE),
    (8, b"WEBP", "a WebP picture", _PLANE),
    (8, b"AVI ", "an AVI film", _PLANE),
    (4, b"ftyp", "an MP4 or QuickTime film", _PLANE),
    (0, b"\x93NUMPY", "a NumPy array (.npy)", _ARRAY),
    (0, b"NRRD", "an NRRD image", _MEDICAL),
    (0, b"ObjectType", "a MetaImage header (.mhd, .mha)", _MEDICAL),
    (0, b"\x5c\x01\x00\x00", "a NIfTI or Analyze image", _MEDICAL),
    (344, b"n+1\x00", "a NIfTI image", _MEDICAL),
    (128, b"DICM", "a DICOM file", _MEDICAL),
    (208, b"MAP ", "an MRC or CCP4 map", _MEDICAL),
    (96, b"\xa0\xc0", "a DeltaVision file", _BIOFORMATS),
    (96, b"\xc0\xa0", "a DeltaVision file", _BIOFORMATS),
    (0, b"ics_version", "an ICS image", _BIOFORMATS),
    (0, b"MATLAB 5.0", "a MATLAB file", "Save the array in MATLAB with -v7, load it with scipy.io. " + _ARRAY),
    (0, b"PK\x03\x04", "a ZIP archive (.zip, .npz, .ozx)", _PACKED),
    (0, b"\x1f\x8b", "a gzip archive", _PACKED),
    (0, b"BZh", "a bzip2 archive", _PACKED),
    (0, b"%PDF", "a PDF document", "Give the path of the image itself."),
    (54, b"\x39\x30", "a Bio-Rad PIC file", _BIOFORMATS),
)
_TEXT: tuple[tuple[bytes, str, str], ...] = (
    (b"<OME", "OME-XML, which describes images in other files", "Give the path of the TIFF file itself."),
    (b"version https://git-lfs", "a pointer to a file in Git LFS, not the file itself", "Fetch it with git lfs pull."),
    (b"<!doctype html", "a web page", "The download went wrong: fetch the file again."),
    (b"<html", "a web page", "The download went wrong: fetch the file again."),
)


def foreign_file_error(path: Path, reason: str) -> FileFormatError:
    """Return the error for a file that is no TIFF; it names the file's true format where its signature is known.

    Parameters
    ----------
    path : Path
        An existing file.
    reason : str
        What is wrong with it as a TIFF.
    """
    known = identify_foreign_file(path)
    if known is not None:
        kind, remedy = known
        return FileFormatError(f"{path} is {kind}; expected {_readable_kinds()}.", remedy=remedy)
    return FileFormatError(
        f"{path} is not a readable TIFF: {reason}.",
        remedy=f"Expected {_readable_kinds()}; open it in Fiji (File > Import > Bio-Formats) and save it as OME-TIFF.",
    )


def identify_foreign_file(path: Path) -> tuple[str, str] | None:
    """Return the name of a file's format and a remedy, by the signature in its first 4096 bytes, or None."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    for offset, magic, kind, remedy in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return kind, _fill_in_names(remedy, path)
    return next(((kind, remedy) for mark, kind, remedy in _TEXT if mark.lower() in head.lower()), None)


def fiji_remedy(path: Path) -> str:
    """Return advice on how to convert a microscope's file to OME-TIFF with Fiji or Bio-Formats."""
    return _fill_in_names(_BIOFORMATS, path)


def _fill_in_names(remedy: str, path: Path) -> str:
    """Return the text with {name} and {stem} replaced by the file's name with and without its suffix."""
    return remedy.replace("{name}", path.name).replace("{stem}", path.stem)


def _readable_kinds() -> str:
    """Return the names of all registered formats, such as "a TIFF file or an OME-Zarr folder"."""
    from .registry import REGISTRY  # which holds the readers that raise these errors

    return REGISTRY.names()


def foreign_folder_error(path: Path) -> FileFormatError:
    """Return the error for a folder that is no Zarr; its remedy names images in the folder."""
    inside = sorted(path.iterdir())
    zarrs = [p for p in inside if p.is_dir() and (p.suffix.lower() == ".zarr" or (p / "zarr.json").is_file())]
    tiffs = [p for p in inside if p.is_file() and p.suffix.lower() in (".tif", ".tiff")]
    if (path / "attributes.json").is_file():
        return FileFormatError(
            f"{path} is an N5 folder; expected {_readable_kinds()}.",
            remedy="Open it in Fiji (File > Import > N5) and save it as OME-TIFF or OME-Zarr.",
        )
    start = f"{path} is a folder without an image in it; expected {_readable_kinds()}."
    if zarrs:
        return FileFormatError(start, remedy=f"Give the path of the OME-Zarr inside of it: {_list_names(zarrs)}.")
    if tiffs:
        remedy = f"Give the path of one of its TIFF files: {_list_names(tiffs)}."
        if len(tiffs) > 1:
            remedy = f"{remedy} If each of them is one slice: {_JOIN}"
        return FileFormatError(start, remedy=remedy)
    return FileFormatError(start, remedy="Give the path of one file, or of the folder that holds zarr.json or .zgroup.")


def _list_names(paths: list[Path]) -> str:
    """Return the first five names of some paths, and how many more there are."""
    names = ", ".join(p.name for p in paths[:_MAX_LISTED])
    return names + (f" and {len(paths) - _MAX_LISTED} more" if len(paths) > _MAX_LISTED else "")
