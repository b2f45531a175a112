"""Bounded memory: extremes block by block, and one time point of a long film."""

import itertools
import tracemalloc

import numpy as np
import pytest
import tifffile

from cytoform.image import extremes
from cytoform.image.extremes import _blocks
from cytoform.image.io import image_info, read_volume


def _traced(work):
    tracemalloc.start()
    try:
        result = work()
        return result, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
@pytest.mark.parametrize("how", [{}, {"compression": "zlib"}, {"compression": "zlib", "tile": (256, 256)}])
def test_extremes_and_one_time_point_take_little_memory(tmp_path, how):
    shape = (40, 4, 512, 512)  # 84 MB
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as file:
        planes = (np.full((512, 512), k, np.uint16) for k in range(160))
        meta = {"axes": "TZYX", "PhysicalSizeX": 0.1, "PhysicalSizeY": 0.1, "PhysicalSizeZ": 0.3}
        tile = how.get("tile")
        if tile:
            planes = (p[:256, :256] for p in planes for _ in range(4))
        file.write(planes, shape=shape, dtype=np.uint16, photometric="minisblack", metadata=meta, **how)
    image_info(tmp_path / "a.ome.tif")  # what is imported on the way does not count
    info, peak = _traced(lambda: image_info(tmp_path / "a.ome.tif", extremes=True))
    assert (info.minimum, info.maximum) == (0, 159)
    assert peak < 40e6, peak  # a block of four million voxels, its decoding, and the list of pages
    volume, peak = _traced(lambda: read_volume(tmp_path / "a.ome.tif", time=39))
    assert volume.data[:, 0, 0].tolist() == [156, 157, 158, 159]
    assert peak < 12e6, peak  # the time point has 2.1 MB


@pytest.mark.parametrize(("shape", "chunks"), [((3, 5, 7), (1, 2, 3)), ((2, 3, 4, 9), (1, 1, 4, 9)), ((6,), (4,))])
@pytest.mark.parametrize("room", [1, 7, 30, 10**6])
def test_blocks_cover_every_voxel_once(monkeypatch, shape, chunks, room):
    monkeypatch.setattr(extremes, "_BLOCK_VOXELS", room)

    class Image:
        pass

    image = Image()
    image.shape, image.chunks = shape, chunks
    seen = np.zeros(shape, int)
    for index in _blocks(image):
        seen[index] += 1
        starts = [s.start % c == 0 for s, c in zip(index, chunks)]
        assert all(starts)
    assert (seen == 1).all()


def test_not_a_number_is_not_lost_among_blocks(tmp_path, monkeypatch):
    data = np.arange(4 * 8 * 8, dtype=np.float32).reshape(4, 8, 8)
    data[1, 2, 3] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack")
    monkeypatch.setattr(extremes, "_BLOCK_VOXELS", 64)
    info = image_info(tmp_path / "a.tif", extremes=True)
    assert np.isnan(info.minimum) and np.isnan(info.maximum)


def test_time_is_bounded_as_well(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", np.arange(64, dtype=np.uint8).reshape(4, 4, 4), photometric="minisblack")
    monkeypatch.setattr(extremes, "_BLOCK_VOXELS", 16)
    clock = itertools.count(step=15)
    monkeypatch.setattr(extremes.time, "monotonic", lambda: float(next(clock)))
    info = image_info(tmp_path / "a.tif", extremes=True)
    assert info.maximum is not None and info.maximum < 63
    assert any("of a part of it" in r for r in info.remarks)


@pytest.mark.parametrize("axes", ["ZCYX", "CZYX", "TZCYX"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_the_chosen_part_is_what_the_whole_array_has_there(tmp_path, axes, compression):
    sizes = {"T": 3, "Z": 5, "C": 2, "Y": 6, "X": 8}
    data = np.random.default_rng(0).integers(0, 999, [sizes[a] for a in axes]).astype(">u2")
    how = {"photometric": "minisblack", "compression": compression, "byteorder": ">"}
    tifffile.imwrite(tmp_path / "a.tif", data, metadata={"axes": axes}, **how)
    time = 2 if "T" in axes else None
    volume = read_volume(tmp_path / "a.tif", spacing=1, channel=1, time=time)
    expected = data[tuple({"C": 1, "T": 2}.get(a, slice(None)) for a in axes)]
    assert np.array_equal(volume.data, expected) and volume.data.dtype == np.dtype("=u2")
