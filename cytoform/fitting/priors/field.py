"""The prior of the staining: a Gaussian random field on the surface."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
from scipy.sparse import csr_matrix, identity

from ..._typing import Array, Floats
from ...errors import ConfigError
from ...mesh.laplacian import combinatorial_laplacian
from ...mesh.protocol import Mesh

__all__ = ["StainingPrior"]


class StainingPrior:
    """A Gaussian random field on the surface as the prior of the staining: its negative log probability.

    The field s, near 1 the logarithm of the density, has mean 0, standard deviation `spread` and a correlation that
    falls to about 0.14 at the distance `reach` (Matérn, ν = 1). It solves (κ² - Δ) s = white noise / τ with
    κ = √8 / reach and τ² = 1 / (4 π κ² spread²); in linear elements -log p = ½ τ² sᵀ (κ² C + G) C⁻¹ (κ² C + G) s. On
    even triangles of edge e, C is the area √3 e² / 2 of each vertex and G the combinatorial Laplacian over √3.
    Ref: Lindgren, Rue, Lindström, J. R. Stat. Soc. B 73 (2011), 423, doi 10.1111/j.1467-9868.2011.00777.x.

    Parameters
    ----------
    mesh : Mesh
        Only its connectivity is used.
    edge : float
        Mean length of its edges, µm.
    spread : float
        Standard deviation of the field, without a unit.
    reach : float
        Correlation length, µm.

    Attributes
    ----------
    strength : float
        1 / (√3 κ² C): λ of the preconditioner (1 + λL)^-2 that matches the field's precision.

    Raises
    ------
    ConfigError
        When `edge`, `spread` or `reach` is not positive.
    """

    def __init__(self, mesh: Mesh, edge: float, spread: float, reach: float) -> None:
        for name, value in (("spread", spread), ("reach", reach), ("edge", edge)):
            if not value > 0:
                raise ConfigError(f"{name} is {value!r}; expected a positive number.")
        self.edge, self.spread, self._reach = edge, spread, reach
        kappa, area = math.sqrt(8.0) / reach, 0.5 * math.sqrt(3.0) * edge**2
        laplacian = combinatorial_laplacian(mesh.faces, mesh.n_vertices) / math.sqrt(3.0)
        once = cast(csr_matrix, kappa**2 * area * identity(mesh.n_vertices, format="csr") + laplacian)
        twice = cast(csr_matrix, once @ once)
        self._matrix: csr_matrix = (twice / (4.0 * math.pi * kappa**2 * spread**2 * area)).tocsr()
        self.strength = 1.0 / (math.sqrt(3.0) * kappa**2 * area)

    def __call__(self, stain: Array) -> tuple[float, Floats]:
        """Return the negative log probability of a field, (n_vertices,), and its gradient, (n_vertices,)."""
        slope = self._matrix @ np.asarray(stain, dtype=np.float64)
        return 0.5 * float((slope * stain).sum()), slope

    def precision(self, squares: Array) -> Floats:
        """Return the second derivative of the energy for plane waves of the field, per µm² of surface.

        `squares` are squared wave numbers, (n,) 1/µm². The result, (n,), is (κ² + k²)² / (4 π κ² spread²).
        """
        square = 8.0 / self._reach**2  # κ²
        return (square + squares) ** 2 / (4.0 * math.pi * square * self.spread**2)

    def second(self, modes: Array) -> Floats:
        """Project the energy's Hessian on modes of the field, (n_vertices, k): a (k, k) matrix."""
        return cast(Floats, modes.T @ (self._matrix @ modes))
