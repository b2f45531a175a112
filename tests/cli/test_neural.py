"""``cytoform neural``: from simulated cells to a trained model and back, and errors that tell what to do."""

import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from oracles.labels import label_mask
from typer.testing import CliRunner

from cytoform.cli import app
from cytoform.cli.console import ProgressBar
from cytoform.cli.neural.codes import read_codes, write_codes
from cytoform.cli.neural.decoding import parse_frames, parse_rotation, parse_shape
from cytoform.errors import ConfigError
from cytoform.image.volume import Grid
from cytoform.mesh.shapes import ellipsoid
from cytoform.sdf import open_sequence

COMMANDS = ("prepare", "simulate", "train", "reconstruct", "generate", "interpolate", "encode", "evaluate", "convert")
SHAPE, FRAMES, SEQUENCES = 16, 3, 2
TINY = ("--width", 16, "--layers", 3, "--latent", 4, "--batch-frames", 2, "--frame-points", 200, "--precision", "full")
EPOCHS = 40  # of three steps each: enough for bodies with a surface


def run(*args):
    return CliRunner().invoke(app, ["neural", *(str(a) for a in args)])


def good(result):
    assert result.exit_code == 0, result.output
    return result.output


def refused(result, *words):
    """Exit code 2, a message with these words, and no traceback."""
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit) and "Traceback" not in result.output
    for word in words:
        assert word in result.output, result.output


def files(folder, pattern="*"):
    return sorted(p.name for p in Path(folder).glob(pattern))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two simulated cells."""
    folder = tmp_path_factory.mktemp("neural") / "data"
    good(run("simulate", "deforming", "-n", SEQUENCES, "--frames", FRAMES, "--shape", SHAPE, "--out", folder))
    return folder


@pytest.fixture(scope="module")
def trained(data):
    """A model of them, and what the command printed."""
    pytest.importorskip("torch")
    folder = data.parent / "run"
    return folder, good(run("train", data, "--out", folder, "--epochs", EPOCHS, "--labels", "folder", *TINY))


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


# -- help --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_examples_on_lines_of_their_own(command):
    output = run(command, "--help").output
    assert "Examples:\n" in output and f"\n    cytoform neural {command} " in output


def test_overview_names_all_commands():
    output = CliRunner().invoke(app, ["--help"]).output
    assert "neural" in output
    assert all(f"\n  {name} " in run("--help").output for name in COMMANDS)


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


def test_help_loads_no_heavy_library():
    found = python(
        "import sys\nfrom typer.testing import CliRunner\nfrom cytoform.cli import app\n"
        "for args in (['--help'], ['neural', '--help'], ['neural', 'train', '--help']):\n"
        "    assert CliRunner().invoke(app, args).exit_code == 0\n"
        "print(sorted({'torch', 'h5py', 'scipy', 'safetensors', 'matplotlib'} & set(sys.modules)))"
    )
    assert found.stdout.strip() == "[]", found.stdout + found.stderr


@pytest.mark.slow
def test_without_torch_the_command_says_how_to_install_it(data):
    found = python(
        "import sys\nsys.modules['torch'] = None\nfrom cytoform.cli import app\n"
        f"app(['neural', 'train', {str(data)!r}, '--out', 'nowhere'])"
    )
    assert found.returncode == 2 and "Traceback" not in found.stderr, found.stderr
    assert 'pip install "cytoform[neural]"' in found.stderr


# -- simulate ----------------------------------------------------------------------------------------------------------


def test_simulated_sequences_are_kept_and_named_by_family(data):
    assert files(data) == ["deforming-s0-00.h5", "deforming-s0-01.h5"]
    times = [p.stat().st_mtime_ns for p in sorted(data.iterdir())]
    output = good(run("simulate", "deforming", "-n", 2, "--frames", FRAMES, "--shape", SHAPE, "--out", data))
    assert [p.stat().st_mtime_ns for p in sorted(data.iterdir())] == times
    assert "16³ samples of 3.75 µm" in output and "cytoform neural train" in output


@pytest.mark.slow
def test_coarse_thickens_filopodia_and_its_absence_is_told(work):
    from cytoform.sdf import open_sequence
    from cytoform.synth import Filopodial

    tiny = ("-n", 1, "--frames", 2, "--shape", 48)
    good(run("simulate", "filopodial", "--coarse", "--set", "least=2", "--set", "most=2", *tiny))
    with open_sequence("filopodial/filopodial-s0-00.h5") as sequence:
        settings = json.loads(sequence.info.source.partition(" ")[2])
    assert settings["radius_um"] == Filopodial().resolved_at(48).radius_um and settings["most"] == 2
    output = good(run("simulate", "filopodial", "--set", "least=2", "--set", "most=2", "--out", "thin", *tiny))
    assert "--coarse makes it" in output


@pytest.mark.parametrize(
    "args, words",
    [
        (("swimming",), ("swimming", "dividing")),
        (("dividing", "--coarse"), ("--coarse", "filopodial")),
        (("filopodial",), ("--shape is 8", "Raise --shape")),
        (("dividing", "--set", "growth"), ("NAME=VALUE",)),
        (("dividing", "--set", "colour=3"), ("no option colour", "growth")),
        (("dividing", "--set", "growth=much"), ("growth is 'much'",)),
    ],
)
def test_what_cannot_be_simulated_is_refused(work, args, words):
    refused(run("simulate", *args, "--shape", 8, "--frames", 2), *words)
    assert files(work) == []


# -- train -------------------------------------------------------------------------------------------------------------


def test_training_tells_size_loss_files_and_what_next(trained):
    folder, output = trained
    text = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    assert f"{text['parameters']:,} parameters" in output and "loss" in output and "µm" in output
    assert f"cytoform neural reconstruct {folder}" in output
    assert "epoch 40/40" in output and "left" in output  # the progress bar
    assert text["network"]["width"] == 16 and text["network"]["latent_layers"] == [1]
    assert text["labels"] == ["data"] * SEQUENCES
    assert files(folder) == ["checkpoint.safetensors", "codes.csv", "history.csv", "model.json", "model.safetensors"]


@pytest.mark.slow
def test_options_reach_the_training_and_quiet_is_quiet(data, work):
    pytest.importorskip("torch")
    Path("families.txt").write_text("a\nb\n")
    few = ("--epochs", 1, "--augment", "mirror", "--augment", "time", "--lr", 0.002, "--activation", "relu")
    output = good(run("train", data, "--out", "run", *few, *TINY, "--labels", "families.txt", "--rotation", "--quiet"))
    assert "steps [" not in output and "epoch 1/1" not in output  # no bar
    text = json.loads(Path("run/model.json").read_text(encoding="utf-8"))
    training = text["notes"]["training"]
    assert training["augment"] == ["mirror", "time"] and training["lr"] == 0.002 and training["rotation"] is True
    assert len(text["names"]) == 16 * SEQUENCES and text["labels"][:2] == ["a", "b"]


def test_interrupted_training_goes_on_with_resume(data, work, monkeypatch):
    pytest.importorskip("torch")
    shown = ProgressBar.__call__

    def interrupting(self, done, *args, **options):
        shown(self, done, *args, **options)
        if done == 5:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(ProgressBar, "__call__", interrupting)
        result = run("train", data, "--out", "run", "--epochs", 4, *TINY)
    assert result.exit_code == 130 and "--resume" in result.output and "Error" not in result.output
    refused(run("reconstruct", "run"), "has not ended", "--resume")
    refused(run("train", data, "--out", "run", "--resume", "--width", 24), "another network")
    good(run("train", data, "--out", "run", "--resume", *TINY[:2]))  # what is told again is what it began with
    good(run("train", data, "--out", "run", "--resume"))
    assert len(Path("run/history.csv").read_text().splitlines()) == 1 + 4


def test_only_the_first_of_several_processes_speaks(data, work, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setenv("RANK", "1")
    assert good(run("train", data, "--out", "run", "--epochs", 1, *TINY)) == ""


@pytest.mark.parametrize(
    "args, words",
    [
        (("nowhere", "--out", "run"), ("nowhere does not exist", "neural prepare")),
        ((".", "--out", "run"), ("holds no sequences", "neural prepare")),
        (("DATA", "--out", "run", "--preset", "best"), ("preset is 'best'", "media2024")),
        (("DATA", "--out", "run", "--activation", "tanh"), ("activation is 'tanh'", "sine")),
        (("DATA", "--out", "run", "--augment", "shear"), ("augment is 'shear'", "mirror")),
        (("DATA", "--out", "run", "--width", 0), ("width is 0", "at least 1")),
        (("DATA", "--out", "run", "--layers", 0), ("layers is 0", "at least 1")),
        (("DATA", "--out", "run", "--mix", 0.5, "--rotation"), ("mix and rotation",)),
        (("DATA", "--out", "run", "--epochs", 1, "--minutes", 1), ("--epochs and --minutes",)),
        (("DATA", "--out", "run", "--steps", 1, "--minutes", 1), ("--steps and --minutes",)),
        (("DATA", "--out", "run", "--steps", 0), ("steps is 0", "at least 1")),
        (("DATA", "--out", "run", "--memory-gb", 0), ("--memory-gb is 0",)),
        (("DATA", "--out", "run", "--device", "tpu"), ("device is 'tpu'", "cpu")),
        (("DATA", "--out", "run", "--precision", "low"), ("precision is 'low'", "mixed")),
        (("DATA", "--out", "run", "--labels", "missing.txt"), ("missing.txt does not exist", "--labels")),
        (("DATA", "--out", "run", "--resume"), ("no checkpoint.safetensors in run", "omit --resume")),
        (("DATA", "--out", "run", "--resume", "--overwrite"), ("--overwrite and --resume",)),
    ],
)
def test_what_cannot_be_trained_is_refused(data, work, args, words):
    pytest.importorskip("torch")
    refused(run("train", *(data if a == "DATA" else a for a in args)), *words)
    assert files(work) == []


def test_a_training_is_not_written_over(data, trained):
    refused(run("train", data, "--out", trained[0], "--epochs", 1, *TINY), "holds a training already", "overwrite")


def test_labels_must_be_as_many_as_sequences(data, work):
    Path("families.txt").write_text("a\n")
    refused(run("train", data, "--out", "run", "--labels", "families.txt"), "1 lines", "expected 2")


# -- shapes out of a model ---------------------------------------------------------------------------------------------


def test_reconstruct_writes_what_was_asked_for(trained, work):
    kinds = ("--format", "mask", "--format", "mesh")
    output = good(run("reconstruct", trained[0], "--which", "deforming-s0-01", "--shape", 24, "--frames", 2, *kinds))
    assert files("reconstructed") == ["deforming-s0-01_mask.tif", "deforming-s0-01_mesh"]
    mask = tifffile.imread("reconstructed/deforming-s0-01_mask.tif")
    assert mask.shape == (2, 24, 24, 24) and mask.any()
    assert len(files("reconstructed/deforming-s0-01_mesh", "*.ply")) == 2
    assert "They are in reconstructed" in output and "2/2 frames" in output
    refused(run("reconstruct", trained[0], "--which", 1, *kinds), "exists already", "overwrite")
    good(run("reconstruct", trained[0], "--which", "0,1", "--frames", "-1,1", "--overwrite", "--quiet", *kinds))
    assert tifffile.imread("reconstructed/deforming-s0-00_mask.tif").shape == (2, SHAPE, SHAPE, SHAPE)


def test_rotation_is_in_degrees_about_z_first(trained, work):
    for angles in ("none", "90,0,0"):
        good(run("reconstruct", trained[0], "-w", 0, "--frames", 1, "--rotation", angles, "-f", "mask", "-o", angles))
    plain, turned = (tifffile.imread(f"{a}/deforming-s0-00_mask.tif").squeeze() for a in ("none", "90,0,0"))
    expected = np.rot90(plain, axes=(1, 2))  # from y towards x
    assert (turned != expected).sum() < 0.02 * plain.sum() < (turned != plain).sum()


def test_generate_and_interpolate_write_sequences(trained, work):
    output = good(run("generate", trained[0], "-n", 3, "--prior", "near", "--seed", 2, "--rotation", "random"))
    assert files("generated") == [f"generated_{k:03d}.h5" for k in range(3)]
    assert "cytoform neural evaluate REAL generated" in output
    good(run("interpolate", trained[0], 0, "deforming-s0-01", "--steps", 2, "--frames", 2))
    assert files("interpolated") == ["between_000.h5", "between_001.h5"]
    good(run("interpolate", trained[0], 1, "--frames", 4, "--rotation", "learned", "--out", "slow"))
    assert files("slow") == ["deforming-s0-01.h5"]


@pytest.mark.slow
def test_encode_writes_codes_that_evaluate_reads(data, trained, work):
    output = good(run("encode", trained[0], data, "--starts", 1, "--no-rotation"))
    found = json.loads(Path("encoded/encoded.json").read_text(encoding="utf-8"))
    assert [one["name"] for one in found] == ["deforming-s0-00", "deforming-s0-01"]
    assert np.allclose(found[0]["rotation"], np.eye(3)) and 0 < found[0]["loss"] < 10 and found[0]["unit"] == "µm"
    head, *rows = (line.split(",") for line in Path("encoded/codes.csv").read_text(encoding="utf-8").splitlines())
    assert head == ["sequence", "c0", "c1", "c2", "c3"] and [row[0] for row in rows] == [one["name"] for one in found]
    assert np.allclose([float(x) for x in rows[1][1:]], found[1]["code"], rtol=1e-6)
    assert "--paired encoded" in output and "(2/2)" in output
    refused(run("encode", trained[0], data), "not empty", "--overwrite")
    codes = ("--codes", "encoded=encoded/codes.csv")
    output = good(run("evaluate", data, "encoded", "--paired", "encoded", *codes))
    assert Path("evaluation/report.html").is_file() and "Dice" in output


def told_next(output, command):
    """The command that the output tells to run next, as arguments."""
    [line] = [line for line in output.splitlines() if line.startswith(f"Next:  cytoform neural {command}")]
    return shlex.split(line)[3:]


@pytest.mark.slow
@pytest.mark.parametrize("box", [60, 66])
def test_what_encode_tells_to_do_next_works_for_other_frames_samples_and_boxes(trained, work, box):
    shape, frames = 20, FRAMES + 2
    size = ("--set", f"box_um={box}", "--shape", shape, "--frames", frames)
    good(run("simulate", "deforming", "-n", 2, "--out", "unseen", *size))
    output = good(run("encode", trained[0], "unseen", "--starts", 1, "--no-rotation"))
    with open_sequence("encoded/deforming-s0-01.h5") as found, open_sequence("unseen/deforming-s0-01.h5") as seen:
        assert found.shape == seen.shape == (frames, shape, shape, shape)
        assert found.info.time_step == pytest.approx(seen.info.time_step)
        assert np.allclose(found.info.spacing, seen.info.spacing, rtol=1e-6)
    command = told_next(output, "evaluate")
    assert "--paired" in command
    good(run(*command))


@pytest.mark.slow
def test_encode_at_other_frames_than_the_sequence_tells_no_pairs(data, trained, work):
    output = good(run("encode", trained[0], data, "--starts", 1, "--no-rotation", "--frames", 2, "--shape", 12))
    with open_sequence("encoded/deforming-s0-00.h5") as found:
        assert found.shape == (2, 12, 12, 12)
    assert "--paired" not in told_next(output, "evaluate")


@pytest.mark.slow
def test_codes_of_a_training_are_read_by_evaluate(data, trained, work):
    pandas = pytest.importorskip("pandas")
    table = pandas.read_csv(trained[0] / "codes.csv")
    assert table["sequence"].tolist() == ["deforming-s0-00", "deforming-s0-01"]
    from cytoform.neural import AutoDecoder

    learned = AutoDecoder.load(trained[0]).learned.codes
    assert np.allclose(table.filter(regex="^c[0-9]+$").to_numpy(), learned, rtol=1e-6)
    good(run("reconstruct", trained[0]))
    good(run("evaluate", data, "reconstructed", "--paired", "reconstructed", "--codes", trained[0] / "codes.csv"))
    assert (Path("evaluation") / "codes.csv").read_text().count("reconstructed") == SEQUENCES


@pytest.mark.slow
def test_codes_are_put_in_order_by_their_names(data, trained, work):
    pandas = pytest.importorskip("pandas")
    good(run("reconstruct", trained[0]))
    table = pandas.read_csv(trained[0] / "codes.csv")
    table.iloc[::-1].to_csv("turned.csv", index=False)
    table.assign(sequence=["someone", "else"]).to_csv("strange.csv", index=False)
    tables = {}
    for name in (trained[0] / "codes.csv", "turned.csv", "strange.csv"):
        output = good(run("evaluate", data, "reconstructed", "--codes", name, "--out", "found", "--overwrite"))
        assert ("assigned in order" in output and "someone, else" in output) == (name == "strange.csv")
        tables[str(name)] = pandas.read_csv("found/codes.csv").filter(regex="^z")
    first, turned, strange = tables.values()
    assert np.allclose(first, turned) and np.allclose(first, strange) and not np.allclose(first, first[::-1])


OLD = "# a, with a comma,b\n0.5,1,-2\n1e-3,2,nan\n"


@pytest.mark.parametrize("text", [OLD, OLD.partition("\n")[2], "c0,c1,c2\n" + OLD.partition("\n")[2]])
def test_codes_without_names_are_read_as_before(tmp_path, text):
    (tmp_path / "codes.csv").write_text(text)
    np.testing.assert_array_equal(read_codes(tmp_path / "codes.csv"), [[0.5, 1, -2], [1e-3, 2, np.nan]])


def test_names_of_any_kind_come_back(tmp_path):
    names = ['a, "b"', "ä\nö", "7"]
    write_codes(tmp_path / "codes.csv", names, [[0.1, 1], [0.2, 2], [0.3, 3]])
    found = read_codes(tmp_path / "codes.csv")
    assert found.names == names and found.codes.tolist() == [[0.1, 1], [0.2, 2], [0.3, 3]]


@pytest.mark.parametrize(
    "text, words",
    [("", "no rows"), ("sequence,c0\n", "a header and no rows"), ("sequence,c0\na,b\n", "row 2 has 'b'"),
     ("1,2\n3\n", "row 2 has 1 cells"), ("sequence,c0\na,1\nb\n", "row 3 has 1 cells")],
)  # fmt: skip
def test_files_that_hold_no_codes_are_refused(data, work, text, words):
    Path("codes.csv").write_text(text)
    refused(run("evaluate", data, data.parent / "run", "--codes", "codes.csv"), words, "sequence,c0,c1")
    refused(run("evaluate", data, data.parent / "run", "--codes", "none.csv"), "does not exist", "neural encode")


def readme_commands():
    """Those under "Living shapes", in order, as arguments."""
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    part = text[text.index("\n## Living shapes") :].partition("\n## ")[2].partition("\n## ")[0]
    lines = [line.strip() for line in part.splitlines() if line.startswith("    cytoform neural ")]
    return [shlex.split(line, comments=True)[2:] for line in lines]


def changed(args, **options):
    """Arguments with other values of options, which are there or are added."""
    args = list(args)
    for name, value in options.items():
        option = f"--{name}"
        if option in args:
            args[args.index(option) + 1] = value
        else:
            args += [option, value]
    return args


@pytest.mark.slow
def test_what_the_readme_says_of_living_shapes_works(work):
    """Its commands as they stand, but small."""
    pytest.importorskip("torch")
    prepare, *rest = readme_commands()
    assert [args[0] for args in (prepare, *rest)] == [
        "prepare", "train", "reconstruct", "generate", "evaluate", "simulate", "train", "encode", "evaluate"
    ]  # fmt: skip
    train, reconstruct, generate, evaluate, simulate, train_encoder, encode, evaluate_encoded = rest
    grid, bodies = Grid((24, 50, 50), (0.5, 0.25, 0.25)), ((2.0, 2.4, 4.0), (1.8, 2.0, 4.6), (2.2, 2.6, 3.4))
    centres = ((2.9, 3.2, 6.2), (8.6, 3.2, 6.2), (5.7, 9.0, 6.2))
    masks = [
        label_mask([ellipsoid(np.array(r) * (0.8 + 0.1 * t), c, edge=0.6) for r, c in zip(bodies, centres)], grid)
        for t in range(3)
    ]
    meta = {"axes": "TZYX", "spacing": 0.5, "unit": "um"}
    tifffile.imwrite("masks.tif", np.stack(masks), imagej=True, resolution=(4.0, 4.0), metadata=meta)
    good(run(*changed(prepare, shape=SHAPE)))
    train = [*train, *TINY]
    train[(at := train.index("--minutes")) : at + 2] = ["--epochs", EPOCHS]
    good(run(*train))
    good(run(*reconstruct))
    generate[generate.index("-n") + 1] = 2
    good(run(*generate))
    output = good(run(*evaluate))
    assert "Dice" in output and Path("evaluation/report.html").is_file()
    assert len(files("cells", "*.h5")) == 3 and len(files("new", "*.tif")) == len(files("new", "*.h5")) == 2
    good(run(*changed(simulate, n=1, frames=2, shape=SHAPE, out="simulated")))
    Path("others").mkdir()
    (taken, *_) = sorted(Path("cells").glob("*.h5"))
    taken.rename(Path("others") / taken.name)
    good(run(*train_encoder, *TINY, "--steps", 600))
    assert "--prior 0 --aside 4" in good(run(*encode, "--starts", 2))
    assert "Dice" in good(run(*evaluate_encoded))


@pytest.mark.parametrize("command", ["reconstruct", "generate", "encode", "interpolate"])
def test_a_model_that_is_not_there_is_refused(data, work, command):
    pytest.importorskip("torch")
    rest = {"encode": (data,), "interpolate": ("0", "1")}.get(command, ())
    refused(run(command, "nowhere", *rest), "nowhere does not exist", "neural train")
    Path("empty").mkdir()
    refused(run(command, "empty", *rest), "holds no model.safetensors", "neural train")
    Path("other.txt").write_text("text")
    refused(run(command, "other.txt", *rest), "is no model.safetensors")
    assert files(work) == ["empty", "other.txt"]


@pytest.mark.parametrize(
    "args, words",
    [
        (("reconstruct", "RUN", "--which", "nobody"), ("nobody", "deforming-s0-00")),
        (("reconstruct", "RUN", "--which", "7"), ("no sequence 7",)),
        (("reconstruct", "RUN", "--format", "stl"), ("--format is 'stl'", "mesh")),
        (("reconstruct", "RUN", "--rotation", "random"), ("--rotation is 'random'", "learned")),
        (("generate", "RUN", "--prior", "flat"), ("prior is 'flat'", "mixture")),
        (("generate", "RUN", "--spread", -1), ("spread is -1",)),
        (("generate", "RUN", "--rotation", "learned"), ("--rotation is 'learned'", "random")),
        (("interpolate", "RUN", "0"), ("nothing to interpolate", "--frames")),
        (("interpolate", "RUN", "0", "--steps", "3"), ("--steps was given without END",)),
        (("interpolate", "RUN", "0,1", "1"), ("names 2 sequences",)),
        (("encode", "RUN", "DATA", "DATA"), ("called deforming-s0-00",)),
        (("encode", "RUN", "nowhere"), ("nowhere does not exist",)),
    ],
)
def test_what_cannot_be_made_is_refused(data, trained, work, args, words):
    given = {"RUN": trained[0], "DATA": data}
    refused(run(*(given.get(a, a) for a in args)), *words)
    assert files(work) == []


# -- texts of options --------------------------------------------------------------------------------------------------


def test_frames_shapes_and_rotations_are_read():
    assert parse_frames("30") == 30 and parse_frames("-1,0,1") == [-1, 0, 1] and parse_frames("0.5") == [0.5]
    assert parse_shape("64") == 64 and parse_shape("32,64,64") == [32, 64, 64]
    assert parse_rotation("none", "none") == "none" and parse_rotation("-180,0,90", "none") == [-np.pi, 0, np.pi / 2]
    assert parse_frames(None) is None and parse_shape(None) is None


@pytest.mark.parametrize("read, text", [(parse_frames, t) for t in ("many", "0", "-2", "0,5", "0,nan", "1.5")])
def test_bad_frames_are_refused(read, text):
    with pytest.raises(ConfigError, match="--frames"):
        read(text)


@pytest.mark.parametrize("text", ["large", "1", "8,8", "8.5", ""])
def test_bad_shapes_are_refused(text):
    with pytest.raises(ConfigError, match="--shape"):
        parse_shape(text)


@pytest.mark.parametrize("text", ["turned", "1,2", "nan,0,0", ""])
def test_bad_rotations_are_refused(text):
    with pytest.raises(ConfigError, match="degrees"):
        parse_rotation(text, "none")


def test_the_bar_counts_from_where_the_work_began(capsys):
    with ProgressBar("steps") as bar:
        bar(6, 10, "epoch 1/2", note="loss 0.5", first=5)
        bar(10, 10, "epoch 2/2", left=0.0, first=5)
    shown = capsys.readouterr().err
    assert "10/10 steps" in shown and "epoch 2/2" in shown and "00:00 left" in shown
    with ProgressBar("steps", quiet=True) as bar:
        bar(1, 2)
    assert capsys.readouterr().err == ""
