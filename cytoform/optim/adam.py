"""Adam, and its variant with one second moment for all entries, as small objects whose state can be saved."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError

__all__ = ["Adam", "AdamUniform"]


class Adam:
    """Adam with bias correction (Kingma and Ba, ICLR 2015, arXiv 1412.6980).

    Parameters
    ----------
    shape : tuple of int
        Shape of the parameters.
    beta1, beta2 : float
        Decay of the first and second moment, in [0, 1).
    epsilon : float
        Added to the root of the second moment, in units of the gradient.

    Attributes
    ----------
    first : (*shape) float64
        Running mean of the gradient.
    second : (*shape) float64
        Running mean of its square.
    count : int
        Steps since the first moment was empty.
    count_second : int
        Steps that the second moment remembers; larger than `count` after :meth:`resized`.
    """

    def __init__(
        self, shape: tuple[int, ...], *, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8
    ) -> None:
        for name, value in (("beta1", beta1), ("beta2", beta2)):
            if not 0 <= value < 1:
                raise ConfigError(f"{name} is {value!r}; expected a number from 0 up to, not including, 1.")
        if not epsilon >= 0:
            raise ConfigError(f"epsilon is {epsilon!r}; expected zero or more.")
        self.shape, self.beta1, self.beta2, self.epsilon = tuple(shape), beta1, beta2, epsilon
        self.reset()

    def _second_shape(self) -> tuple[int, ...]:
        return self.shape

    def _magnitude(self, gradient: npt.NDArray) -> npt.NDArray | float:
        return gradient * gradient

    def reset(self) -> None:
        """Forget both moments."""
        self.first = np.zeros(self.shape)
        self.second = np.zeros(self._second_shape())
        self.count = self.count_second = 0

    def step(self, params: npt.NDArray, gradient: npt.NDArray, lr: float) -> npt.NDArray:
        """One step downhill.

        Parameters
        ----------
        params, gradient : (*shape) float
        lr : float
            Step size in units of the parameters: about how far an entry moves.

        Returns
        -------
        (*shape)
            New parameters in the dtype of `params`; the arguments are left alone.

        Raises
        ------
        ConfigError
            When a shape differs, or the gradient is not finite (the state is then left as it was).
        """
        grad = np.asarray(gradient, dtype=np.float64)
        if grad.shape != self.shape or np.shape(params) != self.shape:
            raise ConfigError(
                f"params and gradient have shapes {np.shape(params)} and {grad.shape}; expected {self.shape}.",
                remedy="After the number of vertices has changed, take the state from resized().",
            )
        if not np.isfinite(grad).all():
            raise ConfigError("the gradient is NaN or infinite; expected finite values.", remedy="Lower the step size.")
        self.first = self.beta1 * self.first + (1.0 - self.beta1) * grad
        self.second = self.beta2 * self.second + (1.0 - self.beta2) * self._magnitude(grad)
        self.count += 1
        self.count_second += 1
        first = self.first / (1.0 - self.beta1**self.count)
        second = self.second / (1.0 - self.beta2**self.count_second)
        scale = np.sqrt(second) + self.epsilon
        change = np.divide(first, scale, out=np.zeros_like(first), where=scale > 0)
        params = np.asarray(params)
        return (params - lr * change).astype(params.dtype if params.dtype.kind == "f" else np.float64)

    def state_arrays(self) -> dict[str, npt.NDArray]:
        """All that a later :meth:`load_state` needs, as arrays (copies)."""
        return {
            "first": self.first.copy(),
            "second": np.array(self.second),
            "count": np.array([self.count, self.count_second], dtype=np.int64),
        }

    def load_state(self, arrays: dict[str, Any]) -> None:
        """Take up a state from :meth:`state_arrays`; steps then go on bit by bit as before.

        Raises
        ------
        ConfigError
            When an array is missing or has another shape.
        """
        expected = {"first": self.shape, "second": self._second_shape(), "count": (2,)}
        for name, shape in expected.items():
            if name not in arrays or np.shape(arrays[name]) != shape:
                came = "missing" if name not in arrays else f"of shape {np.shape(arrays[name])}"
                raise ConfigError(f"the optimiser's {name!r} is {came}; expected shape {shape}.")
        self.first = np.array(arrays["first"], dtype=np.float64)
        self.second = np.array(arrays["second"], dtype=np.float64)
        self.count, self.count_second = (int(n) for n in np.asarray(arrays["count"]))


class AdamUniform(Adam):
    """Adam with one second moment for all entries, from the largest: the step keeps the gradient's direction.

    The second moment is the running mean of the square of the largest absolute entry, as in Nicolet, Jacobson, Jakob,
    "Large Steps in Inverse Rendering of Geometry", ACM Trans. Graph. 40(6), 2021, doi 10.1145/3478513.3480501. No
    entry moves further than about `lr` in a steady descent.

    Parameters
    ----------
    shape : tuple of int
        Shape of the parameters, (n_vertices, 3) for a mesh.
    beta1, beta2, epsilon : float
        As for :class:`Adam`; epsilon is 0, as the shared moment is zero only where the whole gradient is.
    """

    def __init__(
        self, shape: tuple[int, ...], *, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 0.0
    ) -> None:
        super().__init__(shape, beta1=beta1, beta2=beta2, epsilon=epsilon)

    def _second_shape(self) -> tuple[int, ...]:
        return ()

    def _magnitude(self, gradient: npt.NDArray) -> npt.NDArray | float:
        return float(np.abs(gradient).max(initial=0.0)) ** 2

    def resized(self, n_vertices: int) -> AdamUniform:
        """For a mesh with another number of vertices: no first moment, the second moment kept.

        The first step after it is then scaled by what is known of the gradient's size, and no jump follows.
        """
        made = AdamUniform((int(n_vertices), *self.shape[1:]), beta1=self.beta1, beta2=self.beta2, epsilon=self.epsilon)
        made.second, made.count_second = np.array(self.second), self.count_second
        return made
