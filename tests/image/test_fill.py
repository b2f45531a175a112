"""Voxels filled in with a constant are told from measured ones, also from a background clipped at zero."""

import numpy as np
import pytest
from scipy import ndimage

from cytoform.image.fill import find_constant_fill

SHAPE = (12, 50, 30)


def background(seed=0, offset=100.0, sigma=3.0):
    return offset + np.random.default_rng(seed).normal(0, sigma, SHAPE)


def sheared():
    """A window that moves by two voxels a slice, as deskewing makes it."""
    seen = np.zeros(SHAPE, dtype=bool)
    for k in range(SHAPE[0]):
        seen[k, 2 * k + 2 : 2 * k + 24] = True
    return seen


@pytest.mark.parametrize("value", [0.0, 1000.0])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_the_outside_of_a_sheared_window_is_found(value, dtype):
    seen = sheared()
    found, filled_with = find_constant_fill(np.where(seen, background(), value).astype(dtype))
    assert filled_with == value
    assert found[~seen].all()
    inner = ndimage.binary_erosion(seen, np.ones((3, 3, 3)), border_value=1)
    np.testing.assert_array_equal(found, ~inner)  # the rim of one voxel, which interpolation mixes, counts to it


def test_a_turned_window_is_found():
    wide = ndimage.rotate(background(), 20, axes=(1, 2), reshape=True, order=1, cval=0.0)
    whole = ndimage.rotate(np.ones(SHAPE), 20, axes=(1, 2), reshape=True, order=1, cval=0.0)
    found, _ = find_constant_fill(wide.astype(np.float32))
    deep = ndimage.binary_erosion(whole == 1, np.ones((1, 3, 3)), iterations=2, border_value=1)
    assert found[whole == 0].all() and not found[deep].any()


def test_a_strip_at_one_side_is_found():
    data = background().astype(np.uint16)
    data[:, :, :4] = 0
    found, value = find_constant_fill(data)
    assert value == 0 and found[:, :, :5].all() and not found[:, :, 5:].any()


def test_measured_images_have_none():
    rng = np.random.default_rng(0)
    z, y, x = np.indices(SHAPE)
    cell = 400 * np.exp(-0.5 * ((np.sqrt((z - 6) ** 2 + (y - 25) ** 2 + (x - 15) ** 2) - 5) / 1.2) ** 2)
    for image in (
        background().astype(np.uint16),  # noise
        rng.poisson(0.05 + cell / 50).astype(np.uint8),  # counts, mostly zero
        np.clip(cell + rng.normal(0, 3, SHAPE) - 5, 0, None).astype(np.uint16),  # clipped at zero
        np.round(cell).astype(np.uint8),  # denoised: exactly zero far away
        cell.astype(np.float32),
        (cell > 100).astype(np.uint8) * 255,  # a mask
        np.clip(cell * 10, 0, 1000).astype(np.uint16),  # saturated inside
    ):
        assert find_constant_fill(image) is None
    assert find_constant_fill(np.full(SHAPE, 7)) is None


def test_saturated_light_at_the_border_is_no_fill():
    """A bright neighbour whose top is cut off by the camera: around it the light falls off step by step."""
    data = background()
    y, x = np.indices(SHAPE[1:])
    data = data + 9000 * np.exp(-0.5 * (np.hypot(y - 25, x + 4) / 8) ** 2)
    saturated = np.minimum(data, 4095).astype(np.uint16)
    assert (saturated == 4095).mean() > 0.05
    assert find_constant_fill(saturated) is None


def test_two_values_are_found():
    data = background()
    data[:, :8], data[:, -6:] = 0.0, 2000.0
    found, _ = find_constant_fill(data.astype(np.uint16))
    assert found[:, :9].all() and found[:, -7:].all() and not found[:, 9:-7].any()
