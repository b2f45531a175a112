"""Living shapes as neural signed distances: prepare, train, reconstruct, encode, generate, interpolate, evaluate.

The only room that imports torch; public names are loaded when they are first used, and ``prepare`` and ``evaluate``
work without it.
"""

from __future__ import annotations

from ..lazy import load_on_first_use

_HOME = {
    "AutoDecoder": "neural.model",
    "EncodeConfig": "neural.encoding",
    "Encoded": "neural.encoding",
    "NetworkConfig": "neural.config",
    "PRESETS": "neural.config",
    "TrainConfig": "neural.config",
    "encode": "neural.encoding",
    "evaluate": "compare",
    "generate": "neural.generation",
    "interpolate": "neural.generation",
    "prepare": "sdf.prepare",
    "preset": "neural.config",
    "reconstruct": "neural.generation",
    "render": "neural.rendering",
    "train": "neural.training",
}
__all__ = sorted(_HOME)
_REMEDY = 'pip install "cytoform[neural]"; for a computer without a GPU see the README.'

load_on_first_use(__name__, _HOME, dict.fromkeys(("torch", "safetensors"), _REMEDY))
