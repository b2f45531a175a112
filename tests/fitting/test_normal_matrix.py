"""Inner products of changes of the image against renderings one by one, a closed form, and Newton steps."""

import numpy as np
import pytest
from fitting.simulated import SIGMA, ball, begun
from oracles.jacobian import jacobian

import cytoform as cf
from cytoform.errors import FitError
from cytoform.fitting import loop
from cytoform.fitting import pause as pauses
from cytoform.fitting.constants import ESTIMATE_AFTER_STEPS
from cytoform.fitting.problem import Problem, padding_for
from cytoform.fitting.shape_step import step_shape
from cytoform.fitting.stage import Stage
from cytoform.fitting.uncertainty.gram import correlation_table, optics_widths
from cytoform.fitting.uncertainty.modes import smoothest_modes
from cytoform.fitting.uncertainty.newton import newton_step
from cytoform.fitting.uncertainty.normal_matrix import ImageInformation, Unknowns
from cytoform.image.band import Band
from cytoform.mesh import geometry, shapes
from cytoform.optics import GibsonLanniPSF


def test_a_gaussian_correlates_with_itself_as_a_gaussian_twice_as_wide():
    grid, sigma = cf.Grid((40, 60, 60), (0.15, 0.1, 0.1)), np.array([0.5, 0.3, 0.3])
    psf = cf.GaussianPSF.from_sigma(sigma)
    band = psf.band(grid, 1e-4)
    power = np.abs(psf.otf_on(band)) ** 2
    widths = optics_widths(band, power)
    np.testing.assert_allclose(widths, np.sqrt(2.0) * sigma, rtol=1e-3)
    table = correlation_table(band, power, widths, 2)
    half = table.shape[0] // 2
    peak = 1.0 / ((4.0 * np.pi) ** 1.5 * sigma.prod()) / grid.voxel_volume
    assert table[half, half, half, 0] == pytest.approx(peak, rel=0.06)  # sharper by what interpolation smooths
    np.testing.assert_allclose(table[half, half, half, 1:4], 0.0, atol=1e-4 * peak)
    np.testing.assert_allclose(
        table[half, half, half, [4, 7, 9]], -peak / (2.0 * sigma**2), rtol=0.1
    )  # ∂∂C = -C / 2σ² at the peak
    np.testing.assert_allclose(table[..., 0], table[::-1, ::-1, ::-1, 0], atol=1e-5 * peak)


@pytest.mark.parametrize("psf_kind", ["gaussian", "asymmetric"])
def test_the_normal_matrix_is_that_of_renderings_one_by_one(psf_kind):
    truth, volume, psf = ball(noise=4.0)
    if psf_kind == "asymmetric":
        psf = GibsonLanniPSF(
            numerical_aperture=1.2, wavelength=0.55, immersion_index=1.33, sample_index=1.38, depth=8.0,
            modality="confocal", blur=(0.4, 0.25),
        )  # fmt: skip
    mesh = shapes.ellipsoid((1.28, 1.92, 1.6), tuple(volume.grid.centre), edge=0.35)
    stain = 0.2 * np.sin(3.0 * mesh.vertices[:, 1])
    mesh = mesh.with_density(np.exp(stain[mesh.faces].mean(axis=1)))
    roi = np.ones(volume.shape, dtype=bool)
    problem = Problem(volume, roi, padding_for(mesh.vertices, psf, roi, volume.grid), cf.FitConfig(device="cpu"))
    directions = np.eye(len(psf.parameters))[:, :2]
    normals = geometry.vertex_normals(mesh.vertices, mesh.faces)
    unknowns = Unknowns(mesh, normals, smoothest_modes(mesh, 24), stain, psf, directions)
    image_fit = problem.image_fit(mesh.astype("float32"), psf)
    columns = jacobian(problem, unknowns, image_fit)
    expected = columns @ columns.T
    found = ImageInformation(problem, unknowns, image_fit).information
    size = np.sqrt(np.diag(expected))
    np.testing.assert_allclose(found / np.outer(size, size), expected / np.outer(size, size), atol=0.05)
    assert np.linalg.eigvalsh(found / np.outer(size, size))[0] > 0


def last_stage(volume, psf, mesh, **settings):
    config = cf.FitConfig(blurs=(0.0,), edge=0.35, device="cpu", align_start=False, **settings)
    state, body = begun(volume, config, mesh=mesh, psf=psf)
    return state, Stage(state, body, config), config


def test_a_newton_step_finds_the_surface_and_the_psf_of_an_ellipsoid():
    truth, volume, psf = ball(noise=2.0)
    start = truth.with_vertices(volume.grid.centre + 1.06 * (truth.vertices - volume.grid.centre))
    wide = cf.GaussianPSF.from_sigma(1.08 * np.array(SIGMA))
    state, stage, config = last_stage(volume, wide, start)
    for _ in range(12):
        step_shape(state, stage, config)
    step = newton_step(state, stage, config)
    moved = state.mesh.with_vertices(state.mesh.vertices + step.moves)
    assert abs(moved.volume / truth.volume - 1) < 0.5 * abs(state.mesh.volume / truth.volume - 1) + 2e-3
    width = psf.with_parameters(state.psf.parameters + step.psf).fwhm
    assert np.abs(width / psf.fwhm - 1).max() < 0.5 * np.abs(state.psf.fwhm / psf.fwhm - 1).max()
    assert max(step.changes.values()) > 1.0


def test_a_fit_ends_when_little_is_left_to_move():
    truth, volume, psf = ball(noise=10.0)
    result = cf.fit(volume, psf=psf, config=cf.FitConfig(edge=0.4, device="cpu"))
    assert result.stop_reason.startswith("converged: volume, area, surface and PSF would move by less than 0.5")
    longer = cf.fit(
        volume,
        psf=psf,
        config=cf.FitConfig(edge=0.4, device="cpu", convergence=1e-6, patience=(12, 12, 200), iterations=200),
    )
    assert longer.iterations == 200 > result.iterations
    assert abs(longer.volume_um3 - result.volume_um3) < result.uncertainty.volume_um3
    assert abs(longer.area_um2 - result.area_um2) < result.uncertainty.area_um2


def test_a_newton_step_that_lowers_nothing_is_left_out(monkeypatch):
    truth, volume, psf = ball(noise=2.0)
    state, stage, config = last_stage(volume, psf, truth)
    for _ in range(3):
        step_shape(state, stage, config)
    step = newton_step(state, stage, config)
    bad = type(step)(-50.0 * step.moves + 0.3, step.stain, step.psf, step.value, {"volume": 9.0, "surface": 0.0}, 1.0)
    monkeypatch.setattr(pauses, "newton_step", lambda *_: bad)
    before = state.mesh
    pauses._take_newton_step(state, stage, config, 0.0, 0.0)
    assert state.mesh is before and state.remaining == {"volume": 9.0, "surface": 0.0}

    def singular(*_):
        raise FitError("singular")

    monkeypatch.setattr(pauses, "newton_step", singular)
    pauses._take_newton_step(state, stage, config, 0.0, 0.0)
    assert state.mesh is before


def test_a_fit_does_not_end_before_prior_strengths_could_be_estimated():
    truth, volume, psf = ball()
    state, stage, config = last_stage(volume, psf, truth)
    state.remaining = {"volume": 0.0, "area": 0.0, "surface": 0.0}
    state.count.stage_step = ESTIMATE_AFTER_STEPS - 1
    assert loop._stage_end_reason(state, stage, config) == ""
    state.count.stage_step = ESTIMATE_AFTER_STEPS
    assert loop._stage_end_reason(state, stage, config).startswith("converged")
    state.count.since_pause = 1  # the surface has moved since, or triangles were changed without a Newton step
    assert loop._stage_end_reason(state, stage, config) == ""


def test_what_is_left_to_move_is_that_of_the_last_pause(monkeypatch):
    truth, volume, psf = ball()
    state, stage, config = last_stage(volume, psf, truth)
    step_shape(state, stage, config)
    state.remaining = {"volume": 0.0, "area": 0.0, "surface": 0.0}
    monkeypatch.setattr(pauses, "improve_triangles", lambda *_: "remeshed")  # no Newton step at such a pause
    assert pauses.pause(state, stage, config) == "remeshed" and state.remaining == {}


def test_the_gradient_for_the_psf_is_that_of_the_shape_loss():
    truth, volume, psf = ball(noise=2.0)
    state, stage, config = last_stage(volume, psf, truth, dtype="float64", tolerance=1e-8)
    working = state.mesh.astype("float64")
    found = stage.problem.psf_gradient(working, psf, 0.0)
    for i in (0, 2):
        step = np.eye(len(psf.parameters))[i] * 1e-4
        up, down = (psf.with_parameters(psf.parameters + s * step) for s in (1, -1))
        losses = [stage.problem.shape_loss(working, p, 0.0).loss for p in (up, down)]
        assert (losses[0] - losses[1]) / 2e-4 == pytest.approx(found[i], rel=2e-2, abs=1e-8)


def test_masks_of_the_band_count_in_tables():
    """A table of a band with a mask is that of the modes that are kept."""
    grid = cf.Grid((16, 16, 16), (0.2, 0.2, 0.2))
    band = Band.box(grid, (4, 4, 4))
    mask = np.zeros(band.shape, dtype=bool)
    mask[0, 0, 0] = True
    power = np.ones(band.shape)
    table = correlation_table(band.where(mask), power, np.ones(3), 1)
    assert table[..., 0] == pytest.approx(1.0 / grid.volume / grid.voxel_volume, rel=1e-5)
