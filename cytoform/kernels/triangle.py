"""Scalar formulas of the transform of a triangle, written once and compiled for the CPU and for CUDA.

With the phases a, b, c of the three corners at a frequency, the transform of a triangle of area A is 2 A G(a, b, c),
G = -f[a, b, c], f(x) = exp(-i x), where f[...] is a divided difference (Hermite-Genocchi). Its derivatives are
dG/da = -f[a, a, b, c] and so on. Nothing here divides by a difference that may be small:

* the centroid's phase m = (a + b + c) / 3 is taken out, so that p + q + r = 0 for what remains;
* where the largest of \\|p\\|, \\|q\\|, \\|r\\| is small, G = exp(-i m) K with the power series
  K = sum over n of (-i)^n h_n / (n + 2)!, h_n = -e2 h_(n-2) + e3 h_(n-3), e2 = p q + q r + r p, e3 = p q r;
* elsewhere the sorted points are split at the largest distance, and the recursion f[x0 .. xk] =
  (f[x1 .. xk] - f[x0 .. x(k-1)]) / (xk - x0) ends in a series as soon as its points are close.

`table` holds the inverse factorials 1/n! in the working precision. Literals other than whole factors of it are avoided
on purpose: they would lift float32 to float64. Complex numbers are pairs (real, imaginary).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

__all__ = ["SERIES_LIMIT", "TABLE_LENGTH", "build", "inverse_factorials"]

SERIES_LIMIT = 3.0  # the series is used where the largest centred phase is below this
SHORT_LIMIT = 1.0  # and with fewer terms below this
SPLIT_LIMIT = 2.0  # a divided difference of points closer than this is summed as a series
TABLE_LENGTH = 32
SHORT_TERMS, LONG_TERMS, ZERO = 32, 33, 34  # what follows the inverse factorials in a table
# Terms that reach rounding: (short, long) for float32 and float64.
TERMS = {np.dtype(np.float32): (14, 18), np.dtype(np.float64): (20, 26)}


def inverse_factorials(dtype: Any) -> np.ndarray:
    """1/n! for n = 0 .. TABLE_LENGTH - 1, then the numbers of terms of the short and the long series, and a zero."""
    dtype = np.dtype(dtype)
    return np.array([1.0 / math.factorial(n) for n in range(TABLE_LENGTH)] + [*TERMS[dtype], 0.0], dtype=dtype)


def build(jit: Callable[[Callable], Callable]) -> SimpleNamespace:
    """Compile the formulas with `jit`: ``numba.njit`` or a CUDA device function's decorator."""

    @jit
    def complete_series(p, q, r, table, terms):
        """K(p, q, r) for p + q + r = 0."""
        minus_e2 = -(p * q + r * (p + q))
        e3 = p * q * r
        old3, old2, old1 = table[0], table[ZERO], minus_e2  # h_0, h_1, h_2
        even = table[2] - minus_e2 * table[4]
        odd = table[ZERO]
        # h_3 = e3, and from there the recursion; signs follow (-i)^n
        for n in range(3, terms - 1, 4):
            h = minus_e2 * old2 + e3 * old3
            odd += h * table[n + 2]
            old3, old2, old1 = old2, old1, h
            h = minus_e2 * old2 + e3 * old3
            even += h * table[n + 3]
            old3, old2, old1 = old2, old1, h
            h = minus_e2 * old2 + e3 * old3
            odd -= h * table[n + 4]
            old3, old2, old1 = old2, old1, h
            h = minus_e2 * old2 + e3 * old3
            even -= h * table[n + 5]
            old3, old2, old1 = old2, old1, h
        return even, odd

    @jit
    def complete_series_gradient(p, q, r, table, terms):
        """K and exp(i m) dG/d(a, b, c) for p + q + r = 0, from H_n = h_n + p H_(n-1)."""
        minus_e2 = -(p * q + r * (p + q))
        e3 = p * q * r
        zero = table[ZERO]
        old3, old2, old1 = zero, zero, zero
        h = table[0]
        value_even, value_odd = zero, zero
        hp, hq, hr = zero, zero, zero
        p_even, p_odd, q_even, q_odd, r_even, r_odd = zero, zero, zero, zero, zero, zero
        sign = table[0]
        for n in range(0, terms, 2):
            # even n: (-i)^n = sign, (-i)^(n+1) = -i sign
            hp, hq, hr = h + p * hp, h + q * hq, h + r * hr
            value_even += sign * h * table[n + 2]
            weight = -sign * table[n + 3]
            p_odd += weight * hp
            q_odd += weight * hq
            r_odd += weight * hr
            old3, old2, old1 = old2, old1, h
            h = minus_e2 * old2 + e3 * old3
            # odd n + 1: (-i)^(n+1) = -i sign, (-i)^(n+2) = -sign
            hp, hq, hr = h + p * hp, h + q * hq, h + r * hr
            value_odd -= sign * h * table[n + 3]
            weight = -sign * table[n + 4]
            p_even += weight * hp
            q_even += weight * hq
            r_even += weight * hr
            old3, old2, old1 = old2, old1, h
            h = minus_e2 * old2 + e3 * old3
            sign = -sign
        return value_even, value_odd, p_even, p_odd, q_even, q_odd, r_even, r_odd

    @jit
    def difference2(x, y, table):
        """f[x, y] = -i exp(-i (x + y) / 2) sinc((y - x) / 2)."""
        middle = (x + y) * table[2]
        half = (y - x) * table[2]
        sinc = table[0]
        if half != table[ZERO]:
            sinc = math.sin(half) / half
        return -math.sin(middle) * sinc, -math.cos(middle) * sinc

    @jit
    def difference3(x, y, z, table, terms):
        """f[x, y, z] of sorted points."""
        if z - x > SPLIT_LIMIT:
            scale = table[0] / (z - x)
            upper_re, upper_im = difference2(y, z, table)
            lower_re, lower_im = difference2(x, y, table)
            return (upper_re - lower_re) * scale, (upper_im - lower_im) * scale
        third = table[3] + table[3]
        middle = (x + y + z) * third
        even, odd = complete_series(x - middle, y - middle, z - middle, table, terms)
        cosine, sine = math.cos(middle), math.sin(middle)
        return -(cosine * even + sine * odd), -(cosine * odd - sine * even)

    @jit
    def value(p, q, r, table):
        """K(p, q, r) = exp(i m) G, as (real, imaginary), for p + q + r = 0."""
        largest = max(abs(p), max(abs(q), abs(r)))
        if largest <= SHORT_LIMIT:
            return complete_series(p, q, r, table, int(table[SHORT_TERMS]))
        long = int(table[LONG_TERMS])
        if largest <= SERIES_LIMIT:
            return complete_series(p, q, r, table, long)
        low = min(p, min(q, r))
        high = max(p, max(q, r))
        real, imaginary = difference3(low, max(min(p, q), min(max(p, q), r)), high, table, long)
        return -real, -imaginary

    @jit
    def gradient(p, q, r, table):
        """K, dG/da, dG/db, dG/dc (the latter three times exp(i m)), as eight reals, for p + q + r = 0."""
        largest = max(abs(p), max(abs(q), abs(r)))
        if largest <= SHORT_LIMIT:
            return complete_series_gradient(p, q, r, table, int(table[SHORT_TERMS]))
        long = int(table[LONG_TERMS])
        if largest <= SERIES_LIMIT:
            return complete_series_gradient(p, q, r, table, long)
        x = min(p, min(q, r))
        z = max(p, max(q, r))
        y = max(min(p, q), min(max(p, q), r))
        scale = table[0] / (z - x)
        all_re, all_im = difference3(x, y, z, table, long)
        xxy_re, xxy_im = difference3(x, x, y, table, long)
        xyy_re, xyy_im = difference3(x, y, y, table, long)
        yyz_re, yyz_im = difference3(y, y, z, table, long)
        yzz_re, yzz_im = difference3(y, z, z, table, long)
        # -f[x, x, y, z], -f[x, y, y, z], -f[x, y, z, z]
        low_re, low_im = (xxy_re - all_re) * scale, (xxy_im - all_im) * scale
        mid_re, mid_im = (xyy_re - yyz_re) * scale, (xyy_im - yyz_im) * scale
        top_re, top_im = (all_re - yzz_re) * scale, (all_im - yzz_im) * scale
        # where two points are equal, so are the two differences, and either will do
        p_re, p_im = mid_re, mid_im
        if p == x:
            p_re, p_im = low_re, low_im
        elif p == z:
            p_re, p_im = top_re, top_im
        r_re, r_im = mid_re, mid_im
        if r == z and p != z:
            r_re, r_im = top_re, top_im
        elif r == x and p != x:
            r_re, r_im = low_re, low_im
        q_re, q_im = mid_re, mid_im
        if q == x and p != x and r != x:
            q_re, q_im = low_re, low_im
        elif q == z and p != z and r != z:
            q_re, q_im = top_re, top_im
        return -all_re, -all_im, p_re, p_im, q_re, q_im, r_re, r_im

    return SimpleNamespace(value=value, gradient=gradient)
