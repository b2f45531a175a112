from .codes import PCA, CodeSpace, NamedCodes, pca, silhouette, tsne
from .comparison import Evaluation
from .descriptors import DESCRIPTORS, Descriptor, describe, register
from .evaluation import evaluate
from .statistics import cliffs_delta

__all__ = [
    "DESCRIPTORS",
    "PCA",
    "CodeSpace",
    "Descriptor",
    "Evaluation",
    "NamedCodes",
    "cliffs_delta",
    "describe",
    "evaluate",
    "pca",
    "register",
    "silhouette",
    "tsne",
]
