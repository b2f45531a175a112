"""Images and spectra on the device against the host's; on numba's simulator NumPy stands in for CuPy.

The simulator's process runs these (``tests/kernels/test_cuda.py``). There arrays of the "device" refuse to be mixed
with those of the host, as CuPy's do.
"""

import functools
import gc
import types

import numpy as np
import pytest

import cytoform as cf
from cytoform import devices
from cytoform.errors import BackendError
from cytoform.fourier import on_device, pruned
from cytoform.image.band import Band
from cytoform.rendering import Renderer, Target

pytestmark = pytest.mark.gpu


class There(np.ndarray):
    """An array that says no to arrays of the host, and to NumPy's functions."""

    def get(self):
        return np.array(self.view(np.ndarray))

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **options):
        _refuse(*inputs, *(out or ()))
        inputs = [i.view(np.ndarray) if isinstance(i, There) else i for i in inputs]
        if out is not None:
            options["out"] = tuple(o.view(np.ndarray) for o in out)
        found = getattr(ufunc, method)(*inputs, **options)
        return out[0] if out is not None else np.asarray(found).view(There)

    def __array_function__(self, function, types, args, kwargs):
        raise TypeError(f"numpy.{function.__name__} of an array of the device")

    def __getitem__(self, key):
        _refuse(*(key if isinstance(key, tuple) else (key,)))
        return super().__getitem__(key)

    def __setitem__(self, key, value):
        _refuse(value, *(key if isinstance(key, tuple) else (key,)))
        super().__setitem__(key, value)


def _refuse(*arrays):
    if any(type(a) is np.ndarray and a.ndim for a in arrays):
        raise TypeError("an array of the host among the device's")


def _strict():
    """What the package uses of CuPy, with such arrays."""

    def there(function, takes_arrays=True):
        @functools.wraps(function)
        def wrapped(first, *rest, **options):
            if takes_arrays:
                _refuse(first)
            first = first.view(np.ndarray) if isinstance(first, There) else first
            return function(first, *rest, **options).view(There)

        return wrapped

    makers = {name: there(getattr(np, name), False) for name in ("asarray", "zeros", "empty", "full")}
    ffts = {name: there(getattr(np.fft, name)) for name in ("rfftn", "irfftn")}
    return types.SimpleNamespace(**makers, pad=there(np.pad), fft=types.SimpleNamespace(**ffts))


def _strict_kernels(kernels):
    """Kernels that take the device's arrays only; numba would copy others, at every call."""

    def guarded(kernel):
        def wrapped(*arrays, stream):
            if not all(isinstance(a, There) and a.flags.c_contiguous for a in arrays):
                raise TypeError("an array of the host, or not contiguous, for a kernel")
            kernel(*(a.view(np.ndarray) for a in arrays), stream=stream)

        return wrapped

    return types.SimpleNamespace(
        count_slices=kernels.count_slices, value=guarded(kernels.value), adjoint=guarded(kernels.adjoint)
    )


@pytest.fixture(autouse=True)
def device(monkeypatch):
    """The device's arrays: CuPy's, or strict ones in the simulator."""
    if not devices.has_cuda():
        pytest.skip("no CUDA device here; the simulator's process runs this test")
    if devices.device_arrays() is np:
        strict, loops = _strict(), devices.load_kernels
        kernels = _strict_kernels(loops("mesh_ft_cuda"))
        monkeypatch.setattr(devices, "device_arrays", lambda: strict)
        monkeypatch.setattr(devices, "device_stream", lambda: 0)
        monkeypatch.setattr(devices, "load_kernels", lambda name: kernels if name == "mesh_ft_cuda" else loops(name))
    on_device._modes_by_band.clear()
    return devices.device_arrays()


def test_the_strict_arrays_are_strict(device):
    if devices.has_cuda() and type(device) is not types.SimpleNamespace:
        pytest.skip("CuPy's own arrays are here")
    here, there = np.ones(3), device.asarray(np.ones(3))
    for mixed in (
        lambda: here * there, lambda: there + here, lambda: np.where(here, there, 0), lambda: np.stack([here, there]),
        lambda: there[np.arange(2)], lambda: there.__setitem__(slice(None), here),
        lambda: devices.load_kernels("mesh_ft_cuda").value(here, there, stream=0),
    ):  # fmt: skip
        with pytest.raises(TypeError, match="array of the"):
            mixed()
    assert type((2.0 * there).get()) is np.ndarray


def _ball(dtype):
    """An octahedron, 8 faces: the simulator takes its time."""
    corners = np.concatenate([np.eye(3), -np.eye(3)]) * [0.9, 1.1, 1.0]
    faces = [[0, 1, 2], [1, 3, 2], [3, 4, 2], [4, 0, 2], [1, 0, 5], [3, 1, 5], [4, 3, 5], [0, 4, 5]]
    density = np.random.default_rng(0).uniform(0.5, 1.5, 8)
    return cf.SurfaceMesh((corners + 2.0).astype(dtype), faces, density)


def _differ(found, wanted):
    return np.abs(found - wanted).max() / np.abs(wanted).max()


@pytest.mark.parametrize("shape", [(8, 9, 10), (7, 8, 9)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_images_and_bands_equal_the_hosts(device, shape, dtype):
    grid = cf.Grid(shape, (0.5, 0.4, 0.3))
    digits = 2e-6 if dtype == np.float32 else 1e-13
    rng = np.random.default_rng(0)
    for band in (Band.full(grid), cf.GaussianPSF.from_sigma(0.4).band(grid, 0.05)):
        box = band.restrict(np.fft.rfftn(rng.normal(size=shape))).astype(np.result_type(dtype, np.complex64))
        image = on_device.to_image(device.asarray(box), band)
        assert image.dtype == dtype
        assert _differ(devices.to_host(image), pruned.to_image(box, band)) < digits
        part = rng.normal(size=shape)[:6, :7, :5].astype(dtype)
        back = on_device.to_band(device.asarray(part), band)
        assert back.dtype == np.result_type(dtype, np.complex64)
        assert _differ(devices.to_host(back), pruned.to_band(part, band)) < digits


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_renderer_equals_the_hosts(device, dtype):
    """Image, gradients and both least-squares losses; the image measured is smaller than the grid."""
    mesh, grid = _ball(dtype), cf.Grid((8, 7, 9), 0.5, (0.1, 0.2, -0.1))
    psf = cf.GaussianPSF.from_sigma((0.7, 0.6, 0.6))
    band = psf.band(grid, 0.05)
    there, here = (Renderer(psf, band, "exact", place) for place in ("cuda", "cpu"))
    bar = 3e-6 if dtype == np.float32 else 1e-11
    rng = np.random.default_rng(1)
    image = there.render(mesh)
    assert type(image) is np.ndarray and image.dtype == dtype
    assert _differ(image, here.render(mesh)) < bar
    cotangent = rng.normal(size=grid.shape).astype(dtype)
    found, wanted = there.mesh_vjp(mesh, cotangent), here.mesh_vjp(mesh, cotangent)
    assert _differ(found.vertices, wanted.vertices) < bar and _differ(found.density, wanted.density) < bar
    spectrum = here.spectrum(mesh)
    assert _differ(there.spectrum(mesh), spectrum) < bar
    assert _differ(there.psf_vjp(spectrum, cotangent), here.psf_vjp(spectrum, cotangent)) < bar
    observed = (30.0 * image + rng.normal(size=grid.shape) + 100.0)[:8, :6, :7].astype(dtype)
    target = Target(observed, rng.uniform(0, 1, observed.shape).astype(dtype))
    found, wanted = there.least_squares(mesh, target), here.least_squares(mesh, target)
    for name in ("value", "gain", "background"):
        assert getattr(found, name) == pytest.approx(getattr(wanted, name), rel=10 * bar)
    assert _differ(found.mesh.vertices, wanted.mesh.vertices) < 30 * bar  # a difference of images
    found, wanted = there.psf_least_squares(spectrum, target), here.psf_least_squares(spectrum, target)
    assert found.value == pytest.approx(wanted.value, rel=10 * bar)
    assert _differ(found.psf, wanted.psf) < 30 * bar


def test_units_far_from_one_keep_float32(device):
    """Areas of 1e-30, whose products with small cotangents float32 does not hold."""
    grid, tiny = cf.Grid((5, 5, 5), 1.0), cf.Grid((5, 5, 5), 1e-15)
    mesh = _ball(np.float32)
    small = mesh.with_vertices(mesh.vertices * np.float32(1e-15))
    found, wanted = cf.mesh_ft(small, tiny, device="cuda"), cf.mesh_ft(mesh, grid, device="cpu", backend="exact")
    assert _differ(1e30 * found.astype(complex), wanted) < 1e-5
    cotangent = 1e-18 * wanted.astype(complex)
    found = cf.mesh_ft_vjp(small, tiny, cotangent, device="cuda").vertices.astype(float)
    wanted = cf.mesh_ft_vjp(mesh, grid, wanted, device="cpu", backend="exact").vertices
    assert _differ(found / np.abs(found).max(), wanted / np.abs(wanted).max()) < 1e-5


def test_a_fit_on_the_device_follows_that_on_the_host():
    mesh, grid = _ball(np.float64), cf.Grid((7, 7, 7), 0.6)
    psf = cf.GaussianPSF.from_sigma(0.8)
    image = cf.Volume(cf.render(mesh, psf, grid, device="cpu"), grid.spacing)
    start = mesh.with_vertices(2.0 + 1.1 * (mesh.vertices - 2.0))
    found = []
    for device in ("cuda", "cpu"):
        config = cf.FitConfig(
            iterations=2,
            blurs=0.0,
            preconditioning=10.0,
            edge=0.9,
            device=device,
            dtype="float64",
            pause_every=1000,
            uncertainty=False,
            infer_psf=False,
        )
        found.append(cf.fit(image, start, psf, config))
    assert np.abs(found[0].mesh.vertices - found[1].mesh.vertices).max() < 1e-8
    losses = [f.history["loss"].tolist() for f in found]
    assert losses[0] == pytest.approx(losses[1], rel=1e-8)
    assert abs(losses[0][1] - losses[0][0]) > 0.1 * losses[0][0]  # something moved


def test_modes_on_the_device_go_with_their_band():
    band = Band.symmetric(cf.Grid((6, 6, 6), 0.8))
    cf.mesh_ft(_ball(np.float32), band.grid, device="cuda", band=band)
    assert len(on_device._modes_by_band) == 1
    del band
    gc.collect()
    assert len(on_device._modes_by_band) == 0


def test_too_little_memory_says_what_to_do(device, monkeypatch):
    class OutOfMemoryError(MemoryError):
        pass

    def full(*arguments, **options):
        raise OutOfMemoryError("Out of memory allocating 4,294,967,296 bytes")

    monkeypatch.setattr(device, "zeros", full)
    with pytest.raises(BackendError, match=r"allocating 4,294,967,296.*device='cpu'"):
        cf.mesh_ft(_ball(np.float32), cf.Grid((6, 6, 6), 0.8), device="cuda")


def test_the_fast_transform_stays_on_the_cpu():
    mesh, grid = _ball(np.float32), cf.Grid((6, 6, 6), 0.8)
    found = cf.mesh_ft(mesh, grid, backend="nufft", tolerance=1e-5)
    assert _differ(found, cf.mesh_ft(mesh, grid, backend="exact", device="cpu")) < 1e-5
