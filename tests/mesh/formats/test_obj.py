"""OBJ by hand-made bytes: encodings, line ends, indices, polygons, what is left out, what is wrong."""

import numpy as np
import pytest

from cytoform.errors import FileFormatError, MeshError
from cytoform.mesh.io import read_mesh

VERTICES = "v 0 0 0\nv 4 0 0\nv 0 4 0\nv 0 0 4\n"
FACES = "f 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"
VOLUME = 64.0 / 6.0  # of the tetrahedron


def _read(tmp_path, data):
    path = tmp_path / "a.obj"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_mesh(path)


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"\xef\xbb\xbf", "utf-8"),
        (b"\xff\xfe", "utf-16-le"),
        (b"\xfe\xff", "utf-16-be"),
        (b"", "utf-16-le"),
        (b"", "utf-16-be"),
        (b"\xff\xfe\0\0", "utf-32-le"),
        (b"\0\0\xfe\xff", "utf-32-be"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_marks_encodings_and_line_ends(tmp_path, mark, encoding, end):
    mesh = _read(tmp_path, mark + (VERTICES + FACES).replace("\n", end).encode(encoding))
    assert (mesh.n_vertices, mesh.n_faces) == (4, 4) and mesh.volume == pytest.approx(VOLUME)


def test_a_mark_does_not_shift_faces_by_a_vertex(tmp_path, caplog):
    # Without the first vertex, these faces would name the last, spare one, and nothing would be noticed.
    mesh = _read(tmp_path, b"\xef\xbb\xbf" + (VERTICES + "v 9 9 9\n" + FACES).encode())
    assert mesh.volume == pytest.approx(VOLUME)
    assert "1 vertex that no face uses is left out" in caplog.text


def test_lines_go_on_after_a_backslash_but_not_after_a_comment_or_a_name(tmp_path):
    text = (
        "# made of C:\\cells\\\nv 0 0 0\nmtllib D:\\paints\\\nv 4 0 \\\n0\nv 0 4 0 # C:\\cells\\\nv 0 0 4\n"
        "o one\\\nf 1 \\\r\n 3 2\nf 1 2 4\ng part\\\nf 1 4 3\nf 2 3 4\n"
    )
    mesh = _read(tmp_path, text)
    assert mesh.n_faces == 4 and mesh.volume == pytest.approx(VOLUME)
    with pytest.raises(FileFormatError, match="ends with a backslash"):
        _read(tmp_path, VERTICES + FACES + "f 1 2 \\")


def test_negative_indices_count_back_from_where_they_stand(tmp_path):
    text = "v 0 0 0\nv 4 0 0\nv 0 4 0\nf -3 -1 -2\nv 0 0 4\nf 1 2 -1\nf 1/5 -1/2/3 3//4\nf 2 3 -1\n"
    mesh = _read(tmp_path, text)
    assert mesh.n_faces == 4 and mesh.volume == pytest.approx(VOLUME)


def test_weights_and_colours_after_the_position(tmp_path, caplog):
    rows = ["v 0 0 0 1.0", "v 4 0 0 0.1 0.2 0.3", "v 0 4 0 1.0 0.1 0.2 0.3", "v 0 0 4"]
    mesh = _read(tmp_path, "\n".join(rows) + "\n" + FACES)
    assert mesh.volume == pytest.approx(VOLUME) and caplog.text == ""
    assert _read(tmp_path, VERTICES.replace("0 0 4\n", "0 0 4 2.5\n") + FACES).volume == pytest.approx(VOLUME)
    assert "the weight, a fourth coordinate, of 1 vertex is left out" in caplog.text
    for row in ("v 0 0", "v 0 0 4 1 1", "v 1,5,0,4"):
        with pytest.raises(FileFormatError, match=r"line 5 makes no sense: .*expected 3 coordinates"):
            _read(tmp_path, VERTICES + row + "\n" + FACES)


def test_decimal_commas_are_named(tmp_path):
    with pytest.raises(FileFormatError, match=r"line 2 makes no sense: 'v 4,0 0 0'; '4,0' has a decimal comma"):
        _read(tmp_path, VERTICES.replace("4 0 0", "4,0 0 0") + FACES)


def test_what_is_no_face_is_said_to_be_left_out(tmp_path, caplog):
    mesh = _read(tmp_path, VERTICES + FACES + "l 1 2 3\nl 2 3\np 1\ncurv 0 1 1 2\nsurf 0 1 0 1 1 2 3 4\nvp 1 2\n")
    assert mesh.n_faces == 4
    for words in ("its 2 lines are", "its point is", "its free-form curve is", "its free-form surface is"):
        assert f"a.obj: {words} left out." in caplog.text


def test_several_objects_are_one_mesh_and_it_is_said(tmp_path, caplog):
    one = _read(tmp_path, "o a\n" + VERTICES + "g x\n" + FACES + "g y\n")
    assert one.n_faces == 4 and caplog.text == ""
    other = VERTICES.replace("v ", "v 1").replace("v 14 ", "v 114 ")  # somewhere else
    two = _read(tmp_path, "o a\n" + VERTICES + FACES + "o empty\no b\n" + other + "f 5 7 6\n")
    assert two.n_faces == 5 and "its 2 objects are taken together as one mesh" in caplog.text


def test_a_polygon_that_is_not_convex_is_cut_within_itself(tmp_path, caplog):
    # An arrowhead from each of its corners on, and a comb; areas by hand. A fan would cover more.
    arrow = ["0 0 0", "4 0 0", "1 1 0", "0 4 0"]  # area 4
    for first in range(4):
        turned = arrow[first:] + arrow[:first]
        mesh = _read(tmp_path, "".join(f"v {p}\n" for p in turned) + "f 1 2 3 4\n")
        assert mesh.n_faces == 2 and mesh.area == pytest.approx(4.0), first
        assert (mesh.normals[:, 0] > 0.99).all()  # all of them up, along z
    comb = [(0, 0), (9, 0), (9, 3), (8, 3), (8, 1), (5, 1), (5, 3), (4, 3), (4, 1), (1, 1), (1, 3), (0, 3)]  # area 15
    for axes in ("{0} {1} 0", "0 {0} {1}", "{1} 0 {0}", "{1} {0} 0"):
        for first in range(len(comb)):
            rows = "".join("v " + axes.format(*p) + "\n" for p in comb[first:] + comb[:first])
            mesh = _read(tmp_path, rows + "f " + " ".join(str(i + 1) for i in range(12)) + "\n")
            assert mesh.n_faces == 10 and mesh.area == pytest.approx(15.0), (axes, first)
    assert caplog.text == ""


def test_a_polygon_that_crosses_itself_is_said(tmp_path, caplog):
    mesh = _read(tmp_path, "v 0 0 0\nv 1 1 0\nv 1 0 0\nv 0 1 0\nf 1 2 3 4\n")
    assert mesh.n_faces == 2 and "1 polygon that cross themselves" in caplog.text


def test_poles_where_corners_coincide_leave_no_gaps(tmp_path, caplog):
    # A double pyramid of quads whose ends are two equal points each, by position or by index.
    ring = "v 1 0 0\nv 0 1 0\nv -1 0 0\nv 0 -1 0\n"
    by_index = ring + "v 0 0 1\nv 0 0 -1\n"
    by_index += "".join(f"f {a} {b} 5 5\nf {b} {a} 6 6\n" for a, b in ((1, 2), (2, 3), (3, 4), (4, 1)))
    by_place = ring + "v 0 0 1\nv 0 0 -1\nv 0 0 1\nv 0 0 -1\n"
    by_place += "".join(f"f {a} {b} 5 7\nf {b} {a} 6 8\n" for a, b in ((1, 2), (2, 3), (3, 4), (4, 1)))
    for text in (by_index, by_place):
        mesh = _read(tmp_path, text)
        edges = np.sort(np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]]), axis=1)
        assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
        assert (mesh.n_vertices, mesh.n_faces) == (6, 8) and mesh.volume == pytest.approx(4.0 / 3.0)
    assert "8 faces with the same point at two corners are left out" in caplog.text


def test_a_mesh_of_such_faces_alone_is_refused(tmp_path):
    with pytest.raises(MeshError, match="none of its 2 faces has an area"):
        _read(tmp_path, VERTICES + "f 1 1 2\nf 3 4 4\n")


def test_vertices_without_faces_may_be_anything(tmp_path, caplog):
    spare = "v nan nan nan\nv -nan(ind) 0 inf\nv 1e30 0 0\n"
    mesh = _read(tmp_path, VERTICES + spare + FACES)
    assert mesh.n_vertices == 4 and "3 vertices that no face uses are left out" in caplog.text
    with pytest.raises(MeshError, match="1 of 5 vertices are NaN"):
        _read(tmp_path, VERTICES + "v nan 0 0\n" + FACES + "f 1 2 5\n")


def test_words_that_name_no_vertex(tmp_path):
    for word in ("x", "1.5", "/2"):
        with pytest.raises(FileFormatError, match=f"line 9 makes no sense: .*'{word}' names no vertex"):
            _read(tmp_path, VERTICES + FACES + f"f 1 2 {word}\n")
