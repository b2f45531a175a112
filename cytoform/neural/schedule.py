"""Progress of a training, for the learning-rate schedule, and its end: after a number of steps, or a duration.

A training that is given a duration is planned repeatedly, since the machine's speed is not known beforehand: the number
of steps left follows from the time left and from the recent speed. Each plan begins at the progress that the last one
has reached, so that the learning rate falls without jumps to its final value. Plans are part of a training's state:
between two plans a step depends on nothing but that state, as in any other training.
"""

from __future__ import annotations

import bisect
import dataclasses
from typing import Any

__all__ = ["Plan", "Schedule"]

_PLAN_INTERVAL = 0.01  # of the duration: time between two plans
_SPEED_WINDOW = 0.05  # of the duration: over which the speed is measured
_LEAST_STEPS = 10  # before the first plan, unless _FIRST_PLAN is exceeded
_FIRST_PLAN = 0.1  # of the duration
_TRAINING_SHARE = 0.985  # of the duration; the rest is for writing the model


@dataclasses.dataclass(frozen=True)
class Plan:
    """The state of a training at the moment when it was planned.

    Parameters
    ----------
    step : int
        Steps done.
    fraction : float
        Progress of the training, from 0 to 1.
    seconds : float
        Time that it had taken.
    """

    step: int
    fraction: float
    seconds: float


class Schedule:
    """The number of steps of a training, and its progress at each of them.

    Parameters
    ----------
    total : int
        Steps in all; where ``seconds`` are given, only a first guess.
    seconds : float, optional
        Duration of the training; by default ``total`` alone decides.

    Attributes
    ----------
    total : int
        Steps in all, by the last plan.
    plans : list of Plan
        All plans; the first is the training's beginning.
    """

    def __init__(self, total: int, seconds: float | None = None) -> None:
        self.total, self.seconds = total, seconds
        self.plans = [Plan(0, 0.0, 0.0)]

    def start(self, spent: float) -> None:
        """Set the training to step 0, after ``spent`` seconds of preparation, and forget all plans."""
        self.plans = [Plan(0, 0.0, spent)]

    def fraction_done(self, step: int) -> float:
        """Return the progress of the training before a step, from 0 to 1.

        It rises linearly with the steps, from its value at the last plan to 1 at the last step. Until the steps of a
        training with a duration are estimated for the first time it is 0.
        """
        last = self.plans[-1]
        if self.seconds is not None and len(self.plans) == 1:
            return 0.0
        part = min(1.0, (step - last.step) / max(1, self.total - last.step))
        return last.fraction + (1.0 - last.fraction) * part

    def is_due(self, step: int, spent: float) -> bool:
        """Tell whether the steps left must be estimated anew after ``step`` steps, which took ``spent`` seconds.

        That is so after each hundredth of the duration, and at the last step that was planned; the first estimate waits
        for ten steps or a tenth of the duration. A training without a duration needs none.
        """
        if self.seconds is None:
            return False
        if step >= self.total or (len(self.plans) == 1 and spent >= _FIRST_PLAN * self.seconds):
            return True
        ready = len(self.plans) > 1 or step >= _LEAST_STEPS
        return ready and spent >= self.plans[-1].seconds + _PLAN_INTERVAL * self.seconds

    def replan(self, step: int, spent: float) -> None:
        """Set the total number of steps anew, so that the training ends after 98.5 % of its duration; append a plan.

        The steps left are the time left over the mean time of a step since an earlier plan: the last one that is at
        least a twentieth of the duration old, else the training's beginning. The 1.5 % are for writing the model.

        Parameters
        ----------
        step : int
            Steps done.
        spent : float
            Seconds since the training's beginning.
        """
        assert self.seconds is not None
        reference = self._reference_plan(spent)
        steps = step - reference.step
        each = (spent - reference.seconds) / steps if step > reference.step else 0.0
        # Without progress of the clock, one more step.
        left = round((_TRAINING_SHARE * self.seconds - spent) / each) if each > 0 else 1
        if len(self.plans) == 1 and spent < _TRAINING_SHARE * self.seconds:
            left = max(1, left)  # the first steps also read files: the next one may be much quicker
        self.plans.append(Plan(step, self.fraction_done(step), spent))
        self.total = step + max(0, left)

    def _reference_plan(self, spent: float) -> Plan:
        """Return the plan since which the speed is measured: the last one a twentieth of the duration old or older.

        Where there is none, it is the first plan, the training's beginning. ``spent`` are the seconds of the training
        so far.
        """
        assert self.seconds is not None
        times = [plan.seconds for plan in self.plans]
        return self.plans[max(0, bisect.bisect_right(times, spent - _SPEED_WINDOW * self.seconds) - 1)]

    def to_json(self) -> dict[str, Any]:
        """Return total, duration and all plans as a dict that JSON can hold."""
        plans = [dataclasses.astuple(plan) for plan in self.plans]
        return {"total": self.total, "seconds": self.seconds, "plans": plans}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Schedule:
        """Return the schedule that :meth:`to_json` made a dict of.

        Raises
        ------
        KeyError, TypeError, ValueError
            When something is missing or has another type.
        """
        seconds = fields["seconds"]
        found = cls(int(fields["total"]), None if seconds is None else float(seconds))
        found.plans = [Plan(int(step), float(fraction), float(spent)) for step, fraction, spent in fields["plans"]]
        if not found.plans:
            raise ValueError("it has no plans")
        return found
