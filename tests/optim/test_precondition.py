"""Both factorisations against a dense solve."""

import importlib.util

import numpy as np
import pytest

from cytoform.errors import BackendError, ConfigError
from cytoform.mesh.laplacian import combinatorial_laplacian
from cytoform.mesh.shapes import icosphere
from cytoform.optim.precondition import LaplacianPreconditioner

SOLVED = 1e-10  # relative; condition number about 1 + 12 λ squared, in float64
MESH = icosphere(subdivisions=2)
NON_MANIFOLD = np.array([[0, 1, 2], [1, 0, 3], [0, 1, 4]])

needs_cholespy = pytest.mark.skipif(importlib.util.find_spec("cholespy") is None, reason="cholespy is not installed")
methods = pytest.mark.parametrize("method", ["splu", pytest.param("cholespy", marks=needs_cholespy)])


@methods
@pytest.mark.parametrize("strength", [0.5, 50.0, 1000.0])
@pytest.mark.parametrize("faces, n", [(MESH.faces, MESH.n_vertices), (NON_MANIFOLD, 6)], ids=["sphere", "non-manifold"])
def test_equals_a_dense_solve(method, strength, faces, n):
    gradient = np.random.default_rng(0).normal(size=(n, 3))
    matrix = np.eye(n) + strength * combinatorial_laplacian(faces, n).toarray()
    once = np.linalg.solve(matrix, gradient)
    twice = np.linalg.solve(matrix, once)
    made = LaplacianPreconditioner(faces, n, strength, method=method)
    assert np.linalg.norm(made.solve_once(gradient) - once) <= SOLVED * np.linalg.norm(once)
    assert np.linalg.norm(made.solve(gradient) - twice) <= SOLVED * np.linalg.norm(twice)


@methods
def test_is_its_own_adjoint_and_keeps_the_input(method):
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, MESH.n_vertices, 3))
    before = a.copy()
    made = LaplacianPreconditioner(MESH.faces, MESH.n_vertices, method=method)
    assert (made.solve(a) * b).sum() == pytest.approx((a * made.solve(b)).sum(), rel=1e-10)
    assert (a == before).all()


@methods
def test_constants_pass_and_shapes_and_types_are_kept(method):
    made = LaplacianPreconditioner(MESH.faces, MESH.n_vertices, method=method)
    np.testing.assert_allclose(made.solve(np.ones((MESH.n_vertices, 3))), 1.0, rtol=SOLVED)
    assert made.solve(np.ones(MESH.n_vertices)).shape == (MESH.n_vertices,)
    assert made.solve(np.ones((MESH.n_vertices, 2), dtype=np.float32)).dtype == np.float32
    strided = np.random.default_rng(2).normal(size=(3, MESH.n_vertices)).T
    assert (made.solve(strided) == made.solve(strided.copy(order="C"))).all()


@methods
def test_is_deterministic(method):
    gradient = np.random.default_rng(3).normal(size=(MESH.n_vertices, 3))
    one, two = (LaplacianPreconditioner(MESH.faces, MESH.n_vertices, method=method) for _ in range(2))
    assert (one.solve(gradient) == two.solve(gradient)).all()
    assert (one.solve(gradient) == one.solve(gradient)).all()


def test_zero_strength_is_the_identity():
    gradient = np.random.default_rng(4).normal(size=(MESH.n_vertices, 3))
    made = LaplacianPreconditioner(MESH.faces, MESH.n_vertices, 0.0).solve(gradient)
    assert (made == gradient).all() and made is not gradient


def test_auto_falls_back_and_an_explicit_wish_does_not(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert LaplacianPreconditioner(MESH.faces, MESH.n_vertices).method == "splu"
    with pytest.raises(BackendError, match="splu"):
        LaplacianPreconditioner(MESH.faces, MESH.n_vertices, method="cholespy")


def test_refusals():
    with pytest.raises(ConfigError, match="strength"):
        LaplacianPreconditioner(MESH.faces, MESH.n_vertices, -1.0)
    with pytest.raises(ConfigError, match="method"):
        LaplacianPreconditioner(MESH.faces, MESH.n_vertices, method="lu")
    with pytest.raises(ConfigError, match="rows"):
        LaplacianPreconditioner(MESH.faces, MESH.n_vertices).solve(np.zeros((5, 3)))
