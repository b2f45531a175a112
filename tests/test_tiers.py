"""The list of slow tests names tests that there are."""

import ast
from pathlib import Path

from tiers import SLOW


def test_every_slow_test_is_there():
    found = {}
    for place in Path(__file__).parent.rglob("test_*.py"):
        tree = ast.parse(place.read_text(encoding="utf-8"))
        names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        found[place.name] = found.get(place.name, set()) | names
    stale = {file: {n.partition("[")[0] for n in names} - found.get(file, set()) for file, names in SLOW.items()}
    assert not {file: names for file, names in stale.items() if names}
