"""Axes: unnamed ones, ones with the wrong name, and names given by the user."""

import numpy as np
import pytest
import tifffile

from cytoform.errors import VolumeError
from cytoform.image.io import image_info, read_volume


def _data(shape, seed=0):
    return np.random.default_rng(seed).integers(1, 200, shape).astype(np.uint16)


def _plain(path, shape):
    data = _data(shape)
    tifffile.imwrite(path, data, photometric="minisblack")
    return data


def test_four_axes_without_names_are_time_and_slices(tmp_path):
    data = _plain(tmp_path / "a.tif", (3, 5, 12, 14))
    info = image_info(tmp_path / "a.tif")
    assert (info.axes, info.times, info.channels) == ("TZYX", 3, 1)
    assert any("3 time points, 5 slices" in r and "--axes TZYX" in r for r in info.remarks)
    volume = read_volume(tmp_path / "a.tif", spacing=1, time=2)
    assert np.array_equal(volume.data, data[2]) and any("TZYX" in r for r in volume.remarks)
    assert not any("QQ" in r for r in volume.remarks)


def test_five_axes_without_names_are_time_channels_and_slices(tmp_path):
    data = _plain(tmp_path / "a.tif", (3, 2, 5, 12, 14))
    assert image_info(tmp_path / "a.tif").axes == "TCZYX"
    volume = read_volume(tmp_path / "a.tif", spacing=1, time=2, channel=1)
    assert np.array_equal(volume.data, data[2, 1])
    assert any("3 time points, 2 channels, 5 slices" in r for r in volume.remarks)
    swapped = read_volume(tmp_path / "a.tif", spacing=1, axes="CTZYX", channel=2, time=1)
    assert np.array_equal(swapped.data, data[2, 1]) and swapped.remarks == ()


@pytest.mark.parametrize("shape", [(1, 5, 12, 14), (5, 1, 12, 14), (1, 5, 1, 12, 14)])
def test_axes_of_length_one_do_not_count(tmp_path, shape):
    data = _plain(tmp_path / "a.tif", shape)
    info = image_info(tmp_path / "a.tif")
    assert (info.axes, info.shape, info.remarks) == ("ZYX", (5, 12, 14), ())
    assert np.array_equal(read_volume(tmp_path / "a.tif", spacing=1).data, data.reshape(5, 12, 14))


def test_more_axes_than_names_ask_for_names(tmp_path):
    _plain(tmp_path / "a.tif", (2, 3, 2, 5, 12, 14))
    info = image_info(tmp_path / "a.tif")
    assert info.axes == "????YX"
    with pytest.raises(VolumeError, match=r"\? has no name.*2 × 3 × 2 × 5 × 12 × 14.*--axes") as caught:
        read_volume(tmp_path / "a.tif", spacing=1)
    assert "QQ" not in str(caught.value)


@pytest.mark.parametrize("axis", ["C", "T"])
def test_slices_that_are_called_otherwise(tmp_path, axis):
    data = _data((20, 12, 14))
    meta = {"axes": f"{axis}YX", "spacing": 0.5, "unit": "um"}
    tifffile.imwrite(tmp_path / "a.tif", data, imagej=True, resolution=(4, 4), metadata=meta)
    what = {"C": "channels", "T": "time points"}[axis]
    hint = rf"If its 20 {what} are slices, pass axes='ZYX' \(--axes ZYX\)"
    with pytest.raises(VolumeError, match="2D image.*" + hint):
        read_volume(tmp_path / "a.tif")
    with pytest.raises(VolumeError, match=hint):
        read_volume(tmp_path / "a.tif", **{{"C": "channel", "T": "time"}[axis]: 0})
    assert any("--axes ZYX" in r for r in image_info(tmp_path / "a.tif").remarks)
    volume = read_volume(tmp_path / "a.tif", axes="ZYX")
    assert np.array_equal(volume.data, data) and volume.spacing == (0.5, 0.25, 0.25)
    assert volume.source["axes"] == "ZYX"


def test_slices_as_channels_of_an_ome_tiff_with_time(tmp_path):
    data = _data((3, 20, 12, 14))
    tifffile.imwrite(tmp_path / "a.ome.tif", data, photometric="minisblack", metadata={"axes": "TCYX"})
    with pytest.raises(VolumeError, match=r"20 channels are slices, pass axes='TZYX'"):
        read_volume(tmp_path / "a.ome.tif", spacing=1)
    volume = read_volume(tmp_path / "a.ome.tif", spacing=1, axes="tzyx", time=1)
    assert np.array_equal(volume.data, data[1])


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ("ZZYX", r"axes is 'ZZYX'.*none twice"),
        ("ZAB", r"axes is 'ZAB'.*T is time"),
        ("TCZ", "Y and X among them"),
        ("CTZYX", r"axes='CTZYX' names 5 axes.*has 4, of lengths 3 × 5 × 12 × 14"),
        ("ZYX", r"axes='ZYX' names 3 axes.*has 4"),
    ],
)
def test_names_that_do_not_fit(tmp_path, axes, message):
    _plain(tmp_path / "a.tif", (3, 5, 12, 14))
    with pytest.raises(VolumeError, match=message):
        read_volume(tmp_path / "a.tif", spacing=1, axes=axes)


def test_axes_in_any_order(tmp_path):
    data = _data((12, 5, 14))
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack")
    assert np.array_equal(read_volume(tmp_path / "a.tif", spacing=1, axes="YZX").data, data.transpose(1, 0, 2))


def test_a_colour_axis_that_is_slices(tmp_path):
    data = _data((12, 14, 4)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="rgb", extrasamples=["unspecified"])
    assert image_info(tmp_path / "a.tif").axes == "YXS"
    volume = read_volume(tmp_path / "a.tif", spacing=1, axes="YXZ")
    assert np.array_equal(volume.data, data.transpose(2, 0, 1))


def test_colours_and_channels_are_refused_with_a_way_on(tmp_path):
    data = _data((2, 5, 12, 14, 3)).astype(np.uint8)
    meta = {"axes": "CZYXS"}
    tifffile.imwrite(tmp_path / "a.ome.tif", data, photometric="rgb", metadata=meta)
    with pytest.raises(VolumeError, match=r"2 channels of 3 colours.*Split Channels"):
        read_volume(tmp_path / "a.ome.tif", spacing=1, channel=0)


def test_an_axis_with_another_meaning_is_named(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", _data((4, 5, 12, 14)), photometric="minisblack", metadata={"axes": "HZYX"})
    with pytest.raises(VolumeError, match=r"lifetime.*--axes"):
        read_volume(tmp_path / "a.tif", spacing=1)
