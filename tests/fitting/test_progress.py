"""The time left that a fit tells, and Ctrl-C in each of its phases."""

import json
import logging
import signal
import types
from pathlib import Path

import numpy as np
import pytest
from fitting.simulated import ball

import cytoform as cf
from cytoform.errors import Interrupted
from cytoform.fitting import Film, FitJob, api
from cytoform.fitting.progress import Forecast, writing_seconds
from cytoform.fitting.state import Count

RUNS = json.loads(Path(__file__).with_name("recorded_runs.json").read_text(encoding="utf-8"))
CONFIG = cf.FitConfig(iterations=8, edge=0.5, psf_after=2, pause_every=4, blurs=(1.0, 0.0), device="cpu",
                      deterministic=True)  # fmt: skip
FAR, NEAR = {"volume": 100.0}, {"volume": 0.6}  # changes left, in standard errors
PHASES = ("fit", "standard errors", "writing")


@pytest.fixture(autouse=True)
def usual_handler_of_ctrl_c():
    """A job in the background of a shell ignores Ctrl-C; the tests press it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


# -- the estimate ------------------------------------------------------------------------------------------------------


def predictions(run):
    """(time, time left by the estimate, true time left) at each step of a recorded run and at its later phases, s."""
    now, remaining, state, found = [0.0], {}, None, []
    forecast = Forecast(cf.FitConfig(iterations=280, infer_psf=run["infer_psf"]), clock=lambda: now[0])
    forecast._lengths = [28, 28, 224]  # of the stages when the runs were recorded
    end = run["written"]
    for iteration, stage, step, seconds, change, n_faces, since, gained in run["steps"]:
        if change is not None and change != remaining.get("volume"):  # a Newton step
            remaining = {"volume": change}
        count = Count(iteration=iteration, stage=stage, stage_step=step, since_pause=since, gained_step=gained)
        state = types.SimpleNamespace(count=count, remaining=remaining, mesh=types.SimpleNamespace(n_faces=n_faces))
        now[0], writing = seconds, writing_seconds(n_faces, run["voxels"])
        interval = run["pause_interval"][stage]
        found.append((seconds, forecast.after_step(state, interval) + writing, end - seconds))
    found.append((run["stepped"], forecast.errors_seconds(state) + writing, end - run["stepped"]))
    found.append((run["fitted"], writing, end - run["fitted"]))
    return found


@pytest.mark.parametrize("name", sorted(RUNS))
def test_the_time_left_is_right_within_a_factor_from_a_third_on(name):
    """On recorded times of real fits; below a second nobody minds."""
    told = predictions(RUNS[name])
    end = RUNS[name]["written"]
    late = [(left, true) for now, left, true in told if now >= end / 3 and true > 1.0]
    assert len(late) > 10
    assert max(max(left / true, true / left) for left, true in late) <= 1.5


@pytest.mark.parametrize("name", sorted(RUNS))
def test_the_time_left_is_never_nothing_and_grows_by_little(name):
    told = predictions(RUNS[name])
    left = np.array([left for _, left, _ in told])
    assert (left >= 1.0).all()
    late = np.array([left for now, left, _ in told if now >= RUNS[name]["written"] / 3])
    assert (np.diff(late) > 0).mean() < 0.4 and (late[1:] / late[:-1]).max() < 1.2


def test_a_fit_without_newton_steps_and_without_errors():
    now = [0.0]
    forecast = Forecast(cf.FitConfig(uncertainty=False, blurs=(0.0,)), clock=lambda: now[0])
    mesh = types.SimpleNamespace(n_faces=1000)
    for step in range(1, 200):
        now[0] += 1.0
        count = Count(iteration=step, stage_step=step, since_pause=1 + step % 15, gained_step=step)
        left = forecast.after_step(types.SimpleNamespace(count=count, remaining={}, mesh=mesh), 15, newton=False)
    assert 25.0 < left < 40.0  # it goes on for as many steps as it waits for a gain: 32


def test_a_resumed_fit_knows_what_is_left_to_move():
    """From its first step on, and that step is not taken for a Newton step."""
    now, mesh = [0.0], types.SimpleNamespace(n_faces=1000)
    far, near = (Forecast(cf.FitConfig(uncertainty=False), clock=lambda: now[0]) for _ in range(2))
    for k in range(1, 6):
        now[0] += 1.0
        count = Count(iteration=90 + k, stage=2, stage_step=40 + k, since_pause=k)
        left = [
            forecast.after_step(types.SimpleNamespace(count=count, remaining=remaining, mesh=mesh), 15)
            for forecast, remaining in ((far, FAR), (near, NEAR))
        ]
    assert 150.0 < left[0] < 250.0 and 10.0 < left[1] < 25.0  # all steps, and those until the next pause


# -- what callbacks are told -------------------------------------------------------------------------------------------


def test_phases_in_their_order(tmp_path):
    truth, volume, psf = ball()
    told, film = [], Film(every=1)
    job = FitJob(volume, out=tmp_path / "run", start=truth, psf=psf, config=CONFIG)
    result = job.run(callbacks=[told.append, film])
    phases = [p.phase for p in told]
    assert phases == ["fit"] * result.iterations + ["standard errors", "writing"]
    assert all(p.seconds_left >= 1.0 for p in told) and len(film.frames) == result.iterations
    assert told[-1].mesh is told[-2].mesh and told[-1].iteration == result.iterations
    assert result.seconds > result.history["seconds"][-1]  # standard errors take time, too


def test_stopping_has_no_effect_once_the_steps_have_ended(tmp_path):
    truth, volume, psf = ball()

    def stop(told):
        if told.phase != "fit":
            raise StopIteration("enough")

    job = FitJob(volume, out=tmp_path / "run", start=truth, psf=psf, config=CONFIG)
    result = job.run(callbacks=[stop])
    assert "enough" not in result.stop_reason and (tmp_path / "run" / "report.html").is_file()


# -- Ctrl-C ------------------------------------------------------------------------------------------------------------


def ctrl_c(where, at=0):
    """A callback that presses Ctrl-C in a phase, from its step `at` on."""

    def press(told):
        if told.phase == where and told.iteration >= at:
            signal.raise_signal(signal.SIGINT)

    return press


@pytest.mark.parametrize("phase", PHASES)
def test_interrupted_in_each_phase_and_resumed(tmp_path, phase, caplog):
    truth, volume, psf = ball()
    whole = FitJob(volume, start=truth, psf=psf, config=CONFIG).run()
    job = FitJob(volume, out=tmp_path / "run", start=truth, psf=psf, config=CONFIG)
    with pytest.raises(Interrupted, match="--resume") as caught:
        job.run(callbacks=[ctrl_c(phase, 4)])
    assert ("written" in str(caught.value)) == (phase == "writing")
    assert (tmp_path / "run" / "checkpoint.h5").is_file() and not (tmp_path / "run" / "report.html").exists()
    told = []
    with caplog.at_level(logging.INFO):
        again = FitJob(volume, out=tmp_path / "run", start=truth, psf=psf, config=CONFIG, resume=True)
        resumed = again.run(callbacks=[told.append])
    np.testing.assert_array_equal(resumed.mesh.vertices, whole.mesh.vertices)
    np.testing.assert_array_equal(resumed.uncertainty.surface_um, whole.uncertainty.surface_um)
    assert resumed.stop_reason == whole.stop_reason and (tmp_path / "run" / "report.html").is_file()
    ended = [p.message for p in told if "had ended" in p.message]
    assert len(ended) == (phase != "fit") == ("had ended" in caplog.text)
    assert all(whole.stop_reason in message for message in ended)
    assert {p.phase for p in told} == set(PHASES if phase == "fit" else PHASES[1:])


def test_interrupted_between_two_files(tmp_path, monkeypatch):
    """The surface and its numbers are written first, and what is not whole is not there."""
    truth, volume, psf = ball()
    job = FitJob(volume, out=tmp_path / "run", start=truth, psf=psf, config=CONFIG)

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("cytoform.fitting.saving.write_report", interrupted)
        with pytest.raises(Interrupted, match="files are missing"):
            job.run()
    names = {file.name for file in (tmp_path / "run").iterdir()}
    assert {"mesh.ply", "fit.json", "history.csv", "rendered.tif", "mask.tif", "checkpoint.h5"} <= names
    assert "report.html" not in names
    found = cf.load_result(tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr("cytoform.fitting.saving.write_volume", interrupted)
        with pytest.raises(Interrupted):
            FitJob(volume, out=tmp_path / "run", start=truth, psf=psf, config=CONFIG, resume=True).run()
    again = FitJob(volume, out=tmp_path / "run", start=truth, psf=psf, config=CONFIG, resume=True).run()
    np.testing.assert_allclose(again.mesh.vertices, found.mesh.vertices, atol=1e-5)
    assert (tmp_path / "run" / "report.html").is_file()


def test_interrupted_without_a_folder(monkeypatch):
    truth, volume, psf = ball()
    with pytest.raises(Interrupted, match="nothing was saved"):
        cf.fit(volume, truth, psf, CONFIG, callbacks=[ctrl_c("standard errors")])

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "finish", interrupted)
    with pytest.raises(Interrupted, match=r"after 8 iterations .*before the result"):
        cf.fit(volume, truth, psf, CONFIG)
