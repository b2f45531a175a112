"""REC: the binary form by hand-made bytes, its word lengths, damage; text as people keep it."""

import itertools
import struct

import numpy as np
import pytest

from cytoform.errors import FileFormatError, MeshError
from cytoform.mesh.io import read_mesh

POINTS = [(0.5, 0, 0), (3, 0, 0.25), (0, 2, 0), (0, 0, 1)]
ROWS = [(0, 2, 1, 1, 0), (0, 1, 3, 1, 0), (0, 3, 2, 1, 0), (1, 2, 3, 1, 0)]
TEXT = (
    "4\n" + "\n".join("{} {} {}".format(*p) for p in POINTS) + "\n4\n" + "\n".join(" ".join(map(str, r)) for r in ROWS)
)


def _binary(count="Q", real="d", vertex="q", label="i"):
    data = struct.pack("<" + count, len(POINTS)) + b"".join(struct.pack("<3" + real, *p) for p in POINTS)
    return data + struct.pack("<" + count, len(ROWS)) + b"".join(struct.pack(f"<3{vertex}2{label}", *r) for r in ROWS)


def _read(tmp_path, data):
    (tmp_path / "a.rec").write_bytes(data)
    return read_mesh(tmp_path / "a.rec")


def _check(mesh):
    assert np.array_equal(mesh.vertices[:, ::-1], POINTS)
    assert np.array_equal(np.hstack([mesh.faces, mesh.labels]), ROWS)


def test_the_usual_binary_form(tmp_path):
    data = _binary()
    assert len(data) == 8 + 4 * 24 + 8 + 4 * 32
    _check(_read(tmp_path, data))


@pytest.mark.parametrize("types", list(itertools.product("QI", "df", "qi", "iq")))
def test_other_word_lengths_are_known_by_the_size(tmp_path, types):
    _check(_read(tmp_path, _binary(*types)))


def test_cut_short_tells_the_counts(tmp_path):
    data = _binary()
    with pytest.raises(FileFormatError, match="promises 4 vertices, which with the counts take 112 bytes, and has 60"):
        _read(tmp_path, data[:60])
    with pytest.raises(FileFormatError, match=r"promises 4 vertices and 4 faces, .* 240 bytes, and has 190 bytes: 2"):
        _read(tmp_path, data[:190])
    with pytest.raises(FileFormatError, match="it has 245 bytes"):
        _read(tmp_path, data + b"\0more")
    with pytest.raises(FileFormatError, match="neither a text nor a binary"):
        _read(tmp_path, bytes(range(1, 200)))


def test_a_count_that_looks_like_a_byte_order_mark(tmp_path):
    n = 0xFEFF  # ff fe 00 00 in the file: the mark of UTF-32
    data = struct.pack("<Q", n) + np.arange(3 * n, dtype="<f8").tobytes() + struct.pack("<Q", 1)
    mesh = _read(tmp_path, data + struct.pack("<3q2i", 0, n // 2, n - 1, 1, 0))
    assert mesh.n_faces == 1 and mesh.vertices[2].tolist() == [3.0 * n - 1, 3.0 * n - 2, 3.0 * n - 3]


def test_bad_indices(tmp_path):
    data = _binary()
    for wrong in (4, -1):
        with pytest.raises(MeshError, match="expected 0 to 3"):
            _read(tmp_path, data[:-32] + struct.pack("<3q2i", 0, 1, wrong, 1, 0))


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        TEXT.replace("\n", "\r\n").encode() + b"\r\n\r\n  \r\n",
        TEXT.replace("\n", "\r").encode(),
        b"\xef\xbb\xbf" + TEXT.encode(),
        b"\xff\xfe" + TEXT.encode("utf-16-le"),
        ("# six cells\n" + TEXT.replace("\n4\n", "  # the last\n\n4 # faces\n")).encode(),
        TEXT.replace(" ", "\t").encode(),
    ],
)
def test_text_as_people_keep_it(tmp_path, data):
    _check(_read(tmp_path, data))


def test_damaged_text_tells_where(tmp_path):
    for old, new, message in [
        ("0 2 1 1 0", "0 2 1", "face 0 has 3 numbers; expected 5"),
        ("0.5 0 0", "0,5 0 0", "'0,5' has a decimal comma"),
        ("0 0 1\n", "0 0\n", "vertex 3 has 2 numbers; expected 3"),
        ("0.5 0 0", "a b c", "'a' is no number"),
    ]:
        with pytest.raises(FileFormatError, match=message):
            _read(tmp_path, TEXT.replace(old, new, 1).encode())


def test_a_vertex_that_no_face_uses(tmp_path, caplog):
    data = struct.pack("<Q", 5) + _binary()[8:104] + struct.pack("<3d", np.nan, 0, 1e9) + _binary()[104:]
    _check(_read(tmp_path, data))
    assert "1 vertex that no face uses is left out" in caplog.text


def test_a_real_foam(data_dir):
    mesh = read_mesh(data_dir / "contact" / "foam6.rec")
    assert mesh.vertices.shape == (11357, 3) and mesh.faces.shape == (23055, 3)
    assert mesh.region_ids == (1, 2, 3, 4, 5, 6) and min(mesh.region_volumes().values()) > 0.1
