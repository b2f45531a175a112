"""Limited-memory BFGS with a preconditioner; one function evaluation per call, so that the state can be saved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._typing import Array, Floats
from ..errors import ConfigError

__all__ = ["LBFGS"]

Preconditioner = Callable[[Floats], Floats]

SUFFICIENT = 1e-4  # least decrease of the value, in parts of the decrease along the tangent (Armijo's condition)
SHRINK = (0.1, 0.5)  # bounds of the factor by which a refused step is shortened
LEAST_FRACTION = 1e-3  # of the first step along a direction: below it the pairs are dropped
LEAST_FRACTION_WITHOUT_MEMORY = 1e-6  # the same where there are no pairs: below it the descent has ended


class LBFGS:
    """Limited-memory BFGS with an Armijo line search, and a preconditioner P as the first inverse Hessian.

    The search direction is -H g. The inverse Hessian H follows from the last pairs of steps s and gradient changes y by
    the two-loop recursion, which starts from γ P with γ = s·y / y·P y. Ref: Nocedal, Wright, "Numerical Optimization",
    2nd ed., algorithms 7.4 and 3.1.

    Each call of :meth:`step` takes value and gradient at the point that the previous call returned, and returns the
    next point to evaluate. A step that does not lower the value enough is shortened (backtracking).

    Parameters
    ----------
    shape : tuple of int
        Shape of the array of unknowns.
    memory : int
        Number of pairs (s, y) that are kept, 1 or more.

    Attributes
    ----------
    point : (*shape) float64 or None
        The iterate with the lowest value so far; None before the first step.
    value : float
        Function value at `point`; infinite before the first step.
    slope : (*shape) float64
        Gradient at `point`.
    failed : bool
        True once the line search found no lower value from `point` along -P g: the descent has ended.

    Raises
    ------
    ConfigError
        When `memory` is below 1.
    """

    def __init__(self, shape: tuple[int, ...], *, memory: int = 10) -> None:
        if memory < 1:
            raise ConfigError(f"memory is {memory!r}; expected at least one pair.")
        self.shape, self.memory = tuple(shape), int(memory)
        self.reset()

    def reset(self) -> None:
        """Forget the iterate and all pairs of steps and gradient changes."""
        self.steps: list[Floats] = []
        self.changes: list[Floats] = []
        self.restart()

    def restart(self) -> None:
        """Forget the iterate, its value and its gradient, but keep the pairs that describe the curvature.

        For a function that has changed by a little, so that old values no longer compare with new ones.
        """
        self.point: Floats | None = None
        self.value, self.fraction = np.inf, 1.0
        self.slope = self.direction = np.zeros(self.shape)
        self.failed = False

    def interpolated(self, carry: Any) -> LBFGS:
        """Return an optimiser for other unknowns, with the pairs of this one interpolated to them.

        Parameters
        ----------
        carry : (m, n) array or sparse matrix
            Interpolation from the n rows of the present unknowns to the m rows of the new ones. It is applied to steps
            and to gradient changes alike, which assumes that both sets of unknowns are about equally dense.

        Returns
        -------
        LBFGS
            A new optimiser without an iterate. Pairs whose curvature s·y would not be positive are left out.
        """
        other = LBFGS((carry.shape[0], *self.shape[1:]), memory=self.memory)
        for step, change in zip(self.steps, self.changes):
            other._store_pair(carry @ step, carry @ change)
        return other

    def step(
        self, params: Array, value: float, gradient: Array, precondition: Preconditioner, max_move: float
    ) -> Floats:
        """Take value and gradient at the last point that was returned, and return the next point to evaluate.

        If the value fulfils Armijo's condition (or there was no iterate yet), `params` becomes the iterate and a new
        search direction is chosen; otherwise the last step from the iterate is shortened.

        Parameters
        ----------
        params : (*shape) float
            Point at which the function was evaluated: any point at the first call, then the one that the last call
            returned.
        value : float
            Function value at `params`.
        gradient : (*shape) float
            Gradient at `params`.
        precondition : callable
            Preconditioner P, symmetric and positive definite: takes a gradient (*shape) and returns P times it.
        max_move : float
            Longest move of one row of the unknowns (Euclidean norm), in their unit. The first step has this length.

        Returns
        -------
        (*shape) float64
            Next point to evaluate.

        Raises
        ------
        ConfigError
            For arrays of another shape, or a value or gradient that is not finite.
        """
        grad = np.asarray(gradient, dtype=np.float64)
        if grad.shape != self.shape or np.shape(params) != self.shape:
            raise ConfigError(
                f"params and gradient have shapes {np.shape(params)} and {grad.shape}; expected {self.shape}."
            )
        if not (np.isfinite(grad).all() and np.isfinite(value)):
            raise ConfigError("the value or its gradient is NaN or infinite; expected finite numbers.")
        if self.point is None:
            self._accept_point(params, value, grad)
        elif value <= self.value + SUFFICIENT * self.fraction * float((self.slope * self.direction).sum()):
            self._store_pair(np.asarray(params, dtype=np.float64) - self.point, grad - self.slope)
            self._accept_point(params, value, grad)
        else:
            return self._backtrack(value, precondition, max_move)
        self._choose_direction(precondition, max_move)
        return self._trial_point()

    def _accept_point(self, params: Array, value: float, gradient: Floats) -> None:
        """Make `params` the iterate, with its function value and gradient."""
        self.point, self.value, self.slope = np.array(params, dtype=np.float64), float(value), gradient

    def _store_pair(self, step: Floats, change: Floats) -> None:
        """Add a step s and its gradient change y to the memory, and drop the oldest pair beyond `memory`.

        A pair without positive curvature, s·y ≤ 1e-10 |s| |y|, is not stored: H would lose its positive definiteness.
        """
        if float((step * change).sum()) > 1e-10 * float(np.linalg.norm(step) * np.linalg.norm(change)):
            self.steps, self.changes = [*self.steps, step][-self.memory :], [*self.changes, change][-self.memory :]

    def _choose_direction(self, precondition: Preconditioner, max_move: float) -> None:
        """Set the search direction -H g at the iterate, with step fraction 1.

        Rows of the direction are no longer than `max_move`; without any pair the longest row has just this length. If
        rounding makes -H g an ascent direction, the pairs are dropped and -P g is taken.
        """
        move = -self._apply_inverse_hessian(self.slope, precondition)
        if float((move * self.slope).sum()) >= 0:  # only by rounding: H is positive
            self.steps, self.changes = [], []
            move = -precondition(self.slope)
        longest = float(np.sqrt((move.reshape(len(move), -1) ** 2).sum(axis=1)).max(initial=0.0))
        if longest > 0 and (longest > max_move or not self.steps):
            move = move * (max_move / longest)
        self.direction, self.fraction = move, 1.0

    def _apply_inverse_hessian(self, gradient: Floats, precondition: Preconditioner) -> Floats:
        """Return H times a gradient by the two-loop recursion over the stored pairs."""
        rest, weights = gradient.copy(), []
        for s, y in zip(reversed(self.steps), reversed(self.changes)):
            weight = float((s * rest).sum()) / float((s * y).sum())
            rest -= weight * y
            weights.append(weight)
        found = precondition(rest)
        if self.steps:
            s, y = self.steps[-1], self.changes[-1]
            found = found * (float((s * y).sum()) / float((y * precondition(y)).sum()))
        for s, y, weight in zip(self.steps, self.changes, reversed(weights)):
            found += (weight - float((y * found).sum()) / float((s * y).sum())) * s
        return found

    def _backtrack(self, value: float, precondition: Preconditioner, max_move: float) -> Floats:
        """Shorten the last step, whose end was refused with `value`, and return the next point to evaluate.

        The new fraction of the direction minimises the parabola through the value and slope at the iterate and `value`,
        within `SHRINK` times the old fraction. Where the fraction falls below a limit, the pairs are dropped and the
        search starts again along -P g, with longest row `max_move` · `LEAST_FRACTION`; if there were no pairs, `failed`
        becomes True.
        """
        slope = self.fraction * float((self.slope * self.direction).sum())
        bend = value - self.value - slope
        ratio = -0.5 * slope / bend if bend > 0 else SHRINK[1]
        self.fraction *= min(max(ratio, SHRINK[0]), SHRINK[1])
        if self.fraction < (LEAST_FRACTION if self.steps else LEAST_FRACTION_WITHOUT_MEMORY):
            self.failed = not self.steps
            self.steps, self.changes = [], []
            self._choose_direction(precondition, max_move * LEAST_FRACTION if not self.failed else max_move)
        return self._trial_point()

    def _trial_point(self) -> Floats:
        """Return the iterate plus the current fraction of the search direction."""
        assert self.point is not None
        return self.point + self.fraction * self.direction

    def state_arrays(self) -> dict[str, Array]:
        """Return the state as arrays, from which :meth:`load_state` restores it exactly.

        Returns
        -------
        dict of str to ndarray
            "place" (the iterate, with 0 or 1 rows in front), "slope" (gradient there), "direction", "steps" and
            "changes" (the pairs), and "numbers" (value, step fraction, `failed`). Checkpoints store these names.
        """
        empty = np.zeros((0, *self.shape))
        return {
            "place": empty if self.point is None else self.point[None],
            "numbers": np.array([self.value, self.fraction, self.failed]),
            "slope": self.slope,
            "direction": self.direction,
            "steps": np.array(self.steps) if self.steps else empty,
            "changes": np.array(self.changes) if self.changes else empty,
        }

    def load_state(self, arrays: dict[str, Any]) -> None:
        """Restore a state that :meth:`state_arrays` gave; later steps are then the same to the last bit.

        Parameters
        ----------
        arrays : dict of str to array
            Arrays under the names of :meth:`state_arrays`.

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
        point, numbers = np.asarray(arrays["place"], dtype=np.float64), np.asarray(arrays["numbers"], dtype=np.float64)
        self.point = np.array(point[0]) if len(point) else None
        self.value, self.fraction, self.failed = float(numbers[0]), float(numbers[1]), bool(numbers[2])
        self.slope, self.direction = (np.array(arrays[n], dtype=np.float64) for n in ("slope", "direction"))
        self.steps, self.changes = ([np.array(a) for a in arrays[n]] for n in ("steps", "changes"))
