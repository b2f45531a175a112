"""``cytoform forces`` on files and folders."""

import csv

import pytest
from oracles.bubbles import double_bubble
from typer.testing import CliRunner

import cytoform as cf
from cytoform.cli.program import app
from cytoform.mesh import shapes


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    cf.write_mesh(folder / "mesh.vtp", double_bubble((1, 0.8, 0.6), turn=0.2, rings=6).mesh)
    return folder


def call(*words):
    return CliRunner().invoke(app, ["forces", *map(str, words)])


def test_a_run_and_a_mesh_give_the_same(run_folder, tmp_path):
    tables = []
    for source, out in ((run_folder, tmp_path / "a"), (run_folder / "mesh.vtp", tmp_path / "b")):
        result = call(source, "--out", out)
        assert result.exit_code == 0, result.output
        assert "tension 0–1" in result.output and "good" in result.output
        assert {p.name for p in out.iterdir()} == {"tensions.csv", "pressures.csv", "forces.vtp", "forces.html"}
        tables.append((out / "tensions.csv").read_text())
    assert tables[0] == tables[1]


def test_options_reach_the_reading(run_folder, tmp_path):
    result = call(run_folder, "--passive", "2", "--scale", "2", "--out", tmp_path / "a")
    assert result.exit_code == 0, result.output
    with open(tmp_path / "a" / "tensions.csv", newline="") as file:
        assert [row["reason"][:11] for row in csv.DictReader(file)] == ["", "no equation", "no equation"]


def test_messages(run_folder, tmp_path):
    cf.write_mesh(tmp_path / "ball.ply", shapes.icosphere(1.0))
    (tmp_path / "empty").mkdir()
    for words, text in (
        ((tmp_path / "ball.ply",), "without region labels"),
        ((tmp_path / "empty",), "holds no mesh"),
        ((tmp_path / "none.rec",), "no such file"),
        ((run_folder, "--passive", "x"), "--passive is 'x'"),
        ((run_folder, "--passive", "9"), "passive names the regions [9]"),
        ((run_folder, "--scale", "-1"), "-1"),
    ):
        result = call(*words, "--out", tmp_path / "out")
        assert result.exit_code == 2, result.output
        assert text in result.output
        assert not (tmp_path / "out").exists()


def test_a_full_folder_is_kept(run_folder, tmp_path):
    (tmp_path / "note.txt").write_text("mine")
    assert call(run_folder, "--out", tmp_path).exit_code == 2
    assert [p.name for p in tmp_path.iterdir()] == ["note.txt"]
    assert call(run_folder, "--out", tmp_path, "--overwrite").exit_code == 0
