"""Files of decoded shapes: one frame in memory at a time, and units only where they are known."""

import logging
import weakref

import numpy as np
import pytest
import tifffile
from neural.shapes import body

import cytoform as cf
from cytoform.image.io import image_info
from cytoform.sdf import SequenceInfo

pytest.importorskip("torch")

from cytoform.neural import export
from cytoform.neural.export import Writer

KEPT = 2  # frames alive while the next one is made: the last one, and one more that a loop may hold


def write(folder, formats, sequence, info=None, frames=None):
    writer = Writer(folder, formats, overwrite=False, names=["a"])
    writer.write("a", frames or iter(sequence), sequence.shape, info or sequence.info)
    return writer.written


@pytest.mark.parametrize("formats", [["mask"], ["mesh"], ["points", "mask", "mesh"], ["h5", "mask"]])
def test_one_frame_in_memory(tmp_path, formats):
    sequence, alive, most = body(frames=8), weakref.WeakSet(), []

    class Frame(np.ndarray):
        __hash__ = object.__hash__

    def frames():
        for index in range(len(sequence)):
            frame = sequence.frame(index).copy().view(Frame)
            alive.add(frame)
            most.append(len(alive))
            yield frame
            del frame

    written = write(tmp_path, formats, sequence, frames=frames())
    assert len(most) == 8 and max(most) <= KEPT
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in written)  # nothing temporary stays
    if "mask" in formats:
        np.testing.assert_array_equal(tifffile.imread(tmp_path / "a_mask.tif"), np.stack(list(sequence)) < 0)


def test_nothing_stays_of_what_fails(tmp_path):
    def frames():
        yield body().frame(0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, ["mask"], body(), frames=frames())
    assert list(tmp_path.iterdir()) == []


def test_masks_are_not_stacked(tmp_path, monkeypatch):
    given = []
    real = tifffile.imwrite
    monkeypatch.setattr(tifffile, "imwrite", lambda place, data, **o: given.append(data) or real(place, data, **o))
    write(tmp_path, ["mask"], body())
    assert not isinstance(given[0], np.ndarray)


@pytest.mark.parametrize("small", [True, False])
def test_masks_too_large_for_imagej_become_ome(tmp_path, monkeypatch, small):
    sequence = body()
    monkeypatch.setattr(export, "_IMAGEJ_BYTES", np.prod(sequence.shape) - (not small))
    write(tmp_path, ["mask"], sequence)
    with tifffile.TiffFile(tmp_path / "a_mask.tif") as file:
        assert file.is_imagej is small and file.is_ome is not small and file.is_bigtiff is not small
        assert file.series[0].axes == "TZYX"
        np.testing.assert_array_equal(file.asarray(), np.stack(list(sequence)) < 0)
    assert image_info(tmp_path / "a_mask.tif").spacing == pytest.approx(sequence.info.spacing, rel=1e-4)


@pytest.mark.parametrize("small", [True, False])
def test_without_a_scale_nothing_is_said_to_be_in_um(tmp_path, monkeypatch, caplog, small):
    sequence = body()
    if not small:
        monkeypatch.setattr(export, "_IMAGEJ_BYTES", 0)
    with caplog.at_level(logging.INFO):
        write(tmp_path, ["mask", "mesh", "points"], sequence, SequenceInfo())
    assert caplog.text.count("in voxels") == 1
    assert image_info(tmp_path / "a_mask.tif").spacing is None
    with tifffile.TiffFile(tmp_path / "a_mask.tif") as file:
        told = f"{file.imagej_metadata} {file.ome_metadata}"
        assert "um" not in told.replace("numX", "") and "spacing" not in told and "PhysicalSize" not in told
        np.testing.assert_array_equal(file.asarray(), np.stack(list(sequence)) < 0)
    for place in (tmp_path / "a_mesh" / "a_t00.ply", tmp_path / "a_points" / "a_t00.ply"):
        assert b"micro" not in place.read_bytes()
    write(tmp_path / "um", ["mesh"], sequence)
    bare, metric = (cf.read_mesh(f / "a_mesh" / "a_t00.ply") for f in (tmp_path, tmp_path / "um"))
    assert bare.volume * np.prod(sequence.info.spacing) == pytest.approx(metric.volume)
    np.testing.assert_array_equal(bare.faces, metric.faces)
