"""
Filaments
=========

A branched filament in a noisy image: ``cf.fit_filaments`` gives its course, its lengths and its density.
"""

import os
import sys

import numpy as np

import cytoform as cf
from cytoform.imaging import render_on
from cytoform.report.overlay import projections_figure

QUICK = "CYTOFORM_QUICK" in os.environ  # a smaller image
SPACING = (0.2, 0.1, 0.1)  # µm

# %%
# An image with its truth
# -----------------------
# The line's brightest voxels exceed the background by six standard deviations of the noise.

width = 4.0 if QUICK else 6.0
grid, psf = cf.Grid((16, 48, int(10 * width) + 8), SPACING), cf.GaussianPSF.from_sigma((0.3, 0.2, 0.2))
along = np.linspace(0.7, width, 40)
stem = np.column_stack([np.full(40, 1.5), 1.8 + 0.5 * np.sin(along), along])
branch = np.column_stack([np.full(15, 1.5), np.linspace(stem[20, 1], 4.0, 15), np.linspace(stem[20, 2], width, 15)])
density = 6.0 * 2.0 * np.pi * 0.3 * 0.2
light = render_on(cf.Filaments.from_polylines([stem, branch], density), psf, grid)
noise = np.random.default_rng(1).normal(size=grid.shape)
image = cf.Volume((light + 20.0 + noise).astype(np.float32), SPACING, name="filaments")

# %%
# The fit
# -------

result = cf.fit_filaments(image, psf=psf)
for one in result.branches:
    print(f"{one.length:.2f} µm, {one.density:.3f} ± {one.density_se:.3f} per µm (true: {density:.3f}), {one.ends}")
numbers = {
    "true_length_um": sum(float(np.linalg.norm(np.diff(line, axis=0), axis=1).sum()) for line in (stem, branch)),
    "length_um": result.length_um,
    "branches": len(result),
    "density_error": max(abs(one.density / density - 1.0) for one in result.branches),
}
print("\n".join(f"{name:26s} {value:.4g}" for name, value in numbers.items()))

figure = projections_figure(image, result.model.data, None, [one.places for one in result.branches])
if len(sys.argv) > 1:
    figure.savefig(sys.argv[1], dpi=100)
