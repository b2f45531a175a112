"""A small simulated cell for the tests of the fit."""

import numpy as np

import cytoform as cf
from cytoform.fitting.bodies.surface import SurfaceBody
from cytoform.fitting.request import Request
from cytoform.fitting.scene import Scene
from cytoform.imaging import render_on
from cytoform.mesh import shapes

SIGMA = (0.45, 0.28, 0.28)
SPACING = (0.3, 0.2, 0.2)
PAIR_SHAPE, PAIR_SPACING = (24, 40, 70), (0.25, 0.2, 0.2)
PAIR_PLACES = (np.array([2.9, 4.0, 3.9]), np.array([2.9, 4.0, 9.0]))


def ball(radius=1.6, seed=0, noise=2.0, shape=(20, 30, 30), centre=None, spacing=SPACING):
    """An ellipsoid (radius, 1.2 radius, 0.9 radius), its image (uint16) and its PSF."""
    grid = cf.Grid(shape, spacing)
    centre = grid.centre if centre is None else np.asarray(centre)
    semi = (0.8 * radius, 1.2 * radius, radius)
    truth = shapes.ellipsoid(semi, tuple(centre), subdivisions=3)
    psf = cf.GaussianPSF.from_sigma(SIGMA)
    image = render_on(truth, psf, grid, margin=psf.reach())
    data = 100.0 + 400.0 * image / image.max() + np.random.default_rng(seed).normal(0, noise, shape)
    return truth, cf.Volume(np.clip(data, 0, None).astype(np.uint16), spacing, name="ball"), psf


class Killed(BaseException):
    """What ends a process, and no handler of errors."""


def killed_at(iteration):
    """A callback that kills the fit after a step."""

    def kill(progress):
        if progress.iteration == iteration:
            raise Killed

    return kill


def pair(noise=0.0):
    """Two flat cells whose membranes are 0.7 µm apart; the image of each, and both."""
    psf = cf.GaussianPSF.from_sigma((0.45, 0.3, 0.3))
    cells = [shapes.ellipsoid((1.1, 0.9 * r, r), tuple(p), edge=0.3) for p, r in zip(PAIR_PLACES, (2.5, 1.85))]
    grid = cf.Grid(PAIR_SHAPE, PAIR_SPACING)
    images = [100 * render_on(c, psf, grid, margin=psf.reach()) for c in cells]
    rng = np.random.default_rng(0)
    volume = cf.Volume((50 + sum(images) + noise * rng.normal(size=PAIR_SHAPE)).astype(np.float32), PAIR_SPACING)
    return cells, images, volume, psf


def begun(volume, config, **given):
    """The state that a fit begins with, and its body."""
    edge = config.edge or 2.0 * float(np.prod(volume.spacing)) ** (1 / 3)
    body = SurfaceBody(Scene.from_volume(volume), edge)
    return body.begin(Request(volume, config, **given)), body


def lattice(edge, n=90):
    """A flat sheet of even triangles in the (y, x) plane, and which of its vertices are far from its border."""
    row, column = np.mgrid[:n, :n]
    points = np.stack([0.0 * row, edge * np.sqrt(0.75) * row, edge * (column + 0.5 * row)], axis=-1).reshape(-1, 3)
    corner = (row * n + column)[:-1, :-1].ravel()
    halves = (corner, corner + 1, corner + n), (corner + 1, corner + n + 1, corner + n)
    faces = np.concatenate([np.stack(half, axis=1) for half in halves])
    return cf.SurfaceMesh(points, faces)
