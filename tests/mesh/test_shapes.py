"""Closed forms, orientation, edge lengths as asked for, and refusals."""

import numpy as np
import pytest

from cytoform.errors import ConfigError
from cytoform.mesh import topology
from cytoform.mesh.shapes import dividing_cell, ellipsoid, icosphere, lobed_cell, sphere_of_edge, torus

ALL = {
    "icosphere": (lambda: icosphere(2.0, (1, 2, 3)), 0),
    "sphere_of_edge": (lambda: sphere_of_edge(5.0, (1, 2, 3), 0.7), 0),
    "ellipsoid": (lambda: ellipsoid((1, 2, 3), axes=[[0, 1, 0], [1, 0, 0], [0, 0, 1]]), 0),
    "torus": (lambda: torus(5.0, 2.0), 1),
    "dividing_cell": (lambda: dividing_cell(), 0),
    "bumpy": (lambda: dividing_cell(16, 4, 1.5, edge=0.8, bumps=0.08, axis=(1, 2, -1)), 0),
    "lobed_cell": (lambda: lobed_cell(4, edge=1.0), 0),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_closed_outward_and_well_shaped(name):
    make, genus = ALL[name]
    mesh = make()
    assert topology.is_closed(mesh) and topology.is_manifold(mesh) and topology.is_oriented(mesh)
    assert topology.genus(mesh) == genus
    assert mesh.volume > 0
    assert topology.quality(mesh).sound and topology.quality(mesh).min_angle > 15
    assert topology.self_intersections(mesh) == 0
    again = make()
    assert (again.vertices == mesh.vertices).all() and (again.faces == mesh.faces).all()


@pytest.mark.parametrize("subdivisions", [0, 1, 2, 3])
def test_icosphere_counts(subdivisions):
    mesh = icosphere(subdivisions=subdivisions)
    assert (mesh.n_faces, mesh.n_vertices) == (20 * 4**subdivisions, 10 * 4**subdivisions + 2)
    np.testing.assert_allclose(np.linalg.norm(mesh.vertices, axis=1), 1.0, rtol=1e-14)


@pytest.mark.parametrize("edge", [0.3, 0.5, 0.9, 1.3])
def test_sphere_of_edge_keeps_the_edge(edge):
    mesh = sphere_of_edge(5.0, (1, 2, 3), edge)
    lengths = topology.edge_lengths(mesh)
    assert lengths.mean() == pytest.approx(edge, rel=0.1)
    assert lengths.max() / lengths.min() < 1.3
    np.testing.assert_allclose(np.linalg.norm(mesh.vertices - [1, 2, 3], axis=1), 5.0, rtol=1e-12)


def test_ellipsoid_fulfils_its_equation_along_its_axes():
    rows = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    for axes in (rows, rows * [[1], [1], [-1]]):
        mesh = ellipsoid((2, 3, 5), (1, 1, 1), axes, edge=0.5)
        local = (mesh.vertices - 1) @ axes.T / [2, 3, 5]
        np.testing.assert_allclose((local**2).sum(axis=1), 1.0, rtol=1e-12)
        assert mesh.volume == pytest.approx(4 / 3 * np.pi * 30, rel=0.02)
        assert topology.edge_lengths(mesh).mean() == pytest.approx(0.5, rel=0.1)


@pytest.mark.slow
def test_dividing_cell_has_its_length_lobes_and_neck():
    mesh = dividing_cell(20.0, 5.0, 2.0, axis=(0, 0, 1), edge=0.5)
    low, high = mesh.bounds
    assert high[2] - low[2] == pytest.approx(20.0, rel=0.02)
    assert high[0] - low[0] == pytest.approx(10.0, rel=0.02)
    middle = np.abs(mesh.vertices[:, 2]) < 0.3
    assert np.linalg.norm(mesh.vertices[middle, :2], axis=1).mean() == pytest.approx(2.0, rel=0.1)


@pytest.mark.slow
def test_lobed_cells_differ_by_seed_and_follow_dtype():
    assert lobed_cell(1, edge=1.5).volume != lobed_cell(2, edge=1.5).volume
    assert lobed_cell(1, edge=1.5, dtype=np.float32).dtype == np.float32


@pytest.mark.parametrize(
    "call",
    [
        lambda: icosphere(-1.0),
        lambda: icosphere(subdivisions=1.5),
        lambda: icosphere(centre=(0, 0)),
        lambda: sphere_of_edge(1.0, (0, 0, 0), 0.0),
        lambda: sphere_of_edge(1.0, (0, 0, 0), 1e-6),
        lambda: ellipsoid((1, 2)),
        lambda: ellipsoid((1, 2, 3), axes=np.ones((3, 3))),
        lambda: torus(1.0, 2.0),
        lambda: dividing_cell(neck=5.0),
        lambda: dividing_cell(axis=(0, 0, 0)),
    ],
)
def test_refuses_what_makes_no_sense(call):
    with pytest.raises(ConfigError):
        call()
