"""Where a grid ends."""

import numpy as np

import cytoform as cf


def test_overhang_adds_both_ends():
    grid = cf.Grid((5, 6, 7), (1.0, 0.5, 0.25), (1.0, 2.0, 3.0))  # voxel centres 1 to 5, 2 to 4.5, 3 to 4.5
    np.testing.assert_allclose(grid.overhang([[0.0, 2.0, 3.0], [6.0, 4.5, 5.0]]), [2.0, 0.0, 0.5])
    np.testing.assert_allclose(grid.overhang([[3.0, 3.0, 4.0]]), 0.0)


def test_a_volume_prints_on_one_line():
    volume = cf.Volume(np.zeros((40, 50, 60), np.uint16), (0.3, 0.1, 0.1), name="cell")
    assert repr(volume) == "Volume(40 × 50 × 60 voxels of 0.3 × 0.1 × 0.1 µm (z, y, x), uint16, 'cell')"
