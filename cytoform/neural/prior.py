"""Distributions of new latent codes: a Gaussian fitted to the learned codes, a mixture, or noise around each code."""

from __future__ import annotations

import dataclasses
from typing import Protocol

import numpy as np

from .._typing import Floats, Ints
from ..errors import ConfigError
from .model import LearnedSequences

__all__ = ["PRIORS", "Gaussian", "Mixture", "Near", "Prior", "fit_prior"]


PRIORS = ("gaussian", "near", "mixture")
_MOST_COMPONENTS = 6
_VARIANCE_KEPT = 0.95  # of the codes' variance, in the principal components to which a mixture is fitted
_NEAR_SPREAD = 0.3  # of the codes' standard deviation, around each


class Prior(Protocol):
    """A distribution of latent codes."""

    def draw(self, n: int, rng: np.random.Generator) -> Floats:
        """Draw n latent codes (n, latent)."""
        ...


@dataclasses.dataclass(frozen=True)
class Gaussian:
    """The normal distribution with the mean and the covariance of given codes (n, latent), ``spread`` times as wide.

    Drawn as mean + spread · Xᵀ w / √(n − 1) with centred codes X and standard normal w: exact also where there are
    fewer codes than dimensions, and then within the subspace that they span.
    """

    codes: Floats
    spread: float = 1.0

    def draw(self, n: int, rng: np.random.Generator) -> Floats:
        """Draw n latent codes (n, latent) from the normal distribution."""
        mean = self.codes.mean(0)
        weights = rng.standard_normal((n, len(self.codes))) / np.sqrt(max(len(self.codes) - 1, 1))
        drawn: Floats = mean + self.spread * weights @ (self.codes - mean)
        return drawn


@dataclasses.dataclass(frozen=True)
class Near:
    """A learned code chosen at random, plus a draw from the codes' Gaussian about 0, ``spread`` times as wide.

    For families whose individuals differ in kind, such as cells with branching filopodia (2024 paper, section 5.1).
    """

    codes: Floats
    spread: float = _NEAR_SPREAD

    def draw(self, n: int, rng: np.random.Generator) -> Floats:
        """Draw n latent codes (n, latent): learned ones in random order, each equally often, plus noise."""
        order = np.concatenate([rng.permutation(len(self.codes)) for _ in range(-(-n // len(self.codes)))])[:n]
        noise = Gaussian(self.codes, self.spread).draw(n, rng) - self.codes.mean(0)
        drawn: Floats = self.codes[order] + noise
        return drawn


@dataclasses.dataclass(frozen=True)
class Mixture:
    """A mixture of Gaussians, each with the weight of its share of the learned codes, for heterogeneous families."""

    parts: tuple[Gaussian, ...]

    def draw(self, n: int, rng: np.random.Generator) -> Floats:
        """Draw n latent codes (n, latent), each from a component chosen with its weight."""
        share = np.array([len(p.codes) for p in self.parts], dtype=float)
        which = rng.choice(len(self.parts), n, p=share / share.sum())
        drawn = np.empty((n, self.parts[0].codes.shape[1]))
        for k, part in enumerate(self.parts):
            drawn[which == k] = part.draw(int((which == k).sum()), rng)
        return drawn


def fit_prior(
    learned: LearnedSequences, kind: str = "gaussian", *, spread: float | None = None, seed: int = 0
) -> Prior:
    """Return a distribution of latent codes fitted to learned ones.

    Parameters
    ----------
    learned : LearnedSequences
        The codes, at least two, and their labels.
    kind : str
        ``gaussian``: a normal distribution with the mean and covariance of the codes. ``near``: a learned code chosen
        at random, plus normal noise with their covariance. ``mixture``: normal distributions, one for each label where
        there are several labels, else as many (1 to 6) as the Bayesian information criterion selects (scikit-learn).
    spread : float, optional
        Standard deviation relative to that of the learned codes: by default 1, or 0.3 for ``near``.
    seed : int
        Of the fit of a mixture.

    Returns
    -------
    Prior
        To draw codes from.

    Raises
    ------
    ConfigError
        For another kind, a spread that is negative, or fewer than two codes.
    """
    if kind not in PRIORS:
        raise ConfigError(f"prior is {kind!r}; expected one of {', '.join(PRIORS)}.")
    if spread is not None and not spread >= 0:
        raise ConfigError(f"spread is {spread!r}; expected a number of at least 0.")
    if len(learned) < 2:
        raise ConfigError(
            f"the model has learned {len(learned)} sequences; expected two or more to draw new codes from.",
            remedy="Train on more sequences.",
        )
    codes = learned.codes.double().numpy()
    if kind == "near":
        return Near(codes, _NEAR_SPREAD if spread is None else spread)
    width = 1.0 if spread is None else spread
    if kind == "gaussian":
        return Gaussian(codes, width)
    member = _cluster_codes(codes, learned.labels, seed)
    return Mixture(tuple(Gaussian(codes[member == k], width) for k in np.unique(member)))


def _cluster_codes(codes: Floats, labels: list[str], seed: int) -> Ints:
    """Return the number of the mixture component that each code (n, latent) belongs to.

    Codes with the same label belong together. Without labels, Gaussian mixtures of 1 to 6 components (at most n / 5)
    are fitted to the codes' principal components, and the one of the least Bayesian information criterion assigns the
    codes.
    """
    if len(set(labels)) > 1:
        return np.unique(labels, return_inverse=True)[1]
    try:
        from sklearn.mixture import GaussianMixture
    except ImportError as error:
        raise ConfigError(
            "a mixture without labels needs scikit-learn, which is not installed.",
            remedy='pip install "cytoform[neural]".',
        ) from error
    scores = _principal_components(codes)
    most = max(1, min(_MOST_COMPONENTS, len(codes) // 5))
    fits = [
        GaussianMixture(k, covariance_type="diag", n_init=5, random_state=seed, reg_covar=1e-3).fit(scores)
        for k in range(1, most + 1)
    ]
    members: Ints = min(fits, key=lambda fit: fit.bic(scores)).predict(scores)
    return members


def _principal_components(codes: Floats) -> Floats:
    """Return the principal component scores (n, k) of codes (n, latent) that hold 95 % of their variance.

    They are divided by the standard deviation of the first component.
    """
    left, size, _ = np.linalg.svd(codes - codes.mean(0), full_matrices=False)
    share = np.cumsum(size**2) / max(float((size**2).sum()), 1e-300)
    kept = 1 + int(np.searchsorted(share, _VARIANCE_KEPT))
    scores = left[:, :kept] * size[:kept]
    scaled: Floats = scores / max(float(scores[:, 0].std()), 1e-300)
    return scaled
