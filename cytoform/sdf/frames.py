"""Closed surfaces of frames of signed distances."""

from __future__ import annotations

import numpy as np

from .._typing import Floats32
from ..image.volume import Grid
from ..masks import marching_cubes
from ..mesh.surface import SurfaceMesh
from .sequence import SDFSequence

__all__ = ["field_mesh", "frame_mesh"]


def frame_mesh(sequence: SDFSequence, index: int) -> SurfaceMesh | None:
    """Closed surface of a frame in µm, (z, y, x), with the middle of the box at the origin; None without one.

    In voxels where the sequence carries no metric scale.
    """
    return field_mesh(sequence.frame(index), sequence.grid)


def field_mesh(field: Floats32, grid: Grid) -> SurfaceMesh | None:
    """Closed surface where a field (z, y, x), negative inside, is zero, by marching cubes; None without one.

    What the grid cuts is closed there.
    """
    if not field.min() < 0:
        return None
    outside = np.float32(max(float(field.max()), 1e-6))
    mesh = marching_cubes(np.pad(field, 1, constant_values=outside), 0.0)
    return mesh.with_vertices(grid.to_um(mesh.vertices - 1.0))
