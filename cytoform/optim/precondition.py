"""Preconditioner of gradients on a mesh, (1 + λL)^(-2), factored once per connectivity."""

from __future__ import annotations

import importlib.util

import numpy as np
from scipy.sparse import csc_matrix, identity
from scipy.sparse.linalg import splu

from .._typing import Array, Floats
from ..errors import BackendError, ConfigError
from ..mesh.laplacian import combinatorial_laplacian

__all__ = ["LaplacianPreconditioner"]

METHODS = ("auto", "cholespy", "splu")


class LaplacianPreconditioner:
    """Preconditioner that applies (1 + λL)^(-2) to gradients, with L the combinatorial Laplacian of the mesh.

    1 + λL is symmetric positive definite; its sparse factor is computed once and used twice. A constant gradient passes
    unchanged (the cell as a whole moves freely); a gradient that alternates from vertex to vertex is damped by about
    1 / (1 + 10 λ)². The same input gives the same bits on the same machine.

    Parameters
    ----------
    faces : (n_faces, 3) int
        Vertex indices of the triangles.
    n_vertices : int
        Number of vertices.
    strength : float
        λ, dimensionless, 0 or more; 0 leaves gradients unchanged.
    method : "auto", "cholespy" or "splu"
        Library of the sparse factor: "auto" takes cholespy where it is installed, SciPy's sparse LU otherwise. Results
        agree to rounding.

    Attributes
    ----------
    method : str
        "cholespy" or "splu", whichever is used.

    Raises
    ------
    ConfigError
        When `strength` is negative or `method` unknown.
    BackendError
        When cholespy was asked for and is not installed.

    References
    ----------
    Nicolet, Jacobson, Jakob, "Large Steps in Inverse Rendering of Geometry", ACM Trans. Graph. 40(6), 2021,
    doi 10.1145/3478513.3480501.
    """

    def __init__(self, faces: Array, n_vertices: int, strength: float = 50.0, *, method: str = "auto") -> None:
        if not (np.isfinite(strength) and strength >= 0):
            raise ConfigError(f"strength is {strength!r}; expected zero or more.")
        self.n_vertices, self.strength = int(n_vertices), float(strength)
        self.method = _choose_method(method)
        if self.strength > 0:
            laplacian = combinatorial_laplacian(faces, self.n_vertices)
            matrix = csc_matrix(identity(self.n_vertices, format="csc") + self.strength * laplacian)
            self._factor = _CholespyFactor(matrix) if self.method == "cholespy" else _SpluFactor(matrix)

    def solve(self, gradient: Array) -> Array:
        """Return (1 + λL)^(-2) gradient.

        Parameters
        ----------
        gradient : (n_vertices, k) or (n_vertices,) float
            Gradient, one row per vertex.

        Returns
        -------
        ndarray
            Smoothed gradient, of the shape and floating-point dtype of `gradient`.

        Raises
        ------
        ConfigError
            When the gradient does not have one row per vertex.
        """
        return self.solve_once(self.solve_once(np.asarray(gradient, dtype=np.float64))).astype(_float_dtype(gradient))

    def solve_once(self, gradient: Array) -> Array:
        """Return (1 + λL)^(-1) gradient, half of what :meth:`solve` does.

        Parameters
        ----------
        gradient : (n_vertices, k) or (n_vertices,) float
            Gradient, one row per vertex.

        Returns
        -------
        ndarray
            Solution of (1 + λL) x = gradient, of the shape and floating-point dtype of `gradient`.

        Raises
        ------
        ConfigError
            When the gradient does not have one row per vertex.
        """
        rows = np.array(gradient, dtype=np.float64, order="C")
        if rows.ndim not in (1, 2) or rows.shape[0] != self.n_vertices:
            raise ConfigError(f"gradient has shape {rows.shape}; expected {self.n_vertices} rows, one per vertex.")
        if self.strength > 0:
            rows = self._factor.solve(rows.reshape(self.n_vertices, -1)).reshape(rows.shape)
        return rows.astype(_float_dtype(gradient))


def _float_dtype(array: Array) -> np.dtype:
    """Return the dtype of an array where it is a floating-point one, else float64."""
    dtype = np.asarray(array).dtype
    return dtype if dtype.kind == "f" else np.dtype(np.float64)


def _choose_method(method: str) -> str:
    """Resolve `method` to "cholespy" or "splu": "auto" gives "cholespy" where it is installed.

    Raises ConfigError for an unknown name, and BackendError where cholespy is asked for and not installed.
    """
    if method not in METHODS:
        raise ConfigError(f"method is {method!r}; expected one of {', '.join(METHODS)}.")
    present = importlib.util.find_spec("cholespy") is not None
    if method == "cholespy" and not present:
        raise BackendError(
            "method is 'cholespy', and cholespy is not installed.", remedy="Install it, or use method='splu'."
        )
    return "splu" if method == "splu" or not present else "cholespy"


class _CholespyFactor:
    """Sparse Cholesky factor of a symmetric positive definite matrix, by cholespy."""

    def __init__(self, matrix: csc_matrix) -> None:
        from cholespy import CholeskySolverD, MatrixType

        entries = matrix.tocoo()
        rows, cols = entries.row.astype(np.int32), entries.col.astype(np.int32)
        self._solver = CholeskySolverD(matrix.shape[0], rows, cols, entries.data.astype(np.float64), MatrixType.COO)

    def solve(self, rows: Floats) -> Floats:
        """Return the solution x of matrix · x = rows, for `rows` of shape (n_vertices, k) in C order."""
        out = np.zeros_like(rows)
        self._solver.solve(rows, out)
        return out


class _SpluFactor:
    """Sparse LU factor of a symmetric positive definite matrix, by SciPy (SuperLU)."""

    def __init__(self, matrix: csc_matrix) -> None:
        # The matrix is symmetric and diagonally dominant: a symmetric ordering without pivoting is stable and sparse.
        options = {"SymmetricMode": True}
        self._factor = splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options)

    def solve(self, rows: Floats) -> Floats:
        """Return the solution x of matrix · x = rows, for `rows` of shape (n_vertices, k)."""
        return self._factor.solve(rows)
