"""The model of the whole image at the end of a fit."""

from __future__ import annotations

import numpy as np

from .._typing import Bools
from ..loss import best_affine
from ..mesh import geometry
from ..mesh.protocol import Mesh
from ..optics import PSF
from .constants import PSF_CUTOFF
from .evaluations import FinalModel
from .neighbours import estimate_neighbour_light
from .problem import Problem

__all__ = ["final_model"]


def final_model(problem: Problem, mesh: Mesh, psf: PSF, emission_mask: Bools | None = None) -> FinalModel:
    """Render the whole image with all modes above PSF_CUTOFF, and estimate the light of neighbours on it.

    Gain and background are those that fit best in the region of interest, with equal weights.

    Parameters
    ----------
    mesh : Mesh
        In the working precision.
    psf : PSF
        Last PSF.
    emission_mask : (z, y, x) bool, optional
        Voxels that light of neighbours may come from; by default none is modelled.
    """
    grid, dtype = problem.volume.grid, problem.dtype
    padding = np.asarray(psf.reach()) + grid.overhang(geometry.used_points(mesh.vertices, mesh.faces))
    renderer = problem.renderer(psf, PSF_CUTOFF, grid.padded(tuple(padding)))
    spectrum = renderer.prepared(mesh, behind_optics=False).forward()
    rendered = renderer.image(spectrum)[tuple(slice(0, n) for n in grid.shape)]
    light, observed = None, problem.image
    if emission_mask is not None and emission_mask.any():
        weights = np.zeros(grid.shape, dtype=dtype)
        weights[problem.slices] = problem.region
        scaled = (observed - dtype.type(problem.offset)) / dtype.type(problem.scale)
        light = (problem.scale * estimate_neighbour_light(renderer, rendered, scaled, weights, emission_mask)).astype(
            np.float32
        )
        observed = observed - light
    gain, background = best_affine(rendered[problem.slices][problem.region], observed[problem.slices][problem.region])
    return FinalModel((gain * rendered + background).astype(np.float32), light, gain, background)
