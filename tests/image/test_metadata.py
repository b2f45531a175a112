"""Metadata that disagree with whole pixels, files cut short, and OME-TIFFs of several files."""

import os
import re

import numpy as np
import pytest
import tifffile

from cytoform.errors import FileFormatError, VolumeError
from cytoform.image.io import image_info, read_volume

OME = (
    '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
    '<Image ID="Image:0"><Description>{text}</Description><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" '
    'SizeX="{x}" SizeY="12" SizeZ="{z}" SizeC="{c}" SizeT="1" PhysicalSizeZ="0.3" PhysicalSizeY="0.2" '
    'PhysicalSizeX="0.1"><Channel ID="Channel:0:0" SamplesPerPixel="1"/><TiffData/></Pixels></Image></OME>'
)


def _stack(planes=6, seed=0):
    return np.random.default_rng(seed).integers(1, 200, (planes, 12, 14)).astype(np.uint16)


def _pages(path, data, text):
    # Pages one by one, with a text that tifffile does not look at as it writes.
    with tifffile.TiffWriter(path, ome=False) as file:
        for i, plane in enumerate(data):
            tags = [(270, 2, len(text) + 1, text.encode() + b"\0", True)] if i == 0 else []
            file.write(plane, contiguous=False, metadata=None, extratags=tags)
    return path


def _imagej(**counts):
    return "ImageJ=1.54f\n" + "".join(f"{k}={v}\n" for k, v in counts.items()) + "unit=um\nspacing=0.3\n"


# -- whole pixels, odd metadata ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        (_imagej(images=6, channels=6, slices=6, hyperstack="true"), "6 channels × 6 slices, it has 6 planes"),
        (_imagej(images=6, slices=-6), "-6 slices, it has 6 planes"),
        (_imagej(images=6, slices=0, channels=0), "0 channels × 0 slices, it has 6 planes"),
        (_imagej(images="6.0", slices="6.0"), "numbers that are not whole"),
        (_imagej(images="?", slices="?"), "cannot be made sense of"),
        ('{"shape": [6, 12', "cannot be made sense of"),
        ('{"shape": "6, 12, 14"}', "cannot be made sense of"),
        (OME.replace('SizeZ="{z}" ', "").format(text="", x=14, c=1), "cannot be made sense of"),
        (_imagej(images=12, slices=12), "12 slices, it has 6 planes"),
        (_imagej(images=6, slices=4), "4 slices, it has 6 planes"),
        (_imagej(images=6, channels=2, slices=2), "2 channels × 2 slices, it has 6 planes"),
        ('{"shape": [6, 20, 20]}', "the shape noted in it by tifffile is (6, 20, 20), it has 6 pages of (12, 14)"),
        ('{"shape": [12, 12, 14]}', "tifffile is (12, 12, 14), it has 6 pages"),
        ('{"shape": [3, 12, 14]}', "tifffile is (3, 12, 14), it has 6 pages"),
        (OME.format(text="", x=14, z=9, c=1), "describes 9 planes"),
        (OME.format(text="", x=20, z=6, c=1), "OME-XML does not fit its pages"),
        (OME.replace("<Image", "<Image <").format(text="", x=14, z=6, c=1), "OME-XML cannot be parsed"),
    ],
)
def test_pages_are_read_as_they_are(tmp_path, text, remark):
    path = _pages(tmp_path / "a.tif", _stack(), text)
    volume = read_volume(path, spacing=1)
    assert np.array_equal(volume.data, _stack())
    assert any(remark in r and "set aside" in r for r in volume.remarks), volume.remarks
    assert image_info(path, extremes=True).maximum == _stack().max()


def test_a_complaint_of_tifffile_is_passed_on(tmp_path):
    volume = read_volume(_pages(tmp_path / "a.tif", _stack(), '{"shape": [3, 24, 14]}'), spacing=1)
    assert np.array_equal(volume.data, _stack())
    assert any("tifffile says" in r and "does not match" in r for r in volume.remarks)


@pytest.mark.parametrize("text", ["DAPI & membrane", "R&D &amp; more", "a\x0bb", "&#181;m & µm"])
def test_xml_that_is_nearly_right_is_believed(tmp_path, text):
    path = _pages(tmp_path / "a.ome.tif", _stack(), OME.format(text=text, x=14, z=6, c=1))
    volume = read_volume(path)
    assert np.array_equal(volume.data, _stack()) and volume.spacing == (0.3, 0.2, 0.1)
    assert any("XML does not allow" in r for r in volume.remarks)


def test_pages_that_the_xml_leaves_out_are_told(tmp_path):
    path = _pages(tmp_path / "a.ome.tif", _stack(8), OME.format(text="", x=14, z=6, c=1))
    volume = read_volume(path)
    assert np.array_equal(volume.data, _stack(8)[:6])
    assert any("2 of its 8 pages" in r and "left out" in r for r in volume.remarks)


def test_planes_missing_of_several_channels_are_refused_with_a_way_on(tmp_path):
    path = _pages(tmp_path / "a.ome.tif", _stack(), OME.format(text="", x=14, z=6, c=2))
    message = r"describes 12 planes.*6 planes are there.*name the axes.*--axes"
    with pytest.raises(FileFormatError, match=message):
        read_volume(path, channel=0)
    assert any(re.search(message, r) for r in image_info(path).remarks)
    assert np.array_equal(read_volume(path, axes="ZYX").data, _stack())


def test_one_plane_with_the_description_of_a_stack(tmp_path):
    path = _pages(tmp_path / "a.tif", _stack(1), _imagej(images=6, slices=6))
    with pytest.raises(FileFormatError, match=r"cut short, or its metadata are those of another image.*6 slices.*one"):
        read_volume(path)
    assert image_info(path).shape == (12, 14)


@pytest.mark.parametrize(("code", "remark"), [(50000, None), (306, "tag 306 cannot be read"), (258, "damaged")])
def test_a_tag_that_lies_beyond_the_end(tmp_path, code, remark):
    path = _pages(tmp_path / "a.tif", _stack(), "plain")
    with tifffile.TiffFile(path) as file:
        place = file.pages[0].tags["BitsPerSample" if code == 258 else "Software"].offset
    whole = bytearray(path.read_bytes())
    whole[place : place + 12] = code.to_bytes(2, "little") + bytes([2, 0]) + b"\xff\0\0\0" + b"\xff\xff\xff\x7f"
    path.write_bytes(whole)
    if code == 258:
        with pytest.raises(FileFormatError, match=r"damaged or cut short: tag 258 lies beyond"):
            read_volume(path, spacing=1)
        return
    volume = read_volume(path, spacing=1)
    assert np.array_equal(volume.data, _stack())
    assert [remark in r for r in volume.remarks] == ([True] if remark else [])


def test_tiles_that_are_not_stored_are_told(tmp_path):
    data = np.zeros((32, 32), np.uint8)
    data[:16, :16] = 7
    tiles = iter([data[:16, :16].tobytes(), b"", b"", b""])
    tifffile.imwrite(tmp_path / "a.tif", tiles, shape=data.shape, dtype=np.uint8, tile=(16, 16), compression=None)
    info = image_info(tmp_path / "a.tif", extremes=True)
    assert (info.minimum, info.maximum) == (0, 7)
    assert any("3 of its 4 strips or tiles are not stored" in r for r in info.remarks)


# -- files cut short ---------------------------------------------------------------------------------------------------


def _cut(path, whole, length):
    path.write_bytes(whole[:length])
    try:
        volume = read_volume(path, spacing=1, time=0)
    except (FileFormatError, VolumeError):
        return None
    return volume.data


@pytest.mark.parametrize("kind", ["lzw", "zstd-tiles", "imagej", "bigtiff", "ome-5d", "positions", "pillow"])
def test_a_file_cut_anywhere_never_gives_wrong_voxels(tmp_path, kind):
    path, data = tmp_path / ("a.ome.tif" if kind in ("ome-5d", "positions") else "a.tif"), _stack()
    if kind == "lzw":
        tifffile.imwrite(path, data, compression="lzw", photometric="minisblack")
    elif kind == "zstd-tiles":
        tifffile.imwrite(path, data, compression="zstd", tile=(16, 16), photometric="minisblack")
    elif kind == "imagej":
        tifffile.imwrite(path, data, imagej=True, metadata={"axes": "ZYX", "spacing": 0.3, "unit": "um"})
    elif kind == "bigtiff":
        tifffile.imwrite(path, data, bigtiff=True, photometric="minisblack")
    elif kind == "ome-5d":
        tifffile.imwrite(path, data.reshape(2, 1, 3, 12, 14), photometric="minisblack", metadata={"axes": "TCZYX"})
        data = data[:3]
    elif kind == "positions":
        with tifffile.TiffWriter(path, ome=True) as file:
            file.write(data, photometric="minisblack", metadata={"axes": "ZYX"})
            file.write(data[:4], photometric="minisblack", metadata={"axes": "ZYX"})
    else:
        from PIL import Image

        pages = [Image.fromarray(p) for p in data]
        pages[0].save(path, compression="tiff_lzw", save_all=True, append_images=pages[1:])
    whole = path.read_bytes()
    for length in np.linspace(1, len(whole) - 1, 60).astype(int):
        found = _cut(path, whole, length)
        assert found is None or np.array_equal(found, data), length
    assert np.array_equal(_cut(path, whole, len(whole)), data)


def test_what_is_cut_short_is_called_so(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", _stack(), photometric="minisblack")
    whole = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileFormatError, match=r"damaged or cut short: .*byte \d+, the file has \d+"):
        read_volume(tmp_path / "a.tif", spacing=1)


# -- OME-TIFFs of several files ----------------------------------------------------------------------------------------


def _several_files(folder, names=("t0.ome.tif", "t1.ome.tif"), *, binary_only=False):
    # One file for each time point, each with the whole metadata or only the name of the file that has them.
    data = _stack(10).reshape(2, 5, 12, 14)
    parts = "".join(
        f'<TiffData FirstT="{t}" FirstZ="{z}" FirstC="0" IFD="{z}" PlaneCount="1">'
        f'<UUID FileName="{name}">urn:uuid:0000-{t}</UUID></TiffData>'
        for t, name in enumerate(names)
        for z in range(5)
    )
    body = (
        '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="14" SizeY="12" '
        'SizeZ="5" SizeC="1" SizeT="2" PhysicalSizeZ="0.3" PhysicalSizeY="0.2" PhysicalSizeX="0.1">'
        f'<Channel ID="Channel:0:0" SamplesPerPixel="1"/>{parts}</Pixels></Image></OME>'
    )
    space = 'xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"'
    if binary_only:
        (folder / "set.companion.ome").write_text(f'<?xml version="1.0"?><OME {space} UUID="urn:uuid:set">{body}')
    for t, name in enumerate(names):
        text = f'<OME {space} UUID="urn:uuid:0000-{t}">'
        text += '<BinaryOnly MetadataFile="set.companion.ome" UUID="urn:uuid:set"/></OME>' if binary_only else body
        _pages(folder / name, data[t], text)
    return data


@pytest.mark.parametrize("binary_only", [False, True])
@pytest.mark.parametrize("name", ["t0.ome.tif", "t1.ome.tif"])
def test_one_file_of_a_set_stands_for_all(tmp_path, name, binary_only):
    data = _several_files(tmp_path, binary_only=binary_only)
    info = image_info(tmp_path / name, extremes=True)
    assert (info.axes, info.shape, info.spacing) == ("TZYX", data.shape, (0.3, 0.2, 0.1))
    assert (info.minimum, info.maximum) == (data.min(), data.max())
    for t in range(2):
        assert np.array_equal(read_volume(tmp_path / name, time=t).data, data[t])


def test_what_is_left_of_a_set_is_read_and_what_is_missing_is_named(tmp_path):
    data = _several_files(tmp_path)
    os.remove(tmp_path / "t1.ome.tif")
    volume = read_volume(tmp_path / "t0.ome.tif", time=0)
    assert np.array_equal(volume.data, data[0]) and volume.spacing == (0.3, 0.2, 0.1)
    assert any("5 of its 10 planes lie in files that are missing (t1.ome.tif)" in r for r in volume.remarks)
    with pytest.raises(FileFormatError, match=r"files that are missing: t1\.ome\.tif.*Put them into the folder"):
        read_volume(tmp_path / "t0.ome.tif", time=1)
    with pytest.raises(VolumeError, match="2 time points"):
        read_volume(tmp_path / "t0.ome.tif")


def test_a_missing_companion_is_named(tmp_path):
    data = _several_files(tmp_path, binary_only=True)
    os.remove(tmp_path / "set.companion.ome")
    volume = read_volume(tmp_path / "t1.ome.tif", spacing=1)
    assert np.array_equal(volume.data, data[1])
    assert any("set.companion.ome, which is missing" in r for r in volume.remarks)
