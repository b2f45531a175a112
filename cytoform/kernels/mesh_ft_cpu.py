"""Exact transform of a triangle mesh and its adjoint, on all cores.

Phases are formed in float64 for both precisions (a phase of 100 in float32 has lost five digits before the formula
starts); spreads, series and trigonometry run in the precision of `table`. Sums are in float64 and ordered, so that a
result does not depend on the number of threads.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from . import triangle

__all__ = ["mesh_ft", "mesh_ft_adjoint"]

_FAST = {"contract"}
_formulas = triangle.build(numba.njit(error_model="numpy", fastmath=_FAST))
_value, _gradient = _formulas.value, _formulas.gradient
_TURN = 2.0 * math.pi


@numba.njit(parallel=True, cache=True, error_model="numpy", fastmath=_FAST)
def mesh_ft(corners, weights, frequencies, table, out):
    """out[k] = sum over faces of weights[f] G at frequencies[k].

    corners (n_faces, 3, 3) and frequencies (n, 3) float64; weights (n_faces,) float64; table in the working precision;
    out (n, 2) float64, real and imaginary.
    """
    for k in numba.prange(frequencies.shape[0]):
        kz, ky, kx = frequencies[k, 0], frequencies[k, 1], frequencies[k, 2]
        total_re, total_im = 0.0, 0.0
        for f in range(corners.shape[0]):
            a = corners[f, 0, 0] * kz + corners[f, 0, 1] * ky + corners[f, 0, 2] * kx
            b = corners[f, 1, 0] * kz + corners[f, 1, 1] * ky + corners[f, 1, 2] * kx
            c = corners[f, 2, 0] * kz + corners[f, 2, 1] * ky + corners[f, 2, 2] * kx
            m = (a + b + c) / 3.0
            p = table.dtype.type(a - m)
            q = table.dtype.type(b - m)
            r = table.dtype.type(c - m)
            re, im = _value(p, q, r, table)
            angle = table.dtype.type(m - _TURN * np.rint(m / _TURN))
            cosine, sine = math.cos(angle), math.sin(angle)
            total_re += weights[f] * (cosine * re + sine * im)
            total_im += weights[f] * (cosine * im - sine * re)
        out[k, 0] = total_re
        out[k, 1] = total_im


@numba.njit(parallel=True, cache=True, error_model="numpy", fastmath=_FAST)
def mesh_ft_adjoint(corners, frequencies, cotangent, table, out_value, out_phase):
    """Sums over frequencies of Re conj(cotangent) times G and times its derivatives, face by face.

    cotangent (n, 2) float64. out_value[f] = sum of Re conj(c) G, (n_faces,); out_phase[f, i] = sum of
    Re conj(c) dG/dphase_i times the frequency, (n_faces, 3 corners, 3 axes); both float64.
    """
    for f in numba.prange(corners.shape[0]):
        total = 0.0
        az, ay, ax, bz, by, bx, cz, cy, cx = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for k in range(frequencies.shape[0]):
            kz, ky, kx = frequencies[k, 0], frequencies[k, 1], frequencies[k, 2]
            a = corners[f, 0, 0] * kz + corners[f, 0, 1] * ky + corners[f, 0, 2] * kx
            b = corners[f, 1, 0] * kz + corners[f, 1, 1] * ky + corners[f, 1, 2] * kx
            c = corners[f, 2, 0] * kz + corners[f, 2, 1] * ky + corners[f, 2, 2] * kx
            m = (a + b + c) / 3.0
            p = table.dtype.type(a - m)
            q = table.dtype.type(b - m)
            r = table.dtype.type(c - m)
            g_re, g_im, a_re, a_im, b_re, b_im, c_re, c_im = _gradient(p, q, r, table)
            angle = table.dtype.type(m - _TURN * np.rint(m / _TURN))
            cosine, sine = math.cos(angle), math.sin(angle)
            # conj(cotangent) exp(-i m)
            w_re = cotangent[k, 0] * cosine - cotangent[k, 1] * sine
            w_im = -cotangent[k, 0] * sine - cotangent[k, 1] * cosine
            total += w_re * g_re - w_im * g_im
            s = w_re * a_re - w_im * a_im
            az += s * kz
            ay += s * ky
            ax += s * kx
            s = w_re * b_re - w_im * b_im
            bz += s * kz
            by += s * ky
            bx += s * kx
            s = w_re * c_re - w_im * c_im
            cz += s * kz
            cy += s * ky
            cx += s * kx
        out_value[f] = total
        out_phase[f, 0, 0], out_phase[f, 0, 1], out_phase[f, 0, 2] = az, ay, ax
        out_phase[f, 1, 0], out_phase[f, 1, 1], out_phase[f, 1, 2] = bz, by, bx
        out_phase[f, 2, 0], out_phase[f, 2, 1], out_phase[f, 2, 2] = cz, cy, cx
