"""Several processes that train together, as ``torchrun`` starts them: which one this is, and sums over all of them."""

from __future__ import annotations

import atexit
import dataclasses
import os
from collections.abc import Sequence

import torch
import torch.distributed as dist

__all__ = ["ProcessGroup", "join_process_group"]


@dataclasses.dataclass(frozen=True)
class ProcessGroup:
    """The processes that train together, and which of them this one is.

    Parameters
    ----------
    rank : int
        Number of this process, from 0.
    size : int
        How many processes there are; 1 for a process that trains alone.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process has rank 0: it alone writes files and reports progress."""
        return self.rank == 0

    def sum_in_place(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace each tensor by its sum over all processes, in place, with one message for all tensors."""
        if self.size == 1:
            return
        flat = torch.cat([t.reshape(-1) for t in tensors])
        dist.all_reduce(flat)
        for tensor, part in zip(tensors, torch.split(flat, [t.numel() for t in tensors])):
            tensor.copy_(part.view_as(tensor))

    def any_true(self, condition: bool, device: torch.device) -> bool:
        """Tell whether a condition is true in any of the processes; all must call this, and get the same result."""
        if self.size == 1:
            return condition
        flag = torch.tensor([float(condition)], device=device)
        dist.all_reduce(flag)
        return bool(flag.item() > 0)


def join_process_group(device: torch.device) -> tuple[ProcessGroup, torch.device]:
    """Return the group of processes that ``torchrun`` describes in the environment, and the device of this process.

    The environment variables are WORLD_SIZE, RANK and LOCAL_RANK; without the first two the group is this process
    alone. torch's process group is initialised on the first call, and destroyed at exit. A ``device`` that is a GPU
    without a number becomes the GPU numbered LOCAL_RANK.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1 or "RANK" not in os.environ:  # a scheduler may set the one without starting a processes
        return ProcessGroup(), device
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        atexit.register(_destroy_process_group)
    return ProcessGroup(dist.get_rank(), dist.get_world_size()), device


def _destroy_process_group() -> None:
    """Destroy torch's process group, if there is one; called at exit, while its threads can still end in order.

    Left to the interpreter's shutdown, these threads would abort the process.
    """
    if dist.is_initialized():
        dist.destroy_process_group()
