"""Files appear whole or not at all, and errors say what to do."""

import errno
import os
import stat
from pathlib import Path

import pytest

from cytoform import atomic
from cytoform.errors import OutputError


def test_writes_text_as_utf8_with_plain_line_ends(tmp_path):
    atomic.write_text(tmp_path / "a.txt", "σ = 1 µm\n")
    assert (tmp_path / "a.txt").read_bytes() == "σ = 1 µm\n".encode()
    assert os.listdir(tmp_path) == ["a.txt"]


def test_replaces_what_was_there(tmp_path):
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    atomic.write_bytes(target, b"new")
    assert target.read_bytes() == b"new"


def test_temporary_name_keeps_folder_and_extension(tmp_path):
    with atomic.atomic_path(tmp_path / "image.ome.tif") as temporary:
        assert temporary.parent == tmp_path.resolve() and temporary.name.endswith(".ome.tif")
        temporary.write_bytes(b"x")
    with atomic.atomic_path(tmp_path / "checkpoint.h5", suffix=".part") as temporary:
        assert temporary.suffix == ".part"
        temporary.write_bytes(b"x")
    assert sorted(os.listdir(tmp_path)) == ["checkpoint.h5", "image.ome.tif"]


def test_long_names_fit(tmp_path):
    name = "n" * 240 + ".txt"
    atomic.write_text(tmp_path / name, "x")
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("failure", [KeyboardInterrupt, ValueError])
def test_any_failure_leaves_the_old_file_and_no_litter(tmp_path, failure):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(failure), atomic.atomic_path(target) as temporary:
        temporary.write_text("half")
        raise failure
    assert target.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]


def _full(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("where", ["fsync", "write"])
def test_full_disk(tmp_path, monkeypatch, where):
    target = tmp_path / "a.txt"
    target.write_text("old")
    if where == "fsync":
        monkeypatch.setattr(os, "fsync", _full)
    else:
        monkeypatch.setattr(Path, "write_bytes", _full)
    with pytest.raises(OutputError, match=r"disk is full.*Free some space"):
        atomic.write_text(target, "new")
    assert target.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]


def test_missing_folder_and_file_in_the_way(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="does not exist"):
        atomic.write_text(tmp_path / "no" / "a.txt", "x")
    with pytest.raises(OutputError, match="is a file, not a folder"):
        atomic.write_text(tmp_path / "file" / "a.txt", "x")
    with pytest.raises(OutputError, match="it is a folder"):
        atomic.write_text(tmp_path, "x")
    with pytest.raises(OutputError, match="in the way"):
        atomic.ensure_folder(tmp_path / "file")
    with pytest.raises(OutputError, match="is a file, not a folder"):
        atomic.ensure_folder(tmp_path / "file" / "sub")


def test_permission_denied(tmp_path, monkeypatch):
    def denied(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied", str(args[0]))

    monkeypatch.setattr(os, "replace", denied)
    with pytest.raises(OutputError, match=r"permission denied.*may write to"):
        atomic.write_text(tmp_path / "a.txt", "x")
    assert os.listdir(tmp_path) == []


def test_errors_about_other_files_pass_through(tmp_path):
    with pytest.raises(FileNotFoundError), atomic.atomic_path(tmp_path / "a.txt"):
        open(tmp_path / "input-that-is-missing")


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real.txt").write_text("old")
    try:
        (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    except OSError:
        pytest.skip("this system makes no symbolic links")
    atomic.write_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink() and (tmp_path / "real.txt").read_text() == "new"


def test_ensure_folder(tmp_path, monkeypatch):
    folder = atomic.ensure_folder(tmp_path / "a" / "b")
    assert folder.is_dir() and os.listdir(folder) == []
    assert atomic.ensure_folder(folder) == folder
    monkeypatch.setattr(os, "fsync", _full)
    with pytest.raises(OutputError, match="disk is full"):
        atomic.ensure_folder(folder)
    assert os.listdir(folder) == []


def _mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def umask():
    """Sets the umask, and puts the old one back."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def _privately(path, text="x"):
    """Writes as safetensors and tempfile do: for the owner alone."""
    with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
        file.write(text)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no permission bits")
@pytest.mark.parametrize("mask, file, folder", [(0o022, 0o644, 0o755), (0o002, 0o664, 0o775), (0o077, 0o600, 0o700)])
def test_new_files_and_folders_have_the_umasks_permissions(tmp_path, umask, mask, file, folder):
    umask(mask)
    place = atomic.ensure_folder(tmp_path / "a" / "b")
    with atomic.atomic_path(place / "weights.bin") as temporary:
        _privately(temporary)
    atomic.write_text(place / "plain.txt", "x")
    assert [_mode(place / name) for name in ("weights.bin", "plain.txt")] == [file, file]
    assert [_mode(p) for p in (place, place.parent)] == [folder, folder]
    assert sorted(os.listdir(place)) == ["plain.txt", "weights.bin"]


@pytest.mark.skipif(os.name != "posix", reason="Windows has no permission bits")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o444])
def test_a_replaced_file_keeps_its_permissions(tmp_path, umask, mode):
    target = tmp_path / "a.txt"
    target.write_text("old")
    target.chmod(mode)
    with atomic.atomic_path(target) as temporary:
        _privately(temporary, "new")
    assert target.read_text() == "new" and _mode(target) == mode


def test_where_permissions_cannot_be_set_the_file_is_written_all_the_same(tmp_path, monkeypatch):
    def unknown(*args, **kwargs):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", unknown)
    with atomic.atomic_path(tmp_path / "a.txt") as temporary:
        _privately(temporary)
    assert (tmp_path / "a.txt").read_text() == "x"


def test_on_windows_no_permissions_are_touched(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "_permissions_for", lambda *args: None)
    monkeypatch.setattr(Path, "chmod", lambda *args: pytest.fail("chmod was called"))
    atomic.write_text(tmp_path / "a.txt", "x")
    assert (tmp_path / "a.txt").read_text() == "x"
