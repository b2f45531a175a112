"""What you know beforehand: a cell whose volume was measured in another way, in an image that is nearly noise.

`fit(prior=…)` takes the negative logarithm of a probability and its gradient for the vertices.

python examples/known_volume.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import cytoform as cf
from cytoform.imaging import render_on
from cytoform.mesh import geometry, shapes

SPACING, SHAPE = (0.4, 0.25, 0.25), (16, 26, 26)


class KnownVolume:
    """The volume is normally distributed about `mean` µm³ with a standard deviation of `error`."""

    def __init__(self, mean: float, error: float) -> None:
        self.mean, self.error = mean, error

    def __call__(self, mesh: cf.SurfaceMesh) -> tuple[float, np.ndarray]:
        off = (mesh.volume - self.mean) / self.error
        corners = geometry.volume_gradient(mesh.vertices, mesh.faces)
        slope = geometry.sum_at_vertices(corners, mesh.faces, mesh.n_vertices)
        return 0.5 * off**2, off / self.error * slope


def main(out: Path | None = None, *, quick: bool = False) -> dict[str, float]:
    """Fit several noisy images with and without the knowledge; root mean squares of the volume's relative error."""
    grid, psf = cf.Grid(SHAPE, SPACING), cf.GaussianPSF.from_sigma((0.55, 0.35, 0.35))
    truth = shapes.ellipsoid((1.5, 1.9, 2.1), tuple(grid.centre), edge=0.2)
    image = render_on(truth, psf, grid, margin=psf.reach())
    config = cf.FitConfig(iterations=60, infer_psf=False, infer_staining=False, uncertainty=False)
    errors: dict[str, list[float]] = {"without": [], "with": []}
    for seed in range(3 if quick else 12):
        dirt = np.random.default_rng(seed).normal(0.0, 0.8 * image.max(), SHAPE)
        volume = cf.Volume((image + dirt).astype(np.float32), SPACING)
        for name, prior in (("without", None), ("with", KnownVolume(truth.volume, 0.002 * truth.volume))):
            result = cf.fit(volume, shapes.icosphere(1.8, tuple(grid.centre), 3), psf, config, prior=prior)
            errors[name].append(result.volume_um3 / truth.volume - 1.0)
    return {f"volume_error_{name}": float(np.sqrt(np.mean(np.square(e)))) for name, e in errors.items()}


if __name__ == "__main__":
    print("\n".join(f"{name:24s} {100 * value:.2f} %" for name, value in main().items()))
