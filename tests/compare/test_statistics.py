"""Tests and effect sizes against scipy and against pairs counted one by one."""

import itertools

import numpy as np
import pytest
from scipy import stats

from cytoform.compare import DESCRIPTORS
from cytoform.compare.measuring import OVERLAP_COLUMNS, frame_columns
from cytoform.compare.statistics import cliffs_delta, compare_samples, critical_distance, sequence_table, test_table
from cytoform.tables import structured

nan = float("nan")


def test_cliffs_delta_counts_pairs():
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 6, 17), rng.integers(1, 8, 12)
    counted = np.mean([np.sign(y - x) for x, y in itertools.product(a, b)])
    assert cliffs_delta(a, b) == pytest.approx(counted)
    assert cliffs_delta([1, 2], [3, 4]) == 1.0
    assert cliffs_delta([1, 2], [1, 2]) == 0.0


def test_compare_is_scipys_test_without_the_missing():
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=20), rng.normal(0.7, size=15)
    found = compare_samples([*a, nan], b)
    expected = stats.ks_2samp(a, b)
    assert (found["ks_statistic"], found["p"]) == pytest.approx((expected.statistic, expected.pvalue))
    assert (found["n_reference"], found["n"], found["note"]) == (20, 15, "")
    assert found["median"] == pytest.approx(np.median(b))


def test_few_and_no_values_are_said():
    assert "only 4 values" in compare_samples(range(12), range(4))["note"]
    found = compare_samples([nan], [1.0])
    assert found["note"] == "no values" and np.isnan(found["p"])


def test_smallest_distance_is_where_the_test_turns():
    n = 200
    limit = critical_distance(n, n)
    steps = np.arange(n)
    p = [stats.ks_2samp(steps, steps + int(d * n)).pvalue for d in (limit - 0.02, limit + 0.02)]
    assert p[0] > 0.05 > p[1]


def _rows(values):
    blank = {"time_s": 0.0, "components": 1, "specks": 1, "at_border": False, "missing": False}
    found = []
    for (name, sequence, frame, component), value in values.items():
        row = {"set": name, "sequence": sequence, "frame": frame, "component": component}
        found.append(blank | row | dict.fromkeys(DESCRIPTORS, value) | {"missing": bool(np.isnan(value))})
    return structured(found, frame_columns())


def test_a_sequence_is_the_mean_over_frames_of_the_mean_over_daughters():
    frames = _rows({("a", "s", 0, 0): 10.0, ("a", "s", 1, 0): 4.0, ("a", "s", 1, 1): 6.0, ("a", "s", 2, 0): nan})
    row = sequence_table(frames, structured([], OVERLAP_COLUMNS))[0]
    assert row["volume"] == pytest.approx((10.0 + 5.0) / 2)
    assert (row["frames"], row["missing"], row["specks"]) == (3, 1, 3)
    assert np.isnan(row["dice"])


def test_the_table_has_scipys_numbers_by_sequence_and_by_frame():
    rng = np.random.default_rng(5)
    values = {
        (name, f"s{k}", frame, 0): rng.normal(shift) for name, shift in (("a", 0), ("b", 1)) for k in range(11)
        for frame in range(3)
    }  # fmt: skip
    frames = _rows(values)
    sequences = sequence_table(frames, structured([], OVERLAP_COLUMNS))
    tests = test_table(sequences, frames, "a", ["b"])
    part = tests[tests["descriptor"] == "area"]
    assert part["scope"].tolist() == ["sequence", "frame", "frame", "frame"]
    per_frame = [
        stats.ks_2samp(*([v for (n, _, f, _), v in values.items() if n == name and f == frame] for name in "ab"))
        for frame in range(3)
    ]
    assert part["p"][1:] == pytest.approx([test.pvalue for test in per_frame])
    assert part["p_adjusted"][1:] == pytest.approx(stats.false_discovery_control(part["p"][1:]))
    means = [sequences["area"][sequences["set"] == name] for name in "ab"]
    assert part["ks_statistic"][0] == pytest.approx(stats.ks_2samp(*means).statistic)
