"""``neural prepare``, and ``--spacing`` of what learns from its kind of files, as a user meets them."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from cytoform.cli import app
from cytoform.image.volume import Grid
from cytoform.masks import mesh_to_mask
from cytoform.mesh.shapes import ellipsoid
from cytoform.sdf import open_sequence

SPACING = (0.5, 0.25, 0.25)
GRID = Grid((20, 40, 48), SPACING)
META = {"spacing": 0.5, "unit": "um"}
TINY = ("--width", 16, "--layers", 3, "--latent", 4, "--batch-frames", 2, "--frame-points", 200, "--precision", "full")


def run(*args):
    return CliRunner().invoke(app, ["neural", *(str(a) for a in args)])


def terminal(*args):
    """In a process of its own, where warnings reach the terminal as they do for a user."""
    code = "from cytoform.cli import main; main()"
    command = [sys.executable, "-c", code, "neural", *(str(a) for a in args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def good(result):
    assert result.exit_code == 0, result.output
    return result.output


def refused(result, *words):
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit) and "Traceback" not in result.output
    for word in words:
        assert word in result.output, result.output


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ball(middle=(4.8, 4.9, 5.9), radius=2.0):
    return mesh_to_mask(ellipsoid((radius,) * 3, middle, edge=0.4), GRID).astype(np.uint16)


def write(path, frames, axes="TZYX", **meta):
    tifffile.imwrite(path, frames, imagej=True, resolution=(4.0, 4.0), metadata={"axes": axes, **META, **meta})


@pytest.mark.slow
def test_what_is_left_out_reaches_the_terminal(work):
    frames = np.stack([ball((4.8, 4.9, 4.2), 1.8)] * 2)
    frames[:, ball((4.8, 4.9, 9.2), 1.7) > 0] = 1  # another part
    frames[:, ball((0.3, 8.0, 1.0), 1.0) > 0] = 4  # at the border
    frames[:, 2, 38, 44] = 7  # too small
    write("cells.tif", frames)
    found = terminal("prepare", "cells.tif", "--out", "out", "--shape", 16, "--quiet")
    assert found.returncode == 0 and "sequences  1" in found.stdout, found.stdout + found.stderr
    border, parts, small = found.stderr.strip().splitlines()
    assert "cells_4 (frames 0 to 1, first z plane)" in border and "--border keep" in border
    assert "cells_1 (frames 0 to 1: 2 parts" in parts and "--parts 2" in parts
    assert "cells_7 (frames 0 to 1)" in small and "--label" in small
    refused(run("prepare", "cells.tif", "--out", "b", "--border", "error"), "cells_4", "--border skip")
    refused(run("prepare", "cells.tif", "--out", "b", "--border", "cut"), "border is 'cut'", "skip")


@pytest.mark.slow
def test_a_folder_of_what_was_prepared_can_be_trained(work):
    """No sequence is without a sample inside, however many labels are a voxel large."""
    pytest.importorskip("torch")
    frames = np.stack([ball(), ball(radius=2.2)])
    for k in range(4):
        frames[:, 2, 36, 20 + 5 * k] = 2 + k
    write("cells.tif", frames)
    assert "sequences  1" in good(run("prepare", "cells.tif", "--out", "out", "--shape", 16, "-q"))
    good(run("train", "out", "--out", "model", "--epochs", 1, *TINY))


def test_channels(work):
    two = np.stack([np.stack([ball(), 3 * ball(radius=1.5)], axis=1)] * 2)
    write("two.tif", two, "TZCYX")
    refused(run("prepare", "two.tif", "--out", "out"), "has 2 channels", "--channel N")
    good(run("prepare", "two.tif", "--out", "out", "--channel", 1, "--shape", 16, "-q"))
    with open_sequence("out/two.h5") as sequence:
        volume = (sequence.frame(0) < 0).sum() * np.prod(sequence.info.spacing)
    assert volume == pytest.approx(4 / 3 * np.pi * 1.5**3, rel=0.15)


def test_axes_and_series_reach_the_reader(work):
    """Of two movies in a file, whose time points are called channels, the second one."""
    with tifffile.TiffWriter("two.ome.tif", ome=True) as file:
        for radius in (2.0, 1.5):
            size = {"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25, "PhysicalSizeZ": 0.5}
            frames = np.stack([ball(radius=radius)] * 2)
            file.write(frames, photometric="minisblack", metadata={"axes": "CZYX", **size})
    refused(run("prepare", "two.ome.tif", "--out", "no"), "has 2 channels")
    good(run("prepare", "two.ome.tif", "--out", "out", "--axes", "TZYX", "--series", 1, "--shape", 16, "-q"))
    with open_sequence("out/two.h5") as sequence:
        assert len(sequence) == 2
        volume = (sequence.frame(0) < 0).sum() * np.prod(sequence.info.spacing)
    assert volume == pytest.approx(4 / 3 * np.pi * 1.5**3, rel=0.15)


def test_the_time_step_is_told(work):
    write("cells.tif", np.stack([ball(), ball()]))
    output = good(run("prepare", "cells.tif", "--out", "out", "--shape", 16, "--time-step", 20, "-q"))
    assert "time step  20 s\n" in output


def test_probabilities_are_refused_with_the_cause(work):
    soft = np.stack([ball(), ball()]).astype(np.float32) * 0.7
    write("soft.tif", soft)
    refused(run("prepare", "soft.tif", "--out", "out"), "probability map", "Threshold")
    assert not Path("out").exists()


# -- sequences without a voxel size, and with the wrong sign -----------------------------------------------------------


def published(path, sign=1.0, n=16, radius=5.0):
    """A file as the published ones: voxels, divided by the frame's largest, no voxel size."""
    axes = np.meshgrid(*[np.arange(n) - (n - 1) / 2] * 3, indexing="ij")
    frames = np.stack([np.sqrt(sum(a**2 for a in axes)) - radius - 0.5 * t for t in range(3)])
    frames = frames / abs(frames).max(axis=(1, 2, 3), keepdims=True)
    with h5py.File(path, "w") as file:
        file["sdf_vid"] = (sign * frames).astype(np.float32).transpose(3, 2, 1, 0)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The same published data, learned with and without a voxel size."""
    pytest.importorskip("torch")
    place = tmp_path_factory.mktemp("published")
    (place / "data").mkdir()
    published(place / "data" / "a.h5")
    published(place / "data" / "b.h5", radius=4.0)
    common = ("train", place / "data", "--epochs", 30, *TINY, "-q")
    return (
        place,
        good(run(*common, "--out", place / "bare")),
        good(run(*common, "--out", place / "um", "--spacing", 0.3, 0.3, 0.3)),
    )


@pytest.mark.slow
def test_published_data_are_learned_in_um_or_said_to_have_no_scale(models):
    place, bare, metric = models
    assert "in the files' unit" in bare and "µm, the mean error" in metric
    for model, spacing in (("bare", None), ("um", (0.3,) * 3)):
        good(run("reconstruct", place / model, "--out", place / f"{model}-out", "-q"))
        with open_sequence(place / f"{model}-out" / "a.h5") as sequence:
            found = sequence.info.spacing
            assert (found is None) == (spacing is None) and (spacing is None or found == pytest.approx(spacing))


@pytest.mark.slow
def test_encode_takes_a_voxel_size(models, work):
    place, _, _ = models
    published("new.h5", radius=4.5)
    few = ("--starts", 1, "--no-rotation", "-q")
    refused(run("encode", place / "um", "new.h5", "--out", "no", *few), "metric scale", "--spacing")
    output = good(run("encode", place / "um", "new.h5", "--out", "yes", "--spacing", 0.3, 0.3, 0.3, *few))
    assert "µm" in output and "files' unit" not in output
    with open_sequence("yes/new.h5") as sequence:
        assert sequence.info.spacing == pytest.approx((0.3,) * 3)


def test_a_voxel_size_that_contradicts_the_file_is_refused(models, work):
    place, _, _ = models
    good(run("reconstruct", place / "um", "--out", "own", "-q"))
    refused(run("train", "own", "--out", "m", "--spacing", 1, 1, 1), "carries its own voxel size", "--spacing")


def test_a_training_goes_on_in_its_own_unit(models, work):
    place, _, _ = models
    refused(
        run("train", place / "data", "--out", place / "um", "--resume"), "4.5 µm a side", "unknown size", "--spacing"
    )


@pytest.mark.parametrize("command", ["train", "encode", "evaluate"])
def test_distances_that_are_positive_inside_are_refused(models, work, command):
    place, _, _ = models
    Path("flipped").mkdir()
    published("flipped/a.h5", sign=-1.0)
    arguments = {
        "train": ("flipped", "--out", "out"),
        "encode": (place / "bare", "flipped/a.h5", "--out", "out"),
        "evaluate": (place / "data", "flipped", "--out", "out"),
    }[command]
    refused(run(command, *arguments), "flipped/a.h5", "look positive inside", "Multiply them by −1")
    assert not Path("out", "model.safetensors").exists()
