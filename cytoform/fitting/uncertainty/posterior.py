"""The posterior distribution of a fit's unknowns near its optimum, as a normal distribution."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from ..._typing import Floats
from ...errors import FitError
from ..constants import LEAST_FREE_SHARE
from ..priors.field import StainingPrior
from ..priors.smoothness import Smoothness
from .normal_matrix import ImageInformation, Unknowns

__all__ = ["Posterior", "covariance_of", "misfit_aware", "posterior_at", "posterior_of", "prior_precision", "widened"]


@dataclasses.dataclass(frozen=True, eq=False)
class Posterior:
    """Covariances of the unknowns, in the order of :class:`.Unknowns`.

    Parameters
    ----------
    noise_only : (n, n) float64
        (Jᵀ J / σ² + Q)⁻¹, with J the derivatives of the modelled image, σ² the variance of white noise, and Q the
        second derivatives of the priors: right if the model is.
    misfit_aware : (n, n) float64
        (Jᵀ J / σ² + Q)⁻¹ (Jᵀ Σ J / σ⁴ + Q) (Jᵀ J / σ² + Q)⁻¹, with Σ the covariance of what is left unexplained (a
        sandwich estimate). Ref: White, Econometrica 50 (1982), 1.
    scatter : (n, n) float64
        Covariance of the estimates in repeated images, which the priors make smaller than `noise_only`.
    variance : float
        σ², in the squared unit of the scaled image.
    freedom : float
        Degrees of freedom that the unknowns take from the data.
    """

    noise_only: Floats
    misfit_aware: Floats
    scatter: Floats
    variance: float
    freedom: float


def prior_precision(
    unknowns: Unknowns, smoothness: tuple[float, Smoothness] | None, staining: StainingPrior | None
) -> Floats:
    """Return the second derivatives Q of the priors for the unknowns of position and staining, (n_surface, n_surface).

    Parameters
    ----------
    unknowns : Unknowns
        The unknowns.
    smoothness : (float, Smoothness), optional
        Weight and energy of the smoothness prior.
    staining : StainingPrior, optional
        Prior of the staining.
    """
    n = unknowns.modes.shape[1]
    precision = np.zeros((unknowns.n_surface,) * 2)
    if smoothness is not None:
        precision[:n, :n] = smoothness[0] * smoothness[1].second(unknowns.modes, unknowns.normals)
    if staining is not None and unknowns.stain is not None:
        precision[n:, n:] = staining.second(unknowns.modes)
    return precision


def posterior_at(image: ImageInformation, precision: Floats, variance: float) -> Posterior:
    """Compute the posterior for a known variance of the noise.

    Parameters
    ----------
    image : ImageInformation
        What the image says of the unknowns.
    precision : (n_surface, n_surface) float
        Second derivatives of the priors (:func:`prior_precision`).
    variance : float
        Variance of white noise, in the squared unit of the scaled image.

    Raises
    ------
    FitError
        If the image does not determine the unknowns (the matrix is singular).
    """
    information, prior = image.information / variance, widened(precision, image)
    covariance, used = covariance_of(information, prior)
    aware = misfit_aware(image, covariance, prior, variance, used)
    return Posterior(covariance, 0.5 * (aware + aware.T), covariance @ information @ covariance, variance, used)


def misfit_aware(image: ImageInformation, covariance: Floats, prior: Floats, variance: float, used: float) -> Floats:
    """Return the sandwich estimate of the covariance (:attr:`Posterior.misfit_aware`), (n, n), symmetric to rounding.

    Parameters
    ----------
    image : ImageInformation
        What the image says of the unknowns.
    covariance : (n, n) float
        Covariance for white noise.
    prior : (n, n) float
        Second derivatives of the priors (:func:`widened`).
    variance : float
        Variance of white noise, in the squared unit of the scaled image.
    used : float
        Degrees of freedom that the unknowns take from the data.
    """
    scores = image.scatter(min(used / image.residual.degrees_of_freedom, 1.0)) / variance**2
    found: Floats = covariance @ (scores + prior) @ covariance
    return found


def posterior_of(image: ImageInformation, precision: Floats) -> Posterior:
    """Compute the posterior with the variance of the noise that follows from the residual.

    A fit takes 2 tr S - tr S² degrees of freedom, S = Jᵀ J / σ² (Jᵀ J / σ² + Q)⁻¹. As S depends on σ², both are
    iterated. Arguments and errors are those of :func:`posterior_at`.
    """
    residual = image.residual
    variance, prior = residual.mean_square, widened(precision, image)
    for _ in range(4):
        used = covariance_of(image.information / variance, prior)[1]
        variance = residual.mean_square / max(1.0 - used / residual.degrees_of_freedom, LEAST_FREE_SHARE)
    return posterior_at(image, precision, variance)


def widened(precision: Floats, image: ImageInformation) -> Floats:
    """Return second derivatives of the priors for all unknowns, (n, n): those of the optics have no prior."""
    prior = np.zeros_like(image.information)
    prior[: len(precision), : len(precision)] = precision
    return prior


def covariance_of(information: Floats, prior: Floats) -> tuple[Floats, float]:
    """Return (information + prior)⁻¹ and the degrees of freedom that the unknowns take; FitError if it is singular."""
    try:
        factor = cho_factor(information + prior, lower=True)
    except np.linalg.LinAlgError as error:
        raise FitError("the image does not determine the surface well enough for standard errors.") from error
    covariance = cho_solve(factor, np.eye(len(prior)))
    share = covariance @ information
    return covariance, float(2.0 * np.trace(share) - (share * share.T).sum())
