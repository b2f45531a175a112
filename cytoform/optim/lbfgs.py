"""Limited-memory BFGS with a preconditioner, one evaluation at a time: its state can be saved between any two."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._typing import Array, Floats
from ..errors import ConfigError

__all__ = ["LBFGS"]

Smooth = Callable[[Floats], Floats]

SUFFICIENT = 1e-4  # part of the decrease that the slope promises which a step has to bring (Armijo)
SHRINK = (0.1, 0.5)  # a refused step is cut to a part of itself between these, by a parabola through what is known
LEAST = 1e-3  # of a step's first length: refused below it, the memory is dropped
LAST = 1e-6  # the same without a memory: the descent has ended


class LBFGS:
    """Limited-memory BFGS with an Armijo line search, and a preconditioner P as the first inverse Hessian.

    The direction is -H g, H from the last pairs of steps and changes of the gradient by the two-loop recursion, started
    with γ P, γ = s·y / y·P y. Ref: Nocedal, Wright, "Numerical Optimization", 2nd ed., algorithms 7.4 and 3.1.

    A call of :meth:`step` takes value and gradient at the point that the call before gave, and gives the next point: a
    step that does not lower the value enough is taken back in part.

    Parameters
    ----------
    shape : tuple of int
        Shape of the parameters.
    memory : int
        Pairs that are kept.

    Attributes
    ----------
    place, value, slope
        The best point so far, its value and gradient; `place` is None before the first step.
    failed : bool
        No step down from `place` was found: the descent has ended.
    """

    def __init__(self, shape: tuple[int, ...], *, memory: int = 10) -> None:
        if memory < 1:
            raise ConfigError(f"memory is {memory!r}; expected at least one pair.")
        self.shape, self.memory = tuple(shape), int(memory)
        self.reset()

    def reset(self) -> None:
        """Forget all."""
        self.steps: list[Floats] = []
        self.changes: list[Floats] = []
        self.restart()

    def restart(self) -> None:
        """Forget the point, for a function that is another one by a little; keep what is known of its curvature."""
        self.place: Floats | None = None
        self.value, self.part = np.inf, 1.0
        self.slope = self.direction = np.zeros(self.shape)
        self.failed = False

    def carried(self, carry: Any) -> LBFGS:
        """The same for other unknowns in the place of these: what is known of the curvature goes along.

        Parameters
        ----------
        carry : (m, n) array or sparse matrix
            Takes the rows of parameters, (n, ...), to those of the others, (m, ...): an interpolation. Gradients go by
            the same, which holds where the others are about as dense.

        Returns
        -------
        LBFGS
            Without a point; pairs that would have no positive curvature are left out.
        """
        other = LBFGS((carry.shape[0], *self.shape[1:]), memory=self.memory)
        for step, change in zip(self.steps, self.changes):
            other._remember(carry @ step, carry @ change)
        return other

    def step(self, params: Array, value: float, gradient: Array, smooth: Smooth, most: float) -> Floats:
        """The next point.

        Parameters
        ----------
        params, gradient : (*shape) float
            A point and the gradient there; after the first call the point that the last one gave.
        value : float
        smooth : callable
            The preconditioner P, symmetric and positive.
        most : float
            Longest move of a row of the parameters; the first step has this length.

        Returns
        -------
        (*shape) float64
        """
        grad = np.asarray(gradient, dtype=np.float64)
        if grad.shape != self.shape or np.shape(params) != self.shape:
            raise ConfigError(
                f"params and gradient have shapes {np.shape(params)} and {grad.shape}; expected {self.shape}."
            )
        if not (np.isfinite(grad).all() and np.isfinite(value)):
            raise ConfigError("the value or its gradient is NaN or infinite; expected finite numbers.")
        if self.place is None:
            self._accept(params, value, grad)
        elif value <= self.value + SUFFICIENT * self.part * float((self.slope * self.direction).sum()):
            self._remember(np.asarray(params, dtype=np.float64) - self.place, grad - self.slope)
            self._accept(params, value, grad)
        else:
            return self._shorter(value, smooth, most)
        self._turn(smooth, most)
        return self.place + self.part * self.direction

    def _accept(self, params: Array, value: float, gradient: Floats) -> None:
        self.place, self.value, self.slope = np.array(params, dtype=np.float64), float(value), gradient

    def _remember(self, step: Floats, change: Floats) -> None:
        if float((step * change).sum()) > 1e-10 * float(np.linalg.norm(step) * np.linalg.norm(change)):
            self.steps, self.changes = [*self.steps, step][-self.memory :], [*self.changes, change][-self.memory :]

    def _turn(self, smooth: Smooth, most: float) -> None:
        """A new direction, no longer than `most` at a whole step."""
        move = -self._inverse_times(self.slope, smooth)
        if float((move * self.slope).sum()) >= 0:  # only by rounding: H is positive
            self.steps, self.changes = [], []
            move = -smooth(self.slope)
        longest = float(np.sqrt((move.reshape(len(move), -1) ** 2).sum(axis=1)).max(initial=0.0))
        if longest > 0 and (longest > most or not self.steps):
            move = move * (most / longest)
        self.direction, self.part = move, 1.0

    def _inverse_times(self, gradient: Floats, smooth: Smooth) -> Floats:
        rest, weights = gradient.copy(), []
        for s, y in zip(reversed(self.steps), reversed(self.changes)):
            weight = float((s * rest).sum()) / float((s * y).sum())
            rest -= weight * y
            weights.append(weight)
        found = smooth(rest)
        if self.steps:
            s, y = self.steps[-1], self.changes[-1]
            found = found * (float((s * y).sum()) / float((y * smooth(y)).sum()))
        for s, y, weight in zip(self.steps, self.changes, reversed(weights)):
            found += (weight - float((y * found).sum()) / float((s * y).sum())) * s
        return found

    def _shorter(self, value: float, smooth: Smooth, most: float) -> Floats:
        slope = self.part * float((self.slope * self.direction).sum())
        bend = value - self.value - slope
        ratio = -0.5 * slope / bend if bend > 0 else SHRINK[1]
        self.part *= min(max(ratio, SHRINK[0]), SHRINK[1])
        if self.part < (LEAST if self.steps else LAST):
            self.failed = not self.steps
            self.steps, self.changes = [], []
            self._turn(smooth, most * LEAST if not self.failed else most)
        assert self.place is not None
        return self.place + self.part * self.direction

    def state_arrays(self) -> dict[str, Array]:
        """All that a later :meth:`load_state` needs, as arrays."""
        empty = np.zeros((0, *self.shape))
        return {
            "place": empty if self.place is None else self.place[None],
            "numbers": np.array([self.value, self.part, self.failed]),
            "slope": self.slope,
            "direction": self.direction,
            "steps": np.array(self.steps) if self.steps else empty,
            "changes": np.array(self.changes) if self.changes else empty,
        }

    def load_state(self, arrays: dict[str, Any]) -> None:
        """Take up a state from :meth:`state_arrays`; steps then go on bit by bit as before.

        Raises
        ------
        ConfigError
            When an array is missing or has another shape.
        """
        for name in ("place", "slope", "direction", "steps", "changes", "numbers"):
            shape = None if name not in arrays else np.shape(arrays[name])
            wanted = self.shape if name in ("slope", "direction") else (3,) if name == "numbers" else (..., *self.shape)
            if shape is None or (shape[1:] != wanted[1:] if wanted[0] is ... else shape != wanted):
                came = "missing" if shape is None else f"of shape {shape}"
                raise ConfigError(f"the optimiser's {name!r} is {came}; expected shape {wanted}.")
        place, numbers = np.asarray(arrays["place"], dtype=np.float64), np.asarray(arrays["numbers"], dtype=np.float64)
        self.place = np.array(place[0]) if len(place) else None
        self.value, self.part, self.failed = float(numbers[0]), float(numbers[1]), bool(numbers[2])
        self.slope, self.direction = (np.array(arrays[n], dtype=np.float64) for n in ("slope", "direction"))
        self.steps, self.changes = ([np.array(a) for a in arrays[n]] for n in ("steps", "changes"))
