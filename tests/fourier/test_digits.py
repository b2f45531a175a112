"""The exact transform and its gradient, pair by pair, against 50-digit arithmetic."""

import numpy as np
import pytest
from oracles import pairs

ALLOWED = 4.0  # in units of the dtype's ε times what a pair's size and phases make unavoidable; see pairs.bars


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_random_pairs_of_all_regimes(dtype):
    found = pairs.errors(280, dtype, seed=11)
    for kind, (count, value, gradient) in found.items():
        assert count > 20, kind
        assert value <= ALLOWED and gradient <= ALLOWED, (kind, value, gradient)
    assert found["any"][1] > 0.05  # something was measured


def test_the_errors_see_a_formula_with_a_switch():
    """What the bar is for: at a spread of 1e-3 the textbook's quotient of differences has lost most digits."""
    pair = pairs.Pair("any", 1e-3 * np.array([[0.1, 0.3, 0.2], [1.0, 0.2, -0.4], [-0.3, 0.9, 0.1]]), np.ones(3))
    wanted, _, area, longest, reach = pairs.exact(pair)
    a, b, c = pair.corners @ pair.frequency
    quotient = -2 * area * (
        np.exp(-1j * a) / ((a - b) * (a - c)) + np.exp(-1j * b) / ((b - a) * (b - c))
        + np.exp(-1j * c) / ((c - a) * (c - b))
    )  # fmt: skip
    unit, _ = pairs.bars(area, longest, reach, pair.frequency, np.float64)
    assert abs(quotient - wanted) / unit > 1e3 * ALLOWED
