"""
Points of light
===============

Molecules in a noisy image, some closer to each other than the resolution: ``cf.fit_points`` gives their positions with
standard errors.
"""

import os
import sys

import numpy as np

import cytoform as cf
from cytoform.imaging import render_on
from cytoform.report.overlay import projections_figure

QUICK = "CYTOFORM_QUICK" in os.environ  # fewer points
SPACING, SHAPE = (0.2, 0.1, 0.1), (20, 64, 64)  # µm, and voxels

# %%
# An image with its truth
# -----------------------
# The brightest voxel of each point exceeds the background by seven standard deviations of the noise.

rng = np.random.default_rng(3)
grid, psf = cf.Grid(SHAPE, SPACING), cf.GaussianPSF.from_sigma((0.3, 0.2, 0.2))
count = 8 if QUICK else 20
places = np.array([0.6, 0.6, 0.6]) + rng.random((count, 3)) * [2.6, 5.1, 5.1]
places[1] = places[0] + [0.0, 0.3, 0.3]  # 2.1 σ apart
brightness = np.full(count, 7.0 * (2.0 * np.pi) ** 1.5 * 0.3 * 0.2 * 0.2)
light = render_on(cf.PointSet(places, brightness), psf, grid)
image = cf.Volume((light + 20.0 + rng.normal(size=SHAPE)).astype(np.float32), SPACING, name="points")

# %%
# The fit
# -------

result = cf.fit_points(image, psf=psf)
distance = np.linalg.norm(places[:, None] - result.positions[None], axis=-1)
numbers = {
    "points": count,
    "found": len(result),
    "median_distance_um": float(np.median(distance.min(axis=1))),
    "median_standard_error_um": float(np.median(np.linalg.norm(result.position_se, axis=1))),
}
print("\n".join(f"{name:26s} {value:.4g}" for name, value in numbers.items()))

figure = projections_figure(image, result.model.data, result.positions, ())
if len(sys.argv) > 1:
    figure.savefig(sys.argv[1], dpi=100)
