"""Staining that is not even: a field on the surface that bends the density, and what is known of it beforehand."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy.sparse import identity

from ...errors import ConfigError
from ...mesh import geometry
from ...mesh.laplacian import combinatorial_laplacian
from ...mesh.protocol import Mesh

__all__ = ["StainingPrior", "moved_density", "slope_of", "stain_of", "stained"]

MeshT = TypeVar("MeshT", bound=Mesh)
LIMIT = math.log(2.2)  # densities stay between 0.45 and 2.2, and so between a third and thrice their mean
MOST = 0.99  # of the limit: what a start's density may be at most


def stained(mesh: MeshT, stain: npt.NDArray) -> MeshT:
    """The mesh with densities ρ from a field s at the vertices, (n_vertices,).

    ln ρ = L tanh(s / L), L = ln 2.2, with s at the middle of a face: near 1, s is the logarithm of the density, which
    stays between 0.45 and 2.2.
    """
    middle = np.asarray(stain)[mesh.faces].mean(axis=1)
    return mesh.with_density(np.exp(LIMIT * np.tanh(middle / LIMIT)).astype(mesh.dtype))


def slope_of(mesh: Mesh, stain: npt.NDArray, density: npt.NDArray) -> npt.NDArray[np.float64]:
    """Gradient for the field at the vertices, (n_vertices,), from that for the densities of the faces."""
    bend = 1.0 - np.tanh(np.asarray(stain)[mesh.faces].mean(axis=1) / LIMIT) ** 2
    third = np.asarray(density, dtype=np.float64) * mesh.density * bend / 3.0
    return np.bincount(mesh.faces.reshape(-1), weights=np.repeat(third, 3), minlength=mesh.n_vertices)


def moved_density(mesh: MeshT, stain: npt.NDArray, change: npt.NDArray) -> MeshT:
    """The mesh with what its densities gain for a small change of the field, both (n_vertices,); may be negative."""
    bend = 1.0 - np.tanh(np.asarray(stain)[mesh.faces].mean(axis=1) / LIMIT) ** 2
    return mesh.with_density(mesh.density * bend * np.asarray(change)[mesh.faces].mean(axis=1))


def stain_of(mesh: Mesh) -> npt.NDArray[np.float64]:
    """The field (n_vertices,) that comes near a mesh's own densities over their mean: means of the faces around."""
    density = np.asarray(mesh.density, dtype=np.float64)
    mean = float((density * mesh.face_areas).sum() / mesh.face_areas.sum())
    ratio = np.clip(density / mean, math.exp(-MOST * LIMIT), math.exp(MOST * LIMIT)) if mean > 0 else density * 0 + 1
    values = LIMIT * np.arctanh(np.log(ratio) / LIMIT)
    return geometry.mean_at_vertices(values, mesh.faces, mesh.n_vertices)


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
        Its connectivity counts.
    edge : float
        Mean length of the edges, µm.
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

    def __call__(self, stain: npt.NDArray) -> tuple[float, npt.NDArray[np.float64]]:
        """Value and gradient (n_vertices,) of a field (n_vertices,)."""
        slope = self._matrix @ np.asarray(stain, dtype=np.float64)
        return 0.5 * float((slope * stain).sum()), slope

    def precision(self, squares: npt.NDArray) -> npt.NDArray[np.float64]:
        """Second derivative of the energy for waves of the field, for each µm²; squared wave numbers, 1/µm²."""
        square = 8.0 / self._reach**2  # κ²
        return (square + squares) ** 2 / (4.0 * math.pi * square * self.spread**2)

    def second(self, modes: npt.NDArray) -> npt.NDArray[np.float64]:
        """Second derivatives (k, k) for modes (n_vertices, k) of the field."""
        return modes.T @ (self._matrix @ modes)
