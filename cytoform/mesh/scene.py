"""Several bodies in one image: meshes, points, filaments, each under a name and with its own brightness."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from .._typing import Array, Floats
from ..errors import MeshError
from .base import TriangleMesh
from .protocol import Mesh
from .simplices import Simplices

__all__ = ["Scene", "SceneBody", "scaled_brightness"]

SceneBody = Mesh | Simplices


class Scene:
    """Several bodies whose light adds up to one image. It is never changed: what moves is a new scene.

    A cell may be three bodies: its membrane, its cytoplasm (the same surface with a `jump`) and its nucleus.

    Parameters
    ----------
    bodies : mapping of str to body, or iterable of bodies
        Surfaces, clusters, points, filaments or tetrahedra by name; without names they are called "1", "2" and so on.
        Each has its own brightness: density and jump of a mesh, density of filaments and tetrahedra, brightness of
        points.

    Raises
    ------
    MeshError
        When there is no body, one is of another kind, or they are not all float32 or all float64.
    """

    def __init__(self, bodies: Mapping[str, SceneBody] | Iterable[SceneBody]) -> None:
        named = dict(bodies) if isinstance(bodies, Mapping) else {str(n): body for n, body in enumerate(bodies, 1)}
        if not named:
            raise MeshError("a scene without a body; expected at least one.")
        for name, body in named.items():
            if not isinstance(body, (TriangleMesh, Simplices)):
                raise MeshError(
                    f"body {name!r} is a {type(body).__name__}; expected a SurfaceMesh, MultiMaterialMesh, PointSet, "
                    "Filaments or TetrahedralMesh."
                )
        kinds = sorted({str(body.vertices.dtype) for body in named.values()})
        if len(kinds) > 1:
            raise MeshError(
                f"the bodies' positions are {' and '.join(kinds)}; expected one precision.",
                remedy='Convert them: scene bodies with body.astype("float64").',
            )
        self._bodies: dict[str, SceneBody] = named

    @property
    def bodies(self) -> Mapping[str, SceneBody]:
        """The bodies by name, in the order in which they were given."""
        return MappingProxyType(self._bodies)

    def __getitem__(self, name: str) -> SceneBody:
        """Return the body of a name."""
        if name not in self._bodies:
            raise MeshError(f"the scene has no body {name!r}; there are {', '.join(map(repr, self._bodies))}.")
        return self._bodies[name]

    def __len__(self) -> int:
        """Return the number of bodies."""
        return len(self._bodies)

    def __repr__(self) -> str:
        """Return the names and kinds of the bodies."""
        return f"Scene({', '.join(f'{name}: {type(body).__name__}' for name, body in self._bodies.items())})"

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of all positions, float32 or float64."""
        return np.dtype(next(iter(self._bodies.values())).vertices.dtype)

    @property
    def vertices(self) -> Array:
        """Positions of all bodies' vertices in µm, (n, 3), one body after another."""
        return np.concatenate([body.vertices for body in self._bodies.values()])

    @property
    def mass(self) -> float:
        """Total intensity: the sum of the bodies'."""
        return float(sum(body.mass for body in self._bodies.values()))

    @property
    def bounds(self) -> tuple[Floats, Floats]:
        """Smallest and largest coordinate on each axis in µm, (3,) each."""
        lows, highs = zip(*(body.bounds for body in self._bodies.values()))
        return np.min(lows, axis=0), np.max(highs, axis=0)

    def with_bodies(self, bodies: Mapping[str, SceneBody]) -> Scene:
        """Return the scene with some bodies replaced or added.

        Parameters
        ----------
        bodies : mapping of str to body
            New bodies by name.

        Returns
        -------
        Scene
            The others stay as they are.
        """
        return Scene({**self._bodies, **bodies})

    def scaled(self, factors: Mapping[str, float]) -> Scene:
        """Return the scene with the brightness of some bodies multiplied by a number each.

        Parameters
        ----------
        factors : mapping of str to float
            Factor by the body's name; the others keep theirs.

        Returns
        -------
        Scene
            The same shapes.
        """
        return self.with_bodies({name: scaled_brightness(self[name], factor) for name, factor in factors.items()})

    def astype(self, dtype: npt.DTypeLike) -> Scene:
        """Return the scene with all bodies in another precision.

        Parameters
        ----------
        dtype : float32 or float64
            The number type to convert to.

        Returns
        -------
        Scene
            The same bodies.
        """
        return Scene({name: body.astype(dtype) for name, body in self._bodies.items()})


def scaled_brightness(body: Any, factor: float, jump_factor: float | None = None) -> Any:
    """Return a body with its brightness multiplied by a number.

    Parameters
    ----------
    body : Mesh, PointSet, Filaments or TetrahedralMesh
        The body.
    factor : float
        Factor on its density, or on the brightness of points.
    jump_factor : float, optional
        Factor on the jump of a mesh; `factor` by default.

    Returns
    -------
    body
        Of the same kind and shape.
    """
    if isinstance(body, Simplices):
        return body.with_density(body.strength * factor)
    scaled = body.with_density(body.density * factor)
    if body.jump is None:
        return scaled
    return scaled.with_jump(body.jump * (factor if jump_factor is None else jump_factor))
