"""VTP by hand-made bytes in all forms that VTK knows, and files that VTK itself writes and reads."""

import base64
import itertools
import lzma
import struct
import zlib

import numpy as np
import pytest

from cytoform.errors import FileFormatError, MeshError
from cytoform.mesh.io import read_mesh, write_mesh
from cytoform.mesh.multimaterial import MultiMaterialMesh
from cytoform.mesh.shapes import icosphere

POINTS = [(0, 0, 0), (4, 0, 0), (0, 4, 0), (0, 0, 4)]
FACES = [(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)]
VOLUME = 64.0 / 6.0
BLOCK = 40  # bytes that are compressed together: several blocks an array, the last one shorter


def _lz4(data):
    """A block of LZ4 without any copy: one run of bytes as they are, which is the format's last run."""
    n = len(data)
    more = b"" if n < 15 else b"\xff" * ((n - 15) // 255) + bytes([(n - 15) % 255])
    return bytes([min(n, 15) << 4]) + more + data


COMPRESSORS = {
    "": None,
    "vtkZLibDataCompressor": zlib.compress,
    "vtkLZMADataCompressor": lzma.compress,
    "vtkLZ4DataCompressor": _lz4,
}


class _Writer:
    """Makes a file by hand: form is ascii, binary, base64 or raw (appended)."""

    def __init__(self, form="ascii", order="<", header="I", compressor="", index="i", real="f"):
        self.form, self.order, self.header, self.compressor = form, order, header, compressor
        self.index, self.real = index, real
        self.tail = b""

    def _chunks(self, data):
        count = lambda *numbers: struct.pack(f"{self.order}{len(numbers)}{self.header}", *numbers)  # noqa: E731
        if not self.compressor:
            return count(len(data)), data
        blocks = [COMPRESSORS[self.compressor](data[k : k + BLOCK]) for k in range(0, len(data), BLOCK)]
        return count(len(blocks), BLOCK, len(data) % BLOCK, *map(len, blocks)), b"".join(blocks)

    def array(self, name, values, code, more=""):
        kind = {"f": "Float32", "d": "Float64", "i": "Int32", "q": "Int64", "B": "UInt8"}[code]
        flat = np.ravel(values).tolist()
        open_tag = f'<DataArray type="{kind}" Name="{name}" {more} '
        if self.form == "ascii":
            return open_tag + 'format="ascii">\n' + " ".join(map(str, flat)) + "\n</DataArray>\n"
        head, body = self._chunks(struct.pack(f"{self.order}{len(flat)}{code}", *flat))
        if self.form == "raw":
            packed = head + body
        else:
            packed = base64.b64encode(head) + base64.b64encode(body)
        if self.form == "binary":
            return open_tag + 'format="binary">\n   ' + packed.decode() + "\n</DataArray>\n"
        offset, self.tail = len(self.tail), self.tail + packed
        return open_tag + f'format="appended" offset="{offset}"/>\n'

    def cells(self, name, rows):
        flat, ends = [c for row in rows for c in row], np.cumsum([len(row) for row in rows]).tolist()
        arrays = self.array("connectivity", flat, self.index) + self.array("offsets", ends, self.index)
        return f"<{name}>\n{arrays}</{name}>\n"

    def piece(self, points, data="", **cells):
        counts = " ".join(f'NumberOf{n}="{len(cells.get(n, ()))}"' for n in ("Verts", "Lines", "Strips", "Polys"))
        text = f'<Piece NumberOfPoints="{len(points)}" {counts}>\n<CellData>\n{data}</CellData>\n'
        text += "<Points>" + self.array("Points", points, self.real, 'NumberOfComponents="3"') + "</Points>\n"
        return text + "".join(self.cells(name, rows) for name, rows in cells.items()) + "</Piece>\n"

    def file(self, *pieces, kind="PolyData"):
        order = "LittleEndian" if self.order == "<" else "BigEndian"
        header = "UInt32" if self.header == "I" else "UInt64"
        compressor = f' compressor="{self.compressor}"' if self.compressor else ""
        text = f'<?xml version="1.0"?>\n<VTKFile type="{kind}" version="1.0" byte_order="{order}" '
        text += f'header_type="{header}"{compressor}>\n<{kind}>\n' + "".join(pieces) + f"</{kind}>\n"
        if self.form not in ("raw", "base64"):
            return text.encode() + b"</VTKFile>\n"
        tail = f'<AppendedData encoding="{self.form}">\n   _'.encode() + self.tail + b"\n  </AppendedData>\n"
        return text.encode() + tail + b"</VTKFile>\n"


def _read(tmp_path, data):
    (tmp_path / "a.vtp").write_bytes(data)
    return read_mesh(tmp_path / "a.vtp")


@pytest.mark.parametrize("compressor", list(COMPRESSORS))
@pytest.mark.parametrize("form", ["ascii", "binary", "base64", "raw"])
def test_every_form_word_length_and_byte_order(tmp_path, form, compressor):
    for order, header, index, real in itertools.product("<>", "IQ", "iq", "fd"):
        writer = _Writer(form, order, header, compressor, index, real)
        density = writer.array("density", [0.5, 1.5, 2.5, 3.5], real)
        mesh = _read(tmp_path, writer.file(writer.piece(POINTS, density, Polys=FACES)))
        assert mesh.faces.tolist() == [list(f) for f in FACES] and mesh.volume == pytest.approx(VOLUME)
        assert mesh.density.tolist() == [0.5, 1.5, 2.5, 3.5]


def test_a_block_of_lz4_with_copies(tmp_path):
    # By the format's description: 2 bytes as they are and a copy of 40 from 2 bytes before, which runs into itself;
    # then 20 bytes as they are, 15 + 5, and a copy of 19 + 2 from 20 before; the last run is bytes as they are.
    first, middle, last = b"ab", bytes(range(20)), b"the end"
    packed = bytes([2 << 4 | 15]) + first + struct.pack("<H", 2) + bytes([40 - 4 - 15])
    packed += bytes([15 << 4 | 15, 5]) + middle + struct.pack("<H", 20) + bytes([21 - 4 - 15])
    packed += bytes([len(last) << 4]) + last
    expected = first * 21 + middle + (middle * 2)[:21] + last
    data = base64.b64encode(struct.pack("<4I", 1, len(expected), 0, len(packed))) + base64.b64encode(packed)
    array = f'<DataArray type="UInt8" Name="density" format="binary">{data.decode()}</DataArray>'
    points = [(k, k * k, 0) for k in range(len(expected) + 2)]
    faces = [(k, k + 1, k + 2) for k in range(len(expected))]
    writer = _Writer("binary", compressor="vtkLZ4DataCompressor")
    mesh = _read(tmp_path, writer.file(writer.piece(points, array, Polys=faces)))
    assert bytes(mesh.density.astype(np.uint8)) == expected
    with pytest.raises(FileFormatError, match="damaged"):
        _read(tmp_path, writer.file(writer.piece(points, array.replace(data.decode()[-12:], "A" * 12), Polys=faces)))


def test_base64_that_was_encoded_all_at_once(tmp_path):
    # Not as VTK does it: offsets count bytes before they were encoded.
    writer = _Writer("raw")
    data = writer.file(writer.piece(POINTS, Polys=FACES)).replace(b'"raw"', b'"base64"')
    mesh = _read(tmp_path, data.replace(writer.tail, base64.b64encode(writer.tail)))
    assert mesh.n_faces == 4 and mesh.volume == pytest.approx(VOLUME)


@pytest.mark.parametrize("form", ["ascii", "raw"])
def test_triangle_strips_and_the_numbers_at_all_cells(tmp_path, form, caplog):
    writer = _Writer(form)
    # Numbers stand in the order points, lines, polygons, strips. Two triangles, then a strip of the other two.
    density = writer.array("density", [9.0, 8.0, 8.5, 1.0, 2.0, 3.0], "f")
    cells = {"Verts": [(0,)], "Lines": [(0, 1), (1, 2, 3)], "Strips": [(0, 3, 2, 1)], "Polys": FACES[:2]}
    mesh = _read(tmp_path, writer.file(writer.piece(POINTS, density, **cells)))
    assert mesh.n_faces == 4 and mesh.volume == pytest.approx(VOLUME)
    assert mesh.density.tolist() == [1.0, 2.0, 3.0, 3.0]
    assert "its vertex cell is left out" in caplog.text and "its 2 lines are left out" in caplog.text
    writer = _Writer(form)
    only = _read(tmp_path, writer.file(writer.piece(POINTS, Strips=[(0, 2, 1, 3, 0, 2)])))
    assert only.n_faces == 4 and only.volume == pytest.approx(VOLUME)
    writer = _Writer(form)
    with pytest.raises(MeshError, match="strips name vertices 0 to 9; expected 0 to 3"):
        _read(tmp_path, writer.file(writer.piece(POINTS, Strips=[(0, 2, 1, 9)])))


@pytest.mark.parametrize("form", ["ascii", "base64"])
def test_pieces_are_put_together(tmp_path, form, caplog):
    writer = _Writer(form)
    first = writer.piece(POINTS, writer.array("density", [1.0, 2.0], "f"), Polys=FACES[:2])
    empty = writer.piece([], Polys=[])
    density, ghosts = writer.array("density", [3.0, 4.0, 5.0], "f"), writer.array("vtkGhostType", [0, 0, 1], "B")
    second = writer.piece(POINTS, density + ghosts, Polys=[*FACES[2:], FACES[0]])
    mesh = _read(tmp_path, writer.file(first, empty, second))
    assert (mesh.n_vertices, mesh.n_faces) == (4, 4) and mesh.volume == pytest.approx(VOLUME)
    assert mesh.density.tolist() == [1.0, 2.0, 3.0, 4.0]
    assert "1 triangle of ghost or hidden cells are left out" in caplog.text
    writer = _Writer(form)
    first = writer.piece(POINTS, writer.array("density", [1.0, 2.0], "f"), Polys=FACES[:2])
    mesh = _read(tmp_path, writer.file(first, writer.piece(POINTS, Polys=FACES[2:])))
    assert (mesh.density == 1).all() and "density are left out, as not all of its pieces have them" in caplog.text


def test_labels_in_one_array_or_in_two(tmp_path):
    writer = _Writer()
    data = writer.array("labels", [[1, 0]] * 4, "q", 'NumberOfComponents="2"')
    mesh = _read(tmp_path, writer.file(writer.piece(POINTS, data, Polys=FACES)))
    assert isinstance(mesh, MultiMaterialMesh) and mesh.labels.tolist() == [[1, 0]] * 4
    data = writer.array("label1", [1, 1, 1, 1], "i") + writer.array("label2", [0, 0, 0, 0], "i")
    mesh = _read(tmp_path, writer.file(writer.piece(POINTS, data, Polys=FACES)))
    assert isinstance(mesh, MultiMaterialMesh) and mesh.labels.tolist() == [[1, 0]] * 4


def test_points_that_are_there_several_times_leave_no_gaps(tmp_path):
    # As VTK parts vertices at sharp edges, for normals of their own.
    writer = _Writer("binary")
    points = [POINTS[i] for face in FACES for i in face]
    mesh = _read(tmp_path, writer.file(writer.piece(points, Polys=[(0, 1, 2), (3, 4, 5), (6, 7, 8), (9, 10, 11)])))
    assert (mesh.n_vertices, mesh.n_faces) == (4, 4) and mesh.volume == pytest.approx(VOLUME)


def test_marks_of_encodings(tmp_path):
    writer = _Writer()
    data = writer.file(writer.piece(POINTS, Polys=FACES))
    assert _read(tmp_path, b"\xef\xbb\xbf" + data).n_faces == 4
    wide = data.decode().replace('version="1.0"?', 'version="1.0" encoding="UTF-16"?')
    assert _read(tmp_path, b"\xff\xfe" + wide.encode("utf-16-le")).n_faces == 4
    latin = data.decode().replace('"1.0"?>', '"1.0" encoding="ISO-8859-1"?>\n<!-- µm -->', 1)
    assert _read(tmp_path, latin.encode("latin-1")).n_faces == 4


def test_what_is_wrong_is_named(tmp_path):
    good, raw = _Writer(), _Writer("raw")
    text, data = good.file(good.piece(POINTS, Polys=FACES)), raw.file(raw.piece(POINTS, Polys=FACES))
    for wrong, message in [
        (text.replace(b"3 6 9 12", b"3 6 9"), "NumberOfPolys=4 and has 3"),
        (text.replace(b"3 6 9 12", b"3 6 9 13"), "have 12 corners; expected 13"),
        (text.replace(b'NumberOfPoints="4"', b'NumberOfPoints="5"'), "NumberOfPoints=5 and has 4"),
        (text.replace(b"4.0", b"4,0").replace(b"0 0 0 4 0", b"0 0 0 4,5 0", 1), "'4,5' has a decimal comma"),
        (text.replace(b"Float32", b"Float16"), "'Points' has the type 'Float16'"),
        (text.replace(b"PolyData", b"UnstructuredGrid"), "VTK file of type 'UnstructuredGrid'"),
        (text.replace(b"VTKFile", b"svg"), "an XML file of 'svg'"),
        (data.replace(b"</AppendedData>\n</VTKFile>", b"")[:-40], "its appended data have no end"),
        (data.replace(raw.tail, raw.tail[:-6]), "'offsets' is damaged or cut short: 16 bytes are promised"),
        (data.replace(b'"raw"', b'"hex"'), "have the encoding 'hex'"),
        (text.replace(b"header_type", b'compressor="vtkZstd" header_type'), "its compressor is 'vtkZstd'"),
    ]:
        with pytest.raises(FileFormatError, match=message):
            _read(tmp_path, wrong)
    with pytest.raises(MeshError, match="no faces"):
        _read(tmp_path, good.file(good.piece(POINTS, Verts=[(0,), (1,)])))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pyvista_sees_all_that_is_written(tmp_path, dtype):
    import pyvista

    ball = icosphere(2.0, (1, 2, 3), 2).astype(dtype)
    labels, density = np.tile([1, 0], (ball.n_faces, 1)), np.linspace(0.5, 2.0, ball.n_faces).astype(dtype)
    mesh = MultiMaterialMesh(ball.vertices, ball.faces, labels, density)
    values = np.arange(ball.n_vertices) / 7.0
    write_mesh(tmp_path / "a.vtp", mesh, {"bend": values})
    other = pyvista.read(tmp_path / "a.vtp")
    assert other.points.dtype == dtype and np.array_equal(other.points[:, ::-1], mesh.vertices)
    assert np.array_equal(other.regular_faces, mesh.faces)
    assert np.array_equal(other.cell_data["density"], density) and np.array_equal(other.cell_data["labels"], labels)
    assert np.array_equal(other.point_data["bend"], values.astype(dtype))


def test_a_large_array_is_written_in_several_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("cytoform.mesh.formats.vtk_data._BLOCK", 256)
    ball = icosphere(2.0, (1, 2, 3), 2)
    write_mesh(tmp_path / "a.vtp", ball)
    assert np.array_equal(read_mesh(tmp_path / "a.vtp").vertices, ball.vertices)
    import pyvista

    assert np.array_equal(pyvista.read(tmp_path / "a.vtp").points[:, ::-1], ball.vertices)


@pytest.mark.parametrize("compressor", [0, 1, 2, 3])
@pytest.mark.parametrize("mode", ["Ascii", "Binary", "Appended"])
def test_what_vtk_writes_is_read(tmp_path, mode, compressor):
    import pyvista
    from vtkmodules import vtkIOXML as vtk_xml

    ball = icosphere(2.0, (1, 2, 3), 2)
    data = pyvista.PolyData.from_regular_faces(ball.vertices[:, ::-1].astype("f4"), ball.faces)
    data.cell_data["density"] = np.linspace(0.5, 2.0, ball.n_faces)
    path = tmp_path / "a.vtp"
    for header, order, index, encode in itertools.product((32, 64), ("Little", "Big"), (32, 64), (0, 1)):
        writer = vtk_xml.vtkXMLPolyDataWriter()
        writer.SetFileName(str(path))
        writer.SetInputData(data)
        getattr(writer, f"SetDataModeTo{mode}")()
        writer.SetCompressorType(compressor)  # none, zlib, lz4, lzma
        writer.SetBlockSize(4096)
        getattr(writer, f"SetHeaderTypeToUInt{header}")()
        getattr(writer, f"SetByteOrderTo{order}Endian")()
        getattr(writer, f"SetIdTypeToInt{index}")()
        writer.SetEncodeAppendedData(encode)
        assert writer.Write()
        mesh = read_mesh(path)
        assert np.array_equal(mesh.faces, ball.faces) and np.array_equal(mesh.density, data.cell_data["density"])
        assert np.array_equal(mesh.vertices, ball.vertices.astype("f4"))
    strips = data.strip()
    strips.save(path)
    assert strips.n_strips and read_mesh(path).volume == pytest.approx(ball.volume, rel=1e-5)
