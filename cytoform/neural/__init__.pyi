from .config import PRESETS, NetworkConfig, TrainConfig, preset
from .encoding import EncodeConfig, Encoded, encode
from .generation import generate, interpolate, reconstruct
from .model import AutoDecoder
from .rendering import render
from .training import train
from .without_torch import evaluate, prepare

__all__ = [
    "PRESETS",
    "AutoDecoder",
    "EncodeConfig",
    "Encoded",
    "NetworkConfig",
    "TrainConfig",
    "encode",
    "evaluate",
    "generate",
    "interpolate",
    "prepare",
    "preset",
    "reconstruct",
    "render",
    "train",
]
