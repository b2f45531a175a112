"""The file format: what MATLAB writes opens, what is broken is told, what is written is whole."""

import h5py
import numpy as np
import pytest

from cytoform.errors import FileFormatError, OutputError, SequenceError
from cytoform.sdf import SDFSequence, SequenceInfo, open_sequence, sequence_files, write_sequence

FRAMES = np.random.default_rng(0).normal(size=(3, 4, 5, 6)).astype(np.float32)
INFO = SequenceInfo((0.3, 0.2, 0.1), 60.0, 1.5, "cell", "a test")


@pytest.mark.parametrize("suffix", [".h5", ".hdf5", ".mat"])
def test_round_trip(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    write_sequence(path, FRAMES, FRAMES.shape, INFO)
    with open_sequence(path) as sequence:
        assert sequence.shape == FRAMES.shape and sequence.info == INFO and sequence.name == "cell"
        np.testing.assert_array_equal(np.stack(list(sequence)), FRAMES)
        np.testing.assert_allclose(sequence.grid.centre, 0, atol=1e-12)
        np.testing.assert_array_equal(sequence.frame(-1), FRAMES[-1])
        with pytest.raises(SequenceError, match="frame 3"):
            sequence.frame(3)
    with h5py.File(path) as file:
        data = file["sdf_vid"]
        np.testing.assert_array_equal(data[...].transpose(3, 2, 1, 0), FRAMES)
        assert data.chunks == (6, 5, 4, 1) and data.dtype == np.float32


def test_header_of_mat(tmp_path):
    write_sequence(tmp_path / "a.mat", FRAMES, FRAMES.shape, INFO)
    head = (tmp_path / "a.mat").read_bytes()[:128]
    assert head.startswith(b"MATLAB 7.3 MAT-file") and head[124:] == b"\x00\x02IM"


def test_file_as_matlab_writes_it(tmp_path):
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
        file["sdf_vid"] = FRAMES.astype(np.float64).transpose(3, 2, 1, 0)
    with open_sequence(tmp_path / "a.mat") as sequence:
        assert sequence.shape == FRAMES.shape and sequence.info.spacing is None and sequence.name == "a"
        np.testing.assert_array_equal(sequence.frame(1), FRAMES[1])
        assert sequence.grid.spacing == (1, 1, 1)
    with open_sequence(tmp_path / "a.mat", spacing=0.2) as sequence:
        assert sequence.info.spacing == (0.2, 0.2, 0.2)


def test_in_memory(tmp_path):
    sequence = SDFSequence.from_array(FRAMES, 0.5, name="b")
    sequence.save(tmp_path / "b.h5")
    with open_sequence(tmp_path / "b.h5") as read:
        np.testing.assert_array_equal(np.stack(list(read)), FRAMES)
        assert read.info.spacing == (0.5, 0.5, 0.5)
    with pytest.raises(SequenceError, match="NaN"):
        SDFSequence.from_array(FRAMES * np.nan, 0.5)
    with pytest.raises(SequenceError, match="shape"):
        SDFSequence.from_array(FRAMES[0], 0.5)


def write(path, **datasets):
    with h5py.File(path, "w") as file:
        for name, data in datasets.items():
            file[name] = data


@pytest.mark.parametrize(
    "datasets, message",
    [({}, "nothing"), ({"sdf": FRAMES}, "sdf"), ({"sdf_vid": FRAMES[0]}, "shape"), ({"sdf_vid": FRAMES > 0}, "type")],
)
def test_other_files(tmp_path, datasets, message):
    write(tmp_path / "a.h5", **datasets)
    with pytest.raises(FileFormatError, match=message):
        open_sequence(tmp_path / "a.h5")


def test_broken_files(tmp_path):
    with pytest.raises(FileFormatError, match="exist"):
        open_sequence(tmp_path / "none.h5")
    (tmp_path / "a.h5").write_text("no HDF5")
    with pytest.raises(FileFormatError, match="HDF5"):
        open_sequence(tmp_path / "a.h5")
    big = np.random.default_rng(0).normal(size=(2, 20, 20, 20))
    write_sequence(tmp_path / "b.h5", big, big.shape, INFO)
    whole = (tmp_path / "b.h5").read_bytes()
    for part in (0.3, 0.7, 0.99):
        (tmp_path / "b.h5").write_bytes(whole[: int(part * len(whole))])
        with pytest.raises(FileFormatError), open_sequence(tmp_path / "b.h5") as sequence:
            list(sequence)


def test_damaged_chunk(tmp_path):
    big = np.random.default_rng(0).normal(size=(2, 20, 20, 20))
    write_sequence(tmp_path / "b.h5", big, big.shape, INFO)
    with h5py.File(tmp_path / "b.h5") as file:
        start = file["sdf_vid"].id.get_chunk_info(1).byte_offset
    with open(tmp_path / "b.h5", "r+b") as file:
        file.seek(start)
        file.write(b"\xff" * 500)
    with open_sequence(tmp_path / "b.h5") as sequence:
        sequence.frame(0)
        with pytest.raises(FileFormatError, match="frame 1"):
            sequence.frame(1)


def test_nan_in_a_file(tmp_path):
    bad = FRAMES.copy()
    bad[2, 0, 0, 0] = np.nan
    write(tmp_path / "a.h5", sdf_vid=bad.transpose(3, 2, 1, 0))
    with open_sequence(tmp_path / "a.h5") as sequence:
        sequence.frame(1)
        with pytest.raises(SequenceError, match="frame 2"):
            sequence.frame(2)


@pytest.mark.parametrize(
    "frames, message",
    [
        (FRAMES[:2], "2 frames"),
        (np.concatenate([FRAMES, FRAMES]), "frame 3"),
        (FRAMES[..., :3], "shape"),
        (FRAMES * np.inf, "NaN"),
    ],
)
def test_whole_or_not_at_all(tmp_path, frames, message):
    path = tmp_path / "a.h5"
    write_sequence(path, FRAMES, FRAMES.shape, INFO)
    before = path.read_bytes()
    with pytest.raises(SequenceError, match=message):
        write_sequence(path, frames, FRAMES.shape, INFO)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_places_that_cannot_be_written(tmp_path):
    with pytest.raises(OutputError):
        write_sequence(tmp_path / "no" / "a.h5", FRAMES, FRAMES.shape, INFO)
    with pytest.raises(SequenceError, match="suffix"):
        write_sequence(tmp_path / "a.txt", FRAMES, FRAMES.shape, INFO)


@pytest.mark.parametrize("field", ["time_step", "clamp"])
def test_info_out_of_range(field):
    with pytest.raises(SequenceError, match=field):
        SequenceInfo(**{field: -1.0})


def test_files_of_a_folder_come_in_natural_order(tmp_path):
    for name in ("cell_10.h5", "cell_2.H5", "Cell_1.mat", "cell_3.hdf5", "other²_1.h5", "._cell_1.h5", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.h5").mkdir()
    names = ["Cell_1.mat", "cell_2.H5", "cell_3.hdf5", "cell_10.h5", "other²_1.h5"]
    assert [p.name for p in sequence_files(tmp_path)] == names
    for place, what in ((tmp_path / "folder.h5", "holds no"), (tmp_path / "none", "does not exist"),
                        (tmp_path / "notes.txt", "is not a folder")):  # fmt: skip
        with pytest.raises(FileFormatError, match=what) as caught:
            sequence_files(place)
        assert "neural prepare" in caught.value.remedy
