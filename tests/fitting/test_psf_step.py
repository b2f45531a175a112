"""Fits in which parameters of a real objective move with the shape."""

import numpy as np
import pytest

import cytoform as cf
from cytoform.fitting.psf_step import ShiftedPSF, with_shift
from cytoform.mesh import shapes
from cytoform.metrics.overlap import mesh_iou
from cytoform.rendering import Renderer


def imaged(psf):
    """An ellipsoid's image through an objective, with noise."""
    grid = cf.Grid((36, 44, 44), (0.2, 0.12, 0.12))
    truth = shapes.ellipsoid((1.3, 1.7, 1.4), tuple(grid.centre), subdivisions=3)
    image = cf.render(truth, psf, grid.padded((2.0, 1.0, 1.0)))[tuple(slice(0, n) for n in grid.shape)]
    dirt = np.random.default_rng(0).normal(0.0, 0.02, grid.shape)
    return truth, cf.Volume((image / image.max() + dirt).astype(np.float32), grid.spacing)


@pytest.mark.slow
def test_spherical_aberration_is_found_with_the_shape():
    wrong = 1.2
    lens = {"numerical_aperture": 1.1, "wavelength": 0.6, "immersion_index": 1.33, "modality": "confocal"}
    truth, volume = imaged(cf.PupilPSF(phase={12: 0.6}, **lens))
    config = cf.FitConfig(iterations=120, edge=0.3, uncertainty=False, device="cpu")
    result = cf.fit(volume, psf=cf.PupilPSF(phase={12: wrong}, **lens), config=config)
    assert result.psf.phase[12] == pytest.approx(0.6, abs=0.06)
    assert mesh_iou(result.mesh, truth, 0.06) > 0.96


@pytest.mark.slow
def test_depth_is_found_with_the_shape():
    wrong = 14.0
    lens = {"numerical_aperture": 1.3, "wavelength": 0.6, "immersion_index": 1.515, "modality": "confocal"}
    sample = {"sample_index": 1.38, "free": ("depth",)}
    truth, volume = imaged(cf.GibsonLanniPSF(depth=8.0, **lens, **sample))
    config = cf.FitConfig(iterations=200, edge=0.3, uncertainty=False, device="cpu")
    result = cf.fit(volume, psf=cf.GibsonLanniPSF(depth=wrong, **lens, **sample), config=config)
    assert result.psf.depth == pytest.approx(8.0, rel=0.1)
    assert mesh_iou(result.mesh, truth, 0.06) > 0.96


@pytest.mark.slow
def test_a_displaced_psf_is_a_moved_surface_and_has_its_gradient():
    lens = {"numerical_aperture": 1.1, "wavelength": 0.6, "immersion_index": 1.33, "modality": "confocal"}
    inner, by = cf.PupilPSF(phase={12: 0.5, 7: 0.2}, **lens), np.array([0.13, -0.07, 0.05])
    mesh = shapes.ellipsoid((0.6, 0.8, 0.7), (1.6, 1.5, 1.4), subdivisions=2)
    grid = cf.Grid((20, 24, 22), (0.2, 0.13, 0.14))
    band = inner.band(grid, 0.01)
    psf = ShiftedPSF(inner, by)
    there = Renderer(psf, band, "exact", "cpu", 1e-6).render(mesh)
    moved = Renderer(inner, band, "exact", "cpu", 1e-6).render(mesh.with_vertices(mesh.vertices + by))
    np.testing.assert_allclose(there, moved, atol=1e-10 * np.abs(moved).max())
    rng = np.random.default_rng(0)
    real, imaginary = rng.normal(size=(2, *band.shape))
    cotangent = real + 1j * imaginary

    def value(theta):
        box = np.conj(cotangent) * psf.with_parameters(theta).otf_on(band)
        return float((band.kept_weights * box.real).sum())

    theta = psf.parameters
    steps = 1e-5 * np.eye(len(theta))
    slopes = [(value(theta + step) - value(theta - step)) / 2e-5 for step in steps]
    np.testing.assert_allclose(psf.otf_vjp(band, cotangent), slopes, rtol=1e-5, atol=1e-6 * np.abs(slopes).max())
    assert len(theta) == 2 + 3 and with_shift(cf.GaussianPSF.from_sigma(0.3)) is None
