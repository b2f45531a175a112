"""How far along a training is at each step, and where it ends: after a number of steps, or when its time is over.

A training that shall last some minutes is planned again and again, since nobody knows how fast the machine will be: the
steps that are left follow from the time that is left and from the speed of late. Each plan begins where the last one
stood, so that the learning rate falls without jumps to its end. A plan is part of a training's state: between two plans
a step depends on nothing but that state, as in any other training.
"""

from __future__ import annotations

import bisect
import dataclasses
from typing import Any

__all__ = ["Plan", "Schedule"]

_EVERY = 0.01  # of the time asked for: how often a training is planned anew
_LATELY = 0.05  # of the time asked for: how far back the speed is measured
_LEAST_STEPS = 10  # before the first plan, unless _LATEST is over
_LATEST = 0.1  # of the time asked for
_ENOUGH = 0.985  # of the time asked for; the rest is for writing the model


@dataclasses.dataclass(frozen=True)
class Plan:
    """Where a training stood when it was planned.

    Attributes
    ----------
    step : int
        Steps done.
    along : float
        How far along it was, from 0 to 1.
    seconds : float
        Time it had taken.
    """

    step: int
    along: float
    seconds: float


class Schedule:
    """Steps of a training, and how far along it is at each of them.

    Parameters
    ----------
    total : int
        Steps in all; where ``seconds`` are given, only what is shown before the first plan.
    seconds : float, optional
        How long the training shall last.

    Attributes
    ----------
    total : int
        Steps in all, by the last plan.
    plans : list of Plan
        The first one is the training's beginning.
    """

    def __init__(self, total: int, seconds: float | None = None) -> None:
        self.total, self.seconds = total, seconds
        self.plans = [Plan(0, 0.0, 0.0)]

    def begin(self, spent: float) -> None:
        """The first step is about to be taken, after ``spent`` seconds of preparation."""
        self.plans = [Plan(0, 0.0, spent)]

    def along(self, step: int) -> float:
        """Part of the training that is over before a step, from 0 to 1."""
        last = self.plans[-1]
        if self.seconds is not None and len(self.plans) == 1:
            return 0.0
        part = min(1.0, (step - last.step) / max(1, self.total - last.step))
        return last.along + (1.0 - last.along) * part

    def due(self, step: int, spent: float) -> bool:
        """Whether to plan anew after ``step`` steps, which took ``spent`` seconds."""
        if self.seconds is None:
            return False
        if step >= self.total or (len(self.plans) == 1 and spent >= _LATEST * self.seconds):
            return True
        ready = len(self.plans) > 1 or step >= _LEAST_STEPS
        return ready and spent >= self.plans[-1].seconds + _EVERY * self.seconds

    def plan(self, step: int, spent: float) -> None:
        """Set the steps in all by the time that is left and the speed of late."""
        assert self.seconds is not None
        since = self._lately(spent)
        each = (spent - since.seconds) / (step - since.step) if step > since.step else 0.0
        more = round((_ENOUGH * self.seconds - spent) / each) if each > 0 else 1  # a clock may stand still for a step
        if len(self.plans) == 1 and spent < _ENOUGH * self.seconds:
            more = max(1, more)  # the first steps also read files: the next one may be far quicker
        self.plans.append(Plan(step, self.along(step), spent))
        self.total = step + max(0, more)

    def _lately(self, spent: float) -> Plan:
        """The last plan that lies some time back, or the training's beginning."""
        assert self.seconds is not None
        times = [plan.seconds for plan in self.plans]
        return self.plans[max(0, bisect.bisect_right(times, spent - _LATELY * self.seconds) - 1)]

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON takes it."""
        plans = [dataclasses.astuple(plan) for plan in self.plans]
        return {"total": self.total, "seconds": self.seconds, "plans": plans}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Schedule:
        """The other way round.

        Raises
        ------
        KeyError, TypeError, ValueError
            When something is missing or of another kind.
        """
        seconds = fields["seconds"]
        found = cls(int(fields["total"]), None if seconds is None else float(seconds))
        found.plans = [Plan(int(step), float(along), float(spent)) for step, along, spent in fields["plans"]]
        if not found.plans:
            raise ValueError("it has no plans")
        return found
