"""Bodies that a mesh bounds: what the transforms of filled surfaces need besides that of membranes.

By the divergence theorem û(ξ) = (i / |ξ|²) Σ over faces of jump · (ξ·N) / 2 area · ∫ exp(-i x·ξ) dS for ξ ≠ 0, with N
twice the area times the normal, and û(0) = Σ jump · volume of the cone between the face and any one point.
"""

from __future__ import annotations

import dataclasses
import functools
import weakref

import numpy as np
import numpy.typing as npt

from .._typing import Array, Floats
from ..errors import MeshError
from ..image.band import Band
from ..mesh import geometry

__all__ = ["Filling", "inverse_squares"]

# |Σ jump · area · normal| allowed, relative to Σ |jump| · area: rounding of jumps and positions in that precision.
_OPEN = {"float32": 1e-6, "float64": 1e-9}
# Bodies of opposite brightness may cancel; the tolerance is then relative to this part of what there is of either.
_LEAST_NET = 1e-3


@dataclasses.dataclass(frozen=True, eq=False)
class Filling:
    """The bodies that a mesh bounds, face by face.

    Parameters
    ----------
    normals : (n_faces, 3) float64
        Twice the area times the outward normal, µm², (z, y, x).
    jump : (n_faces,) float64
        Brightness per µm³ behind each face minus that before it.
    centre : (3,) float64
        A point amid the bodies, µm, (z, y, x), in the same coordinates as the faces.
    cones : (n_faces,) float64
        Signed volume between each face and that point, µm³.
    """

    normals: Floats
    jump: Floats
    centre: Floats
    cones: Floats

    @classmethod
    def of(cls, corners: Floats, normals: Floats, jump: Floats, dtype: npt.DTypeLike) -> Filling:
        """Describe the bodies that faces bound.

        Parameters
        ----------
        corners : (n_faces, 3 corners, 3 axes) float64
            Corners of the faces, µm, (z, y, x).
        normals : (n_faces, 3) float64
            Twice the area times the outward normal, µm².
        jump : (n_faces,) float64
            Brightness per µm³ behind each face minus that before it.
        dtype : float32 or float64
            Precision in which positions and jumps were given.

        Returns
        -------
        Filling
            The bodies.

        Raises
        ------
        MeshError
            When the faces leave a gap through which the brightness would leak.
        """
        sizes = 0.5 * np.abs(jump) * np.linalg.norm(normals, axis=1)
        total, rest = float(sizes.sum()), float(np.linalg.norm(0.5 * (jump @ normals)))
        allowed = _OPEN[np.dtype(dtype).name]
        if rest > allowed * total:
            raise MeshError(
                f"the faces with a jump do not close: |Σ jump · area · normal| is {rest / total:.2g} of Σ |jump| · "
                f"area; expected at most {allowed:g}.",
                remedy="Close the surface, wind all faces alike (topology.orient_outward), and give each closed part "
                "one jump; or set jump=0 to render the membrane alone.",
            )
        centre = sizes @ corners.mean(axis=1) / total if total > 0 else corners.mean(axis=(0, 1))
        cones = geometry.signed_volumes_times_six(corners - centre) / 6.0
        return cls(normals, jump, centre, cones)

    @property
    def fluxes(self) -> Floats:
        """Jump times twice the area times the normal of each face, (n_faces, 3)."""
        return self.jump[:, None] * self.normals

    @property
    def mass(self) -> float:
        """Total brightness of the bodies, Σ jump · volume: the transform at frequency 0."""
        return float(self.jump @ self.cones)

    @functools.cached_property
    def depth(self) -> float:
        """Brightness of the bodies over Σ |jump| · area of their faces, µm: a third of a ball's radius."""
        net = max(abs(self.mass), _LEAST_NET * float(np.abs(self.jump) @ np.abs(self.cones)))
        surface = 0.5 * float(np.abs(self.jump) @ np.linalg.norm(self.normals, axis=1))
        return net / surface if surface > 0 else 0.0


_inverses: weakref.WeakKeyDictionary[Band, Floats] = weakref.WeakKeyDictionary()


def inverse_squares(band: Band) -> Array:
    """Return 1 / |ξ|² on a band's box, µm² per rad², and 0 at ξ = 0; it is kept as long as the band exists."""
    if band not in _inverses:
        squares = np.asarray(sum(axis**2 for axis in band.axes))
        _inverses[band] = np.divide(1.0, squares, out=np.zeros(band.shape), where=squares > 0)
    return _inverses[band]
