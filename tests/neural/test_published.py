"""The published auto-decoder with its codes and rotations, in files as the published training writes them."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cytoform.cli import app
from cytoform.errors import ConfigError, FileFormatError
from cytoform.sdf import open_sequence

torch = pytest.importorskip("torch")
scipy_io = pytest.importorskip("scipy.io")

from cytoform.neural import AutoDecoder, encode, generate, interpolate, reconstruct  # noqa: E402

LATENT, WIDTH, LAYERS, OMEGA = 3, 24, 3, 30.0
CODE_LAYERS = (0, 2)  # counted from 0
COUNT, FRAMES, SAMPLES = 4, 3, 12
CPU = dict(device="cpu")
ROTATED = np.array([[0.3, -0.2, 0.5], [0, 0, 0], [-1.0, 2.0, 0.1], [3.0, 0.4, -0.7]])


def state(seed=0):
    """Layers as in the published class: [code, xyzt]; [units, xyzt]; [units, code, xyzt]; …; [units, xyzt] to 1."""
    rng = np.random.default_rng(seed)
    found, units = {}, 0
    for n in range(LAYERS + 1):
        inputs = units + 4 + LATENT * (n in CODE_LAYERS)
        given = 4 + LATENT * (n + 1 in CODE_LAYERS)
        units = 1 if n == LAYERS else WIDTH - given
        size = 1 / inputs if n == 0 else np.sqrt(6 / inputs) / OMEGA
        found[f"module.lin{n}.weight"] = torch.tensor(rng.uniform(-size, size, (units, inputs)), dtype=torch.float32)
        found[f"module.lin{n}.bias"] = torch.tensor(rng.uniform(-0.01, 0.01, units), dtype=torch.float32)
    return found


def plain(weights, code, places):
    """The published forward pass in numpy: (n, 4) places -> (n,)."""
    w = {k.removeprefix("module."): v.numpy().astype(np.float64) for k, v in weights.items()}
    codes = np.tile(code, (len(places), 1))
    x = np.concatenate([codes, places], 1)
    for n in range(LAYERS + 1):
        if n:
            x = np.concatenate([x, *([codes] if n in CODE_LAYERS else []), places], 1)
        x = x @ w[f"lin{n}.weight"].T + w[f"lin{n}.bias"]
        x = np.sin(OMEGA * x) if n < LAYERS else x
    return x[:, 0]


def about(axis, angle):
    """Rotation matrix about an axis, written out."""
    c, s = np.cos(angle), np.sin(angle)
    i, j = (k for k in range(3) if k != axis)
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = c
    matrix[i, j], matrix[j, i] = (-s, s) if axis != 1 else (s, -s)
    return matrix


def answer(weights, code, angles):
    """What the published script samples: the grid's rows times R = Rx Ry Rz, frame by frame."""
    axis = np.linspace(-1, 1, SAMPLES)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    turned = grid @ (about(0, angles[0]) @ about(1, angles[1]) @ about(2, angles[2]))
    frames = [
        plain(weights, code, np.column_stack([turned, np.full(len(grid), t)])) for t in np.linspace(-1, 1, FRAMES)
    ]
    return np.reshape(frames, (FRAMES, SAMPLES, SAMPLES, SAMPLES))


@pytest.fixture(scope="module")
def codes():
    return np.random.default_rng(5).normal(0, 0.1, (COUNT, LATENT)).astype(np.float32)


LAYOUTS = ("end", "epoch", "older", "deepsdf", "first deepsdf", "inside", "beside")


def experiment(folder, codes, layout, rotated=True):
    """An experiment's folder of one of the versions; the path of the checkpoint."""
    for name in ("model_parameters", "latent_codes"):
        (folder / name).mkdir(parents=True)
    mat = scipy_io.savemat
    names = {"end": "model", "epoch": "e0350_model", "older": "latest", "deepsdf": "latest", "first deepsdf": "latest",
             "inside": "model", "beside": "model"}  # fmt: skip
    content = {"epoch": 350, "model_state_dict": state()}
    place = folder / "model_parameters" / f"{names[layout]}.pth"
    text = {"ReconstructionDims": [SAMPLES] * 3, "ReconstructionFramesPerSequence": FRAMES, "CodeLength": LATENT}
    (folder / "specs.json").write_text(json.dumps(text))
    angles = ROTATED.astype(np.float32)
    if layout in ("end", "epoch"):
        start = folder / "latent_codes" / ("e0350_" if layout == "epoch" else "")
        mat(f"{start}lat_vecs.mat" if layout == "epoch" else start / "lat_vecs.mat", {"lat_vecs": codes})
        if rotated:
            mat(f"{start}rot_angs.mat" if layout == "epoch" else start / "rot_angs.mat", {"rot_ang": angles})
    elif layout == "older":
        mat(folder / "latent_vecs.mat", {"lat_vecs": codes})
        mat(folder / "rot_ang.mat", {"rot_ang": angles})
    elif layout == "deepsdf":
        held = {"epoch": 350, "latent_codes": {"weight": torch.tensor(codes)}}
        torch.save(held, folder / "latent_codes" / "latest.pth")
    elif layout == "first deepsdf":
        torch.save({"epoch": 350, "latent_codes": torch.tensor(codes)[:, None]}, folder / "latent_codes" / "latest.pth")
    elif layout == "inside":
        content |= {"latent_codes": {"weight": torch.tensor(codes)}, "rot_ang": torch.tensor(angles)}
    elif layout == "beside":
        place = folder / "model.pth"
        mat(folder / "lat_vecs.mat", {"lat_vecs": codes})
        mat(folder / "rot_angs.mat", {"rot_ang": angles})
    torch.save(content, place)
    return place


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_reconstructions_are_what_the_published_script_samples(tmp_path, codes, layout, caplog):
    place = experiment(tmp_path / "exp", codes, layout)
    model = AutoDecoder.from_reference(place)
    turned = "deepsdf" not in layout
    assert ("No rotations were found" in caplog.text) != turned
    np.testing.assert_array_equal(model.learned.codes.numpy(), codes)
    assert model.learned.names == ["seq_000", "seq_001", "seq_002", "seq_003"]
    assert (model.space.samples, model.space.frames, model.space.half_um) == (SAMPLES, FRAMES, None)
    found = reconstruct(model, exhaustive=True, **CPU)
    for k, sequence in enumerate(found):
        wanted = answer(state(), codes[k], ROTATED[k] * turned)
        assert (wanted < 0).any() and (wanted > 0).any()
        np.testing.assert_allclose(np.stack(list(sequence)), wanted, atol=2e-5)


def test_a_folder_stands_for_its_last_weights(tmp_path, codes, caplog):
    experiment(tmp_path / "exp", codes, "epoch")
    other = {"epoch": 90, "model_state_dict": state(seed=1)}
    torch.save(other, tmp_path / "exp" / "model_parameters" / "e0090_model.pth")
    model = AutoDecoder.from_reference(tmp_path / "exp")
    assert "2 checkpoints; e0350_model.pth is taken" in caplog.text and len(model.learned) == COUNT
    wanted = plain(state(), codes[0], np.zeros((1, 4)))
    np.testing.assert_allclose(model.decode(np.zeros((1, 4)), codes[0]), wanted, atol=1e-6)
    with pytest.raises(ConfigError, match=r"looked for .*e0090_lat_vecs\.mat"):  # codes of another epoch do not do
        AutoDecoder.from_reference(tmp_path / "exp" / "model_parameters" / "e0090_model.pth").check_learned()
    (tmp_path / "none").mkdir()
    with pytest.raises(FileFormatError, match=r"holds no \.pth file"):
        AutoDecoder.from_reference(tmp_path / "none")


def test_codes_and_rotations_that_are_given(tmp_path, codes):
    place = experiment(tmp_path / "exp", codes, "end")
    fewer = AutoDecoder.from_reference(place, codes=codes[:2], rotations=np.zeros((2, 3)))
    assert len(fewer.learned) == 2
    np.testing.assert_allclose(fewer.rotation(1), np.eye(3))
    np.save(tmp_path / "codes.npy", codes[2:])
    matrices = np.stack([about(0, 0.5), about(2, -0.5)])
    read = AutoDecoder.from_reference(place, codes=tmp_path / "codes.npy", rotations=matrices)
    np.testing.assert_array_equal(read.learned.codes.numpy(), codes[2:])
    np.testing.assert_allclose(read.rotation(0), about(0, 0.5), atol=1e-6)


@pytest.mark.slow
def test_one_rotation_for_all_is_told(tmp_path, codes, caplog):
    place = experiment(tmp_path / "exp", codes, "end")
    scipy_io.savemat(tmp_path / "exp" / "latent_codes" / "rot_angs.mat", {"rot_ang": ROTATED[0]})
    model = AutoDecoder.from_reference(place)
    assert "one rotation; it is taken for all 4" in caplog.text
    np.testing.assert_allclose(model.rotation(3), about(0, 0.3) @ about(1, -0.2) @ about(2, 0.5), atol=1e-6)


def test_following_the_surface_finds_all_of_it(tmp_path, codes):
    """A steep network: published distances are in units of their clamp, not of the cube."""
    weights = state()
    for kind in ("weight", "bias"):
        weights[f"module.lin{LAYERS}.{kind}"] *= 6.0
    place = experiment(tmp_path / "exp", codes, "end")
    torch.save({"model_state_dict": weights}, place)
    model = AutoDecoder.from_reference(place)
    everywhere, along = (reconstruct(model, shape=24, exhaustive=e, **CPU) for e in (True, False))
    for a, b in zip(everywhere, along):
        a, b = (np.stack(list(s)) < 0 for s in (a, b))
        assert (a != b).mean() < 1e-3 and 0.01 < a.mean() < 0.99


def test_all_that_needs_codes_works(tmp_path, codes):
    model = AutoDecoder.from_reference(experiment(tmp_path / "exp", codes, "end"))
    assert len(generate(model, 2, seed=1, **CPU)) == 2
    first, last = interpolate(model, "seq_000", 3, steps=2, exhaustive=True, **CPU)
    np.testing.assert_allclose(last.frame(0), answer(state(), codes[3], np.zeros(3))[0], atol=2e-5)
    model.save(tmp_path / "model")
    read = AutoDecoder.load(tmp_path / "model")
    np.testing.assert_array_equal(read.learned.codes.numpy(), codes)
    assert read.space == model.space
    (seen,) = reconstruct(model, 1, **CPU)
    from cytoform.neural import EncodeConfig

    quick = EncodeConfig(rotation=False, followed=(), rounds=(30,), points=(1500,))
    assert encode(model, seen, quick, **CPU).code.shape == (LATENT,)


def test_without_codes_the_error_tells_what_is_missing_and_what_to_do(tmp_path, codes):
    place = experiment(tmp_path / "exp", codes, "end")
    (tmp_path / "exp" / "latent_codes" / "lat_vecs.mat").unlink()
    model = AutoDecoder.from_reference(place)
    np.testing.assert_allclose(
        model.decode(np.zeros((1, 4)), codes[0]), plain(state(), codes[0], np.zeros((1, 4))), atol=1e-6
    )
    for use in (lambda: reconstruct(model), lambda: reconstruct(model, 0), lambda: generate(model, 1),
                lambda: interpolate(model, 0, 1), lambda: interpolate(model, 0),
                lambda: encode(model, "any.h5")):  # fmt: skip
        with pytest.raises(ConfigError, match=r"without the codes .*latent_codes/lat_vecs\.mat.*codes=FILE"):
            use()
    with pytest.raises(FileFormatError, match=r"rotations were given .* no codes"):
        AutoDecoder.from_reference(place, rotations=ROTATED)


def test_codes_that_do_not_fit_are_refused(tmp_path, codes):
    place = experiment(tmp_path / "exp", codes, "end")
    for wrong in (codes[:, :2], codes * np.nan, np.zeros((0, LATENT)), np.zeros((2, 2, LATENT))):
        with pytest.raises(FileFormatError, match=r"expected \(n, 3\) finite numbers"):
            AutoDecoder.from_reference(place, codes=wrong)
    for wrong in (ROTATED[:3], ROTATED[:, :2], np.zeros((COUNT, 3, 3)), ROTATED * np.nan):
        with pytest.raises(FileFormatError, match=r"expected \(4, 3\) angles"):
            AutoDecoder.from_reference(place, rotations=wrong)
    for name in ("none.mat", "a.mat", "b.mat", "c.npy", "d.pth"):
        scipy_io.savemat(tmp_path / "a.mat", {"other": codes})
        (tmp_path / "b.mat").write_bytes(b"not a mat file at all" * 20)
        (tmp_path / "c.npy").write_bytes(b"nor an npy")
        (tmp_path / "d.pth").write_bytes(b"nor a pth")
        with pytest.raises(FileFormatError, match=name):
            AutoDecoder.from_reference(place, codes=tmp_path / name)


def test_other_files_of_the_same_name_are_passed_over(tmp_path, codes):
    """Optimiser states lie in a folder of their own, but someone may have moved them."""
    place = experiment(tmp_path / "exp", codes, "older")
    torch.save({"epoch": 3, "optimizer_state_dict": {}}, tmp_path / "exp" / "latent_codes" / "latest.pth")
    assert len(AutoDecoder.from_reference(place).learned) == COUNT


# -- command line -----------------------------------------------------------------------------------------------------


def run(*args):
    return CliRunner().invoke(app, ["neural", *(str(a) for a in args)])


def test_convert_and_what_it_tells_to_do_next(tmp_path, codes, monkeypatch):
    monkeypatch.chdir(tmp_path)
    experiment(tmp_path / "exp", codes, "end")
    refused = run("reconstruct", "exp")
    assert refused.exit_code == 2 and "cytoform neural convert exp" in refused.output
    found = run("convert", "exp", "--out", "model")
    assert found.exit_code == 0, found.output
    assert sorted(p.name for p in Path("model").iterdir()) == ["codes.csv", "model.json", "model.safetensors"]
    assert "cytoform neural reconstruct model" in found.output
    assert run("reconstruct", "model", "--which", "seq_002", "--exhaustive", "--out", "again").exit_code == 0
    with open_sequence("again/seq_002.h5") as sequence:
        np.testing.assert_allclose(sequence.frame(1), answer(state(), codes[2], ROTATED[2])[1], atol=2e-5)
    again = run("convert", "exp", "--out", "model")
    assert again.exit_code == 2 and "--overwrite" in again.output


def test_convert_without_codes_is_refused(tmp_path, codes, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = experiment(tmp_path / "exp", codes, "end")
    scipy_io.savemat("mine.mat", {"lat_vecs": codes[:2]})
    Path("exp/latent_codes/lat_vecs.mat").unlink()
    Path("exp/latent_codes/rot_angs.mat").unlink()
    found = run("convert", place, "--out", "model")
    assert found.exit_code == 2 and "--codes FILE" in found.output and not Path("model").exists()
    found = run("convert", place, "--codes", "mine.mat", "--out", "model")
    assert found.exit_code == 0 and "2 sequences" in found.output
