"""Values and gradients written out, against torch's own through the plain network, and against differences."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from cytoform.neural import AutoDecoder, NetworkConfig, blocks  # noqa: E402
from cytoform.neural.workers import Workers  # noqa: E402

LOW, EACH = dict(latent=5, width=24, layers=4, latent_layers=(1, 3)), 1e-10
NETWORKS = {
    "sine": NetworkConfig(**LOW),
    "relu": NetworkConfig(**LOW, activation="relu"),
    "shrink": NetworkConfig(**LOW, shrink=True),
    "relu shrink": NetworkConfig(**LOW, activation="relu", shrink=True),
    "few coordinates": NetworkConfig(**LOW, coordinate_layers=(1, 3)),
    "no code": NetworkConfig(latent=5, width=24, layers=2, latent_layers=()),
    "one layer": NetworkConfig(latent=5, width=24, layers=1, latent_layers=(1,), omega=10.0),
}


def problem(config, frames, points=40, dtype=torch.float64, seed=0):
    """A network, points, codes and targets."""
    draw = torch.Generator().manual_seed(seed)
    model = AutoDecoder(config, seed=seed).to(dtype)
    xyzt = torch.rand(frames, points, 4, generator=draw, dtype=torch.float64) * 2 - 1
    codes = torch.randn(frames, config.latent, generator=draw, dtype=torch.float64)
    target = 0.1 * torch.randn(frames, points, generator=draw, dtype=torch.float64)
    return model, xyzt.to(dtype), codes.to(dtype), target.to(dtype)


def plain(model, xyzt, codes, target, huber=0.0):
    """Loss and its gradients by torch: (loss, codes, points, {name: gradient})."""
    xyzt, codes = xyzt.clone().requires_grad_(), codes.clone().requires_grad_()
    model.zero_grad()
    residual = (model(xyzt, codes[:, None].expand(-1, xyzt.shape[1], -1)) - target).abs()
    if huber:
        residual = torch.where(residual < huber, residual**2 / (2 * huber) + huber / 2, residual)
    loss = residual.sum()
    loss.backward()
    d_codes = torch.zeros_like(codes) if codes.grad is None else codes.grad
    return loss.detach(), d_codes, xyzt.grad, {k: p.grad.clone() for k, p in model.named_parameters()}


def ours(model, xyzt, codes, target, mixed=False, **options):
    """The same by blocks, with the gradients unfolded as the trainer does it."""
    folded = blocks.fold_weights(model, mixed=mixed)
    into = blocks.Gradients.zeros_like(folded)
    loss, d_codes, d_points = blocks.loss_and_gradients(
        folded, xyzt, codes, target, into, points_gradient=True, **options
    )
    found, last = {}, model.config.layers
    for n in range(last + 1):
        scale = folded.omega if n < last else 1.0
        found[f"layers.{n}.matrix"], found[f"layers.{n}.bias"] = into.matrices[n] * scale, into.biases[n] * scale
        if into.code_matrices[n] is not None:
            found[f"layers.{n}.code"] = into.code_matrices[n] * scale
    return loss, d_codes, d_points, found


def close(a, b):
    np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=EACH, atol=EACH * float(b.abs().max()) + 1e-300)


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("huber", [0.0, 0.05])
@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_are_those_of_autograd(name, huber, frames):
    given = problem(NETWORKS[name], frames)
    found, wanted = ours(*given, huber=huber), plain(*given, huber=huber)
    for a, b in zip(found[:3], wanted[:3]):
        close(a, b)
    assert set(found[3]) == set(wanted[3])
    for key, gradient in wanted[3].items():
        assert float(gradient.abs().max()) > 0
        close(found[3][key], gradient)


@pytest.mark.parametrize("name", NETWORKS)
def test_values_are_those_of_the_plain_network(name):
    model, xyzt, codes, _ = problem(NETWORKS[name], 3)
    with torch.no_grad():
        close(blocks.values(blocks.fold_weights(model), xyzt, codes), model(xyzt, codes[:, None].expand(-1, 40, -1)))


@pytest.mark.parametrize("activation", ["sine", "relu"])
def test_gradient_against_finite_differences(activation):
    """Along a random direction of codes, points and weights at once; the Huber part keeps the loss smooth."""
    config = NetworkConfig(latent=5, width=24, layers=3, latent_layers=(1, 3), activation=activation, omega=5.0)
    model, xyzt, codes, target = problem(config, 2)
    draw = torch.Generator().manual_seed(1)
    moves = {k: torch.randn(p.shape, generator=draw, dtype=p.dtype) for k, p in model.named_parameters()}
    d_code, d_point = (torch.randn(t.shape, generator=draw, dtype=t.dtype) for t in (codes, xyzt))
    start = {k: p.detach().clone() for k, p in model.named_parameters()}

    def loss(step):
        model.load_state_dict({k: start[k] + step * moves[k] for k in start})
        folded = blocks.fold_weights(model)
        return blocks.loss_and_gradients(folded, xyzt + step * d_point, codes + step * d_code, target, None, huber=9.0)

    slope = float(loss(1e-7)[0] - loss(-1e-7)[0]) / 2e-7
    model.load_state_dict(start)
    _, by_code, by_point, by_weight = ours(model, xyzt, codes, target, huber=9.0)
    wanted = (by_code * d_code).sum() + (by_point * d_point).sum() + sum((by_weight[k] * moves[k]).sum() for k in moves)
    assert slope == pytest.approx(float(wanted), rel=2e-6)


def test_gradients_are_added_to_what_is_there():
    given = problem(NETWORKS["sine"], 2)
    folded = blocks.fold_weights(given[0])
    into, once = blocks.Gradients.zeros_like(folded), blocks.Gradients.zeros_like(folded)
    blocks.loss_and_gradients(folded, *given[1:], once)
    for _ in range(2):
        blocks.loss_and_gradients(folded, *given[1:], into)
    for a, b in zip(into.tensors(), once.tensors()):
        close(a, 2 * b)
    into.zero_()
    assert all(float(t.abs().max()) == 0 for t in into.tensors())


def test_huber_joins_smoothly():
    """Same value and slope on both sides of the joint, and |r| beyond it."""
    model, xyzt, codes, _ = problem(NETWORKS["sine"], 1, points=1)
    folded = blocks.fold_weights(model)
    value, joint = float(blocks.values(folded, xyzt, codes)), 0.02

    def at(residual):
        target = torch.full((1, 1), value - residual, dtype=torch.float64)
        loss, d_code, _ = blocks.loss_and_gradients(folded, xyzt, codes, target, None, huber=joint)
        return float(loss), d_code

    for sign in (1, -1):
        (below, slope_below), (above, slope_above) = at(sign * (joint - 1e-9)), at(sign * (joint + 1e-9))
        assert below == pytest.approx(joint, abs=2e-9) and above == pytest.approx(joint, abs=2e-9)
        np.testing.assert_allclose(slope_below.numpy(), slope_above.numpy(), rtol=1e-6)
        assert at(sign * 0.5)[0] == pytest.approx(0.5, abs=1e-12)
        np.testing.assert_allclose(at(sign * 0.5 * joint)[1].numpy(), 0.5 * at(sign * 0.5)[1].numpy(), rtol=1e-6)
    assert at(0.0)[0] == pytest.approx(joint / 2, abs=1e-12)


@pytest.mark.parametrize("activation", ["sine", "relu"])
def test_mixed_precision_rounds_the_gradient_alone(activation):
    given = problem(NetworkConfig(activation=activation), 4, points=256, dtype=torch.float32)
    half, full = ours(*given, mixed=True), ours(*given)
    assert torch.equal(half[0], full[0])
    for a, b in ((half[1], full[1]), (half[2], full[2]), *((half[3][k], full[3][k]) for k in full[3])):
        assert float((a - b).norm()) < 0.02 * float(b.norm())
    hidden = "layers.4.matrix"
    assert not torch.equal(half[3][hidden], full[3][hidden])


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(("frames", "points"), [(7, 100), (2, 2500)])
def test_workers_sum_over_all_blocks(count, frames, points):
    """Small draws go together, large ones in parts; rotations act on the coordinates from the right."""
    model, xyzt, codes, target = problem(NETWORKS["sine"], frames, points)
    draw = torch.Generator().manual_seed(2)
    turns = torch.linalg.qr(torch.randn(frames, 3, 3, generator=draw, dtype=torch.float64))[0]
    turns = turns.clone().requires_grad_()
    turned = torch.cat([torch.einsum("fpi,fij->fpj", xyzt[..., :3], turns), xyzt[..., 3:]], -1)
    loss = (model(turned, codes[:, None].expand(-1, points, -1)) - target).abs().sum()
    (wanted,) = torch.autograd.grad(loss, turns)
    _, d_codes, _, weights = plain(model, turned.detach(), codes, target)
    with Workers(torch.device("cpu"), count) as workers:
        folded = blocks.fold_weights(model)
        work = workers.split_into_blocks(xyzt, target)
        assert sum(b.target.numel() for b in work) == target.numel()
        found, sums = workers.loss_and_gradients(folded, work, codes, turns.detach())
        again, _ = workers.loss_and_gradients(folded, work, codes, turns.detach())
    assert found.loss == pytest.approx(float(loss.detach()), rel=1e-12) and found.loss == again.loss
    close(found.d_matrices, wanted)
    close(found.d_codes, d_codes)
    close(sums.matrices[1] * folded.omega, weights["layers.1.matrix"])
