"""Draw docs/images/digits.png: the error of the triangle's transform against the spread of its phases.

    python docs/make_digits.py

Ours, and the textbook's quotients of differences that take phases closer than ε for equal, at the ε that suits each
precision best (the cube root of its rounding). Truth: 50-digit arithmetic.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from oracles import triangle as oracle

from cytoform.kernels.mesh_ft_cpu import FORMULAS

SPREADS = np.geomspace(1e-8, 1e4, 49)
SHAPES = 12


def with_a_switch(points: list, real: type, epsilon: float) -> complex:
    """f[points] of f(x) = exp(-i x) by the table of quotients, points closer than ε taken for equal."""
    kind = np.result_type(real, np.complex64).type
    xs = sorted(points)
    column = [kind(np.exp(-1j * kind(x))) for x in xs]
    first = list(column)
    for order in range(1, len(xs)):
        fresh = []
        for i in range(len(xs) - order):
            gap = real(xs[i + order] - xs[i])
            if gap < epsilon:
                fresh.append(kind((-1j) ** order * first[i] / math.factorial(order)))
            else:
                fresh.append(kind((column[i + 1] - column[i]) / gap))
        column = fresh
    return complex(column[0])


def errors(real: type) -> tuple[np.ndarray, np.ndarray]:
    """ε, and median errors (ours and with a switch; value and gradient; spreads) relative to what each can be."""
    epsilon = float(np.finfo(real).eps) ** (1.0 / 3.0)
    rng = np.random.default_rng(0)
    found = np.zeros((2, 2, len(SPREADS), SHAPES))
    for s, spread in enumerate(SPREADS):
        for k in range(SHAPES):
            x = np.sort(np.concatenate([[0.0, 1.0], rng.uniform(size=1)]))[rng.permutation(3)] * spread
            p, q = (real(v) for v in (x - x.mean())[:2])
            r = real(-(p + q))
            exact = [float(p), float(q), float(r)]
            value, slope = oracle.value(*exact), oracle.gradient(*exact)[0]
            ours = FORMULAS[real].gradient(p, q, r)
            switched = -with_a_switch([p, q, r], real, epsilon), -with_a_switch([p, q, r, p], real, epsilon)
            for m, (a, b) in enumerate(((complex(*ours[:2]), complex(*ours[2:4])), switched)):
                # relative to the largest that each can be
                found[m, :, s, k] = 2.0 * abs(a - value), 6.0 * abs(b - slope)
    return epsilon, np.median(found, axis=3)


def main() -> None:
    figure, panels = plt.subplots(1, 2, figsize=(10, 4.2), sharey=True, constrained_layout=True)
    for panel, real in zip(panels, (np.float32, np.float64)):
        epsilon, found = errors(real)
        rounding = float(np.finfo(real).eps)
        floor = rounding / 50  # of what is drawn: an error of nothing has no logarithm
        for m, (label, colour) in enumerate((("cytoform", "#1b6ca8"), ("switch at ε", "#c4501b"))):
            for quantity, (name, style) in enumerate((("value", "-"), ("gradient", "--"))):
                panel.loglog(
                    SPREADS, np.maximum(found[m, quantity], floor), style, color=colour, label=f"{label}, {name}"
                )
        panel.axhline(rounding, color="0.6", linewidth=0.8)
        panel.text(SPREADS[0], rounding * 1.3, "rounding", color="0.4", fontsize=8)
        panel.set_title(f"{np.dtype(real).name} (ε = {epsilon:.0e})")
        panel.set_xlabel("phase spread of the triangle, radians")
        panel.grid(True, which="major", color="0.92")
    panels[0].set_ylabel("median error, relative to the largest value")
    panels[1].legend(frameon=False)
    figure.savefig(Path(__file__).parent / "images" / "digits.png", dpi=120)


if __name__ == "__main__":
    main()
