"""Pruned FFTs against numpy's full ones."""

import numpy as np
import pytest

import cytoform as cf
from cytoform.fourier import pruned
from cytoform.image.band import Band


@pytest.mark.parametrize("shape", [(8, 9, 10), (7, 8, 9), (12, 5, 6)])
@pytest.mark.parametrize("widths", [(0, 0, 0), (1, 2, 1), (3, 1, 2), (99, 99, 99)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_same_as_the_whole_fft(shape, widths, dtype):
    grid = cf.Grid(shape, (0.5, 0.4, 0.3))
    band = Band.box(grid, widths)
    rng = np.random.default_rng(0)
    box = band.restrict(np.fft.rfftn(rng.normal(size=shape))).astype(np.result_type(dtype, np.complex64))
    image = pruned.to_image(box, band)
    wanted = np.fft.irfftn(band.expand(box).astype(complex), s=shape, axes=(0, 1, 2)) / grid.voxel_volume
    digits = 2e-6 if dtype == np.float32 else 1e-13
    assert image.dtype == dtype
    np.testing.assert_allclose(image, wanted, atol=digits * np.abs(wanted).max())
    back = pruned.to_band(image, band)
    assert back.dtype == np.result_type(dtype, np.complex64)
    np.testing.assert_allclose(back * grid.voxel_volume, box, atol=digits * 10 * np.abs(box).max())


def test_modes_left_out_of_the_mask_are_zero():
    grid = cf.Grid((8, 8, 8), 1.0)
    band = cf.GaussianPSF.from_sigma(1.5).band(grid, 0.05)
    found = pruned.to_band(np.random.default_rng(0).normal(size=grid.shape), band)
    assert not found[~band.mask].any() and found[band.mask].all()
