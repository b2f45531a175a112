"""Masks and meshes in time to sequences on disk."""

import json

import numpy as np
import pytest
import tifffile
from scipy import ndimage
from scipy.spatial.transform import Rotation

from cytoform.errors import ConfigError, FileFormatError, MeshError, OutputError, SequenceError, VolumeError
from cytoform.image.io import write_volume
from cytoform.image.volume import Grid
from cytoform.masks import mesh_to_mask
from cytoform.mesh.io import write_mesh
from cytoform.mesh.shapes import ellipsoid
from cytoform.metrics import dice
from cytoform.sdf import open_sequence
from cytoform.sdf.prepare import prepare

SPACING = (0.5, 0.2, 0.2)
GRID = Grid((20, 44, 44), SPACING)
SMALL = {"shape": 24}
LIKE = 0.9  # Dice of bodies whose lengths differ by 1 %, three voxels thick; 0.5 where one is turned by a right angle


def cell(t=0, centre=(4.8, 4.3, 4.1)):
    return ellipsoid((2.0, 2.4 + 0.05 * t, 3.0), centre, edge=0.5)


def masks(n=3):
    return np.stack([mesh_to_mask(cell(t), GRID) for t in range(n)]).astype(np.uint8)


def radii(path):
    with open_sequence(path) as sequence:
        z, y, x = sequence.grid.coordinates()
        for frame in sequence:
            inside = frame < 0
            yield tuple(np.ptp(c[inside.any(axis=a)]) / 2 for c, a in zip((z, y, x), ((1, 2), (0, 2), (0, 1))))


@pytest.fixture
def folder(tmp_path):
    frames = tmp_path / "frames"
    frames.mkdir()
    for t, mask in enumerate(masks()):
        write_volume(frames / f"t{8 + t}.tif", mask, SPACING)
    return frames


@pytest.mark.slow
def test_array_of_masks(tmp_path):
    seen = []
    [path] = prepare(
        masks(), tmp_path / "out", spacing=SPACING, name="cell", time_step=30, progress=seen.append, **SMALL
    )
    assert path == tmp_path / "out" / "cell.h5"
    with open_sequence(path) as sequence:
        assert sequence.shape == (3, 24, 24, 24) and sequence.name == "cell" and sequence.info.time_step == 30
        side = 24 * sequence.info.spacing[0]
        assert sequence.info.clamp == pytest.approx(side / 4) and side == pytest.approx(
            2 * 1.1 * 3.0 * 24 / 23, rel=0.03
        )
        assert sequence.frame(0).max() == np.float32(sequence.info.clamp)
        assert sequence.frame(0).min() == pytest.approx(-2.0, abs=0.25)  # the middle lies between samples
        assert json.loads(sequence.info.source)["settings"]["shape"] == 24
    for found in radii(path):
        np.testing.assert_allclose(found, (2.0, 2.4, 3.0), atol=0.3)
    assert [(p.stage, p.done, p.total) for p in seen][-1] == ("distances", 3, 3) and seen[-1].seconds_left == 0


@pytest.mark.slow
def test_file_folder_and_list_are_the_same(tmp_path, folder):
    whole = tmp_path / "cell.ome.tif"
    meta = {"axes": "TZYX", **{f"PhysicalSize{a}": s for a, s in zip("ZYX", SPACING)}}
    tifffile.imwrite(whole, masks(), ome=True, metadata=meta)
    made = [
        prepare(source, tmp_path / f"out{k}", name="a", **SMALL)[0]
        for k, source in enumerate((whole, folder, sorted(folder.iterdir(), key=lambda p: int(p.stem[1:]))))
    ]
    frames = [np.stack(list(open_sequence(path))) for path in made]
    np.testing.assert_array_equal(frames[0], frames[1])
    np.testing.assert_array_equal(frames[1], frames[2])


def test_meshes_and_archive_agree(tmp_path):
    meshes = [cell(t) for t in range(3)]
    [one] = prepare(meshes, tmp_path / "one", name="c1", **SMALL)
    arrays = {}
    for t, mesh in enumerate(meshes):
        arrays |= {f"c1_t{t + 3:02}_v": mesh.vertices[:, ::-1] / 0.133, f"c1_t{t + 3:02}_f": mesh.faces}
    np.savez(tmp_path / "tracks.npz", **arrays)
    [two] = prepare(tmp_path / "tracks.npz", tmp_path / "two", spacing=0.133, **SMALL)
    files = tmp_path / "meshes"
    files.mkdir()
    for t, mesh in enumerate(meshes):
        write_mesh(files / f"{t}.ply", mesh)
    [three] = prepare(files, tmp_path / "three", name="c1", **SMALL)
    frames = [np.stack(list(open_sequence(path))) for path in (one, two, three)]
    for other in frames[1:]:
        np.testing.assert_allclose(other, frames[0], atol=1e-5)
    for t, found in enumerate(radii(one)):
        np.testing.assert_allclose(found, (2.0, 2.4 + 0.05 * t, 3.0), atol=0.3)


@pytest.mark.slow
def test_largest_part_and_parts(tmp_path):
    stack = masks(1).repeat(2, axis=0)
    stack[1] |= mesh_to_mask(ellipsoid((1, 1, 1), (4.8, 7.6, 7.5), edge=0.4), GRID)
    [alone] = prepare(stack, tmp_path / "a", spacing=SPACING, **SMALL)
    [both] = prepare(stack, tmp_path / "b", spacing=SPACING, parts=2, **SMALL)
    volume = [
        (np.array([(f < 0).sum() for f in s]) * np.prod(s.info.spacing)) for s in map(open_sequence, (alone, both))
    ]
    assert volume[0][1] == pytest.approx(volume[0][0], rel=0.05)
    assert volume[1][1] - volume[1][0] == pytest.approx(4 / 3 * np.pi, rel=0.3)


@pytest.mark.slow
@pytest.mark.parametrize("share, bodies", [(0.04, 2), (0.01, 1)])
def test_a_speck_is_no_daughter(tmp_path, share, bodies):
    stack = masks(2)
    side = round((share * int(stack[1].sum()) / 3) ** 0.5)
    stack[1, 1:4, 1 : 1 + side, 1 : 1 + side] = 1
    assert stack[1, 1:4, 1 : 1 + side, 1 : 1 + side].size / stack[1].sum() == pytest.approx(share, rel=0.3)
    [path] = prepare(stack, tmp_path, spacing=SPACING, parts=2, shape=48)
    with open_sequence(path) as sequence:
        assert ndimage.label(sequence.frame(1) < 0)[1] == bodies


@pytest.mark.slow
def test_daughters_that_are_larger_in_turn_are_followed(tmp_path):
    """Leaning to different sides, one that is turned as the other was comes to lie across."""
    spacing = (0.25, 0.2, 0.2)
    stack = np.zeros((4, 40, 44, 44), dtype=np.uint8)
    for t, frame in enumerate(stack):
        for side, x in ((1, 2.0), (-1, 6.4)):
            turn = Rotation.from_euler("x", 35 * side, degrees=True).as_matrix()  # of the last two: y and x
            body = ellipsoid(np.array((1.4, 2.6, 1.0)) * (1 + 0.003 * side * (-1) ** t), edge=0.4)
            body = body.with_vertices(body.vertices @ turn.T + (4.8, 4.3, x))
            frame |= mesh_to_mask(body, Grid(frame.shape, spacing))
    sizes = [np.bincount(ndimage.label(frame)[0].ravel())[1:] for frame in stack]
    assert [int(np.argmax(size)) for size in sizes] == [0, 1, 0, 1]
    [path] = prepare(stack, tmp_path, spacing=spacing, parts=2, shape=32)
    with open_sequence(path) as sequence:
        frames = [frame < 0 for frame in sequence]
    for frame in frames[1:]:
        assert dice(frame, frames[0]) > LIKE


@pytest.mark.slow
def test_the_same_masks_elsewhere_are_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    meta = {"axes": "TZYX", **{f"PhysicalSize{a}": s for a, s in zip("ZYX", SPACING)}}
    tifffile.imwrite("cell.ome.tif", masks(), ome=True, metadata=meta)
    [path] = prepare("cell.ome.tif", "out", name="a", **SMALL)
    before = path.stat().st_mtime_ns
    prepare(tmp_path / "cell.ome.tif", "out", name="a", **SMALL)
    (tmp_path / "other").mkdir()
    (tmp_path / "cell.ome.tif").rename(tmp_path / "other" / "moved.ome.tif")
    prepare("other/moved.ome.tif", "out", name="a", **SMALL)
    assert path.stat().st_mtime_ns == before
    with pytest.raises(OutputError, match="other shapes"):
        prepare("other/moved.ome.tif", "out", name="a", border="keep", **SMALL)


def test_the_place_of_an_object_counts(tmp_path):
    """Two daughters that keep their shapes but move apart are another sequence."""
    stack = np.zeros((2, *GRID.shape), dtype=np.uint8)
    ball = mesh_to_mask(ellipsoid((1, 1, 1), (4.8, 4.3, 2.3), edge=0.4), GRID)
    stack[:, ball] = 1
    far, near = stack.copy(), stack.copy()
    far[:, np.roll(ball, 20, axis=2)] = 2
    near[:, np.roll(ball, 14, axis=2)] = 2
    arguments = {"spacing": SPACING, "daughters": {3: (1, 2)}, "name": "a", "box_um": 12.0} | SMALL
    prepare(far, tmp_path, **arguments)
    with pytest.raises(OutputError, match="other shapes"):
        prepare(near, tmp_path, **arguments)


@pytest.mark.slow
def test_labels_and_daughters(tmp_path):
    stack = np.zeros((4, *GRID.shape), dtype=np.uint16)
    other = mesh_to_mask(ellipsoid((1, 1, 1.2), (1.8, 1.5, 1.8), edge=0.4), GRID)
    for t in range(4):
        stack[t][other] = 9
        if t < 2:
            stack[t][mesh_to_mask(cell(), GRID)] = 3
        else:
            stack[t][mesh_to_mask(ellipsoid((1.5, 1.6, 1.4), (4.8, 4.3, 2.3), edge=0.5), GRID)] = 5
            stack[t][mesh_to_mask(ellipsoid((1.5, 1.3, 1.4), (4.8, 4.3, 5.9), edge=0.5), GRID)] = 6
    paths = prepare(stack, tmp_path / "a", spacing=SPACING, name="e", daughters={3: (5, 6)}, **SMALL)
    assert [p.name for p in paths] == ["e_3.h5", "e_9.h5"]
    with open_sequence(paths[0]) as mother, open_sequence(paths[1]) as single:
        assert len(mother) == len(single) == 4 and mother.info.spacing == single.info.spacing
        x = (mother.frame(3) < 0).any(axis=(0, 1))
        assert np.diff(np.flatnonzero(x)).max() > 1  # two bodies, a gap between them along x
    [one] = prepare(stack, tmp_path / "b", spacing=SPACING, name="e", labels=[9], **SMALL)
    assert one.name == "e_9.h5"
    with pytest.raises(SequenceError, match="label 77"):
        prepare(stack, tmp_path / "c", spacing=SPACING, labels=[77], **SMALL)


@pytest.mark.slow
def test_gaps_and_lengths(tmp_path, caplog):
    stack = masks(7).astype(np.uint16) * 4
    stack[2] = 0
    stack[:, 0, 0, 0] = 8  # another label, which touches the border
    [path] = prepare(stack, tmp_path / "a", spacing=SPACING, labels=[4], **SMALL)
    assert "gaps" in caplog.text and len(open_sequence(path)) == 4
    [path] = prepare(stack, tmp_path / "b", spacing=SPACING, labels=[4], n_frames=3, **SMALL)
    assert len(open_sequence(path)) == 3
    with pytest.raises(SequenceError, match="4 frames"):
        prepare(stack, tmp_path / "c", spacing=SPACING, labels=[4], min_frames=5, **SMALL)
    assert not (tmp_path / "c").exists()


@pytest.mark.slow
def test_running_again(tmp_path):
    arguments = {"spacing": SPACING, "name": "a"} | SMALL
    [path] = prepare(masks(), tmp_path, **arguments)
    before = path.stat().st_mtime_ns
    assert prepare(masks(), tmp_path, **arguments) == [path] and path.stat().st_mtime_ns == before
    with pytest.raises(OutputError, match="overwrite"):
        prepare(masks(), tmp_path, **arguments | {"shape": 20})
    with pytest.raises(OutputError, match="other shapes"):
        prepare(masks()[::-1], tmp_path, **arguments)
    assert path.stat().st_mtime_ns == before
    prepare(masks(), tmp_path, overwrite=True, **arguments | {"shape": 20})
    assert open_sequence(path).shape[1] == 20


def test_a_file_that_breaks_off_is_not_kept(tmp_path):
    (tmp_path / "a.h5").write_bytes(b"\x89HDF broken")
    with pytest.raises(OutputError, match=r"a\.h5"):
        prepare(masks(2), tmp_path, spacing=SPACING, name="a", **SMALL)
    assert (tmp_path / "a.h5").read_bytes() == b"\x89HDF broken"


@pytest.mark.slow
def test_box_and_clamp(tmp_path):
    [path] = prepare(masks(2), tmp_path, spacing=SPACING, box_um=12.0, clamp_um=1.5, suffix=".mat", **SMALL)
    with open_sequence(path) as sequence:
        assert path.suffix == ".mat" and sequence.info.spacing == (0.5, 0.5, 0.5)
        assert sequence.frame(0).max() == 1.5
    with pytest.raises(SequenceError, match="needs"):
        prepare(masks(2), tmp_path / "b", spacing=SPACING, box_um=3.0, **SMALL)


def broken(kind):
    stack = masks(3)
    if kind == "empty frame":
        stack[1] = 0
    elif kind == "empty":
        stack[:] = 0
    elif kind == "border":
        stack = stack[:, 8:]
    elif kind == "one frame":
        stack = stack[:1]
    elif kind == "nan":
        stack = stack.astype(np.float32)
        stack[1, 0, 0, 0] = np.nan
    elif kind == "fraction":
        stack = stack * 0.5
    return stack


@pytest.mark.parametrize(
    "kind, error, message",
    [
        ("empty frame", SequenceError, "frame 1"),
        ("empty", SequenceError, "empty"),
        ("border", SequenceError, "frame 0 .* first z"),
        ("one frame", SequenceError, "1 frame "),
        ("nan", VolumeError, "NaN"),
        ("fraction", VolumeError, "whole"),
    ],
)
def test_sequences_that_cannot_be_used(tmp_path, kind, error, message):
    with pytest.raises(error, match=message):
        prepare(broken(kind), tmp_path / "out", spacing=SPACING, **SMALL)
    assert not (tmp_path / "out").exists()


def test_border_kept(tmp_path):
    [path] = prepare(broken("border"), tmp_path, spacing=SPACING, border="keep", **SMALL)
    assert len(open_sequence(path)) == 3


def test_files_that_cannot_be_used(tmp_path, folder):
    write_volume(folder / "t9.tif", masks()[0], (0.6, 0.2, 0.2))
    with pytest.raises(SequenceError, match="voxel size"):
        prepare(folder, tmp_path / "out", **SMALL)
    (folder / "t9.tif").write_bytes((folder / "t8.tif").read_bytes()[:3000])
    with pytest.raises(FileFormatError, match="t9"):
        prepare(folder, tmp_path / "out", **SMALL)
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04 no")
    with pytest.raises(FileFormatError, match="npz"):
        prepare(tmp_path / "x.npz", tmp_path / "out", spacing=1, **SMALL)
    np.savez(tmp_path / "x.npz", other=np.zeros(3))
    with pytest.raises(FileFormatError, match="holds no arrays") as caught:
        prepare(tmp_path / "x.npz", tmp_path / "out", spacing=1, **SMALL)
    assert "cannot be read" not in str(caught.value)  # told once
    (tmp_path / "off").mkdir()
    (tmp_path / "off" / "t0.off").write_text("OFF")
    with pytest.raises(FileFormatError, match="no mesh files"):
        prepare(tmp_path / "off", tmp_path / "out", **SMALL)
    with pytest.raises(MeshError, match="unit"):
        prepare(tmp_path / "x.npz", tmp_path / "out", **SMALL)
    with pytest.raises(FileFormatError, match="no image"):
        (tmp_path / "void").mkdir()
        prepare(tmp_path / "void", tmp_path / "out", **SMALL)
    with pytest.raises(VolumeError, match="voxel size"):
        prepare(masks(), tmp_path / "out", **SMALL)


@pytest.mark.parametrize("setting", [{"shape": 1}, {"parts": 3}, {"border": "cut"}, {"clamp_um": -1}, {"boxes": 3}])
def test_settings_out_of_range(tmp_path, setting):
    with pytest.raises(ConfigError, match=next(iter(setting))):
        prepare(masks(2), tmp_path, spacing=SPACING, **setting)


def test_tracks_of_real_cells(tmp_path, data_dir):
    paths = prepare(
        data_dir / "sequences" / "celegans_tracks.npz",
        tmp_path,
        spacing=0.133,
        tracks=["c002", "c003"],
        n_frames=3,
        shape=20,
    )
    for path in paths:
        with open_sequence(path) as sequence:
            volumes = [(frame < 0).sum() * np.prod(sequence.info.spacing) for frame in sequence]
        assert len(volumes) == 3 and min(volumes) > 100 and max(volumes) < 400


@pytest.mark.slow
def test_a_missing_file_number_is_said(folder, tmp_path, caplog):
    (folder / "t9.tif").rename(folder / "t11.tif")  # 8, 10, 11
    prepare(folder, tmp_path / "out", **SMALL)
    assert "no file has the number 9" in caplog.text
    caplog.clear()
    (folder / "t11.tif").rename(folder / "t12.tif")  # 8, 10, 12: every second frame
    prepare(folder, tmp_path / "even", **SMALL)
    assert "no file has the number" not in caplog.text
