"""TIFFs in every compression that Fiji opens, and errors that name a compression that is not."""

import builtins
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image

from cytoform.errors import BackendError, FileFormatError
from cytoform.image.formats import tiff_checks
from cytoform.image.io import image_info, read_volume

LOSSLESS = ["lzw", "zlib", "adobe_deflate", "zstd", "jpeg2000", "packbits", "lzma", "png", "lerc", "jpegxl"]


def _stack(dtype=np.uint16, shape=(5, 32, 48)):
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


@pytest.mark.parametrize("compression", LOSSLESS)
def test_lossless_compression(tmp_path, compression):
    tifffile.imwrite(tmp_path / "a.tif", _stack(), compression=compression, photometric="minisblack")
    volume = read_volume(tmp_path / "a.tif", spacing=1)
    assert np.array_equal(volume.data, _stack()) and volume.remarks == ()
    info = image_info(tmp_path / "a.tif", extremes=True)
    assert (info.minimum, info.maximum) == (_stack().min(), _stack().max())


def test_predictor_and_tiles(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", _stack(), compression="lzw", predictor=2, tile=(16, 16))
    assert np.array_equal(read_volume(tmp_path / "a.tif", spacing=1).data, _stack())


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"])
def test_pages_that_pillow_wrote(tmp_path, compression):
    # Smooth, so that JPEG's loss is small.
    data = np.add.outer(np.arange(5) * 20, np.add.outer(np.arange(32), np.arange(48))).astype(np.uint8)
    pages = [Image.fromarray(p) for p in data]
    pages[0].save(tmp_path / "a.tif", compression=compression, save_all=True, append_images=pages[1:])
    loss = 3 if compression == "jpeg" else 0  # a grey value or two of JPEG's quantisation
    assert np.abs(read_volume(tmp_path / "a.tif", spacing=1).data.astype(int) - data).max() <= loss


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt", "packbits"])
def test_masks_of_one_bit(tmp_path, compression):
    mask = _stack(np.uint8) > 100
    pages = [Image.fromarray((p * 255).astype(np.uint8)).convert("1") for p in mask]
    pages[0].save(tmp_path / "a.tif", compression=compression, save_all=True, append_images=pages[1:])
    assert np.array_equal(read_volume(tmp_path / "a.tif", spacing=1).data.astype(bool), mask)


def _tiff(tags, data):
    # A little-endian TIFF of one page, its data right behind the header.
    entries = sorted(tags | {273: 8, 279: len(data)})
    values = tags | {273: 8, 279: len(data)}
    body = b"".join(struct.pack("<HHII", tag, 4, 1, values[tag]) for tag in entries)
    return struct.pack("<2sHI", b"II", 42, 8 + len(data)) + data + struct.pack("<H", len(entries)) + body + bytes(4)


def test_twelve_bits_packed(tmp_path):
    # Two values in three bytes, the most significant bits first, each row begun anew.
    values = np.random.default_rng(1).integers(0, 4096, (6, 8)).astype(np.uint16)
    packed = b"".join(bytes([a >> 4, (a & 15) << 4 | b >> 8, b & 255]) for a, b in values.reshape(-1, 2).tolist())
    tags = {256: 8, 257: 6, 258: 12, 259: 1, 262: 1, 277: 1, 278: 6}
    (tmp_path / "a.tif").write_bytes(_tiff(tags, packed))
    info = image_info(tmp_path / "a.tif", extremes=True)
    assert (info.dtype, info.shape) == (np.uint16, (6, 8))
    assert (info.minimum, info.maximum) == (values.min(), values.max())


def test_a_compression_that_nobody_knows_is_named(tmp_path):
    tags = {256: 8, 257: 6, 258: 8, 259: 34661, 262: 1, 277: 1, 278: 6}
    (tmp_path / "a.tif").write_bytes(_tiff(tags, bytes(48)))
    with pytest.raises(FileFormatError, match=r"compression .*34661.*no decoder.*Fiji") as caught:
        image_info(tmp_path / "a.tif")
    assert "damaged" not in str(caught.value)


def test_a_decoder_that_is_missing_is_named(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", _stack(), compression="lzw", photometric="minisblack")
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "imagecodecs":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    class Missing(dict):
        def __missing__(self, code):
            raise KeyError(f"{code} requires the 'imagecodecs' package")

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setattr(tiff_checks.tifffile.TIFF, "DECOMPRESSORS", Missing(), raising=False)
    with pytest.raises(BackendError, match=r"LZW \(5\).*imagecodecs.*pip install imagecodecs") as caught:
        read_volume(tmp_path / "a.tif", spacing=1)
    assert "damaged" not in str(caught.value)


def test_data_that_no_decoder_understands(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", _stack(shape=(1, 32, 48))[0], compression="zlib", photometric="minisblack")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        place, count = file.pages[0].dataoffsets[0], file.pages[0].databytecounts[0]
    whole = bytearray((tmp_path / "a.tif").read_bytes())
    whole[place : place + count] = bytes(count)
    (tmp_path / "a.tif").write_bytes(whole)
    remarks = image_info(tmp_path / "a.tif", extremes=True).remarks
    assert any("ADOBE_DEFLATE (8)" in r and "cannot be decoded" in r for r in remarks)


def test_white_is_zero_is_told(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", _stack(), photometric="miniswhite")
    assert any("white is zero" in r for r in read_volume(tmp_path / "a.tif", spacing=1).remarks)
