"""Bodies that look like two: lobes of alike thickness that a thin neck joins, or nothing at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from .._typing import AnyFloats
from ..image.volume import Grid
from .distance import mesh_sdf

if TYPE_CHECKING:
    from ..mesh.surface import SurfaceMesh

__all__ = ["looks_like_two"]


_SAMPLES = 40  # along the body's longest side
_ALIKE = 0.5  # of the thicker lobe's depth, that the other one has at least
_NECK = 0.7  # of the thinner lobe's depth, that the neck has at most; of 375 frames of real cells one has such a neck
_CLEAR = 2.0  # samples by which the neck is thinner at least: a depth may be missed by half a sample's diagonal, 0.87
_CONVEX = 0.92  # of the convex hull; spheres with such a neck fill at most 0.89 of it
_LEVELS = 14


def looks_like_two(body: SurfaceMesh) -> bool:
    """Whether the inside falls apart into two bodies of alike thickness when its surface moves inwards.

    The depth of a body is the radius of the largest ball inside of it, that of a neck the radius of the largest ball
    that passes through. Two equal spheres that overlap by a fifth of their radius have a neck of 0.44 radii; an
    ellipsoid, a bean or a cell with filopodia falls apart at no depth, or into unequal bodies.

    Parameters
    ----------
    body : SurfaceMesh
        A closed surface.

    Raises
    ------
    MeshError
        When it is open or wound inconsistently.
    """
    if _nearly_convex(body):
        return False
    low, high = body.bounds
    step = float((high - low).max()) / _SAMPLES
    shape = np.maximum(np.ceil((high - low) / step), 1) + 1
    origin = 0.5 * (low + high) - 0.5 * (shape - 1) * step
    grid = Grid(tuple(shape), (step,) * 3, tuple(origin))
    return _falls_apart(-mesh_sdf(body, grid, clamp=step) / np.float32(step))


def _nearly_convex(body: SurfaceMesh) -> bool:
    """Told quickly, by the part that the body fills of its convex hull."""
    try:
        hull = ConvexHull(body.vertices[np.unique(body.faces)])
    except QhullError:  # without a volume
        return True
    return abs(body.volume) > _CONVEX * hull.volume


def _falls_apart(depth: AnyFloats) -> bool:
    """The same of depths inside, in samples."""
    largest = float(depth.max())
    for level in np.linspace(0.0, _NECK * largest, _LEVELS, endpoint=False):
        parts, count = ndimage.label(depth > level, np.ones((3, 3, 3)))
        if count < 2:
            continue
        depths = np.sort(ndimage.maximum(depth, parts, np.arange(1, count + 1)))[::-1]
        if depths[1] >= max(_ALIKE * largest, level / _NECK, level + _CLEAR):
            return True
    return False
