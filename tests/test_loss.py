"""What losses are made of: closed forms, numpy's least squares."""

import numpy as np
from scipy.optimize import nnls

from cytoform.loss import best_affine, best_pair, huber_weights, signal_weights


def _case(dtype=np.float64):
    rng = np.random.default_rng(0)
    return tuple(rng.uniform(0.0, 1.0, (4, 5, 6)).astype(dtype) for _ in range(3))


def test_best_affine_is_least_squares():
    rendered, observed, weights = _case()
    observed = 3.0 * rendered + 0.5 + 0.1 * observed
    root = np.sqrt(weights).ravel()
    design = np.stack([rendered.ravel() * root, root], axis=1)
    wanted = np.linalg.lstsq(design, observed.ravel() * root, rcond=None)[0]
    np.testing.assert_allclose(best_affine(rendered, observed, weights), wanted, rtol=1e-10)


def test_best_pair_is_non_negative_least_squares():
    rng = np.random.default_rng(4)
    for _ in range(40):
        renderings = rng.normal(size=(2, 200))
        renderings[1] += 0.6 * renderings[0]
        observed = rng.uniform(0.2, 2.0) * renderings[0] + rng.uniform(-1.0, 1.0) * renderings[1]
        observed += 0.3 * rng.normal(size=200)
        renderings -= renderings.mean(axis=1, keepdims=True)
        observed -= observed.mean()
        found = best_pair(renderings @ renderings.T, renderings @ observed, observed @ observed)
        wanted = nnls(renderings.T, observed)[0]
        if wanted[0] > 0.02:
            np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-10)
        else:  # the first one stays positive
            assert found[0] > 0 and found[1] >= 0


def test_gain_stays_positive():
    rendered, _, _ = _case()
    gain, _ = best_affine(rendered, -rendered)
    assert gain > 0
    assert best_affine(np.ones((2, 2, 2)), np.full((2, 2, 2), 7.0)) == (0.0, 7.0)


def test_signal_weights():
    observed = np.array([1.0, 2.0, 3.0, 5.0])
    np.testing.assert_allclose(signal_weights(observed, 2.0), [0, 0, 1 / 3, 1])
    np.testing.assert_allclose(signal_weights(observed, 2.0, floor=0.1), [0.1, 0.1, 1 / 3, 1])
    np.testing.assert_allclose(signal_weights(np.ones(3), 2.0), 1.0)


def test_huber_weights_limit_the_pull():
    residual = np.array([0.1, -0.1, 0.2, -0.2, 5.0])
    weights = huber_weights(residual, np.ones(5, dtype=bool), 2.0)
    spread = 1.4826 * 0.2
    np.testing.assert_allclose(weights, [1, 1, 1, 1, 2 * spread / 5.0])
    assert (huber_weights(np.zeros(4), np.ones(4, dtype=bool), 2.0) == 1).all()
