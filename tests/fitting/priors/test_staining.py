"""Uneven staining: the field and the density, what is known of it beforehand, and a fit that finds it."""

import numpy as np
import pytest
from scipy.sparse.linalg import spsolve
from scipy.special import kv

import cytoform as cf
from cytoform.fitting.priors.field import StainingPrior
from cytoform.fitting.priors.staining import apply_staining, staining_field, staining_gradient
from cytoform.mesh import shapes
from cytoform.metrics import mesh_iou


def test_density_stays_within_its_bounds_and_bends_little_near_one():
    mesh = shapes.icosphere(2.0, subdivisions=2)
    for value in (-50.0, -0.05, 0.0, 0.05, 50.0):
        density = apply_staining(mesh, np.full(mesh.n_vertices, value)).density
        assert 1 / 3 < density.min() and density.max() < 3.0
        if abs(value) < 1:
            np.testing.assert_allclose(density, np.exp(value), rtol=1e-4)


def test_gradient_against_finite_differences():
    rng = np.random.default_rng(0)
    mesh = shapes.icosphere(2.0, subdivisions=2)
    stain, move = rng.normal(size=(2, mesh.n_vertices))
    weight = rng.normal(size=mesh.n_faces)
    up, down = (float((weight * apply_staining(mesh, stain + s * 1e-5 * move).density).sum()) for s in (1, -1))
    found = staining_gradient(apply_staining(mesh, stain), stain, weight)
    assert float(found @ move) == pytest.approx((up - down) / 2e-5, rel=1e-7)


def test_a_meshs_own_density_comes_back():
    mesh = shapes.icosphere(2.0, subdivisions=3)
    field = 0.3 * mesh.vertices[:, 0] / 2.0
    found = staining_field(apply_staining(mesh, field).with_density(7.0 * apply_staining(mesh, field).density))
    np.testing.assert_allclose(found - found.mean(), field - field.mean(), atol=0.03)
    assert (staining_field(mesh) == 0).all()


def test_prior_is_the_random_field_that_it_says():
    # covariance: the inverse of the Hessian, column by column, against Matérn's κr K₁(κr) in the plane
    edge, spread, reach = 0.2, 0.4, 1.5
    mesh = shapes.sphere_of_edge(4.0, (0.0, 0.0, 0.0), edge)
    prior = StainingPrior(mesh, edge, spread, reach)
    here = np.zeros(mesh.n_vertices)
    here[17] = 1.0
    column = spsolve(prior._matrix.tocsc(), here)
    apart = 8.0 * np.arcsin(0.5 * np.linalg.norm(mesh.vertices - mesh.vertices[17], axis=1) / 4.0)
    kappa = np.sqrt(8.0) / reach
    assert column[17] == pytest.approx(spread**2, rel=0.1)
    for distance in (0.5, 1.0, 1.5):
        ring = np.abs(apart - distance) < 0.5 * edge
        wanted = spread**2 * kappa * distance * kv(1, kappa * distance)
        assert column[ring].mean() == pytest.approx(wanted, rel=0.12)


def test_prior_gradient():
    rng = np.random.default_rng(0)
    mesh = shapes.icosphere(2.0, subdivisions=3)
    prior, stain, move = StainingPrior(mesh, 0.3, 0.4, 2.0), *rng.normal(size=(2, mesh.n_vertices))
    up, down = (prior(stain + s * 1e-4 * move)[0] for s in (1, -1))
    assert float(prior(stain)[1] @ move) == pytest.approx((up - down) / 2e-4, rel=1e-7)


@pytest.mark.slow
def test_a_fit_finds_the_staining_and_is_not_led_astray_by_it():
    grid = cf.Grid((24, 40, 40), (0.3, 0.2, 0.2))
    psf = cf.GaussianPSF.from_sigma((0.45, 0.3, 0.3))
    truth = shapes.ellipsoid((2.0, 2.6, 2.6), tuple(grid.centre), edge=0.3)
    side = (truth.vertices[:, 2] - grid.centre[2]) / 2.6
    truth = apply_staining(truth, 0.6 * side)
    image = cf.render(truth, psf, grid.padded(psf.reach()))[tuple(slice(0, n) for n in grid.shape)]
    volume = cf.Volume(image + np.random.default_rng(0).normal(0, 0.02 * image.max(), grid.shape), grid.spacing)
    found = {}
    for inferred in (True, False):
        config = cf.FitConfig(iterations=120, infer_psf=False, infer_staining=inferred, edge=0.4, device="cpu")
        found[inferred] = cf.fit(volume, psf=psf, config=config)
    mesh = found[True].mesh
    middle = mesh.vertices[mesh.faces].mean(axis=1)
    wanted = np.exp(0.6 * (middle[:, 2] - grid.centre[2]) / 2.6)
    ratio = mesh.density / wanted
    assert ratio.std() / ratio.mean() < 0.06
    assert mesh_iou(mesh, truth, 0.1) > 0.98
    assert found[True].r2 > found[False].r2 + 0.02
    assert mesh_iou(mesh, truth, 0.1) > mesh_iou(found[False].mesh, truth, 0.1)
