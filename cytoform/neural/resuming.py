"""What a training goes by to its end, and what a resumed one keeps of how it began."""

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

__all__ = ["Settings", "Stored"]

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What does not change from a training's first step to its last, in how many runs it may be."""

    config: TrainConfig
    dtype: str
    precision: str
    minutes: float | None
    memory_gb: float
    labels: Sequence[str] | None
    threads: int | None = None  # of the processor; None to take those that there are


_DEFAULTS = {"precision": "auto", "dtype": "float32", "minutes": None, "memory_gb": 1.0}
_KEPT = (*_DEFAULTS, "labels", "threads")


@dataclasses.dataclass(frozen=True, eq=False)
class Stored:
    """The checkpoint of an interrupted training: tensors by name, and what else was written down."""

    tensors: dict[str, torch.Tensor]
    text: dict[str, Any]

    @property
    def seconds(self) -> float:
        """What the runs so far have taken."""
        return float(self.text.get("seconds", 0.0))

    def settings(self, asked: Settings, *, given: bool) -> Settings:
        """The settings that the training began with; warns of others that were asked for.

        Parameters
        ----------
        asked : Settings
        given : bool
            Whether a configuration was asked for at all.

        Raises
        ------
        FileFormatError
            When the checkpoint is that of another network.
        """
        config = TrainConfig.from_json(self.text["config"])
        _check_same_network(asked.config, config, given=given)
        for name, default in _DEFAULTS.items():
            value, kept = getattr(asked, name), self.text[name]
            if value != default and value != kept:
                _LOG.warning("%s stays %s, as the training began with it; %s is not taken.", name, kept, value)
        return Settings(config, **{name: self.text[name] for name in _KEPT})

    def check_sequences(self, data: TrainingSet) -> None:
        """Raise FileFormatError where the sequences are not those that the training began with."""
        _check_names(self.text.get("names"), data.names)
        _check_scale(self.text, data.space.half_um)

    def restore(self, trainer: Trainer) -> None:
        """Let a trainer go on where the training was interrupted; checkpoints of earlier versions hold no plan."""
        trainer.restore(self.tensors, int(self.text["step"]))
        if "schedule" not in self.text:
            return
        try:
            trainer.schedule = Schedule.from_json(self.text["schedule"])
        except (KeyError, TypeError, ValueError) as error:
            raise FileFormatError(f"the checkpoint's plan is damaged: {error}.", remedy="Start anew.") from error


def _check_same_network(asked: TrainConfig, stored: TrainConfig, *, given: bool) -> None:
    if given and asked.network != stored.network:
        raise FileFormatError(
            f"the checkpoint is that of another network: {stored.network}; {asked.network} was asked for.",
            remedy="Resume with the settings it began with, or start anew in another folder.",
        )
    if given and asked != stored:
        _LOG.warning("The training goes on with the settings that it began with; the ones given now are not used.")


def _check_names(stored: Any, given: list[str]) -> None:
    if stored != given:
        raise FileFormatError(
            "the checkpoint is that of another network or other sequences: "
            f"{_short(stored)} there, {_short(given)} here.",
            remedy="Resume with the same sequences in the same order, or start anew.",
        )


def _short(names: Any) -> str:
    return ", ".join(map(str, (names or [])[:5])) + (" …" if len(names or []) > 5 else "")


def _check_scale(stored: Mapping[str, Any], half_um: float | None) -> None:
    """Lengths must have the unit that they had when the training began."""
    before = stored.get("half_um", half_um)  # older checkpoints do not tell
    if (before is None) != (half_um is None) or (before and half_um and abs(before / half_um - 1) > 1e-3):
        shown = ["unknown size" if half is None else f"{2 * half:.4g} µm a side" for half in (before, half_um)]
        raise FileFormatError(
            f"the training began with a cube of {shown[0]}, these sequences have one of {shown[1]}.",
            remedy="Resume with the same sequences and the same voxel size (--spacing).",
        )
