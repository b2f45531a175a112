"""How the vertices of one body move: its smoothness energy, its preconditioner, and the care of its triangles."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..._typing import Floats
from ...mesh.base import TriangleMesh
from ...mesh.remesh import faces_around, needs_remesh, poor_faces, remesh
from ...mesh.simplices import Simplices
from ...mesh.topology import edge_lengths, is_embedded
from ...optim import LaplacianPreconditioner
from ..bodies import body_class_of
from ..constants import MOST_VOLUME_CHANGE, REMESHED_RINGS, TRIANGLE_BOUNDS
from ..priors.smoothness import Smoothness

__all__ = ["Mover"]

FINEST_EDGE = 0.6
"""Of the radius of a ball of a body's volume: its longest wanted edge, so that small bodies are round."""


class Mover:
    """What a joint fit needs of one body to move it, for its present triangles.

    Parameters
    ----------
    body : Mesh, PointSet, Filaments or TetrahedralMesh
        The body.
    edge : float
        Wanted mean length of edges, µm; shorter for small closed surfaces.
    preconditioning : float
        λ of the preconditioner (1 + λL)^-2.
    weight : float
        Weight of the smoothness energy, in units of a negative log probability.
    moves : bool
        Whether its vertices move at all.

    Attributes
    ----------
    fine : bool
        Whether it is made of points or filaments, which what the surfaces leave unexplained would lead astray at first.
    """

    def __init__(self, body: Any, edge: float, preconditioning: float, weight: float, *, moves: bool) -> None:
        self.moves, self._weight, self._preconditioning = moves, weight, preconditioning
        self.fine = isinstance(body, Simplices)
        self.edge = edge
        self._remeshed = moves and isinstance(body, TriangleMesh) and body_class_of(body).remeshed
        if self._remeshed:
            radius = (3.0 * abs(body.volume) / (4.0 * np.pi)) ** (1.0 / 3.0)
            self.edge = min(edge, FINEST_EDGE * radius)
        elif isinstance(body, TriangleMesh):
            self.edge = float(np.mean(edge_lengths(body)))
        self.set_connectivity(body)

    def set_connectivity(self, body: Any) -> None:
        """Make energy and preconditioner anew for the triangles of a body."""
        self._smoothness: Smoothness | None = None
        self._preconditioner: LaplacianPreconditioner | None = None
        if isinstance(body, TriangleMesh) and self.moves:
            self._smoothness = Smoothness(body, self.edge)
            self._preconditioner = LaplacianPreconditioner(body.faces, body.n_vertices, self._preconditioning)

    def energy(self, body: Any) -> tuple[float, Floats]:
        """Return the weighted smoothness energy and its gradient, (n_vertices, 3); 0 for bodies without triangles."""
        if self._smoothness is None:
            return 0.0, np.zeros(body.vertices.shape)
        value, slope = self._smoothness(body)
        return self._weight * value, self._weight * slope

    def precondition(self, gradient: Floats) -> Floats:
        """Return the preconditioned gradient, (n_vertices, 3); zero for a body that does not move."""
        if not self.moves:
            return np.zeros_like(gradient)
        return gradient if self._preconditioner is None else self._preconditioner.solve(gradient)

    def tidied(self, body: Any, *, first: bool = False) -> Any:
        """Return a surface with better triangles where some are poor and the shape is kept, else the body itself.

        Between rounds only triangles near poor ones are touched; the first time all are made even.
        """
        if not self._remeshed:
            return body
        if first:
            better = remesh(body, self.edge) if needs_remesh(body, self.edge) else body
        else:
            poor = poor_faces(body, self.edge, **TRIANGLE_BOUNDS)
            near = faces_around(body, poor, REMESHED_RINGS)
            better = remesh(body, self.edge, within=near) if poor.any() else body
        if better is body:
            return body
        kept = abs(better.volume - body.volume) <= MOST_VOLUME_CHANGE * abs(body.volume)
        if not kept or not is_embedded(better):
            return body
        self.set_connectivity(better)
        return better
