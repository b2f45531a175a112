"""The renderer as a function of torch: images of meshes, with gradients with respect to the mesh and the optics."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.autograd.function import once_differentiable

from .._typing import Array
from ..errors import ConfigError, MeshError
from ..image.volume import Grid
from ..mesh.surface import SurfaceMesh
from ..optics import PSF
from ..rendering import Renderer, default_tolerance

__all__ = ["render"]

Tensor = torch.Tensor


def render(
    vertices: Tensor,
    faces: npt.ArrayLike | Tensor,
    psf: PSF,
    grid: Grid,
    *,
    density: Tensor | None = None,
    psf_parameters: Tensor | None = None,
    backend: str = "auto",
    device: str = "auto",
    tolerance: float | None = None,
    cutoff: float | None = None,
    normalize: bool = False,
    deterministic: bool = False,
) -> Tensor:
    """Render a mesh through a point spread function to an image that torch can differentiate, once.

    Parameters
    ----------
    vertices : (n, 3) float32 or float64 tensor
        µm, (z, y, x).
    faces : (m, 3) int
        Tensor or array; counter-clockwise seen from outside.
    psf : PSF
        Point spread function.
    grid : Grid
        Sampling of the image. Its box is periodic: leave space around the mesh, as with ``Grid.padded``.
    density : (m,) tensor, optional
        Intensity per µm² of membrane; by default 1.
    psf_parameters : tensor, optional
        In place of ``psf.parameters``: with a gradient the optics are learned too, on the modes that are kept.
    backend : str
        Transform of the mesh: ``exact``, ``nufft``, or ``auto`` for the one that is expected to be quicker.
    device : str
        ``auto``, ``cpu`` or ``cuda``: where the renderer computes, wherever the tensors are.
    tolerance : float, optional
        Error allowed, relative to the image's maximum; by default 1e-4 for float32 and 1e-8 for float64.
    cutoff : float, optional
        Frequencies where the optical transfer function is below this part of its maximum are left out; by default a
        tenth of the tolerance.
    normalize : bool
        Divide the image by the surface area weighted with the density.
    deterministic : bool
        Sum on one thread, so that the result does not depend on timing.

    Returns
    -------
    (z, y, x) tensor
        The image, in the type and on the device of ``vertices``.

    Raises
    ------
    MeshError
        When vertices, faces or densities do not make a mesh.
    ConfigError
        When something is not a tensor, or the PSF takes other parameters.
    GridError
        When the grid does not suit the transform.
    BackendError
        When the backend or the device is not available.
    """
    _check_arguments(vertices, density, psf, psf_parameters)
    corners = faces.detach().cpu().numpy() if isinstance(faces, Tensor) else np.asarray(faces)
    if psf_parameters is not None:
        psf = psf.with_parameters(_cpu_copy(psf_parameters).astype(np.float64))
    arrays = (_cpu_copy(vertices), corners) if density is None else (_cpu_copy(vertices), corners, _cpu_copy(density))
    mesh = SurfaceMesh(*arrays)
    if tolerance is None:
        tolerance = default_tolerance(mesh.dtype)
    band = psf.band(grid, tolerance / 10.0 if cutoff is None else cutoff)
    renderer = Renderer(
        psf,
        band,
        backend=backend,
        device=device,
        tolerance=tolerance,
        normalize=normalize,
        deterministic=deterministic,
    )
    image: Tensor = _Render.apply(vertices, density, psf_parameters, mesh, renderer)  # type: ignore[no-untyped-call]
    return image


class _Render(torch.autograd.Function):
    """Rendering as a torch function: the value by a renderer, the gradients by its adjoints."""

    @staticmethod
    def forward(
        ctx: Any,
        vertices: Tensor,
        density: Tensor | None,
        parameters: Tensor | None,
        mesh: SurfaceMesh,
        renderer: Renderer,
    ) -> Tensor:
        """Return the image (z, y, x) of a mesh, and keep in ``ctx`` what the backward pass needs.

        ``vertices``, ``density`` and ``parameters`` are the tensors that torch differentiates by; ``mesh`` and
        ``renderer`` hold the same numbers.
        """
        spectrum = renderer.spectrum(mesh)
        ctx.mesh, ctx.renderer, ctx.spectrum = mesh, renderer, spectrum if ctx.needs_input_grad[2] else None
        ctx.like = (vertices, density, parameters)
        return torch.from_numpy(renderer.image(spectrum)).to(vertices)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of Σ cotangent · image by vertices, density and PSF parameters.

        ``cotangent`` (z, y, x) is the derivative of the loss by the image. None stands for gradients that torch does
        not need, and for those by mesh and renderer.
        """
        d_image = _cpu_copy(cotangent).astype(ctx.mesh.dtype, copy=False)
        gradients: list[Array | None] = [None, None, None]
        if any(ctx.needs_input_grad[:2]):
            of_mesh = ctx.renderer.mesh_vjp(ctx.mesh, d_image)
            gradients[:2] = of_mesh.vertices, of_mesh.density
        if ctx.needs_input_grad[2]:
            gradients[2] = ctx.renderer.psf_vjp(ctx.spectrum, d_image)
        tensors = [
            torch.from_numpy(np.ascontiguousarray(gradient)).to(like) if needed else None
            for gradient, like, needed in zip(gradients, ctx.like, ctx.needs_input_grad)
        ]
        return *tensors, None, None


def _cpu_copy(tensor: Tensor) -> Array:
    """Return a tensor as an array, copied: later changes of the tensor do not affect the backward pass."""
    return tensor.detach().cpu().numpy().copy()


def _check_arguments(vertices: Any, density: Any, psf: PSF, parameters: Any) -> None:
    """Raise an error if vertices, density or PSF parameters do not suit the rendering.

    ConfigError if one is not a tensor, or the parameters are not as many as the PSF's; MeshError if the vertices are
    not float32 or float64.
    """
    for name, value in (("vertices", vertices), ("density", density), ("psf_parameters", parameters)):
        if not isinstance(value, Tensor) and (name == "vertices" or value is not None):
            raise ConfigError(
                f"{name} is a {type(value).__name__}; expected a torch tensor.",
                remedy="For arrays there is cytoform.rendering.",
            )
    if vertices.dtype not in (torch.float32, torch.float64):
        raise MeshError(f"vertices have type {vertices.dtype}; expected torch.float32 or torch.float64.")
    if parameters is not None and tuple(parameters.shape) != psf.parameters.shape:
        raise ConfigError(
            f"psf_parameters has shape {tuple(parameters.shape)}; expected {psf.parameters.shape}, "
            f"those of a {psf.kind} PSF."
        )
