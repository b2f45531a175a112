"""Loops over the Gauss points of a mesh: faces to points for the transform, fields at the points back to faces.

The rules lie one after another: rule r has the barycentric points `barycentric[starts[r] : starts[r + 1]]` and the
weights beside them. The points of face f are `offsets[f] : offsets[f + 1]`.
"""

from __future__ import annotations

import math

import numba

__all__ = ["gather", "scatter"]

_TURN = 2.0 * math.pi


@numba.njit(parallel=True, cache=True, error_model="numpy")
def scatter(
    corners, strengths, inverse_periods, shift, rules, starts, barycentric, weights, offsets, angles, point_strengths
):
    """Points of all faces as angles of the periodic box, and their masses turned by `shift` modes along x.

    corners (n_faces, 3, 3) and strengths (n_faces,) float64; per_period (3,) one over the box's sides; rules (n_faces,)
    the rule of every face. places (3, n) real, in [-π, π), formed in float64; sources (n,) complex: half the strength
    times the weight times exp(-i shift x).
    """
    for f in numba.prange(corners.shape[0]):
        first = starts[rules[f]]
        for n in range(offsets[f], offsets[f + 1]):
            r = first + n - offsets[f]
            angle = 0.0
            for d in range(3):
                turns = inverse_periods[d] * (
                    barycentric[r, 0] * corners[f, 0, d]
                    + barycentric[r, 1] * corners[f, 1, d]
                    + barycentric[r, 2] * corners[f, 2, d]
                )
                angle = _TURN * (turns - math.floor(turns + 0.5))
                angles[d, n] = angle
            mass = 0.5 * strengths[f] * weights[r]
            point_strengths[n] = complex(mass * math.cos(shift * angle), -mass * math.sin(shift * angle))


@numba.njit(parallel=True, cache=True, error_model="numpy")
def gather(fields, angles, shift, rules, starts, barycentric, weights, offsets, face_sums, corner_sums):
    """Sums of fields over the points of every face: the adjoint of :func:`scatter`.

    fields (4, n) complex: a field and its three derivatives, to be turned by exp(-i shift x). values (n_faces,) gets
    half the weighted sum of the first, moves (n_faces, 3 corners, 3 axes) those of the others times the barycentric
    coordinate; real parts, float64.
    """
    for f in numba.prange(len(face_sums)):
        first = starts[rules[f]]
        total = 0.0
        for p in range(3):
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
                for p in range(3):
                    corner_sums[f, p, d] += barycentric[r, p] * slope
        face_sums[f] = total
