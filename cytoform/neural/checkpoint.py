"""The whole state of a training in one safetensors file: tensors, and the rest as JSON in its header."""

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
    """Write tensors and a JSON text into one safetensors file, atomically: an interruption leaves the old file or none.

    Parameters
    ----------
    path : Path
        The file, replaced if it exists.
    tensors : dict of str to tensor
        By name; written from the CPU, as copies.
    text : dict
        Whatever JSON can hold: settings, step, names.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    from safetensors.torch import save_file

    # Copies: parameters that share memory, or live on a GPU, cannot be written as they are.
    copies = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        save_file(copies, temporary, metadata={"format": _FORMAT, "state": json.dumps(text)})


def read_checkpoint(path: str | os.PathLike[str]) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read the tensors and the JSON text that :func:`write_checkpoint` wrote.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    tensors : dict of str to tensor
        On the CPU, by name.
    text : dict
        As it was given for writing.

    Raises
    ------
    FileFormatError
        When the file is missing, truncated or of another kind.
    """
    from safetensors import SafetensorError, safe_open

    file_path = Path(path)
    if not file_path.is_file():
        raise FileFormatError(f"{file_path} does not exist.", remedy="Pass the folder of an interrupted training.")
    try:
        with safe_open(file_path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != _FORMAT:
                raise FileFormatError(f"{file_path} is not a training's checkpoint.", remedy="Start the training anew.")
            # Copies: a tensor that maps the file would keep it from being replaced on Windows.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}
            return tensors, json.loads(metadata["state"])
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(f"{file_path} is not complete: {error}.", remedy="Start the training anew.") from error


def optimizer_tensors(name: str, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Return an optimiser's moments and step counts as tensors named ``NAME.INDEX.KEY``.

    INDEX is the number of the parameter, KEY torch's name of the quantity, such as ``exp_avg``.
    """
    return {
        f"{name}.{index}.{key}": torch.as_tensor(value)
        for index, quantities in optimizer.state_dict()["state"].items()
        for key, value in quantities.items()
    }


def restore_optimizer(name: str, optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    """Set an optimiser's moments and step counts from the tensors of :func:`optimizer_tensors`, in place.

    Tensors whose names begin with another name than ``name`` are ignored; learning rates stay as they are.
    """
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        parts = key.split(".")
        if parts[0] == name:
            state.setdefault(int(parts[1]), {})[parts[2]] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
