"""The end of a fit: render the whole image, compute standard errors, and make the result."""

from __future__ import annotations

import dataclasses
import logging
import time
from typing import Any

import numpy as np
from scipy.sparse.linalg import ArpackError

from .._typing import Array, Bools
from ..errors import FitError
from ..image.volume import Volume
from .bodies import Body
from .config import FitConfig
from .final_model import final_model
from .problem import Problem
from .request import is_searched
from .result import FitResult
from .stage import smoothness_prior, staining_prior
from .state import State
from .uncertainty import Uncertainty, estimate_uncertainty
from .uncertainty.directions import fitted_psf_directions

__all__ = ["finish", "with_light_added"]

_LOG = logging.getLogger(__name__)


def finish(state: State, body: Body[Any], config: FitConfig, image: Volume) -> FitResult:
    """Make the result of a fit that has ended.

    The last surface and PSF are rendered on the whole image, gain, background and the light of neighbours are estimated
    there, and, if the settings say so and the mesh does not branch, standard errors are computed.

    Parameters
    ----------
    state : State
        The fit's last state.
    body : Body
        The kind of mesh, in its image.
    config : FitConfig
        Settings of the fit.
    image : Volume
        The image as the user gave it (that of `body` has its filled voxels replaced).
    """
    begin, masks, volume = time.perf_counter(), state.masks, body.scene.volume
    problem = Problem(volume, masks.region, masks.padding, config)
    emission_mask = body.emission_mask(state.mesh, masks.neighbours) if masks.neighbours.any() else None
    final = final_model(problem, state.mesh.astype(config.dtype), state.psf, emission_mask)
    uncertainty = (
        _estimate_uncertainty(problem, state, config, body, emission_mask)
        if config.uncertainty and not body.branching
        else None
    )
    light = None if final.light is None else _volume_like(volume, final.light)
    return FitResult(
        mesh=state.mesh,
        psf=state.psf,
        gain=final.gain,
        background=final.background,
        history=state.columns(),
        stop_reason=state.stop_reason,
        iterations=state.count.iteration,
        evaluations=state.count.evaluations,
        seconds=state.count.seconds + time.perf_counter() - begin,
        config=config,
        model=_volume_like(volume, final.cell),
        surroundings=light,
        image=image,
        roi=masks.region,
        start=state.start,
        uncertainty=uncertainty,
        remarks=state.remarks,
        measured=body.scene.measured,
        inputs=state.inputs,
        touching_cells=body.scene.cell_count.touching if is_searched(state.inputs) else 0,
    )


def with_light_added(result: FitResult, light: Array | None) -> FitResult:
    """Return a result with more light of the surroundings, (z, y, x), which had been taken from the image before.

    None stands for no such light.
    """
    if light is None:
        return result
    total = light if result.surroundings is None else result.surroundings.data + light
    return dataclasses.replace(result, surroundings=_volume_like(result.model, total))


def _volume_like(volume: Volume, data: Array) -> Volume:
    """Return an array, (z, y, x), as a Volume with the spacing, origin and name of another one."""
    return Volume(data, volume.spacing, volume.origin, volume.name)


def _estimate_uncertainty(
    problem: Problem, state: State, config: FitConfig, body: Body[Any], emission_mask: Bools | None
) -> Uncertainty | None:
    """Return standard errors at the state's mesh, or None, with a logged warning, if they cannot be computed.

    Parameters
    ----------
    problem : Problem
        The image on the last region of interest; its weights and its light of neighbours are updated.
    state : State
        The fit's last state.
    config : FitConfig
        Settings of the fit.
    body : Body
        The kind of mesh, in its image.
    emission_mask : (z, y, x) bool, optional
        Voxels that light of neighbours may come from; None if none is modelled.
    """
    mesh, last_pause = (mesh.astype(config.dtype) for mesh in (state.mesh, state.last_pause.mesh))
    image_fit = problem.update_at_pause(mesh, state.psf, emission_mask=emission_mask, reweight_at=last_pause).image_fit
    staining, smoothness = staining_prior(state, config, body), smoothness_prior(state, config, body, -1)
    try:
        return estimate_uncertainty(
            problem, state.mesh, state.psf,
            stain=None if staining is None else state.stain,
            smoothness=None if smoothness is None else (state.estimates.folding_factor * smoothness[0], smoothness[1]),
            staining=staining, psf_directions=fitted_psf_directions(state, config),
            measures=type(body).measures(state.mesh), image_fit=image_fit,
        )  # fmt: skip
    except (FitError, MemoryError, ValueError, np.linalg.LinAlgError, ArpackError) as error:
        _LOG.warning("no standard errors: %s", error)
        return None
