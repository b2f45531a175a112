"""What evaluations of a fit give: losses with their gradients, what a surface explains, the final model."""

from __future__ import annotations

import dataclasses

from .._typing import Array, Floats

__all__ = ["FinalModel", "Frozen", "ImageFit", "PsfStep", "ShapeStep"]


@dataclasses.dataclass(frozen=True, eq=False)
class ShapeStep:
    """Loss of the shape at an iterate, with the gain and background that fit best, and its gradient.

    `vertices` (n_vertices, 3) per µm, `density` (n_faces,).
    """

    loss: float
    vertices: Floats
    density: Floats
    gain: float
    background: float


@dataclasses.dataclass(frozen=True, eq=False)
class PsfStep:
    """Plain L2 loss at a PSF, its gradient for the PSF's parameters, gain, background and R² in the region."""

    loss: float
    parameters: Floats
    gain: float
    background: float
    r2: float


@dataclasses.dataclass(frozen=True, eq=False)
class ImageFit:
    """What a surface explains of an image in the region's box, and what is left over.

    Attributes
    ----------
    rendered : (z, y, x) float
        The rendering, before gain and background.
    residual : (z, y, x) float
        What is left over times the root of its weight.
    gain : float
    weights : (z, y, x) float
    """

    rendered: Array
    residual: Array
    gain: float
    weights: Array


@dataclasses.dataclass(frozen=True, eq=False)
class Frozen:
    """What is held from one pause to the next, as far as others ask for it.

    Attributes
    ----------
    transform : "exact" or "nufft"
        The one that renders surfaces near the present one.
    image_fit : ImageFit
        By the present one.
    """

    transform: str
    image_fit: ImageFit


@dataclasses.dataclass(frozen=True, eq=False)
class FinalModel:
    """The model of a whole image in its own intensities.

    Attributes
    ----------
    cell : (z, y, x) float32
        gain · rendering + background.
    light : (z, y, x) float32 or None
        Of neighbours, where there are any.
    gain, background : float
    """

    cell: Array
    light: Array | None
    gain: float
    background: float
