"""Microscopes' files through bioio: a LIF file made of its bytes here, a CZI file that Zeiss' own library writes."""

import struct
import subprocess
import sys
import tracemalloc
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

import cytoform as cf
from cytoform.cli import app
from cytoform.errors import FileFormatError, VolumeError
from cytoform.image.io import image_info
from cytoform.image.series import open_series

SIZE = (0.4, 0.12, 0.1)
DIGITS = 1e-6  # of lengths that went through a text in metres
FEW = 4  # volumes held at once: the file's bytes, bioio's copy and ours, and something for the graph of the movie


def _movie(shape=(2, 2, 4, 6, 8), seed=0):
    return np.random.default_rng(seed).integers(0, 60000, shape, dtype=np.uint16)


# -- LIF ---------------------------------------------------------------------------------------------------------------
# Ref: Leica, "LAS AF Image File Formats", 2012: blocks of (0x70, length, 0x2A, text in UTF-16 …), the first one XML.


def _image_element(parent, name, block, data, size):
    """One image of the XML: how its (t, c, z, y, x) values lie in its block of memory."""
    element = ElementTree.SubElement(parent, "Element", Name=name)
    ElementTree.SubElement(element, "Memory", Size=str(data.nbytes), MemoryBlockID=block)
    image = ElementTree.SubElement(ElementTree.SubElement(element, "Data"), "Image")
    description = ElementTree.SubElement(image, "ImageDescription")
    channels = ElementTree.SubElement(description, "Channels")
    for c in range(data.shape[1]):
        inc = str(c * data.strides[1])
        ElementTree.SubElement(
            channels, "ChannelDescription", DataType="0", ChannelTag="0", Resolution="16", NameOfMeasuredQuantity="",
            Min="0", Max="65535", Unit="", LUTName=("Green", "Red")[c], IsLUTInverted="0", BytesInc=inc, BitInc="0",
        )  # fmt: skip
    dimensions = ElementTree.SubElement(description, "Dimensions")
    for number, axis, step, unit in (("1", 4, size and size[2] * 1e-6, "m"), ("2", 3, size and size[1] * 1e-6, "m"),
                                     ("3", 2, size and size[0] * 1e-6, "m"), ("4", 0, 30.0, "s")):  # fmt: skip
        n = data.shape[axis]
        if n > 1:
            ElementTree.SubElement(
                dimensions, "DimensionDescription", DimID=number, NumberOfElements=str(n), Origin="0",
                Length=repr((step or 0.0) * (n - 1)), Unit=unit, BytesInc=str(data.strides[axis]), BitInc="0",
            )  # fmt: skip


def _lif(path, images, size=SIZE):
    root = ElementTree.Element("LMSDataContainerHeader", Version="2")
    children = ElementTree.SubElement(ElementTree.SubElement(root, "Element", Name="project"), "Children")
    for k, (name, data) in enumerate(images.items()):
        _image_element(children, name, f"MemBlock_{k}", data, size)
    xml = ElementTree.tostring(root, encoding="unicode")
    with open(path, "wb") as file:
        file.write(struct.pack("<IIBI", 0x70, 2 * len(xml) + 5, 0x2A, len(xml)) + xml.encode("utf-16-le"))
        for k, data in enumerate(images.values()):
            block = f"MemBlock_{k}"
            file.write(struct.pack("<IIBQBI", 0x70, 0, 0x2A, data.nbytes, 0x2A, len(block)))
            file.write(block.encode("utf-16-le") + data.tobytes())
    return path


@pytest.fixture
def lif():
    pytest.importorskip("bioio")
    pytest.importorskip("bioio_lif")
    return _lif


@pytest.mark.slow
def test_a_lif_file_is_read_as_it_was_written(tmp_path, lif):
    data = _movie()
    path = lif(tmp_path / "a.lif", {"cells": data})
    info = image_info(path, extremes=True)
    assert (info.format, info.axes, info.shape) == ("LIF", "TCZYX", data.shape)
    assert (info.channels, info.times, info.images) == (2, 2, 1)
    assert (info.minimum, info.maximum) == (data.min(), data.max())
    for t in range(2):
        for c in range(2):
            volume = cf.read_volume(path, time=t, channel=c)
            assert volume.data.dtype == np.uint16 and np.array_equal(volume.data, data[t, c])
    np.testing.assert_allclose(volume.spacing, SIZE, rtol=DIGITS)
    with open_series(path) as series:
        assert series.shape == data.shape and series.channel_names == ("Green", "Red")


def test_scenes_are_series(tmp_path, lif):
    one, two = _movie((1, 1, 3, 5, 6)), _movie((1, 1, 4, 6, 7), seed=1)
    path = lif(tmp_path / "a.lif", {"first": one, "second": two})
    info = image_info(path)
    assert info.images == 2 and "second" in info.contents[1]
    assert np.array_equal(cf.read_volume(path).data, one[0, 0])
    assert np.array_equal(cf.read_volume(path, series=1).data, two[0, 0])
    with open_series(path, series=0) as a, open_series(path, series=1) as b:  # both at once
        assert np.array_equal(b.volume().data, two[0, 0]) and np.array_equal(a.volume().data, one[0, 0])
    with pytest.raises(VolumeError, match="holds 2 images"):
        cf.read_volume(path, series=2)


def test_one_volume_is_loaded_at_a_time(tmp_path, lif):
    data = _movie((10, 2, 20, 128, 128))
    with open_series(lif(tmp_path / "a.lif", {"cells": data})) as series:
        first = series.volume(time=0, channel=0)  # what is imported on the way does not count
        tracemalloc.start()
        try:
            last = series.volume(time=9, channel=1)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert np.array_equal(first.data, data[0, 0]) and np.array_equal(last.data, data[9, 1])
    assert peak < FEW * last.data.nbytes < data.nbytes


def test_a_missing_voxel_size_is_asked_for(tmp_path, lif):
    path = lif(tmp_path / "a.lif", {"cells": _movie((1, 1, 3, 5, 6))}, size=None)
    with pytest.raises(VolumeError, match="does not give its voxel size"):
        cf.read_volume(path)
    assert cf.read_volume(path, spacing=0.5).spacing == (0.5, 0.5, 0.5)


def test_a_lif_file_that_is_cut_short(tmp_path, lif):
    path = lif(tmp_path / "a.lif", {"cells": _movie()})
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(FileFormatError, match=r"a\.lif"):
        cf.read_volume(path, time=1, channel=1)


@pytest.mark.slow
def test_a_damaged_lif_file_tells_the_plugins_reason(tmp_path, lif):
    """Nothing but the error on the terminal, and no advice to install what is there."""
    path = lif(tmp_path / "a.lif", {"cells": _movie()})
    path.write_bytes(path.read_bytes()[:300])
    code = "import sys; from cytoform.cli import main; sys.argv[1:] = ['info', sys.argv[1]]; main()"
    found = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=False)
    text = " ".join(found.stderr.replace("│", " ").split())
    assert found.returncode == 2 and "bioio cannot read it: file is not supported: 'utf-16-le' codec" in text, text
    assert "Attempted file" not in text and "install" not in text, text


@pytest.mark.parametrize("suffix", [".lif", ".czi"])
def test_a_folder_with_the_suffix_of_a_microscopes_file(tmp_path, suffix):
    folder = tmp_path / f"day1{suffix}"
    folder.mkdir()
    cf.write_volume(folder / "a.tif", _movie()[0, 0], spacing=1.0)
    with pytest.raises(FileFormatError, match=r"a folder without an image in it.*one of its TIFF files: a\.tif"):
        cf.read_volume(folder)


def test_the_command_line(tmp_path, lif):
    path = lif(tmp_path / "a.lif", {"cells": _movie()})
    result = CliRunner().invoke(app, ["info", str(path)])
    assert result.exit_code == 0 and "LIF" in result.output and "0.4 × 0.12 × 0.1 µm" in result.output


# -- CZI ---------------------------------------------------------------------------------------------------------------


def test_a_czi_file_is_read_as_it_was_written(tmp_path):
    pytest.importorskip("bioio")
    pytest.importorskip("bioio_czi")
    czi = pytest.importorskip("pylibCZIrw.czi")
    data, path = _movie(), tmp_path / "a.czi"
    with czi.create_czi(str(path)) as file:
        for t, c, z in np.ndindex(data.shape[:3]):
            file.write(data[t, c, z][..., None], plane={"T": t, "C": c, "Z": z})
        file.write_metadata(scale_x=SIZE[2] * 1e-6, scale_y=SIZE[1] * 1e-6, scale_z=SIZE[0] * 1e-6)
    info = image_info(path)
    assert (info.format, info.axes, info.shape) == ("CZI", "TCZYX", data.shape)
    volume = cf.read_volume(path, time=1, channel=0)
    assert np.array_equal(volume.data, data[1, 0])
    np.testing.assert_allclose(volume.spacing, SIZE, rtol=DIGITS)


# -- what is not installed ---------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "head", "words"),
    [
        ("a.czi", b"ZISRAWFILE" + bytes(22), ("Zeiss CZI", 'pip install "cytoform[formats]" bioio-czi (', "GPL")),
        ("a.lif", b"\x70\0\0\0" + bytes(20), ("Leica LIF", 'pip install "cytoform[formats]". Or')),
        ("a.nd2", b"\xda\xce\xbe\x0a" + bytes(20), ("Nikon ND2", 'pip install "cytoform[formats]". Or')),
        ("a.ims", b"\x89HDF\r\n\x1a\n" + bytes(20), ("Imaris", "bioio-bioformats (it runs Java)")),
        ("a.oif", b"nothing known", (".oif file", "bioio-bioformats")),
    ],
)
def test_the_way_to_a_reader_that_is_not_installed(tmp_path, name, head, words):
    (tmp_path / name).write_bytes(head)
    code = (
        "import sys; sys.modules['bioio'] = None; from cytoform.cli import main; sys.argv[1:] = ['info', sys.argv[1]]; "
        "main()"
    )
    found = subprocess.run([sys.executable, "-c", code, tmp_path / name], capture_output=True, text=True, check=False)
    text = " ".join(found.stderr.replace("│", " ").split())
    assert found.returncode == 2 and "Traceback" not in text, text
    assert all(word in text for word in words), text
