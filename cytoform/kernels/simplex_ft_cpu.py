"""Exact Fourier transform of points, segments, triangles or tetrahedra and its adjoint, on all cores.

Lines of frequencies, tables of phase factors and precision are those of :mod:`.mesh_ft_cpu`, which is quicker for
triangles; the formulas are those of :mod:`.simplex`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba.extending import overload

from .._typing import AnyFloats, Floats, Ints
from . import simplex, triangle
from .mesh_ft_cpu import Tables, cos_sin_of_product, inline, inline_sums
from .triangle import BLOCK, LANES

__all__ = ["FORMULAS", "simplex_lines", "simplex_lines_adjoint"]

_FAST = {"contract"}
FORMULAS = {real: simplex.compile_formulas(inline, real, triangle.polynomial_sincos(inline, real)) for real in
            (np.float32, np.float64)}  # fmt: skip


def _formula_for_precision(order: int, name: str) -> Any:
    """Return a formula of :mod:`.simplex`, "value" or "gradient", that selects the precision of its arguments."""

    def formula(p: Any, q: Any, r: Any) -> Any:
        raise NotImplementedError

    @overload(formula, jit_options={"error_model": "numpy", "fastmath": _FAST, "forceinline": True})
    def choose(p: Any, q: Any, r: Any) -> Any:
        chosen = getattr(FORMULAS[np.float32 if p == numba.types.float32 else np.float64][order], name)

        def call(p: Any, q: Any, r: Any) -> Any:
            return chosen(p, q, r)

        return call

    return formula


def _dispatch_by_order(make: Callable[[Any], Any], quantity: str) -> Any:
    """Return a compiled function that takes an order and the arguments of the loop that `make` builds for it."""
    of_points, of_segments, of_triangles, of_tetrahedra = (
        make(_formula_for_precision(order, quantity)) for order in simplex.ORDERS
    )

    @inline
    def chosen(order: int, *arguments: Any) -> Any:
        if order == 0:
            return of_points(*arguments)
        if order == 1:
            return of_segments(*arguments)
        if order == 2:
            return of_triangles(*arguments)
        return of_tetrahedra(*arguments)

    return chosen


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
    """Fill the tables of one simplex: its centroid, all corners but the last relative to it, phase factors.

    corner (k + 1, 3), the simplex; axis0, axis1, axis2, the frequencies on the three axes. Filled: centre (2, 3), the
    centroid and its rounding error; edge (3, 3), its first k rows; factors0 (n0, 2), factors1 (n1, 2) and factors2 (2,
    n2), cosine and sine of centroid · frequency on each axis.
    """
    count = len(corner)
    for d in range(3):
        # edges from the first corner are far smaller than positions, and so are their rounding errors
        away = 0.0
        for i in range(1, count):
            away += corner[i, d] - corner[0, d]
        away /= count
        centre[0, d] = corner[0, d] + away
        part = centre[0, d] - corner[0, d]
        centre[1, d] = (corner[0, d] - (centre[0, d] - part)) + (away - part)
        for i in range(3):
            edge[i, d] = (corner[i, d] - corner[0, d]) - away if i < count - 1 else 0.0
    for i in range(len(axis0)):
        factors0[i, 0], factors0[i, 1] = cos_sin_of_product(centre[0, 0], centre[1, 0], axis0[i])
    for i in range(len(axis1)):
        factors1[i, 0], factors1[i, 1] = cos_sin_of_product(centre[0, 1], centre[1, 1], axis1[i])
    for i in range(len(axis2)):
        factors2[0, i], factors2[1, i] = cos_sin_of_product(centre[0, 2], centre[1, 2], axis2[i])


def _make_value_loop(formula: Any) -> Any:
    """Return a compiled loop that adds a simplex's transform on a part of a line to `out` (2, n).

    base (3,) and slope (3,) give the centred phases base + slope y at frequency y of a step; the phase factor of the
    centroid is the product of (cosine, sine), from the other two axes, and (cosines, sines), along the line.
    """

    @inline
    def add(
        start: int,
        stop: int,
        base: AnyFloats,
        slope: AnyFloats,
        cosine: Any,
        sine: Any,
        weight: float,
        lane: AnyFloats,
        cosines: AnyFloats,
        sines: AnyFloats,
        out: Floats,
    ) -> None:
        p0, q0, r0, p1, q1, r1 = base[0], base[1], base[2], slope[0], slope[1], slope[2]
        for j in range(np.uint64(start * LANES), np.uint64(stop * LANES)):
            y = lane[j]
            re, im = formula(p0 + p1 * y, q0 + q1 * y, r0 + r1 * y)
            c, s = cosine * cosines[j] - sine * sines[j], cosine * sines[j] + sine * cosines[j]
            out[0, j] += weight * np.float64(c * re + s * im)
            out[1, j] += weight * np.float64(c * im - s * re)

    return add


_add_values = _dispatch_by_order(_make_value_loop, "value")


@numba.njit(parallel=True, cache=True, error_model="numpy", fastmath=_FAST)
def simplex_lines(
    corners: Floats,
    weights: Floats,
    axis0: Floats,
    axis1: Floats,
    axis2: Floats,
    along: AnyFloats,
    lines: Ints,
    work: Tables,
    out: Floats,
) -> None:
    """Fill `out` with the transform of simplices on lines of a spectrum: Σ weights[f] G.

    corners (n, k + 1, 3) float64, of order k, coordinates in the order of the axes; weights (n,) float64, k! times size
    times density; axes, along, lines and out as for :func:`.mesh_ft_cpu.mesh_ft_lines`. work: for BLOCK simplices,
    arrays that :func:`_fill_tables` fills.
    """
    centres, edges, factors0, factors1, factors2 = work
    order = corners.shape[1] - 1
    out[...] = 0.0
    for start in range(0, len(corners), BLOCK):
        count = min(BLOCK, len(corners) - start)
        for b in numba.prange(count):
            _fill_tables(
                corners[start + b], axis0, axis1, axis2, centres[b], edges[b], factors0[b], factors1[b], factors2[b]
            )
        for n in numba.prange(len(lines)):
            i0, i1 = lines[n, 0], lines[n, 1]
            base, slope = np.empty(3, along.dtype), np.empty(3, along.dtype)
            for b in range(count):
                for i in range(3):
                    base[i] = edges[b, i, 0] * axis0[i0] + edges[b, i, 1] * axis1[i1]
                    slope[i] = edges[b, i, 2]
                cosine = along.dtype.type(
                    factors0[b, i0, 0] * factors1[b, i1, 0] - factors0[b, i0, 1] * factors1[b, i1, 1]
                )
                sine = along.dtype.type(
                    factors0[b, i0, 0] * factors1[b, i1, 1] + factors0[b, i0, 1] * factors1[b, i1, 0]
                )
                _add_values(
                    order, lines[n, 2], lines[n, 3], base, slope, cosine, sine, weights[start + b], along,
                    factors2[b, 0], factors2[b, 1], out[n],
                )  # fmt: skip


def _make_gradient_loop(formula: Any) -> Any:
    """Return a compiled loop that sums Re conj(cotangent) · (G, its derivatives for four corners) over a line.

    Phases and phase factors as in :func:`_make_value_loop`. Nine sums: with G, with the four derivatives for the phases
    of the corners, and with the derivatives times the frequency along the line.
    """

    @inline_sums
    def add(
        start: int,
        stop: int,
        base: AnyFloats,
        slope: AnyFloats,
        cosine: Any,
        sine: Any,
        lane: AnyFloats,
        cosines: AnyFloats,
        sines: AnyFloats,
        cotangent: AnyFloats,
    ) -> tuple[Any, ...]:
        p0, q0, r0, p1, q1, r1 = base[0], base[1], base[2], slope[0], slope[1], slope[2]
        zero = p0 * 0
        total, a, b, c, d, ya, yb, yc, yd = zero, zero, zero, zero, zero, zero, zero, zero, zero
        for j in range(np.uint64(start * LANES), np.uint64(stop * LANES)):
            y = lane[j]
            re, im, a_re, a_im, b_re, b_im, c_re, c_im, d_re, d_im = formula(p0 + p1 * y, q0 + q1 * y, r0 + r1 * y)
            factor_re, factor_im = cosine * cosines[j] - sine * sines[j], cosine * sines[j] + sine * cosines[j]
            # conj(cotangent) exp(-i m)
            w_re = cotangent[0, j] * factor_re - cotangent[1, j] * factor_im
            w_im = -cotangent[0, j] * factor_im - cotangent[1, j] * factor_re
            total += w_re * re - w_im * im
            part = w_re * a_re - w_im * a_im
            a += part
            ya += part * y
            part = w_re * b_re - w_im * b_im
            b += part
            yb += part * y
            part = w_re * c_re - w_im * c_im
            c += part
            yc += part * y
            part = w_re * d_re - w_im * d_im
            d += part
            yd += part * y
        return total, a, b, c, d, ya, yb, yc, yd

    return add


_sum_gradients = _dispatch_by_order(_make_gradient_loop, "gradient")


@numba.njit(parallel=True, cache=True, error_model="numpy", fastmath=_FAST)
def simplex_lines_adjoint(
    corners: Floats,
    axis0: Floats,
    axis1: Floats,
    axis2: Floats,
    along: AnyFloats,
    lines: Ints,
    cotangent: AnyFloats,
    work: Tables,
    out_value: Floats,
    out_phase: Floats,
) -> None:
    """Fill the adjoint of :func:`simplex_lines`, simplex by simplex: sums over frequencies with a cotangent c.

    Arguments as for :func:`simplex_lines`; cotangent (n, 2, len(axis2)) in the working precision, real and imaginary
    part, zero where a frequency does not count. Filled: out_value[f] = Σ Re conj(c) G, (n,); out_phase[f, i] = Σ Re
    conj(c) ∂G/∂phase_i times the frequency, (n, k + 1, 3); both float64. work: one set of tables for each of the parts
    into which the simplices are divided between the threads.
    """
    centres, edges, factors0, factors1, factors2 = work
    parts, order = len(centres), corners.shape[1] - 1
    for part in numba.prange(parts):
        centre, edge, factor0, factor1 = centres[part], edges[part], factors0[part], factors1[part]
        base, slope = np.empty(3, along.dtype), np.empty(3, along.dtype)
        sums = np.empty((4, 3))
        for f in range(part * len(corners) // parts, (part + 1) * len(corners) // parts):
            _fill_tables(corners[f], axis0, axis1, axis2, centre, edge, factor0, factor1, factors2[part])
            total = 0.0
            sums[...] = 0.0
            for n in range(len(lines)):
                i0, i1 = lines[n, 0], lines[n, 1]
                for i in range(3):
                    base[i] = edge[i, 0] * axis0[i0] + edge[i, 1] * axis1[i1]
                    slope[i] = edge[i, 2]
                cosine = along.dtype.type(factor0[i0, 0] * factor1[i1, 0] - factor0[i0, 1] * factor1[i1, 1])
                sine = along.dtype.type(factor0[i0, 0] * factor1[i1, 1] + factor0[i0, 1] * factor1[i1, 0])
                g, a, b, c, d, ya, yb, yc, yd = _sum_gradients(
                    order, lines[n, 2], lines[n, 3], base, slope, cosine, sine, along, factors2[part, 0],
                    factors2[part, 1], cotangent[n],
                )  # fmt: skip
                total += g
                for i, (here, there) in enumerate(((a, ya), (b, yb), (c, yc), (d, yd))):
                    sums[i, 0] += here * axis0[i0]
                    sums[i, 1] += here * axis1[i1]
                    sums[i, 2] += there
            out_value[f] = total
            for i in range(order + 1):
                for axis in range(3):
                    out_phase[f, i, axis] = sums[i, axis]
