"""Rendering against a sum over points in space, and its gradients."""

import numpy as np
import pytest

import cytoform as cf
from cytoform.errors import ConfigError, GridError, VolumeError
from cytoform.rendering import Renderer, Target


def _ball(dtype=np.float64, seed=0):
    import trimesh

    sphere = trimesh.creation.icosphere(subdivisions=2)
    density = np.random.default_rng(seed).uniform(0.5, 1.5, len(sphere.faces))
    return cf.SurfaceMesh((sphere.vertices * [1.2, 1.0, 1.1] + 3.0).astype(dtype), sphere.faces[:, ::-1], density)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(24, 26, 28), (25, 27, 23)])
def test_image_is_the_blurred_surface(dtype, shape):
    """Every Gauss point of the surface spreads a Gaussian in space: no Fourier transform in the oracle."""
    from cytoform.fourier import quadrature

    mesh = _ball(dtype)
    grid = cf.Grid(shape, (0.25, 0.24, 0.26), (0.1, 0.05, 0.0))
    psf = cf.GaussianPSF(np.array([[0.25, 0.02, 0.0], [0.02, 0.22, 0.01], [0.0, 0.01, 0.21]]))
    points, weights = quadrature.rule(6)
    sources = np.einsum("qp,fpd->fqd", points, mesh.vertices[mesh.faces].astype(float)).reshape(-1, 3)
    masses = np.outer(mesh.face_areas * mesh.density, weights).ravel()
    inverse = np.linalg.inv(psf.covariance)
    scale = 1.0 / np.sqrt((2 * np.pi) ** 3 * np.linalg.det(psf.covariance))
    image = cf.render(mesh, psf, grid)
    assert image.dtype == dtype and image.shape == shape
    rng = np.random.default_rng(0)
    for _ in range(40):
        n = tuple(int(rng.integers(s)) for s in shape)
        offset = grid.to_um(n) - sources
        period = np.asarray(grid.extent)
        offset -= period * np.rint(offset / period)
        want = float((masses * scale * np.exp(-0.5 * np.einsum("ni,ij,nj->n", offset, inverse, offset))).sum())
        # the nearest image alone of the periodic box: 4 σ away
        assert image[n] == pytest.approx(want, abs=(2e-4 if dtype == np.float32 else 1e-5) * float(image.max()))


def test_total_intensity_is_the_mass():
    mesh, grid = _ball(), cf.Grid((20, 20, 20), 0.3)
    image = cf.render(mesh, cf.GaussianPSF.from_sigma(0.4), grid)
    assert image.sum() * grid.voxel_volume == pytest.approx(mesh.mass, rel=1e-9)


@pytest.mark.parametrize("backend", ["exact", "nufft"])
@pytest.mark.parametrize("normalize", [False, True])
def test_gradients_against_finite_differences(backend, normalize):
    mesh, grid = _ball(), cf.Grid((14, 13, 12), (0.45, 0.5, 0.55))
    psf = cf.GaussianPSF(np.array([[0.5, 0.05, 0.0], [0.05, 0.4, 0.02], [0.0, 0.02, 0.45]]))
    options = {"backend": backend, "device": "cpu", "cutoff": 0.0, "tolerance": 1e-11, "normalize": normalize}
    rng = np.random.default_rng(2)
    cotangent = rng.normal(size=grid.shape)
    grad = cf.render_vjp(mesh, psf, grid, cotangent, **options)
    move = rng.normal(size=mesh.vertices.shape)
    change, turn = rng.normal(size=mesh.n_faces), rng.normal(size=6)

    def loss(step):
        moved = cf.SurfaceMesh(mesh.vertices + step * move, mesh.faces, mesh.density + step * change)
        image = cf.render(moved, psf.with_parameters(psf.parameters + step * turn), grid, **options)
        return float((cotangent * image).sum())

    slope = (loss(1e-5) - loss(-1e-5)) / 2e-5
    wanted = float((grad.vertices * move).sum() + (grad.density * change).sum() + grad.psf @ turn)
    assert abs(slope - wanted) < 1e-7 * abs(wanted)
    if not normalize:  # the image is linear in the density
        image = cf.render(mesh.with_density(change), psf, grid, **options)
        assert float((cotangent * image).sum()) == pytest.approx(float((grad.density * change).sum()), rel=1e-9)


def test_narrow_band_errs_as_announced():
    mesh, grid = _ball(), cf.Grid((32, 32, 32), 0.2)
    psf = cf.GaussianPSF.from_sigma(0.45)
    full = cf.render(mesh, psf, grid, cutoff=0.0)
    for cutoff, bar in ((1e-2, 3e-2), (1e-3, 3e-3), (1e-6, 3e-6)):
        part = cf.render(mesh, psf, grid, cutoff=cutoff, tolerance=1e-9)
        assert 0 < np.abs(part - full).max() < bar * full.max()


def test_padding_keeps_wrap_around_away():
    mesh, grid = _ball().with_vertices(_ball().vertices - [2.0, 0, 0]), cf.Grid((20, 24, 24), 0.25)
    psf = cf.GaussianPSF.from_sigma(0.45)
    wrapped = cf.render(mesh, psf, grid)
    padded = cf.render(mesh, psf, grid.padded(3.0))[:20, :24, :24]
    wider = cf.render(mesh, psf, grid.padded(6.0))[:20, :24, :24]
    assert np.abs(wrapped - wider).max() > 0.1 * wider.max()
    assert np.abs(padded - wider).max() < 1e-5 * wider.max()


def _meshes():
    """A ball, one stretched to needles, a cube of 12 faces, and a crumpled sheet with tiny and large faces."""
    import trimesh

    rng = np.random.default_rng(3)
    ball = _ball()
    needles = ball.with_vertices((ball.vertices - 3.0) * [2.0, 0.05, 1.0] + 3.0)
    box = trimesh.creation.box((3.0, 2.0, 2.5))
    cube = cf.SurfaceMesh(box.vertices + 3.0, box.faces[:, ::-1])
    uneven = ball.with_vertices(3.0 + (ball.vertices - 3.0) * rng.uniform(0.2, 1.3, (len(ball.vertices), 1)))
    return {"ball": ball, "needles": needles, "cube": cube, "uneven": uneven}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ball", "needles", "cube", "uneven"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-2), (np.float32, 1e-3), (np.float64, 1e-6)])
@pytest.mark.parametrize("spacing", [0.3, 0.12])
def test_fast_image_keeps_the_tolerance_with_few_points(name, dtype, tolerance, spacing):
    """Relative to the image's maximum, against the exact transform on the same band; and few points do it.

    The reference for "few" is one rule for all faces: the smallest whose image keeps the tolerance.
    """
    from cytoform.fourier import nufft, quadrature

    mesh = _meshes()[name].astype(dtype)
    n = round(6.0 / spacing)
    grid, psf = cf.Grid((n, n, n), spacing), cf.GaussianPSF.from_sigma(3 * spacing)
    band = psf.band(grid, 0.01)
    exact = Renderer(psf, band, "exact", "cpu").render(mesh)
    fast = Renderer(psf, band, "nufft", "cpu", tolerance)
    assert np.abs(fast.render(mesh) - exact).max() < tolerance * exact.max()
    corners = mesh.vertices[mesh.faces].astype(float)
    used = len(nufft.gauss_points(corners, band, tolerance * nufft.WEIGHTED_SHARES[0], fast._shells))
    smallest = None
    for index in range(quadrature.N_RULES):
        points, weights = quadrature.rule(index)
        sources = np.einsum("qp,fpd->fqd", points, corners).reshape(-1, 3)
        masses = np.outer(mesh.face_areas * mesh.density, weights).ravel()
        spectrum = np.exp(-1j * (band.frequencies @ sources.T)) @ masses
        image = fast.image(band.scatter(spectrum))
        if np.abs(image - exact).max() < tolerance * exact.max():
            smallest = len(masses)
            break
    assert smallest is not None and used <= 4 * smallest


@pytest.mark.parametrize("backend", ["exact", "nufft"])
def test_least_squares_is_loss_and_gradient_at_the_best_gain(backend):
    """Against the loss written out on the whole image, and finite differences of its minimum over gain and offset."""
    from oracles.loss import weighted_l2

    from cytoform.loss import best_affine

    mesh, grid = _ball(), cf.Grid((16, 15, 14), 0.4)
    psf = cf.GaussianPSF.from_sigma(0.5)
    renderer = Renderer(psf, psf.band(grid, 1e-3), backend, "cpu", 1e-11)
    rng = np.random.default_rng(0)
    room = (slice(0, 14), slice(0, 15), slice(0, 11))  # the measured part of the grid
    image = renderer.render(mesh)[room]
    observed = 1.7 * np.roll(image, 1, axis=0) + 0.3 + 0.1 * image.max() * rng.normal(size=image.shape)
    weights = rng.uniform(size=image.shape)
    found = renderer.least_squares(mesh, Target(observed, weights))
    gain, background = best_affine(image, observed, weights)
    loss, slope_of_image = weighted_l2(image, observed, weights, gain=gain, background=background)
    assert (found.gain, found.background) == pytest.approx((gain, background), rel=1e-10)
    assert found.value == pytest.approx(loss, rel=1e-10)
    cotangent = np.zeros(grid.shape)
    cotangent[room] = slope_of_image
    wanted = renderer.mesh_vjp(mesh, cotangent)
    np.testing.assert_allclose(found.mesh.vertices, wanted.vertices, atol=1e-9 * np.abs(wanted.vertices).max())
    np.testing.assert_allclose(found.mesh.density, wanted.density, atol=1e-9 * np.abs(wanted.density).max())
    move = rng.normal(size=mesh.vertices.shape)

    def value(step):
        return renderer.least_squares(mesh.with_vertices(mesh.vertices + step * move), Target(observed, weights)).value

    slope = (value(1e-5) - value(-1e-5)) / 2e-5
    assert slope == pytest.approx(float((found.mesh.vertices * move).sum()), rel=1e-6)


def test_least_squares_in_single_precision_and_without_weights():
    mesh, grid = _ball(np.float32), cf.Grid((24, 24, 24), 0.26)
    psf = cf.GaussianPSF.from_sigma(0.5)
    band = psf.band(grid, 1e-2)
    image = Renderer(psf, band, "exact", "cpu").render(mesh)
    target = Target((100.0 + 5.0 * np.roll(image, 2, axis=1)).astype(np.float32), np.ones_like(image))
    exact, fast = (Renderer(psf, band, name, "cpu", 1e-4).least_squares(mesh, target) for name in ("exact", "nufft"))
    assert exact.mesh.vertices.dtype == np.float32
    assert fast.value == pytest.approx(exact.value, rel=1e-3)
    assert np.linalg.norm(fast.mesh.vertices - exact.mesh.vertices) < 1e-3 * np.linalg.norm(exact.mesh.vertices)
    with pytest.raises(ConfigError, match="all weights"):
        Target(image, np.zeros_like(image))
    with pytest.raises(GridError, match="weights have shape"):
        Target(image, np.ones((24, 24, 1)))
    with pytest.raises(VolumeError, match="finite"):
        Target(np.where(image == image.max(), np.nan, image), np.ones_like(image))
    with pytest.raises(VolumeError, match="zero or more"):
        Target(image, -np.ones_like(image))
    with pytest.raises(GridError, match="expected at most"):
        Renderer(psf, psf.band(cf.Grid((20, 24, 24), 0.26), 0.01), "exact", "cpu").least_squares(mesh, target)


def test_an_offset_of_the_camera_costs_no_digits(monkeypatch):
    """In several slabs and threads, some of them beyond the image; integers are taken for what they are."""
    from cytoform.fourier import pruned

    monkeypatch.setattr(pruned, "_SLAB_VOXELS", 24 * 24 * 3)
    mesh, grid = _ball(np.float32), cf.Grid((24, 24, 24), 0.26)
    psf = cf.GaussianPSF.from_sigma(0.5)
    renderer = Renderer(psf, psf.band(grid, 1e-2), "exact", "cpu")
    image = np.rint(40 * np.roll(renderer.render(mesh), 2, axis=1)[:19, :22])
    weights = np.ones_like(image)
    plain = renderer.least_squares(mesh, Target(image, weights))
    raised = renderer.least_squares(mesh, Target(image + np.float32(10_000), weights))
    whole = renderer.least_squares(mesh, Target((image + 10_000).astype(np.uint16), weights))
    size = np.linalg.norm(plain.mesh.vertices)
    assert raised.background == pytest.approx(plain.background + 10_000, rel=1e-6)
    assert np.linalg.norm(raised.mesh.vertices - plain.mesh.vertices) < 2e-5 * size
    assert np.linalg.norm(whole.mesh.vertices - plain.mesh.vertices) < 2e-5 * size


def test_wrong_cotangent_is_named():
    with pytest.raises(GridError, match=r"expected \(8, 8, 8\)"):
        cf.render_vjp(_ball(), cf.GaussianPSF.from_sigma(0.4), cf.Grid((8, 8, 8), 1.0), np.zeros((8, 8, 7)))
