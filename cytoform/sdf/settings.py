"""Settings of the preparation of sequences, and how far it is."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from typing import Literal

import numpy as np

from ..errors import ConfigError

__all__ = ["PrepareConfig", "PrepareProgress", "Teller"]


@dataclasses.dataclass(frozen=True)
class PrepareConfig:
    """Settings of :func:`prepare`, which stores them in the files.

    Parameters
    ----------
    shape : int
        Samples along each side of the cube.
    box_um : float, optional
        Side of the cube, µm, ``shape`` samples long; by default the smallest, common to all sequences of a call, that
        leaves a tenth around the largest body.
    clamp_um : float, optional
        Largest distance outside, µm; a quarter of the box by default.
    align : bool
        Turn bodies onto their principal axes. They are centred in any case.
    parts : int
        Bodies that an object of a mask may have in a frame: its largest part, or its two largest after a division.
        What more there is, is left out, with a warning that tells how much; parts smaller than a fiftieth of all that
        is inside are specks.
    border : "auto", "error", "skip" or "keep"
        What to do where an object touches the image's border and is cut there: refuse it, leave out the frames in
        which it does, or close it there. By default a label's frames are left out, and a mask of one object is refused.
    n_frames : int, optional
        Cut sequences to their first frames.
    min_frames : int
        Leave out shorter sequences; at least 2.
    time_step : float, optional
        Seconds between frames; by default the image file's own.

    Raises
    ------
    ConfigError
        When an option is out of its range.
    """

    shape: int = 64
    box_um: float | None = None
    clamp_um: float | None = None
    align: bool = True
    parts: int = 1
    border: Literal["auto", "error", "skip", "keep"] = "auto"
    n_frames: int | None = None
    min_frames: int = 2
    time_step: float | None = None

    def __post_init__(self) -> None:
        for name, least in (("shape", 4), ("n_frames", 2), ("min_frames", 2)):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, (int, np.integer)) and value >= least):
                raise ConfigError(f"{name} is {value!r}; expected a whole number, at least {least}.")
        for name in ("box_um", "clamp_um", "time_step"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ConfigError(f"{name} is {value!r}; expected a positive number, or None.")
        if self.parts not in (1, 2):
            raise ConfigError(f"parts is {self.parts!r}; expected 1, or 2 for a cell that divides.")
        if self.border not in ("auto", "error", "skip", "keep"):
            raise ConfigError(f"border is {self.border!r}; expected 'auto', 'error', 'skip' or 'keep'.")


@dataclasses.dataclass(frozen=True)
class PrepareProgress:
    """How far :func:`prepare` is: ``stage`` is "reading" or "distances", ``seconds_left`` that of the stage."""

    stage: str
    done: int
    total: int
    seconds_left: float | None


class Teller:
    """Counts, and tells how long the rest of a stage takes."""

    def __init__(self, callback: Callable[[PrepareProgress], None] | None) -> None:
        self._callback = callback
        self.start("reading", 0)

    def start(self, stage: str, total: int) -> None:
        self._stage, self._total, self._done, self._began = stage, total, 0, time.monotonic()

    def step(self) -> None:
        self._done += 1
        if self._callback is not None:
            each = (time.monotonic() - self._began) / self._done
            left = each * max(0, self._total - self._done)
            self._callback(PrepareProgress(self._stage, self._done, max(self._total, self._done), left))
