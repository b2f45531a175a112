"""The renderer as a step of a torch graph: images of meshes, with gradients for the mesh and for the optics."""

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
    """Image of a mesh through a point spread function, differentiable once.

    Parameters
    ----------
    vertices : (n, 3) float32 or float64 tensor
        µm, (z, y, x).
    faces : (m, 3) int
        Tensor or array; counter-clockwise seen from outside.
    psf : PSF
    grid : Grid
        Periodic, as for :func:`cytoform.render`.
    density : (m,) tensor, optional
        Intensity per µm² of membrane; 1 by default.
    psf_parameters : tensor, optional
        In place of ``psf.parameters``: with a gradient the optics are learned too, on the modes that are kept.
    backend, device, tolerance, cutoff, normalize, deterministic
        As for :func:`cytoform.render`; ``device`` is where the renderer works, wherever the tensors are.

    Returns
    -------
    (z, y, x) tensor
        In the type and on the device of ``vertices``.

    Raises
    ------
    MeshError
        When vertices, faces or densities do not make a mesh.
    ConfigError
        When something is no tensor, or the PSF takes other parameters.
    GridError, BackendError
        As :func:`cytoform.render`.
    """
    _check(vertices, density, psf, psf_parameters)
    corners = faces.detach().cpu().numpy() if isinstance(faces, Tensor) else np.asarray(faces)
    if psf_parameters is not None:
        psf = psf.with_parameters(_array(psf_parameters).astype(np.float64))
    options = dict(
        backend=backend, device=device, tolerance=tolerance, normalize=normalize, deterministic=deterministic
    )  # fmt: skip
    mesh = SurfaceMesh(_array(vertices), corners, None if density is None else _array(density))
    if options["tolerance"] is None:
        options["tolerance"] = default_tolerance(mesh.dtype)
    kept = options["tolerance"] / 10.0 if cutoff is None else cutoff  # type: ignore[operator]
    renderer = Renderer(psf, psf.band(grid, kept), **options)  # type: ignore[arg-type]
    return _Render.apply(vertices, density, psf_parameters, mesh, renderer)


class _Render(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, vertices: Tensor, density: Tensor | None, parameters: Tensor | None, mesh: SurfaceMesh, how: Renderer
    ) -> Tensor:
        spectrum = how.spectrum(mesh)
        ctx.mesh, ctx.how, ctx.spectrum = mesh, how, spectrum if ctx.needs_input_grad[2] else None
        ctx.like = (vertices, density, parameters)
        return torch.from_numpy(how.image(spectrum)).to(vertices)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        given = _array(cotangent).astype(ctx.mesh.dtype, copy=False)
        found: list[Array | None] = [None, None, None]
        if any(ctx.needs_input_grad[:2]):
            moved = ctx.how.mesh_vjp(ctx.mesh, given)
            found[:2] = moved.vertices, moved.density
        if ctx.needs_input_grad[2]:
            found[2] = ctx.how.psf_vjp(ctx.spectrum, given)
        given_back = [
            torch.from_numpy(np.ascontiguousarray(gradient)).to(like) if needed else None
            for gradient, like, needed in zip(found, ctx.like, ctx.needs_input_grad)
        ]
        return *given_back, None, None


def _array(tensor: Tensor) -> Array:
    """A copy on the CPU: what the tensor becomes later does not reach the backward pass."""
    return tensor.detach().cpu().numpy().copy()


def _check(vertices: Any, density: Any, psf: PSF, parameters: Any) -> None:
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
