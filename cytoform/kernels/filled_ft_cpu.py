"""Exact Fourier transform of the bodies that a triangle mesh bounds, with that of their membranes, and the adjoint.

By the divergence theorem a body of brightness 1 has the transform (i / |ξ|²) Σ over its faces of (ξ·N) G, N = 2 area ·
normal, G the integral of :mod:`.triangle`. The normals of a closed surface add up to 0, so G - 1/2 may stand for G: it
falls with |ξ|, and no digit is lost at low frequencies. With positions relative to the body's centroid and m the phase
of a face's centroid, G - 1/2 = (K - 1/2) + (exp(-i m) - 1) K, where K - 1/2 is the series without its first term, and
exp(-i m) - 1 comes from tables of -2 sin²(φ/2) and sin φ, whose products are formed without the 1.

Lines, tables and precision are those of :mod:`.mesh_ft_cpu`; the factor i / |ξ|² is left to the caller. Each loop gives
the membranes' part as well, at the price of a few products.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from .._typing import AnyFloats, Floats, Ints
from .mesh_ft_cpu import (
    Tables,
    cos_sin_of_product,
    dispatch_by_case,
    end_of_case,
    fill_offsets,
    formula_case,
    inline,
    inline_sums,
)
from .triangle import BLOCK, LANES

__all__ = ["filled_lines", "filled_lines_adjoint"]

_FAST = {"contract"}


@inline
def _less_one_of_product(position: float, rounding: float, frequency: float) -> tuple[float, float]:
    """Return cosine - 1 and sine of (position + rounding) · frequency, both to the last digit where that is small."""
    half_cosine, half_sine = cos_sin_of_product(0.5 * position, 0.5 * rounding, frequency)
    return -2.0 * half_sine * half_sine, 2.0 * half_sine * half_cosine


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
    """Fill the tables of one face as those of :mod:`.mesh_ft_cpu`, with cosines less 1 in the place of cosines.

    corner (3 corners, 3 axes), the face; axis0, axis1, axis2, the frequencies on the three axes. Filled: centre (2, 3),
    edge (2, 3); factors0 (n0, 2), factors1 (n1, 2) and factors2 (2, n2).
    """
    fill_offsets(corner, centre, edge)
    for i in range(len(axis0)):
        factors0[i, 0], factors0[i, 1] = _less_one_of_product(centre[0, 0], centre[1, 0], axis0[i])
    for i in range(len(axis1)):
        factors1[i, 0], factors1[i, 1] = _less_one_of_product(centre[0, 1], centre[1, 1], axis1[i])
    for i in range(len(axis2)):
        factors2[0, i], factors2[1, i] = _less_one_of_product(centre[0, 2], centre[1, 2], axis2[i])


@inline
def _product_less_one(a: Any, b: Any, c: Any, d: Any) -> Any:
    """Return (1 + a + i b)(1 + c + i d) - 1 as (real, imaginary)."""
    return a + c + (a * c - b * d), b + d + (a * d + b * c)


def _make_value_loop(formula: Any) -> Any:
    """Return a compiled loop that adds a face's two transforms on a part of a line to `out`.

    `formula` gives K - 1/2 of the centred phases p0 + p1 y and q0 + q1 y at frequency y, for the steps `start` to
    before `stop`; the phase factor of the centroid, less 1, comes from (less, sine), of the other two axes, and
    (lesses, sines), along the line. The weights are `weight` for the membrane and flux0 + flux1 y for the body; `out`
    (4, n) holds real and imaginary part of each.
    """

    @inline
    def add(
        start: int,
        stop: int,
        p0: Any,
        p1: Any,
        q0: Any,
        q1: Any,
        less: Any,
        sine: Any,
        weight: float,
        flux0: float,
        flux1: float,
        lane: AnyFloats,
        lesses: AnyFloats,
        sines: AnyFloats,
        out: Floats,
    ) -> None:
        half = lane.dtype.type(0.5)
        one = lane.dtype.type(1.0)
        for j in range(np.uint64(start * LANES), np.uint64(stop * LANES)):
            p, q = p0 + p1 * lane[j], q0 + q1 * lane[j]
            re, im = formula(p, q, -(p + q))
            e, s = _product_less_one(less, sine, lesses[j], sines[j])
            k = re + half
            out[0, j] += weight * np.float64((one + e) * k + s * im)
            out[1, j] += weight * np.float64((one + e) * im - s * k)
            flux = flux0 + flux1 * np.float64(lane[j])
            out[2, j] += flux * np.float64(re + (e * k + s * im))
            out[3, j] += flux * np.float64(im + (e * im - s * k))

    return add


_add_values = dispatch_by_case(_make_value_loop, "reduced_value")


@numba.njit(parallel=True, cache=True, error_model="numpy", fastmath=_FAST)
def filled_lines(
    corners: Floats,
    weights: Floats,
    fluxes: Floats,
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
    """Fill `out` with two transforms of a mesh: Σ weights[f] G and Σ (fluxes[f]·ξ) (G - 1/2), on lines of a spectrum.

    Arguments as for :func:`.mesh_ft_cpu.mesh_ft_lines`, and fluxes (n_faces, 3) float64, jump · 2 area · normal with
    its components in the order of the axes; positions are relative to a point amid the bodies. out (n, 4, len(axis2))
    float64, real and imaginary part of the first and of the second.
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
                f = start + b
                p0, p1 = edges[b, 0, 0] * axis0[i0] + edges[b, 0, 1] * axis1[i1], edges[b, 0, 2]
                q0, q1 = edges[b, 1, 0] * axis0[i0] + edges[b, 1, 1] * axis1[i1], edges[b, 1, 2]
                less, sine = _product_less_one(
                    factors0[b, i0, 0], factors0[b, i0, 1], factors1[b, i1, 0], factors1[b, i1, 1]
                )
                flux0 = fluxes[f, 0] * axis0[i0] + fluxes[f, 1] * axis1[i1]
                real = along.dtype.type
                step = first
                while step < stop:
                    case = formula_case(p0, p1, q0, q1, lows[step], highs[step])
                    end = end_of_case(case, step, stop, p0, p1, q0, q1, lows, highs)
                    _add_values(
                        case, step, end, real(p0), real(p1), real(q0), real(q1), real(less), real(sine), weights[f],
                        flux0, fluxes[f, 2], along, factors2[b, 0], factors2[b, 1], out[n],
                    )  # fmt: skip
                    step = end


def _make_gradient_loop(formula: Any) -> Any:
    """Return a compiled loop that sums over steps of a line what the adjoint needs of a face.

    Phases and phase factors as in :func:`_make_value_loop`; given (4, n) holds real and imaginary part of a cotangent c
    and of c / |ξ|² = d. Twelve sums: of Re conj(c) (G, ∂G/∂a, ∂G/∂b, ∂G/∂c), of the last three times the frequency
    along the line, of Re conj(c) i (∂G/∂a, ∂G/∂b, ∂G/∂c), and of Re conj(d) i (G - 1/2), alone and times the frequency.
    """

    @inline_sums
    def add(
        start: int,
        stop: int,
        p0: Any,
        p1: Any,
        q0: Any,
        q1: Any,
        less: Any,
        sine: Any,
        lane: AnyFloats,
        lesses: AnyFloats,
        sines: AnyFloats,
        given: AnyFloats,
    ) -> tuple[Any, ...]:
        zero = p0 * 0
        half = lane.dtype.type(0.5)
        one = lane.dtype.type(1.0)
        total, a, b, c, ya, yb, yc = zero, zero, zero, zero, zero, zero, zero
        ta, tb, tc, flux, yflux = zero, zero, zero, zero, zero
        for j in range(np.uint64(start * LANES), np.uint64(stop * LANES)):
            y = lane[j]
            p, q = p0 + p1 * y, q0 + q1 * y
            re, im, a_re, a_im, b_re, b_im, c_re, c_im = formula(p, q, -(p + q))
            e, s = _product_less_one(less, sine, lesses[j], sines[j])
            k = re + half
            # conj(c) exp(-i m)
            w_re = given[0, j] * (one + e) - given[1, j] * s
            w_im = -given[0, j] * s - given[1, j] * (one + e)
            total += w_re * k - w_im * im
            part = w_re * a_re - w_im * a_im
            a += part
            ya += part * y
            part = w_re * b_re - w_im * b_im
            b += part
            yb += part * y
            part = w_re * c_re - w_im * c_im
            c += part
            yc += part * y
            ta -= w_re * a_im + w_im * a_re
            tb -= w_re * b_im + w_im * b_re
            tc -= w_re * c_im + w_im * c_re
            part = given[3, j] * (re + (e * k + s * im)) - given[2, j] * (im + (e * im - s * k))
            flux += part
            yflux += part * y
        return total, a, b, c, ya, yb, yc, ta, tb, tc, flux, yflux

    return add


_sum_gradients = dispatch_by_case(_make_gradient_loop, "reduced_gradient")


@numba.njit(parallel=True, cache=True, error_model="numpy", fastmath=_FAST)
def filled_lines_adjoint(
    corners: Floats,
    normals: Floats,
    axis0: Floats,
    axis1: Floats,
    axis2: Floats,
    along: AnyFloats,
    lows: Floats,
    highs: Floats,
    lines: Ints,
    given: AnyFloats,
    work: Tables,
    out_value: Floats,
    out_phase: Floats,
    out_corner: Floats,
    out_flux: Floats,
) -> None:
    """Fill the adjoint of :func:`filled_lines`, face by face: sums over frequencies with a cotangent c.

    Arguments and the first two results as for :func:`.mesh_ft_cpu.mesh_ft_lines_adjoint`; normals (n_faces, 3) float64,
    2 area · normal; given (n, 4, len(axis2)) in the working precision, real and imaginary part of c and of c / |ξ|².
    Filled, too: out_corner[f, i] = Σ Re conj(c) i ∂G/∂phase_i, (n_faces, 3 corners); out_flux[f] = Σ Re conj(c / |ξ|²)
    i (normals[f]·ξ) (G - 1/2), (n_faces,); both float64.
    """
    centres, edges, factors0, factors1, factors2 = work
    parts = len(centres)
    for part in numba.prange(parts):
        centre, edge, factor0, factor1 = centres[part], edges[part], factors0[part], factors1[part]
        real = along.dtype.type
        for f in range(part * len(corners) // parts, (part + 1) * len(corners) // parts):
            _fill_tables(corners[f], axis0, axis1, axis2, centre, edge, factor0, factor1, factors2[part])
            total, flux = 0.0, 0.0
            a0, a1, a2, b0, b1, b2, c0, c1, c2 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            t0, t1, t2 = 0.0, 0.0, 0.0
            for n in range(len(lines)):
                i0, i1, step, stop = lines[n, 0], lines[n, 1], lines[n, 2], lines[n, 3]
                p0, p1 = edge[0, 0] * axis0[i0] + edge[0, 1] * axis1[i1], edge[0, 2]
                q0, q1 = edge[1, 0] * axis0[i0] + edge[1, 1] * axis1[i1], edge[1, 2]
                less, sine = _product_less_one(factor0[i0, 0], factor0[i0, 1], factor1[i1, 0], factor1[i1, 1])
                line_a, line_b, line_c, line_flux = 0.0, 0.0, 0.0, 0.0
                while step < stop:
                    case = formula_case(p0, p1, q0, q1, lows[step], highs[step])
                    end = end_of_case(case, step, stop, p0, p1, q0, q1, lows, highs)
                    g, a, b, c, ya, yb, yc, ta, tb, tc, j, yj = _sum_gradients(
                        case, step, end, real(p0), real(p1), real(q0), real(q1), real(less), real(sine), along,
                        factors2[part, 0], factors2[part, 1], given[n],
                    )  # fmt: skip
                    total += g
                    line_a += a
                    line_b += b
                    line_c += c
                    a2 += ya
                    b2 += yb
                    c2 += yc
                    t0 += ta
                    t1 += tb
                    t2 += tc
                    line_flux += j
                    flux += normals[f, 2] * yj
                    step = end
                a0 += line_a * axis0[i0]
                a1 += line_a * axis1[i1]
                b0 += line_b * axis0[i0]
                b1 += line_b * axis1[i1]
                c0 += line_c * axis0[i0]
                c1 += line_c * axis1[i1]
                flux += line_flux * (normals[f, 0] * axis0[i0] + normals[f, 1] * axis1[i1])
            out_value[f], out_flux[f] = total, flux
            out_phase[f, 0, 0], out_phase[f, 0, 1], out_phase[f, 0, 2] = a0, a1, a2
            out_phase[f, 1, 0], out_phase[f, 1, 1], out_phase[f, 1, 2] = b0, b1, b2
            out_phase[f, 2, 0], out_phase[f, 2, 1], out_phase[f, 2, 2] = c0, c1, c2
            out_corner[f, 0], out_corner[f, 1], out_corner[f, 2] = t0, t1, t2
