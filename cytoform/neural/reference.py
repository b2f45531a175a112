"""Weights of the published auto-decoder, translated into the layout of ours."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch

from ..errors import ConfigError, FileFormatError
from .config import NetworkConfig

__all__ = ["REMEDY", "load_tensors", "read_reference"]

_NAME = re.compile(r"(?:module\.)?lin(\d+)\.(weight|bias)$")
REMEDY = "Expected the .pth of the published auto-decoder, with layers lin0, lin1, … in 'model_state_dict'."


def read_reference(
    path: Path, *, omega: float, activation: str
) -> tuple[NetworkConfig, dict[str, torch.Tensor], dict[Any, Any]]:
    """Read a published checkpoint, and return its architecture, its weights by our names, and all that it holds.

    The published layers take [code, coordinates] (the first), [units, coordinates] or [units, code, coordinates]. ω0
    and the activation are not in the file: they are taken as given.

    Raises
    ------
    FileFormatError
        When the file cannot be read without running code, or is not such a network.
    """
    content = load_tensors(path)
    weights, biases = _layer_tensors(path, content)
    try:
        return *_translate_layers(weights, biases, omega, activation), content
    except (IndexError, ValueError, ConfigError) as error:
        shapes = [tuple(w.shape) for w in weights]
        raise FileFormatError(f"{path} has layers {shapes}, no auto-decoder's: {error}", remedy=REMEDY) from error


def load_tensors(path: Path) -> Any:
    """Return what a .pth file holds, on the CPU; nothing in it is executed.

    Raises
    ------
    FileFormatError
        When it cannot be read without running code.
    """
    if not path.is_file():
        raise FileFormatError(f"{path} does not exist or is not a file.", remedy=REMEDY)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # broken pickles fail in any way: IndexError, struct.error, UnpicklingError …
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise FileFormatError(f"{path} cannot be opened as tensors alone: {first}", remedy=REMEDY) from error


def _layer_tensors(path: Path, content: Any) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Return the weights and biases of the layers ``lin0``, ``lin1``, … of a checkpoint, in their order.

    They are in ``content`` itself or under its key ``model_state_dict``. Raises FileFormatError if any is missing.
    """
    state = content.get("model_state_dict", content) if isinstance(content, dict) else None
    found: dict[tuple[int, str], torch.Tensor] = {}
    for name, value in state.items() if isinstance(state, dict) else ():
        match = _NAME.search(str(name))
        if match and isinstance(value, torch.Tensor):
            found[int(match[1]), match[2]] = value
    count = len(found) // 2
    if count < 2 or set(found) != {(n, kind) for n in range(count) for kind in ("weight", "bias")}:
        raise FileFormatError(f"{path} holds no complete auto-decoder.", remedy=REMEDY)
    return [found[n, "weight"] for n in range(count)], [found[n, "bias"] for n in range(count)]


def _translate_layers(
    weights: list[torch.Tensor], biases: list[torch.Tensor], omega: float, activation: str
) -> tuple[NetworkConfig, dict[str, torch.Tensor]]:
    """Return the architecture that published weights and biases imply, and our state dict of them.

    Each weight matrix is split into the columns of the code and those of units and coordinates. Raises ValueError if
    the widths are not those of the published class, in which layers shrink by what is concatenated.
    """
    latent = weights[0].shape[1] - 4
    units = [0, *(w.shape[0] for w in weights)]
    with_code = [n for n, w in enumerate(weights) if w.shape[1] == units[n] + latent + 4]
    config = NetworkConfig(
        latent=latent,
        width=weights[1].shape[1],
        layers=len(weights) - 1,
        activation=activation,
        omega=omega,
        latent_layers=tuple(n + 1 for n in with_code),
        shrink=True,
    )
    if config.widths != tuple(units[1:-1]) or units[-1] != 1:
        raise ValueError(f"widths {units[1:]} where {[*config.widths, 1]} were expected.")
    state: dict[str, torch.Tensor] = {}
    for n, (weight, bias) in enumerate(zip(weights, biases)):
        hidden, rest = weight[:, : units[n]], weight[:, units[n] :]
        if n in with_code:
            state[f"layers.{n}.code"], rest = rest[:, :latent].contiguous(), rest[:, latent:]
        state[f"layers.{n}.matrix"] = torch.cat([hidden, rest], 1)
        state[f"layers.{n}.bias"] = bias
    return config, state
