"""What a user says of a cell: a label, a region, voxels that were never measured."""

import json

import numpy as np
import pytest
from fitting.simulated import PAIR_PLACES, PAIR_SPACING, Killed, ball, killed_at, pair
from scipy import ndimage

import cytoform as cf
from cytoform.errors import ConfigError, FitError
from cytoform.fitting.bodies.surface import label_surfaces
from cytoform.fitting.numbers import format_with_error
from cytoform.fitting.scene import Scene
from cytoform.fitting.start import labels as label_images
from cytoform.masks import mesh_to_mask
from cytoform.mesh import topology
from cytoform.metrics import mesh_iou

QUICK = {"uncertainty": False, "device": "cpu", "deterministic": True}


def labelled_cell(labels, label, volume):
    return label_images.labelled_cell(labels, label, Scene(volume))


@pytest.fixture(scope="module")
def two():
    """Two cells that nearly touch, the image of both, and their true labels, 3 and 7."""
    cells, _, volume, psf = pair(noise=2.0)
    labels = np.zeros(volume.shape, dtype=np.int32)
    for cell, number in zip(cells, (3, 7)):
        labels[mesh_to_mask(cell, volume.grid)] = number
    return cells, volume, psf, labels


@pytest.mark.slow
@pytest.mark.parametrize("number", [3, 7])
def test_a_label_chooses_its_cell(two, number):
    cells, volume, psf, labels = two
    result = cf.fit(volume, psf=psf, config=cf.FitConfig(**QUICK), labels=labels, label=number)
    assert mesh_iou(result.mesh, cells[(3, 7).index(number)], 0.1) > 0.93
    assert result.surroundings is not None  # the other cell's light is modelled
    other = PAIR_PLACES[(7, 3).index(number)]
    index = tuple(np.rint((other + (0, 1.5, 0)) / PAIR_SPACING).astype(int))
    assert result.surroundings.data[index] > 0
    assert result.inputs["region"]["kind"] == "label" and result.inputs["region"]["label"] == number


@pytest.mark.slow
def test_a_label_does_better_than_its_voxels_as_a_hard_region(two):
    """That region leaves half of the blurred membrane out: the surface explains less of what is around it."""
    _, volume, psf, labels = two
    config = cf.FitConfig(iterations=120, **QUICK)
    hard = cf.FitConfig(iterations=120, widen_roi=False, **QUICK)
    label = cf.fit(volume, psf=psf, config=config, labels=labels, label=7)
    region = cf.fit(volume, psf=psf, config=hard, roi=labels == 7)
    assert label.r2 > region.r2 + 0.05
    assert any("edge of the region of interest" in text for text in region.warnings())


@pytest.mark.slow
def test_a_cells_mask_as_region_is_widened_and_said(two):
    _, volume, psf, labels = two
    assert label_images.bright_rim(labels == 3, Scene(volume)) > 0.9
    result = cf.fit(volume, psf=psf, config=cf.FitConfig(iterations=120, **QUICK), roi=labels == 3)
    assert result.r2 > 0.9
    assert any("taken as the cell's outline" in text for text in result.warnings())
    wide = ndimage.distance_transform_edt(labels != 3) <= 5
    assert label_images.bright_rim(wide, Scene(volume)) < 0.5
    assert label_images.bright_rim(np.ones(volume.shape, bool), Scene(volume)) == 0.0


def test_what_a_label_leaves_out_is_said():
    truth, volume, _ = ball()
    number = 70_000
    labels = mesh_to_mask(truth, volume.grid).astype(np.int64) * number
    labels[volume.shape[0] // 2, volume.shape[1] // 2, volume.shape[2] // 2] = 0  # one voxel: not worth a word
    assert labelled_cell(labels, None, volume).remarks == ()
    labels[1:5, 1:5, 1:5] = number  # another piece
    middle = tuple(slice(n // 2 - 2, n // 2 + 3) for n in volume.shape)
    labels[middle] = 0  # a hole
    cell = labelled_cell(labels, number, volume)
    assert len(cell.remarks) == 2 and "2 pieces" in cell.remarks[0] and "holes" in cell.remarks[1]
    assert cell.mask[middle].all() and not cell.mask[1:5, 1:5, 1:5].any() and cell.alone


def test_neighbours_are_other_labels_and_bright_voxels_without_one(two):
    _, volume, _, labels = two
    cell = labelled_cell(labels, 3, volume)
    assert not cell.alone and cell.neighbours[labels == 7].mean() > 0.9
    assert not (cell.neighbours & ndimage.binary_dilation(labels == 3, iterations=2)).any()
    alone = labelled_cell(np.where(labels == 3, 3, 0), 3, volume)
    assert alone.alone and alone.neighbours[ndimage.binary_dilation(labels == 7) & ~(labels == 7)].mean() > 0.5


def test_unusable_labels_are_refused():
    _, volume, _ = ball()
    good = np.zeros(volume.shape, dtype=int)
    good[5:15, 8:20, 8:20] = 2
    with pytest.raises(FitError, match=r"labels have shape \(3, 3, 3\)"):
        labelled_cell(np.zeros((3, 3, 3), int), 1, volume)
    with pytest.raises(FitError, match="label 5 is not among the labels; there are 2"):
        labelled_cell(good, 5, volume)
    with pytest.raises(FitError, match="there are 0 labels"):
        labelled_cell(0 * good, None, volume)
    with pytest.raises(FitError, match="not whole numbers"):
        labelled_cell(good * 0.3, 1, volume)
    two = np.where(np.arange(volume.shape[2]) < 14, 2 * (good > 0), 4 * (good > 0))
    with pytest.raises(FitError, match="2 labels: 2, 4; expected one"):
        labelled_cell(two, None, volume)
    small = np.zeros_like(good)
    small[4, 4, 4] = 9
    with pytest.raises(FitError, match="label 9 has 1 voxels"):
        labelled_cell(small, 9, volume)
    with pytest.raises(ConfigError, match="came together"):
        cf.fit(volume, roi=good > 0, labels=good)
    with pytest.raises(ConfigError, match="without labels"):
        cf.fit(volume, label=2)
    assert not labelled_cell(good - 1, 1, volume).mask[good == 0].any()  # below 0 is outside


def test_surfaces_of_a_label_have_no_tunnels():
    volume = cf.Volume(np.zeros((40, 40, 40), np.uint8), (1.0, 1.0, 1.0))
    z, y, x = np.indices(volume.shape) - 19.5
    body = z**2 + y**2 + x**2 < 12**2
    assert label_surfaces(body, volume.grid)[0].volume == pytest.approx(4 / 3 * np.pi * 12**3, rel=0.02)
    drilled = body & (np.hypot(y, x) > 3)
    found = label_surfaces(drilled, volume.grid)
    assert len(found) == 2 and all(topology.genus(mesh) == 0 for mesh in found)  # as it is, it has a tunnel
    assert found[0].volume == pytest.approx(4 / 3 * np.pi * 12**3, rel=0.05)
    ring = np.hypot(np.hypot(x, y) - 11, z) < 4  # wider than anything that is closed
    assert label_surfaces(ring, volume.grid) == []


@pytest.mark.slow
def test_a_label_with_a_tunnel_starts_from_its_ellipsoid():
    truth, volume, psf = ball(radius=2.4, shape=(30, 44, 44))
    shell = mesh_to_mask(truth, volume.grid)
    off = volume.grid.to_um(np.moveaxis(np.indices(volume.shape), 0, -1)) - volume.grid.centre
    labels = np.where(shell & (np.hypot(off[..., 1], off[..., 2]) > 1.4), 5, 0)
    labels[0, 0, 0] = 6
    result = cf.fit(volume, psf=psf, config=cf.FitConfig(**QUICK), labels=labels, label=5)
    assert topology.genus(result.mesh) == 0 and mesh_iou(result.mesh, truth, 0.1) > 0.95


@pytest.mark.slow
def test_the_only_label_of_an_image_is_fitted_as_the_object_itself():
    truth, volume, psf = ball()
    mask = ndimage.binary_dilation(mesh_to_mask(truth, volume.grid), iterations=2)
    assert label_images.matches_search(mask, Scene(volume))
    assert not label_images.matches_search(mask & (np.arange(volume.shape[2]) < 15), Scene(volume))
    config = cf.FitConfig(iterations=40, **QUICK)
    alone = cf.fit(volume, psf=psf, config=config)
    labelled = cf.fit(volume, psf=psf, config=config, labels=mask.astype(int))
    np.testing.assert_array_equal(alone.mesh.vertices, labelled.mesh.vertices)


@pytest.mark.slow
def test_another_label_is_refused_on_a_resume(two, tmp_path):
    _, volume, psf, labels = two
    config = cf.FitConfig(iterations=12, checkpoint_seconds=1e-9, **QUICK)
    with pytest.raises(Killed):
        cf.fit(volume, psf=psf, config=config, labels=labels, label=7, callbacks=[killed_at(6)], out=tmp_path)
    with pytest.raises(FitError, match="another label"):
        cf.fit(volume, psf=psf, config=config, labels=labels, label=3, out=tmp_path, resume=True)
    again = cf.fit(volume, psf=psf, config=config, labels=labels, label=7, out=tmp_path, resume=True)
    whole = cf.fit(volume, psf=psf, config=config, labels=labels, label=7)
    np.testing.assert_array_equal(again.mesh.vertices, whole.mesh.vertices)
    assert again.warnings() == whole.warnings()


@pytest.mark.slow
def test_a_constant_fill_does_not_count():
    """A window sheared through the image: the cell is found and measured as without it."""
    truth, volume, psf = ball(shape=(20, 44, 30))
    seen = np.zeros(volume.shape, dtype=bool)
    for k in range(20):
        seen[k, 3 + k // 2 : 32 + k // 2] = True
    filled = cf.Volume(np.where(seen, volume.data, 0).astype(np.uint16), volume.spacing, name="deskewed")
    assert not (~seen & mesh_to_mask(truth, volume.grid)).any()
    config = cf.FitConfig(iterations=120, **QUICK)
    for region in (None, seen):
        result = cf.fit(filled, psf=psf, config=config, roi=region)
        assert result.volume_um3 == pytest.approx(truth.volume, rel=0.03)
        assert not result.roi[~seen].any() and result.r2 > 0.9
        assert any("filled with one value" in text for text in result.warnings())
    assert not any("filled" in text for text in cf.fit(volume, psf=psf, config=config).warnings())


@pytest.mark.slow
def test_files_tell_warnings_and_inputs(two, tmp_path):
    cells, volume, psf, labels = two
    volume = cf.Volume(volume.data, volume.spacing, name="two.tif", source={"path": "/data/two.tif", "channel": 1},
                       remarks=("Its axes are guessed.",))  # fmt: skip
    given = cf.Volume(labels, volume.spacing, source={"path": "/data/labels.tif"})
    config = cf.FitConfig(iterations=6, **QUICK)
    result = cf.fit(volume, config=config, psf=psf, labels=given, label=7, inputs={"command": "cytoform fit two.tif"})
    result.save(tmp_path)
    told = json.loads((tmp_path / "fit.json").read_text(encoding="utf-8"))
    assert told["warnings"] == list(result.warnings()) and told["warnings"][0] == "Its axes are guessed."
    inputs = told["inputs"]
    assert inputs["image"] == {"name": "two.tif", "path": "/data/two.tif", "channel": 1}
    assert inputs["region"]["path"] == "/data/labels.tif" and inputs["region"]["label"] == 7
    assert inputs["start"]["kind"] == "from the label" and inputs["command"] == "cytoform fit two.tif"
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "label 7" in page and "channel 1" in page and "Its axes are guessed." in page
    again = cf.load_result(tmp_path)
    assert again.warnings() == result.warnings() and again.summary()["inputs"] == inputs


def test_a_start_in_two_pieces_is_said():
    truth, volume, psf = ball()
    moved = truth.with_vertices(0.2 * (truth.vertices - volume.grid.centre) + 0.5 * volume.grid.centre)
    faces = np.concatenate([truth.faces, truth.faces + truth.n_vertices])
    both = cf.SurfaceMesh(np.concatenate([truth.vertices, moved.vertices]), faces)
    result = cf.fit(volume, both, psf, cf.FitConfig(iterations=2, edge=0.2, **QUICK))
    assert any("2 separate surfaces" in text for text in result.warnings())


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (461.3, 17.8, "461 ± 18"),
        (461.3, 2.04, "461.3 ± 2.0"),
        (1095.4, 6.2, "1095 ± 6"),
        (1095.4, 62.0, "1100 ± 60"),
        (0.8731, 0.0041, "0.873 ± 0.004"),
        (0.8731, 0.0998, "0.87 ± 0.10"),
        (0.8731, 0.000123, "0.87310 ± 0.00012"),
        (12345.0, 951.0, "12300 ± 1000"),
        (68.79, None, "68.79"),
        (68.79, float("nan"), "68.79"),
        (131.0, 0.0, "131.0"),
    ],
)
def test_values_have_the_digits_of_their_errors(value, error, text):
    """The rule of the Particle Data Group: two digits of an error up to 354, one up to 949."""
    assert format_with_error(value, error, 4) == text


@pytest.mark.slow
def test_a_resume_tells_what_the_fit_was_given(two, tmp_path):
    """A region may be left out on a resume; fit.json still says which it was."""
    _, volume, psf, labels = two
    config = cf.FitConfig(iterations=10, checkpoint_seconds=1e-9, **QUICK)
    given = cf.Volume(labels, volume.spacing, source={"path": "/data/labels.tif"})
    with pytest.raises(Killed):
        cf.fit(volume, psf=psf, config=config, labels=given, label=7, callbacks=[killed_at(4)], out=tmp_path)
    resumed = cf.fit(volume, config=config, out=tmp_path, resume=True)
    assert resumed.inputs["region"]["path"] == "/data/labels.tif" and resumed.about() == ("label 7",)
    resumed.save(tmp_path)
    assert cf.load_result(tmp_path).inputs == resumed.inputs


def test_labels_with_other_voxels_are_said(two):
    _, volume, psf, labels = two
    other = cf.Volume(labels, (1.0, 0.2, 0.2))
    result = cf.fit(volume, psf=psf, config=cf.FitConfig(iterations=2, **QUICK), labels=other, label=7)
    assert any("voxels of 1 × 0.2 × 0.2 µm" in text for text in result.warnings())


def test_a_region_where_nothing_was_measured_is_refused():
    _, volume, _ = ball(shape=(20, 44, 30))
    seen = np.arange(44)[:, None] < 34
    filled = cf.Volume(np.where(seen, volume.data, 0).astype(np.uint16), volume.spacing)
    region = np.zeros(volume.shape, bool)
    region[:, 38:] = True
    with pytest.raises(FitError, match="nothing was measured"):
        cf.fit(filled, roi=region)


@pytest.mark.slow
def test_a_cell_cut_by_the_unmeasured_part_is_said_and_left_blank(tmp_path):
    truth, volume, psf = ball(shape=(20, 34, 30))
    seen = np.arange(34)[:, None] < 16  # through the cell's middle, at 16.5
    filled = cf.Volume(np.where(seen, volume.data, 0).astype(np.uint16), volume.spacing)
    result = cf.fit(filled, psf=psf, config=cf.FitConfig(iterations=60, **QUICK))
    assert any("where nothing was measured" in text for text in result.warnings())
    assert not any("Give a wider region" in text for text in result.warnings())
    from cytoform.fitting.saving import report_data
    from cytoform.report.browse import _ranges

    data = report_data(result, filled)
    assert np.isnan(data.masked_image[:, 20]).all() and _ranges(data)["low"] > 60  # not the fill's 0
    result.save(tmp_path)


def test_huge_and_infinite_labels_are_refused():
    _, volume, _ = ball()
    labels = np.zeros(volume.shape, np.uint64)
    labels[5:15, 8:20, 8:20] = 2**63 + 5
    with pytest.raises(FitError, match=r"below 2\^63"):
        labelled_cell(labels, None, volume)
    with pytest.raises(FitError, match="not whole numbers"):
        labelled_cell(np.where(labels > 0, np.inf, 0), None, volume)
