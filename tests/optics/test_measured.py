"""Measured PSFs: a sampled Gaussian's transform, real data, background, centre, stretch, errors."""

import numpy as np
import pytest

import cytoform as cf
from cytoform.errors import ConfigError, VolumeError

SIGMA = (0.4, 0.25, 0.25)
SPACING = (0.15, 0.12, 0.12)


def spot(shape=(41, 37, 39), centre=(19.3, 18.2, 20.4), spacing=SPACING, sigma=SIGMA):
    z, y, x = (((np.arange(n) - c) * d / s) ** 2 for n, c, d, s in zip(shape, centre, spacing, sigma))
    return np.exp(-0.5 * (z[:, None, None] + y[:, None] + x))


def test_a_sampled_gaussian_has_its_transform_on_any_grid():
    psf = cf.MeasuredPSF(cf.Volume(1000.0 * spot() + 7.0, SPACING, (5.0, -3.0, 2.0)))
    np.testing.assert_allclose(psf.image.grid.to_index(psf.centre), (19.3, 18.2, 20.4), atol=1e-6)
    assert psf.background == pytest.approx(7.0, abs=1e-6)
    for grid in (cf.Grid((24, 25, 26), (0.3, 0.25, 0.2)), cf.Grid((30, 31, 32), (0.11, 0.1, 0.09))):
        np.testing.assert_allclose(psf.otf(grid), cf.GaussianPSF.from_sigma(SIGMA).otf(grid), atol=1e-7)
    np.testing.assert_allclose(psf.fwhm, 2.3548 * np.array(SIGMA), rtol=2e-3)


def test_stretching_widens():
    psf = cf.MeasuredPSF(cf.Volume(spot(), SPACING))
    grid = cf.Grid((24, 25, 26), (0.3, 0.25, 0.2))
    wider = psf.with_parameters(np.log([1.5, 1.2]))
    want = cf.GaussianPSF.from_sigma((0.6, 0.3, 0.3)).otf(grid)
    np.testing.assert_allclose(wider.otf(grid), want, atol=1e-7)
    np.testing.assert_allclose(wider.fwhm, psf.fwhm * (1.5, 1.2, 1.2), rtol=2e-3)
    assert (np.array(wider.reach()) > psf.reach()).all()


def test_noise_and_a_far_neighbour_do_not_move_the_centre():
    rng = np.random.default_rng(0)
    image = 500.0 * spot() + 100.0 + rng.normal(0.0, 5.0, (41, 37, 39))
    image += 150.0 * spot(centre=(35.0, 32.0, 5.0), sigma=(0.2, 0.15, 0.15))
    psf = cf.MeasuredPSF(cf.Volume(image, SPACING))
    assert np.abs(psf.image.grid.to_index(psf.centre) - (19.3, 18.2, 20.4)).max() < 0.1
    assert psf.background == pytest.approx(100.0, abs=0.5)


def test_its_own_grid_gives_the_image_back():
    """An odd shape with the centre on a voxel: the samples themselves."""
    image = spot((31, 31, 31), (15, 15, 15), (0.2, 0.15, 0.15))
    psf = cf.MeasuredPSF(cf.Volume(image, (0.2, 0.15, 0.15)), background=0.0)
    volume = psf.sample(psf.image.grid)
    want = image / (image.sum() * volume.grid.voxel_volume)
    np.testing.assert_allclose(volume.data, want, atol=1e-9 * want.max())


def test_the_light_sheet_of_the_test_data(data_dir):
    image = cf.read_volume(data_dir / "images" / "psf_lightsheet.tif")
    psf = cf.MeasuredPSF(image)
    otf = psf.otf(image.grid)
    assert otf[0, 0, 0] == pytest.approx(1.0) and np.abs(otf).max() <= 1.0 + 1e-6
    direct = np.fft.rfftn(image.data.astype(float) - psf.background) / psf.samples.sum()
    z, y, x = np.meshgrid(*image.grid.frequencies(), indexing="ij")
    c = np.asarray(psf.centre)
    inside = (slice(0, 46), slice(0, 39), slice(0, 39))  # without Nyquist modes
    np.testing.assert_allclose(
        otf[inside], (direct * np.exp(1j * (z * c[0] + y * c[1] + x * c[2])))[inside], atol=1e-10
    )
    sampled = psf.sample(image.grid)
    assert sampled.data.sum() * sampled.grid.voxel_volume == pytest.approx(1.0)
    # a tilted sheet, as it was deskewed: along z it is wider than where it is cut through its brightest voxel
    assert psf.reach()[0] > 3.0 and np.abs(np.array(psf.image.grid.to_index(psf.centre)) - (46, 44, 39)).max() < 0.5


@pytest.mark.parametrize(
    ("image", "options", "error", "words"),
    [
        (np.ones((5, 5, 5)), {}, VolumeError, "1 everywhere"),
        (np.eye(5)[None], {}, VolumeError, "at least 3 voxels"),
        (-spot(), {"background": 0.0}, VolumeError, "no light above its background"),
        (spot(), {"stretch": (1.0, 0.0)}, ConfigError, "two positive factors"),
        (spot(), {"stretch": 2.0}, ConfigError, "two positive factors"),
        (spot(), {"centre": (1.0, 2.0)}, ConfigError, "centre"),
    ],
)
def test_refuses(image, options, error, words):
    with pytest.raises(error, match=words):
        cf.MeasuredPSF(cf.Volume(image, SPACING), **options)
    psf = cf.MeasuredPSF(cf.Volume(spot(), SPACING))
    with pytest.raises(ConfigError, match="2 finite"):
        psf.with_parameters([np.nan, 0.0])
