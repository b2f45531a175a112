"""The transform of one triangle in 50-digit arithmetic, from divided differences of the confluent textbook kind."""

from __future__ import annotations

import mpmath

DIGITS = 50


def divided_difference(points: list[float]) -> mpmath.mpc:
    """f[x0, ..., xk] of f(x) = exp(-i x), equal points allowed (Hermite's table)."""
    xs = sorted(mpmath.mpf(p) for p in points)
    n = len(xs)

    def derivative(x, order):
        return (-1j) ** order * mpmath.exp(-1j * x) / mpmath.factorial(order)

    column = [derivative(x, 0) for x in xs]
    for order in range(1, n):
        column = [
            derivative(xs[i], order)
            if xs[i + order] == xs[i]
            else (column[i + 1] - column[i]) / (xs[i + order] - xs[i])
            for i in range(n - order)
        ]
    return column[0]


def _digits(points: tuple[float, ...]) -> int:
    """Divided differences of nearly equal points cancel like gap^-3: digits to spare for the smallest gap."""
    gaps = [abs(mpmath.mpf(x) - mpmath.mpf(y)) for x in points for y in points if x != y]
    return DIGITS + 20 + (4 * max(0, -int(mpmath.log10(min(gaps)))) if gaps else 0)


def value_exact(phases: list) -> mpmath.mpc:
    """G of three phases, which may have more digits than a float."""
    with mpmath.workdps(_digits(tuple(phases))):
        return -divided_difference(phases)


def gradient_exact(phases: list) -> list[mpmath.mpc]:
    """dG/da, dG/db, dG/dc of three phases, which may have more digits than a float."""
    with mpmath.workdps(_digits(tuple(phases))):
        return [-divided_difference([*phases, p]) for p in phases]


def value(a: float, b: float, c: float) -> complex:
    """G(a, b, c) = -f[a, b, c]."""
    return complex(value_exact([a, b, c]))


def gradient(a: float, b: float, c: float) -> tuple[complex, complex, complex]:
    """dG/da, dG/db, dG/dc."""
    return tuple(complex(slope) for slope in gradient_exact([a, b, c]))
