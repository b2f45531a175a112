"""Tables read back by the standard library and numpy."""

import csv
import io
import math

import numpy as np

from cytoform.tables import csv_text, structured


def test_csv_is_read_back_as_it_was():
    rows = [
        ["a, b", 3, 1 / 3, True],
        ['say "so"', -2, math.nan, np.False_],
        ["µm", np.int64(7), np.float64(1e-20), False],
    ]
    text = csv_text(["name", "n", "value", "good"], rows)
    assert text.endswith("\n") and "\r" not in text
    found = list(csv.DictReader(io.StringIO(text)))
    assert [row["name"] for row in found] == ["a, b", 'say "so"', "µm"]
    assert [row["value"] for row in found] == ["0.333333333", "", "1e-20"]
    assert [row["good"] for row in found] == ["1", "0", "0"] and [row["n"] for row in found] == ["3", "-2", "7"]
    exact = csv_text(["x"], [[1 / 3], [0.1]], digits=None).splitlines()[1:]
    assert [float(x) for x in exact] == [1 / 3, 0.1]


def test_rows_become_fields():
    rows = [{"who": "a", "n": 1, "x": 0.5, "yes": True}, {"who": "long name", "n": 2, "x": math.nan, "yes": False}]
    found = structured(rows, {"who": str, "x": float, "n": int, "yes": bool})
    assert found.dtype.names == ("who", "x", "n", "yes")
    assert found["who"].tolist() == ["a", "long name"] and found["n"].dtype == np.int64 and found["yes"].sum() == 1
    assert len(structured([], {"who": str, "n": int})) == 0
