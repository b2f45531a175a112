"""Living shapes as neural signed distances: prepare, train, reconstruct, encode, generate, interpolate, evaluate.

The only room that imports torch; public names are loaded when they are first used, and ``prepare`` and ``evaluate``
work without it.
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import Any

from ..errors import BackendError

_HOME = {
    "AutoDecoder": "neural.model",
    "EncodeConfig": "neural.encode",
    "Encoded": "neural.encode",
    "NetworkConfig": "neural.config",
    "PRESETS": "neural.config",
    "TrainConfig": "neural.config",
    "encode": "neural.encode",
    "evaluate": "neural.evaluation",
    "generate": "neural.use",
    "interpolate": "neural.use",
    "prepare": "sdf.prepare",
    "preset": "neural.config",
    "reconstruct": "neural.use",
    "render": "neural.render",
    "train": "neural.train",
}
__all__ = sorted(_HOME)


class _Package(types.ModuleType):
    """Public names come before submodules of the same name, as in :mod:`cytoform`."""

    def __getattr__(self, name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(f"module 'cytoform.neural' has no attribute {name!r}")
        try:
            value = getattr(importlib.import_module(f"cytoform.{_HOME[name]}"), name)
        except ModuleNotFoundError as error:
            if error.name not in ("torch", "safetensors"):
                raise
            raise BackendError(
                f"cytoform.neural.{name} needs {error.name}, which is not installed.",
                remedy='pip install "cytoform[neural]"; for a computer without a GPU see the README.',
            ) from error
        super().__setattr__(name, value)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOME and isinstance(value, types.ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*vars(self), *__all__})


sys.modules[__name__].__class__ = _Package
