"""Images from and to files: calibration, choice of channel and time, damaged files."""

import builtins
import errno
import os

import numpy as np
import pytest
import tifffile

from cytoform.errors import BackendError, FileFormatError, GridError, OutputError, VolumeError
from cytoform.image.io import image_info, read_volume, write_volume
from cytoform.image.volume import Volume

SPACING = (0.3, 0.145, 0.11)
RATIONAL = 1e-8  # TIFF stores pixels a unit as a fraction of 32-bit numbers


def _stack(dtype=np.uint16, shape=(5, 12, 14), seed=0):
    return np.random.default_rng(seed).integers(1, 200, shape).astype(dtype)


def _imagej(path, data, axes="ZYX", dz=0.3, dxy=0.1, unit="um", **extra):
    meta = {"axes": axes, "spacing": dz, "unit": unit} | extra
    tifffile.imwrite(path, data, imagej=True, resolution=(1 / dxy, 1 / dxy), metadata=meta)
    return path


# -- round trips -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.tif", "a.tiff", "a.ome.tif"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_round_trip_keeps_values_type_and_spacing(tmp_path, name, dtype):
    data = _stack(dtype)
    write_volume(tmp_path / name, Volume(data, SPACING))
    back = read_volume(tmp_path / name)
    assert back.data.dtype == dtype and np.array_equal(back.data, data)
    np.testing.assert_allclose(back.spacing, SPACING, rtol=RATIONAL)
    assert back.name == name and os.listdir(tmp_path) == [name]


@pytest.mark.parametrize(
    ("given", "name", "stored"),
    [
        (np.array([False, True]), "a.tif", np.uint8),
        (np.array([0, 300], np.int64), "a.tif", np.uint16),
        (np.array([-5, 70000], np.int64), "a.tif", np.float32),
        (np.array([-5, 2**25 + 1], np.int64), "a.tif", np.int64),
        (np.array([0, 2**32 - 1], np.uint32), "a.tif", np.uint32),
        (np.array([0.5, 0.25]), "a.tif", np.float32),
        (np.array([0.5, 0.1]), "a.ome.tif", np.float64),
        (np.array([-5, 70000], np.int64), "a.ome.tif", np.int32),
        (np.array([0.5, 0.25], np.float16), "a.ome.tif", np.float32),
    ],
)
def test_types_that_a_format_does_not_know(tmp_path, given, name, stored):
    data = np.resize(given, (4, 6, 8))
    write_volume(tmp_path / name, data, spacing=SPACING)
    back = read_volume(tmp_path / name)
    assert back.data.dtype == stored and np.array_equal(back.data, data)
    np.testing.assert_allclose(back.spacing, SPACING, rtol=RATIONAL)


def test_origin_survives_in_imagej_tiff(tmp_path):
    write_volume(tmp_path / "a.tif", Volume(_stack(), SPACING, (1.5, -2.0, 0.0)))
    np.testing.assert_allclose(read_volume(tmp_path / "a.tif").origin, (1.5, -2.0, 0.0), rtol=RATIONAL)


def test_write_asks_for_a_spacing_and_keeps_the_old_file_on_a_full_disk(tmp_path, monkeypatch):
    with pytest.raises(VolumeError, match=r"spacing=\(dz, dy, dx\)"):
        write_volume(tmp_path / "a.tif", _stack())
    write_volume(tmp_path / "a.tif", _stack(), SPACING)
    before = (tmp_path / "a.tif").read_bytes()

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="disk is full"):
        write_volume(tmp_path / "a.tif", _stack(seed=1), SPACING)
    assert (tmp_path / "a.tif").read_bytes() == before and os.listdir(tmp_path) == ["a.tif"]


# -- calibration -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("um", 1), ("micron", 1), ("µm", 1), ("\\u00B5m", 1), ("nm", 1e-3), ("mm", 1e3), ("cm", 1e4), ("inch", 25400)],
)
def test_units_of_imagej(tmp_path, unit, factor):
    path = tmp_path / "a.tif"
    text = f"ImageJ=1.53t\nimages=5\nslices=5\nunit={unit}\nspacing=0.3\n".encode("latin-1")
    with tifffile.TiffWriter(path) as file:
        for i, plane in enumerate(_stack()):
            extra = [(270, 2, len(text) + 1, text + b"\0", True)] if i == 0 else []
            file.write(
                plane, contiguous=False, metadata=None, resolution=(10.0, 5.0), resolutionunit="NONE", extratags=extra
            )
    volume = read_volume(path)
    np.testing.assert_allclose(volume.spacing, np.array([0.3, 0.2, 0.1]) * factor, rtol=RATIONAL)
    assert image_info(path).format == "ImageJ TIFF"


@pytest.mark.parametrize(("unit", "factor"), [("µm", 1), ("nm", 1e-3), ("mm", 1e3), (None, 1)])
def test_units_of_ome(tmp_path, unit, factor):
    meta = {"axes": "ZYX", "PhysicalSizeZ": 0.3, "PhysicalSizeY": 0.2, "PhysicalSizeX": 0.1}
    if unit:
        meta |= {f"PhysicalSize{a}Unit": unit for a in "ZYX"}
    tifffile.imwrite(tmp_path / "a.ome.tif", _stack(), photometric="minisblack", metadata=meta)
    np.testing.assert_allclose(read_volume(tmp_path / "a.ome.tif").spacing, np.array([0.3, 0.2, 0.1]) * factor)


def test_no_voxel_size_names_the_flag_and_what_is_known(tmp_path):
    tifffile.imwrite(tmp_path / "plain.tif", _stack(), photometric="minisblack")
    with pytest.raises(VolumeError, match=r"spacing=\(dz, dy, dx\).*--spacing"):
        read_volume(tmp_path / "plain.tif")
    path = tmp_path / "flat.tif"
    tifffile.imwrite(path, _stack(), imagej=True, resolution=(10, 10), metadata={"axes": "ZYX", "unit": "um"})
    with pytest.raises(VolumeError, match=r"only dy = 0.1 µm, dx = 0.1 µm"):
        read_volume(path)
    _imagej(tmp_path / "pixel.tif", _stack(), unit="pixel")
    with pytest.raises(VolumeError, match="voxel size"):
        read_volume(tmp_path / "pixel.tif")


def test_a_given_spacing_wins_and_is_checked(tmp_path):
    path = _imagej(tmp_path / "a.tif", _stack())
    assert read_volume(path, spacing=(1, 2, 3)).spacing == (1.0, 2.0, 3.0)
    assert read_volume(path, spacing=0.5).spacing == (0.5, 0.5, 0.5)
    with pytest.raises(GridError, match="positive"):
        read_volume(path, spacing=(1, 0, 3))


# -- channels, times, axes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["imagej", "ome", "compressed"])
def test_channel_and_time_are_chosen(tmp_path, kind):
    data = _stack(shape=(3, 5, 2, 12, 14))
    path = tmp_path / "a.tif"
    if kind == "imagej":
        _imagej(path, data, axes="TZCYX")
    else:
        path = tmp_path / "a.ome.tif"
        data = np.ascontiguousarray(data.transpose(0, 2, 1, 3, 4))
        meta = {"axes": "TCZYX", "PhysicalSizeX": 0.1, "PhysicalSizeY": 0.1, "PhysicalSizeZ": 0.3}
        how = {"compression": "zlib", "tile": (16, 16)} if kind == "compressed" else {}
        tifffile.imwrite(path, data, photometric="minisblack", metadata=meta, **how)
        data = data.transpose(0, 2, 1, 3, 4)
    for time, channel in [(0, 0), (2, 1)]:
        assert np.array_equal(read_volume(path, channel=channel, time=time).data, data[time, :, channel])
    info = image_info(path, extremes=True)
    assert (info.channels, info.times, info.spacing) == (2, 3, (0.3, 0.1, 0.1))
    assert (info.minimum, info.maximum) == (data.min(), data.max())
    with pytest.raises(VolumeError, match=r"2 channels.*channel=N or --channel"):
        read_volume(path, time=0)
    with pytest.raises(VolumeError, match=r"3 time points.*time=N or --time"):
        read_volume(path, channel=0)
    with pytest.raises(VolumeError, match=r"channel is 2.*expected 0 to 1"):
        read_volume(path, channel=2, time=0)
    with pytest.raises(VolumeError, match="expected 0 to 2"):
        read_volume(path, channel=0, time=-1)


def test_one_channel_may_be_named(tmp_path):
    path = _imagej(tmp_path / "a.tif", _stack())
    assert read_volume(path, channel=0, time=0).shape == (5, 12, 14)
    with pytest.raises(VolumeError, match="has 1 channels"):
        read_volume(path, channel=1)


def test_two_dimensional(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", _stack()[0])
    with pytest.raises(VolumeError, match="2D image"):
        read_volume(tmp_path / "a.tif", spacing=1)
    assert image_info(tmp_path / "a.tif").axes == "YX"
    _imagej(tmp_path / "t.tif", _stack(), axes="TYX")
    with pytest.raises(VolumeError, match=r"2D image.*5 time points"):
        read_volume(tmp_path / "t.tif", spacing=1)


def test_colour(tmp_path):
    data = _stack(np.uint8, (5, 12, 14, 3))
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="rgb")
    with pytest.raises(VolumeError, match=r"colour \(RGB\).*--channel"):
        read_volume(tmp_path / "a.tif", spacing=1)
    assert np.array_equal(read_volume(tmp_path / "a.tif", spacing=1, channel=2).data, data[..., 2])


def test_unnamed_axes(tmp_path):
    tifffile.imwrite(tmp_path / "b.tif", _stack(), photometric="minisblack", metadata=None)
    assert np.array_equal(read_volume(tmp_path / "b.tif", spacing=1).data, _stack())


def test_not_finite(tmp_path):
    data = _stack(np.float32)
    data[0, 0, 0] = np.nan
    _imagej(tmp_path / "a.tif", data)
    with pytest.raises(VolumeError, match="NaN"):
        read_volume(tmp_path / "a.tif")


# -- damaged files -----------------------------------------------------------------------------------------------------


def test_missing_empty_and_foreign_files(tmp_path):
    with pytest.raises(FileFormatError, match="there is no file"):
        read_volume(tmp_path / "a.tif")
    (tmp_path / "empty.tif").touch()
    with pytest.raises(FileFormatError, match="empty"):
        read_volume(tmp_path / "empty.tif")
    (tmp_path / "text.tif").write_text("no image at all\n" * 10)
    with pytest.raises(FileFormatError, match="not a readable TIFF"):
        image_info(tmp_path / "text.tif")
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileFormatError, match="folder without an image"):
        read_volume(tmp_path / "folder")


@pytest.mark.parametrize("kind", ["imagej", "ome", "ome-zlib", "plain", "pages", "imagej-pages"])
def test_truncated_files_never_give_wrong_voxels(tmp_path, kind):
    data = _stack()
    path = tmp_path / ("a.ome.tif" if kind.startswith("ome") else "a.tif")
    if kind == "imagej":
        _imagej(path, data)
    elif kind.startswith("ome"):
        how = {"compression": "zlib", "tile": (16, 16)} if "zlib" in kind else {}
        tifffile.imwrite(path, data, photometric="minisblack", metadata={"axes": "ZYX"}, **how)
    elif kind == "plain":
        tifffile.imwrite(path, data, photometric="minisblack")
    else:
        text = "ImageJ=1.53t\nimages=5\nslices=5\n" if kind.startswith("imagej") else None
        with tifffile.TiffWriter(path) as file:
            for i, plane in enumerate(data):
                file.write(plane, contiguous=False, metadata=None, description=None if i else text)
    whole = path.read_bytes()
    for length in np.linspace(1, len(whole) - 20, 25).astype(int):
        path.write_bytes(whole[:length])
        with pytest.raises(FileFormatError):
            read_volume(path, spacing=1)
    path.write_bytes(whole)
    assert np.array_equal(read_volume(path, spacing=1).data, data)


# -- OME-Zarr ----------------------------------------------------------------------------------------------------------


def _ome_zarr(path, data, version, *, axes="zyx", unit="micrometer", shift=(0.0, 0.0, 0.0)):
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(str(path), mode="w", zarr_format=2 if version == "0.4" else 3)
    group.create_array("0", data=data, chunks=tuple(min(8, n) for n in data.shape))
    group.create_array("1", data=data[..., ::2, ::2], chunks=tuple(min(8, n) for n in data.shape))
    kinds = {"t": "time", "c": "channel"}
    units = dict.fromkeys("zyx", {"unit": unit} if unit else {})
    entries = [{"name": a, "type": kinds.get(a, "space")} | units.get(a, {}) for a in axes]
    lead = [1.0] * (len(axes) - 3)

    def level(name, factor):
        steps = [
            {"type": "scale", "scale": [*lead, 0.3, 0.2 * factor, 0.1 * factor]},
            {"type": "translation", "translation": [0.0 * n for n in lead] + list(shift)},
        ]
        return {"path": name, "coordinateTransformations": steps}

    scales = [{"version": version, "axes": entries, "datasets": [level("0", 1.0), level("1", 2.0)]}]
    if version == "0.4":
        group.attrs["multiscales"] = scales
    else:
        group.attrs["ome"] = {"version": version, "multiscales": scales}
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr(tmp_path, version):
    data = _stack(shape=(2, 3, 5, 12, 14))
    path = _ome_zarr(tmp_path / "a.zarr", data, version, axes="tczyx", shift=(1.0, -2.0, 0.5))
    volume = read_volume(path, channel=2, time=1)
    assert np.array_equal(volume.data, data[1, 2])
    assert volume.spacing == (0.3, 0.2, 0.1) and volume.origin == (1.0, -2.0, 0.5)
    info = image_info(path)
    assert (info.format, info.axes, info.channels, info.times) == ("OME-Zarr", "TCZYX", 3, 2)
    with pytest.raises(VolumeError, match="3 channels"):
        read_volume(path, time=0)


def test_ome_zarr_units(tmp_path):
    path = _ome_zarr(tmp_path / "a.zarr", _stack(), "0.5", unit="nanometer", shift=(10.0, 0.0, 0.0))
    volume = read_volume(path)
    np.testing.assert_allclose(volume.spacing, (3e-4, 2e-4, 1e-4))
    np.testing.assert_allclose(volume.origin, (1e-2, 0.0, 0.0))
    path = _ome_zarr(tmp_path / "b.zarr", _stack(), "0.4", unit=None)
    with pytest.raises(VolumeError, match=r"Its scale is \(0.3, 0.2, 0.1\).*--spacing"):
        read_volume(path)


def test_zarr_that_is_no_image(tmp_path):
    zarr = pytest.importorskip("zarr")
    zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    with pytest.raises(FileFormatError, match="without multiscales"):
        read_volume(tmp_path / "a.zarr")
    (tmp_path / "b.zarr").mkdir()
    (tmp_path / "b.zarr" / "zarr.json").write_text("{ half")
    with pytest.raises(FileFormatError, match="cannot be read as OME-Zarr"):
        read_volume(tmp_path / "b.zarr")


def test_zarr_missing(tmp_path, monkeypatch):
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "zarr.json").write_text("{}")
    real = builtins.__import__

    def without_zarr(name, *args, **kwargs):
        if name == "zarr":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_zarr)
    with pytest.raises(BackendError, match=r"pip install cytoform\[zarr\]"):
        read_volume(tmp_path / "a.zarr")


# -- real images -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shape", "spacing"),
    [
        ("rbc_00.tif", (40, 83, 88), (0.145, 0.145, 0.145)),
        ("vesicles.tif", (29, 150, 150), (0.34, 0.133, 0.133)),
        ("embryo_crop_t1.tif", (51, 107, 145), (0.25, 0.28, 0.28)),
        ("psf_lightsheet.tif", (93, 78, 78), (0.3, 0.145, 0.145)),
    ],
)
def test_real_images(data_dir, name, shape, spacing):
    volume = read_volume(data_dir / "images" / name)
    assert volume.shape == shape and volume.spacing == spacing
    assert volume.data.max() > volume.data.min()
