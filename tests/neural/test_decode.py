"""Following the surface against asking everywhere, on a network that computes a formula exactly."""

import numpy as np
import pytest
from neural.shapes import Octahedron
from scipy.spatial.transform import Rotation

torch = pytest.importorskip("torch")

from cytoform.neural.decode import Decoder, Sampling  # noqa: E402
from cytoform.neural.workers import Workers  # noqa: E402

CPU = torch.device("cpu")


def places(sampling):
    axes = [f + np.arange(n) * s for n, f, s in zip(sampling.shape, sampling.first, sampling.step)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1)


def decoded(shape, sampling, code=0.0, time=0.0, threads=1, **options):
    """Field and number of evaluations."""
    model = shape.model(samples=max(sampling.shape))
    with Workers(CPU, threads) as workers:
        decoder = Decoder(model, workers)
        field = decoder.decode_frame(torch.tensor([code]), time, sampling, **options)
    return field, decoder.evaluations


def test_samples_are_those_of_the_cube():
    for shape in (5, (5, 5, 5)):
        grid = places(Sampling.cube(shape))
        np.testing.assert_allclose(grid[0, 0, 0], -1)
        np.testing.assert_allclose(grid[4, 4, 4], 1)
        np.testing.assert_allclose(grid[2, 1, 3], [0, -0.5, 0.5])
    grid = places(Sampling.cube((3, 5, 9)))
    np.testing.assert_allclose(grid[0, 0, 0], [-0.25, -0.5, -1])
    np.testing.assert_allclose(grid[-1, -1, -1], [0.25, 0.5, 1])
    np.testing.assert_allclose(places(Sampling.cube((3, 5, 9), 1.5)), 1.5 * grid)


@pytest.mark.parametrize("clamp", [None, 0.5, 0.2, 0.05])
@pytest.mark.parametrize("shape", [32, (40, 24, 33), 7])
def test_same_mask_as_everywhere(shape, clamp):
    body = Octahedron(clamp=clamp)
    sampling = Sampling.cube(shape)
    for code, time in ((0.0, 0.0), (1.3, -1.0)):
        truth = body(places(sampling), time, code)
        everywhere, asked = decoded(body, sampling, code, time, exhaustive=True)
        assert everywhere.shape == sampling.shape and everywhere.dtype == np.float32
        np.testing.assert_allclose(everywhere, truth, atol=1e-5)
        assert asked == truth.size
        followed, fewer = decoded(body, sampling, code, time)
        np.testing.assert_array_equal(followed < 0, truth < 0)
        assert 0 < (truth < 0).sum() < truth.size
        near = np.abs(truth) < sampling.step[0]
        np.testing.assert_allclose(followed[near], truth[near], atol=1e-5)
        if clamp in (None, 0.5) and shape != 7:
            assert fewer < 0.8 * asked


def test_much_is_saved_where_there_are_many_voxels():
    sampling = Sampling.cube(96)
    body = Octahedron()
    field, asked = decoded(body, sampling, threads=2)
    truth = body(places(sampling), 0.0)
    np.testing.assert_array_equal(field < 0, truth < 0)
    assert asked < 0.25 * truth.size
    # Off the surface: interpolated between centres of blocks, of the right size
    assert np.abs(field - truth).max() < 8 * sampling.step[0]


def test_a_shape_that_leaves_the_box_and_one_that_fills_it():
    sampling = Sampling.cube(32)
    for radius, code in ((0.4, 6.0), (0.4, 5.0), (3.0, 0.0), (1e-3, 20.0)):
        body = Octahedron(radius=radius)
        truth = body(places(sampling), 0.0, code)
        field, _ = decoded(body, sampling, code)
        np.testing.assert_array_equal(field < 0, truth < 0)


def test_clamped_distance_still_saves():
    """The first blocks are as small as the clamp asks for, not as small as a voxel."""
    sampling = Sampling.cube(64)
    body = Octahedron(clamp=0.15)
    field, asked = decoded(body, sampling)
    np.testing.assert_array_equal(field < 0, body(places(sampling), 0.0) < 0)
    assert asked < 0.5 * field.size


@pytest.mark.parametrize("exhaustive", [True, False])
def test_rotation_turns_the_shape(exhaustive):
    """At x stands what the network says at Rᵀ x: the drift along the first axis becomes one along R e_z."""
    turn = Rotation.from_rotvec([0.3, 0.8, -0.4]).as_matrix()
    sampling = Sampling.cube((32, 36, 30))
    body = Octahedron(radius=0.25)
    field, _ = decoded(body, sampling, 2.0, 1.0, rotation=turn, exhaustive=exhaustive)
    truth = body(places(sampling), 1.0, 2.0, turn)
    np.testing.assert_array_equal(field < 0, truth < 0)
    inside = places(sampling)[field < 0].mean(0)
    np.testing.assert_allclose(inside, turn @ [0.5, 0, 0], atol=0.02)


def test_double_precision():
    model = Octahedron().model().double()
    sampling = Sampling.cube(16)
    with Workers(CPU, 1) as workers:
        field = Decoder(model, workers).decode_frame(
            torch.zeros(1, dtype=torch.float64), 0.0, sampling, exhaustive=True
        )
    assert field.dtype == np.float32
    np.testing.assert_allclose(field, Octahedron()(places(sampling), 0.0), atol=1e-6)


@pytest.mark.parametrize("turn", [np.eye(3), Rotation.from_rotvec([0.4, 0.5, -0.2]).as_matrix()])
def test_outside_of_the_cube_the_border_s_distance_grows_by_the_way_there(turn):
    """The network of a training without rotations has never been asked there."""
    body, sampling = Octahedron(), Sampling.cube(24, 1.4)
    at = places(sampling) @ turn
    inside = np.clip(at, -1, 1)
    wanted = body(inside, 0.0) + np.linalg.norm(at - inside, axis=-1)
    for training, truth in (({"rotation": False}, wanted), ({"rotation": True}, body(at, 0.0)), (None, body(at, 0.0))):
        model = body.model(samples=24)
        model.notes = {"training": training} if training else {}
        with Workers(CPU, 1) as workers:
            frame = Decoder(model, workers).decode_frame(
                torch.tensor([0.0]), 0.0, sampling, rotation=turn, exhaustive=True
            )
        np.testing.assert_allclose(frame, truth, atol=1e-5)
