"""Digests of images and arrays: a checkpoint belongs to what its fit was given."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from ..image.volume import Volume

__all__ = ["array_digest", "image_digest"]


def image_digest(volume: Volume) -> str:
    """Take a digest of an image's voxels and their size: a checkpoint belongs to one image."""
    mark = hashlib.sha256(np.ascontiguousarray(volume.data).tobytes())
    mark.update(repr((volume.shape, volume.spacing, volume.origin, str(volume.data.dtype))).encode())
    return mark.hexdigest()


def array_digest(*arrays: npt.ArrayLike) -> str:
    """Take a digest of arrays: what a fit was given has to be the same on a resume."""
    mark = hashlib.sha256()
    for array in arrays:
        mark.update(np.ascontiguousarray(array).tobytes())
    return mark.hexdigest()
