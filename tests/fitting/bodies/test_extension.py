"""A new kind of body and a new number: each written here alone, and registered once."""

import dataclasses
import json

import h5py
import numpy as np
import numpy.typing as npt
import pytest
from fitting.simulated import Killed, ball, killed_at

import cytoform as cf
from cytoform.errors import ConfigError, FileFormatError, FitError, MeshError
from cytoform.fitting import Body, register_body
from cytoform.fitting import numbers as registry
from cytoform.mesh import shapes
from cytoform.mesh.base import TriangleMesh


@dataclasses.dataclass(frozen=True, eq=False)
class Bubble(TriangleMesh):
    """A mesh class of its own, with one more array than a surface: which of its faces are marked."""

    marked: npt.NDArray[np.bool_]
    density: npt.NDArray = None

    def regions(self):
        return {1: cf.SurfaceMesh(self.vertices, self.faces, self.density)}


@register_body
class BubbleBody(Body[Bubble]):
    """Its voxels are those nearer to the centre than the vertices in their direction: no other code asks."""

    kind = "bubble"
    mesh_class = Bubble
    mesh_file = "bubble.npz"

    def checked(self, mesh):
        if mesh.n_faces < 100:
            raise FitError(f"a bubble of {mesh.n_faces} faces came; expected at least 100.")
        return mesh.astype(np.float64), ("A bubble.",)

    @staticmethod
    def voxels(mesh, grid):
        centre = mesh.vertices.mean(axis=0)
        z, y, x = np.ix_(*(o + d * np.arange(n) for o, d, n in zip(grid.origin, grid.spacing, grid.shape)))
        places = np.stack(np.broadcast_arrays(z, y, x), axis=-1) - centre
        far = np.linalg.norm(places, axis=-1)
        spokes = mesh.vertices - centre
        units = spokes / np.linalg.norm(spokes, axis=1, keepdims=True)
        nearest = np.argmax((places / np.maximum(far, 1e-9)[..., None]) @ units.T, axis=-1)
        return far <= np.linalg.norm(spokes, axis=1)[nearest]

    @classmethod
    def write(cls, mesh, folder, at_vertices):
        np.savez(folder / cls.mesh_file, **mesh.arrays())

    @classmethod
    def read(cls, folder):
        with np.load(folder / cls.mesh_file) as arrays:
            return Bubble.from_arrays(dict(arrays))


def bubble(radius, centre):
    sphere = shapes.sphere_of_edge(radius, tuple(centre), 0.3)
    return Bubble(sphere.vertices, sphere.faces, np.arange(sphere.n_faces) % 2 == 0)


CONFIG = cf.FitConfig(iterations=60, infer_psf=False, device="cpu", edge=0.4, deterministic=True, align_start=False,
                      checkpoint_seconds=1e-9)  # fmt: skip


@pytest.fixture(scope="module")
def fitted():
    truth, volume, psf = ball()
    return truth, volume, psf, cf.fit(volume, bubble(1.5, volume.grid.centre), psf, CONFIG)


def test_a_body_of_another_kind_is_fitted(fitted):
    truth, _, _, result = fitted
    assert isinstance(result.mesh, Bubble) and result.r2 > 0.97
    (region,) = result.summary()["regions"]
    assert region == {"region": 1, "volume_um3": result.volume_um3, "area_um2": result.area_um2}
    assert result.volume_um3 == pytest.approx(truth.volume, rel=0.03)
    assert result.area_um2 == pytest.approx(truth.area, rel=0.04)
    assert 0 < result.uncertainty.volume_um3 < 0.05 * truth.volume
    assert "A bubble." in result.warnings()
    assert result.mesh.marked.tolist() == (np.arange(result.mesh.n_faces) % 2 == 0).tolist()


@pytest.mark.slow
def test_its_files_and_back(fitted, tmp_path):
    result = fitted[-1]
    result.save(tmp_path)
    assert json.loads((tmp_path / "fit.json").read_text())["body"] == "bubble"
    assert "Volume" in (tmp_path / "report.html").read_text(encoding="utf-8")
    again = cf.load_result(tmp_path)
    assert isinstance(again.mesh, Bubble)
    for name, array in result.mesh.arrays().items():
        np.testing.assert_array_equal(again.mesh.arrays()[name], array)
    assert again.volume_um3 == result.volume_um3


@pytest.mark.slow
def test_it_is_killed_and_goes_on(fitted, tmp_path):
    _, volume, psf, whole = fitted
    start = bubble(1.5, volume.grid.centre)
    with pytest.raises(Killed):
        cf.fit(volume, start, psf, CONFIG, callbacks=[killed_at(21)], out=tmp_path)
    other = dataclasses.replace(start, marked=~start.marked)
    with pytest.raises(FitError, match="another start"):  # all arrays count, its own too
        cf.fit(volume, other, psf, CONFIG, out=tmp_path, resume=True)
    resumed = cf.fit(volume, start, psf, CONFIG, out=tmp_path, resume=True)
    np.testing.assert_array_equal(resumed.mesh.vertices, whole.mesh.vertices)
    np.testing.assert_array_equal(resumed.mesh.marked, whole.mesh.marked)


def test_what_is_no_body_and_a_body_that_is_there_already(fitted):
    _, volume, psf, _ = fitted
    with pytest.raises(FitError, match="a bubble of 80 faces"):
        sphere = shapes.icosphere(1.0, volume.grid.centre, subdivisions=1)
        cf.fit(volume, Bubble(sphere.vertices, sphere.faces, np.zeros(80, dtype=bool)), psf, CONFIG)
    with pytest.raises(MeshError, match="a fit moves"):
        cf.fit(volume, "cell.ply", psf, CONFIG)
    with pytest.raises(FitError, match="already"):
        register_body(type("Another", (BubbleBody,), {"kind": "bubble"}))
    with pytest.raises(FitError, match="already"):
        register_body(type("Another", (BubbleBody,), {"kind": "another"}))  # for the same meshes
    with pytest.raises(FitError, match="measures is no static method"):
        wrong = {"kind": "wrong", "mesh_class": int, "measures": lambda self, mesh: {}}
        register_body(type("Wrong", (BubbleBody,), wrong))
    assert register_body(BubbleBody) is BubbleBody  # a notebook's cell that is run once more
    with pytest.raises(MeshError, match="a fit moves"):
        cf.fit(volume, "cell.ply", psf, CONFIG, out="nowhere-to-be-made", resume=True)


def test_a_new_number_is_shown_everywhere(fitted, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_NUMBERS", dict(registry._NUMBERS))
    number = registry.Number("roundest", lambda r: r.sphericity**3, "Sphericity, cubed", digits=3, brief="roundest")
    registry.register_number(number)
    result = fitted[-1]
    result.save(tmp_path)
    told = json.loads((tmp_path / "fit.json").read_text())
    assert told["roundest"] == pytest.approx(told["sphericity"] ** 3)
    assert ("Sphericity, cubed", f"{told['roundest']:#.3g}") in result.table()
    assert "roundest" in dict(result.table(brief=True))
    assert "Sphericity, cubed" in (tmp_path / "report.html").read_text(encoding="utf-8")
    with pytest.raises(ConfigError, match="already"):
        registry.register_number(registry.Number("roundest", lambda r: 0.0))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("value", "stored", "shown"),
    [
        (np.float32(2.5), 2.5, "2.500"), (np.int64(3), 3, "3.000"), (np.arange(3), [0, 1, 2], "[0, 1, 2]"),
        (float("nan"), None, "–"), (None, None, "–"), ({1, 2}, None, "–"), ("low", "low", "low"),
    ],
)  # fmt: skip
def test_what_a_number_may_give(fitted, tmp_path, monkeypatch, value, stored, shown):
    monkeypatch.setattr(registry, "_NUMBERS", dict(registry._NUMBERS))
    registry.register_number(registry.Number("odd", lambda r: value, "Odd"))
    result = fitted[-1]
    result.save(tmp_path)

    def no_constant(text):
        raise AssertionError(f"{text} is not JSON")

    told = json.loads((tmp_path / "fit.json").read_text(), parse_constant=no_constant)
    assert told["odd"] == stored and dict(result.table())["Odd"] == shown
    assert dict(cf.load_result(tmp_path).table())["Odd"] == shown


@pytest.mark.slow
def test_a_number_that_fails_costs_no_result(fitted, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(registry, "_NUMBERS", dict(registry._NUMBERS))
    registry.register_number(registry.Number("bad", lambda r: 1 / 0, "Bad"))
    registry.register_number(registry.Number("peak", lambda r: float(r.image.data.max()), "Peak"))
    result = fitted[-1]
    result.save(tmp_path)
    assert "ZeroDivisionError" in caplog.text
    assert json.loads((tmp_path / "fit.json").read_text())["bad"] is None
    again = cf.load_result(tmp_path)  # without the image: the number is that of the file
    assert again.summary()["peak"] == result.image.data.max() and ("Bad", "–") in again.table()
    for odd in (registry.Number("", lambda r: 1.0), registry.Number("v", lambda r: 1.0, "Volume")):
        with pytest.raises(ConfigError):
            registry.register_number(odd)


@pytest.mark.slow
def test_damaged_results_and_checkpoints_are_named(fitted, tmp_path):
    _, volume, psf, result = fitted
    result.save(tmp_path)
    whole = json.loads((tmp_path / "fit.json").read_text())
    for damaged in ({**whole, "psf": None}, {k: v for k, v in whole.items() if k != "gain"}, [1]):
        (tmp_path / "fit.json").write_text(json.dumps(damaged))
        with pytest.raises(FileFormatError, match="cannot be read as a result"):
            cf.load_result(tmp_path)
    start, out = bubble(1.5, volume.grid.centre), tmp_path / "out"
    cf.fit(volume, start, psf, dataclasses.replace(CONFIG, iterations=1), out=out)
    with h5py.File(out / "checkpoint.h5", "r+") as file:
        file["state/mesh/unknown"] = np.zeros(3)
    with pytest.raises(FileFormatError, match="cannot be read as a checkpoint"):
        cf.fit(volume, start, psf, dataclasses.replace(CONFIG, iterations=1), out=out, resume=True)


def test_a_start_that_loses_its_class_is_refused(fitted, monkeypatch):
    _, volume, psf, _ = fitted
    monkeypatch.setattr(BubbleBody, "checked", lambda self, m: (cf.SurfaceMesh(m.vertices, m.faces), ()))
    with pytest.raises(FitError, match="became a SurfaceMesh"):
        cf.fit(volume, bubble(1.5, volume.grid.centre), psf, CONFIG)
