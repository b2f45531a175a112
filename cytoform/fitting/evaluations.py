"""Results of evaluating a fit's model: losses with gradients, rendering and residual, and the final model."""

from __future__ import annotations

import dataclasses

from .._typing import Array, Floats

__all__ = ["FinalModel", "ImageFit", "PSFLoss", "PauseEvaluation", "ShapeLoss"]


@dataclasses.dataclass(frozen=True, eq=False)
class ShapeLoss:
    """Loss of the image at a surface, at the gain and background that minimise it, and its gradient.

    Parameters
    ----------
    loss : float
        Weighted mean of the squared residuals.
    vertices : (n_vertices, 3) float64
        Gradient for the positions, per µm.
    density : (n_faces,) float64
        Gradient for the faces' densities.
    gain, background : float
        Their best values, in units of the scaled image.
    filling : float
        Best factor on the mesh's jump; 1 unless surface and inside are both bright.
    """

    loss: float
    vertices: Floats
    density: Floats
    gain: float
    background: float
    filling: float = 1.0


@dataclasses.dataclass(frozen=True, eq=False)
class PSFLoss:
    """Unweighted L2 loss of the image at a PSF, at the gain and background that minimise it, and its gradient.

    Parameters
    ----------
    loss : float
        Mean of the squared residuals.
    parameters : (n_parameters,) float64
        Gradient for the PSF's parameters.
    gain, background : float
        Their best values, in units of the scaled image.
    r2 : float
        R² in the region of interest.
    """

    loss: float
    parameters: Floats
    gain: float
    background: float
    r2: float


@dataclasses.dataclass(frozen=True, eq=False)
class ImageFit:
    """Rendering of a surface and its residuals against the image, in the box of the region of interest.

    Parameters
    ----------
    rendered : (z, y, x) float
        The rendering, before gain and background.
    residual : (z, y, x) float
        Image minus model, times the square root of the voxel's weight.
    gain : float
        Best gain.
    weights : (z, y, x) float
        Weights of the voxels.
    """

    rendered: Array
    residual: Array
    gain: float
    weights: Array


@dataclasses.dataclass(frozen=True, eq=False)
class PauseEvaluation:
    """What :meth:`.Problem.update_at_pause` returns.

    Parameters
    ----------
    transform : "exact" or "nufft"
        Transform that renders meshes near the present one until the next pause.
    image_fit : ImageFit
        Rendering and residuals of the present mesh.
    """

    transform: str
    image_fit: ImageFit


@dataclasses.dataclass(frozen=True, eq=False)
class FinalModel:
    """The model of a whole image in the image's own intensities.

    Parameters
    ----------
    cell : (z, y, x) float32
        Gain · rendering + background.
    light : (z, y, x) float32 or None
        Light of neighbouring cells; None if none is modelled.
    gain, background : float
        Their values, in the image's intensities.
    """

    cell: Array
    light: Array | None
    gain: float
    background: float
