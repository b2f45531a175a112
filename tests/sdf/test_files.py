"""Sequences as others write them: MATLAB's formats, locks, no voxel size, distances that are positive inside."""

import logging
import subprocess
import sys

import h5py
import numpy as np
import pytest
from scipy import io

from cytoform.errors import FileFormatError, SequenceError
from cytoform.sdf import SDFSequence, SequenceInfo, open_sequence, write_sequence
from cytoform.sdf.sequence import opened_sequence

VOXEL = 0.3
SAME = 0.02  # µm a µm; of a scale that is found from the differences of next samples, on a sphere of 8 voxels


def ball(n=24, radius=8.0, frames=3, middle=(0.0, 0.0, 0.0)):
    """Distances in voxels, (t, n, n, n), the radius growing by a half from frame to frame."""
    axes = np.meshgrid(*(np.arange(n) - (n - 1) / 2 - m for m in middle), indexing="ij")
    apart = np.sqrt(sum(a**2 for a in axes))
    return np.stack([apart - radius - 0.5 * t for t in range(frames)]).astype(np.float32)


def published(frames, clamp=32.0):
    """As the published data sets hold them: clamped outside, each frame divided by its largest."""
    clamped = np.minimum(frames, clamp)
    return clamped / abs(clamped).max(axis=(1, 2, 3), keepdims=True)


def write(path, frames):
    with h5py.File(path, "w") as file:
        file["sdf_vid"] = frames.transpose(3, 2, 1, 0)
    return path


# -- MATLAB's formats --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compressed", [False, True])  # -v6 and -v7
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_mat_5_is_read_as_mat_73(tmp_path, compressed, dtype):
    frames = np.random.default_rng(0).normal(size=(3, 4, 5, 6)).astype(np.float32)
    matlab = frames.transpose(1, 2, 3, 0).astype(dtype)  # n1, n2, n3, t
    io.savemat(tmp_path / "a.mat", {"sdf_vid": matlab, "other": [1.0]}, do_compression=compressed)
    with open_sequence(tmp_path / "a.mat") as sequence:
        assert sequence.shape == frames.shape and sequence.name == "a" and sequence.info.spacing is None
        np.testing.assert_array_equal(np.stack(list(sequence)), frames)
        frame = sequence.frame(0)
        frame += 1  # the caller's own
        np.testing.assert_array_equal(sequence.frame(0), frames[0])
        assert sequence.frame(0).dtype == np.float32 and sequence.frame(0).flags.c_contiguous


def test_mat_5_that_changes_is_read_anew(tmp_path):
    for k in range(2):
        io.savemat(tmp_path / "a.mat", {"sdf_vid": ball(8, 2.0 + k).transpose(1, 2, 3, 0)})
        with open_sequence(tmp_path / "a.mat") as sequence:
            np.testing.assert_array_equal(sequence.frame(0), ball(8, 2.0 + k)[0])


@pytest.mark.parametrize(
    "held, words",
    [
        ({"sdf": np.ones((4, 4, 4, 2))}, ("sdf (4, 4, 4, 2)",)),
        ({"sdf_vid": np.ones((4, 4, 4))}, ("shape (4, 4, 4)", "(n1, n2, n3, t)")),
        ({"sdf_vid": np.ones((4, 4, 4, 2), dtype=np.int16)}, ("int16",)),
        ({}, ("nothing",)),
    ],
)
def test_mat_5_without_distances(tmp_path, held, words):
    io.savemat(tmp_path / "a.mat", held)
    with pytest.raises(FileFormatError) as caught:
        open_sequence(tmp_path / "a.mat")
    assert all(word in str(caught.value) for word in words), caught.value


def test_mat_5_that_breaks_off(tmp_path):
    rough = np.random.default_rng(0).normal(size=(20, 20, 20, 3))
    io.savemat(tmp_path / "a.mat", {"sdf_vid": rough}, do_compression=True)
    whole = (tmp_path / "a.mat").read_bytes()
    for part in (0.02, 0.5, 0.95):
        (tmp_path / "a.mat").write_bytes(whole[: int(part * len(whole))])
        with pytest.raises(FileFormatError, match=r"a\.mat"), open_sequence(tmp_path / "a.mat") as sequence:
            list(sequence)


# -- HDF5 that does not open -------------------------------------------------------------------------------------------


def test_what_a_file_holds_instead(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["masks"] = np.zeros((2, 3, 4))
        file["exported/data"] = np.zeros(3)
    with pytest.raises(FileFormatError, match=r"exported/ with data; masks \(2, 3, 4\)"):
        open_sequence(tmp_path / "a.h5")


def test_causes(tmp_path):
    for content, word in ((b"", "empty"), (b"text" * 300, "not an HDF5 file")):
        (tmp_path / "a.h5").write_bytes(content)
        with pytest.raises(FileFormatError, match=word):
            open_sequence(tmp_path / "a.h5")
    write_sequence(tmp_path / "b.h5", ball(), (3, 24, 24, 24), SequenceInfo())
    whole = (tmp_path / "b.h5").read_bytes()
    (tmp_path / "b.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileFormatError, match=r"not a complete HDF5 file.*copied"):
        open_sequence(tmp_path / "b.h5")


HOLD = """
import sys, h5py
with h5py.File(sys.argv[1], "r+"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_file_that_another_program_holds_is_read(tmp_path, caplog):
    path = write(tmp_path / "a.h5", ball())
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as run:
        assert run.stdout.readline().strip() == b"held"
        for _ in range(2):
            with open_sequence(path) as sequence:
                np.testing.assert_array_equal(sequence.frame(2), ball()[2])
        run.stdin.close()
    if sys.platform.startswith("linux"):  # where HDF5 locks files: said, and said once
        assert caplog.text.count("another program") == 1


def test_a_lock_that_stays_is_told(tmp_path, monkeypatch):
    path = write(tmp_path / "a.h5", ball())
    failing = OSError("Unable to synchronously open file (unable to lock file, errno = 11, error message = 'busy')")
    monkeypatch.setattr(h5py, "File", lambda *_, **__: (_ for _ in ()).throw(failing))
    with pytest.raises(FileFormatError, match=r"locked.*HDF5_USE_FILE_LOCKING"):
        open_sequence(path)


# -- signs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["h5", "mat5", "memory"])
@pytest.mark.parametrize("made", ["plain", "clamped", "off the middle"])
def test_positive_inside_is_refused(tmp_path, suffix, made):
    frames = {"plain": ball(), "clamped": published(ball(), 6.0), "off the middle": ball(middle=(5.0, 5.0, 0.0))}[made]
    assert (frames[0, -1] < 0).any() == (made == "off the middle")  # one that is cut by the box's wall

    def opening(values):
        if suffix == "memory":
            return SDFSequence.from_array(values, 1.0)
        if suffix == "h5":
            return open_sequence(write(tmp_path / "a.h5", values))
        io.savemat(tmp_path / "a.mat", {"sdf_vid": values.transpose(1, 2, 3, 0)})
        return open_sequence(tmp_path / "a.mat")

    opening(frames).close()
    with pytest.raises(SequenceError, match=r"look positive inside.*Multiply them by −1"):
        opening(-frames)
    with pytest.raises(SequenceError, match="everything is inside"):
        opening(-abs(frames) - 1)


def test_signs_can_be_left_unchecked_and_nothing_inside_passes(tmp_path):
    path = write(tmp_path / "a.h5", -ball())
    with open_sequence(path, check=False) as sequence:
        np.testing.assert_array_equal(sequence.frame(0), -ball()[0])
    with opened_sequence(write(tmp_path / "b.h5", abs(ball()) + 1)) as sequence:  # evaluation counts such frames
        assert sequence.frame(0).min() > 0


# -- voxel size --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep_open", [True, False])
@pytest.mark.parametrize("clamp", [3.0, 32.0])
def test_published_distances_with_a_voxel_size_are_in_um(tmp_path, clamp, keep_open):
    path = write(tmp_path / "a.h5", published(ball(), clamp))
    truth = VOXEL * np.minimum(ball(), clamp)
    with open_sequence(path, spacing=VOXEL, keep_open=keep_open) as sequence:
        assert sequence.info.spacing == (VOXEL,) * 3 and sequence.shape == truth.shape
        for found, expected in zip(sequence, truth):
            np.testing.assert_array_equal(found < 0, expected < 0)
            np.testing.assert_allclose(found, expected, rtol=SAME)
    with open_sequence(path) as sequence:  # as they are, and without a scale
        np.testing.assert_array_equal(sequence.frame(0), published(ball(), clamp)[0])
        assert sequence.info.spacing is None


def test_a_file_that_is_open_only_while_it_is_read(tmp_path):
    frames = ball()
    write_sequence(tmp_path / "a.h5", frames, frames.shape, SequenceInfo((VOXEL,) * 3, 30.0, 2.0, "cell"))
    sequence = open_sequence(tmp_path / "a.h5", keep_open=False)
    assert sequence.name == "cell" and sequence.info.time_step == 30.0
    with h5py.File(tmp_path / "a.h5", "r+") as file:  # nothing holds it
        file["sdf_vid"][..., 1] = 5.0
    assert (sequence.frame(1) == 5.0).all()
    np.testing.assert_array_equal(sequence.frame(-1), frames[-1])


def test_a_voxel_size_of_ones_own_is_not_replaced(tmp_path):
    frames = ball()
    write_sequence(tmp_path / "a.h5", frames, frames.shape, SequenceInfo((VOXEL,) * 3))
    with open_sequence(tmp_path / "a.h5", spacing=VOXEL * 1.0000001) as sequence:
        np.testing.assert_array_equal(sequence.frame(0), frames[0])
    with pytest.raises(SequenceError, match=r"carries its own voxel size.*--spacing"):
        open_sequence(tmp_path / "a.h5", spacing=0.2)


def test_nothing_is_said_of_files_that_are_well(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    with open_sequence(write(tmp_path / "a.h5", ball())) as sequence:
        list(sequence)
    assert caplog.text == ""
