"""Exact transform of a triangle mesh and its adjoint, on a CUDA device (or on numba's simulator of one).

Frequencies come as a list here. Phases are formed in float64 for both precisions; spreads, series and trigonometry run
in the precision of `lane`. Sums are in float64 and ordered: no atomics, so that a result is the same from run to run.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numba
import numpy as np
from numba import cuda

from . import triangle

__all__ = ["mesh_ft", "mesh_ft_adjoint"]

_SIMULATED = bool(numba.config.ENABLE_CUDASIM)
_BLOCK = 8 if _SIMULATED else 128  # threads in a block, a power of two; the simulator's are Python threads
# Idle blocks cost nothing, and numba warns of fewer than 128; kernels stride over what more blocks would have done.
_LEAST_BLOCKS, _MOST_BLOCKS = (1, 16) if _SIMULATED else (128, 65_536)
_SUMS = 10  # what the adjoint adds up for a face
_THIRD = 1.0 / 3.0
_TURN = 2.0 * math.pi
_PER_TURN = 1.0 / _TURN


@cuda.jit(device=True)
def _sincos(x):
    return math.sin(x), math.cos(x)


@functools.cache
def _formulas(real: Any) -> Any:
    return triangle.build(cuda.jit(device=True), real, _sincos)


@functools.cache
def _value_kernel(real: Any) -> Any:
    """The kernel of :func:`mesh_ft` for a working precision, np.float32 or np.float64."""
    formula = _formulas(real).value

    @cuda.jit
    def kernel(corners, weights, frequencies, out):
        """One thread per frequency; the block reads the faces together, a tile at a time."""
        tile = cuda.shared.array((_BLOCK, 10), np.float64)
        lane = cuda.threadIdx.x
        n_faces = corners.shape[0]
        for first in range(cuda.blockIdx.x * _BLOCK, frequencies.shape[0], cuda.gridDim.x * _BLOCK):
            k = first + lane
            kz, ky, kx = 0.0, 0.0, 0.0
            if k < frequencies.shape[0]:
                kz, ky, kx = frequencies[k, 0], frequencies[k, 1], frequencies[k, 2]
            total_re, total_im = 0.0, 0.0
            for start in range(0, n_faces, _BLOCK):
                count = min(_BLOCK, n_faces - start)
                if lane < count:
                    for i in range(3):
                        for axis in range(3):
                            tile[lane, 3 * i + axis] = corners[start + lane, i, axis]
                    tile[lane, 9] = weights[start + lane]
                cuda.syncthreads()
                for f in range(count):
                    a = tile[f, 0] * kz + tile[f, 1] * ky + tile[f, 2] * kx
                    b = tile[f, 3] * kz + tile[f, 4] * ky + tile[f, 5] * kx
                    c = tile[f, 6] * kz + tile[f, 7] * ky + tile[f, 8] * kx
                    m = (a + b + c) * _THIRD
                    re, im = formula(real(a - m), real(b - m), real(c - m))
                    angle = real(m - _TURN * math.floor(m * _PER_TURN + 0.5))
                    cosine, sine = math.cos(angle), math.sin(angle)
                    total_re += tile[f, 9] * (cosine * re + sine * im)
                    total_im += tile[f, 9] * (cosine * im - sine * re)
                cuda.syncthreads()
            if k < frequencies.shape[0]:
                out[k, 0] = total_re
                out[k, 1] = total_im

    return kernel


@functools.cache
def _adjoint_kernel(real: Any) -> Any:
    """The kernel of :func:`mesh_ft_adjoint` for a working precision, np.float32 or np.float64."""
    formula = _formulas(real).gradient

    @cuda.jit
    def kernel(corners, frequencies, cotangent, out_value, out_phase):
        """One block per face; its threads stride over the frequencies, and their sums are added up as a tree."""
        sums = cuda.shared.array((_SUMS, _BLOCK), np.float64)
        lane = cuda.threadIdx.x
        for f in range(cuda.blockIdx.x, corners.shape[0], cuda.gridDim.x):
            total = 0.0
            az, ay, ax, bz, by, bx, cz, cy, cx = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            for k in range(lane, frequencies.shape[0], _BLOCK):
                kz, ky, kx = frequencies[k, 0], frequencies[k, 1], frequencies[k, 2]
                a = corners[f, 0, 0] * kz + corners[f, 0, 1] * ky + corners[f, 0, 2] * kx
                b = corners[f, 1, 0] * kz + corners[f, 1, 1] * ky + corners[f, 1, 2] * kx
                c = corners[f, 2, 0] * kz + corners[f, 2, 1] * ky + corners[f, 2, 2] * kx
                m = (a + b + c) * _THIRD
                g_re, g_im, a_re, a_im, b_re, b_im, c_re, c_im = formula(real(a - m), real(b - m), real(c - m))
                angle = real(m - _TURN * math.floor(m * _PER_TURN + 0.5))
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
            sums[0, lane], sums[1, lane], sums[2, lane] = az, ay, ax
            sums[3, lane], sums[4, lane], sums[5, lane] = bz, by, bx
            sums[6, lane], sums[7, lane], sums[8, lane] = cz, cy, cx
            sums[9, lane] = total
            cuda.syncthreads()
            half = _BLOCK // 2
            while half > 0:
                if lane < half:
                    for i in range(_SUMS):
                        sums[i, lane] += sums[i, lane + half]
                cuda.syncthreads()
                half //= 2
            if lane == 0:
                for i in range(3):
                    for axis in range(3):
                        out_phase[f, i, axis] = sums[3 * i + axis, 0]
                out_value[f] = sums[9, 0]
            cuda.syncthreads()

    return kernel


def _to_device(array: np.ndarray) -> Any:
    return cuda.to_device(np.ascontiguousarray(array, dtype=np.float64))


def _blocks(wanted: int) -> int:
    return min(max(wanted, _LEAST_BLOCKS), _MOST_BLOCKS)


def mesh_ft(corners, weights, frequencies, lane, out):
    """out[k] = sum over faces of weights[f] G at frequencies[k].

    corners (n_faces, 3, 3) and frequencies (n, 3) float64; weights (n_faces,) float64; lane (any) in the working
    precision; out (n, 2) float64, real and imaginary. Arrays of the host; they travel to the device and back.
    """
    n = len(frequencies)
    if n == 0 or len(corners) == 0:
        out[...] = 0.0
        return
    result = cuda.device_array((n, 2), np.float64)
    kernel = _value_kernel(lane.dtype.type)[_blocks(-(-n // _BLOCK)), _BLOCK]
    kernel(_to_device(corners), _to_device(weights), _to_device(frequencies), result)
    out[...] = result.copy_to_host()


def mesh_ft_adjoint(corners, frequencies, cotangent, lane, out_value, out_phase):
    """Sums over frequencies of Re conj(cotangent) times G and times its derivatives, face by face.

    cotangent (n, 2) float64. out_value[f] = sum of Re conj(c) G, (n_faces,); out_phase[f, i] = sum of
    Re conj(c) dG/dphase_i times the frequency, (n_faces, 3 corners, 3 axes); both float64. Arrays of the host.
    """
    n_faces = len(corners)
    if n_faces == 0 or len(frequencies) == 0:
        out_value[...] = 0.0
        out_phase[...] = 0.0
        return
    values, phases = cuda.device_array(n_faces, np.float64), cuda.device_array((n_faces, 3, 3), np.float64)
    kernel = _adjoint_kernel(lane.dtype.type)[_blocks(n_faces), _BLOCK]
    kernel(_to_device(corners), _to_device(frequencies), _to_device(cotangent), values, phases)
    out_value[...] = values.copy_to_host()
    out_phase[...] = phases.copy_to_host()
