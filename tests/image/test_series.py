"""Several images in one file: which is read, what is said, and slices that were saved one by one."""

import logging
import os

import numpy as np
import pytest
import tifffile

from cytoform.errors import VolumeError
from cytoform.image.io import image_info, read_volume
from cytoform.image.series import open_series

SIZES = {"PhysicalSizeX": 0.1, "PhysicalSizeY": 0.2, "PhysicalSizeZ": 0.3}


def _stack(shape=(5, 12, 14), seed=0):
    return np.random.default_rng(seed).integers(1, 200, shape).astype(np.uint16)


def _positions(path, count=3):
    with tifffile.TiffWriter(path, ome=True) as file:
        for k in range(count):
            sizes = SIZES | {"PhysicalSizeX": 0.1 * (k + 1), "Name": f"pos{k}"}
            file.write(_stack(seed=k), photometric="minisblack", metadata={"axes": "ZYX"} | sizes)
    return path


def test_positions_of_an_ome_tiff(tmp_path, caplog):
    path = _positions(tmp_path / "a.ome.tif")
    with caplog.at_level(logging.WARNING):
        volume = read_volume(path)
    assert np.array_equal(volume.data, _stack(seed=0))
    (remark,) = volume.remarks
    assert "3 images" in remark and "5 × 12 × 14" in remark and "--series N" in remark and "pos2" in remark
    assert [r.getMessage() for r in caplog.records] == [f"{path}: {remark}"]
    for k in range(3):
        volume = read_volume(path, series=k)
        assert np.array_equal(volume.data, _stack(seed=k)) and volume.remarks == ()
        np.testing.assert_allclose(volume.spacing, (0.3, 0.2, 0.1 * (k + 1)))
        assert volume.source["series"] == k
    info = image_info(path, series=1)
    assert info.images == 3 and info.contents[2] == "pos2, ZYX = 5 × 12 × 14"


@pytest.mark.parametrize("series", [3, -1])
def test_a_series_that_is_not_there(tmp_path, series):
    with pytest.raises(VolumeError, match=rf"series is {series}.*holds 3 images; expected 0 to 2"):
        read_volume(_positions(tmp_path / "a.ome.tif"), series=series)
    tifffile.imwrite(tmp_path / "one.tif", _stack(), photometric="minisblack")
    with pytest.raises(VolumeError, match=r"holds 1 image; expected 0"):
        read_volume(tmp_path / "one.tif", series=1)
    assert np.array_equal(read_volume(tmp_path / "one.tif", series=0, spacing=1).data, _stack())


@pytest.mark.parametrize("wrong", [0.7, 1.0, "0", True, np.True_])
@pytest.mark.parametrize("flag", ["time", "channel", "series"])
def test_a_choice_that_is_no_whole_number(tmp_path, flag, wrong):
    data = np.stack([_stack(), _stack(seed=1)] * 2).reshape(2, 5, 2, 12, 14)
    tifffile.imwrite(tmp_path / "a.tif", data, imagej=True, metadata={"axes": "TZCYX"})
    good = {"time": 1, "channel": np.int64(1), "series": np.uint8(0)}
    assert np.array_equal(read_volume(tmp_path / "a.tif", spacing=1, **good).data, data[1, :, 1])
    with pytest.raises(VolumeError, match=f"{flag} is .*{type(wrong).__name__}; expected a whole number"):
        read_volume(tmp_path / "a.tif", spacing=1, **good | {flag: wrong})


def test_an_overview_and_a_stack(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as file:
        file.write(_stack()[0], photometric="minisblack", metadata={"axes": "YX", "Name": "overview"})
        file.write(_stack(), photometric="minisblack", metadata={"axes": "ZYX", "Name": "stack"} | SIZES)
    with pytest.raises(VolumeError, match=r"2 images.*2D.*Of the file's images, 1 is 3D.*--series N"):
        read_volume(tmp_path / "a.ome.tif")
    volume = read_volume(tmp_path / "a.ome.tif", series=1)
    assert np.array_equal(volume.data, _stack()) and volume.spacing == (0.3, 0.2, 0.1)


def test_slices_appended_one_by_one(tmp_path):
    for plane in _stack():
        tifffile.imwrite(tmp_path / "a.tif", plane, append=True)
    with pytest.raises(VolumeError, match=r"5 images of this shape.*2D.*saved one by one.*axes='ZYX' \(--axes ZYX\)"):
        read_volume(tmp_path / "a.tif", spacing=1)
    info = image_info(tmp_path / "a.tif")
    assert info.images == 5 and info.axes == "YX"
    assert any("--axes ZYX" in r for r in info.remarks)
    volume = read_volume(tmp_path / "a.tif", spacing=1, axes="ZYX")
    assert np.array_equal(volume.data, _stack()) and any("stacked" in r for r in volume.remarks)
    again = {k: volume.source[k] for k in ("axes", "spacing")}
    assert np.array_equal(read_volume(volume.source["path"], **again).data, _stack())
    stacked = image_info(tmp_path / "a.tif", extremes=True, axes="zyx")
    assert (stacked.shape, stacked.minimum, stacked.maximum) == ((5, 12, 14), _stack().min(), _stack().max())


def test_time_points_saved_one_by_one(tmp_path):
    data = _stack((3, 5, 12, 14))
    for frame in data:
        tifffile.imwrite(tmp_path / "a.tif", frame, append=True, photometric="minisblack")
    assert image_info(tmp_path / "a.tif", axes="TZYX").times == 3
    for t in range(3):
        assert np.array_equal(read_volume(tmp_path / "a.tif", spacing=1, axes="TZYX", time=t).data, data[t])


@pytest.mark.parametrize("ome", [True, False])
def test_pyramid_levels_are_no_images(tmp_path, ome):
    path = tmp_path / ("a.ome.tif" if ome else "a.tif")
    data = _stack((5, 32, 32))
    with tifffile.TiffWriter(path, ome=ome) as file:
        how = {"photometric": "minisblack", "tile": (16, 16)}
        file.write(data, subifds=1, metadata={"axes": "ZYX"} | SIZES if ome else None, **how)
        file.write(data[:, ::2, ::2], subfiletype=1, metadata=None, **how)
    info = image_info(path)
    assert info.images == 1 and info.shape == data.shape
    assert np.array_equal(read_volume(path, spacing=1).data, data)


def test_a_thumbnail_is_no_image(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(_stack(), photometric="minisblack", metadata=None)
        file.write(_stack((6, 9, 3)).astype(np.uint8), photometric="rgb", subfiletype=1, metadata=None)
    assert image_info(tmp_path / "a.tif").images == 1
    assert np.array_equal(read_volume(tmp_path / "a.tif", spacing=1).data, _stack())


def test_the_source_reads_the_same_again(tmp_path, monkeypatch):
    data = _stack((2, 3, 5, 12, 14))
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("a.ome.tif", data, photometric="minisblack", metadata={"axes": "TCZYX"} | SIZES)
    volume = read_volume("a.ome.tif", channel=2, time=1)
    assert volume.source == {
        "path": os.path.join(tmp_path, "a.ome.tif"),
        "format": "OME-TIFF",
        "series": 0,
        "channel": 2,
        "time": 1,
        "axes": None,
        "spacing": None,
        "spacing_from": "file",
    }
    given = read_volume("a.ome.tif", channel=2, time=1, spacing=(1, 2, 3), axes="TCZYX").source
    assert (given["axes"], given["spacing"], given["spacing_from"]) == ("TCZYX", [1.0, 2.0, 3.0], "given")
    keys = ("series", "channel", "time", "axes", "spacing")
    again = read_volume(given["path"], **{k: given[k] for k in keys})
    assert np.array_equal(again.data, data[1, 2]) and again.spacing == (1.0, 2.0, 3.0)


def test_a_remark_is_logged_once_for_a_film(tmp_path, caplog):
    tifffile.imwrite(tmp_path / "a.tif", _stack((4, 5, 12, 14)), photometric="minisblack")
    with caplog.at_level(logging.WARNING):
        volumes = [read_volume(tmp_path / "a.tif", spacing=1, time=t) for t in range(4)]
    assert len(caplog.records) == 1 and all(len(v.remarks) == 1 for v in volumes)


# -- one open file, volume by volume -----------------------------------------------------------------------------------


def _two_channels(path):
    data = np.random.default_rng(3).integers(0, 2**16, (3, 2, 5, 12, 14), dtype=np.uint16)  # t, c, z, y, x
    names = {"Channel": {"Name": ["membrane", "nucleus"]}}
    meta = {"axes": "TCZYX", "TimeIncrement": 2.5, "TimeIncrementUnit": "min", **SIZES, **names}
    tifffile.imwrite(path, data, ome=True, photometric="minisblack", metadata=meta)
    return data


def test_a_series_tells_all_without_loading(tmp_path):
    data = _two_channels(tmp_path / "a.ome.tif")
    with open_series(tmp_path / "a.ome.tif") as series:
        assert series.shape == data.shape and series.dtype == np.uint16 and series.format == "OME-TIFF"
        assert (len(series), series.times, series.channels) == (3, 3, 2)
        assert series.spacing == (0.3, 0.2, 0.1) == series.known_spacing
        assert series.frame_interval == 150.0 and series.channel_names == ("membrane", "nucleus")
        assert "a.ome.tif" in repr(series)
    with open_series(tmp_path / "a.ome.tif", spacing=0.5, axes="CTZYX") as series:
        assert series.shape == (2, 3, 5, 12, 14) and series.spacing == (0.5, 0.5, 0.5)


def test_its_volumes_are_those_of_read_volume(tmp_path):
    data = _two_channels(tmp_path / "a.ome.tif")
    with open_series(tmp_path / "a.ome.tif") as series:
        for t, volume in enumerate(series.volumes(channel=1)):
            alone = read_volume(tmp_path / "a.ome.tif", time=t, channel=1)
            assert np.array_equal(volume.data, data[t, 1]) and np.array_equal(volume.data, alone.data)
            assert (volume.source, volume.spacing, volume.remarks) == (alone.source, alone.spacing, alone.remarks)
        with pytest.raises(VolumeError, match="2 channels; expected one"):
            next(iter(series))
        with pytest.raises(VolumeError, match="time is 3, but"):
            series.volume(time=3, channel=0)


def test_a_series_that_was_closed_is_refused(tmp_path):
    _two_channels(tmp_path / "a.ome.tif")
    series = open_series(tmp_path / "a.ome.tif")
    volume = series.volume(time=0, channel=0)
    series.close()
    series.close()
    with pytest.raises(VolumeError, match=r"was closed.*open_series"):
        series.volume(time=0, channel=0)
    assert volume.data.any() and series.shape[0] == 3


def test_colours_are_channels(tmp_path):
    data = np.random.default_rng(4).integers(0, 255, (5, 12, 14, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="rgb")
    with open_series(tmp_path / "a.tif", spacing=1) as series:
        assert series.shape == (1, 3, 5, 12, 14)
        assert np.array_equal(series.volume(channel=2).data, data[..., 2])


def test_a_voxel_size_that_is_missing_is_missed_when_a_volume_is_asked_for(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", _stack(), photometric="minisblack")
    with open_series(tmp_path / "a.tif") as series:
        assert series.spacing is None
        with pytest.raises(VolumeError, match="does not give its voxel size"):
            series.volume()


def test_several_series_may_be_open_and_are_closed_in_any_order(tmp_path):
    for name in ("a.ome.tif", "b.ome.tif"):
        _two_channels(tmp_path / name)
    logger = logging.getLogger("tifffile")
    assert logger.propagate
    first, second = open_series(tmp_path / "a.ome.tif"), open_series(tmp_path / "b.ome.tif")
    first.close()
    assert second.volume(time=0, channel=0).data.any() and not logger.propagate
    second.close()
    assert logger.propagate and not logger.handlers


def test_names_of_channels_of_an_ome_zarr(tmp_path):
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
    group.create_array("0", data=np.zeros((2, 3, 4, 5), np.uint8))
    axes = [{"name": "c", "type": "channel"}, *({"name": n, "type": "space", "unit": "micrometer"} for n in "zyx")]
    scale = [{"type": "scale", "scale": [1, 0.3, 0.2, 0.1]}]
    group.attrs["multiscales"] = [
        {"version": "0.4", "axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}
    ]
    group.attrs["omero"] = {"channels": [{"label": "membrane", "color": "FFFFFF"}, {"color": "00FF00"}]}
    with open_series(tmp_path / "a.zarr") as series:
        assert series.channel_names == ("membrane", "") and series.shape == (1, 2, 3, 4, 5)
