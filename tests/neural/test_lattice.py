"""Samples read anywhere, against scipy's interpolation."""

import numpy as np
import pytest
from scipy import ndimage

pytest.importorskip("torch")

from cytoform.neural.lattice import interpolate_trilinear


@pytest.mark.parametrize("dtype, bar", [(np.float64, 1e-13), (np.float32, 1e-6)])
@pytest.mark.parametrize("sides", [(5, 6, 7), (2, 9, 4)])
def test_reads_as_scipy_does(sides, dtype, bar):
    rng = np.random.default_rng(0)
    shape = rng.normal(size=(3, *sides)).astype(dtype)
    half = (np.array(sides) - 1) / (max(sides) - 1)
    points = rng.uniform(-1.3, 1.3, (200, 3))
    place = ((points / half + 1) / 2 * (np.array(sides) - 1)).T
    expected = [ndimage.map_coordinates(s.astype(np.float64), place, order=1, mode="nearest") for s in shape]
    found = interpolate_trilinear(shape, points, half, dtype)
    assert found.dtype == dtype
    assert np.abs(found - expected).max() < bar * np.abs(shape).max() * 4


def test_samples_themselves():
    shape = np.arange(24.0).reshape(1, 2, 3, 4)
    ends = np.stack(np.meshgrid(*[np.linspace(-h, h, n) for h, n in ((0.3, 2), (0.5, 3), (1, 4))], indexing="ij"), -1)
    assert np.abs(interpolate_trilinear(shape, ends.reshape(-1, 3), (0.3, 0.5, 1)) - shape.reshape(1, -1)).max() < 1e-13
