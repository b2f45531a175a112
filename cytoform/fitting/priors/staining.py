"""Staining that is not even: a field on the surface that bends the density."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np

from ..._typing import Array, Floats
from ...mesh import geometry
from ...mesh.protocol import Mesh
from ..constants import STAINING_LIMIT, START_STAINING_SHARE

__all__ = ["apply_staining", "density_change", "staining_field", "staining_gradient"]

MeshT = TypeVar("MeshT", bound=Mesh)


def apply_staining(mesh: MeshT, stain: Array, pattern: Array | None = None) -> MeshT:
    """The mesh with densities ρ from a field s at the vertices, (n_vertices,).

    ln ρ = L tanh(s / L), L = ln 2.2, with s at the middle of a face: near 1, s is the logarithm of the density, which
    stays between 0.45 and 2.2. A `pattern`, the density (n_faces,) of an evenly stained mesh, multiplies it.
    """
    middle = np.asarray(stain)[mesh.faces].mean(axis=1)
    density = np.exp(STAINING_LIMIT * np.tanh(middle / STAINING_LIMIT))
    return mesh.with_density((density if pattern is None else pattern * density).astype(mesh.dtype))


def staining_gradient(mesh: Mesh, stain: Array, density: Array) -> Floats:
    """Gradient for the field at the vertices, (n_vertices,), from that for the densities of the faces."""
    bend = 1.0 - np.tanh(np.asarray(stain)[mesh.faces].mean(axis=1) / STAINING_LIMIT) ** 2
    third = np.asarray(density, dtype=np.float64) * mesh.density * bend / 3.0
    return np.bincount(mesh.faces.reshape(-1), weights=np.repeat(third, 3), minlength=mesh.n_vertices)


def density_change(mesh: MeshT, stain: Array, change: Array) -> MeshT:
    """The mesh with what its densities gain for a small change of the field, both (n_vertices,); may be negative."""
    bend = 1.0 - np.tanh(np.asarray(stain)[mesh.faces].mean(axis=1) / STAINING_LIMIT) ** 2
    return mesh.with_density(mesh.density * bend * np.asarray(change)[mesh.faces].mean(axis=1))


def staining_field(mesh: Mesh, pattern: Array | None = None) -> Floats:
    """The field (n_vertices,) that comes near a mesh's own densities over their mean: means of the faces around.

    A `pattern`, the density (n_faces,) of an evenly stained mesh, is divided out before.
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
