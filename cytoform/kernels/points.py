"""Loops over the quadrature points of a mesh: from faces to points for the transform, from points back to faces.

A face may be any simplex, of k + 1 corners where a triangle has three.

The quadrature rules lie one after another: rule r has the barycentric points `barycentric[starts[r] : starts[r + 1]]`
and the weights beside them. The points of face f are `offsets[f] : offsets[f + 1]`.
"""

from __future__ import annotations

import math

import numba

from .._typing import AnyFloats, Array, Floats, Ints

__all__ = ["gather", "gather_at_corners", "gather_sums", "scatter"]

_TWO_PI = 2.0 * math.pi


@numba.njit(parallel=True, cache=True, error_model="numpy")
def scatter(
    corners: Floats,
    strengths: Floats,
    inverse_periods: Floats,
    shift: float,
    rules: Ints,
    starts: Ints,
    barycentric: Floats,
    weights: Floats,
    offsets: Ints,
    angles: AnyFloats,
    point_strengths: Array,
) -> None:
    """Fill the quadrature points of all faces as angles of the periodic box, and their strengths for a type-1 NUFFT.

    corners (n_faces, 3 corners, 3 axes) and strengths (n_sets, n_faces) float64, such as twice the area times the
    density, several for as many transforms; inverse_periods (3,), one over the box's sides; shift, a number of modes
    along x; rules (n_faces,), the rule of every face. Filled: angles (3, n) real, 2π position / period in [-π, π),
    formed in float64; point_strengths (n_sets, n) complex, half the strength times the weight times exp(-i shift x),
    which shifts the spectrum by `shift` modes.
    """
    for f in numba.prange(corners.shape[0]):
        first = starts[rules[f]]
        for n in range(offsets[f], offsets[f + 1]):
            r = first + n - offsets[f]
            angle = 0.0
            for d in range(3):
                place = barycentric[r, 0] * corners[f, 0, d]
                for p in range(1, corners.shape[1]):
                    place += barycentric[r, p] * corners[f, p, d]
                turns = inverse_periods[d] * place
                angle = _TWO_PI * (turns - math.floor(turns + 0.5))
                angles[d, n] = angle
            cosine, sine = math.cos(shift * angle), math.sin(shift * angle)
            for s in range(strengths.shape[0]):
                mass = 0.5 * strengths[s, f] * weights[r]
                point_strengths[s, n] = complex(mass * cosine, -mass * sine)


@numba.njit(parallel=True, cache=True, error_model="numpy")
def gather(
    fields: Array,
    angles: AnyFloats,
    shift: float,
    rules: Ints,
    starts: Ints,
    barycentric: Floats,
    weights: Floats,
    offsets: Ints,
    face_sums: Floats,
    corner_sums: Floats,
) -> None:
    """Sum fields over the quadrature points of every face: the adjoint of :func:`scatter`.

    fields (4, n) complex: a field and its three derivatives at the points, to be multiplied by exp(-i shift x). Filled
    with real parts in float64: face_sums (n_faces,), half the weighted sum of the first field; corner_sums (n_faces, 3
    corners, 3 axes), half the weighted sums of the derivatives times the point's barycentric coordinate of the corner.
    """
    for f in numba.prange(len(face_sums)):
        first = starts[rules[f]]
        total = 0.0
        for p in range(corner_sums.shape[1]):
            for d in range(3):
                corner_sums[f, p, d] = 0.0
        for n in range(offsets[f], offsets[f + 1]):
            r = first + n - offsets[f]
            angle = shift * angles[2, n]
            half = 0.5 * weights[r]
            cosine, sine = half * math.cos(angle), half * math.sin(angle)
            total += cosine * fields[0, n].real + sine * fields[0, n].imag
            for d in range(3):
                slope = cosine * fields[d + 1, n].real + sine * fields[d + 1, n].imag
                for p in range(corner_sums.shape[1]):
                    corner_sums[f, p, d] += barycentric[r, p] * slope
        face_sums[f] = total


@numba.njit(parallel=True, cache=True, error_model="numpy")
def gather_at_corners(
    field: Array,
    angles: AnyFloats,
    shift: float,
    rules: Ints,
    starts: Ints,
    barycentric: Floats,
    weights: Floats,
    offsets: Ints,
    corner_sums: Floats,
) -> None:
    """Sum a field over the quadrature points of every face, times the barycentric coordinate of each corner.

    field (n,) complex, to be multiplied by exp(-i shift x). Filled with real parts in float64: corner_sums (n_faces, 3
    corners), half the weighted sums.
    """
    for f in numba.prange(len(corner_sums)):
        first = starts[rules[f]]
        for p in range(corner_sums.shape[1]):
            corner_sums[f, p] = 0.0
        for n in range(offsets[f], offsets[f + 1]):
            r = first + n - offsets[f]
            angle = shift * angles[2, n]
            value = 0.5 * weights[r] * (math.cos(angle) * field[n].real + math.sin(angle) * field[n].imag)
            for p in range(corner_sums.shape[1]):
                corner_sums[f, p] += barycentric[r, p] * value


@numba.njit(parallel=True, cache=True, error_model="numpy")
def gather_sums(
    fields: Array,
    angles: AnyFloats,
    shift: float,
    rules: Ints,
    starts: Ints,
    weights: Floats,
    offsets: Ints,
    sums: Floats,
) -> None:
    """Sum fields over the quadrature points of every face.

    fields (m, n) complex, to be multiplied by exp(-i shift x). Filled with real parts in float64: sums (m, n_faces),
    half the weighted sums.
    """
    for f in numba.prange(sums.shape[1]):
        first = starts[rules[f]]
        for m in range(sums.shape[0]):
            sums[m, f] = 0.0
        for n in range(offsets[f], offsets[f + 1]):
            half = 0.5 * weights[first + n - offsets[f]]
            angle = shift * angles[2, n]
            cosine, sine = half * math.cos(angle), half * math.sin(angle)
            for m in range(sums.shape[0]):
                sums[m, f] += cosine * fields[m, n].real + sine * fields[m, n].imag
