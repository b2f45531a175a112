"""Where torch works: the only file that asks it about devices."""

from __future__ import annotations

import time

import torch

from ..errors import BackendError, ConfigError

__all__ = ["bfloat16_is_quicker", "torch_device"]


def torch_device(device: str) -> torch.device:
    """``auto`` to the GPU where torch sees one, else the CPU; ``cuda:1`` and the like name one of several.

    Raises
    ------
    ConfigError, BackendError
        As :func:`cytoform.devices.resolve_device`.
    """
    if device not in ("auto", "cpu", "cuda") and not device.startswith("cuda:"):
        raise ConfigError(f"device is {device!r}; expected 'auto', 'cpu' or 'cuda'.")
    there = torch.cuda.is_available()
    if device.startswith("cuda") and not there:
        raise BackendError(
            f"device={device!r} was asked for and torch {torch.__version__} sees no CUDA device.",
            remedy="Install a CUDA build of torch and a driver, or use device='cpu'.",
        )
    return torch.device("cuda" if device == "auto" and there else "cpu" if device == "auto" else device)


def bfloat16_is_quicker(device: torch.device, width: int) -> bool:
    """Whether products in bfloat16, casts included, take less than 0.8 of the time that float32 takes here."""
    a = torch.randn(1024, width, device=device)
    b = torch.randn(1024, width, device=device)
    plain = _time(lambda: a.T @ b, device)
    half = _time(lambda: (a.to(torch.bfloat16).T @ b.to(torch.bfloat16)).float(), device)
    return half < 0.8 * plain


def _time(work: object, device: torch.device) -> float:
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(10):
            work()  # type: ignore[operator]
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - start)
    return best
