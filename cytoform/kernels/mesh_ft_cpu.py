"""Exact Fourier transform of a triangle mesh and its adjoint, on all cores.

Frequencies come as *lines*: runs along one axis of a grid's spectrum, in steps of LANES frequencies that the compiler
puts into one vector register. Along a line the centred phases of a triangle are linear, and the phase factor of its
centroid is a product of three numbers from tables, so that the inner loop computes no sine or cosine except for wide
spreads (differences of a triangle's phases). For every step the widest spread at its two ends decides which formula
serves all its frequencies (:mod:`.triangle`).

Phases are formed in float64 for both precisions and reduced modulo 2π in the tables; along a line, series and products
are computed in the working precision. Sums over triangles are in float64 and in a fixed order, those over the
frequencies of a line in the working precision: a result does not depend on the number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias, cast

import numba
import numpy as np
from numba.extending import overload

from .._typing import AnyFloats, Floats, Ints
from . import triangle

__all__ = [
    "FORMULAS",
    "cos_sin_of_product",
    "dispatch_by_case",
    "end_of_case",
    "fill_offsets",
    "formula_case",
    "inline",
    "inline_sums",
    "mesh_ft",
    "mesh_ft_lines",
    "mesh_ft_lines_adjoint",
]

LANES, BLOCK = triangle.LANES, triangle.BLOCK
_FAST = {"contract"}
_TWO_PI = 2.0 * math.pi
# 2π in two parts, the first with zeros at the end: up to 2**20 multiples of it are subtracted without an error.
_TWO_PI_HIGH = 6.2831853069365025
_TWO_PI_LOW = 2.430840202602477e-10
_SPLITTER = 2.0**27 + 1.0  # Veltkamp's constant: splits a float64 into a high and a low half of its digits
_SHORT, _LONG = triangle.SHORT_LIMIT, triangle.SERIES_LIMIT

# Tables of faces that _fill_tables fills: centres, edges and the phase factors on the three axes.
Tables: TypeAlias = tuple[Floats, Floats, Floats, Floats, AnyFloats]

inline = cast(triangle.Jit, numba.njit(error_model="numpy", fastmath=_FAST, forceinline=True))
# Sums may be divided between vector lanes; the formulas themselves are compiled without permission to reorder.
inline_sums = cast(triangle.Jit, numba.njit(error_model="numpy", fastmath={"contract", "reassoc"}, forceinline=True))
_inline_exact = cast(triangle.Jit, numba.njit(error_model="numpy", forceinline=True))
FORMULAS = {real: triangle.compile_formulas(inline, real, triangle.polynomial_sincos(inline, real)) for real in
            (np.float32, np.float64)}  # fmt: skip


def _formula_for_precision(name: str) -> Any:
    """Return one of the formulas of :mod:`.triangle` as a function that selects the precision of its arguments.

    `name` is an attribute of the namespace that :func:`.triangle.compile_formulas` returns, such as ``"long_value"``.
    The function takes the centred phases p, q, r and can be called from compiled code only.
    """

    def formula(p: Any, q: Any, r: Any) -> Any:
        raise NotImplementedError

    @overload(formula, jit_options={"error_model": "numpy", "fastmath": _FAST, "forceinline": True})
    def choose(p: Any, q: Any, r: Any) -> Any:
        chosen = getattr(FORMULAS[np.float32 if p == numba.types.float32 else np.float64], name)

        def call(p: Any, q: Any, r: Any) -> Any:
            return chosen(p, q, r)

        return call

    return formula


_value = _formula_for_precision("value")


@numba.njit(parallel=True, cache=True, error_model="numpy", fastmath=_FAST)
def mesh_ft(corners: Floats, weights: Floats, frequencies: Floats, like: AnyFloats, out: Floats) -> None:
    """Fill `out` with the transform of a mesh at frequencies anywhere: Σ over faces f of weights[f] G(ξ_k).

    corners (n_faces, 3 corners, 3 axes) and frequencies (n, 3) float64, per unit of the corners; weights (n_faces,)
    float64, twice the area times the density; `like`, an array of any size whose dtype is the working precision; out
    (n, 2) float64, real and imaginary part. G is the formula of :mod:`.triangle`.
    """
    for k in numba.prange(frequencies.shape[0]):
        kz, ky, kx = frequencies[k, 0], frequencies[k, 1], frequencies[k, 2]
        total_re, total_im = 0.0, 0.0
        for f in range(corners.shape[0]):
            a = corners[f, 0, 0] * kz + corners[f, 0, 1] * ky + corners[f, 0, 2] * kx
            b = corners[f, 1, 0] * kz + corners[f, 1, 1] * ky + corners[f, 1, 2] * kx
            c = corners[f, 2, 0] * kz + corners[f, 2, 1] * ky + corners[f, 2, 2] * kx
            m = (a + b + c) / 3.0
            re, im = _value(like.dtype.type(a - m), like.dtype.type(b - m), like.dtype.type(c - m))
            cosine, sine = _cos_sin(m)
            total_re += weights[f] * (cosine * re + sine * im)
            total_im += weights[f] * (cosine * im - sine * re)
        out[k, 0] = total_re
        out[k, 1] = total_im


@inline
def _cos_sin(phase: float) -> tuple[float, float]:
    """Return cosine and sine of a float64 phase in radians."""
    return _cos_sin_of_sum(phase, 0.0)


@_inline_exact
def _cos_sin_of_sum(phase: float, rounding: float) -> tuple[float, float]:
    """Return cosine and sine of phase + rounding, a phase in radians with more digits than one float64 holds.

    The nearest multiple of 2π is subtracted from `phase` first, with 2π in two parts so that nothing is lost.
    """
    turns = np.rint(phase / _TWO_PI)
    angle = ((phase - turns * _TWO_PI_HIGH) - turns * _TWO_PI_LOW) + rounding
    return math.cos(angle), math.sin(angle)


@_inline_exact
def cos_sin_of_product(position: float, position_rounding: float, frequency: float) -> tuple[float, float]:
    """Return cosine and sine of (position + position_rounding) · frequency, with no digit lost in the product.

    The rounding error of the product is computed exactly (Dekker's product of two split numbers).
    """
    phase = position * frequency
    a, b = _SPLITTER * position, _SPLITTER * frequency
    a, b = a - (a - position), b - (b - frequency)
    c, d = position - a, frequency - b
    return _cos_sin_of_sum(phase, (((a * b - phase) + a * d + c * b) + c * d) + position_rounding * frequency)


@inline
def formula_case(p0: float, p1: float, q0: float, q1: float, first: float, last: float) -> int:
    """Return which formula serves all frequencies from `first` to `last` on a line: 0 short, 1 long, 2 large, 3 mixed.

    The centred phases at frequency y are p0 + p1 y, q0 + q1 y and minus their sum. The largest absolute phase at the
    two ends bounds all others between them, as it is convex: up to SHORT_LIMIT the short series serves, up to
    SERIES_LIMIT the long series. Where it is certainly above SERIES_LIMIT in between as well, divided differences serve
    (large), else a selection between both for each frequency (mixed).
    """
    r0, r1 = -(p0 + q0), -(p1 + q1)
    here = max(abs(p0 + p1 * first), max(abs(q0 + q1 * first), abs(r0 + r1 * first)))
    there = max(abs(p0 + p1 * last), max(abs(q0 + q1 * last), abs(r0 + r1 * last)))
    largest = max(here, there)  # the spread is convex along a line
    if largest <= _SHORT:
        return 0
    if largest <= _LONG:
        return 1
    steepest = max(abs(p1), max(abs(q1), abs(r1)))
    if here + there - steepest * abs(last - first) > 2.0 * _LONG:  # twice the least it can be in between
        return 2
    return 3


@inline
def end_of_case(
    case: int, step: int, stop: int, p0: float, p1: float, q0: float, q1: float, lows: Floats, highs: Floats
) -> int:
    """Return the first step after `step`, at most `stop`, that needs another formula than `case`.

    Phases as in :func:`formula_case`; lows and highs (n_steps,) are the first and the last frequency of every step.
    """
    step += 1
    while step < stop and formula_case(p0, p1, q0, q1, lows[step], highs[step]) == case:
        step += 1
    return step


def dispatch_by_case(make: Callable[[Any], Any], quantity: str) -> Any:
    """Return a compiled function that calls one of four loops by the case of :func:`formula_case`.

    `make` builds a loop from a formula; `quantity` ("value" or "gradient") names the formulas, one for each case. The
    function takes the case (0 to 3) and then the arguments of the loop.
    """
    short, long, large, mixed = (
        make(_formula_for_precision(f"{case}_{quantity}")) for case in ("short", "long", "large", "mixed")
    )

    @inline
    def chosen(case: int, *arguments: Any) -> Any:
        if case == 0:
            return short(*arguments)
        if case == 1:
            return long(*arguments)
        if case == 2:
            return large(*arguments)
        return mixed(*arguments)

    return chosen


def _make_value_loop(formula: Any) -> Any:
    """Return a compiled loop that adds a face's transform on a part of a line to `out_re` and `out_im`.

    `formula` gives K of the centred phases p0 + p1 y and q0 + q1 y at frequency y, for the steps `start` to before
    `stop`; the phase factor of the centroid is the product of (cosine, sine), from the other two axes, and (cosines,
    sines), along the line.
    """

    @inline
    def add(
        start: int,
        stop: int,
        p0: Any,
        p1: Any,
        q0: Any,
        q1: Any,
        cosine: Any,
        sine: Any,
        weight: float,
        lane: AnyFloats,
        cosines: AnyFloats,
        sines: AnyFloats,
        out_re: Floats,
        out_im: Floats,
    ) -> None:
        for j in range(np.uint64(start * LANES), np.uint64(stop * LANES)):  # unsigned: no index counts from the end
            p, q = p0 + p1 * lane[j], q0 + q1 * lane[j]
            re, im = formula(p, q, -(p + q))
            c, s = cosine * cosines[j] - sine * sines[j], cosine * sines[j] + sine * cosines[j]
            out_re[j] += weight * np.float64(c * re + s * im)
            out_im[j] += weight * np.float64(c * im - s * re)

    return add


_add_values = dispatch_by_case(_make_value_loop, "value")


@numba.njit(error_model="numpy")
def _fill_tables(
    corner: Floats,
    axis0: Floats,
    axis1: Floats,
    axis2: Floats,
    centre: Floats,
    edge: Floats,
    factors0: Floats,
    factors1: Floats,
    factors2: AnyFloats,
) -> None:
    """Fill the tables of one face: its centroid, two corners relative to it, phase factors along the three axes.

    corner (3 corners, 3 axes), the face; axis0, axis1, axis2, the frequencies on the three axes. Filled: centre (2, 3),
    the centroid and its rounding error; edge (2, 3), first and second corner minus the centroid; factors0 (n0, 2),
    factors1 (n1, 2) and factors2 (2, n2), cosine and sine of centroid · frequency on each axis.
    """
    fill_offsets(corner, centre, edge)
    for i in range(len(axis0)):
        factors0[i, 0], factors0[i, 1] = cos_sin_of_product(centre[0, 0], centre[1, 0], axis0[i])
    for i in range(len(axis1)):
        factors1[i, 0], factors1[i, 1] = cos_sin_of_product(centre[0, 1], centre[1, 1], axis1[i])
    for i in range(len(axis2)):
        factors2[0, i], factors2[1, i] = cos_sin_of_product(centre[0, 2], centre[1, 2], axis2[i])


@numba.njit(error_model="numpy")
def fill_offsets(corner: Floats, centre: Floats, edge: Floats) -> None:
    """Fill the centroid of one face and two of its corners relative to it.

    corner (3 corners, 3 axes), the face. Filled: centre (2, 3), the centroid and its rounding error; edge (2, 3), first
    and second corner minus the centroid.
    """
    for d in range(3):
        # edges from the first corner are far smaller than positions, and so are their rounding errors
        to_second, to_third = corner[1, d] - corner[0, d], corner[2, d] - corner[0, d]
        away = (to_second + to_third) / 3.0
        centre[0, d] = corner[0, d] + away
        part = centre[0, d] - corner[0, d]
        centre[1, d] = (corner[0, d] - (centre[0, d] - part)) + (away - part)
        edge[0, d] = -away
        edge[1, d] = to_second - away


@numba.njit(parallel=True, cache=True, error_model="numpy", fastmath=_FAST)
def mesh_ft_lines(
    corners: Floats,
    weights: Floats,
    axis0: Floats,
    axis1: Floats,
    axis2: Floats,
    along: AnyFloats,
    lows: Floats,
    highs: Floats,
    lines: Ints,
    work: Tables,
    out: Floats,
) -> None:
    """Fill `out` with the transform of a mesh on lines of a spectrum: Σ over faces f of weights[f] G.

    out[n, :, j] belongs to the frequency (axis0[i0], axis1[i1], axis2[j]) with lines[n] = (i0, i1, from, to), where
    line n runs from step `from` to before step `to` of LANES frequencies each; it is zero outside.

    corners (n_faces, 3, 3) and weights (n_faces,) float64, coordinates in the order of the axes; axis0, axis1 and axis2
    float64 frequencies, the last padded to whole steps; `along`, axis2 in the working precision; lows and highs
    (n_steps,), first and last frequency of every step; lines (n, 4) int64. work: for BLOCK faces, arrays that
    :func:`_fill_tables` fills. out (n, 2, len(axis2)) float64, real and imaginary part.
    """
    centres, edges, factors0, factors1, factors2 = work
    out[...] = 0.0
    for start in range(0, len(corners), BLOCK):
        count = min(BLOCK, len(corners) - start)
        for b in numba.prange(count):
            _fill_tables(
                corners[start + b], axis0, axis1, axis2, centres[b], edges[b], factors0[b], factors1[b], factors2[b]
            )
        for n in numba.prange(len(lines)):
            i0, i1, first, stop = lines[n, 0], lines[n, 1], lines[n, 2], lines[n, 3]
            for b in range(count):
                p0, p1 = edges[b, 0, 0] * axis0[i0] + edges[b, 0, 1] * axis1[i1], edges[b, 0, 2]
                q0, q1 = edges[b, 1, 0] * axis0[i0] + edges[b, 1, 1] * axis1[i1], edges[b, 1, 2]
                cosine = along.dtype.type(
                    factors0[b, i0, 0] * factors1[b, i1, 0] - factors0[b, i0, 1] * factors1[b, i1, 1]
                )
                sine = along.dtype.type(
                    factors0[b, i0, 0] * factors1[b, i1, 1] + factors0[b, i0, 1] * factors1[b, i1, 0]
                )
                weight = weights[start + b]
                pa, pb, qa, qb = along.dtype.type(p0), along.dtype.type(p1), along.dtype.type(q0), along.dtype.type(q1)
                step = first
                while step < stop:
                    case = formula_case(p0, p1, q0, q1, lows[step], highs[step])
                    end = end_of_case(case, step, stop, p0, p1, q0, q1, lows, highs)
                    _add_values(
                        case, step, end, pa, pb, qa, qb, cosine, sine, weight, along,
                        factors2[b, 0], factors2[b, 1], out[n, 0], out[n, 1],
                    )  # fmt: skip
                    step = end


def _make_gradient_loop(formula: Any) -> Any:
    """Return a compiled loop that sums Re conj(cotangent) · (G, ∂G/∂a, ∂G/∂b, ∂G/∂c) over steps of a line.

    Phases and phase factors as in :func:`_make_value_loop`. The loop returns seven sums: with G, with the three
    derivatives for the phases of the corners, and with the three derivatives times the frequency along the line.
    """

    @inline_sums
    def add(
        start: int,
        stop: int,
        p0: Any,
        p1: Any,
        q0: Any,
        q1: Any,
        cosine: Any,
        sine: Any,
        lane: AnyFloats,
        cosines: AnyFloats,
        sines: AnyFloats,
        cotangent_re: AnyFloats,
        cotangent_im: AnyFloats,
    ) -> tuple[Any, ...]:
        zero = p0 * 0
        total, a, b, c, along_a, along_b, along_c = zero, zero, zero, zero, zero, zero, zero
        for j in range(np.uint64(start * LANES), np.uint64(stop * LANES)):
            y = lane[j]
            p, q = p0 + p1 * y, q0 + q1 * y
            k_re, k_im, a_re, a_im, b_re, b_im, c_re, c_im = formula(p, q, -(p + q))
            factor_re, factor_im = cosine * cosines[j] - sine * sines[j], cosine * sines[j] + sine * cosines[j]
            # conj(cotangent) exp(-i m)
            w_re = cotangent_re[j] * factor_re - cotangent_im[j] * factor_im
            w_im = -cotangent_re[j] * factor_im - cotangent_im[j] * factor_re
            total += w_re * k_re - w_im * k_im
            part = w_re * a_re - w_im * a_im
            a += part
            along_a += part * y
            part = w_re * b_re - w_im * b_im
            b += part
            along_b += part * y
            part = w_re * c_re - w_im * c_im
            c += part
            along_c += part * y
        return total, a, b, c, along_a, along_b, along_c

    return add


_sum_gradients = dispatch_by_case(_make_gradient_loop, "gradient")


@numba.njit(parallel=True, cache=True, error_model="numpy", fastmath=_FAST)
def mesh_ft_lines_adjoint(
    corners: Floats,
    axis0: Floats,
    axis1: Floats,
    axis2: Floats,
    along: AnyFloats,
    lows: Floats,
    highs: Floats,
    lines: Ints,
    cotangent: AnyFloats,
    work: Tables,
    out_value: Floats,
    out_phase: Floats,
) -> None:
    """Fill the adjoint of :func:`mesh_ft_lines`, face by face: sums over frequencies with a cotangent c.

    Frequencies as in :func:`mesh_ft_lines`; cotangent (n, 2, len(axis2)) in the working precision, real and imaginary
    part, zero where a frequency does not count. Filled: out_value[f] = Σ Re conj(c) G, (n_faces,); out_phase[f, i] = Σ
    Re conj(c) ∂G/∂phase_i times the frequency, (n_faces, 3 corners, 3 axes); both float64. work: arrays that
    :func:`_fill_tables` fills, one set for each of the parts into which the faces are divided between the threads.
    """
    centres, edges, factors0, factors1, factors2 = work
    parts = len(centres)
    for part in numba.prange(parts):
        centre, edge, factor0, factor1 = centres[part], edges[part], factors0[part], factors1[part]
        cosines, sines = factors2[part, 0], factors2[part, 1]
        for f in range(part * len(corners) // parts, (part + 1) * len(corners) // parts):
            _fill_tables(corners[f], axis0, axis1, axis2, centre, edge, factor0, factor1, factors2[part])
            total = 0.0
            a0, a1, a2, b0, b1, b2, c0, c1, c2 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            for n in range(len(lines)):
                i0, i1, step, stop = lines[n, 0], lines[n, 1], lines[n, 2], lines[n, 3]
                p0, p1 = edge[0, 0] * axis0[i0] + edge[0, 1] * axis1[i1], edge[0, 2]
                q0, q1 = edge[1, 0] * axis0[i0] + edge[1, 1] * axis1[i1], edge[1, 2]
                cosine = along.dtype.type(factor0[i0, 0] * factor1[i1, 0] - factor0[i0, 1] * factor1[i1, 1])
                sine = along.dtype.type(factor0[i0, 0] * factor1[i1, 1] + factor0[i0, 1] * factor1[i1, 0])
                pa, pb, qa, qb = along.dtype.type(p0), along.dtype.type(p1), along.dtype.type(q0), along.dtype.type(q1)
                here_re, here_im = cotangent[n, 0], cotangent[n, 1]
                line_a, line_b, line_c = 0.0, 0.0, 0.0
                while step < stop:
                    case = formula_case(p0, p1, q0, q1, lows[step], highs[step])
                    end = end_of_case(case, step, stop, p0, p1, q0, q1, lows, highs)
                    g, a, b, c, ya, yb, yc = _sum_gradients(
                        case, step, end, pa, pb, qa, qb, cosine, sine, along, cosines, sines, here_re, here_im
                    )
                    total += g
                    line_a += a
                    line_b += b
                    line_c += c
                    a2 += ya
                    b2 += yb
                    c2 += yc
                    step = end
                a0 += line_a * axis0[i0]
                a1 += line_a * axis1[i1]
                b0 += line_b * axis0[i0]
                b1 += line_b * axis1[i1]
                c0 += line_c * axis0[i0]
                c1 += line_c * axis1[i1]
            out_value[f] = total
            out_phase[f, 0, 0], out_phase[f, 0, 1], out_phase[f, 0, 2] = a0, a1, a2
            out_phase[f, 1, 0], out_phase[f, 1, 1], out_phase[f, 1, 2] = b0, b1, b2
            out_phase[f, 2, 0], out_phase[f, 2, 1], out_phase[f, 2, 2] = c0, c1, c2
