"""STL by hand-made bytes: both layouts, several solids, encodings, damage."""

import struct

import numpy as np
import pytest

from cytoform.errors import FileFormatError, MeshError
from cytoform.mesh.io import read_mesh

POINTS = [(0, 0, 0), (4, 0, 0), (0, 4, 0), (0, 0, 4)]
FACES = [(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)]
VOLUME = 64.0 / 6.0


def _text(name="a cell", shift=0):
    facets = []
    for face in FACES:
        rows = "\n".join("      vertex " + " ".join(f"{c + shift:e}" for c in POINTS[i]) for i in face)
        facets.append(f"  facet normal 0 0 0\n    outer loop\n{rows}\n    endloop\n  endfacet")
    return f"solid {name}\n" + "\n".join(facets) + f"\nendsolid {name}\n"


def _binary(head=b"made by hand", shift=0):
    data = head.ljust(80, b" ") + struct.pack("<I", len(FACES))
    for face in FACES:
        corners = [c + shift for i in face for c in POINTS[i]]
        data += struct.pack("<12fH", 0, 0, 0, *corners, 7)
    return data


def _read(tmp_path, data):
    (tmp_path / "a.stl").write_bytes(data)
    return read_mesh(tmp_path / "a.stl")


@pytest.mark.parametrize(
    "data",
    [
        _text().encode(),
        _text().upper().encode(),
        _text().replace("\n", "\r\n").encode(),
        _text().replace("\n", "\r").encode(),
        b"\xef\xbb\xbf" + _text().encode(),
        b"\xff\xfe" + _text().encode("utf-16-le"),
        _text("Zelle µ").encode("latin-1"),
        _text("vertex 1 2 3").encode(),
        b"\n" + _text("").encode(),
        _binary(),
        _binary(b"solid, says the header of a binary file"),
        _binary(bytes(80)),
    ],
)
def test_both_layouts(tmp_path, data, caplog):
    mesh = _read(tmp_path, data)
    assert (mesh.n_vertices, mesh.n_faces) == (4, 4) and mesh.volume == pytest.approx(VOLUME)
    assert np.array_equal(mesh.vertices[mesh.faces][:, :, ::-1], np.array(POINTS)[FACES]) and caplog.text == ""


def test_several_solids_are_one_mesh_and_it_is_said(tmp_path, caplog):
    mesh = _read(tmp_path, (_text("a") + "\n" + _text("b", shift=10)).encode())
    assert (mesh.n_vertices, mesh.n_faces) == (8, 8) and mesh.volume == pytest.approx(2 * VOLUME)
    assert "its 2 solids are taken together" in caplog.text
    mesh = _read(tmp_path, _binary() + _binary(shift=10))
    assert (mesh.n_vertices, mesh.n_faces) == (8, 8) and "it is 2 STL files in one" in caplog.text


def test_bytes_behind_the_last_triangle(tmp_path, caplog):
    assert _read(tmp_path, _binary() + b"\0\0\r\n").n_faces == 4 and caplog.text == ""
    assert _read(tmp_path, _binary() + b"a note").n_faces == 4
    assert "6 bytes after the last triangle are left out" in caplog.text
    with pytest.raises(FileFormatError, match=r"it has 434 bytes; expected 284, as its header promises 4 triangles"):
        _read(tmp_path, _binary() + b"x" * 150)


def test_what_is_missing_or_wrong_is_named(tmp_path):
    for data, message in [
        (_binary()[:-1], "has 283 bytes; expected 284, as its header promises 4 triangles: it is cut short"),
        (_binary()[:60], "expected 84"),
        (_text()[:-12].encode(), "'endsolid', is missing"),
        (_text().replace("  endfacet", "", 1).encode(), "the facet before has no 'endfacet'"),
        (_text().replace("4.0", "4,0", 1).encode(), "has a decimal comma"),
        (_text().replace("      vertex 0.000000e+00 0.000000e+00 0.000000e+00\n", "", 1).encode(), "has 2 corners"),
        (_text().replace("0.000000e+00 4", "4", 1).encode(), "expected 3 coordinates, found 2 numbers"),
    ]:
        with pytest.raises(FileFormatError, match=message):
            _read(tmp_path, data)
    with pytest.raises(MeshError, match="no faces"):
        _read(tmp_path, b"solid nothing\nendsolid nothing\n")


def test_triangles_without_extent_leave_no_gaps(tmp_path, caplog):
    # As surfaces of a sphere by angles are written: triangles at the poles whose corners coincide.
    needle = "facet normal 0 0 0\nouter loop\nvertex 0 0 4\nvertex 0 0 4\nvertex 4 0 0\nendloop\nendfacet\n"
    mesh = _read(tmp_path, _text().replace("endsolid", needle + "endsolid").encode())
    assert mesh.n_faces == 4 and "1 face with the same point at two corners is left out" in caplog.text
