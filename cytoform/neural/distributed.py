"""Several processes, on one machine or many, as ``torchrun`` starts them: who one is, and sums over all."""

from __future__ import annotations

import atexit
import dataclasses
import os
from collections.abc import Sequence

import torch
import torch.distributed as dist

__all__ = ["Team", "join"]


@dataclasses.dataclass(frozen=True)
class Team:
    """This process's number among all; (0, 1) when it is alone."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def add_up(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace each tensor by its sum over all processes, with one message for all of them."""
        if self.size == 1:
            return
        flat = torch.cat([t.reshape(-1) for t in tensors])
        dist.all_reduce(flat)
        for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors])):
            tensor.copy_(part.view_as(tensor))

    def agree(self, asked: bool, device: torch.device) -> bool:
        """Whether any process asks."""
        if self.size == 1:
            return asked
        flag = torch.tensor([float(asked)], device=device)
        dist.all_reduce(flag)
        return bool(flag.item() > 0)


def join(device: torch.device) -> tuple[Team, torch.device]:
    """The team that ``torchrun`` tells of in the environment, joined once, and this process's own GPU."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1 or "RANK" not in os.environ:  # a scheduler may set the one without starting a team
        return Team(), device
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        atexit.register(_leave)
    return Team(dist.get_rank(), dist.get_world_size()), device


def _leave() -> None:
    """End the group before the interpreter does: its threads would abort the process while that takes things apart."""
    if dist.is_initialized():
        dist.destroy_process_group()
