"""Sets compared: one value a sequence, two-sample Kolmogorov–Smirnov tests and the size of the effect beside them."""

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


FEW = 10  # values in a set under which a test sees hardly anything
LEVEL = 0.05
_CRITICAL = 1.3581  # of the Kolmogorov distribution at 5 %

TEST_COLUMNS: dict[str, type] = {
    "set": str, "reference": str, "descriptor": str, "scope": str, "frame": int, "n_reference": int, "n": int,
    "median_reference": float, "median": float, "ks_statistic": float, "p": float, "p_adjusted": float,
    "cliffs_delta": float, "note": str,
}  # fmt: skip


def _sequence_columns() -> dict[str, type]:
    return {
        "set": str, "sequence": str, "frames": int, "missing": int, "components": int, "specks": int, "at_border": int,
        **dict.fromkeys(known_descriptors(), float), "dice": float, "jaccard": float,
    }  # fmt: skip


def cliffs_delta(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Chance that a value of `b` is above one of `a`, less the chance that it is below: −1 to 1, 0 for none.

    Parameters
    ----------
    a, b : (n,), (m,) float

    Returns
    -------
    float
        NaN where one is empty.

    Ref: Cliff 1993, doi 10.1037/0033-2909.114.3.494.
    """
    first, second = np.sort(np.asarray(a, dtype=np.float64)), np.asarray(b, dtype=np.float64)
    if not (first.size and second.size):
        return float("nan")
    above = np.searchsorted(first, second, side="left").sum()
    below = (first.size - np.searchsorted(first, second, side="right")).sum()
    return float(above - below) / (first.size * second.size)


def critical_distance(n: int, m: int) -> float:
    """Kolmogorov–Smirnov distance from which two samples of n and m values differ at 5 %, about; at most 1."""
    return min(1.0, _CRITICAL * float(np.sqrt((n + m) / (n * m)))) if n and m else float("nan")


def compare_samples(a: npt.ArrayLike, b: npt.ArrayLike) -> dict[str, Any]:
    """Two samples: two-sided Kolmogorov–Smirnov test, Cliff's delta, medians, numbers. NaN in a sample is left out.

    Returns
    -------
    dict
        ``n_reference``, ``n``, ``median_reference``, ``median``, ``ks_statistic``, ``p``, ``cliffs_delta``, ``note``
        (a warning, or "").
    """
    from scipy import stats

    first, second = (v[np.isfinite(v)] for v in (np.asarray(x, dtype=np.float64).ravel() for x in (a, b)))
    nan = float("nan")
    found: dict[str, Any] = {"n_reference": first.size, "n": second.size}
    found |= {"median_reference": float(np.median(first)) if first.size else nan}
    found |= {"median": float(np.median(second)) if second.size else nan}
    if not (first.size and second.size):
        return found | {"ks_statistic": nan, "p": nan, "cliffs_delta": nan, "note": "no values"}
    with warnings.catch_warnings():  # where the exact p is 1, scipy rounds above it and turns to the asymptotic one
        warnings.filterwarnings("ignore", message="ks_2samp: Exact calculation", category=RuntimeWarning)
        test = stats.ks_2samp(first, second)
    few = min(first.size, second.size)
    note = f"only {few} values: the test sees large differences only" if few < FEW else ""
    found |= {"ks_statistic": float(test.statistic), "p": float(test.pvalue)}
    return found | {"cliffs_delta": cliffs_delta(first, second), "note": note}


def _group_rows(*keys: Array) -> Iterator[tuple[tuple[Any, ...], Array]]:
    """Rows with equal keys, in the order in which they first come."""
    row_numbers: dict[tuple[Any, ...], list[int]] = {}
    for row, key in enumerate(zip(*(k.tolist() for k in keys))):
        row_numbers.setdefault(key, []).append(row)
    return ((key, np.array(rows)) for key, rows in row_numbers.items())


def _finite_mean(values: Floats) -> float:
    good = values[np.isfinite(values)]
    return float(good.mean()) if good.size else float("nan")


def frame_means(frames: Array) -> Array:
    """One row for each set, sequence and frame: mean over the components; NaN where the frame is missing."""
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
    """One row a sequence: descriptors as the mean over its frames of the mean over the components of each.

    ``missing`` counts frames without a shape, ``at_border`` frames that the grid cuts, ``specks`` all of them,
    ``components`` is the most in a frame. ``dice`` and ``jaccard`` are means over frames, NaN where unpaired.
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
    """Each set against the reference: by sequence, one value each, and at each frame that both have.

    ``scope`` is "sequence" (``frame`` −1) or "frame". ``p_adjusted`` is p itself for "sequence"; for "frame" it is
    adjusted over the frames of one descriptor (Benjamini and Hochberg), as many tests find something by chance.
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


test_table.__test__ = False  # type: ignore[attr-defined]  # no test, whatever its name


def _frame_tests(means: Array, descriptor: str, reference: str, name: str) -> Iterator[dict[str, Any]]:
    first, second = (means[means["set"] == s] for s in (reference, name))
    for frame in np.intersect1d(first["frame"], second["frame"]).tolist():
        values = (part[descriptor][part["frame"] == frame] for part in (first, second))
        yield {"scope": "frame", "frame": frame} | compare_samples(*values)


def _with_adjusted_p(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    from scipy import stats

    p = np.array([row["p"] for row in rows])
    good = np.isfinite(p)
    adjusted = np.full(len(p), np.nan)
    if good.any():
        adjusted[good] = stats.false_discovery_control(p[good])
    return [row | {"p_adjusted": float(value)} for row, value in zip(rows, adjusted)]
