"""The network against the published class, and its files against what can befall them."""

import json
import math
import pickle
import struct
import warnings

import numpy as np
import pytest

from cytoform.errors import ConfigError, FileFormatError

torch = pytest.importorskip("torch")

from cytoform.neural import AutoDecoder, NetworkConfig  # noqa: E402
from cytoform.neural.model import LearnedSequences, TrainingCube  # noqa: E402

SMALL = NetworkConfig(latent=3, width=16, layers=3, latent_layers=(1, 3))


def learned_model(dtype=torch.float32, config=SMALL):
    model = AutoDecoder(config, seed=1).to(dtype)
    codes = torch.randn(2, config.latent, generator=torch.Generator().manual_seed(0)).to(dtype)
    model.space = TrainingCube(samples=20, frames=5, half_um=3.5, slope=1.0, clamp=0.4, time_step=60.0)
    turns = torch.tensor([[1.0, 0, 0, 0], [0.5, 0.5, -0.5, 0.5]], dtype=dtype)
    model.learned = LearnedSequences(codes, turns, ["a", "b"], ["x", ""], originals=1)
    model.notes = {"training": {"near_um": None}, "loss": 0.25}
    return model


# ---------------------------------------------------------------------------------------------------------------------
# The published network


@pytest.fixture
def reference(data_dir):
    return data_dir / "reference" / "autodecoder_latent64.pth"


def test_published_weights_give_the_published_values(data_dir, reference):
    wanted = np.load(data_dir / "reference" / "autodecoder_latent64_io.npz")
    model = AutoDecoder.from_reference(reference)
    assert wanted["sdf"].shape == (3, 500)
    for latent, sdf in zip(wanted["latent"], wanted["sdf"]):
        found = model.decode(wanted["xyzt"], latent)
        assert found.dtype == np.float32 and found.shape == (500,)
        np.testing.assert_allclose(found, sdf, atol=1e-6, rtol=0)
        each = model.decode(wanted["xyzt"], np.tile(latent, (500, 1)))
        np.testing.assert_allclose(each, sdf, atol=1e-6, rtol=0)


def test_published_network_has_as_many_parameters(reference):
    model = AutoDecoder.from_reference(reference)
    assert model.n_parameters == 120_141 and "120,141" in repr(model)
    assert model.config.shrink and model.config.latent == 64 and model.config.latent_layers == (1, 5, 8)
    assert AutoDecoder(NetworkConfig(shrink=True)).n_parameters == 120_141


def test_truncated_reference_is_refused(tmp_path, reference):
    whole = reference.read_bytes()
    for part in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        place = tmp_path / f"{part}.pth"
        place.write_bytes(whole[:part])
        with pytest.raises(FileFormatError, match=str(place)):
            AutoDecoder.from_reference(place)


def test_code_in_a_pickle_is_not_run(tmp_path):
    trace = tmp_path / "it_ran"

    class Malicious:
        def __reduce__(self):
            return eval, (f"open({str(trace)!r}, 'w')",)

    for name, write in (("new.pth", torch.save), ("plain.pth", lambda o, p: p.write_bytes(pickle.dumps(o)))):
        write({"model_state_dict": Malicious()}, tmp_path / name)
        with warnings.catch_warnings(), pytest.raises(FileFormatError, match="tensors alone"):
            warnings.simplefilter("ignore")
            AutoDecoder.from_reference(tmp_path / name)
    assert not trace.exists()
    pickle.loads((tmp_path / "plain.pth").read_bytes())
    assert trace.exists()  # the file would have done it


def test_any_bytes_at_all_are_refused(tmp_path):
    """Broken pickles fail in many ways inside torch; all of them are one error to a user."""
    rng = np.random.default_rng(0)
    whole = pickle.dumps({"model_state_dict": [1, (2, "b")]}, protocol=2)
    place = tmp_path / "a.pth"
    for _ in range(150):
        broken = bytearray(whole)
        for k in rng.integers(0, len(broken), 2):
            broken[k] = rng.integers(256)
        place.write_bytes(bytes(broken))
        with warnings.catch_warnings(), pytest.raises(FileFormatError):
            warnings.simplefilter("ignore")
            AutoDecoder.from_reference(place)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"model_state_dict": {}},
        {"model_state_dict": {"lin0.weight": 1}},
        {"lin0.weight": torch.zeros(4, 8), "lin0.bias": torch.zeros(4), "lin1.weight": torch.zeros(1, 9)},
        {f"lin{n}.{k}": torch.zeros(*s) for n, w in enumerate([(5, 9), (7, 5), (1, 7)])
         for k, s in (("weight", w), ("bias", w[:1]))},
        torch.zeros(3),
    ],
)  # fmt: skip
def test_other_pth_files_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(FileFormatError, match="auto-decoder"):
        AutoDecoder.from_reference(tmp_path / "a.pth")


def test_missing_reference(tmp_path):
    with pytest.raises(FileFormatError, match="does not exist"):
        AutoDecoder.from_reference(tmp_path / "none.pth")


# ---------------------------------------------------------------------------------------------------------------------
# Weights and values


@pytest.mark.parametrize("activation", ["sine", "relu"])
def test_initial_weights(activation):
    """Sitzmann et al. 2020: first layer U(±1/n), then U(±√(6/n)/ω0); a uniform distribution fills its bounds."""
    config = NetworkConfig(activation=activation)
    for n, layer in enumerate(AutoDecoder(config).layers):
        fan_in = 4 * 1 + 128 * (n > 0) + 64 * (n in (0, 4, 7))
        bound = math.sqrt(6 / fan_in) / 30 if n else 1 / fan_in
        if activation == "relu":
            bound = math.sqrt((6 if n < 9 else 1) / fan_in)
        for matrix in (layer.matrix, layer.code):
            if matrix is not None:
                held = matrix.detach()
                assert 0.95 * bound < float(held.abs().max()) <= bound * (1 + 1e-6)
                assert float(held.std()) == pytest.approx(bound / math.sqrt(3), rel=0.12)  # of 132 weights at least


def test_value_is_the_formula():
    """sin(ω0 (W [h, x, t] + V z + b)) in numpy, layer by layer."""
    model = AutoDecoder(SMALL, seed=3).double()
    rng = np.random.default_rng(0)
    points, code = rng.uniform(-1, 1, (50, 4)), rng.normal(size=3)
    hidden = np.zeros((50, 0))
    for n, layer in enumerate(model.layers):
        weights = [p.detach().numpy() for p in (layer.matrix, layer.bias)]
        value = np.hstack([hidden, points]) @ weights[0].T + weights[1]
        if n in (0, 2):
            value += layer.code.detach().numpy() @ code
        hidden = np.sin(30 * value) if n < 3 else value
    np.testing.assert_allclose(model.decode(points, code), hidden[:, 0], atol=1e-12)


@pytest.mark.parametrize("activation", ["sine", "relu"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_decode_is_forward(activation, dtype):
    config = NetworkConfig(latent=5, width=24, layers=4, latent_layers=(1, 3), activation=activation)
    model = AutoDecoder(config).to(dtype)
    points = torch.rand(3000, 4, dtype=dtype) * 2 - 1  # more than a block
    codes = torch.randn(3000, 5, dtype=dtype)
    bound = 1e-12 if dtype == torch.float64 else 2e-5
    with torch.no_grad():
        one, many = model(points, codes[0]).numpy(), model(points, codes).numpy()
    np.testing.assert_allclose(model.decode(points.numpy(), codes[0].numpy()), one, atol=bound)
    np.testing.assert_allclose(model.decode(points.numpy(), codes.numpy()), many, atol=bound)
    assert model.decode(points.numpy(), codes[0].numpy()).dtype == one.dtype
    assert np.abs(one - many).max() > 1e-3


def test_decode_of_nothing():
    assert AutoDecoder(SMALL).decode(np.zeros((0, 4)), np.zeros(3)).shape == (0,)


@pytest.mark.parametrize(
    ("points", "latent", "match"),
    [
        ((5, 3), (3,), r"xyzt has shape \(5, 3\); expected \(n, 4\)"),
        ((4,), (3,), r"xyzt has shape \(4,\)"),
        ((5, 4), (4,), r"latent has shape \(4,\); expected \(3,\) or \(5, 3\)"),
        ((5, 4), (4, 3), r"latent has shape \(4, 3\)"),
    ],
)
def test_shapes_that_do_not_fit(points, latent, match):
    with pytest.raises(ConfigError, match=match):
        AutoDecoder(SMALL).decode(np.zeros(points), np.zeros(latent))


def test_seed():
    state = [AutoDecoder(SMALL, seed=s).layers[1].matrix for s in (4, 4, 5)]
    assert torch.equal(state[0], state[1]) and not torch.equal(state[0], state[2])


# ---------------------------------------------------------------------------------------------------------------------
# Files


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_round_trip(tmp_path, dtype):
    model = learned_model(dtype)
    model.save(tmp_path / "model.safetensors")
    for name in ("model.safetensors", "model.json", "model", ""):
        read = AutoDecoder.load(tmp_path / name)
        assert read.config == model.config and read.space == model.space and read.notes == model.notes
        held, given = read.state_dict(), model.state_dict()
        assert set(held) == set(given)
        assert all(held[k].dtype == dtype and torch.equal(held[k], given[k]) for k in given)
        assert torch.equal(read.learned.codes, model.learned.codes)
        assert torch.equal(read.learned.rotations, model.learned.rotations)
        assert (read.learned.names, read.learned.labels, read.learned.originals) == (["a", "b"], ["x", ""], 1)
        points = np.random.default_rng(0).uniform(-1, 1, (20, 4))
        np.testing.assert_array_equal(read.decode(points, read.code("b")), model.decode(points, model.code(1)))


def test_file_of_weights_as_the_format_says(tmp_path):
    """Eight bytes of length, JSON, numbers: read without the library that wrote it."""
    model = learned_model()
    raw = model.save(tmp_path / "m").read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    about = json.loads(raw[8 : 8 + size])["codes"]
    begin, end = about["data_offsets"]
    codes = np.frombuffer(raw[8 + size + begin : 8 + size + end], "<f4").reshape(about["shape"])
    np.testing.assert_array_equal(codes, model.learned.codes.numpy())
    text = json.loads((tmp_path / "m.json").read_text())
    assert text["parameters"] == sum(p.numel() for p in model.parameters())


def test_weights_of_another_architecture(tmp_path):
    learned_model().save(tmp_path / "a")
    learned_model(config=NetworkConfig(latent=3, width=17, layers=3, latent_layers=(1, 3))).save(tmp_path / "b")
    (tmp_path / "b.safetensors").replace(tmp_path / "a.safetensors")
    with pytest.raises(FileFormatError, match=r"does not hold the network that a\.json describes"):
        AutoDecoder.load(tmp_path / "a")


def test_codes_of_another_training(tmp_path):
    """The same network, but another number of sequences than the description names."""
    model = learned_model()
    model.save(tmp_path / "a")
    model.learned = LearnedSequences(torch.zeros(3, 3), torch.zeros(3, 4), ["a", "b", "c"], ["", "", ""], 3)
    model.save(tmp_path / "b")
    (tmp_path / "b.safetensors").replace(tmp_path / "a.safetensors")
    with pytest.raises(FileFormatError, match="3 codes"):
        AutoDecoder.load(tmp_path / "a")


def test_broken_files(tmp_path):
    place = learned_model().save(tmp_path / "a")
    whole, text = place.read_bytes(), place.with_suffix(".json").read_text()
    for part in (0, 7, 100, len(whole) // 2, len(whole) - 1):
        place.write_bytes(whole[:part])
        with pytest.raises(FileFormatError, match="not a complete safetensors file"):
            AutoDecoder.load(place)
    place.write_bytes(whole)
    fields = json.loads(text)
    for wrong in ("", "{", "[]", "{}", json.dumps({**fields, "format": "other"})):
        place.with_suffix(".json").write_text(wrong)
        with pytest.raises(FileFormatError, match=r"a\.json"):
            AutoDecoder.load(place)
    for changed in ({"network": {"width": 0}}, {"network": {"colour": 1}}, {"space": {"colour": 1}}, {"names": None},
                    {"network": {**fields["network"], "latent_layers": ["one"]}}, {"notes": 3}):  # fmt: skip
        place.with_suffix(".json").write_text(json.dumps(fields | changed))
        with pytest.raises(FileFormatError, match=r"a\.json describes"):
            AutoDecoder.load(place)
    del fields["names"]
    place.with_suffix(".json").write_text(json.dumps(fields))
    with pytest.raises(FileFormatError, match=r"a\.json describes"):
        AutoDecoder.load(place)


@pytest.mark.parametrize("missing", [".json", ".safetensors"])
def test_missing_files(tmp_path, missing):
    learned_model().save(tmp_path / "a")
    (tmp_path / f"a{missing}").unlink()
    with pytest.raises(FileFormatError, match="does not exist"):
        AutoDecoder.load(tmp_path / "a")


def test_codes_by_number_and_name():
    model = learned_model()
    assert torch.equal(model.code("b"), model.learned.codes[1]) and torch.equal(model.code(-1), model.code(1))
    np.testing.assert_array_equal(model.code([1, 2, 3]).numpy(), [1, 2, 3])
    np.testing.assert_allclose(model.rotation("a"), np.eye(3))
    for wrong in ("c", 2, -3):
        with pytest.raises(ValueError, match="the model knows 2: a, b"):
            model.code(wrong)
    with pytest.raises(ConfigError, match=r"code has shape \(2,\); expected \(3,\)"):
        model.code([1.0, 2.0])


@pytest.mark.parametrize(
    "wrong",
    [dict(latent=0), dict(width=1.5), dict(activation="tanh"), dict(omega=-1), dict(omega=math.nan),
     dict(latent_layers=(0,)), dict(latent_layers=(10,)), dict(coordinate_layers=(2, 3)),
     dict(shrink=True, width=60)],
)  # fmt: skip
def test_networks_that_make_no_sense(wrong):
    with pytest.raises(ConfigError):
        NetworkConfig(**wrong)
