"""
Using what you know beforehand
==============================

A cell whose volume was measured in another way, in images that are nearly noise. ``cf.fit(prior=…)`` takes a function
that gives the negative logarithm of a probability and its gradient for the vertices.
"""

import os

import numpy as np
from matplotlib.figure import Figure

import cytoform as cf
from cytoform.imaging import render_on
from cytoform.mesh import geometry, shapes

QUICK = "CYTOFORM_QUICK" in os.environ  # fewer images
SPACING, SHAPE = (0.4, 0.25, 0.25), (16, 26, 26)  # µm, and voxels

# %%
# The knowledge
# -------------
# The volume is normally distributed about a mean (µm³) with a standard deviation. Any function of the mesh will do, as
# long as its gradient comes with it.


class KnownVolume:
    """The volume is normally distributed about `mean` µm³ with a standard deviation of `error`."""

    def __init__(self, mean, error):
        self.mean, self.error = mean, error

    def __call__(self, mesh):
        off = (mesh.volume - self.mean) / self.error
        corners = geometry.volume_gradient(mesh.vertices, mesh.faces)
        slope = geometry.sum_at_vertices(corners, mesh.faces, mesh.n_vertices)
        return 0.5 * off**2, off / self.error * slope


# %%
# Fits with and without it
# ------------------------
# The noise has 80 % of the image's maximum.

grid, psf = cf.Grid(SHAPE, SPACING), cf.GaussianPSF.from_sigma((0.55, 0.35, 0.35))
truth = shapes.ellipsoid((1.5, 1.9, 2.1), tuple(grid.centre), edge=0.2)
light = render_on(truth, psf, grid, margin=psf.reach())
start = shapes.icosphere(1.8, tuple(grid.centre), 3)
config = cf.FitConfig(iterations=60, infer_psf=False, infer_staining=False, uncertainty=False)
priors = {"without": None, "with": KnownVolume(truth.volume, 0.002 * truth.volume)}
errors = {name: [] for name in priors}
for seed in range(3 if QUICK else 12):
    noise = np.random.default_rng(seed).normal(0.0, 0.8 * light.max(), SHAPE)
    volume = cf.Volume((light + noise).astype(np.float32), SPACING)
    for name, prior in priors.items():
        result = cf.fit(volume, start, psf, config, prior=prior)
        errors[name].append(result.volume_um3 / truth.volume - 1.0)
numbers = {f"volume_error_{name}": float(np.sqrt(np.mean(np.square(e)))) for name, e in errors.items()}
print("\n".join(f"{name:24s} {100 * value:.2f} %" for name, value in numbers.items()))

# %%
# On the left one slice of the last image, in which the cell can hardly be seen.

figure = Figure(figsize=(8, 3.6), layout="constrained")
left, right = figure.subplots(1, 2)
left.imshow(volume.data[SHAPE[0] // 2], cmap="gray")
left.set(title="a slice of one image", xticks=[], yticks=[])
for k, found in enumerate(errors.values()):
    right.plot([k] * len(found), [100 * error for error in found], "o", color="#0072B2")
right.axhline(0, color="0.7", linewidth=0.8)
right.set(xticks=[0, 1], xticklabels=["image alone", "volume known"], xlim=(-0.5, 1.5), ylabel="error of the volume, %")
