"""How far a fit has come, and an estimate of the time that it still takes."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np

from .callbacks import PHASES, Callback, Progress, announce
from .config import FitConfig
from .constants import (
    ERRORS_SECONDS,
    FILM_SECONDS,
    FORECAST_MEMORY,
    FORECAST_TRUST,
    LAST_STAGE_STEPS,
    LEAST_SECONDS_LEFT,
    MODES_SECONDS,
    MOST_SPEED,
    NEWTON_AFTER_STEPS,
    NEWTON_PROGRESS,
    NEWTON_SECONDS,
    REPORT_SECONDS,
    SLOW_CHANGES,
    STAGE_SLOWDOWN,
)
from .stage import Stage, stage_lengths
from .state import State

__all__ = ["Forecast", "ProgressTeller", "power_law", "writing_seconds"]

PLAIN, PAUSE, NEWTON = "plain", "pause", "newton"  # kinds of steps: alone, with a pause, with one and a Newton step


def writing_seconds(n_faces: int, n_voxels: int, n_frames: int = 0) -> float:
    """Return the time that writing a result's files and its report is expected to take, s.

    Parameters
    ----------
    n_faces : int
        Faces of the surface.
    n_voxels : int
        Voxels of the image.
    n_frames : int
        Frames of the film.
    """
    base, per_face, per_voxel = REPORT_SECONDS
    return base + per_face * n_faces + per_voxel * n_voxels + FILM_SECONDS * n_frames


def power_law(law: tuple[float, float, float], n_faces: int) -> float:
    """Return a duration a + b n^c, s, for (a, b, c) = `law` and n thousands of faces."""
    base, factor, power = law
    return float(base + factor * (n_faces / 1000.0) ** power)


class Forecast:
    """Estimate of the time that a fit still takes, from its durations so far and from what fits usually take.

    The steps that are left follow from the lengths of the stages; in the last stage from LAST_STAGE_STEPS, and, once a
    Newton step has predicted how much is left to move (``State.remaining``), from how fast that shrinks. Steps and
    pauses are expected to take as long, and pauses to be as frequent, as in the last FORECAST_MEMORY steps. What has
    not been done yet is estimated from the number of faces.

    Parameters
    ----------
    config : FitConfig
        Settings of the fit.
    clock : callable
        Returns the time, s.
    """

    def __init__(self, config: FitConfig, clock: Callable[[], float] = time.perf_counter) -> None:
        self._config, self._clock = config, clock
        self._lengths = stage_lengths(config)
        self._now = clock()
        self._recent: deque[tuple[float, str]] = deque(maxlen=FORECAST_MEMORY)  # durations of steps, s; PLAIN, …
        self._last_pause = self._stage_begin = 0.0  # durations of the last pause and the last beginning of a stage, s
        self._newtons: list[float] = []  # durations of pauses with a Newton step, s
        self._none_found = False  # whether the last pause should have had one, and had none
        self._newton_pauses = 0  # pauses since the first of them, with and without
        self._changes: list[float] = []  # largest changes left at Newton steps, in standard errors
        self._remaining: dict[str, float] = {}
        self._speed = 1.0  # duration of what is estimated from the number of faces, relative to that estimate
        self._stage = -1
        self._left = math.inf

    def after_step(self, state: State, pause_interval: int, *, newton: bool = True) -> float:
        """Note that a step and its pause are done; return the time until the fit ends, standard errors included, s.

        Parameters
        ----------
        state : State
            The fit's state.
        pause_interval : int
            Most steps from one pause to the next in the present stage.
        newton : bool
            Whether the last stage takes Newton steps.
        """
        now, timed = self._clock(), bool(self._recent)
        duration, self._now = now - self._now, now
        usual = self._note(duration, state)
        newton = newton and not (self._none_found and not self._changes)
        left = self._seconds_of_steps(state, pause_interval, newton=newton) + self.errors_seconds(state)
        if usual and timed:
            left = FORECAST_TRUST * left + (1.0 - FORECAST_TRUST) * (self._left - duration)
        self._left = max(left, LEAST_SECONDS_LEFT)
        return self._left

    def errors_seconds(self, state: State) -> float:
        """Return the time that the last rendering and the standard errors are expected to take, s."""
        if not self._config.uncertainty:
            return LEAST_SECONDS_LEFT
        return max(self._speed * power_law(ERRORS_SECONDS, state.mesh.n_faces), LEAST_SECONDS_LEFT)

    def _note(self, duration: float, state: State) -> bool:
        """Keep the duration of a step as that of its kind; tell whether it brought nothing new.

        New are what a Newton step predicts and the beginning of a stage.
        """
        count, first = state.count, self._stage < 0
        begins, self._stage = count.stage != self._stage, count.stage
        if first and state.remaining:  # of a fit that is resumed
            self._remaining, self._changes = state.remaining, [max(state.remaining.values())]
        if state.remaining is not self._remaining and state.remaining:
            if not self._newtons:
                expected = self._newton_pause(state)
                self._speed = min(max(duration / expected, 1.0 / MOST_SPEED), MOST_SPEED)
            self._remaining = state.remaining
            self._newtons.append(duration)
            self._changes.append(max(state.remaining.values()))
            self._recent.append((duration, NEWTON))
            self._newton_pauses += 1
        elif begins:
            self._stage_begin = 0.0 if first else duration  # the first step may have compiled
        else:
            self._recent.append((duration, PLAIN if count.since_pause else PAUSE))
            if count.since_pause == 0:
                self._last_pause = duration
                self._newton_pauses += 1 if self._newtons else 0
                self._none_found = count.stage == len(self._lengths) - 1 and count.stage_step >= NEWTON_AFTER_STEPS
        return not begins and self._recent[-1][1] != NEWTON

    @property
    def _pause(self) -> float:
        """Mean duration of a pause without a Newton step of late, s."""
        found = [duration for duration, kind in self._recent if kind == PAUSE]
        return float(np.mean(found)) if found else self._last_pause

    @property
    def _share(self) -> float:
        """Share of the pauses with a Newton step since the first one; 1 before it."""
        return len(self._newtons) / self._newton_pauses if self._newtons else 1.0

    def _newton_pause(self, state: State) -> float:
        """Return the time that the next Newton step is expected to take with its pause, s."""
        if len(self._newtons) > 1:
            return self._newtons[-1]
        faces = state.mesh.n_faces
        usual = self._pause + self._speed * power_law(NEWTON_SECONDS, faces)
        return usual if self._newtons else usual + self._speed * power_law(MODES_SECONDS, faces)

    def _interval(self, pause_interval: int) -> float:
        """Return the mean number of steps between pauses of late, at most `pause_interval`."""
        pauses = sum(kind != PLAIN for _, kind in self._recent)
        return min(len(self._recent) / pauses, pause_interval) if pauses else pause_interval

    def _seconds_of_steps(self, state: State, pause_interval: int, *, newton: bool) -> float:
        """Return the time that the steps until the end are expected to take, with their pauses, s."""
        count, last, interval = state.count, len(self._lengths) - 1, self._interval(pause_interval)
        plain = [duration for duration, kind in self._recent if kind == PLAIN]
        step, seconds = float(np.median(plain)) if plain else 0.0, 0.0
        for stage in range(count.stage, last):
            whole = max(self._lengths[stage] - (count.stage_step if stage == count.stage else 0), 0)
            slower = STAGE_SLOWDOWN ** (stage - count.stage)
            seconds += slower * whole * (step + self._pause / interval) + max(self._stage_begin, 2.0 * self._pause)
        steps = self._last_steps(state, interval, newton=newton)
        seconds += STAGE_SLOWDOWN ** (last - count.stage) * steps * step
        if not newton:
            return seconds + steps / interval * self._pause
        modes = 0.0 if self._newtons else self._speed * power_law(MODES_SECONDS, state.mesh.n_faces)
        a_pause = self._share * (self._newton_pause(state) - modes) + (1.0 - self._share) * self._pause
        return seconds + modes + max(round(steps / interval), min(math.ceil(steps), 1)) * a_pause

    def _last_steps(self, state: State, interval: float, *, newton: bool) -> float:
        """Return the number of steps of the last stage that are expected to be left."""
        count, config = state.count, self._config
        in_last = count.stage == len(self._lengths) - 1
        done = count.stage_step if in_last else 0
        most = config.iterations - count.iteration if in_last else self._lengths[-1]
        to_pause = max(interval - count.since_pause, 1.0) if in_last else 1.0
        steps: float
        if self._changes and self._changes[-1] <= config.convergence:
            return 0.0
        if (self._changes and self._changes[-1] > SLOW_CHANGES) or (self._none_found and not self._changes):
            steps = most
        elif self._changes:
            steps = to_pause + (self._pauses_left() - 1) * interval
        elif newton:
            steps = max(LAST_STAGE_STEPS - done, to_pause)
        else:
            steps = max(LAST_STAGE_STEPS - done, count.gained_step + config.patience[-1] - done)
        return max(min(steps, most), 1.0)

    def _pauses_left(self) -> int:
        """Return how many pauses are expected until the predicted changes are small enough for the fit to end."""
        now, rate = self._changes[-1], NEWTON_PROGRESS
        if len(self._changes) > 1:
            rate = min(max(self._changes[-2] / max(now, 1e-9), math.sqrt(rate)), rate**2)
        return max(math.ceil(math.log(max(now / self._config.convergence, 1.0)) / math.log(rate)), 1)


class ProgressTeller:
    """Tell a fit's callbacks how far it has come.

    Parameters
    ----------
    config : FitConfig
        Settings of the fit.
    callbacks : sequence of callable
        Called with each :class:`.Progress`.
    newton : bool
        Whether the last stage takes Newton steps.
    """

    def __init__(self, config: FitConfig, callbacks: Sequence[Callback], *, newton: bool = True) -> None:
        self._config, self._callbacks, self._newton = config, callbacks, newton
        self._forecast = Forecast(config)
        self._loss = math.nan

    def after_step(self, state: State, stage: Stage, loss: float, message: str) -> None:
        """Tell of a shape step: image `loss`, and `message` of a pause (or empty)."""
        self._loss = loss
        left = self._forecast.after_step(state, stage.pause_interval, newton=self._newton)
        progress = self._progress(state, message, PHASES[0], left)
        for callback in self._callbacks:
            callback(progress)

    def begin_errors(self, state: State, message: str = "") -> None:
        """Tell that the steps have ended and the last rendering and the standard errors begin.

        StopIteration of a callback has no effect, as the steps have ended.
        """
        announce(self._callbacks, self._progress(state, message, PHASES[1], self._forecast.errors_seconds(state)))

    def _progress(self, state: State, message: str, phase: str, left: float) -> Progress:
        """Return a progress with the last R² and `left`, the seconds that are left."""
        r2 = next((row[4] for row in reversed(state.history) if row[2] == 1), None)
        count = state.count
        return Progress(
            count.iteration, self._config.iterations, count.stage, self._loss, r2, message, state.mesh, state.psf,
            phase, left,
        )  # fmt: skip
