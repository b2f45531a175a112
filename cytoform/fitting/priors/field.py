"""The prior of uneven staining: a Gaussian random field on the surface."""

from __future__ import annotations

import math

import numpy as np
from scipy.sparse import identity

from ..._typing import Array, Floats
from ...errors import ConfigError
from ...mesh.laplacian import combinatorial_laplacian
from ...mesh.protocol import Mesh

__all__ = ["StainingPrior"]


class StainingPrior:
    """The field behind the density as a Gaussian random field on the surface, a negative logarithm of its probability.

    The field s has mean 0, standard deviation `spread` and a correlation that falls to about 0.14 at the distance
    `reach` (Matérn, ν = 1). It solves (κ² - Δ) s = white noise / τ with κ = √8 / reach and
    τ² = 1 / (4 π κ² spread²); in linear elements -log p = ½ τ² sᵀ (κ² C + G) C⁻¹ (κ² C + G) s. On even triangles of
    edge e, C is the area √3 e² / 2 of each vertex and G the combinatorial Laplacian over √3. Ref: Lindgren, Rue,
    Lindström, J. R. Stat. Soc. B 73 (2011), 423, doi 10.1111/j.1467-9868.2011.00777.x.

    Parameters
    ----------
    mesh : Mesh
        Only how its vertices are connected counts.
    edge : float
        Mean length of its edges, µm.
    spread : float
        Standard deviation of the field, which near 1 is the density's logarithm.
    reach : float
        µm.
    """

    def __init__(self, mesh: Mesh, edge: float, spread: float, reach: float) -> None:
        for name, value in (("spread", spread), ("reach", reach), ("edge", edge)):
            if not value > 0:
                raise ConfigError(f"{name} is {value!r}; expected a positive number.")
        self.edge, self.spread, self._reach = edge, spread, reach
        kappa, area = math.sqrt(8.0) / reach, 0.5 * math.sqrt(3.0) * edge**2
        laplacian = combinatorial_laplacian(mesh.faces, mesh.n_vertices) / math.sqrt(3.0)
        once = kappa**2 * area * identity(mesh.n_vertices, format="csr") + laplacian
        self._matrix = ((once @ once) / (4.0 * math.pi * kappa**2 * spread**2 * area)).tocsr()
        self.strength = 1.0 / (math.sqrt(3.0) * kappa**2 * area)

    def __call__(self, stain: Array) -> tuple[float, Floats]:
        """Value and gradient (n_vertices,) of a field (n_vertices,)."""
        slope = self._matrix @ np.asarray(stain, dtype=np.float64)
        return 0.5 * float((slope * stain).sum()), slope

    def precision(self, squares: Array) -> Floats:
        """Second derivative of the energy for waves of the field, for each µm²; squared wave numbers, 1/µm²."""
        square = 8.0 / self._reach**2  # κ²
        return (square + squares) ** 2 / (4.0 * math.pi * square * self.spread**2)

    def second(self, modes: Array) -> Floats:
        """Second derivatives (k, k) for modes (n_vertices, k) of the field."""
        return modes.T @ (self._matrix @ modes)
