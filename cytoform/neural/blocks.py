"""The network's value and its gradients, written out, for blocks of points whose activations stay in a core's cache.

Three things make this quicker than :meth:`AutoDecoder.forward` with torch's automatic differentiation: the latent code
is the same for all points of a frame, so that it enters each layer as a bias; the frequency ω0 is multiplied into the
weights once a step; and the matrix products of the backward pass can be taken in bfloat16, which rounds the gradient
but not the value.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from .model import AutoDecoder

__all__ = ["FoldedWeights", "Gradients", "fold_weights", "loss_and_gradients", "values"]

Tensor = torch.Tensor


@dataclasses.dataclass
class FoldedWeights:
    """Copies of a network's weights with ω0 multiplied in, detached from torch's graph, for both passes.

    Parameters
    ----------
    matrices : list of (units, inputs)
        Of the hidden layers and the last, linear one. The last 4 inputs are the coordinates, in layers that take these.
    bfloat16_matrices : list of (units, inputs) bfloat16, or None
        The same in bfloat16, for the backward pass in mixed precision; None for full precision.
    code_matrices : list of (units, latent) or None
        Weights of the latent code in each layer, None in layers that the code does not enter.
    biases : list of (units,)
        Of each layer.
    coordinates : list of bool
        Whether the coordinates enter each layer.
    sine : bool
        Sine activation; else ReLU.
    omega : float
        ω0 that was multiplied into all layers but the last; 1 for ReLU.
    """

    matrices: list[Tensor]
    bfloat16_matrices: list[Tensor] | None
    code_matrices: list[Tensor | None]
    biases: list[Tensor]
    coordinates: list[bool]
    sine: bool
    omega: float


@dataclasses.dataclass
class Gradients:
    """Gradients of a loss with respect to folded weights, summed over points; lists as in :class:`FoldedWeights`."""

    matrices: list[Tensor]
    code_matrices: list[Tensor | None]
    biases: list[Tensor]

    @classmethod
    def zeros_like(cls, folded: FoldedWeights) -> Gradients:
        """Return gradients of the same shapes as the folded weights, all zero."""
        zeros = torch.zeros_like
        return cls(
            [zeros(m) for m in folded.matrices],
            [None if m is None else zeros(m) for m in folded.code_matrices],
            [zeros(b) for b in folded.biases],
        )

    def tensors(self) -> list[Tensor]:
        """Return all tensors in one list: matrices, then matrices of the code where a layer has one, then biases."""
        return [*self.matrices, *(m for m in self.code_matrices if m is not None), *self.biases]

    def zero_(self) -> None:
        """Set all gradients to zero, in place."""
        for tensor in self.tensors():
            tensor.zero_()


def fold_weights(network: AutoDecoder, *, mixed: bool = False, device: torch.device | None = None) -> FoldedWeights:
    """Return copies of a network's weights times ω0, so that a layer is sin(W x + b) instead of sin(ω0 (W x + b)).

    Parameters
    ----------
    network : AutoDecoder
        Whose weights are copied.
    mixed : bool
        Also make bfloat16 copies of the matrices, for a backward pass in mixed precision.
    device : torch.device, optional
        Where the copies lie; by default where the network does.
    """
    config = network.config
    sine = config.activation == "sine"
    omega = config.omega if sine else 1.0
    layers = network.linear_layers
    scales = [omega] * config.layers + [1.0]

    def copy(tensor: Tensor, scale: float) -> Tensor:
        return (tensor.detach() * scale).to(device)

    matrices = [copy(layer.matrix, s) for layer, s in zip(layers, scales)]
    return FoldedWeights(
        matrices=matrices,
        bfloat16_matrices=[m.to(torch.bfloat16) for m in matrices] if mixed else None,
        code_matrices=[None if layer.code is None else copy(layer.code, omega) for layer in layers],
        biases=[copy(layer.bias, s) for layer, s in zip(layers, scales)],
        coordinates=[config.takes_coordinates(n) for n in range(config.layers + 1)],
        sine=sine,
        omega=omega,
    )


def _layer_biases(folded: FoldedWeights, codes: Tensor) -> list[Tensor]:
    """Return the bias (B, units) of every layer for each of B latent codes (B, latent).

    It is the layer's own bias plus the code's matrix times the code, in layers that the code enters.
    """
    return [
        bias.expand(len(codes), -1) if code is None else torch.addmm(bias, codes, code.T)
        for bias, code in zip(folded.biases, folded.code_matrices)
    ]


def _linear(inputs: Tensor, matrix: Tensor, bias: Tensor) -> Tensor:
    """Return inputs (B P, n) times matrixᵀ plus a bias: row b of the bias (B, units) for the P points of frame b."""
    if len(bias) == 1:
        return torch.addmm(bias[0], inputs, matrix.T)
    out = inputs @ matrix.T
    out.view(len(bias), -1, out.shape[1]).add_(bias[:, None])
    return out


def _forward(
    folded: FoldedWeights, points: Tensor, biases: list[Tensor], saved: list[tuple[Tensor, Tensor]] | None
) -> Tensor:
    """Return the network's signed distances (B P,) at points (B P, 4), given the biases (B, units) of each layer.

    Unless ``saved`` is None, each layer's inputs and its argument of the activation are appended to it, for the
    backward pass; without it the activations are computed in place.
    """
    inputs = points
    last = len(folded.matrices) - 1
    for n in range(last):
        argument = _linear(inputs, folded.matrices[n], biases[n])
        if saved is None:
            active = argument.sin_() if folded.sine else argument.relu_()
        else:
            saved.append((inputs, argument))
            active = argument.sin() if folded.sine else argument.relu()
        inputs = torch.cat([active, points], 1) if folded.coordinates[n + 1] else active
    if saved is not None:
        saved.append((inputs, inputs))
    return _linear(inputs, folded.matrices[last], biases[last])[:, 0]


def values(folded: FoldedWeights, points: Tensor, codes: Tensor) -> Tensor:
    """Return the network's signed distances (B, P) at points (B, P, 4) of B frames with the codes (B, latent)."""
    n, p = points.shape[:2]
    return _forward(folded, points.reshape(n * p, 4), _layer_biases(folded, codes), None).view(n, p)


def loss_and_gradients(
    folded: FoldedWeights,
    points: Tensor,
    codes: Tensor,
    target: Tensor,
    gradients: Gradients | None,
    *,
    huber: float = 0.0,
    points_gradient: bool = False,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Compute the sum of |f − target| over all points, and its gradients with respect to weights, codes and points.

    Parameters
    ----------
    folded : FoldedWeights
        The network f.
    points : (B, P, 4)
        Coordinates (z, y, x, t) of P points in each of B frames.
    codes : (B, latent)
        Latent code of each frame.
    target : (B, P)
        The distances wanted.
    gradients : Gradients or None
        The gradients of the folded weights are added to these, in place; None where only codes and points matter.
    huber : float
        Where the residual r = f − target is smaller in size than this, |r| is replaced by r² / (2 huber) + huber / 2,
        so that the loss has a second derivative (Huber's loss plus a constant). 0 for |r| everywhere.
    points_gradient : bool
        Whether the gradient with respect to the points is computed.

    Returns
    -------
    loss : () tensor
        The sum.
    d_codes : (B, latent) tensor
        Its gradient with respect to the codes.
    d_points : (B, P, 4) tensor or None
        Its gradient with respect to the points; None unless ``points_gradient``.
    """
    n, p = points.shape[:2]
    flat = points.reshape(n * p, 4)
    saved: list[tuple[Tensor, Tensor]] = []
    residual = _forward(folded, flat, _layer_biases(folded, codes), saved) - target.reshape(-1)
    loss, slope = _huber_loss(residual, huber)
    d_codes, d_points = _backward(folded, saved, codes, slope[:, None], gradients, points_gradient)
    return loss, d_codes, None if d_points is None else d_points.view(n, p, 4)


def _huber_loss(residual: Tensor, huber: float) -> tuple[Tensor, Tensor]:
    """Return the sum of |r| over all residuals r, and its derivative with respect to each residual.

    Where |r| < huber, |r| is replaced by r² / (2 huber) + huber / 2; with huber 0 nowhere.
    """
    size = residual.abs()
    if huber <= 0:
        return size.sum(), residual.sign()
    small = size < huber
    loss = torch.where(small, residual.square() / (2 * huber) + huber / 2, size).sum()
    return loss, torch.where(small, residual / huber, residual.sign())


def _backward(
    folded: FoldedWeights,
    saved: list[tuple[Tensor, Tensor]],
    codes: Tensor,
    slope: Tensor,
    gradients: Gradients | None,
    points_gradient: bool,
) -> tuple[Tensor, Tensor | None]:
    """Propagate the loss's derivatives back through all layers, and return those for the codes and the points.

    Parameters
    ----------
    folded : FoldedWeights
        The network.
    saved : list of (inputs, argument)
        What :func:`_forward` saved of each layer.
    codes : (B, latent)
        Latent codes of the frames.
    slope : (B P, 1)
        Derivative of the loss with respect to the network's value at each point.
    gradients : Gradients or None
        The gradients of the folded weights are added to these, in place; None to leave them out.
    points_gradient : bool
        Whether the derivatives with respect to the points are computed.

    Returns
    -------
    d_codes : (B, latent) tensor
        Sums over the points of each frame.
    d_points : (B P, 4) tensor or None
        None unless ``points_gradient``.
    """
    d_codes = torch.zeros_like(codes)
    d_points = torch.zeros_like(saved[0][0]) if points_gradient else None
    last = len(folded.matrices) - 1
    derivatives = slope
    for n in range(last, -1, -1):
        inputs, argument = saved[n]
        if n < last:
            active = torch.cos(argument) if folded.sine else (argument > 0).to(argument.dtype)
            derivatives = active.mul_(derivatives[:, : active.shape[1]])
        sums = derivatives.view(len(codes), -1, derivatives.shape[1]).sum(1)
        code = folded.code_matrices[n]
        if code is not None:
            d_codes.addmm_(sums, code)
        if gradients is not None:
            _add_layer_gradients(gradients, n, derivatives, inputs, sums, codes, folded.bfloat16_matrices is not None)
        if n or points_gradient:
            derivatives = _input_derivatives(folded, n, derivatives)
        if d_points is not None and folded.coordinates[n]:
            d_points += derivatives[:, -4:]
    return d_codes, d_points


def _add_layer_gradients(
    gradients: Gradients, n: int, derivatives: Tensor, inputs: Tensor, sums: Tensor, codes: Tensor, mixed: bool
) -> None:
    """Add the gradients of layer ``n``'s matrix, bias and code matrix to ``gradients``, in place.

    Parameters
    ----------
    gradients : Gradients
        Of the whole network.
    n : int
        Number of the layer, from 0.
    derivatives : (B P, units)
        Derivatives of the loss with respect to the layer's output before its activation.
    inputs : (B P, inputs)
        The layer's inputs.
    sums : (B, units)
        ``derivatives`` summed over the points of each frame.
    codes : (B, latent)
        Latent codes of the frames.
    mixed : bool
        Whether the product of derivatives and inputs is taken in bfloat16.
    """
    if mixed:
        gradients.matrices[n] += (derivatives.to(torch.bfloat16).T @ inputs.to(torch.bfloat16)).to(derivatives.dtype)
    else:
        gradients.matrices[n].addmm_(derivatives.T, inputs)
    gradients.biases[n] += sums.sum(0)
    code = gradients.code_matrices[n]
    if code is not None:
        code.addmm_(sums.T, codes)


def _input_derivatives(folded: FoldedWeights, n: int, derivatives: Tensor) -> Tensor:
    """Return the derivatives (B P, inputs) with respect to layer ``n``'s inputs, from those with respect to its output.

    The product with the layer's matrix is taken in bfloat16 where the weights have bfloat16 copies.
    """
    if folded.bfloat16_matrices is not None:
        return (derivatives.to(torch.bfloat16) @ folded.bfloat16_matrices[n]).to(derivatives.dtype)
    return derivatives @ folded.matrices[n]
