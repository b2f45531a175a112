"""
Curvature, staining and standard errors of a red blood cell
===========================================================

A red blood cell whose membrane is stained unevenly: one noisy image gives its surface, how brightly each place of it
is stained, its curvature, and how uncertain each place is.

``python examples/red_cell.py [FILE]`` writes the picture, by default ``red_cell.png``.
"""

import os
import sys

import numpy as np

import cytoform as cf
from cytoform.imaging import render_on
from cytoform.mesh import shapes
from cytoform.mesh.curvature import curvatures
from cytoform.metrics import mesh_iou, surface_distances
from cytoform.report import maps_figure

QUICK = "CYTOFORM_QUICK" in os.environ  # larger voxels
SIZE = 0.2 if QUICK else 0.145  # µm, of a voxel
SIGMA = (0.42, 0.22, 0.22)  # µm, of the point spread function

# %%
# A cell and its image
# --------------------
# The shape is that of a biconcave cell at rest, 7.8 µm wide (Evans and Fung 1972, doi 10.1016/0026-2862(72)90069-6),
# tilted a little. Its staining goes from 0.6 to 1.6 of the mean. The image has Gaussian noise of 5 % of its maximum.


def red_cell(centre):
    """The surface of the cell, stained unevenly."""
    ball = shapes.icosphere(1.0, subdivisions=5)
    z, y, x = ball.vertices.T
    rho = np.hypot(y, x)
    half = 0.5 * (0.81 + 7.83 * rho**2 - 4.39 * rho**4)
    turn = np.array([[np.cos(0.15), 0.0, np.sin(0.15)], [0.0, 1.0, 0.0], [-np.sin(0.15), 0.0, np.cos(0.15)]])
    points = np.stack([z * half, 3.91 * y, 3.91 * x], axis=1) @ turn.T + centre
    brightness = np.exp(0.4 * y + 0.3 * z)  # at the vertices
    return cf.SurfaceMesh(points, ball.faces, density=brightness[ball.faces].mean(axis=1))


grid = cf.Grid(tuple(round(n / SIZE) for n in (5.6, 10.0, 10.0)), SIZE)
truth = red_cell(grid.centre)
psf = cf.GaussianPSF.from_sigma(SIGMA)
light = render_on(truth, psf, grid, margin=psf.reach())
noise = np.random.default_rng(0).normal(0.0, 0.05, grid.shape)
volume = cf.Volume((1000 * (0.1 + light / light.max() + noise)).astype(np.float32), SIZE, name="red cell")

# %%
# The fit
# -------
# Nothing is given but the image: the start, the width of the point spread function and the staining are all found.

result = cf.fit(volume)
figure = maps_figure(result.mesh, result.maps())
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "red_cell.png", dpi=110)

# %%
# How well it agrees with the truth
# ---------------------------------
# The true volume should lie in the 99 % interval, and the dimple shows as negative mean curvature. Curvature is noisy
# at single vertices, so it is smoothed over 0.5 µm.

mean, _ = curvatures(result.mesh, smoothing=0.5)
true_mean, _ = curvatures(truth, smoothing=0.5)
low, high = result.interval("volume_um3", 0.99)
numbers = {
    "iou": mesh_iou(result.mesh, truth, 0.1),
    "distance_voxels": surface_distances(result.mesh, truth, n_points=10_000).mean / SIZE,
    "volume_error": result.volume_um3 / truth.volume - 1.0,
    "volume_within_99_percent": float(low <= truth.volume <= high),
    "least_mean_curvature": float(np.percentile(mean, 1)),
    "true_least_mean_curvature": float(np.percentile(true_mean, 1)),
    "staining_from": result.density_range[0],
    "staining_to": result.density_range[1],
    "r2": result.r2,
}
print("\n".join(f"{name:26s} {value:.4g}" for name, value in numbers.items()))
