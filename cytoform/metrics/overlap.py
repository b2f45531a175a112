"""Overlap of two bodies, given as masks or as closed surfaces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..errors import VolumeError
from ..image.volume import Grid
from ..masks import mesh_to_mask
from ..mesh.surface import SurfaceMesh

__all__ = ["dice", "iou", "mesh_iou"]


def _overlap_counts(a: npt.ArrayLike, b: npt.ArrayLike) -> tuple[int, int]:
    """Return the numbers of voxels in the intersection and in the union of two masks, (|A ∩ B|, |A ∪ B|).

    Raise VolumeError if their shapes differ.
    """
    first, second = np.asarray(a, dtype=bool), np.asarray(b, dtype=bool)
    if first.shape != second.shape:
        raise VolumeError(f"the masks have shapes {first.shape} and {second.shape}; expected the same shape.")
    return int((first & second).sum()), int((first | second).sum())


def iou(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Return the intersection over union (Jaccard index) of two masks, |A ∩ B| / |A ∪ B|.

    Parameters
    ----------
    a : array of bool
        First mask A, of any shape.
    b : array of bool
        Second mask B, of the same shape.

    Returns
    -------
    float
        0 to 1; 1 where both masks are empty.

    Raises
    ------
    VolumeError
        When the shapes differ.
    """
    both, either = _overlap_counts(a, b)
    return 1.0 if either == 0 else both / either


def dice(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Return Dice's coefficient of two masks, 2 |A ∩ B| / (|A| + |B|).

    Parameters
    ----------
    a : array of bool
        First mask A, of any shape.
    b : array of bool
        Second mask B, of the same shape.

    Returns
    -------
    float
        0 to 1; 1 where both masks are empty.

    Raises
    ------
    VolumeError
        When the shapes differ.
    """
    both, either = _overlap_counts(a, b)
    return 1.0 if either == 0 else 2.0 * both / (both + either)


def mesh_iou(a: SurfaceMesh, b: SurfaceMesh, spacing: float | Sequence[float]) -> float:
    """Return the intersection over union of the bodies that two closed surfaces enclose.

    Both bodies become masks on one grid around the two (a voxel belongs to a body where its centre lies inside), and
    the voxels are counted.

    Parameters
    ----------
    a : SurfaceMesh
        First closed surface, µm, (z, y, x).
    b : SurfaceMesh
        Second closed surface, µm, (z, y, x).
    spacing : (3,) float or float
        Step of the grid in µm, (z, y, x). The error is about area · spacing / (volume · √voxels on the surface), far
        below the step over the body's radius.

    Returns
    -------
    float
        0 to 1.

    Raises
    ------
    MeshError
        When a surface is open.
    """
    step = np.broadcast_to(np.asarray(spacing, dtype=np.float64), (3,))
    low = np.minimum(a.bounds[0], b.bounds[0]) - step
    high = np.maximum(a.bounds[1], b.bounds[1]) + step
    nz, ny, nx = (int(n) for n in np.ceil((high - low) / step).astype(int) + 1)
    (dz, dy, dx), (z, y, x) = step.tolist(), low.tolist()
    grid = Grid((nz, ny, nx), (dz, dy, dx), (z, y, x))
    return iou(mesh_to_mask(a, grid), mesh_to_mask(b, grid))
