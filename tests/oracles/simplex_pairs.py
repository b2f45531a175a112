"""Random pairs of a point, segment or tetrahedron and a frequency over all regimes, in 50-digit arithmetic."""

from __future__ import annotations

import itertools

import mpmath
import numpy as np

import cytoform as cf

from . import simplices
from .pairs import transforms

ORDERS = {"points": 0, "filaments": 1, "tetrahedra": 3}
SHAPES = {
    "points": ("any",),
    "filaments": ("any", "right angle", "short", "point"),
    "tetrahedra": ("any", "needle", "right angle", "flat", "thin", "plane", "point"),
}


def draw(rng: np.random.Generator, kind: str, frequency: np.ndarray, dtype) -> tuple[str, np.ndarray]:
    """The sort of a simplex and its corners: sizes and distances from the origin give phases from 1e-12 to 1e4.

    right angle: an edge at right angles to the frequency; flat: all of them; needle, short: two corners close together;
    thin: nearly in a plane; plane and point: no size at all.
    """
    shape = SHAPES[kind][rng.integers(len(SHAPES[kind]))]
    corners = rng.normal(size=(ORDERS[kind] + 1, 3))
    length = np.linalg.norm(frequency)
    along = frequency / length if length > 0 else np.array([1.0, 0.0, 0.0])
    small = 10.0 ** rng.uniform(-12, 0)
    if shape in ("needle", "short"):
        corners[1] = corners[0] + small * rng.normal(size=3)
    elif shape == "right angle":
        corners[1] -= (corners[1] - corners[0]) @ along * along
    elif shape == "flat":
        corners -= np.outer(corners @ along, along)
    elif shape == "thin":
        a, b = rng.uniform(size=2)
        corners[3] = corners[0] + a * (corners[1] - corners[0]) + b * (corners[2] - corners[0])
        corners[3] += small * rng.normal(size=3)
    elif shape == "plane":  # exact in floating point too
        corners = np.round(8 * corners) / 8
        corners[:, 2] = 0.0
    elif shape == "point":
        corners[:] = corners[0]
    size = 10.0 ** rng.uniform(-12, 4) / (length if length > 0 else 1.0)
    corners *= 2.0 ** np.round(np.log2(size)) if shape == "plane" else size
    if shape != "plane" and rng.uniform() < 0.7:
        corners += 10.0 ** rng.uniform(-12, 4) / max(length, 1.0) * rng.normal(size=3)
    return shape, corners.astype(dtype)


def _determinant(a, b, c):
    return a[0] * (b[1] * c[2] - b[2] * c[1]) - a[1] * (b[0] * c[2] - b[2] * c[0]) + a[2] * (b[0] * c[1] - b[1] * c[0])


def _times_factorial(v: list) -> tuple:
    """k! |σ| and its derivatives (k + 1, 3) for the corners v, in mpmath's numbers."""
    zero = [[mpmath.mpf(0)] * 3 for _ in v]
    if len(v) == 1:
        return mpmath.mpf(1), zero
    edges = [[a - b for a, b in zip(corner, v[0])] for corner in v[1:]]
    if len(v) == 2:
        size = mpmath.sqrt(mpmath.fsum(c * c for c in edges[0]))
        unit = [c / size for c in edges[0]] if size else zero[0]
        return size, [[-c for c in unit], unit]
    size = _determinant(*edges)
    sign = mpmath.sign(size)
    slopes = []
    for i in range(3):
        a, b = edges[(i + 1) % 3], edges[(i + 2) % 3]
        slopes.append([sign * (a[(d + 1) % 3] * b[(d + 2) % 3] - a[(d + 2) % 3] * b[(d + 1) % 3]) for d in range(3)])
    return abs(size), [[-mpmath.fsum(s[d] for s in slopes) for d in range(3)], *slopes]


def exact(corners: np.ndarray, frequency: np.ndarray) -> tuple[complex, np.ndarray, float, float, float]:
    """Value; d/d(corners) complex; size, longest edge, and Σ over axes of the largest |corner · frequency|.

    Without a size the gradient is 0 (it has none).
    """
    with mpmath.workdps(simplices.DIGITS):
        v = [[mpmath.mpf(float(c)) for c in row] for row in corners]
        xi = [mpmath.mpf(float(c)) for c in frequency]
        phases = [mpmath.fsum(a * b for a, b in zip(row, xi)) for row in v]
        size, slopes = _times_factorial(v)
        longest = max((mpmath.sqrt(mpmath.fsum((a - b) ** 2 for a, b in zip(p, q)))
                       for p, q in itertools.combinations(v, 2)), default=mpmath.mpf(0))  # fmt: skip
        reach = sum(max(abs(row[d] * xi[d]) for row in v) for d in range(3))
        gradient = np.zeros(corners.shape, dtype=complex)
        if size == 0:
            return 0j, gradient, 0.0, float(longest), float(reach)
        value, changes = simplices.value_exact(phases), simplices.gradient_exact(phases)
        for i, d in itertools.product(range(len(v)), range(3)):
            gradient[i, d] = complex(size * changes[i] * xi[d] + value * slopes[i][d])
        return complex(size * value), gradient, float(size / mpmath.factorial(len(v) - 1)), float(longest), float(reach)


def bars(order: int, size: float, longest: float, reach: float, frequency: np.ndarray, dtype):
    """Errors allowed, in units of a quarter: ε (|σ| + ε ℓ^k)(1 + s); ε (|σ| |ξ| + ℓ^(k-1))(1 + s) where |σ| ≥ √ε ℓ^k.

    The value may also err by the smallest number of the dtype: a small volume in float32 is not far from it.
    """
    eps = float(np.finfo(dtype).eps)
    value = eps * (size + (eps * longest**order if order else 0.0)) * (1.0 + reach)
    value += float(np.finfo(dtype).smallest_subnormal) if order else 0.0
    if not (size >= eps**0.5 * longest**order and size > 0):
        return value, None
    edge = longest ** (order - 1) if order else 0.0
    return value, eps * (size * float(np.linalg.norm(frequency)) + edge) * (1.0 + reach)


def measure(transform, kind: str, corners: np.ndarray) -> tuple[complex, np.ndarray]:
    """Value and d/d(corners), complex, by the public names' own path."""
    band = transform.band
    if kind == "points":
        thing = cf.PointSet(corners)
    else:
        rows = np.arange(len(corners))[None]
        thing = (cf.Filaments if kind == "filaments" else cf.TetrahedralMesh)(corners, rows)
    value = complex(transform.forward(thing).ravel()[band.index[0]])
    twice = float(np.broadcast_to(band.weights, band.shape).ravel()[band.index[0]])
    parts = [
        np.asarray(transform.vjp(thing, band.scatter(np.array([unit / twice]))).vertices, dtype=np.float64)
        for unit in (1.0, 1.0j)
    ]
    return value, parts[0] + 1j * parts[1]


def errors(kind: str, count: int, dtype: type, seed: int = 0) -> dict[str, tuple[int, float, float]]:
    """For each sort of simplex: pairs, and the largest errors of value and gradient in units of the bar's ε."""
    rng = np.random.default_rng(seed)
    modes = transforms()
    worst = {shape: [0, 0.0, 0.0] for shape in SHAPES[kind]}
    for _ in range(count):
        transform = modes[rng.integers(len(modes))]
        frequency = transform.band.frequencies[0]
        shape, corners = draw(rng, kind, frequency, dtype)
        value, gradient = measure(transform, kind, corners)
        wanted, slopes, size, longest, reach = exact(corners, frequency)
        value_unit, gradient_unit = bars(ORDERS[kind], size, longest, reach, frequency, dtype)
        found = worst[shape]
        found[0] += 1
        if not np.isfinite(value) or (value_unit == 0 and value != wanted):
            found[1] = np.inf
        elif value_unit > 0:
            found[1] = max(found[1], abs(value - wanted) / value_unit)
        if not np.isfinite(gradient).all() or (size == 0 and gradient.any()):
            found[2] = np.inf
        elif gradient_unit:
            found[2] = max(found[2], float(np.abs(gradient - slopes).max()) / gradient_unit)
    return {shape: (n, v, g) for shape, (n, v, g) in worst.items()}
