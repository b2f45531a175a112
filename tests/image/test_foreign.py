"""Files that are no TIFF and no OME-Zarr, or that cannot be read: the error names them and a way on."""

import errno
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image

from cytoform.errors import FileFormatError
from cytoform.image.io import image_info, read_volume


def _refused(path):
    with pytest.raises(FileFormatError) as caught:
        read_volume(path, spacing=1)
    with pytest.raises(FileFormatError):
        image_info(path)
    text = str(caught.value)
    assert caught.value.remedy and str(path) in text and "damaged" not in text
    return text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "head", "kind", "remedy"),
    [
        ("a.czi", b"ZISRAWFILE" + bytes(22), "Zeiss CZI", "bfconvert a.czi a.ome.tif"),
        ("a.lif", b"\x70\0\0\0" + bytes(20), "Leica LIF", "Bio-Formats"),
        ("a.nd2", b"\xda\xce\xbe\x0a" + bytes(20), "Nikon ND2", "Bio-Formats"),
        ("a.oir", b"OLYMPUSRAWFORMAT" + bytes(20), "Olympus OIR", "Bio-Formats"),
        ("a.oib", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(20), "compound file", "Bio-Formats"),
        ("a.nii", b"\x5c\x01\0\0" + bytes(340) + b"n+1\0", "NIfTI", "SimpleITK"),
        ("a.mrc", bytes(208) + b"MAP DA", "MRC", "SimpleITK"),
        ("a.zip", b"PK\x03\x04" + bytes(20), "ZIP archive", "Unpack"),
        ("a.ome", b'<?xml version="1.0"?><OME xmlns="x"></OME>', "OME-XML", "TIFF file itself"),
        ("a.tif", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "Git LFS", "git lfs pull"),
        ("a.tif", b"<!DOCTYPE html><html><body>not found</body></html>", "web page", "fetch the file again"),
        ("a.dat", b"nothing that anybody knows", "not a readable TIFF", "OME-TIFF"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path, name, head, kind, remedy):
    (tmp_path / name).write_bytes(head)
    text = _refused(tmp_path / name)
    assert kind in text and remedy in text


def test_files_that_other_libraries_write(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["image"] = np.ones((3, 4, 5))
    assert "HDF5" in _refused(tmp_path / "a.h5") and "h5py" in _refused(tmp_path / "a.h5")
    picture = Image.fromarray(np.zeros((8, 9), np.uint8))
    for ending, kind in (("png", "PNG"), ("jpg", "JPEG"), ("bmp", "BMP"), ("gif", "GIF"), ("webp", "WebP")):
        picture.save(tmp_path / f"a.{ending}")
        text = _refused(tmp_path / f"a.{ending}")
        assert kind in text and "Image Sequence" in text
    np.save(tmp_path / "a.npy", np.ones((3, 4, 5)))
    assert "NumPy" in _refused(tmp_path / "a.npy") and 'write_volume("a.tif"' in _refused(tmp_path / "a.npy")


def test_folders_without_zarr(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    assert "folder without an image" in _refused(folder)
    for k in range(7):
        tifffile.imwrite(folder / f"z{k}.tif", np.zeros((4, 5), np.uint8))
    text = _refused(folder)
    assert "z0.tif" in text and "and 2 more" in text and "Image Sequence" in text
    (folder / "embryo.zarr").mkdir()
    assert "embryo.zarr" in _refused(folder)
    n5 = tmp_path / "a.n5"
    n5.mkdir()
    (n5 / "attributes.json").write_text('{"n5": "2.0.0"}')
    assert "N5" in _refused(n5)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), "permission denied.*holds it open"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (OSError(errno.ESTALE, "Stale file handle"), "Stale file handle"),
    ],
)
def test_a_file_that_the_system_withholds(tmp_path, monkeypatch, error, cause):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, 4, 5), np.uint8), photometric="minisblack")

    def withheld(*args, **kwargs):
        raise error

    monkeypatch.setattr(tifffile, "TiffFile", withheld)
    with pytest.raises(FileFormatError, match=f"cannot be read: {cause}") as caught:
        read_volume(tmp_path / "a.tif", spacing=1)
    assert "damaged" not in str(caught.value)


def test_a_folder_that_the_system_withholds(tmp_path, monkeypatch):
    def withheld(self):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "exists", withheld)
    with pytest.raises(FileFormatError, match="permission denied"):
        read_volume(tmp_path / "closed" / "a.tif")


def test_numbers_that_no_voxel_has_are_named(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.ones((3, 4, 5), np.complex64), photometric="minisblack")
    assert image_info(tmp_path / "a.tif", extremes=True).minimum is None
    with pytest.raises(ValueError, match="complex64"):
        read_volume(tmp_path / "a.tif", spacing=1)
