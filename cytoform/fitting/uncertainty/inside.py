"""Inner products of changes of a filled body's image: those of PSF, gain and background need images of the inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..._typing import Array, Floats
from ...devices import to_host
from ...rendering import Renderer
from ..evaluations import ImageFit
from ..problem import Problem

if TYPE_CHECKING:
    from .normal_matrix import Unknowns

__all__ = ["fill_whole_columns"]


def fill_whole_columns(
    matrix: Floats,
    renderer: Renderer,
    changes: Sequence[Array],
    problem: Problem,
    unknowns: Unknowns,
    image_fit: ImageFit,
) -> None:
    """Replace rows and columns of PSF, gain and background in a normal matrix by those of a filled body, in place.

    The derivatives of the image for these few unknowns are rendered; their products with moves of the surface follow
    from the adjoint of the rendering.

    Parameters
    ----------
    matrix : (n, n) float64
        Inner products for the unknowns in the order of :class:`.Unknowns`, for a gain of 1.
    renderer : Renderer
        Optics and band.
    changes : sequence of (band.shape) array
        Changes of the PSF's transform for its fitted directions.
    problem : Problem
        Image and region.
    unknowns : Unknowns
        The unknowns.
    image_fit : ImageFit
        Weights of the voxels.
    """
    mesh = unknowns.mesh.astype(problem.dtype)
    weights = np.asarray(image_fit.weights, dtype=np.float64)
    box = tuple(slice(0, n) for n in weights.shape)
    spectrum = to_host(renderer.prepared(mesh).forward())
    images = [renderer.picture((change * spectrum).astype(spectrum.dtype))[box] for change in changes]
    images += [renderer.image(spectrum)[box], np.ones(weights.shape)]
    rows = len(matrix) - len(images)
    normals, modes = unknowns.normals, unknowns.modes
    for i, image in enumerate(images):
        cotangent = np.zeros(renderer.band.grid.shape, dtype=problem.dtype)
        cotangent[box] = weights * image
        slope = np.asarray(renderer.mesh_vjp(mesh, cotangent).vertices, dtype=np.float64)
        matrix[rows + i, :rows] = matrix[:rows, rows + i] = modes.T @ (slope * normals).sum(axis=1)
        for j in range(i + 1):
            matrix[rows + i, rows + j] = matrix[rows + j, rows + i] = float((weights * image * images[j]).sum())
