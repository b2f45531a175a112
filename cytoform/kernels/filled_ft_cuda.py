"""Exact Fourier transform of filled bodies with their membranes, and its adjoint, on a CUDA device (or its simulator).

The formulas are those of :mod:`.filled_ft_cpu`, the arrays those of :mod:`.mesh_ft_cuda`; centroids are relative to a
point amid the bodies. Half of a phase's sine and cosine give exp(-i m) - 1 with all its digits.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from . import mesh_ft_cuda as shells
from .mesh_ft_cuda import cuda

__all__ = ["adjoint", "value"]

_BLOCK, _RUN_LENGTH = shells.BLOCK, shells.RUN_LENGTH
_N_SUMS = 14  # sums of the adjoint for a face: three corners on three axes, value, flux, and three corners' values
_TWO_PI = 2.0 * math.pi


@functools.cache
def _value_kernel(real: Any) -> Any:
    """Return the CUDA kernel of :func:`value` for a working precision, np.float32 or np.float64."""
    sincos, formulas = shells.compiled_formulas(real)
    formula, pi, zero = formulas.reduced_value, real(math.pi), real(0)
    one, two, half = real(1), real(2), real(0.5)

    @shells.on_device
    def kernel(centres: Any, offsets: Any, weights: Any, fluxes: Any, numbers: Any, out: Any) -> None:
        """One thread per frequency, its sums in registers; the block reads its slice of the faces tile by tile."""
        middles = cuda.shared.array((_BLOCK, 3), np.float64)
        tile = cuda.shared.array((_BLOCK, 10), real)
        lane = cuda.threadIdx.x
        n_faces, n = centres.shape[0], numbers.shape[0]
        for first in range(cuda.blockIdx.x * _BLOCK, n, cuda.gridDim.x * _BLOCK):
            k = first + lane
            at = min(k, n - 1)
            nz, ny, nx = real(numbers[at, 0]), real(numbers[at, 1]), real(numbers[at, 2])
            wide_z, wide_y, wide_x = np.float64(numbers[at, 0]), np.float64(numbers[at, 1]), np.float64(numbers[at, 2])
            total_re, total_im, filled_re, filled_im = 0.0, 0.0, 0.0, 0.0
            for start in range(cuda.blockIdx.y * _BLOCK, n_faces, cuda.gridDim.y * _BLOCK):
                count = min(_BLOCK, n_faces - start)
                if lane < count:
                    for axis in range(3):
                        middles[lane, axis] = centres[start + lane, axis]
                        tile[lane, axis] = offsets[start + lane, 0, axis]
                        tile[lane, 3 + axis] = offsets[start + lane, 1, axis]
                        tile[lane, 7 + axis] = fluxes[start + lane, axis]
                    tile[lane, 6] = weights[start + lane]
                cuda.syncthreads()
                for run in range(0, count, _RUN_LENGTH):
                    sum_re, sum_im, flux_re, flux_im = zero, zero, zero, zero
                    for f in range(run, min(run + _RUN_LENGTH, count)):
                        p = tile[f, 0] * nz + tile[f, 1] * ny + tile[f, 2] * nx
                        q = tile[f, 3] * nz + tile[f, 4] * ny + tile[f, 5] * nx
                        re, im = formula(p, q, -(p + q))
                        turns = middles[f, 0] * wide_z + middles[f, 1] * wide_y + middles[f, 2] * wide_x
                        half_sine, half_cosine = sincos(pi * real(turns - math.floor(turns + 0.5)))
                        less, sine = -two * half_sine * half_sine, two * half_sine * half_cosine
                        whole = re + half
                        sum_re += tile[f, 6] * ((one + less) * whole + sine * im)
                        sum_im += tile[f, 6] * ((one + less) * im - sine * whole)
                        flux = tile[f, 7] * nz + tile[f, 8] * ny + tile[f, 9] * nx
                        flux_re += flux * (re + (less * whole + sine * im))
                        flux_im += flux * (im + (less * im - sine * whole))
                    total_re += np.float64(sum_re)
                    total_im += np.float64(sum_im)
                    filled_re += np.float64(flux_re)
                    filled_im += np.float64(flux_im)
                cuda.syncthreads()
            if k < n:
                out[cuda.blockIdx.y, k, 0] = total_re
                out[cuda.blockIdx.y, k, 1] = total_im
                out[cuda.blockIdx.y, k, 2] = filled_re
                out[cuda.blockIdx.y, k, 3] = filled_im

    return kernel


@functools.cache
def _adjoint_kernel(real: Any) -> Any:
    """Return the CUDA kernel of :func:`adjoint` for a working precision, np.float32 or np.float64."""
    sincos, formulas = shells.compiled_formulas(real)
    formula, pi, zero = formulas.reduced_gradient, real(math.pi), real(0)
    one, two, half = real(1), real(2), real(0.5)

    @shells.on_device
    def kernel(
        centres: Any, offsets: Any, normals: Any, numbers: Any, given: Any, values: Any, phases: Any, corners: Any,
        fluxes: Any,
    ) -> None:  # fmt: skip
        """One block per face, held in registers; its threads stride over the frequencies, a tree adds up their sums."""
        sums = cuda.shared.array((_N_SUMS, _BLOCK), np.float64)
        lane = cuda.threadIdx.x
        n = numbers.shape[0]
        for f in range(cuda.blockIdx.x, centres.shape[0], cuda.gridDim.x):
            cz, cy, cx = centres[f, 0], centres[f, 1], centres[f, 2]
            for i in range(_N_SUMS):
                sums[i, lane] = 0.0
            for start in range(lane, n, _RUN_LENGTH * _BLOCK):
                total, flux, a, b, d = zero, zero, zero, zero, zero
                az, ay, ax, bz, by, bx, dz, dy, dx = zero, zero, zero, zero, zero, zero, zero, zero, zero
                for k in range(start, min(start + _RUN_LENGTH * _BLOCK, n), _BLOCK):
                    nz, ny, nx = real(numbers[k, 0]), real(numbers[k, 1]), real(numbers[k, 2])
                    p = offsets[f, 0, 0] * nz + offsets[f, 0, 1] * ny + offsets[f, 0, 2] * nx
                    q = offsets[f, 1, 0] * nz + offsets[f, 1, 1] * ny + offsets[f, 1, 2] * nx
                    re, im, a_re, a_im, b_re, b_im, d_re, d_im = formula(p, q, -(p + q))
                    turns = cz * np.float64(numbers[k, 0]) + cy * np.float64(numbers[k, 1])
                    turns += cx * np.float64(numbers[k, 2])
                    half_sine, half_cosine = sincos(pi * real(turns - math.floor(turns + 0.5)))
                    less, sine = -two * half_sine * half_sine, two * half_sine * half_cosine
                    whole = re + half
                    # conj(cotangent) exp(-i m)
                    w_re = given[k, 0] * (one + less) - given[k, 1] * sine
                    w_im = -given[k, 0] * sine - given[k, 1] * (one + less)
                    total += w_re * whole - w_im * im
                    part = given[k, 3] * (re + (less * whole + sine * im))
                    part -= given[k, 2] * (im + (less * im - sine * whole))
                    flux += part * (normals[f, 0] * nz + normals[f, 1] * ny + normals[f, 2] * nx)
                    a -= w_re * a_im + w_im * a_re
                    b -= w_re * b_im + w_im * b_re
                    d -= w_re * d_im + w_im * d_re
                    part = w_re * a_re - w_im * a_im
                    az += part * nz
                    ay += part * ny
                    ax += part * nx
                    part = w_re * b_re - w_im * b_im
                    bz += part * nz
                    by += part * ny
                    bx += part * nx
                    part = w_re * d_re - w_im * d_im
                    dz += part * nz
                    dy += part * ny
                    dx += part * nx
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
                sums[10, lane] += np.float64(flux)
                sums[11, lane] += np.float64(a)
                sums[12, lane] += np.float64(b)
                sums[13, lane] += np.float64(d)
            cuda.syncthreads()
            size = _BLOCK // 2
            while size > 0:
                if lane < size:
                    for i in range(_N_SUMS):
                        sums[i, lane] += sums[i, lane + size]
                cuda.syncthreads()
                size //= 2
            if lane == 0:
                for i in range(3):
                    for axis in range(3):
                        phases[f, i, axis] = sums[3 * i + axis, 0]
                    corners[f, i] = sums[11 + i, 0]
                values[f], fluxes[f] = sums[9, 0], sums[10, 0]
            cuda.syncthreads()

    return kernel


def value(
    centres: Any, offsets: Any, weights: Any, fluxes: Any, numbers: Any, out: Any, stream: Any = 0
) -> None:  # fmt: skip
    """Fill `out` with the transforms of membranes and bodies: of slice j and mode k in out[j, k].

    centres, offsets, weights, numbers and stream as for :func:`.mesh_ft_cuda.value`; fluxes (n_faces, 3) in the working
    precision, jump · 2 area · normal per mode number. out (n_slices, n, 4) float64, to be summed over the slices: real
    and imaginary part of Σ weights[f] G, and of Σ (fluxes[f] · numbers[k]) (G - 1/2).
    """
    if len(numbers) == 0 or len(centres) == 0:
        out[...] = 0.0
        return
    blocks = shells.clamp_block_count(-(-len(numbers) // _BLOCK)), len(out)
    _value_kernel(offsets.dtype.type)[blocks, _BLOCK, stream](centres, offsets, weights, fluxes, numbers, out)


def adjoint(
    centres: Any, offsets: Any, normals: Any, numbers: Any, given: Any, values: Any, phases: Any, corners: Any,
    fluxes: Any, stream: Any = 0,
) -> None:  # fmt: skip
    """Fill the adjoint of :func:`value`, face by face: sums over frequencies with a cotangent c.

    centres, offsets, numbers and stream as for :func:`value`; normals (n_faces, 3) in the working precision, 2 area ·
    normal per mode number; given (n, 4) in the working precision, real and imaginary part of c and of c / |ξ|², of size
    about 1 at most. Filled with float64: values (n_faces,) and phases (n_faces, 3 corners, 3 axes) as
    :func:`.mesh_ft_cuda.adjoint` does; corners (n_faces, 3), Σ Re conj(c) i ∂G/∂phase; fluxes (n_faces,), Σ Re conj(c /
    |ξ|²) i (normals[f] · numbers) (G - 1/2).
    """
    if len(centres) == 0 or len(numbers) == 0:
        for out in (values, phases, corners, fluxes):
            out[...] = 0.0
        return
    launched = _adjoint_kernel(offsets.dtype.type)[shells.clamp_block_count(len(centres)), _BLOCK, stream]
    launched(centres, offsets, normals, numbers, given, values, phases, corners, fluxes)
