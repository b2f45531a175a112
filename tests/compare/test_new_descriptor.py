"""A new descriptor: one object and one registration, and it is everywhere."""

import csv
import math
import subprocess
import sys

import numpy as np
import pytest
import typer
from compare.bodies import growing
from typer.testing import CliRunner

from cytoform.cli.console import command_settings
from cytoform.cli.neural.evaluation import evaluate as command
from cytoform.compare import DESCRIPTORS, Descriptor, describe, evaluate, register
from cytoform.errors import ConfigError, MeshError
from cytoform.mesh import MultiMaterialMesh, shapes
from cytoform.sdf.sequence import SDFSequence
from cytoform.synth import family


def height(mesh):
    low, high = mesh.bounds
    return high[0] - low[0]


@pytest.fixture
def tall():
    yield register(Descriptor("height", "height along z", "µm", height, "Height is the extent along z."))
    DESCRIPTORS.remove("height")


def test_it_describes_any_surface(tall):
    """It sees the surface: no volume and area tell that a body lies on its side."""
    found = describe(shapes.ellipsoid((1.0, 2.0, 3.0), subdivisions=4))
    assert found["height"] == pytest.approx(2.0, rel=1e-6)
    assert found["volume"] == pytest.approx(8 * math.pi, rel=0.01)
    assert list(found)[:3] == ["volume", "area", "sphericity"]
    assert describe(family("dividing").sample(0).surface(0.3))["height"] > 3.0


@pytest.mark.slow
def test_it_is_in_tables_tests_figures_and_page(tall, tmp_path):
    real = [growing(r, name=f"cell {r}") for r in (3.0, 3.3, 3.6)]
    made = [growing(r, stretch=1.4, name=f"new {r}") for r in (3.0, 3.3)]
    found = evaluate(real, made, tmp_path / "out")
    first = found.frames[(found.frames["set"] == "real") & (found.frames["frame"] == 0)]
    assert first["height"] == pytest.approx([6.0, 6.6, 7.2], rel=0.01)
    assert found.tests[found.tests["descriptor"] == "height"]["ks_statistic"][0] == 1.0
    with open(tmp_path / "out" / "frames.csv", encoding="utf-8", newline="") as file:
        assert float(next(csv.DictReader(file))["height_um"]) == pytest.approx(6.0, rel=0.01)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "height along z, µm" in page and "Height is the extent along z." in page
    assert "height along z (median" in found.summary and "of 4" in page  # descriptors that differ
    assert (tmp_path / "out" / "time.png").stat().st_size > 20_000


def test_without_a_metric_scale_its_unit_is_the_voxel(tall):
    sphere = growing(3.0, frames=1)
    plain = SDFSequence.from_array(np.stack(list(sphere)) / 10.0, None)
    found = evaluate([plain], [plain])
    assert found.frames["height"][0] == pytest.approx(12.0, rel=0.01)  # voxels of 0.5 µm
    assert found.tables()["frames.csv"].splitlines()[0].endswith(",height_voxel")


@pytest.mark.slow
def test_the_command_line_knows_it(tall, tmp_path):
    for name, radius in (("real", 3.0), ("made", 3.2)):
        (tmp_path / name).mkdir()
        growing(radius, name=name).save(tmp_path / name / "cell.h5")
    app = typer.Typer()
    app.command("evaluate", **command_settings(command))(command)
    out = tmp_path / "out"
    done = CliRunner().invoke(app, [str(tmp_path / "real"), str(tmp_path / "made"), "-o", str(out), "-q"])
    assert done.exit_code == 0, done.output
    assert "height_um" in (out / "sequences.csv").read_text().splitlines()[0]


@pytest.mark.slow
def test_one_that_is_aside_has_a_folded_table_of_its_own(tmp_path):
    one = register(Descriptor("depth", "depth", "µm", height, "Depth is height.", aside="Seldom asked for"))
    try:
        found = evaluate([growing(3.0, name="a")], [growing(3.1, name="b")], tmp_path)
    finally:
        DESCRIPTORS.remove(one.name)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<summary>Seldom asked for</summary>" in page and "of 3" in page and "depth (median" not in found.summary


def test_where_it_is_not_defined_it_is_nan():
    assert math.isnan(Descriptor("odd", "odd", "", lambda mesh: 1 / 0)(shapes.icosphere(1.0)))
    inside_out = shapes.icosphere(1.0)
    inside_out = type(inside_out)(inside_out.vertices, inside_out.faces[:, ::-1])
    assert all(math.isnan(value) for value in describe(inside_out).values())


def _empty(mesh):
    return [][0]


def test_one_that_fails_is_nan_and_the_others_are_given(caplog):
    """In tables and on the page too; the log tells once what happened."""
    wrong = [Descriptor("failing", "failing", "", _empty), Descriptor("nothing", "nothing", "", lambda mesh: None)]
    ball = shapes.icosphere(1.0)
    plain = describe(ball)
    for one in wrong:
        register(one)
    try:
        found = describe(ball)
        table = evaluate([growing(3.0, name="a")], [growing(3.1, name="b")])
        pictures = table.tables()
    finally:
        for one in wrong:
            DESCRIPTORS.remove(one.name)
    assert all(math.isnan(found.pop(one.name)) for one in wrong) and found == plain
    assert np.isnan(table.frames["failing"]).all() and np.isfinite(table.frames["volume"]).all()
    assert "failing" in pictures["frames.csv"]
    texts = [r.getMessage() for r in caplog.records if "It is NaN" in r.getMessage()]
    assert len(texts) == 2 and "'failing' raises IndexError" in texts[0] and "'nothing' raises TypeError" in texts[1]


@pytest.mark.slow
def test_those_of_broken_packages_are_left_out(tmp_path):
    """One that cannot be loaded, one that is none, one whose name is taken; and the good one beside them is there."""
    (tmp_path / "odd_package.py").write_text(
        "from cytoform.compare import Descriptor\n"
        "class Odd: name = 'odd'\n"
        "odd = Odd()\n"
        "corners = Descriptor('corners', 'corners', '', lambda mesh: mesh.n_vertices)\n"
    )
    info = tmp_path / "odd_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: odd-package\nVersion: 1.0\n")
    names = "gone = odd_package:gone\nodd = odd_package:odd\nvolume = odd_package:odd\ncorners = odd_package:corners\n"
    (info / "entry_points.txt").write_text(f"[cytoform.descriptors]\n{names}")
    for name, radius in (("real", 3.0), ("made", 3.2)):
        (tmp_path / name).mkdir()
        growing(radius, name=name).save(tmp_path / name / "cell.h5")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from cytoform.compare import describe, evaluate\nfrom cytoform.mesh import shapes\n"
        "print(list(describe(shapes.icosphere(1.0)))); evaluate('real', 'made', 'out')"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    given = ["volume", "area", "sphericity", "sphericity_miccai2022", "sphericity_media2024", "corners"]
    assert found.stdout.strip() == str(given)
    assert found.stderr.count("It is left out.") == 2 and "the name volume is taken" in found.stderr, found.stderr
    head = (tmp_path / "out" / "frames.csv").read_text().splitlines()[0]
    assert head.endswith("sphericity_media2024,corners")


def test_what_is_no_descriptor_is_refused():
    with pytest.raises(ConfigError, match="of type str; expected Descriptor"):
        register("height")


def test_a_cluster_is_described_region_by_region():
    """Two tetrahedra with a face in common: together they are no closed surface."""
    points = np.array([[0.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0], [-1, 0, 0]])
    faces = np.array([[0, 1, 2], [0, 3, 1], [1, 3, 2], [2, 3, 0], [0, 1, 4], [1, 2, 4], [2, 0, 4]])
    labels = np.array([[1, 2], [1, 0], [1, 0], [1, 0], [2, 0], [2, 0], [2, 0]])
    pair = MultiMaterialMesh(points, faces, labels).repaired()
    with pytest.raises(MeshError, match=r"has 2 regions, 1, 2; expected one .* mesh\.regions\(\)\.values\(\)"):
        describe(pair)
    each = [describe(surface) for surface in pair.regions().values()]
    assert [one["volume"] for one in each] == pytest.approx([1 / 6, 1 / 6])


def test_vertices_that_no_face_uses_count_for_nothing():
    ball = shapes.icosphere(2.0, subdivisions=2)
    stray = type(ball)(np.vstack([ball.vertices, [[np.nan] * 3, [99.0] * 3]]), ball.faces)
    assert describe(stray) == describe(ball)


def test_units_and_names():
    one = Descriptor("bend", "bending", "µm⁻¹", height)
    assert one.label() == "bending, µm⁻¹" and one.label("voxels") == "bending, voxel⁻¹"
    assert DESCRIPTORS["volume"].column("voxels") == "volume_voxel3" and DESCRIPTORS["area"].column() == "area_um2"
    assert DESCRIPTORS["sphericity"].label() == "sphericity (Wadell)"
    with pytest.raises(ConfigError, match="letters, digits and _"):
        Descriptor("my height", "height", "µm", height)
    with pytest.raises(ConfigError, match="called 'volume' already"):
        register(Descriptor("volume", "volume", "µm³", height))
