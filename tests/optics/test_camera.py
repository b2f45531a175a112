"""The camera: moments of what it simulates, likelihood and its slope, weights, gain from one image, errors."""

import numpy as np
import pytest
from scipy import ndimage, optimize, stats

import cytoform as cf
from cytoform.errors import ConfigError, VolumeError

CAMERA = cf.Camera(gain=2.2, offset=100.0, read_noise=1.6)


def test_simulated_counts_have_the_mean_and_variance_of_theory():
    n = 200_000
    for electrons in (0.0, 3.0, 40.0):
        counts = CAMERA.simulate(np.full(n, electrons), seed=1)
        mean, variance = CAMERA.expected(electrons), CAMERA.variance(CAMERA.expected(electrons))
        assert variance == pytest.approx(2.2**2 * (electrons + 1.6**2))
        # five standard errors; the kurtosis of a Poisson variable is below 3 + 1 / mean
        assert abs(counts.mean() - mean) < 5.0 * np.sqrt(variance / n)
        assert abs(counts.var() - variance) < 5.0 * variance * np.sqrt(3.0 / n)


def test_digitised_counts_are_whole_and_saturate():
    camera = cf.Camera(gain=2.0, offset=10.0, read_noise=1.0, bits=8)
    counts = camera.simulate(np.array([0.0, 50.0, 1000.0]), seed=0)
    assert counts.dtype == np.uint16 and counts[2] == 255 == camera.saturation and counts[0] < 30
    assert cf.Camera(bits=20).simulate(np.ones(3)).dtype == np.uint32
    same = camera.simulate(np.full(5, 20.0), seed=3), camera.simulate(np.full(5, 20.0), np.random.default_rng(3))
    np.testing.assert_array_equal(*same)


def test_the_likelihood_has_its_slope():
    rng = np.random.default_rng(0)
    model = CAMERA.expected(rng.uniform(0.0, 20.0, (3, 4, 5)))
    model[0, 0] = 90.0  # below zero light, and the next below where a logarithm exists
    model[0, 1] = 80.0
    observed = CAMERA.simulate(rng.uniform(0.0, 20.0, model.shape), seed=2)
    found = CAMERA.negative_log_likelihood(model, observed)
    for index in [(0, 0, 0), (0, 1, 2), (1, 2, 3), (2, 3, 4)]:
        step = np.zeros(model.shape)
        step[index] = 1e-4
        ends = [CAMERA.negative_log_likelihood(model + s, observed).value for s in (step, -step)]
        assert found.gradient[index] == pytest.approx((ends[0] - ends[1]) / 2e-4, rel=1e-5, abs=1e-8)


def test_without_read_noise_it_is_the_poisson_likelihood():
    camera = cf.Camera(gain=3.0, offset=5.0)
    electrons, seen = np.array([0.5, 2.0, 7.0, 30.0]), np.array([0, 3, 5, 41])
    observed = camera.expected(seen)

    def exact(mean):
        return -stats.poisson.logpmf(seen, mean).sum()

    def ours(mean):
        return camera.negative_log_likelihood(camera.expected(mean), observed).value

    assert ours(electrons) - ours(2.0 * electrons) == pytest.approx(
        exact(electrons) - exact(2.0 * electrons), rel=1e-12
    )
    assert ours(np.maximum(seen, 1e-3)) == pytest.approx(1e-3)  # 0 at the best, but for the voxel without light


def test_it_is_close_to_the_exact_density_of_both_noises():
    """Sum over photon numbers of Poisson times Gauss: the best brightness of 300 dim voxels, and the deviance."""
    rng = np.random.default_rng(4)
    observed = CAMERA.simulate(np.full(300, 2.0), rng)
    k = np.arange(60)[:, None]

    def exact(mean):
        gauss = stats.norm.pdf(observed, 100.0 + 2.2 * k, 2.2 * 1.6)
        return -np.log((stats.poisson.pmf(k, mean) * gauss).sum(axis=0)).sum()

    def ours(mean):
        return CAMERA.negative_log_likelihood(np.full(300, CAMERA.expected(mean)), observed).value

    best = [optimize.minimize_scalar(f, bounds=(0.1, 8.0), method="bounded").x for f in (exact, ours)]
    assert best[0] == pytest.approx(best[1], abs=0.06)  # half the standard error, √(4.56 / 300) = 0.12
    assert ours(2.0) / 300 == pytest.approx(0.5, abs=0.12)  # half the deviance: ½ a voxel, deviating by √(½ / 300)


def test_weights_are_inverse_variances():
    model = np.array([50.0, 100.0, 122.0])
    np.testing.assert_allclose(CAMERA.variance(model), 4.84 * np.array([2.56, 2.56, 12.56]))  # dark below the offset
    np.testing.assert_allclose(CAMERA.weights(model) * CAMERA.variance(model), 1.0)
    assert np.isfinite(cf.Camera().weights(np.zeros(2))).all()


@pytest.mark.parametrize(("photons", "camera"), [(30, CAMERA), (100, cf.Camera(0.7, 50.0, 3.0, bits=16))])
def test_gain_and_read_noise_from_one_image(photons, camera):
    rng = np.random.default_rng(0)
    light = ndimage.gaussian_filter(rng.random((16, 96, 96)), (2, 3, 3))
    light = (light - light.min()) / np.ptp(light)
    found = cf.Camera.estimate(cf.Volume(camera.simulate(photons * light + 1.0, seed=5), 0.1), camera.offset)
    # 150,000 voxels in 24 bins: each variance to some 2 %, and the line's slope better than 5 %
    assert found.gain == pytest.approx(camera.gain, rel=0.06)
    assert found.read_noise == pytest.approx(camera.read_noise, rel=0.25)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"gain": 0.0}, "gain"),
        ({"read_noise": -1.0}, "read_noise"),
        ({"offset": np.inf}, "offset"),
        ({"bits": 40}, "bits"),
    ],
)
def test_refuses(wrong, words):
    with pytest.raises(ConfigError, match=words):
        cf.Camera(**wrong)


def test_refuses_light_and_images_that_make_no_sense():
    with pytest.raises(ConfigError, match="0 or more"):
        CAMERA.simulate(np.array([-1.0]))
    with pytest.raises(ConfigError, match="shape"):
        CAMERA.negative_log_likelihood(np.zeros(3), np.zeros(4))
    with pytest.raises(VolumeError, match="at least"):
        cf.Camera.estimate(cf.Volume(np.ones((2, 8, 8)), 0.1))
    rng = np.random.default_rng(0)  # noise that shrinks with the brightness
    ramp = np.broadcast_to(np.linspace(10.0, 1000.0, 64), (8, 64, 64))
    with pytest.raises(VolumeError, match="does not grow"):
        cf.Camera.estimate(cf.Volume(ramp + rng.normal(size=ramp.shape) * (20.0 - 0.015 * ramp), 0.1))
