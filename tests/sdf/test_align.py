"""Centring and turning of shapes in time."""

import itertools

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cytoform.errors import MeshError
from cytoform.mesh.shapes import ellipsoid, icosphere, lobed_cell
from cytoform.mesh.surface import SurfaceMesh
from cytoform.sdf.align import align_track, moments, order_bodies, principal_rotation

DIGITS = 1e-9


def turned(mesh, rotation, shift=(0, 0, 0)):
    return mesh.with_vertices(mesh.vertices @ rotation.T + np.asarray(shift))


def test_moments_of_a_box():
    corners = np.array([[z, y, x] for z in (0, 1) for y in (0, 1) for x in (0, 1)]) * (2.0, 4.0, 6.0) + (1, 2, 3)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    mesh = SurfaceMesh(corners, np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))]))
    mesh = mesh if mesh.volume > 0 else SurfaceMesh(corners, mesh.faces[:, ::-1])
    found = moments(mesh)
    assert found.volume == pytest.approx(48)
    np.testing.assert_allclose(found.centroid, [2, 4, 6], atol=DIGITS)
    np.testing.assert_allclose(found.covariance, np.diag([4, 16, 36]) / 12, atol=DIGITS)


def test_inwards_is_refused():
    sphere = icosphere(1.0, subdivisions=1)
    with pytest.raises(MeshError, match="encloses"):
        moments(SurfaceMesh(sphere.vertices, sphere.faces[:, ::-1]))


@pytest.mark.parametrize("seed", range(5))
def test_longest_axis_along_x(seed):
    rotation = Rotation.random(rng=seed).as_matrix()
    body = turned(ellipsoid((2, 3, 5), edge=0.7), rotation, (7, -3, 2))
    [[found]] = align_track([[body]])
    after = moments(found)
    np.testing.assert_allclose(after.centroid, 0, atol=DIGITS)
    spread = np.diag(after.covariance)
    assert spread[0] < spread[1] < spread[2]
    np.testing.assert_allclose(after.covariance, np.diag(spread), atol=DIGITS)
    assert found.volume == pytest.approx(body.volume)


def test_nothing_flips_when_axes_change_places():
    lengths = [(3, 4 + 0.2 * t, 6 - 0.2 * t) for t in range(10)]  # y overtakes x
    tilt = [Rotation.from_euler("zyx", [0.3 + 0.02 * t, 0.1 * t, -0.4]).as_matrix() for t in range(10)]
    frames = [[turned(ellipsoid(a, edge=0.9), r, (t, 0, 0))] for t, (a, r) in enumerate(zip(lengths, tilt))]
    rotations, previous = [], None
    for [body] in frames:
        previous = principal_rotation(moments(body).covariance, previous)
        rotations.append(previous @ tilt[len(rotations)])
    for before, after in itertools.pairwise(rotations):
        assert np.linalg.norm(after - before) < 0.3
    found = align_track(frames)
    spread = np.array([np.diag(moments(body).covariance) for [body] in found])
    np.testing.assert_allclose(spread[-1] * 5, np.square(lengths[-1]), rtol=0.05)


def test_a_sphere_stays_as_it_is():
    noisy = np.random.default_rng(0)
    sphere = icosphere(3.0, subdivisions=2)
    frames = [
        [sphere.with_vertices(sphere.vertices * noisy.uniform(0.99, 1.01, (len(sphere.vertices), 1)))] for _ in "ab"
    ]
    for body, [found] in zip(frames, align_track(frames)):
        np.testing.assert_allclose(found.vertices, body[0].vertices, atol=0.02)


def test_rotations_are_proper():
    rng = np.random.default_rng(1)
    previous = None
    for _ in range(50):
        points = rng.normal(size=(20, 3)) * rng.uniform(1, 1.4, 3)
        previous = principal_rotation(np.cov(points.T), previous)
        np.testing.assert_allclose(previous @ previous.T, np.eye(3), atol=DIGITS)
        assert np.linalg.det(previous) > 0


def test_without_turning():
    body = turned(lobed_cell(seed=2), Rotation.random(rng=3).as_matrix(), (5, 5, 5))
    [[found]] = align_track([[body]], rotate=False)
    np.testing.assert_allclose(found.vertices, body.vertices - moments(body).centroid, atol=DIGITS)


def test_bodies_are_followed_by_their_places():
    drift, shapes = np.array([0, 3.0, 9.0]), [(2, 2.5, 3), (3, 2, 2.5)]
    frames = []
    for t, order in enumerate(([0, 1], [1, 0], [0, 1], [1, 0])):
        turn = Rotation.from_euler("z", 20 * t, degrees=True).as_matrix()
        pair = [turned(ellipsoid(s, (0, 0, z), edge=0.8), turn, drift * t) for s, z in zip(shapes, (-4, 4))]
        frames.append([pair[k] for k in order])
    frames.insert(2, frames[1])
    found = order_bodies(frames)
    for before, after in itertools.pairwise(found):
        for one, other in zip(before, after):
            assert moments(one).volume == pytest.approx(moments(other).volume)
    spreads = [[np.diag(moments(body).covariance) for body in bodies] for bodies in align_track(found)]
    np.testing.assert_allclose(spreads, [spreads[0]] * len(spreads), rtol=1e-3)
    alone, pair = [frames[0][0]], frames[0]
    assert order_bodies([pair, alone, pair[::-1]]) == [pair, alone, pair[::-1]]  # nothing to follow


def test_daughters_keep_their_places():
    rotation = Rotation.random(rng=4).as_matrix()
    mother = ellipsoid((3, 3.6, 6), edge=1.0)
    one, two = ellipsoid((2, 2.5, 3), (0, 0, -4), edge=0.8), ellipsoid((3, 2, 2.5), (0, 0.5, 4), edge=0.8)
    frames = [[turned(m, rotation) for m in bodies] for bodies in ([mother], [one, two], [one, two])]
    _, first, second = align_track(frames)
    a, b = (moments(m).centroid for m in first)
    assert np.linalg.norm(a - b) == pytest.approx(np.linalg.norm([0, 0.5, 8]), rel=1e-3)
    assert abs((a - b)[2]) > 7.9  # the pair lies along x, as the mother did
    assert np.linalg.norm(first[0].vertices - second[0].vertices) < 1e-6
    np.testing.assert_allclose(moments(*first).centroid, 0, atol=DIGITS)
    for body in first:
        covariance = moments(body).covariance
        np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=1e-6)
