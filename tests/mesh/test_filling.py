"""The jump of brightness at the faces: how it is checked, carried, made from regions, written and read."""

import numpy as np
import pytest
from mesh.test_multimaterial import two_boxes

import cytoform as cf
from cytoform.errors import MeshError
from cytoform.mesh import remesh, topology
from cytoform.mesh.base import TriangleMesh
from cytoform.mesh.shapes import icosphere


def _two_balls(dtype=np.float64):
    """Two spheres of brightness 1.5 and 0.5 side by side, as one mesh."""
    one, two = icosphere(1.0, (0, 0, 0), 2), icosphere(0.8, (0, 0, 2.5), 2)
    faces = np.concatenate([one.faces, two.faces + one.n_vertices])
    jump = np.repeat([1.5, 0.5], [one.n_faces, two.n_faces])
    return cf.SurfaceMesh(np.concatenate([one.vertices, two.vertices]).astype(dtype), faces, 0.0, jump)


def test_no_jump_by_default_and_nothing_to_store():
    mesh = icosphere(1.0, (0, 0, 0), 1)
    assert mesh.jump is None
    assert set(mesh.arrays()) == {"vertices", "faces", "density"}
    assert "jump" not in two_boxes().arrays()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_operations_carry_the_jump_like_the_density(dtype):
    mesh = _two_balls(dtype)
    assert mesh.jump.dtype == dtype
    for other in (
        mesh.with_vertices(mesh.vertices + 1), mesh.with_density(2.0), mesh.astype(np.float64),
        type(mesh).from_arrays(mesh.arrays()), mesh.without_unused_vertices(), topology.orient_outward(mesh),
    ):  # fmt: skip
        np.testing.assert_array_equal(other.jump, mesh.jump)
    assert mesh.astype(np.float32).jump.dtype == np.float32
    assert mesh.with_jump(None).jump is None and (mesh.with_jump(3.0).jump == 3).all()


def test_total_intensity_is_that_of_membranes_and_insides():
    mesh = _two_balls().with_density(2.0)
    one, two = icosphere(1.0, (0, 0, 0), 2).volume, icosphere(0.8, (0, 0, 2.5), 2).volume
    assert mesh.mass == pytest.approx(2.0 * mesh.area + 1.5 * one + 0.5 * two, rel=1e-13)


def test_a_reversed_face_changes_the_sign_of_its_jump():
    mesh = _two_balls()
    turned = np.random.default_rng(0).random(mesh.n_faces) < 0.4
    mixed = cf.SurfaceMesh(
        mesh.vertices, topology.reverse_faces(mesh.faces, turned), 0.0, np.where(turned, -mesh.jump, mesh.jump)
    )
    np.testing.assert_array_equal(topology.orient_outward(mixed).jump, mesh.jump)


@pytest.mark.parametrize("within", [False, True])
def test_remeshing_gives_each_component_its_jump(within):
    mesh = _two_balls()
    some = np.arange(mesh.n_faces) % 2 == 0 if within else None
    made = remesh.remesh(mesh, 0.3, within=some)
    assert made.n_faces != mesh.n_faces
    centres = made.vertices[made.faces].mean(axis=1)
    np.testing.assert_array_equal(made.jump, np.where(centres[:, 2] > 1.2, 0.5, 1.5))
    assert (remesh.remesh(mesh.with_jump(2.0), 0.3).jump == 2.0).all()


def test_regions_are_filled_by_their_brightness():
    mesh = two_boxes().repaired().with_filling({1: 3.0, 2: 5.0})
    assert mesh.mass == pytest.approx(16.0 + 3.0 * 1.0 + 5.0 * 2.0, rel=1e-13)
    wall = (mesh.labels > 0).all(axis=1)
    assert set(np.abs(mesh.jump[wall])) == {2.0}
    assert (mesh.repaired().jump == mesh.jump).all()
    assert (two_boxes().with_filling({2: 1.0}).jump[~(two_boxes().labels == 2).any(axis=1)] == 0).all()
    # of a region's own surface the jump is still inside minus outside
    surface = mesh.region_surface(2)
    own = surface.vertices[surface.faces].mean(axis=1)[:, 2]
    assert (surface.jump[own == 1.0] == 2.0).all() and (surface.jump[own > 1.0] == 5.0).all()


@pytest.mark.parametrize(
    ("brightness", "message"),
    [({7: 1.0}, "names the regions .7"), ({0: 1.0}, "names the regions .0"), ({1: np.nan}, "is nan")],
)
def test_fillings_that_make_no_sense_are_refused(brightness, message):
    with pytest.raises(MeshError, match=message):
        two_boxes().with_filling(brightness)


@pytest.mark.parametrize("jump", [[1.0, 2.0], np.inf])
def test_jumps_that_make_no_sense_are_refused(jump):
    with pytest.raises(MeshError, match=r"jump has shape .*; expected \(80,\) finite values"):
        icosphere(1.0, (0, 0, 0), 1).with_jump(jump)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("suffix", ["ply", "vtp"])
@pytest.mark.parametrize("kind", ["surface", "surface of density 1", "cluster"])
def test_files_carry_the_jump(tmp_path, suffix, dtype, kind):
    mesh: TriangleMesh = _two_balls() if kind == "surface" else icosphere(1.0, (0, 0, 0), 1).with_jump(1 / 3)
    if kind == "cluster":
        mesh = two_boxes().with_filling({1: 1 / 3, 2: 0.7})
    mesh = mesh.astype(dtype)
    cf.write_mesh(tmp_path / f"a.{suffix}", mesh)
    back = cf.read_mesh(tmp_path / f"a.{suffix}", dtype=dtype)
    assert type(back) is type(mesh) and back.jump.dtype == dtype
    np.testing.assert_array_equal(back.jump, mesh.jump)
    np.testing.assert_array_equal(back.density, mesh.density)


@pytest.mark.parametrize("suffix", ["obj", "stl"])
def test_files_that_hold_no_jump_say_so(tmp_path, suffix, caplog):
    cf.write_mesh(tmp_path / f"a.{suffix}", icosphere(1.0, (0, 0, 0), 1).with_jump(2.0))
    assert "hold no brightness of the inside" in caplog.text
