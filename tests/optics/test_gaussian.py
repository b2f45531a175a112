"""The Gaussian PSF: transform against an FFT of its samples, parameters, gradient, band."""

import numpy as np
import pytest

import cytoform as cf
from cytoform.errors import ConfigError
from cytoform.image.band import Band

TILTED = np.array([[0.30, 0.05, -0.02], [0.05, 0.10, 0.03], [-0.02, 0.03, 0.15]])


@pytest.mark.parametrize("covariance", [TILTED, np.diag([0.4, 0.1, 0.2])])
def test_otf_is_the_fft_of_the_density(covariance):
    psf = cf.GaussianPSF(covariance)
    grid = cf.Grid((48, 40, 44), (0.13, 0.11, 0.12))
    z, y, x = (np.fft.fftfreq(n) * n * d for n, d in zip(grid.shape, grid.spacing))
    points = np.stack(np.meshgrid(z, y, x, indexing="ij"), axis=-1)
    quadratic = np.einsum("...i,ij,...j->...", points, np.linalg.inv(covariance), points)
    samples = np.exp(-0.5 * quadratic) / np.sqrt((2 * np.pi) ** 3 * np.linalg.det(covariance))
    np.testing.assert_allclose(psf.otf(grid), np.fft.rfftn(samples).real * grid.voxel_volume, atol=2e-6)


def test_widths_and_parameters():
    psf = cf.GaussianPSF.from_sigma((0.6, 0.25, 0.3))
    np.testing.assert_allclose(psf.sigma, (0.6, 0.25, 0.3))
    np.testing.assert_allclose(psf.fwhm, 2.354820045 * psf.sigma, rtol=1e-9)
    np.testing.assert_allclose(cf.GaussianPSF.from_fwhm(psf.fwhm).covariance, psf.covariance)
    for one in (psf, cf.GaussianPSF(TILTED)):
        np.testing.assert_allclose(one.with_parameters(one.parameters).covariance, one.covariance, rtol=1e-12)
    any_values = psf.with_parameters(np.random.default_rng(0).normal(size=6))
    assert np.linalg.eigvalsh(any_values.covariance).min() > 0


def test_gradient_against_finite_differences():
    rng = np.random.default_rng(0)
    grid = cf.Grid((9, 8, 10), (0.4, 0.3, 0.35))
    psf = cf.GaussianPSF(TILTED)
    for band in (Band.full(grid), psf.band(grid, 0.02)):
        cotangent = rng.normal(size=band.shape) + 1j * rng.normal(size=band.shape)
        kept = 1.0 if band.mask is None else band.mask

        def loss(theta, band=band, cotangent=cotangent, kept=kept):
            otf = psf.with_parameters(theta).otf_on(band)
            return float((np.conj(cotangent) * otf * band.weights * kept).real.sum())

        found = psf.otf_vjp(band, cotangent)
        for i in range(6):
            step = np.zeros(6)
            step[i] = 1e-5
            slope = (loss(psf.parameters + step) - loss(psf.parameters - step)) / 2e-5
            assert abs(found[i] - slope) < 1e-8 * (1 + abs(slope))


def test_band_keeps_what_exceeds_the_cutoff():
    grid = cf.Grid((20, 21, 22), (0.2, 0.15, 0.15))
    psf = cf.GaussianPSF(TILTED)
    otf = psf.otf(grid)
    band = psf.band(grid, 0.01)
    kept = band.expand(band.scatter(np.ones(band.size, dtype=bool)))
    wanted = otf >= 0.01
    wanted[10, :, :] = wanted[:, :, 11] = False  # Nyquist planes of the even axes
    assert (kept == wanted).all()
    assert psf.band(grid, 0.0).size == (19 * 21 * 11)


def test_blur_adds_variances():
    np.testing.assert_allclose(cf.GaussianPSF.from_sigma(0.3).blurred(0.4).sigma, 0.5)


@pytest.mark.parametrize("bad", [np.eye(2), -np.eye(3), np.full((3, 3), np.nan), [[1, 2, 0], [0, 1, 0], [0, 0, 1]]])
def test_refuses_what_is_no_covariance(bad):
    with pytest.raises(ConfigError, match="positive definite"):
        cf.GaussianPSF(np.asarray(bad, dtype=float))


@pytest.mark.parametrize("bad", [(0.1, 0.2), (0.1, 0.2, -0.3), (0.1, np.nan, 0.2)])
def test_refuses_widths(bad):
    with pytest.raises(ConfigError, match="widths"):
        cf.GaussianPSF.from_sigma(bad)
