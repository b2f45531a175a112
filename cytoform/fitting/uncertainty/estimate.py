"""Standard errors of a fit, from the curvature of its objective at the optimum."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..._typing import Floats
from ...mesh import geometry
from ...mesh.curvature import curvatures
from ...mesh.laplacian import cotangent_laplacian
from ...mesh.protocol import Mesh
from ...metrics.shape import sphericity
from ...optics import PSF
from ..bodies.measures import Measure, volume_and_area
from ..constants import ERROR_MODES, PSF_PARAMETER_STEP
from ..evaluations import ImageFit
from ..priors.field import StainingPrior
from ..priors.smoothness import Smoothness
from ..problem import Problem
from .modes import smoothest_modes
from .normal_matrix import ImageInformation, Unknowns
from .posterior import posterior_of, prior_precision

__all__ = ["StandardErrors", "Uncertainty", "estimate_uncertainty"]


@dataclasses.dataclass(frozen=True, eq=False)
class StandardErrors:
    """Standard errors of a fit's numbers.

    Parameters
    ----------
    volume_um3, area_um2, sphericity : float
        Standard errors of volume (µm³), area (µm²) and Wadell's sphericity.
    psf_fwhm_um : (3,) float
        Those of the PSF's FWHM along z, y and x, µm; 0 if the PSF was not fitted.
    surface_um : (n_vertices,) float
        Those of the surface's position along its normal, µm.
    gain : float
        That of the gain, in the image's intensities.
    filling : float
        That of the brightness inside a filled body, in the image's intensities; 0 for a membrane.
    """

    volume_um3: float
    area_um2: float
    sphericity: float
    psf_fwhm_um: Floats
    surface_um: Floats
    gain: float
    filling: float = 0.0

    def as_dict(self) -> dict[str, Any]:
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
            "gain": self.gain,
            "filling": self.filling,
        }


@dataclasses.dataclass(frozen=True, eq=False)
class Uncertainty(StandardErrors):
    """Standard errors at the end of a fit, of noise and of what the model leaves unexplained.

    They are at least those of white noise, and follow from a Gauss–Newton approximation. The unknowns are the surface
    along its normals and its staining, each in the smoothest modes of the mesh's Laplacian, the PSF's parameters, gain
    and background. With J the derivatives of the modelled image for them, σ² the residuals' variance on the modes that
    the optics pass, for each degree of freedom left, and Q the second derivatives of the priors, the covariance is
    (Jᵀ J / σ² + Q)⁻¹ for white noise (`noise_only`). A residual that the model leaves unexplained is smooth, so it
    counts for more than noise of its variance: the standard errors here take its spectrum into account (a sandwich
    estimate; for filled bodies only its power on the modes that the optics pass). A quantity's variance follows by its
    gradient.

    Not included: a misfit that surface, staining and PSF have taken up without a trace in the residual, such as a
    membrane's thickness in the PSF's width; roughness finer than the modes; other optima; and the priors of contact and
    of the user.

    Parameters
    ----------
    volume_um3, area_um2, sphericity : float
        Standard errors of volume (µm³), area (µm²) and Wadell's sphericity.
    psf_fwhm_um : (3,) float
        Those of the PSF's FWHM along z, y and x, µm; 0 if the PSF was not fitted.
    surface_um : (n_vertices,) float
        Those of the surface's position along its normal, µm.
    gain : float
        That of the gain, in the image's intensities.
    filling : float
        That of the brightness inside a filled body, in the image's intensities; 0 for a membrane.
    noise_only : StandardErrors
        The same if all of the residual were white noise.
    area_excess_um2 : float
        Expected excess of the mesh's area over that of the smooth surface it stands for, µm²: flat faces on a curved
        surface, (k₁² + k₂²) e² / 48 of the area for principal curvatures k and edges e, and the roughness of noise, ½ ∫
        |∇δ|² dA for displacements δ with the standard errors of the surface.
    noise : float
        σ, in the image's intensities.
    freedom : float
        Degrees of freedom that the unknowns take from the data.
    """

    noise_only: StandardErrors = None  # type: ignore[assignment]
    area_excess_um2: float = 0.0
    noise: float = 0.0
    freedom: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the standard errors as plain values for a JSON file.

        Returns
        -------
        dict of str to object
            The fields by name; `surface_um` by its median.
        """
        return {
            **super().as_dict(),
            "noise_only": self.noise_only.as_dict(),
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
    if image_fit is None:
        image_fit = problem.image_fit(mesh.astype(problem.dtype), psf)
    unknowns = Unknowns(mesh, normals, modes, stain, psf, directions)
    image = ImageInformation(problem, unknowns, image_fit)
    posterior = posterior_of(image, prior_precision(unknowns, smoothness, staining))
    n = modes.shape[1]
    rough = modes.T @ (cotangent_laplacian(mesh.vertices, mesh.faces) @ modes)
    excess = _facet_area_excess(mesh) + 0.5 * float((rough * posterior.scatter[:n, :n]).sum())
    parts = measures or volume_and_area(mesh)
    aware, noise_only = (
        _errors(unknowns, c, parts, problem.scale) for c in (posterior.misfit_aware, posterior.noise_only)
    )
    if mesh.jump is not None:
        unit = problem.scale * abs(float(mesh.jump.mean()))
        for errors, c in ((aware, posterior.misfit_aware), (noise_only, posterior.noise_only)):
            errors["filling"] = unit * image.filling_error(c, posterior.variance)
    return Uncertainty(
        **{
            name: max(error, noise_only[name]) if isinstance(error, float) else np.maximum(error, noise_only[name])
            for name, error in aware.items()
        },
        noise_only=StandardErrors(**noise_only),
        area_excess_um2=excess,
        noise=problem.scale * posterior.variance**0.5,
        freedom=posterior.freedom,
    )


def _errors(unknowns: Unknowns, covariance: Floats, measures: Mapping[str, Measure], scale: float) -> dict[str, Any]:
    """Return the standard errors by field of :class:`StandardErrors`.

    Parameters
    ----------
    unknowns : Unknowns
        The unknowns.
    covariance : (n, n) float
        Their covariance.
    measures : mapping of str to Measure
        Volume and area with their gradients.
    scale : float
        The image's intensities for a unit of the gain.
    """
    n, start, end = unknowns.modes.shape[1], unknowns.n_surface, unknowns.n_surface + unknowns.directions.shape[1]
    surface = covariance[:n, :n]
    pair = measures["volume_um3"], measures["area_um2"]
    volume, area = (unknowns.slope(measure) for measure in pair)
    whole, total = (measure.value for measure in pair)
    round_ = sphericity(whole, total) * (2.0 / 3.0 * volume / whole - area / total)
    widths = np.array([_width_derivative(unknowns.psf, way) for way in unknowns.directions.T]).reshape(-1, 3)

    def error(slope: Floats) -> float:
        square = float(slope @ surface @ slope)
        return math.sqrt(max(square, 0.0))

    return {
        "volume_um3": error(volume),
        "area_um2": error(area),
        "sphericity": error(round_),
        "psf_fwhm_um": np.sqrt(
            np.maximum(np.einsum("ka,kl,la->a", widths, covariance[start:end, start:end], widths), 0.0)
        ),
        "surface_um": np.sqrt(unknowns.surface_variances(covariance)),
        "gain": scale * math.sqrt(max(float(covariance[-2, -2]), 0.0)),
    }


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
