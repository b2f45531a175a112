"""Exact Fourier transform of a triangle mesh and its adjoint, on a CUDA device (or on numba's simulator of one).

Frequencies come as a list of integer mode numbers. A face comes as its centroid and, relative to that, two of its
corners: the third is minus their sum. Phases of centroids are formed in float64, in units of 2π, so that only the
fraction that is left after whole multiples is rounded; all else is computed in the precision of the offsets. Sums over
a few pairs (face, frequency) are in that precision, longer ones in float64, in a fixed order and without atomics: a
result is the same from run to run.

Arrays live on the device: anything with ``__cuda_array_interface__`` (the simulator takes NumPy's).
"""

from __future__ import annotations

import functools
import importlib
import math
from typing import Any

import numba
import numpy as np

from . import triangle

__all__ = ["BLOCK", "RUN_LENGTH", "adjoint", "clamp_block_count", "compiled_formulas", "count_slices", "cuda",
           "on_device", "value"]  # fmt: skip

cuda: Any = importlib.import_module("numba.cuda")  # its attributes depend on whether it is the simulator
_config: Any = numba.config
_SIMULATED = bool(_config.ENABLE_CUDASIM)
BLOCK = 8 if _SIMULATED else 128  # threads in a block, a power of two; the simulator's are Python threads
on_device: triangle.Jit = cuda.jit  # decorator of what is launched on the device
# Idle blocks cost nothing, and numba warns of fewer than 128; kernels stride over what more blocks would have done.
_MIN_BLOCKS, _MAX_BLOCKS = (1, 16) if _SIMULATED else (128, 65_536)
_ENOUGH_BLOCKS = 4 if _SIMULATED else 2048  # that keep every multiprocessor of a large device busy
RUN_LENGTH = 2 if _SIMULATED else 8  # pairs that are summed in the working precision, then added in float64
_N_SUMS = 10  # sums of the adjoint for a face: three corners on three axes, and the value
_TWO_PI = 2.0 * math.pi


@functools.cache
def compiled_formulas(real: Any) -> tuple[Any, Any]:
    """Return sine and cosine as one device function, and the namespace of formulas, compiled for a working precision.

    `real` is np.float32 or np.float64. The sine and cosine are polynomials: CUDA's own have a branch for huge
    arguments.
    """
    device: triangle.Jit = cuda.jit(device=True)
    half = real(0.5)

    @device
    def floor(x: Any) -> Any:
        return real(math.floor(x))

    @device
    def nearest(x: Any) -> Any:
        return real(math.floor(x + half))

    sincos = triangle.polynomial_sincos(device, real, floor, nearest)
    return sincos, triangle.compile_formulas(device, real, sincos)


@functools.cache
def _value_kernel(real: Any) -> Any:
    """Return the CUDA kernel of :func:`value` for a working precision, np.float32 or np.float64."""
    sincos, formulas = compiled_formulas(real)
    formula, two_pi, zero = formulas.value, real(_TWO_PI), real(0)

    @on_device
    def kernel(centres: Any, offsets: Any, weights: Any, numbers: Any, out: Any) -> None:
        """One thread per frequency, its sum in registers; the block reads its slice of the faces tile by tile."""
        middles = cuda.shared.array((BLOCK, 3), np.float64)
        corners = cuda.shared.array((BLOCK, 7), real)
        lane = cuda.threadIdx.x
        n_faces, n = centres.shape[0], numbers.shape[0]
        for first in range(cuda.blockIdx.x * BLOCK, n, cuda.gridDim.x * BLOCK):
            k = first + lane
            at = min(k, n - 1)
            nz, ny, nx = real(numbers[at, 0]), real(numbers[at, 1]), real(numbers[at, 2])
            wide_z, wide_y, wide_x = np.float64(numbers[at, 0]), np.float64(numbers[at, 1]), np.float64(numbers[at, 2])
            total_re, total_im = 0.0, 0.0
            for start in range(cuda.blockIdx.y * BLOCK, n_faces, cuda.gridDim.y * BLOCK):
                count = min(BLOCK, n_faces - start)
                if lane < count:
                    for axis in range(3):
                        middles[lane, axis] = centres[start + lane, axis]
                        corners[lane, axis] = offsets[start + lane, 0, axis]
                        corners[lane, 3 + axis] = offsets[start + lane, 1, axis]
                    corners[lane, 6] = weights[start + lane]
                cuda.syncthreads()
                for run in range(0, count, RUN_LENGTH):
                    sum_re, sum_im = zero, zero
                    for f in range(run, min(run + RUN_LENGTH, count)):
                        p = corners[f, 0] * nz + corners[f, 1] * ny + corners[f, 2] * nx
                        q = corners[f, 3] * nz + corners[f, 4] * ny + corners[f, 5] * nx
                        re, im = formula(p, q, -(p + q))
                        turns = middles[f, 0] * wide_z + middles[f, 1] * wide_y + middles[f, 2] * wide_x
                        sine, cosine = sincos(two_pi * real(turns - math.floor(turns + 0.5)))
                        sum_re += corners[f, 6] * (cosine * re + sine * im)
                        sum_im += corners[f, 6] * (cosine * im - sine * re)
                    total_re += np.float64(sum_re)
                    total_im += np.float64(sum_im)
                cuda.syncthreads()
            if k < n:
                out[cuda.blockIdx.y, k, 0] = total_re
                out[cuda.blockIdx.y, k, 1] = total_im

    return kernel


@functools.cache
def _adjoint_kernel(real: Any) -> Any:
    """Return the CUDA kernel of :func:`adjoint` for a working precision, np.float32 or np.float64."""
    sincos, formulas = compiled_formulas(real)
    formula, two_pi, zero = formulas.gradient, real(_TWO_PI), real(0)

    @on_device
    def kernel(centres: Any, offsets: Any, numbers: Any, cotangent: Any, out_values: Any, out_phases: Any) -> None:
        """One block per face, held in registers; its threads stride over the frequencies, a tree adds up their sums."""
        sums = cuda.shared.array((_N_SUMS, BLOCK), np.float64)
        lane = cuda.threadIdx.x
        n = numbers.shape[0]
        for f in range(cuda.blockIdx.x, centres.shape[0], cuda.gridDim.x):
            cz, cy, cx = centres[f, 0], centres[f, 1], centres[f, 2]
            pz, py, px = offsets[f, 0, 0], offsets[f, 0, 1], offsets[f, 0, 2]
            qz, qy, qx = offsets[f, 1, 0], offsets[f, 1, 1], offsets[f, 1, 2]
            for i in range(_N_SUMS):
                sums[i, lane] = 0.0
            for start in range(lane, n, RUN_LENGTH * BLOCK):
                total = zero
                az, ay, ax, bz, by, bx, dz, dy, dx = zero, zero, zero, zero, zero, zero, zero, zero, zero
                for k in range(start, min(start + RUN_LENGTH * BLOCK, n), BLOCK):
                    nz, ny, nx = real(numbers[k, 0]), real(numbers[k, 1]), real(numbers[k, 2])
                    p, q = pz * nz + py * ny + px * nx, qz * nz + qy * ny + qx * nx
                    g_re, g_im, a_re, a_im, b_re, b_im, c_re, c_im = formula(p, q, -(p + q))
                    turns = cz * np.float64(numbers[k, 0]) + cy * np.float64(numbers[k, 1])
                    turns += cx * np.float64(numbers[k, 2])
                    sine, cosine = sincos(two_pi * real(turns - math.floor(turns + 0.5)))
                    # conj(cotangent) exp(-i m)
                    w_re = cotangent[k, 0] * cosine - cotangent[k, 1] * sine
                    w_im = -cotangent[k, 0] * sine - cotangent[k, 1] * cosine
                    total += w_re * g_re - w_im * g_im
                    s = w_re * a_re - w_im * a_im
                    az += s * nz
                    ay += s * ny
                    ax += s * nx
                    s = w_re * b_re - w_im * b_im
                    bz += s * nz
                    by += s * ny
                    bx += s * nx
                    s = w_re * c_re - w_im * c_im
                    dz += s * nz
                    dy += s * ny
                    dx += s * nx
                sums[0, lane] += np.float64(az)
                sums[1, lane] += np.float64(ay)
                sums[2, lane] += np.float64(ax)
                sums[3, lane] += np.float64(bz)
                sums[4, lane] += np.float64(by)
                sums[5, lane] += np.float64(bx)
                sums[6, lane] += np.float64(dz)
                sums[7, lane] += np.float64(dy)
                sums[8, lane] += np.float64(dx)
                sums[9, lane] += np.float64(total)
            cuda.syncthreads()
            half = BLOCK // 2
            while half > 0:
                if lane < half:
                    for i in range(_N_SUMS):
                        sums[i, lane] += sums[i, lane + half]
                cuda.syncthreads()
                half //= 2
            if lane == 0:
                for i in range(3):
                    for axis in range(3):
                        out_phases[f, i, axis] = sums[3 * i + axis, 0]
                out_values[f] = sums[9, 0]
            cuda.syncthreads()

    return kernel


def clamp_block_count(wanted: int) -> int:
    """Return the wanted number of thread blocks, but at least _MIN_BLOCKS and at most _MAX_BLOCKS."""
    return min(max(wanted, _MIN_BLOCKS), _MAX_BLOCKS)


def count_slices(n_faces: int, n: int) -> int:
    """Return into how many slices :func:`value` should divide the faces for n frequencies: the first axis of its `out`.

    With few frequencies there are too few blocks to keep a device busy; several slices of the faces give more. It is at
    least 1 and at most the number of tiles of BLOCK faces.
    """
    blocks, tiles = -(-n // BLOCK), -(-n_faces // BLOCK)
    return max(1, min(tiles, _ENOUGH_BLOCKS // max(blocks, 1)))


def value(centres: Any, offsets: Any, weights: Any, numbers: Any, out: Any, stream: Any = 0) -> None:
    """Fill `out` with the transform of a mesh: out[j, k] = Σ over the faces f of slice j of weights[f] G at numbers[k].

    centres (n_faces, 3) float64: phase of a centroid in units of 2π per mode number. offsets (n_faces, 2, 3): radians
    per mode number, of two corners relative to the centroid, in the working precision, as weights (n_faces,). numbers
    (n, 3) mode numbers, float32 where that holds them exactly, or float64. out (n_slices, n, 2) float64, real and
    imaginary part, to be summed over the slices. stream: the CUDA stream on which the kernel runs; 0 is the default
    one.
    """
    if len(numbers) == 0 or len(centres) == 0:
        out[...] = 0.0
        return
    blocks = clamp_block_count(-(-len(numbers) // BLOCK)), len(out)
    kernel = _value_kernel(offsets.dtype.type)[blocks, BLOCK, stream]
    kernel(centres, offsets, weights, numbers, out)


def adjoint(
    centres: Any, offsets: Any, numbers: Any, cotangent: Any, out_values: Any, out_phases: Any, stream: Any = 0
) -> None:
    """Fill the adjoint of :func:`value`, face by face: sums over frequencies with a cotangent c.

    centres, offsets, numbers and stream as for :func:`value`; cotangent (n, 2) in the working precision, real and
    imaginary part, of size about 1 at most. Filled: out_values[f] = Σ Re conj(c) G, (n_faces,); out_phases[f, i] = Σ Re
    conj(c) ∂G/∂phase_i times the mode numbers, (n_faces, 3 corners, 3 axes); both float64.
    """
    if len(centres) == 0 or len(numbers) == 0:
        out_values[...] = 0.0
        out_phases[...] = 0.0
        return
    kernel = _adjoint_kernel(offsets.dtype.type)[clamp_block_count(len(centres)), BLOCK, stream]
    kernel(centres, offsets, numbers, cotangent, out_values, out_phases)
