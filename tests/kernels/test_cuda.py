"""The CUDA kernels against the CPU's: on a device where there is one, and always on numba's simulator."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from oracles import ptx

import cytoform as cf
from cytoform import devices
from cytoform.errors import BackendError
from cytoform.kernels import mesh_ft_cpu, triangle

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
# Largest difference over the largest value. A single face's derivatives lose more than a sum over a mesh.
BARS = {np.float64: 1e-12, np.float32: 1e-6}
FACE_BARS = {np.float64: 1e-11, np.float32: 1e-5}
# Four blocks of 128 threads on a multiprocessor, which has 65,536; three in float64.
MOST_REGISTERS = {np.float32: 128, np.float64: 168}

on_device = pytest.mark.gpu


@pytest.fixture
def kernels():
    """The CUDA kernels, on a device or inside the simulator's process."""
    if not devices.has_cuda():
        pytest.skip("no CUDA device here; test_on_the_simulator runs this test in a process of its own")
    return devices.load_kernels("mesh_ft_cuda")


def _differ(found, wanted):
    return np.abs(found - wanted).max() / np.abs(wanted).max()


def _case(seed, n_faces, n):
    """Faces from 1e-6 to 30 µm, four of them degenerate, far from the origin; frequencies from 1e-3 to 10, and 0."""
    rng = np.random.default_rng(seed)
    size = 10.0 ** np.linspace(-6, 1.5, n_faces)[:, None, None]
    corners = 3.0 * rng.normal(size=(n_faces, 1, 3)) + size * rng.normal(size=(n_faces, 3, 3))
    corners[3, 2] = corners[3, 0]
    corners[n_faces // 2] = corners[n_faces // 2, 0]
    corners[-3, 1] = corners[-3, 0]
    corners[-2, 2] = 0.5 * (corners[-2, 0] + corners[-2, 1])
    frequencies = rng.normal(size=(n, 3)) * 10.0 ** rng.uniform(-3, 1, (n, 1))
    frequencies[n // 3] = 0.0
    return corners, rng.uniform(0.5, 2.0, n_faces), frequencies, rng.normal(size=(n, 2))


def _placed(corners, dtype):
    """Faces as the CUDA kernels take them: centroids in turns, and two corners relative to them."""
    xp, centres = devices.device_arrays(), corners.mean(axis=1)
    offsets = (corners[:, :2] - centres[:, None]).astype(dtype)
    return xp.asarray(centres / (2 * np.pi)), xp.asarray(offsets)


def _value(kernels, corners, weights, frequencies, dtype):
    xp = devices.device_arrays()
    out = xp.full((kernels.count_slices(len(corners), len(frequencies)), len(frequencies), 2), np.nan)
    kernels.value(*_placed(corners, dtype), xp.asarray(weights.astype(dtype)), xp.asarray(frequencies), out)
    return devices.to_host(out).sum(axis=0)


def _adjoint(kernels, corners, frequencies, cotangent, dtype):
    xp = devices.device_arrays()
    values, moves = xp.full(len(corners), np.nan), xp.full((len(corners), 3, 3), np.nan)
    numbers, cotangent = xp.asarray(frequencies), xp.asarray(cotangent.astype(dtype))
    kernels.adjoint(*_placed(corners, dtype), numbers, cotangent, values, moves)
    return devices.to_host(values), devices.to_host(moves)


def _value_on_cpu(corners, weights, frequencies, dtype):
    out = np.full((len(frequencies), 2), np.nan)
    mesh_ft_cpu.mesh_ft(corners, weights, frequencies, np.empty(0, dtype), out)
    return out


def _adjoint_on_cpu(corners, frequencies, cotangent, dtype):
    """The CPU's, frequency by frequency: each is a line of one step, in whose other lanes nothing counts."""
    value, phase = np.zeros(len(corners)), np.zeros((len(corners), 3, 3))
    work = (np.empty((1, 2, 3)), np.empty((1, 2, 3)), np.empty((1, 1, 2)), np.empty((1, 1, 2)),
            np.empty((1, 2, triangle.LANES), dtype))  # fmt: skip
    one, part = np.empty(len(corners)), np.empty((len(corners), 3, 3))
    for k, c in zip(frequencies, cotangent):
        lane = np.full(triangle.LANES, k[2])
        counted = np.zeros((1, 2, triangle.LANES), dtype)
        counted[0, :, 0] = c
        mesh_ft_cpu.mesh_ft_lines_adjoint(
            corners, k[:1], k[1:2], lane, lane.astype(dtype), k[2:], k[2:], np.array([[0, 0, 0, 1]]), counted, work,
            one, part,
        )  # fmt: skip
        value += one
        phase += part
    return value, phase


@on_device
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("most_blocks", [None, 2])
def test_kernels_equal_the_cpu(kernels, monkeypatch, dtype, most_blocks):
    if most_blocks:  # so that blocks stride
        monkeypatch.setattr(kernels, "_MIN_BLOCKS", 1)
        monkeypatch.setattr(kernels, "_MAX_BLOCKS", most_blocks)
    # neither a multiple of the block; more than one tile of faces
    corners, weights, frequencies, cotangent = _case(0, *((11, 21) if SIMULATED else (301, 1001)))
    found = _value(kernels, corners, weights, frequencies, dtype)
    assert _differ(found, _value_on_cpu(corners, weights, frequencies, dtype)) < BARS[dtype]
    values, phases = _adjoint(kernels, corners, frequencies, cotangent, dtype)
    wanted_values, wanted_phases = _adjoint_on_cpu(corners, frequencies, cotangent, dtype)
    assert _differ(values, wanted_values) < BARS[dtype]
    assert _differ(phases, wanted_phases) < BARS[dtype]
    for face, wanted in zip(phases, wanted_phases):
        assert _differ(face, wanted) < FACE_BARS[dtype]


@on_device
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_spread_and_degeneracy(kernels, dtype):
    spreads = np.array([0.0, 1e-12, 1e-3, 0.999, 1.001, 2.999, 3.001, 20.0, 1e4])
    room = BARS[dtype] * (1.0 + spreads)  # a phase carries rounding of its own size
    axis, cotangent = np.array([1.0, 0.0, 0.0]), np.array([[0.6, -0.8]])
    for middle in (0.0, 1e-9, 0.5, 1.0):
        face = np.multiply.outer([0.7, 1.7, 0.7 + middle], axis)[None]
        # one face at many frequencies, then many faces at one
        found = _value(kernels, face, np.ones(1), np.outer(spreads, axis), dtype)
        wanted = _value_on_cpu(face, np.ones(1), np.outer(spreads, axis), dtype)
        assert (np.abs(found - wanted) <= room[:, None]).all()
        faces = face * spreads[:, None, None]
        found = _adjoint(kernels, faces, axis[None], cotangent, dtype)
        wanted = _adjoint_on_cpu(faces, axis[None], cotangent, dtype)
        assert (np.abs(found[0] - wanted[0]) <= room).all()
        assert (np.abs(found[1] - wanted[1]) <= room[:, None, None]).all()


@on_device
def test_nothing_to_add_up_is_zero(kernels):
    corners, weights, frequencies, cotangent = _case(1, 11, 5)
    assert (_value(kernels, corners[:0], weights[:0], frequencies, np.float64) == 0.0).all()
    assert _value(kernels, corners, weights, frequencies[:0], np.float64).shape == (0, 2)
    values, phases = _adjoint(kernels, corners, frequencies[:0], cotangent[:0], np.float64)
    assert (values == 0.0).all() and (phases == 0.0).all()
    assert _adjoint(kernels, corners[:0], frequencies, cotangent, np.float64)[1].shape == (0, 3, 3)


@on_device
def test_same_bits_every_time(kernels):
    corners, weights, frequencies, cotangent = _case(2, 11, 21)
    one, two = (_value(kernels, corners, weights, frequencies, np.float32) for _ in range(2))
    assert (one == two).all()
    first, second = (_adjoint(kernels, corners, frequencies, cotangent, np.float32)[1] for _ in range(2))
    assert (first == second).all()


@on_device
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(4, 3, 5), (3, 4, 4)])
def test_public_names_on_the_device(kernels, dtype, shape):
    vertices = np.array([[1.0, 1.2, 0.9], [3.1, 1.0, 1.1], [1.2, 2.9, 1.0], [1.1, 1.3, 3.2]], dtype=dtype)
    mesh = cf.SurfaceMesh(vertices, [[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]], [1.0, 0.5, 2.0, 1.5])
    grid = cf.Grid(shape, (0.9, 1.0, 1.1), (0.2, -0.1, 0.3))
    assert devices.resolve_device("auto") == "cuda"
    wanted = cf.mesh_ft(mesh, grid, backend="exact", device="cpu")
    found = cf.mesh_ft(mesh, grid, backend="exact", device="cuda")
    assert found.dtype == wanted.dtype == np.result_type(dtype, np.complex64)
    assert _differ(found, wanted) < BARS[dtype]
    rng = np.random.default_rng(0)
    cotangent = rng.normal(size=grid.spectrum_shape) + 1j * rng.normal(size=grid.spectrum_shape)
    wanted = cf.mesh_ft_vjp(mesh, grid, cotangent, backend="exact", device="cpu")
    found = cf.mesh_ft_vjp(mesh, grid, cotangent, backend="exact", device="cuda")
    assert found.vertices.dtype == dtype
    assert _differ(found.vertices, wanted.vertices) < BARS[dtype]
    assert _differ(found.density, wanted.density) < BARS[dtype]


@on_device
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("density", [0.0, 1.5])
def test_filled_bodies_on_the_device(kernels, dtype, density):
    vertices = np.array([[1.0, 1.2, 0.9], [3.1, 1.0, 1.1], [1.2, 2.9, 1.0], [1.1, 1.3, 3.2]], dtype=dtype)
    mesh = cf.SurfaceMesh(vertices, [[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]], density, jump=0.7)
    grid = cf.Grid((4, 3, 5), (0.9, 1.0, 1.1), (0.2, -0.1, 0.3))
    wanted = cf.mesh_ft(mesh, grid, backend="exact", device="cpu")
    found = cf.mesh_ft(mesh, grid, backend="exact", device="cuda")
    assert found.dtype == wanted.dtype == np.result_type(dtype, np.complex64)
    assert _differ(found, wanted) < BARS[dtype]
    rng = np.random.default_rng(0)
    cotangent = rng.normal(size=grid.spectrum_shape) + 1j * rng.normal(size=grid.spectrum_shape)
    wanted = cf.mesh_ft_vjp(mesh, grid, cotangent, backend="exact", device="cpu")
    found = cf.mesh_ft_vjp(mesh, grid, cotangent, backend="exact", device="cuda")
    for name in ("vertices", "density", "jump"):
        assert getattr(found, name).dtype == dtype
        assert _differ(getattr(found, name), getattr(wanted, name)) < BARS[dtype]


@on_device
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["points", "filaments", "tetrahedra"])
def test_other_simplices_on_the_device(kernels, dtype, kind):
    rng = np.random.default_rng(0)
    vertices = rng.uniform(0.5, 3.5, (8, 3)).astype(dtype)  # more rows than the simulator's block has threads
    rows = np.array([[0, 1, 2, 3], [4, 5, 6, 7], [1, 3, 5, 7], [0, 2, 4, 6], [7, 1, 0, 5]])
    thing = {
        "points": cf.PointSet(vertices, np.linspace(1.0, 2.0, 8)),
        "filaments": cf.Filaments(vertices, np.concatenate([rows[:, :2], rows[:, 2:]]), 1.5),
        "tetrahedra": cf.TetrahedralMesh(3.0 * vertices, rows, 0.7),  # spreads beyond the series, too
    }[kind]
    grid = cf.Grid((4, 3, 5), (0.9, 1.0, 1.1), (0.2, -0.1, 0.3))
    wanted = cf.mesh_ft(thing, grid, backend="exact", device="cpu")
    found = cf.mesh_ft(thing, grid, backend="exact", device="cuda")
    assert found.dtype == wanted.dtype == np.result_type(dtype, np.complex64)
    assert _differ(found, wanted) < BARS[dtype]
    cotangent = rng.normal(size=grid.spectrum_shape) + 1j * rng.normal(size=grid.spectrum_shape)
    wanted = cf.mesh_ft_vjp(thing, grid, cotangent, backend="exact", device="cpu")
    found = cf.mesh_ft_vjp(thing, grid, cotangent, backend="exact", device="cuda")
    assert found.vertices.dtype == dtype
    assert _differ(found.vertices, wanted.vertices) < BARS[dtype]
    assert _differ(found.density, wanted.density) < BARS[dtype]


@pytest.mark.slow
@pytest.mark.skipif(SIMULATED, reason="this is the simulator's process")
def test_on_the_simulator():
    """The tests above and those of the images there, in a process with NUMBA_ENABLE_CUDASIM=1: all run, all pass."""
    here = Path(__file__)
    files = [str(here), str(here.parents[1] / "fourier" / "test_on_device.py")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", "-p", "no:xdist", *files],
        cwd=here.parents[2],
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.strip().splitlines()[-1]
    assert int(re.search(r"(\d+) passed", last)[1]) == 34, done.stdout
    assert "skipped" not in last, done.stdout


def test_cuda_without_a_device_says_what_to_install(monkeypatch):
    monkeypatch.setattr(devices, "has_cuda", lambda: False)
    with pytest.raises(BackendError, match="cuda13"):
        devices.resolve_device("cuda")
    assert devices.resolve_device("auto") == "cpu"


@pytest.mark.parametrize("broken", ["", "no numba-cuda", "CuPy does not load", "CuPy sees no device"])
def test_a_device_needs_numba_cuda_and_cupy(monkeypatch, broken):
    """What numba brings itself cannot compile the kernels; a CuPy of another CUDA version must not stop the CPU."""
    import numba
    from numba import cuda

    def works():
        if broken == "CuPy does not load":
            raise ImportError("libcufft.so.11: cannot open shared object file")
        return broken != "CuPy sees no device"

    find = importlib.util.find_spec
    there = None if broken == "no numba-cuda" else find("numba")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: there if name == "numba_cuda" else find(name))
    monkeypatch.setattr(numba.config, "ENABLE_CUDASIM", 0)
    monkeypatch.setattr(cuda, "is_available", lambda: True)
    monkeypatch.setattr(devices, "_cupy_works", works)
    assert devices.has_cuda.__wrapped__() == (not broken)


@pytest.mark.parametrize("real", [np.float32, np.float64])
@pytest.mark.parametrize("architecture", ptx.ARCHITECTURES)
def test_kernels_compile_and_fit_in_registers(architecture, real, tmp_path):
    if SIMULATED:
        pytest.skip("the simulator compiles nothing")
    if ptx.missing():
        pytest.skip(ptx.missing())
    for name in ptx.KERNELS:
        text = ptx.compiled(name, real, architecture)
        assert ".target sm_{}{}".format(*architecture) in text
        assert "atom." not in text and "shfl" not in text
        if real is np.float32:  # the formulas stay in float32: no float64 divisions or comparisons of spreads
            assert "div.rn.f64" not in text and "setp.le.f64" not in text and "setp.gt.f64" not in text
        registers, spilled = ptx.assembled(text, architecture, tmp_path)
        assert spilled == 0
        # tetrahedra, which are few, may take what a thread has: two blocks still fit
        assert registers <= (255 if name.startswith("order 3") else MOST_REGISTERS[real])
