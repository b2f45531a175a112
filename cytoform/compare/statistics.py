"""Statistics between sets: means of sequences, two-sample Kolmogorov–Smirnov tests, Cliff's delta as effect size."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .._typing import Array, Floats
from ..tables import structured
from .descriptors import known_descriptors

__all__ = [
    "FEW",
    "cliffs_delta",
    "compare_samples",
    "critical_distance",
    "frame_means",
    "sequence_table",
    "test_table",
]


FEW = 10  # with fewer values in a set the test can only detect large differences
LEVEL = 0.05  # of significance
_CRITICAL = 1.3581  # critical value of the Kolmogorov distribution at 5 %

TEST_COLUMNS: dict[str, type] = {
    "set": str, "reference": str, "descriptor": str, "scope": str, "frame": int, "n_reference": int, "n": int,
    "median_reference": float, "median": float, "ks_statistic": float, "p": float, "p_adjusted": float,
    "cliffs_delta": float, "note": str,
}  # fmt: skip


def _sequence_columns() -> dict[str, type]:
    """Return the columns of the table of sequences, name and type."""
    return {
        "set": str, "sequence": str, "frames": int, "missing": int, "components": int, "specks": int, "at_border": int,
        **dict.fromkeys(known_descriptors(), float), "dice": float, "jaccard": float,
    }  # fmt: skip


def cliffs_delta(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Return Cliff's delta, the effect size P(b > a) − P(b < a) over all pairs of values of two samples.

    Ref: Cliff 1993, doi 10.1037/0033-2909.114.3.494.

    Parameters
    ----------
    a : (n,) float
        First sample.
    b : (m,) float
        Second sample.

    Returns
    -------
    float
        −1 to 1, positive where values of `b` are the larger, 0 for no effect; NaN where a sample is empty.
    """
    first, second = np.sort(np.asarray(a, dtype=np.float64)), np.asarray(b, dtype=np.float64)
    if not (first.size and second.size):
        return float("nan")
    above = np.searchsorted(first, second, side="left").sum()
    below = (first.size - np.searchsorted(first, second, side="right")).sum()
    return float(above - below) / (first.size * second.size)


def critical_distance(n: int, m: int) -> float:
    """Return the Kolmogorov–Smirnov distance above which samples of n and m values differ at the 5 % level.

    It is the asymptotic one, 1.358 √((n + m) / (n m)), and at most 1; NaN where a sample is empty.
    """
    return min(1.0, _CRITICAL * float(np.sqrt((n + m) / (n * m)))) if n and m else float("nan")


def compare_samples(a: npt.ArrayLike, b: npt.ArrayLike) -> dict[str, Any]:
    """Compare two samples by a two-sided Kolmogorov–Smirnov test, Cliff's delta and medians.

    Parameters
    ----------
    a : (n,) float
        Values of the reference; NaN and infinity are left out of both samples.
    b : (m,) float
        Values of the other set.

    Returns
    -------
    dict
        ``n_reference``, ``n``, ``median_reference``, ``median``, ``ks_statistic``, ``p``, ``cliffs_delta`` (positive
        where `b` is the larger), ``note`` (a warning on small or empty samples, or ""). Numbers that are not defined
        are NaN.
    """
    from scipy import stats

    first, second = (v[np.isfinite(v)] for v in (np.asarray(x, dtype=np.float64).ravel() for x in (a, b)))
    nan = float("nan")
    found: dict[str, Any] = {"n_reference": first.size, "n": second.size}
    found |= {"median_reference": float(np.median(first)) if first.size else nan}
    found |= {"median": float(np.median(second)) if second.size else nan}
    if not (first.size and second.size):
        return found | {"ks_statistic": nan, "p": nan, "cliffs_delta": nan, "note": "no values"}
    with warnings.catch_warnings():  # an exact p of 1 is rounded above 1, and scipy falls back to the asymptotic p
        warnings.filterwarnings("ignore", message="ks_2samp: Exact calculation", category=RuntimeWarning)
        test = stats.ks_2samp(first, second)
    few = min(first.size, second.size)
    note = f"only {few} values: the test can detect large differences only" if few < FEW else ""
    found |= {"ks_statistic": float(test.statistic), "p": float(test.pvalue)}
    return found | {"cliffs_delta": cliffs_delta(first, second), "note": note}


def _group_rows(*keys: Array) -> Iterator[tuple[tuple[Any, ...], Array]]:
    """Group the rows of a table by key columns.

    Yield for each distinct tuple of values in `keys`, arrays (n,), in order of first appearance, that tuple and the
    indices of its rows.
    """
    row_numbers: dict[tuple[Any, ...], list[int]] = {}
    for row, key in enumerate(zip(*(k.tolist() for k in keys))):
        row_numbers.setdefault(key, []).append(row)
    return ((key, np.array(rows)) for key, rows in row_numbers.items())


def _finite_mean(values: Floats) -> float:
    """Return the mean of values without NaN and infinity; NaN where none is left."""
    good = values[np.isfinite(values)]
    return float(good.mean()) if good.size else float("nan")


def frame_means(frames: Array) -> Array:
    """Average the descriptors of a table of frames over the components of each frame.

    Return a structured array with a row for each set, sequence and frame; descriptors are NaN where the frame is
    missing.
    """
    rows = [
        {
            "set": key[0],
            "sequence": key[1],
            "frame": key[2],
            **{d: _finite_mean(frames[d][at]) for d in known_descriptors()},
        }
        for key, at in _group_rows(frames["set"], frames["sequence"], frames["frame"])
    ]
    return structured(rows, {"set": str, "sequence": str, "frame": int, **dict.fromkeys(known_descriptors(), float)})


def sequence_table(frames: Array, overlap: Array) -> Array:
    """Average descriptors over the components of each frame, then over the frames of each sequence.

    Parameters
    ----------
    frames : structured (n,) array
        A row for each frame and component.
    overlap : structured (m,) array
        A row for each frame of paired sequences; may be empty.

    Returns
    -------
    structured array
        A row for each sequence. ``frames`` counts all frames, ``missing`` those without a shape, ``at_border`` those
        that the grid cuts; ``specks`` is the sum over frames, ``components`` the largest number in a frame; ``dice``
        and ``jaccard`` are means over frames, NaN for unpaired sequences.
    """
    means = frame_means(frames)
    at = dict(_group_rows(means["set"], means["sequence"]))
    paired = dict(_group_rows(overlap["set"], overlap["sequence"])) if len(overlap) else {}
    rows = []
    for key, which in _group_rows(frames["set"], frames["sequence"]):
        part = frames[which]
        _, first = np.unique(part["frame"], return_index=True)
        row = {"set": key[0], "sequence": key[1], "frames": len(first), "missing": int(part["missing"].sum())}
        row |= {"components": int(part["components"].max()), "specks": int(part["specks"][first].sum())}
        row["at_border"] = len(np.unique(part["frame"][part["at_border"]]))
        row |= {d: _finite_mean(means[d][at[key]]) for d in known_descriptors()}
        for name in ("dice", "jaccard"):
            row[name] = _finite_mean(overlap[name][paired[key]]) if key in paired else float("nan")
        rows.append(row)
    return structured(rows, _sequence_columns())


def test_table(sequences: Array, frames: Array, reference: str, sets: Sequence[str]) -> Array:
    """Test each made set against the reference in every descriptor, over sequences and at each frame of both.

    Parameters
    ----------
    sequences : structured (n,) array
        Table of :func:`sequence_table`; its values are compared in rows with ``scope`` "sequence" (``frame`` −1).
    frames : structured (m,) array
        Table with a row for each frame and component; means over components are compared in rows with ``scope``
        "frame".
    reference : str
        Name of the reference set.
    sets : sequence of str
        Names of the sets to test.

    Returns
    -------
    structured array
        A row for each test with the numbers of :func:`compare_samples`. ``p_adjusted`` is p itself for "sequence"; for
        "frame" it is adjusted over the frames of one set and descriptor (Benjamini and Hochberg), as many tests find
        something by chance.
    """
    means, rows = frame_means(frames), []
    for name in sets:
        for descriptor in known_descriptors():
            head = {"set": name, "reference": reference, "descriptor": descriptor}
            a, b = (sequences[descriptor][sequences["set"] == s] for s in (reference, name))
            found = compare_samples(a, b)
            rows.append(head | {"scope": "sequence", "frame": -1, "p_adjusted": found["p"]} | found)
            rows += _with_adjusted_p([head | row for row in _frame_tests(means, descriptor, reference, name)])
    return structured(rows, TEST_COLUMNS)


test_table.__test__ = False  # type: ignore[attr-defined]  # pytest must not collect it


def _frame_tests(means: Array, descriptor: str, reference: str, name: str) -> Iterator[dict[str, Any]]:
    """Compare one descriptor of a set with the reference at each frame that both have, and yield a row for each frame.

    Parameters
    ----------
    means : structured (n,) array
        Table of :func:`frame_means`.
    descriptor : str
        Column to compare.
    reference : str
        Name of the reference set.
    name : str
        Name of the set to test.
    """
    first, second = (means[means["set"] == s] for s in (reference, name))
    for frame in np.intersect1d(first["frame"], second["frame"]).tolist():
        values = (part[descriptor][part["frame"] == frame] for part in (first, second))
        yield {"scope": "frame", "frame": frame} | compare_samples(*values)


def _with_adjusted_p(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows with ``p_adjusted`` added: their ``p`` adjusted to control the false discovery rate.

    The method is Benjamini and Hochberg's, over all rows. Rows whose p is NaN get NaN and do not count.
    """
    from scipy import stats

    p = np.array([row["p"] for row in rows])
    good = np.isfinite(p)
    adjusted = np.full(len(p), np.nan)
    if good.any():
        adjusted[good] = stats.false_discovery_control(p[good])
    return [row | {"p_adjusted": float(value)} for row, value in zip(rows, adjusted)]
