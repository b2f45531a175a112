"""Derivatives of the modelled image for the unknowns of a fit, on the modes that the optics pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from scipy.sparse import csc_matrix, identity
from scipy.sparse.linalg import eigsh

from .._typing import Array, Floats
from ..devices import to_host
from ..mesh.laplacian import combinatorial_laplacian
from ..mesh.protocol import Mesh
from ..optics import PSF
from .constants import MODE_STEP, PSF_PARAMETER_STEP, SINGLE_THREAD_FACES
from .evaluations import ImageFit
from .priors.staining import density_change
from .problem import Problem

__all__ = ["BandProjection", "jacobian_columns", "smoothest_modes"]


class BandProjection:
    """Projection of weighted images onto the modes that the optics pass; scalar products are those of the images.

    Parameters
    ----------
    problem : Problem
        Image, region and settings.
    mesh : Mesh
        The surface; transform and number of threads follow from it.
    psf : PSF
        The PSF, whose band is used.
    image_fit : ImageFit
        Residuals and weights of the surface.
    """

    def __init__(self, problem: Problem, mesh: Mesh, psf: PSF, image_fit: ImageFit) -> None:
        self.dtype, self.voxel = problem.dtype, problem.voxel
        self.renderer = problem.renderer(psf, problem.config.cutoff)
        if mesh.n_faces < SINGLE_THREAD_FACES:
            self.renderer = dataclasses.replace(self.renderer, deterministic=True)
        band = self.renderer.band
        residual, self.gain, weights = image_fit.residual, image_fit.gain, image_fit.weights
        chosen = self.renderer.prepared(mesh.astype(self.dtype), behind_optics=False).backend
        self.renderer = self.renderer.with_backend(chosen)
        self._root, self._box = np.sqrt(weights), tuple(slice(0, n) for n in weights.shape)
        kept = band.kept_weights
        self._kept = kept > 0
        self._scale = np.sqrt(kept[self._kept] / band.grid.size)
        self.length = 2 * len(self._scale)
        self.degrees_of_freedom = float(weights.sum(dtype=np.float64)) * float(kept.sum()) / band.grid.size
        self.mean_square = float((self._on_band(residual) ** 2).sum(dtype=np.float64)) / self.degrees_of_freedom

    def __call__(self, box: Array) -> Array:
        """Return a change of the model, given behind the optics on the band, as a real vector, (`length`,)."""
        image = self.renderer.picture(box.astype(np.result_type(self.dtype, np.complex64)))
        return self._on_band(self._root * image[self._box])

    def spectrum(self, mesh: Mesh) -> Array:
        """Return the spectrum of a mesh on the band, before the optics, in the fit's precision."""
        return to_host(self.renderer.prepared(mesh.astype(self.dtype), behind_optics=False).forward())

    def _on_band(self, image: Array) -> Array:
        """Return the spectrum of an image, (z, y, x), on the kept modes as a vector: real, then imaginary parts.

        It is scaled such that the vector's squared length is the image's power on these modes.
        """
        spectrum = self._scale * self.renderer.transform(image)[self._kept]
        return np.concatenate([spectrum.real, spectrum.imag]).astype(self.dtype)


def smoothest_modes(mesh: Mesh, count: int) -> Floats:
    """Return the `count` eigenvectors of the mesh's combinatorial Laplacian with least eigenvalues, (n_vertices, k).

    Their mean square is 1. Meshes with fewer vertices have as many modes as vertices.
    """
    n = mesh.n_vertices
    laplacian = csc_matrix(combinatorial_laplacian(mesh.faces, n))
    if count >= n - 1:
        vectors = np.linalg.eigh(laplacian.toarray())[1]
    else:
        begin = np.random.default_rng(0).normal(size=n)  # the same on every run
        shifted = csc_matrix(laplacian + 1e-3 * identity(n))
        vectors = eigsh(shifted, k=count, sigma=0.0, which="LM", v0=begin)[1]
    modes: Floats = vectors * np.sqrt(n)
    return modes


def jacobian_columns(
    projection: BandProjection,
    mesh: Mesh,
    psf: PSF,
    modes: Floats,
    normals: Floats,
    stain: Floats | None,
    directions: Floats,
) -> Iterator[Array]:
    """Yield the derivative of the model, on the band behind the optics, for one unknown after another.

    Central differences for modes of the surface and directions of the PSF; exact derivatives for staining, gain and
    background.

    Parameters
    ----------
    projection : BandProjection
        Renderer, gain and spectra.
    mesh : Mesh
        The surface.
    psf : PSF
        The PSF.
    modes : (n_vertices, n_modes) float
        Modes of the surface and of its staining.
    normals : (n_vertices, 3) float
        Vertex normals, along which the surface moves.
    stain : (n_vertices,) float or None
        Field of the staining; None if it was not fitted.
    directions : (n_parameters, k) float
        Directions of the PSF's parameters.

    Yields
    ------
    complex array on the band
        For each mode of the surface, each of the staining, each direction of the PSF, the gain, and the background.
    """
    renderer, gain = projection.renderer, projection.gain
    spectrum, otf = projection.spectrum(mesh), psf.otf_on(renderer.band)
    for mode in modes.T:
        step = MODE_STEP * projection.voxel / np.abs(mode).max()
        nudge = step * mode[:, None] * normals
        up, down = (projection.spectrum(mesh.with_vertices(mesh.vertices + s * nudge)) for s in (1.0, -1.0))
        yield gain / (2.0 * step) * otf * (up - down)
    if stain is not None:
        for mode in modes.T:
            yield gain * otf * projection.spectrum(density_change(mesh, stain, mode))
    for direction in directions.T:
        wider, narrower = (
            psf.with_parameters(psf.parameters + s * PSF_PARAMETER_STEP * direction) for s in (1.0, -1.0)
        )
        otf_change = wider.otf_on(renderer.band) - narrower.otf_on(renderer.band)
        yield gain / (2.0 * PSF_PARAMETER_STEP) * otf_change * spectrum
    yield otf * spectrum
    flat = np.zeros_like(spectrum)
    flat[0, 0, 0] = renderer.band.grid.volume
    yield flat
