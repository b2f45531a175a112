"""Settings of the preparation of sequences, and reports of its progress."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from typing import Literal

import numpy as np

from ..errors import ConfigError

__all__ = ["PrepareConfig", "PrepareProgress", "ProgressReporter"]


@dataclasses.dataclass(frozen=True)
class PrepareConfig:
    """Settings of :func:`cytoform.sdf.prepare.prepare`, which stores them in the files.

    Parameters
    ----------
    shape : int
        Samples along each side of the cube.
    box_um : float, optional
        Side of the cube, µm, ``shape`` samples long. By default the same for all sequences of a call: the half side is
        the largest coordinate of all aligned bodies plus a tenth.
    clamp_um : float, optional
        Largest distance outside, µm; a quarter of the box by default.
    align : bool
        Turn bodies onto their principal axes. They are centred in any case.
    parts : int
        Bodies that an object of a mask may have in a frame: its largest connected component, or its two largest after a
        division. Further components are left out, with a warning that says how much; those smaller than a fiftieth of
        the object are specks.
    border : "auto", "error", "skip" or "keep"
        For objects that touch the image's border and are cut there: raise an error, leave out the frames in which they
        do, or close them there. "auto" leaves out a label's frames, and raises for a mask of one object.
    n_frames : int, optional
        Keep only so many frames of each sequence, the first ones; at least 2. All by default.
    min_frames : int
        Leave out sequences of fewer frames; at least 2.
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
    """Progress of :func:`cytoform.sdf.prepare.prepare`.

    Parameters
    ----------
    stage : str
        "reading" (masks or meshes become surfaces) or "distances" (frames are sampled and written).
    done : int
        Frames finished in this stage.
    total : int
        Frames of this stage.
    seconds_left : float or None
        Estimate of the time that the rest of this stage takes, s; None where it is unknown.
    """

    stage: str
    done: int
    total: int
    seconds_left: float | None


class ProgressReporter:
    """Counter of finished frames that reports them with an estimate of the time left.

    Parameters
    ----------
    callback : function of PrepareProgress, optional
        Called after each frame; None to report nothing.
    """

    def __init__(self, callback: Callable[[PrepareProgress], None] | None) -> None:
        self._callback = callback
        self.start("reading", 0)

    def start(self, stage: str, total: int) -> None:
        """Begin a stage of ``total`` frames, and count and time from zero.

        Parameters
        ----------
        stage : str
            "reading" or "distances".
        total : int
            Frames that the stage has.
        """
        self._stage, self._total, self._done, self._began = stage, total, 0, time.monotonic()

    def step(self) -> None:
        """Count one more frame and call the callback; time left = mean time of a frame times the frames left."""
        self._done += 1
        if self._callback is not None:
            each = (time.monotonic() - self._began) / self._done
            left = each * max(0, self._total - self._done)
            self._callback(PrepareProgress(self._stage, self._done, max(self._total, self._done), left))
