"""Voxel size and frame interval: parts of it, units, doubts, and microscopes' own metadata."""

import numpy as np
import pytest
import tifffile

from cytoform.errors import VolumeError
from cytoform.image.io import image_info, read_volume, write_volume

SIZES = {"PhysicalSizeX": 0.1, "PhysicalSizeY": 0.2, "PhysicalSizeZ": 0.3}
RATIONAL = 1e-8  # TIFF stores pixels a unit as a fraction of 32-bit numbers


def _stack(shape=(5, 12, 14)):
    return np.random.default_rng(0).integers(1, 200, shape).astype(np.uint16)


def _fiji(path, lines, resolution=(4.0, 4.0)):
    # As ImageJ's FileSaver writes a stack.
    text = "ImageJ=1.54f\nimages=5\nslices=5\n" + "".join(f"{line}\n" for line in lines)
    with tifffile.TiffWriter(path) as file:
        for i, plane in enumerate(_stack()):
            file.write(
                plane,
                contiguous=False,
                metadata=None,
                resolution=resolution,
                resolutionunit="NONE",
                description=text if i == 0 else None,
            )
    return path


@pytest.mark.parametrize(("unit", "step"), [("micron", "1"), ("um", "1"), ("nm", "0.001"), ("mm", "1000")])
def test_imagej_leaves_a_slice_distance_of_one_unit_out(tmp_path, unit, step):
    path = _fiji(tmp_path / "a.tif", [f"unit={unit}", "loop=false"])
    factor = float(step)
    info = image_info(path)
    assert info.spacing is None and info.known_spacing[0] is None
    np.testing.assert_allclose(info.known_spacing[1:], (0.25 * factor, 0.25 * factor))
    with pytest.raises(VolumeError, match=rf"only dy = .*Fiji shows dz = {step} µm.*--spacing {step},") as caught:
        read_volume(path)
    option = str(caught.value).rpartition("--spacing ")[2].rstrip(".").split(",")
    given = read_volume(path, spacing=[float(v) for v in option])
    np.testing.assert_allclose(given.spacing, np.array((1, 0.25, 0.25)) * factor)
    assert any("Fiji shows" in r for r in info.remarks) and given.remarks == ()


def test_a_unit_that_is_no_length_is_named(tmp_path):
    path = _fiji(tmp_path / "a.tif", ["unit=furlong", "spacing=2.0"])
    with pytest.raises(VolumeError, match=r"unit is 'furlong', which is no length"):
        read_volume(path)
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        _stack(),
        photometric="minisblack",
        metadata={"axes": "ZYX"} | SIZES | {f"PhysicalSize{a}Unit": "reference frame" for a in "XYZ"},
    )
    with pytest.raises(VolumeError, match=r"'reference frame', which is no length"):
        read_volume(tmp_path / "a.ome.tif")


def test_an_ome_tiff_without_a_slice_distance_names_the_rest(tmp_path):
    sizes = {k: v for k, v in SIZES.items() if not k.endswith("Z")}
    tifffile.imwrite(tmp_path / "a.ome.tif", _stack(), photometric="minisblack", metadata={"axes": "ZYX"} | sizes)
    assert image_info(tmp_path / "a.ome.tif").known_spacing == (None, 0.2, 0.1)
    with pytest.raises(VolumeError, match=r"only dy = 0.2 µm, dx = 0.1 µm.*--spacing dz,0.2,0.1"):
        read_volume(tmp_path / "a.ome.tif")


@pytest.mark.parametrize(
    ("size", "remark"),
    [
        ((1.0, 0.15, 0.15), "z step is exactly 1 µm beside 0.15"),
        ((1.0, 1.0, 1.0), "exactly 1 µm each way"),
        ((0.5, 1.0, 1.0), "exactly 1 µm across beside a z step of 0.5"),
        ((1.01, 0.15, 0.15), None),
        ((0.5, 0.15, 1.0), None),
    ],
)
@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif"])
def test_a_size_of_exactly_one_is_doubted(tmp_path, name, size, remark):
    write_volume(tmp_path / name, _stack(), size)
    volume = read_volume(tmp_path / name)
    np.testing.assert_allclose(volume.spacing, size, rtol=RATIONAL)
    said = [*volume.remarks, *image_info(tmp_path / name).remarks]
    assert [remark in r for r in said] == [True, True] if remark else said == []
    assert read_volume(tmp_path / name, spacing=size).remarks == ()


# -- frame interval ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "seconds"), [(None, 2.5), ("s", 2.5), ("ms", 0.0025), ("min", 150.0), ("h", 9000.0), ("apple", None)]
)
def test_frame_interval_of_ome(tmp_path, unit, seconds):
    meta = {"axes": "TZYX", "TimeIncrement": 2.5} | SIZES | ({"TimeIncrementUnit": unit} if unit else {})
    tifffile.imwrite(tmp_path / "a.ome.tif", _stack((3, 5, 12, 14)), photometric="minisblack", metadata=meta)
    assert image_info(tmp_path / "a.ome.tif").frame_interval == seconds


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        (["finterval=30.5"], 30.5),
        (["finterval=2", "tunit=min"], 120.0),
        (["finterval=500", "tunit=ms"], 0.5),
        (["fps=7"], None),
        ([], None),
    ],
)
def test_frame_interval_of_imagej(tmp_path, lines, seconds):
    path = _fiji(tmp_path / "a.tif", ["unit=um", "spacing=0.3", *lines])
    assert image_info(path).frame_interval == seconds


# -- microscopes' own --------------------------------------------------------------------------------------------------


def test_metamorph_stk(tmp_path):
    # UIC tags as MetaMorph writes them: UIC1Tag (33628) the calibration, UIC2Tag (33629) the distances of slices.
    planes = 5
    data = _stack()
    header = 8
    pixels = data.tobytes()
    texts, place = b"", header + len(pixels)

    def put(raw):
        nonlocal texts
        at = place + len(texts)
        texts += raw + bytes(len(raw) % 2)
        return at

    long = lambda *v: np.array(v, "<u4").tobytes()  # noqa: E731
    unit = put(long(3) + b"um\0")
    across = put(long(65, 1000))  # 0.065
    uic1 = put(long(4, across, 5, across, 6, unit, 3, 1))
    uic2 = put(b"".join(long(300, 1000, 2451545, 0, 2451545, 0) for _ in range(planes)))  # 0.3, and a date
    uic3 = put(b"".join(long(1, 1) for _ in range(planes)))
    strips = {256: (4, 1, 14), 257: (4, 1, 12), 258: (3, 1, 16), 259: (3, 1, 1), 262: (3, 1, 1), 273: (4, 1, header)}
    strips |= {277: (3, 1, 1), 278: (4, 1, 12), 279: (4, 1, 12 * 14 * 2)}
    strips |= {33628: (4, 4, uic1), 33629: (5, planes, uic2), 33630: (5, planes, uic3)}
    body = b"".join(np.array([t, k], "<u2").tobytes() + long(n, v) for t, (k, n, v) in sorted(strips.items()))
    texts += bytes(-(place + len(texts)) % 2)
    ifd = np.array([len(strips)], "<u2").tobytes() + body + bytes(4)
    (tmp_path / "a.stk").write_bytes(b"II*\0" + long(place + len(texts)) + pixels + texts + ifd)
    volume = read_volume(tmp_path / "a.stk")
    assert np.array_equal(volume.data, data)
    np.testing.assert_allclose(volume.spacing, (0.3, 0.065, 0.065))
    assert volume.source["format"] == "MetaMorph STK"
