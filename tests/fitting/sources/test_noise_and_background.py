"""Noise and background of images whose truth is known."""

import numpy as np
import pytest
from fitting.sources.scenes import image_of, measured

import cytoform as cf
from cytoform.errors import ConfigError
from cytoform.fitting.sources.background import smooth_background
from cytoform.fitting.sources.noise import noise_model, rough_variance

SHAPE = (20, 48, 48)


def test_variance_of_white_noise_under_smooth_light():
    rng = np.random.default_rng(1)
    light = 50.0 * np.sin(np.linspace(0.0, 3.0, 48))[None, None] * np.ones(SHAPE)
    assert rough_variance(light + 2.0 * rng.normal(size=SHAPE)) == pytest.approx(4.0, rel=0.05)


def test_growth_of_the_noise_with_light():
    rng = np.random.default_rng(1)
    light = 10.0 + 90.0 * np.linspace(0.0, 1.0, 48)[None, None] * np.ones(SHAPE)
    variance, (least, growth) = noise_model(np.sqrt(3.0 + 0.5 * light) * rng.normal(size=SHAPE), light)
    assert growth == pytest.approx(0.5, rel=0.1) and least == pytest.approx(8.0, rel=0.15)
    assert variance[0, 0, -1] == pytest.approx(53.0, rel=0.1)


def test_background_is_a_constant_unless_the_image_says_otherwise():
    scene = measured(image_of(cf.PointSet([[2.0, 2.4, 2.4]], [4.0]), SHAPE))
    even = smooth_background(scene, scene.image)
    assert np.ptp(even) == 0.0 and even.flat[0] == pytest.approx(10.0, abs=0.1)
    slope = 20.0 * np.linspace(-1.0, 1.0, 48)[None, None] ** 2
    bent = smooth_background(scene, scene.image + slope)
    assert np.sqrt(np.mean((bent - 10.0 - slope) ** 2)) < 0.3
    assert np.ptp(smooth_background(scene, scene.image + slope, "constant")) == 0.0
    with pytest.raises(ConfigError, match="smooth"):
        smooth_background(scene, scene.image, "wavy")
