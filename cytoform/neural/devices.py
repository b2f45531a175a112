"""The choice of torch's device, and a measurement of its speed: the only file that queries torch's devices."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from ..errors import BackendError, ConfigError

__all__ = ["bfloat16_is_quicker", "torch_device"]


def torch_device(device: str) -> torch.device:
    """Return the torch device of a name: ``auto``, ``cpu``, ``cuda``, or ``cuda:1`` for one of several GPUs.

    ``auto`` stands for the GPU if torch sees one, else for the CPU.

    Raises
    ------
    ConfigError
        For another name.
    BackendError
        When a GPU is named and torch sees none.
    """
    if device not in ("auto", "cpu", "cuda") and not device.startswith("cuda:"):
        raise ConfigError(f"device is {device!r}; expected 'auto', 'cpu' or 'cuda'.")
    has_gpu = torch.cuda.is_available()
    if device.startswith("cuda") and not has_gpu:
        raise BackendError(
            f"device is {device!r} and torch {torch.__version__} sees no CUDA device.",
            remedy="Install a CUDA build of torch and a driver, or use device='cpu'.",
        )
    return torch.device("cuda" if device == "auto" and has_gpu else "cpu" if device == "auto" else device)


def bfloat16_is_quicker(device: torch.device, width: int) -> bool:
    """Tell whether a matrix product in bfloat16 takes less than 0.8 of the time that it takes in float32 on a device.

    Two matrices (1024, width) are multiplied as in the backward pass, conversions to and from bfloat16 included.
    """
    a = torch.randn(1024, width, device=device)
    b = torch.randn(1024, width, device=device)
    plain = _best_time(lambda: a.T @ b, device)
    half = _best_time(lambda: (a.to(torch.bfloat16).T @ b.to(torch.bfloat16)).float(), device)
    return half < 0.8 * plain


def _best_time(work: Callable[[], object], device: torch.device) -> float:
    """Return the seconds that ten calls of ``work`` take, the least of five measurements; waits for a GPU's kernels."""
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(10):
            work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - start)
    return best
