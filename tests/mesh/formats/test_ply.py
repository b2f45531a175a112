"""PLY by hand-made bytes: triangle strips, types, headers, what is left out; ours as other libraries read them."""

import struct

import numpy as np
import pytest

from cytoform.errors import FileFormatError
from cytoform.mesh.io import read_mesh, write_mesh
from cytoform.mesh.multimaterial import MultiMaterialMesh
from cytoform.mesh.shapes import icosphere

POINTS = [(0, 0, 0), (4, 0, 0), (0, 4, 0), (0, 0, 4)]
FACES = [(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)]
VOLUME = 64.0 / 6.0
STRIP = (0, 2, 1, 3, 0, 2)  # the same tetrahedron


def _head(form="ascii", real="float", faces=("face 4", "list uchar int vertex_indices"), more=()):
    lines = ["ply", f"format {form} 1.0", "comment by hand", "obj_info end_header of nothing", "element vertex 4"]
    lines += [f"property {real} {a}" for a in "xyz"]
    lines += [f"element {faces[0]}", *(f"property {p}" for p in faces[1:]), *more, "end_header"]
    return "\n".join(lines) + "\n"


VERTEX_ROWS = "".join("{} {} {}\n".format(*p) for p in POINTS)
FACE_ROWS = "".join("3 {} {} {}\n".format(*f) for f in FACES)
TEXT = _head() + VERTEX_ROWS + FACE_ROWS


def _read(tmp_path, data):
    (tmp_path / "a.ply").write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_mesh(tmp_path / "a.ply")


@pytest.mark.parametrize(
    "data",
    [
        TEXT,
        TEXT.replace("\n", "\r\n"),
        TEXT.replace("\n", "\r"),
        b"\xef\xbb\xbf" + TEXT.encode(),
        b"\xff\xfe" + TEXT.encode("utf-16-le"),
        TEXT.replace("comment by hand", "comment für µm"),
        TEXT.replace("vertex_indices", "vertex_index"),
        TEXT.rstrip("\n"),
    ],
)
def test_text_in_all_encodings_and_line_ends(tmp_path, data, caplog):
    mesh = _read(tmp_path, data)
    assert mesh.faces.tolist() == [list(f) for f in FACES] and mesh.volume == pytest.approx(VOLUME)
    assert caplog.text == ""


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("word", "code"), [("float", "f"), ("double", "d"), ("int", "i"), ("uint", "I"), ("int16", "h"), ("uchar", "B")]
)
def test_binary_in_both_byte_orders_and_with_any_line_ends(tmp_path, order, end, word, code):
    form = "binary_little_endian" if order == "<" else "binary_big_endian"
    head = _head(form, word, ("face 4", "list uint8 uint32 vertex_indices")).replace("\n", end).encode()
    body = b"".join(struct.pack(f"{order}3{code}", *p) for p in POINTS)
    body += b"".join(struct.pack(f"{order}B3I", 3, *f) for f in FACES)
    mesh = _read(tmp_path, head + body)
    assert mesh.faces.tolist() == [list(f) for f in FACES] and mesh.volume == pytest.approx(VOLUME)


@pytest.mark.parametrize("form", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_triangle_strips_turn_every_other_triangle(tmp_path, form):
    # Two strips parted by -1, the second one joined of two by corners that are there twice.
    strips = [*STRIP[:4], -1, 1, 3, 3, 3, 0, 2]
    expected = [(0, 2, 1), (1, 2, 3), (0, 3, 2)]  # by the rule that every other triangle runs backwards
    head = _head(form, "float", ("tristrips 1", "list int int vertex_indices"))
    if form == "ascii":
        data = head + VERTEX_ROWS + f"{len(strips)} " + " ".join(map(str, strips)) + "\n"
    else:
        order = "<" if "little" in form else ">"
        body = b"".join(struct.pack(f"{order}3f", *p) for p in POINTS)
        data = head.encode() + body + struct.pack(f"{order}{len(strips) + 1}i", len(strips), *strips)
    mesh = _read(tmp_path, data)
    corners = {tuple(np.roll(f, -np.argmin(f))) for f in mesh.faces.tolist()}
    assert mesh.n_faces == 3 and corners == {tuple(np.roll(f, -np.argmin(f))) for f in expected}
    whole = _read(
        tmp_path, _head(faces=("tristrips 1", "list int int vertex_indices")) + VERTEX_ROWS + "6 0 2 1 3 0 2\n"
    )
    assert whole.n_faces == 4 and whole.volume == pytest.approx(VOLUME)


def test_faces_and_strips_together(tmp_path, caplog):
    more = ("element tristrips 1", "property list int int vertex_indices")
    faces = ("face 2", "list uchar int vertex_indices", "float density")
    rows = VERTEX_ROWS + "3 0 2 1 5\n3 0 1 3 6\n" + "4 0 3 2 1\n"
    mesh = _read(tmp_path, _head(faces=faces, more=more) + rows)
    assert mesh.n_faces == 4 and mesh.volume == pytest.approx(VOLUME) and (mesh.density == 1).all()
    assert "density at the faces are left out, as its triangle strips have none" in caplog.text


def test_what_is_no_face_is_said_to_be_left_out(tmp_path, caplog):
    more = ("element edge 2", "property int vertex1", "property int vertex2",
            "element camera 1", "property float view_px", "element empty 0", "property int nothing")  # fmt: skip
    mesh = _read(tmp_path, _head(more=more) + VERTEX_ROWS + FACE_ROWS + "0 1\n1 2\n0.5\n")
    assert mesh.n_faces == 4
    assert "its 2 edges are left out" in caplog.text and "its camera is left out" in caplog.text
    assert "empty" not in caplog.text
    caplog.clear()
    assert _read(tmp_path, TEXT + "3 0 1 2\n").n_faces == 4
    assert "1 line after what its header promises are left out" in caplog.text
    caplog.clear()
    write_mesh(tmp_path / "b.ply", icosphere(1.0))
    assert _read(tmp_path, (tmp_path / "b.ply").read_bytes() + b"more").n_faces == icosphere(1.0).n_faces
    assert "4 bytes after what its header promises are left out" in caplog.text


def test_what_is_wrong_is_named(tmp_path):
    binary = _head("binary_little_endian").encode() + b"".join(struct.pack("<3f", *p) for p in POINTS)
    for data, message in [
        (_head() + VERTEX_ROWS + FACE_ROWS[:-8], "cut short: its header promises 4 faces, and 3 are there"),
        (_head() + VERTEX_ROWS[:-6], "cut short: its header promises 4 vertices, and 3 are there"),
        (binary[:-3], "cut short: its header promises 4 vertices, and 3 are there"),
        (binary + struct.pack("<B3i", 3, *FACES[0]) + b"\3", "cut short: its header promises 4 faces, and 1 are there"),
        (TEXT.replace("4 0 0", "4,0 0 0"), "vertex 1 makes no sense: '4,0 0 0'; '4,0' has a decimal comma"),
        (TEXT.replace("4 0 0", "4 0 0 7"), "vertex 1 makes no sense: .* more numbers in the line"),
        (TEXT.replace("3 0 2 1", "3 0 2"), "face 0 makes no sense: .* fewer numbers in the line"),
        (TEXT.replace("float", "half"), "has the type 'half'; expected one of char"),
        (TEXT.replace("vertex_indices", "corners"), "'face' has the properties corners; expected vertex_indices"),
        (TEXT.replace("ascii", "text"), "its format is 'text'"),
        (TEXT.replace("end_header", "end"), "header has no end"),
        (TEXT.replace("property float z", "property float w"), "no vertices with x, y and z"),
    ]:
        with pytest.raises(FileFormatError, match=message):
            _read(tmp_path, data)


def test_quads_and_repeated_corners(tmp_path):
    head = _head(faces=("face 3", "list uchar int vertex_indices"))
    mesh = _read(tmp_path, head + VERTEX_ROWS + "4 0 2 1 1\n4 0 1 3 0\n4 0 3 1 2\n")
    assert mesh.faces.tolist() == [[0, 2, 1], [0, 1, 3], [0, 3, 1], [0, 1, 2]]


def test_numbers_that_are_none_in_a_vertex_without_faces(tmp_path, caplog):
    text = TEXT.replace("element vertex 4", "element vertex 5").replace(FACE_ROWS, "nan -nan(ind) 1e30\n" + FACE_ROWS)
    assert _read(tmp_path, text).n_vertices == 4 and "1 vertex that no face uses is left out" in caplog.text


# -- our own files, older and new --------------------------------------------------------------------------------------


def test_density_and_labels_in_binary_as_older_versions_wrote_them(tmp_path):
    head = _head("binary_little_endian", "double", ("face 4", "list uchar int vertex_indices", "double density",
                 "int label_from", "int label_into"))  # fmt: skip
    body = b"".join(struct.pack("<3d", *p) for p in POINTS)
    body += b"".join(struct.pack("<B3id2i", 3, *f, 0.5 + k, 1, 0) for k, f in enumerate(FACES))
    mesh = _read(tmp_path, head.encode() + body)
    assert isinstance(mesh, MultiMaterialMesh)
    assert mesh.density.tolist() == [0.5, 1.5, 2.5, 3.5] and mesh.labels.tolist() == [[1, 0]] * 4


def _meshes():
    ball = icosphere(2.0, (1, 2, 3), 1)
    density = np.linspace(0.5, 2.0, ball.n_faces)
    yield "plain", ball, {}
    yield "values", ball, {"bend": np.arange(ball.n_vertices) / 7.0}
    yield "density", ball.with_density(density), {"bend": np.arange(ball.n_vertices) / 7.0}
    yield "labels", MultiMaterialMesh(ball.vertices, ball.faces, np.tile([1, 0], (ball.n_faces, 1)), density), {}


@pytest.mark.parametrize(("name", "mesh", "values"), list(_meshes()))
def test_meshio_reads_ours_with_all_numbers(tmp_path, name, mesh, values):
    import meshio

    write_mesh(tmp_path / "a.ply", mesh, values)
    other = meshio.read(tmp_path / "a.ply")
    np.testing.assert_array_equal(other.points[:, ::-1], mesh.vertices)
    np.testing.assert_array_equal(other.cells_dict["triangle"], mesh.faces)
    for key, numbers in values.items():
        np.testing.assert_array_equal(other.point_data[key], numbers)
    if name in ("density", "labels"):
        np.testing.assert_array_equal(np.concatenate(other.cell_data["density"]), mesh.density)
    if name == "labels":
        np.testing.assert_array_equal(np.concatenate(other.cell_data["label_from"]), mesh.labels[:, 0])


@pytest.mark.parametrize(("name", "mesh", "values"), list(_meshes()))
def test_trimesh_and_pyvista_read_the_surface_of_ours(tmp_path, name, mesh, values):
    write_mesh(tmp_path / "a.ply", mesh, values)
    expected = mesh.volume if name != "labels" else mesh.region_volume(1)
    import trimesh

    other = trimesh.load_mesh(tmp_path / "a.ply", process=False)
    assert other.is_watertight and other.volume == pytest.approx(expected)
    import pyvista

    assert pyvista.read(tmp_path / "a.ply").volume == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("binary", [True, False])
def test_what_meshio_and_pyvista_write_is_read(tmp_path, binary):
    ball = icosphere(2.0, (1, 2, 3), 1)
    import meshio

    meshio.Mesh(ball.vertices[:, ::-1], [("triangle", ball.faces)]).write(tmp_path / "a.ply", binary=binary)
    assert read_mesh(tmp_path / "a.ply").volume == pytest.approx(ball.volume)
    import pyvista

    other = pyvista.PolyData.from_regular_faces(ball.vertices[:, ::-1], ball.faces)
    other.save(tmp_path / "b.ply", binary=binary)
    assert read_mesh(tmp_path / "b.ply").volume == pytest.approx(ball.volume, rel=1e-5)
