"""Points, filaments and tetrahedra prepared on a band: their transform and its gradient, by either back end.

A simplex of order k, size |σ| (1, length, volume) and density ρ adds k! |σ| ρ G, a function of its corners' phases
(:mod:`cytoform.kernels.simplex`). The derivative for a corner is k! ρ (|σ| ∂G/∂phase ξ + G ∂|σ|/∂corner).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConfigError, GridError
from ..mesh import geometry
from ..mesh.simplices import Simplices
from . import exact, nufft, on_device
from .gradient import MeshGradient, sum_at_vertices

if TYPE_CHECKING:
    from .transform import MeshTransform

__all__ = ["SimplicesOnBand"]


class SimplicesOnBand:
    """Points, filaments or tetrahedra prepared on a band; what :class:`.MeshOnBand` is for a mesh.

    Parameters
    ----------
    how : MeshTransform
        Settings of the transform.
    mesh : PointSet, Filaments or TetrahedralMesh
        Positions in µm, (z, y, x).

    Attributes
    ----------
    mesh : PointSet, Filaments or TetrahedralMesh
        The object.
    normalize : bool
        Whether the transform is divided by the total brightness.
    backend : "exact" or "nufft"
        The back end that was chosen.
    """

    def __init__(self, how: MeshTransform, mesh: Simplices) -> None:
        self.mesh, self.normalize, self._band = mesh, how.normalize, how.band
        corners = mesh.corners
        self._factor = float(math.factorial(mesh.order))
        self._slopes = geometry.simplex_size_gradient(corners, precise=mesh.dtype != np.float32)
        self._density = mesh.strength.astype(np.float64)
        corners = corners - np.asarray(how.band.grid.origin)
        self.backend = how.backend_for(corners, mesh.dtype)
        options: dict[str, Any] = {"dtype": mesh.dtype}
        module: Any = on_device if how.runs_on == "cuda" else exact
        if self.backend == "nufft":
            module = nufft
            options |= {"tolerance": how.tolerance_for(mesh.dtype), "shells": how.shells}
            options["deterministic"] = how.deterministic
        self._simplices = module.Simplices(corners, self._factor * mesh.sizes * self._density, how.band, **options)

    def forward(self) -> Any:
        """Return the transform on the band's box.

        Returns
        -------
        (band.shape) complex64 or complex128
            û, with phases relative to the grid's origin; on the device where the transform runs.
        """
        box = self._simplices.forward()
        return (box / self._mass()).astype(box.dtype) if self.normalize else box

    def parts(self) -> tuple[Any | None, Any | None]:
        """Return the transform as the first of two parts, as :meth:`.MeshOnBand.parts` does.

        Returns
        -------
        transform : (band.shape) complex64 or complex128
            The transform.
        inside : None
            Nothing is filled.
        """
        return self.forward(), None

    def vjp(self, cotangent: Any, *, filling: float = 1.0, with_jump: bool = True) -> MeshGradient:
        """Return the gradient of Re Σ conj(c) û over the full spectrum that the band's box stands for.

        Parameters
        ----------
        cotangent : (band.shape) complex
            Cotangent c on the band's box, on the host or the device.
        filling, with_jump : float, bool
            Not used: nothing is filled.

        Returns
        -------
        MeshGradient
            Derivatives for positions and brightness, on the host.

        Raises
        ------
        GridError
            When the cotangent has another shape.
        """
        if tuple(cotangent.shape) != tuple(self._band.shape):
            raise GridError(f"cotangent has shape {cotangent.shape}; expected {self._band.shape}, the band's box.")
        mesh, density, sizes = self.mesh, self._density, self.mesh.sizes
        values, moves = self._simplices.adjoint(cotangent)
        values, moves = self._factor * values, self._factor * moves
        if self.normalize:
            scale = 1.0 / self._mass()
            values, moves = values * scale, moves * scale
            values = values - scale * float((sizes * density * values).sum())  # the derivative of 1 / Σ density · size
        corner = (sizes * density)[:, None, None] * moves + (density * values)[:, None, None] * self._slopes
        vertices = sum_at_vertices(corner, mesh.indices, len(mesh.vertices))
        return MeshGradient(vertices.astype(mesh.dtype), (sizes * values).astype(mesh.dtype))

    def _mass(self) -> float:
        """Return û(0), by which a normalised transform is divided; raise ConfigError where it is 0."""
        mass = float((self.mesh.sizes * self._density).sum())
        if mass == 0.0:
            raise ConfigError(
                "normalize=True divides by the total brightness, which is 0 here.", remedy="Use normalize=False."
            )
        return mass
