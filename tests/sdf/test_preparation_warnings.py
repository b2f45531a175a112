"""Whatever the preparation leaves out, guesses or finds odd is told, once, and the rest is right."""

import logging

import numpy as np
import pytest
import tifffile

from cytoform.errors import FileFormatError, SequenceError
from cytoform.image.io import write_volume
from cytoform.image.volume import Grid
from cytoform.masks import mesh_to_mask
from cytoform.mesh.io import write_mesh
from cytoform.mesh.shapes import ellipsoid
from cytoform.sdf import open_sequence
from cytoform.sdf.preparation_warnings import format_frames, format_names
from cytoform.sdf.prepare import prepare

SPACING = (0.5, 0.2, 0.2)
GRID = Grid((24, 50, 60), SPACING)
ARGUMENTS = {"spacing": SPACING, "name": "a", "shape": 24}


def ball(middle, radius=2.0, radii=None):
    return mesh_to_mask(ellipsoid(radii or (radius,) * 3, middle, edge=0.4), GRID)


CENTRE = (5.8, 4.9, 5.9)


def stack(*frames):
    return np.stack([np.asarray(f).astype(np.uint16) for f in frames])


def told(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def volumes(path):
    with open_sequence(path) as sequence:
        return [(frame < 0).sum() * np.prod(sequence.info.spacing) for frame in sequence]


def sphere(radius):
    return 4 / 3 * np.pi * radius**3


def test_words():
    assert format_frames([3]) == "frame 3" and format_frames([9, 4, 5, 6, 5]) == "frames 4 to 6, 9"
    assert format_frames(range(0, 40, 2)).endswith("14, …")
    assert format_names([str(k) for k in range(11)]) == "0, 1, 2, 3, 4, 5, 6, 7 and 3 more"


def test_nothing_is_said_of_whole_cells(tmp_path, caplog):
    prepare(stack(ball(CENTRE), ball(CENTRE, 2.2)), tmp_path, **ARGUMENTS)
    assert told(caplog) == []


# -- parts and specks --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_half_of_a_cell_is_not_left_out_in_silence(tmp_path, caplog):
    halves = ball((5.8, 4.9, 2.6), 1.9) | ball((5.8, 4.9, 8.0), 2.0)
    frames = stack(ball(CENTRE), ball(CENTRE), halves, halves, ball(CENTRE))
    [path] = prepare(frames, tmp_path / "one", **ARGUMENTS)
    [text] = told(caplog)
    assert "a (frames 2 to 3: 2 parts, up to 46 % of the volume left out)" in text and "--parts 2" in text
    assert volumes(path)[2] == pytest.approx(sphere(2.0), rel=0.1)
    caplog.clear()
    [path] = prepare(frames, tmp_path / "two", parts=2, **ARGUMENTS)
    assert told(caplog) == []
    assert volumes(path)[2] == pytest.approx(sphere(1.9) + sphere(2.0), rel=0.1)


def test_labels_in_parts_are_told_in_one_sentence(tmp_path, caplog):
    frame = np.zeros(GRID.shape, dtype=np.uint16)
    for label, y in ((4, 2.5), (6, 7.3)):
        frame[ball((3.5, y, 3.0), 1.7)] = label
        frame[ball((8.4, y, 8.0), 1.4)] = label
    prepare(stack(frame, frame), tmp_path, **ARGUMENTS)
    [text] = told(caplog)
    assert "a_4 (frames 0 to 1: 2 parts" in text and "a_6 (frames 0 to 1" in text


def test_specks_are_summed_up(tmp_path, caplog):
    frames = stack(ball(CENTRE), ball(CENTRE), ball(CENTRE))
    frames[0, 1, 3, 3] = frames[2, 1, 3:5, 3] = frames[2, 20, 40, 50] = 1
    [path] = prepare(frames, tmp_path, **ARGUMENTS)
    [text] = told(caplog)
    share = 100 * 3 / frames[2].sum()
    assert f"in 2 frames of a: at most {share:.2g} % of the volume." in text
    assert volumes(path)[2] == pytest.approx(sphere(2.0), rel=0.1)


# -- too small ---------------------------------------------------------------------------------------------------------


def test_a_label_of_one_voxel_is_left_out(tmp_path, caplog):
    frames = stack(ball(CENTRE), ball(CENTRE, 2.2), ball(CENTRE))
    frames[:, 2, 40, 50] = 2
    [path] = prepare(frames, tmp_path, **ARGUMENTS)
    [text] = told(caplog)
    assert path.name == "a_1.h5" and "a_2 (frames 0 to 2)" in text and "--shape" in text and "--label" in text
    assert min(volumes(path)) > 0


@pytest.mark.slow
def test_a_label_that_is_a_voxel_now_and_then(tmp_path, caplog):
    """As a segmentation flickers: the frames with something in them go on."""
    small = np.zeros(GRID.shape, dtype=bool)
    small[6, 12, 15] = True
    frames = stack(*(np.where(ball((8.5, 7.4, 9.0), 1.5), 3, 0) for _ in range(6)))
    for t in range(6):
        frames[t][small if t in (2, 3) else ball((3.0, 2.4, 3.0), 1.2)] = 8
    paths = prepare(frames, tmp_path, **ARGUMENTS)
    assert [p.name for p in paths] == ["a_3.h5", "a_8.h5"]
    assert len(volumes(paths[1])) == 2 and min(volumes(paths[1])) > 0
    assert "a_8 (frames 2 to 3; frames 0 to 1 are used)" in told(caplog)[0]


@pytest.mark.slow
def test_a_body_that_few_samples_do_not_resolve(tmp_path, caplog):
    flat = ball((6.0, 4.9, 5.9), radii=(0.2, 3.0, 4.0))
    thin = np.where(flat, 1, 0) + np.where(ball((8.4, 2.2, 2.4), 1.9), 2, 0)
    arguments = ARGUMENTS | {"shape": 6}
    with pytest.raises(SequenceError, match=r"all sequences are too small for samples.*a \(frames 0 to 1\).*--shape"):
        prepare(stack(flat, flat), tmp_path / "none", **arguments, box_um=10.0)
    assert not (tmp_path / "none").exists()
    [path] = prepare(stack(thin, thin), tmp_path / "one", **arguments, box_um=10.0)
    assert path.name == "a_2.h5" and "a_1 (frames 0 to 1)" in told(caplog)[0]
    [path] = prepare(stack(flat, flat), tmp_path / "more", **ARGUMENTS | {"shape": 64}, box_um=10.0)
    assert min(volumes(path)) > 0


def test_few_voxels_that_the_samples_do_resolve_are_told(tmp_path, caplog):
    frames = np.zeros((2, *GRID.shape), dtype=np.uint8)
    frames[:, 5, 9, 9] = 1
    prepare(frames, tmp_path, **ARGUMENTS)
    assert told(caplog) == [
        "Bodies of very few voxels: a (1 voxel, frames 0 to 1). Check that they are cells, or leave them out (labels, "
        "--label)."
    ]


def test_a_daughter_between_the_samples_is_told(tmp_path, caplog):
    pair = ball((5.8, 4.9, 4.0), 2.4) | ball((6.0, 4.9, 9.6), radii=(0.3, 1.4, 1.4))
    prepare(stack(pair, pair), tmp_path, **ARGUMENTS | {"shape": 8}, parts=2, box_um=16.0)
    assert any("a body of frames 0 to 1 lies between the samples" in text for text in told(caplog)), told(caplog)


# -- the border --------------------------------------------------------------------------------------------------------


def moving():
    """A whole cell, one that is cut at all times, and one that leaves the image."""
    frames = np.zeros((4, *GRID.shape), dtype=np.uint16)
    for t in range(4):
        frames[t][ball((5.8, 2.6, 9.0), 1.8)] = 1
        frames[t][ball((0.2, 7.0, 2.0), 1.5)] = 2
        frames[t][ball((5.8, 7.0, 5.5 + 1.7 * t), 1.6)] = 3
    return frames


@pytest.mark.slow
def test_one_label_at_the_border_costs_no_other(tmp_path, caplog):
    paths = prepare(moving(), tmp_path, **ARGUMENTS)
    assert [p.name for p in paths] == ["a_1.h5", "a_3.h5"] and [len(volumes(p)) for p in paths] == [4, 3]
    [text] = told(caplog)
    assert "a_2 (frames 0 to 3, first z plane), a_3 (frame 3, last x plane)" in text and "--border keep" in text


@pytest.mark.slow
def test_border_as_it_is_told(tmp_path, caplog):
    kept = prepare(moving(), tmp_path / "kept", border="keep", **ARGUMENTS)
    assert [len(volumes(p)) for p in kept] == [4, 4, 4] and told(caplog) == []
    with pytest.raises(SequenceError, match=r"frame 0 of a_2.*first z plane.*--border skip"):
        prepare(moving(), tmp_path / "refused", border="error", **ARGUMENTS)
    with pytest.raises(SequenceError, match=r"no object is whole.*a_2 \(frames 0 to 3.*--border keep"):
        prepare(moving(), tmp_path / "none", labels=[2], **ARGUMENTS)


@pytest.mark.slow
def test_a_single_object_at_the_border(tmp_path, caplog):
    frames = (moving() == 3).astype(np.uint8)
    with pytest.raises(SequenceError, match=r"frame 3 of a: .*last x plane"):
        prepare(frames, tmp_path, **ARGUMENTS)
    [path] = prepare(frames, tmp_path, border="skip", **ARGUMENTS)
    assert len(volumes(path)) == 3 and "a (frame 3, last x plane)" in told(caplog)[0]
    with pytest.raises(SequenceError, match=r"1 frame in a row.*--border keep"):
        prepare(frames[2:], tmp_path / "short", border="skip", **ARGUMENTS)


def test_a_mother_is_left_out_where_a_daughter_is_cut(tmp_path, caplog):
    frames = np.zeros((3, *GRID.shape), dtype=np.uint16)
    for t in range(3):
        frames[t][ball((5.8, 4.9, 4.0), 1.5)] = 1
        frames[t][ball((5.8, 4.9, 8.5 if t < 2 else 11.5), 1.5)] = 2
    [path] = prepare(frames, tmp_path, daughters={7: (1, 2)}, **ARGUMENTS)
    assert len(volumes(path)) == 2 and "a_7 (frame 2, last x plane)" in told(caplog)[0]


# -- two cells under one label -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_touching_cells_are_told_with_their_frames(tmp_path, caplog):
    pair = ball((5.8, 4.9, 4.2), 1.9) | ball((5.8, 4.9, 7.6), 1.9)
    one = np.where(ball((5.8, 4.9, 4.2)), 5, 0)
    frames = np.stack([one, np.where(pair, 5, 0), np.where(pair, 5, 0)]).astype(np.int32)
    frames[:, ball((5.8, 8.6, 10.6), 1.0)] = 9
    paths = prepare(frames, tmp_path, **ARGUMENTS)
    [text] = told(caplog)
    assert len(paths) == 2 and "a_5 (frames 1 to 2)" in text and "a_9" not in text
    assert "--daughters" in text and "--parts 2" in text


# -- values and files --------------------------------------------------------------------------------------------------


def test_minus_one_is_told(tmp_path, caplog):
    frames = np.where(stack(ball(CENTRE), ball(CENTRE)) > 0, 1, -1).astype(np.int16)
    [path] = prepare(frames, tmp_path, **ARGUMENTS)
    assert told(caplog) == ["The value −1, in 2 frames, counts as outside."]
    assert volumes(path)[0] == pytest.approx(sphere(2.0), rel=0.1)


def test_gaps_and_short_sequences_are_told(tmp_path, caplog):
    frames = np.zeros((5, *GRID.shape), dtype=np.uint16)
    for t in range(5):
        if t != 1:
            frames[t][ball((5.8, 4.9, 3.0), 1.6)] = 1
        if t == 4:
            frames[t][ball((5.8, 4.9, 8.5), 1.6)] = 2
    prepare(frames, tmp_path, **ARGUMENTS)
    gaps, short = told(caplog)
    assert "a_1 (frames 2 to 4, 1 left out)" in gaps and "a_2" in short and "fewer than 2 frames" in short


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "frames"
    place.mkdir()
    for t in range(3):
        write_volume(place / f"t{t}.tif", ball(CENTRE, 2.0 + 0.1 * t).astype(np.uint8), SPACING)
    return place


def test_other_files_of_a_folder_are_named(tmp_path, folder, caplog):
    (folder / "notes.txt").write_text("")
    (folder / ".DS_Store").write_text("")
    (folder / "._t0.tif").write_bytes(b"\0\x05\x16\7")  # macOS
    [path] = prepare(folder, tmp_path / "out", shape=24)
    assert len(volumes(path)) == 3 and path.name == "frames.h5"
    assert told(caplog) == [f"{folder} also holds notes.txt: left out."]


def test_a_folder_with_one_movie_in_it(tmp_path):
    (tmp_path / "movie").mkdir()
    meta = {"axes": "TZYX", **{f"PhysicalSize{a}": s for a, s in zip("ZYX", SPACING)}}
    frames = stack(ball(CENTRE), ball(CENTRE, 2.2))
    tifffile.imwrite(tmp_path / "movie" / "cell.ome.tif", frames, ome=True, metadata=meta)
    [path] = prepare(tmp_path / "movie", tmp_path / "out", shape=24)
    assert path.name == "cell.h5" and len(volumes(path)) == 2
    tifffile.imwrite(tmp_path / "movie" / "other.ome.tif", frames, ome=True, metadata=meta)
    with pytest.raises(SequenceError, match=r"cell\.ome\.tif has 2 time points.*Pass that file alone"):
        prepare(tmp_path / "movie", tmp_path / "out2", shape=24)


def test_images_and_meshes_in_one_folder(tmp_path, folder):
    write_mesh(folder / "t0.ply", ellipsoid((2, 2, 2), edge=0.5))
    with pytest.raises(FileFormatError, match=r"3 \.tif files and 1 \.ply file; expected one kind"):
        prepare(folder, tmp_path / "out")
    with pytest.raises(FileFormatError, match=r"extensions \.ply, \.tif; expected all of one kind"):
        prepare([folder / "t0.tif", folder / "t0.ply"], tmp_path / "out")


@pytest.mark.parametrize(
    "name, remedy", [("tracks.npz", "own name"), ("a.h5", "neural train"), ("notes.txt", "Images end in")]
)
def test_a_folder_without_frames_tells_what_it_holds(tmp_path, name, remedy):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_bytes(b"")
    with pytest.raises(FileFormatError, match=rf"it holds {name}.*{remedy}"):
        prepare(tmp_path / "in", tmp_path / "out")
    (tmp_path / "in" / "cell1").mkdir()
    if name == "notes.txt":
        with pytest.raises(FileFormatError, match="one of its folders"):
            prepare(tmp_path / "in", tmp_path / "out")


def test_frames_of_different_sizes_are_told(tmp_path, folder, caplog):
    smaller = Grid((22, 48, 60), SPACING)
    mask = mesh_to_mask(ellipsoid((2.0, 2.0, 2.0), CENTRE, edge=0.4), smaller)
    write_volume(folder / "t1.tif", mask.astype(np.uint8), SPACING)
    prepare(folder, tmp_path / "out", shape=24)
    assert "(24, 50, 60) and (22, 48, 60)" in told(caplog)[0]


def test_a_sequence_is_no_source(tmp_path):
    (tmp_path / "a.h5").write_bytes(b"")
    with pytest.raises(FileFormatError, match=r"signed distances already.*neural train"):
        prepare(tmp_path / "a.h5", tmp_path / "out")


@pytest.mark.slow
def test_the_files_own_time_between_frames(tmp_path):
    meta = {"axes": "TZYX", "spacing": 0.5, "unit": "um", "finterval": 45.0}
    frames = stack(ball(CENTRE), ball(CENTRE, 2.2))
    tifffile.imwrite(tmp_path / "a.tif", frames, imagej=True, resolution=(5.0, 5.0), metadata=meta)
    [path] = prepare(tmp_path / "a.tif", tmp_path / "own", shape=24)
    with open_sequence(path) as sequence:
        assert sequence.info.time_step == 45.0
    [path] = prepare(tmp_path / "a.tif", tmp_path / "given", shape=24, time_step=60.0)
    with open_sequence(path) as sequence:
        assert sequence.info.time_step == 60.0
