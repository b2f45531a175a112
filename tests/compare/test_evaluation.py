"""The whole comparison: tables, files, page, command line, and what it refuses."""

import base64
import csv
import math
import subprocess
import sys

import numpy as np
import pytest
import typer
from compare.bodies import coordinates, growing, sphere
from typer.testing import CliRunner

from cytoform.cli.console import command_settings
from cytoform.cli.neural.evaluation import evaluate as command
from cytoform.compare import Evaluation, evaluate, figures
from cytoform.compare.page import pictures
from cytoform.errors import ConfigError, OutputError, SequenceError
from cytoform.sdf.sequence import SDFSequence

RADII = (3.0, 3.3, 3.6, 3.9, 4.2)
CODES = np.random.default_rng(0).normal(0, 0.01, (5, 8))


@pytest.fixture(scope="module")
def real():
    return [growing(r, name=f"cell {k}") for k, r in enumerate(RADII)]


@pytest.fixture(scope="module")
def made():
    nearly = [growing(0.97 * r, name=f"cell {k}") for k, r in enumerate(RADII)]
    return {"reconstructed": nearly, "generated": [growing(2.5, stretch=s, name=f"new {s}") for s in (1.5, 1.6, 1.7)]}


@pytest.fixture(scope="module")
def found(real, made):
    return evaluate(real, made, paired={"reconstructed"}, codes=CODES, labels=list("aabba"))


def test_tables_hold_what_the_bodies_are(found):
    assert found.sets == ("real", "reconstructed", "generated") and found.unit == "µm"
    assert len(found.frames) == 3 * (5 + 5 + 3) and len(found.overlap) == 15
    first = found.frames[(found.frames["set"] == "real") & (found.frames["frame"] == 0)]
    assert first["volume"] == pytest.approx([4 / 3 * math.pi * r**3 for r in RADII], rel=0.01)
    grown = np.mean([(1.05**k) ** 3 for k in range(3)])
    rows = found.sequences[found.sequences["set"] == "real"]
    assert rows["volume"] == pytest.approx([4 / 3 * math.pi * r**3 * grown for r in RADII], rel=0.01)
    assert found.frames["time_s"][:3].tolist() == [0, 60, 120]
    # concentric spheres: the smaller one over both
    assert found.overlap["jaccard"].mean() == pytest.approx(0.97**3, abs=0.02)
    assert found.overlap["dice"].mean() == pytest.approx(2 * 0.97**3 / (1 + 0.97**3), abs=0.02)
    assert found.overlap["volume_error"].mean() == pytest.approx(0.97**3 - 1, abs=0.02)
    at = (found.sequences["set"] == "generated") & np.isnan(found.sequences["dice"])
    assert at.sum() == 3


def test_the_summary_says_it_in_words(found):
    text = found.summary
    line = next(line for line in text.splitlines() if line.startswith("generated:"))
    differs = line.partition("no difference")[0]
    assert "differs from real in" in differs and "sphericity (Wadell) (median −" in differs and "p = 0.036" in differs
    assert "reconstructed: no difference from real could be shown in volume" in text
    assert "Dice coefficient is 0.9" in text and "principal components explain 90 %" in text
    assert any("Fewer than 10 sequences" in note for note in found.notes)


@pytest.mark.slow
def test_a_saved_comparison_is_complete(found, tmp_path):
    found.save(tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"frames.csv", "sequences.csv", "tests.csv", "overlap.csv", "codes.csv", "report.html"} <= names
    assert {f"{n}.png" for n in ("shapes", "time", "boxes", "qq", "overlap", "pca")} <= names
    with open(tmp_path / "out" / "frames.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[0]["volume_um3"]) == pytest.approx(found.frames["volume"][0])
    assert float(rows[0]["area_um2"]) == pytest.approx(found.frames["area"][0])
    with open(tmp_path / "out" / "tests.csv", encoding="utf-8", newline="") as file:
        first = next(csv.DictReader(file))
    assert first["descriptor"] == "volume_um3" and float(first["p"]) == pytest.approx(found.tests["p"][0])
    with open(tmp_path / "out" / "codes.csv", encoding="utf-8", newline="") as file:
        codes = list(csv.DictReader(file))
    assert [row["label"] for row in codes] == list("aabba") and float(codes[2]["z7"]) == pytest.approx(CODES[2, 7])


@pytest.mark.slow
def test_the_page_holds_figures_and_numbers_and_nothing_from_outside(found, tmp_path):
    found.save(tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    pictures = len(list(tmp_path.glob("*.png")))
    assert page.count('src="data:image/png;base64,') == pictures >= 5
    assert "http" not in page and "<script" not in page
    at = (found.tests["scope"] == "sequence") & (found.tests["descriptor"] == "volume")
    for row in found.tests[at]:
        assert f"{row['median']:.4g}" in page and f"{row['ks_statistic']:.2f}" in page
    assert f"{found.overlap['dice'].mean():.3f}" in page
    assert page.count("Fewer than 10 sequences") == 1 and "detect large differences only" not in page


@pytest.mark.slow
def test_the_page_begins_with_pictures_of_the_shapes(found, tmp_path):
    """The first two of each set, reconstructions of the very same ones; surfaces as large as the bodies are."""
    rows = found.pictured
    assert [[(one.set, one.sequence) for one in row] for row in rows] == [
        [("real", "cell 0"), ("real", "cell 1")], [("reconstructed", "cell 0"), ("reconstructed", "cell 1")],
        [("generated", "new 1.5"), ("generated", "new 1.6")],
    ]  # fmt: skip
    assert rows[0][0].frames == (0, 1, 2)
    for k, mesh in enumerate(rows[0][1].meshes):
        radius = RADII[1] * 1.05**k
        assert mesh.volume == pytest.approx(4 / 3 * math.pi * radius**3, rel=0.02)
        assert np.linalg.norm(mesh.vertices, axis=1) == pytest.approx(radius, rel=0.02)
    found.save(tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    first = page.index('src="data:image/png;base64,')
    shapes = base64.b64encode((tmp_path / "shapes.png").read_bytes()).decode()
    assert page[first:].startswith(f'src="data:image/png;base64,{shapes}')
    assert "is shown below its original" in page


def test_reconstructions_of_the_shapes_shown_are_found_by_name(real, made):
    turned = evaluate(real, {"rec": made["reconstructed"][::-1]}, paired=True)
    assert [one.sequence for one in turned.pictured[1]] == ["cell 0", "cell 1"]


def test_large_grids_are_drawn_from_fewer_samples():
    points = coordinates((100, 100, 100), (0.2, 0.2, 0.2))
    one = SDFSequence.from_array(sphere(points, 7.0)[None], 0.2, name="large")
    (mesh,) = evaluate([one], [one]).pictured[0][0].meshes
    assert mesh.volume == pytest.approx(4 / 3 * math.pi * 7**3, rel=0.02) and mesh.n_faces < 20_000


def test_the_real_ones_come_first_and_lie_on_top(found):
    figure = figures.time_figure(found)
    assert next(text.get_text() for text in figure.legends[0].get_texts()) == "real"
    for panel in figure.axes:
        heights = {line.get_label(): line.get_zorder() for line in panel.lines}
        assert heights["real"] > max(heights["reconstructed"], heights["generated"])


def test_long_names_are_shortened_where_there_is_little_room():
    assert figures.abbreviated("generated") == "generated"
    assert figures.abbreviated("a_rather_long_name") == "a_rather_…name"


def test_sequences_without_metric_scale_are_measured_in_voxels():
    sdf = np.array([sphere(coordinates((20, 20, 20), (1, 1, 1)), 6.0)])
    plain = [SDFSequence.from_array(sdf / np.abs(sdf).max(), None, name=str(k)) for k in range(2)]
    found = evaluate(plain, plain)
    assert found.unit == "voxels" and "volume_voxel3" in found.tables()["frames.csv"]
    assert any("no metric scale" in note for note in found.notes)
    assert found.frames["volume"][0] == pytest.approx(4 / 3 * math.pi * 6**3, rel=0.01)
    scaled = evaluate(plain, [SDFSequence.from_array(sdf, 0.5)], spacing=0.5)
    assert scaled.unit == "µm" and scaled.frames["volume"][0] == pytest.approx(scaled.frames["volume"][-1], rel=1e-5)
    with pytest.raises(SequenceError, match="carries no voxel size"):
        evaluate(plain, [SDFSequence.from_array(sdf, 0.5)])


@pytest.mark.slow
def test_empty_frames_are_counted(real):
    data = np.concatenate([real[0].frame(0)[None], np.ones((1, 24, 24, 24), np.float32)])
    found = evaluate(real[:2], [SDFSequence.from_array(data, 0.5, name="half")])
    assert found.sequences["missing"].tolist() == [0, 0, 1]
    assert any("1 of 2 frames have no shape" in note for note in found.notes)
    assert isinstance(found, Evaluation) and "nan" not in found.summary
    assert found.pictured[1][0].meshes[1] is None
    assert len(pictures(found)["shapes"]) > 10_000


def test_what_it_refuses(real, tmp_path):
    empty = SDFSequence.from_array(np.ones((2, 8, 8, 8)), 0.5)
    with pytest.raises(SequenceError, match="no usable shape"):
        evaluate(real[:1], [empty])
    with pytest.raises(SequenceError, match="same frames and grid"):
        evaluate(real[:1], [empty], paired=True)
    with pytest.raises(SequenceError, match="paired names 'other'"):
        evaluate(real[:1], real[:1], paired="other")
    with pytest.raises(SequenceError, match="none called 'real'"):
        evaluate(real[:1], {"real": real})
    with pytest.raises(SequenceError, match="there are 5 codes"):
        evaluate(real[:1], real[:1], codes=CODES)
    with pytest.raises(ConfigError, match="speck"):
        evaluate(real[:1], real[:1], speck=0.7)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        evaluate(real[:1], real[:1], tmp_path / "file")


def test_progress_counts_all_sequences(real):
    seen = []
    evaluate(real[:2], real[2:3], progress=lambda *args: seen.append(args))
    assert seen == [(1, 3, "real: cell 0"), (2, 3, "real: cell 1"), (3, 3, "made: cell 2")]


def test_torch_stays_out():
    code = "import sys, cytoform.compare as e; e.evaluate; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0


# ---------------------------------------------------------------------------------------------------------------------
# Command line


@pytest.fixture(scope="module")
def folders(tmp_path_factory, real, made):
    root = tmp_path_factory.mktemp("sets")
    for name, sequences in {"truth": real[:4], "rec": made["reconstructed"][:4]}.items():
        (root / name).mkdir()
        for k, sequence in enumerate(sequences):
            sequence.save(root / name / f"cell_{k}.h5")
    np.savetxt(root / "codes.csv", CODES[:4], delimiter=",")
    (root / "families.txt").write_text("a\na\nb\nb\n")
    return root


def _run(*args):
    app = typer.Typer()
    app.command("evaluate", **command_settings(command))(command)
    return CliRunner().invoke(app, [str(a) for a in args])


@pytest.mark.slow
def test_the_command_writes_a_report(folders, tmp_path):
    out = tmp_path / "out"
    done = _run(folders / "truth", f"new={folders / 'rec'}", "--paired", "new", "-o", out, "-q",
                "--codes", f"new={folders / 'codes.csv'}", "--labels", folders / "families.txt")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "Dice coefficient" in done.output and "report.html" in done.output
    assert (out / "report.html").stat().st_size > 50_000 and (out / "codes.csv").is_file()
    again = _run(folders / "truth", folders / "rec", "-o", out, "-q")
    assert isinstance(again.exception, OutputError)


def test_the_command_refuses_what_it_cannot_use(folders, tmp_path):
    out = tmp_path / "out"
    assert isinstance(_run(folders / "truth", folders / "rec", folders / "rec", "-o", out).exception, ConfigError)
    assert isinstance(_run(folders / "truth", tmp_path / "empty", "-o", out).exception, Exception)
    bad = _run(folders / "truth", folders / "rec", "-o", out, "--codes", f"other={folders / 'codes.csv'}")
    assert "NAME one of real, rec" in str(bad.exception)
    bad = _run(folders / "truth", folders / "rec", "-o", out, "--labels", folders / "families.txt")
    assert "families of the codes" in str(bad.exception)
    assert not out.exists()
