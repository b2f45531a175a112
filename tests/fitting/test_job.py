"""A fit as a description: the same numbers wherever it runs, stored as JSON, watched and cancelled."""

import concurrent.futures
import dataclasses
import functools
import json
import multiprocessing
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
from fitting.simulated import SIGMA, ball

import cytoform as cf
from cytoform.errors import ConfigError, FileFormatError, Interrupted, OutputError, VolumeError
from cytoform.fitting import FitJob, ImageFile, Region
from cytoform.mesh.shapes import ellipsoid
from cytoform.optics import PSFOptions

CONFIG = cf.FitConfig(iterations=12, deterministic=True, uncertainty=False, device="cpu")


@pytest.fixture(scope="module")
def cell():
    return ball()


@pytest.fixture
def files(tmp_path, cell):
    """Image, mask, labels and start on disk."""
    truth, volume, _ = cell
    inside = np.zeros(volume.shape, np.uint8)
    inside[3:17, 4:26, 4:26] = 1
    cf.write_volume(tmp_path / "cell.tif", volume)
    cf.write_volume(tmp_path / "mask.tif", cf.Volume(inside, volume.spacing))
    cf.write_volume(tmp_path / "labels.tif", cf.Volume((7 * inside).astype(np.uint16), volume.spacing))
    cf.write_mesh(tmp_path / "start.ply", ellipsoid((1.4, 1.8, 1.6), tuple(volume.grid.centre), edge=0.4))
    return tmp_path


def same(one, other):
    """To the last bit, with the same settings and the same history but for the seconds."""
    np.testing.assert_array_equal(one.mesh.vertices, other.mesh.vertices)
    np.testing.assert_array_equal(one.mesh.density, other.mesh.density)
    np.testing.assert_array_equal(one.model.data, other.model.data)
    np.testing.assert_array_equal(one.psf.parameters, other.psf.parameters)
    np.testing.assert_array_equal(one.history["loss"], other.history["loss"])
    assert one.config == other.config and one.stop_reason == other.stop_reason


@pytest.mark.slow
def test_it_gives_what_fit_gives(cell):
    truth, volume, psf = cell
    start = ellipsoid((1.4, 1.8, 1.6), tuple(volume.grid.centre), edge=0.4)
    roi = np.ones(volume.shape, bool)
    same(FitJob(volume, start=start, psf=psf, config=CONFIG, region=roi).run(),
         cf.fit(volume, start, psf, CONFIG, roi=roi))  # fmt: skip
    sphere = dataclasses.replace(CONFIG, init="sphere")
    same(FitJob(volume, start="sphere", config=CONFIG).run(), cf.fit(volume, config=sphere))
    labels = np.where(roi, 3, 0)
    job = FitJob(volume, region=Region(labels, label=3), config=CONFIG)
    same(job.run(), cf.fit(volume, config=CONFIG, labels=labels, label=3))


@pytest.mark.slow
def test_files_are_read_where_it_runs(cell, files):
    job = FitJob(files / "cell.tif", out=files / "run", start=files / "start.ply", region=files / "mask.tif",
                 psf=PSFOptions("gaussian", {"psf_sigma": SIGMA}), config=CONFIG, film=True)  # fmt: skip
    result = job.run()
    image, start = cf.read_volume(files / "cell.tif"), cf.read_mesh(files / "start.ply")
    roi = cf.read_volume(files / "mask.tif")
    same(result, cf.fit(image, start, cf.GaussianPSF.from_sigma(SIGMA), CONFIG, roi=roi))
    saved = json.loads((files / "run" / "fit.json").read_text())["inputs"]
    assert saved["start"]["path"] == str(files / "start.ply") and saved["image"]["path"] == str(files / "cell.tif")
    assert saved["region"]["path"] == str(files / "mask.tif") and saved["psf"]["name"] == "gaussian"
    assert (files / "run" / "film.gif").is_file() and (files / "run" / "report.html").is_file()
    np.testing.assert_array_equal(cf.load_result(files / "run").mesh.faces, result.mesh.faces)


@pytest.mark.slow
def test_in_another_process(files):
    job = FitJob(files / "cell.tif", out=files / "run", config=CONFIG, region=Region(files / "labels.tif", label=7))
    inline = dataclasses.replace(job.loaded(), out=None)
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool, context.Manager() as manager:
        told, stop = manager.Queue(), manager.Event()
        first = pool.submit(job.run, progress=told.put, cancel=stop)
        found = first.result()
        second = pool.submit(FitJob.run, inline).result()
        steps = [told.get().iteration for _ in range(found.iterations)]
        stop.set()
        cancelled = pool.submit(inline.run, cancel=stop)
        with pytest.raises(Interrupted, match="before the first step"):
            cancelled.result()
    here = inline.run()
    same(found, here)
    same(second, here)
    assert steps == list(range(1, found.iterations + 1))
    assert cf.load_result(files / "run").volume_um3 == pytest.approx(here.volume_um3, rel=1e-6)


@pytest.mark.slow
def test_cancelled_and_resumed(files):
    whole = FitJob(files / "cell.tif", config=CONFIG).run()
    config = dataclasses.replace(CONFIG, checkpoint_seconds=1e-9)
    job, event = FitJob(files / "cell.tif", out=files / "run", config=config), threading.Event()

    def note(progress):
        if progress.iteration == 5:
            event.set()

    with pytest.raises(Interrupted, match=r"after 5 iterations; the state is in .*checkpoint\.h5"):
        job.run(progress=note, cancel=event)
    assert not (files / "run" / "fit.json").exists()
    steps = []
    resumed = dataclasses.replace(job, resume=True)
    result = resumed.run(callbacks=(lambda p: steps.append(p.iteration),), cancel=lambda: False)
    assert steps[0] in (5, 6) and steps[-1] == CONFIG.iterations  # the last checkpoint is at most a step older
    np.testing.assert_array_equal(result.mesh.vertices, whole.mesh.vertices)


def test_cancelled_in_a_thread(cell):
    _, volume, _ = cell
    calls = []

    def cancel():
        calls.append(1)
        return len(calls) > 3

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(FitJob(volume, config=CONFIG).run, cancel=cancel)
        with pytest.raises(Interrupted, match="after 3 iterations; nothing was saved"):
            running.result()


def test_it_can_be_pickled(cell, files):
    truth, volume, psf = cell
    for job in (
        FitJob(volume, start=truth, psf=psf, region=np.ones(volume.shape)),
        FitJob(files / "cell.tif").loaded(),
    ):
        again = pickle.loads(pickle.dumps(job))
        np.testing.assert_array_equal(again.image.data, job.image.data)
        assert again.image.spacing == job.image.spacing and again.digest() == job.digest()


def test_plain_values(files, monkeypatch):
    monkeypatch.chdir(files)
    job = FitJob(
        ImageFile("cell.tif", spacing=(0.3, 0.2, 0.2), channel=None),
        out=files / "run", start="start.ply", region=Region("labels.tif", label=7, series=0),
        psf=PSFOptions("pupil", {"na": 1.1, "wavelength": 0.52, "immersion_index": 1.33, "psf_blur": (0.1, 0.1)}),
        config=cf.FitConfig(edge=0.5, camera=cf.Camera(gain=2.0)), inputs={"by": "a test"},
    )  # fmt: skip
    values = json.loads(json.dumps(job.as_dict(), allow_nan=False))
    again = FitJob.from_dict(values)
    assert again.as_dict() == values and again.digest() == job.digest()
    assert again.config == job.config and again.psf == job.psf and again.image == job.image
    assert (again.out, again.start, again.region.label) == (str(files / "run"), "start.ply", 7)
    plain = FitJob.from_dict(FitJob("cell.tif", psf=cf.GaussianPSF.from_sigma(0.3)).as_dict())
    np.testing.assert_allclose(plain.psf.sigma, 0.3)
    assert plain.region is None and plain.start == "auto" and plain.config == cf.FitConfig()


def test_what_counts_for_the_digest(cell):
    truth, volume, psf = cell
    job = FitJob(volume, psf=psf, region=np.ones(volume.shape))
    other = cf.Volume(volume.data + 1, volume.spacing)
    same_job = [{"out": "elsewhere"}, {"out": "x", "film": True}, {"inputs": {"a": 1}},
                {"config": cf.FitConfig(checkpoint_seconds=9.0)}]  # fmt: skip
    others = [{"image": other}, {"image": cf.Volume(volume.data, 0.1)}, {"start": "sphere"}, {"start": truth},
              {"psf": cf.GaussianPSF.from_sigma(0.1)}, {"config": cf.FitConfig(seed=1)}, {"region": None},
              {"region": Region(np.ones(volume.shape), label=1)}]  # fmt: skip
    assert {dataclasses.replace(job, **change).digest() for change in same_job} == {job.digest()}
    found = {dataclasses.replace(job, **change).digest() for change in others}
    assert len(found | {job.digest()}) == len(others) + 1


def test_what_is_refused(cell, files, monkeypatch):
    truth, volume, psf = cell
    monkeypatch.chdir(files)
    with pytest.raises(ConfigError, match="film=True came without a folder"):
        FitJob(volume, film=True)
    with pytest.raises(ConfigError, match="holds its image and its start in memory"):
        FitJob(volume, start=truth).as_dict()
    with pytest.raises(FileFormatError, match=r"'gone\.tif'"):
        FitJob(volume, psf="gone.tif")
    with pytest.raises(ConfigError, match="no option 'aperture'"):
        PSFOptions("pupil", {"aperture": 1.1})
    with pytest.raises(ConfigError, match="names colour"):
        FitJob.from_dict({**FitJob("cell.tif").as_dict(), "colour": 1})
    with pytest.raises(ConfigError, match="the format None"):
        FitJob.from_dict({"image": "cell.tif"})
    with pytest.raises(FileFormatError, match="no file"):
        FitJob("gone.tif").loaded()
    cf.write_volume("small.tif", cf.Volume(np.ones((3, 4, 5), np.uint8), volume.spacing))
    with pytest.raises(VolumeError, match=r"shape \(3, 4, 5\)"):
        FitJob("cell.tif", region="small.tif").run()


@pytest.mark.slow
def test_a_folder_with_something_in_it(files):
    job = FitJob(files / "cell.tif", out=files / "run", config=dataclasses.replace(CONFIG, iterations=2))
    job.run()
    before = (files / "run" / "fit.json").read_bytes()
    other = dataclasses.replace(job, config=dataclasses.replace(CONFIG, iterations=1))
    with pytest.raises(OutputError, match=r"run exists and is not empty\. .*overwrite=True, resume=True in Python"):
        other.run()
    assert (files / "run" / "fit.json").read_bytes() == before
    dataclasses.replace(other, overwrite=True).run()
    assert cf.load_result(files / "run").iterations == 1
    with pytest.raises(OutputError, match=r"no checkpoint\.h5"):
        dataclasses.replace(job, out=files / "new", resume=True).run()
    with pytest.raises(ConfigError, match="overwrite and resume came together"):
        dataclasses.replace(job, overwrite=True, resume=True)
    with pytest.raises(ConfigError, match="overwrite=True came without a folder"):
        FitJob("cell.tif", overwrite=True)


def test_values_of_numpy_and_paths_become_plain(cell):
    _, volume, _ = cell
    job = FitJob(
        ImageFile(b"cell.tif", spacing=np.float32([0.5, 0.25, 0.25]), channel=np.int64(1), axes=np.str_("ZCYX")),
        out=b"run", start=None, region=Region("labels.tif", label=np.uint16(7)), film=np.bool_(True),
        psf=PSFOptions("gaussian", {"psf_sigma": np.array([0.5, 0.25, 0.25])}),
        config=cf.FitConfig(edge=np.float32(0.3), iterations=np.int64(5), blurs=np.array([1.0, 0.0]),
                            smoothness_weight=np.float32([2, 2]), camera=cf.Camera(gain=np.float32(2))),
        inputs={"well": np.int64(3), "folder": Path("plates"), "shift": np.arange(3.0), "more": {"n": [np.uint8(1)]}},
    )  # fmt: skip
    values = json.loads(json.dumps(job.as_dict()))
    assert values["image"]["path"] == "cell.tif" and values["out"] == "run" and values["start"] == "auto"
    assert (values["image"]["channel"], values["region"]["label"], values["film"]) == (1, 7, True)
    assert values["psf"]["options"] == {"psf_sigma": [0.5, 0.25, 0.25]}
    assert values["config"]["edge"] == float(np.float32(0.3)) and values["config"]["iterations"] == 5
    assert values["config"]["camera"]["gain"] == 2.0 and values["config"]["smoothness_weight"] == [2.0, 2.0]
    assert values["inputs"] == {"well": 3, "folder": "plates", "shift": [0.0, 1.0, 2.0], "more": {"n": [1]}}
    assert FitJob.from_dict(values).as_dict() == values
    with pytest.raises(ConfigError, match=r"inputs\['by'\] is <object object"):
        FitJob(volume, inputs={"by": object()})
    with pytest.raises(ConfigError, match="inputs has the key"):
        FitJob(volume, inputs={(1, 2): 3})

    class Own(cf.GaussianPSF):
        def describe(self):
            return {"kind": "own", "code": {1, 2}}

    with pytest.raises(ConfigError, match=r"the job\['psf'\]\['code'\] is \{1, 2\}"):
        FitJob("cell.tif", psf=Own.from_sigma(0.3)).as_dict()


def test_what_a_digest_takes_of_arrays_meshes_and_priors(cell):
    truth, volume, _ = cell

    def digest(**given):
        return FitJob("cell.tif", **given).digest()

    masks = [np.zeros((2, 6), np.uint8), np.zeros((3, 4), np.uint8), np.zeros((2, 6), bool), np.zeros(6, np.uint16)]
    assert len({digest(region=mask) for mask in masks}) == len(masks)  # all of the same bytes
    assert digest(region=np.ones((2, 3))) == digest(region=np.asfortranarray(np.ones((2, 3))))

    class Renamed:
        faces = truth.faces

        def __init__(self, names):
            self.names = names

        def arrays(self):
            return dict(zip(self.names, (truth.vertices, truth.density)))

    assert digest(start=Renamed("ab")) != digest(start=Renamed("cd"))
    half, other = (functools.partial(prior, weight=w) for prior in (first_prior, second_prior) for w in (1,))
    found = {digest(prior=p) for p in (first_prior, half, other, functools.partial(first_prior, weight=2))}
    assert len(found) == 4 and digest(prior=half) == digest(prior=functools.partial(first_prior, weight=1))


def first_prior(mesh, weight=0):
    return 0.0, np.zeros_like(mesh.vertices)


def second_prior(mesh, weight=0):
    return 0.0, np.zeros_like(mesh.vertices)


def test_relative_paths(files, monkeypatch):
    monkeypatch.chdir(files)
    cf.write_volume("bead.tif", cf.Volume(np.ones((3, 3, 3), np.float32), 0.1))
    job = FitJob("cell.tif", out="run", start="start.ply", region="mask.tif", psf="bead.tif")
    there = job.resolved()
    found = (there.image.path, there.out, there.start, there.region.source, there.psf.kind)
    assert found == tuple(str(files / name) for name in ("cell.tif", "run", "start.ply", "mask.tif", "bead.tif"))
    assert job.as_dict()["image"]["path"] == "cell.tif" and job.digest() == there.digest()
    assert FitJob("cell.tif", start="sphere").resolved().start == "sphere"
    here = FitJob("cell.tif").digest()
    (files / "deeper").mkdir()
    monkeypatch.chdir(files / "deeper")
    assert FitJob("cell.tif").digest() != here == FitJob("../cell.tif").digest()


GOOD = FitJob("cell.tif", region=Region("mask.tif")).as_dict()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1, 2], r"the job is \[1, 2\]; expected values by name: image"),
        ({**GOOD, "image": {"path": "a.tif", "chanel": 1}}, r"the job's image names chanel; expected path, spacing"),
        ({**GOOD, "image": {"channel": 1}}, "the job's image has no path"),
        ({**GOOD, "image": "cell.tif"}, "the job's image is 'cell.tif'; expected values by name: path"),
        ({k: v for k, v in GOOD.items() if k != "image"}, "the job has no image"),
        ({**GOOD, "region": {"source": "a.tif", "lable": 1}}, "the job's region names lable"),
        ({**GOOD, "region": {"label": 1}}, "the job's region has no source"),
        ({**GOOD, "config": None}, "the settings are None"),
        ({**GOOD, "config": [1]}, r"the settings are \[1\]"),
        ({**GOOD, "config": {"iterations": "many"}}, "iterations is 'many'; expected a number"),
        ({**GOOD, "config": {"blurs": "20"}}, "blurs is '20'; expected numbers"),
        ({**GOOD, "config": {"blurs": None}}, "blurs is None; expected numbers"),
        ({**GOOD, "config": {"camera": {"gian": 1}}}, r"the camera is \{'gian': 1\}; expected numbers for gain"),
        ({**GOOD, "psf": {"kind": "gaussian"}}, r"psf is \{'kind': 'gaussian'\}; expected the whole .*covariance_um2"),
        ({**GOOD, "psf": {"kind": "gaussian", "options": {}, "x": 1}}, "the PSF names x; expected kind, options"),
        ({**GOOD, "psf": {"kind": "gaussian", "options": [1]}}, r"the PSF's options are \[1\]"),
        ({**GOOD, "psf": 3}, "psf is 3; expected a PSF, a PSFOptions, a path"),
        ({**GOOD, "inputs": 3}, "inputs is 3; expected a mapping"),
        ({**GOOD, "film": "yes"}, "film is 'yes'; expected True or False"),
        ({**GOOD, "out": 3}, "out is 3; expected a path"),
    ],
)
def test_descriptions_that_are_none(values, words):
    with pytest.raises(ConfigError, match=words):
        FitJob.from_dict(values)


def test_things_of_other_types(cell):
    _, volume, _ = cell
    for given, words in (
        ({"image": 3}, "image is 3; expected a path, an ImageFile or a Volume"),
        ({"image": np.zeros((3, 3, 3))}, "image is a ndarray; expected"),
        ({"image": ""}, "image is ''; expected a path"),
        ({"image": volume, "out": ""}, "out is ''; expected a path"),
        ({"image": volume, "start": 3}, "start is 3; expected auto, sphere"),
        ({"image": volume, "config": None}, "config is None; expected a FitConfig"),
        ({"image": volume, "region": {"source": "a"}}, r"the region is \{'source': 'a'\}; expected a path"),
    ):
        with pytest.raises(ConfigError, match=words):
            FitJob(**given)
    with pytest.raises(ConfigError, match="channel is 'two'; expected a whole number"):
        ImageFile("cell.tif", channel="two")
    with pytest.raises(ConfigError, match="spacing is 'fine'; expected micrometres"):
        ImageFile("cell.tif", spacing="fine")
    with pytest.raises(ConfigError, match=r"label is 1\.5; expected a whole number"):
        Region("labels.tif", label=1.5)
    with pytest.raises(FileFormatError, match="Import the module that registers it"):
        PSFOptions("own-kind")
    with pytest.raises(FileFormatError) as told:
        PSFOptions("gone.tif")
    assert "Import" not in str(told.value)
