"""Random pairs of a triangle and a frequency over all regimes, and their transforms in 50-digit arithmetic."""

from __future__ import annotations

import dataclasses

import mpmath
import numpy as np

import cytoform as cf
from cytoform.fourier import MeshTransform
from cytoform.image.band import Band

from . import triangle

KINDS = ("any", "needle", "right angle", "flat", "thin", "line", "point")


@dataclasses.dataclass(frozen=True)
class Pair:
    """Corners (3, 3) rounded to a precision, the frequency (3,), and what sort of triangle it is."""

    kind: str
    corners: np.ndarray
    frequency: np.ndarray


def draw(rng: np.random.Generator, frequency: np.ndarray, dtype) -> Pair:
    """A triangle for a frequency: sizes and distances from the origin give phases from 1e-12 to 1e4.

    needle: two corners close together; right angle: an edge at right angles to the frequency; flat: all of them; thin:
    nearly on a line; line and point: no area at all.
    """
    kind = KINDS[rng.integers(len(KINDS))]
    size = 10.0 ** rng.uniform(-12, 4)
    corners = rng.normal(size=(3, 3))
    length = np.linalg.norm(frequency)
    along = frequency / length if length > 0 else np.array([1.0, 0.0, 0.0])
    small = 10.0 ** rng.uniform(-12, 0)
    if kind == "needle":
        corners[1] = corners[0] + small * rng.normal(size=3)
    elif kind == "right angle":
        corners[1] -= (corners[1] - corners[0]) @ along * along
    elif kind == "flat":
        corners -= np.outer(corners @ along, along)
    elif kind == "thin":
        corners[2] = corners[0] + rng.uniform() * (corners[1] - corners[0]) + small * rng.normal(size=3)
    elif kind == "line":  # exact in floating point too
        corners[1] = 2.0 ** rng.integers(-3, 3) * (corners[0] * 0 + np.round(8 * corners[1]) / 8)
        corners[2] = -corners[1]
        corners[0] = 0.0
    elif kind == "point":
        corners[:] = corners[0]
    corners *= size / (length if length > 0 else 1.0)
    if kind != "line" and rng.uniform() < 0.7:
        corners += 10.0 ** rng.uniform(-12, 4) / max(length, 1.0) * rng.normal(size=3)
    return Pair(kind, corners.astype(dtype), frequency)


def exact(pair: Pair) -> tuple[complex, np.ndarray, float, float, float]:
    """Value; d/d(corners) (3, 3) complex; area, longest edge, and Σ over axes of the largest |corner · frequency|.

    Without an area the area's part of the gradient is 0 (it has none), so that all of it is.
    """
    with mpmath.workdps(triangle.DIGITS):
        v = [[mpmath.mpf(float(c)) for c in row] for row in pair.corners]
        xi = [mpmath.mpf(float(c)) for c in pair.frequency]
        phases = [mpmath.fsum(a * b for a, b in zip(row, xi)) for row in v]
        edges = [[v[(i + 2) % 3][d] - v[(i + 1) % 3][d] for d in range(3)] for i in range(3)]  # opposite to corner i
        normal = _cross(edges[2], edges[0])
        doubled = mpmath.sqrt(mpmath.fsum(c * c for c in normal))
        longest = max(mpmath.sqrt(mpmath.fsum(c * c for c in e)) for e in edges)
        reach = sum(max(abs(v[i][d] * xi[d]) for i in range(3)) for d in range(3))
        gradient = np.zeros((3, 3), dtype=complex)
        if doubled == 0:
            return 0j, gradient, 0.0, float(longest), float(reach)
        value = triangle.value_exact(phases)
        slopes = triangle.gradient_exact(phases)
        for i in range(3):
            turned = _cross(normal, edges[i])  # ∂(2 A)/∂corner = normal × opposite edge / 2 A
            for d in range(3):
                gradient[i, d] = complex(doubled * slopes[i] * xi[d] + value * turned[d] / doubled)
        return complex(doubled * value), gradient, float(doubled / 2), float(longest), float(reach)


def _cross(a, b):
    return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]


def bars(area: float, longest: float, reach: float, frequency: np.ndarray, dtype) -> tuple[float, float | None]:
    """Errors allowed, in units of a quarter: ε (A + ε ℓ²)(1 + s); and ε (A |ξ| + ℓ)(1 + s) where A ≥ √ε ℓ²."""
    eps = float(np.finfo(dtype).eps)
    value = eps * (area + eps * longest**2) * (1.0 + reach)
    well_shaped = area >= eps**0.5 * longest**2 and area > 0
    return value, eps * (area * float(np.linalg.norm(frequency)) + longest) * (1.0 + reach) if well_shaped else None


GRID = cf.Grid((7, 9, 11), (0.3, 0.2, 0.25))


def transforms() -> list[MeshTransform]:
    """One for each mode of a small grid."""
    full = Band.symmetric(GRID)
    found = []
    for k in range(full.size):
        mask = np.zeros(full.shape, dtype=bool)
        mask.ravel()[k] = True
        found.append(MeshTransform(full.where(mask), "exact", "cpu"))
    return found


def measure(transform: MeshTransform, pair: Pair) -> tuple[complex, np.ndarray]:
    """Value and d/d(corners), (3, 3) complex, by the public names' own path."""
    band = transform.band
    mesh = cf.SurfaceMesh(pair.corners, [[0, 1, 2]], density=[1.0])
    value = complex(transform.forward(mesh).ravel()[band.index[0]])
    twice = float(np.broadcast_to(band.weights, band.shape).ravel()[band.index[0]])
    parts = []
    for unit in (1.0, 1.0j):
        box = band.scatter(np.array([unit / twice]))
        parts.append(np.asarray(transform.vjp(mesh, box).vertices, dtype=np.float64))
    return value, parts[0] + 1j * parts[1]


def errors(count: int, dtype: type, seed: int = 0) -> dict[str, tuple[int, float, float]]:
    """For each kind of triangle: pairs, and the largest errors of value and gradient in units of the bar's ε."""
    rng = np.random.default_rng(seed)
    modes = transforms()
    worst = {kind: [0, 0.0, 0.0] for kind in KINDS}
    for _ in range(count):
        transform = modes[rng.integers(len(modes))]
        pair = draw(rng, transform.band.frequencies[0], dtype)
        value, gradient = measure(transform, pair)
        wanted, slopes, area, longest, reach = exact(pair)
        value_unit, gradient_unit = bars(area, longest, reach, pair.frequency, dtype)
        found = worst[pair.kind]
        found[0] += 1
        if not np.isfinite(value):
            found[1] = np.inf
        elif value_unit > 0:
            found[1] = max(found[1], abs(value - wanted) / value_unit)
        elif value != wanted:
            found[1] = np.inf
        if not np.isfinite(gradient).all() or (area == 0 and gradient.any()):
            found[2] = np.inf
        elif gradient_unit is not None:
            found[2] = max(found[2], float(np.abs(gradient - slopes).max()) / gradient_unit)
    return {kind: (n, v, g) for kind, (n, v, g) in worst.items()}
