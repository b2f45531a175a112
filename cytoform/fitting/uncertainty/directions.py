"""Directions of a PSF's parameters in which a fit moves it."""

from __future__ import annotations

import numpy as np

from ..._typing import Floats
from ..config import FitConfig
from ..psf_step import fits_psf
from ..state import State

__all__ = ["fitted_psf_directions"]


def fitted_psf_directions(state: State, config: FitConfig) -> Floats:
    """Return orthonormal directions of the PSF's parameters that were fitted, (n_parameters, k); k is 0 if none were.

    With ``psf_shape="axial"`` they span the changes that keep the PSF rotationally symmetric about z, else all.
    """
    n = len(state.psf.parameters)
    if not fits_psf(state, config):
        return np.zeros((n, 0))
    directions = np.eye(n)
    if config.psf_shape == "axial":
        directions = np.array([state.psf.axial(direction) for direction in directions]).T
    vectors, sizes, _ = np.linalg.svd(directions)
    found: Floats = vectors[:, : len(sizes)][:, sizes > 1e-6 * sizes.max()]
    return found
