"""Clusters of cells: one mesh with labels is fitted, stored and read as it is."""

import dataclasses
import json
import re

import numpy as np
import pytest
from fitting.simulated import Killed, killed_at
from scipy.sparse import coo_matrix, diags
from typer.testing import CliRunner

import cytoform as cf
from cytoform.cli import app
from cytoform.errors import FitError
from cytoform.fitting.bodies.cluster import ClusterBody
from cytoform.masks import mesh_to_mask

GRID = cf.Grid((22, 26, 34), 0.25)


def two_cells():
    """An ellipsoid parted in two by a wall: the boundary of a label image, smoothed."""
    n = (12, 16, 24)
    z, y, x = np.indices(n) - (np.array(n).reshape(3, 1, 1, 1) - 1) / 2
    labels = np.where((z / 5.2) ** 2 + (y / 7.2) ** 2 + (x / 11.2) ** 2 < 1, np.where(x < 1, 1, 2), 0)
    faces, sides = [], []
    steps = np.eye(3, dtype=int)
    for axis in range(3):
        one, two = (np.delete(labels, end, axis) for end in (-1, 0))
        u, v = steps[(axis + 1) % 3], steps[(axis + 2) % 3]
        for at in np.argwhere(one != two):
            corner = at + steps[axis]
            quad = [corner, corner + u, corner + u + v, corner + v]  # its normal points along the axis
            faces += [[quad[0], quad[1], quad[2]], [quad[0], quad[2], quad[3]]]
            sides += [[one[tuple(at)], two[tuple(at)]]] * 2
    points, index = np.unique(np.array(faces).reshape(-1, 3), axis=0, return_inverse=True)
    faces, points = index.reshape(-1, 3), points.astype(float)
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    pairs = np.unique(np.concatenate([pairs, pairs[:, ::-1]]), axis=0)
    near = coo_matrix((np.ones(len(pairs)), pairs.T)).tocsr()
    mean = diags(1.0 / np.asarray(near.sum(axis=1)).ravel()) @ near
    for _ in range(6):
        points = 0.5 * points + 0.5 * (mean @ points)
    points = 0.25 * (points - points.mean(axis=0)) + GRID.centre
    mesh = cf.MultiMaterialMesh(points, faces, np.array(sides))
    return mesh if mesh.region_volume(1) > 0 else cf.MultiMaterialMesh(points, faces[:, ::-1], np.array(sides))


@pytest.fixture(scope="module")
def case():
    truth, psf = two_cells(), cf.GaussianPSF.from_sigma(0.3)
    image = cf.render(truth, psf, GRID.padded(psf.reach()))[tuple(slice(0, n) for n in GRID.shape)]
    noise = np.random.default_rng(0).normal(0.0, 2.0, GRID.shape)
    volume = cf.Volume((100.0 + 400.0 * image / image.max() + noise).astype(np.float32), GRID.spacing)
    start = truth.with_vertices(GRID.centre + 0.88 * (truth.vertices - GRID.centre))
    config = cf.FitConfig(iterations=80, infer_psf=False, device="cpu", deterministic=True,
                          checkpoint_seconds=1e-9)  # fmt: skip
    return truth, volume, psf, start, config, cf.fit(volume, start, psf, config)


@pytest.mark.slow
def test_a_cluster_is_fitted_with_its_wall(case):
    truth, _, _, start, _, result = case
    assert isinstance(result.mesh, cf.MultiMaterialMesh)
    np.testing.assert_array_equal(result.mesh.labels, truth.labels)
    wanted, before, found = (mesh.region_volumes() for mesh in (truth, start, result.mesh))
    for region in (1, 2):
        assert abs(before[region] / wanted[region] - 1) > 0.3
        assert found[region] == pytest.approx(wanted[region], rel=0.04)
    assert result.r2 > 0.97
    assert result.volume_um3 == pytest.approx(sum(found.values()))
    parting = (result.mesh.labels > 0).all(axis=1)
    double = result.mesh.density[parting].mean() / result.mesh.density[~parting].mean()
    assert double == pytest.approx(2.0, rel=0.1)  # two membranes lie there; the staining is even
    told = {row["region"]: row["volume_um3"] for row in result.summary()["regions"]}
    assert told == pytest.approx(found)
    assert result.uncertainty is None
    assert any("not remeshed" in text and "Standard errors" in text for text in result.warnings())


@pytest.mark.slow
def test_its_labels_survive_files_and_a_kill(case, tmp_path):
    _, volume, psf, start, config, whole = case
    whole.save(tmp_path / "run")
    assert json.loads((tmp_path / "run" / "fit.json").read_text())["body"] == "cluster"
    again = cf.load_result(tmp_path / "run").mesh
    np.testing.assert_array_equal(again.labels, whole.mesh.labels)
    np.testing.assert_allclose(again.vertices, whole.mesh.vertices, rtol=1e-12)
    with pytest.raises(Killed):
        cf.fit(volume, start, psf, config, callbacks=[killed_at(21)], out=tmp_path / "killed")
    other = cf.MultiMaterialMesh(start.vertices, start.faces[:, ::-1], start.labels[:, ::-1], start.density)
    with pytest.raises(FitError, match="another start"):
        cf.fit(volume, other, psf, config, out=tmp_path / "killed", resume=True)
    resumed = cf.fit(volume, start, psf, config, out=tmp_path / "killed", resume=True)
    np.testing.assert_array_equal(resumed.mesh.vertices, whole.mesh.vertices)
    np.testing.assert_array_equal(resumed.mesh.labels, whole.mesh.labels)


@pytest.mark.slow
def test_voxels_and_measures_of_a_cluster(case):
    truth = case[0]
    inside = [mesh_to_mask(surface, GRID) for surface in truth.regions().values()]
    np.testing.assert_array_equal(ClusterBody.voxels(truth, GRID), inside[0] | inside[1])
    assert not (inside[0] & inside[1]).any()
    move = np.random.default_rng(1).normal(size=truth.vertices.shape)
    quantities = {"volume_um3": lambda m: sum(m.region_volumes().values()), "area_um2": lambda m: m.area}
    for name, quantity in quantities.items():
        measure = ClusterBody.measures(truth)[name]
        assert measure.value == pytest.approx(quantity(truth))
        up, down = (quantity(truth.with_vertices(truth.vertices + s * 1e-5 * move)) for s in (1, -1))
        assert (measure.slope * move).sum() == pytest.approx((up - down) / 2e-5, rel=1e-6)


def test_clusters_that_cannot_be(case):
    truth, volume, psf, _, config, _ = case
    with pytest.raises(FitError, match="wound the wrong way"):
        cf.fit(volume, cf.MultiMaterialMesh(truth.vertices, truth.faces[:, ::-1], truth.labels), psf, config)
    with pytest.raises(FitError, match=r"region 1 of the cluster .* Close its holes"):
        keep = np.ones(truth.n_faces, dtype=bool)
        keep[np.flatnonzero((truth.labels == 1).any(axis=1) & (truth.labels == 0).any(axis=1))[0]] = False
        cf.fit(volume, cf.MultiMaterialMesh(truth.vertices, truth.faces[keep], truth.labels[keep]), psf, config)
    with pytest.raises(FitError, match="no voxel"):
        cf.fit(volume, truth.with_vertices(truth.vertices + 100.0), psf, config)


@pytest.mark.slow
def test_it_starts_from_a_file(case, tmp_path, monkeypatch):
    """By a job and by the command line; an open region is refused as an open surface is."""
    _, volume, psf, start, config, _ = case
    monkeypatch.chdir(tmp_path)
    cf.write_mesh("start.ply", start)
    cf.write_volume("cells.tif", volume)
    config = dataclasses.replace(config, iterations=3)
    told = cf.fit(cf.read_volume("cells.tif"), cf.read_mesh("start.ply"), psf, config)
    result = cf.FitJob("cells.tif", start="start.ply", psf=psf, config=config, out="run", film=True).run()
    np.testing.assert_array_equal(result.mesh.vertices, told.mesh.vertices)
    np.testing.assert_array_equal(cf.load_result("run").mesh.labels, start.labels)
    assert (tmp_path / "run" / "film.gif").is_file()
    common = ["fit", "cells.tif", "-q", "--psf-sigma", "0.3,0.3,0.3", "--iterations", "2", "-o", "typed", "--init"]
    done = CliRunner().invoke(app, [*common, "start.ply"])
    assert done.exit_code == 0 and "not remeshed" in done.stderr, done.output
    assert json.loads((tmp_path / "typed" / "fit.json").read_text())["body"] == "cluster"
    cf.write_mesh("open.ply", cf.MultiMaterialMesh(start.vertices, start.faces[1:], start.labels[1:]))
    done = CliRunner().invoke(app, [*common, "open.ply", "--overwrite"])
    assert done.exit_code == 2
    assert re.search(r"open\.ply: the surface of region [12] .*open.*Close its holes", done.output)
