"""SHA-256 digests of images and arrays, by which a checkpoint is recognised as that of the same inputs."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from ..image.volume import Volume

__all__ = ["array_digest", "image_digest"]


def image_digest(volume: Volume) -> str:
    """Return the SHA-256 digest of an image's voxels, shape, spacing, origin and dtype, as a hexadecimal text."""
    mark = hashlib.sha256(np.ascontiguousarray(volume.data).tobytes())
    mark.update(repr((volume.shape, volume.spacing, volume.origin, str(volume.data.dtype))).encode())
    return mark.hexdigest()


def array_digest(*arrays: npt.ArrayLike) -> str:
    """Return the SHA-256 digest of the bytes of arrays, one after another, as a hexadecimal text."""
    mark = hashlib.sha256()
    for array in arrays:
        mark.update(np.ascontiguousarray(array).tobytes())
    return mark.hexdigest()
