"""The page: self-contained, escaped, with the surface's geometry inside."""

import base64
import json
import re

import numpy as np
import pytest

from cytoform.errors import OutputError
from cytoform.mesh.shapes import icosphere
from cytoform.mesh.topology import is_closed
from cytoform.report import report_html, write_report
from cytoform.report.page import _number_text, _simplified, _staining

from .example import GRID, example

LARGEST = 6_000_000  # bytes


@pytest.fixture(scope="module")
def page():
    return report_html(example(truth=icosphere(2.4, GRID.centre)))


def _geometry(page):
    found = re.search(r'<script type="application/json" id="surface-data">(.*?)</script>', page, re.DOTALL)
    return json.loads(found.group(1))


def test_nothing_outside_of_the_file_is_referred_to(page):
    assert not re.search(r"(https?:)?//[a-z0-9.-]+\.[a-z]{2,}", re.sub(r"base64,[A-Za-z0-9+/=]+", "", page))
    assert "<link" not in page and "@import" not in page and "url(" not in page
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert sources and all(s.startswith("data:image/png;base64,") for s in sources)


def test_it_has_a_title_the_numbers_and_a_moderate_size(page):
    assert "<title>cell.tif · cytoform report</title>" in page
    for text in ("56.3 µm³", "the loss no longer changes", "1.18, 0.59, 0.59", "PSF FWHM", "true surface"):
        assert text in page
    assert len(page.encode()) < LARGEST
    assert page.count("<img") == 5 and page.count(" alt=") == 5


@pytest.mark.slow
def test_it_tells_which_cell_it_is_and_what_an_error_means():
    page = report_html(example(about=("label 7", "channel <1>"), table_note="± is one standard error."))
    assert "label 7 · channel &lt;1&gt; · 24 × 40 × 44 voxels" in page
    assert '<p class="caption">± is one standard error.</p>' in page


@pytest.mark.slow
def test_words_are_escaped():
    page = report_html(example(title="<b>&.tif", notes=["5 < 6 & so on"], table=[("a<b", "<script>")]))
    assert "<b>&.tif" not in page and "&lt;b&gt;&amp;.tif" in page
    assert "5 &lt; 6 &amp; so on" in page and "<td>&lt;script&gt;</td>" in page


def test_the_geometry_is_the_mesh_in_xyz(page):
    mesh = example().mesh
    found = _geometry(page)
    points = np.frombuffer(base64.b64decode(found["fit"]["points"]), "<f4").reshape(-1, 3)
    faces = np.frombuffer(base64.b64decode(found["fit"]["faces"]), "<u4").reshape(-1, 3)
    centre = 0.5 * (mesh.bounds[0] + mesh.bounds[1])
    np.testing.assert_allclose(points[:, ::-1] + centre, mesh.vertices, atol=1e-5)
    np.testing.assert_array_equal(faces, mesh.faces)
    assert found["radius"] == pytest.approx(np.linalg.norm(points, axis=1).max(), rel=1e-5)
    assert len(base64.b64decode(found["fit"]["colours"])) == 3 * mesh.n_vertices
    assert "truth" in found


@pytest.mark.slow
def test_every_id_that_the_script_asks_for_is_there(page):
    asked = ["view", "surface-data", "turning", "wires", "truth"]
    asked += [f"{part}-{axis}" for part in ("axis", "name") for axis in "xyz"]
    assert all(f'id="{name}"' in page for name in asked)
    assert 'id="truth"' not in report_html(example())


@pytest.mark.slow
def test_uneven_staining_is_coloured_with_a_key():
    mesh = example().mesh
    assert _staining(mesh) is None
    stained = mesh.with_density(1.0 + 0.5 * np.sign(mesh.normals[:, 2]))
    _, low, high = _staining(stained)
    assert low == pytest.approx(0.5, abs=0.02) and high == pytest.approx(1.5, abs=0.02)
    assert "staining over its mean" in report_html(example(mesh=stained))


def test_huge_meshes_are_thinned_out_for_the_page_only():
    mesh = icosphere(5.0, subdivisions=6)
    coarse = _simplified(mesh)
    assert mesh.n_faces > 60_000 >= coarse.n_faces and is_closed(mesh)
    assert coarse.area == pytest.approx(mesh.area, rel=0.05)


def test_the_numbers_on_top_are_those_that_it_is_given(page):
    volume = example().mesh.volume
    assert f"<b>{volume:.2f} <small>µm³</small></b><span>volume</span>" in page
    assert "<b>0.912</b><span>R²</span>" in page and "headline" in page


@pytest.mark.parametrize(("value", "text"), [(12.3456, "12.35"), (123.4, "123.4"), (4321.6, "4,322"), (np.nan, "–")])
def test_numbers_read_well(value, text):
    assert _number_text(value) == text


@pytest.mark.slow
def test_it_is_written_whole_or_not_at_all(tmp_path):
    write_report(example(), tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    with pytest.raises(OutputError):
        write_report(example(), tmp_path / "missing" / "report.html")
