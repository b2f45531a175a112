"""Exact Fourier transform of points, segments, triangles or tetrahedra and its adjoint, on a CUDA device.

Arrays, phases and sums are those of :mod:`.mesh_ft_cuda`, which is quicker for triangles; the formulas are those of
:mod:`.simplex`. A simplex comes as its centroid and, relative to that, three of its corners, zeros where it has fewer
besides the last.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from . import mesh_ft_cuda as shells
from . import simplex
from .mesh_ft_cuda import cuda

__all__ = ["adjoint", "value"]

_BLOCK, _RUN_LENGTH = shells.BLOCK, shells.RUN_LENGTH
_N_SUMS = 13  # sums of the adjoint for a simplex: four corners on three axes, and the value
_TWO_PI = 2.0 * math.pi


@functools.cache
def _formulas(real: Any, order: int) -> tuple[Any, Any, Any]:
    """Return sine and cosine, value and gradient as device functions, for a working precision and an order."""
    sincos, _ = shells.compiled_formulas(real)
    found = simplex.compile_formulas(cuda.jit(device=True), real, sincos)[order]
    return sincos, found.value, found.gradient


@functools.cache
def _value_kernel(real: Any, order: int) -> Any:
    """Return the CUDA kernel of :func:`value` for a working precision, np.float32 or np.float64, and an order."""
    sincos, formula, _ = _formulas(real, order)
    two_pi, zero = real(_TWO_PI), real(0)

    @shells.on_device
    def kernel(centres: Any, offsets: Any, weights: Any, numbers: Any, out: Any) -> None:
        """One thread per frequency, its sum in registers; the block reads its slice of the simplices tile by tile."""
        middles = cuda.shared.array((_BLOCK, 3), np.float64)
        tile = cuda.shared.array((_BLOCK, 10), real)
        lane = cuda.threadIdx.x
        n_simplices, n = centres.shape[0], numbers.shape[0]
        for first in range(cuda.blockIdx.x * _BLOCK, n, cuda.gridDim.x * _BLOCK):
            k = first + lane
            at = min(k, n - 1)
            nz, ny, nx = real(numbers[at, 0]), real(numbers[at, 1]), real(numbers[at, 2])
            wide_z, wide_y, wide_x = np.float64(numbers[at, 0]), np.float64(numbers[at, 1]), np.float64(numbers[at, 2])
            total_re, total_im = 0.0, 0.0
            for start in range(cuda.blockIdx.y * _BLOCK, n_simplices, cuda.gridDim.y * _BLOCK):
                count = min(_BLOCK, n_simplices - start)
                if lane < count:
                    for axis in range(3):
                        middles[lane, axis] = centres[start + lane, axis]
                        for i in range(3):
                            tile[lane, 3 * i + axis] = offsets[start + lane, i, axis]
                    tile[lane, 9] = weights[start + lane]
                cuda.syncthreads()
                for run in range(0, count, _RUN_LENGTH):
                    sum_re, sum_im = zero, zero
                    for f in range(run, min(run + _RUN_LENGTH, count)):
                        p = tile[f, 0] * nz + tile[f, 1] * ny + tile[f, 2] * nx
                        q = tile[f, 3] * nz + tile[f, 4] * ny + tile[f, 5] * nx
                        r = tile[f, 6] * nz + tile[f, 7] * ny + tile[f, 8] * nx
                        re, im = formula(p, q, r)
                        turns = middles[f, 0] * wide_z + middles[f, 1] * wide_y + middles[f, 2] * wide_x
                        sine, cosine = sincos(two_pi * real(turns - math.floor(turns + 0.5)))
                        sum_re += tile[f, 9] * (cosine * re + sine * im)
                        sum_im += tile[f, 9] * (cosine * im - sine * re)
                    total_re += np.float64(sum_re)
                    total_im += np.float64(sum_im)
                cuda.syncthreads()
            if k < n:
                out[cuda.blockIdx.y, k, 0] = total_re
                out[cuda.blockIdx.y, k, 1] = total_im

    return kernel


@functools.cache
def _adjoint_kernel(real: Any, order: int) -> Any:
    """Return the CUDA kernel of :func:`adjoint` for a working precision, np.float32 or np.float64, and an order."""
    sincos, _, formula = _formulas(real, order)
    two_pi = real(_TWO_PI)

    @shells.on_device
    def kernel(centres: Any, offsets: Any, numbers: Any, cotangent: Any, out_values: Any, out_phases: Any) -> None:
        """One block per simplex; its threads stride over the frequencies, a tree adds up their sums."""
        sums = cuda.shared.array((_N_SUMS, _BLOCK), np.float64)
        lane = cuda.threadIdx.x
        n = numbers.shape[0]
        for f in range(cuda.blockIdx.x, centres.shape[0], cuda.gridDim.x):
            cz, cy, cx = centres[f, 0], centres[f, 1], centres[f, 2]
            for i in range(_N_SUMS):
                sums[i, lane] = 0.0
            for k in range(lane, n, _BLOCK):
                nz, ny, nx = real(numbers[k, 0]), real(numbers[k, 1]), real(numbers[k, 2])
                p = offsets[f, 0, 0] * nz + offsets[f, 0, 1] * ny + offsets[f, 0, 2] * nx
                q = offsets[f, 1, 0] * nz + offsets[f, 1, 1] * ny + offsets[f, 1, 2] * nx
                r = offsets[f, 2, 0] * nz + offsets[f, 2, 1] * ny + offsets[f, 2, 2] * nx
                re, im, a_re, a_im, b_re, b_im, c_re, c_im, d_re, d_im = formula(p, q, r)
                turns = cz * np.float64(numbers[k, 0]) + cy * np.float64(numbers[k, 1])
                turns += cx * np.float64(numbers[k, 2])
                sine, cosine = sincos(two_pi * real(turns - math.floor(turns + 0.5)))
                # conj(cotangent) exp(-i m)
                w_re = cotangent[k, 0] * cosine - cotangent[k, 1] * sine
                w_im = -cotangent[k, 0] * sine - cotangent[k, 1] * cosine
                sums[12, lane] += np.float64(w_re * re - w_im * im)
                a, b = w_re * a_re - w_im * a_im, w_re * b_re - w_im * b_im
                c, d = w_re * c_re - w_im * c_im, w_re * d_re - w_im * d_im
                sums[0, lane] += np.float64(a * nz)
                sums[1, lane] += np.float64(a * ny)
                sums[2, lane] += np.float64(a * nx)
                sums[3, lane] += np.float64(b * nz)
                sums[4, lane] += np.float64(b * ny)
                sums[5, lane] += np.float64(b * nx)
                sums[6, lane] += np.float64(c * nz)
                sums[7, lane] += np.float64(c * ny)
                sums[8, lane] += np.float64(c * nx)
                sums[9, lane] += np.float64(d * nz)
                sums[10, lane] += np.float64(d * ny)
                sums[11, lane] += np.float64(d * nx)
            cuda.syncthreads()
            half = _BLOCK // 2
            while half > 0:
                if lane < half:
                    for i in range(_N_SUMS):
                        sums[i, lane] += sums[i, lane + half]
                cuda.syncthreads()
                half //= 2
            if lane == 0:
                for i in range(out_phases.shape[1]):
                    for axis in range(3):
                        out_phases[f, i, axis] = sums[3 * i + axis, 0]
                out_values[f] = sums[12, 0]
            cuda.syncthreads()

    return kernel


def value(
    order: int, centres: Any, offsets: Any, weights: Any, numbers: Any, out: Any, stream: Any = 0
) -> None:  # fmt: skip
    """Fill `out` with the transform of simplices of an order: out[j, k] = Σ over slice j of weights[f] G at numbers[k].

    centres (n, 3), weights (n,), numbers and stream as for :func:`.mesh_ft_cuda.value`; offsets (n, 3, 3) in the
    working precision, radians per mode number, of the first three corners relative to the centroid, 0 for the last one
    and those that are not there. out (n_slices, n, 2) float64, real and imaginary part, to be summed over the slices.
    """
    if len(numbers) == 0 or len(centres) == 0:
        out[...] = 0.0
        return
    blocks = shells.clamp_block_count(-(-len(numbers) // _BLOCK)), len(out)
    _value_kernel(offsets.dtype.type, order)[blocks, _BLOCK, stream](centres, offsets, weights, numbers, out)


def adjoint(
    order: int, centres: Any, offsets: Any, numbers: Any, cotangent: Any, out_values: Any, out_phases: Any,
    stream: Any = 0,
) -> None:  # fmt: skip
    """Fill the adjoint of :func:`value`, simplex by simplex: sums over frequencies with a cotangent c.

    Arguments as for :func:`value`; cotangent (n, 2) in the working precision, real and imaginary part, of size about 1
    at most. Filled: out_values[f] = Σ Re conj(c) G, (n,); out_phases[f, i] = Σ Re conj(c) ∂G/∂phase_i times the mode
    numbers, (n, order + 1 corners, 3 axes); both float64.
    """
    if len(centres) == 0 or len(numbers) == 0:
        out_values[...] = 0.0
        out_phases[...] = 0.0
        return
    launched = _adjoint_kernel(offsets.dtype.type, order)[shells.clamp_block_count(len(centres)), _BLOCK, stream]
    launched(centres, offsets, numbers, cotangent, out_values, out_phases)
