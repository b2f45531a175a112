"""
A cell that lies against another one
====================================

What is fitted is one cell. The light that the other cell sends into its surroundings is modelled too, so that the
surface is not drawn towards it.

``python examples/neighbours.py [FILE]`` writes the picture, by default ``neighbours.png``.
"""

import os
import sys

import numpy as np
from matplotlib.figure import Figure

import cytoform as cf
from cytoform.imaging import render_on
from cytoform.mesh import shapes, topology
from cytoform.metrics import mesh_iou
from cytoform.report.figures import outlines

QUICK = "CYTOFORM_QUICK" in os.environ  # fewer steps, no standard errors
SPACING, SHAPE = (0.25, 0.15, 0.15), (26, 56, 90)  # µm, and voxels

# %%
# Two flat cells, 0.5 µm apart
# ----------------------------
# The larger one is to be found. The gap between them is about as wide as the point spread function.

grid = cf.Grid(SHAPE, SPACING)
psf = cf.GaussianPSF.from_sigma((0.4, 0.22, 0.22))
truth = shapes.ellipsoid((1.1, 2.9, 3.2), (3.1, 4.1, 4.2), edge=0.25)
other = shapes.ellipsoid((1.1, 2.3, 2.0), (3.3, 4.4, 9.9), edge=0.25)
light = sum(render_on(cell, psf, grid, margin=psf.reach()) for cell in (truth, other))
noise = np.random.default_rng(0).normal(0.0, 0.03, SHAPE)
volume = cf.Volume((1000 * (0.1 + light / light.max() + noise)).astype(np.float32), SPACING, name="two cells")

# %%
# The fit
# -------
# ``cf.fit`` takes the largest bright object and finds by itself that there is a bright neighbour. With a
# segmentation of the image, pass that: ``cf.fit(volume, labels=labels, label=1)``.

config = cf.FitConfig(iterations=150 if QUICK else 260, uncertainty=not QUICK)
result = cf.fit(volume, config=config)
neighbour = np.zeros(SHAPE) if result.surroundings is None else result.surroundings.data

# %%
# Image, model, and what is left
# ------------------------------
# Where the two membranes blur into one, the fitted surface lies up to about a voxel inside the true one.

index = 12
most = float(volume.data[index].max())
grey = {"cmap": "gray", "vmin": 0.0, "vmax": most}
signed = {"cmap": "RdBu_r", "vmin": -0.3 * most, "vmax": 0.3 * most}
parts = (
    (f"image (white: {most:.0f})", volume.data, grey),
    ("model of the cell", result.model.data, grey),
    ("light of the neighbour", neighbour, grey),
    (f"image − model − light (red: {0.3 * most:.0f})", volume.data - result.model.data - neighbour, signed),
)
extent = (-0.075, 90 * 0.15 - 0.075, 56 * 0.15 - 0.075, -0.075)
lines = ((truth, "#56B4E9", 2.6, "true surface"), (result.mesh, "#E69F00", 1.2, "fitted surface"))
figure = Figure(figsize=(9.0, 6.6), facecolor="white", layout="constrained")
for panel, (title, values, how) in zip(figure.subplots(2, 2).ravel(), parts):
    panel.imshow(values[index], extent=extent, **how)
    for mesh, colour, width, name in lines:
        for k, line in enumerate(outlines(mesh, 0, index * SPACING[0])):
            panel.plot(line[:, 1], line[:, 0], color=colour, linewidth=width, label=name if k == 0 else None)
    panel.set(xlim=extent[:2], ylim=extent[2:], title=title)
    panel.set_axis_off()
figure.legend(*panel.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "neighbours.png", dpi=110)

# %%
# R² of the cell alone (``r2_cell``) is lower than with the neighbour's light in the model (``r2``).

numbers = {
    "iou": mesh_iou(result.mesh, truth, 0.1),
    "r2": result.r2,
    "r2_cell": result.r2_cell,
    "self_intersections": float(topology.self_intersections(result.mesh)),
}
print("\n".join(f"{name:20s} {value:.4g}" for name, value in numbers.items()))
