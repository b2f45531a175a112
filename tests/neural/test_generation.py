"""Shapes out of a model whose distances are a formula."""

import h5py
import numpy as np
import pytest
from neural.shapes import Octahedron, cube
from scipy.spatial.transform import Rotation

import cytoform as cf
from cytoform.errors import ConfigError, FileFormatError, OutputError, SequenceError
from cytoform.sdf import open_sequence

torch = pytest.importorskip("torch")

from cytoform.neural import generate, interpolate, reconstruct  # noqa: E402
from cytoform.neural import rotation as rotations  # noqa: E402
from cytoform.neural.prior import Gaussian  # noqa: E402

HALF, N = 4.0, 24  # µm; samples
BODY = Octahedron()
CODES = (0.0, 1.0, -1.0)
ANGLES = [0.4, -0.2, 0.9]
EXACT = dict(exhaustive=True, device="cpu", rotation="none")


def truth(time, code, n=N, turn=None):
    return HALF * BODY(cube(n), time, code, turn)


def test_reconstructs_what_was_learned():
    found = reconstruct(BODY.model(), **EXACT)
    assert [s.name for s in found] == ["s0", "s1", "s2"]
    for sequence, code in zip(found, CODES):
        assert sequence.shape == (3, N, N, N) and sequence.info.time_step == pytest.approx(30)
        np.testing.assert_allclose(sequence.info.spacing, 2 * HALF / (N - 1))
        for frame, time in enumerate((-1, 0, 1)):
            np.testing.assert_allclose(sequence.frame(frame), truth(time, code), atol=1e-5)


def test_some_of_them_at_other_times_and_samples():
    model = BODY.model()
    (one,) = reconstruct(model, "s1", frames=5, shape=33, **EXACT)
    assert one.shape == (5, 33, 33, 33) and one.info.time_step == pytest.approx(15)
    np.testing.assert_allclose(one.frame(1), truth(-0.5, 1.0, 33), atol=1e-5)
    last, first = reconstruct(model, [-1, 0], frames=[0.25], shape=(16, 20, 24), **EXACT)
    assert (last.name, first.name) == ("s2", "s0") and last.shape == (1, 16, 20, 24) and last.info.time_step is None
    axes = [(np.arange(n) - (n - 1) / 2) * 2 / 23 for n in (16, 20, 24)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    np.testing.assert_allclose(last.frame(0), HALF * BODY(grid, 0.25, -1.0), atol=1e-5)
    np.testing.assert_allclose(last.info.spacing, 8 / 23)
    assert reconstruct(model, np.int64(1), frames=1, **EXACT)[0].name == "s1"


def test_learned_and_given_rotations():
    model = BODY.model()
    turn = Rotation.from_quat([0.9, 0.1, -0.3, 0.3], scalar_first=True).as_matrix()
    (learned,) = reconstruct(model, "s2", frames=[1.0], exhaustive=True, device="cpu")
    np.testing.assert_allclose(learned.frame(0), truth(1, -1.0, turn=turn), atol=1e-5)
    (given,) = reconstruct(model, "s2", frames=[1.0], **{**EXACT, "rotation": ANGLES})
    turn = Rotation.from_euler("XYZ", ANGLES).as_matrix()
    np.testing.assert_allclose(given.frame(0), truth(1, -1.0, turn=turn), atol=1e-5)


def test_without_a_metric_scale():
    model = BODY.model()
    model.space = type(model.space)(samples=N, frames=3, half_um=None)
    (one,) = reconstruct(model, 0, frames=[0.0], **EXACT)
    assert one.info.spacing is None and one.info.time_step is None
    np.testing.assert_allclose(one.frame(0), truth(0, 0.0) / HALF, atol=1e-6)


def test_progress():
    told = []
    reconstruct(BODY.model(), [0, 1], frames=2, shape=8, progress=lambda *t: told.append(t), **EXACT)
    assert told == [(1, 4, "s0"), (2, 4, "s0"), (3, 4, "s1"), (4, 4, "s1")]


# ---------------------------------------------------------------------------------------------------------------------
# New ones


def shift_of(frame):
    """Where the octahedron's middle is: its code times 0.15, at time 0."""
    grid = cube(len(frame))
    return np.array([(grid[frame < 0]).mean(0)])[0]


def test_generated_shapes_are_seeded_draws_from_the_prior():
    options = dict(frames=[0.0], shape=32, exhaustive=True, device="cpu")
    model = BODY.model(codes=(0.0, 1.0, -1.0, 0.4))
    one = generate(model, 3, seed=1, **options)
    same, other = generate(model, 3, seed=1, **options), generate(model, 3, seed=2, **options)
    assert [s.name for s in one] == ["generated_000", "generated_001", "generated_002"]
    for a, b, c in zip(one, same, other):
        np.testing.assert_array_equal(a.frame(0), b.frame(0))
        assert not np.array_equal(a.frame(0), c.frame(0))
    for prior in ("gaussian", "near", "mixture"):
        near = generate(model, 3, prior=prior, spread=0.0, seed=1, **options)
        middles = np.array([shift_of(s.frame(0))[0] for s in near]) / BODY.by_code
        allowed = np.array([0.1]) if prior != "near" else np.array([0.0, 1.0, -1.0, 0.4])
        assert np.abs(middles[:, None] - allowed).min(1).max() < 0.15
        assert len(np.unique(np.abs(middles[:, None] - allowed).argmin(1))) == (3 if prior == "near" else 1)


def test_random_rotations_are_one_for_each_shape():
    model = BODY.model()
    options = dict(frames=[-1.0, 1.0], shape=32, exhaustive=True, device="cpu", prior=Gaussian(np.full((2, 1), 2.0)))
    turned = generate(model, 4, rotation="random", seed=3, **options)
    steps = [shift_of(s.frame(1)) - shift_of(s.frame(0)) for s in turned]
    for step in steps:  # the drift along the first axis, turned
        assert np.linalg.norm(step) == pytest.approx(0.4, abs=0.02)
    directions = np.array(steps) / 0.4
    assert np.abs(directions @ directions.T - np.eye(4)).max() < 0.999 and np.ptp(directions[:, 0]) > 0.3
    (fixed,) = generate(model, 1, rotation=[0, np.pi / 2, 0], seed=3, **options)
    step = shift_of(fixed.frame(1)) - shift_of(fixed.frame(0))
    np.testing.assert_allclose(step, rotations.to_rotation_matrix([0, np.pi / 2, 0]) @ [0.4, 0, 0], atol=0.02)
    assert "Gaussian" in fixed.info.source and len(fixed.info.source) < 60


def test_interpolation_ends_at_its_ends():
    model = BODY.model()
    line = interpolate(model, "s2", "s1", steps=5, **EXACT)
    assert len(line) == 5
    for sequence, code in zip(line, np.linspace(-1, 1, 5)):
        np.testing.assert_allclose(sequence.frame(2), truth(1, code), atol=1e-5)
    ends = reconstruct(model, ["s2", "s1"], **EXACT)
    for a, b in ((line[0], ends[0]), (line[-1], ends[1])):
        np.testing.assert_array_equal(np.stack(list(a)), np.stack(list(b)))
    given = interpolate(model, [2.0], [3.0], steps=2, frames=[0.0], **EXACT)
    np.testing.assert_allclose(given[1].frame(0), truth(0, 3.0), atol=1e-5)


def test_interpolation_of_one_in_time():
    (one,) = interpolate(BODY.model(), 1, frames=9, **EXACT)
    np.testing.assert_allclose(one.frame(3), truth(-0.25, 1.0), atol=1e-5)
    (code,) = interpolate(BODY.model(), [0.5], frames=[0.5], **EXACT)
    np.testing.assert_allclose(code.frame(0), truth(0.5, 0.5), atol=1e-5)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda m: reconstruct(m, "none"), SequenceError, "no sequence 'none'; the model knows 3: s0, s1, s2"),
        (lambda m: reconstruct(m, 3), SequenceError, "no sequence 3"),
        (lambda m: reconstruct(m, rotation="some"), ConfigError, "rotation is 'some'"),
        (lambda m: reconstruct(m, rotation=np.ones((3, 3))), ConfigError, "not a rotation"),
        (lambda m: reconstruct(m, frames=0), ConfigError, "frames is 0"),
        (lambda m: reconstruct(m, frames=[]), ConfigError, "frames is"),
        (lambda m: reconstruct(m, frames=[np.nan]), ConfigError, "frames is"),
        (lambda m: reconstruct(m, shape=1), ConfigError, "shape is 1"),
        (lambda m: reconstruct(m, shape=(8, 8)), ConfigError, "shape is"),
        (lambda m: generate(m, 0), ConfigError, "n is 0"),
        (lambda m: generate(m, 1, prior="flow"), ConfigError, "prior is 'flow'"),
        (lambda m: interpolate(m, 0, 1, steps=1), ConfigError, "steps is 1"),
        (lambda m: interpolate(m, [0.0, 1.0], 1), ConfigError, "code has shape"),
        (lambda m: reconstruct("/none/model"), FileFormatError, "does not exist"),
    ],
)
def test_errors(call, error, match):
    with pytest.raises(error, match=match):
        call(BODY.model())


def test_shapes_that_are_not_there_are_told(caplog):
    model = BODY.model()
    reconstruct(model, 0, frames=2, **EXACT)
    assert caplog.text == ""
    with torch.no_grad():
        model.layers[-1].bias += 10.0
    reconstruct(model, 0, frames=2, **EXACT)
    assert "s0 has no shape in any frame" in caplog.text


def test_a_model_without_sequences():
    model = BODY.model()
    model.learned = type(model.learned)(torch.zeros(0, 1), torch.zeros(0, 4), [], [], 0)
    with pytest.raises(ConfigError, match="learned no sequences"):
        reconstruct(model)
    with pytest.raises(ConfigError, match="learned no sequences"):
        generate(model, 1)


# ---------------------------------------------------------------------------------------------------------------------
# Files


def test_every_format_opens_elsewhere(tmp_path):
    import tifffile

    model, n = BODY.model(samples=48), 48
    model.save(tmp_path / "model")
    turn = Rotation.from_euler("XYZ", ANGLES).as_matrix()  # else whole faces lie between two planes of voxels
    written = reconstruct(
        tmp_path / "model", ["s0", "s1"], tmp_path / "out", formats=["mesh", "points", "mask", "h5", "mat"],
        **{**EXACT, "rotation": ANGLES},
    )  # fmt: skip
    assert len(written) == 10 and all(p.exists() for p in written)
    out = tmp_path / "out"
    with open_sequence(out / "s1.h5") as sequence:
        assert sequence.shape == (3, n, n, n) and sequence.name == "s1" and sequence.info.clamp is None
        np.testing.assert_allclose(sequence.frame(2), truth(1, 1.0, n, turn), atol=1e-5)
        inside = np.stack([f < 0 for f in sequence])
    with h5py.File(out / "s1.mat") as file:  # MAT 7.3: HDF5 behind a header
        np.testing.assert_allclose(file["sdf_vid"][...].transpose(3, 2, 1, 0)[2], truth(1, 1.0, n, turn), atol=1e-5)
    assert (out / "s1.mat").read_bytes().startswith(b"MATLAB 7.3")
    spacing = 2 * HALF / (n - 1)
    with tifffile.TiffFile(out / "s1_mask.tif") as tif:
        np.testing.assert_array_equal(tif.asarray() > 0, inside)
        assert tif.series[0].axes == "TZYX" and tif.imagej_metadata["spacing"] == pytest.approx(spacing)
        assert tif.imagej_metadata["unit"] == "um" and tif.imagej_metadata["finterval"] == pytest.approx(30)
        count, per = tif.pages[0].tags["XResolution"].value
        assert per / count == pytest.approx(spacing, rel=1e-4)
    check_surfaces(out, inside, spacing, turn)


def check_surfaces(out, inside, spacing, turn):
    meshes = sorted((out / "s1_mesh").iterdir())
    assert [p.name for p in meshes] == ["s1_t00.ply", "s1_t01.ply", "s1_t02.ply"]
    for k, place in enumerate(meshes):
        mesh = cf.read_mesh(place)
        assert mesh.volume == pytest.approx(inside[k].sum() * spacing**3, rel=0.03)
        # The exact volume of |x|+|y|+|z| ≤ √3 r is 4/3 (√3 r)³; its corners are cut by the sampling.
        assert mesh.volume == pytest.approx(4 / 3 * (np.sqrt(3) * 0.37 * HALF) ** 3, rel=0.03)
        middle = HALF * turn @ [0.2 * (k - 1) + 0.15, 0, 0]
        np.testing.assert_allclose(mesh.vertices.mean(0), middle, atol=0.05)
        cloud = read_points(out / "s1_points" / f"s1_t{k:02d}.ply")
        np.testing.assert_allclose(np.linalg.norm(cloud[:, 3:], axis=1), 1, atol=1e-5)
        away = cloud[:, 2::-1] - middle  # (z, y, x)
        assert ((away * cloud[:, :2:-1]).sum(1) > 0).mean() > 0.99
        value = np.abs(away @ turn).sum(1) / np.sqrt(3) - 0.37 * HALF
        assert np.abs(value).max() < 0.5 * spacing and np.median(np.abs(value)) < 0.01 * spacing


def read_points(place):
    """x, y, z, nx, ny, nz of a binary PLY."""
    head, _, body = place.read_bytes().partition(b"end_header\n")
    assert [line.split()[-1] for line in head.split(b"\n") if line.startswith(b"property")] == [
        b"x", b"y", b"z", b"nx", b"ny", b"nz"
    ]  # fmt: skip
    count = int(head.split(b"element vertex ")[1].split()[0])
    return np.frombuffer(body, "<f4").reshape(count, 6)


def test_a_surface_that_the_box_cuts_is_closed():
    from cytoform.sdf.frames import frame_mesh

    (one,) = reconstruct(BODY.model(), 0, frames=[0.0], shape=N, **EXACT)
    cut = type(one).from_array(one.frame(0)[None, :12], one.info.spacing)
    mesh = frame_mesh(cut, 0)
    edges = np.sort(mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
    half, section = frame_mesh(one, 0).volume / 2, 2 * 3 * (0.37 * HALF) ** 2
    assert half - 0.5 * section * one.info.spacing[0] < mesh.volume < half  # it ends at or just after the last voxel
    assert frame_mesh(type(one).from_array(np.ones((1, 4, 4, 4)), 1.0), 0) is None


@pytest.mark.parametrize("form", ["h5", "mat", "mask", "mesh", "points"])
def test_files_are_not_overwritten(tmp_path, form):
    model = BODY.model()
    options = dict(frames=[0.0], shape=12, formats=[form], **EXACT)
    (place,) = reconstruct(model, 0, tmp_path, **options)
    held = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(OutputError, match="exists already"):
        reconstruct(model, [1, 0], tmp_path, **options)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == held
    reconstruct(model, 0, tmp_path, overwrite=True, **{**options, "shape": 16})
    assert place.exists() and all(p.read_bytes() != b for p, b in held.items())


def test_nothing_of_a_longer_sequence_stays_behind(tmp_path):
    options = dict(shape=12, formats=["mesh"], **EXACT)
    reconstruct(BODY.model(), 0, tmp_path, frames=4, **options)
    reconstruct(BODY.model(), 0, tmp_path, frames=2, overwrite=True, **options)
    assert sorted(p.name for p in (tmp_path / "s0_mesh").iterdir()) == ["s0_t00.ply", "s0_t01.ply"]


def test_names_stay_in_the_folder(tmp_path):
    model = BODY.model()
    model.learned.names[1] = "../sly/cell"
    (place,) = reconstruct(model, 1, tmp_path / "out", frames=[0.0], shape=8, **EXACT)
    assert place.parent == tmp_path / "out" and place.exists() and "cell" in place.name


def test_formats(tmp_path):
    for wrong in (["stl"], []):
        with pytest.raises(ConfigError, match=r"expected some of h5, mat, mask, mesh, points"):
            reconstruct(BODY.model(), 0, tmp_path, formats=wrong, frames=1, shape=8)
