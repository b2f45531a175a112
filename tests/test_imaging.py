"""Simulated images: renderings against the blurred sphere's closed form, noise against its statistics."""

import numpy as np
import pytest

import cytoform as cf
from cytoform.errors import ConfigError
from cytoform.imaging import CameraNoise, GaussianNoise, camera_image, make_sample, render_on
from cytoform.mesh import shapes

GRID = cf.Grid((20, 24, 28), (0.3, 0.2, 0.2), (1.0, 0.0, -2.0))
SIGMA, RADIUS = 0.4, 1.5
PSF = cf.GaussianPSF.from_sigma((SIGMA,) * 3)
MESHED = 3e-3  # a sphere of 20,480 triangles lies that much of the light's maximum off the round one


def blurred_sphere(grid, centre):
    """A sphere of unit density, convolved with an isotropic Gaussian: closed form, (z, y, x)."""
    axes = np.meshgrid(*grid.coordinates(), indexing="ij")
    r = np.maximum(np.sqrt(sum((a - c) ** 2 for a, c in zip(axes, centre))), 1e-9)
    ends = np.exp(-((r - RADIUS) ** 2) / (2 * SIGMA**2)) - np.exp(-((r + RADIUS) ** 2) / (2 * SIGMA**2))
    return RADIUS / (r * SIGMA * np.sqrt(2 * np.pi)) * ends


def ball(centre):
    return shapes.icosphere(RADIUS, tuple(centre), subdivisions=5)


@pytest.mark.parametrize("shift", [(0.0, 0.0, 0.0), (2.8, 0.0, 0.0), (-2.0, 2.2, -2.7)])
def test_nothing_wraps_around(shift):
    """Also where the body sticks out of the image; rendered on the image's own grid it would come in again."""
    centre = GRID.centre + shift
    image, wanted = render_on(ball(centre), PSF, GRID), blurred_sphere(GRID, centre)
    assert image.shape == GRID.shape and image.dtype == np.float64
    assert np.abs(image - wanted).max() < MESHED * wanted.max()
    if any(shift):
        assert np.abs(cf.render(ball(centre), PSF, GRID) - wanted).max() > 0.05 * wanted.max()


def test_the_room_may_be_told():
    mesh = ball(GRID.centre)
    image = render_on(mesh, PSF, GRID, margin=PSF.reach(), tolerance=1e-6)
    assert np.abs(image - render_on(mesh, PSF, GRID)).max() < 1e-3 * image.max()
    assert np.array_equal(render_on(mesh, PSF, GRID, margin=0.0), cf.render(mesh, PSF, GRID.padded(0.0))[:20, :24, :28])


def test_a_camera_counts_photons():
    light = np.full((40, 50, 50), 7.0)
    image = camera_image(light, photons=400.0, background=90.0, read_noise=3.0, seed=1)
    assert image.dtype == np.uint16
    assert image.mean() == pytest.approx(490.0, abs=0.3)
    assert image.var() == pytest.approx(400.0 + 3.0**2 + 1 / 12, rel=0.02)  # Poisson, read-out, rounding
    with pytest.raises(ConfigError, match="16-bit"):
        camera_image(light, photons=70_000.0)


def test_a_sample_holds_the_truth_and_what_became_of_it():
    truth = ball(GRID.centre)
    sample = make_sample(truth, PSF, GRID, noise=CameraNoise(photons=50.0), seed=2, name="ball")
    assert sample.truth is truth and sample.psf is PSF
    assert sample.image.grid == GRID and sample.image.name == "ball" and sample.image.data.dtype == np.uint16
    assert np.array_equal(sample.light, render_on(truth, PSF, GRID).astype(np.float32))
    expected = 100.0 + 50.0 * sample.light / sample.light.max()
    off = sample.image.data - expected
    assert abs(off.mean()) < 0.2 and off.std() == pytest.approx(np.sqrt((expected - 100).mean() + 4.0), rel=0.05)
    again = make_sample(truth, PSF, GRID, noise=CameraNoise(photons=50.0), seed=2)
    other = make_sample(truth, PSF, GRID, noise=CameraNoise(photons=50.0), seed=3)
    assert np.array_equal(again.image.data, sample.image.data)
    assert not np.array_equal(other.image.data, sample.image.data)


def test_a_sample_with_even_noise_and_a_peak():
    sample = make_sample(ball(GRID.centre), PSF, GRID, noise=GaussianNoise(0.1), peak=2.0)
    assert sample.light.max() == pytest.approx(2.0) and sample.image.data.dtype == np.float32
    assert (sample.image.data - sample.light).std() == pytest.approx(0.1, rel=0.02)
    clean = make_sample(ball(GRID.centre), PSF, GRID, noise=GaussianNoise(0.0), peak=2.0)
    assert np.array_equal(clean.image.data, clean.light) and np.array_equal(clean.light, sample.light)


def test_any_function_may_be_the_noise():
    def fog(light, seed):
        return light + np.float32(seed)

    sample = make_sample(ball(GRID.centre), PSF, GRID, noise=fog, seed=5)
    assert np.array_equal(sample.image.data, sample.light + np.float32(5))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shift", [(40.0, 0.0, 0.0), (0.0, -12.0, 0.0)])
def test_a_body_outside_of_the_image_gives_no_peak(shift, dtype):
    """What its rendering holds there is rounding and ripples of the grid, which must not be scaled up."""
    mesh = ball(GRID.centre + shift)
    mesh = mesh.with_vertices(mesh.vertices.astype(dtype))
    assert np.abs(make_sample(mesh, PSF, GRID).light).max() < 1e-5
    with pytest.raises(ConfigError, match="Is the body on the grid"):
        make_sample(mesh, PSF, GRID, peak=1.0)


@pytest.mark.slow
def test_a_body_without_light_gives_no_peak():
    with pytest.raises(ConfigError, match="Is the body on the grid"):
        make_sample(shapes.icosphere(30.0, GRID.centre, subdivisions=3), PSF, GRID, peak=1.0, tolerance=1e-4)  # around
    with pytest.raises(ConfigError, match=r"brightest voxel is 0, .*Is the body on the grid"):
        make_sample(ball(GRID.centre).with_density(0.0), PSF, GRID, peak=1.0)


def test_the_edge_of_a_body_outside_of_the_image_gives_a_peak():
    """Blur alone reaches into the image: 2.5 σ lie between its border and the body."""
    z = -(GRID.extent[0] - GRID.spacing[0]) / 2 - RADIUS - 2.5 * SIGMA
    sample = make_sample(ball(GRID.centre + (z, 0.0, 0.0)), PSF, GRID, peak=2.0)
    wanted = blurred_sphere(GRID, GRID.centre + (z, 0.0, 0.0))
    assert np.abs(sample.light / 2.0 - wanted / wanted.max()).max() < 0.05


@pytest.mark.parametrize("give", [lambda light, seed: light[0], lambda light, seed: None])
def test_noise_of_another_shape_is_refused(give):
    with pytest.raises(ConfigError, match=r"the noise, <lambda>, gives an image of shape .*; expected .*20, 24, 28"):
        make_sample(ball(GRID.centre), PSF, GRID, noise=give)


@pytest.mark.parametrize("wrong", [-0.1, float("nan"), float("inf")])
def test_a_deviation_is_zero_or_more(wrong):
    with pytest.raises(ConfigError, match="expected a finite number, 0 or more"):
        GaussianNoise(wrong)
