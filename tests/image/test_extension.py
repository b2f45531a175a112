"""A further kind of image file: one file of code, and one registration in Python or one entry point of a package."""

import subprocess
import sys
import textwrap
from contextlib import nullcontext

import numpy as np
import pytest
from typer.testing import CliRunner

import cytoform as cf
from cytoform.cli import app
from cytoform.errors import ConfigError, FileFormatError, VolumeError
from cytoform.image import formats
from cytoform.image.io import image_info
from cytoform.image.series import open_series
from cytoform.sdf import open_sequence
from cytoform.sdf.prepare import prepare

READER = '''
"""Reads .toy files: a line of text with the shape (t, z, y, x) and the voxel size in µm, then bytes."""

from contextlib import contextmanager

import numpy as np

from cytoform.image.formats import ImageFormat, Images, Source


@contextmanager
def opened(path):
    with open(path, "rb") as file:
        words = file.readline().split()
        shape, spacing = tuple(map(int, words[:4])), tuple(map(float, words[4:7]))
        start = file.tell()

        def load(index):
            return np.memmap(path, np.uint8, "r", start, shape)[index]

        kind = np.dtype(np.uint8)
        yield Images.single(Source(path, "toy", "TZYX", shape, kind, spacing, (0.0, 0.0, 0.0), load))


FORMAT = ImageFormat("a toy file", (".toy",), opened)
'''


def _movie():
    z, y, x = np.ogrid[:12, :14, :16]
    return np.stack([((z - 6) ** 2 + (y - 7) ** 2 + (x - 8) ** 2 < r**2).astype(np.uint8) for r in (4, 5)])


def _written(path, data):
    path.write_bytes(" ".join(map(str, (*data.shape, 0.5, 0.25, 0.25))).encode() + b"\n" + data.tobytes())
    return path


@pytest.fixture
def toy():
    """The format of the reader's one file, registered while the test runs."""
    module = {}
    exec(READER, module)
    formats.register(module["FORMAT"])
    yield module["FORMAT"]
    formats.unregister(module["FORMAT"])


def test_a_registered_format_is_read_everywhere(tmp_path, toy):
    data = _movie()
    path = _written(tmp_path / "cells.toy", data)
    volume = cf.read_volume(path, time=1)
    assert np.array_equal(volume.data, data[1]) and volume.spacing == (0.5, 0.25, 0.25)
    info = image_info(path, extremes=True)
    assert (info.format, info.times, info.maximum) == ("toy", 2, 1)
    with open_series(path) as series:
        assert series.shape == (2, 1, 12, 14, 16)
        assert all(np.array_equal(v.data, frame) for v, frame in zip(series, data, strict=True))
    result = CliRunner().invoke(app, ["info", str(path)])
    assert result.exit_code == 0 and "toy" in result.output and "0.5 × 0.25 × 0.25 µm" in result.output


def test_a_registered_format_is_prepared(tmp_path, toy):
    """One movie in a file, and a folder of files that are found by the suffix and named without it."""
    data = _movie()
    [whole] = prepare(_written(tmp_path / "cells.toy", data), tmp_path / "whole", shape=16)
    (tmp_path / "frames").mkdir()
    for t, frame in enumerate(data):
        _written(tmp_path / "frames" / f"f{t}.toy", frame[None])
    [parts] = prepare(tmp_path / "frames", tmp_path / "parts", shape=16)
    assert (whole.name, parts.name) == ("cells.h5", "frames.h5")
    with open_sequence(whole) as a, open_sequence(parts) as b:
        assert all(np.array_equal(a.frame(t), b.frame(t)) for t in range(2))


def test_messages_name_a_registered_format(tmp_path, toy):
    (tmp_path / "a.dat").write_bytes(b"nothing that anybody knows")
    with pytest.raises(FileFormatError, match="or a toy file"):
        cf.read_volume(tmp_path / "a.dat")


def test_an_unregistered_format_is_read_no_more(tmp_path, toy):
    path = _written(tmp_path / "cells.toy", _movie())
    formats.unregister(toy)
    with pytest.raises(FileFormatError, match="not a readable TIFF"):
        cf.read_volume(path, time=0)


def test_a_registered_format_comes_before_the_built_in_ones(tmp_path, toy):
    path = _written(tmp_path / "cells.tif", _movie())
    mine = formats.ImageFormat("my TIFF", (".tif",), toy.opened)
    formats.register(mine)
    try:
        assert image_info(path).format == "toy"
    finally:
        formats.unregister(mine)
    with pytest.raises(FileFormatError):
        image_info(path)


def test_what_a_reader_raises_names_the_file(tmp_path, toy):
    path = tmp_path / "broken.toy"
    path.write_bytes(b"no numbers\n")
    with pytest.raises(FileFormatError, match=r"broken\.toy cannot be read: invalid literal"):
        cf.read_volume(path)
    result = CliRunner().invoke(app, ["info", str(path)])
    assert result.exit_code == 2 and "broken.toy" in result.output
    short = _written(tmp_path / "short.toy", _movie())
    short.write_bytes(short.read_bytes()[:100])
    with pytest.raises(FileFormatError, match=r"short\.toy cannot be read"):
        cf.read_volume(short, time=0)


def test_axes_that_do_not_fit_are_the_readers_mistake(tmp_path):
    shape, kind = (2, 12, 14, 16), np.dtype(np.uint8)
    path = _written(tmp_path / "cells.odd", _movie())
    source = formats.Source(path, "odd", "ZYX", shape, kind, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), lambda index: None)
    odd = formats.ImageFormat("odd", (".odd",), lambda path: nullcontext(formats.Images.single(source)))
    formats.register(odd)
    try:
        with pytest.raises(FileFormatError, match=r"gives the axes 'ZYX' for an image of shape \(2, 12, 14, 16\)"):
            cf.read_volume(path)
    finally:
        formats.unregister(odd)


def _fails(path):
    raise IndexError("no first line")


def test_a_format_that_fails_when_it_is_asked_claims_nothing(tmp_path, caplog, registered):
    """It is passed over with a warning that names it; what others read is read."""
    cf.write_volume(tmp_path / "a.tif", _movie()[0], spacing=0.5)
    registered(formats.ImageFormat("a shaky file", (".shaky",), nullcontext, _fails))
    assert np.array_equal(cf.read_volume(tmp_path / "a.tif").data, _movie()[0])
    assert "a.tif: the reader of a shaky file fails" in caplog.text and "no first line" in caplog.text
    (tmp_path / "frames").mkdir()
    for t, frame in enumerate(_movie()):
        cf.write_volume(tmp_path / "frames" / f"f{t}.tif", frame, spacing=0.5)
    assert prepare(tmp_path / "frames", tmp_path / "out", shape=16)  # a folder is no image either


def _source(path, load=lambda index: np.zeros((12, 14, 16), np.uint8)[index], spacing=(1.0, 1.0, 1.0)):
    kind = np.dtype(np.uint8)
    return formats.Source(path, "odd", "ZYX", (12, 14, 16), kind, spacing, (0.0, 0.0, 0.0), load)


@pytest.fixture
def registered(tmp_path):
    """Registers formats while the test runs."""
    added = []

    def add(form):
        formats.register(form)
        added.append(form)

    yield add
    for form in added:
        formats.unregister(form)


@pytest.fixture
def odd(tmp_path, registered):
    """The path of a file whose reader gives what it is told to."""
    path = tmp_path / "cells.odd"
    path.write_bytes(b"odd")

    def make(give):
        registered(formats.ImageFormat("an odd file", (".odd",), lambda path: nullcontext(give(path))))
        return path

    return make


def test_a_voxel_size_that_is_not_known_is_none(odd):
    path = odd(lambda path: formats.Images.single(_source(path, spacing=None)))
    assert image_info(path).spacing is None and image_info(path).known_spacing == (None, None, None)
    with pytest.raises(VolumeError, match="does not give its voxel size; expected micrometres"):
        cf.read_volume(path)
    assert cf.read_volume(path, spacing=0.5).spacing == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("shape", [(12, 14, 15), (1, 12, 14, 16), (14, 12, 16), ()])
def test_an_array_of_another_shape_is_the_readers_mistake(odd, shape):
    path = odd(lambda path: formats.Images.single(_source(path, lambda index: np.zeros(shape))))
    words = rf"the reader of an odd file gives an array of shape {shape}; expected (12, 14, 16)"
    with pytest.raises(FileFormatError) as error:
        cf.read_volume(path)
    assert words in str(error.value) and "cells.odd" in str(error.value)


def test_a_list_of_numbers_is_an_array(odd):
    data = np.arange(12 * 14 * 16).reshape(12, 14, 16)
    path = odd(lambda path: formats.Images.single(_source(path, lambda index: data[index].tolist())))
    assert np.array_equal(cf.read_volume(path).data, data)


@pytest.mark.parametrize(
    ("give", "words"),
    [
        (lambda path: formats.Images(path, ()), "gives no image; expected Images"),
        (lambda path: None, "gives an object of type NoneType; expected Images"),
        (lambda path: formats.Images(path, (formats.Entry("", "ZYX", (1, 1, 1), np.dtype("u1"), lambda: 3),)),
         "gives an object of type int; expected a Source"),
    ],
)  # fmt: skip
def test_a_reader_that_gives_something_else(odd, give, words):
    with pytest.raises(FileFormatError, match=rf"cells\.odd: the reader of an odd file {words}"):
        cf.read_volume(odd(give))


@pytest.mark.parametrize("wrong", ["toy", ".TOY"])
def test_a_suffix_that_could_never_match_is_refused(wrong):
    with pytest.raises(ConfigError, match=f"suffix '{wrong}'"):
        formats.register(formats.ImageFormat("x", (wrong,), lambda path: None))


def test_something_else_than_a_format_is_refused():
    with pytest.raises(ConfigError, match="of type str; expected ImageFormat"):
        formats.register("toy")


# -- through an entry point, as an installed package has it ------------------------------------------------------------


def _package(folder, reader, points):
    """A package as pip leaves it: its module, and its metadata in a folder beside it."""
    (folder / "toy_reader.py").write_text(reader)
    info = folder / "toy_reader-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-reader\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[cytoform.image_formats]\n{points}\n")


def _run(folder, code):
    """In a process of its own, whose search path has the package."""
    code = f"import sys; sys.path.insert(0, {str(folder)!r})\n" + textwrap.dedent(code)
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", [".toy", "any name"])
def test_an_entry_point_is_found(tmp_path, name):
    data = _movie()
    _package(tmp_path, READER, f"{name} = toy_reader:FORMAT")
    _written(tmp_path / "cells.toy", data)
    cf.write_volume(tmp_path / "a.tif", data[0], spacing=(0.5, 0.25, 0.25))
    found = _run(tmp_path, """
        import cytoform as cf
        cf.read_volume("a.tif")
        assert "toy_reader" not in sys.modules  # not imported for what others read
        print(cf.read_volume("cells.toy", time=1).data.sum())
        from cytoform.cli import main
        sys.argv[1:] = ["info", "cells.toy"]
        main()
    """)  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert found.stdout.split()[0] == str(data[1].sum()) and "12 × 14 × 16" in found.stdout


def test_an_entry_point_of_another_type_is_left_out(tmp_path):
    """One that is asked about files that nothing else claims: the error is that of the file."""
    (tmp_path / "a.dat").write_bytes(b"nothing that anybody knows")
    _package(tmp_path, "FORMAT = 3", "any name = toy_reader:FORMAT")
    found = _run(tmp_path, "import cytoform as cf; cf.read_volume('a.dat')")
    assert "FileFormatError" in found.stderr and "of type int; expected ImageFormat" in found.stderr


def test_an_entry_point_that_cannot_be_loaded(tmp_path):
    _written(tmp_path / "cells.toy", _movie())
    _package(tmp_path, "import a_library_that_is_not_there", ".toy = toy_reader:FORMAT")
    found = _run(tmp_path, """
        from cytoform.cli import main
        sys.argv[1:] = ["info", "cells.toy"]
        main()
    """)  # fmt: skip
    text = " ".join(found.stderr.replace("│", " ").split())
    assert found.returncode == 2 and "Traceback" not in text
    assert "the package toy-reader" in text and "a_library_that_is_not_there" in text and "pip uninstall" in text
