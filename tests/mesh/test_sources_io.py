"""Files of points and filaments: there and back, files of other programs, and errors."""

import numpy as np
import pytest

import cytoform as cf
from cytoform.errors import FileFormatError, MeshError

POINTS = cf.PointSet([[0.1, 2.0, 3.0], [4.0, 5.5, 6.0]], [7.0, 8.25])
LOOP = cf.Filaments(
    [[0, 0, 0], [0, 0, 1], [0, 1, 1.5], [3, 0, 0], [3, 1, 0]], [[0, 1], [1, 2], [2, 0], [3, 4]], [1, 2, 3, 4]
)


@pytest.mark.parametrize("suffix", ["csv", "vtp"])
def test_points_there_and_back(tmp_path, suffix):
    cf.write_points(tmp_path / f"p.{suffix}", POINTS, {"error": [0.1, 0.2]})
    back = cf.read_points(tmp_path / f"p.{suffix}")
    assert (back.positions == POINTS.positions).all() and (back.brightness == POINTS.brightness).all()


@pytest.mark.parametrize("suffix", ["swc", "vtp"])
def test_filaments_there_and_back(tmp_path, suffix):
    """A loop too, which a tree can only hold cut at one place."""
    cf.write_filaments(tmp_path / f"f.{suffix}", LOOP)
    back = cf.read_filaments(tmp_path / f"f.{suffix}")

    def segments(filaments):
        ends = [tuple(sorted(map(tuple, pair))) for pair in filaments.corners.tolist()]
        return sorted(zip(ends, filaments.density.tolist()))

    assert segments(back) == segments(LOOP)


def test_an_swc_file_of_another_program(tmp_path):
    (tmp_path / "n.swc").write_text(
        "# made elsewhere\n1 1 0 0 0 1.5 -1\n2 3 1 0 0 0.5 1\n3 3 2 0 1 0.5 2\n4 3 2 5 0 .5 2\n"
    )
    found = cf.read_filaments(tmp_path / "n.swc")
    assert found.length == pytest.approx(1.0 + np.sqrt(2.0) + np.sqrt(26.0)) and len(found.polylines()) == 3
    assert (found.vertices[:, 2].max(), found.vertices[:, 1].max()) == (2.0, 5.0)  # (x, y, z) in the file


def test_a_table_with_other_names(tmp_path):
    (tmp_path / "t.csv").write_text("x,y,z\n1,2,3\n")
    assert cf.read_points(tmp_path / "t.csv").positions.tolist() == [[3.0, 2.0, 1.0]]


@pytest.mark.parametrize("text", ["", "1 1 0 0 0 1", "1 1 0 0 0 1 7\n", "one 1 0 0 0 1 -1\n", "1 1 0 0 0 1 -1\n"])
def test_broken_swc_files(tmp_path, text):
    (tmp_path / "b.swc").write_text(text)
    with pytest.raises((FileFormatError, MeshError), match=r"b\.swc"):
        cf.read_filaments(tmp_path / "b.swc")


def test_errors(tmp_path):
    for call in (lambda: cf.write_points(tmp_path / "p.swc", POINTS), lambda: cf.read_filaments(tmp_path / "f.csv")):
        with pytest.raises(FileFormatError, match="expected"):
            call()
    with pytest.raises(FileFormatError, match="no such file"):
        cf.read_points(tmp_path / "none.csv")
    with pytest.raises(MeshError, match="shape"):
        cf.write_points(tmp_path / "p.csv", POINTS, {"error": [1.0]})
    (tmp_path / "c.csv").write_text("a,b\n1,2\n")
    with pytest.raises(FileFormatError, match="z_um"):
        cf.read_points(tmp_path / "c.csv")
    (tmp_path / "v.vtp").write_bytes(b"<VTKFile type='ImageData'></VTKFile>")
    with pytest.raises(FileFormatError, match="PolyData"):
        cf.read_points(tmp_path / "v.vtp")
