"""``cytoform info``: what it tells of odd and large files, and its options."""

import subprocess
import sys

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from cytoform.cli import app

SIZES = {"PhysicalSizeX": 0.1, "PhysicalSizeY": 0.2, "PhysicalSizeZ": 0.3}


def _info(*words):
    return CliRunner().invoke(app, ["info", *map(str, words)])


def _told(*words):
    result = _info(*words)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def _stack(shape=(5, 12, 14), seed=0):
    return np.random.default_rng(seed).integers(1, 200, shape).astype(np.uint16)


def test_several_images_are_listed(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as file:
        file.write(_stack()[0], photometric="minisblack", metadata={"axes": "YX", "Name": "overview"})
        file.write(_stack(), photometric="minisblack", metadata={"axes": "ZYX", "Name": "stack"} | SIZES)
    told = _told(tmp_path / "a.ome.tif")
    assert "images 2; number 0 is described here, --series N chooses" in told
    assert "0: overview, YX = 12 × 14" in told and "1: stack, ZYX = 5 × 12 × 14" in told
    assert "1 is 3D: choose it with series=N or --series N" in told
    told = _told(tmp_path / "a.ome.tif", "--series", 1)
    assert "number 1 is described" in told and "0.3 × 0.2 × 0.1 µm" in told and "2D" not in told
    result = _info(tmp_path / "a.ome.tif", "--series", 2)
    assert result.exit_code == 2 and "expected 0 to 1" in result.output


def test_many_images_alike_take_one_line(tmp_path):
    for plane in _stack():
        tifffile.imwrite(tmp_path / "a.tif", plane, append=True)
    told = _told(tmp_path / "a.tif")
    assert "images 5" in told and told.count("YX = 12 × 14") == 2 and "--axes ZYX" in told
    told = _told(tmp_path / "a.tif", "--axes", "ZYX")
    assert "ZYX = 5 × 12 × 14" in told and "stacked" in told


def test_slices_called_channels(tmp_path):
    meta = {"axes": "CYX", "spacing": 0.5, "unit": "um"}
    tifffile.imwrite(tmp_path / "a.tif", _stack((20, 12, 14)), imagej=True, resolution=(4, 4), metadata=meta)
    told = _told(tmp_path / "a.tif")
    assert "If its 20 channels are slices, pass axes='ZYX' (--axes ZYX)." in told and "--channel" not in told
    told = _told(tmp_path / "a.tif", "--axes", "zyx")
    assert "ZYX = 20 × 12 × 14" in told and "0.5 × 0.25 × 0.25 µm" in told
    result = _info(tmp_path / "a.tif", "--axes", "TZYX")
    assert result.exit_code == 2 and "has 3, of lengths 20 × 12 × 14" in result.output


def test_unnamed_axes(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", _stack((3, 5, 12, 14)), photometric="minisblack")
    told = _told(tmp_path / "a.tif")
    assert "TZYX = 3 × 5 × 12 × 14" in told and "--axes TZYX" in told and "QQ" not in told
    tifffile.imwrite(tmp_path / "b.tif", _stack((2, 3, 2, 5, 12, 14)), photometric="minisblack")
    assert "????YX" in _told(tmp_path / "b.tif") and "? has no name" in _told(tmp_path / "b.tif")


def test_a_part_of_the_voxel_size(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", _stack(), imagej=True, resolution=(4, 4), metadata={"axes": "ZYX", "unit": "um"}
    )
    told = _told(tmp_path / "a.tif")
    assert "? × 0.25 × 0.25 µm (z, y, x); dz not in the file" in told
    assert "Fiji shows dz = 1 µm" in told and "--spacing 1,0.25,0.25" in told


def test_frame_interval_and_remarks(tmp_path):
    meta = {"axes": "TZYX", "TimeIncrement": 2.5, "TimeIncrementUnit": "min"} | SIZES | {"PhysicalSizeZ": 1.0}
    tifffile.imwrite(tmp_path / "a.ome.tif", _stack((3, 5, 12, 14)), photometric="minisblack", metadata=meta)
    told = _told(tmp_path / "a.ome.tif")
    assert "frame interval 150 s" in told and "Its z step is exactly 1 µm beside 0.1 across" in told


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_a_huge_zarr_under_a_limit_of_memory(tmp_path):
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
    group.create_array("0", shape=(200, 2, 200, 1024, 1024), chunks=(1, 1, 32, 256, 256), dtype="uint16", fill_value=0)
    axes = [{"name": a} for a in "tczyx"]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": [{"path": "0"}]}]
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30));"
        "from cytoform.cli import main; sys.argv = ['cytoform', 'info', sys.argv[1]]; main()"
    )
    words = [sys.executable, "-c", code, tmp_path / "a.zarr"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "168 GB" in done.stdout and "were not looked for" in done.stdout and "chunks are not stored" in done.stdout
