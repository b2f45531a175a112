"""Smooth modes of a surface, in which its position and its staining may vary."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csc_matrix, identity
from scipy.sparse.linalg import eigsh

from ..._typing import Floats
from ...mesh.laplacian import combinatorial_laplacian
from ...mesh.protocol import Mesh

__all__ = ["smoothest_modes"]


def smoothest_modes(mesh: Mesh, count: int) -> Floats:
    """Return the `count` eigenvectors of the mesh's combinatorial Laplacian with least eigenvalues, (n_vertices, k).

    Their mean square is 1. Meshes with fewer vertices have as many modes as vertices.
    """
    n = mesh.n_vertices
    laplacian = csc_matrix(combinatorial_laplacian(mesh.faces, n))
    if count >= n - 1:
        vectors = np.linalg.eigh(laplacian.toarray())[1]
    else:
        begin = np.random.default_rng(0).normal(size=n)  # the same on every run
        shifted = csc_matrix(laplacian + 1e-3 * identity(n))
        vectors = eigsh(shifted, k=count, sigma=0.0, which="LM", v0=begin)[1]
    modes: Floats = vectors * np.sqrt(n)
    return modes
