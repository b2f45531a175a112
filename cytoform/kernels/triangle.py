"""Scalar formulas of the Fourier transform of a triangle, written once and compiled for the CPU and for CUDA.

With the phases a, b, c of the three corners at a frequency, the transform of a triangle of area A is 2 A G(a, b, c), G
= -f[a, b, c], f(x) = exp(-i x), where f[...] is a divided difference (Hermite-Genocchi). Its derivatives are dG/da =
-f[a, a, b, c] and so on. The centroid's phase m = (a + b + c) / 3 is taken out, so that p + q + r = 0 for the centred
phases p, q, r that remain, and G = exp(-i m) K(p, q, r). Nothing here divides by a difference that may be small:

* Where the largest of |p|, |q|, |r| is small, K is a power series in e2 = p q + q r + r p and e3 = p q r: K = sum over
  n of (-i)^n h_n / (n + 2)!, h_n = -e2 h_(n-2) + e3 h_(n-3). The derivatives need K and its slopes for e2 and e3 only:
  dG/da = exp(-i m) (-i K / 3 - p dK/de2 + (q r - e2 / 3) dK/de3), and both slopes are series in the g_n = h_n - e2
  g_(n-2) + e3 g_(n-3): dK/de2 = sum of (-i)^n g_n / (n + 4)!, dK/de3 = i sum of (-i)^n g_n / (n + 5)!.
* Elsewhere the points are sorted to x <= y <= z, and z - x > 4. Differences of two points are sinc functions, those of
  a doubled point are f[x, x, y] = exp(-i x) (-sinc²(d/2) / 2 + i (d - sin d) / d²), d = y - x, and one division by z -
  x leads from each order to the next.

All is straight-line code with selections instead of branches, sums unrolled when compiled, so that a compiler can put
16 frequencies into one vector register. Complex numbers are pairs (real, imaginary); every constant is in the working
precision, or it would lift float32 to float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, Protocol, TypeVar

import numpy as np

__all__ = [
    "BLOCK",
    "LANES",
    "SERIES_LIMIT",
    "SHORT_LIMIT",
    "Jit",
    "alternating_inverse_factorials",
    "compile_formulas",
    "polynomial",
    "polynomial_sincos",
]

LANES = 16  # frequencies in a step of the CPU's loops: those of one or a few vector registers
BLOCK = 32  # faces whose tables of phase factors these loops fill together

SERIES_LIMIT = 3.0  # the series is used where the largest centred phase is below this
SHORT_LIMIT = 1.0  # and with fewer terms below this
# Terms that reach rounding for float32 and float64: of the short and the long series, of sine and cosine up to pi / 2,
# of (d - sin d) / d^3 up to 2.
_TERMS = {np.float32: (14, 18), np.float64: (20, 26)}
_SINE_TERMS = {np.float32: 7, np.float64: 11}
_GAP_TERMS = {np.float32: 7, np.float64: 11}
_GAP_LIMIT = 2.0
# pi in parts, of which the first two have zeros at the end, so that their products with whole numbers are exact
_PI_PARTS = {
    np.float32: (3.140625, 9.670257568359375e-4, 6.278329465203569e-07),
    np.float64: (3.1415926534682512, 1.215420100718692e-10, 5.825464112186712e-20),
}

F = TypeVar("F", bound=Callable[..., Any])


class Jit(Protocol):
    """A decorator that compiles a function, for the CPU or for a CUDA device, and keeps its signature."""

    def __call__(self, function: F, /) -> F: ...


def polynomial(jit: Jit, coefficients: Sequence[Any]) -> Any:
    """Compile the polynomial c0 + c1 x + c2 x² + ... with `jit`, by Horner's scheme, unrolled four terms at a time.

    coefficients: c0, c1, ... in the working precision, at least one. The function returned takes and gives one number.
    """
    c0, c1, c2, c3 = [*coefficients, *[coefficients[0] * 0] * 3][:4]
    if len(coefficients) <= 4:

        @jit
        def last(x: Any) -> Any:
            return c0 + x * (c1 + x * (c2 + x * c3))

        return last
    rest = polynomial(jit, coefficients[4:])

    @jit
    def value(x: Any) -> Any:
        return c0 + x * (c1 + x * (c2 + x * (c3 + x * rest(x))))

    return value


def alternating_inverse_factorials(real: Any, factorials: Sequence[int]) -> list[Any]:
    """Return [1/k0!, -1/k1!, 1/k2!, ...] for the numbers k0, k1, ... in `factorials`, in the precision `real`."""
    return [real((-1.0) ** n / math.factorial(k)) for n, k in enumerate(factorials)]


def polynomial_sincos(jit: Jit, real: Any, floor: Any = np.floor, nearest: Any = np.rint) -> Any:
    """Compile sine and cosine of one number, without branches, tables or calls: Taylor's sums after whole half turns.

    The function returned takes x in radians and gives (sin x, cos x). The nearest multiple of π is subtracted first,
    with π in three parts. The error is a few units of the last place for arguments up to 1e4, beyond which it grows
    with them. `jit` is the compiler's decorator, `real` np.float32 or np.float64; `floor` and `nearest` round to whole
    numbers, as numbers of the same precision, where the compiler knows no NumPy.
    """
    count = _SINE_TERMS[real]
    sine = polynomial(jit, alternating_inverse_factorials(real, range(1, 2 * count, 2)))
    cosine = polynomial(jit, alternating_inverse_factorials(real, range(0, 2 * count, 2)))
    first, second, third = (real(part) for part in _PI_PARTS[real])
    per_half_turn, half, one, two = real(1 / math.pi), real(0.5), real(1), real(2)

    @jit
    def sincos(x: Any) -> Any:
        turns = nearest(x * per_half_turn)
        y = ((x - turns * first) - turns * second) - turns * third
        sign = one - two * (turns - two * floor(turns * half))
        return sign * (y * sine(y * y)), sign * cosine(y * y)

    return sincos


def _power_series(jit: Jit, real: Any, terms: int) -> tuple[Any, Any, Any, Any]:
    """Compile K, and K with its derivatives, by the power series in e2 and e3 (module docstring), for p + q + r = 0.

    `terms` is the order up to which the series are summed. All functions take (p, q, r); the first gives K as (real,
    imaginary), the second K, dG/da, dG/db, dG/dc (the latter three times exp(i m)) as eight reals. The third and the
    fourth do the same with K - 1/2 in the place of K: the series without its first term.
    """
    # (-i)^n / (n + k)!: the sign of its real or imaginary part, for n = 0, 1, 2, ...
    by2, by4, by5 = ([real((-1.0) ** (n // 2) / math.factorial(n + k)) for n in range(terms + 1)] for k in (2, 4, 5))
    zero, one, third = real(0), real(1), real(1 / 3)

    def value_from(n: int) -> Any:
        if n >= terms:

            @jit
            def done(s2: Any, e3: Any, h3: Any, h2: Any, h1: Any, even: Any, odd: Any) -> Any:
                return even, odd

            return done
        odd_factor, even_factor = -by2[n], by2[n + 1]
        rest = value_from(n + 2)

        @jit
        def step(s2: Any, e3: Any, h3: Any, h2: Any, h1: Any, even: Any, odd: Any) -> Any:
            h = s2 * h2 + e3 * h3
            next_h = s2 * h1 + e3 * h2
            return rest(s2, e3, h1, h, next_h, even + next_h * even_factor, odd + h * odd_factor)

        return step

    def gradient_from(n: int) -> Any:
        if n >= terms:

            @jit
            def done(
                s2: Any,
                e3: Any,
                h3: Any,
                h2: Any,
                h1: Any,
                g3: Any,
                g2: Any,
                g1: Any,
                k_re: Any,
                k_im: Any,
                a_re: Any,
                a_im: Any,
                b_re: Any,
                b_im: Any,
            ) -> Any:
                return k_re, k_im, a_re, a_im, b_re, b_im

            return done
        odd2, even2, odd4, even4, odd5, even5 = -by2[n], by2[n + 1], -by4[n], by4[n + 1], -by5[n], by5[n + 1]
        rest = gradient_from(n + 2)

        @jit
        def step(
            s2: Any,
            e3: Any,
            h3: Any,
            h2: Any,
            h1: Any,
            g3: Any,
            g2: Any,
            g1: Any,
            k_re: Any,
            k_im: Any,
            a_re: Any,
            a_im: Any,
            b_re: Any,
            b_im: Any,
        ) -> Any:
            h = s2 * h2 + e3 * h3
            g = s2 * g2 + (e3 * g3 + h)
            next_h = s2 * h1 + e3 * h2
            next_g = s2 * g1 + (e3 * g2 + next_h)
            return rest(
                s2, e3, h1, h, next_h, g1, g, next_g, k_re + next_h * even2, k_im + h * odd2,
                a_re + next_g * even4, a_im + g * odd4, b_re + next_g * even5, b_im + g * odd5,
            )  # fmt: skip

        return step

    sum_value, sum_gradient = value_from(3), gradient_from(3)
    k0, k2, a0, a2, b0, b2 = by2[0], by2[2], by4[0], by4[2], by5[0], by5[2]

    @jit
    def alone(x: Any) -> Any:
        return x

    @jit
    def with_first(x: Any) -> Any:
        return k0 + x

    def value_begun(begin: Any) -> Any:
        @jit
        def value(p: Any, q: Any, r: Any) -> Any:
            s2 = -(p * q + r * (p + q))
            return sum_value(s2, p * q * r, one, zero, s2, begin(s2 * k2), zero)

        return value

    def gradient_begun(begin: Any, whole: Any) -> Any:
        @jit
        def gradient(p: Any, q: Any, r: Any) -> Any:
            qr, rp, pq = q * r, r * p, p * q
            e2 = pq + r * (p + q)
            s2 = -e2
            k_re, k_im, a_re, a_im, b_re, b_im = sum_gradient(
                s2, p * qr, one, zero, s2, one, zero, s2 + s2,
                begin(s2 * k2), zero, a0 + (s2 + s2) * a2, zero, b0 + (s2 + s2) * b2, zero,
            )  # fmt: skip
            common, m_re, m_im = e2 * third, k_im * third, -(whole(k_re) * third)
            slope = qr - common
            p_re, p_im = m_re - p * a_re - slope * b_im, m_im - p * a_im + slope * b_re
            slope = rp - common
            q_re, q_im = m_re - q * a_re - slope * b_im, m_im - q * a_im + slope * b_re
            slope = pq - common
            r_re, r_im = m_re - r * a_re - slope * b_im, m_im - r * a_im + slope * b_re
            return k_re, k_im, p_re, p_im, q_re, q_im, r_re, r_im

        return gradient

    # begun with the first term (and then whole), or without it
    return (
        value_begun(with_first), gradient_begun(with_first, alone),
        value_begun(alone), gradient_begun(alone, with_first),
    )  # fmt: skip


def _divided_differences(jit: Jit, real: Any, sincos: Any) -> tuple[Any, Any, Any, Any]:
    """Compile K, and K with its derivatives, by divided differences; for spreads above SERIES_LIMIT.

    `sincos` is sine and cosine, compiled for the same target. The functions are those of :func:`_power_series`.
    """
    zero, one, half, two, limit = real(0), real(1), real(0.5), real(2), real(_GAP_LIMIT)
    gap_series = polynomial(jit, alternating_inverse_factorials(real, range(3, 2 * _GAP_TERMS[real] + 3, 2)))

    @jit
    def in_order(p: Any, q: Any, r: Any) -> Any:
        low, high = min(p, min(q, r)), max(p, max(q, r))
        return low, max(min(p, q), min(max(p, q), r)), high

    @jit
    def sinc(sine: Any, u: Any) -> Any:
        divisor = one if u == zero else u
        return one if u == zero else sine / divisor

    @jit
    def gap_part(d: Any, sine: Any, cosine: Any) -> Any:
        """(d - sin d) / d², from the sine and cosine of d / 2."""
        divisor = one if d < one else d
        direct = (divisor - two * sine * cosine) / (divisor * divisor)
        return d * gap_series(d * d) if d <= limit else direct

    @jit
    def value(p: Any, q: Any, r: Any) -> Any:
        x, y, z = in_order(p, q, r)
        u, v = half * (y - x), half * (z - y)
        sin_u, cos_u = sincos(u)
        sin_v, cos_v = sincos(v)
        sin_low, cos_low = sincos(half * (x + y))
        # half the way from x + y to y + z is u + v
        cosine, sine = cos_u * cos_v - sin_u * sin_v, sin_u * cos_v + cos_u * sin_v
        sin_high, cos_high = sin_low * cosine + cos_low * sine, cos_low * cosine - sin_low * sine
        low, high, scale = sinc(sin_u, u), sinc(sin_v, v), one / (z - x)
        return (sin_high * high - sin_low * low) * scale, (cos_high * high - cos_low * low) * scale

    @jit
    def gradient(p: Any, q: Any, r: Any) -> Any:
        x, y, z = in_order(p, q, r)
        d1, d2 = y - x, z - y
        u, v = half * d1, half * d2
        sin_u, cos_u = sincos(u)
        sin_v, cos_v = sincos(v)
        sin_y, cos_y = sincos(y)
        sinc_u, sinc_v = sinc(sin_u, u), sinc(sin_v, v)
        odd_u, odd_v = gap_part(d1, sin_u, cos_u), gap_part(d2, sin_v, cos_v)
        even_u, even_v = half * sinc_u * sinc_u, half * sinc_v * sinc_v
        # at (x + y) / 2 = y - u, x = y - 2 u, (y + z) / 2 = y + v, z = y + 2 v
        cos_low, sin_low = cos_y * cos_u + sin_y * sin_u, sin_y * cos_u - cos_y * sin_u
        cos_x, sin_x = cos_low * cos_u + sin_low * sin_u, sin_low * cos_u - cos_low * sin_u
        cos_high, sin_high = cos_y * cos_v - sin_y * sin_v, sin_y * cos_v + cos_y * sin_v
        cos_z, sin_z = cos_high * cos_v - sin_high * sin_v, sin_high * cos_v + cos_high * sin_v
        scale = one / (z - x)
        k_re = (sin_high * sinc_v - sin_low * sinc_u) * scale
        k_im = (cos_high * sinc_v - cos_low * sinc_u) * scale
        # f[x, x, y], f[x, y, y], f[y, y, z], f[y, z, z]
        xxy_re, xxy_im = sin_x * odd_u - cos_x * even_u, cos_x * odd_u + sin_x * even_u
        xyy_re, xyy_im = -(sin_y * odd_u) - cos_y * even_u, sin_y * even_u - cos_y * odd_u
        yyz_re, yyz_im = sin_y * odd_v - cos_y * even_v, cos_y * odd_v + sin_y * even_v
        yzz_re, yzz_im = -(sin_z * odd_v) - cos_z * even_v, sin_z * even_v - cos_z * odd_v
        # -f[x, x, y, z], -f[x, y, y, z], -f[x, y, z, z]
        low_re, low_im = (k_re + xxy_re) * scale, (k_im + xxy_im) * scale
        mid_re, mid_im = (xyy_re - yyz_re) * scale, (xyy_im - yyz_im) * scale
        top_re, top_im = -((k_re + yzz_re) * scale), -((k_im + yzz_im) * scale)
        # back to the order given; where two points are equal, so are the two differences, and either will do
        p_low, p_top = p == x, p == z
        r_low, r_top = (r == x) and (p != x), (r == z) and (p != z)
        q_low, q_top = (q == x) and (p != x) and (r != x), (q == z) and (p != z) and (r != z)
        p_re, p_im = (
            low_re if p_low else (top_re if p_top else mid_re),
            low_im if p_low else (top_im if p_top else mid_im),
        )
        q_re, q_im = (
            low_re if q_low else (top_re if q_top else mid_re),
            low_im if q_low else (top_im if q_top else mid_im),
        )
        r_re, r_im = (
            low_re if r_low else (top_re if r_top else mid_re),
            low_im if r_low else (top_im if r_top else mid_im),
        )
        return k_re, k_im, p_re, p_im, q_re, q_im, r_re, r_im

    @jit
    def reduced_value(p: Any, q: Any, r: Any) -> Any:
        re, im = value(p, q, r)
        return re - half, im

    @jit
    def reduced_gradient(p: Any, q: Any, r: Any) -> Any:
        re, im, a, b, c, d, e, f = gradient(p, q, r)
        return re - half, im, a, b, c, d, e, f

    return value, gradient, reduced_value, reduced_gradient


def _without_branches(jit: Jit, spread: Any, long_limit: Any) -> tuple[Any, Any]:
    """Return two functions that compile a formula which computes two others and selects one of them by the spread.

    The first is for formulas of a value, of two reals, the second for those of a gradient, of eight. Both take the
    formula up to `long_limit` and the one beyond; `spread` is compiled and gives the largest of |p|, |q|, |r|.
    """

    def mixed_value(long_value: Any, large_value: Any) -> Any:
        @jit
        def mixed(p: Any, q: Any, r: Any) -> Any:
            near = spread(p, q, r) <= long_limit
            one, two = long_value(p, q, r)
            other_one, other_two = large_value(p, q, r)
            return one if near else other_one, two if near else other_two

        return mixed

    def mixed_gradient(long_gradient: Any, large_gradient: Any) -> Any:
        @jit
        def mixed(p: Any, q: Any, r: Any) -> Any:
            near = spread(p, q, r) <= long_limit
            a, b, c, d, e, f, g, h = long_gradient(p, q, r)
            s, t, u, v, w, x, y, z = large_gradient(p, q, r)
            return (
                a if near else s, b if near else t, c if near else u, d if near else v,
                e if near else w, f if near else x, g if near else y, h if near else z,
            )  # fmt: skip

        return mixed

    return mixed_value, mixed_gradient


def compile_formulas(jit: Jit, real: Any, sincos: Any) -> SimpleNamespace:
    """Compile the formulas with `jit`: ``numba.njit`` or the decorator of CUDA device functions.

    Parameters
    ----------
    jit : callable
        Decorator that compiles a scalar function.
    real : np.float32 or np.float64
        The working precision.
    sincos : callable
        Sine and cosine of one number as a pair, compiled for the same target (:func:`polynomial_sincos`).

    Returns
    -------
    SimpleNamespace
        ``value(p, q, r)``: K as (real, imaginary). ``gradient(p, q, r)``: K, dG/da, dG/db, dG/dc (the latter three
        times exp(i m)) as eight reals. p + q + r = 0 in all. Each chooses by the spread, the largest of |p|, |q|, |r|,
        between three cases that are there by name as well: ``short_`` up to SHORT_LIMIT and ``long_`` up to
        SERIES_LIMIT (power series), ``large_`` above (divided differences). ``mixed_`` chooses between the latter two
        without a branch. ``reduced_value`` and ``reduced_gradient``, and those of each case (``short_reduced_value``
        and so on), give K - 1/2 in the place of K, with all its digits where the spread is small.
    """
    short, long = _TERMS[real]
    cases = {
        "short": _power_series(jit, real, short), "long": _power_series(jit, real, long),
        "large": _divided_differences(jit, real, sincos),
    }  # fmt: skip
    short_limit, long_limit = real(SHORT_LIMIT), real(SERIES_LIMIT)

    @jit
    def spread(p: Any, q: Any, r: Any) -> Any:
        return max(abs(p), max(abs(q), abs(r)))

    def by_spread(short_case: Any, long_case: Any, large_case: Any) -> Any:
        @jit
        def formula(p: Any, q: Any, r: Any) -> Any:
            largest = spread(p, q, r)
            if largest <= short_limit:
                return short_case(p, q, r)
            if largest <= long_limit:
                return long_case(p, q, r)
            return large_case(p, q, r)

        return formula

    found: dict[str, Any] = {}
    mixed_value, mixed_gradient = _without_branches(jit, spread, long_limit)
    for number, quantity in enumerate(("value", "gradient", "reduced_value", "reduced_gradient")):
        of_cases = {case: formulas[number] for case, formulas in cases.items()}
        mix = mixed_value if quantity.endswith("value") else mixed_gradient
        found |= {f"{case}_{quantity}": formula for case, formula in of_cases.items()}
        found[f"mixed_{quantity}"] = mix(of_cases["long"], of_cases["large"])
        found[quantity] = by_spread(*of_cases.values())
    return SimpleNamespace(**found)
