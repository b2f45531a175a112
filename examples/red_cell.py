"""A red blood cell that is stained unevenly: surface, staining and curvature from one noisy image.

python examples/red_cell.py [FILE]      the picture, docs/images/red_cell.png by default
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import cytoform as cf
from cytoform.fitting.priors.staining import apply_staining
from cytoform.imaging import render_on
from cytoform.mesh import shapes
from cytoform.mesh.curvature import curvatures
from cytoform.metrics import mesh_iou, surface_distances
from cytoform.report import maps_figure

SIGMA = (0.42, 0.22, 0.22)  # µm


def cell(centre: np.ndarray) -> cf.SurfaceMesh:
    """A biconcave cell at rest, 7.8 µm wide (Evans and Fung 1972, doi 10.1016/0026-2862(72)90069-6), tilted, stained
    from 0.6 to 1.6 of its mean."""
    ball = shapes.icosphere(1.0, subdivisions=5)
    z, y, x = ball.vertices.T
    rho = np.hypot(y, x)
    half = 0.5 * (0.81 + 7.83 * rho**2 - 4.39 * rho**4)
    turn = np.array([[np.cos(0.15), 0.0, np.sin(0.15)], [0.0, 1.0, 0.0], [-np.sin(0.15), 0.0, np.cos(0.15)]])
    points = np.stack([z * half, 3.91 * y, 3.91 * x], axis=1) @ turn.T + centre
    return apply_staining(ball.with_vertices(points), 0.4 * y + 0.3 * z)


def image_of(truth: cf.SurfaceMesh, grid: cf.Grid, noise: float, seed: int = 0) -> cf.Volume:
    """Its image with Gaussian noise, a part of the maximum, on a background of a tenth."""
    psf = cf.GaussianPSF.from_sigma(SIGMA)
    image = render_on(truth, psf, grid, room=psf.reach())
    dirt = np.random.default_rng(seed).normal(0.0, noise, grid.shape)
    return cf.Volume((1000 * (0.1 + image / image.max() + dirt)).astype(np.float32), grid.spacing, name="red cell")


def main(out: Path | None = None, *, quick: bool = False) -> dict[str, float]:
    """Simulate, fit, compare; with `out` also draw. `quick` takes larger voxels."""
    size = 0.2 if quick else 0.145
    grid = cf.Grid(tuple(round(n / size) for n in (5.6, 10.0, 10.0)), size)
    truth = cell(grid.centre)
    result = cf.fit(image_of(truth, grid, 0.05))
    mean, _ = curvatures(result.mesh, smoothing=0.5)
    true_mean, _ = curvatures(truth, smoothing=0.5)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        maps_figure(result.mesh, result.maps()).savefig(out, dpi=110)
    apart = surface_distances(result.mesh, truth, n_points=10_000)
    low, high = result.interval("volume_um3", 0.99)
    return {
        "iou": mesh_iou(result.mesh, truth, 0.1),
        "distance_voxels": apart.mean / size,
        "volume_error": result.volume_um3 / truth.volume - 1.0,
        "volume_within_99_percent": float(low <= truth.volume <= high),
        "least_mean_curvature": float(np.percentile(mean, 1)),
        "true_least_mean_curvature": float(np.percentile(true_mean, 1)),
        "staining_from": result.density_range[0],
        "staining_to": result.density_range[1],
        "r2": result.r2,
    }


if __name__ == "__main__":
    numbers = main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images/red_cell.png"))
    print("\n".join(f"{name:26s} {value:.4g}" for name, value in numbers.items()))
