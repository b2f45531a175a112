"""Scalar formulas of the Fourier transform of simplices of order 0 to 3, written once for the CPU and for CUDA.

A point, segment, triangle or tetrahedron of size |σ| (1, length, area, volume) and order k with phases a0 ... ak at its
corners has the transform k! |σ| G, G = i^k f[a0, ..., ak], f(x) = exp(-i x), where f[...] is a divided difference
(Hermite-Genocchi). With the centroid's phase m taken out, G = exp(-i m) K of the centred phases, whose sum is 0. The
derivative for a corner is i^k f[a0, ..., ak, aj]. Nothing here divides by a difference that may be small:

* order 0: K = 1.
* order 1: K = sinc p for the phases p and -p; the derivatives are exp(-i m) (-i sinc p ± sinc' p) / 2.
* order 2: as in :mod:`.triangle`.
* order 3: for spreads up to SERIES_LIMIT a power series in the elementary symmetric polynomials of the centred phases,
  K = sum of (-i)^n h_n / (n + 3)!, h_n = -e2 h_(n-2) + e3 h_(n-3) - e4 h_(n-4); for the derivatives H_n = h_n + p
  H_(n-1) and sum of (-i)^(n+1) H_n / (n + 4)!. Beyond, with the phases sorted, the widest difference is larger than 4,
  and G is that of the two triangles without the first or the last corner, their difference divided by it; a derivative
  is the same of two tetrahedra that have a corner twice.

All formulas have one signature: they take the centred phases p, q, r of the first three corners (of fewer where there
are fewer), and that of the last is minus their sum. Complex numbers are pairs (real, imaginary).
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from . import triangle
from .triangle import SERIES_LIMIT, Jit

__all__ = ["ORDERS", "compile_formulas"]

ORDERS = (0, 1, 2, 3)  # points, segments, triangles, tetrahedra
# Terms of the series that reach rounding for float32 and float64, of order 3 up to SERIES_LIMIT; of sinc up to 1.
_TERMS = {np.float32: 20, np.float64: 28}
_SINC_TERMS = {np.float32: 6, np.float64: 10}


def _point_formulas(jit: Jit, real: Any) -> tuple[Any, Any]:
    """Compile value and gradient of order 0: K = 1, dG/da = -i exp(-i a)."""
    zero, one = real(0), real(1)

    @jit
    def value(p: Any, q: Any, r: Any) -> Any:
        return one, zero

    @jit
    def gradient(p: Any, q: Any, r: Any) -> Any:
        return one, zero, zero, -one, zero, zero, zero, zero, zero, zero

    return value, gradient


def _segment_formulas(jit: Jit, real: Any, sincos: Any) -> tuple[Any, Any]:
    """Compile value and gradient of order 1, K = sinc p; `sincos` is compiled for the same target."""
    zero, half, one = real(0), real(0.5), real(1)
    factorials = range(1, 2 * _SINC_TERMS[real] + 1, 2)
    sinc_series = triangle.polynomial(jit, triangle.alternating_inverse_factorials(real, factorials))
    # sinc' p = p Σ (-1)^n 2 n p^(2 n - 2) / (2 n + 1)! = -p Σ (-1)^n p^(2 n) (2 n + 2) / (2 n + 3)!
    inverse = triangle.alternating_inverse_factorials(real, range(3, 2 * _SINC_TERMS[real] + 3, 2))
    slope_series = triangle.polynomial(jit, [real(c * (2 * n + 2)) for n, c in enumerate(inverse)])

    @jit
    def both(p: Any) -> Any:
        near = abs(p) <= one
        square = p * p if near else one
        divisor = one if near else p
        sine, cosine = sincos(p)
        sinc = sinc_series(square) if near else sine / divisor
        return sinc, -(p * slope_series(square)) if near else (cosine - sinc) / divisor

    @jit
    def value(p: Any, q: Any, r: Any) -> Any:
        return both(p)[0], zero

    @jit
    def gradient(p: Any, q: Any, r: Any) -> Any:
        sinc, slope = both(p)
        return sinc, zero, half * slope, -half * sinc, -half * slope, -half * sinc, zero, zero, zero, zero

    return value, gradient


def _tetrahedron_series(jit: Jit, real: Any) -> tuple[Any, Any]:
    """Compile K of order 3, and K with its four derivatives times exp(i m), by their power series."""
    zero, one, two, terms = real(0), real(1), real(2), _TERMS[real]
    sixth = real(1 / 6)

    @jit
    def symmetric(p: Any, q: Any, r: Any, s: Any) -> Any:
        pq, rs, sums = p * q, r * s, (p + q) * (r + s)
        return pq + rs + sums, pq * (r + s) + rs * (p + q), pq * rs

    @jit
    def value(p: Any, q: Any, r: Any, s: Any) -> Any:
        e2, e3, e4 = symmetric(p, q, r, s)
        h1, h2, h3, h = zero, zero, zero, one  # of n - 1, n - 2, n - 3 and n
        re, im, factor, sign, count = zero, zero, sixth, one, real(4)
        for _ in range(0, terms, 2):
            re += sign * factor * h
            h, h1, h2, h3 = e3 * h2 - e2 * h1 - e4 * h3, h, h1, h2
            factor = factor / count
            im -= sign * factor * h
            h, h1, h2, h3 = e3 * h2 - e2 * h1 - e4 * h3, h, h1, h2
            factor = factor / (count + one)
            count += two
            sign = -sign
        return re, im

    @jit
    def gradient(p: Any, q: Any, r: Any, s: Any) -> Any:
        e2, e3, e4 = symmetric(p, q, r, s)
        h1, h2, h3, h = zero, zero, zero, one
        a, b, c, d = one, one, one, one  # H_n of each corner
        re, im, factor, sign, count = zero, zero, sixth, one, real(4)
        a_re, a_im, b_re, b_im, c_re, c_im, d_re, d_im = zero, zero, zero, zero, zero, zero, zero, zero
        for _ in range(0, terms, 2):
            re += sign * factor * h
            factor = factor / count
            weight = sign * factor
            a_im -= weight * a
            b_im -= weight * b
            c_im -= weight * c
            d_im -= weight * d
            h, h1, h2, h3 = e3 * h2 - e2 * h1 - e4 * h3, h, h1, h2
            a, b, c, d = h + p * a, h + q * b, h + r * c, h + s * d
            im -= weight * h
            factor = factor / (count + one)
            weight = sign * factor
            a_re -= weight * a
            b_re -= weight * b
            c_re -= weight * c
            d_re -= weight * d
            h, h1, h2, h3 = e3 * h2 - e2 * h1 - e4 * h3, h, h1, h2
            a, b, c, d = h + p * a, h + q * b, h + r * c, h + s * d
            count += two
            sign = -sign
        return re, im, a_re, a_im, b_re, b_im, c_re, c_im, d_re, d_im

    return value, gradient


def _tetrahedron_differences(jit: Jit, real: Any, sincos: Any, face: Any, series: Any) -> tuple[Any, Any]:
    """Compile K of order 3, and K with its derivatives, by divided differences; for spreads above SERIES_LIMIT.

    `face` is K of a triangle, `series` K of order 3 for smaller spreads.
    """
    one, third, quarter, limit = real(1), real(1 / 3), real(0.25), real(SERIES_LIMIT)

    @jit
    def of_triangle(x: Any, y: Any, z: Any) -> Any:
        m = (x + y + z) * third
        re, im = face(x - m, y - m, z - m)
        sine, cosine = sincos(m)
        return cosine * re + sine * im, cosine * im - sine * re

    @jit
    def divided(high_re: Any, high_im: Any, low_re: Any, low_im: Any, scale: Any) -> Any:
        """Return i (high - low) · scale."""
        return (low_im - high_im) * scale, (high_re - low_re) * scale

    @jit
    def of_sorted(w: Any, x: Any, y: Any, z: Any) -> Any:
        """Return G of four phases in order, of any spread."""
        m = (w + x + y + z) * quarter
        if max(m - w, z - m) <= limit:
            re, im = series(w - m, x - m, y - m, z - m)
            sine, cosine = sincos(m)
            return cosine * re + sine * im, cosine * im - sine * re
        high_re, high_im = of_triangle(x, y, z)
        low_re, low_im = of_triangle(w, x, y)
        return divided(high_re, high_im, low_re, low_im, one / (z - w))

    @jit
    def in_order(p: Any, q: Any, r: Any, s: Any) -> Any:
        a, b, c, d = min(p, q), max(p, q), min(r, s), max(r, s)
        e, f = max(a, c), min(b, d)
        return min(a, c), min(e, f), max(e, f), max(b, d)

    @jit
    def value(p: Any, q: Any, r: Any, s: Any) -> Any:
        w, x, y, z = in_order(p, q, r, s)
        return of_sorted(w, x, y, z)

    @jit
    def pick(a: Any, w: Any, x: Any, z: Any, of_w: Any, of_x: Any, of_y: Any, of_z: Any) -> Any:
        """Return the number of the sorted phase that a phase is equal to."""
        return of_w if a == w else (of_z if a == z else (of_x if a == x else of_y))

    @jit
    def gradient(p: Any, q: Any, r: Any, s: Any) -> Any:
        w, x, y, z = in_order(p, q, r, s)
        scale = one / (z - w)
        re, im = of_sorted(w, x, y, z)
        l_re, l_im = of_sorted(w, w, x, y)
        w_re, w_im = divided(re, im, l_re, l_im, scale)
        h_re, h_im = of_sorted(x, x, y, z)
        l_re, l_im = of_sorted(w, x, x, y)
        x_re, x_im = divided(h_re, h_im, l_re, l_im, scale)
        h_re, h_im = of_sorted(x, y, y, z)
        l_re, l_im = of_sorted(w, x, y, y)
        y_re, y_im = divided(h_re, h_im, l_re, l_im, scale)
        h_re, h_im = of_sorted(x, y, z, z)
        z_re, z_im = divided(h_re, h_im, re, im, scale)
        # the derivative is -i times i^4 f[...]
        return (
            re, im, pick(p, w, x, z, w_im, x_im, y_im, z_im), -pick(p, w, x, z, w_re, x_re, y_re, z_re),
            pick(q, w, x, z, w_im, x_im, y_im, z_im), -pick(q, w, x, z, w_re, x_re, y_re, z_re),
            pick(r, w, x, z, w_im, x_im, y_im, z_im), -pick(r, w, x, z, w_re, x_re, y_re, z_re),
            pick(s, w, x, z, w_im, x_im, y_im, z_im), -pick(s, w, x, z, w_re, x_re, y_re, z_re),
        )  # fmt: skip

    return value, gradient


def _tetrahedron_formulas(jit: Jit, real: Any, sincos: Any, face: Any) -> tuple[Any, Any]:
    """Compile value and gradient of order 3, which choose by the spread of the phases; `face` is K of a triangle."""
    near_value, near_gradient = _tetrahedron_series(jit, real)
    far_value, far_gradient = _tetrahedron_differences(jit, real, sincos, face, near_value)
    limit = real(SERIES_LIMIT)

    @jit
    def value(p: Any, q: Any, r: Any) -> Any:
        s = -(p + q + r)
        if max(max(abs(p), abs(q)), max(abs(r), abs(s))) <= limit:
            return near_value(p, q, r, s)
        return far_value(p, q, r, s)

    @jit
    def gradient(p: Any, q: Any, r: Any) -> Any:
        s = -(p + q + r)
        if max(max(abs(p), abs(q)), max(abs(r), abs(s))) <= limit:
            return near_gradient(p, q, r, s)
        return far_gradient(p, q, r, s)

    return value, gradient


def compile_formulas(jit: Jit, real: Any, sincos: Any) -> dict[int, SimpleNamespace]:
    """Compile the formulas of all orders with `jit`: ``numba.njit`` or the decorator of CUDA device functions.

    Parameters
    ----------
    jit : callable
        Decorator that compiles a scalar function.
    real : np.float32 or np.float64
        The working precision.
    sincos : callable
        Sine and cosine of one number as a pair, compiled for the same target (:func:`.triangle.polynomial_sincos`).

    Returns
    -------
    dict of int to SimpleNamespace
        By the order, 0 to 3. ``value(p, q, r)``: K as (real, imaginary). ``gradient(p, q, r)``: K and the derivatives
        of G for four corners (0 for those that are not there), times exp(i m), as ten reals.
    """
    faces = triangle.compile_formulas(jit, real, sincos)
    face_value, face_gradient, zero = faces.value, faces.gradient, real(0)

    @jit
    def triangle_value(p: Any, q: Any, r: Any) -> Any:
        return face_value(p, q, -(p + q))

    @jit
    def triangle_gradient(p: Any, q: Any, r: Any) -> Any:
        re, im, a, b, c, d, e, f = face_gradient(p, q, -(p + q))
        return re, im, a, b, c, d, e, f, zero, zero

    pairs = {
        0: _point_formulas(jit, real), 1: _segment_formulas(jit, real, sincos), 2: (triangle_value, triangle_gradient),
        3: _tetrahedron_formulas(jit, real, sincos, faces.value),
    }  # fmt: skip
    return {order: SimpleNamespace(value=value, gradient=gradient) for order, (value, gradient) in pairs.items()}
