"""Filaments found in simulated images, and what changes a network's connections."""

import json

import numpy as np
import pytest
from fitting.sources.scenes import PSF, SIGMA, image_of, measured

import cytoform as cf
from cytoform.errors import ConfigError, MeshError
from cytoform.fitting.filaments.config import FilamentsConfig
from cytoform.fitting.filaments.joining import join_ends
from cytoform.fitting.filaments.network import Network
from cytoform.fitting.filaments.sources import FilamentSources

SHAPE = (16, 44, 50)
DENSITY = 6.0 * 2.0 * np.pi * SIGMA[0] * SIGMA[1]  # about six times the noise on the line
LINES = [
    np.column_stack([np.full(30, 1.5), 2.0 + 0.5 * np.sin(np.linspace(0, 2, 30)), np.linspace(0.7, 4.2, 30)]),
    np.column_stack([np.full(12, 1.5), np.linspace(2.5, 3.8, 12), np.linspace(2.2, 3.2, 12)]),
]
LINES[1][0] = LINES[0][np.argmin(np.linalg.norm(LINES[0] - LINES[1][0], axis=1))]


def distances(points, lines):
    """Return the distance of points from the nearest of many points on lines, in voxels, by brute force."""
    fine = np.concatenate([
        np.concatenate([a + t * (b - a) for t in np.linspace(0, 1, 20)[:, None]]) for line in lines
        for a, b in zip(line[:-1, None], line[1:, None])
    ])  # fmt: skip
    return np.linalg.norm((points[:, None] - fine[None]) / [0.2, 0.1, 0.1], axis=-1).min(axis=1)


@pytest.fixture(scope="module")
def result():
    truth = cf.Filaments.from_polylines(LINES, DENSITY)
    return cf.fit_filaments(image_of(truth, SHAPE, seed=2), psf=PSF)


def test_a_branched_filament_is_found(result):
    truth = sum(np.linalg.norm(np.diff(line, axis=0), axis=1).sum() for line in LINES)
    assert result.length_um == pytest.approx(truth, rel=0.03)
    found = [branch.places for branch in result.branches]
    assert np.percentile(distances(np.concatenate(LINES), found), 95) < 0.4
    assert distances(result.filaments.vertices, LINES).max() < 0.8
    assert len(result) == 3 and sum("branching" in branch.ends for branch in result.branches) == 3
    for branch in result.branches:
        assert abs(branch.density - DENSITY) < 4.0 * branch.density_se and branch.density_se < 0.05 * DENSITY


def test_the_result_is_written(result, tmp_path):
    result.save(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {
        "filaments.swc", "filaments.vtp", "branches.csv", "rendered.tif", "fit.json", "report.html"
    }  # fmt: skip
    saved = json.loads((tmp_path / "fit.json").read_text())
    assert saved["kind"] == "filaments" and saved["length_um"] == pytest.approx(result.length_um)
    for name in ("filaments.swc", "filaments.vtp"):
        back = cf.read_filaments(tmp_path / name)
        assert back.length == pytest.approx(result.length_um, rel=1e-6) and len(back.polylines()) == 3


def test_derivatives_of_the_quadrature_and_the_prior():
    scene = measured(image_of(cf.Filaments.from_polylines(LINES[:1], DENSITY), SHAPE))
    network = Network.of(cf.Filaments.from_polylines(LINES[:1], DENSITY)).resampled(0.3)
    rng = np.random.default_rng(0)
    bent = Network(network.vertices + 0.02 * rng.normal(size=network.vertices.shape), network.segments, network.density)
    sources = FilamentSources(bent, network, scene, FilamentsConfig())
    _, _, jacobian = sources.quadrature()
    step = 1e-6 * rng.normal(size=len(sources.unknowns))
    ends = [sources.moved(sign * step).quadrature() for sign in (1.0, -1.0)]
    change = [np.column_stack([end[0], end[1]]).ravel() for end in ends]
    expected = (change[0] - change[1]) / 2.0
    assert jacobian @ step == pytest.approx(expected, rel=1e-5, abs=1e-5 * np.abs(expected).max())
    value, slope, bend = sources.prior()
    values = [sources.moved(sign * step).prior()[0] for sign in (1.0, -1.0)]
    assert (values[0] - values[1]) / 2.0 == pytest.approx(slope @ step, rel=1e-4)
    assert value > 0 and np.linalg.eigvalsh(bend.toarray()).min() > -1e-9 * bend.max()


def test_quadrature_has_the_light_of_the_lines():
    truth = cf.Filaments.from_polylines(LINES[:1], DENSITY)
    scene = measured(image_of(truth, SHAPE, noise=0.0))
    network = Network.of(truth).resampled(0.3)
    places, light, _ = FilamentSources(network, network, scene, FilamentsConfig()).quadrature()
    exact = scene.render(network.filaments())
    assert np.abs(scene.render(cf.PointSet(places, light)) - exact).max() < 0.01 * exact.max()


def test_joining_bridges_gaps_and_meets_other_filaments():
    gap = cf.Filaments.from_polylines([[[1, 1, 0.5], [1, 1, 1.5]], [[1, 1, 2.0], [1, 1, 3.0]]])
    joined, changed = join_ends(Network.of(gap), np.array([0.2, 0.2, 0.2]))
    assert changed and len(joined.chains()) == 1 and joined.lengths.sum() == pytest.approx(2.5)
    apart = cf.Filaments.from_polylines([[[1, 1, 0.5], [1, 1, 1.5]], [[1, 3, 2.0], [1, 3, 3.0]]])
    assert not join_ends(Network.of(apart), np.array([0.2, 0.2, 0.2]))[1]


def test_resampling_keeps_ends_branchings_and_length():
    network = Network.of(cf.Filaments.from_polylines(LINES, DENSITY)).merged(np.zeros((0, 2), dtype=int))
    other = network.resampled(0.3)
    assert other.lengths.sum() == pytest.approx(network.lengths.sum(), rel=3e-3)  # chords cut a corner
    assert np.percentile(other.lengths, [5, 95]) == pytest.approx(0.3, rel=0.2)
    assert other.density == pytest.approx(np.full(len(other.density), DENSITY))


def test_errors_and_empty_images():
    volume = image_of(cf.Filaments.from_polylines(LINES, DENSITY), SHAPE)
    with pytest.raises(MeshError, match="expected Filaments"):
        cf.fit_filaments(volume, LINES, PSF)
    with pytest.raises(MeshError, match="outside of the image"):
        cf.fit_filaments(volume, cf.Filaments.from_polylines([[[0, 0, 0], [0, 0, 99.0]]]), PSF)
    with pytest.raises(ConfigError, match="segment"):
        cf.FilamentsConfig(segment=9.0)
    noise = cf.Volume(np.random.default_rng(8).normal(size=SHAPE), (0.2, 0.1, 0.1))
    result = cf.fit_filaments(noise, psf=PSF)
    assert result.filaments is None and len(result) == 0 and "No filament" in result.warnings()[0]
