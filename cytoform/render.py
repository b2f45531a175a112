"""From a mesh through the optics to an image, with the gradient beside it.

I_n = (1/V) Σ_k ĥ(ξ_k) û(ξ_k) exp(i ξ_k · x_n): real, signed, DC included, Nyquist planes left out.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from . import backend as _backend
from .errors import GridError
from .fourier import BackendName, Mesh, MeshTransform, pruned
from .image.band import Band
from .image.volume import Grid
from .optics import PSF

__all__ = ["RenderGradient", "Renderer", "default_tolerance", "render", "render_vjp"]


def default_tolerance(dtype: npt.DTypeLike) -> float:
    """1e-4 for float32 and 1e-8 for float64, relative to the image's maximum."""
    return 1e-4 if np.dtype(dtype) == np.float32 else 1e-8


@dataclasses.dataclass(frozen=True, eq=False)
class RenderGradient:
    """Gradient of Σ cotangent · image: `vertices` (n, 3), `density` (n_faces,), `psf` (n_parameters,)."""

    vertices: npt.NDArray
    density: npt.NDArray
    psf: npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Renderer:
    """Optics, grid and numerics of a rendering; what a fit renders every iterate with.

    Parameters
    ----------
    psf : PSF
    band : Band
        Modes that are rendered, of the grid that the image is on (periodic).
    backend, device, tolerance, normalize, deterministic
        As for :func:`cytoform.mesh_ft`.
    """

    psf: PSF
    band: Band
    backend: str = "auto"
    device: str = "auto"
    tolerance: float | None = None
    normalize: bool = False
    deterministic: bool = False

    def spectrum(self, mesh: Mesh) -> npt.NDArray:
        """Transform of the mesh on the band, before the optics."""
        return self._transform().forward(mesh)

    def image(self, spectrum: npt.NDArray) -> npt.NDArray:
        """Image (z, y, x) of a mesh's spectrum."""
        box = (spectrum * self.psf.otf_on(self.band)).astype(spectrum.dtype)
        if self.band.mask is not None:
            box = np.where(self.band.mask, box, box.dtype.type(0))
        return pruned.to_image(box, self.band, workers=_workers(self.deterministic))

    def _cotangent(self, cotangent: npt.NDArray) -> npt.NDArray:
        box = pruned.to_band(cotangent, self.band, workers=_workers(self.deterministic))
        return box / box.real.dtype.type(self.band.grid.volume)

    def mesh_vjp(self, mesh: Mesh, cotangent: npt.NDArray):
        """Gradient for the mesh of Σ cotangent · image."""
        box = np.conj(self.psf.otf_on(self.band)) * self._cotangent(cotangent)
        return self._transform().vjp(mesh, box)

    def psf_vjp(self, spectrum: npt.NDArray, cotangent: npt.NDArray) -> npt.NDArray[np.float64]:
        """Gradient for the PSF's parameters of Σ cotangent · image, given the mesh's spectrum."""
        return self.psf.otf_vjp(self.band, self._cotangent(cotangent) * np.conj(spectrum))

    def with_psf(self, psf: PSF) -> Renderer:
        """The same with another PSF on the same band."""
        return dataclasses.replace(self, psf=psf)

    def _transform(self) -> MeshTransform:
        return MeshTransform(self.band, self.backend, self.device, self.tolerance, self.normalize, self.deterministic)


def _workers(deterministic: bool) -> int:
    return 1 if deterministic else _backend.threads()


def _renderer(mesh: Mesh, psf: PSF, grid: Grid, *, backend, device, tolerance, cutoff, normalize, deterministic):
    tolerance = default_tolerance(mesh.vertices.dtype) if tolerance is None else tolerance
    band = psf.band(grid, tolerance / 10.0 if cutoff is None else cutoff)
    return Renderer(psf, band, backend, device, tolerance, normalize, deterministic)


def render(
    mesh: Mesh,
    psf: PSF,
    grid: Grid,
    *,
    backend: BackendName = "auto",
    device: _backend.Device = "auto",
    tolerance: float | None = None,
    cutoff: float | None = None,
    normalize: bool = False,
    deterministic: bool = False,
) -> npt.NDArray:
    """Image of a mesh through a point spread function.

    Parameters
    ----------
    mesh : SurfaceMesh or MultiMaterialMesh
        µm, (z, y, x), with its density in intensity per µm².
    psf : PSF
    grid : Grid
        The image's grid. It is periodic: what leaves it on one side comes in on the other. Render on
        ``grid.padded(psf.reach())`` and cut where that matters.
    backend, device, normalize, deterministic
        As for :func:`cytoform.mesh_ft`.
    tolerance : float, optional
        Error allowed, relative to the image's maximum: 1e-4 for float32, 1e-8 for float64 by default.
    cutoff : float, optional
        Frequencies are kept where |ĥ| exceeds this part of its maximum; a tenth of the tolerance by default, 0 for
        all. The error is about 1.3 times the cutoff.

    Returns
    -------
    (z, y, x) float32 or float64
        The dtype of the mesh's vertices; intensity per voxel volume (density in 1/µm² gives 1/µm³).
    """
    renderer = _renderer(
        mesh, psf, grid, backend=backend, device=device, tolerance=tolerance, cutoff=cutoff, normalize=normalize,
        deterministic=deterministic,
    )  # fmt: skip
    return renderer.image(renderer.spectrum(mesh))


def render_vjp(
    mesh: Mesh,
    psf: PSF,
    grid: Grid,
    cotangent: npt.NDArray,
    *,
    backend: BackendName = "auto",
    device: _backend.Device = "auto",
    tolerance: float | None = None,
    cutoff: float | None = None,
    normalize: bool = False,
    deterministic: bool = False,
) -> RenderGradient:
    """Vector-Jacobian product of :func:`render`.

    Parameters
    ----------
    cotangent : (z, y, x) float
        Others as in :func:`render`.

    Returns
    -------
    RenderGradient
        d/d(vertices), d/d(density) and d/d(PSF parameters) of Σ cotangent · image. The PSF's part is taken on the
        modes that are kept (the band itself is not differentiated).
    """
    cotangent = np.asarray(cotangent)
    if cotangent.shape != grid.shape:
        raise GridError(f"cotangent has shape {cotangent.shape}; expected {grid.shape}, the grid's.")
    cotangent = cotangent.astype(mesh.vertices.dtype, copy=False)
    renderer = _renderer(
        mesh, psf, grid, backend=backend, device=device, tolerance=tolerance, cutoff=cutoff, normalize=normalize,
        deterministic=deterministic,
    )  # fmt: skip
    moved = renderer.mesh_vjp(mesh, cotangent)
    return RenderGradient(moved.vertices, moved.density, renderer.psf_vjp(renderer.spectrum(mesh), cotangent))
