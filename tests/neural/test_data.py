"""What a training draws, against the files and formulas it is drawn from."""

import h5py
import numpy as np
import pytest
from neural.shapes import balls, body

from cytoform.errors import FileFormatError, SequenceError
from cytoform.sdf import SDFSequence

torch = pytest.importorskip("torch")

from cytoform.neural import train  # noqa: E402
from cytoform.neural.config import TrainConfig  # noqa: E402
from cytoform.neural.data import Draw, TrainingSet, Variant, variants, voxel_coordinates  # noqa: E402

HALF, N = 3.0, 16


def own(number, code=0):
    return Draw(number, code, code, 0.0)


def numbers_of(points, shape=(N, N, N)):
    """Voxels of coordinates, and how far from a voxel's centre they lie."""
    index = (points[:, :3] * (max(shape) - 1) + np.array(shape) - 1) / 2
    whole = np.rint(index).astype(int)
    return whole, np.abs(index - whole).max()


@pytest.mark.parametrize("memory", [1e9, 300_000, 1.0])
def test_targets_are_the_sequence_at_the_points(memory):
    sequences = [body(0.0, name="a"), body(1.0, name="b")]
    with TrainingSet(sequences, frame_points=1000, memory=memory) as data:
        assert len(data) == 8 and data.names == ["a", "b"]
        assert data.cube.half_um == pytest.approx(HALF) and data.cube.samples == N and data.cube.time_step == 60
        assert data.resident == (memory > 1)
        for number in range(8):
            sequence, frame = sequences[number // 4], number % 4
            points, values = data.sample(own(number, number // 4))
            assert points.dtype == values.dtype == np.float32 and points.shape == (1000, 4)
            index, off = numbers_of(points)
            assert off < 1e-4 and np.abs(points[:, :3]).max() <= 1 and len(np.unique(points[:, 3])) == 1
            assert points[0, 3] == pytest.approx(-1 + 2 * frame / 3)
            np.testing.assert_allclose(values, sequence.frame(frame)[tuple(index.T)] / HALF, atol=1e-6)


def test_coordinates_have_one_scale_for_all_axes():
    shape = (3, 5, 9)
    found = voxel_coordinates(np.arange(3 * 5 * 9), shape).reshape(*shape, 3)
    np.testing.assert_allclose(found[0, 0, 0], [-0.25, -0.5, -1])
    np.testing.assert_allclose(found[-1, -1, -1], [0.25, 0.5, 1])
    np.testing.assert_allclose(np.diff(found[1, 1, :, 2]), 0.25)
    np.testing.assert_allclose(np.diff(found[1, :, 1, 1]), 0.25)
    np.testing.assert_allclose(np.diff(found[:, 1, 1, 0]), 0.25)


@pytest.mark.parametrize(("near_um", "limit"), [(None, 2 * 6 / 15), (1.3, 1.3), (0.1, 0.1)])
def test_share_of_points_near_the_surface(near_um, limit):
    with TrainingSet([body()], frame_points=1000, near_um=near_um) as data:
        _, values = data.sample(own(1))
    near = values * HALF <= limit * (1 + 1e-5)
    assert near.sum() == 700 and (values[~near] * HALF > limit).all()
    with TrainingSet([body()], frame_points=1000, near_fraction=0.2) as data:
        assert (data.sample(own(1))[1] * HALF <= 2 * 6 / 15 + 1e-5).sum() == 200


def test_least_distance_that_counts_as_near():
    """0.6 µm where two voxels are less: here 0.2 µm, with distances in known steps along x."""
    steps = np.linspace(-1, 2, 40, dtype=np.float32)
    sequence = SDFSequence.from_array(np.broadcast_to(steps, (2, 40, 40, 40)), 0.1)
    with TrainingSet([sequence], frame_points=3000, near_fraction=1.0) as data:
        found = np.unique(data.sample(own(0))[1]) * data.cube.half_um
    np.testing.assert_allclose(found, steps[steps <= 0.6], atol=1e-5)


def test_drawn_anew_at_each_visit_and_the_same_for_a_seed():
    def run(seed, ahead):
        with TrainingSet([body(), body(1.0)], frame_points=50, seed=seed, memory=8 * 8 * 300) as data:
            made = []
            for place in range(0, 40, 4):
                draws = data.draws(place, 4)
                if ahead:
                    data.prefetch(data.draws(place, 16))
                made += [data.sample(d) for d in draws]
        return np.stack([p for p, _ in made]), np.stack([v for _, v in made])

    points, values = run(0, False)
    for other in (run(0, True), run(0, False)):
        np.testing.assert_array_equal(points, other[0])
        np.testing.assert_array_equal(values, other[1])
    assert not np.array_equal(points, run(1, False)[0])
    assert len({p.tobytes() for p in points}) == 40


def test_an_epoch_goes_once_through_all_frames():
    with TrainingSet([body(), body(1.0)], frame_points=5, augment=["time"]) as data:
        assert len(data) == 16
        epochs = [[(d.frame, d.code) for d in data.draws(16 * k, 16)] for k in range(3)]
        assert [(d.frame, d.code) for d in data.draws(10, 12)] == (epochs[0] + epochs[1])[10:22]
    wanted = {(frame, variant * 2 + frame // 4) for frame in range(8) for variant in range(2)}
    assert all(set(e) == wanted and len(set(e)) == 16 for e in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_reservoirs_stay_within_the_memory_and_are_refilled():
    memory, frames = 40_000, 8
    with TrainingSet([body(n=20), body(1.0, n=20)], frame_points=100, memory=memory) as data:
        assert data.resident
        seen = set()
        for place in range(0, 100 * frames, frames):
            for draw in data.draws(place, frames):
                points, _ = data.sample(draw)
                if draw.frame == 3:
                    seen |= {p.tobytes() for p in points}
            held = [a for r in data._reservoirs.values() for a in vars(r).values() if isinstance(a, np.ndarray)]
            assert 0.5 * memory < sum(a.nbytes for a in held) <= memory or place == 0
        room = memory // (8 * frames)
    assert len(seen) > 3 * room  # more points than a reservoir holds: it was drawn anew


def test_without_memory_every_visit_reads_its_frame():
    with TrainingSet([body(n=20)], frame_points=500, memory=100.0) as data:
        assert not data.resident
        first, second = data.sample(own(2))[0], data.sample(own(2))[0]
        assert not data._reservoirs and not np.array_equal(first, second)


# ---------------------------------------------------------------------------------------------------------------------
# Variants and blends


def test_variants():
    assert variants(()) == [Variant()] and Variant().name == ""
    names = [v.name for v in variants(("mirror", "time"))]
    assert len(set(names)) == 16 and names[0] == "" and {"~z", "~zyx", "~yt", "~zyxt", "~t"} < set(names)


def test_variants_are_the_mirrored_shape():
    """f at the mirrored place and time, from the formula."""
    with TrainingSet([body(0.5, name="a")], frame_points=400, augment=["mirror", "time"]) as data:
        assert len(data.names) == 16 and data.names[0] == "a"
        for code, name in enumerate(data.names):
            points, values = data.sample(own(1, code))
            flip = np.array([-1 if axis in name.partition("~")[2] else 1 for axis in "zyxt"])
            at = points * flip
            np.testing.assert_allclose(at[:, 3], -1 / 3, atol=1e-6)
            np.testing.assert_allclose(values, balls(at[:, :3], -1 / 3, 0.5), atol=1e-5)


@pytest.mark.slow
def test_scores_of_variants_are_those_of_flipped_sequences():
    """The same distances between all shapes as when each variant were a sequence of its own."""
    plain = [body(arm, frames=5) for arm in (0.0, 0.4, 1.0)]
    with TrainingSet(plain, frame_points=5, augment=["mirror", "time"]) as data:
        found, names = data.shape_scores(60), [v.name for v in data.variants]
    flipped = []
    for name in names:
        axes = ["tzyx".index(letter) for letter in name.removeprefix("~")]
        for sequence in plain:
            values = np.flip(np.stack(list(sequence)), axes)
            flipped.append(SDFSequence.from_array(values, sequence.info.spacing))
    with TrainingSet(flipped, frame_points=5) as data:
        wanted = data.shape_scores(60)
    np.testing.assert_allclose(found @ found.T, wanted @ wanted.T, atol=1e-3 * (wanted**2).sum(1).max())
    assert found.std() == pytest.approx(1) and np.linalg.matrix_rank(found) > 20


@pytest.mark.parametrize("augment", [(), ("mirror", "time")])
def test_blends_mix_distances(augment):
    """(1 − a) f + a g for smooth fields, at points near both surfaces; few enough samples to be looked up exactly."""
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 24)] * 3, indexing="ij"), -1)

    def field(points, time, sequence):
        centre = [(0.1, 0.0, -0.1), (-0.2, 0.1, 0.2)][sequence]
        return ((points - np.array(centre)) ** 2).sum(-1) - 0.3 - 0.05 * time * (1 + sequence)

    frames = (4, 4)
    times = [np.linspace(-1, 1, k) for k in frames]
    sequences = [SDFSequence.from_array([field(grid, t, k) for t in times[k]], 2 / 23) for k in range(2)]
    with TrainingSet(sequences, frame_points=300, mix=1.0, augment=augment, seed=3) as data:
        draws = data.draws(0, 60)
        assert len({d.second_weight for d in draws}) == 60 and len({d.second_code for d in draws}) > 1
        for draw in draws:
            points, values = data.sample(draw)
            wanted, near = [], []
            for code in (draw.code, draw.second_code):
                at = points * np.array(data.variants[code // 2].signs)
                frame = data.frames[draw.frame].frame if code == draw.code else int(np.rint((at[0, 3] + 1) * 1.5))
                wanted.append(field(at[:, :3], times[code % 2][frame], code % 2))
                near.append(wanted[-1] <= 0.6)
            mixed = (1 - draw.second_weight) * wanted[0] + draw.second_weight * wanted[1]
            # linear interpolation of a parabola errs by at most h²/4 an axis; half precision by 5e-4 of about 3
            assert np.abs(values - mixed).max() < 3 * (2 / 23) ** 2 / 4 + 2e-3
            assert near[0][:150].mean() >= 0.69 and near[1][150:].mean() >= 0.69


def test_share_of_blends():
    with TrainingSet([body(), body(1.0)], frame_points=20, mix=0.3) as data:
        draws = data.draws(0, 2000)
    share = np.mean([d.second_weight > 0 for d in draws])
    assert 0.26 < share < 0.34  # 3.9 standard deviations of 2000 coins
    assert all(d.second_code == d.code for d in draws if not d.second_weight)


# ---------------------------------------------------------------------------------------------------------------------
# What cannot be learned from


def array(frames=2, shape=(12, 12, 12), spacing=0.5):
    z, y, x = np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in shape], indexing="ij")
    sdf = np.sqrt(z**2 + y**2 + x**2) * np.min(spacing) - 1.5
    return SDFSequence.from_array([sdf] * frames, spacing)


def test_errors():
    def refused(match, *sequences):
        with pytest.raises(SequenceError, match=match), TrainingSet(list(sequences), frame_points=50) as data:
            for number in range(len(data)):
                data.sample(own(number))

    refused("no sequences")
    refused("has 1 frame; expected two or more", array(1))
    refused(r"frames of \(12, 12, 10\), .* of \(12, 12, 12\)", array(), array(shape=(12, 12, 10)))
    refused("voxels of .* expected the same for all", array(), array(spacing=0.6))
    refused("expected the same for all", array(), SDFSequence.from_array(array().frame(0)[None].repeat(2, 0), None))
    refused("same size along all axes", array(spacing=(0.5, 0.5, 0.6)))
    empty = np.stack([array().frame(0), np.ones((12, 12, 12))])
    refused("frame 1 of a has no voxel inside", SDFSequence.from_array(empty, 0.5, name="a"))


def test_broken_number_in_a_file(tmp_path):
    place = tmp_path / "a.h5"
    array().save(place)
    with h5py.File(place, "r+") as file:
        file["sdf_vid"][3, 4, 5, 1] = np.nan
    with TrainingSet([place], frame_points=50) as data:
        data.sample(own(0))
        with pytest.raises(SequenceError, match=r"frame 1 of .*a\.h5 has 1 values that are NaN"):
            data.sample(own(1))
        data.prefetch([own(1)])  # beside the work: told when it is drawn
        with pytest.raises(SequenceError, match="NaN"):
            data.sample(own(1))


def test_files_are_closed_when_one_of_them_cannot_be_opened(tmp_path):
    array().save(tmp_path / "a.h5")
    (tmp_path / "b.h5").write_bytes(b"none")
    with pytest.raises(FileFormatError):
        TrainingSet([tmp_path / "a.h5", tmp_path / "b.h5"], frame_points=50)
    with h5py.File(tmp_path / "a.h5", "r+") as file:  # fails where it is still open for reading
        assert "sdf_vid" in file


@pytest.mark.slow
def test_published_files_train(tmp_path):
    """MATLAB's layout without attributes, clamped and divided frame by frame by the largest: no metric scale."""
    axes = np.meshgrid(*[np.arange(n, dtype=float) for n in (14, 12, 10)], indexing="ij")
    frames = []
    for radius in (3.0, 4.0, 4.5):
        sdf = np.sqrt(sum((a - c) ** 2 for a, c in zip(axes, (6.5, 5.5, 4.5)))) - radius
        frames.append(np.minimum(sdf, 32) / np.abs(sdf).max())
    with h5py.File(tmp_path / "cell.mat", "w", userblock_size=512) as file:
        file["sdf_vid"] = np.stack(frames).astype(np.float32).transpose(3, 2, 1, 0)
    with TrainingSet([tmp_path / "cell.mat"], frame_points=300) as data:
        assert data.cube.half_um is None and data.cube.samples == 14 and data.names == ["cell"]
        size = float(np.abs(np.sqrt(6.5**2 + 5.5**2 + 4.5**2) - 3.0))
        assert data.cube.slope == pytest.approx(6.5 / size, rel=0.1)
        points, values = data.sample(own(1))
        index, off = numbers_of(points, (14, 12, 10))
        assert off < 1e-4
        np.testing.assert_allclose(values, frames[1][tuple(index.T)], atol=1e-6)
        assert (values <= 0.1).sum() == 210
    config = TrainConfig(epochs=2, frame_points=64, batch_frames=2)
    model = train([tmp_path / "cell.mat"], config=config, device="cpu", precision="full")
    assert model.space.half_um is None and model.space.frames == 3 and np.isfinite(model.notes["loss"])


def test_the_slope_of_a_clamped_file_without_scale():
    """Most of such a frame is level: only what lies beside the surface counts."""
    n = 32
    axis = np.arange(n) - 0.5 * (n - 1)
    distance = np.sqrt(sum(a**2 for a in np.meshgrid(axis, axis, axis, indexing="ij"))) - 6.0
    frame = np.minimum(distance, 4.0) / 6.0
    assert np.mean(frame == frame.max()) > 0.5
    with TrainingSet([SDFSequence.from_array(np.stack([frame, frame]), None)], frame_points=64) as data:
        assert data.cube.slope == pytest.approx((n - 1) / 2 / 6.0, rel=0.1)
        assert np.isfinite(data.shape_scores(4)).all()


def test_the_memory_of_blends_stays_within_what_is_granted():
    sequence = body(0.0, n=24)
    with TrainingSet([sequence], frame_points=16, memory=4 * 2 * 16**3 * len(sequence), mix=1.0) as data:
        for draw in data.draws(0, 12):
            data.sample(draw)
        assert sum(c.nbytes for c in data._coarse_frames.values()) <= 0.6 * 4 * 2 * 16**3 * len(sequence)


@pytest.mark.slow
def test_more_files_than_may_be_open(tmp_path):
    resource = pytest.importorskip("resource", reason="limits of open files are Unix's")
    path = tmp_path / "a.h5"
    body(0.0, name="a").save(path)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, before[1]))
    try:
        with TrainingSet([path] * 200, frame_points=50) as data:
            drawn = [data.sample(Draw(number, number // 4, number // 4, 0.0)) for number in range(len(data))]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert len(data.names) == 200 == len(set(data.names)) and len(drawn) == 800
