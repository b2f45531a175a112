"""What is stained: the surface of a body, or its inside; and which of the two explains an image better."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ..errors import CytoformError
from ..loss import best_affine
from ..mesh.protocol import Mesh
from .constants import LEAST_EXPLAINED, START_FILLING, TRIAL_STEPS
from .loop import FitContext, run_stages
from .problem import Problem, padding_for

if TYPE_CHECKING:
    from .bodies.base import Body
    from .request import Request
    from .state import State

__all__ = ["choose_stain", "stained"]

MeshT = TypeVar("MeshT", bound=Mesh)


def stained(mesh: MeshT, stain: str) -> MeshT:
    """Return a mesh whose surface is stained, or whose inside is.

    Parameters
    ----------
    mesh : Mesh
        A surface.
    stain : "membrane", "filled" or "both"
        For "membrane" its density stays and its inside is dark; for "filled" its brightness inside is 1 per µm³, and
        its surface is not stained; for "both" its density stays and its inside is a tenth as bright per µm as that.

    Returns
    -------
    Mesh
        Of the same kind and shape.
    """
    if stain == "filled":
        return mesh.with_density(0.0).with_jump(1.0)
    if stain == "both":
        return mesh.with_jump(START_FILLING * float(mesh.density.mean()))
    return mesh if mesh.jump is None else mesh.with_jump(None)


def choose_stain(request: Request, make_body: Callable[[Request], Body[Any]]) -> tuple[str, str]:
    """Choose what is stained: of a membrane and a filled body the one that explains the image better.

    Each is fitted for TRIAL_STEPS steps. Their Gaussian likelihoods, with noise of any variance, are compared on all
    voxels that either region of interest has. If neither explains LEAST_EXPLAINED of the variance there, it is a
    membrane.

    Parameters
    ----------
    request : Request
        The inputs of a fit.
    make_body : callable
        Makes the body of a request.

    Returns
    -------
    stain : "membrane" or "filled"
        The better one.
    reason : str
        The choice and its reason, for the user.
    """
    found: dict[str, tuple[Body[Any], State]] = {}
    failure: CytoformError | None = None
    for stain in ("membrane", "filled"):
        config = dataclasses.replace(
            request.config, stain=stain, iterations=min(TRIAL_STEPS, request.config.iterations)
        )
        trial = dataclasses.replace(request, config=config)
        try:
            body = make_body(trial)
            state = body.begin(trial)
            run_stages(state, FitContext(body, config, request.prior))
        except CytoformError as error:
            failure = error
            continue
        found[stain] = body, state
    if not found:
        raise failure  # type: ignore[misc]
    if len(found) == 1:
        (stain,) = found
        return stain, f"{stain}, as no other start was found"
    shares = _explained(found, request)
    stain, other = sorted(shares, key=lambda name: -shares[name])
    if shares[stain] < LEAST_EXPLAINED:
        return "membrane", (
            f"membrane, as neither a membrane ({shares['membrane']:.1%} of the image around the cell) nor a filled "
            f"body ({shares['filled']:.1%}) explains the image; say which with --stain"
        )
    return stain, f"{stain}: explains {shares[stain]:.1%} of the image around the cell, {other} {shares[other]:.1%}"


def _explained(found: dict[str, tuple[Body[Any], State]], request: Request) -> dict[str, float]:
    """Return the share of the image's variance that each fit explains on the voxels of all their regions.

    The light of neighbours is left out: voxels of either fit's neighbours do not count.
    """
    states = [state for _, state in found.values()]
    region = np.logical_or.reduce([state.masks.region for state in states])
    clear = ~np.logical_or.reduce([state.masks.neighbours for state in states])
    region = region & clear if (region & clear).any() else region
    shares = {}
    for stain, (body, state) in found.items():
        config = dataclasses.replace(request.config, stain=stain)
        mesh = state.mesh.astype(config.dtype)
        problem = Problem(
            body.scene.volume, region, padding_for(mesh.vertices, state.psf, region, body.scene.grid), config
        )
        rendered = problem.image_fit(mesh, state.psf).rendered[problem.region]
        observed = problem.scaled_image()[problem.region]
        gain, background = best_affine(rendered, observed)
        shares[stain] = 1.0 - float(np.var(observed - gain * rendered - background) / np.var(observed))
    return shares
