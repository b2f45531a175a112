"""Gradients of the fit's losses against finite differences, gain and background at their best."""

import numpy as np
import pytest
from fitting.simulated import ball

import cytoform as cf
from cytoform.errors import FitError
from cytoform.fitting.final_model import final_model
from cytoform.fitting.noise import noise_variance
from cytoform.fitting.problem import Problem, padding_for
from cytoform.mesh import shapes


@pytest.fixture(scope="module")
def case():
    _, volume, psf = ball()
    config = cf.FitConfig(dtype="float64", tolerance=1e-10, backend="exact", device="cpu", cutoff=0.0)
    roi = np.zeros(volume.shape, dtype=bool)
    roi[3:17, 4:26, 5:27] = True
    problem = Problem(volume, roi, psf.reach(), config)
    mesh = shapes.icosphere(1.4, tuple(volume.grid.centre), subdivisions=2)
    return problem, mesh, cf.GaussianPSF.from_sigma((0.6, 0.35, 0.3))


@pytest.mark.parametrize("blur", [0.0, 1.5])
def test_shape_gradient(case, blur):
    problem, mesh, psf = case
    found = problem.shape_loss(mesh, psf, blur)
    move = np.random.default_rng(0).normal(size=mesh.vertices.shape)

    def loss(step):
        return problem.shape_loss(mesh.with_vertices(mesh.vertices + step * move), psf, blur).loss

    slope = (loss(1e-5) - loss(-1e-5)) / 2e-5
    assert (found.vertices * move).sum() == pytest.approx(slope, rel=1e-5)


def test_psf_gradient(case):
    problem, mesh, psf = case
    renderer, spectrum = problem.psf_spectrum(mesh, psf)
    found = problem.psf_loss(renderer, spectrum, psf)
    for i in range(6):
        step = np.zeros(6)
        step[i] = 1e-5
        up, down = (
            problem.psf_loss(renderer, spectrum, psf.with_parameters(psf.parameters + s)).loss for s in (step, -step)
        )
        assert found.parameters[i] == pytest.approx((up - down) / 2e-5, rel=1e-4, abs=1e-9)


def test_model_of_the_truth_explains_the_image():
    truth, volume, psf = ball(noise=1.0)
    problem = Problem(volume, np.ones(volume.shape, dtype=bool), psf.reach(), cf.FitConfig())
    final = final_model(problem, truth, psf)
    model, light, gain, background = final.cell, final.light, final.gain, final.background
    assert light is None
    assert np.abs(model - volume.data).std() < 1.5
    assert background == pytest.approx(100.0, abs=1.0) and gain > 0


def noise(problem, mesh, psf):
    return noise_variance(problem, problem.image_fit(mesh, psf), psf, 0.0)


def test_noise_is_never_less_than_what_the_rendering_is_off_by():
    truth, _, psf = ball()
    grid = cf.Grid((20, 30, 30), (0.3, 0.2, 0.2))
    image = cf.render(truth, psf, grid.padded(psf.reach()), tolerance=1e-6)[tuple(slice(0, n) for n in grid.shape)]
    roi, dirt = np.ones(grid.shape, dtype=bool), np.random.default_rng(0).normal(0.0, 1.0, grid.shape)
    clean, dirty = (cf.Volume((image / image.max() + s * dirt).astype(np.float32), grid.spacing) for s in (0.0, 0.1))
    configs = [cf.FitConfig(tolerance=t, device="cpu") for t in (1e-3, 1e-5)]
    loose, tight = (noise(Problem(clean, roi, psf.reach(), config), truth, psf) for config in configs)
    assert loose - tight == pytest.approx(4e-6, rel=0.1)
    problem = Problem(dirty, roi, psf.reach(), cf.FitConfig(device="cpu"))
    assert noise(problem, truth, psf) * problem.scale**2 == pytest.approx(0.01, rel=0.15)


def test_a_region_smaller_than_the_cell_sees_no_wrap_around():
    truth, volume, psf = ball(noise=0.0)
    slab = np.zeros(volume.shape, dtype=bool)
    slab[9:12, :, 10:20] = True
    for roi in (slab, np.ones(volume.shape, dtype=bool)):
        config = cf.FitConfig(dtype="float64", cutoff=1e-4, tolerance=1e-6)
        problem = Problem(volume, roi, padding_for(truth.vertices, psf, roi, volume.grid), config)
        assert problem.shape_loss(truth, psf, 0.0).loss < 1e-5


def test_excluded_light_does_not_leak():
    _, volume, psf = ball()
    excluded = np.zeros(volume.shape, dtype=bool)
    excluded[:, :, :4] = True
    bright = np.where(excluded, 5000, volume.data)
    roi = ~excluded
    with_light = Problem(cf.Volume(bright, volume.spacing), roi, psf.reach(), cf.FitConfig(), excluded)
    dark = Problem(cf.Volume(np.where(excluded, 100, volume.data), volume.spacing), roi, psf.reach(), cf.FitConfig())
    np.testing.assert_allclose(with_light.target(1.5).observed, dark.target(1.5).observed, atol=0.02)


def test_regions_that_cannot_be():
    _, volume, psf = ball()
    with pytest.raises(FitError, match="shape"):
        Problem(volume, np.ones((3, 3, 3), dtype=bool), psf.reach(), cf.FitConfig())
    with pytest.raises(FitError, match="empty"):
        Problem(volume, np.zeros(volume.shape, dtype=bool), psf.reach(), cf.FitConfig())
