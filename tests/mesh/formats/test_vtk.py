"""Legacy VTK files with labels, as text and binary, before and after version 5; damaged ones."""

import os
from pathlib import Path

import numpy as np
import pytest

from cytoform.errors import FileFormatError
from cytoform.mesh.cells import repair_cells
from cytoform.mesh.io import read_mesh
from cytoform.mesh.multimaterial import MultiMaterialMesh

DATA = Path(os.environ.get("CYTOFORM_TEST_DATA", "/nonexistent"))
POINTS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=float)
FACES = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])


def text(cells):
    lines = ["# vtk DataFile Version 3.0", "four faces", "ASCII", "DATASET POLYDATA", "POINTS 4 double"]
    lines += [" ".join(map(str, p)) for p in POINTS] + cells
    lines += ["CELL_DATA 4", "SCALARS label1 int 1", "LOOKUP_TABLE default", "1 1 1 1"]
    lines += ["FIELD FieldData 1", "label2 1 4 int", "0 0 0 0", ""]
    return "\n".join(lines).encode()


OLD = ["POLYGONS 4 16"] + [f"3 {a} {b} {c}" for a, b, c in FACES]


def check(mesh):
    assert isinstance(mesh, MultiMaterialMesh)
    assert mesh.region_volume(1) == pytest.approx(1 / 6)
    np.testing.assert_array_equal(mesh.labels, [[1, 0]] * 4)
    np.testing.assert_array_equal(mesh.vertices, POINTS[:, ::-1])


def test_text(tmp_path):
    (tmp_path / "a.vtk").write_bytes(text(OLD))
    check(read_mesh(tmp_path / "a.vtk"))


def test_binary_of_version_5(tmp_path):
    data = b"# vtk DataFile Version 5.1\nx\nBINARY\nDATASET UNSTRUCTURED_GRID\nPOINTS 4 float\n"
    data += POINTS.astype(">f4").tobytes() + b"\nCELLS 5 12\nOFFSETS vtktypeint64\n"
    data += (3 * np.arange(5)).astype(">i8").tobytes() + b"\nCONNECTIVITY vtktypeint64\n"
    data += FACES.astype(">i8").tobytes() + b"\nCELL_TYPES 4\n" + np.full(4, 5, ">i4").tobytes()
    data += b"\nCELL_DATA 4\nFIELD FieldData 2\nlabel1 1 4 vtktypeuint64\n" + np.ones(4, ">u8").tobytes()
    data += b"\nlabel2 1 4 vtktypeuint64\n" + np.zeros(4, ">u8").tobytes() + b"\n"
    (tmp_path / "a.vtk").write_bytes(data)
    check(read_mesh(tmp_path / "a.vtk"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (text(OLD)[:140], "cut short"),
        (text(OLD).replace(b"POLYDATA", b"STRUCTURED_POINTS"), "expected POLYDATA"),
        (text(["LINES 1 3", "2 0 1"]), "has LINES"),
        (text(OLD).replace(b"# vtk", b"# xyz"), "does not begin"),
    ],
)
def test_damaged_files_are_refused_with_the_cause(tmp_path, data, message):
    (tmp_path / "a.vtk").write_bytes(data)
    with pytest.raises(FileFormatError, match=message):
        read_mesh(tmp_path / "a.vtk")


def test_a_real_file_with_two_labels():
    path = DATA / "contact" / "foam_simple.vtk"
    if not path.exists():
        pytest.skip("needs CYTOFORM_TEST_DATA with contact/foam_simple.vtk")
    mesh = read_mesh(path)
    assert isinstance(mesh, MultiMaterialMesh) and mesh.region_ids == (1, 2)
    repaired = repair_cells(mesh)
    assert repaired.after.sound and all(volume > 0 for volume in repaired.mesh.region_volumes().values())
