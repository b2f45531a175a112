"""Standard errors against brute force, and against repeats."""

import json

import numpy as np
import pytest
from fitting.simulated import SIGMA, ball

import cytoform as cf
from cytoform.errors import ConfigError, FitError
from cytoform.fitting.priors.smoothness import Smoothness
from cytoform.fitting.problem import Problem, padding_for
from cytoform.fitting.uncertainty import estimate_uncertainty
from cytoform.mesh import geometry, shapes

SHAPE, SPACING = (14, 20, 20), (0.3, 0.2, 0.2)


def small(noise=0.05, seed=0):
    """A coarse ball of 162 vertices in an image of maximum 1, and its PSF."""
    psf, grid = cf.GaussianPSF.from_sigma((0.4, 0.28, 0.28)), cf.Grid(SHAPE, SPACING)
    truth = shapes.icosphere(1.1, tuple(grid.centre), subdivisions=2)
    image = seen(truth, psf, grid)
    image = image / image.max() + np.random.default_rng(seed).normal(0, noise, SHAPE)
    return truth, cf.Volume(image, SPACING), psf


def seen(mesh, psf, grid):
    whole = cf.render(mesh, psf, grid.padded(psf.reach()), backend="exact", cutoff=0.0)
    return whole[tuple(slice(0, n) for n in grid.shape)]


def brute_force(truth, volume, psf):
    """Covariance of (moves along normals, two widths, gain, background) by finite differences, all voxels alike."""
    base = seen(truth, psf, volume.grid)
    design = np.stack([base.ravel(), np.ones(base.size)], axis=1)
    gain, background = np.linalg.lstsq(design, volume.data.ravel(), rcond=None)[0]
    normals, columns = geometry.vertex_normals(truth.vertices, truth.faces), []
    for i in range(truth.n_vertices):
        move = np.zeros_like(truth.vertices)
        move[i] = 1e-4 * normals[i]
        up, down = (seen(truth.with_vertices(truth.vertices + s * move), psf, volume.grid) for s in (1, -1))
        columns.append(gain * (up - down).ravel() / 2e-4)
    for scale in ((1.0, 0.0, 0.0), (0.0, 1.0, 1.0)):
        up, down = (
            seen(truth, cf.GaussianPSF.from_sigma(psf.sigma * np.exp(s * 1e-4 * np.array(scale))), volume.grid)
            for s in (1, -1)
        )
        columns.append(gain * (up - down).ravel() / 2e-4)
    jacobian = np.stack([*columns, base.ravel(), np.ones(base.size)], axis=1)
    return jacobian, volume.data.ravel() - gain * base.ravel() - background


@pytest.mark.slow
def test_errors_are_those_of_the_whole_problem_by_brute_force():
    truth, volume, psf = small()
    config = cf.FitConfig(dtype="float64", cutoff=1e-4, tolerance=1e-8, backend="exact")
    roi = np.ones(SHAPE, dtype=bool)
    problem = Problem(volume, roi, padding_for(truth.vertices, psf, roi, volume.grid), config)
    ways = np.zeros((6, 2))
    ways[0, 0], ways[[2, 5], 1] = 1.0, np.sqrt(0.5)
    prior = 5.0, Smoothness(truth, float(np.mean(geometry.edge_lengths(truth.vertices, truth.faces))))
    found = estimate_uncertainty(problem, truth, psf, psf_directions=ways, smoothness=prior, n_modes=1000)

    jacobian, residual = brute_force(truth, volume, psf)
    variance, n = found.noise**2, truth.n_vertices
    assert found.noise == pytest.approx(residual.std(), rel=0.05)
    normals = geometry.vertex_normals(truth.vertices, truth.faces)
    precision = jacobian.T @ jacobian / variance
    precision[:n, :n] += prior[0] * prior[1].second(np.eye(n), normals)
    covariance = np.linalg.inv(precision)

    def error(quantity):
        slope = []
        for i in range(n):
            move = np.zeros_like(truth.vertices)
            move[i] = 1e-5 * normals[i]
            up, down = (quantity(truth.with_vertices(truth.vertices + s * move)) for s in (1, -1))
            slope.append((up - down) / 2e-5)
        return np.sqrt(np.array(slope) @ covariance[:n, :n] @ np.array(slope))

    noise_only = found.noise_only
    assert noise_only.volume_um3 == pytest.approx(error(lambda m: m.volume), rel=0.02)
    assert noise_only.area_um2 == pytest.approx(error(lambda m: m.area), rel=0.02)
    np.testing.assert_allclose(noise_only.surface_um, np.sqrt(np.diag(covariance)[:n]), rtol=0.05)
    widths = psf.fwhm[:2] * np.sqrt(np.diag(covariance)[n : n + 2])
    np.testing.assert_allclose(noise_only.psf_fwhm_um, [widths[0], widths[1], widths[1]], rtol=0.03)


@pytest.mark.slow
def test_noise_and_what_it_does_scale_together():
    truth, volume, psf = ball(noise=8.0)
    _, louder, _ = ball(noise=24.0)
    config = cf.FitConfig(iterations=40, edge=0.4, device="cpu")
    one, three = (cf.fit(v, psf=psf, config=config).uncertainty for v in (volume, louder))
    assert one.noise == pytest.approx(8.0, rel=0.15) and three.noise == pytest.approx(24.0, rel=0.15)
    assert 2.0 < three.volume_um3 / one.volume_um3 < 4.0
    assert 1.5 < np.median(three.surface_um) / np.median(one.surface_um) < 4.0


@pytest.mark.slow
def test_repeats_scatter_as_much_as_is_said():
    found, said, config = [], [], cf.FitConfig(iterations=140, edge=0.45, device="cpu")
    for seed in range(12):
        truth, volume, psf = ball(noise=20.0, seed=seed)
        result = cf.fit(volume, psf=psf, config=config)
        found.append([result.volume_um3, *result.psf.sigma[:2]])
        said.append([result.uncertainty.volume_um3, *(result.uncertainty.psf_fwhm_um[:2] / 2.3548)])
    ratio = np.std(found, axis=0, ddof=1) / np.mean(said, axis=0)
    assert ((0.5 < ratio) & (ratio < 1.7)).all()  # χ of 11 degrees of freedom: 0.5 to 1.55 in 99 of 100
    off = (np.mean(found, axis=0) - [truth.volume, *SIGMA[:2]]) / np.mean(said, axis=0)
    assert (np.abs(off) < 1.5).all()


@pytest.mark.slow
def test_intervals_and_files(tmp_path):
    truth, volume, psf = ball(noise=10.0)
    result = cf.fit(volume, psf=psf, config=cf.FitConfig(iterations=60, edge=0.4, device="cpu"))
    low, high = result.interval("volume_um3", 0.6827)
    assert 0.5 * (high - low) == pytest.approx(result.uncertainty.volume_um3, rel=1e-3)
    assert sum(result.interval("area_um2")) / 2 == pytest.approx(
        result.area_um2 - result.uncertainty.area_excess_um2, rel=1e-9
    )
    assert result.interval("psf_fwhm_x_um", 0.99)[1] > result.interval("psf_fwhm_x_um", 0.5)[1]
    with pytest.raises(ConfigError, match="volume_um3"):
        result.interval("weight")
    with pytest.raises(ConfigError, match="level"):
        result.interval("volume_um3", 90)
    folder = result.save(tmp_path / "run")
    saved = json.loads((folder / "fit.json").read_text())["standard_errors"]
    assert saved["volume_um3"] == result.uncertainty.volume_um3 and len(saved["psf_fwhm_um"]) == 3
    header = (folder / "mesh.ply").read_bytes().split(b"end_header")[0].decode()
    assert all(name in header for name in ("mean_curvature", "gaussian_curvature", "standard_error"))
    again = cf.load_result(folder)
    assert again.mesh.n_vertices == result.mesh.n_vertices
    with pytest.raises(FitError, match="loaded result has no intervals"):
        again.interval("volume_um3")
    assert "\n" not in repr(result) and f"{result.volume_um3:.4g} µm³" in repr(result)
    assert repr(again) == repr(result)
    without = cf.fit(volume, psf=psf, config=cf.FitConfig(iterations=2, uncertainty=False, device="cpu"))
    assert without.uncertainty is None


@pytest.mark.slow
def test_a_held_psf_has_no_errors():
    truth, volume, psf = ball()
    result = cf.fit(volume, psf=psf, config=cf.FitConfig(iterations=10, infer_psf=False, device="cpu"))
    assert (result.uncertainty.psf_fwhm_um == 0).all() and result.uncertainty.volume_um3 > 0
