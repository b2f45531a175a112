"""The scalar formulas against 50-digit arithmetic."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import triangle as oracle

from cytoform.kernels import mesh_ft_cpu, triangle

# Rounding of the formulas themselves, in units of the dtype's epsilon; phases add |phase| ε on top.
VALUE_DIGITS = 4.0
GRADIENT_DIGITS = 8.0

SPREADS = [0.0, 1e-12, 1e-6, 1e-3, 0.3, 0.999, 1.001, 1.999, 2.001, 2.999, 3.001, 5.0, 20.0, 300.0, 1e4]


def _relative(p, q, r, dtype):
    """Phases rounded to the dtype with their sum taken out, as the kernels hand them over."""
    m = (p + q + r) / 3.0
    return [dtype(v - m) for v in (p, q, r)]


def _check(points, dtype):
    table = triangle.inverse_factorials(dtype)
    p, q, r = (dtype(v) for v in points)
    exact = [float(p), float(q), float(r)]
    off = abs(sum(exact)) / 3.0  # what rounding left of the sum
    eps = np.finfo(dtype).eps
    scale = 1.0 + max(map(abs, exact))
    value = complex(*mesh_ft_cpu._value(p, q, r, table))
    assert abs(value - oracle.value(*exact)) <= VALUE_DIGITS * eps * scale + off
    found = mesh_ft_cpu._gradient(p, q, r, table)
    assert abs(complex(found[0], found[1]) - oracle.value(*exact)) <= VALUE_DIGITS * eps * scale + off
    for got, want in zip((found[2:4], found[4:6], found[6:8]), oracle.gradient(*exact)):
        assert abs(complex(*got) - want) <= GRADIENT_DIGITS * eps * scale + off


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("spread", SPREADS)
def test_every_spread_and_degeneracy(spread, dtype):
    for middle in (0.0, 1e-9, 1e-4, 0.1, 0.5, 0.9999, 1.0):
        for order in ((0, 1, 2), (2, 0, 1), (1, 0, 2), (2, 1, 0)):
            base = np.array([0.0, middle * spread, spread])[list(order)]
            _check(_relative(*base, dtype), dtype)


@settings(max_examples=200, deadline=None)
@given(st.floats(-30, 30), st.floats(-30, 30), st.sampled_from([np.float32, np.float64]), st.floats(1e-8, 1.0))
def test_any_phases(p, q, dtype, shrink):
    _check(_relative(p * shrink, q * shrink, 0.0, dtype), dtype)


def test_known_values():
    table = triangle.inverse_factorials(np.float64)
    assert mesh_ft_cpu._value(0.0, 0.0, 0.0, table) == (0.5, 0.0)
    found = mesh_ft_cpu._gradient(0.0, 0.0, 0.0, table)
    np.testing.assert_allclose(found, [0.5, 0, 0, -1 / 6, 0, -1 / 6, 0, -1 / 6], atol=1e-16)


def test_derivatives_add_up_to_a_common_shift():
    # d/ds G(a + s, b + s, c + s) = -i G
    table = triangle.inverse_factorials(np.float64)
    for points in ([-0.4, 0.1, 0.3], [-9.0, 2.0, 7.0], [-1.0, -1.0, 2.0]):
        g = mesh_ft_cpu._gradient(*points, table)
        total = complex(g[2] + g[4] + g[6], g[3] + g[5] + g[7])
        assert abs(total + 1j * complex(g[0], g[1])) < 1e-15


def test_table_is_the_inverse_factorials():
    for dtype in (np.float32, np.float64):
        table = triangle.inverse_factorials(dtype)
        assert table.dtype == dtype
        assert table[10] == dtype(1.0 / math.factorial(10))
