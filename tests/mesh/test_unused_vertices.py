"""A vertex that no face uses counts for nothing, wherever a mesh goes: results are those of the mesh without it."""

import base64
import json
import re

import numpy as np
import pytest
from fitting.simulated import ball
from matplotlib.figure import Figure
from report.example import example

import cytoform as cf
from cytoform.cli.rendering import _grid_around
from cytoform.errors import MeshError
from cytoform.fitting import FitConfig
from cytoform.fitting.bodies.surface import SurfaceBody
from cytoform.fitting.scene import Scene
from cytoform.imaging import render_on
from cytoform.mesh import closest, geometry, laplacian, shapes, topology
from cytoform.mesh.curvature import curvatures
from cytoform.mesh.multimaterial import MultiMaterialMesh
from cytoform.mesh.remesh import remesh
from cytoform.mesh.surface import SurfaceMesh
from cytoform.metrics import mesh_iou, surface_distances
from cytoform.optim.precondition import LaplacianPreconditioner
from cytoform.report import film, maps, page, surface_view
from cytoform.sdf.distance import mesh_sdf
from cytoform.sdf.prepare import prepare
from cytoform.sdf.sequence import open_sequence
from cytoform.synth.primitives import surface_distance

FAR = [[1e3, -2e3, 3e3], [np.nan, 0.0, 1.0], [0.0, 0.0, 0.0]]
CLEAN = shapes.ellipsoid((1.5, 2.0, 2.5), (4.0, 4.5, 5.0), edge=0.5)
# Strays before, among and after the others.
HALF = CLEAN.n_vertices // 2
WHERE = np.r_[1 : 1 + HALF, 2 + HALF : 2 + CLEAN.n_vertices]  # rows of the used ones


def _with_strays(mesh, strays=FAR):
    vertices = np.empty((mesh.n_vertices + 3, 3), mesh.dtype)
    vertices[[0, 1 + HALF, -1]], vertices[WHERE] = strays, mesh.vertices
    return SurfaceMesh(vertices, WHERE[mesh.faces], mesh.density)


STRAY = _with_strays(CLEAN)
GRID = cf.Grid((18, 20, 22), 0.5)
PSF = cf.GaussianPSF.from_sigma((0.6, 0.4, 0.4))


def test_bounds_and_compact_meshes():
    for found, wanted in zip(STRAY.bounds, CLEAN.bounds):
        assert np.array_equal(found, wanted)
    compact = STRAY.without_unused_vertices()
    assert np.array_equal(compact.vertices, CLEAN.vertices) and np.array_equal(compact.faces, CLEAN.faces)
    assert CLEAN.without_unused_vertices() is CLEAN
    labels = np.tile([1, 0], (CLEAN.n_faces, 1))
    clean, stray = (MultiMaterialMesh(m.vertices, m.faces, labels) for m in (CLEAN, STRAY))
    for found, wanted in zip(stray.bounds, clean.bounds):
        assert np.array_equal(found, wanted)
    assert np.array_equal(stray.without_unused_vertices().vertices, clean.vertices)
    assert stray.region_volumes() == clean.region_volumes()
    assert stray.repaired().n_vertices == CLEAN.n_vertices


def test_a_vertex_of_a_face_has_to_be_finite():
    with pytest.raises(MeshError, match="1 of 5 vertices are NaN or infinite"):
        SurfaceMesh([[0, 0, 0], [1, 0, 0], [0, 1, 0], [np.nan, 0, 0], [np.inf, 0, 0]], [[0, 1, 2], [0, 1, 3]])


def test_geometry_topology_and_curvature():
    assert (STRAY.area, STRAY.volume) == (CLEAN.area, CLEAN.volume)
    assert np.array_equal(geometry.surface_centroid(STRAY.vertices, STRAY.faces),
                          geometry.surface_centroid(CLEAN.vertices, CLEAN.faces))  # fmt: skip
    assert topology.is_closed(STRAY) and topology.is_manifold(STRAY) and topology.euler_characteristic(STRAY) == 2
    assert topology.orient_outward(STRAY).volume == CLEAN.volume and topology.quality(STRAY) == topology.quality(CLEAN)
    for smoothing in (0.0, 0.7):
        for found, wanted in zip(curvatures(STRAY, smoothing=smoothing), curvatures(CLEAN, smoothing=smoothing)):
            np.testing.assert_allclose(found[WHERE], wanted, rtol=1e-9)
            assert np.isnan(np.delete(found, WHERE)).all()


def test_remeshing_and_closest_points():
    for edge in (0.3, 0.8):
        found, wanted = remesh(STRAY, edge), remesh(CLEAN, edge)
        assert np.array_equal(found.vertices, wanted.vertices) and np.array_equal(found.faces, wanted.faces)
    points = np.random.default_rng(0).uniform(0, 9, (50, 3))
    assert np.array_equal(closest.closest_points(STRAY, points)[1], closest.closest_points(CLEAN, points)[1])
    assert np.array_equal(surface_distance(STRAY, points), surface_distance(CLEAN, points))
    assert surface_distances(STRAY, CLEAN, n_points=500).hausdorff < 1e-12
    assert mesh_iou(STRAY, CLEAN, 0.3) == 1.0


def test_preconditioners_have_empty_rows_and_leave_the_others_alone():
    gradient = np.random.default_rng(0).normal(size=(CLEAN.n_vertices, 3))
    wide = np.zeros((STRAY.n_vertices, 3))
    wide[WHERE] = gradient
    found = LaplacianPreconditioner(STRAY.faces, STRAY.n_vertices).solve(wide)
    np.testing.assert_allclose(
        found[WHERE], LaplacianPreconditioner(CLEAN.faces, CLEAN.n_vertices).solve(gradient), rtol=1e-9
    )
    assert (np.delete(found, WHERE, axis=0) == 0).all()
    rows = np.delete(np.arange(STRAY.n_vertices), WHERE)
    assert np.abs(laplacian.combinatorial_laplacian(STRAY.faces, STRAY.n_vertices)[rows]).sum() == 0


@pytest.mark.parametrize("backend", ["exact", "nufft"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rendering_and_its_gradient(backend, dtype):
    if backend == "nufft":
        pytest.importorskip("finufft")
    clean, stray = CLEAN.astype(dtype), _with_strays(CLEAN.astype(dtype))
    found, wanted = (cf.render(m, PSF, GRID, backend=backend, deterministic=True) for m in (stray, clean))
    assert np.array_equal(found, wanted)
    cotangent = np.random.default_rng(0).normal(size=GRID.shape).astype(dtype)
    found, wanted = (
        cf.render_vjp(m, PSF, GRID, cotangent, backend=backend, deterministic=True) for m in (stray, clean)
    )
    assert found.vertices.shape == (stray.n_vertices, 3)
    assert np.array_equal(found.vertices[WHERE], wanted.vertices) and np.array_equal(found.density, wanted.density)
    assert (np.delete(found.vertices, WHERE, axis=0) == 0).all()


def test_boxes_and_rooms_of_renderings():
    spacing = (0.5, 0.5, 0.5)
    assert _grid_around(STRAY, PSF, spacing, None) == _grid_around(CLEAN, PSF, spacing, None)
    assert np.array_equal(render_on(STRAY, PSF, GRID), render_on(CLEAN, PSF, GRID))
    volume, region = cf.Volume(np.zeros(GRID.shape), 0.5), np.ones(GRID.shape, dtype=bool)
    assert SurfaceBody(Scene(volume), 0.5).padding(STRAY, PSF, region) == SurfaceBody(Scene(volume), 0.5).padding(
        CLEAN, PSF, region
    )


def test_signed_distances_and_prepared_sequences(tmp_path):
    assert np.array_equal(mesh_sdf(STRAY, GRID), mesh_sdf(CLEAN, GRID))
    moved = [CLEAN.with_vertices(CLEAN.vertices * (1 + 0.02 * k)) for k in range(2)]
    (clean,) = prepare(moved, tmp_path / "clean", shape=16)
    (stray,) = prepare([_with_strays(m) for m in moved], tmp_path / "stray", shape=16)
    with open_sequence(clean) as one, open_sequence(stray) as other:
        assert one.info.spacing == other.info.spacing and np.array_equal(one.frame(0), other.frame(0))


@pytest.mark.slow
def test_a_fit_begins_from_the_used_ones():
    truth, volume, psf = ball(radius=2.2, shape=(24, 28, 28), spacing=(0.25, 0.25, 0.25))
    start = shapes.icosphere(2.0, truth.vertices.mean(axis=0), 3)
    far = SurfaceMesh(np.vstack([start.vertices, FAR]), start.faces)
    config = FitConfig(iterations=3, deterministic=True)
    found, wanted = (cf.fit(volume, mesh, psf, config) for mesh in (far, start))
    assert np.array_equal(found.mesh.vertices, wanted.mesh.vertices)


def test_reports_films_and_maps_show_the_surface():
    axes = [Figure().add_axes((0, 0, 1, 1)) for _ in range(2)]
    for panel, mesh in zip(axes, (STRAY, CLEAN)):
        surface_view.draw_surface(panel, mesh, surface_view.view_axes(0.3))
    assert axes[0].get_xlim() == axes[1].get_xlim()
    volume = cf.Volume(np.random.default_rng(0).normal(size=GRID.shape), 0.5)
    assert film._FilmView(volume, STRAY).half_width == film._FilmView(volume, CLEAN).half_width
    value = np.zeros(STRAY.n_vertices)
    value[WHERE] = np.linspace(1, 2, CLEAN.n_vertices)
    value[0] = np.nan
    figures = maps.maps_figure(STRAY, {"a": value}), maps.maps_figure(CLEAN, {"a": value[WHERE]})
    norms = [next(c for a in f.axes for c in a.collections if c.get_array() is not None).norm for f in figures]
    assert (norms[0].vmin, norms[0].vmax) == (norms[1].vmin, norms[1].vmax)


@pytest.mark.slow
def test_the_turning_surface_of_a_page():
    mesh = example().mesh
    far = SurfaceMesh(np.vstack([FAR[:1], mesh.vertices]), mesh.faces + 1, mesh.density)
    data = [
        json.loads(re.search(r'id="surface-data">(.*?)</script>', page.report_html(example(mesh=m)), re.DOTALL)[1])
        for m in (far, mesh)
    ]
    for key in ("radius", "yaw", "fit"):
        assert data[0][key] == data[1][key], key
    assert len(base64.b64decode(data[0]["fit"]["points"])) == 12 * mesh.n_vertices
