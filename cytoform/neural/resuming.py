"""Settings that stay fixed over all runs of a training, and the checkpoint that a resumed training begins from."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ..errors import FileFormatError
from .config import TrainConfig
from .data import TrainingSet
from .schedule import Schedule
from .trainer import Trainer

__all__ = ["StoredTraining", "TrainingSettings"]

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """Settings that stay fixed from a training's first step to its last, over all runs that it takes.

    Parameters
    ----------
    config : TrainConfig
        Network, optimiser, schedule and data.
    dtype : str
        ``float32`` or ``float64``.
    precision : str
        ``full``, ``mixed`` or ``auto``: whether the backward pass uses bfloat16.
    minutes : float or None
        Duration of the training; None for the epochs or steps of the config.
    memory_gb : float
        Memory for points.
    labels : sequence of str or None
        Family of each sequence.
    threads : int or None
        Threads on a CPU; None for as many as torch uses.
    """

    config: TrainConfig
    dtype: str
    precision: str
    minutes: float | None
    memory_gb: float
    labels: Sequence[str] | None
    threads: int | None = None


_DEFAULTS = {"precision": "auto", "dtype": "float32", "minutes": None, "memory_gb": 1.0}
_STORED = (*_DEFAULTS, "labels", "threads")


@dataclasses.dataclass(frozen=True, eq=False)
class StoredTraining:
    """The checkpoint of an interrupted training.

    Parameters
    ----------
    tensors : dict of str to tensor
        Weights, codes, rotations and the optimisers' moments, by name.
    text : dict
        Settings, names, step and schedule.
    """

    tensors: dict[str, torch.Tensor]
    text: dict[str, Any]

    @property
    def seconds(self) -> float:
        """Seconds that the runs so far have taken."""
        return float(self.text.get("seconds", 0.0))

    def resumed_settings(self, requested: TrainingSettings, *, given: bool) -> TrainingSettings:
        """Return the settings that the training began with; those requested are only compared with them.

        A warning is logged if the configuration given differs from the stored one, and for each of precision, dtype,
        minutes and memory_gb that is neither its default nor the stored value. Labels and threads are not compared.

        Parameters
        ----------
        requested : TrainingSettings
            Settings of the resuming call.
        given : bool
            Whether the resuming call named a configuration; if not, the configurations are not compared.

        Returns
        -------
        TrainingSettings
            Those of the checkpoint.

        Raises
        ------
        FileFormatError
            When a configuration was given and its network is not that of the checkpoint.
        """
        config = TrainConfig.from_json(self.text["config"])
        _check_same_network(requested.config, config, given=given)
        for name, default in _DEFAULTS.items():
            value, kept = getattr(requested, name), self.text[name]
            if value != default and value != kept:
                _LOG.warning("%s stays %s, as the training began with it; %s is not used.", name, kept, value)
        return TrainingSettings(config, **{name: self.text[name] for name in _STORED})

    def check_sequences(self, data: TrainingSet) -> None:
        """Raise FileFormatError if the sequences' names or their cube's size are not those of the checkpoint."""
        _check_names(self.text.get("names"), data.names)
        _check_cube(self.text, data.cube.half_um)

    def restore(self, trainer: Trainer) -> None:
        """Set a trainer's state to that of the checkpoint, in place, as if it had never been interrupted.

        That is weights, codes, rotations, optimisers, visits of frames, losses, the number of steps done, and the
        schedule (the number of steps in all). Checkpoints of earlier versions hold no schedule: the trainer's is kept
        then. Raises FileFormatError if the checkpoint does not fit the trainer, or its schedule is damaged.
        """
        trainer.restore(self.tensors, int(self.text["step"]))
        if "schedule" not in self.text:
            return
        try:
            trainer.schedule = Schedule.from_json(self.text["schedule"])
        except (KeyError, TypeError, ValueError) as error:
            raise FileFormatError(f"the checkpoint's schedule is damaged: {error}.", remedy="Start anew.") from error


def _check_same_network(requested: TrainConfig, stored: TrainConfig, *, given: bool) -> None:
    """Raise FileFormatError if the network requested differs from the stored one; warn if other settings differ.

    Nothing is checked if no configuration was ``given``.
    """
    if given and requested.network != stored.network:
        raise FileFormatError(
            f"the checkpoint is that of another network: {stored.network}; {requested.network} was requested.",
            remedy="Resume with the settings it began with, or start anew in another folder.",
        )
    if given and requested != stored:
        _LOG.warning("The training continues with the settings that it began with; the ones given now are not used.")


def _check_names(stored: Any, given: list[str]) -> None:
    """Raise FileFormatError if the names of the codes differ from those stored."""
    if stored != given:
        raise FileFormatError(
            "the checkpoint is that of another network or other sequences: "
            f"{_first_names(stored)} in the checkpoint, {_first_names(given)} now.",
            remedy="Resume with the same sequences in the same order, or start anew.",
        )


def _first_names(names: Any) -> str:
    """Return the first five names as a text, with an ellipsis if there are more."""
    return ", ".join(map(str, (names or [])[:5])) + (" …" if len(names or []) > 5 else "")


def _check_cube(stored: Mapping[str, Any], half_um: float | None) -> None:
    """Raise FileFormatError if half the cube's side in µm differs from that in the checkpoint by more than 0.1 %.

    Either both or none must have a metric scale. Checkpoints of earlier versions do not hold it: then nothing is
    checked.
    """
    stored_half = stored.get("half_um", half_um)  # checkpoints of earlier versions do not hold it
    if (stored_half is None) != (half_um is None) or (
        stored_half and half_um and abs(stored_half / half_um - 1) > 1e-3
    ):
        shown = ["unknown size" if half is None else f"{2 * half:.4g} µm a side" for half in (stored_half, half_um)]
        raise FileFormatError(
            f"the training began with a cube of {shown[0]}, these sequences have one of {shown[1]}.",
            remedy="Resume with the same sequences and the same voxel size (--spacing).",
        )
