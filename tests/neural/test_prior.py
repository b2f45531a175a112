"""Priors against the moments that they should have."""

import numpy as np
import pytest

from cytoform.errors import ConfigError

torch = pytest.importorskip("torch")

from cytoform.neural.model import LearnedSequences  # noqa: E402
from cytoform.neural.prior import Gaussian, fit_prior  # noqa: E402

MANY = 40_000


def learned(codes, labels=None):
    codes = torch.as_tensor(codes)
    n = len(codes)
    return LearnedSequences(codes, torch.zeros(n, 4), [str(k) for k in range(n)], labels or [""] * n, n)


def codes(n=12, latent=3):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, latent)) @ np.diag([2.0, 0.5, 0.1])[:latent, :latent] + [1.0, -2.0, 0.5][:latent]


def moments(prior, seed=0):
    drawn = prior.draw(MANY, np.random.default_rng(seed))
    return drawn.mean(0), np.cov(drawn.T), drawn


@pytest.mark.parametrize("spread", [None, 0.5, 2.0])
def test_gaussian_has_the_codes_moments(spread):
    given = codes()
    mean, covariance, _ = moments(fit_prior(learned(given), "gaussian", spread=spread))
    wide = (spread or 1.0) ** 2
    deviation = np.sqrt(np.diag(np.cov(given.T)) * wide)
    # standard errors: σ/√n of a mean, about √2 σ²/√n of a covariance; five of them
    assert (np.abs(mean - given.mean(0)) < 5 * deviation / np.sqrt(MANY)).all()
    bound = 5 * np.sqrt(2 / MANY) * np.outer(deviation, deviation)
    assert (np.abs(covariance - wide * np.cov(given.T)) < bound).all()


def test_fewer_codes_than_dimensions():
    """Draws stay in the plane that three codes span, and have their covariance there."""
    given = np.random.default_rng(1).normal(size=(3, 10))
    _, covariance, drawn = moments(Gaussian(given))
    axes = np.linalg.svd(given - given.mean(0))[2]
    assert np.abs((drawn - given.mean(0)) @ axes[2:].T).max() < 1e-12
    np.testing.assert_allclose(covariance, np.cov(given.T), atol=6 * np.sqrt(2 / MANY) * np.cov(given.T).max())


def test_near_is_the_codes_and_noise():
    """Covariance of a choice plus that of the noise: (n − 1)/n C + s² C; each code serves equally often."""
    given = codes()
    _, covariance, drawn = moments(fit_prior(learned(given), "near"))
    share = 11 / 12 + 0.3**2
    deviation = np.sqrt(share * np.diag(np.cov(given.T)))
    assert (np.abs(covariance - share * np.cov(given.T)) < 5 * np.sqrt(2 / MANY) * np.outer(deviation, deviation)).all()
    still = fit_prior(learned(given), "near", spread=0.0).draw(24, np.random.default_rng(0))
    np.testing.assert_allclose(np.sort(still, 0), np.sort(np.concatenate([given, given]), 0))
    assert len(drawn) == MANY


def test_mixture_follows_the_labels():
    left, right = codes(9) - [20, 0, 0], codes(3) + [20, 0, 0]
    given = learned(np.concatenate([left, right]), ["l"] * 9 + ["r"] * 3)
    drawn = fit_prior(given, "mixture").draw(MANY, np.random.default_rng(0))
    on_the_right = drawn[:, 0] > 0
    assert abs(on_the_right.mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / MANY)
    np.testing.assert_allclose(drawn[on_the_right].mean(0), right.mean(0), atol=0.1)
    np.testing.assert_allclose(np.cov(drawn[~on_the_right].T), np.cov(left.T), atol=0.15 * np.cov(left.T).max())


def test_mixture_finds_the_families():
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(0)
    centres = np.array([[6, 0, 0], [-6, 0, 0], [0, 8, 0]])
    given = np.concatenate([c + 0.3 * rng.normal(size=(12, 3)) for c in centres])
    prior = fit_prior(learned(given), "mixture")
    drawn = prior.draw(2000, rng)
    away = np.linalg.norm(drawn[:, None] - centres, axis=2).min(1)
    assert len(prior.parts) == 3 and np.quantile(away, 0.99) < 1.5
    assert np.linalg.norm(fit_prior(learned(given)).draw(500, rng)[:, None] - centres, axis=2).min(1).max() > 3


def test_one_family_stays_one():
    pytest.importorskip("sklearn")
    given = np.random.default_rng(3).normal(size=(40, 3))
    assert len(fit_prior(learned(given), "mixture").parts) == 1


@pytest.mark.parametrize("kind", ["gaussian", "near", "mixture"])
def test_seeded(kind):
    prior = fit_prior(learned(codes(), ["a", "b"] * 6), kind)
    one, same, other = (prior.draw(5, np.random.default_rng(s)) for s in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert one.shape == (5, 3) and not np.array_equal(one, other)


def test_errors():
    with pytest.raises(ConfigError, match="expected one of gaussian, near, mixture"):
        fit_prior(learned(codes()), "flow")
    with pytest.raises(ConfigError, match="spread is -1"):
        fit_prior(learned(codes()), spread=-1)
    with pytest.raises(ConfigError, match="learned 1 sequences; expected two or more"):
        fit_prior(learned(codes(1)))
