"""Derivatives, normal matrix and steps of points, against differences, dense algebra and SciPy."""

import numpy as np
import pytest
from fitting.sources.scenes import LEVEL, PSF, SIGMA, SPACING, image_of, measured, peak
from scipy.optimize import least_squares

import cytoform as cf
from cytoform.fitting.sources.gauss_newton import Start, adjust, linearise
from cytoform.fitting.sources.matched import matched_filter
from cytoform.fitting.sources.windows import Windows, _sampled
from cytoform.fitting.spots.sources import PointSources

SHAPE = (14, 26, 26)
PLACES = np.array([[1.3, 1.2, 1.3], [1.5, 1.45, 1.35], [0.1, 0.3, 2.4]])  # two overlap, one is near a corner
LIGHT = np.array([3.0, 2.0, 4.0])


def full_columns(windows, image_shape):
    """Return the derivatives of every point on the whole image, (n, 4, voxels)."""
    half, columns = windows.half, windows.columns
    whole = np.zeros((*columns.shape[:2], *(np.array(image_shape) + 2 * half)))
    for k, corner in enumerate(windows.corner):
        whole[(k, slice(None), *[slice(c, c + 2 * h + 1) for c, h in zip(corner, half)])] = columns[k]
    inner = tuple(slice(h, h + n) for h, n in zip(half, image_shape))
    return whole[(slice(None), slice(None), *inner)].reshape(*columns.shape[:2], -1)


@pytest.fixture(scope="module")
def scene():
    return measured(image_of(cf.PointSet(PLACES, LIGHT), SHAPE, seed=3))


def test_derivatives_are_those_of_the_rendering(scene):
    columns = full_columns(Windows(scene, PLACES, LIGHT), SHAPE)
    for point in range(3):
        for k in range(4):
            ends = []
            for sign in (1, -1):
                places, light = PLACES.copy(), LIGHT.copy()
                if k < 3:
                    places[point, k] += sign * 1e-3
                else:
                    light[point] += sign * 1e-3
                ends.append(scene.render(cf.PointSet(places, light)).ravel())
            slope = (ends[0] - ends[1]) / 2e-3
            assert np.abs(columns[point, k] - slope).max() < 0.02 * np.abs(slope).max()  # what a window leaves out


def test_a_psf_without_a_formula_gives_the_same_windows(scene):
    windows = Windows(scene, PLACES, LIGHT)
    offsets = scene.grid.to_um(windows.corner) - PLACES
    values, slopes = _sampled(PSF, offsets, windows.half, scene.grid)
    inside = windows.gather(np.ones(SHAPE)) > 0
    assert np.abs(np.where(inside, values, 0) - windows.columns[:, 3]).max() < 2e-3 * values.max()
    moved = LIGHT[:, None, None, None, None] * np.where(inside[:, None], slopes, 0)
    assert np.abs(moved - windows.columns[:, :3]).max() < 1e-2 * np.abs(moved).max()


def test_normal_matrix_is_that_of_the_whole_image(scene):
    windows = Windows(scene, PLACES, LIGHT)
    dense = full_columns(windows, SHAPE).reshape(12, -1)
    expected = dense @ dense.T
    found = windows.normal_matrix().toarray()
    assert np.abs(found - expected)[:8, :8].max() < 1e-10 * expected.max()  # the first two overlap
    assert np.abs(found - expected)[8:, 8:].max() < 1e-10 * expected.max()
    assert np.abs(found[:8, 8:]).max() == 0.0  # 6 σ away and more: left out
    assert np.abs(expected[:8, 8:]).max() < np.exp(-(6.0**2) / 4.0) * expected.max()  # two Gaussians' overlap there


def test_adjusted_points_are_those_of_scipy(scene):
    start = PointSources(PLACES + 0.03, 0.9 * LIGHT, scene)
    found = adjust(start, scene, Start(iterations=60, settled=1e-10))

    def residuals(unknowns):
        places = unknowns[:12].reshape(3, 4)
        light = scene.render(cf.PointSet(places[:, :3], places[:, 3]))
        return (scene.image - LEVEL - light - unknowns[12]).ravel()

    other = least_squares(residuals, np.r_[start.unknowns, 0.0], method="lm", xtol=1e-10, diff_step=1e-4)
    errors = np.sqrt(np.diag(np.linalg.inv(other.jac.T @ other.jac)))[:12]
    assert np.abs((found.sources.unknowns - other.x[:12]) / errors).max() < 0.05
    problem = linearise(found.sources, found.measurement, found.residual, Start())
    ours = np.sqrt(np.diagonal(problem.blocks(4), axis1=1, axis2=2)).ravel()
    assert ours == pytest.approx(errors, rel=0.03)


def test_standard_error_of_a_lone_point_is_the_cramer_rao_bound():
    """For a well-sampled Gaussian, ∫ (∂h/∂x)² = 1 / ((4π)^(3/2) σxσyσz · 2 σx²)."""
    centre = np.array([[1.6, 2.0, 2.0]])
    scene = measured(image_of(cf.PointSet(centre, [3.0]), (17, 41, 41)))
    problem = linearise(PointSources(centre, np.array([3.0]), scene), scene, np.zeros(scene.grid.shape), Start())
    information = 9.0 / (np.prod(SPACING) * (4.0 * np.pi) ** 1.5 * np.prod(SIGMA) * 2.0 * np.array(SIGMA) ** 2)
    found = np.sqrt(np.diag(problem.blocks(4)[0])[:3])
    assert found == pytest.approx(1.0 / np.sqrt(information), rel=0.01)


def test_matched_filter_gives_brightness_and_significance():
    centre = np.array([[1.6, 2.0, 2.0]])
    scene = measured(image_of(cf.PointSet(centre, [3.0]), (17, 41, 41), noise=0.0))
    brightness, significance = matched_filter(scene, scene.image - LEVEL, np.zeros(scene.grid.shape), 0.0)
    assert np.unravel_index(np.argmax(significance), significance.shape) == (8, 20, 20)
    assert brightness[8, 20, 20] == pytest.approx(3.0, rel=1e-3)
    squared = 1.0 / ((4.0 * np.pi) ** 1.5 * np.prod(SIGMA) * np.prod(SPACING))  # Σ h²
    assert significance[8, 20, 20] == pytest.approx(3.0 * np.sqrt(squared), rel=1e-3)
    assert peak(3.0) == pytest.approx((scene.image - LEVEL).max(), rel=1e-3)


def test_psf_widths_are_fitted_with_the_points():
    rng = np.random.default_rng(2)
    places = np.array([0.8, 0.8, 0.8]) + rng.random((6, 3)) * [1.6, 2.4, 2.4]
    scene = measured(image_of(cf.PointSet(places, np.full(6, 8.0)), (17, 41, 41), seed=4))
    scene = scene.replace(psf=cf.GaussianPSF.from_sigma((0.36, 0.17, 0.17)))
    found = adjust(PointSources(places, np.full(6, 8.0), scene), scene, Start(psf=True, iterations=40))
    assert found.converged
    assert found.measurement.sigma == pytest.approx(SIGMA, rel=0.03)
    assert found.measurement.sigma[1] == pytest.approx(found.measurement.sigma[2], rel=1e-6)
