"""How often 90 % intervals hold the truth, over repeats of one simulated cell with other noise.

    python benchmarks/intervals.py [--repeats 500] [--first 0] [--noise 0.05] [--out FILE]

An ellipsoid of 3.4 × 4 × 4.8 µm, 24 × 36 × 36 voxels of 0.3 × 0.2 × 0.2 µm, Gaussian noise (σ, of the image's maximum),
everything inferred (surface, staining, PSF from a start that is 20 % off), default settings. Prints one row a quantity:
how often the interval held the truth, bias and standard error over the scatter of the repeats. `--first` and `--out`
share the repeats among processes; files given with --join are put together.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

import cytoform as cf
from cytoform.imaging import make_sample
from cytoform.mesh import shapes

NAMES = ("volume_um3", "area_um2", "psf_fwhm_z_um", "psf_fwhm_y_um")
SHAPE, SPACING = (24, 36, 36), (0.3, 0.2, 0.2)
SIGMA, START = (0.45, 0.3, 0.3), (0.55, 0.36, 0.36)


def scene() -> tuple[cf.SurfaceMesh, cf.GaussianPSF, npt.NDArray]:
    """The true surface, finely meshed, its PSF and its image with a maximum of 1."""
    grid, psf = cf.Grid(SHAPE, SPACING), cf.GaussianPSF.from_sigma(SIGMA)
    truth = shapes.ellipsoid((1.7, 2.0, 2.4), tuple(grid.centre + 0.03), edge=0.1)
    sample = make_sample(truth, psf, grid, peak=1.0, dtype=np.float64, margin=psf.reach(), tolerance=1e-6)
    return truth, psf, sample.light


def repeat(seed: int, noise: float, image: npt.NDArray) -> list[tuple[float, float]]:
    """90 % intervals of the quantities from one image."""
    dirt = np.random.default_rng(seed).normal(0.0, noise, SHAPE)
    volume = cf.Volume((image + dirt).astype(np.float32), SPACING)
    result = cf.fit(volume, psf=cf.GaussianPSF.from_sigma(START))
    return [result.interval(name, 0.9) for name in NAMES]


def report(found: npt.NDArray, true: npt.NDArray) -> None:
    """found (n, quantities, 2), true (quantities,)."""
    print(
        f"{len(found)} repeats\n\n| quantity | truth | held by the 90 % interval | bias / scatter | error / scatter |"
    )
    print("| --- | --- | --- | --- | --- |")
    for i, name in enumerate(NAMES):
        low, high = found[:, i].T
        middle, error = 0.5 * (low + high), 0.5 * (high - low) / 1.6449
        held = ((low <= true[i]) & (true[i] <= high)).mean()
        scatter = middle.std(ddof=1)
        print(
            f"| {name} | {true[i]:.4g} | {100 * held:.1f} % | {(middle.mean() - true[i]) / scatter:+.2f} | "
            f"{error.mean() / scatter:.2f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=500)
    parser.add_argument("--first", type=int, default=0, help="Seed of the first repeat.")
    parser.add_argument("--noise", type=float, default=0.05)
    parser.add_argument("--out", type=Path, help="Where to keep the intervals, .npy, after each repeat.")
    parser.add_argument("--join", type=Path, nargs="*", help="Files of --out to report on together.")
    options = parser.parse_args()
    truth, psf, image = scene()
    true = np.array([truth.volume, truth.area, *psf.fwhm[:2]])
    if options.join:
        report(np.concatenate([np.load(path) for path in options.join]), true)
        return
    found: list[list[tuple[float, float]]] = []
    for seed in range(options.first, options.first + options.repeats):
        found.append(repeat(seed, options.noise, image))
        if options.out is not None:
            np.save(options.out, np.array(found))
        print(f"\r{len(found)} of {options.repeats}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    report(np.array(found), true)


if __name__ == "__main__":
    main()
