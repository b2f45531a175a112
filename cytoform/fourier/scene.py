"""Several bodies prepared on a band: the sum of their transforms, and the gradient for each of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConfigError
from ..mesh.scene import Scene
from .gradient import MeshGradient

if TYPE_CHECKING:
    from .transform import MeshTransform

__all__ = ["SceneGradient", "SceneOnBand"]


@dataclasses.dataclass(frozen=True, eq=False)
class SceneGradient(MeshGradient):
    """Gradient of a scalar for all bodies of a scene: `vertices` and `density` hold them one body after another.

    Parameters
    ----------
    vertices : (n_vertices, 3) float
        Derivative for each coordinate, per µm, (z, y, x).
    density : (n,) float
        Derivative for the density of each face, segment or tetrahedron, or the brightness of each point.
    jump : None
        The derivatives for jumps are in `bodies`.
    bodies : mapping of str to MeshGradient
        Derivatives for vertices, densities and jumps by the body's name.
    """

    bodies: Mapping[str, MeshGradient] = dataclasses.field(default_factory=dict)


class SceneOnBand:
    """A scene prepared on a band; what :class:`.MeshOnBand` is for a mesh.

    Parameters
    ----------
    how : MeshTransform
        Settings of the transform.
    scene : Scene
        Bodies with positions in µm, (z, y, x).

    Attributes
    ----------
    mesh : Scene
        The scene.
    normalize : bool
        Whether the transform is divided by the total intensity of all bodies.
    bodies : dict of str to MeshOnBand or SimplicesOnBand
        The prepared bodies.
    """

    def __init__(self, how: MeshTransform, scene: Scene) -> None:
        if how.normalize:
            raise ConfigError(
                "normalize=True is not made for scenes, whose bodies would lose their own brightness.",
                remedy="Use normalize=False.",
            )
        self.mesh, self.normalize = scene, False
        self.bodies: dict[str, Any] = {name: how.prepare(body) for name, body in scene.bodies.items()}

    @property
    def backend(self) -> str:
        """Back end of the bodies: "exact", "nufft", or "mixed"."""
        found = {here.backend for here in self.bodies.values()}
        return found.pop() if len(found) == 1 else "mixed"

    def forward(self) -> Any:
        """Return the transform of all bodies together on the band's box.

        Returns
        -------
        (band.shape) complex64 or complex128
            û, with phases relative to the grid's origin; on the device where the transform runs.
        """
        boxes = [here.forward() for here in self.bodies.values()]
        kind = np.result_type(*(box.dtype for box in boxes))
        return sum(boxes[1:], boxes[0].astype(kind))

    def parts(self) -> tuple[Any | None, Any | None]:
        """Return the transform as the first of two parts, as :meth:`.MeshOnBand.parts` does.

        Returns
        -------
        transform : (band.shape) complex64 or complex128
            The transform of all bodies.
        inside : None
            What is filled is in the first part.
        """
        return self.forward(), None

    def vjp(self, cotangent: Any, *, filling: float = 1.0, with_jump: bool = True) -> SceneGradient:
        """Return the gradient of Re Σ conj(c) û over the full spectrum that the band's box stands for.

        Parameters
        ----------
        cotangent : (band.shape) complex
            Cotangent c on the band's box, on the host or the device.
        filling : float
            Factor on the transforms of what is filled; 1 by default.
        with_jump : bool
            Compute the derivatives for the jumps of meshes, too; on by default.

        Returns
        -------
        SceneGradient
            Derivatives for every body, on the host.
        """
        found = {name: here.vjp(cotangent, filling=filling, with_jump=with_jump) for name, here in self.bodies.items()}
        vertices, density = (np.concatenate([getattr(g, n) for g in found.values()]) for n in ("vertices", "density"))
        return SceneGradient(vertices, density, None, found)
