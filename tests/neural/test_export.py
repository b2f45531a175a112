"""Files of decoded shapes: one frame in memory at a time, and units only where they are known."""

import logging
import weakref

import numpy as np
import pytest
import tifffile
import trimesh
from neural.shapes import body
from scipy import ndimage

import cytoform as cf
from cytoform.image.io import image_info
from cytoform.masks import mesh_to_mask
from cytoform.metrics import iou
from cytoform.sdf import SDFSequence, SequenceInfo, open_sequence

pytest.importorskip("torch")

from cytoform.neural import export
from cytoform.neural.export import SequenceWriter

KEPT = 2  # frames alive while the next one is made: the last one, and one more that a loop may hold


def write(folder, formats, sequence, info=None, frames=None):
    writer = SequenceWriter(folder, formats, overwrite=False, names=["a"])
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


IN_REGISTER = 0.98  # IoU of a mask and its mesh, voxelised on the mask's grid; both are cut from the same distances


def off_the_middle(spacing, shape=(14, 40, 30), frames=3):
    """An ellipsoid that drifts and grows, nowhere in the middle of its box."""
    axes = [(np.arange(n) - (n - 1) / 2) * d for n, d in zip(shape, spacing)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    half = 0.5 * np.asarray(shape) * spacing
    values = []
    for t in range(frames):
        place, radii = (points - half * (0.1 + 0.05 * t, -0.2, 0.25)) / half, np.array((0.5, 0.55, 0.45)) + 0.03 * t
        values.append((np.linalg.norm(place / radii, axis=-1) - 1) * (radii * half).min())
    return SDFSequence.from_array(values, spacing, time_step=60.0)


@pytest.mark.parametrize("spacing", [(0.25, 0.25, 0.25), (0.5, 0.2, 0.3)])
def test_mask_mesh_points_and_distances_of_a_cell_are_in_register(tmp_path, spacing):
    sequence = off_the_middle(spacing)
    write(tmp_path, ["mask", "mesh", "points", "h5"], sequence)
    for t in range(len(sequence)):
        mask = cf.read_volume(tmp_path / "a_mask.tif", time=t)
        mesh = cf.read_mesh(tmp_path / "a_mesh" / f"a_t{t:02}.ply")
        with open_sequence(tmp_path / "a.h5") as distances:
            np.testing.assert_allclose(mask.grid.origin, distances.grid.origin, rtol=1e-6)
            np.testing.assert_allclose(mask.grid.spacing, distances.grid.spacing, rtol=1e-6)
            np.testing.assert_array_equal(mask.data > 0, distances.frame(t) < 0)
        assert iou(mesh_to_mask(mesh, mask.grid), mask.data > 0) >= IN_REGISTER
        voxels = np.argwhere(mask.data > 0)
        assert abs(mask.grid.to_um(voxels.mean(axis=0)) - mesh.vertices.mean(axis=0)).max() < max(spacing)
        points = trimesh.load(tmp_path / "a_points" / f"a_t{t:02}.ply").vertices  # (x, y, z)
        np.testing.assert_allclose(points[:, ::-1], mesh.vertices, atol=1e-5)


def test_a_mesh_rendered_like_its_mask_covers_the_cell(tmp_path):
    from typer.testing import CliRunner

    from cytoform.cli import app

    sequence = off_the_middle((0.5, 0.2, 0.3))
    write(tmp_path, ["mask", "mesh"], sequence)
    mask, image = tmp_path / "a_mask.tif", tmp_path / "a.tif"
    arguments = ["render", tmp_path / "a_mesh" / "a_t00.ply", "--like", mask, "--psf-sigma", "0.5", "0.3", "0.3"]
    found = CliRunner().invoke(app, [str(a) for a in (*arguments, "--out", image)])
    assert found.exit_code == 0, found.output
    seen, inside = cf.read_volume(image), cf.read_volume(mask, time=0).data > 0
    around = ndimage.binary_dilation(inside, iterations=4) & ~ndimage.binary_erosion(inside, iterations=4)
    assert seen.data[around].sum() > 0.95 * abs(seen.data).sum()  # the light comes from the mask's own wall
    wall = inside & ~ndimage.binary_erosion(inside)
    lit = ndimage.binary_dilation(seen.data > 0.2 * seen.data.max())
    assert (wall & lit).sum() > 0.95 * wall.sum()  # and from all of it


@pytest.mark.parametrize("small", [True, False])
def test_where_a_mask_is_stands_in_its_file(tmp_path, monkeypatch, small):
    """As tifffile finds it, for Fiji and others."""
    sequence = off_the_middle((0.5, 0.2, 0.3))
    monkeypatch.setattr(export, "_IMAGEJ_BYTES", 2**32 if small else 0)
    write(tmp_path, ["mask"], sequence)
    first = -0.5 * (np.array((14, 40, 30)) - 1) * (0.5, 0.2, 0.3)
    with tifffile.TiffFile(tmp_path / "a_mask.tif") as file:
        if small:
            meta = file.imagej_metadata
            np.testing.assert_allclose([float(meta[f"{a}origin"]) for a in "zyx"], [6.5, 19.5, 14.5])
            return
        planes = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]["Plane"]
    assert len(planes) == 3 * 14
    for k, plane in enumerate(planes):
        assert {plane[f"Position{a}Unit"] for a in "ZYX"} == {"µm"}
        place = first + (0.5 * (k % 14), 0, 0)
        np.testing.assert_allclose([plane[f"Position{a}"] for a in "ZYX"], place, atol=1e-9)
