"""Descriptors against closed forms; daughters, specks, empty frames and overlap."""

import math

import numpy as np
import pytest
from compare.bodies import capsule, coordinates, growing, sphere
from scipy import ndimage

from cytoform.compare.bodies import _upsampled, body_surface, label_bodies
from cytoform.compare.measuring import measure_sequence, overlap_rows
from cytoform.compare.sets import Entry, collect_set, pair_sequences
from cytoform.errors import FileFormatError, SequenceError
from cytoform.sdf.sequence import SDFSequence

CLOSED_FORM = 0.01  # what the descriptors promise from a radius of 4 voxels on


def _surface(sdf, spacing):
    labels, count, specks = label_bodies(sdf)
    assert (count, specks) == (1, 0)
    mesh = body_surface(sdf, labels, 1, spacing)
    return mesh.volume, mesh.area


@pytest.mark.parametrize("voxels", [4, 6, 9, 14])
def test_sphere(voxels):
    radius, step = 3.0, 3.0 / voxels
    n = 2 * voxels + 7
    points = coordinates((n, n, n), (step,) * 3) + 0.31 * step
    volume, area = _surface(sphere(points, radius), (step,) * 3)
    assert volume == pytest.approx(4 / 3 * math.pi * radius**3, rel=CLOSED_FORM)
    assert area == pytest.approx(4 * math.pi * radius**2, rel=CLOSED_FORM)


@pytest.mark.parametrize("spacing", [(0.5, 0.5, 0.5), (0.6, 0.25, 0.25), (0.25, 0.25, 0.25)])
@pytest.mark.parametrize("axis", [(0, 0, 1), (1, 2, 3)])
def test_capsule_with_anisotropic_voxels(spacing, axis):
    radius, length = 2.0, 4.0
    shape = tuple(int(12.0 / d) for d in spacing)
    volume, area = _surface(capsule(coordinates(shape, spacing), radius, length, axis), spacing)
    assert volume == pytest.approx(math.pi * radius**2 * (length + 4 / 3 * radius), rel=CLOSED_FORM)
    assert area == pytest.approx(2 * math.pi * radius * (length + 2 * radius), rel=CLOSED_FORM)


def test_the_unit_of_the_distances_does_not_matter():
    sdf = sphere(coordinates((31, 31, 31), (1, 1, 1)), 10.0)
    first, second = _surface(sdf, (1, 1, 1)), _surface(sdf / np.abs(sdf).max(), (1, 1, 1))
    assert second == pytest.approx(first, rel=1e-6)


def test_a_body_cut_by_the_border_is_closed_there():
    points = coordinates((21, 21, 21), (1, 1, 1)) + np.array([10.0, 0, 0])
    sdf = sphere(points, 8.0)  # half of it, from z = 0 on; the wall lies half a voxel behind
    volume, area = _surface(sdf, (1, 1, 1))
    assert volume == pytest.approx(2 / 3 * math.pi * 8.0**3 + 0.5 * math.pi * 8.0**2, rel=0.02)
    assert area == pytest.approx(3 * math.pi * 8.0**2 + math.pi * 8.0, rel=0.05)
    rows = measure_sequence(collect_set(SDFSequence.from_array(sdf[None], 1.0), "x")[0], "x")
    assert rows[0]["at_border"]


def test_two_spheres_apart_and_a_speck():
    points = coordinates((24, 24, 48), (0.5, 0.5, 0.5))
    sdf = np.minimum(sphere(points, 4.0, (0, 0, -6)), sphere(points, 3.0, (0, 0, 6)))
    sdf = np.minimum(sdf, sphere(points, 0.6, (4.5, 4.5, 1)))
    rows = measure_sequence(collect_set(SDFSequence.from_array(sdf[None], 0.5), "x")[0], "x")
    assert [row["component"] for row in rows] == [0, 1]
    assert all(row["components"] == 2 and row["specks"] == 1 for row in rows)
    for row, radius in zip(rows, (4.0, 3.0)):
        assert row["volume"] == pytest.approx(4 / 3 * math.pi * radius**3, rel=CLOSED_FORM)
        assert row["area"] == pytest.approx(4 * math.pi * radius**2, rel=CLOSED_FORM)
        for name in ("sphericity", "sphericity_miccai2022", "sphericity_media2024"):
            assert row[name] == pytest.approx(1.0, abs=CLOSED_FORM)


def test_sphericity_is_wadells_and_the_papers_are_powers_of_it():
    sdf = capsule(coordinates((36, 36, 60), (0.5, 0.5, 0.5)), 4.0, 12.0, (0, 0, 1))
    row = measure_sequence(collect_set(SDFSequence.from_array(sdf[None], 0.5), "x")[0], "x")[0]
    volume, area = math.pi * 16 * (12 + 16 / 3), 8 * math.pi * 20
    assert row["sphericity"] == pytest.approx(math.pi ** (1 / 3) * (6 * volume) ** (2 / 3) / area, rel=CLOSED_FORM)
    assert row["sphericity_miccai2022"] == pytest.approx(row["sphericity"] ** -1.5)
    assert row["sphericity_media2024"] == pytest.approx(row["sphericity"] ** 3)


def _two(points, first, second):
    a, b = (sphere(points, r, c) for r, c in (first, second))
    return np.minimum(a, b)


def test_daughters_keep_their_numbers_whichever_is_larger():
    points = coordinates((16, 16, 40), (1, 1, 1))
    frames = [sphere(points, 6.0, (0, 0, -1)), _two(points, (5.0, (0, 0, -6)), (4.0, (0, 0, 6)))]
    frames += [_two(points, (5.0 - k, (0, 0, -6 - k)), (4.0 + k, (0, 0, 6 + k))) for k in (0.5, 1.0, 1.5)]
    rows = measure_sequence(collect_set(SDFSequence.from_array(np.array(frames), 1.0), "x")[0], "x")
    radii = {(r["frame"], r["component"]): (3 * r["volume"] / 4 / math.pi) ** (1 / 3) for r in rows}
    assert [radii[k, 0] for k in range(1, 5)] == pytest.approx([5.0, 4.5, 4.0, 3.5], rel=0.01)
    assert [radii[k, 1] for k in range(1, 5)] == pytest.approx([4.0, 4.5, 5.0, 5.5], rel=0.01)
    assert (0, 1) not in radii


def test_an_empty_frame_is_missing_not_fatal():
    sdf = np.stack([sphere(coordinates((12, 12, 12), (1, 1, 1)), r) for r in (4.0, -1.0)])
    rows = measure_sequence(collect_set(SDFSequence.from_array(sdf, 1.0), "x")[0], "x")
    assert [row["missing"] for row in rows] == [False, True]
    assert math.isnan(rows[1]["volume"]) and rows[1]["components"] == 0


def test_a_body_that_encloses_nothing_has_no_descriptors():
    """One voxel lies inside by less than single precision tells: its surface is a point."""
    sdf = np.ones((1, 9, 9, 9), np.float32)
    sdf[0, 4, 4, 4] = -1e-12
    row = measure_sequence(collect_set(SDFSequence.from_array(sdf, 1.0), "x")[0], "x")[0]
    assert row["components"] == 1 and not row["missing"]
    assert math.isnan(row["volume"]) and math.isnan(row["sphericity"])


def test_the_surface_lies_where_the_body_does():
    spacing = (0.5, 0.6, 0.5)
    sdf = sphere(coordinates((24, 24, 48), spacing), 3.0, (1.0, -2.0, 5.0))
    labels, _, _ = label_bodies(sdf)
    middle = 0.5 * (np.array(sdf.shape) - 1) * spacing
    away = body_surface(sdf, labels, 1, spacing).vertices - middle - [1.0, -2.0, 5.0]
    assert np.linalg.norm(away, axis=1) == pytest.approx(3.0, abs=0.03)


def _boxes(*starts):
    frames = np.ones((len(starts), 10, 10, 20), dtype=np.float32)
    for frame, start in zip(frames, starts):
        if start is not None:
            frame[2:8, 2:8, start : start + 8] = -1
    return collect_set(SDFSequence.from_array(frames, 1.0), "x")[0]


def test_dice_and_jaccard_of_shifted_boxes():
    rows = overlap_rows(_boxes(2, 2, 2, 2, None), _boxes(2, 4, 12, None, None), "x")
    assert [row["dice"] for row in rows[:4]] == pytest.approx([1.0, 6 / 8, 0.0, 0.0])
    assert [row["jaccard"] for row in rows[:4]] == pytest.approx([1.0, 6 / 10, 0.0, 0.0])
    assert math.isnan(rows[4]["dice"])
    assert [row["missing"] for row in rows] == [False, False, False, True, True]
    assert [row["volume_error"] for row in rows[:4]] == pytest.approx([0, 0, 0, -1])


def test_a_folder_is_read_in_natural_order(tmp_path):
    for k in (10, 2, 1):
        growing(2.0, 1, 8).save(tmp_path / f"cell_{k}.h5")
    (tmp_path / "notes.txt").write_text("nothing")
    assert [entry.name for entry in collect_set(tmp_path, "real")] == ["cell_1", "cell_2", "cell_10"]


def test_sets_without_sequences_are_refused(tmp_path):
    with pytest.raises(FileFormatError, match="holds no sequences"):
        collect_set(tmp_path, "real")
    with pytest.raises(SequenceError, match="has no sequences"):
        collect_set([], "real")
    with pytest.raises(SequenceError, match="holds a int"):
        collect_set([3], "real")
    with pytest.raises(FileFormatError, match="does not exist"):
        collect_set(tmp_path / "none.h5", "real")


def _entry(name, shape=(3, 8, 8, 8), spacing=None):
    return Entry(name, growing(2.0, 1, 8), shape, spacing, None)


def test_pairs_go_by_name_else_by_order():
    real = [_entry("a"), _entry("b"), _entry("c")]
    found, how = pair_sequences(real, [_entry("c"), _entry("a")], "made")
    assert how == "name" and [(x.name, y.name) for x, y in found] == [("c", "c"), ("a", "a")]
    found, how = pair_sequences(real, [_entry("1"), _entry("2"), _entry("3")], "made")
    assert how == "order" and [x.name for x, _ in found] == ["a", "b", "c"]
    with pytest.raises(SequenceError, match="names differ"):
        pair_sequences(real, [_entry("1")], "made")


def test_pairs_need_like_grids():
    with pytest.raises(SequenceError, match="same frames and grid"):
        pair_sequences([_entry("a")], [_entry("a", (3, 8, 8, 9))], "made")
    with pytest.raises(SequenceError, match="expected the same"):
        pair_sequences([_entry("a", spacing=(1, 1, 1))], [_entry("a", spacing=(2, 1, 1))], "made")


@pytest.mark.parametrize("factors", [(2, 3, 4), (4, 4, 4), (1, 2, 1)])
def test_splines_axis_by_axis_are_those_of_all_at_once(factors):
    field = np.random.default_rng(3).normal(size=(7, 9, 12))
    shape = (np.array(field.shape) - 1) * factors + 1
    wanted = ndimage.zoom(field, shape / np.array(field.shape), order=3, mode="nearest")
    np.testing.assert_allclose(_upsampled(field, np.array(factors)), wanted, rtol=0, atol=1e-12)
