"""Inner products of changes of a filled body's image: those of PSF, gain and background need images of the inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..._typing import Array, Floats
from ...devices import to_host
from ...mesh import geometry
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
) -> tuple[Floats, float] | None:
    """Replace rows and columns of PSF, gain and background in a normal matrix by those of a filled body, in place.

    The derivatives of the image for these few unknowns are rendered; their products with changes of the surface follow
    from the adjoint of the rendering. If the surface is stained as well, the brightness of the inside is an unknown of
    its own; it is eliminated from the matrix.

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

    Returns
    -------
    (n,) float64 and float, or None
        Inner products of the inside's image with the changes for all unknowns, and with itself; None if the surface is
        not stained.
    """
    mesh = unknowns.mesh.astype(problem.dtype)
    weights = np.asarray(image_fit.weights, dtype=np.float64)
    box = tuple(slice(0, n) for n in weights.shape)
    prepared = renderer.prepared(mesh)
    sheet, inside = (None if part is None else to_host(part) for part in prepared.parts())
    assert inside is not None
    spectrum = inside if sheet is None else sheet + inside
    images = [renderer.picture((change * spectrum).astype(spectrum.dtype))[box] for change in changes]
    images += [renderer.image(spectrum)[box], np.ones(weights.shape)]
    rows = len(matrix) - len(images)

    def with_surface(image: Array) -> Floats:
        cotangent = np.zeros(renderer.band.grid.shape, dtype=problem.dtype)
        cotangent[box] = weights * image
        return _along_modes(unknowns, renderer, cotangent)

    for i, image in enumerate(images):
        matrix[rows + i, :rows] = matrix[:rows, rows + i] = with_surface(image)
        for j in range(i + 1):
            matrix[rows + i, rows + j] = matrix[rows + j, rows + i] = float((weights * image * images[j]).sum())
    if sheet is None:
        return None
    alone = renderer.image(inside)[box]
    column = np.concatenate([with_surface(alone), [float((weights * alone * image).sum()) for image in images]])
    square = float((weights * alone * alone).sum())
    matrix -= np.outer(column, column) / square
    return column, square


def _along_modes(unknowns: Unknowns, renderer: Renderer, cotangent: Array) -> Floats:
    """Return the derivatives of Σ cotangent · image for the modes of position and staining, (n_surface,)."""
    mesh = unknowns.mesh
    gradient = renderer.mesh_vjp(mesh.astype(cotangent.dtype), cotangent)
    slope = np.asarray(gradient.vertices, dtype=np.float64)
    found = [unknowns.modes.T @ (slope * unknowns.normals).sum(axis=1)]
    if unknowns.staining_modes is not None:
        parts = np.asarray(gradient.density, dtype=np.float64) * mesh.density / 3.0
        at_vertices = geometry.sum_at_vertices(np.repeat(parts[:, None], 3, axis=1), mesh.faces, mesh.n_vertices)
        found.append(unknowns.staining_modes.T @ at_vertices)
    return np.concatenate(found)
