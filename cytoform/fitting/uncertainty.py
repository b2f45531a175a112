"""How sure a fit is: standard errors from the curvature of what it minimised, at its end."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csc_matrix, identity
from scipy.sparse.linalg import eigsh

from .._typing import Array, Floats
from ..devices import to_host
from ..errors import FitError
from ..mesh import geometry
from ..mesh.curvature import curvatures
from ..mesh.laplacian import combinatorial_laplacian, cotangent_laplacian
from ..mesh.protocol import Mesh
from ..metrics.shape import sphericity
from ..optics import PSF
from .bodies.measures import Measure, volume_and_area
from .constants import ERROR_MODES, LEAST_FREE_SHARE, MODE_STEP, PSF_PARAMETER_STEP, SINGLE_THREAD_FACES
from .priors.field import StainingPrior
from .priors.smoothness import Smoothness
from .priors.staining import density_change
from .problem import Problem
from .values import ImageFit

__all__ = ["Uncertainty", "uncertainty_of"]


@dataclasses.dataclass(frozen=True, eq=False)
class Uncertainty:
    """Standard errors at the end of a fit.

    From a Gauss–Newton approximation: with J the derivatives of the model's image for the unknowns (the surface along
    its normals and its staining, each in the smoothest modes of the mesh's Laplacian; the PSF's parameters; gain and
    background), σ² the variance of what is left on the modes that the optics pass, for each degree of freedom that the
    unknowns leave, and Q the second derivatives of the priors, their covariance is (Jᵀ J / σ² + Q)⁻¹. A quantity's
    variance follows by its gradient.

    What it cannot know: a model that is wrong in another way than by noise (a PSF of another kind, label off the
    membrane, neighbours' light that is off), roughness finer than the modes, another optimum. Priors of the user's and
    contacts are left out.

    Attributes
    ----------
    volume_um3, area_um2, sphericity : float
    psf_fwhm_um : (3,) float
        Of the widths along z, y and x; 0 where the PSF was held.
    surface_um : (n_vertices,) float
        Of the surface's place along its normal.
    area_excess_um2 : float
        By how much the mesh's area is larger than that of the smooth surface it stands for, as is to be expected:
        facets that lie across a curved surface, (k₁² + k₂²) e² / 48 of the area for principal curvatures k and edges
        e, and the roughness that noise leaves, ½ ∫ |∇δ|² dA for displacements δ as uncertain as these.
    noise : float
        σ, in the image's intensities.
    freedom : float
        Degrees of freedom that the unknowns take from the data.
    """

    volume_um3: float
    area_um2: float
    sphericity: float
    psf_fwhm_um: Floats
    surface_um: Floats
    area_excess_um2: float
    noise: float
    freedom: float

    def as_dict(self) -> dict[str, object]:
        """The numbers for a JSON file, without the map; `surface_um` is its median there."""
        return {
            "volume_um3": self.volume_um3,
            "area_um2": self.area_um2,
            "sphericity": self.sphericity,
            "psf_fwhm_um": self.psf_fwhm_um.tolist(),
            "surface_um": float(np.median(self.surface_um)),
            "area_excess_um2": self.area_excess_um2,
            "noise": self.noise,
            "freedom": self.freedom,
        }


def uncertainty_of(
    problem: Problem,
    mesh: Mesh,
    psf: PSF,
    *,
    stain: Floats | None = None,
    smoothness: tuple[float, Smoothness] | None = None,
    staining: StainingPrior | None = None,
    psf_directions: Floats | None = None,
    measures: Mapping[str, Measure] | None = None,
    found: ImageFit | None = None,
    modes: int = ERROR_MODES,
) -> Uncertainty:
    """Standard errors at an optimum.

    Parameters
    ----------
    problem : Problem
        Image, region and optics, neighbours' light taken away.
    mesh : Mesh
        The surface, with its density.
    psf : PSF
    stain : (n_vertices,) float, optional
        The staining's field where it was inferred, with `staining`, its prior.
    smoothness : (float, Smoothness), optional
        The smoothness prior and its weight.
    psf_directions : (n_parameters, k) float, optional
        Orthonormal directions in which the PSF was fitted; None where it was held.
    measures : mapping of str to Measure, optional
        Volume and area with their derivatives (:meth:`.Body.measures`); those of a closed surface by default.
    found : ImageFit, optional
        What the surface explains of the image; worked out by default.
    modes : int
        Of the surface and of the staining, each.

    Raises
    ------
    FitError
        When the data say too little to tell (the matrix is singular).
    """
    shapes, normals = _modes(mesh, modes), geometry.vertex_normals(mesh.vertices, mesh.faces)
    directions = np.zeros((len(psf.parameters), 0)) if psf_directions is None else psf_directions
    n, stained = shapes.shape[1], 0 if stain is None else shapes.shape[1]
    seen = _Seen(problem, mesh, psf, problem.image_fit(mesh.astype(problem.dtype), psf) if found is None else found)
    boxes = _columns(seen, mesh, psf, shapes, normals, stain, directions)
    count = n + stained + directions.shape[1] + 2
    columns = np.empty((count, seen.length), dtype=problem.dtype)
    for row, box in zip(columns, boxes):
        row[:] = seen(box)
    gram = (columns @ columns.T).astype(np.float64)
    precision = np.zeros_like(gram)
    if smoothness is not None:
        precision[:n, :n] = smoothness[0] * smoothness[1].second(shapes, normals)
    if staining is not None and stained:
        precision[n : n + stained, n : n + stained] = staining.second(shapes)
    covariance, variance, freedom = _posterior(gram, precision, seen.left, seen.freedom)
    scatter = (covariance @ gram @ covariance / variance)[:n, :n]  # of the surface over repeats: the priors damp it
    rough = shapes.T @ (cotangent_laplacian(mesh.vertices, mesh.faces) @ shapes)
    excess = _facets(mesh) + 0.5 * float((rough * scatter).sum())
    return _errors(
        mesh, psf, shapes, normals, directions, covariance, n + stained, measures or volume_and_area(mesh),
        area_excess_um2=excess, noise=problem.scale * variance**0.5, freedom=freedom,
    )  # fmt: skip


class _Seen:
    """What the image sees of a change of the model: on the voxels that count, on the modes that the optics pass."""

    def __init__(self, problem: Problem, mesh: Mesh, psf: PSF, found: ImageFit) -> None:
        self.dtype, self.voxel = problem.dtype, problem.voxel
        self.renderer = problem.renderer(psf, problem.config.cutoff)
        if mesh.n_faces < SINGLE_THREAD_FACES:
            self.renderer = dataclasses.replace(self.renderer, deterministic=True)
        band = self.renderer.band
        residual, self.gain, weights = found.residual, found.gain, found.weights
        chosen = self.renderer.prepared(mesh.astype(self.dtype), behind_optics=False).backend
        self.renderer = self.renderer.with_backend(chosen)
        self._root, self._box = np.sqrt(weights), tuple(slice(0, n) for n in weights.shape)
        kept = band.kept_weights
        self._kept = kept > 0
        self._scale = np.sqrt(kept[self._kept] / band.grid.size)
        self.length = 2 * len(self._scale)
        self.freedom = float(weights.sum(dtype=np.float64)) * float(kept.sum()) / band.grid.size
        self.left = float((self._on_band(residual) ** 2).sum(dtype=np.float64)) / self.freedom

    def __call__(self, box: Array) -> Array:
        """A change of the model, behind the optics on the band, as a vector; products are those of the image's."""
        image = self.renderer.picture(box.astype(np.result_type(self.dtype, np.complex64)))
        return self._on_band(self._root * image[self._box])

    def spectrum(self, mesh: Mesh) -> Array:
        """Transform a mesh on the band, before the optics, in the fit's precision."""
        return to_host(self.renderer.prepared(mesh.astype(self.dtype), behind_optics=False).forward())

    def _on_band(self, image: Array) -> Array:
        found = self._scale * self.renderer.transform(image)[self._kept]
        return np.concatenate([found.real, found.imag]).astype(self.dtype)


def _modes(mesh: Mesh, count: int) -> Floats:
    """The smoothest eigenvectors of the mesh's Laplacian, (n_vertices, k), of mean square 1."""
    n = mesh.n_vertices
    laplacian = csc_matrix(combinatorial_laplacian(mesh.faces, n))
    if count >= n - 1:
        vectors = np.linalg.eigh(laplacian.toarray())[1]
    else:
        begin = np.random.default_rng(0).normal(size=n)  # the same on every run
        shifted = csc_matrix(laplacian + 1e-3 * identity(n))
        vectors = eigsh(shifted, k=count, sigma=0.0, which="LM", v0=begin)[1]
    return vectors * np.sqrt(n)


def _columns(
    seen: _Seen,
    mesh: Mesh,
    psf: PSF,
    shapes: Floats,
    normals: Floats,
    stain: Floats | None,
    directions: Floats,
) -> Iterator[Array]:
    """Derivatives of the model on the band, behind the optics, for one unknown after another."""
    renderer, gain = seen.renderer, seen.gain
    here, otf = seen.spectrum(mesh), psf.otf_on(renderer.band)
    for shape in shapes.T:
        step = MODE_STEP * seen.voxel / np.abs(shape).max()
        nudge = step * shape[:, None] * normals
        up, down = (seen.spectrum(mesh.with_vertices(mesh.vertices + s * nudge)) for s in (1.0, -1.0))
        yield gain / (2.0 * step) * otf * (up - down)
    if stain is not None:
        for shape in shapes.T:
            yield gain * otf * seen.spectrum(density_change(mesh, stain, shape))
    for direction in directions.T:
        up, down = (psf.with_parameters(psf.parameters + s * PSF_PARAMETER_STEP * direction) for s in (1.0, -1.0))
        yield gain / (2.0 * PSF_PARAMETER_STEP) * (up.otf_on(renderer.band) - down.otf_on(renderer.band)) * here
    yield otf * here
    flat = np.zeros_like(here)
    flat[0, 0, 0] = renderer.band.grid.volume
    yield flat


def _posterior(gram: Floats, precision: Floats, left: float, freedom: float) -> tuple[Floats, float, float]:
    """Covariance, variance of the noise, and degrees of freedom that the unknowns take.

    `left` is the mean square of what is left over, for each of the data's `freedom` degrees of freedom. A fit takes
    2 tr S - tr S² of them, S = Jᵀ J / σ² (Jᵀ J / σ² + Q)⁻¹; how much that is depends on the noise itself.
    """
    variance, used = left, 0.0
    for _ in range(5):
        try:
            factor = cho_factor(gram / variance + precision, lower=True)
        except np.linalg.LinAlgError as error:
            raise FitError("the image says too little about the surface to tell how sure the fit is.") from error
        share = cho_solve(factor, gram / variance)
        used = float(2.0 * np.trace(share) - (share * share.T).sum())
        variance = left / max(1.0 - used / freedom, LEAST_FREE_SHARE)
    return cho_solve(factor, np.eye(len(gram))), variance, used


def _errors(
    mesh: Mesh,
    psf: PSF,
    shapes: Floats,
    normals: Floats,
    directions: Floats,
    covariance: Floats,
    optics: int,
    measures: Mapping[str, Measure],
    **more: float,
) -> Uncertainty:
    n = shapes.shape[1]
    surface = covariance[:n, :n]
    found = measures["volume_um3"], measures["area_um2"]
    volume, area = (shapes.T @ (measure.slope * normals).sum(axis=1) for measure in found)
    whole, total = (measure.value for measure in found)
    round_ = sphericity(whole, total) * (2.0 / 3.0 * volume / whole - area / total)
    part = covariance[optics : optics + directions.shape[1], optics : optics + directions.shape[1]]
    widths = np.array([_change(psf, direction) for direction in directions.T]).reshape(-1, 3)

    def error(slope: Floats) -> float:
        return float(np.sqrt(slope @ surface @ slope))

    return Uncertainty(
        error(volume), error(area), error(round_),
        np.sqrt(np.einsum("ka,kl,la->a", widths, part, widths)),
        np.sqrt(np.einsum("vk,kl,vl->v", shapes, surface, shapes)),
        **more,
    )  # fmt: skip


def _facets(mesh: Mesh) -> float:
    """Area that facets across a curved surface have too much, µm²."""
    mean, gaussian = curvatures(mesh)
    bent = np.maximum(4.0 * mean**2 - 2.0 * gaussian, 0.0)[mesh.faces].mean(axis=1)
    return float((bent * mesh.face_areas * 4.0 / np.sqrt(3.0) * mesh.face_areas / 48.0).sum())


def _change(psf: PSF, direction: Floats) -> Floats:
    """Derivative of the widths (3,) along a direction of the parameters, µm."""
    up, down = (psf.with_parameters(psf.parameters + s * PSF_PARAMETER_STEP * direction) for s in (1.0, -1.0))
    return (np.asarray(up.fwhm) - np.asarray(down.fwhm)) / (2.0 * PSF_PARAMETER_STEP)
