"""Gauss rules: their degree, and the reach promised by the error model."""

import math

import numpy as np
import pytest
from oracles import triangle as oracle

from cytoform.fourier import quadrature


@pytest.mark.parametrize("order", [1, 2, 3, 5, 8])
def test_exact_for_polynomials(order):
    points, weights = quadrature.rule(order)
    for i in range(2 * order):
        for j in range(2 * order - i):
            wanted = 2.0 * math.factorial(i) * math.factorial(j) / math.factorial(i + j + 2)
            assert weights @ (points[:, 0] ** i * points[:, 1] ** j) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("pieces", [1, 2, 3, 5])
def test_composite_covers_the_triangle_once(pieces):
    points, weights = quadrature.composite(3, pieces)
    assert len(weights) == 9 * pieces**2
    assert (points > 0).all() and np.allclose(points.sum(axis=1), 1.0)
    assert weights @ points[:, 0] ** 3 == pytest.approx(2 * 6 / 120, rel=1e-12)


@pytest.mark.parametrize("tolerance", [1e-3, 1e-6, 1e-10])
def test_reach_keeps_its_promise(tolerance):
    rng = np.random.default_rng(0)
    for spread in (0.1, 0.7, 2.0, 6.0, 15.0, 40.0, 110.0):
        orders, pieces = quadrature.orders_for(np.array([spread]), tolerance)
        points, weights = quadrature.composite(int(orders[0]), int(pieces[0]))
        for _ in range(3):
            phases = rng.permutation([0.0, rng.uniform(0, spread), spread])
            found = np.exp(-1j * (points @ phases)) @ weights
            assert abs(found - 2.0 * oracle.value(*phases)) < 1.5 * tolerance + 1e-13
