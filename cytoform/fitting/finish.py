"""The end of a fit: the model of the whole image, standard errors, and the result."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from scipy.sparse.linalg import ArpackError

from .._typing import Array, Bools, Floats
from ..errors import FitError
from ..image.volume import Volume
from .bodies import Body
from .config import FitConfig
from .problem import Problem
from .psf_step import fits_psf
from .result import FitResult
from .stage import smoothness_prior, staining_prior
from .state import State
from .uncertainty import Uncertainty, uncertainty_of

__all__ = ["finish"]

_LOG = logging.getLogger(__name__)


def finish(state: State, body: Body[Any], config: FitConfig, image: Volume) -> FitResult:
    """Make the result of a fit that has ended.

    Parameters
    ----------
    state : State
    body : Body
    config : FitConfig
    image : Volume
        As the user gave it.
    """
    scope, seen = state.scope, body.scene.volume
    problem = Problem(seen, scope.region, scope.padding, config)
    emission_mask = body.emission_mask(state.mesh, scope.neighbours) if scope.neighbours.any() else None
    final = problem.final_model(state.mesh.astype(config.dtype), state.psf, emission_mask)
    sure = (
        _uncertainty(problem, state, config, body, emission_mask) if config.uncertainty and not body.branching else None
    )
    light = None if final.light is None else _on(seen, final.light)
    return FitResult(
        mesh=state.mesh,
        psf=state.psf,
        gain=final.gain,
        background=final.background,
        history=state.columns(),
        stop_reason=state.stop_reason,
        iterations=state.count.iteration,
        evaluations=state.count.evaluations,
        seconds=state.count.seconds,
        config=config,
        model=_on(seen, final.cell),
        surroundings=light,
        image=image,
        roi=scope.region,
        start=state.start,
        uncertainty=sure,
        remarks=state.remarks,
        measured=body.scene.measured,
        inputs=state.inputs,
    )


def _on(volume: Volume, data: Array) -> Volume:
    """An image on the grid of another one."""
    return Volume(data, volume.spacing, volume.origin, volume.name)


def _uncertainty(
    problem: Problem, state: State, config: FitConfig, body: Body[Any], emission_mask: Bools | None
) -> Uncertainty | None:
    """Standard errors, or None where the image says too little."""
    at, last_pause = (mesh.astype(config.dtype) for mesh in (state.mesh, state.last_pause.mesh))
    found = problem.freeze(at, state.psf, emission_mask=emission_mask, weigh_at=last_pause).image_fit
    staining, smoothness = staining_prior(state, config, body), smoothness_prior(state, config, body, -1)
    try:
        return uncertainty_of(
            problem, state.mesh, state.psf,
            stain=None if staining is None else state.stain,
            smoothness=None if smoothness is None else (state.estimates.prior_factor * smoothness[0], smoothness[1]),
            staining=staining, psf_directions=_free_directions(state, config),
            measures=body.measures(state.mesh), found=found,
        )  # fmt: skip
    except (FitError, MemoryError, ValueError, np.linalg.LinAlgError, ArpackError) as error:
        _LOG.warning("no standard errors: %s", error)
        return None


def _free_directions(state: State, config: FitConfig) -> Floats | None:
    """Orthonormal directions in which the PSF was fitted, (n_parameters, k); None where it was held."""
    if not fits_psf(state, config):
        return None
    ways = np.eye(len(state.psf.parameters))
    ways = np.array([state.psf.axial(way) for way in ways]).T if config.psf_shape == "axial" else ways
    vectors, sizes, _ = np.linalg.svd(ways)
    return vectors[:, sizes > 1e-6 * sizes.max()]
