"""Rendering against a sum over points in space, and its gradients."""

import numpy as np
import pytest

import cytoform as cf
from cytoform.errors import GridError


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
    points, weights = quadrature.rule(4)
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


def test_wrong_cotangent_is_named():
    with pytest.raises(GridError, match=r"expected \(8, 8, 8\)"):
        cf.render_vjp(_ball(), cf.GaussianPSF.from_sigma(0.4), cf.Grid((8, 8, 8), 1.0), np.zeros((8, 8, 7)))
