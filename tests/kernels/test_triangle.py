"""The scalar formulas against 50-digit arithmetic."""

import math

import mpmath
import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import triangle as oracle

from cytoform.kernels import triangle
from cytoform.kernels.mesh_ft_cpu import FORMULAS

pytestmark = pytest.mark.slow  # to compile them takes 10 s for each type; the transform's own tests use them, too

# Rounding of the formulas themselves, in units of the dtype's epsilon; phases add |phase| ε on top.
VALUE_DIGITS = 4.0
GRADIENT_DIGITS = 8.0

SPREADS = [0.0, 1e-12, 1e-6, 1e-3, 0.3, 0.999, 1.001, 1.999, 2.001, 2.999, 3.001, 5.0, 20.0, 300.0, 1e4]


def _relative(p, q, r, dtype):
    """Phases rounded to the dtype with their sum taken out, as the kernels hand them over."""
    m = (p + q + r) / 3.0
    return [dtype(v - m) for v in (p, q, r)]


def _check(points, dtype, prefix=""):
    formulas = FORMULAS[dtype]
    p, q = (dtype(v) for v in points[:2])
    r = dtype(-(p + q))
    exact = [float(p), float(q), float(r)]
    off = abs(sum(exact)) / 3.0  # what rounding left of the sum
    eps = np.finfo(dtype).eps
    scale = 1.0 + max(map(abs, exact))
    value = complex(*getattr(formulas, f"{prefix}value")(p, q, r))
    assert abs(value - oracle.value(*exact)) <= VALUE_DIGITS * eps * scale + off
    found = getattr(formulas, f"{prefix}gradient")(p, q, r)
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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("prefix", "spreads"),
    [
        ("short_", (0.0, 0.5, 1.0)),
        ("long_", (0.0, 1.0, 3.0)),
        ("large_", (3.0, 4.0, 1e3)),
        ("mixed_", (0.0, 0.1, 2.999, 3.001, 100.0)),
    ],
)
def test_each_case_up_to_its_limits(prefix, spreads, dtype):
    for spread in spreads:  # of the largest centred phase
        for ratio in (-1.0, -0.75, -0.5, -1e-3, 0.0):  # p, q = ratio p, r = -(p + q): all shapes that a triangle has
            for sign in (1.0, -1.0):
                p = sign * spread
                for points in ((p, ratio * p), (ratio * p, p), (ratio * p, -(1.0 + ratio) * p)):
                    _check(points, dtype, prefix)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("prefix", ["", "short_", "long_", "large_", "mixed_"])
def test_what_is_left_of_one_half_keeps_its_digits(prefix, dtype):
    """K - 1/2 is of the size of the spread's square: its error is to be as small, relative to that."""
    formulas = FORMULAS[dtype]
    eps = np.finfo(dtype).eps
    low, high = {"short_": (0.0, 1.0), "long_": (0.0, 3.0), "large_": (3.01, np.inf)}.get(prefix, (0.0, np.inf))
    for spread in (0.0, 1e-12, 1e-6, 1e-3, 0.3, 1.0, 1.001, 2.999, 3.02, 20.0, 300.0):
        if not low <= spread <= high:
            continue
        for ratio in (-1.0, -0.75, -0.5, -1e-3, 0.0):
            p, q = dtype(spread), dtype(ratio * spread)
            r = dtype(-(p + q))
            points = [float(p), float(q), float(r)]
            off = abs(math.fsum(points)) / 3.0
            with mpmath.workdps(60):
                wanted = complex(oracle.value_exact(points) - mpmath.mpf(1) / 2)
            size = min(spread**2, 1.0 + spread)
            found = getattr(formulas, f"{prefix}reduced_value")(p, q, r)
            assert abs(complex(*found) - wanted) <= VALUE_DIGITS * eps * size + off
            both = getattr(formulas, f"{prefix}reduced_gradient")(p, q, r)
            usual = getattr(formulas, f"{prefix}gradient")(p, q, r)
            assert abs(complex(*both[:2]) - wanted) <= VALUE_DIGITS * eps * size + off
            assert np.abs(np.subtract(both[2:], usual[2:])).max() <= 2.0 * eps


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sine_and_cosine_without_branches(dtype):
    sincos = triangle.polynomial_sincos(numba.njit, dtype)
    rng = np.random.default_rng(0)
    turns = np.arange(-6, 7) * math.pi / 2
    eps = np.finfo(dtype).eps
    for x in np.concatenate([turns, turns + 1e-4, rng.uniform(-20, 20, 200), rng.uniform(-1e4, 1e4, 200)]).astype(
        dtype
    ):
        sine, cosine = sincos(x)
        with mpmath.workdps(40):
            wanted = complex(mpmath.cos(mpmath.mpf(float(x))), mpmath.sin(mpmath.mpf(float(x))))
        assert abs(complex(cosine, sine) - wanted) < 2.0 * eps * max(1.0, abs(x) / 1e3)


def test_known_values():
    formulas = FORMULAS[np.float64]
    assert formulas.value(0.0, 0.0, 0.0) == (0.5, 0.0)
    found = formulas.gradient(0.0, 0.0, 0.0)
    np.testing.assert_allclose(found, [0.5, 0, 0, -1 / 6, 0, -1 / 6, 0, -1 / 6], atol=1e-16)


def test_derivatives_add_up_to_a_common_shift():
    # d/ds G(a + s, b + s, c + s) = -i G
    for points in ([-0.4, 0.1, 0.3], [-9.0, 2.0, 7.0], [-1.0, -1.0, 2.0]):
        g = FORMULAS[np.float64].gradient(*points)
        total = complex(g[2] + g[4] + g[6], g[3] + g[5] + g[7])
        assert abs(total + 1j * complex(g[0], g[1])) < 1e-15
