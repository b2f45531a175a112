"""A small report on an ellipsoid, for the tests."""

import numpy as np

from cytoform.image.volume import Grid, Volume
from cytoform.mesh.shapes import ellipsoid, icosphere
from cytoform.optics import GaussianPSF
from cytoform.rendering import render
from cytoform.report import ReportData

GRID = Grid((24, 40, 44), (0.4, 0.2, 0.2), (1.0, -2.0, 3.0))
PSF = GaussianPSF.from_sigma((0.5, 0.25, 0.25))


def example(**changes):
    """Data of a report whose surface lies 0.1 µm off."""
    truth = ellipsoid((2.0, 2.4, 2.8), GRID.centre, subdivisions=3)
    mesh = truth.with_vertices(truth.vertices + 0.1)
    image = 100 + 50 * render(truth, PSF, GRID) + np.random.default_rng(0).normal(size=GRID.shape)
    steps = np.arange(30)
    values = {
        "title": "cell.tif",
        "image": Volume(image, GRID.spacing, GRID.origin),
        "model": 100 + 50 * render(mesh, PSF, GRID),
        "mesh": mesh,
        "psf": PSF,
        "history": {
            "iteration": steps,
            "loss": np.exp(-steps / 10),
            "stage": steps // 10,
            "kind": np.where(steps % 7 == 6, "psf", "shape"),
        },
        "headline": [(mesh.volume, "µm³", "volume"), ("0.912", "", "R²"), ("1.18, 0.59, 0.59", "µm", "PSF FWHM")],
        "table": [("Volume", "56.3 µm³"), ("R²", "0.9")],
        "stop_reason": "the loss no longer changes",
        "start": icosphere(2.5, GRID.centre, 2),
    }
    return ReportData(**(values | changes))
