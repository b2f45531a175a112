"""Tensions and pressures of double bubbles in closed form, and what cannot be told."""

import csv

import numpy as np
import pytest
from oracles.bubbles import double_bubble
from scipy.sparse import diags
from scipy.sparse.linalg import splu

import cytoform as cf
from cytoform.errors import ConfigError, MeshError
from cytoform.mesh import shapes
from cytoform.mesh.laplacian import cotangent_laplacian


def worst(found, known):
    return max(abs(found[key] / known[key] - 1) for key in known)


@pytest.mark.parametrize("tensions", [(1, 1, 1), (1, 0.8, 0.5), (1, 1.3, 1.2), (0.6, 1, 0.9)])
def test_double_bubbles(tensions):
    bubble = double_bubble(tensions, turn=0.2)
    found = cf.forces(bubble.mesh)
    assert worst(found.tensions, bubble.tensions) < 0.015
    assert worst(found.pressures, bubble.pressures) < 0.02
    assert found.quality == "good" and found.reasons == {} and found.warnings == ()
    np.testing.assert_allclose(np.mean(list(found.tensions.values())), 1.0, rtol=1e-12)


def test_finer_meshes_give_smaller_errors():
    errors = []
    for rings in (8, 16):
        bubble = double_bubble((1, 0.8, 0.5), turn=0.2, rings=rings)
        found = cf.forces(bubble.mesh, scale=1.5)
        errors.append(worst(found.tensions, bubble.tensions))
    assert errors[1] < 0.5 * errors[0] and errors[1] < 0.003


def test_single_faces_converge_too_but_slowly():
    errors = []
    for rings in (12, 24):
        bubble = double_bubble((1, 0.8, 0.5), turn=0.2, rings=rings)
        found = cf.forces(bubble.mesh, scale=0)
        errors.append(worst(found.tensions, bubble.tensions))
        assert all(np.isfinite(list(found.standard_errors.values())))
    assert errors[1] == pytest.approx(0.5 * errors[0], rel=0.15)  # of first order in the height of a face
    assert errors[1] > 0.05


def test_size_and_unit():
    """A mesh twice as large has the same tensions and half the pressures."""
    bubble = double_bubble((1, 0.8, 0.6), turn=0.2, rings=8)
    small = cf.forces(bubble.mesh)
    large = cf.forces(bubble.mesh.with_vertices(2.0 * bubble.mesh.vertices))
    for pair in small.tensions:
        assert large.tensions[pair] == pytest.approx(small.tensions[pair], rel=1e-6)
    for region in small.pressures:
        assert large.pressures[region] == pytest.approx(0.5 * small.pressures[region], rel=1e-6)


def rough(mesh, size, length, seed):
    """The mesh with its vertices moved by noise of standard deviation `size` that is smooth over `length`."""
    noise = np.random.default_rng(seed).normal(size=mesh.vertices.shape)
    laplacian = cotangent_laplacian(mesh.vertices, mesh.faces)
    area = np.bincount(mesh.faces.reshape(-1), np.repeat(mesh.face_areas / 3, 3), mesh.n_vertices)
    smooth = splu((diags(area) + 0.5 * length**2 * laplacian).tocsc()).solve(np.sqrt(area)[:, None] * noise)
    return mesh.with_vertices(mesh.vertices + size * smooth / smooth.std())


def test_standard_errors_are_those_of_noise():
    """Over 20 rough bubbles the errors divided by their standard errors have the standard deviation of about 1."""
    bubble = double_bubble((1, 0.8, 0.6), turn=0.2, rings=10)
    clean = cf.forces(bubble.mesh, scale=2.5)
    scores = []
    for seed in range(20):
        found = cf.forces(rough(bubble.mesh, 0.08, 0.4, seed), scale=2.5)
        scores += [(found.tensions[p] - clean.tensions[p]) / found.standard_errors[p] for p in found.tensions]
    assert 0.6 < np.std(scores) < 1.4
    assert 0.75 < np.mean(np.abs(scores) < 1.645) < 0.99


def test_rough_surfaces_are_read_at_the_scale():
    bubble = double_bubble((1, 0.8, 0.6), turn=0.2, rings=12)
    mesh = rough(bubble.mesh, 0.1, 0.3, 1)
    assert worst(cf.forces(mesh, scale=2.5).tensions, bubble.tensions) < 0.05
    assert worst(cf.forces(mesh, scale=0).tensions, bubble.tensions) > 0.1


def test_passive_regions_have_no_equation():
    """One interface is left, whose tension no junction tells, and with it one difference of pressure."""
    bubble = double_bubble((1, 0.8, 0.6), turn=0.2, rings=8)
    found = cf.forces(bubble.mesh, passive={2})
    assert found.reasons[0, 2] == found.reasons[1, 2] == "no equation: passive or cropped"
    assert np.isnan(found.tensions[0, 2]) and np.isnan(found.standard_errors[0, 2])
    assert found.tensions[0, 1] == pytest.approx(1.0)
    assert found.pressures[1] == pytest.approx(bubble.pressures[1] / bubble.tensions[0, 1], rel=0.02)
    assert np.isnan(found.pressures[2]) and 2 in found.reasons


def test_without_the_outside_pressures_are_relative_to_a_cell():
    bubble = double_bubble((1, 0.8, 0.6), turn=0.2, rings=12)
    found = cf.forces(bubble.mesh, passive={0})
    assert found.reference == 1 and found.pressures[1] == 0.0
    truth = (bubble.pressures[2] - bubble.pressures[1]) / bubble.tensions[1, 2]
    assert found.pressures[2] == pytest.approx(truth, rel=0.03)


def test_cropped_faces_have_no_equation():
    """A double bubble with a part of one cap cropped: the rest is still read."""
    bubble = double_bubble((1, 0.8, 0.6), turn=0.2, rings=12)
    mesh = bubble.mesh
    middle = mesh.vertices[mesh.faces].mean(axis=1)
    cropped = (np.sort(mesh.labels, axis=1) == [0, 1]).all(axis=1) & (middle[:, 0] > middle[:, 0].max() - 1.0)
    assert cropped.sum() > 5
    found = cf.forces(mesh, cropped=cropped, scale=2.0)
    assert worst(found.tensions, bubble.tensions) < 0.02
    at = np.unique(mesh.faces[cropped])
    assert np.isnan(found.vertex_residuals[at]).all()
    everything = cf.forces(mesh, cropped=np.ones(mesh.n_faces, dtype=bool))
    assert everything.quality == "failed" and all(np.isnan(list(everything.tensions.values())))


def test_two_clusters_share_no_scale():
    first, second = (double_bubble((1, 0.8, 0.6), turn=0.2, rings=n).mesh for n in (8, 8))
    labels = np.where(second.labels > 0, second.labels + 2, 0)
    mesh = cf.MultiMaterialMesh(
        np.concatenate([first.vertices, second.vertices + [0, 50, 0]]),
        np.concatenate([first.faces, second.faces + first.n_vertices]),
        np.concatenate([first.labels, labels]),
    )
    found = cf.forces(mesh)
    told = [pair for pair, value in found.tensions.items() if np.isfinite(value)]
    assert told == [(0, 1), (0, 2), (1, 2)]
    assert found.reasons[3, 4] == "no junction links it to the other interfaces"
    assert found.quality == "check" and "3 of 6 tensions" in found.warnings[0]


def test_small_interfaces_are_not_told():
    bubble = double_bubble((1, 1.05, 1.9), turn=0.05, rings=8, rim=1.0)
    found = cf.forces(bubble.mesh, scale=4.0)
    assert np.isnan(found.tensions[1, 2]) and found.reasons[1, 2].startswith("too small to be read")


def test_a_single_cell_has_a_pressure():
    ball = shapes.icosphere(2.0, subdivisions=3)
    mesh = cf.MultiMaterialMesh(ball.vertices, ball.faces, np.tile([1, 0], (ball.n_faces, 1)))
    found = cf.forces(mesh)
    assert found.tensions == {(0, 1): pytest.approx(1.0)}
    assert found.pressures[1] == pytest.approx(2 / 2.0, rel=0.02)


def test_files(tmp_path):
    bubble = double_bubble((1, 0.8, 0.6), turn=0.2, rings=6)
    found = cf.forces(bubble.mesh, passive={2})
    found.save(tmp_path / "out")
    with open(tmp_path / "out" / "tensions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["region1"], r["region2"]) for r in rows] == [("0", "1"), ("0", "2"), ("1", "2")]
    assert float(rows[0]["tension"]) == pytest.approx(1.0) and rows[1]["tension"] == ""
    assert rows[1]["reason"] == "no equation: passive or cropped"
    with open(tmp_path / "out" / "pressures.csv", newline="") as file:
        assert [row["region"] for row in csv.DictReader(file)] == ["1", "2"]
    back = cf.read_mesh(tmp_path / "out" / "forces.vtp")
    np.testing.assert_array_equal(back.labels, bubble.mesh.labels)
    assert b'Name="tension"' in (tmp_path / "out" / "forces.vtp").read_bytes()
    page = (tmp_path / "out" / "forces.html").read_text(encoding="utf-8")
    assert "no equation: passive or cropped" in page and "<img" in page


def test_residuals_show_where_equilibrium_fails():
    """A dent in one cap: forces stay unbalanced there and not on the other cap."""
    bubble = double_bubble((1, 1, 1), turn=0.2, rings=12)
    mesh = bubble.mesh
    top = mesh.vertices[:, 0].argmax()
    away = np.linalg.norm(mesh.vertices - mesh.vertices[top], axis=1)
    dented = mesh.vertices - np.exp(-((away / 1.2) ** 2))[:, None] * [1.0, 0, 0]
    found = cf.forces(mesh.with_vertices(dented), scale=1.5)
    bottom = mesh.vertices[:, 0].argmin()
    assert found.vertex_residuals[top] > 3 * found.vertex_residuals[bottom]
    by_interface = found.interface_residuals
    assert by_interface[0, 1] > by_interface[0, 2]
    at, values = found.junction_residuals
    assert len(at) == len(values) == 72


def test_bad_input():
    bubble = double_bubble((1, 0.8, 0.6), turn=0.2, rings=4)
    mesh = bubble.mesh
    with pytest.raises(MeshError, match="without region labels"):
        cf.forces(shapes.icosphere(1.0))
    faces = mesh.faces.copy()
    faces[3] = faces[3, ::-1]
    with pytest.raises(MeshError, match=r"windings.*repaired"):
        cf.forces(cf.MultiMaterialMesh(mesh.vertices, faces, mesh.labels))
    for scale in (-1.0, np.nan, "wide"):
        with pytest.raises(ConfigError, match="scale is"):
            cf.forces(mesh, scale=scale)
    with pytest.raises(ConfigError, match=r"passive names the regions \[7\]"):
        cf.forces(mesh, passive=[7])
    with pytest.raises(ConfigError, match="cropped has shape"):
        cf.forces(mesh, cropped=[True])
