"""Points, filaments and tetrahedra: what they hold, their sizes, polylines, and errors that say what to do."""

import numpy as np
import pytest

import cytoform as cf
from cytoform.errors import MeshError
from cytoform.mesh import geometry

LINE = np.array([[0.0, 0, 0], [0, 0, 3], [0, 4, 3]])
TETRAHEDRON = np.array([[0.0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]])


def test_sizes_and_total_brightness():
    points = cf.PointSet([[0, 0, 0], [1, 1, 1]], [1.0, 2.5])
    assert points.mass == 3.5 and points.dtype == np.float64 and points.sizes.tolist() == [1, 1]
    line = cf.Filaments(LINE, [[0, 1], [1, 2]], [1.0, 2.0])
    assert line.length == 7.0 and line.lengths.tolist() == [3, 4] and line.mass == 11.0
    solid = cf.TetrahedralMesh(TETRAHEDRON, [[0, 1, 2, 3], [1, 0, 2, 3]], 2.0)
    assert solid.volumes.tolist() == [1, 1] and solid.volume == 2.0 and solid.mass == 4.0
    assert solid.bounds[1].tolist() == [1, 2, 3]
    assert (cf.Filaments(LINE, [[0, 1]]).bounds[1] == [0, 0, 3]).all()  # the last vertex is not used


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_moved_dimmed_and_converted(dtype):
    for thing in (cf.PointSet(LINE), cf.Filaments(LINE, [[0, 1]]), cf.TetrahedralMesh(TETRAHEDRON, [[0, 1, 2, 3]])):
        other = thing.astype(dtype)
        assert other.dtype == other.density.dtype == dtype and type(other) is type(thing)
        assert other.with_density(3.0).mass == pytest.approx(3.0 * thing.mass)
        np.testing.assert_array_equal(other.with_vertices(2 * other.vertices).vertices, 2 * other.vertices)
        with pytest.raises(MeshError, match="as before"):
            thing.with_vertices(thing.vertices[:1])
    with pytest.raises(AttributeError):
        cf.PointSet(LINE).positions = LINE


def test_polylines_go_there_and_back():
    rng = np.random.default_rng(0)
    ring = rng.normal(size=(5, 3))
    lines = [rng.normal(size=(4, 3)), np.concatenate([ring, ring[:1]]), rng.normal(size=(2, 3))]
    made = cf.Filaments.from_polylines(lines, [1.0, 2.0, 3.0])
    assert len(made.segments) == 3 + 5 + 1 and len(made.vertices) == 4 + 5 + 2
    assert made.density.tolist() == [1] * 3 + [2] * 5 + [3]
    back = made.polylines()
    assert len(back) == 3
    for line in lines:
        assert any(np.array_equal(line, b) or np.array_equal(line, b[::-1]) for b in back)


def test_polylines_end_at_branches():
    star = cf.Filaments(np.arange(15.0).reshape(5, 3), [[0, 1], [1, 2], [2, 3], [2, 4]])
    found = sorted(line[:, 0].tolist() for line in star.polylines())
    assert found == [[0, 3, 6], [6, 9], [6, 12]]


def test_long_segments_are_split():
    line = cf.Filaments(LINE, [[0, 1], [1, 2]], [1.0, 2.0])
    parts = line.split(1.1)
    assert len(parts.segments) == 3 + 4 and parts.sizes.tolist() == pytest.approx([1.0] * 7)
    assert parts.mass == pytest.approx(line.mass) and (parts.vertices[:3] == line.vertices).all()
    assert [len(p) for p in parts.polylines()] == [8]
    np.testing.assert_array_equal(line.split(10.0).segments, line.segments)
    with pytest.raises(MeshError, match="longest is 0"):
        line.split(0)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_gradient_of_a_size(order):
    rng = np.random.default_rng(order)
    corners, move, step = rng.normal(size=(6, order + 1, 3)), rng.normal(size=(6, order + 1, 3)), 1e-6
    ahead, behind = (geometry.simplex_sizes(corners + s * step * move) for s in (1, -1))
    slopes = geometry.simplex_size_gradient(corners)
    np.testing.assert_allclose((ahead - behind) / (2 * step), (slopes * move).sum(axis=(1, 2)), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(
        geometry.simplex_sizes(corners, precise=False), geometry.simplex_sizes(corners), rtol=1e-12
    )


def test_a_sliver_has_its_volume_to_the_last_digit():
    from fractions import Fraction

    rng = np.random.default_rng(1)
    corners = rng.normal(size=(20, 4, 3))
    corners[:, 3] = corners[:, 0] + 0.3 * (corners[:, 1] - corners[:, 0]) + 0.2 * (corners[:, 2] - corners[:, 0])
    corners[:, 3] += 1e-14 * rng.normal(size=(20, 3))
    for found, exact in zip(geometry.simplex_sizes(corners), corners):
        v = [[Fraction(float(c)) for c in row] for row in exact]
        a, b, c = ([x - y for x, y in zip(v[i], v[0])] for i in (1, 2, 3))
        wanted = abs(sum(a[i] * (b[(i + 1) % 3] * c[(i + 2) % 3] - b[(i + 2) % 3] * c[(i + 1) % 3]) for i in range(3)))
        assert found == pytest.approx(float(wanted / 6), rel=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cf.PointSet(np.zeros((0, 3))), "positions is empty"),
        (lambda: cf.PointSet([[0, 0]]), r"positions has shape \(1, 2\)"),
        (lambda: cf.PointSet([[0, 0, np.nan]]), "1 of 1 positions are NaN"),
        (lambda: cf.PointSet(LINE, [1.0, 2.0]), r"brightness has shape \(2,\); expected \(3,\)"),
        (lambda: cf.PointSet(LINE, np.inf), "finite values"),
        (lambda: cf.Filaments(LINE, [[0, 3]]), "segments names vertices 0 to 3; expected 0 to 2"),
        (lambda: cf.Filaments(LINE, [[0.0, 1.0]]), "whole numbers"),
        (lambda: cf.Filaments(LINE, np.zeros((0, 2), int)), "segments is empty"),
        (lambda: cf.Filaments.from_polylines([LINE, LINE[:1]]), "polyline 1 has 1 vertices"),
        (lambda: cf.Filaments.from_polylines([]), "polylines is empty"),
        (lambda: cf.TetrahedralMesh(TETRAHEDRON, [[0, 1, 2]]), r"tetrahedra has shape \(1, 3\).*expected \(n, 4\)"),
        (lambda: cf.TetrahedralMesh(TETRAHEDRON, [[0, 1, 2, 3]], [1.0, 1.0]), r"density has shape \(2,\)"),
    ],
)
def test_refusals_say_what_to_do(make, message):
    with pytest.raises(MeshError, match=message):
        make()
