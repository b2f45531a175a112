"""Trainings that learn, stop, go on to the last digit, and refuse what does not fit."""

import csv
import dataclasses
import math
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest
from neural.shapes import balls, body
from scipy.spatial.transform import Rotation

from cytoform.errors import BackendError, ConfigError, FileFormatError, Interrupted, OutputError, SequenceError
from cytoform.sdf import SDFSequence

torch = pytest.importorskip("torch")

from cytoform.neural import PRESETS, AutoDecoder, NetworkConfig, TrainConfig, preset, rotation, train  # noqa: E402
from cytoform.neural.checkpoint import read_checkpoint, write_checkpoint  # noqa: E402
from cytoform.neural.config import changed  # noqa: E402
from cytoform.neural.data import TrainingSet  # noqa: E402
from cytoform.neural.distributed import ProcessGroup  # noqa: E402
from cytoform.neural.trainer import Trainer  # noqa: E402
from cytoform.neural.workers import Workers  # noqa: E402

TINY = NetworkConfig(latent=4, width=16, layers=3, latent_layers=(1, 3), omega=10.0)
SHORT = TrainConfig(network=TINY, epochs=6, frame_points=64, batch_frames=3)
ON = dict(device="cpu", precision="full")
ALL = dict(augment=("mirror",), mix=0.4, memory_gb=8 * 8 * 300 / 1e9)


def two(n=12):
    return [body(0.0, n=n, name="a"), body(1.0, n=n, name="b")]


@pytest.fixture
def folder(tmp_path):
    """Two sequences in files, whose reservoirs are drawn anew now and then with little memory."""
    (tmp_path / "data").mkdir()
    for sequence in two():
        sequence.save(tmp_path / "data" / f"{sequence.name}.h5")
    return tmp_path / "data"


def same_weights(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values())) and torch.equal(
        a.learned.codes, b.learned.codes
    )


def losses(out):
    with open(out / "history.csv") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def stop_at(step):
    def progress(told):
        if told.step == step:
            os.kill(os.getpid(), signal.SIGINT)

    return progress


# ---------------------------------------------------------------------------------------------------------------------
# Learning


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["muon", "adam"])
def test_learns_the_distances(tmp_path, optimizer):
    config = dataclasses.replace(SHORT, epochs=60, frame_points=256, optimizer=optimizer, lr=3e-3)
    told = []
    model = train(two(), tmp_path / "run", config, progress=told.append, **ON)
    history = losses(tmp_path / "run")
    assert len(history) == 60 and history[-1] < 0.25 * history[0]
    assert model.notes["loss"] == pytest.approx(history[-1], rel=1e-6)
    # On points that it never saw, against the formula.
    points = np.random.default_rng(0).uniform(-0.9, 0.9, (500, 4))
    for k, arm in enumerate((0.0, 1.0)):
        truth = np.array([balls(p[:3], p[3], arm) for p in points])
        assert np.abs(model.decode(points, model.code(k)) - truth).mean() < 0.25 * np.abs(truth - truth.mean()).mean()
    assert [t.step for t in told] == list(range(1, len(told) + 1)) and told[-1].step == told[-1].total == 180
    assert told[-1].left == 0 and told[-1].epoch == told[-1].epochs == 60


def test_what_comes_out(tmp_path):
    model = train(two(), tmp_path / "run", dataclasses.replace(SHORT, augment=("time",)), labels=["x", "y"], **ON)
    read = AutoDecoder.load(tmp_path / "run")
    assert same_weights(model, read) and read.learned.names == ["a", "b", "a~t", "b~t"]
    assert read.learned.labels == ["x", "y", "x", "y"] and read.learned.originals == 2
    assert TrainConfig.from_json(read.notes["training"]).augment == ("time",) and read.notes["epochs_done"] == 6
    assert read.space.half_um == pytest.approx(3) and read.space.frames == 4
    np.testing.assert_allclose(read.learned.rotations.numpy(), [[1, 0, 0, 0]] * 4)
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == [
        "checkpoint.safetensors", "history.csv", "model.json", "model.safetensors"
    ]  # fmt: skip


def test_double_precision():
    model = train(two(), config=SHORT, dtype="float64", **ON)
    single = train(two(), config=SHORT, **ON)
    assert model.layers[1].matrix.dtype == model.learned.codes.dtype == torch.float64
    assert model.notes["loss"] == pytest.approx(single.notes["loss"], rel=1e-2)
    assert model.notes["loss"] != single.notes["loss"]


def test_mixed_precision():
    mixed = train(two(), config=SHORT, device="cpu", precision="mixed")
    full = train(two(), config=SHORT, **ON)
    assert mixed.notes["loss"] == pytest.approx(full.notes["loss"], rel=0.05)
    assert not same_weights(mixed, full)


def test_rotations_are_learned():
    config = dataclasses.replace(SHORT, rotation=True, rotation_std=0.5, code_start="normal")
    drawn = train(two(), config=dataclasses.replace(config, epochs=1, rotation_lr=1e-12), **ON).learned.rotations
    moved = train(two(), config=config, **ON).learned.rotations
    np.testing.assert_allclose(torch.linalg.norm(moved, dim=1).numpy(), 1, atol=1e-6)
    assert 1e-3 < float((moved - drawn).abs().max()) < 0.5
    assert float((drawn[0] - drawn[1]).abs().max()) > 0.05


@pytest.fixture
def trainer_of():
    """Trainers with workers of their own, which end with the test: they hold torch's threads off."""
    with Workers(torch.device("cpu"), 2) as workers:

        def made(config, sequences):
            data = TrainingSet(
                sequences, frame_points=config.frame_points, augment=config.augment, mix=config.mix, seed=config.seed
            )
            return Trainer(
                data, config, device=torch.device("cpu"), dtype=torch.float64, mixed=False, labels=["", ""],
                processes=ProcessGroup(), workers=workers,
            )  # fmt: skip

        yield made


@pytest.mark.parametrize("change", [dict(), dict(mix=0.9, augment=("mirror",)), dict(rotation=True)])
def test_gradients_of_a_step_are_those_of_the_loss(change, trainer_of):
    """Mean |f − target| and the ramped weight on the codes' squares, by torch through the plain network."""
    config = dataclasses.replace(SHORT, code_weight=0.3, code_ramp=4, batch_frames=5, code_std=1.0, **change)
    trainer = trainer_of(config, two())
    trainer.step_number = 2 * trainer.steps_per_epoch  # half of the ramp
    draws = trainer.data.draws(7, 5)
    drawn = [trainer.data.sample(d) for d in draws]
    found = trainer._set_gradients(draws, drawn)
    codes, turns = trainer.codes.detach().clone().requires_grad_(), trainer.rotations.detach().clone().requires_grad_()
    ours = {k: p.grad.clone() for k, p in trainer.model.named_parameters()}
    trainer.model.zero_grad()
    total, plain = 0.0, 0.0
    from cytoform.neural.rotation import quaternion_to_matrix

    for draw, (points, values) in zip(draws, drawn):
        code = (1 - draw.second_weight) * codes[draw.code] + draw.second_weight * codes[draw.second_code]
        at = torch.tensor(points, dtype=torch.float64)
        if config.rotation:
            at = torch.cat([at[:, :3] @ quaternion_to_matrix(turns[draw.code]), at[:, 3:]], 1)
        error = (trainer.model(at, code) - torch.tensor(values, dtype=torch.float64)).abs().mean()
        total = total + (error + 0.5 * 0.3 * code.square().sum()) / 5
        plain += float(error.detach()) / 5
    total.backward()
    assert found == pytest.approx(plain, rel=1e-12)
    for name, parameter in trainer.model.named_parameters():
        np.testing.assert_allclose(ours[name].numpy(), parameter.grad.numpy(), rtol=1e-8, atol=1e-13)
    np.testing.assert_allclose(trainer.codes.grad.numpy(), codes.grad.numpy(), rtol=1e-8, atol=1e-13)
    if config.rotation:
        np.testing.assert_allclose(trainer.rotations.grad.numpy(), turns.grad.numpy(), rtol=1e-8, atol=1e-13)


def test_codes_start_as_the_shapes_do(trainer_of):
    """Alike shapes begin with alike codes, N(0, code_std²) otherwise."""
    three = [body(arm, n=12) for arm in (0.0, 0.2, 1.0)]
    config = dataclasses.replace(SHORT, code_std=0.3)
    codes = trainer_of(config, three).codes.detach()
    assert float(codes.std(correction=0)) == pytest.approx(0.3)
    near, far = torch.linalg.norm(codes[0] - codes[1]), torch.linalg.norm(codes[0] - codes[2])
    assert float(near) < 0.5 * float(far)
    normal = trainer_of(dataclasses.replace(config, code_start="normal"), three).codes.detach()
    assert not torch.equal(codes, normal)
    assert float(normal.std()) == pytest.approx(0.3, rel=0.5)


@pytest.mark.slow
def test_rotations_start_from_turns_that_make_the_shapes_alike(trainer_of):
    turns = Rotation.random(4, rng=np.random.default_rng(1)).as_matrix()
    four = [body(arm, turn=turn, n=16, name=f"{k}") for k, (arm, turn) in enumerate(zip((0.0, 0.0, 1.0, 1.0), turns))]
    config = dataclasses.replace(SHORT, rotation=True)
    trainer = trainer_of(config, four)
    for found, turn in zip(rotation.quaternion_to_matrix(trainer.rotations.detach()).numpy(), turns):
        assert np.rad2deg(Rotation.from_matrix(found @ (turn @ turns[0].T).T).magnitude()) < 15.0
    codes = trainer.codes.detach()
    assert float((codes[0] - codes[1]).norm()) < 0.3 * float((codes[0] - codes[2]).norm())
    # the papers' start: angles of a given spread, whatever the shapes
    plain = trainer_of(dataclasses.replace(config, code_start="normal", rotation_std=0.0), four)
    assert np.abs(rotation.quaternion_to_matrix(plain.rotations.detach()).numpy() - np.eye(3)).max() < 1e-12


@pytest.mark.parametrize("optimizer", ["muon", "adam"])
def test_schedules(optimizer, trainer_of):
    config = dataclasses.replace(
        SHORT, schedule="halve", halve_every=2, epochs=8, optimizer=optimizer, lr=0.01, code_lr=0.02, matrix_lr=0.5
    )
    trainer = trainer_of(config, two())
    rates = []
    for _ in range(trainer.total_steps):
        trainer.step()
        rates.append([g["lr"] for o in trainer._optimizers.values() for g in o.param_groups])
    per_epoch = np.array(rates)[:: trainer.steps_per_epoch]
    full = [0.01, 0.02] + [0.5 / TINY.omega] * (optimizer == "muon")
    np.testing.assert_allclose(per_epoch, np.outer([1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125], full))


def test_cosine_schedule(trainer_of):
    config = dataclasses.replace(SHORT, schedule="cosine", epochs=100, lr=0.01)
    trainer = trainer_of(config, two())
    assert trainer.total_steps == 300
    factors = []
    for step in range(300):
        trainer.step_number = step
        factors.append(trainer._rate_factor())
    wanted = 0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * np.arange(300) / 300))
    np.testing.assert_allclose(factors[30:], wanted[30:])
    np.testing.assert_allclose(factors[:30], wanted[:30] * np.arange(1, 31) / 30)
    trainer.step_number = 300
    assert trainer._rate_factor() == pytest.approx(0.01)


class Clock:
    """A clock of the test's own: each step takes as long as ``pace`` says of the time that it begins at."""

    def __init__(self, monkeypatch, pace, preparing=0.0):
        self.now, self.pace = 100.0, pace
        step, begin = Trainer.step, Trainer.__init__

        def timed(trainer):
            self.now += pace(self.now - 100.0)
            return step(trainer)

        def slow(trainer, *args, **options):
            self.now += preparing
            begin(trainer, *args, **options)

        monkeypatch.setattr(sys.modules["cytoform.neural.training"], "time", self)
        monkeypatch.setattr(Trainer, "step", timed)
        monkeypatch.setattr(Trainer, "__init__", slow)

    def monotonic(self):
        return self.now


PACES = {
    "steady": lambda now: 0.03125,
    "slower halfway": lambda now: 0.0625 if now < 12 else 0.1875,
    "quicker halfway": lambda now: 0.1875 if now < 12 else 0.0625,
    "slower at the end": lambda now: 0.0625 if now < 22.5 else 0.3125,
    "quicker at the end": lambda now: 0.3125 if now < 22.5 else 0.03125,
    "files are read at first": lambda now: 0.75 if now < 3 else 0.03125,
    "now and then busy": lambda now: 0.25 if int(now / 2) % 3 == 0 else 0.03125,
}


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [1, 10**6])
@pytest.mark.parametrize("pace", PACES)
def test_minutes_are_kept_on_a_machine_whose_speed_changes(monkeypatch, caplog, pace, epochs):
    """24 seconds; whatever number of epochs the settings have."""
    Clock(monkeypatch, PACES[pace], preparing=0.5)
    rates = []
    factor = Trainer._rate_factor
    monkeypatch.setattr(Trainer, "_rate_factor", lambda t: rates.append(factor(t)) or rates[-1])
    config = dataclasses.replace(SHORT, epochs=epochs)
    model = train(two(n=8), config=config, minutes=0.4, **ON)
    assert 0.95 * 24 <= model.notes["seconds"] <= 1.05 * 24
    assert caplog.text == ""
    assert model.notes["steps_done"] == len(rates) and model.notes["loss"] > 0
    # the learning rate rises, and falls without jumps to its end
    top = int(np.argmax(rates))
    assert top < 0.2 * len(rates) and rates[top] > 0.9 and rates[-1] < 0.03
    assert (np.diff(rates[top:]) <= 1e-12).all() and np.diff(rates[top:]).min() > -0.2


@pytest.mark.parametrize("each, steps, told", [(14.0, 2, True), (7.0, 3, True), (100.0, 1, True), (1.0, 24, False)])
def test_a_step_that_takes_long_is_told(monkeypatch, caplog, each, steps, told):
    Clock(monkeypatch, lambda now: each)
    model = train(two(n=8), config=SHORT, minutes=0.4, **ON)
    assert model.notes["steps_done"] == steps
    assert (f"whole steps, of about {each:.3g} s each" in caplog.text) == told


@pytest.mark.slow
@pytest.mark.parametrize("stops", [(3,), (40,), (40, 130)])
def test_a_training_of_some_minutes_goes_on_to_the_last_digit(monkeypatch, tmp_path, stops):
    """By a clock that ticks with the steps, the time between two runs left out."""
    clock = Clock(monkeypatch, PACES["slower halfway"])
    whole = train(two(n=8), tmp_path / "whole", SHORT, minutes=0.4, **ON)
    assert whole.notes["seconds"] == pytest.approx(24, rel=0.05)
    clock.now = 100.0
    with pytest.raises(Interrupted, match=r"Stopped after \d+ of about \d+ steps"):
        train(two(n=8), tmp_path / "parts", SHORT, minutes=0.4, progress=stop_at(stops[0]), **ON)
    for stop in stops[1:]:
        with pytest.raises(Interrupted):
            train(two(n=8), tmp_path / "parts", resume=True, progress=stop_at(stop), device="cpu")
    parts = train(two(n=8), tmp_path / "parts", resume=True, device="cpu")
    assert same_weights(whole, parts) and losses(tmp_path / "whole") == losses(tmp_path / "parts")
    assert parts.notes["steps_done"] == whole.notes["steps_done"] > 200
    again = train(two(n=8), tmp_path / "parts", resume=True, device="cpu")
    assert same_weights(again, parts) and again.notes["steps_done"] == parts.notes["steps_done"]


def test_a_damaged_plan_is_refused(tmp_path):
    with pytest.raises(Interrupted):
        train(two(), tmp_path, SHORT, minutes=1, progress=stop_at(3), **ON)
    tensors, text = read_checkpoint(tmp_path / "checkpoint.safetensors")
    for wrong in ({}, {**text["schedule"], "plans": []}, {**text["schedule"], "plans": [[1, 2]]}):
        write_checkpoint(tmp_path / "checkpoint.safetensors", tensors, {**text, "schedule": wrong})
        with pytest.raises(FileFormatError, match="schedule is damaged"):
            train(two(), tmp_path, resume=True, device="cpu")


def test_checkpoints_without_a_plan_are_resumed(tmp_path):
    """As versions before plans wrote them."""
    whole = train(two(), tmp_path / "whole", SHORT, **ON)
    with pytest.raises(Interrupted):
        train(two(), tmp_path / "old", SHORT, progress=stop_at(5), **ON)
    tensors, text = read_checkpoint(tmp_path / "old" / "checkpoint.safetensors")
    kept = {k: v for k, v in text.items() if k not in ("schedule", "seconds")}
    kept["config"] = {k: v for k, v in text["config"].items() if k != "steps"}
    write_checkpoint(tmp_path / "old" / "checkpoint.safetensors", tensors, kept)
    assert same_weights(whole, train(two(), tmp_path / "old", resume=True, device="cpu"))


def test_steps_take_the_place_of_epochs(tmp_path):
    """Also where they end within an epoch, which has three here."""
    config = dataclasses.replace(SHORT, steps=7)
    model = train(two(), tmp_path / "run", config, **ON)
    assert model.notes["steps_done"] == 7 and model.notes["epochs_done"] == 2
    assert len(losses(tmp_path / "run")) == 2 and model.notes["loss"] == pytest.approx(losses(tmp_path / "run")[1])
    assert train(two(), config=dataclasses.replace(SHORT, steps=1), **ON).notes["loss"] > 0
    assert preset("default", steps=5).steps == 5 and changed(preset("default", steps=5), epochs=3).steps is None
    six = train(two(), config=dataclasses.replace(SHORT, steps=18), **ON)
    assert same_weights(six, train(two(), config=SHORT, **ON))


# ---------------------------------------------------------------------------------------------------------------------
# Stopping and going on


@pytest.mark.slow
@pytest.mark.parametrize("change", [dict(), dict(optimizer="adam", rotation=True, frame_points=128)])
def test_resumed_is_the_uninterrupted_training(tmp_path, folder, change):
    """Ctrl-C in the midst of an epoch, twice: history, weights and codes to the last bit."""
    more = {} if change else {k: ALL[k] for k in ("augment", "mix")}
    config = dataclasses.replace(SHORT, **change, **more)
    options = dict(memory_gb=ALL["memory_gb"], **ON)
    whole = train(folder, tmp_path / "whole", config, **options)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match=r"Stopped after 5 of .* resume=True"):
        train(folder, tmp_path / "parts", config, progress=stop_at(5), **options)
    assert signal.getsignal(signal.SIGINT) is before
    assert not (tmp_path / "parts" / "model.safetensors").exists()
    with pytest.raises(Interrupted, match="Stopped after 10"):
        train(folder, tmp_path / "parts", resume=True, progress=stop_at(10), memory_gb=ALL["memory_gb"])
    parts = train(folder, tmp_path / "parts", resume=True, memory_gb=ALL["memory_gb"], device="cpu")
    assert same_weights(whole, parts) and torch.equal(whole.learned.rotations, parts.learned.rotations)
    texts = [(tmp_path / name / "history.csv").read_text() for name in ("whole", "parts")]
    assert texts[0] == texts[1] and len(texts[0].splitlines()) == 7


def test_resume_keeps_the_type(tmp_path):
    with pytest.raises(Interrupted):
        train(two(), tmp_path, SHORT, dtype="float64", progress=stop_at(4), **ON)
    assert train(two(), tmp_path, resume=True, device="cpu").layers[0].matrix.dtype == torch.float64


def test_resume_of_a_finished_training_changes_nothing(tmp_path):
    first = train(two(), tmp_path, SHORT, **ON)
    assert same_weights(first, train(two(), tmp_path, resume=True, device="cpu"))


def test_other_sequences_are_refused_and_nothing_overwritten(tmp_path):
    with pytest.raises(Interrupted):
        train(two(), tmp_path, SHORT, progress=stop_at(4), **ON)
    held = {p: p.read_bytes() for p in tmp_path.iterdir()}
    others = [body(0.0, n=12, name="a"), body(1.0, n=12, name="c")]
    for sequences in (two()[:1], two() + others[1:], others, [body(0.0, n=12, frames=5, name="a"), two()[1]]):
        with pytest.raises(FileFormatError, match="checkpoint is that of another network or other sequences"):
            train(sequences, tmp_path, resume=True, device="cpu")
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == held


def test_bad_input_does_not_cost_the_old_training(tmp_path):
    train(two(), tmp_path, SHORT, **ON)
    held = {p: p.read_bytes() for p in tmp_path.iterdir()}
    empty = SDFSequence.from_array(np.abs(np.stack(list(two()[1]))), two()[1].info.spacing, name="empty")
    for wrong in ([two()[0], body(1.0, n=10)], [two()[0], empty]):
        with pytest.raises(SequenceError):
            train(wrong, tmp_path, SHORT, overwrite=True, **ON)
        assert {p: p.read_bytes() for p in tmp_path.iterdir()} == held


def test_a_network_that_is_not_the_checkpoints_is_refused(tmp_path):
    with pytest.raises(Interrupted):
        train(two(), tmp_path, SHORT, progress=stop_at(4), **ON)
    wider = dataclasses.replace(SHORT, network=dataclasses.replace(SHORT.network, width=20))
    with pytest.raises(FileFormatError, match="another network"):
        train(two(), tmp_path, wider, resume=True, device="cpu")


def test_torch_has_its_threads_back(tmp_path):
    before = torch.get_num_threads()
    train(two(), tmp_path, SHORT, **ON)
    told = []
    thread = threading.Thread(target=lambda: told.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert told == [before] and torch.get_num_threads() == before


def test_tensors_of_another_network_are_refused(tmp_path):
    with pytest.raises(Interrupted):
        train(two(), tmp_path, SHORT, progress=stop_at(4), **ON)
    place = tmp_path / "checkpoint.safetensors"
    tensors, text = read_checkpoint(place)
    whole = place.read_bytes()
    wider = {**text, "config": {**text["config"], "network": {**text["config"]["network"], "width": 20}}}
    few = {k: v for k, v in tensors.items() if k != "codes"}
    for held, about in ((tensors, wider), (few, text)):
        write_checkpoint(place, held, about)
        with pytest.raises(FileFormatError, match="another network or other sequences"):
            train(two(), tmp_path, resume=True, device="cpu")
    for part in (0, 100, len(whole) // 2, len(whole) - 1):
        place.write_bytes(whole[:part])
        with pytest.raises(FileFormatError, match="not complete"):
            train(two(), tmp_path, resume=True, device="cpu")
        assert len(place.read_bytes()) == part
    train(two(), config=SHORT, **ON).save(place)
    with pytest.raises(FileFormatError, match="not a training's checkpoint"):
        train(two(), tmp_path, resume=True, device="cpu")


def test_a_training_is_not_overwritten(tmp_path):
    first = train(two(), tmp_path, SHORT, **ON)
    held = (tmp_path / "model.safetensors").read_bytes()
    other = dataclasses.replace(SHORT, seed=1)
    with pytest.raises(OutputError, match="holds a training already"):
        train(two(), tmp_path, other, **ON)
    assert (tmp_path / "model.safetensors").read_bytes() == held
    second = train(two(), tmp_path, other, overwrite=True, **ON)
    assert not same_weights(first, second) and same_weights(second, AutoDecoder.load(tmp_path))


# ---------------------------------------------------------------------------------------------------------------------
# Options


def test_presets_hold_the_papers_numbers():
    first, second = PRESETS["miccai2022"], PRESETS["media2024"]
    for config in (first, second):
        network = config.network
        assert (network.layers, network.width, network.activation, network.omega) == (9, 128, "sine", 30.0)
        assert network.latent_layers == (1, 5, 8) and network.coordinate_layers is None
        assert config.optimizer == "adam" and config.lr == config.code_lr == 1e-4 and config.near_fraction == 0.7
        assert config.schedule == "halve" and config.frame_points == 1_000_000
    assert (first.network.latent, first.code_std, first.epochs, first.halve_every) == (192, 0.1, 1250, 100)
    assert (second.network.latent, second.code_std, second.epochs, second.halve_every) == (64, 0.01, 2000, 350)
    assert second.batch_frames == 5 and second.rotation and second.rotation_std == pytest.approx(math.pi / 8)
    assert not first.rotation


def test_preset_for_cells_that_are_encoded_later():
    """What the benchmark of unseen tracks was measured with."""
    config = PRESETS["encoding"]
    assert config.network == dataclasses.replace(NetworkConfig(), latent=128)
    changes = dict(augment=("mirror", "time"), mix=0.5, batch_frames=16, steps=20_480, network=config.network)
    assert config == dataclasses.replace(PRESETS["default"], **changes)


def test_preset_with_changes():
    config = preset("media2024", latent=16, epochs=7, activation="relu")
    assert (config.network.latent, config.network.activation, config.epochs) == (16, "relu", 7)
    assert config.network.width == 128 and config.halve_every == 350
    with pytest.raises(ConfigError, match="colour"):
        preset("default", colour=1)
    with pytest.raises(ConfigError, match="expected one of default, encoding, miccai2022, media2024"):
        preset("other")
    assert TrainConfig.from_json(config.to_json()) == config
    with pytest.raises(ConfigError, match="colour"):
        TrainConfig.from_json({"colour": 1})


@pytest.mark.parametrize(
    "wrong",
    [dict(lr=0), dict(epochs=0), dict(epochs=2.0), dict(near_fraction=0), dict(near_fraction=1.1), dict(mix=-0.1),
     dict(mix=math.nan), dict(mix=0.5, rotation=True), dict(augment=("turn",)), dict(code_weight=-1), dict(near_um=0),
     dict(steps=0), dict(schedule="flat"), dict(optimizer="sgd"), dict(seed=-1), dict(seed=True)],
)  # fmt: skip
def test_settings_that_make_no_sense(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        TrainConfig(**wrong)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        (dict(dtype="float16"), ConfigError, "dtype is 'float16'"),
        (dict(precision="half"), ConfigError, "precision is 'half'"),
        (dict(precision="mixed", dtype="float64"), ConfigError, "precision='mixed' needs dtype='float32'"),
        (dict(minutes=0), ConfigError, "minutes is 0"),
        (dict(resume=True), ConfigError, "out="),
        (dict(labels=["x"]), ConfigError, "1 labels; expected 2"),
        (dict(device="tpu"), ConfigError, "device is 'tpu'"),
        (dict(config="best"), ConfigError, "preset is 'best'"),
    ],
)
def test_options_that_make_no_sense(options, error, match):
    with pytest.raises(error, match=match):
        train(two(), **{"config": SHORT, "device": "cpu", **options})


def test_no_gpu():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(BackendError, match="sees no CUDA device"):
        train(two(), config=SHORT, device="cuda")


def test_nothing_to_learn_from(tmp_path):
    with pytest.raises(SequenceError, match="no sequences"):
        train([], config=SHORT)
    with pytest.raises(FileFormatError, match="holds no sequences"):
        train(tmp_path, config=SHORT)
    with pytest.raises(FileFormatError, match="does not exist"):
        train(tmp_path / "none.h5", config=SHORT)
    with pytest.raises(FileFormatError, match="does not exist"):
        train(two(), tmp_path / "new", resume=True)


# ---------------------------------------------------------------------------------------------------------------------
# Several processes


def together(processes, code):
    """Run code in processes that torchrun starts."""
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}", "--standalone", code]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)


@pytest.mark.slow
def test_processes_end_as_well_as_they_began(tmp_path):
    """A group that is left to the interpreter's end aborts its process more often than not."""
    script = tmp_path / "run.py"
    script.write_text(
        textwrap.dedent("""
        import torch
        from cytoform.neural.distributed import join_process_group
        processes, _ = join_process_group(torch.device("cpu"))
        one = torch.ones(3)
        processes.sum_in_place([one])
        assert one.tolist() == [2.0] * 3
    """)
    )
    for _ in range(2):
        done = together(2, str(script))
        assert done.returncode == 0, done.stderr[-2000:]


def test_more_processes_than_frames(monkeypatch):
    monkeypatch.setattr(
        sys.modules[train.__module__], "join_process_group", lambda device: (ProcessGroup(3, 4), device)
    )
    with pytest.raises(ConfigError, match="4 processes and 3 frames a step"):
        train(two(), config=SHORT, **ON)


@pytest.mark.slow
@pytest.mark.parametrize("change", [dict(rotation=True), dict(augment=("mirror",), mix=0.4, epochs=2)])
def test_two_processes_train_as_one_does(tmp_path, folder, change):
    """Also over several epochs, with draws that do not divide evenly, and reservoirs drawn anew."""
    config = dataclasses.replace(SHORT, **change)
    options = dict(dtype="float64", memory_gb=ALL["memory_gb"], **ON)
    one = train(folder, tmp_path / "one", config, **options)
    script = Path(tmp_path / "run.py")
    script.write_text(
        textwrap.dedent(f"""
        from cytoform.neural import train, TrainConfig
        config = TrainConfig.from_json({config.to_json()!r})
        train({str(folder)!r}, {str(tmp_path / "two")!r}, config, **{options!r})
    """)
    )
    done = together(2, str(script))
    assert done.returncode == 0, done.stderr[-2000:]
    both = AutoDecoder.load(tmp_path / "two")
    np.testing.assert_allclose(losses(tmp_path / "two"), losses(tmp_path / "one"), rtol=1e-7)
    np.testing.assert_allclose(both.learned.codes.numpy(), one.learned.codes.numpy(), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(both.learned.rotations.numpy(), one.learned.rotations.numpy(), rtol=1e-6, atol=1e-9)
