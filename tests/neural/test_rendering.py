"""The renderer in a torch graph against the renderer itself and against finite differences."""

import numpy as np
import pytest

import cytoform as cf
from cytoform.errors import ConfigError, MeshError

torch = pytest.importorskip("torch")

from cytoform.neural.rendering import render  # noqa: E402

GRID = cf.Grid((8, 9, 7), (0.5, 0.45, 0.55))
PSF = cf.GaussianPSF(np.array([[0.5, 0.05, 0.0], [0.05, 0.4, 0.02], [0.0, 0.02, 0.45]]))
FACES = np.array([[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]])
# All modes, so that the band does not change with the PSF; sums to the last digits, so that differences hold.
EXACT = dict(cutoff=0.0, tolerance=1e-12, backend="exact", device="cpu")


def octahedron(dtype=torch.float64):
    corners = np.concatenate([s * np.eye(3)[:, None] for s in (1, -1)], 1).reshape(6, 3) * [1.0, 0.8, 0.9]
    return torch.tensor(corners + [2.0, 2.1, 1.9], dtype=dtype)


def densities(dtype=torch.float64):
    return torch.tensor(np.random.default_rng(0).uniform(0.5, 1.5, len(FACES)), dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("normalize", [False, True])
def test_is_the_renderer(dtype, normalize):
    vertices, density = octahedron(dtype).requires_grad_(), densities(dtype).requires_grad_()
    theta = torch.tensor(PSF.parameters, requires_grad=True)
    options = dict(normalize=normalize, backend="exact", device="cpu")
    image = render(vertices, torch.tensor(FACES), PSF, GRID, density=density, psf_parameters=theta, **options)
    mesh = cf.SurfaceMesh(vertices.detach().numpy(), FACES, density.detach().numpy())
    assert image.dtype == dtype and image.device == vertices.device
    np.testing.assert_allclose(image.detach().numpy(), cf.render(mesh, PSF, GRID, **options), rtol=1e-5, atol=1e-7)
    cotangent = torch.randn(GRID.shape, dtype=dtype, generator=torch.Generator().manual_seed(1))
    image.backward(cotangent)
    want = cf.render_vjp(mesh, PSF, GRID, cotangent.numpy(), **options)
    for tensor, array in ((vertices, want.vertices), (density, want.density), (theta, want.psf)):
        assert tensor.grad.dtype == tensor.dtype
        np.testing.assert_allclose(tensor.grad.numpy(), array, rtol=1e-5, atol=1e-6 * np.abs(array).max())


def test_density_is_one_by_default():
    vertices = octahedron()
    mesh = cf.SurfaceMesh(vertices.numpy(), FACES)
    np.testing.assert_allclose(render(vertices, FACES, PSF, GRID).numpy(), cf.render(mesh, PSF, GRID), atol=1e-12)


@pytest.mark.parametrize("normalize", [False, True])
def test_gradients_are_those_of_finite_differences(normalize):
    vertices, density = octahedron().requires_grad_(), densities().requires_grad_()
    theta = torch.tensor(PSF.parameters, requires_grad=True)

    def image(v, d, p):
        return render(v, FACES, PSF, GRID, density=d, psf_parameters=p, normalize=normalize, **EXACT)

    assert torch.autograd.gradcheck(image, (vertices, density, theta), eps=1e-5, atol=1e-8, rtol=1e-5, fast_mode=True)


def test_only_what_needs_a_gradient_gets_one():
    vertices, density = octahedron(), densities().requires_grad_()
    render(vertices, FACES, PSF, GRID, density=density, psf_parameters=torch.tensor(PSF.parameters)).sum().backward()
    areas = cf.SurfaceMesh(vertices.numpy(), FACES).face_areas / GRID.voxel_volume
    np.testing.assert_allclose(density.grad.numpy(), areas, rtol=1e-8)  # the sum of the image is the mass
    assert vertices.grad is None
    assert not render(vertices, FACES, PSF, GRID).requires_grad


def test_later_changes_in_place_do_not_reach_the_gradient():
    vertices = octahedron().requires_grad_()
    moved = vertices * 1.0
    image = render(moved, FACES, PSF, GRID, density=densities())
    with torch.no_grad():
        moved.mul_(0.0)
    image.square().sum().backward()
    mesh = cf.SurfaceMesh(vertices.detach().numpy(), FACES, densities().numpy())
    want = cf.render_vjp(mesh, PSF, GRID, 2 * cf.render(mesh, PSF, GRID)).vertices
    np.testing.assert_allclose(vertices.grad.numpy(), want, rtol=1e-6, atol=1e-9 * np.abs(want).max())


class Shift(torch.nn.Module):
    """A mesh that can move as a whole, and whose membrane can be brighter or darker."""

    def __init__(self):
        super().__init__()
        self.offset = torch.nn.Parameter(torch.zeros(3))
        self.gain = torch.nn.Parameter(torch.ones(()))

    def forward(self):
        vertices = octahedron(torch.float32) + self.offset
        return render(vertices, FACES, PSF, GRID, density=self.gain * torch.ones(len(FACES)))


def test_a_module_finds_the_place_and_the_brightness():
    offset, gain = np.array([0.2, -0.15, 0.1]), 1.4
    truth = cf.SurfaceMesh(octahedron().numpy() + offset, FACES, np.full(len(FACES), gain))
    target = torch.tensor(cf.render(truth, PSF, GRID), dtype=torch.float32)
    module = Shift()
    optimizer = torch.optim.LBFGS(module.parameters(), max_iter=25, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = (module() - target).square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    np.testing.assert_allclose(module.offset.detach().numpy(), offset, atol=2e-3)
    assert float(module.gain.detach()) == pytest.approx(gain, rel=2e-3)


def test_errors_name_what_is_wrong():
    vertices = octahedron()
    with pytest.raises(ConfigError, match=r"vertices is a ndarray; expected a torch tensor\. For arrays"):
        render(vertices.numpy(), FACES, PSF, GRID)
    with pytest.raises(ConfigError, match="density is a list"):
        render(vertices, FACES, PSF, GRID, density=[1.0] * 8)
    with pytest.raises(ConfigError, match=r"psf_parameters has shape \(3,\); expected \(6,\)"):
        render(vertices, FACES, PSF, GRID, psf_parameters=torch.zeros(3))
    with pytest.raises(MeshError, match="float16"):
        render(vertices.half(), FACES, PSF, GRID)
    with pytest.raises(MeshError):
        render(vertices, FACES + 10, PSF, GRID)
    with pytest.raises(MeshError):
        render(vertices, FACES, PSF, GRID, density=torch.ones(3))


def test_second_derivatives_are_refused():
    vertices = octahedron().requires_grad_()
    (slope,) = torch.autograd.grad(render(vertices, FACES, PSF, GRID).square().sum(), vertices, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.square().sum().backward()
