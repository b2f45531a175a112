"""Digits of the exact transform of points, filaments and tetrahedra: random pairs with a frequency against 50 digits.

    python benchmarks/simplex_digits.py [--pairs 100000]

Prints a Markdown table: the largest error of each sort of simplex in units of the bar's ε (|σ| + ε ℓ^k)(1 + s) for the
value and ε (|σ| |ξ| + ℓ^(k-1))(1 + s) for the gradient (4 are allowed). Takes about half an hour for 100,000 of each.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("NUMBA_NUM_THREADS", "1")  # a pair is no work to share

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from oracles import simplex_pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=100_000)
    options = parser.parse_args()
    print("| precision | kind | shape | pairs | value, ε units | gradient, ε units |")
    print("| --- " * 6 + "|")
    for dtype in (np.float32, np.float64):
        for kind in simplex_pairs.ORDERS:
            for shape, (count, value, gradient) in simplex_pairs.errors(kind, options.pairs, dtype).items():
                row = [np.dtype(dtype).name, kind, shape, str(count), f"{value:.2f}", f"{gradient:.2f}"]
                print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
