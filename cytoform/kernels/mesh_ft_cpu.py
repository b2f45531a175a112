"""Exact transform of a triangle mesh and its adjoint, on all cores.

Frequencies come as *lines*: runs along one axis of a grid's spectrum, in steps of LANES that the compiler lays side by
side. Along a line the centred phases of a triangle are linear, and its centroid's phase factor is a product of three
numbers out of tables, so that no sine or cosine stands in the inner loop but those of wide spreads. For every step the
widest spread at its ends says which of the formulas serves all its lanes (:mod:`.triangle`).

Phases are formed in float64 for both precisions and reduced to a turn in the tables; along a line, series and products
run in the precision of `lane`. Sums over triangles are in float64 and ordered, those over the frequencies of a line in
the working precision: a result does not depend on the number of threads.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numba.extending import overload

from . import triangle

__all__ = ["FORMULAS", "mesh_ft", "mesh_ft_lines", "mesh_ft_lines_adjoint"]

LANES, BLOCK = triangle.LANES, triangle.BLOCK
_FAST = {"contract"}
_INLINE = {"error_model": "numpy", "fastmath": _FAST, "forceinline": True}
# Sums may be cut into lanes; the formulas themselves are compiled without the permission to reorder.
_SUMS = {"error_model": "numpy", "fastmath": {"contract", "reassoc"}, "forceinline": True}
_TURN = 2.0 * math.pi
# The same in two parts, the first with zeros at the end: whole turns up to 2**20 are taken away without an error.
_TURN_HIGH = 6.2831853069365025
_TURN_LOW = 2.430840202602477e-10
_SPLITTER = 2.0**27 + 1.0  # cuts a float64 into two halves of its digits
_SHORT, _LONG = triangle.SHORT_LIMIT, triangle.SERIES_LIMIT

_inline = numba.njit(**_INLINE)
FORMULAS = {real: triangle.compile_formulas(_inline, real, triangle.polynomial_sincos(_inline, real)) for real in
            (np.float32, np.float64)}  # fmt: skip


def _formula_for_precision(name: str) -> Any:
    """The formula of this name for the precision of its arguments."""

    def formula(p, q, r):
        raise NotImplementedError

    @overload(formula, jit_options=_INLINE)
    def choose(p, q, r):
        chosen = getattr(FORMULAS[np.float32 if p == numba.types.float32 else np.float64], name)

        def call(p, q, r):
            return chosen(p, q, r)

        return call

    return formula


_value = _formula_for_precision("value")


@numba.njit(parallel=True, cache=True, error_model="numpy", fastmath=_FAST)
def mesh_ft(corners, weights, frequencies, lane, out):
    """out[k] = sum over faces of weights[f] G at frequencies[k], which may lie anywhere.

    corners (n_faces, 3, 3) and frequencies (n, 3) float64; weights (n_faces,) float64; lane (any) in the working
    precision; out (n, 2) float64, real and imaginary.
    """
    for k in numba.prange(frequencies.shape[0]):
        kz, ky, kx = frequencies[k, 0], frequencies[k, 1], frequencies[k, 2]
        total_re, total_im = 0.0, 0.0
        for f in range(corners.shape[0]):
            a = corners[f, 0, 0] * kz + corners[f, 0, 1] * ky + corners[f, 0, 2] * kx
            b = corners[f, 1, 0] * kz + corners[f, 1, 1] * ky + corners[f, 1, 2] * kx
            c = corners[f, 2, 0] * kz + corners[f, 2, 1] * ky + corners[f, 2, 2] * kx
            m = (a + b + c) / 3.0
            re, im = _value(lane.dtype.type(a - m), lane.dtype.type(b - m), lane.dtype.type(c - m))
            cosine, sine = _cos_sin(m)
            total_re += weights[f] * (cosine * re + sine * im)
            total_im += weights[f] * (cosine * im - sine * re)
        out[k, 0] = total_re
        out[k, 1] = total_im


@numba.njit(**_INLINE)
def _cos_sin(phase):
    """Cosine and sine of a float64 phase."""
    return _cos_sin_of_sum(phase, 0.0)


@numba.njit(error_model="numpy", forceinline=True)
def _cos_sin_of_sum(phase, rounding):
    """Cosine and sine of phase + rest, whose sum has more digits than a float64."""
    turns = np.rint(phase / _TURN)
    angle = ((phase - turns * _TURN_HIGH) - turns * _TURN_LOW) + rounding
    return math.cos(angle), math.sin(angle)


@numba.njit(error_model="numpy", forceinline=True)
def _cos_sin_of_product(position, position_rest, frequency):
    """Cosine and sine of (place + place_rest) · frequency, with no digit lost in the product."""
    phase = position * frequency
    a, b = _SPLITTER * position, _SPLITTER * frequency
    a, b = a - (a - position), b - (b - frequency)
    c, d = position - a, frequency - b
    return _cos_sin_of_sum(phase, (((a * b - phase) + a * d + c * b) + c * d) + position_rest * frequency)


@numba.njit(**_INLINE)
def _formula_case(p0, p1, q0, q1, first, last):
    """Which formula serves all points between two places on a line: 0 short, 1 long, 2 large, 3 mixed."""
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


@numba.njit(**_INLINE)
def _end_of_case(case, step, stop, p0, p1, q0, q1, lows, highs):
    """The step after the last one in a row that the same formula serves."""
    step += 1
    while step < stop and _formula_case(p0, p1, q0, q1, lows[step], highs[step]) == case:
        step += 1
    return step


def _dispatch_by_case(make: Any, quantity: str) -> Any:
    """Loops that `make` builds for each of the four formulas of a quantity, as one function of the case."""
    short, long, large, mixed = (
        make(_formula_for_precision(f"{case}_{quantity}")) for case in ("short", "long", "large", "mixed")
    )

    @numba.njit(**_INLINE)
    def chosen(case, *arguments):
        if case == 0:
            return short(*arguments)
        if case == 1:
            return long(*arguments)
        if case == 2:
            return large(*arguments)
        return mixed(*arguments)

    return chosen


def _make_value_loop(formula: Any) -> Any:
    """Add a face's transform at a part of a line."""

    @numba.njit(**_INLINE)
    def add(start, stop, p0, p1, q0, q1, cosine, sine, weight, lane, cosines, sines, out_re, out_im):
        for j in range(np.uint64(start * LANES), np.uint64(stop * LANES)):  # unsigned: no index counts from the end
            p, q = p0 + p1 * lane[j], q0 + q1 * lane[j]
            re, im = formula(p, q, -(p + q))
            c, s = cosine * cosines[j] - sine * sines[j], cosine * sines[j] + sine * cosines[j]
            out_re[j] += weight * np.float64(c * re + s * im)
            out_im[j] += weight * np.float64(c * im - s * re)

    return add


_add_values = _dispatch_by_case(_make_value_loop, "value")


@numba.njit(error_model="numpy")
def _fill_tables(corner, axes0, axes1, axes2, centre, edge, turns0, turns1, turns2):
    """A face's centroid and what rounding took from it, edges from it to two corners, phase factors on the axes."""
    for d in range(3):
        # edges from the first corner are far smaller than places, and so are their rounding errors
        to_second, to_third = corner[1, d] - corner[0, d], corner[2, d] - corner[0, d]
        away = (to_second + to_third) / 3.0
        centre[0, d] = corner[0, d] + away
        part = centre[0, d] - corner[0, d]
        centre[1, d] = (corner[0, d] - (centre[0, d] - part)) + (away - part)
        edge[0, d] = -away
        edge[1, d] = to_second - away
    for i in range(len(axes0)):
        turns0[i, 0], turns0[i, 1] = _cos_sin_of_product(centre[0, 0], centre[1, 0], axes0[i])
    for i in range(len(axes1)):
        turns1[i, 0], turns1[i, 1] = _cos_sin_of_product(centre[0, 1], centre[1, 1], axes1[i])
    for i in range(len(axes2)):
        turns2[0, i], turns2[1, i] = _cos_sin_of_product(centre[0, 2], centre[1, 2], axes2[i])


@numba.njit(parallel=True, cache=True, error_model="numpy", fastmath=_FAST)
def mesh_ft_lines(corners, weights, axis0, axis1, axis2, lane, lows, highs, lines, work, out):
    """out[n, :, j] = sum over faces of weights[f] G at (axis0[i0], axis1[i1], axis2[j]), lines[n] = (i0, i1, from, to).

    corners (n_faces, 3, 3) and weights (n_faces,) float64, coordinates in the order of the axes; axis0, axis1 and axis2
    float64 frequencies, the last padded to steps of LANES, and `lane` the same in the working precision; lows and highs
    its first and last in every step; lines (n, 4) int64, from and to in steps. work: for BLOCK faces, arrays as
    :func:`_tables` fills them. out (n, 2, len(axis2)) float64, real and imaginary parts; zero outside from and to.
    """
    centres, edges, turns0, turns1, turns2 = work
    out[...] = 0.0
    for start in range(0, len(corners), BLOCK):
        count = min(BLOCK, len(corners) - start)
        for b in numba.prange(count):
            _fill_tables(corners[start + b], axis0, axis1, axis2, centres[b], edges[b], turns0[b], turns1[b], turns2[b])
        for n in numba.prange(len(lines)):
            i0, i1, first, stop = lines[n, 0], lines[n, 1], lines[n, 2], lines[n, 3]
            for b in range(count):
                p0, p1 = edges[b, 0, 0] * axis0[i0] + edges[b, 0, 1] * axis1[i1], edges[b, 0, 2]
                q0, q1 = edges[b, 1, 0] * axis0[i0] + edges[b, 1, 1] * axis1[i1], edges[b, 1, 2]
                cosine = lane.dtype.type(turns0[b, i0, 0] * turns1[b, i1, 0] - turns0[b, i0, 1] * turns1[b, i1, 1])
                sine = lane.dtype.type(turns0[b, i0, 0] * turns1[b, i1, 1] + turns0[b, i0, 1] * turns1[b, i1, 0])
                weight = weights[start + b]
                pa, pb, qa, qb = lane.dtype.type(p0), lane.dtype.type(p1), lane.dtype.type(q0), lane.dtype.type(q1)
                step = first
                while step < stop:
                    case = _formula_case(p0, p1, q0, q1, lows[step], highs[step])
                    end = _end_of_case(case, step, stop, p0, p1, q0, q1, lows, highs)
                    _add_values(
                        case, step, end, pa, pb, qa, qb, cosine, sine, weight, lane, turns2[b, 0], turns2[b, 1],
                        out[n, 0], out[n, 1],
                    )  # fmt: skip
                    step = end


def _make_gradient_loop(formula: Any) -> Any:
    """Sums over a part of a line of Re conj(cotangent) times G and dG/dphase, the latter also times the lane."""

    @numba.njit(**_SUMS)
    def add(start, stop, p0, p1, q0, q1, cosine, sine, lane, cosines, sines, cotangent_re, cotangent_im):
        zero = p0 * 0
        total, a, b, c, along_a, along_b, along_c = zero, zero, zero, zero, zero, zero, zero
        for j in range(np.uint64(start * LANES), np.uint64(stop * LANES)):
            y = lane[j]
            p, q = p0 + p1 * y, q0 + q1 * y
            k_re, k_im, a_re, a_im, b_re, b_im, c_re, c_im = formula(p, q, -(p + q))
            turn_re, turn_im = cosine * cosines[j] - sine * sines[j], cosine * sines[j] + sine * cosines[j]
            # conj(cotangent) exp(-i m)
            w_re = cotangent_re[j] * turn_re - cotangent_im[j] * turn_im
            w_im = -cotangent_re[j] * turn_im - cotangent_im[j] * turn_re
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


_sum_gradients = _dispatch_by_case(_make_gradient_loop, "gradient")


@numba.njit(parallel=True, cache=True, error_model="numpy", fastmath=_FAST)
def mesh_ft_lines_adjoint(
    corners, axis0, axis1, axis2, lane, lows, highs, lines, cotangent, work, out_value, out_phase
):
    """Sums over frequencies of Re conj(cotangent) times G and times its derivatives, face by face.

    Frequencies as in :func:`mesh_ft_lines`; cotangent (n, 2, len(axis2)) in the working precision, zero where a
    frequency does not count. out_value[f] = sum of Re conj(c) G, (n_faces,); out_phase[f, i] = sum of
    Re conj(c) dG/dphase_i times the frequency, (n_faces, 3 corners, 3 axes); both float64. work: arrays as
    :func:`_tables` fills them, for each of the parts that the faces are cut into.
    """
    centres, edges, turns0, turns1, turns2 = work
    parts = len(centres)
    for part in numba.prange(parts):
        centre, edge, turn0, turn1 = centres[part], edges[part], turns0[part], turns1[part]
        cosines, sines = turns2[part, 0], turns2[part, 1]
        for f in range(part * len(corners) // parts, (part + 1) * len(corners) // parts):
            _fill_tables(corners[f], axis0, axis1, axis2, centre, edge, turn0, turn1, turns2[part])
            total = 0.0
            a0, a1, a2, b0, b1, b2, c0, c1, c2 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            for n in range(len(lines)):
                i0, i1, step, stop = lines[n, 0], lines[n, 1], lines[n, 2], lines[n, 3]
                p0, p1 = edge[0, 0] * axis0[i0] + edge[0, 1] * axis1[i1], edge[0, 2]
                q0, q1 = edge[1, 0] * axis0[i0] + edge[1, 1] * axis1[i1], edge[1, 2]
                cosine = lane.dtype.type(turn0[i0, 0] * turn1[i1, 0] - turn0[i0, 1] * turn1[i1, 1])
                sine = lane.dtype.type(turn0[i0, 0] * turn1[i1, 1] + turn0[i0, 1] * turn1[i1, 0])
                pa, pb, qa, qb = lane.dtype.type(p0), lane.dtype.type(p1), lane.dtype.type(q0), lane.dtype.type(q1)
                here_re, here_im = cotangent[n, 0], cotangent[n, 1]
                line_a, line_b, line_c = 0.0, 0.0, 0.0
                while step < stop:
                    case = _formula_case(p0, p1, q0, q1, lows[step], highs[step])
                    end = _end_of_case(case, step, stop, p0, p1, q0, q1, lows, highs)
                    g, a, b, c, ya, yb, yc = _sum_gradients(
                        case, step, end, pa, pb, qa, qb, cosine, sine, lane, cosines, sines, here_re, here_im
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
