"""Strengths of priors that are learnt from what noise does: against dense algebra, closed forms and whole fits."""

import dataclasses

import h5py
import numpy as np
import pytest
from fitting.simulated import Killed, ball, begun, killed_at, lattice

import cytoform as cf
from cytoform.fitting import pause as pauses
from cytoform.fitting.bodies.surface import SurfaceBody
from cytoform.fitting.constants import LEAST_SMOOTHNESS_FACTOR, MOST_SMOOTHNESS_FACTOR, PATCH_SMOOTHING
from cytoform.fitting.noise import fisher_information
from cytoform.fitting.priors import strength
from cytoform.fitting.priors.field import StainingPrior
from cytoform.fitting.priors.smoothness import Smoothness
from cytoform.fitting.priors.strength import (
    FisherInformation,
    estimate_smoothness_factors,
    estimate_staining_spread,
)
from cytoform.fitting.problem import Problem, padding_for
from cytoform.fitting.stage import Stage
from cytoform.mesh import shapes
from cytoform.mesh.laplacian import combinatorial_laplacian
from cytoform.optim import LaplacianPreconditioner

EDGE = 0.3  # µm; also σ of the PSF


class Shown:
    """A field on a mesh of even triangles as a blurred image shows it, so precise for each µm² of waves without end."""

    def __init__(self, mesh, per_area):
        area = 0.5 * np.sqrt(3.0) * EDGE**2  # of a vertex
        self._waves = np.linalg.eigh(combinatorial_laplacian(mesh.faces, mesh.n_vertices).toarray())[1]
        squares = 4.0 * np.pi * np.arange(mesh.n_vertices) / (area * mesh.n_vertices)  # Weyl's law
        self._root = np.sqrt(per_area * area * np.exp(-(EDGE**2) * squares))

    def best(self, held, truth, rng):
        """The most probable field for a prior's precision, from a noisy image of the true one."""
        waves, root = self._waves, self._root
        noisy = waves @ (root * (root * (waves.T @ truth) + rng.normal(size=len(truth))))
        return np.linalg.solve(held + (waves * root**2) @ waves.T, noisy)


def drawn(precision, rng):
    """A field of a precision matrix."""
    return np.linalg.solve(np.linalg.cholesky(precision).T, rng.normal(size=len(precision)))


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0.06, 0.15, 0.3])
def test_spread_of_a_staining_against_fields_that_were_drawn(spread):
    rng, reach, per_area = np.random.default_rng(1), 2.0, 3000.0
    mesh = shapes.sphere_of_edge(2.5, (0.0, 0.0, 0.0), EDGE)
    shown, whole = Shown(mesh, per_area), np.eye(mesh.n_vertices)
    information = FisherInformation(per_area * 2.0 * np.sqrt(np.pi) * EDGE, EDGE)
    assert information.of_staining(np.zeros(1))[0] == pytest.approx(per_area)
    found = [0.35] * 4
    for _ in range(3):  # as at the pauses of a fit
        for i, before in enumerate(found):
            prior, truth = (StainingPrior(mesh, EDGE, s, reach) for s in (before, spread))
            stain = shown.best(prior.second(whole), drawn(truth.second(whole), rng), rng)
            found[i] = estimate_staining_spread(prior, stain, mesh.area, 0.35, information)
    assert np.mean(found) == pytest.approx(spread, rel=0.15)


@pytest.mark.slow
def test_stiffness_against_surfaces_that_were_drawn(monkeypatch):
    """A sheet that is smooth on one side and rough on the other, held alike when the image was looked at."""
    # a patch has some four degrees of freedom: two more would hide what it tells
    monkeypatch.setattr(strength, "PRIOR_DEGREES_OF_FREEDOM", 0.0)
    rng, n, weight = np.random.default_rng(2), 48, 50.0
    flat = lattice(EDGE, n)
    column = flat.vertices[:, 2] - 0.5 * flat.vertices[:, 1] / np.sqrt(0.75)
    left = column < column.mean()
    wanted = np.where(left, 0.4, 6.0)
    prior = Smoothness(flat, EDGE)
    out = np.zeros_like(flat.vertices)
    out[:, 0] = 1.0
    precision = 2.0 * weight * prior._matrix.toarray()
    twice = prior._twice.toarray()
    true = 2.0 * weight * prior._scale * twice.T @ (wanted[:, None] * twice)
    per_area = 15.0 / EDGE**4
    shown, information = Shown(flat, per_area), FisherInformation(per_area * 4.0 * np.sqrt(np.pi) * EDGE**3, EDGE)
    assert information.of_position(np.zeros(1))[0] == pytest.approx(per_area)
    gather = LaplacianPreconditioner(flat.faces, flat.n_vertices, PATCH_SMOOTHING)
    logs = []
    for _ in range(4):
        place = shown.best(precision, drawn(true + 1e-3 * np.eye(len(true)), rng), rng)
        moved = flat.with_vertices(flat.vertices + 1e-4 * place[:, None] * out)  # so little that nothing turns
        rough = prior.roughness(moved) / 1e-4**2
        logs.append(np.log(estimate_smoothness_factors(prior, rough, weight, information, gather)))
    inner = np.zeros((n, n), dtype=bool)
    inner[8:-8, 8:-8] = True
    inner[:, n // 2 - 6 : n // 2 + 6] = False  # patches that see both sides
    mean = np.mean(logs, axis=0)
    for side, weight_there in ((left, 0.4), (~left, 6.0)):
        assert abs(mean[side & inner.ravel()].mean() - np.log(weight_there)) < 0.4


def test_a_misfit_leaves_priors_as_they_are():
    edge = 0.3
    mesh = shapes.sphere_of_edge(2.0, (0.0, 0.0, 0.0), edge)
    prior, gather = Smoothness(mesh, edge), LaplacianPreconditioner(mesh.faces, mesh.n_vertices, PATCH_SMOOTHING)
    noise = FisherInformation(50.0, 0.3)
    assert noise.reliability == 1.0
    assert estimate_smoothness_factors(prior, np.zeros(mesh.n_vertices), 50.0, noise, gather).min() > 2.0
    for misfit, soft, stiff in ((0.25, LEAST_SMOOTHNESS_FACTOR**0.5, MOST_SMOOTHNESS_FACTOR**0.5), (0.6, 1.0, 1.0)):
        information = dataclasses.replace(noise, misfit=misfit)
        for rough, bound in ((1e9, soft), (0.0, stiff)):
            found = estimate_smoothness_factors(prior, np.full(mesh.n_vertices, rough), 50.0, information, gather)
            assert (found <= stiff + 1e-9).all() and (found >= soft - 1e-9).all()
            if rough:
                np.testing.assert_allclose(found, bound)


def seen_from(volume, truth, psf):
    region = np.ones(volume.shape, dtype=bool)
    config = cf.FitConfig(tolerance=1e-6, cutoff=1e-3, device="cpu")
    return Problem(volume, region, padding_for(truth.vertices, psf, region, volume.grid), config)


def test_what_an_image_tells_of_a_sphere_against_differences():
    grid, psf = cf.Grid((30, 40, 40), (0.25, 0.2, 0.2)), cf.GaussianPSF.from_sigma((0.45, 0.3, 0.3))

    def image(radius):
        mesh = shapes.icosphere(radius, tuple(grid.centre), subdivisions=4)
        return mesh, cf.render(mesh, psf, grid.padded(psf.reach()))[tuple(slice(0, n) for n in grid.shape)]

    mesh, clean = image(2.2)
    (_, wide), (_, narrow) = image(2.21), image(2.19)
    dirt = np.random.default_rng(0).normal(0.0, 0.1, grid.shape)
    volume = cf.Volume((clean + dirt).astype(np.float32), grid.spacing)
    information = fisher_information(seen_from(volume, mesh, psf), mesh, psf)
    told = (((wide - narrow) / 0.02) ** 2).sum() / 0.1**2 / mesh.area
    assert information.of_position(np.zeros(1))[0] == pytest.approx(told, rel=0.15)
    assert (clean**2).sum() / 0.1**2 / mesh.area == pytest.approx(information.of_staining(np.zeros(1))[0], rel=0.15)
    assert information.misfit < 0.2
    other = fisher_information(seen_from(volume, mesh, psf), mesh.with_density(np.full(mesh.n_faces, 3.0)), psf)
    assert other.contrast == pytest.approx(information.contrast, rel=1e-4)  # the gain makes up for the density
    off = shapes.icosphere(2.4, tuple(grid.centre), subdivisions=4)
    assert (
        fisher_information(seen_from(cf.Volume(clean + 0.1 * dirt, grid.spacing), off, psf), off, psf).reliability
        == 0.0
    )


def test_where_the_optics_pass_every_mode_nothing_tells_misfit_from_noise():
    grid, psf = cf.Grid((9, 15, 15), (0.3, 0.2, 0.2)), cf.GaussianPSF.from_sigma((0.3, 0.2, 0.2))
    mesh = shapes.icosphere(0.8, tuple(grid.centre), subdivisions=2)
    volume = cf.Volume(np.random.default_rng(0).normal(0, 1, grid.shape).astype(np.float32), grid.spacing)
    region = np.ones(grid.shape, dtype=bool)
    problem = Problem(volume, region, (1.8, 2.0, 2.0), cf.FitConfig(cutoff=0.0, device="cpu"))
    assert all(n % 2 for n in problem.padded.shape)
    assert fisher_information(problem, mesh, psf).misfit == 1.0


def learnt(folder):
    with h5py.File(folder / "checkpoint.h5", "r") as file:
        kept = file["state/estimates"]
        return float(kept.attrs["staining_spread"]), kept["smoothness_factors"][()]


def stained_ball(spread, noise):
    """An ellipsoid whose staining is a field of a standard deviation, and its noisy image."""
    truth, volume, psf = ball(noise=0.0)
    z, y, _ = (truth.vertices - truth.vertices.mean(axis=0)).T / 1.6
    field = spread * np.sqrt(3.0) * (0.8 * z + 0.6 * y)
    mesh = truth.with_density(np.exp(field[truth.faces].mean(axis=1)))
    image = cf.render(mesh, psf, volume.grid.padded(psf.reach()))[tuple(slice(0, n) for n in volume.shape)]
    dirt = np.random.default_rng(3).normal(0.0, noise, volume.shape)
    return cf.Volume((image / image.max() + dirt).astype(np.float32), volume.spacing), psf


@pytest.mark.slow
def test_fits_learn_how_even_the_staining_is_and_how_smooth_the_surface(tmp_path):
    config, found = cf.FitConfig(edge=0.35, infer_psf=False, uncertainty=False, device="cpu"), {}
    for spread in (0.0, 0.5):
        volume, psf = stained_ball(spread, 0.08)
        cf.fit(volume, psf=psf, config=config, out=tmp_path / str(spread))
        found[spread] = learnt(tmp_path / str(spread))
    assert found[0.0][0] < 0.1 < 0.2 < found[0.5][0]
    assert np.median(found[0.0][1]) > 1.5  # an ellipsoid is smoother than most


@pytest.mark.slow
def test_a_real_cell_that_the_model_does_not_explain_in_full_keeps_its_priors(data_dir, tmp_path):
    volume = cf.read_volume(data_dir / "images" / "rbc_06.tif")
    result = cf.fit(volume, config=cf.FitConfig(iterations=200, uncertainty=False, device="cpu"), out=tmp_path)
    last = (result.history["stage"] == 2) & (result.history["kind"] == "shape")
    assert last.sum() >= pauses.ESTIMATE_AFTER_STEPS and result.history["stage"].max() == 2  # long enough to learn
    padding = padding_for(result.mesh.vertices, result.psf, result.roi, volume.grid)
    problem = Problem(volume, result.roi, padding, result.config)
    assert fisher_information(problem, result.mesh.astype("float32"), result.psf).reliability == 0.0
    spread, stiffer = learnt(tmp_path)
    assert np.isnan(spread) and (stiffer == 1.0).all()


@pytest.mark.slow
def test_what_was_learnt_comes_back_on_a_resume(tmp_path):
    volume, psf = stained_ball(0.0, 0.08)
    config = cf.FitConfig(
        edge=0.45, iterations=200, patience=200, min_gain=1e-9, blurs=(0.0,), infer_psf=False, uncertainty=False,
        convergence=1e-9, device="cpu", deterministic=True, checkpoint_seconds=1e-9,
    )  # fmt: skip
    whole = cf.fit(volume, psf=psf, config=config, out=tmp_path / "whole")
    assert whole.iterations == 200
    with pytest.raises(Killed):  # between two times that it learns
        cf.fit(volume, psf=psf, config=config, callbacks=[killed_at(105)], out=tmp_path / "killed")
    spread, stiffer = learnt(tmp_path / "killed")
    assert spread < 0.35 and stiffer.std() > 0
    assert not np.array_equal(learnt(tmp_path / "whole")[1], stiffer)
    resumed = cf.fit(volume, psf=psf, config=config, out=tmp_path / "killed", resume=True)
    np.testing.assert_array_equal(resumed.mesh.vertices, whole.mesh.vertices)
    np.testing.assert_array_equal(resumed.mesh.density, whole.mesh.density)


def test_when_strengths_are_learnt(monkeypatch):
    """With the last stage settled, the PSF free, steps left and the surface not held firmer; forgotten where what is
    left turns out to be misfit."""
    volume, psf = stained_ball(0.0, 0.08)
    config = cf.FitConfig(edge=0.45, iterations=200, blurs=(0.0,), device="cpu")
    state, body = begun(volume, config, psf=psf)
    stage = Stage(state, body, config)
    told = [FisherInformation(2000.0, 0.3)]
    monkeypatch.setattr(SurfaceBody, "improved", lambda self, mesh, *, last: None)
    monkeypatch.setattr(pauses, "fisher_information", lambda problem, mesh, psf: told[0])

    def pause(*, iteration=100, stage_step=100, psf_free=True, folding_factor=1.0):
        count = state.count
        count.iteration, count.stage_step, count.psf_free = iteration, stage_step, psf_free
        state.estimates.folding_factor = folding_factor
        pauses.pause(state, stage, config)
        return not np.isnan(state.estimates.staining_spread)

    assert not pause(stage_step=pauses.ESTIMATE_AFTER_STEPS - 1)
    assert not pause(psf_free=False) and not pause(iteration=151) and not pause(folding_factor=1.5)
    assert pause() and state.estimates.smoothness_factors.std() > 0
    told[0] = dataclasses.replace(told[0], misfit=0.6)
    assert not pause() and (state.estimates.smoothness_factors == 1.0).all()
