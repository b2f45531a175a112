"""A further kind of mesh file: one file of code, and one registration in Python or one entry point of a package."""

import subprocess
import sys

import numpy as np
import pytest

import cytoform as cf
from cytoform.errors import ConfigError, FileFormatError, MeshError
from cytoform.mesh import formats
from cytoform.mesh.multimaterial import MultiMaterialMesh
from cytoform.mesh.shapes import icosphere
from cytoform.sdf.prepare import prepare

FORM = '''
"""Reads and writes .toy files: how many points, then points (x, y, z) and faces, a row each."""

import numpy as np

from cytoform.mesh.formats import MeshFormat, Parts


def read(path):
    rows = np.loadtxt(path, skiprows=1)
    count = int(path.read_text().split()[0])
    return Parts(rows[:count], rows[count:])


def write(parts, dtype):
    rows = [f"{a!r} {b!r} {c!r}" for a, b, c in (*parts.points.tolist(), *parts.faces.tolist())]
    return "\\n".join([str(len(parts.points)), *rows, ""]).encode()


FORMAT = MeshFormat("a toy mesh", (".toy",), read, write)
'''


@pytest.fixture
def toy():
    """The format of the one file, registered while the test runs."""
    module = {}
    exec(FORM, module)
    formats.register(module["FORMAT"])
    yield module["FORMAT"]
    formats.unregister(module["FORMAT"])


def _ball():
    return cf.SurfaceMesh(icosphere(2).vertices * (1.5, 1.0, 2.0) + 3.0, icosphere(2).faces)


def test_a_registered_format_is_written_and_read(tmp_path, toy):
    mesh = _ball()
    cf.write_mesh(tmp_path / "a.toy", mesh)
    first = [float(word) for word in (tmp_path / "a.toy").read_text().splitlines()[1].split()]
    assert first == mesh.vertices[0, ::-1].tolist()  # (x, y, z) on disk
    back = cf.read_mesh(tmp_path / "a.toy")
    assert np.array_equal(back.vertices, mesh.vertices) and np.array_equal(back.faces, mesh.faces)


def test_a_registered_format_is_prepared(tmp_path, toy):
    for suffix in ("toy", "ply"):
        (tmp_path / suffix).mkdir()
        for t in range(2):
            cf.write_mesh(tmp_path / suffix / f"{t}.{suffix}", _ball())
    [mine], [usual] = (prepare(tmp_path / s, tmp_path / f"{s}-out", shape=16, spacing=None) for s in ("toy", "ply"))
    with cf.sdf.open_sequence(mine) as a, cf.sdf.open_sequence(usual) as b:
        assert np.array_equal(a.frame(0), b.frame(0))


def test_what_it_cannot_hold_is_told(tmp_path, toy, caplog):
    mesh = _ball()
    cf.write_mesh(tmp_path / "a.toy", cf.SurfaceMesh(mesh.vertices, mesh.faces, np.arange(1.0, mesh.n_faces + 1)))
    assert "hold no density" in caplog.text
    labels = np.tile([1, 0], (mesh.n_faces, 1))
    with pytest.raises(MeshError, match=r"\.toy files hold no region labels"):
        cf.write_mesh(tmp_path / "b.toy", MultiMaterialMesh(mesh.vertices, mesh.faces, labels))


def test_what_a_reader_raises_names_the_file(tmp_path, toy):
    (tmp_path / "a.toy").write_text("4\nno numbers\n")
    with pytest.raises(FileFormatError, match=r"a\.toy is damaged"):
        cf.read_mesh(tmp_path / "a.toy")


def test_a_format_that_is_only_read_leaves_writing_to_others(tmp_path, toy):
    mine = formats.MeshFormat("my PLY", (".ply", ".toz"), read=toy.read)
    formats.register(mine)
    try:
        cf.write_mesh(tmp_path / "a.ply", _ball())
        assert (tmp_path / "a.ply").read_bytes().startswith(b"ply\n")
        with pytest.raises(FileFormatError, match=r"extension '\.toz'; expected one of"):
            cf.write_mesh(tmp_path / "a.toz", _ball())
    finally:
        formats.unregister(mine)


def test_an_unregistered_format_is_read_no_more(tmp_path, toy):
    cf.write_mesh(tmp_path / "a.toy", _ball())
    formats.unregister(toy)
    with pytest.raises(FileFormatError, match=r"extension '\.toy'"):
        cf.read_mesh(tmp_path / "a.toy")


def test_something_else_than_a_format_is_refused():
    with pytest.raises(ConfigError, match="of type str; expected MeshFormat"):
        formats.register("toy")


def test_an_entry_point_is_found(tmp_path, toy):
    mesh = _ball()
    cf.write_mesh(tmp_path / "a.toy", mesh)
    (tmp_path / "toy_mesh.py").write_text(FORM)
    info = tmp_path / "toy_mesh-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-mesh\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[cytoform.mesh_formats]\n.toy = toy_mesh:FORMAT\n")
    code = "import sys; sys.path.insert(0, sys.argv[1]); import cytoform as cf; print(cf.read_mesh('a.toy').area)"
    command = [sys.executable, "-c", code, tmp_path]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert float(found.stdout) == mesh.area
