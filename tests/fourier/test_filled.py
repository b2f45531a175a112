"""Bodies that a mesh bounds: their transform, its adjoint and images, by both back ends."""

import numpy as np
import pytest
import trimesh
from mesh.test_multimaterial import two_boxes
from oracles import simplices as oracle

import cytoform as cf
from cytoform.errors import ConfigError, MeshError
from cytoform.fourier import MeshTransform, Shells
from cytoform.image.band import Band
from cytoform.mesh.shapes import icosphere, lobed_cell
from cytoform.rendering import Renderer, Target

BACKENDS = ["exact", "nufft"]
TIGHT = 1e-11  # tolerance asked of nufft where it is compared with an identity


def _norm(found, wanted):
    return float(np.linalg.norm(np.asarray(found - wanted)) / np.linalg.norm(np.asarray(wanted)))


def _surface(kind, rng=None):
    """A closed surface in a box of 10 µm, wound outward."""
    if kind == "torus":
        made = trimesh.creation.torus(2.0, 0.7, major_sections=24, minor_sections=12)
        mesh = cf.SurfaceMesh(made.vertices[:, ::-1] + 5.0, made.faces)
        return mesh if mesh.volume > 0 else cf.SurfaceMesh(mesh.vertices, mesh.faces[:, ::-1])
    radius, level = {"sphere": (2.0, 2), "deformed": (2.0, 2), "tiny": (0.02, 2), "few faces": (3.0, 0)}[kind]
    mesh = icosphere(radius, (4.1, 5.2, 6.3), level)
    if kind != "deformed":
        return mesh
    return mesh.with_vertices(mesh.vertices + 0.15 * radius * rng.normal(size=mesh.vertices.shape))


KINDS = ["sphere", "deformed", "torus", "tiny", "few faces"]


@pytest.mark.parametrize("kind", KINDS)
def test_signed_tetrahedra_give_the_same(kind):
    rng = np.random.default_rng(3)
    mesh = _surface(kind, rng).with_density(0.0).with_jump(1.7)
    grid = cf.Grid((12, 11, 13), 0.9, (0.3, -0.2, 0.1))
    band = Band.symmetric(grid)
    chosen = rng.random(band.shape) < 0.1
    chosen[0, 0, 0] = True
    band = band.where(chosen)
    found = MeshTransform(band, "exact", "cpu").forward(mesh).ravel()[band.index]
    order = 20 if kind == "few faces" else 12
    wanted = oracle.signed_tetrahedra(mesh.vertices - grid.origin, mesh.faces, mesh.jump, band.frequencies, order)
    assert np.abs(found - wanted).max() <= 1e-12 * mesh.mass
    assert _norm(found, wanted) <= 1e-12
    assert found[0] == pytest.approx(1.7 * mesh.volume, rel=1e-14)


@pytest.mark.parametrize(("dtype", "bar"), [(np.float64, 1e-13), (np.float32, 1e-6)])
@pytest.mark.parametrize("length", [1e3, 1e6, 1e10])
def test_no_digit_is_lost_at_low_frequencies(length, dtype, bar):
    """In a box much larger than the body û is its mass to first order, and -ξ·M ξ / 2 the next."""
    mesh = _surface("deformed", np.random.default_rng(0)).astype(dtype).with_density(0.0).with_jump(2.0)
    grid = cf.Grid((4, 5, 6), length / 5)
    band = Band.symmetric(grid)
    found = MeshTransform(band, "exact", "cpu").forward(mesh).ravel()
    wanted = oracle.signed_tetrahedra(mesh.vertices, mesh.faces, mesh.jump, band.frequencies, 6)
    assert np.abs(found / wanted - 1.0).max() < bar


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("density", [0.0, 1.0])
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("shape", [(6, 7, 8), (7, 6, 5)])
def test_gradient_adjoint_and_finite_differences(backend, density, normalize, shape):
    rng = np.random.default_rng(5)
    one, two = _surface("deformed", rng), icosphere(0.7, (8.0, 8.0, 8.0), 1)
    mesh = cf.SurfaceMesh(
        np.concatenate([one.vertices, two.vertices]), np.concatenate([one.faces, two.faces + one.n_vertices]),
        density * rng.uniform(0.5, 2.0, one.n_faces + two.n_faces), np.repeat([1.4, 0.6], [one.n_faces, two.n_faces]),
    )  # fmt: skip
    grid = cf.Grid(shape, (1.6, 1.5, 1.7), (0.3, 0.2, -0.5))
    options = {"backend": backend, "device": "cpu", "tolerance": TIGHT, "normalize": normalize}
    cotangent = rng.normal(size=grid.spectrum_shape) + 1j * rng.normal(size=grid.spectrum_shape)
    weights = np.full(grid.spectrum_shape[2], 2.0)
    weights[0] = 1.0
    if shape[2] % 2 == 0:
        weights[-1] = 1.0

    def loss(vertices, density, jump):
        moved = cf.SurfaceMesh(vertices, mesh.faces, density, jump)
        return float((np.conj(cotangent) * cf.mesh_ft(moved, grid, **options) * weights).real.sum())

    grad = cf.mesh_ft_vjp(mesh, grid, cotangent, **options)
    directions = {
        "vertices": rng.normal(size=mesh.vertices.shape), "density": rng.normal(size=mesh.n_faces),
        "jump": np.repeat([1.0, -0.5], [one.n_faces, two.n_faces]),  # such that no brightness leaks
    }  # fmt: skip
    step = 1e-5
    for name, along in directions.items():
        values = [
            loss(**{n: getattr(mesh, n) + (sign * step * along if n == name else 0.0) for n in directions})
            for sign in (1, -1)
        ]
        wanted = float((getattr(grad, name) * along).sum())
        assert abs((values[0] - values[1]) / (2 * step) - wanted) < 1e-6 * abs(wanted), name
    if not normalize:  # û is linear in density and jump: the adjoint test is exact
        along = cf.SurfaceMesh(mesh.vertices, mesh.faces, directions["density"], directions["jump"])
        left = float((np.conj(cotangent) * cf.mesh_ft(along, grid, **options) * weights).real.sum())
        right = float((grad.density * along.density).sum() + (grad.jump * along.jump).sum())
        assert abs(left - right) < 1e-9 * abs(left)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(np.float32, 1e-2), (np.float32, 1e-3), (np.float32, 1e-5), (np.float64, 1e-8)]
)
@pytest.mark.parametrize("behind_optics", [False, True])
@pytest.mark.parametrize("kind", [*KINDS, "slab"])
def test_back_ends_agree(dtype, tolerance, behind_optics, kind):
    """The tolerance holds relative to the filled transform, whose low modes are a division by |ξ|."""
    rng = np.random.default_rng(1)
    if kind == "slab":
        box = trimesh.creation.box((5.0, 4.0, 0.5))
        mesh = cf.SurfaceMesh(box.vertices + 5.0, box.faces[:, ::-1])
    else:
        mesh = _surface(kind, rng)
    mesh = mesh.astype(dtype).with_density(0.0).with_jump(1.0)
    grid = cf.Grid((40, 36, 33), 0.3)
    band, optics, shells = Band.symmetric(grid), 1.0, None
    if behind_optics:
        psf = cf.GaussianPSF.from_sigma(0.6)
        band = psf.band(grid, 0.01)
        optics = psf.otf_on(band)
        shells = Shells.from_weights(band, optics)
    exact = MeshTransform(band, "exact", "cpu").forward(mesh.astype(np.float64))
    fast = MeshTransform(band, "nufft", "cpu", tolerance, shells=shells).prepare(mesh)
    found = fast.forward()
    assert found.dtype == np.result_type(dtype, np.complex64)
    assert np.abs((found - exact) * optics).max() < tolerance * abs(mesh.mass)
    assert _norm(found * optics, exact * optics) < tolerance
    # the gradient of a smooth loss; that of noise says nothing where a body is smaller than the noise's grain
    cotangent = optics * exact
    if kind != "tiny":
        cotangent = optics * np.abs(exact).max() * (rng.normal(size=band.shape) + 1j * rng.normal(size=band.shape))
    wanted = MeshTransform(band, "exact", "cpu").vjp(mesh.astype(np.float64), cotangent)
    given = fast.vjp(cotangent)
    assert given.vertices.dtype == given.jump.dtype == dtype
    assert _norm(given.vertices, wanted.vertices) < tolerance
    assert _norm(given.jump, wanted.jump) < tolerance
    assert _norm(fast.vjp(cotangent, with_jump=False).vertices, wanted.vertices) < tolerance


@pytest.mark.parametrize("backend", BACKENDS)
def test_parts_add_up(backend):
    mesh = _surface("sphere").with_jump(0.4)
    how = MeshTransform(Band.symmetric(cf.Grid((8, 8, 8), 1.2)), backend, "cpu")
    shell, body = how.prepare(mesh).parts()
    np.testing.assert_array_equal(shell + body, how.forward(mesh))
    np.testing.assert_allclose(shell, how.forward(mesh.with_jump(None)), atol=1e-7 * mesh.mass)
    np.testing.assert_allclose(body, how.forward(mesh.with_density(0.0)), atol=1e-7 * mesh.mass)
    none, alone = how.prepare(mesh.with_density(0.0)).parts()
    assert none is None and np.array_equal(alone, how.forward(mesh.with_density(0.0)))
    alone, none = how.prepare(mesh.with_jump(None)).parts()
    assert none is None and np.array_equal(alone, how.forward(mesh.with_jump(None)))
    assert how.prepare(mesh.with_jump(None)).vjp(shell).jump is None
    assert how.prepare(mesh).vjp(shell, with_jump=False).jump is None


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_cluster_is_the_sum_of_its_regions(backend):
    mesh = two_boxes().repaired().with_density(0.0).with_filling({1: 3.0, 2: 5.0})
    grid = cf.Grid((9, 8, 7), 0.6)
    options = {"backend": backend, "device": "cpu", "tolerance": TIGHT}
    found = cf.mesh_ft(mesh, grid, **options)
    parts = [
        cf.mesh_ft(surface.with_density(0.0).with_jump(b), grid, **options)
        for (_, surface), b in zip(sorted(mesh.regions().items()), (3.0, 5.0))
    ]
    np.testing.assert_allclose(found, sum(parts), atol=1e-11 * mesh.mass)


@pytest.mark.parametrize("backend", BACKENDS)
def test_masks_with_and_without_the_zero_mode(backend):
    mesh, rng = _surface("sphere").with_jump(0.4), np.random.default_rng(0)
    whole = Band.full(cf.Grid((8, 9, 7), 1.2))
    cotangent = rng.normal(size=whole.shape) + 1j * rng.normal(size=whole.shape)
    for zero in (False, True):
        mask = rng.random(whole.shape) < 0.5
        mask[0, 0, 0] = zero
        how = MeshTransform(whole.where(mask), backend, "cpu", TIGHT)
        wanted = np.where(mask, MeshTransform(whole, "exact", "cpu").forward(mesh), 0)
        np.testing.assert_allclose(how.forward(mesh), wanted, atol=1e-10 * mesh.mass)
        given = how.vjp(mesh, cotangent)
        expected = MeshTransform(whole, "exact", "cpu").vjp(mesh, np.where(mask, cotangent, 0))
        for name in ("vertices", "density", "jump"):
            assert _norm(getattr(given, name), getattr(expected, name)) < 1e-9


def test_a_gap_is_refused():
    mesh = _surface("sphere")
    grid = cf.Grid((8, 8, 8), 1.2)
    leaky = cf.SurfaceMesh(mesh.vertices, mesh.faces[1:], 1.0, 1.0)
    with pytest.raises(MeshError, match=r"do not close: .* is 0\.0.*expected at most 1e-09.*orient_outward"):
        cf.mesh_ft(leaky, grid)
    assert np.isfinite(cf.mesh_ft(leaky.with_jump(0.0), grid)).all()
    with pytest.raises(MeshError, match="do not close"):
        cf.mesh_ft(mesh.with_jump(np.arange(mesh.n_faces)), grid)
    with pytest.raises(ConfigError, match="total intensity"):
        cf.mesh_ft(mesh.with_density(0.0), grid, normalize=True)
    cf.mesh_ft(mesh.with_density(0.0).with_jump(1.0), grid, normalize=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("backend", BACKENDS)
def test_an_image_of_a_filled_ball_is_as_bright_as_its_inside(dtype, backend):
    mesh = icosphere(2.5, (4.0, 4.0, 4.0), 3).astype(dtype).with_density(0.0).with_jump(3.0)
    grid = cf.Grid((32, 32, 32), 0.25)
    psf = cf.GaussianPSF.from_sigma(0.4)
    image = cf.render(mesh, psf, grid, backend=backend)
    assert image.dtype == dtype
    assert image[16, 16, 16] == pytest.approx(3.0, abs=3e-3)
    assert image[0, 0, 0] == pytest.approx(0.0, abs=3e-3)
    assert image.sum() * grid.voxel_volume == pytest.approx(mesh.mass, rel=1e-5)
    rng = np.random.default_rng(0)
    cotangent = rng.normal(size=grid.shape).astype(dtype)
    found = cf.render_vjp(mesh, psf, grid, cotangent, backend=backend)
    # linear in the jump
    assert float(found.jump @ mesh.jump) == pytest.approx(float((cotangent * image).sum()), rel=2e-3)
    if dtype == np.float64:
        move, step = rng.normal(size=mesh.vertices.shape), 1e-5
        images = [cf.render(mesh.with_vertices(mesh.vertices + s * step * move), psf, grid, backend=backend)
                  for s in (1, -1)]  # fmt: skip
        slope = float((cotangent * (images[0] - images[1])).sum()) / (2 * step)
        assert slope == pytest.approx(float((found.vertices * move).sum()), rel=1e-5)


def _lobed() -> cf.SurfaceMesh:
    return lobed_cell(3, 1.1, (3.4, 2.9, 2.8), edge=0.4).astype(np.float64).with_density(0.0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_factor_on_the_filling_is_one_on_the_jump(backend):
    mesh, band = _lobed().with_density(0.4).with_jump(2.0), Band.full(cf.Grid((10, 12, 11), 0.5))
    how = MeshTransform(band, backend, "cpu", 1e-10)
    cotangent = np.random.default_rng(7).normal(size=band.shape).astype(complex)
    twice, double = how.prepare(mesh).vjp(cotangent, filling=2.0), how.prepare(mesh.with_jump(4.0)).vjp(cotangent)
    assert _norm(twice.vertices, double.vertices) < 1e-8
    assert _norm(twice.jump, 2.0 * double.jump) < 1e-8
    assert _norm(twice.vertices, how.prepare(mesh).vjp(cotangent).vertices) > 0.1


def test_both_brightnesses_are_solved_for_and_their_gradient_needs_no_term():
    rng, grid = np.random.default_rng(8), cf.Grid((20, 24, 22), (0.3, 0.25, 0.25), (0.4, -0.2, 0.1))
    mesh = _lobed().with_density(rng.uniform(0.8, 1.2, _lobed().n_faces)).with_jump(0.9)
    psf = cf.GaussianPSF.from_sigma((0.4, 0.3, 0.3))
    renderer = Renderer(psf, psf.band(grid, 1e-12), backend="exact")
    sheet = renderer.render(mesh.with_jump(None))
    inside = renderer.render(mesh.with_density(0.0))
    observed = 2.0 * sheet + 3.0 * inside + 5.0 + 0.05 * rng.normal(size=grid.shape)
    target = Target(observed, rng.uniform(0.5, 1.0, grid.shape))

    found = renderer.least_squares(mesh, target)
    root = np.sqrt(target.weights).ravel()
    design = np.stack([sheet.ravel() * root, inside.ravel() * root, root], axis=1)
    wanted, squares = np.linalg.lstsq(design, observed.ravel() * root, rcond=None)[:2]
    assert found.gain == pytest.approx(wanted[0], rel=1e-8)
    assert found.gain * found.filling == pytest.approx(wanted[1], rel=1e-8)
    assert found.background == pytest.approx(wanted[2], rel=1e-8)
    assert found.value == pytest.approx(float(squares[0]) / target.total, rel=1e-6)

    moved = mesh.with_vertices(mesh.vertices + 0.02 * rng.normal(size=mesh.vertices.shape))
    gradient = renderer.least_squares(moved, target).mesh
    step, move, change = 1e-5, rng.normal(size=mesh.vertices.shape), rng.normal(size=mesh.n_faces)
    values = [
        renderer.least_squares(moved.with_vertices(moved.vertices + s * move), target).value for s in (step, -step)
    ]
    assert (gradient.vertices * move).sum() == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-5)
    values = [
        renderer.least_squares(moved.with_density(moved.density + s * change), target).value for s in (step, -step)
    ]
    assert (gradient.density * change).sum() == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-5)
