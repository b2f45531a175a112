"""One training: its parameters, optimisers and place in the schedule; a step is a function of these alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from ..errors import FileFormatError
from . import blocks, rotation
from .checkpoint import optimizer_tensors, restore_optimizer
from .config import TrainConfig
from .data import Draw, TrainingSet
from .distributed import Team
from .model import AutoDecoder, Learned
from .schedule import Schedule
from .workers import Workers

__all__ = ["Trainer"]

WARM_UP, FINAL = 50, 0.01  # steps of the cosine schedule's warm-up; the part of the rate that is left at its end
_AHEAD = 2  # steps whose frames are read ahead


class Trainer:
    """State of a training and its step.

    Parameters
    ----------
    data : TrainingSet
    config : TrainConfig
    device : torch.device
    dtype : torch.dtype
    mixed : bool
        bfloat16 in the backward pass's products.
    labels : list of str
    team : Team
    workers : Workers
    seconds : float, optional
        How long the training shall last, in place of the config's epochs or steps.

    Attributes
    ----------
    schedule : Schedule
        How many steps there are; what has a time to end at plans it anew.
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
        team: Team,
        workers: Workers,
        seconds: float | None = None,
    ) -> None:
        self.data, self.config, self.team, self.workers = data, config, team, workers
        self.mixed, self.device, self.dtype = mixed, device, dtype
        self.model = AutoDecoder(config.network, seed=config.seed).to(device=device, dtype=dtype)
        self.model.space = data.space
        n = len(data.names)
        rng = np.random.default_rng((config.seed, 0))
        codes = rng.normal(0.0, 1.0, (n, config.network.latent))
        turns = rotation.from_angles(rng.normal(0.0, config.rotation_std, (n, 3)) * config.rotation)
        if config.code_start == "shapes" and n > 1:
            if config.rotation:
                codes, matrices = data.aligned_scores(config.network.latent)
                turns = rotation.quaternion_of(matrices)
            else:
                codes = data.shape_scores(config.network.latent)
        codes *= config.code_std
        self.codes = torch.nn.Parameter(torch.as_tensor(codes, device=device, dtype=dtype))
        self.rotations = torch.nn.Parameter(
            torch.as_tensor(turns, device=device, dtype=dtype), requires_grad=config.rotation
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
        """Steps that draw as many frames as there are, at least one."""
        return max(1, round(len(self.data) / self.config.batch_frames))

    @property
    def total_steps(self) -> int:
        """Steps of the whole training, by what is known now."""
        return self.schedule.total

    @property
    def epochs(self) -> int:
        """Epochs of the whole training, the last one perhaps not to its end."""
        return max(1, math.ceil(self.total_steps / self.steps_per_epoch))

    def _factor(self) -> float:
        epoch = self.step_number // self.steps_per_epoch
        if self.config.schedule == "halve":
            return 0.5 ** (epoch // self.config.halve_every)
        along = self.schedule.along(self.step_number)
        if self.schedule.seconds is None:
            warm = min(1.0, (self.step_number + 1) / min(WARM_UP, max(1, self.total_steps // 10)))
        else:  # the same, without the jumps that come with a number of steps that is planned anew
            warm = min(1.0, max((self.step_number + 1) / WARM_UP, 10.0 * along))
        return warm * (FINAL + (1.0 - FINAL) * 0.5 * (1.0 + math.cos(math.pi * along)))

    def _make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        c = self.config
        muon = c.optimizer == "muon"
        layers = list(self.model.layers)
        matrices = [layer.matrix for layer in layers[1:-1]] if muon else []
        rest = [p for p in self.model.parameters() if not any(p is m for m in matrices)]
        groups = [dict(params=rest, lr=c.lr), dict(params=[self.codes], lr=c.code_lr)]
        if c.rotation:
            groups.append(dict(params=[self.rotations], lr=c.rotation_lr))
        # Gradients of codes are small, those of few points too: eps must not stand in their way.
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
        """Draw, sum, move; the mean absolute difference at the points drawn."""
        mine, drawn = self._mine()
        for ahead in range(1, _AHEAD + 1):
            self.data.expect(self._draws(self.step_number + ahead))
        loss = self._gradients(mine, drawn)
        factor = self._factor()
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

    def _mine(self) -> tuple[list[Draw], list[tuple[np.ndarray, np.ndarray]]]:
        """This process's draws of this step and their points; those of others are counted."""
        n = self.config.batch_frames
        mine, drawn = [], []
        for place, draw in enumerate(self.data.draws(self.step_number * n, n)):
            if place % self.team.size == self.team.rank:
                mine.append(draw)
                drawn.append(self.data.draw(draw))
            else:
                self.data.skip(draw)
        return mine, drawn

    def _draws(self, step: int) -> list[Draw]:
        """What this process takes at a step."""
        n = self.config.batch_frames
        return self.data.draws(step * n, n)[self.team.rank :: self.team.size]

    def _gradients(self, draws: list[Draw], drawn: list[tuple[np.ndarray, np.ndarray]]) -> float:
        """Fill every parameter's gradient with that of the mean loss over all processes."""
        c = self.config
        points = torch.as_tensor(np.stack([p for p, _ in drawn]), device=self.device, dtype=self.dtype)
        target = torch.as_tensor(np.stack([v for _, v in drawn]), device=self.device, dtype=self.dtype)
        rows = torch.as_tensor([d.code for d in draws], device=self.device)
        others = torch.as_tensor([d.other for d in draws], device=self.device)
        share = torch.as_tensor([[d.share] for d in draws], device=self.device, dtype=self.dtype)
        codes = torch.lerp(self.codes.detach()[rows], self.codes.detach()[others], share)
        matrices = rotation.to_matrix(self.rotations) if c.rotation else None
        folded = blocks.fold(self.model, mixed=self.mixed)
        turned = None if matrices is None else matrices.detach()[rows]
        found, sums = self.workers.run(folded, self.workers.cut(points, target), codes, turned)
        assert sums is not None
        weight = c.code_weight * min(1.0, self.step_number / self.steps_per_epoch / c.code_ramp)
        along = found.codes + 2.0 * weight * c.frame_points * codes
        d_codes = torch.zeros_like(self.codes)
        d_codes.index_add_(0, rows, (1.0 - share) * along).index_add_(0, others, share * along)
        d_turns = torch.zeros(len(self.codes), 3, 3, device=self.device, dtype=self.dtype)
        d_turns.index_add_(0, rows, found.turns)
        loss = torch.tensor([found.loss], device=self.device, dtype=self.dtype)
        self.team.add_up([*sums.tensors(), d_codes, d_turns, loss])
        count = c.batch_frames * c.frame_points
        self._assign(sums, folded.omega, count)
        self.codes.grad = d_codes / count
        if matrices is not None:
            (self.rotations.grad,) = torch.autograd.grad((matrices * d_turns).sum() / count, self.rotations)
        return float(loss) / count

    def _assign(self, sums: blocks.Gradients, omega: float, count: int) -> None:
        last = self.config.network.layers
        for n, layer in enumerate(self.model.layers):
            scale = (omega if n < last else 1.0) / count
            layer.matrix.grad = sums.matrices[n] * scale
            layer.bias.grad = sums.biases[n] * scale
            code = sums.code_matrices[n]
            if code is not None:
                layer.code.grad = code * scale

    # -----------------------------------------------------------------------------------------------------------------
    # State

    def finished(self) -> AutoDecoder:
        """The model with what it has learned so far, on the CPU."""
        model = AutoDecoder(self.config.network).to(self.dtype)
        model.load_state_dict({k: v.detach().cpu() for k, v in self.model.state_dict().items()})
        model.space = self.data.space
        model.learned = Learned(
            self.codes.detach().cpu().clone(),
            torch.nn.functional.normalize(self.rotations.detach(), dim=1).cpu(),
            list(self._names),
            list(self.labels) * len(self.data.variants),
            originals=len(self.data.sources),
            frames=self.data.sources.lengths * len(self.data.variants),
        )
        losses = self.history[-1:] or self._losses  # within the first epoch there is no mean of a whole one
        model.notes = {
            "training": self.config.to_json(),
            "steps_done": self.step_number,
            "epochs_done": len(self.history),
            "loss": float(np.mean(losses)) if losses else None,
        }
        return model

    def tensors(self) -> dict[str, torch.Tensor]:
        """All tensors that a later step depends on."""
        found = {f"network.{k}": v for k, v in self.model.state_dict().items()}
        found |= {"codes": self.codes, "rotations": self.rotations, "visits": torch.as_tensor(self.data.visits)}
        found["history"] = torch.tensor(self.history, dtype=torch.float64)
        found["losses"] = torch.tensor(self._losses, dtype=torch.float64)
        for name, optimizer in self._optimizers.items():
            found |= optimizer_tensors(name, optimizer)
        return found

    def restore(self, tensors: dict[str, torch.Tensor], step_number: int) -> None:
        """Go back to a state that :meth:`tensors` told.

        Raises
        ------
        FileFormatError
            When the tensors are those of another network or data set.
        """
        try:
            network = {k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")}
            self.model.load_state_dict(network)
            with torch.no_grad():
                for own, name in ((self.codes, "codes"), (self.rotations, "rotations")):
                    if own.shape != tensors[name].shape:
                        raise ValueError(f"{name} have shape {tuple(tensors[name].shape)}; {tuple(own.shape)} wanted")
                    own.copy_(tensors[name])
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
