"""Rules on triangles: their degree, and the reach promised by the error model."""

import itertools
import math

import numpy as np
import pytest
from oracles import triangle as oracle

import cytoform as cf
from cytoform.errors import ConfigError
from cytoform.fourier import quadrature


@pytest.mark.parametrize("index", range(quadrature.N_RULES - 3))
def test_exact_for_polynomials_of_its_degree(index):
    points, weights = quadrature.rule(index)
    assert (points > 0).all() and (weights > 0).all() and np.allclose(points.sum(axis=1), 1.0)
    degree = quadrature.degree(index)
    for i in range(degree + 1):
        for j in range(degree + 1 - i):
            wanted = 2.0 * math.factorial(i) * math.factorial(j) / math.factorial(i + j + 2)
            assert weights @ (points[:, 0] ** i * points[:, 1] ** j) == pytest.approx(wanted, rel=1e-12)
    above = [(points[:, 0] ** i * points[:, 1] ** (degree + 1 - i)) @ weights for i in range(degree + 2)]
    exact = [
        2.0 * math.factorial(i) * math.factorial(degree + 1 - i) / math.factorial(degree + 3) for i in range(degree + 2)
    ]
    assert np.abs(np.array(above) / exact - 1.0).max() > 1e-9 or degree > 20  # and no more than that


def test_rules_have_more_and_more_points():
    sizes = [len(quadrature.rule(k)[1]) for k in range(quadrature.N_RULES)]
    assert sizes == sorted(sizes) and sizes[:7] == [1, 3, 6, 7, 12, 16, 25]


@pytest.mark.parametrize("pieces", [1, 2, 3, 5])
def test_composite_covers_the_triangle_once(pieces):
    points, weights = quadrature.composite(2, pieces)
    assert len(weights) == 6 * pieces**2
    assert (points > 0).all() and np.allclose(points.sum(axis=1), 1.0)
    assert weights @ points[:, 0] ** 3 == pytest.approx(2 * 6 / 120, rel=1e-12)


@pytest.mark.parametrize("tolerance", [1e-3, 1e-6, 1e-10])
def test_reach_keeps_its_promise(tolerance):
    rng = np.random.default_rng(0)
    for spread in (0.1, 0.7, 2.0, 6.0, 15.0, 40.0, 110.0):
        index, pieces = quadrature.rules_for(np.array([spread]), tolerance)
        points, weights = quadrature.composite(int(index[0]), int(pieces[0]))
        for _ in range(3):
            phases = rng.permutation([0.0, rng.uniform(0, spread), spread])
            found = np.exp(-1j * (points @ phases)) @ weights
            assert abs(found - 2.0 * oracle.value(*phases)) < 1.5 * tolerance + 1e-13


@pytest.mark.parametrize("tolerance", [1e-2, 1e-4, 1e-7])
def test_modes_that_count_less_need_fewer_points(tolerance):
    """Behind a Gaussian that falls to a hundredth at the border: the weighted error holds, at every radius."""
    radii = (np.arange(24) + 1.0) / 24
    weights = np.exp(-math.log(100.0) * (radii - 1.0 / 24) ** 2)
    shells = quadrature.Shells(tuple(radii.tolist()), tuple(weights.tolist()))
    rng = np.random.default_rng(1)
    fewer = 0
    for spread in (0.5, 1.5, 3.0, 6.0, 12.0, 30.0):
        index, pieces = quadrature.rules_for(np.array([spread]), tolerance, shells)
        points, rule_weights = quadrature.composite(int(index[0]), int(pieces[0]))
        for radius in np.concatenate([radii, rng.uniform(size=10)]):
            phases = radius * rng.permutation([0.0, rng.uniform(0, spread), spread])
            error = abs(np.exp(-1j * (points @ phases)) @ rule_weights - 2.0 * oracle.value(*phases))
            assert error * np.exp(-math.log(100.0) * radius**2) < 1.5 * tolerance + 1e-13
        alike, parts = quadrature.rules_for(np.array([spread]), tolerance)
        plain = len(quadrature.composite(int(alike[0]), int(parts[0]))[1])
        assert len(rule_weights) <= plain
        fewer += len(rule_weights) < plain
    assert fewer >= 3


def test_a_tolerance_below_rounding_is_refused():
    with pytest.raises(ConfigError, match="below rounding"):
        quadrature.rules_for(np.array([1.0]), 1e-18)


def test_shells_take_the_most_of_each():
    grid = cf.Grid((12, 14, 16), (0.5, 0.4, 0.3))
    psf = cf.GaussianPSF.from_sigma((0.5, 0.4, 0.35))
    band = psf.band(grid, 0.02)
    shells = quadrature.Shells.from_weights(band, psf.otf_on(band), count=8)
    values = np.broadcast_to(psf.otf_on(band), band.shape).ravel()[band.index]
    assert shells.radii[-1] == 1.0 and band.radii.max() <= 1.0 + 1e-12 and shells.weights[0] == values.max()
    number = np.searchsorted(np.array(shells.radii), band.radii * (1 - 1e-12))
    assert (values <= np.array(shells.weights)[number] * (1 + 1e-12)).all()
    vectors = np.random.default_rng(0).normal(size=(20, 3))
    phases = np.abs(vectors @ band.frequencies.T)
    assert (phases <= band.phase_bound(vectors)[:, None] * band.radii * (1 + 1e-12)).all()


@pytest.mark.parametrize(("order", "count", "pieces"), [(1, 3, 1), (1, 2, 5), (3, 4, 1), (3, 2, 4), (0, 1, 1)])
def test_gauss_rules_of_other_orders_are_exact_for_polynomials(order, count, pieces):
    points, weights = quadrature.gauss_composite(order, count, pieces)
    assert weights.sum() == pytest.approx(1.0, rel=1e-14) and np.allclose(points.sum(axis=1), 1.0)
    assert (points > 0).all() and len(points) == (count * pieces) ** order
    for powers in itertools.product(range(2 * count), repeat=order + 1):
        if sum(powers) < 2 * count:  # ∫ λ^a over a simplex of size 1 is k! Π a! / (k + Σ a)!
            wanted = math.factorial(order) * math.prod(map(math.factorial, powers))
            wanted /= math.factorial(order + sum(powers))
            assert weights @ np.prod(points ** np.array(powers), axis=1) == pytest.approx(wanted, rel=1e-12)
