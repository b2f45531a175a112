"""Uneven staining: a field at the vertices, and the densities of the faces that follow from it."""

from __future__ import annotations

import math
from typing import TypeVar, cast

import numpy as np

from ..._typing import Array, Floats
from ...mesh import geometry
from ...mesh.protocol import Mesh
from ..constants import STAINING_LIMIT, START_STAINING_SHARE

__all__ = ["apply_staining", "staining_field", "staining_gradient", "staining_slope"]

MeshT = TypeVar("MeshT", bound=Mesh)


def apply_staining(mesh: MeshT, stain: Array, pattern: Array | None = None) -> MeshT:
    """Return the mesh with the densities that follow from a field at its vertices.

    ln ρ = L tanh(s / L), L = ln 2.2, with s the mean field at the corners of a face. Near 1, s is the logarithm of the
    density; the density stays between 0.45 and 2.2.

    Parameters
    ----------
    mesh : Mesh
    stain : (n_vertices,) float
        The field s.
    pattern : (n_faces,) float, optional
        Density of the evenly stained mesh, which multiplies ρ; 1 by default.

    Returns
    -------
    Mesh
        Of the same kind.
    """
    middle = np.asarray(stain)[mesh.faces].mean(axis=1)
    density = np.exp(STAINING_LIMIT * np.tanh(middle / STAINING_LIMIT))
    return mesh.with_density((density if pattern is None else pattern * density).astype(mesh.dtype))


def staining_gradient(mesh: Mesh, stain: Array, density: Array) -> Floats:
    """Convert a gradient for the densities of the faces into one for the field at the vertices (chain rule).

    `stain` is the field, (n_vertices,), at which `mesh` has its densities; `density` the gradient for them, (n_faces,).
    Returns (n_vertices,).
    """
    bend = 1.0 - np.tanh(np.asarray(stain)[mesh.faces].mean(axis=1) / STAINING_LIMIT) ** 2
    third = np.asarray(density, dtype=np.float64) * mesh.density * bend / 3.0
    found = np.bincount(mesh.faces.reshape(-1), weights=np.repeat(third, 3), minlength=mesh.n_vertices)
    return cast(Floats, found)  # with weights, bincount gives floats


def staining_slope(stain: Array) -> Floats:
    """Return the derivative of the log density for the field, 1 - tanh(s / L)², in the shape of `stain`."""
    return 1.0 - np.tanh(np.asarray(stain, dtype=np.float64) / STAINING_LIMIT) ** 2


def staining_field(mesh: Mesh, pattern: Array | None = None) -> Floats:
    """Estimate the field at the vertices, (n_vertices,), from a mesh's densities (inverse of :func:`apply_staining`).

    Densities are divided by `pattern` ((n_faces,), 1 by default) and by their mean over the area; a vertex gets the
    mean field of the faces around it.
    """
    density = np.asarray(mesh.density, dtype=np.float64)
    density = density if pattern is None else density / pattern
    mean = float((density * mesh.face_areas).sum() / mesh.face_areas.sum())
    ratio = (
        np.clip(
            density / mean,
            math.exp(-START_STAINING_SHARE * STAINING_LIMIT),
            math.exp(START_STAINING_SHARE * STAINING_LIMIT),
        )
        if mean > 0
        else density * 0 + 1
    )
    values = STAINING_LIMIT * np.arctanh(np.log(ratio) / STAINING_LIMIT)
    return geometry.mean_at_vertices(values, mesh.faces, mesh.n_vertices)
