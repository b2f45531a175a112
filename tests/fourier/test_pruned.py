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


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_through_the_image_and_back(monkeypatch, workers, dtype):
    monkeypatch.setattr(pruned, "_SLAB_VOXELS", 250)  # slabs of two planes, the last of one
    grid = cf.Grid((9, 10, 12), (0.5, 0.4, 0.3))
    band = cf.GaussianPSF.from_sigma(0.6).band(grid, 0.05)
    rng = np.random.default_rng(0)
    box = band.restrict(np.fft.rfftn(rng.normal(size=grid.shape))).astype(np.result_type(dtype, np.complex64))
    factor = rng.normal(size=grid.shape).astype(dtype)

    def visit(planes, image):
        image *= factor[planes]
        return planes, float(image.sum())

    kept = box.copy()
    found, results = pruned.through_image(box, band, visit, workers=workers)
    assert (box == kept).all()
    image = pruned.to_image(box, band) * factor
    wanted = pruned.to_band(image, band)
    np.testing.assert_allclose(found, wanted, atol=(2e-6 if dtype == np.float32 else 1e-13) * np.abs(wanted).max())
    assert found.dtype == wanted.dtype
    assert [r[0] for r in results] == [slice(k, min(k + 2, 9)) for k in range(0, 9, 2)]
    assert sum(r[1] for r in results) == pytest.approx(float(image.sum()), rel=1e-4)
