"""The list of slow tests names tests that there are."""

import ast
from collections import Counter
from pathlib import Path

from tiers import NAMES


def test_every_slow_test_is_there_and_no_other_has_its_name():
    found = Counter()
    for place in Path(__file__).parent.rglob("test_*.py"):
        tree = ast.parse(place.read_text(encoding="utf-8"))
        found.update(node.name for node in tree.body if isinstance(node, ast.FunctionDef))
    assert sorted(name for name in NAMES if not found[name.partition("[")[0]]) == []
    assert sorted(name for name in NAMES if found[name] > 1) == []
