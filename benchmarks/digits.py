"""Digits of the exact transform and its gradient: random pairs of a triangle and a frequency against 50 digits.

    python benchmarks/digits.py [--pairs 100000]

Prints a Markdown table: the largest error of each kind of triangle in units of the bar's ε (A + ε ℓ²)(1 + s) for the
value and ε (A |ξ| + ℓ)(1 + s) for the gradient (4 are allowed). Takes about 3 minutes for 100,000.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("NUMBA_NUM_THREADS", "1")  # a pair is no work to share

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from oracles import pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=100_000)
    options = parser.parse_args()
    print("| precision | triangle | pairs | value, ε units | gradient, ε units |\n| --- | --- | --- | --- | --- |")
    for dtype in (np.float32, np.float64):
        found = pairs.errors(options.pairs, dtype)
        for kind, (count, value, gradient) in found.items():
            print(f"| {np.dtype(dtype).name} | {kind} | {count} | {value:.2f} | {gradient:.2f} |", flush=True)


if __name__ == "__main__":
    main()
