"""The list of slow cases names tests that there are."""

import ast
from collections import Counter
from pathlib import Path

from tiers import CASES


def test_every_slow_case_is_of_a_test_that_is_there_and_no_other_has_its_name():
    found = Counter()
    for place in Path(__file__).parent.rglob("test_*.py"):
        tree = ast.parse(place.read_text(encoding="utf-8"))
        found.update(node.name for node in tree.body if isinstance(node, ast.FunctionDef))
    assert [case for case in CASES if found[case.partition("[")[0]] != 1] == []
