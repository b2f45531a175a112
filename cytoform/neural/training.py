"""Train an auto-decoder on sequences of signed distances."""

from __future__ import annotations

import csv
import dataclasses
import io
import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from ..atomic import ensure_folder, write_text
from ..errors import ConfigError, Interrupted, OutputError
from ..interruption import Interruption
from ..sdf.sequence import SDFSequence, sequence_files
from .checkpoint import CHECKPOINT, read_checkpoint, write_checkpoint
from .config import TrainConfig, preset
from .data import TrainingSet
from .devices import bfloat16_is_quicker, torch_device
from .distributed import Team, join
from .model import AutoDecoder
from .resuming import Settings, Stored
from .trainer import Trainer
from .workers import Workers

__all__ = ["TrainProgress", "train"]

_LOG = logging.getLogger(__name__)

MODEL = "model.safetensors"
_FILES = (MODEL, "model.json", "codes.csv")  # of a finished training
_FAR_OFF = 0.1  # of the time asked for: an end that misses it by more is told


@dataclasses.dataclass(frozen=True)
class TrainProgress:
    """Where a training stands.

    Attributes
    ----------
    step, total : int
        Steps done and in all. Where a time was asked for, their number is known better and better.
    epoch, epochs : int
    loss : float
        Mean absolute difference of the last epoch, in the network's unit; of the last step during the first.
    seconds, left : float
        Since the start of this run, and still to go.
    """

    step: int
    total: int
    epoch: int
    epochs: int
    loss: float
    seconds: float
    left: float


def train(
    sequences: Sequence[SDFSequence | str | Path] | str | Path,
    out: str | os.PathLike[str] | None = None,
    config: TrainConfig | str = "default",
    *,
    labels: Sequence[str] | None = None,
    minutes: float | None = None,
    device: str = "auto",
    dtype: str = "float32",
    precision: str = "auto",
    memory_gb: float = 1.0,
    checkpoint_minutes: float = 5.0,
    resume: bool = False,
    overwrite: bool = False,
    tensorboard: str | os.PathLike[str] | None = None,
    progress: Callable[[TrainProgress], None] | None = None,
) -> AutoDecoder:
    """Learn weights, codes and rotations from sequences.

    Points are drawn anew at every step from the files (70 % of them inside or near the surface), in bounded memory.
    Ctrl-C saves a checkpoint; ``resume=True`` goes on from there as if nothing had happened, on a CPU to the last
    digit. Under ``torchrun`` every process takes its share of each batch (data parallel) and the first one writes.

    Parameters
    ----------
    sequences : list of paths or SDFSequence, or a folder of .h5 files
        All with the same samples and voxel size, as ``neural prepare`` writes them together.
    out : path, optional
        Folder for ``model.safetensors`` (+ .json), ``checkpoint.safetensors`` and ``history.csv``.
    config : TrainConfig or str
        Or the name of a preset: ``default``, ``encoding``, ``miccai2022``, ``media2024``.
    labels : list of str, optional
        A family's name for each sequence.
    minutes : float, optional
        End after this time, preparation included: the steps that are left are planned again and again by the machine's
        speed of late. Takes the place of the config's epochs or steps. The runs of a resumed training count together.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    dtype : str
        ``float32`` or ``float64``.
    precision : str
        ``full``; ``mixed``, products of the backward pass in bfloat16; ``auto``, mixed where that measures faster.
    memory_gb : float
        For points held in memory.
    checkpoint_minutes : float
    resume, overwrite : bool
        Go on with the training in ``out``; or replace it.
    tensorboard : path, optional
        Folder for TensorBoard's events (needs the tensorboard package).
    progress : callable, optional
        Called after every step with a :class:`TrainProgress`.

    Returns
    -------
    AutoDecoder
        On the CPU, with ``learned`` codes and rotations.

    Raises
    ------
    SequenceError
        When sequences do not match, are too short, or a frame has no object.
    ConfigError, BackendError
        For options that make no sense, or a device that is not there.
    OutputError
        When ``out`` cannot be written, or holds another training.
    FileFormatError
        When the checkpoint does not fit.
    Interrupted
        After Ctrl-C, when the checkpoint has been written.
    """
    begin = time.monotonic()
    given = config != "default"
    config = preset(config) if isinstance(config, str) else config
    _check_options(dtype, precision, minutes, resume, out)
    asked = Settings(config, dtype, precision, minutes, memory_gb, labels)
    files = _files(sequences)
    team, where = join(torch_device(device))
    folder = _folder(out, resume, overwrite, team)
    stored = Stored(*read_checkpoint(folder / CHECKPOINT)) if resume and folder else None
    settings = stored.settings(asked, given=given) if stored else asked
    _check_team(team, settings.config)
    with _points(files, settings) as data, Workers(where, settings.threads) as workers:
        if stored:
            stored.check_sequences(data)
        trainer = _trainer(data, settings, where, team, workers)
        if stored:
            stored.restore(trainer)
        elif folder and team.leads:
            _remove_old(folder, data)
        before = stored.seconds if stored else 0.0
        run = _Run(trainer, folder, checkpoint_minutes, progress, tensorboard, settings.memory_gb, begin - before)
        return run.to_the_end()


def _points(files: list[Any], settings: Settings) -> TrainingSet:
    """What draws points from the sequences."""
    config = settings.config
    return TrainingSet(
        files,
        frame_points=config.frame_points,
        near_fraction=config.near_fraction,
        near_um=config.near_um,
        memory=settings.memory_gb * 1e9,
        augment=config.augment,
        mix=config.mix,
        seed=config.seed,
    )


def _trainer(data: TrainingSet, settings: Settings, where: torch.device, team: Team, workers: Workers) -> Trainer:
    """What makes the steps. Precision is measured as products are made then: with torch's own threads off."""
    mixed = _mixed(settings.precision, settings.dtype, where, settings.config)
    return Trainer(
        data,
        settings.config,
        device=where,
        dtype=getattr(torch, settings.dtype),
        mixed=mixed,
        labels=_labels(settings.labels, len(data.sources)),
        team=team,
        workers=workers,
        seconds=None if settings.minutes is None else 60.0 * settings.minutes,
    )


class _Run:
    """The loop around the steps: progress, checkpoints, interruptions."""

    def __init__(
        self,
        trainer: Trainer,
        folder: Path | None,
        checkpoint_minutes: float,
        progress: Callable[[TrainProgress], None] | None,
        tensorboard: str | os.PathLike[str] | None,
        memory_gb: float,
        begin: float,
    ) -> None:
        self._memory_gb = memory_gb
        self.trainer, self.folder, self.team = trainer, folder if trainer.team.leads else None, trainer.team
        self._every = 60.0 * checkpoint_minutes
        self._progress = progress if trainer.team.leads else None
        self._writer = _writer(tensorboard) if tensorboard and trainer.team.leads else None
        self._first_step = trainer.step_number
        self._begin = begin  # moved back by the time that earlier runs of the same training took
        self._start = self._saved = time.monotonic()
        if trainer.step_number == 0:
            trainer.schedule.begin(self._start - begin)

    def to_the_end(self) -> AutoDecoder:
        trainer = self.trainer
        with Interruption() as interruption:
            while trainer.step_number < trainer.total_steps:
                loss = trainer.step()
                self._plan()
                self._tell(loss)
                if self.team.agree(interruption.asked, trainer.device):
                    self._save()
                    self._close_writer()
                    raise Interrupted(self._farewell())
                if time.monotonic() - self._saved > self._every:
                    self._save()
        return self._finish()

    def _plan(self) -> None:
        """Where a time was asked for, set anew now and then how many steps are left; the same for all processes."""
        schedule, step = self.trainer.schedule, self.trainer.step_number
        if schedule.seconds is None:
            return
        spent = time.monotonic() - self._begin
        if self.team.agree(schedule.due(step, spent), self.trainer.device):
            told = torch.tensor([spent], device=self.trainer.device, dtype=torch.float64)
            self.team.add_up([told])
            schedule.plan(step, float(told) / self.team.size)

    def _tell(self, loss: float) -> None:
        trainer = self.trainer
        ended = trainer.step_number % trainer.steps_per_epoch == 0
        if self._writer is not None and ended:
            self._writer.add_scalar("loss", trainer.history[-1], len(trainer.history))
        if self._progress is None:
            return
        seconds = time.monotonic() - self._start
        shown = trainer.history[-1] if trainer.history else loss
        epoch, left = len(trainer.history), self._left(seconds)
        self._progress(
            TrainProgress(trainer.step_number, trainer.total_steps, epoch, trainer.epochs, shown, seconds, left)
        )

    def _left(self, seconds: float) -> float:
        """Seconds to go: by the steps of this run, or what is left of the time that was asked for."""
        trainer, schedule = self.trainer, self.trainer.schedule
        steps = trainer.total_steps - trainer.step_number
        if schedule.seconds is None or steps == 0:
            return seconds / (trainer.step_number - self._first_step) * steps
        return max(0.0, schedule.seconds - (time.monotonic() - self._begin))

    def _save(self) -> None:
        self._saved = time.monotonic()
        if self.folder is None:
            return
        trainer = self.trainer
        text = {
            "config": trainer.config.to_json(),
            "half_um": trainer.data.space.half_um,
            "step": trainer.step_number,
            "precision": "mixed" if trainer.mixed else "full",
            "dtype": str(trainer.dtype).removeprefix("torch."),
            "names": trainer.data.names,
            "labels": trainer.labels,
            "memory_gb": self._memory_gb,
            "threads": trainer.workers.count,
            "minutes": None if trainer.schedule.seconds is None else trainer.schedule.seconds / 60.0,
            "schedule": trainer.schedule.to_json(),
            "seconds": time.monotonic() - self._begin,
        }
        write_checkpoint(self.folder / CHECKPOINT, trainer.tensors(), text)
        self._write_history()

    def _write_history(self) -> None:
        assert self.folder is not None
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["epoch", "loss"])
        writer.writerows((n + 1, f"{loss:.9g}") for n, loss in enumerate(self.trainer.history))
        write_text(self.folder / "history.csv", table.getvalue())

    def _farewell(self) -> str:
        about = "" if self.trainer.schedule.seconds is None else "about "
        done = f"Stopped after {self.trainer.step_number} of {about}{self.trainer.total_steps} steps."
        return done if self.folder is None else f"{done} Go on with resume=True (--resume), out={self.folder}."

    def _finish(self) -> AutoDecoder:
        model = self.trainer.finished()
        model.notes["seconds"] = spent = time.monotonic() - self._begin
        self._own_up(spent)
        if self.folder is not None:
            self._save()
            model.save(self.folder / MODEL)
        self._close_writer()
        return model

    def _own_up(self, spent: float) -> None:
        """Say so where the time that was asked for was missed."""
        asked, steps = self.trainer.schedule.seconds, self.trainer.step_number
        if asked is not None and abs(spent - asked) > _FAR_OFF * asked and steps > self._first_step:
            _LOG.warning(
                "The training took %.4g s, and %.4g s were asked for: it ends after whole steps, of about %.3g s each.",
                spent,
                asked,
                spent / steps,
            )

    def _close_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()


def _check_options(dtype: str, precision: str, minutes: float | None, resume: bool, out: Any) -> None:
    if dtype not in ("float32", "float64"):
        raise ConfigError(f"dtype is {dtype!r}; expected 'float32' or 'float64'.")
    if precision not in ("auto", "full", "mixed"):
        raise ConfigError(f"precision is {precision!r}; expected 'auto', 'full' or 'mixed'.")
    if minutes is not None and not minutes > 0:
        raise ConfigError(f"minutes is {minutes!r}; expected a positive number.")
    if resume and out is None:
        raise ConfigError("resume needs the folder of the training.", remedy="Pass out=.")


def _check_team(team: Team, config: TrainConfig) -> None:
    if team.size > config.batch_frames:
        raise ConfigError(
            f"there are {team.size} processes and {config.batch_frames} frames a step; expected a frame for each.",
            remedy="Start fewer processes, or raise batch_frames.",
        )


def _files(sequences: Any) -> list[Any]:
    if not isinstance(sequences, (str, os.PathLike)):
        return list(sequences)
    place = Path(sequences)
    if not place.is_dir():
        return [place]
    return list(sequence_files(place))


def _folder(out: Any, resume: bool, overwrite: bool, team: Team) -> Path | None:
    if out is None:
        return None
    folder = Path(out)
    if not team.leads:
        return folder
    taken = [name for name in (MODEL, CHECKPOINT) if (folder / name).exists()]
    if taken and not (resume or overwrite):
        raise OutputError(
            f"{folder} holds a training already ({', '.join(taken)}).",
            remedy="Choose another folder, or pass resume or overwrite.",
        )
    return ensure_folder(folder)


def _remove_old(folder: Path, data: TrainingSet) -> None:
    """An interrupted training must not stand beside an older one's model; but bad input must not cost that either."""
    old = [folder / name for name in (*_FILES, CHECKPOINT, "history.csv")]
    if any(path.exists() for path in old):
        data.check()
    for path in old:
        path.unlink(missing_ok=True)


def _labels(labels: Sequence[str] | None, n: int) -> list[str]:
    if labels is None:
        return [""] * n
    if len(labels) != n:
        raise ConfigError(f"there are {len(labels)} labels; expected {n}, one for each sequence.")
    return [str(label) for label in labels]


def _mixed(precision: str, dtype: str, device: torch.device, config: TrainConfig) -> bool:
    if dtype != "float32":
        if precision == "mixed":
            raise ConfigError("precision='mixed' goes with dtype='float32' only.")
        return False
    return precision == "mixed" or (precision == "auto" and bfloat16_is_quicker(device, config.network.width))


def _writer(folder: str | os.PathLike[str]) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError("tensorboard is not installed.", remedy="pip install tensorboard.") from error
    return SummaryWriter(os.fspath(folder))
