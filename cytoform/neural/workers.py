"""Sums of loss and gradients over many blocks of points: on a CPU a block for each core at a time, on a GPU in turn.

Blocks are assigned to threads by number and added up in a fixed order, so that the result does not depend on timing.
"""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import torch

from . import blocks

__all__ = ["Block", "LossAndGradients", "Workers", "use_one_thread_after_fork"]

Tensor = torch.Tensor

CPU_POINTS, GPU_POINTS = 1024, 1 << 18
_THREADS = torch.get_num_threads()  # read once, at import: workers turn torch's own threads off while they exist


class _TorchThreads:
    """The number of torch's own threads, set to 1 while any :class:`Workers` exist and restored afterwards.

    A forked process must not use torch's threads if its parent did: they do not exist in the child, which would wait
    for them for ever. Such a process gets one torch thread; workers still use a thread of their own for each core.
    """

    def __init__(self) -> None:
        self.reset(forked=False)

    def reset(self, *, forked: bool = True) -> None:
        """Forget all workers; ``forked`` says whether this process was just forked, and needs a limit of one thread."""
        self._lock, self._users, self._before, self._forked = threading.Lock(), 0, 0, forked

    def limit_after_fork(self) -> None:
        """Limit torch to one thread if this process was forked, once."""
        if self._forked:
            self._forked = False
            torch.set_num_threads(1)

    def turn_off(self) -> None:
        """Set torch to one thread, and count one more group of workers that need this.

        The first one also stores the number of threads that torch had before, for :meth:`restore`.
        """
        self.limit_after_fork()
        with self._lock:
            if not self._users:
                self._before = torch.get_num_threads()
            self._users += 1
            torch.set_num_threads(1)

    def restore(self) -> None:
        """Set torch in the calling thread to the stored number of threads, and count one group of workers less.

        Threads that start after the last group has ended get that number, too.
        """
        with self._lock:
            self._users -= 1
            torch.set_num_threads(self._before)


_TORCH = _TorchThreads()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_TORCH.reset)


def use_one_thread_after_fork() -> None:
    """Limit torch to one thread if this process was forked; to be called before large products outside of workers.

    torch's threads do not exist in a forked process, which would wait for them for ever.
    """
    _TORCH.limit_after_fork()


@dataclasses.dataclass
class Block:
    """Points whose loss and gradients are computed together by one thread.

    Parameters
    ----------
    rows : list of int
        Numbers of the draws (frames of a step) that the points belong to, (B,).
    points : (B, P, 4) tensor
        Coordinates (z, y, x, t).
    target : (B, P) tensor
        The distances wanted.
    """

    rows: list[int]
    points: Tensor
    target: Tensor


@dataclasses.dataclass
class LossAndGradients:
    """The loss summed over blocks, and its gradients with respect to each draw's code and rotation.

    Parameters
    ----------
    loss : float
        Sum over all points.
    d_codes : (n_draws, latent) tensor
        Derivatives with respect to the latent codes.
    d_matrices : (n_draws, 3, 3) tensor
        Derivatives with respect to the rotation matrices; zero where none were given.
    """

    loss: float
    d_codes: Tensor
    d_matrices: Tensor


class Workers:
    """Threads that each compute whole blocks, with torch's own threads off as long as they exist.

    torch's threads are off in the calling thread, too: it only computes small products, for which torch's threads would
    wait on each other, on a busy machine a hundred times as long as the product takes.

    Parameters
    ----------
    device : torch.device
        Where the points are computed.
    count : int, optional
        Number of threads; by default as many as torch uses. 1 on a GPU.

    Attributes
    ----------
    count : int
        Number of threads.
    block_points : int
        Most points of a block: 1024 on a CPU, 262,144 on a GPU.
    """

    def __init__(self, device: torch.device, count: int | None = None) -> None:
        self.device = device
        self.count: int = 1 if device.type != "cpu" else count or _THREADS
        self.block_points = CPU_POINTS if device.type == "cpu" else GPU_POINTS
        _TORCH.turn_off()
        self._pool = ThreadPoolExecutor(self.count, initializer=torch.set_num_threads, initargs=(1,))
        self._thread_gradients: list[blocks.Gradients] = []

    def close(self) -> None:
        """End the threads, and restore torch's own."""
        self._pool.shutdown()
        _TORCH.restore()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def split_into_blocks(self, points: Tensor, target: Tensor) -> list[Block]:
        """Split points (n_draws, P, 4) and targets (n_draws, P) of all draws into blocks of about a thousand points.

        A block has ``block_points`` points at most: several whole draws where these are small, or a part of a larger
        one.
        """
        n, p = target.shape
        if p > self.block_points:
            return [
                Block([row], points[row : row + 1, part], target[row : row + 1, part])
                for row in range(n)
                for part in (slice(a, a + self.block_points) for a in range(0, p, self.block_points))
            ]
        draws_per_block = max(1, min(self.block_points // p, -(-n // self.count)))
        starts = range(0, n, draws_per_block)
        return [
            Block(
                list(range(a, min(a + draws_per_block, n))),
                points[a : a + draws_per_block],
                target[a : a + draws_per_block],
            )
            for a in starts
        ]

    def loss_and_gradients(
        self,
        folded: blocks.FoldedWeights,
        work: Sequence[Block],
        codes: Tensor,
        matrices: Tensor | None,
        *,
        weights: bool = True,
        huber: float = 0.0,
    ) -> tuple[LossAndGradients, blocks.Gradients | None]:
        """Compute the sum of |f − target| over all blocks, and its gradients by codes, rotations and weights.

        Parameters
        ----------
        folded : FoldedWeights
            The network f.
        work : sequence of Block
            From :meth:`split_into_blocks`.
        codes : (n_draws, latent) tensor
            Latent code of each draw.
        matrices : (n_draws, 3, 3) tensor or None
            Rotation of each draw, by which its points are multiplied from the right; None for none.
        weights : bool
            Whether the gradients of the network's weights are computed.
        huber : float
            Size of the residual below which the loss is quadratic; see
            :func:`cytoform.neural.blocks.loss_and_gradients`.

        Returns
        -------
        total : LossAndGradients
            Loss, and gradients with respect to codes and rotations.
        sums : Gradients or None
            Gradients with respect to the folded weights, overwritten by the next call; None unless ``weights``.
        """
        gradients = self._zeroed_gradients(folded) if weights else []

        def share(worker: int) -> LossAndGradients:
            return _process_blocks(
                folded, work[worker :: self.count], codes, matrices, gradients[worker] if weights else None, huber
            )

        done = [share(0)] if self.count == 1 else list(self._pool.map(share, range(self.count)))
        total = LossAndGradients(
            sum(d.loss for d in done),
            cast(Tensor, sum(d.d_codes for d in done)),
            cast(Tensor, sum(d.d_matrices for d in done)),
        )
        return total, _add_gradients(gradients) if weights else None

    def _zeroed_gradients(self, folded: blocks.FoldedWeights) -> list[blocks.Gradients]:
        """Return one set of gradients for each thread, all zero; the memory is kept from call to call."""
        if not self._thread_gradients or any(
            a.shape != b.shape for a, b in zip(self._thread_gradients[0].matrices, folded.matrices)
        ):
            self._thread_gradients = [blocks.Gradients.zeros_like(folded) for _ in range(self.count)]
        for gradients in self._thread_gradients:
            gradients.zero_()
        return self._thread_gradients

    def values(self, folded: blocks.FoldedWeights, points: Tensor, code: Tensor) -> Tensor:
        """Return the network's signed distances (n,) at points (n, 4) for one latent code (latent,), by all threads.

        The points are taken as they are, without a rotation.
        """
        size = 2 * self.block_points
        if len(points) <= size or self.count == 1:
            parts = [blocks.values(folded, p[None], code[None])[0] for p in torch.split(points, size)]
        else:
            parts = list(
                self._pool.map(lambda p: blocks.values(folded, p[None], code[None])[0], torch.split(points, size))
            )
        return torch.cat(parts) if parts else points[:, 0]


def _process_blocks(
    folded: blocks.FoldedWeights,
    work: Sequence[Block],
    codes: Tensor,
    matrices: Tensor | None,
    gradients: blocks.Gradients | None,
    huber: float,
) -> LossAndGradients:
    """Compute loss and gradients of one thread's blocks, one after the other.

    Parameters
    ----------
    folded : FoldedWeights
        The network.
    work : sequence of Block
        This thread's blocks.
    codes : (n_draws, latent) tensor
        Latent codes of all draws.
    matrices : (n_draws, 3, 3) tensor or None
        Rotations of all draws, by which points are multiplied from the right.
    gradients : Gradients or None
        The gradients of the weights are added to these, in place; None to leave them out.
    huber : float
        Size of the residual below which the loss is quadratic.
    """
    loss = 0.0
    d_codes = torch.zeros_like(codes)
    d_matrices = torch.zeros(len(codes), 3, 3, dtype=codes.dtype, device=codes.device)
    for block in work:
        rows = block.rows
        points = block.points
        if matrices is not None:
            points = torch.cat([points[..., :3] @ matrices[rows], points[..., 3:]], -1)
        part, d_code, d_points = blocks.loss_and_gradients(
            folded, points, codes[rows], block.target, gradients, huber=huber, points_gradient=matrices is not None
        )
        loss += float(part)
        d_codes[rows] += d_code
        if d_points is not None:
            d_matrices[rows] += block.points[..., :3].transpose(1, 2) @ d_points[..., :3]
    return LossAndGradients(loss, d_codes, d_matrices)


def _add_gradients(parts: Sequence[blocks.Gradients]) -> blocks.Gradients:
    """Add all gradients to the first of them, in place, in their order, and return it."""
    first = parts[0]
    for part in parts[1:]:
        for a, b in zip(first.tensors(), part.tensors()):
            a += b
    return first
