"""Distances to single triangles, also those without area, against the slow and obvious way."""

import numpy as np
import pytest
from oracles.distance import triangle_distance

from cytoform.kernels import point_triangle

ROUNDING = 3e-7  # float32's, relative


def kernel_distances(corners, shape, origin, spacing):
    table = np.empty((len(corners), point_triangle.TABLE_COLUMNS))
    point_triangle.tabulate(np.asarray(corners, dtype=np.float64), table)
    out = np.full(shape, np.nan, dtype=np.float32)
    inside = np.zeros(shape, dtype=bool)
    where = np.asarray(origin), np.asarray(spacing)
    point_triangle.distances(table, *where, inside, np.inf, 0, point_triangle.count_blocks(shape), out)
    return out


def oracle(corners, shape, origin, spacing):
    axes = [o + s * np.arange(n) for o, s, n in zip(origin, spacing, shape)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return np.min([triangle_distance(points, c) for c in corners], axis=0).reshape(shape)


@pytest.mark.parametrize("seed", range(4))
def test_random_triangles(seed):
    rng = np.random.default_rng(seed)
    corners = rng.normal(size=(rng.integers(1, 40), 3, 3))
    corners += 3 * rng.normal(size=(len(corners), 1, 3))
    box = (12, 9, 37), (-4.0, -3.0, -5.0), (0.7, 0.6, 0.21)
    np.testing.assert_allclose(kernel_distances(corners, *box), oracle(corners, *box), rtol=ROUNDING, atol=1e-7)


@pytest.mark.parametrize(
    "corners",
    [
        [[0, 0, 0], [0, 0, 0], [0, 0, 0]],  # a point
        [[0, 0, 0], [1, 1, 1], [1, 1, 1]],  # a segment
        [[0, 0, 0], [1, 0, 0], [3, 0, 0]],  # a segment with a corner on it
        [[0, 0, 0], [1, 0, 1e-9], [2, 0, 0]],  # nearly one
        [[0, 0, 0], [10, 0, 0], [10.1, 0.001, 0]],  # a sliver
    ],
)
def test_triangles_without_area(corners):
    box = (10, 8, 8), (-2.0, -2.0, -2.0), (0.61, 0.53, 0.5)
    corners = np.asarray([corners], dtype=np.float64)
    np.testing.assert_allclose(kernel_distances(corners, *box), oracle(corners, *box), rtol=ROUNDING, atol=1e-7)


def test_samples_on_the_triangle():
    corners = np.array([[[0.0, 0, 0], [0, 4, 0], [0, 0, 4]]])
    out = kernel_distances(corners, (3, 5, 5), (-1.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    assert (out[1][np.add.outer(range(5), range(5)) <= 4] == 0).all()
    assert out[0, 1, 1] == out[2, 1, 1] == 1
