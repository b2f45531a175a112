"""One training: its parameters, optimisers and progress; a step is a function of these alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from .._typing import Floats32
from ..errors import FileFormatError
from . import blocks, rotation
from .checkpoint import optimizer_tensors, restore_optimizer
from .config import TrainConfig
from .data import Draw, TrainingSet
from .distributed import ProcessGroup
from .model import AutoDecoder, LearnedSequences
from .schedule import Schedule
from .workers import Workers

__all__ = ["Trainer"]

Sample = tuple[Floats32, Floats32]  # points (P, 4) and distances (P,)

WARM_UP, FINAL = 50, 0.01  # steps of the cosine schedule's warm-up; factor on the rate at its end
_AHEAD = 2  # steps whose frames are read in advance


class Trainer:
    """The state of a training, and its step.

    Parameters
    ----------
    data : TrainingSet
        Draws points of the sequences.
    config : TrainConfig
        Network, optimiser, learning rates and schedule.
    device : torch.device
        Where the network lies.
    dtype : torch.dtype
        Of weights, codes and rotations.
    mixed : bool
        Whether the matrix products of the backward pass are taken in bfloat16.
    labels : list of str
        Family of each sequence, or empty strings.
    processes : ProcessGroup
        Share the draws of each step.
    workers : Workers
        Compute loss and gradients.
    seconds : float, optional
        Duration of the training, in place of the config's epochs or steps.

    Attributes
    ----------
    model : AutoDecoder
        The network.
    codes : (n_codes, latent) Parameter
        Latent codes of all sequences and variants.
    rotations : (n_codes, 4) Parameter
        Quaternions (w, x, y, z); without a gradient unless rotations are learned.
    step_number : int
        Steps done.
    history : list of float
        Mean loss of each epoch.
    schedule : Schedule
        Number of steps, which changes with each plan of a training with a duration.
    """

    def __init__(
        self,
        data: TrainingSet,
        config: TrainConfig,
        *,
        device: torch.device,
        dtype: torch.dtype,
        mixed: bool,
        labels: list[str],
        processes: ProcessGroup,
        workers: Workers,
        seconds: float | None = None,
    ) -> None:
        self.data, self.config, self.processes, self.workers = data, config, processes, workers
        self.mixed, self.device, self.dtype = mixed, device, dtype
        self.model = AutoDecoder(config.network, seed=config.seed).to(device=device, dtype=dtype)
        self.model.space = data.cube
        n = len(data.names)
        rng = np.random.default_rng((config.seed, 0))
        codes = rng.normal(0.0, 1.0, (n, config.network.latent))
        quaternions = rotation.angles_to_quaternion(rng.normal(0.0, config.rotation_std, (n, 3)) * config.rotation)
        if config.code_start == "shapes" and n > 1:
            if config.rotation:
                codes, matrices = data.aligned_scores(config.network.latent)
                quaternions = rotation.matrix_to_quaternion(matrices)
            else:
                codes = data.shape_scores(config.network.latent)
        codes *= config.code_std
        self.codes = torch.nn.Parameter(torch.as_tensor(codes, device=device, dtype=dtype))
        self.rotations = torch.nn.Parameter(
            torch.as_tensor(quaternions, device=device, dtype=dtype), requires_grad=config.rotation
        )
        self._names, self.labels = data.names, labels
        self.step_number = 0
        self.history: list[float] = []  # mean loss of each epoch
        self._losses: list[float] = []
        self.schedule = Schedule(config.steps or config.epochs * self.steps_per_epoch, seconds)
        self._optimizers = self._make_optimizers()

    # -----------------------------------------------------------------------------------------------------------------
    # Schedule

    @property
    def steps_per_epoch(self) -> int:
        """Number of steps in an epoch: frames with their variants over ``config.batch_frames``, rounded, at least 1."""
        return max(1, round(len(self.data) / self.config.batch_frames))

    @property
    def total_steps(self) -> int:
        """Number of steps of the whole training, by the last plan."""
        return self.schedule.total

    @property
    def epochs(self) -> int:
        """Number of epochs of the whole training, rounded up."""
        return max(1, math.ceil(self.total_steps / self.steps_per_epoch))

    def _rate_factor(self) -> float:
        """Return the factor on all learning rates at the present step.

        ``halve``: ½ for every ``halve_every`` epochs that are over. ``cosine``: falls from 1 to 0.01 with the cosine of
        the progress, after a linear warm-up over 50 steps, or a tenth of the training if that is shorter.
        """
        epoch = self.step_number // self.steps_per_epoch
        if self.config.schedule == "halve":
            return 0.5 ** (epoch // self.config.halve_every)
        fraction = self.schedule.fraction_done(self.step_number)
        if self.schedule.seconds is None:
            warm = min(1.0, (self.step_number + 1) / min(WARM_UP, max(1, self.total_steps // 10)))
        else:  # the same, without jumps where a plan changes the number of steps
            warm = min(1.0, max((self.step_number + 1) / WARM_UP, 10.0 * fraction))
        return warm * (FINAL + (1.0 - FINAL) * 0.5 * (1.0 + math.cos(math.pi * fraction)))

    def _make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Return the optimisers by name: ``adam``, and ``muon`` for the hidden matrices if the config asks for it.

        Network, codes and rotations have learning rates of their own, each kept as ``full_lr`` of its group of
        parameters.
        """
        c = self.config
        muon = c.optimizer == "muon"
        layers = self.model.linear_layers
        matrices = [layer.matrix for layer in layers[1:-1]] if muon else []
        rest = [p for p in self.model.parameters() if not any(p is m for m in matrices)]
        groups = [dict(params=rest, lr=c.lr), dict(params=[self.codes], lr=c.code_lr)]
        if c.rotation:
            groups.append(dict(params=[self.rotations], lr=c.rotation_lr))
        # Gradients of codes are small, those of few points too: eps must not outweigh them.
        found: dict[str, Any] = {
            "adam": torch.optim.Adam(groups, betas=(0.9, 0.99) if muon else (0.9, 0.999), eps=1e-12 if muon else 1e-8)
        }
        if matrices:
            phase = c.network.omega if c.network.activation == "sine" else 1.0
            found["muon"] = torch.optim.Muon(matrices, lr=c.matrix_lr / phase, weight_decay=0.0)
        for optimizer in found.values():
            for group in optimizer.param_groups:
                group["full_lr"] = group["lr"]
        return found

    # -----------------------------------------------------------------------------------------------------------------
    # A step

    def step(self) -> float:
        """Do one step of the training, and return its loss.

        Draws points in a batch of frames, computes the gradients, sets the learning rates of the schedule, and lets the
        optimisers change weights, codes and rotations. The frames of the next two steps are read in advance. The loss
        is the mean absolute difference between the network's distances and those of the data, over the points of all
        processes, without the penalty on codes.
        """
        draws, drawn = self._sample_points()
        for ahead in range(1, _AHEAD + 1):
            self.data.prefetch(self._draws_of_step(self.step_number + ahead))
        loss = self._set_gradients(draws, drawn)
        factor = self._rate_factor()
        for optimizer in self._optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = group["full_lr"] * factor
            optimizer.step()
        self.step_number += 1
        self._losses.append(loss)
        if self.step_number % self.steps_per_epoch == 0:
            self.history.append(float(np.mean(self._losses)))
            self._losses = []
        return loss

    def _sample_points(self) -> tuple[list[Draw], list[Sample]]:
        """Return this process's draws of the present step, with the points (P, 4) and distances (P,) of each.

        Each draw is a frame of a sequence. Those that other processes take only count as visits of their frames.
        """
        n = self.config.batch_frames
        draws, drawn = [], []
        for number, draw in enumerate(self.data.draws(self.step_number * n, n)):
            if number % self.processes.size == self.processes.rank:
                draws.append(draw)
                drawn.append(self.data.sample(draw))
            else:
                self.data.skip(draw)
        return draws, drawn

    def _draws_of_step(self, step: int) -> list[Draw]:
        """Return this process's draws (frames) at a step: every n-th of the batch, for n processes."""
        n = self.config.batch_frames
        return self.data.draws(step * n, n)[self.processes.rank :: self.processes.size]

    def _set_gradients(self, draws: list[Draw], drawn: list[Sample]) -> float:
        """Set the gradients of weights, codes and rotations to those of the mean loss, and return the loss.

        Both are over the points of all processes. The gradients are those of the mean of |f − target| plus the
        regularisation ‖z‖² with its weight; the loss returned is the former alone.

        Parameters
        ----------
        draws : list of Draw
            This process's draws; the code of a blend is interpolated between two codes, and both receive its gradient.
        drawn : list of (points, values)
            Points (P, 4) and distances (P,) of each draw.
        """
        c = self.config
        points = torch.as_tensor(np.stack([p for p, _ in drawn]), device=self.device, dtype=self.dtype)
        target = torch.as_tensor(np.stack([v for _, v in drawn]), device=self.device, dtype=self.dtype)
        rows = torch.as_tensor([d.code for d in draws], device=self.device)
        second_rows = torch.as_tensor([d.second_code for d in draws], device=self.device)
        weights = torch.as_tensor([[d.second_weight] for d in draws], device=self.device, dtype=self.dtype)
        codes = torch.lerp(self.codes.detach()[rows], self.codes.detach()[second_rows], weights)
        matrices = rotation.quaternion_to_matrix(self.rotations) if c.rotation else None
        folded = blocks.fold_weights(self.model, mixed=self.mixed)
        rotations = None if matrices is None else matrices.detach()[rows]
        found, sums = self.workers.loss_and_gradients(
            folded, self.workers.split_into_blocks(points, target), codes, rotations
        )
        assert sums is not None
        regularisation = c.code_weight * min(1.0, self.step_number / self.steps_per_epoch / c.code_ramp)
        d_blend = found.d_codes + 2.0 * regularisation * c.frame_points * codes
        d_codes = torch.zeros_like(self.codes)
        d_codes.index_add_(0, rows, (1.0 - weights) * d_blend).index_add_(0, second_rows, weights * d_blend)
        d_matrices = torch.zeros(len(self.codes), 3, 3, device=self.device, dtype=self.dtype)
        d_matrices.index_add_(0, rows, found.d_matrices)
        loss = torch.tensor([found.loss], device=self.device, dtype=self.dtype)
        self.processes.sum_in_place([*sums.tensors(), d_codes, d_matrices, loss])
        count = c.batch_frames * c.frame_points
        self._set_network_gradients(sums, folded.omega, count)
        self.codes.grad = d_codes / count
        if matrices is not None:
            (self.rotations.grad,) = torch.autograd.grad((matrices * d_matrices).sum() / count, self.rotations)
        return float(loss) / count

    def _set_network_gradients(self, sums: blocks.Gradients, omega: float, count: int) -> None:
        """Set the gradients of the network's parameters from the sums of those of its folded weights.

        The sums are multiplied by ω0, except in the last layer, and divided by ``count``, the number of points of a
        step.
        """
        last = self.config.network.layers
        for n, layer in enumerate(self.model.linear_layers):
            scale = (omega if n < last else 1.0) / count
            layer.matrix.grad = sums.matrices[n] * scale
            layer.bias.grad = sums.biases[n] * scale
            code = sums.code_matrices[n]
            if code is not None and layer.code is not None:
                layer.code.grad = code * scale

    # -----------------------------------------------------------------------------------------------------------------
    # State

    def trained_model(self) -> AutoDecoder:
        """Return a copy of the network on the CPU, with codes, rotations, scale and notes of the training so far."""
        model = AutoDecoder(self.config.network).to(self.dtype)
        model.load_state_dict({k: v.detach().cpu() for k, v in self.model.state_dict().items()})
        model.space = self.data.cube
        model.learned = LearnedSequences(
            self.codes.detach().cpu().clone(),
            torch.nn.functional.normalize(self.rotations.detach(), dim=1).cpu(),
            list(self._names),
            list(self.labels) * len(self.data.variants),
            originals=len(self.data.sources),
            frames=self.data.sources.lengths * len(self.data.variants),
        )
        losses = self.history[-1:] or self._losses  # within the first epoch there is no epoch's mean
        model.notes = {
            "training": self.config.to_json(),
            "steps_done": self.step_number,
            "epochs_done": len(self.history),
            "loss": float(np.mean(losses)) if losses else None,
        }
        return model

    def state_tensors(self) -> dict[str, torch.Tensor]:
        """Return the tensors that later steps depend on, by name: parameters, visits, losses, optimisers' moments."""
        found = {f"network.{k}": v for k, v in self.model.state_dict().items()}
        found |= {"codes": self.codes, "rotations": self.rotations, "visits": torch.as_tensor(self.data.visits)}
        found["history"] = torch.tensor(self.history, dtype=torch.float64)
        found["losses"] = torch.tensor(self._losses, dtype=torch.float64)
        for name, optimizer in self._optimizers.items():
            found |= optimizer_tensors(name, optimizer)
        return found

    def restore(self, tensors: dict[str, torch.Tensor], step_number: int) -> None:
        """Set the state to that of a checkpoint, in place.

        Parameters
        ----------
        tensors : dict of str to tensor
            What :meth:`state_tensors` returned.
        step_number : int
            Steps done by then.

        Raises
        ------
        FileFormatError
            When the tensors are those of another network or data set.
        """
        try:
            network = {k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")}
            self.model.load_state_dict(network)
            with torch.no_grad():
                for parameter, name in ((self.codes, "codes"), (self.rotations, "rotations")):
                    shape, expected = tuple(tensors[name].shape), tuple(parameter.shape)
                    if shape != expected:
                        raise ValueError(f"{name} have shape {shape}; expected {expected}")
                    parameter.copy_(tensors[name])
            for name, optimizer in self._optimizers.items():
                restore_optimizer(name, optimizer, tensors)
            self.data.visits[:] = tensors["visits"].numpy()
            self.history = tensors["history"].tolist()
            self._losses = tensors["losses"].tolist()
        except (KeyError, ValueError, RuntimeError) as error:
            raise FileFormatError(
                f"the checkpoint is that of another network or other sequences: {error}.",
                remedy="Resume with the same sequences, or start anew.",
            ) from error
        self.step_number = step_number
