"""Fits of filled bodies, and the choice of what is stained."""

import numpy as np
import pytest
from scipy import ndimage

import cytoform as cf
from cytoform.errors import ConfigError
from cytoform.imaging import render_on
from cytoform.masks import mesh_to_mask
from cytoform.mesh import shapes

GRID = cf.Grid((32, 36, 36), (0.25, 0.2, 0.2))
SIGMA = (0.5, 0.3, 0.3)
FINER = 4


def mesh(seed: int = 1) -> cf.SurfaceMesh:
    return shapes.lobed_cell(seed, 1.5, tuple(GRID.centre), edge=0.25)


def filled_image(seed: int = 1, noise: float = 0.05) -> cf.Volume:
    """A filled body, from a mask on a fine grid that is blurred there: no transform of a mesh has a part in it."""
    spacing = tuple(d / FINER for d in GRID.spacing)
    fine = cf.Grid(tuple(FINER * n for n in GRID.shape), spacing)
    blurred = ndimage.gaussian_filter(mesh_to_mask(mesh(seed), fine).astype(float), np.array(SIGMA) / spacing)
    light = blurred[::FINER, ::FINER, ::FINER]
    image = 100.0 + 400.0 * light + np.random.default_rng(seed).normal(0.0, 400.0 * noise, GRID.shape)
    return cf.Volume(image.astype(np.float32), GRID.spacing)


def shell_image(seed: int = 1, cytoplasm: float = 0.0) -> cf.Volume:
    """A stained surface and a cytoplasm, whose brightness is in parts of the membrane's in the image."""
    psf, noise = cf.GaussianPSF.from_sigma(SIGMA), np.random.default_rng(seed).normal(0.0, 20.0, GRID.shape)
    light = render_on(mesh(seed), psf, GRID, margin=psf.reach())
    inside = (np.asarray(filled_image(seed, 0.0).data) - 100.0) / 400.0
    image = 100.0 + 400.0 * light / light.max() + 400.0 * cytoplasm * inside + noise
    return cf.Volume(image.astype(np.float32), GRID.spacing)


@pytest.fixture(scope="module")
def nucleus() -> cf.FitResult:
    return cf.fit(filled_image(), config=cf.FitConfig(stain="filled"))


@pytest.mark.slow
def test_a_filled_body_is_fitted_with_its_brightness_and_errors(nucleus):
    truth, errors = mesh(), nucleus.uncertainty
    assert nucleus.quality == "good" and nucleus.stop_reason.startswith("converged")
    assert errors is not None and nucleus.filling is not None
    assert abs(nucleus.volume_um3 - truth.volume) <= 3.5 * errors.volume_um3 <= 0.02 * truth.volume
    low, high = nucleus.interval("area_um2", 0.999)  # of the smooth surface, without its facets and roughness
    assert low < truth.area < high < low + 0.03 * truth.area
    assert abs(nucleus.filling - 400.0) <= 4.0 * errors.filling <= 20.0
    assert nucleus.psf.sigma == pytest.approx(np.array(SIGMA), rel=0.04)
    assert not nucleus.mesh.density.any()


@pytest.mark.slow
@pytest.mark.parametrize("cytoplasm", [0.1, 0.5])
def test_a_membrane_with_a_cytoplasm_has_two_brightnesses(cytoplasm):
    truth, image = mesh(2), shell_image(2, cytoplasm)
    result = cf.fit(image, config=cf.FitConfig(stain="both"))
    errors = result.uncertainty
    assert errors is not None and result.filling is not None
    assert result.volume_um3 == pytest.approx(truth.volume, rel=0.01)
    assert abs(result.volume_um3 - truth.volume) <= 4.0 * errors.volume_um3
    low, high = result.interval("area_um2", 0.9999)
    assert low < truth.area < high
    assert abs(result.filling - 400.0 * cytoplasm) <= 4.0 * errors.filling <= 20.0
    assert result.filling == pytest.approx(400.0 * cytoplasm, rel=0.05)
    psf = cf.GaussianPSF.from_sigma(SIGMA)
    membrane = 400.0 / render_on(truth, psf, GRID, margin=psf.reach()).max()
    assert result.gain * float(result.mesh.face_areas @ result.mesh.density) == pytest.approx(
        membrane * truth.area, rel=0.03
    )
    assert result.psf.sigma == pytest.approx(np.array(SIGMA), rel=0.02)
    if cytoplasm < 0.5:
        return
    shell = cf.fit(image, config=cf.FitConfig(uncertainty=False))
    assert abs(shell.volume_um3 - truth.volume) > 5.0 * abs(result.volume_um3 - truth.volume)


@pytest.mark.slow
def test_a_result_keeps_what_is_stained(nucleus, tmp_path):
    nucleus.save(tmp_path / "run")
    loaded = cf.load_result(tmp_path / "run")
    assert loaded.filling == pytest.approx(nucleus.filling) and loaded.config.stain == "filled"
    rows = dict(nucleus.table())
    assert rows["Stained"] == "filled" and "±" in rows["Brightness inside"]


@pytest.mark.slow
def test_a_membrane_fitted_to_a_filled_body_says_how_to_do_better():
    result = cf.fit(filled_image(), config=cf.FitConfig(uncertainty=False))
    assert result.quality == "failed" and any("--stain filled" in reason for reason in result.reasons)
    assert result.filling is None


@pytest.mark.slow
def test_auto_tells_shells_from_filled_bodies(tmp_path):
    config = cf.FitConfig(stain="auto", uncertainty=False, iterations=60)
    found = cf.fit(filled_image(2), config=config, out=tmp_path)
    assert found.config.stain == "filled" and found.inputs["stain"]["reason"].startswith("filled: explains")
    assert dict(found.table(brief=True))["stained"].startswith("filled: explains")
    again = cf.fit(filled_image(2), config=config, out=tmp_path, resume=True)
    assert np.array_equal(again.mesh.vertices, found.mesh.vertices) and again.config.stain == "filled"
    shell = cf.fit(shell_image(2), config=config)
    assert shell.config.stain == "membrane" and shell.mesh.jump is None


@pytest.mark.slow
def test_neighbours_of_a_filled_cell_may_touch_it():
    z, y, x = np.indices((24, 30, 48))
    cells = [((z - 12) ** 2 + (y - 15) ** 2 + (x - c) ** 2) <= 9.5**2 for c in (14, 33)]
    image = 100.0 + 400.0 * ndimage.gaussian_filter((cells[0] | cells[1]).astype(float), 1.5)
    image += np.random.default_rng(0).normal(0.0, 15.0, image.shape)
    labels = cells[0] + 2 * cells[1].astype(int)
    volume = cf.Volume(image.astype(np.float32), (0.2, 0.2, 0.2))
    result = cf.fit(volume, labels=labels, label=1, config=cf.FitConfig(stain="filled", uncertainty=False))
    inside = np.asarray(result.mask, dtype=bool)
    assert (inside & cells[0]).sum() / (inside | cells[0]).sum() > 0.93


def test_an_unknown_stain_is_refused():
    with pytest.raises(ConfigError, match="expected one of membrane, filled, both, auto"):
        cf.FitConfig(stain="nuclei")
