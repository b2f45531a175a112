"""Codes and rotations found again, of shapes that a small network has learned or that lie between them."""

import dataclasses

import numpy as np
import pytest
from neural.shapes import balls, body, cube
from scipy.spatial.transform import Rotation

from cytoform.errors import ConfigError, SequenceError
from cytoform.sdf import SDFSequence

torch = pytest.importorskip("torch")

from cytoform.neural import EncodeConfig, NetworkConfig, TrainConfig, encode, preset, reconstruct, train  # noqa: E402
from cytoform.neural.encoding import _choose_voxels, _code_basis, _draw_points, _rotate_further, _z_order  # noqa: E402
from cytoform.neural.model import LearnedSequences  # noqa: E402

ARMS = {"short": 0.0, "middle": 0.5, "long": 1.0}
QUICK = EncodeConfig(starts=30, followed=(6, 2), rounds=(10, 15, 40), points=(400, 800, 3000))
CPU = dict(device="cpu")
TURN = Rotation.from_rotvec([1.1, -0.7, 1.6])


def angle(matrix, other):
    """Degrees between two rotations."""
    return np.degrees(Rotation.from_matrix(matrix @ np.asarray(other).T).magnitude())


def overlap(sequence, other):
    a, b = (np.stack([f < 0 for f in s]) for s in (sequence, other))
    return (a & b).sum() / (a | b).sum()


@pytest.fixture(scope="module")
def model():
    """Three sizes of one shape, learned in a few seconds."""
    config = TrainConfig(
        network=NetworkConfig(latent=4, width=32, layers=3, latent_layers=(1, 2), omega=8.0),
        epochs=150,
        batch_frames=4,
        frame_points=256,
        matrix_lr=0.03,
        lr=3e-3,
        code_lr=3e-3,
    )
    return train([body(arm, name=name) for name, arm in ARMS.items()], config=config, precision="full", **CPU)


def test_the_network_has_learned_them(model):
    for name, arm in ARMS.items():
        (found,) = reconstruct(model, name, **CPU)
        assert overlap(found, body(arm)) > 0.9


def test_a_learned_sequence_turned(model):
    turned = body(1.0, turn=TURN.as_matrix(), name="turned")
    told = []
    found = encode(model, turned, QUICK, progress=lambda *t: told.append(t), **CPU)
    assert angle(found.rotation, TURN.as_matrix()) < 6
    codes = model.learned.codes.double().numpy()
    distance = np.linalg.norm(codes - found.code, axis=1)
    assert distance.argmin() == 2 and distance[2] < 0.5 * np.linalg.norm(codes[2] - codes[1])
    assert overlap(found.reconstruct(**CPU), turned) > 0.88
    assert found.name == "turned" and found.loss < 0.15  # µm; its radius is about 1.5
    assert told == [(k, 38) for k in range(1, 39)]


def test_aligned_data_without_rotation(model):
    found = encode(model, body(0.0), dataclasses.replace(QUICK, rotation=False), **CPU)
    np.testing.assert_array_equal(found.rotation, np.eye(3))
    assert np.linalg.norm(model.learned.codes.numpy() - found.code, axis=1).argmin() == 0
    assert overlap(found.reconstruct(**CPU), body(0.0)) > 0.9


def test_an_unseen_one_with_other_samples_and_frames(model, tmp_path):
    """A quarter of the way; 20 samples and 3 frames in the same box, from a file."""
    place = tmp_path / "seen.h5"
    unseen = body(0.25, n=20, frames=3)
    unseen.save(place)
    found = encode(model, place, dataclasses.replace(QUICK, rotation=False), **CPU)
    again = found.reconstruct(**CPU)  # at the frames and samples of what was encoded
    assert again.shape == unseen.shape and again.info.spacing == pytest.approx(unseen.info.spacing)
    assert found.name == "seen" and overlap(again, unseen) > 0.88
    assert overlap(again, unseen) > max(overlap(body(a, n=20, frames=3), unseen) for a in (0.5, 1.0))


def test_seeded_and_nothing_of_the_network_changes(model):
    before = {k: v.clone() for k, v in model.state_dict().items()}
    quick = EncodeConfig(starts=3, followed=(1,), rounds=(3, 3), points=(200, 400))
    one, same = (encode(model, body(0.5), quick, **CPU) for _ in range(2))
    other = encode(model, body(0.5), dataclasses.replace(quick, seed=1), **CPU)
    np.testing.assert_array_equal(one.code, same.code)
    np.testing.assert_array_equal(one.rotation, same.rotation)
    assert not np.array_equal(one.code, other.code)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


def test_what_is_not_given_follows_from_the_training(model):
    """Networks that have learned blends are followed closely: the README's recipe for unseen cells."""
    held = EncodeConfig(seed=3).suited_to(model)
    assert (held.rounds, held.points) == ((10, 20, 120, 30), (800, 3000, 8000, 60000))
    assert (held.prior, held.aside, held.surface, held.seed) == (1e-5, 0.3, 0.0, 3)
    blended = type(model)(model.config)
    blended.notes = {"training": preset("encoding").to_json()}
    close = EncodeConfig().suited_to(blended)
    assert (close.rounds, close.points) == ((8, 16, 150, 80), (800, 3000, 8000, 20000))
    assert (close.prior, close.aside, close.surface) == (0.0, 4.0, 0.9)
    given = EncodeConfig(prior=1e-5, rounds=(1, 2, 3, 4)).suited_to(blended)
    assert (given.rounds, given.prior, given.aside) == ((1, 2, 3, 4), 1e-5, 4.0)


def test_the_surface_counts_more_where_it_is_asked_to(model):
    """Points of the last rounds lie beside it, and the shape, which no code describes, is met better there."""
    data = _draw_points(model, body(0.3), QUICK, 0.9, layer=True)
    layer = 2 * 0.4 / 3.0  # two voxels, in half sides of the box
    near = np.abs(data.target.numpy()) <= layer + 1e-6
    assert near.mean() == pytest.approx(0.9, abs=0.02)
    broad = _draw_points(model, body(0.3), QUICK, 0.7, layer=False)
    assert (broad.target.numpy() < -layer).mean() > 3 * (data.target.numpy() < -layer).mean()
    unlike = SDFSequence.from_array(np.stack(list(body(0.3, n=24))) + 0.25, 6 / 23)  # smaller than any learned one
    plain = dataclasses.replace(QUICK, rotation=False, prior=0.0, aside=4.0)
    found = [encode(model, unlike, dataclasses.replace(plain, surface=s), **CPU) for s in (0.0, 0.9)]
    scores = [overlap(one.reconstruct(**CPU), unlike) for one in found]
    assert scores[1] > scores[0] > 0.5


def test_prior_pulls_towards_the_mean(model):
    quick = EncodeConfig(rotation=False, followed=(), rounds=(15,), points=(1000,), prior=1e3)
    mean = model.learned.codes.double().numpy().mean(0)
    held = encode(model, body(1.0), quick, **CPU).code
    free = encode(model, body(1.0), dataclasses.replace(quick, prior=0.0), **CPU).code
    assert np.linalg.norm(held - mean) < 0.01 * np.linalg.norm(free - mean)


def test_basis_spans_all_and_has_the_codes_spread():
    codes = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    codes = codes * torch.tensor([3.0, 1.0, 1.0, 0.0])
    mean, basis = _code_basis(codes, 0.3)
    np.testing.assert_allclose(mean.numpy(), codes.numpy().mean(0))
    covariance = np.cov(codes.numpy().T)
    sizes = np.linalg.norm(basis.numpy(), axis=0)
    directions = basis.numpy() / sizes
    np.testing.assert_allclose(directions @ directions.T, np.eye(4), atol=1e-12)
    # where the spread is large enough, it is the covariance; elsewhere a part of the typical one
    values = np.linalg.eigvalsh(covariance)[::-1]
    np.testing.assert_allclose(sizes, np.maximum(np.sqrt(np.maximum(values, 0)), 0.3 * codes.numpy().std(ddof=1)))


def test_turned_is_a_small_rotation():
    turn = torch.tensor([1e-4, -2e-4, 3e-4], dtype=torch.float64)
    base = torch.tensor(TURN.as_matrix())
    wanted = Rotation.from_rotvec(turn.numpy()).as_matrix() @ base.numpy()
    np.testing.assert_allclose(_rotate_further(base, turn).numpy(), wanted, atol=1e-10)


def test_errors(model):
    def refused(error, match, sequence):
        with pytest.raises(error, match=match):
            encode(model, sequence, QUICK, **CPU)

    values = np.stack(list(body()))
    refused(SequenceError, "reaches .* times as far as the box", SDFSequence.from_array(3 * values, 3 * 6 / 15))
    refused(SequenceError, "half side of None", SDFSequence.from_array(values, None))
    refused(SequenceError, "1 frame", SDFSequence.from_array(values[:1], 6 / 15))
    blank = type(model)(model.config)
    with pytest.raises(ConfigError, match=r"learned no sequences.*Train it"):
        encode(blank, body(), QUICK, **CPU)


def test_another_box_is_another_scale_of_the_same_shape(model):
    """The same body in a box a quarter larger: same code, same size in µm."""
    values = [3.0 * balls(1.25 * cube(20), time, 1.0) for time in np.linspace(-1, 1, 4)]
    wide = SDFSequence.from_array(values, 1.25 * 6.0 / 19)
    without = dataclasses.replace(QUICK, rotation=False)
    found = encode(model, wide, without, **CPU)
    same = encode(model, body(1.0), without, **CPU)
    assert np.linalg.norm(found.code - same.code) < 0.25 * float(model.learned.codes.std(0).norm())
    again = found.reconstruct(**CPU)
    assert again.shape == wide.shape and again.info.spacing == pytest.approx(wide.info.spacing)
    assert overlap(again, wide) > 0.88
    assert overlap(found.reconstruct(shape=24, **CPU), SDFSequence.from_array(
        [3.0 * balls(1.25 * cube(24), time, 1.0) for time in np.linspace(-1, 1, 4)], 1.25 * 6.0 / 23
    )) > 0.88  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [dict(starts=0), dict(rounds=(1, 2)), dict(points=(10, 10, 0)), dict(followed=(1,)), dict(prior=-1.0),
     dict(prior=float("nan")), dict(aside=-0.1), dict(aside=float("inf")), dict(surface=1.0), dict(surface=-0.1)],
)  # fmt: skip
def test_settings_that_make_no_sense(wrong):
    with pytest.raises(ConfigError):
        EncodeConfig(**wrong)


def test_a_single_learned_sequence(model):
    """The code is then sought about the only one there is."""
    alone = type(model)(model.config)
    alone.load_state_dict(model.state_dict())
    alone.space, alone.notes = model.space, model.notes
    alone.learned = LearnedSequences(model.learned.codes[:1], model.learned.rotations[:1], ["short"], [""], 1)
    found = encode(alone, body(0.0), dataclasses.replace(QUICK, rotation=False), **CPU)
    assert overlap(found.reconstruct(**CPU), body(0.0)) > 0.85


def test_the_curve_goes_through_every_voxel_by_neighbouring_blocks():
    shape = (4, 8, 2)
    place = _z_order(np.arange(64), shape)
    assert len(set(place.tolist())) == 64
    z, y, x = np.unravel_index(np.argsort(place), shape)
    for first in range(0, 64, 8):  # each eight in a row are a cube of two
        part = np.stack([z, y, x])[:, first : first + 8]
        assert (np.ptp(part, axis=1) == 1).all() and len(set(map(tuple, part.T))) == 8
    assert (place[np.ravel_multi_index((0, 0, 1), shape)], place[np.ravel_multi_index((1, 0, 0), shape)]) == (1, 4)


def test_points_are_spread_evenly_over_both_kinds():
    shape, count = (24, 24, 24), 300
    at = np.stack(np.unravel_index(np.arange(24**3), shape), 1) - 11.5
    near = np.linalg.norm(at, axis=1) < 8
    smooth = at[:, 0] + 0.1 * at[:, 1] * at[:, 2]
    even, drawn = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        chosen = _choose_voxels(near, count, shape, rng)
        assert len(chosen) == count and near[chosen].sum() == 210
        assert (np.linalg.norm(at[chosen], axis=1) <= 11.5 + 1e-9).all()  # the corners would not turn with the shape
        even.append(smooth[chosen[:210]].mean())
        drawn.append(rng.choice(smooth[near], 210).mean())
    assert np.std(even) < 0.5 * np.std(drawn) and abs(np.mean(even)) < 3 * np.std(even) / 40**0.5
    few = _choose_voxels(np.arange(27) == 13, 10, (3, 3, 3), np.random.default_rng(0))
    assert (few == 13).sum() == 7 and len(few) == 10
    assert (_choose_voxels(np.ones(27, dtype=bool), 9, (3, 3, 3), np.random.default_rng(0)) < 27).all()
