"""Image agreement: closed forms and scikit-image."""

import numpy as np
import pytest
from skimage import metrics as reference

from cytoform.errors import VolumeError
from cytoform.metrics import mse, psnr, r2, region_of_r2, ssim


def _pair(seed=0, shape=(9, 11, 13)):
    rng = np.random.default_rng(seed)
    image = rng.random(shape)
    return image, image + 0.1 * rng.normal(size=shape)


def test_r2_closed_forms():
    image, _ = _pair()
    assert r2(image, image) == 1.0
    assert r2(image, np.full_like(image, image.mean())) == pytest.approx(0.0, abs=1e-12)
    assert r2(image, 2 * image.mean() - image) == pytest.approx(-3.0)
    assert np.isnan(r2(np.ones((2, 2, 2)), np.zeros((2, 2, 2))))


def test_r2_counts_only_the_mask_with_its_own_mean():
    image, model = _pair()
    mask = image > 0.5
    part, other = image[mask], model[mask]
    expected = 1 - ((part - other) ** 2).sum() / ((part - part.mean()) ** 2).sum()
    assert r2(image, model, mask) == pytest.approx(expected, rel=1e-14)
    elsewhere = np.where(mask, model, 1e6)
    assert r2(image, elsewhere, mask) == r2(image, model, mask)


def test_unsigned_integers_do_not_wrap():
    image, model = np.array([[[3, 5]]], np.uint8), np.array([[[5, 3]]], np.uint8)
    assert mse(image, model) == 4.0


def test_mse_psnr_ssim_agree_with_scikit_image():
    image, model = _pair()
    extent = np.ptp(image)
    assert mse(image, model) == pytest.approx(reference.mean_squared_error(image, model), rel=1e-12)
    expected = reference.peak_signal_noise_ratio(image, model, data_range=extent)
    assert psnr(image, model) == pytest.approx(expected, rel=1e-12)
    assert psnr(image, image) == np.inf
    assert ssim(image, model) == pytest.approx(reference.structural_similarity(image, model, data_range=extent))
    assert ssim(image, image, image > 0.5) == pytest.approx(1.0)


@pytest.mark.parametrize("metric", [r2, mse, psnr, ssim])
def test_what_cannot_be_compared_is_refused(metric):
    image, model = _pair()
    with pytest.raises(VolumeError, match="same shape"):
        metric(image, model[1:])
    with pytest.raises(VolumeError, match="empty"):
        metric(image, model, np.zeros(image.shape, bool))


def test_ssim_needs_room_for_its_window():
    with pytest.raises(VolumeError, match="at least 7"):
        ssim(np.ones((3, 9, 9)), np.ones((3, 9, 9)))


def test_region_of_r2_is_a_ball_around_one_voxel_with_anisotropic_steps():
    mask = np.zeros((9, 21, 21), bool)
    mask[4, 10, 10] = True
    region = region_of_r2(mask, (0.5, 0.2, 0.1), margin=1.0)
    z, y, x = np.indices(mask.shape)
    distance = np.sqrt((0.5 * (z - 4)) ** 2 + (0.2 * (y - 10)) ** 2 + (0.1 * (x - 10)) ** 2)
    assert np.array_equal(region, distance <= 1.0 + 1e-9)


def test_region_of_r2_holds_the_body_and_stops_at_the_border():
    mask = np.zeros((6, 6, 6), bool)
    mask[:3] = True
    region = region_of_r2(mask, 0.5, margin=1.0)
    assert region[:5].all() and not region[5:].any()
    assert not region_of_r2(np.zeros((3, 3, 3), bool), 1.0).any()
