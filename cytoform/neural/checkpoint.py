"""A training's whole state in one safetensors file: tensors, and the rest as JSON in its header."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch

from ..atomic import atomic_path
from ..errors import FileFormatError

__all__ = ["CHECKPOINT", "optimizer_tensors", "read_checkpoint", "restore_optimizer", "write_checkpoint"]

CHECKPOINT = "checkpoint.safetensors"
_FORMAT = "cytoform training 1"


def write_checkpoint(path: Path, tensors: dict[str, torch.Tensor], text: dict[str, Any]) -> None:
    """Write tensors and JSON, whole or not at all.

    Raises
    ------
    OutputError
        When the place cannot be written.
    """
    from safetensors.torch import save_file

    # Copies: parameters that share memory, or live on a GPU, cannot be written as they are.
    held = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        save_file(held, temporary, metadata={"format": _FORMAT, "state": json.dumps(text)})


def read_checkpoint(path: str | os.PathLike[str]) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read what :func:`write_checkpoint` wrote.

    Raises
    ------
    FileFormatError
        When it is missing, truncated or another kind of file.
    """
    from safetensors import SafetensorError, safe_open

    place = Path(path)
    if not place.is_file():
        raise FileFormatError(f"{place} does not exist.", remedy="Pass the folder of an interrupted training.")
    try:
        with safe_open(place, framework="pt") as file:
            about = file.metadata() or {}
            if about.get("format") != _FORMAT:
                raise FileFormatError(f"{place} is not a training's checkpoint.", remedy="Start the training anew.")
            # Copies: a tensor that maps the file would keep it from being replaced on Windows.
            found = {name: file.get_tensor(name).clone() for name in file.keys()}
            return found, json.loads(about["state"])
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(f"{place} is not complete: {error}.", remedy="Start the training anew.") from error


def optimizer_tensors(name: str, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Moments and step counts of an optimiser, flat."""
    return {
        f"{name}.{index}.{key}": torch.as_tensor(value)
        for index, held in optimizer.state_dict()["state"].items()
        for key, value in held.items()
    }


def restore_optimizer(name: str, optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    """The other way round."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        parts = key.split(".")
        if parts[0] == name:
            state.setdefault(int(parts[1]), {})[parts[2]] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
