"""Errors of the signed distance of masks of bodies with a formula, with cubic voxels and with slices far apart.

    python benchmarks/sdf_accuracy.py [--seeds 3]

Prints a Markdown table: mean absolute error in units of the smaller voxel edge, over the samples within three such
edges of the true surface, on a fine cubic grid and at the mask's own voxel centres; and the time for the surface. The
last column is the staircase: the distance to the wall between the voxels' centres (`masks.mask_sdf`).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from cytoform.image.volume import Grid
from cytoform.masks import mask_sdf
from cytoform.sdf.distance import mesh_sdf
from cytoform.sdf.surface import mask_surface

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from oracles import distance as oracle

BAR = 0.2  # smaller voxel edges
EDGE = 0.1  # µm
BAND = 3 * EDGE


def bodies(seed: int) -> Iterator[tuple[str, float, Callable]]:
    """Name, reach in edges, signed distance; centres off the grid, oblique."""
    rng = np.random.default_rng(seed)
    for radius in (8, 12, 16, 20):
        centre = EDGE * rng.uniform(-2.5, 2.5, 3)
        yield f"sphere, radius {radius}", radius, lambda p, r=radius, c=centre: oracle.sphere(p, EDGE * r, c)
    for axes in ((12, 10, 8), (14, 10, 8), (20, 12, 9), (20, 16, 10)):
        centre, turn = EDGE * rng.uniform(-2.5, 2.5, 3), np.linalg.qr(rng.normal(size=(3, 3)))[0]
        scaled = EDGE * np.array(axes)
        yield (
            f"ellipsoid, semi-axes {', '.join(map(str, axes))}",
            max(axes),
            lambda p, a=scaled, c=centre, t=turn: oracle.ellipsoid(p, a, c, t),
        )
    for radius, length in ((8, 16), (10, 12), (12, 16)):
        centre, axis = EDGE * rng.uniform(-2.5, 2.5, 3), rng.normal(size=3)
        axis /= np.linalg.norm(axis)
        yield (
            f"capsule, radius {radius}, length {length}",
            radius + length / 2,
            lambda p, r=radius, n=length, c=centre, a=axis: oracle.capsule(p, EDGE * r, EDGE * n, c, a),
        )


def box(reach: float, slices: int) -> Grid:
    """A grid around a body, z ``slices`` edges apart."""
    spacing = EDGE * np.array([slices, 1, 1])
    shape = 2 * np.ceil((reach + 8) * EDGE / spacing).astype(int) + 1
    return Grid(tuple(shape), tuple(spacing), tuple(-0.5 * (shape - 1) * spacing))


def error(found: np.ndarray, true: np.ndarray) -> float:
    """Mean absolute error near the surface, in edges."""
    return float(abs(found - true)[abs(true) < BAND].mean() / EDGE)


def measure(reach: float, distance: Callable, slices: int) -> tuple[float, float, float, float]:
    """Error on a fine grid, at the centres, of the staircase at the centres, and seconds."""
    grid, fine = box(reach, slices), box(reach, 1)
    true = distance(oracle.positions(grid))
    began = time.perf_counter()
    surface = mask_surface(true < 0, grid)
    seconds = time.perf_counter() - began
    on_fine = error(mesh_sdf(surface, fine), distance(oracle.positions(fine)))
    return on_fine, error(mesh_sdf(surface, grid), true), error(mask_sdf(true < 0, grid.spacing), true), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="positions and directions of each body")
    seeds = parser.parse_args().seeds
    mask_surface(np.ones((3, 3, 3)), 1.0)
    print("| body, edges | voxel | fine grid: mean (worst) | centres: mean (worst) | seconds | bar | staircase |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for slices in (1, 5):
        for cases in zip(*(bodies(seed) for seed in range(seeds))):
            found = np.array([measure(reach, distance, slices) for _, reach, distance in cases])
            mean, worst = found.mean(axis=0), found.max(axis=0)
            print(
                f"| {cases[0][0]} | {slices} × 1 × 1 | {mean[0]:.3f} ({worst[0]:.3f}) | {mean[1]:.3f} ({worst[1]:.3f}) "
                f"| {mean[3]:.2f} | {BAR} | {mean[2]:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
