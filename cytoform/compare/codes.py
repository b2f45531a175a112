"""Analysis of latent codes: principal components, t-SNE, and how well labels separate."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .._typing import Array, Floats
from ..errors import BackendError, SequenceError
from ..tables import csv_text

__all__ = ["PCA", "CodeSpace", "NamedCodes", "code_space", "pca", "silhouette", "tsne"]


_PERPLEXITY = 30.0  # default of t-SNE
_LEAST = 4  # number of codes for t-SNE


@dataclasses.dataclass(frozen=True, eq=False)
class PCA:
    """Principal components of n codes of length L; there are k = min(n − 1, L) of them.

    Parameters
    ----------
    mean : (L,) float64
        Mean of the codes.
    components : (k, L) float64
        Unit vectors, the entry of largest magnitude positive.
    explained : (k,) float64
        Part of the variance along each, largest first; they add up to 1, or are 0 where all codes are equal.
    scores : (n, k) float64
        Coordinates of the codes: ``codes = scores @ components + mean``.
    """

    mean: Floats
    components: Floats
    explained: Floats
    scores: Floats

    def needed(self, part: float) -> int:
        """Return the least number of leading components that together explain a part of the variance.

        Parameters
        ----------
        part : float
            Part of the variance to explain, 0 to 1.

        Returns
        -------
        int
            0 where all codes are equal.
        """
        return int(np.searchsorted(np.cumsum(self.explained), part - 1e-12) + 1) if self.explained.any() else 0


@dataclasses.dataclass(frozen=True, eq=False)
class CodeSpace:
    """Latent codes of a comparison, with their principal components, t-SNE embedding and silhouette.

    Parameters
    ----------
    sets : (n,) str
        Set that each code belongs to.
    sequences : (n,) str
        Name of the sequence that each code stands for.
    labels : (n,) str or None
        Family of each code, "" where it has none; None where no families are known.
    codes : (n, L) float64
        The latent codes.
    pca : PCA
        Their principal components.
    tsne : (n, 2) float64 or None
        Their t-SNE embedding; None where there are fewer than 4 codes, or no scikit-learn.
    silhouette : float
        Mean silhouette of the labelled codes, −1 to 1; NaN where it is not defined.
    """

    sets: Array
    sequences: Array
    labels: Array | None
    codes: Floats
    pca: PCA
    tsne: Floats | None
    silhouette: float

    def csv(self) -> str:
        """Return the codes as the text of a CSV file, with a header and one row for each code.

        Returns
        -------
        str
            Columns ``set``, ``sequence``, ``label``, the first three principal components ``pc1`` …, ``tsne1``,
            ``tsne2``, and the numbers of the code ``z0`` …; missing values are empty.
        """
        shown = min(3, self.pca.scores.shape[1])
        head = ["set", "sequence", "label", *(f"pc{k + 1}" for k in range(shown)), "tsne1", "tsne2"]
        plane = np.full((len(self.codes), 2), np.nan) if self.tsne is None else self.tsne
        labels = np.full(len(self.codes), "") if self.labels is None else self.labels
        numbers = np.hstack([self.pca.scores[:, :shown], plane, self.codes])
        rows = zip(self.sets, self.sequences, labels, numbers.tolist())
        return csv_text([*head, *(f"z{k}" for k in range(self.codes.shape[1]))], ([*who, *row] for *who, row in rows))


@dataclasses.dataclass(frozen=True, eq=False)
class NamedCodes:
    """Latent codes with the name of the sequence that each belongs to.

    Parameters
    ----------
    names : list of str
        Names of the sequences, one for each code.
    codes : (n, L) float
        The codes.
    """

    names: list[str]
    codes: Array

    def __len__(self) -> int:
        """Return the number of codes."""
        return len(self.codes)

    def ordered(self, sequences: Sequence[str], of_set: str) -> tuple[Array, list[str]]:
        """Return the codes in the order of a list of sequences.

        Codes are matched by name where the names are the same ones, each once, in any order. Otherwise they are
        returned as they are, with a warning.

        Parameters
        ----------
        sequences : sequence of str
            Names of the sequences in the wanted order.
        of_set : str
            Name of the set of these sequences, for the warning.

        Returns
        -------
        codes : (n, L) float
            The codes in that order.
        notes : list of str
            The warning, or an empty list.
        """
        if len(set(self.names)) == len(self.names) and set(self.names) == set(sequences):
            return self.codes[[self.names.index(name) for name in sequences]], []
        return self.codes, [
            f"codes: their names ({_first_two(self.names)}) differ from those of the sequences of {of_set} "
            f"({_first_two(sequences)}); they are assigned in order."
        ]


def _first_two(names: Sequence[str]) -> str:
    """Join the first two names by commas, followed by "…" where there are more."""
    return ", ".join(names[:2]) + (", …" if len(names) > 2 else "")


def _checked_codes(codes: npt.ArrayLike) -> Floats:
    """Return codes as a float64 array (n, latent); raise SequenceError unless n ≥ 2, latent ≥ 1 and all are finite."""
    array = np.asarray(codes, dtype=np.float64)
    if array.ndim != 2 or array.shape[0] < 2 or array.shape[1] < 1:
        raise SequenceError(f"codes has shape {array.shape}; expected (n, latent) with n at least 2.")
    if not np.isfinite(array).all():
        raise SequenceError("codes holds NaN or infinity; expected numbers.", remedy="Did the training diverge?")
    return array


def _scikit_learn() -> Any:
    """Import and return ``sklearn.manifold`` and ``sklearn.metrics``; raise BackendError if scikit-learn is missing."""
    try:
        import sklearn.manifold as manifold
        import sklearn.metrics as metrics
    except ImportError as error:
        raise BackendError(
            "t-SNE and silhouettes need scikit-learn, which is not installed.",
            remedy='Install it with: pip install "cytoform[neural]"',
        ) from error
    return manifold, metrics


def pca(codes: npt.ArrayLike) -> PCA:
    """Compute the principal components of latent codes, by singular value decomposition of the centred codes.

    Parameters
    ----------
    codes : (n, L) float
        At least 2 codes of length L.

    Returns
    -------
    PCA
        k = min(n − 1, L) components, largest variance first.

    Raises
    ------
    SequenceError
        When the array is not 2D, has fewer than 2 rows, or is not finite.
    """
    array = _checked_codes(codes)
    mean = array.mean(axis=0)
    u, s, vt = np.linalg.svd(array - mean, full_matrices=False)
    k = min(array.shape[0] - 1, array.shape[1])
    u, s, vt = u[:, :k], s[:k], vt[:k]
    sign = np.sign(vt[np.arange(k), np.argmax(np.abs(vt), axis=1)])
    total = float((s**2).sum())
    constant = total <= (1e-14 * np.abs(array).max()) ** 2 * array.size
    explained = np.zeros(k) if constant else s**2 / total
    return PCA(mean, vt * sign[:, None], explained, u * s * sign)


def tsne(codes: npt.ArrayLike, seed: int = 0, *, perplexity: float | None = None) -> Floats:
    """Embed latent codes in the plane by t-SNE, started from their first two principal components.

    Ref: van der Maaten and Hinton 2008, https://jmlr.org/papers/v9/vandermaaten08a.html.

    Parameters
    ----------
    codes : (n, L) float
        At least 4 codes.
    seed : int
        Seed of the random numbers; the same seed gives the same embedding.
    perplexity : float, optional
        About how many neighbours each code keeps near it, from 1 to below n. The default is 30, or (n − 1) / 3 (at
        least 1) where that is less.

    Returns
    -------
    (n, 2) float64
        Coordinates in the plane, in arbitrary units: distances between groups and sizes of groups mean nothing. All 0
        where all codes are equal.

    Raises
    ------
    SequenceError
        When there are too few codes, they are not finite, or the perplexity is out of its range.
    BackendError
        When scikit-learn is missing.
    """
    array = _checked_codes(codes)
    n = len(array)
    if n < _LEAST:
        raise SequenceError(f"there are {n} codes; expected at least {_LEAST} for t-SNE.", remedy="Use pca instead.")
    wanted = max(1.0, min(_PERPLEXITY, (n - 1) / 3.0)) if perplexity is None else perplexity
    if not 1.0 <= wanted < n:
        raise SequenceError(f"perplexity is {wanted:g}; expected 1 or more, and less than {n}, the number of codes.")
    spread = float(array.std())
    if float(np.ptp(array, axis=0).max()) == 0:
        return np.zeros((n, 2))
    array = (array - array.mean(axis=0)) / spread  # t-SNE works in single precision, in which small codes lose digits
    start = np.zeros((n, 2))
    scores = pca(array).scores[:, :2]
    start[:, : scores.shape[1]] = 1e-4 * scores / scores[:, 0].std()
    method = "exact" if n <= 1000 else "barnes_hut"
    fit = _scikit_learn()[0].TSNE(perplexity=wanted, init=start.astype(np.float32), random_state=seed, method=method)
    plane: Floats = fit.fit_transform(array).astype(np.float64)
    return plane


def silhouette(codes: npt.ArrayLike, labels: Sequence[Any] | Array) -> float:
    """Return the mean silhouette of labelled codes, with Euclidean distances.

    Ref: Rousseeuw 1987, doi 10.1016/0377-0427(87)90125-7.

    Parameters
    ----------
    codes : (n, L) float
        At least 2 codes.
    labels : (n,) sequence
        Family of each code, compared as text.

    Returns
    -------
    float
        Near 1 where families lie apart, 0 where they touch, negative where they are mixed; NaN where there is only one
        label, or as many as codes.

    Raises
    ------
    SequenceError
        When there are not as many labels as codes, or codes are not finite.
    BackendError
        When scikit-learn is missing.
    """
    array, names = _checked_codes(codes), np.asarray([str(x) for x in labels])
    if len(names) != len(array):
        raise SequenceError(f"there are {len(names)} labels; expected {len(array)}, one for each code.")
    if not 2 <= len(np.unique(names)) < len(names):
        return float("nan")
    return float(_scikit_learn()[1].silhouette_score(array, names))


# ---------------------------------------------------------------------------------------------------------------------
# Codes of the sets of a comparison


def _split_by_set(
    given: Any, sets: Mapping[str, Sequence[str]], candidates: Sequence[str], noun: str
) -> dict[str, Any]:
    """Return codes or labels as a dictionary from set name to the values of that set.

    Parameters
    ----------
    given : sequence, or dict of set name to sequence
        The values. A bare sequence is assigned to the first of `candidates` that has as many sequences as there are
        values; a dictionary is checked and copied.
    sets : dict of str to sequence of str
        Names of the sequences of each set.
    candidates : sequence of str
        Sets that a bare sequence may belong to, the preferred one first.
    noun : str
        "codes" or "labels", for error messages.

    Raises
    ------
    SequenceError
        When no candidate has as many sequences, a key is not the name of a set, or counts differ.
    """
    if not isinstance(given, Mapping):
        fits = [name for name in candidates if len(sets[name]) == len(given)]
        if not fits:
            counts = ", ".join(f"{len(sets[name])} in {name!r}" for name in candidates)
            raise SequenceError(
                f"there are {len(given)} {noun}; expected one for each sequence of a set ({counts}).",
                remedy=f"Pass a dictionary with the {noun} of each set.",
            )
        return {fits[0]: given}
    for name, values in given.items():
        if name not in sets:
            raise SequenceError(f"{noun} are given for {name!r}; expected names of sets: {', '.join(sets)}.")
        if len(values) != len(sets[name]):
            raise SequenceError(f"there are {len(values)} {noun} for {name!r}; expected {len(sets[name])}.")
    return dict(given)


def code_space(
    codes: Any, labels: Any, sets: Mapping[str, Sequence[str]], candidates: Sequence[str], seed: int
) -> tuple[CodeSpace, list[str]]:
    """Collect the codes of all sets in one table, with principal components, t-SNE and silhouette of all together.

    Parameters
    ----------
    codes : (n, L) float or NamedCodes, or dict of set name to these
        In the order of the sequences; named codes are put in order by their names.
    labels : (n,) sequence, or dict of set name to these, or None
        Family of each code; None where no families are known, "" for a code without one.
    sets : dict of str to sequence of str
        Names of the sequences of each set.
    candidates : sequence of str
        Sets that an array without a set name may belong to, the preferred one first; it goes to the first of equal
        count.
    seed : int
        Seed of t-SNE.

    Returns
    -------
    space : CodeSpace
        The codes and what was computed from them.
    notes : list of str
        Warnings: names that do not match, or that scikit-learn is missing.

    Raises
    ------
    SequenceError
        When counts, code lengths or set names do not match.
    """
    given = _split_by_set(codes, sets, candidates, "codes")
    notes: list[str] = []
    parts = []
    for name, values in given.items():
        if isinstance(values, NamedCodes):
            values, more = values.ordered(sets[name], name)
            notes += more
        parts.append(np.asarray(values, dtype=np.float64))
    if any(p.ndim != 2 for p in parts) or len({p.shape[1] for p in parts}) > 1:
        raise SequenceError(
            f"codes have shapes {[p.shape for p in parts]}; expected (n, latent), with the same latent for all."
        )
    array = _checked_codes(np.concatenate(parts))
    owners = np.array([name for name in given for _ in sets[name]])
    names = np.array([sequence for name in given for sequence in sets[name]])
    families = None
    if labels is not None:
        family_labels = _split_by_set(labels, sets, [*given, *candidates], "labels")
        families = np.array([str(x) for name in given for x in family_labels.get(name, [""] * len(sets[name]))])
    plane, score = None, float("nan")
    try:
        plane = tsne(array, seed) if len(array) >= _LEAST else None
        if families is not None and (families != "").sum() >= 2:
            score = silhouette(array[families != ""], families[families != ""])
    except BackendError as error:
        notes.append(str(error))
    return CodeSpace(owners, names, families, array, pca(array), plane, score), notes
