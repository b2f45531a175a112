"""Sums of loss and gradients over many blocks of points: on a CPU one block a core at a time, on a GPU one by one.

Blocks go to workers by number and are added up in a fixed order, so that the result does not depend on timing.
"""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

from . import blocks

__all__ = ["Block", "Pass", "Workers", "ready_after_fork"]

Tensor = torch.Tensor

CPU_POINTS, GPU_POINTS = 1024, 1 << 18
_THREADS = torch.get_num_threads()  # asked once: workers turn torch's own threads off while they are at it


class _TorchThreads:
    """How many threads torch itself uses, while workers in any thread of the program have turned them off.

    A process that was forked must not use torch's threads where its parent did: theirs are gone, and it would wait for
    them for ever. Such a process has one torch thread; workers still take a core each.
    """

    def __init__(self) -> None:
        self.forget(forked=False)

    def forget(self, *, forked: bool = True) -> None:
        """Begin anew, as in a process that was just forked."""
        self._lock, self._users, self._before, self._forked = threading.Lock(), 0, 0, forked

    def ready(self) -> None:
        """Give a forked process its one thread."""
        if self._forked:
            self._forked = False
            torch.set_num_threads(1)

    def take(self) -> None:
        """Remember the number of threads, unless other workers have."""
        self.ready()
        with self._lock:
            if not self._users:
                self._before = torch.get_num_threads()
            self._users += 1
            torch.set_num_threads(1)

    def give_back(self) -> None:
        """Set it again, here at once and for new threads when no workers are left."""
        with self._lock:
            self._users -= 1
            torch.set_num_threads(self._before)


_TORCH = _TorchThreads()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_TORCH.forget)


def ready_after_fork() -> None:
    """Make torch usable in a process that was forked; to be called before large products outside of workers."""
    _TORCH.ready()


@dataclasses.dataclass
class Block:
    """Points of one or more draws: which draws (B,), their points (B, P, 4) and targets (B, P)."""

    rows: list[int]
    points: Tensor
    target: Tensor


@dataclasses.dataclass
class Pass:
    """Loss and gradients summed over blocks; by draw where they belong to one.

    Attributes
    ----------
    loss : float
    codes : (n_draws, latent)
    turns : (n_draws, 3, 3)
        d/d of the rotation matrices.
    """

    loss: float
    codes: Tensor
    turns: Tensor


class Workers:
    """Threads that each work through whole blocks, with torch's own threads off meanwhile.

    They are off in the calling thread, too: what is left for it are small products, for which torch's threads would
    wait on each other, on a busy machine a hundred times as long as the product takes.

    Parameters
    ----------
    device : torch.device
    count : int, optional
        Threads; by default as many as torch would use. 1 on a GPU.
    """

    def __init__(self, device: torch.device, count: int | None = None) -> None:
        self.device = device
        self.count: int = 1 if device.type != "cpu" else count or _THREADS
        self.block_points = CPU_POINTS if device.type == "cpu" else GPU_POINTS
        _TORCH.take()
        self._pool = ThreadPoolExecutor(self.count, initializer=torch.set_num_threads, initargs=(1,))
        self._held: list[blocks.Gradients] = []

    def close(self) -> None:
        """End the threads, and give torch its own back."""
        self._pool.shutdown()
        _TORCH.give_back()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def cut(self, points: Tensor, target: Tensor) -> list[Block]:
        """Blocks of points (n_draws, P, 4) and targets (n_draws, P): several small draws each, or parts of a large."""
        n, p = target.shape
        if p > self.block_points:
            return [
                Block([row], points[row : row + 1, part], target[row : row + 1, part])
                for row in range(n)
                for part in (slice(a, a + self.block_points) for a in range(0, p, self.block_points))
            ]
        many = max(1, min(self.block_points // p, -(-n // self.count)))
        cuts = range(0, n, many)
        return [Block(list(range(a, min(a + many, n))), points[a : a + many], target[a : a + many]) for a in cuts]

    def run(
        self,
        folded: blocks.Folded,
        work: Sequence[Block],
        codes: Tensor,
        matrices: Tensor | None,
        *,
        weights: bool = True,
        huber: float = 0.0,
    ) -> tuple[Pass, blocks.Gradients | None]:
        """Loss and gradients of all blocks.

        Parameters
        ----------
        codes : (n_draws, latent)
        matrices : (n_draws, 3, 3) or None
            Rotation of each draw; points are multiplied by it from the right.
        weights : bool
            Whether the network's own gradients are wanted.
        huber : float
            See :func:`cytoform.neural.blocks.loss_and_gradients`.
        """
        into = self._gradients(folded) if weights else [None] * self.count

        def share(worker: int) -> Pass:
            return _share(folded, work[worker :: self.count], codes, matrices, into[worker], huber)

        done = [share(0)] if self.count == 1 else list(self._pool.map(share, range(self.count)))
        total = Pass(sum(d.loss for d in done), sum(d.codes for d in done), sum(d.turns for d in done))  # type: ignore[arg-type]
        return total, _sum(into) if weights else None

    def _gradients(self, folded: blocks.Folded) -> list[Any]:
        if not self._held or any(a.shape != b.shape for a, b in zip(self._held[0].matrices, folded.matrices)):
            self._held = [blocks.Gradients.like(folded) for _ in range(self.count)]
        for held in self._held:
            held.zero_()
        return self._held

    def values(self, folded: blocks.Folded, points: Tensor, code: Tensor) -> Tensor:
        """Distances (n,) at points (n, 4), already turned, for one code (latent,)."""
        size = 2 * self.block_points
        if len(points) <= size or self.count == 1:
            parts = [blocks.values(folded, p[None], code[None])[0] for p in points.split(size)]
        else:
            parts = list(self._pool.map(lambda p: blocks.values(folded, p[None], code[None])[0], points.split(size)))
        return torch.cat(parts) if parts else points[:, 0]


def _share(
    folded: blocks.Folded,
    work: Sequence[Block],
    codes: Tensor,
    matrices: Tensor | None,
    into: blocks.Gradients | None,
    huber: float,
) -> Pass:
    loss = 0.0
    d_codes = torch.zeros_like(codes)
    d_turns = torch.zeros(len(codes), 3, 3, dtype=codes.dtype, device=codes.device)
    for block in work:
        rows = block.rows
        points = block.points
        if matrices is not None:
            points = torch.cat([points[..., :3] @ matrices[rows], points[..., 3:]], -1)
        part, d_code, d_points = blocks.loss_and_gradients(
            folded, points, codes[rows], block.target, into, huber=huber, points_too=matrices is not None
        )
        loss += float(part)
        d_codes[rows] += d_code
        if d_points is not None:
            d_turns[rows] += block.points[..., :3].transpose(1, 2) @ d_points[..., :3]
    return Pass(loss, d_codes, d_turns)


def _sum(parts: Sequence[Any]) -> blocks.Gradients:
    first = parts[0]
    for other in parts[1:]:
        for a, b in zip(first.tensors(), other.tensors()):
            a += b
    return first
