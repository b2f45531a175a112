"""Rotations found between shapes that are the same but for known turns."""

import numpy as np
import pytest
from neural.shapes import body
from scipy.spatial.transform import Rotation

pytest.importorskip("torch")

from cytoform.neural.alignment import align


@pytest.mark.parametrize("cut", [pytest.param((0, 0, 0), marks=pytest.mark.slow), (0, 1, 2)])
def test_turns_are_found(cut):
    """In a cube, and in a box whose other axes are shorter."""
    turns = Rotation.random(5, rng=np.random.default_rng(0)).as_matrix()
    n = 20
    shapes = np.stack([np.stack(list(body(turn=turn, n=n))) for turn in turns])
    box = tuple(slice(c, n - c) for c in cut)
    levelled = np.tanh(shapes[:, :, *box] / 1.0)
    matrices, turned = align(levelled, [(n - 1 - 2 * c) / (n - 1) for c in cut])
    assert np.abs(matrices[0] - np.eye(3)).max() < 1e-12
    for matrix, turn in zip(matrices, turns):
        assert np.rad2deg(Rotation.from_matrix(matrix @ (turn @ turns[0].T).T).magnitude()) < 3.0
    assert np.abs(turned - turned[0]).mean() < 0.1 * np.abs(levelled - levelled[0]).mean()
