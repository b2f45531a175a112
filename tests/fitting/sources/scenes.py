"""Small simulated images of points and lines."""

import numpy as np

import cytoform as cf
from cytoform.fitting.sources.measurement import Measurement
from cytoform.imaging import render_on

SPACING, SIGMA, LEVEL = (0.2, 0.1, 0.1), (0.3, 0.2, 0.2), 10.0
PSF = cf.GaussianPSF.from_sigma(SIGMA)


def peak(brightness):
    """Return the highest intensity of the image of a lone point."""
    return brightness / ((2.0 * np.pi) ** 1.5 * np.prod(SIGMA))


def image_of(sources, shape, noise=1.0, seed=0, psf=PSF):
    """Return a Volume of points or filaments with a level of 10 and Gaussian noise."""
    grid = cf.Grid(shape, SPACING)
    light = render_on(sources, psf, grid) + LEVEL
    return cf.Volume(light + noise * np.random.default_rng(seed).normal(size=shape), SPACING)


def measured(volume, noise=1.0):
    """Return the measurement of a volume with known background and noise."""
    made = Measurement.from_volume(volume, PSF)
    shape = volume.shape
    return made.replace(background=np.full(shape, LEVEL), variance=np.full(shape, noise**2))
