"""Shapes described and compared: fits, simulated and generated ones by the same descriptors. Needs no network.

Public names are loaded when they are first used.
"""

from __future__ import annotations

from ..lazy import load_on_first_use

_HOME = {
    "DESCRIPTORS": "compare.descriptors",
    "PCA": "compare.codes",
    "CodeSpace": "compare.codes",
    "Descriptor": "compare.descriptors",
    "Evaluation": "compare.comparison",
    "NamedCodes": "compare.codes",
    "cliffs_delta": "compare.statistics",
    "describe": "compare.descriptors",
    "evaluate": "compare.evaluation",
    "pca": "compare.codes",
    "register": "compare.descriptors",
    "silhouette": "compare.codes",
    "tsne": "compare.codes",
}
__all__ = sorted(_HOME)

load_on_first_use(__name__, _HOME)
