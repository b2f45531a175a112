"""Meshes from and to files: axes, seams, density, labels, damaged files."""

import base64
import struct
import zlib
from xml.etree import ElementTree

import numpy as np
import pytest

from cytoform.errors import CytoformError, FileFormatError, MeshError, OutputError
from cytoform.mesh.io import read_mesh, write_mesh
from cytoform.mesh.multimaterial import MultiMaterialMesh
from cytoform.mesh.shapes import icosphere
from cytoform.mesh.surface import SurfaceMesh

# A tetrahedron, (x, y, z) on disk, counter-clockwise seen from outside.
POINTS_XYZ = [(0, 0, 0), (3, 0, 0), (0, 2, 0), (0, 0, 1)]
FACES = [(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)]


def _tetrahedron(dtype=np.float64, density=None):
    points = np.array(POINTS_XYZ, dtype=dtype)[:, ::-1] + np.array([0.1, 1 / 3, np.pi], dtype=dtype)
    return SurfaceMesh(points, np.array(FACES), density)


def _obj(path, points=POINTS_XYZ, faces=FACES, extra=""):
    lines = [f"v {x} {y} {z}" for x, y, z in points]
    lines += ["f " + " ".join(str(i + 1) for i in face) for face in faces]
    path.write_text("\n".join(lines) + "\n" + extra)
    return path


# -- round trips -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("suffix", [".ply", ".obj", ".stl", ".vtp"])
def test_round_trip(tmp_path, suffix, dtype):
    mesh = _tetrahedron(dtype)
    write_mesh(tmp_path / f"a{suffix}", mesh)
    back = read_mesh(tmp_path / f"a{suffix}", dtype=dtype)
    assert back.dtype == dtype and back.volume == pytest.approx(mesh.volume, rel=1e-6) and mesh.volume > 0
    if suffix == ".stl":
        np.testing.assert_allclose(back.vertices[back.faces], mesh.vertices[mesh.faces], rtol=1e-6)
    else:
        assert np.array_equal(back.vertices, mesh.vertices) and np.array_equal(back.faces, mesh.faces)


@pytest.mark.parametrize("suffix", [".ply", ".vtp"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_density_survives(tmp_path, suffix, dtype):
    mesh = _tetrahedron(dtype, density=np.array([0.1, 1 / 3, 2.0, 7.0]))
    write_mesh(tmp_path / f"a{suffix}", mesh)
    assert np.array_equal(read_mesh(tmp_path / f"a{suffix}", dtype=dtype).density, mesh.density)


@pytest.mark.parametrize("suffix", ["ply", "vtp"])
def test_numbers_at_vertices_stand_in_the_file_and_leave_the_mesh_alone(tmp_path, suffix):
    mesh, path = _tetrahedron(density=2.0), tmp_path / f"a.{suffix}"
    values = np.array([0.25, -1.0, 3.5, 1 / 3])
    write_mesh(path, mesh, {"bend": values})
    back = read_mesh(path)
    assert np.array_equal(back.vertices, mesh.vertices) and np.array_equal(back.density, mesh.density)
    if suffix == "vtp":
        found = ElementTree.parse(path).getroot().find(".//PointData/DataArray[@Name='bend']")
        assert found.get("format") == "binary"
        head = struct.unpack(
            "<4Q", base64.b64decode(found.text[:44])
        )  # blocks, their size, the last one's, packed size
        assert head[0] == 1 and head[2] == values.nbytes
        np.testing.assert_array_equal(np.frombuffer(zlib.decompress(base64.b64decode(found.text[44:]))), values)
    else:
        import trimesh

        raw = trimesh.load_mesh(path, process=False).metadata["_ply_raw"]["vertex"]["data"]
        np.testing.assert_allclose(np.ravel(raw["bend"]), values, rtol=1e-15)
    for wrong in ({"bend": values[:3]}, {"two words": values}, {"x": values}):
        with pytest.raises(MeshError):
            write_mesh(path, mesh, wrong)


def test_obj_and_stl_say_that_density_is_left_out(tmp_path, caplog):
    write_mesh(tmp_path / "a.obj", _tetrahedron(density=2.0))
    assert "no density" in caplog.text


def test_files_hold_xyz(tmp_path):
    mesh = SurfaceMesh(np.array(POINTS_XYZ, dtype=float)[:, ::-1], np.array(FACES))
    assert mesh.volume == pytest.approx(1.0)
    write_mesh(tmp_path / "a.obj", mesh)
    assert "v 3 0 0" in (tmp_path / "a.obj").read_text()
    assert np.array_equal(read_mesh(_obj(tmp_path / "b.obj")).vertices, mesh.vertices)


@pytest.mark.parametrize("suffix", ["ply", "obj", "stl"])
def test_other_programs_read_what_is_written(tmp_path, suffix):
    import trimesh

    mesh = _tetrahedron(density=3.0)
    write_mesh(tmp_path / f"a.{suffix}", mesh)
    other = trimesh.load_mesh(tmp_path / f"a.{suffix}")
    assert other.is_watertight and other.volume == pytest.approx(mesh.volume, rel=1e-6)
    np.testing.assert_allclose(other.bounds[:, ::-1], mesh.bounds, rtol=1e-6)


@pytest.mark.parametrize("encoding", ["ascii", "binary"])
@pytest.mark.parametrize("suffix", ["ply", "stl", "stl_ascii", "obj"])
def test_what_other_programs_write_is_read(tmp_path, suffix, encoding):
    import trimesh

    ball = trimesh.creation.icosphere(subdivisions=2)
    options = {"encoding": encoding} if suffix == "ply" else {}
    path = tmp_path / f"a.{suffix[:3]}"
    ball.export(path, file_type=suffix, **options)
    mesh = read_mesh(path)
    assert (mesh.n_vertices, mesh.n_faces) == (len(ball.vertices), len(ball.faces))
    assert mesh.volume == pytest.approx(ball.volume, rel=1e-5)


# -- what files may hold -----------------------------------------------------------------------------------------------


def test_obj_polygons_seams_negative_indices_and_comments(tmp_path):
    text = """# a cube's corner
o thing
v 0 0 0 1.0 # weight
v 1 0 0
v 1 1 0
v 0 1 0
v 0 0 0
v 0 0 1
vt 0 0
vn 0 0 1
usemtl red
f 1/1/1 2/1/1 3/1/1 4/1/1
f 5//1 -1 2//1
"""
    (tmp_path / "a.OBJ").write_text(text)
    mesh = read_mesh(tmp_path / "a.OBJ")
    assert mesh.n_vertices == 5  # the first and the fifth are one
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3], [0, 4, 1]]


@pytest.mark.parametrize("form", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_ply_with_mixed_polygons_and_extra_properties(tmp_path, form):
    head = f"""ply
format {form} 1.0
element vertex 5
property float x
property float y
property float z
property uchar red
element face 2
property float density
property list uchar int vertex_index
end_header
"""
    points = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1)]
    polygons = [(0, 1, 2, 3), (0, 1, 4)]
    if form == "ascii":
        body = "\n".join([f"{x} {y} {z} 255" for x, y, z in points] + ["0.5 4 0 1 2 3", "2 3 0 1 4"]).encode()
    else:
        order = "<" if "little" in form else ">"
        body = b"".join(np.array(p, order + "f4").tobytes() + b"\xff" for p in points)
        for density, polygon in zip((0.5, 2.0), polygons):
            body += np.array(density, order + "f4").tobytes() + bytes([len(polygon)])
            body += np.array(polygon, order + "i4").tobytes()
    (tmp_path / "a.ply").write_bytes(head.encode() + body)
    mesh = read_mesh(tmp_path / "a.ply")
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 4]]
    assert mesh.density.tolist() == [0.5, 0.5, 2.0]
    assert np.array_equal(mesh.vertices[:, ::-1], points)
    (tmp_path / "a.ply").write_bytes(head.encode() + body[:-3])
    with pytest.raises(FileFormatError, match="cut short"):
        read_mesh(tmp_path / "a.ply")


# -- clusters ----------------------------------------------------------------------------------------------------------

REC = "4\n" + "\n".join("{} {} {}".format(*p) for p in POINTS_XYZ) + "\n4\n0 2 1 1 0\n0 1 3 1 0\n0 3 2 1 0\n1 2 3 1 0\n"


def test_rec_and_labelled_files(tmp_path):
    from cytoform.mesh import multimaterial

    (tmp_path / "a.rec").write_text(REC)
    mesh = read_mesh(tmp_path / "a.rec")
    assert isinstance(mesh, multimaterial.MultiMaterialMesh)
    assert np.array_equal(np.asarray(mesh.vertices)[:, ::-1], POINTS_XYZ)
    assert np.array_equal(mesh.labels, [[1, 0]] * 4)
    for name in ("b.rec", "b.ply", "b.vtp"):
        write_mesh(tmp_path / name, mesh)
        back = read_mesh(tmp_path / name)
        for field in ("vertices", "faces", "labels", "density"):
            assert np.array_equal(getattr(back, field), getattr(mesh, field)), (name, field)
    for name in ("c.obj", "c.stl"):
        with pytest.raises(MeshError, match="no region labels"):
            write_mesh(tmp_path / name, mesh)


def test_damaged_rec(tmp_path):
    for text, message in [
        (REC[:-12], "promises 4 faces and has 3"),
        (REC[:20], "promises 4 vertices"),
        ("no count", "damaged"),
    ]:
        (tmp_path / "a.rec").write_text(text)
        with pytest.raises(FileFormatError, match=message):
            read_mesh(tmp_path / "a.rec")
    with pytest.raises(MeshError, match="two region labels"):
        write_mesh(tmp_path / "b.rec", _tetrahedron())


# -- bad input ---------------------------------------------------------------------------------------------------------


def test_unknown_missing_and_empty(tmp_path):
    with pytest.raises(FileFormatError, match=r"\.obj, \.ply, \.stl, \.vtp, \.rec"):
        read_mesh(tmp_path / "a.fbx")
    with pytest.raises(FileFormatError, match="expected one of"):
        write_mesh(tmp_path / "a.fbx", _tetrahedron())
    with pytest.raises(FileFormatError, match="no such file"):
        read_mesh(tmp_path / "a.obj")
    (tmp_path / "folder.ply").mkdir()
    with pytest.raises(FileFormatError, match="it is a folder"):
        read_mesh(tmp_path / "folder.ply")
    for suffix in ("obj", "ply", "stl", "vtp", "rec"):
        (tmp_path / f"e.{suffix}").touch()
        with pytest.raises(FileFormatError, match="empty"):
            read_mesh(tmp_path / f"e.{suffix}")
        (tmp_path / f"g.{suffix}").write_bytes(bytes(range(256)) * 3)
        with pytest.raises(FileFormatError):
            read_mesh(tmp_path / f"g.{suffix}")


def test_no_faces_bad_indices_and_nan(tmp_path):
    path = tmp_path / "a.obj"
    with pytest.raises(MeshError, match=r"a.obj: the mesh has no faces"):
        read_mesh(_obj(path, faces=[]))
    with pytest.raises(MeshError, match="1 to 10; expected 1 to 4"):
        read_mesh(_obj(path, faces=[(0, 1, 9)]))
    for word in ("0", "-9"):
        with pytest.raises(MeshError, match="expected 1 to 4"):
            read_mesh(_obj(path, extra=f"f 1 2 {word}\n"))
    with pytest.raises(MeshError, match="1 of 4 vertices are NaN"):
        read_mesh(_obj(path, points=[*POINTS_XYZ[:3], (0, float("nan"), 1)]))
    with pytest.raises(MeshError, match="2 corners"):
        read_mesh(_obj(path, faces=[(0, 1)]))
    with pytest.raises(FileFormatError, match="line 9 makes no sense"):
        read_mesh(_obj(path, extra="v 1 2\n"))


def test_ply_and_vtp_with_bad_indices(tmp_path):
    write_mesh(tmp_path / "a.ply", _tetrahedron())
    data = (tmp_path / "a.ply").read_bytes()
    (tmp_path / "a.ply").write_bytes(data[:-4] + np.int32(7).tobytes())
    write_mesh(tmp_path / "a.vtp", _tetrahedron())
    text = (tmp_path / "a.vtp").read_text()
    start = text.index(">", text.index('Name="connectivity"')) + 1
    wrong = '" format="ascii">0 2 1 0 1 3 0 3 2 1 2 7<'
    old = '" format="binary">' + text[start : text.index("<", start) + 1]
    (tmp_path / "a.vtp").write_text(text.replace(old, wrong))
    for name in ("a.ply", "a.vtp"):
        with pytest.raises(MeshError, match="faces name vertices 0 to 7; expected 0 to 3"):
            read_mesh(tmp_path / name)


@pytest.mark.parametrize("suffix", ["ply", "stl", "vtp"])
def test_truncated(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    write_mesh(path, _tetrahedron())
    data = path.read_bytes()
    for length in np.linspace(1, len(data) - 2, 20).astype(int):
        path.write_bytes(data[:length])
        with pytest.raises(FileFormatError):
            read_mesh(path)


@pytest.mark.parametrize("suffix", ["ply", "obj", "stl", "vtp", "rec"])
def test_damaged_bytes_end_in_an_error_of_ours_or_in_a_mesh(tmp_path, suffix):
    ball = icosphere(1.0, subdivisions=1)
    path, rng = tmp_path / f"a.{suffix}", np.random.default_rng(0)
    labelled = MultiMaterialMesh(ball.vertices, ball.faces, np.tile([1, 0], (ball.n_faces, 1)))
    kinds = {"rec": [labelled], "obj": [ball], "stl": [ball]}
    for mesh in kinds.get(suffix, [ball, ball.with_density(2.0), labelled]):
        write_mesh(path, mesh)
        data = np.frombuffer(path.read_bytes(), dtype=np.uint8)
        for _ in range(150):
            wrong = data[: rng.integers(1, len(data) + 1)].copy()
            at = rng.integers(0, len(wrong), rng.integers(1, 6))
            wrong[at] = rng.integers(0, 256, len(at))
            path.write_bytes(wrong.tobytes())
            try:
                found = read_mesh(path)
            except CytoformError as error:
                assert str(path) in str(error)
            else:
                assert found.n_faces > 0 and np.isfinite(found.vertices).all()


def test_truncated_text_stl(tmp_path):
    import trimesh

    path = tmp_path / "a.stl"
    trimesh.creation.icosphere(subdivisions=1).export(path, file_type="stl_ascii")
    data = path.read_bytes()
    for length in np.linspace(1, len(data) - 12, 20).astype(int):
        path.write_bytes(data[:length])
        with pytest.raises(FileFormatError):
            read_mesh(path)


def test_a_folder_that_is_missing(tmp_path):
    with pytest.raises(OutputError, match="does not exist"):
        write_mesh(tmp_path / "no" / "a.ply", _tetrahedron())


# -- real meshes -------------------------------------------------------------------------------------------------------


def test_cow(data_dir):
    cow = read_mesh(data_dir / "meshes" / "cow.obj")
    assert (cow.n_vertices, cow.n_faces) == (2930, 5856) and cow.volume > 0
    edges = np.sort(np.concatenate([cow.faces[:, [0, 1]], cow.faces[:, [1, 2]], cow.faces[:, [2, 0]]]), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()


def test_cell4(data_dir):
    mesh = read_mesh(data_dir / "meshes" / "cell4.rec")
    assert mesh.vertices.shape == (8162, 3) and mesh.faces.shape == (16541, 3) and mesh.labels.max() == 4
    # The normals point from the first region into the second: every cell's own faces enclose a positive volume.
    for cell in range(1, 5):
        out, into = mesh.faces[mesh.labels[:, 0] == cell], mesh.faces[mesh.labels[:, 1] == cell]
        assert SurfaceMesh(mesh.vertices, np.concatenate([out, into[:, ::-1]])).volume > 0


def test_faces_that_are_there_twice_count_once(tmp_path, caplog):
    """Some programs export a surface twice; its light would be twice as bright."""
    mesh = _tetrahedron()
    twice = SurfaceMesh(mesh.vertices, np.concatenate([mesh.faces, np.roll(mesh.faces, 1, axis=1)[:3]]))
    for name in ("a.ply", "a.obj", "a.stl", "a.vtp"):
        write_mesh(tmp_path / name, twice)
        found = read_mesh(tmp_path / name)
        assert found.n_faces == 4 and found.area == pytest.approx(mesh.area)
        assert "3 faces that are there already are left out" in caplog.text
        caplog.clear()
