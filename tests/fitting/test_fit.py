"""Whole fits: truth, regions, settings, interruption, files."""

import dataclasses
import json
import signal

import numpy as np
import pytest
from fitting.simulated import SIGMA, Killed, ball, begun, killed_at, pair

import cytoform as cf
from cytoform.errors import ConfigError, FileFormatError, FitError, Interrupted, VolumeError
from cytoform.fitting.bodies import surface as surface_body
from cytoform.fitting.bodies.surface import SurfaceBody
from cytoform.fitting.checkpoint import load_checkpoint, save_checkpoint
from cytoform.fitting.pause import pause, pause_due, undo_folding
from cytoform.fitting.scene import Scene
from cytoform.fitting.shape_step import has_settled, record_gain
from cytoform.fitting.stage import Stage, stage_lengths
from cytoform.fitting.start.labels import search_result_for
from cytoform.masks import mesh_to_mask
from cytoform.mesh import shapes, topology
from cytoform.metrics import surface_distances
from cytoform.metrics.overlap import mesh_iou

QUICK = {"uncertainty": False, "edge": 0.45, "device": "cpu"}


@pytest.fixture(scope="module")
def fitted():
    truth, volume, psf = ball()
    wrong = cf.GaussianPSF.from_sigma(1.3 * psf.sigma)
    config = cf.FitConfig(iterations=160, psf_after=30, init="sphere", **QUICK)
    return truth, volume, cf.fit(volume, psf=wrong, config=config)


def test_recovers_shape_optics_and_brightness(fitted):
    truth, _, result = fitted
    assert mesh_iou(result.mesh, truth, 0.08) > 0.96
    np.testing.assert_allclose(result.psf.sigma, SIGMA, rtol=0.06)
    assert result.background == pytest.approx(100.0, abs=4.0)
    assert result.r2 > 0.97
    assert result.volume_um3 == pytest.approx(truth.volume, rel=0.03)
    assert result.stop_reason


def test_surface_stays_sound(fitted):
    _, _, result = fitted
    assert topology.is_closed(result.mesh) and topology.is_manifold(result.mesh)
    assert topology.quality(result.mesh).sound
    assert topology.self_intersections(result.mesh) == 0


def test_history_tells_the_course(fitted):
    _, _, result = fitted
    shape = result.history["kind"] == "shape"
    assert shape.sum() == result.iterations
    assert (np.diff(result.history["iteration"][shape]) == 1).all()
    last = shape & (result.history["stage"] == 2)
    assert result.history["loss"][last][-1] < result.history["loss"][last][0]
    assert np.isfinite(result.history["r2"][~shape]).all()


def test_files_and_back(fitted, tmp_path):
    truth, volume, result = fitted
    folder = result.save(tmp_path / "run", truth=truth)
    names = {p.name for p in folder.iterdir()}
    assert {"mesh.ply", "mask.tif", "rendered.tif", "fit.json", "history.csv", "report.html"} <= names
    saved = json.loads((folder / "fit.json").read_text())
    for key in ("r2 density_range volume_um3 area_um2 sphericity gain background psf iterations seconds stop_reason "
                "config version seed").split():  # fmt: skip
        assert key in saved
    assert saved["psf"]["kind"] == "gaussian" and len(saved["psf"]["sigma_um"]) == 3
    assert saved["density_range"] == pytest.approx([1.0, 1.0], abs=0.03)  # it was stained evenly
    mask = cf.read_volume(folder / "mask.tif")
    assert mask.shape == volume.shape and mask.data.sum() == result.mask.sum()
    assert mask.data.sum() * volume.grid.voxel_volume == pytest.approx(result.volume_um3, rel=0.03)
    # R² by hand from the files
    from scipy import ndimage

    near = ndimage.distance_transform_edt(mask.data == 0, sampling=volume.spacing) <= 1.0
    image, model = volume.data.astype(float), cf.read_volume(folder / "rendered.tif").data.astype(float)
    by_hand = 1 - ((image - model)[near] ** 2).sum() / ((image[near] - image[near].mean()) ** 2).sum()
    assert saved["r2"] == pytest.approx(by_hand, abs=2e-3)
    import trimesh

    other = trimesh.load(folder / "mesh.ply", process=False)
    np.testing.assert_allclose(other.vertices[:, ::-1], result.mesh.vertices, atol=1e-6)
    assert other.volume == pytest.approx(result.volume_um3, rel=1e-6)
    again = cf.load_result(folder)
    np.testing.assert_array_equal(again.mesh.faces, result.mesh.faces)
    np.testing.assert_allclose(again.psf.covariance, result.psf.covariance)
    assert again.config == result.config and again.r2 == pytest.approx(result.r2)
    np.testing.assert_allclose(again.history["loss"], result.history["loss"])


def test_a_folder_that_is_no_result(tmp_path):
    with pytest.raises(FileFormatError, match=r"fit\.json"):
        cf.load_result(tmp_path)


def _short(**more):
    return cf.FitConfig(**{"iterations": 24, "psf_after": 2, "pause_every": 5, **QUICK, **more})


def test_interrupted_and_resumed_is_bit_identical(tmp_path):
    _, volume, _ = ball()
    config = _short(deterministic=True)
    whole = cf.fit(volume, config=config)

    def stop_at(progress):
        if progress.iteration == 14:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted, match="--resume"):
        cf.fit(volume, config=config, callbacks=[stop_at], out=tmp_path)
    rest = []
    resumed = cf.fit(volume, config=config, out=tmp_path, resume=True, callbacks=[lambda p: rest.append(p.iteration)])
    assert rest[0] == 15
    assert (resumed.mesh.vertices == whole.mesh.vertices).all()
    assert (resumed.mesh.faces == whole.mesh.faces).all()
    assert (resumed.psf.covariance == whole.psf.covariance).all()
    assert resumed.iterations == whole.iterations


def test_killed_between_checkpoints_and_resumed(tmp_path):
    _, volume, _ = ball()
    config = _short(checkpoint_seconds=1e-9)
    whole = cf.fit(volume, config=config)

    with pytest.raises(Killed):
        cf.fit(volume, config=config, callbacks=[killed_at(11)], out=tmp_path)
    resumed = cf.fit(volume, config=config, out=tmp_path, resume=True)
    voxel = float(np.prod(volume.spacing) ** (1 / 3))
    assert resumed.mesh.n_vertices == whole.mesh.n_vertices
    assert np.abs(resumed.mesh.vertices - whole.mesh.vertices).max() < 1e-3 * voxel


def test_resuming_something_else_is_refused(tmp_path):
    _, volume, _ = ball()
    with pytest.raises(FitError, match="no checkpoint"):
        cf.fit(volume, config=_short(), out=tmp_path, resume=True)
    cf.fit(volume, config=_short(iterations=2), out=tmp_path)
    with pytest.raises(FitError, match="iterations"):
        cf.fit(volume, config=_short(iterations=3), out=tmp_path, resume=True)
    other = cf.Volume(volume.data + 1, volume.spacing)
    with pytest.raises(FitError, match="another image"):
        cf.fit(other, config=_short(iterations=2), out=tmp_path, resume=True)
    (tmp_path / "checkpoint.h5").write_bytes(b"\x89HDF broken")
    with pytest.raises(FileFormatError, match="checkpoint"):
        cf.fit(volume, config=_short(iterations=2), out=tmp_path, resume=True)


def test_a_prior_has_to_be_passed_again(tmp_path):
    _, volume, _ = ball()

    def still(mesh):
        return 0.0, np.zeros(mesh.vertices.shape)

    cf.fit(volume, config=_short(iterations=2), out=tmp_path, prior=still)
    for other in (None, lambda mesh: still(mesh)):
        with pytest.raises(FitError, match=r"prior=.*still"):
            cf.fit(volume, config=_short(iterations=2), out=tmp_path, resume=True, prior=other)
    assert cf.fit(volume, config=_short(iterations=2), out=tmp_path, resume=True, prior=still).iterations == 2
    cf.fit(volume, config=_short(iterations=2), out=tmp_path / "b")
    with pytest.raises(FitError, match="prior=none"):
        cf.fit(volume, config=_short(iterations=2), out=tmp_path / "b", resume=True, prior=still)


@pytest.mark.slow
def test_weights_of_a_robust_loss_and_light_of_neighbours_come_back_on_a_resume(tmp_path):
    """What is held from pause to pause is made anew from the state, also between two pauses."""
    _, _, volume, psf = pair(noise=2.0)
    config = _short(deterministic=True, robust=2.0, blurs=(1.0, 0.0), iterations=40, edge=0.4, checkpoint_seconds=1e-9)
    whole = cf.fit(volume, psf=psf, config=config)
    stages = whole.history["stage"][whole.history["kind"] == "shape"]
    assert whole.surroundings is not None and (stages[:26] == 1).any()

    with pytest.raises(Killed):  # in the last stage, between two pauses
        cf.fit(volume, psf=psf, config=config, callbacks=[killed_at(28)], out=tmp_path)
    resumed = cf.fit(volume, psf=psf, config=config, out=tmp_path, resume=True)
    np.testing.assert_array_equal(resumed.mesh.vertices, whole.mesh.vertices)
    np.testing.assert_array_equal(resumed.mesh.density, whole.mesh.density)
    np.testing.assert_array_equal(resumed.surroundings.data, whole.surroundings.data)


def test_a_new_fit_leaves_nothing_of_the_old_one_to_resume(tmp_path):
    truth, volume, _ = ball()
    cf.fit(volume, config=_short(iterations=2), out=tmp_path)

    start = shapes.icosphere(1.0, tuple(volume.grid.centre), subdivisions=3)
    with pytest.raises(Killed):
        cf.fit(volume, start, config=_short(iterations=2), out=tmp_path, callbacks=[killed_at(1)])
    resumed = cf.fit(volume, start, config=_short(iterations=2), out=tmp_path, resume=True)
    assert resumed.start.volume == pytest.approx(start.volume, rel=0.1)
    with pytest.raises(FitError, match="another start"):
        cf.fit(volume, truth, config=_short(iterations=2), out=tmp_path, resume=True)


def test_callback_ends_the_fit():
    _, volume, _ = ball()

    def enough(progress):
        if progress.iteration == 3:
            raise StopIteration("seen enough")

    result = cf.fit(volume, config=_short(), callbacks=[enough])
    assert result.iterations == 3 and "seen enough" in result.stop_reason


@pytest.mark.slow
def test_region_of_interest_keeps_a_neighbour_out():
    shape = (20, 34, 60)
    truth, volume, _ = ball(shape=shape, centre=(2.85, 3.3, 3.6))
    _, other, _ = ball(radius=1.3, shape=shape, centre=(2.85, 3.3, 7.6))
    both = cf.Volume(np.maximum(volume.data, other.data), volume.spacing)
    roi = np.zeros(shape, dtype=np.uint8)
    roi[:, :, :29] = 3
    for options in ({}, {"roi": roi}):
        result = cf.fit(both, config=_short(iterations=140, psf_after=40), **options)
        assert mesh_iou(result.mesh, truth, 0.1) > 0.93
        if options:
            assert (result.roi == (roi != 0)).all()


@pytest.mark.slow
def test_start_given_by_hand():
    truth, volume, psf = ball()
    start = shapes.icosphere(1.2, tuple(volume.grid.centre + 0.2), subdivisions=3)
    result = cf.fit(volume, start, psf, cf.FitConfig(iterations=80, infer_psf=False, **QUICK))
    assert mesh_iou(result.mesh, truth, 0.1) > 0.95
    assert (result.psf.covariance == psf.covariance).all()


def test_starts_that_cannot_be():
    _, volume, _ = ball()
    sphere = shapes.icosphere(1.0, tuple(volume.grid.centre))
    with pytest.raises(FitError, match="outside"):
        cf.fit(volume, sphere.with_vertices(sphere.vertices + 100.0))
    with pytest.raises(FitError, match="open"):
        cf.fit(volume, cf.SurfaceMesh(sphere.vertices, sphere.faces[3:]))
    flat = cf.SurfaceMesh(volume.grid.centre + np.eye(3), [[0, 1, 2], [2, 1, 0]])
    with pytest.raises(FitError, match="no voxel"):
        cf.fit(volume, flat)
    for start in (sphere, None):
        with pytest.raises(FitError, match="--edge"):
            cf.fit(volume, start, config=cf.FitConfig(edge=1e-3))
    with pytest.raises(VolumeError, match="every voxel"):
        cf.fit(cf.Volume(np.full((9, 9, 9), 5), 0.2), sphere)
    with pytest.raises(FitError, match="empty"):
        cf.fit(volume, sphere, roi=np.zeros(volume.shape))


@pytest.mark.parametrize(
    ("name", "value"),
    [("init", "cube"), ("edge", -1.0), ("iterations", 0), ("blurs", ()), ("preconditioning", (1.0,)), ("step", 0.0),
     ("cutoff", 1.0), ("device", "tpu"), ("dtype", "float16"), ("psf_shape", "round"), ("backend", "fast"),
     ("weight_floor", 2.0), ("margin", 0.0), ("robust", -1.0), ("patience", 0), ("seed", -1), ("edge", float("inf"))],
)  # fmt: skip
def test_settings_are_checked(name, value):
    with pytest.raises(ConfigError, match=name):
        cf.FitConfig(**{name: value})


def test_settings_survive_a_file():
    config = cf.FitConfig(
        iterations=7, blurs=(1.0, 0.0), preconditioning=(3.0, 2.0), step=(1.0, 0.5), smoothness_weight=(1.0, 9.0)
    )
    assert cf.FitConfig.from_dict(json.loads(json.dumps(config.as_dict()))) == config
    with pytest.raises(ConfigError, match="colour"):
        cf.FitConfig.from_dict({"colour": 1})


def test_other_numbers_of_stages_take_the_last_defaults():
    default = cf.FitConfig()
    one, four = cf.FitConfig(blurs=(0.0,)), cf.FitConfig(blurs=(4.0, 2.0, 1.0, 0.0))
    for name in ("preconditioning", "step", "smoothness_weight"):
        whole = getattr(default, name)
        assert getattr(one, name) == whole[-1:] and getattr(four, name) == (whole[0], *whole)
    with pytest.raises(ConfigError, match="step"):
        cf.FitConfig(blurs=(0.0,), step=(1.0, 0.3))


def test_stage_lengths_add_up():
    for n in (1, 2, 3, 7, 50, 401):
        lengths = stage_lengths(cf.FitConfig(iterations=n))
        assert sum(lengths) == n and min(lengths) >= 0 and lengths[-1] >= n / 2


@pytest.mark.slow
def test_without_finufft_and_cholespy(monkeypatch):
    from cytoform import devices
    from cytoform.optim import precondition

    monkeypatch.setattr(devices, "has_finufft", lambda: False)
    assert precondition.LaplacianPreconditioner(shapes.icosphere().faces, 642, method="splu").method == "splu"
    truth, volume, _ = ball(shape=(12, 18, 18), spacing=(0.5, 0.33, 0.33))
    result = cf.fit(volume, config=cf.FitConfig(iterations=25, edge=0.8, infer_psf=False, device="cpu"))
    assert mesh_iou(result.mesh, truth, 0.1) > 0.85


@pytest.mark.slow
def test_a_cameras_likelihood_beats_plain_least_squares():
    grid, psf = cf.Grid((18, 28, 28), (0.3, 0.2, 0.2)), cf.GaussianPSF.from_sigma((0.45, 0.28, 0.28))
    truth = shapes.ellipsoid((1.3, 1.8, 1.6), tuple(grid.centre), edge=0.25)
    side = truth.vertices[truth.faces].mean(axis=1)[:, 2] - grid.centre[2]
    truth = truth.with_density(np.exp(0.45 * side))  # dim on one side, where photons are few
    image = cf.render(truth, psf, grid.padded(psf.reach()))[tuple(slice(0, n) for n in grid.shape)]
    camera = cf.Camera(gain=2.0, offset=100.0, read_noise=1.0)
    errors = {True: [], False: []}
    for seed in range(6):
        counts = camera.simulate(np.clip(1.0 + 60.0 * image / image.max(), 0, None), seed)
        volume = cf.Volume(counts.astype(np.float32), grid.spacing)
        for known in errors:
            config = _short(iterations=60, infer_psf=False, uncertainty=known, camera=camera if known else None)
            result = cf.fit(volume, psf=psf, config=config)
            errors[known].append(surface_distances(result.mesh, truth, n_points=4000).mean)
    assert np.mean(errors[True]) < 0.97 * np.mean(errors[False])
    assert result.config.camera is None and cf.FitConfig.from_dict(config.as_dict()) == config
    kept = cf.FitConfig(camera=camera)
    assert cf.FitConfig.from_dict(json.loads(json.dumps(kept.as_dict()))) == kept
    with pytest.raises(ConfigError, match="camera"):
        cf.FitConfig(camera=3.0)


@pytest.mark.slow
def test_a_psf_without_parameters_is_held():
    _, volume, _ = ball()
    psf = cf.PupilPSF(numerical_aperture=1.0, wavelength=0.6, immersion_index=1.33)
    result = cf.fit(volume, psf=psf, config=_short(iterations=12, uncertainty=True))
    assert psf.parameters.size == 0 and result.psf.describe() == psf.describe()
    assert (result.uncertainty.psf_fwhm_um == 0).all()


def test_a_surface_that_crosses_itself_goes_back_and_is_held_firmer(monkeypatch):
    calls, told, sound = [], [], SurfaceBody.is_embedded

    def fails_once(self, mesh):
        calls.append(mesh)
        return sound(mesh) if len(calls) > 1 else False

    monkeypatch.setattr(SurfaceBody, "is_embedded", fails_once)
    _, volume, psf = ball()
    config = _short(iterations=12, blurs=(0.0,), infer_psf=False, uncertainty=False)
    result = cf.fit(volume, psf=psf, config=config, callbacks=(told.append,))
    back = [p for p in told if "back" in p.message]
    assert len(back) == 1 and back[0].iteration == config.pause_every
    # at the first pause it is again what it was at the start, and goes on from there
    np.testing.assert_array_equal(back[0].mesh.vertices, result.start.vertices)
    assert np.abs(result.mesh.vertices - result.start.vertices).max() > 0.01


@pytest.mark.slow
def test_limbs_that_grow_side_by_side():
    """A horseshoe from a small sphere in its middle: both arms grow along their cleft and do not join or cross."""
    grid, psf = cf.Grid((26, 44, 44), 0.1), cf.GaussianPSF.from_sigma(0.15)
    rod = shapes.ellipsoid((0.55, 0.55, 3.6), subdivisions=4)
    z, y, x = rod.vertices.T
    turn, radius = 0.85 * np.pi * x / 3.6, 1.25 + y
    bent = rod.with_vertices(np.stack([z, radius * np.cos(turn), radius * np.sin(turn)], axis=1) + grid.centre)
    truth = topology.orient_outward(bent)
    image = cf.render(truth, psf, grid.padded(psf.reach()))[tuple(slice(0, n) for n in grid.shape)]
    volume = cf.Volume((100.0 + 400.0 * image / image.max()).astype(np.float32), grid.spacing)
    config = cf.FitConfig(infer_psf=False, uncertainty=False, align_start=False, device="cpu")
    result = cf.fit(volume, shapes.sphere_of_edge(0.9, tuple(grid.centre), 0.2), psf, config)
    assert mesh_iou(result.mesh, truth, 0.05) > 0.95
    assert topology.self_intersections(result.mesh) == 0 and topology.quality(result.mesh).sound


def test_a_stage_ends_when_little_is_gained():
    _, volume, psf = ball()
    config = _short(patience=(4, 4, 4), min_gain=(5.0, 5.0, 3.0))
    state, _ = begun(volume, config, psf=psf)
    state.count.stage, state.count.stage_step = 0, 3
    record_gain(state, 2.0, config)
    state.count.stage_step = 5
    record_gain(state, 2.0, config)
    assert has_settled(state, config)
    record_gain(state, 1.5, config)  # 5.5 since the beginning
    assert not has_settled(state, config) and state.count.gained == 0.0
    state.count.stage_step = 9
    assert has_settled(state, config)
    state.count.stage = 2
    record_gain(state, 3.0, config)
    assert not has_settled(state, config)


def _spiked(mesh):
    """With a spike through the far side."""
    points = mesh.vertices.copy()
    points[0] = 2.0 * points.mean(axis=0) - points[0]
    return mesh.with_vertices(points)


def test_firmness_eases_with_sound_pauses():
    _, volume, psf = ball()
    config = _short()
    state, body = begun(volume, config, psf=psf)
    stage = Stage(state, body, config)
    state.mesh = _spiked(state.mesh)
    assert "back" in undo_folding(state, stage)
    assert state.mesh is state.last_pause.mesh and state.estimates.folding_factor == pytest.approx(3.0)
    pause(state, stage, config)
    assert 1.0 < state.estimates.folding_factor < 3.0
    for _ in range(5):
        pause(state, stage, config)
    assert state.estimates.folding_factor == 1.0


def test_a_pause_comes_when_the_surface_has_gone_far_or_is_worn():
    _, volume, psf = ball()
    config = _short(pause_every=15)
    state, body = begun(volume, config, psf=psf)
    stage = Stage(state, body, config)
    still, state.count.since_pause = state.mesh, 5
    assert not pause_due(state, stage, config)
    state.mesh = still.with_vertices(still.vertices + [0.0, 0.0, 3.2 * stage.problem.voxel])
    assert pause_due(state, stage, config)
    state.count.since_pause = 4
    assert not pause_due(state, stage, config)
    state.mesh, state.count.since_pause = still, 30
    assert pause_due(state, stage, config)
    points = still.vertices.copy()
    one, two = still.faces[0, :2]
    points[one] += 0.9 * (points[two] - points[one])
    state.mesh, state.count.since_pause = still.with_vertices(points), 5
    assert pause_due(state, stage, config)


@pytest.mark.slow
@pytest.mark.parametrize("thin", [0.35, 0.45])
def test_a_thin_rod_is_not_eaten_by_remeshing(thin):
    """Hardly thicker than an edge is long: the triangles are always poor."""
    grid, psf = cf.Grid((24, 24, 48), 0.2), cf.GaussianPSF.from_sigma(0.3)
    truth = shapes.ellipsoid((thin, thin, 2.6), tuple(grid.centre), subdivisions=4)
    image = cf.render(truth, psf, grid.padded(psf.reach()))[tuple(slice(0, n) for n in grid.shape)]
    noise = np.random.default_rng(0).normal(0.0, 0.01, grid.shape)
    volume = cf.Volume((image / image.max() + noise).astype(np.float32), grid.spacing)
    result = cf.fit(volume, psf=psf, config=cf.FitConfig(infer_psf=False, uncertainty=False, device="cpu"))
    assert result.mesh.n_faces > 40 and topology.quality(result.mesh).sound
    assert mesh_iou(result.mesh, truth, 0.05) > (0.5 if thin < 0.4 else 0.8)


def test_care_leaves_what_it_cannot_better(monkeypatch):
    _, volume, _ = ball()
    body = SurfaceBody(Scene(volume), 0.45)
    mesh = shapes.sphere_of_edge(1.5, tuple(volume.grid.centre), 0.45)
    assert body.improved(mesh, last=False) is None
    points = mesh.vertices.copy()
    one, two = mesh.faces[0, :2]
    points[one] += 0.8 * (points[two] - points[one])
    worn = mesh.with_vertices(points)
    better = body.improved(worn, last=False)
    assert better is not None and not body.needs_remeshing(better, last=False)
    assert body.improved(worn, last=True) is None  # good enough for the last stage
    monkeypatch.setattr(surface_body, "remesh", lambda mesh, *a, **k: mesh)
    assert body.improved(worn, last=False) is None
    monkeypatch.setattr(surface_body, "remesh", lambda m, *a, **k: mesh.with_vertices(0.9 * mesh.vertices))
    assert body.improved(worn, last=False) is None


def test_what_is_gained_by_steps_taken_back_does_not_count():
    _, volume, psf = ball()
    config = _short()
    state, body = begun(volume, config, psf=psf)
    stage = Stage(state, body, config)
    state.mesh, count = _spiked(state.mesh), state.count
    count.stage_step, count.since_pause, count.gained, count.gained_step = 12, 7, 4.0, 11
    assert "back" in undo_folding(state, stage)
    assert count.gained == 0.0 and count.gained_step == 5


def _leaves(value, name="state"):
    """All that a state holds, by its place."""
    if isinstance(value, cf.SurfaceMesh):
        value = value.arrays()
    elif hasattr(value, "state_arrays"):
        value = {**value.state_arrays(), "shape": value.shape, "memory": value.memory}
    elif hasattr(value, "describe"):
        value = value.describe()
    if dataclasses.is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}.{key}")
    else:
        yield name, value


def test_a_checkpoint_holds_all_of_a_state(tmp_path):
    """Every field, in groups too, comes back equal and of the same type, also where it is not what it began with."""
    _, volume, psf = ball()
    config = _short()
    state, body = begun(volume, config, psf=psf)
    stage = Stage(state, body, config)
    for number, count in enumerate(dataclasses.fields(state.count)):
        before = getattr(state.count, count.name)
        setattr(state.count, count.name, type(before)(number + 1))
    state.estimates.prior_weight, state.estimates.staining_spread, state.estimates.edges_evened, state.transform = (
        0.25,
        0.125,
        True,
        "nufft",
    )
    state.append_history("psf", 0.5, 0.75, 1.0, 2.0, 3.0)
    state.stop_reason, state.remarks, state.inputs = "done", ("A remark.", "µ"), {"image": {"name": "x"}}
    state.shape_optimiser.step(state.trial, 1.0, state.trial, stage.precondition, 0.1)
    save_checkpoint(tmp_path / "c.h5", state, "mark", config, {"start": "a"})
    again = load_checkpoint(tmp_path / "c.h5", "mark", config, {"start": "a"})
    before, after = dict(_leaves(state)), dict(_leaves(again))
    assert before.keys() == after.keys() and len(before) > 60
    for name, value in before.items():
        assert type(after[name]) is type(value), name
        np.testing.assert_array_equal(after[name], value, err_msg=name)


def test_a_given_start_has_the_neighbours_that_a_found_one_has():
    grid, psf = cf.Grid((24, 60, 32), 0.2), cf.GaussianPSF.from_sigma(0.3)
    two = [shapes.ellipsoid((1.4, r, r), (2.4, y, 3.2), subdivisions=3) for y, r in ((3.4, 2.2), (8.6, 1.6))]
    parts = [cf.render(m, psf, grid.padded(psf.reach()))[tuple(slice(0, n) for n in grid.shape)] for m in two]
    volume = cf.Volume((parts[0] + parts[1]).astype(np.float32), grid.spacing)
    scene = Scene(volume)
    found = scene.largest_object()
    inside = [mesh_to_mask(m, volume.grid) for m in two]
    alike, same = search_result_for(inside[0], scene)
    assert same
    np.testing.assert_array_equal(alike.mask, found.mask)
    np.testing.assert_array_equal(alike.other_objects, found.other_objects)
    other, same = search_result_for(inside[1], scene)  # the smaller one is meant: the larger is its neighbour
    assert not same and (other.other_objects & inside[0]).any() and not (other.other_objects & inside[1]).any()


@pytest.mark.slow
def test_inputs_are_plain_before_the_fit(tmp_path):
    _, volume, psf = ball()
    config = cf.FitConfig(edge=np.float32(0.5), iterations=np.int64(2), seed=np.int64(1), blurs=np.float32(0),
                          uncertainty=False, device="cpu")  # fmt: skip
    assert config.blurs == (0.0,) and config.edge == float(np.float32(0.5))
    assert type(config.edge) is float and type(config.iterations) is int
    inputs = {"well": np.int64(3), "plate": tmp_path, "start": {"by": np.str_("hand")}}
    result = cf.fit(volume, psf=psf, config=config, inputs=inputs, out=tmp_path / "run")
    result.save(tmp_path / "run")
    saved = json.loads((tmp_path / "run" / "fit.json").read_text())
    assert saved["inputs"]["well"] == 3 and saved["inputs"]["plate"] == str(tmp_path)
    assert saved["inputs"]["start"]["by"] == "hand" and saved["config"]["iterations"] == 2
    steps = []
    for inputs, words in (({"well": object()}, r"inputs\['well'\] is <object"), (3, "inputs is 3; expected a mapping")):
        with pytest.raises(ConfigError, match=words):
            cf.fit(volume, config=config, inputs=inputs, callbacks=[steps.append])
    assert not steps
