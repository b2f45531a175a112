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
from .distributed import ProcessGroup, join_process_group
from .model import AutoDecoder
from .resuming import StoredTraining, TrainingSettings
from .trainer import Trainer
from .workers import Workers

__all__ = ["TrainProgress", "train"]

_LOG = logging.getLogger(__name__)

MODEL = "model.safetensors"
_FILES = (MODEL, "model.json", "codes.csv")  # of a finished training
_TIME_TOLERANCE = 0.1  # of the duration: a warning is given where it is missed by more


@dataclasses.dataclass(frozen=True)
class TrainProgress:
    """The progress of a training.

    Parameters
    ----------
    step, total : int
        Steps done and in all. With a duration in minutes, ``total`` is an estimate that changes.
    epoch, epochs : int
        Epochs completed and in all.
    loss : float
        Mean absolute difference of the last epoch, in the network's unit; of the last step during the first.
    seconds, left : float
        Seconds since the start of this run, and still to go.
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
    Ctrl-C saves a checkpoint; ``resume=True`` continues from there with the steps that an uninterrupted training would
    have taken, on a CPU to the last digit. Under ``torchrun`` every process takes its share of each batch (data
    parallel) and the first one writes.

    Parameters
    ----------
    sequences : list of paths or SDFSequence, or a folder of .h5 files
        All with the same samples and voxel size, as ``neural prepare`` writes them together.
    out : path, optional
        Folder for ``model.safetensors`` (+ .json), ``checkpoint.safetensors`` and ``history.csv``; by default nothing
        is written.
    config : TrainConfig or str
        Settings, or the name of a preset: ``default``, ``encoding``, ``miccai2022``, ``media2024``.
    labels : list of str, optional
        A family's name for each sequence.
    minutes : float, optional
        Duration of the training, preparation included, in place of the config's epochs or steps: the number of steps
        left is planned repeatedly by the machine's recent speed. The runs of a resumed training count together.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    dtype : str
        ``float32`` or ``float64``.
    precision : str
        ``full``; ``mixed``, products of the backward pass in bfloat16; ``auto``, mixed where that measures faster.
    memory_gb : float
        Gigabytes for points held in memory.
    checkpoint_minutes : float
        Minutes between two checkpoints.
    resume : bool
        Continue the training in ``out``, with the settings that it began with.
    overwrite : bool
        Replace a training in ``out``.
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
    ConfigError
        When options are out of range or exclude each other.
    BackendError
        When the device is not available.
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
    requested = TrainingSettings(config, dtype, precision, minutes, memory_gb, labels)
    files = _as_sequence_list(sequences)
    processes, where = join_process_group(torch_device(device))
    folder = _output_folder(out, resume, overwrite, processes)
    stored = StoredTraining(*read_checkpoint(folder / CHECKPOINT)) if resume and folder else None
    settings = stored.resumed_settings(requested, given=given) if stored else requested
    _check_process_count(processes, settings.config)
    with _training_set(files, settings) as data, Workers(where, settings.threads) as workers:
        if stored:
            stored.check_sequences(data)
        trainer = _make_trainer(data, settings, where, processes, workers)
        if stored:
            stored.restore(trainer)
        elif folder and processes.is_first:
            _remove_old_files(folder, data)
        before = stored.seconds if stored else 0.0
        loop = _TrainingLoop(
            trainer, folder, checkpoint_minutes, progress, tensorboard, settings.memory_gb, begin - before
        )
        return loop.run()


def _training_set(files: list[Any], settings: TrainingSettings) -> TrainingSet:
    """Return the object that draws training points from sequence files or sequences, with these settings."""
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


def _make_trainer(
    data: TrainingSet, settings: TrainingSettings, where: torch.device, processes: ProcessGroup, workers: Workers
) -> Trainer:
    """Return the trainer: network, codes, rotations and optimisers at their initial values, with these settings.

    For ``precision`` ``auto`` the speed of bfloat16 is measured here, while workers hold torch's own threads off, as in
    the training.
    """
    mixed = _use_mixed_precision(settings.precision, settings.dtype, where, settings.config)
    return Trainer(
        data,
        settings.config,
        device=where,
        dtype=getattr(torch, settings.dtype),
        mixed=mixed,
        labels=_checked_labels(settings.labels, len(data.sources)),
        processes=processes,
        workers=workers,
        seconds=None if settings.minutes is None else 60.0 * settings.minutes,
    )


class _TrainingLoop:
    """The loop around a trainer's steps: progress, checkpoints, duration and interruptions.

    Parameters
    ----------
    trainer : Trainer
        At its first step, or where a checkpoint left it.
    folder : Path or None
        Where files are written, by the first process only; None for nowhere.
    checkpoint_minutes : float
        Minutes between two checkpoints.
    progress : callable or None
        Called after every step, in the first process.
    tensorboard : path or None
        Folder for TensorBoard's events.
    memory_gb : float
        Stored in the checkpoint.
    begin : float
        Time of ``time.monotonic()`` at which the training began, less the time that its earlier runs took.
    """

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
        self.trainer, self.folder, self.processes = (
            trainer,
            folder if trainer.processes.is_first else None,
            trainer.processes,
        )
        self._every = 60.0 * checkpoint_minutes
        self._progress = progress if trainer.processes.is_first else None
        self._writer = _tensorboard_writer(tensorboard) if tensorboard and trainer.processes.is_first else None
        self._first_step = trainer.step_number
        self._begin = begin  # earlier by the time that previous runs of the same training took
        self._start = self._saved = time.monotonic()
        if trainer.step_number == 0:
            trainer.schedule.start(self._start - begin)

    def run(self) -> AutoDecoder:
        """Take steps until the schedule ends, and return the trained model, written if there is a folder.

        After each step the number of steps is planned anew if that is due (a training with a duration), and progress is
        reported. A checkpoint is written into the folder, if there is one, at regular intervals and at the end. After
        Ctrl-C in any process it is written at the end of the step, and Interrupted is raised.
        """
        trainer = self.trainer
        with Interruption() as interruption:
            while trainer.step_number < trainer.total_steps:
                loss = trainer.step()
                self._replan_if_due()
                self._report_progress(loss)
                if self.processes.any_true(interruption.requested, trainer.device):
                    self._save_checkpoint()
                    self._close_writer()
                    raise Interrupted(self._interruption_message())
                if time.monotonic() - self._saved > self._every:
                    self._save_checkpoint()
        return self._finish()

    def _replan_if_due(self) -> None:
        """Estimate the number of steps left anew if the training has a duration and an estimate is due.

        It is made if any process finds it due, with the mean of their times, so that all processes take as many steps.
        """
        schedule, step = self.trainer.schedule, self.trainer.step_number
        if schedule.seconds is None:
            return
        spent = time.monotonic() - self._begin
        if self.processes.any_true(schedule.is_due(step, spent), self.trainer.device):
            total = torch.tensor([spent], device=self.trainer.device, dtype=torch.float64)
            self.processes.sum_in_place([total])
            schedule.replan(step, float(total) / self.processes.size)

    def _report_progress(self, loss: float) -> None:
        """Call ``progress`` after a step with this loss, and write the loss of a completed epoch to TensorBoard."""
        trainer = self.trainer
        ended = trainer.step_number % trainer.steps_per_epoch == 0
        if self._writer is not None and ended:
            self._writer.add_scalar("loss", trainer.history[-1], len(trainer.history))
        if self._progress is None:
            return
        seconds = time.monotonic() - self._start
        shown = trainer.history[-1] if trainer.history else loss
        epoch, left = len(trainer.history), self._seconds_left(seconds)
        self._progress(
            TrainProgress(trainer.step_number, trainer.total_steps, epoch, trainer.epochs, shown, seconds, left)
        )

    def _seconds_left(self, seconds: float) -> float:
        """Return the seconds to go after ``seconds`` of this run.

        They follow from its mean time of a step, or from the duration.
        """
        trainer, schedule = self.trainer, self.trainer.schedule
        steps = trainer.total_steps - trainer.step_number
        if schedule.seconds is None or steps == 0:
            return seconds / (trainer.step_number - self._first_step) * steps
        return max(0.0, schedule.seconds - (time.monotonic() - self._begin))

    def _save_checkpoint(self) -> None:
        """Write checkpoint and loss history into the folder, if there is one, and remember when."""
        self._saved = time.monotonic()
        if self.folder is None:
            return
        trainer = self.trainer
        text = {
            "config": trainer.config.to_json(),
            "half_um": trainer.data.cube.half_um,
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
        write_checkpoint(self.folder / CHECKPOINT, trainer.state_tensors(), text)
        self._write_history()

    def _write_history(self) -> None:
        """Write ``history.csv``, with the number and the mean loss of each epoch."""
        assert self.folder is not None
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["epoch", "loss"])
        writer.writerows((n + 1, f"{loss:.9g}") for n, loss in enumerate(self.trainer.history))
        write_text(self.folder / "history.csv", table.getvalue())

    def _interruption_message(self) -> str:
        """Return the text that says after how many steps of how many the training stopped.

        If there is a folder with a checkpoint, it also says how to resume.
        """
        about = "" if self.trainer.schedule.seconds is None else "about "
        message = f"Stopped after {self.trainer.step_number} of {about}{self.trainer.total_steps} steps."
        return message if self.folder is None else f"{message} Continue with resume=True (--resume), out={self.folder}."

    def _finish(self) -> AutoDecoder:
        """Return the trained model, its time in the notes; write it and a last checkpoint if there is a folder."""
        model = self.trainer.trained_model()
        model.notes["seconds"] = spent = time.monotonic() - self._begin
        self._warn_if_time_missed(spent)
        if self.folder is not None:
            self._save_checkpoint()
            model.save(self.folder / MODEL)
        self._close_writer()
        return model

    def _warn_if_time_missed(self, spent: float) -> None:
        """Warn if the training took ``spent`` seconds and this misses its duration by more than 10 %."""
        duration, steps = self.trainer.schedule.seconds, self.trainer.step_number
        if duration is not None and abs(spent - duration) > _TIME_TOLERANCE * duration and steps > self._first_step:
            _LOG.warning(
                "The training took %.4g s, its duration was %.4g s: it ends after whole steps, of about %.3g s each.",
                spent,
                duration,
                spent / steps,
            )

    def _close_writer(self) -> None:
        """Close TensorBoard's file, if there is one."""
        if self._writer is not None:
            self._writer.close()


def _check_options(dtype: str, precision: str, minutes: float | None, resume: bool, out: Any) -> None:
    """Raise ConfigError if dtype, precision or minutes have no valid value, or ``resume`` comes without ``out``."""
    if dtype not in ("float32", "float64"):
        raise ConfigError(f"dtype is {dtype!r}; expected 'float32' or 'float64'.")
    if precision not in ("auto", "full", "mixed"):
        raise ConfigError(f"precision is {precision!r}; expected 'auto', 'full' or 'mixed'.")
    if minutes is not None and not minutes > 0:
        raise ConfigError(f"minutes is {minutes!r}; expected a positive number.")
    if resume and out is None:
        raise ConfigError("resume needs the folder of the training.", remedy="Pass out=.")


def _check_process_count(processes: ProcessGroup, config: TrainConfig) -> None:
    """Raise ConfigError if there are more processes than frames in a batch."""
    if processes.size > config.batch_frames:
        raise ConfigError(
            f"there are {processes.size} processes and {config.batch_frames} frames a step; expected a frame for each.",
            remedy="Start fewer processes, or raise batch_frames.",
        )


def _as_sequence_list(sequences: Any) -> list[Any]:
    """Return the sequences as a list: a folder's files, a single path, or the sequences that were given."""
    if not isinstance(sequences, (str, os.PathLike)):
        return list(sequences)
    path = Path(sequences)
    if not path.is_dir():
        return [path]
    return list(sequence_files(path))


def _output_folder(out: Any, resume: bool, overwrite: bool, processes: ProcessGroup) -> Path | None:
    """Return the folder of the training, made if it does not exist; None if ``out`` is None.

    Raises OutputError if it holds a model or checkpoint already, unless ``resume`` or ``overwrite``. Only the first
    process checks and makes it.
    """
    if out is None:
        return None
    folder = Path(out)
    if not processes.is_first:
        return folder
    taken = [name for name in (MODEL, CHECKPOINT) if (folder / name).exists()]
    if taken and not (resume or overwrite):
        raise OutputError(
            f"{folder} holds a training already ({', '.join(taken)}).",
            remedy="Choose another folder, or pass resume or overwrite (--resume, --overwrite).",
        )
    return ensure_folder(folder)


def _remove_old_files(folder: Path, data: TrainingSet) -> None:
    """Delete the model, checkpoint and history of an older training in the folder.

    All frames are read first if there are any, so that sequences that cannot be learned from raise an error before an
    older model is lost.
    """
    old = [folder / name for name in (*_FILES, CHECKPOINT, "history.csv")]
    if any(path.exists() for path in old):
        data.check_frames()
    for path in old:
        path.unlink(missing_ok=True)


def _checked_labels(labels: Sequence[str] | None, n: int) -> list[str]:
    """Return n labels as strings, empty ones if None are given; raise ConfigError if there are not n."""
    if labels is None:
        return [""] * n
    if len(labels) != n:
        raise ConfigError(f"there are {len(labels)} labels; expected {n}, one for each sequence.")
    return [str(label) for label in labels]


def _use_mixed_precision(precision: str, dtype: str, device: torch.device, config: TrainConfig) -> bool:
    """Tell whether the backward pass uses bfloat16: for ``mixed``, and for ``auto`` if that is quicker on the device.

    Never for float64; ConfigError is raised if ``mixed`` is asked for with it.
    """
    if dtype != "float32":
        if precision == "mixed":
            raise ConfigError("precision='mixed' needs dtype='float32'.")
        return False
    return precision == "mixed" or (precision == "auto" and bfloat16_is_quicker(device, config.network.width))


def _tensorboard_writer(folder: str | os.PathLike[str]) -> Any:
    """Return a TensorBoard writer for a folder; raise ConfigError if the package is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError("tensorboard is not installed.", remedy="pip install tensorboard.") from error
    return SummaryWriter(os.fspath(folder))
