"""Both back ends of the mesh transform: one suite."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import mesh_ft as oracle

import cytoform as cf
from cytoform import devices
from cytoform.errors import BackendError, ConfigError, GridError
from cytoform.fourier import MeshTransform, choose_backend
from cytoform.image.band import Band
from cytoform.mesh.shapes import icosphere

BACKENDS = ["exact", "nufft"]
TIGHT = 1e-11  # tolerance asked of nufft where it is compared with an identity


def _norm(found, wanted):
    return float(np.linalg.norm(np.asarray(found - wanted)) / np.linalg.norm(np.asarray(wanted)))


def _blob(seed=0, dtype=np.float64):
    """A closed surface of 20 · 4² faces with uneven edges and densities, near the middle of an 8 µm box."""
    import trimesh

    rng = np.random.default_rng(seed)
    sphere = trimesh.creation.icosphere(subdivisions=2)
    vertices = sphere.vertices * np.array([2.5, 2.0, 1.5]) + 0.05 * rng.normal(size=sphere.vertices.shape) + 4.0
    density = rng.uniform(0.5, 2.0, len(sphere.faces))
    return cf.SurfaceMesh(vertices.astype(dtype), sphere.faces[:, ::-1], density)


def _cow(data_dir, dtype=np.float64):
    found = np.load(data_dir / "reference" / "deltamic_ft_cow.npz")
    return cf.SurfaceMesh(found["vertices_xyz"][:, ::-1].astype(dtype), found["faces"], found["density"]), found


def _box(mesh, n):
    """A grid of n³ voxels around a mesh."""
    low, high = mesh.bounds
    length = 1.3 * float((high - low).max())
    return cf.Grid((n, n, n), (length / n,) * 3, tuple(0.5 * (low + high) - 0.5 * length))


def _pairs(grid, rng):
    return rng.normal(size=grid.spectrum_shape) + 1j * rng.normal(size=grid.spectrum_shape)


# Bars of the relative L2 error, (value, gradient), on the 8³ grid and on frequencies drawn from the 48³ grid
# (benchmarks/accuracy.py draws 1,000).
BARS = {
    (np.float64, 8): (1e-13, 1e-12),
    (np.float64, 48): (1e-13, 1e-12),
    (np.float32, 8): (1e-6, 1e-5),
    (np.float32, 48): (5e-6, 5e-5),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n", [8, pytest.param(48, marks=pytest.mark.slow)])
def test_cow_against_dense_quadrature(data_dir, dtype, n):
    mesh, _ = _cow(data_dir, dtype)
    grid = _box(mesh, n)
    rng = np.random.default_rng(n)
    band = Band.full(grid)
    if n == 48:
        chosen = np.zeros(band.shape, dtype=bool)
        chosen.ravel()[rng.choice(chosen.size, 200, replace=False)] = True
        band = band.where(chosen)
    relative = mesh.vertices.astype(np.float64) - grid.origin
    weights = np.broadcast_to(band.weights, band.shape).ravel()[band.index]
    transform = MeshTransform(band, "exact", "cpu")
    found = transform.forward(mesh)
    assert found.dtype == np.result_type(dtype, np.complex64)
    # the gradient of a smooth loss and of noise
    cotangents = [found.ravel()[band.index].astype(complex), rng.normal(size=(band.size, 2)) @ np.array([1, 1j])]
    wanted, gradients = oracle.dense(
        relative, mesh.faces, mesh.density.astype(float), band.frequencies, [c * weights for c in cotangents]
    )
    value_bar, gradient_bar = BARS[dtype, n]
    assert _norm(found.ravel()[band.index], wanted) < value_bar
    for cotangent, (vertices, by_density) in zip(cotangents, gradients):
        grad = transform.vjp(mesh, band.scatter(cotangent))
        assert grad.vertices.dtype == dtype and grad.density.dtype == dtype
        assert _norm(grad.vertices, vertices) < gradient_bar
        assert _norm(grad.density, by_density) < gradient_bar


def test_parity_with_the_reference(data_dir):
    mesh, found = _cow(data_dir)
    z, y, x = np.meshgrid(found["xi_x"], found["xi_y"], found["xi_z"], indexing="ij")[::-1]
    # the reference indexes its result (x, y, z)
    frequencies = np.stack([z.ravel(), y.ravel(), x.ravel()], axis=1)
    from cytoform.fourier import exact

    pairs = exact.forward_at(
        mesh.vertices[mesh.faces], 2.0 * mesh.face_areas * mesh.density, frequencies, dtype=np.float64
    )
    assert _norm(pairs.view(complex)[:, 0] / mesh.mass, found["ft"].ravel()) < 1e-10


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(np.float32, 1e-3), (np.float32, 1e-5), (np.float64, 1e-3), (np.float64, 1e-8)]
)
@pytest.mark.parametrize("shape", [(24, 20, 22), (21, 19, 23)])
def test_back_ends_agree(dtype, tolerance, shape):
    mesh = _blob(dtype=dtype)
    grid = cf.Grid(shape, (0.35, 0.4, 0.38), (0.1, -0.2, 0.05))
    exact = cf.mesh_ft(mesh, grid, backend="exact", device="cpu")
    fast = cf.mesh_ft(mesh, grid, backend="nufft", device="cpu", tolerance=tolerance)
    assert fast.dtype == exact.dtype == np.result_type(dtype, np.complex64)
    assert _norm(fast, exact) < tolerance
    assert np.abs(fast - exact).max() < tolerance * mesh.mass
    cotangent = _pairs(grid, np.random.default_rng(1))
    one = cf.mesh_ft_vjp(mesh, grid, cotangent, backend="exact", device="cpu")
    two = cf.mesh_ft_vjp(mesh, grid, cotangent, backend="nufft", device="cpu", tolerance=tolerance)
    assert _norm(two.vertices, one.vertices) < tolerance
    assert _norm(two.density, one.density) < tolerance


@pytest.mark.slow
@pytest.mark.parametrize("tolerance", [1e-3, 1e-5, 1e-8])
def test_few_large_faces_keep_the_tolerance(tolerance):
    # a cube of 12 faces whose edges span the box: the points have to follow the wavelengths
    import trimesh

    cube = trimesh.creation.box((5.0, 6.0, 7.0))
    mesh = cf.SurfaceMesh(cube.vertices + 4.3, cube.faces[:, ::-1])
    grid = cf.Grid((64, 64, 64), 0.14)
    exact = cf.mesh_ft(mesh, grid, backend="exact", device="cpu")
    fast = cf.mesh_ft(mesh, grid, backend="nufft", device="cpu", tolerance=tolerance)
    assert np.abs(fast - exact).max() < tolerance * mesh.mass
    assert _norm(fast, exact) < tolerance


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("shape", [(6, 7, 8), (7, 6, 5)])
def test_gradient_adjoint_and_finite_differences(backend, normalize, shape):
    mesh = _blob(3)
    grid = cf.Grid(shape, (1.3, 1.2, 1.4), (0.3, 0.2, -0.5))
    rng = np.random.default_rng(5)
    options = {"backend": backend, "device": "cpu", "tolerance": TIGHT, "normalize": normalize}
    cotangent = _pairs(grid, rng)
    weights = np.full(grid.spectrum_shape[2], 2.0)
    weights[0] = 1.0
    if shape[2] % 2 == 0:
        weights[-1] = 1.0

    def loss(vertices, density):
        moved = cf.SurfaceMesh(vertices, mesh.faces, density)
        return float((np.conj(cotangent) * cf.mesh_ft(moved, grid, **options) * weights).real.sum())

    grad = cf.mesh_ft_vjp(mesh, grid, cotangent, **options)
    move, change = rng.normal(size=mesh.vertices.shape), rng.normal(size=mesh.density.shape)
    step = 1e-5
    slope = (
        loss(mesh.vertices + step * move, mesh.density + step * change)
        - loss(mesh.vertices - step * move, mesh.density - step * change)
    ) / (2 * step)
    wanted = float((grad.vertices * move).sum() + (grad.density * change).sum())
    assert abs(slope - wanted) < 1e-7 * abs(wanted)
    # û is linear in the density: the adjoint test is exact
    if not normalize:
        along = cf.mesh_ft(mesh.with_density(change), grid, **options)
        left = float((np.conj(cotangent) * along * weights).real.sum())
        assert abs(left - float((grad.density * change).sum())) < 1e-9 * abs(left)


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_half_space_stands_for_the_full_spectrum(backend):
    mesh = _blob(1)
    grid = cf.Grid((7, 9, 11), 0.8)
    half = cf.mesh_ft(mesh, grid, backend=backend, device="cpu", tolerance=TIGHT)
    z, y, x = (2 * np.pi * np.fft.fftfreq(n, 0.8) for n in grid.shape)
    xi = np.stack(np.meshgrid(z, y, x, indexing="ij"), axis=-1).reshape(-1, 3)
    full = oracle.dense(mesh.vertices, mesh.faces, mesh.density, xi).reshape(grid.shape)
    assert _norm(half, full[:, :, :6]) < 1e-10
    cotangent = full * np.exp(-0.1 * (xi**2).sum(axis=1)).reshape(grid.shape)
    _, [(wanted, by_density)] = oracle.dense(
        mesh.vertices, mesh.faces, mesh.density, xi, [cotangent.ravel().astype(complex)]
    )
    grad = cf.mesh_ft_vjp(mesh, grid, cotangent[:, :, :6].astype(complex), backend=backend, tolerance=TIGHT)
    assert _norm(grad.vertices, wanted) < 1e-9
    assert _norm(grad.density, by_density) < 1e-9


@pytest.mark.parametrize("backend", BACKENDS)
def test_band_is_the_same_modes_and_zero_elsewhere(backend):
    mesh = _blob(2)
    grid = cf.Grid((16, 18, 20), 0.5)
    band = cf.GaussianPSF.from_sigma((0.6, 0.5, 0.4)).band(grid, 0.01)
    kept = band.expand(band.scatter(np.ones(band.size, dtype=bool)))
    assert 0 < kept.sum() < kept.size
    full = cf.mesh_ft(mesh, grid, backend="exact", device="cpu")
    part = cf.mesh_ft(mesh, grid, backend=backend, device="cpu", band=band, tolerance=TIGHT)
    np.testing.assert_allclose(part, np.where(kept, full, 0), atol=1e-10 * mesh.mass)
    cotangent = _pairs(grid, np.random.default_rng(0))
    one = cf.mesh_ft_vjp(mesh, grid, np.where(kept, cotangent, 0), backend="exact", device="cpu")
    two = cf.mesh_ft_vjp(mesh, grid, cotangent, backend=backend, device="cpu", band=band, tolerance=TIGHT)
    assert _norm(two.vertices, one.vertices) < 1e-9


def test_support_bounds_every_phase():
    grid = cf.Grid((16, 18, 20), (0.5, 0.3, 0.4))
    rng = np.random.default_rng(0)
    for band in (Band.full(grid), cf.GaussianPSF.from_sigma((0.6, 0.5, 0.4)).band(grid, 0.01)):
        vectors = rng.normal(size=(50, 3))
        largest = np.abs(vectors @ band.frequencies.T).max(axis=1)
        bound = band.max_phase(vectors)
        assert (bound >= largest * (1 - 1e-12)).all()
        assert (bound <= 1.8 * largest).all()


small = st.floats(-3.0, 3.0)
point = st.tuples(small, small, small)


@settings(max_examples=40, deadline=None)
@given(point, point, point, point, st.sampled_from([1.0, 1e-3, 1e-7, 1e-12]))
def test_any_triangle_moves_scales_and_adds_up(a, b, c, shift, flatten):
    """Translation, quarter turn, scaling and additivity, for degenerate triangles too."""
    grid = cf.Grid((6, 6, 6), 1.0)
    a, b, c = np.array(a), np.array(b), np.array(c)
    c = a + 0.5 * (b - a) + flatten * (c - a)
    corners = np.stack([a, b, c])
    mesh = cf.SurfaceMesh(corners, [[0, 1, 2]])
    ft = cf.mesh_ft(mesh, grid, backend="exact", device="cpu")
    assert np.isfinite(ft).all()
    room = 1e-13 * (1.0 + mesh.area) * 40
    z, y, x = np.meshgrid(*grid.frequencies(), indexing="ij")
    turn = np.exp(-1j * (z * shift[0] + y * shift[1] + x * shift[2]))
    moved = cf.mesh_ft(mesh.with_vertices(corners + shift), grid, backend="exact", device="cpu")
    np.testing.assert_allclose(moved, ft * turn, atol=room)
    # a quarter turn in the (z, y) plane: (z, y) -> (-y, z)
    rotated = cf.mesh_ft(
        mesh.with_vertices(np.stack([-corners[:, 1], corners[:, 0], corners[:, 2]], axis=1)), grid, backend="exact"
    )
    inner = np.array([1, 2, -1, -2])  # modes whose negative is on the grid
    np.testing.assert_allclose(
        rotated[np.ix_(-inner % 6, inner % 6)], ft[np.ix_(inner % 6, inner % 6)].swapaxes(0, 1), atol=room
    )
    # scaling by s: û_s(ξ) = s² û(s ξ)
    scaled = cf.mesh_ft(mesh.with_vertices(2.0 * corners), cf.Grid((6, 6, 6), 2.0), backend="exact", device="cpu")
    np.testing.assert_allclose(scaled, 4.0 * ft, atol=4 * room)
    # cut at the middle of an edge
    middle = 0.5 * (a + b)
    halves = cf.SurfaceMesh(np.stack([a, b, c, middle]), [[0, 3, 2], [3, 1, 2]])
    np.testing.assert_allclose(cf.mesh_ft(halves, grid, backend="exact", device="cpu"), ft, atol=room)
    # corners in another order
    for order in ([1, 2, 0], [1, 0, 2]):
        other = cf.mesh_ft(cf.SurfaceMesh(corners[order], [[0, 1, 2]]), grid, backend="exact", device="cpu")
        np.testing.assert_allclose(other, ft, atol=room)


@pytest.mark.parametrize("backend", BACKENDS)
def test_zero_area_faces_change_nothing(backend):
    mesh = _blob()
    extra = np.concatenate([mesh.faces, [[0, 0, 1], [5, 5, 5]]])
    with_extra = cf.SurfaceMesh(mesh.vertices, extra, np.append(mesh.density, [1.0, 1.0]))
    grid = cf.Grid((8, 8, 8), 1.0)
    options = {"backend": backend, "device": "cpu", "tolerance": TIGHT}
    one, two = cf.mesh_ft(mesh, grid, **options), cf.mesh_ft(with_extra, grid, **options)
    np.testing.assert_allclose(two, one, atol=1e-12 * mesh.mass)
    cotangent = _pairs(grid, np.random.default_rng(0))
    g1, g2 = (cf.mesh_ft_vjp(m, grid, cotangent, **options) for m in (mesh, with_extra))
    np.testing.assert_allclose(g2.vertices, g1.vertices, atol=1e-10 * np.abs(g1.vertices).max())
    assert np.isfinite(g2.density).all()


def test_lines_live_as_long_as_their_band():
    import gc

    from cytoform.fourier import exact

    band = Band.full(cf.Grid((6, 5, 4), 1.0))
    before = len(exact._lines_by_band)
    assert exact._lines(band) is exact._lines(band) and len(exact._lines_by_band) == before + 1
    del band
    gc.collect()
    assert len(exact._lines_by_band) <= before


@pytest.mark.parametrize("shape", [(17, 3, 4), (3, 17, 4), (4, 3, 33), (1, 1, 40)])
def test_lines_along_any_axis_and_with_holes(shape):
    """The exact transform takes the frequencies as lines along the axis that suits; masks may have gaps."""
    mesh, rng = _blob(4), np.random.default_rng(0)
    band = Band.full(cf.Grid(shape, 0.7, (0.1, 0.2, 0.3)))
    band = band.where(rng.random(band.shape) < 0.4)
    cotangent = rng.normal(size=band.shape) + 1j * rng.normal(size=band.shape)
    transform = MeshTransform(band, "exact", "cpu")
    weights = np.broadcast_to(band.weights, band.shape).ravel()[band.index]
    wanted, [(vertices, by_density)] = oracle.dense(
        mesh.vertices - band.grid.origin, mesh.faces, mesh.density, band.frequencies,
        [cotangent.ravel()[band.index] * weights],
    )  # fmt: skip
    found = transform.forward(mesh)
    assert (found.ravel()[np.setdiff1d(np.arange(found.size), band.index)] == 0).all()
    assert _norm(found.ravel()[band.index], wanted) < 1e-12
    grad = transform.vjp(mesh, cotangent)
    assert _norm(grad.vertices, vertices) < 1e-12 and _norm(grad.density, by_density) < 1e-12


def test_total_mass_is_the_transform_at_zero():
    mesh = _blob()
    grid = cf.Grid((6, 6, 6), 1.0, (1.0, 2.0, 3.0))
    assert cf.mesh_ft(mesh, grid, backend="exact")[0, 0, 0] == pytest.approx(mesh.mass, rel=1e-14)
    assert cf.mesh_ft(mesh, grid, backend="exact", normalize=True)[0, 0, 0] == pytest.approx(1.0, rel=1e-14)


@pytest.mark.parametrize("backend", BACKENDS)
def test_deterministic_is_bit_identical(backend):
    mesh, grid = _blob(), cf.Grid((24, 24, 24), 0.4)
    options = {"backend": backend, "device": "cpu", "deterministic": True}
    one, two = (cf.mesh_ft(mesh, grid, **options) for _ in range(2))
    assert (one == two).all()
    cotangent = _pairs(grid, np.random.default_rng(0))
    first, second = (cf.mesh_ft_vjp(mesh, grid, cotangent, **options) for _ in range(2))
    assert (first.vertices == second.vertices).all() and (first.density == second.density).all()


def test_a_mesh_of_usual_size_gives_the_same_bits_on_every_run(monkeypatch):
    from cytoform import devices
    from cytoform.fourier import nufft

    mesh, grid = _blob(4).astype(np.float32), cf.Grid((64, 64, 64), 0.15)
    cotangent = _pairs(grid, np.random.default_rng(0))
    monkeypatch.setattr(devices, "thread_count", lambda: 2)
    found = []
    for _ in range(6):
        transform = MeshTransform(Band.symmetric(grid), "nufft", "cpu", 1e-3).prepare(mesh)
        assert 5_000 < len(transform._faces.points) <= nufft.ORDERED
        value = cf.mesh_ft(mesh, grid, backend="nufft", device="cpu", tolerance=1e-3)
        slope = cf.mesh_ft_vjp(mesh, grid, cotangent, backend="nufft", device="cpu", tolerance=1e-3)
        found.append((value, slope.vertices, slope.density))
    for other in found[1:]:
        assert all((a == b).all() for a, b in zip(found[0], other))


def test_refusals_say_what_to_do(monkeypatch):
    mesh, grid = _blob(), cf.Grid((6, 6, 6), 1.0)
    with pytest.raises(ConfigError, match="expected 'auto', 'exact' or 'nufft'"):
        cf.mesh_ft(mesh, grid, backend="gpu")
    with pytest.raises(ConfigError, match="expected 'auto', 'cpu' or 'cuda'"):
        cf.mesh_ft(mesh, grid, device="tpu")
    with pytest.raises(ConfigError, match="tolerance"):
        cf.mesh_ft(mesh, grid, tolerance=0.0)
    with pytest.raises(GridError, match=r"expected \(6, 6, 4\)"):
        cf.mesh_ft_vjp(mesh, grid, np.zeros((6, 6, 6)))
    with pytest.raises(GridError, match="band belongs to"):
        cf.mesh_ft(mesh, grid, band=Band.full(cf.Grid((6, 6, 6), 2.0)))
    from cytoform import devices

    monkeypatch.setattr(devices, "has_finufft", lambda: False)
    with pytest.raises(BackendError, match="pip install finufft"):
        cf.mesh_ft(mesh, grid, backend="nufft")
    assert choose_backend("auto", tolerance=1e-5, device="cpu") == "exact"
    if os.environ.get("NUMBA_ENABLE_CUDASIM") != "1":
        monkeypatch.setattr(devices, "has_cuda", lambda: False)
        with pytest.raises(BackendError, match="no CUDA device"):
            cf.mesh_ft(mesh, grid, device="cuda")


def test_auto_never_misses_the_tolerance():
    assert choose_backend("auto", tolerance=1e-5, device="cpu") == "auto"
    assert choose_backend("auto", tolerance=1e-14, device="cpu") == "exact"
    assert choose_backend("auto", tolerance=1e-5, device="cuda") == "exact"
    with pytest.raises(ConfigError, match="can keep 1e-12 at best"):
        cf.mesh_ft(_blob(1), cf.Grid((6, 6, 6), 1.0), backend="nufft", tolerance=1e-13)


def test_auto_is_exact_for_little_work_and_fast_for_much(monkeypatch):
    """Where one of them takes many times as long as the other (benchmarks/cost.py measures the rest)."""
    from cytoform.fourier import cost, exact, nufft

    mesh = _blob(3).astype(np.float32)
    for n, wanted in ((4, exact.Faces), (96, nufft.Faces)):
        band = Band.symmetric(cf.Grid((n, n, n), 12.0 / n))
        assert type(MeshTransform(band, device="cpu", tolerance=1e-3).prepare(mesh)._faces) is wanted
    assert type(MeshTransform(band, device="cpu", tolerance=1e-13).prepare(mesh)._faces) is exact.Faces
    # the same tens of thousands of threads for the formula, and one for finufft where sums keep their order
    monkeypatch.setattr(cost.devices, "thread_count", lambda: 10**5)
    monkeypatch.setattr(cost.nufft, "ORDERED", 0)
    for deterministic, wanted in ((False, "nufft"), (True, "exact")):
        options = {"dtype": np.float32, "tolerance": 1e-3, "shells": None, "deterministic": deterministic}
        assert cost.faster(mesh.vertices[mesh.faces].astype(float), band, **options) == wanted


@pytest.mark.slow
@pytest.mark.parametrize("kept", ["all", "behind optics"])
def test_a_model_of_the_work_counts_what_the_transforms_do(kept, monkeypatch):
    from cytoform.fourier import cost, exact, nufft

    mesh, grid = _blob(3), cf.Grid((40, 36, 33), 0.3)
    corners = mesh.vertices[mesh.faces]
    band = Band.symmetric(grid) if kept == "all" else cf.GaussianPSF.from_sigma(0.45).band(grid, 0.01)
    # what the loops leave other than zero
    lines = exact._lines(band)
    out = np.full((len(lines.numbers), 2, lines.length), np.nan)
    work = lines.workspace(exact.BLOCK, np.float64)
    devices.load_kernels("mesh_ft_cpu").mesh_ft_lines(
        lines.permuted(corners), np.ones(len(corners)), *lines.kernel_arguments(np.float64), work, out
    )
    counted = cost.exact_work(corners, band)
    assert counted[3] == len(corners) * np.count_nonzero(out[:, 0]) and counted[1] == len(corners)
    # parts of the pairs beyond the limits of the series, counted one by one
    phases = np.abs((corners - corners.mean(axis=1, keepdims=True)) @ band.frequencies.T).max(axis=1)
    for found, limit in zip(counted[4:], (1.0, 3.0)):
        assert found / counted[3] == pytest.approx(float((phases > limit).mean()), abs=0.03)
    options = {"dtype": np.float64, "tolerance": 1e-6, "shells": None}
    kind, counted = cost.nufft_work(corners, band, deterministic=False, **options)
    points = len(nufft.Faces(corners, np.ones(len(corners)), band, tolerance=1e-6).points)
    assert kind == "complex128" and counted[3] == pytest.approx(points, rel=0.1)
    # of five transforms one keeps to a thread, and all where the result has to be the same
    monkeypatch.setattr(cost.devices, "thread_count", lambda: 6)
    some, all_ = (cost.nufft_work(corners, band, deterministic=d, **options)[1] for d in (False, True))
    assert points < nufft.ORDERED and all_[:-2] == pytest.approx(some[:-2])
    assert some[-2:] / all_[-2:] == pytest.approx((6 + 4) / (5 * 6))


def test_every_precision_has_constants():
    from cytoform.fourier import cost

    assert all(sum(constants) > 0 for constants in (*cost.EXACT.values(), *cost.NUFFT.values()))


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradient_in_float32_of_a_loss_in_tiny_units(backend):
    mesh, grid = _blob(1).astype(np.float32), cf.Grid((10, 10, 10), 0.8)
    cotangent = _pairs(grid, np.random.default_rng(0))
    options = {"backend": backend, "device": "cpu", "tolerance": 1e-3}
    wanted = cf.mesh_ft_vjp(mesh, grid, cotangent, **options).vertices
    found = cf.mesh_ft_vjp(mesh, grid, 1e-36 * cotangent, **options).vertices.astype(float)
    assert _norm(1e36 * found, wanted) < 1e-4


def test_cotangents_and_masks_of_another_kind_are_refused():
    mesh, grid = _blob(1), cf.Grid((6, 7, 8), 1.0)
    band = Band.symmetric(grid)
    with pytest.raises(GridError, match=r"expected .*the band's box"):
        MeshTransform(band, device="cpu").vjp(mesh, np.zeros((6, 7, 5), complex))
    with pytest.raises(GridError, match=r"int64 of shape .* expected bool"):
        Band(grid, band.shape, np.ones(band.shape, int))


def test_threads_of_one_process_may_call_at_once():
    mesh, grid = icosphere(1.0, (2.0, 2.0, 2.0), 2), cf.Grid((12, 12, 12), 0.35)
    alone = {b: cf.mesh_ft(mesh, grid, backend=b) for b in ("exact", "nufft")}
    with ThreadPoolExecutor(4) as pool:
        calls = [(b, pool.submit(cf.mesh_ft, mesh, grid, backend=b)) for b in BACKENDS * 8]
        for name, call in calls:
            np.testing.assert_allclose(call.result(), alone[name], atol=1e-12 * abs(alone[name]).max())


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_is_told_what_to_do():
    """OpenMP's threads do not survive a fork: numba's would end the process, finufft's would wait for ever."""
    code = """
import os, sys
import cytoform as cf
from cytoform.mesh.shapes import icosphere
mesh, grid = icosphere(1.0, (2.0, 2.0, 2.0), 2), cf.Grid((12, 12, 12), 0.35)
cf.mesh_ft(mesh, grid, backend=sys.argv[1])
child = os.fork()
if child == 0:
    try:
        cf.mesh_ft(mesh, grid, backend=sys.argv[1])
    except cf.errors.BackendError as error:
        os._exit(7 if "spawn" in str(error) else 8)
    os._exit(9)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    for name in ("exact", "nufft"):
        done = subprocess.run([sys.executable, "-c", code, name], timeout=300, capture_output=True, text=True)
        assert done.returncode == 7, done.stderr
