"""Points, filaments and tetrahedra: their transform, its adjoint and images, by both back ends."""

import numpy as np
import pytest
from oracles import simplex_pairs as pairs
from oracles import simplices as oracle

import cytoform as cf
from cytoform.errors import ConfigError, GridError
from cytoform.fourier import MeshTransform, Shells
from cytoform.image.band import Band

BACKENDS = ["exact", "nufft"]
KINDS = ["points", "filaments", "tetrahedra"]
TIGHT = 1e-11  # tolerance asked of nufft where it is compared with an identity
ALLOWED = 4.0  # in units of the dtype's ε times what a pair's size and phases make unavoidable; see simplex_pairs.bars


def _norm(found, wanted):
    return float(np.linalg.norm(np.asarray(found - wanted)) / np.linalg.norm(np.asarray(wanted)))


def _object(kind, seed=0, dtype=np.float64, size=1.0):
    """Some simplices of uneven sizes and densities amid a box of 8 µm."""
    rng = np.random.default_rng(seed)
    density = rng.uniform(0.5, 2.0, 40)
    if kind == "points":
        made = cf.PointSet(rng.uniform(1.0, 7.0, (40, 3)), density)
    elif kind == "filaments":
        steps = size * rng.normal(size=(41, 3)) * 0.5
        made = cf.Filaments(np.cumsum(steps, axis=0) - steps.sum(axis=0) / 2 + 4.0,
                            np.column_stack([np.arange(40), np.arange(1, 41)]), density)  # fmt: skip
    else:
        vertices = rng.uniform(2.0, 6.0, (10, 1, 3)) + 0.6 * size * rng.normal(size=(10, 4, 3))
        made = cf.TetrahedralMesh(vertices.reshape(-1, 3), np.arange(40).reshape(10, 4), density[:10])
    return made.astype(dtype)


def _dense(thing, grid, frequencies):
    """The transform by quadrature, point by point, relative to the grid's origin."""
    corners = thing.corners - grid.origin
    masses = thing.sizes * thing.strength.astype(float)
    if thing.order == 3:
        return oracle.dense_tetrahedra(corners, masses, frequencies, 24)
    nodes, weights = np.polynomial.legendre.leggauss(24 if thing.order else 1)
    out = np.zeros(len(frequencies), dtype=complex)
    for node, weight in zip(0.5 * (nodes + 1.0), 0.5 * weights):
        place = node * corners[:, -1] + (1.0 - node) * corners[:, 0]
        out += weight * (masses @ np.exp(-1j * (place @ frequencies.T)))
    return out


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_random_pairs_of_all_regimes(kind, dtype):
    found = pairs.errors(kind, 1000 if kind == "tetrahedra" else 2000, dtype, seed=11)
    for shape, (count, value, gradient) in found.items():
        assert count > 20, shape
        assert value <= ALLOWED and gradient <= ALLOWED, (shape, value, gradient)
    assert found["any"][1] > 0.05  # something was measured


@pytest.mark.parametrize(("dtype", "bar"), [(np.float64, 1e-13), (np.float32, 2e-6)])
@pytest.mark.parametrize("kind", KINDS)
def test_dense_quadrature_gives_the_same(kind, dtype, bar):
    thing, grid = _object(kind, dtype=dtype), cf.Grid((10, 17, 9), 0.8, (0.3, -0.2, 0.1))
    band = Band.symmetric(grid)
    found = MeshTransform(band, "exact", "cpu").forward(thing)
    assert found.dtype == np.result_type(dtype, np.complex64)
    assert _norm(found.ravel(), _dense(thing, grid, band.frequencies)) < bar
    assert found[0, 0, 0] == pytest.approx(thing.mass, rel=10 * bar)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(np.float32, 1e-3), (np.float32, 1e-5), (np.float64, 1e-3), (np.float64, 1e-8)]
)
@pytest.mark.parametrize("behind_optics", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_back_ends_agree(kind, dtype, tolerance, behind_optics):
    thing, grid = _object(kind, 1, dtype), cf.Grid((24, 20, 22), (0.35, 0.4, 0.38), (0.1, -0.2, 0.05))
    band, optics, shells = Band.symmetric(grid), 1.0, None
    if behind_optics:
        psf = cf.GaussianPSF.from_sigma(0.6)
        band = psf.band(grid, 0.01)
        optics = psf.otf_on(band)
        shells = Shells.from_weights(band, optics)
    exact, fast = (MeshTransform(band, b, "cpu", tolerance, shells=shells).prepare(thing) for b in BACKENDS)
    found, wanted = fast.forward() * optics, exact.forward() * optics
    assert _norm(found, wanted) < tolerance
    assert np.abs(found - wanted).max() < tolerance * thing.mass
    rng = np.random.default_rng(2)
    cotangent = optics * (rng.normal(size=band.shape) + 1j * rng.normal(size=band.shape))
    one, two = exact.vjp(cotangent), fast.vjp(cotangent)
    assert two.vertices.dtype == two.density.dtype == dtype
    assert _norm(two.vertices, one.vertices) < tolerance
    assert _norm(two.density, one.density) < tolerance


@pytest.mark.parametrize("tolerance", [1e-3, 1e-6, 1e-9])
@pytest.mark.parametrize("kind", ["filaments", "tetrahedra"])
def test_long_ones_get_more_points(kind, tolerance):
    thing, grid = _object(kind, 2, size=2.5), cf.Grid((12, 12, 12), 0.7)
    exact = cf.mesh_ft(thing, grid, backend="exact", device="cpu")
    fast = cf.mesh_ft(thing, grid, backend="nufft", device="cpu", tolerance=tolerance)
    assert np.abs(fast - exact).max() < tolerance * thing.mass
    assert _norm(fast, exact) < tolerance


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_gradient_adjoint_and_finite_differences(kind, normalize, backend):
    thing, grid = _object(kind, 3), cf.Grid((6, 7, 8), (1.3, 1.2, 1.4), (0.3, 0.2, -0.5))
    rng = np.random.default_rng(5)
    options = {"backend": backend, "device": "cpu", "tolerance": TIGHT, "normalize": normalize}
    cotangent = rng.normal(size=grid.spectrum_shape) + 1j * rng.normal(size=grid.spectrum_shape)
    weights = np.full(grid.spectrum_shape[2], 2.0)
    weights[[0, -1]] = 1.0

    def loss(vertices, density):
        moved = thing.with_vertices(vertices).with_density(density)
        return float((np.conj(cotangent) * cf.mesh_ft(moved, grid, **options) * weights).real.sum())

    grad = cf.mesh_ft_vjp(thing, grid, cotangent, **options)
    assert grad.jump is None
    move, change = rng.normal(size=thing.vertices.shape), rng.normal(size=thing.density.shape)
    step = 1e-6
    ahead, behind = (loss(thing.vertices + s * step * move, thing.density + s * step * change) for s in (1, -1))
    wanted = float((grad.vertices * move).sum() + (grad.density * change).sum())
    assert abs((ahead - behind) / (2 * step) - wanted) < 1e-6 * abs(wanted)
    if not normalize:  # û is linear in the brightness: the adjoint test is exact
        along = cf.mesh_ft(thing.with_density(change), grid, **options)
        left = float((np.conj(cotangent) * along * weights).real.sum())
        assert abs(left - float((grad.density * change).sum())) < 1e-9 * abs(left)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", KINDS)
def test_images_and_their_gradient(kind, backend, dtype):
    thing, grid = _object(kind, 4, dtype), cf.Grid((20, 18, 22), 0.4)
    psf = cf.GaussianPSF.from_sigma(0.5)
    image = cf.render(thing, psf, grid, backend=backend)
    assert image.dtype == dtype and image.shape == grid.shape
    assert image.sum() * grid.voxel_volume == pytest.approx(thing.mass, rel=1e-4)
    rng = np.random.default_rng(0)
    cotangent = rng.normal(size=grid.shape).astype(dtype)
    found = cf.render_vjp(thing, psf, grid, cotangent, backend=backend)
    assert found.vertices.shape == thing.vertices.shape and found.jump is None
    wanted = float((cotangent.astype(float) * image).sum())  # linear in the brightness
    assert float(found.density.astype(float) @ thing.density) == pytest.approx(wanted, rel=1e-2)
    if dtype == np.float64:
        move, step = rng.normal(size=thing.vertices.shape), 1e-5
        ahead, behind = (
            float((cotangent * cf.render(thing.with_vertices(thing.vertices + s * step * move), psf, grid,
                                         backend=backend)).sum()) for s in (1, -1)
        )  # fmt: skip
        assert (ahead - behind) / (2 * step) == pytest.approx(float((found.vertices * move).sum()), rel=1e-5)


def test_a_point_is_the_point_spread_function():
    grid, psf = cf.Grid((24, 24, 24), 0.25), cf.GaussianPSF.from_sigma(0.5)
    image = cf.render(cf.PointSet([[3.0, 3.25, 2.75]], 2.0), psf, grid, tolerance=1e-10)
    z, y, x = np.meshgrid(*(0.25 * np.arange(24) - c for c in (3.0, 3.25, 2.75)), indexing="ij")
    wanted = 2.0 * np.exp(-(z**2 + y**2 + x**2) / (2 * 0.25)) / (2 * np.pi * 0.25) ** 1.5
    np.testing.assert_allclose(image, wanted, atol=1e-6 * wanted.max())


def test_tetrahedra_that_fill_a_surface_are_the_filled_surface():
    from cytoform.mesh.shapes import icosphere

    ball = icosphere(2.0, (4.0, 4.0, 4.0), 2)
    middle = ball.n_vertices
    solid = cf.TetrahedralMesh(
        np.concatenate([ball.vertices, [[4.0, 4.0, 4.0]]]),
        np.column_stack([ball.faces, np.full(ball.n_faces, middle)]), 1.5,
    )  # fmt: skip
    filled = ball.with_density(0.0).with_jump(1.5)
    assert solid.volume == pytest.approx(ball.volume, rel=1e-13)
    grid = cf.Grid((9, 10, 11), 0.8)
    one, two = (cf.mesh_ft(thing, grid, backend="exact", device="cpu") for thing in (solid, filled))
    np.testing.assert_allclose(one, two, atol=1e-13 * solid.mass)
    cotangent = np.random.default_rng(0).normal(size=grid.spectrum_shape) + 0j
    one, two = (cf.mesh_ft_vjp(thing, grid, cotangent, backend="exact").vertices for thing in (solid, filled))
    np.testing.assert_allclose(one[:-1], two, atol=1e-12 * np.abs(two).max())
    np.testing.assert_allclose(one[-1], 0.0, atol=1e-12 * np.abs(two).max())  # the middle may lie anywhere


def test_pieces_of_a_filament_add_up():
    line, grid = _object("filaments", 5, size=2.0), cf.Grid((8, 9, 10), 0.7)
    one, two = (cf.mesh_ft(thing, grid, backend="exact", device="cpu") for thing in (line, line.split(0.3)))
    np.testing.assert_allclose(one, two, atol=1e-12 * line.mass)


def test_ones_without_size_change_nothing():
    grid = cf.Grid((8, 8, 8), 1.0)
    for kind, more in (("filaments", [[3, 3]]), ("tetrahedra", [[1, 1, 2, 3], [0, 0, 0, 0]])):
        thing = _object(kind, 6)
        rows = "segments" if kind == "filaments" else "tetrahedra"
        other = type(thing)(thing.vertices, np.concatenate([getattr(thing, rows), more]),
                            np.append(thing.density, np.ones(len(more))))  # fmt: skip
        one, two = (cf.mesh_ft(t, grid, backend="exact", device="cpu") for t in (thing, other))
        np.testing.assert_allclose(one, two, atol=1e-13 * thing.mass)
        cotangent = np.ones(grid.spectrum_shape, complex)
        grads = [cf.mesh_ft_vjp(t, grid, cotangent, backend="exact", device="cpu").vertices for t in (thing, other)]
        np.testing.assert_allclose(*grads, atol=1e-12 * np.abs(grads[0]).max())


def test_refusals_and_choices():
    points, grid = _object("points"), cf.Grid((6, 6, 6), 1.0)
    with pytest.raises(ConfigError, match="total brightness"):
        cf.mesh_ft(points.with_density(0.0), grid, normalize=True)
    assert cf.mesh_ft(points, grid, normalize=True)[0, 0, 0] == pytest.approx(1.0)
    with pytest.raises(GridError, match="the band's box"):
        MeshTransform(Band.symmetric(grid), device="cpu").vjp(points, np.zeros((6, 6, 6), complex))
    shell, none = MeshTransform(Band.symmetric(grid), device="cpu").prepare(points).parts()
    assert none is None and shell.shape == Band.symmetric(grid).shape
    dark, none = MeshTransform(Band.symmetric(grid), device="cpu").prepare(points.with_density(0)).parts()
    assert none is None and not dark.any()


@pytest.mark.parametrize("kind", KINDS)
def test_auto_is_exact_for_little_work_and_fast_for_much(kind):
    rng = np.random.default_rng(0)
    for count, n, wanted in ((1, 4, "exact"), (2000, 64, "nufft")):
        vertices = rng.uniform(1.0, 7.0, (count, 1, 3)) + 0.1 * rng.normal(size=(count, 4, 3))
        rows = np.arange(4 * count).reshape(count, 4)
        flat = vertices.reshape(-1, 3)
        thing = {
            "points": cf.PointSet(vertices[:, 0]), "filaments": cf.Filaments(flat, rows[:, :2]),
            "tetrahedra": cf.TetrahedralMesh(flat, rows),
        }[kind]  # fmt: skip
        band = Band.symmetric(cf.Grid((n, n, n), 8.0 / n))
        assert MeshTransform(band, device="cpu", tolerance=1e-4).prepare(thing).backend == wanted
