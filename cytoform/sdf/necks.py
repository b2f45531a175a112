"""Bodies that look like two touching ones: two lobes of similar thickness joined by a thin neck, or not at all."""

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
_SIMILAR = 0.5  # least depth of the thinner lobe over that of the thicker one
_NECK = 0.7  # largest depth of the neck over that of the thinner lobe; of 375 frames of real cells one has such a neck
_CLEAR = 2.0  # samples by which the neck is thinner at least: a depth may be missed by half a sample's diagonal, 0.87
_CONVEX = (
    0.92  # filled part of the convex hull above which no neck is sought; spheres with such a neck fill at most 0.89
)
_LEVELS = 14  # depths at which the connected components are counted


def looks_like_two(body: SurfaceMesh) -> bool:
    """Tell whether a body falls apart into two of similar thickness when its surface moves inwards.

    The depth of a body is the radius of the largest ball inside it, that of a neck the radius of the largest ball that
    passes through. The answer is yes where at some depth the inside has two connected components, the second deepest is
    at least half as deep as the deepest, and the neck at most 0.7 times as deep as the second. Two equal spheres that
    overlap by a fifth of their radius have a neck of 0.44 radii; an ellipsoid, a bean or a cell with filopodia falls
    apart at no depth, or into unequal bodies.

    Parameters
    ----------
    body : SurfaceMesh
        A closed surface, µm.

    Returns
    -------
    bool
        True where it looks like two bodies.

    Raises
    ------
    MeshError
        When the surface is open or wound inconsistently.
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
    """Tell whether a body fills more than 92 % of its convex hull, or has no volume: it then has no such neck."""
    try:
        hull = ConvexHull(body.vertices[np.unique(body.faces)])
    except QhullError:  # the body is flat
        return True
    return abs(body.volume) > _CONVEX * hull.volume


def _falls_apart(depth: AnyFloats) -> bool:
    """Tell whether the inside has two connected components of similar depth above some level of depth.

    Parameters
    ----------
    depth : (z, y, x) float
        Distance from the surface in samples, positive inside.

    Returns
    -------
    bool
        True where :func:`looks_like_two` holds.
    """
    largest = float(depth.max())
    for level in np.linspace(0.0, _NECK * largest, _LEVELS, endpoint=False):
        parts, count = ndimage.label(depth > level, np.ones((3, 3, 3)))
        if count < 2:
            continue
        depths = np.sort(ndimage.maximum(depth, parts, np.arange(1, count + 1)))[::-1]
        if depths[1] >= max(_SIMILAR * largest, level / _NECK, level + _CLEAR):
            return True
    return False
