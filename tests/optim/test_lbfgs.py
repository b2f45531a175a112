"""Limited-memory BFGS: a quadratic's solution by linear algebra, a curved valley, the line search, saving."""

import numpy as np
import pytest

from cytoform.errors import ConfigError
from cytoform.optim import LBFGS


def identity(gradient):
    return gradient


def descend(optimiser, value_and_gradient, start, steps, smooth=identity, most=1.0):
    x, values = start, []
    for _ in range(steps):
        value, gradient = value_and_gradient(x)
        x = optimiser.step(x, value, gradient, smooth, most)
        values.append(optimiser.value)
    return optimiser.point, np.array(values)


def stiff(seed=0, n=30, condition=1e4):
    """½ xᵀ A x - b·x on (n, 3) with eigenvalues from 1 to `condition`, and its solution."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(n, n)))[0]
    matrix = turn @ np.diag(np.geomspace(1.0, condition, n)) @ turn.T
    aim = rng.normal(size=(n, 3))
    solution = np.linalg.solve(matrix, aim)
    return matrix, solution, lambda x: (0.5 * float((x * (matrix @ x)).sum() - 2 * (aim * x).sum()), matrix @ x - aim)


def test_reaches_the_solution_of_a_linear_system():
    _, solution, function = stiff(condition=300.0)
    found, values = descend(LBFGS((30, 3), memory=20), function, np.zeros((30, 3)), 400, most=10.0)
    np.testing.assert_allclose(found, solution, atol=1e-6)
    assert (np.diff(values) <= 0).all()


def test_a_preconditioner_that_is_the_inverse_takes_a_few_steps():
    matrix, solution, function = stiff()
    smooth = lambda g: np.linalg.solve(matrix, g)  # noqa: E731
    found, _ = descend(LBFGS((30, 3)), function, np.zeros((30, 3)), 8, smooth, most=100.0)
    np.testing.assert_allclose(found, solution, atol=1e-9)
    plain, _ = descend(LBFGS((30, 3)), function, np.zeros((30, 3)), 8, most=100.0)
    assert np.abs(plain - solution).max() > 1e-3


def test_a_curved_valley():
    def rosenbrock(x):
        a, b = x[0]
        value = 100.0 * (b - a * a) ** 2 + (1.0 - a) ** 2
        return value, np.array([[-400.0 * a * (b - a * a) - 2.0 * (1.0 - a), 200.0 * (b - a * a)]])

    found, values = descend(LBFGS((1, 2)), rosenbrock, np.array([[-1.2, 1.0]]), 120, most=0.5)
    np.testing.assert_allclose(found, [[1.0, 1.0]], atol=1e-6)
    assert (np.diff(values) <= 0).all()


def test_no_row_moves_further_than_allowed():
    _, _, function = stiff()
    optimiser, x = LBFGS((30, 3)), np.zeros((30, 3))
    for k in range(30):
        before = np.zeros((30, 3)) if optimiser.point is None else optimiser.point
        x = optimiser.step(x, *function(x), identity, 0.01)
        moved = np.linalg.norm(x - optimiser.point, axis=1).max()
        assert moved <= 0.01 + 1e-12
        assert k or moved == pytest.approx(0.01)
        assert np.linalg.norm(optimiser.point - before, axis=1).max() <= 0.01 + 1e-12


def test_says_when_nothing_goes_down_any_more():
    optimiser, x = LBFGS((1, 1)), np.array([[1.0]])
    for _ in range(60):
        x = optimiser.step(x, 1.0 + abs(x[0, 0] - 1.0), np.array([[1.0]]), identity, 1.0)  # a kink at its least point
        if optimiser.failed:
            break
    assert optimiser.failed and optimiser.point[0, 0] == 1.0


def test_saved_and_loaded_goes_on_bit_by_bit():
    _, _, function = stiff()
    whole, x = LBFGS((30, 3), memory=4), np.zeros((30, 3))
    for k in range(40):
        x = whole.step(x, *function(x), identity, 0.5)
        if k == 17:
            arrays, at = {n: np.array(a) for n, a in whole.state_arrays().items()}, x.copy()
    again = LBFGS((30, 3), memory=4)
    again.load_state(arrays)
    for _ in range(22):
        at = again.step(at, *function(at), identity, 0.5)
    assert (at == x).all() and (again.point == whole.point).all()


def test_restart_keeps_the_curvature_and_forgets_the_point():
    _, solution, function = stiff(condition=100.0)
    optimiser = LBFGS((30, 3), memory=30)
    place, _ = descend(optimiser, function, np.zeros((30, 3)), 25, most=10.0)
    optimiser.restart()
    assert optimiser.point is None and len(optimiser.steps) > 10
    raised = lambda x: (function(x)[0] + 5.0, function(x)[1])  # noqa: E731
    found, _ = descend(optimiser, raised, place, 40, most=10.0)
    np.testing.assert_allclose(found, solution, atol=1e-5)


def test_carried_over_to_the_same_unknowns_in_another_order():
    _, _, function = stiff(condition=100.0)
    optimiser = LBFGS((30, 3), memory=30)
    place, _ = descend(optimiser, function, np.zeros((30, 3)), 12)
    order = np.random.default_rng(1).permutation(30)
    other = optimiser.interpolated(np.eye(30)[order])
    assert other.point is None and len(other.steps) == len(optimiser.steps) > 5
    optimiser.restart()
    value, gradient = function(place)
    one = optimiser.step(place, value, gradient, identity, 1.0)
    two = other.step(place[order], value, gradient[order], identity, 1.0)
    np.testing.assert_allclose(two, one[order], rtol=1e-12, atol=1e-14)


def test_what_loses_its_curvature_is_not_carried():
    _, _, function = stiff(condition=100.0)
    optimiser = LBFGS((30, 3), memory=30)
    descend(optimiser, function, np.zeros((30, 3)), 12)
    assert optimiser.interpolated(np.zeros((20, 30))).steps == []
    fewer = optimiser.interpolated(np.eye(30)[:20])
    assert fewer.shape == (20, 3) and fewer.steps and all((s * y).sum() > 0 for s, y in zip(fewer.steps, fewer.changes))


def test_refuses_what_it_cannot_use():
    with pytest.raises(ConfigError, match="memory"):
        LBFGS((2, 3), memory=0)
    with pytest.raises(ConfigError, match="shapes"):
        LBFGS((2, 3)).step(np.zeros((3, 3)), 0.0, np.zeros((3, 3)), identity, 1.0)
    with pytest.raises(ConfigError, match="NaN"):
        LBFGS((2, 3)).step(np.zeros((2, 3)), np.nan, np.zeros((2, 3)), identity, 1.0)
    arrays = LBFGS((2, 3)).state_arrays()
    with pytest.raises(ConfigError, match="expected shape"):
        LBFGS((4, 3)).load_state(arrays)
    with pytest.raises(ConfigError, match="missing"):
        LBFGS((2, 3)).load_state({})
