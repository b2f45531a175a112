"""Smooth differences of brightness inside bodies: polynomials of second order over their voxels, behind the optics."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from ..._typing import Array, Bools, Floats
from ...image.volume import Grid
from ...masks import mesh_to_mask
from .model import JointModel

__all__ = ["Texture", "estimate_texture", "texture_fields"]

ORDER = 2
LEAST_VOXELS = 30
"""Voxels of a body below which its brightness is taken for even: there are nine polynomials."""
START_SPREAD = 0.3
"""Standard deviation of a coefficient, over the body's brightness, before it is estimated."""
SWEEPS = 3
"""Times that the bodies are gone through, each with the others held."""


@dataclasses.dataclass(frozen=True, eq=False)
class Texture:
    """Uneven brightness inside bodies.

    Attributes
    ----------
    light : (z, y, x) float
        What it adds to the image, of both signs.
    spread : float
        Standard deviation of the coefficients over the body's brightness, estimated from all bodies (empirical Bayes).
    amplitudes : (n_bodies,) float64
        Root mean square of each body's unevenness over its brightness; 0 for bodies without an inside.
    """

    light: Array
    spread: float
    amplitudes: Floats


def texture_fields(inside: Bools, grid: Grid, order: int = ORDER) -> Floats:
    """Return polynomials of position on the voxels of a body, orthonormal there, and 0 outside.

    Parameters
    ----------
    inside : (z, y, x) bool
        Voxels of the body.
    grid : Grid
        Their grid.
    order : int
        Highest total degree; 2 gives nine polynomials. The constant one is left out.

    Returns
    -------
    (n, z, y, x) float64
        Each with mean 0 and mean square 1 over the body. None for a body below LEAST_VOXELS; fewer where the voxels do
        not tell them apart.
    """
    where = np.argwhere(inside) * np.asarray(grid.spacing)
    if len(where) < LEAST_VOXELS:
        return np.zeros((0, *inside.shape))
    at = (where - where.mean(axis=0)) / max(float(where.std(axis=0).max()), 1e-12)
    powers = sorted((p for p in itertools.product(range(order + 1), repeat=3) if sum(p) <= order), key=sum)
    columns = np.stack([np.prod(at ** np.array(p), axis=1) for p in powers], axis=1)
    basis, triangle = np.linalg.qr(columns)
    distinct = np.abs(np.diag(triangle)) > 1e-3 * np.linalg.norm(columns, axis=0)
    chosen = basis[:, 1:][:, distinct[1:]] * np.sqrt(len(where))
    fields = np.zeros((chosen.shape[1], *inside.shape))
    fields[:, inside] = chosen.T
    return fields


def estimate_texture(
    model: JointModel, bodies: Sequence[object], observed: Array, spread: float | None = None
) -> Texture:
    """Estimate the uneven brightness inside bodies from what even ones leave unexplained.

    The coefficients of the polynomials have a normal prior around 0, whose standard deviation is estimated with them
    (one step of expectation maximisation). The shapes are held.

    Parameters
    ----------
    model : JointModel
        Views of the bodies, and the weights of the voxels.
    bodies : sequence of bodies
        One for each view; only those with a jump have a texture.
    observed : (z, y, x) float
        The image with all textures in it.
    spread : float, optional
        Present estimate of the standard deviation; START_SPREAD by default.

    Returns
    -------
    Texture
        Light, spread and amplitudes.
    """
    spread = START_SPREAD if spread is None else spread
    even = JointModel(observed, model.weights, model.views).loss(bodies, gradients=False)
    gains = np.array([even.brightness.gains[own[-1]] for own in even.parts])
    columns = [_columns(view, body) for view, body in zip(model.views, bodies)]
    rest = observed - even.brightness.model
    light = [np.zeros(0 if c is None else c[0].shape, dtype=observed.dtype) for c in columns]
    found: list[tuple[Floats, Floats]] = []
    for _ in range(SWEEPS):
        found = []
        noise = float((model.weights * rest**2).sum() / model.total)
        for j, (view, own) in enumerate(zip(model.views, columns)):
            if own is None or gains[j] <= 0:
                continue
            target = rest[view.image] + gains[j] * own[0] + light[j]
            weights = model.weights[view.image]
            gain, coefficients, variances = _solve(own, target, weights, noise, spread * gains[j])
            added = np.tensordot(coefficients, own[1:], 1).astype(observed.dtype)
            rest[view.image] -= (gain - gains[j]) * own[0] + added - light[j]
            gains[j], light[j] = gain, added
            found.append((coefficients / max(gain, 1e-12), variances / max(gain, 1e-12) ** 2))
    total = np.zeros_like(observed)
    amplitudes = np.zeros(len(columns))
    for j, (view, own) in enumerate(zip(model.views, columns)):
        if own is not None:
            total[view.image] += light[j]
    for j, (coefficients, _) in zip([j for j, c in enumerate(columns) if c is not None and gains[j] > 0], found):
        amplitudes[j] = float(np.linalg.norm(coefficients))
    squares = [float((c**2 + v).mean()) for c, v in found if len(c)]
    return Texture(total, float(np.sqrt(np.mean(squares))) if squares else spread, amplitudes)


def _columns(view: object, body: object) -> Array | None:
    """Return a body's image and those of its polynomials in its view, (1 + n, z, y, x); None without an inside."""
    jump = getattr(body, "jump", None)
    if jump is None or not np.any(jump):
        return None
    renderer = view.renderer  # type: ignore[attr-defined]
    fields = texture_fields(np.asarray(mesh_to_mask(body, renderer.band.grid)), renderer.band.grid)  # type: ignore[arg-type]
    if len(fields) == 0:
        return None
    level = float(np.abs(jump).max())
    dark = body.with_density(0.0)  # type: ignore[attr-defined]
    images = [renderer.render(dark), *(level * renderer.blur(f.astype(body.vertices.dtype)) for f in fields)]  # type: ignore[attr-defined]
    return np.stack([view.visible(image) for image in images])  # type: ignore[attr-defined]


def _solve(own: Array, target: Array, weights: Array, noise: float, spread: float) -> tuple[float, Floats, Floats]:
    """Return gain, coefficients and their variances of one body by regularised least squares on its view."""
    flat = own.reshape(len(own), -1).astype(np.float64)
    weighted = flat * weights.ravel()
    normal = weighted @ flat.T
    inner = np.arange(1, len(own))
    normal[inner, inner] += noise / max(spread, 1e-6) ** 2
    inverse = np.linalg.pinv(normal)
    found = inverse @ (weighted @ target.ravel())
    return max(float(found[0]), 0.0), found[1:], noise * np.diag(inverse)[1:]
