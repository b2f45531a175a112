"""The network's value and its gradients, written out, for blocks of points that stay in a core's cache.

Three things make this quicker than concatenating and differentiating by rule: the code is the same for all points of a
frame, so that it enters as a bias; ω0 is folded into the weights once a step; and the products of the backward pass can
be taken in bfloat16, which rounds the gradient but not the value. :meth:`AutoDecoder.forward` is the plain version.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from .model import AutoDecoder

__all__ = ["Folded", "Gradients", "fold", "loss_and_gradients", "values"]

Tensor = torch.Tensor


@dataclasses.dataclass
class Folded:
    """A network's weights times ω0, detached: what a pass needs.

    Attributes
    ----------
    matrices : list of (units, inputs)
        Hidden layers and the last one; the last inputs are the coordinates where these enter.
    halves : list of (units, inputs) bfloat16, or None
        The same for the backward pass in mixed precision.
    code_matrices : list of (units, latent) or None
    biases : list of (units,)
    coordinates : list of bool
        Whether the coordinates enter.
    sine : bool
    omega : float
    """

    matrices: list[Tensor]
    halves: list[Tensor] | None
    code_matrices: list[Tensor | None]
    biases: list[Tensor]
    coordinates: list[bool]
    sine: bool
    omega: float


@dataclasses.dataclass
class Gradients:
    """Sums of gradients with respect to folded weights, in the order of :class:`Folded`."""

    matrices: list[Tensor]
    code_matrices: list[Tensor | None]
    biases: list[Tensor]

    @classmethod
    def like(cls, folded: Folded) -> Gradients:
        """All zero."""
        zeros = torch.zeros_like
        return cls(
            [zeros(m) for m in folded.matrices],
            [None if m is None else zeros(m) for m in folded.code_matrices],
            [zeros(b) for b in folded.biases],
        )

    def tensors(self) -> list[Tensor]:
        """All of them in one list."""
        return [*self.matrices, *(m for m in self.code_matrices if m is not None), *self.biases]

    def zero_(self) -> None:
        """Set to zero."""
        for tensor in self.tensors():
            tensor.zero_()


def fold(network: AutoDecoder, *, mixed: bool = False, device: torch.device | None = None) -> Folded:
    """Weights of a network times its ω0, as copies, with bfloat16 ones beside them when ``mixed``; on ``device``."""
    config = network.config
    sine = config.activation == "sine"
    omega = config.omega if sine else 1.0
    layers = list(network.layers)
    scales = [omega] * config.layers + [1.0]

    def copy(tensor: Tensor, scale: float) -> Tensor:
        return (tensor.detach() * scale).to(device)

    matrices = [copy(layer.matrix, s) for layer, s in zip(layers, scales)]
    return Folded(
        matrices=matrices,
        halves=[m.to(torch.bfloat16) for m in matrices] if mixed else None,
        code_matrices=[None if layer.code is None else copy(layer.code, omega) for layer in layers],
        biases=[copy(layer.bias, s) for layer, s in zip(layers, scales)],
        coordinates=[config.takes_coordinates(n) for n in range(config.layers + 1)],
        sine=sine,
        omega=omega,
    )


def _biases(folded: Folded, codes: Tensor) -> list[Tensor]:
    """Bias of every layer for every code, (B, units): that of the layer and what the code adds."""
    return [
        bias.expand(len(codes), -1) if code is None else torch.addmm(bias, codes, code.T)
        for bias, code in zip(folded.biases, folded.code_matrices)
    ]


def _linear(inputs: Tensor, matrix: Tensor, bias: Tensor) -> Tensor:
    """inputs (B P, n) times matrixᵀ plus the bias (B, units) of each of the B frames."""
    if len(bias) == 1:
        return torch.addmm(bias[0], inputs, matrix.T)
    out = inputs @ matrix.T
    out.view(len(bias), -1, out.shape[1]).add_(bias[:, None])
    return out


def _forward(folded: Folded, points: Tensor, biases: list[Tensor], keep: list[tuple[Tensor, Tensor]] | None) -> Tensor:
    """Values (B P,); ``keep`` takes each layer's inputs and its argument of the activation."""
    inputs = points
    last = len(folded.matrices) - 1
    for n in range(last):
        argument = _linear(inputs, folded.matrices[n], biases[n])
        if keep is None:
            active = argument.sin_() if folded.sine else argument.relu_()
        else:
            keep.append((inputs, argument))
            active = argument.sin() if folded.sine else argument.relu()
        inputs = torch.cat([active, points], 1) if folded.coordinates[n + 1] else active
    if keep is not None:
        keep.append((inputs, inputs))
    return _linear(inputs, folded.matrices[last], biases[last])[:, 0]


def values(folded: Folded, points: Tensor, codes: Tensor) -> Tensor:
    """Signed distances (B, P) at points (B, P, 4) for codes (B, latent)."""
    n, p = points.shape[:2]
    return _forward(folded, points.reshape(n * p, 4), _biases(folded, codes), None).view(n, p)


def loss_and_gradients(
    folded: Folded,
    points: Tensor,
    codes: Tensor,
    target: Tensor,
    into: Gradients | None,
    *,
    huber: float = 0.0,
    points_too: bool = False,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Sum of |f − target| over all points, and its gradients.

    Parameters
    ----------
    points : (B, P, 4)
    codes : (B, latent)
    target : (B, P)
    into : Gradients or None
        Where the gradients of the folded weights are added; None when only codes and points matter.
    huber : float
        Below this, |r| becomes r² / (2 huber) + huber / 2: a loss with a second derivative.
    points_too : bool

    Returns
    -------
    loss : () ; d/d codes : (B, latent) ; d/d points : (B, P, 4), or None
    """
    n, p = points.shape[:2]
    flat = points.reshape(n * p, 4)
    keep: list[tuple[Tensor, Tensor]] = []
    residual = _forward(folded, flat, _biases(folded, codes), keep) - target.reshape(-1)
    loss, slope = _l1(residual, huber)
    d_codes, d_points = _backward(folded, keep, codes, slope[:, None], into, points_too)
    return loss, d_codes, None if d_points is None else d_points.view(n, p, 4)


def _l1(residual: Tensor, huber: float) -> tuple[Tensor, Tensor]:
    size = residual.abs()
    if huber <= 0:
        return size.sum(), residual.sign()
    small = size < huber
    loss = torch.where(small, residual.square() / (2 * huber) + huber / 2, size).sum()
    return loss, torch.where(small, residual / huber, residual.sign())


def _backward(
    folded: Folded,
    keep: list[tuple[Tensor, Tensor]],
    codes: Tensor,
    slope: Tensor,
    into: Gradients | None,
    points_too: bool,
) -> tuple[Tensor, Tensor | None]:
    d_codes = torch.zeros_like(codes)
    d_points = torch.zeros_like(keep[0][0]) if points_too else None
    last = len(folded.matrices) - 1
    back = slope
    for n in range(last, -1, -1):
        inputs, argument = keep[n]
        if n < last:
            active = torch.cos(argument) if folded.sine else (argument > 0).to(argument.dtype)
            back = active.mul_(back[:, : active.shape[1]])
        sums = back.view(len(codes), -1, back.shape[1]).sum(1)
        code = folded.code_matrices[n]
        if code is not None:
            d_codes.addmm_(sums, code)
        if into is not None:
            _gather(into, n, back, inputs, sums, codes, folded.halves is not None)
        if n or points_too:
            back = _through(folded, n, back)
        if d_points is not None and folded.coordinates[n]:
            d_points += back[:, -4:]
    return d_codes, d_points


def _gather(into: Gradients, n: int, back: Tensor, inputs: Tensor, sums: Tensor, codes: Tensor, mixed: bool) -> None:
    if mixed:
        into.matrices[n] += (back.to(torch.bfloat16).T @ inputs.to(torch.bfloat16)).to(back.dtype)
    else:
        into.matrices[n].addmm_(back.T, inputs)
    into.biases[n] += sums.sum(0)
    code = into.code_matrices[n]
    if code is not None:
        code.addmm_(sums.T, codes)


def _through(folded: Folded, n: int, back: Tensor) -> Tensor:
    if folded.halves is not None:
        return (back.to(torch.bfloat16) @ folded.halves[n]).to(back.dtype)
    return back @ folded.matrices[n]
