"""Quaternions against scipy, and rotations spread over all."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cytoform.errors import ConfigError

torch = pytest.importorskip("torch")

from cytoform.neural import rotation  # noqa: E402

DRAWN = Rotation.random(20, random_state=0)
QUATERNIONS = torch.tensor(DRAWN.as_quat(scalar_first=True))


def test_matrices_are_scipys_for_quaternions_of_any_length():
    found = rotation.quaternion_to_matrix(QUATERNIONS * torch.linspace(0.1, 7, 20, dtype=torch.float64)[:, None])
    np.testing.assert_allclose(found.numpy(), DRAWN.as_matrix(), atol=1e-14)
    np.testing.assert_allclose((found @ found.mT).numpy(), np.tile(np.eye(3), (20, 1, 1)), atol=1e-14)
    np.testing.assert_allclose(torch.linalg.det(found).numpy(), 1)
    assert rotation.quaternion_to_matrix(QUATERNIONS.float()).dtype == torch.float32


def test_composition():
    product = (DRAWN[:10] * DRAWN[10:]).as_quat(scalar_first=True)
    one, other = rotation.quaternion_to_matrix(QUATERNIONS[:10]), rotation.quaternion_to_matrix(QUATERNIONS[10:])
    np.testing.assert_allclose(
        rotation.quaternion_to_matrix(torch.tensor(product)).numpy(), (one @ other).numpy(), atol=1e-14
    )


def test_there_and_back():
    back = rotation.matrix_to_quaternion(rotation.quaternion_to_matrix(QUATERNIONS).numpy())
    np.testing.assert_allclose(np.abs((back * QUATERNIONS.numpy()).sum(1)), 1, atol=1e-12)
    assert (back[:, 0] >= 0).all()


def test_angles_about_the_arrays_axes():
    """Each axis by hand: the second turns into the third about the first, and so on round."""
    c, s = np.cos(0.3), np.sin(0.3)
    first = rotation.to_rotation_matrix([0.3, 0, 0])
    np.testing.assert_allclose(first, [[1, 0, 0], [0, c, -s], [0, s, c]], atol=1e-15)
    np.testing.assert_allclose(rotation.to_rotation_matrix([0, 0.3, 0]), [[c, 0, s], [0, 1, 0], [-s, 0, c]], atol=1e-15)
    np.testing.assert_allclose(rotation.to_rotation_matrix([0, 0, 0.3]), [[c, -s, 0], [s, c, 0], [0, 0, 1]], atol=1e-15)
    both = rotation.to_rotation_matrix([0.3, 0, -0.8])
    np.testing.assert_allclose(both, first @ rotation.to_rotation_matrix([0, 0, -0.8]), atol=1e-15)
    np.testing.assert_allclose(rotation.angles_to_quaternion(np.zeros((2, 3))), [[1, 0, 0, 0]] * 2)


def test_any_way_of_telling_a_rotation():
    matrix = DRAWN[3].as_matrix()
    np.testing.assert_allclose(rotation.to_rotation_matrix(matrix), matrix)
    np.testing.assert_allclose(
        rotation.to_rotation_matrix(-2 * DRAWN[3].as_quat(scalar_first=True)), matrix, atol=1e-14
    )
    np.testing.assert_allclose(rotation.to_rotation_matrix(DRAWN[3].as_euler("XYZ")), matrix, atol=1e-14)
    mirror, wide = np.diag([1.0, 1, -1]), 1.1 * np.eye(3)
    for wrong in (mirror, wide, np.zeros(4), np.full(3, np.nan), np.full((3, 3), np.nan), np.zeros(5)):
        with pytest.raises(ConfigError, match="not a rotation"):
            rotation.to_rotation_matrix(wrong)


def test_gradient():
    given = (QUATERNIONS[:3] * 1.7).requires_grad_()
    assert torch.autograd.gradcheck(rotation.quaternion_to_matrix, (given,))


@pytest.mark.parametrize(("count", "farthest", "typical"), [(20, 95, 52), (60, 65, 35), (300, 36, 21)])
def test_even_rotations_leave_no_gap(count, farthest, typical):
    """Degrees from any rotation to the next of them; as many at random leave up to half as much again."""
    spread = rotation.even_rotations(count)
    assert spread.shape == (count, 4)
    np.testing.assert_allclose(spread[0], [1, 0, 0, 0], atol=1e-12)
    any_rotation = Rotation.random(4000, random_state=1).as_quat(scalar_first=True)
    gaps = np.degrees(2 * np.arccos(np.clip(np.abs(any_rotation @ spread.T).max(1), 0, 1)))
    assert gaps.max() < farthest and gaps.mean() < typical
    at_random = Rotation.random(count, random_state=2).as_quat(scalar_first=True)
    random_gaps = np.degrees(2 * np.arccos(np.clip(np.abs(any_rotation @ at_random.T).max(1), 0, 1)))
    assert gaps.max() < random_gaps.max() and gaps.mean() < random_gaps.mean()


def test_a_single_rotation_is_none():
    np.testing.assert_allclose(rotation.even_rotations(1), [[1, 0, 0, 0]], atol=1e-12)
