"""Points found in simulated images."""

import json

import numpy as np
import pytest
from fitting.sources.scenes import PSF, SIGMA, image_of, measured
from scipy.spatial import cKDTree

import cytoform as cf
from cytoform.errors import ConfigError, MeshError, VolumeError
from cytoform.fitting.sources.gauss_newton import adjust
from cytoform.fitting.spots.sources import PointSources
from cytoform.fitting.spots.splitting import split_candidates

SHAPE = (18, 44, 44)
PLACES = np.array(
    [[0.9, 1.0, 1.1], [2.2, 3.1, 1.2], [1.5, 2.2, 2.2], [1.5, 2.2, 2.62], [2.9, 0.9, 3.0], [1.6, 4.3, 3.2]]
)
LIGHT = np.array([3.0, 2.0, 3.0, 3.0, 4.0, 3.0])  # the third and fourth are 2.1 σ apart, the last is at the border


@pytest.fixture(scope="module")
def result():
    return cf.fit_points(image_of(cf.PointSet(PLACES, LIGHT), SHAPE, seed=5), psf=PSF)


def test_all_points_are_found_within_their_errors(result):
    assert len(result) == len(PLACES)
    _, index = cKDTree(result.positions).query(PLACES)
    assert sorted(index) == list(range(len(PLACES)))
    z = (result.positions[index] - PLACES) / result.position_se[index]
    light = (result.brightness[index] - LIGHT) / result.brightness_se[index]
    assert np.abs(z).max() < 4.0 and np.abs(light).max() < 4.0
    assert (result.position_se[index] < 0.3 * np.array(SIGMA)).all()
    assert result.flags[index[5]] == "border" and result.flags[index[2]] == "crowded" and result.flags[index[0]] == ""
    assert result.noise[0] == pytest.approx(1.0, rel=0.05) and not result.warnings()
    assert result.background.data.mean() == pytest.approx(10.0, abs=0.02)


def test_the_result_is_written(result, tmp_path):
    result.save(tmp_path / "run")
    assert {p.name for p in (tmp_path / "run").iterdir()} == {
        "points.csv", "points.vtp", "rendered.tif", "fit.json", "report.html"
    }  # fmt: skip
    saved = json.loads((tmp_path / "run" / "fit.json").read_text())
    assert saved["kind"] == "points" and saved["points"] == 6 and saved["r2"] == pytest.approx(result.r2)
    for name in ("points.csv", "points.vtp"):
        assert np.abs(cf.read_points(tmp_path / "run" / name).positions - result.positions).max() < 1e-6
    assert result.table()["z_um_se"] == pytest.approx(result.position_se[:, 0])


def test_an_image_of_noise_has_no_points():
    shape = (14, 40, 40)
    noise = cf.Volume(np.random.default_rng(8).normal(size=shape), (0.2, 0.1, 0.1))
    result = cf.fit_points(noise, psf=PSF)
    assert len(result) == 0 and result.points is None and "No point" in result.warnings()[0]
    assert len(result.table()) == 0 and np.isnan(result.r2)


def test_given_points_are_adjusted_and_none_added():
    volume = image_of(cf.PointSet(PLACES, LIGHT), SHAPE, seed=5)
    result = cf.fit_points(volume, cf.PointSet(PLACES[:1] + 0.05), PSF)
    assert len(result) == 1 and np.abs(result.positions - PLACES[:1]).max() < 0.1


def test_two_points_are_told_from_one_and_one_from_two():
    apart = np.array([0.0, 0.0, 0.2])
    for half, expected in ((apart, True), (0.0 * apart, False)):
        ends = np.array([[1.6, 2.0, 2.0] + half, [1.6, 2.0, 2.0] - half])
        scene = measured(image_of(cf.PointSet(ends, [3.0, 3.0]), SHAPE, seed=2))
        single = adjust(PointSources(ends.mean(axis=0)[None], np.array([6.0]), scene), scene)
        doubled, found = split_candidates(
            scene, single.sources.positions, single.sources.brightness, single.residual, 0.05, 0.0
        )
        assert doubled[0] == expected
        if expected:
            assert np.abs(found[0] @ apart) / (np.linalg.norm(found[0]) * 0.2) > 0.9  # along the line between them
            assert np.linalg.norm(found[0]) == pytest.approx(0.2, rel=0.4)


def test_errors_name_the_remedy():
    volume = image_of(cf.PointSet(PLACES, LIGHT), SHAPE)
    with pytest.raises(MeshError, match="outside of the image"):
        cf.fit_points(volume, cf.PointSet([[99.0, 0.0, 0.0]]), PSF)
    with pytest.raises(MeshError, match="expected a PointSet"):
        cf.fit_points(volume, PLACES, PSF)
    with pytest.raises(ConfigError, match="psf_shape"):
        cf.PointsConfig(psf_shape="round")
    with pytest.raises(ConfigError, match="rounds"):
        cf.PointsConfig(rounds=0)
    with pytest.raises(ConfigError, match="PointsConfig"):
        cf.fit_points(volume, psf=PSF, config=cf.FilamentsConfig())
    with pytest.raises(VolumeError, match="constant"):
        cf.fit_points(cf.Volume(np.ones(SHAPE), 0.1), psf=PSF)
