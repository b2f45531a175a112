"""The image is looked at once in a fit."""

import numpy as np
import pytest
from fitting.simulated import ball, pair

import cytoform as cf
from cytoform import masks
from cytoform.errors import FitError
from cytoform.fitting import scene as scenes
from cytoform.fitting.bodies.surface import SurfaceBody
from cytoform.fitting.scene import Scene
from cytoform.mesh import shapes


def counted(monkeypatch, owner, name):
    """Count the calls of a function."""
    calls, function = [], getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *args, **more: calls.append(args) or function(*args, **more))
    return calls


def test_a_fit_smooths_its_image_and_looks_for_a_threshold_once(monkeypatch):
    thresholds = counted(monkeypatch, scenes, "threshold_otsu")
    _, _, volume, psf = pair(noise=1.0)
    config = cf.FitConfig(iterations=60, infer_psf=False, uncertainty=False, edge=0.4, device="cpu")
    result = cf.fit(volume, psf=psf, config=config)
    assert result.surroundings is not None and result.history["stage"].max() == 2  # neighbours, judged at pauses
    assert len(thresholds) == 1


def test_a_start_is_voxelised_once(monkeypatch):
    """Once as it comes, and once more where it is remeshed or moved; six times before a scene kept it."""
    crossings = counted(monkeypatch, masks, "_crossings")
    _, volume, psf = ball()
    config = cf.FitConfig(iterations=1, infer_psf=False, uncertainty=False, edge=0.4, device="cpu", align_start=False,
                          blurs=(0.0,))  # fmt: skip
    start = shapes.sphere_of_edge(1.5, tuple(volume.grid.centre), 0.4)
    cf.fit(volume, start, psf, config)
    assert len(crossings) == 1


def test_what_a_body_keeps_is_that_of_the_mesh_that_is_asked_for():
    _, volume, _ = ball()
    body = SurfaceBody(Scene(volume), 0.4)
    one, two = (shapes.icosphere(r, volume.grid.centre, 2) for r in (1.0, 1.6))
    for mesh in (one, two, one):
        np.testing.assert_array_equal(body.inside(mesh), masks.mesh_to_mask(mesh, volume.grid))
        assert (body.distance_outside(mesh)[body.inside(mesh)] == 0).all() and body.distance_outside(mesh).max() > 1.0


def test_an_image_without_an_object_says_so_each_time():
    lone = np.zeros((20, 20, 20))
    lone[10, 10, 10] = 1000
    scene = Scene(cf.Volume(lone, 0.2))
    for _ in range(2):
        with pytest.raises(FitError, match="no bright object"):
            scene.largest_object()
