"""Where new codes come from: a Gaussian fitted to the learned ones, several of them, or noise around each."""

from __future__ import annotations

import dataclasses
from typing import Protocol

import numpy as np

from .._typing import Floats, Ints
from ..errors import ConfigError
from .model import Learned

__all__ = ["PRIORS", "Gaussian", "Mixture", "Near", "Prior", "fit_prior"]


PRIORS = ("gaussian", "near", "mixture")
_MOST_PARTS = 6
_KEPT = 0.95  # of the codes' variance, in which the mixture's parts are told apart
_NEAR_SPREAD = 0.3  # of the codes' standard deviation, around each


class Prior(Protocol):
    """Draws codes."""

    def draw(self, n: int, rng: np.random.Generator) -> Floats:
        """n codes (n, latent)."""
        ...


@dataclasses.dataclass(frozen=True)
class Gaussian:
    """The normal distribution with the mean and the covariance of given codes (n, latent).

    Drawn as mean + Xᵀ w / √(n − 1) with centred codes X and standard normal w: exact also where there are fewer codes
    than dimensions, and then within the space that they span.
    """

    codes: Floats
    spread: float = 1.0

    def draw(self, n: int, rng: np.random.Generator) -> Floats:
        """n codes (n, latent)."""
        mean = self.codes.mean(0)
        weights = rng.standard_normal((n, len(self.codes))) / np.sqrt(max(len(self.codes) - 1, 1))
        return mean + self.spread * weights @ (self.codes - mean)


@dataclasses.dataclass(frozen=True)
class Near:
    """A learned code chosen at random, moved by a draw from the codes' own Gaussian, ``spread`` as wide.

    For families in which each individual is a case of its own, as branching filopodia (2024 paper, section 5.1).
    """

    codes: Floats
    spread: float = _NEAR_SPREAD

    def draw(self, n: int, rng: np.random.Generator) -> Floats:
        """n codes (n, latent)."""
        order = np.concatenate([rng.permutation(len(self.codes)) for _ in range(-(-n // len(self.codes)))])[:n]
        moved = Gaussian(self.codes, self.spread).draw(n, rng) - self.codes.mean(0)
        return self.codes[order] + moved


@dataclasses.dataclass(frozen=True)
class Mixture:
    """Several Gaussians, each chosen as often as its share of the learned codes, for heterogeneous families."""

    parts: tuple[Gaussian, ...]

    def draw(self, n: int, rng: np.random.Generator) -> Floats:
        """n codes (n, latent)."""
        share = np.array([len(p.codes) for p in self.parts], dtype=float)
        which = rng.choice(len(self.parts), n, p=share / share.sum())
        drawn = np.empty((n, self.parts[0].codes.shape[1]))
        for k, part in enumerate(self.parts):
            drawn[which == k] = part.draw(int((which == k).sum()), rng)
        return drawn


def fit_prior(learned: Learned, kind: str = "gaussian", *, spread: float | None = None, seed: int = 0) -> Prior:
    """A prior fitted to learned codes.

    Parameters
    ----------
    learned : Learned
    kind : str
        ``gaussian``, ``near`` or ``mixture``. A mixture has a part for each label where there are labels, else as many
        as the Bayesian information criterion finds (scikit-learn).
    spread : float, optional
        Width relative to the learned codes' own: 1, or 0.3 for ``near``.

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
    wide = 1.0 if spread is None else spread
    if kind == "gaussian":
        return Gaussian(codes, wide)
    member = _members(codes, learned.labels, seed)
    return Mixture(tuple(Gaussian(codes[member == k], wide) for k in np.unique(member)))


def _members(codes: Floats, labels: list[str], seed: int) -> Ints:
    if len(set(labels)) > 1:
        return np.unique(labels, return_inverse=True)[1]
    try:
        from sklearn.mixture import GaussianMixture
    except ImportError as error:
        raise ConfigError(
            "a mixture without labels needs scikit-learn, which is not installed.",
            remedy='pip install "cytoform[neural]".',
        ) from error
    scores = _scores(codes)
    most = max(1, min(_MOST_PARTS, len(codes) // 5))
    fits = [
        GaussianMixture(k, covariance_type="diag", n_init=5, random_state=seed, reg_covar=1e-3).fit(scores)
        for k in range(1, most + 1)
    ]
    return min(fits, key=lambda fit: fit.bic(scores)).predict(scores)


def _scores(codes: Floats) -> Floats:
    """Principal components that hold most of the variance, the first scaled to 1."""
    left, size, _ = np.linalg.svd(codes - codes.mean(0), full_matrices=False)
    share = np.cumsum(size**2) / max(float((size**2).sum()), 1e-300)
    kept = 1 + int(np.searchsorted(share, _KEPT))
    scores = left[:, :kept] * size[:kept]
    return scores / max(float(scores[:, 0].std()), 1e-300)
