"""OME-Zarr of every version: axes, voxel size, collections, levels, chunks that are not there."""

import math

import numpy as np
import pytest

from cytoform.errors import FileFormatError, VolumeError
from cytoform.image.io import image_info, read_volume

zarr = pytest.importorskip("zarr")

SPACE = {"type": "space", "unit": "micrometer"}
ZYX = [{"name": a} | SPACE for a in "zyx"]
TIME = {"name": "t", "type": "time", "unit": "second"}


def _stack(shape=(5, 12, 14), seed=0):
    return np.random.default_rng(seed).integers(1, 200, shape).astype(np.uint16)


def _group(path, arrays, attributes):
    group = zarr.open_group(str(path), mode="w", zarr_format=3 if "ome" in attributes else 2)
    _filled(group, arrays)
    group.attrs.update(attributes)
    return path


def _filled(group, arrays):
    for name, data in arrays.items():
        group.create_array(name, data=data, chunks=tuple(min(8, n) for n in data.shape))


def _steps(scale, shift=None):
    steps = [{"type": "scale", "scale": list(scale)}]
    return steps + ([{"type": "translation", "translation": list(shift)}] if shift else [])


def _scales(axes, scale=(0.3, 0.2, 0.1), name="0", **more):
    return {"axes": axes, "datasets": [{"path": name, "coordinateTransformations": _steps(scale)}]} | more


# -- coordinate systems (0.6) ------------------------------------------------------------------------------------------


def _v06(steps, axes=None, systems=(), version="0.6", **more):
    system = {"name": "intrinsic", "axes": ZYX if axes is None else axes}
    scales = {
        "coordinateSystems": [system, *systems],
        "datasets": [{"path": "0", "coordinateTransformations": steps}],
    }
    return {"ome": {"version": version, "multiscales": [scales | more]}}


def _sequence(scale, shift, **ends):
    return {"type": "sequence", "transformations": _steps(scale, shift)} | ends


NAMED = {"input": {"path": "0"}, "output": {"name": "intrinsic"}}  # since 0.6.dev4
PLAIN = {"input": "0", "output": "intrinsic"}  # before


@pytest.mark.parametrize("ends", [NAMED, PLAIN])
@pytest.mark.parametrize("version", ["0.6", "0.6.dev3", "0.6rc1"])
def test_axes_in_coordinate_systems(tmp_path, ends, version):
    data = _stack((2, 5, 12, 14))
    step = _sequence((2.5, 0.3, 0.2, 0.1), (0, 10, -20, 30), **ends)
    path = _group(tmp_path / "a.zarr", {"0": data}, _v06([step], [TIME, *ZYX], version=version))
    info = image_info(path)
    assert (info.axes, info.times, info.channels, info.frame_interval) == ("TZYX", 2, 1, 2.5)
    volume = read_volume(path, time=1)
    assert np.array_equal(volume.data, data[1])
    assert volume.spacing == (0.3, 0.2, 0.1) and volume.origin == (10.0, -20.0, 30.0)
    assert volume.remarks == ()


def test_the_order_of_a_sequence_counts(tmp_path):
    # Shifted first and stretched then: the shift is stretched as well.
    steps = list(reversed(_steps((0.5, 0.25, 0.25), (4, 8, 12))))
    step = {"type": "sequence", "transformations": steps} | NAMED
    volume = read_volume(_group(tmp_path / "a.zarr", {"0": _stack()}, _v06([step])))
    assert volume.spacing == (0.5, 0.25, 0.25) and volume.origin == (2.0, 2.0, 3.0)


@pytest.mark.parametrize(
    "step",
    [
        {"type": "affine", "affine": [[0.3, 0, 0, 1], [0, 0.2, 0, 2], [0, 0, 0.1, 3]]},
        {
            "type": "byDimension",
            "transformations": [
                {"input_axes": [0], "output_axes": [0], "transformation": _sequence([0.3], [1])},
                {"input_axes": [2, 1], "output_axes": [2, 1], "transformation": _sequence([0.1, 0.2], [3, 2])},
            ],
        },
    ],
)
def test_other_ways_to_stretch_and_shift(tmp_path, step):
    volume = read_volume(_group(tmp_path / "a.zarr", {"0": _stack()}, _v06([step | NAMED])))
    assert volume.spacing == (0.3, 0.2, 0.1) and volume.origin == (1.0, 2.0, 3.0)


def test_a_rotation_beside_the_intrinsic_system_is_left_aside(tmp_path):
    world = {"name": "world", "axes": ZYX}
    turn = {
        "type": "rotation",
        "rotation": [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
        "input": {"name": "intrinsic"},
        "output": {"name": "world"},
    }
    step = {"type": "scale", "scale": [0.3, 0.2, 0.1]} | NAMED
    attributes = _v06([step], systems=[world], coordinateTransformations=[turn])
    volume = read_volume(_group(tmp_path / "a.zarr", {"0": _stack()}, attributes))
    assert volume.spacing == (0.3, 0.2, 0.1)
    assert any("'intrinsic'" in r and "'world' is not used" in r for r in volume.remarks)


def test_lengths_that_only_a_further_system_has(tmp_path):
    pixels = [{"name": f"dim_{i}", "type": "array"} for i in range(3)]
    physical = {"name": "physical", "axes": ZYX}
    further = {
        "type": "scale",
        "scale": [0.3, 0.2, 0.1],
        "input": {"name": "intrinsic"},
        "output": {"name": "physical"},
    }
    attributes = _v06([{"type": "identity"} | NAMED], pixels, systems=[physical], coordinateTransformations=[further])
    volume = read_volume(_group(tmp_path / "a.zarr", {"0": _stack()}, attributes))
    assert volume.spacing == (0.3, 0.2, 0.1) and any("'physical'" in r for r in volume.remarks)


# -- versions ----------------------------------------------------------------------------------------------------------


def test_a_version_without_transformations_has_no_voxel_size(tmp_path):
    scales = {"version": "0.3", "axes": ["z", "y", "x"], "datasets": [{"path": "0"}]}
    path = _group(tmp_path / "a.zarr", {"0": _stack()}, {"multiscales": [scales]})
    assert np.array_equal(read_volume(path, spacing=1).data, _stack())
    with pytest.raises(VolumeError, match="does not give its voxel size"):
        read_volume(path)


def test_an_unknown_version_is_told_or_refused(tmp_path):
    attributes = {"ome": {"version": "0.9", "multiscales": [_scales(ZYX)]}}
    volume = read_volume(_group(tmp_path / "a.zarr", {"0": _stack()}, attributes))
    assert any("NGFF version 0.9 is not known" in r and "check axes" in r for r in volume.remarks)
    strange = {"ome": {"version": "1.0", "multiscales": [{"datasets": [{"path": "0"}], "space": "?"}]}}
    with pytest.raises(FileFormatError, match=r"NGFF version 1\.0, which is not known.*0\.4 or 0\.5"):
        read_volume(_group(tmp_path / "b.zarr", {"0": _stack()}, strange))


def test_a_transformation_that_is_not_applied_is_told(tmp_path):
    scales = _scales(ZYX)
    scales["coordinateTransformations"] = [{"type": "displacements", "path": "field"}]
    path = _group(tmp_path / "a.zarr", {"0": _stack()}, {"ome": {"version": "0.5", "multiscales": [scales]}})
    assert any("displacements" in r and "not applied" in r for r in read_volume(path).remarks)


def test_an_empty_list_of_images(tmp_path):
    path = _group(tmp_path / "a.zarr", {"0": _stack()}, {"ome": {"version": "0.5", "multiscales": []}})
    with pytest.raises(FileFormatError, match=r"without multiscales.*inside of it: 0"):
        image_info(path)


def test_metadata_that_do_not_fit_the_array(tmp_path):
    scales = _scales([TIME, *ZYX], (1, 0.3, 0.2, 0.1))
    path = _group(tmp_path / "a.zarr", {"0": _stack()}, {"ome": {"version": "0.5", "multiscales": [scales]}})
    with pytest.raises(FileFormatError, match=r"array of shape \(5, 12, 14\)"):
        read_volume(path)


@pytest.mark.parametrize("names", [("depth", "height", "width"), ("a", "b", "c")])
def test_space_axes_of_other_names_go_by_their_order(tmp_path, names):
    scales = _scales([{"name": n} | SPACE for n in names])
    path = _group(tmp_path / "a.zarr", {"0": _stack()}, {"ome": {"version": "0.5", "multiscales": [scales]}})
    volume = read_volume(path)
    assert np.array_equal(volume.data, _stack()) and volume.spacing == (0.3, 0.2, 0.1)
    assert any(f"'{names[0]}' as z" in r for r in volume.remarks)


# -- several images ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("listed", [False, True])
def test_a_collection_of_bioformats2raw(tmp_path, listed):
    names = ["pos/b", "pos/a"] if listed else ["0", "1"]
    root = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
    root.attrs["bioformats2raw.layout"] = 3
    if listed:
        root.create_group("OME").attrs["series"] = names
    for k, name in enumerate(names):
        image = root.create_group(name)
        _filled(image, {"0": _stack(seed=k)})
        image.attrs["multiscales"] = [_scales(ZYX, (0.3, 0.2, 0.1 * (k + 1)), version="0.4")]
    info = image_info(tmp_path / "a.zarr")
    assert info.images == 2 and names[1] in info.contents[1]
    volume = read_volume(tmp_path / "a.zarr")
    assert np.array_equal(volume.data, _stack(seed=0)) and any("2 images" in r for r in volume.remarks)
    volume = read_volume(tmp_path / "a.zarr", series=1)
    assert np.array_equal(volume.data, _stack(seed=1)) and volume.spacing == (0.3, 0.2, 0.2)
    assert volume.remarks == ()


def test_several_multiscales(tmp_path):
    arrays = {"0": _stack(), "p": _stack((12, 14), seed=1)}
    flat = _scales(ZYX[1:], (0.2, 0.1), "p") | {"name": "projection"}
    attributes = {"ome": {"version": "0.5", "multiscales": [flat, _scales(ZYX)]}}
    path = _group(tmp_path / "a.zarr", arrays, attributes)
    with pytest.raises(VolumeError, match=r"2 images.*2D.*1 is 3D.*--series"):
        read_volume(path)
    assert np.array_equal(read_volume(path, series=1).data, _stack())


def test_fields_of_a_well_and_a_plate(tmp_path):
    root = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=3)
    root.attrs["ome"] = {"version": "0.5", "plate": {"wells": [{"path": "A/1"}]}}
    well = root.create_group("A/1")
    well.attrs["ome"] = {"version": "0.5", "well": {"images": [{"path": "0"}, {"path": "1"}]}}
    for k in range(2):
        field = well.create_group(str(k))
        _filled(field, {"0": _stack(seed=k)})
        field.attrs["ome"] = {"version": "0.5", "multiscales": [_scales(ZYX)]}
    with pytest.raises(FileFormatError, match=r"plate of many images.*A/1"):
        read_volume(tmp_path / "a.zarr")
    assert image_info(tmp_path / "a.zarr" / "A" / "1").images == 2
    assert np.array_equal(read_volume(tmp_path / "a.zarr" / "A" / "1", series=1).data, _stack(seed=1))


# -- levels, chunks, memory --------------------------------------------------------------------------------------------


def _pyramid(path, version="0.5"):
    arrays = {"0": _stack((8, 16, 32)), "1": _stack((8, 16, 32))[:, ::2, ::2]}
    levels = [
        {"path": name, "coordinateTransformations": _steps((0.3, 0.2 * f, 0.1 * f))} for name, f in (("0", 1), ("1", 2))
    ]
    scales = {"axes": ZYX, "datasets": levels, "version": version}
    meta = {"version": version, "multiscales": [scales]}
    attributes = {"multiscales": [scales]} if version == "0.4" else {"ome": meta}
    return _group(path, arrays, attributes), arrays


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_the_path_of_a_level_reads_that_level(tmp_path, version):
    path, arrays = _pyramid(tmp_path / "a.zarr", version)
    assert image_info(path).images == 1
    volume = read_volume(path / "1")
    assert np.array_equal(volume.data, arrays["1"]) and volume.spacing == (0.3, 0.4, 0.2)


def test_an_array_by_itself(tmp_path):
    zarr.create_array(str(tmp_path / "a.zarr"), data=_stack((2, 5, 12, 14)), chunks=(1, 5, 12, 14))
    volume = read_volume(tmp_path / "a.zarr", spacing=1, channel=1)
    assert np.array_equal(volume.data, _stack((2, 5, 12, 14))[1])
    assert any("without names for its axes" in r and "CZYX" in r for r in volume.remarks)
    volume = read_volume(tmp_path / "a.zarr", spacing=1, axes="TZYX", time=1)
    assert np.array_equal(volume.data, _stack((2, 5, 12, 14))[1])


def test_renamed_axes_take_their_voxel_size_along(tmp_path):
    path = _group(tmp_path / "a.zarr", {"0": _stack()}, {"ome": {"version": "0.5", "multiscales": [_scales(ZYX)]}})
    volume = read_volume(path, axes="XYZ")
    assert np.array_equal(volume.data, _stack().transpose(2, 1, 0)) and volume.spacing == (0.1, 0.2, 0.3)


def test_chunks_that_are_not_stored_are_told(tmp_path):
    path = tmp_path / "a.zarr"
    group = zarr.open_group(str(path), mode="w", zarr_format=3)
    array = group.create_array("0", shape=(5, 16, 16), chunks=(5, 8, 8), dtype="uint8", fill_value=3)
    array[:, :8, :8] = 9
    group.attrs["ome"] = {"version": "0.5", "multiscales": [_scales(ZYX)]}
    info = image_info(path, extremes=True)
    assert (info.minimum, info.maximum) == (3, 9)
    assert any("3 of its 4 chunks are not stored; they are read as 3" in r for r in info.remarks)
    assert any("3 of its 4 chunks" in r for r in read_volume(path).remarks)


@pytest.mark.parametrize("coarse", [False, True])
def test_a_huge_image_is_described_without_reading_it(tmp_path, coarse):
    path = tmp_path / "a.zarr"
    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    axes = [TIME, {"name": "c", "type": "channel"}, *ZYX]
    shape = (200, 2, 200, 1024, 1024)
    group.create_array("0", shape=shape, chunks=(1, 1, 32, 256, 256), dtype="uint16", fill_value=0)
    levels = [{"path": "0", "coordinateTransformations": _steps((1, 1, 0.3, 0.2, 0.1))}]
    if coarse:
        small = _stack((2, 2, 4, 16, 16))
        group.create_array("1", data=small, chunks=small.shape)
        levels.append({"path": "1", "coordinateTransformations": _steps((100, 1, 15, 12.8, 6.4))})
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": levels}]
    info = image_info(path, extremes=True)
    assert (info.shape, info.channels, info.times, info.spacing) == (shape, 2, 200, (0.3, 0.2, 0.1))
    if coarse:
        assert (info.minimum, info.maximum) == (small.min(), small.max())
        assert any("coarsest level, 2 × 2 × 4 × 16 × 16" in r for r in info.remarks)
    else:
        assert info.minimum is None
        assert any(f"{math.prod(shape):.3g} voxels" in r for r in info.remarks)


def test_an_image_beyond_the_memory_is_called_so(tmp_path):
    path = tmp_path / "a.zarr"
    group = zarr.open_group(str(path), mode="w", zarr_format=3)
    group.create_array("0", shape=(2**20, 2**20, 2**15), chunks=(64, 64, 64), dtype="uint16")
    group.attrs["ome"] = {"version": "0.5", "multiscales": [_scales(ZYX)]}
    with pytest.raises(VolumeError, match=r"GB: too many for the memory.*coarser level"):
        read_volume(path)
