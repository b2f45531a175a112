"""Draw functions at random and print their signatures and docstrings, for a reader who has never seen the code.

The reader writes down what each function does, from this text alone. Someone who knows the code then compares: 1 for
an answer that names what goes in, what comes out and what happens between, 0.5 where a part is wrong or missing, 0
where the reader had to guess. ``RESULTS.md`` has the scores.

    python benchmarks/words.py --seed 1                       # 30 functions of fitting, sdf and neural
    python benchmarks/words.py --seed 1 --places              # their files and lines, for the one who compares
"""

from __future__ import annotations

import argparse
import ast
import random
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "cytoform"


def is_overload(node: ast.FunctionDef) -> bool:
    """Tell whether a function only declares types, with ``@overload``."""
    return any(isinstance(d, ast.Name) and d.id == "overload" for d in node.decorator_list)


def functions(room: str) -> list[tuple[str, int, str, str]]:
    """Return (file, line, signature, docstring) of every function and method of a room that has a name of its own."""
    found = []
    for path in sorted((PACKAGE / room).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        owners = [("", tree.body)] + [(f"{c.name}.", c.body) for c in tree.body if isinstance(c, ast.ClassDef)]
        for owner, body in owners:
            for node in body:
                if isinstance(node, ast.FunctionDef) and not node.name.startswith("__") and not is_overload(node):
                    text = ast.get_docstring(node) or "(no docstring)"
                    signature = f"{owner}{node.name}({ast.unparse(node.args)})"
                    if node.returns is not None:
                        signature += f" -> {ast.unparse(node.returns)}"
                    found.append((str(path.relative_to(PACKAGE.parent)), node.lineno, signature, text))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-n", type=int, default=30)
    parser.add_argument("--rooms", nargs="+", default=["fitting", "sdf", "neural"])
    parser.add_argument("--places", action="store_true", help="print files and lines instead of the texts")
    options = parser.parse_args()
    all_of = [entry for room in options.rooms for entry in functions(room)]
    drawn = random.Random(options.seed).sample(all_of, options.n)
    for number, (file, line, signature, text) in enumerate(drawn, 1):
        if options.places:
            print(f"{number:2d}  {file}:{line}  {signature.split('(')[0]}")
        else:
            print(f"## {number}. {signature}\n\n{text}\n")


if __name__ == "__main__":
    main()
