"""Bodies that look like two: lobes of alike thickness that a thin neck joins, or nothing at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

__all__ = ["looks_like_two"]

Floats = npt.NDArray[np.floating[Any]]

_SAMPLES = 64  # along an axis, at most, of the frames that are looked at
_ALIKE = 0.5  # of the thicker lobe's depth, that the other one has at least
_NECK = 0.7  # of the thinner lobe's depth, that the neck has at most
_ROUNDING = 0.87  # samples, half a sample's diagonal: by how much a depth may be missed
_LEVELS = 8


def looks_like_two(frame: Floats, step: float) -> bool:
    """Whether the inside falls apart into two bodies of alike thickness when its surface moves inwards.

    The depth of a body is the radius of the largest ball inside of it, that of a neck the radius of the largest ball
    that passes through. Two spheres that overlap by a fifth of their radius have a neck of 0.43 radii; an ellipsoid, a
    bean or a long filopodium falls apart at no depth, or into unequal bodies.

    Parameters
    ----------
    frame : (z, y, x) float
        Signed distances, negative inside.
    step : float
        Voxel size, the same along all axes, in the unit of the distances.
    """
    stride = -(-max(frame.shape) // _SAMPLES)
    depth = -frame[::stride, ::stride, ::stride] / (step * stride)  # in samples
    box = ndimage.find_objects((depth > 0).astype(np.int8))
    if not box:
        return False
    depth = depth[box[0]]
    largest = float(depth.max())
    for level in np.linspace(0.0, _NECK * largest, _LEVELS, endpoint=False):
        parts, count = ndimage.label(depth > level, np.ones((3, 3, 3)))
        if count < 2:
            continue
        depths = np.sort(ndimage.maximum(depth, parts, np.arange(1, count + 1)))[::-1]
        if depths[1] >= _ALIKE * largest and level + _ROUNDING <= _NECK * depths[1]:
            return True
    return False
