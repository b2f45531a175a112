"""Closed surfaces of frames of signed distances, by marching cubes."""

from __future__ import annotations

import numpy as np

from .._typing import Floats32
from ..image.volume import Grid
from ..masks import marching_cubes
from ..mesh.surface import SurfaceMesh
from .sequence import SDFSequence

__all__ = ["field_mesh", "frame_mesh"]


def frame_mesh(sequence: SDFSequence, index: int) -> SurfaceMesh | None:
    """Return the closed zero level set of one frame of a sequence, by marching cubes.

    Parameters
    ----------
    sequence : SDFSequence
        Signed distances, negative inside.
    index : int
        Number of the frame, from 0; negative numbers count from the end.

    Returns
    -------
    SurfaceMesh or None
        Vertices in µm, (z, y, x), with the middle of the box at the origin; in voxels where the sequence carries no
        voxel size. A body that the box cuts is closed there. None where no sample is inside.

    Raises
    ------
    SequenceError
        When there is no such frame, or it holds NaN or infinity.
    FileFormatError
        When the sequence's file cannot be read.
    """
    return field_mesh(sequence.frame(index), sequence.grid)


def field_mesh(field: Floats32, grid: Grid) -> SurfaceMesh | None:
    """Return the closed zero level set of a sampled field, by marching cubes.

    Parameters
    ----------
    field : (z, y, x) float32
        Level function or distances, negative inside.
    grid : Grid
        Where the samples are.

    Returns
    -------
    SurfaceMesh or None
        Vertices in µm, (z, y, x). A body that the grid cuts is closed there. None where no sample is negative.
    """
    if not field.min() < 0:
        return None
    outside = np.float32(max(float(field.max()), 1e-6))
    mesh = marching_cubes(np.pad(field, 1, constant_values=outside), 0.0)
    return mesh.with_vertices(grid.to_um(mesh.vertices - 1.0))
