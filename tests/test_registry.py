"""Names of things, where they come from, and what other packages do wrong."""

import pytest

from cytoform.errors import BackendError, ConfigError
from cytoform.registry import Registry


class Thing:
    def __init__(self, name):
        self.name = name


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Makes an installed package with one module and entry points of the group "tests.things"."""

    def make(code, points):
        (tmp_path / "things_of_others.py").write_text(code)
        info = tmp_path / "things_of_others-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: things-of-others\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[tests.things]\n" + points)
        monkeypatch.syspath_prepend(tmp_path)

    yield make
    import sys

    sys.modules.pop("things_of_others", None)


def test_things_are_found_by_their_names():
    found = Registry("thing", "tests.things", {"box": "image.volume:Grid"})
    one = Thing("one")
    found.add(one)
    found.add(one)  # once more is no harm
    assert list(found) == ["box", "one"] and len(found) == 2 and found["one"] is one
    assert found["box"].__name__ == "Grid" and "two" not in found
    with pytest.raises(ConfigError, match="thing is 'two'; expected one of box, one"):
        found.named("two")
    with pytest.raises(ConfigError, match="called 'one' already"):
        found.add(Thing("one"))
    with pytest.raises(ConfigError, match="called 'box' already"):
        found.add(Thing("box"))
    found.remove("one")
    assert list(found) == ["box"]
    with pytest.raises(ConfigError, match="no thing 'box' was added"):
        found.remove("box")
    with pytest.raises(KeyError):
        found["one"]


def test_other_packages_declare_theirs(package, caplog):
    code = "class Thing: pass\nstar = Thing(); star.name = 'star'\nmoon = Thing(); moon.name = 'sun'\n"
    names = "star = things_of_others:star\nmoon = things_of_others:moon\ngone = things_of_others:gone\n"
    package(code, names + "box = things_of_others:star\n")
    found = Registry("thing", "tests.things", {"box": "image.volume:Grid"})
    assert list(found) == ["box", "star", "moon", "gone"]
    assert "the name box is taken" in caplog.text and found["box"].__name__ == "Grid"
    assert found.named("star").name == "star"
    with pytest.raises(BackendError, match=r"package things-of-others.*called 'sun'.*pip uninstall things-of-others"):
        found.named("moon")
    with pytest.raises(BackendError, match=r"'gone' of the package things-of-others cannot be loaded"):
        found.named("gone")


def test_those_that_can_be_used_are_given_without_the_others(package, caplog):
    code = "class Thing: pass\nstar = Thing(); star.name = 'star'\nmoon = Thing(); moon.name = 'sun'\n"
    names = "star = things_of_others:star\nmoon = things_of_others:moon\ngone = things_of_others:gone\n"
    package(code, names)
    found = Registry("thing", "tests.things")
    found.add(Thing("one"))
    assert list(found.usable(Thing)) == ["one"]
    assert "thing 'star' is of type Thing" in caplog.text and "called 'sun'" in caplog.text
    assert "'gone' of the package things-of-others cannot be loaded" in caplog.text
    caplog.clear()
    assert list(found.usable(Thing)) == ["one"] and not caplog.records  # said once
    assert list(Registry("thing", "tests.things").usable(object)) == ["star"]
