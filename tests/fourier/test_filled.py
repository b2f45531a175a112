"""Filled bodies: their transform from the faces alone, its gradients, and what is refused."""

import numpy as np
import pytest

import cytoform as cf
from cytoform.errors import ConfigError, MeshError
from cytoform.fourier.transform import MeshTransform, mesh_ft, mesh_ft_vjp
from cytoform.image.band import Band
from cytoform.mesh import shapes
from cytoform.rendering import Renderer, Target
from tests.oracles.filled import filled_ft

GRID = cf.Grid((20, 24, 22), (0.3, 0.25, 0.25), (0.4, -0.2, 0.1))


def body(seed: int = 3, radius: float = 1.1) -> cf.SurfaceMesh:
    return shapes.lobed_cell(seed, radius, (3.4, 2.9, 2.8), edge=0.4).astype(np.float64).with_density(0.0)


def frequencies() -> np.ndarray:
    axes = [2 * np.pi * np.fft.fftfreq(n, d) for n, d in zip(GRID.shape, GRID.spacing)]
    axes[2] = axes[2][: GRID.shape[2] // 2 + 1]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def low_modes() -> tuple[np.ndarray, np.ndarray]:
    """Some modes, zero among them, at which the oracle is exact, as indices into the spectrum and as frequencies."""
    waves = frequencies()
    near = np.argwhere((waves**2).sum(axis=-1) < 5.0**2)
    chosen = near[np.random.default_rng(0).choice(len(near), 12, replace=False)]
    chosen = np.concatenate([[[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], chosen])
    return chosen, waves[tuple(chosen.T)]


def weights(shape: tuple[int, ...]) -> np.ndarray:
    found = np.full(shape, 2.0)
    found[..., 0] = found[..., -1] = 1.0
    return found


@pytest.mark.parametrize(
    "mesh", [body(), shapes.torus(0.9, 0.35, (3.3, 2.8, 3.0), n_major=24, n_minor=12).astype(np.float64)]
)
def test_transform_is_that_of_signed_tetrahedra(mesh):
    rng = np.random.default_rng(1)
    where, waves = low_modes()
    filled = mesh.with_density(0.0).with_jump(1.7)
    wanted = filled_ft(mesh.vertices, mesh.faces, np.full(mesh.n_faces, 1.7), waves)
    assert wanted[0].real == pytest.approx(1.7 * mesh.volume, rel=1e-13)
    for backend in ("exact", "nufft"):
        found = mesh_ft(filled, GRID, backend=backend, tolerance=1e-12)[tuple(where.T)]
        assert np.abs(found - wanted).max() <= 1e-12 * abs(wanted[0]), backend
    stained = filled.with_density(rng.uniform(0.5, 1.5, mesh.n_faces))
    both = mesh_ft(stained, GRID, backend="exact")
    sheet = mesh_ft(stained.with_jump(None), GRID, backend="exact")
    assert np.allclose(both, sheet + mesh_ft(filled, GRID, backend="exact"), atol=1e-12 * abs(both).max())


def test_a_small_body_in_a_large_box_keeps_its_digits():
    tiny = shapes.sphere_of_edge(0.05, (3.0, 3.0, 3.0), 0.02).astype(np.float64).with_density(0.0).with_jump(1.0)
    where, waves = low_modes()
    wanted = filled_ft(tiny.vertices, tiny.faces, np.ones(tiny.n_faces), waves)
    found = mesh_ft(tiny, GRID, backend="exact")[tuple(where.T)]
    assert np.abs(found - wanted).max() <= 1e-12 * abs(wanted[0])


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 1e-3), (np.float32, 1e-5), (np.float64, 1e-8)])
def test_fast_transform_keeps_its_tolerance(dtype, tolerance):
    mesh = body().with_jump(1.0)
    wanted = mesh_ft(mesh, GRID, backend="exact")
    found = mesh_ft(mesh.astype(dtype), GRID, backend="nufft", tolerance=tolerance)
    assert found.dtype == np.result_type(dtype, np.complex64)
    assert np.abs(found - wanted).max() <= tolerance * abs(wanted).max()
    assert np.linalg.norm(found - wanted) <= tolerance * np.linalg.norm(wanted)


@pytest.mark.parametrize("backend", ["exact", "nufft"])
@pytest.mark.parametrize("density", [0.0, 0.8])
def test_gradients_are_those_of_finite_differences(backend, density):
    rng = np.random.default_rng(5)
    mesh = body().with_density(density).with_jump(0.7)
    cotangent = rng.normal(size=GRID.spectrum_shape) + 1j * rng.normal(size=GRID.spectrum_shape)

    def value(at: cf.SurfaceMesh) -> float:
        spectrum = mesh_ft(at, GRID, backend="exact")
        return float((weights(spectrum.shape) * (np.conj(cotangent) * spectrum).real).sum())

    gradient = mesh_ft_vjp(mesh, GRID, cotangent, backend=backend, tolerance=1e-11)
    step, move = 1e-5, rng.normal(size=mesh.vertices.shape)
    along = [value(mesh.with_vertices(mesh.vertices + s * move)) for s in (step, -step)]
    assert (gradient.vertices * move).sum() == pytest.approx((along[0] - along[1]) / (2 * step), rel=1e-6)
    assert gradient.jump is not None
    brighter = [value(mesh.with_jump(0.7 + s)) for s in (step, -step)]
    assert gradient.jump.sum() == pytest.approx((brighter[0] - brighter[1]) / (2 * step), rel=1e-8)
    change = rng.normal(size=mesh.n_faces)
    stained = [value(mesh.with_density(mesh.density + s * change)) for s in (step, -step)]
    assert (gradient.density * change).sum() == pytest.approx((stained[0] - stained[1]) / (2 * step), rel=1e-7)


def test_jumps_of_single_faces_have_their_gradient():
    rng = np.random.default_rng(6)
    mesh = body().with_jump(0.7)
    cotangent = rng.normal(size=GRID.spectrum_shape) + 1j * rng.normal(size=GRID.spectrum_shape)
    exact, fast = (
        mesh_ft_vjp(mesh, GRID, cotangent, backend=name, tolerance=1e-11).jump for name in ("exact", "nufft")
    )
    assert exact is not None and fast is not None
    assert np.abs(fast - exact).max() <= 1e-8 * np.abs(exact).max()
    spectrum = mesh_ft(mesh, GRID, backend="exact")  # linear in the jumps
    whole = (weights(spectrum.shape) * (np.conj(cotangent) * spectrum).real).sum()
    assert (exact * mesh.jump).sum() == pytest.approx(whole, rel=1e-9)


def test_parts_and_scaled_filling():
    mesh = body().with_density(0.4).with_jump(2.0)
    prepared = MeshTransform(Band.full(GRID), "nufft", tolerance=1e-10).prepare(mesh)
    sheet, inside = prepared.parts()
    assert sheet is not None and inside is not None
    assert np.array_equal(prepared.forward(), sheet + inside)
    cotangent = np.random.default_rng(7).normal(size=Band.full(GRID).shape).astype(complex)
    twice, once = prepared.vjp(cotangent, filling=2.0), prepared.vjp(cotangent)
    double = MeshTransform(Band.full(GRID), "nufft", tolerance=1e-10).prepare(mesh.with_jump(4.0)).vjp(cotangent)
    assert np.allclose(twice.vertices, double.vertices, rtol=1e-8, atol=1e-8 * np.abs(double.vertices).max())
    assert not np.allclose(twice.vertices, once.vertices)


def test_a_cluster_is_the_sum_of_its_regions():
    mesh = body()
    inner = shapes.sphere_of_edge(0.4, (3.4, 2.9, 2.8), 0.3).astype(np.float64)
    faces = np.concatenate([mesh.faces, inner.faces + mesh.n_vertices])
    labels = np.array([[1, 0]] * mesh.n_faces + [[2, 1]] * inner.n_faces)
    cluster = cf.MultiMaterialMesh(np.concatenate([mesh.vertices, inner.vertices]), faces, labels, 0.0)
    found = mesh_ft(cluster.with_filling({1: 1.0, 2: 3.0}), GRID, backend="exact")
    parts = mesh_ft(mesh.with_jump(1.0), GRID, backend="exact")
    parts = parts + mesh_ft(inner.with_density(0.0).with_jump(2.0), GRID, backend="exact")
    assert np.abs(found - parts).max() <= 1e-12 * np.abs(parts).max()
    with pytest.raises(MeshError, match="regions \\[7\\]"):
        cluster.with_filling({7: 1.0})
    regions = cluster.with_filling({1: 1.0, 2: 3.0}).regions()
    assert regions[2].jump is not None and (regions[2].jump == 2.0).all()


def test_an_open_body_and_a_normalised_one_are_refused():
    mesh = body().with_jump(1.0)
    opened = cf.SurfaceMesh(mesh.vertices, mesh.faces[3:], 0.0, 1.0)
    with pytest.raises(MeshError, match="leave a gap"):
        mesh_ft(opened, GRID)
    with pytest.raises(ConfigError, match="filled"):
        mesh_ft(mesh, GRID, normalize=True)
    with pytest.raises(MeshError, match="jump has shape"):
        mesh.with_jump(np.ones(3))


@pytest.mark.parametrize("suffix", ["ply", "vtp"])
def test_files_keep_the_jump(tmp_path, suffix):
    mesh = body().with_density(0.25).with_jump(np.linspace(-1.0, 2.0, body().n_faces))
    cf.write_mesh(tmp_path / f"a.{suffix}", mesh)
    found = cf.read_mesh(tmp_path / f"a.{suffix}")
    assert found.jump is not None and np.allclose(found.jump, mesh.jump) and np.allclose(found.density, 0.25)
    cf.write_mesh(tmp_path / f"b.{suffix}", mesh.with_jump(None))
    assert cf.read_mesh(tmp_path / f"b.{suffix}").jump is None


def test_both_brightnesses_are_solved_for_and_their_gradient_needs_no_term():
    rng = np.random.default_rng(8)
    mesh = body().with_density(rng.uniform(0.8, 1.2, body().n_faces)).with_jump(0.9)
    psf = cf.GaussianPSF.from_sigma((0.4, 0.3, 0.3))
    renderer = Renderer(psf, psf.band(GRID, 1e-12), backend="exact")
    sheet = renderer.render(mesh.with_jump(None))
    inside = renderer.render(mesh.with_density(0.0))
    observed = 2.0 * sheet + 3.0 * inside + 5.0 + 0.05 * rng.normal(size=GRID.shape)
    target = Target(observed, rng.uniform(0.5, 1.0, GRID.shape))

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
