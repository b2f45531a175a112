"""Adam against the textbook written out, AdamUniform against its paper, and states that come back."""

import h5py
import numpy as np
import pytest

from cytoform.errors import ConfigError
from cytoform.optim.adam import Adam, AdamUniform


def written_out(gradients, lr, *, uniform, b1=0.9, b2=0.999, eps=1e-8):
    x = np.zeros_like(gradients[0])
    m, v = 0.0, 0.0
    for t, g in enumerate(gradients, start=1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * (np.abs(g).max() ** 2 if uniform else g**2)
        x = x - lr * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
    return x


def run(optimiser, gradients, lr, x=None):
    x = np.zeros_like(gradients[0]) if x is None else x
    for g in gradients:
        x = optimiser.step(x, g, lr)
    return x


GRADIENTS = np.random.default_rng(0).normal(size=(30, 7, 3)) * [1.0, 10.0, 0.1]


@pytest.mark.parametrize("kind, uniform, eps", [(Adam, False, 1e-8), (AdamUniform, True, 0.0)])
def test_agrees_with_the_formula(kind, uniform, eps):
    mine = run(kind((7, 3)), GRADIENTS, 0.01)
    np.testing.assert_allclose(mine, written_out(GRADIENTS, 0.01, uniform=uniform, eps=eps), rtol=1e-12)


def test_uniform_keeps_the_direction_and_bounds_the_step():
    step = AdamUniform((7, 3)).step(np.zeros((7, 3)), GRADIENTS[0], 0.1)
    np.testing.assert_allclose(step, -0.1 * GRADIENTS[0] / np.abs(GRADIENTS[0]).max(), rtol=1e-12)


@pytest.mark.parametrize("kind", [Adam, AdamUniform])
def test_finds_the_minimum_of_a_bowl(kind):
    goal = np.array([[1.0, -2.0, 3.0]])
    optimiser, x = kind((1, 3)), np.zeros((1, 3))
    for turn in range(2000):
        x = optimiser.step(x, 2 * (x - goal), 0.05 * 0.996**turn)
    np.testing.assert_allclose(x, goal, atol=1e-3)


@pytest.mark.parametrize("kind", [Adam, AdamUniform])
def test_a_saved_state_goes_on_bit_by_bit(kind, tmp_path):
    one, two = kind((7, 3)), kind((7, 3))
    x = run(one, GRADIENTS[:10], 0.01)
    with h5py.File(tmp_path / "state.h5", "w") as file:
        for name, array in one.state_arrays().items():
            file[name] = array
    with h5py.File(tmp_path / "state.h5") as file:
        two.load_state({name: file[name][()] for name in file})
    assert (run(one, GRADIENTS[10:], 0.01, x) == run(two, GRADIENTS[10:], 0.01, x)).all()


def test_state_arrays_are_copies():
    optimiser = AdamUniform((7, 3))
    run(optimiser, GRADIENTS[:3], 0.01)
    optimiser.state_arrays()["first"][:] = 99
    assert np.abs(optimiser.first).max() < 99


@pytest.mark.parametrize("kind", [Adam, AdamUniform])
def test_reset_forgets(kind):
    optimiser = kind((7, 3))
    run(optimiser, GRADIENTS[:5], 0.01)
    optimiser.reset()
    assert (run(optimiser, GRADIENTS, 0.01) == run(kind((7, 3)), GRADIENTS, 0.01)).all()


def test_resized_keeps_the_second_moment_only():
    optimiser = AdamUniform((7, 3))
    run(optimiser, GRADIENTS, 0.01)
    made = optimiser.resized(12)
    assert made.shape == (12, 3) and (made.first == 0).all() and made.second == optimiser.second
    gradient = np.ones((12, 3))
    expected = np.sqrt((0.999 * optimiser.second + 0.001) / (1 - 0.999**31))
    np.testing.assert_allclose(made.step(np.zeros((12, 3)), gradient, 0.1), -0.1 * gradient / expected, rtol=1e-12)


@pytest.mark.parametrize("kind", [Adam, AdamUniform])
def test_float32_and_zero_gradients(kind):
    x = np.ones((4, 3), dtype=np.float32)
    out = kind((4, 3)).step(x, np.zeros((4, 3), dtype=np.float32), 0.1)
    assert out.dtype == np.float32 and (out == 1).all() and out is not x


def test_refusals_leave_the_state_alone():
    optimiser = Adam((2, 3))
    with pytest.raises(ConfigError, match="resized"):
        optimiser.step(np.zeros((3, 3)), np.zeros((3, 3)), 0.1)
    with pytest.raises(ConfigError, match="NaN"):
        optimiser.step(np.zeros((2, 3)), np.full((2, 3), np.nan), 0.1)
    assert optimiser.count == 0 and (optimiser.first == 0).all()
    with pytest.raises(ConfigError, match="missing"):
        optimiser.load_state({})
    with pytest.raises(ConfigError, match="of shape"):
        optimiser.load_state(Adam((4, 3)).state_arrays())
    with pytest.raises(ConfigError, match="beta1"):
        Adam((1,), beta1=1.0)
    with pytest.raises(ConfigError, match="epsilon"):
        Adam((1,), epsilon=-1.0)
