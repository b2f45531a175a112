"""What is odd about an image is said before anybody trusts a number."""

import numpy as np
import pytest
from fitting.simulated import ball

import cytoform as cf
from cytoform.errors import ConfigError, FitError
from cytoform.fitting.checks import check_psf_size, image_warnings, saturation_warning

NOISE = np.random.default_rng(0).normal(100, 3, (12, 10, 10))


@pytest.mark.parametrize(
    ("spacing", "words"),
    [
        ((500.0, 250.0, 250.0), "nm or mm"),
        ((0.0005, 0.00025, 0.00025), "nm or mm"),
        ((0.1, 0.25, 0.25), "finer along z"),
        ((3.0, 0.1, 0.1), "30 times as long"),
    ],
)
def test_voxel_sizes_of_no_microscope(spacing, words):
    (found,) = image_warnings(cf.Volume(NOISE, spacing))
    assert words in found


@pytest.mark.parametrize("spacing", [(0.3, 0.1, 0.1), (0.145, 0.145, 0.145), (2.0, 0.3, 0.3), (0.1, 0.103, 0.103)])
def test_usual_voxel_sizes(spacing):
    assert image_warnings(cf.Volume(NOISE, spacing)) == ()


def test_missing_and_repeated_slices():
    data = NOISE.copy()
    data[4] = 0.0
    data[7] = data[6]
    data[0] = data[11] = 0.0  # at the ends they may be padding
    found = image_warnings(cf.Volume(data, (0.3, 0.1, 0.1)))
    assert found == (
        "Slices 4 (counted from 0) hold one value alone, between others that do not.",
        "Slices 7 (counted from 0) repeat the slice before.",
    )


def test_a_full_detector():
    region = np.ones(NOISE.shape, bool)
    assert saturation_warning(NOISE, region) == ""
    assert "25.0% of the voxels" in saturation_warning(np.minimum(NOISE, np.percentile(NOISE, 75)), region)
    truth, volume, psf = ball()
    full = cf.Volume(np.minimum(volume.data, 250), volume.spacing)
    result = cf.fit(full, psf=psf, config=cf.FitConfig(iterations=6, uncertainty=False))
    assert any("detector was full" in text for text in result.warnings())


def test_a_psf_larger_than_the_image():
    _, volume, _ = ball()
    with pytest.raises(FitError, match=r"widths \(FWHM\) of 118, 118, 118 µm"):
        cf.fit(volume, psf=cf.GaussianPSF.from_sigma((50.0, 50.0, 50.0)))
    check_psf_size(cf.GaussianPSF.from_sigma((0.5, 0.3, 0.3)), volume)


def test_values_out_of_float32s_squares():
    """Volts or electrons: images of any unit give the same surface."""
    _, volume, psf = ball()
    config = cf.FitConfig(iterations=6, uncertainty=False, device="cpu", deterministic=True)
    usual = cf.fit(volume, psf=psf, config=config)
    for factor in (1e20, 1e-25):
        other = cf.fit(cf.Volume(volume.data * factor, volume.spacing), psf=psf, config=config)
        assert other.volume_um3 == pytest.approx(usual.volume_um3, rel=1e-3)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"volume": "cell.tif"}, ("volume is 'cell.tif'", "cytoform.read_volume")),
        ({"volume": NOISE}, ("expected a Volume", "cytoform.Volume(array, spacing)")),
        (
            {"volume": cf.Volume(NOISE, 0.3), "psf": (0.3, 0.2, 0.2)},
            ("psf is (0.3, 0.2, 0.2)", "GaussianPSF.from_sigma"),
        ),
    ],
)
def test_inputs_of_another_kind_are_named(given, words):
    with pytest.raises(ConfigError) as refused:
        cf.fit(**given)
    assert all(word in str(refused.value) for word in words)
