"""Standard errors of a fit, from the curvature of its objective at the optimum."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from .._typing import Floats
from ..errors import FitError
from ..mesh import geometry
from ..mesh.curvature import curvatures
from ..mesh.laplacian import cotangent_laplacian
from ..mesh.protocol import Mesh
from ..metrics.shape import sphericity
from ..optics import PSF
from .bodies.measures import Measure, volume_and_area
from .constants import ERROR_MODES, LEAST_FREE_SHARE, PSF_PARAMETER_STEP
from .derivatives import BandProjection, jacobian_columns, smoothest_modes
from .evaluations import ImageFit
from .priors.field import StainingPrior
from .priors.smoothness import Smoothness
from .problem import Problem

__all__ = ["Uncertainty", "estimate_uncertainty"]


@dataclasses.dataclass(frozen=True, eq=False)
class Uncertainty:
    """Standard errors at the end of a fit.

    They follow from a Gauss–Newton approximation. The unknowns are the surface along its normals and its staining, each
    in the smoothest modes of the mesh's Laplacian, the PSF's parameters, gain and background. With J the derivatives of
    the modelled image for them, σ² the residuals' variance on the modes that the optics pass, for each degree of
    freedom left, and Q the second derivatives of the priors, their covariance is (Jᵀ J / σ² + Q)⁻¹. A quantity's
    variance follows by its gradient.

    Not included: errors of the model other than noise (a PSF of another kind, label off the membrane, wrong light of
    neighbours), roughness finer than the modes, other optima, and the priors of contact and of the user.

    Parameters
    ----------
    volume_um3, area_um2, sphericity : float
        Standard errors of volume (µm³), area (µm²) and Wadell's sphericity.
    psf_fwhm_um : (3,) float
        Those of the PSF's FWHM along z, y and x, µm; 0 if the PSF was not fitted.
    surface_um : (n_vertices,) float
        Those of the surface's position along its normal, µm.
    area_excess_um2 : float
        Expected excess of the mesh's area over that of the smooth surface it stands for, µm²: flat faces on a curved
        surface, (k₁² + k₂²) e² / 48 of the area for principal curvatures k and edges e, and the roughness of noise, ½ ∫
        |∇δ|² dA for displacements δ with the standard errors of the surface.
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
        """Return the standard errors as plain values for a JSON file.

        Returns
        -------
        dict of str to object
            The fields by name; `surface_um` by its median.
        """
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


def estimate_uncertainty(
    problem: Problem,
    mesh: Mesh,
    psf: PSF,
    *,
    stain: Floats | None = None,
    smoothness: tuple[float, Smoothness] | None = None,
    staining: StainingPrior | None = None,
    psf_directions: Floats | None = None,
    measures: Mapping[str, Measure] | None = None,
    image_fit: ImageFit | None = None,
    n_modes: int = ERROR_MODES,
) -> Uncertainty:
    """Estimate standard errors at an optimum of a fit.

    Parameters
    ----------
    problem : Problem
        Image, region and optics, with the light of neighbours subtracted.
    mesh : Mesh
        The surface, with its density.
    psf : PSF
        The PSF.
    stain : (n_vertices,) float, optional
        Field of the staining; None if it was not fitted.
    smoothness : (float, Smoothness), optional
        Weight and energy of the smoothness prior.
    staining : StainingPrior, optional
        Prior of the staining.
    psf_directions : (n_parameters, k) float, optional
        Orthonormal directions in which the PSF was fitted; None if it was not.
    measures : mapping of str to Measure, optional
        Volume and area with their gradients (:meth:`.Body.measures`); those of a closed surface by default.
    image_fit : ImageFit, optional
        Residuals of the surface; computed by default.
    n_modes : int
        Modes of the surface, and as many of the staining.

    Raises
    ------
    FitError
        If the image does not determine the unknowns (the matrix is singular).
    """
    modes, normals = smoothest_modes(mesh, n_modes), geometry.vertex_normals(mesh.vertices, mesh.faces)
    directions = np.zeros((len(psf.parameters), 0)) if psf_directions is None else psf_directions
    n, stained = modes.shape[1], 0 if stain is None else modes.shape[1]
    projection = BandProjection(
        problem, mesh, psf, problem.image_fit(mesh.astype(problem.dtype), psf) if image_fit is None else image_fit
    )
    boxes = jacobian_columns(projection, mesh, psf, modes, normals, stain, directions)
    count = n + stained + directions.shape[1] + 2
    columns = np.empty((count, projection.length), dtype=problem.dtype)
    for row, box in zip(columns, boxes):
        row[:] = projection(box)
    gram = (columns @ columns.T).astype(np.float64)
    precision = np.zeros_like(gram)
    if smoothness is not None:
        precision[:n, :n] = smoothness[0] * smoothness[1].second(modes, normals)
    if staining is not None and stained:
        precision[n : n + stained, n : n + stained] = staining.second(modes)
    covariance, variance, used = _posterior(gram, precision, projection.mean_square, projection.degrees_of_freedom)
    scatter = (covariance @ gram @ covariance / variance)[:n, :n]  # of repeated fits: the priors reduce it
    rough = modes.T @ (cotangent_laplacian(mesh.vertices, mesh.faces) @ modes)
    excess = _facet_area_excess(mesh) + 0.5 * float((rough * scatter).sum())
    return _standard_errors(
        mesh, psf, modes, normals, directions, covariance, n + stained, measures or volume_and_area(mesh),
        area_excess_um2=excess, noise=problem.scale * variance**0.5, freedom=used,
    )  # fmt: skip


def _posterior(
    gram: Floats, precision: Floats, mean_square: float, degrees_of_freedom: float
) -> tuple[Floats, float, float]:
    """Return covariance of the unknowns, variance of the noise, and degrees of freedom that the unknowns take.

    A fit takes 2 tr S - tr S² degrees of freedom, S = Jᵀ J / σ² (Jᵀ J / σ² + Q)⁻¹. As S depends on σ², both are
    iterated.

    Parameters
    ----------
    gram : (n, n) float
        Jᵀ J.
    precision : (n, n) float
        Q, the second derivatives of the priors.
    mean_square : float
        Mean square of the residuals, for each degree of freedom of the data.
    degrees_of_freedom : float
        Degrees of freedom of the data.

    Raises
    ------
    FitError
        If the matrix is singular.
    """
    variance, used = mean_square, 0.0
    for _ in range(5):
        try:
            factor = cho_factor(gram / variance + precision, lower=True)
        except np.linalg.LinAlgError as error:
            raise FitError("the image says too little about the surface to tell how sure the fit is.") from error
        share = cho_solve(factor, gram / variance)
        used = float(2.0 * np.trace(share) - (share * share.T).sum())
        variance = mean_square / max(1.0 - used / degrees_of_freedom, LEAST_FREE_SHARE)
    return cho_solve(factor, np.eye(len(gram))), variance, used


def _standard_errors(
    mesh: Mesh,
    psf: PSF,
    modes: Floats,
    normals: Floats,
    directions: Floats,
    covariance: Floats,
    psf_offset: int,
    measures: Mapping[str, Measure],
    **others: float,
) -> Uncertainty:
    """Propagate the covariance of the unknowns to standard errors of volume, area, sphericity, PSF widths and surface.

    Parameters
    ----------
    mesh : Mesh
        The surface.
    psf : PSF
        The PSF.
    modes : (n_vertices, n_modes) float
        Modes of the surface.
    normals : (n_vertices, 3) float
        Vertex normals.
    directions : (n_parameters, k) float
        Directions in which the PSF was fitted.
    covariance : (n, n) float
        Covariance of all unknowns, those of the surface first.
    psf_offset : int
        Index of the first unknown of the PSF.
    measures : mapping of str to Measure
        Volume and area with their gradients.
    **others : float
        Further fields of :class:`Uncertainty`.
    """
    n = modes.shape[1]
    surface = covariance[:n, :n]
    pair = measures["volume_um3"], measures["area_um2"]
    volume, area = (modes.T @ (measure.gradient * normals).sum(axis=1) for measure in pair)
    whole, total = (measure.value for measure in pair)
    round_ = sphericity(whole, total) * (2.0 / 3.0 * volume / whole - area / total)
    psf_end = psf_offset + directions.shape[1]
    psf_covariance = covariance[psf_offset:psf_end, psf_offset:psf_end]
    widths = np.array([_width_derivative(psf, direction) for direction in directions.T]).reshape(-1, 3)

    def error(slope: Floats) -> float:
        return float(np.sqrt(slope @ surface @ slope))

    return Uncertainty(
        error(volume), error(area), error(round_),
        np.sqrt(np.einsum("ka,kl,la->a", widths, psf_covariance, widths)),
        np.sqrt(np.einsum("vk,kl,vl->v", modes, surface, modes)),
        **others,
    )  # fmt: skip


def _facet_area_excess(mesh: Mesh) -> float:
    """Return the expected excess of area of flat faces on a curved surface, µm²: Σ (k₁² + k₂²) e² A / 48.

    The sum is over faces of area A, with principal curvatures k and the edge e of an equilateral triangle of that area.
    """
    mean, gaussian = curvatures(mesh)
    bent = np.maximum(4.0 * mean**2 - 2.0 * gaussian, 0.0)[mesh.faces].mean(axis=1)
    return float((bent * mesh.face_areas * 4.0 / np.sqrt(3.0) * mesh.face_areas / 48.0).sum())


def _width_derivative(psf: PSF, direction: Floats) -> Floats:
    """Return the derivative of the PSF's FWHM, (3,) µm, along a direction of its parameters, by central differences."""
    up, down = (psf.with_parameters(psf.parameters + s * PSF_PARAMETER_STEP * direction) for s in (1.0, -1.0))
    return (np.asarray(up.fwhm) - np.asarray(down.fwhm)) / (2.0 * PSF_PARAMETER_STEP)
