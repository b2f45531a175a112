"""Virtual work against differences of the energy itself."""

import numpy as np
from oracles.bubbles import double_bubble

from cytoform.mechanics.balance import Unknowns, force_matrix, stiffness_matrix
from cytoform.mesh import geometry
from cytoform.mesh.junctions import interface_numbers


def _setting():
    bubble = double_bubble((1, 0.8, 0.6), rings=4)
    mesh = bubble.mesh
    pairs, numbers = interface_numbers(mesh.labels)
    unknowns = Unknowns(pairs, numbers, np.array([1, 2]), mesh.labels - 1, np.ones(mesh.n_faces, dtype=bool))
    rng = np.random.default_rng(0)
    vertices = mesh.vertices + 0.1 * rng.normal(size=mesh.vertices.shape)
    return mesh, unknowns, vertices, np.array([1.1, 0.7, 0.9, 0.4, 0.3])


def _energy(mesh, vertices, values):
    """Σ γ A - Σ p V, from the areas of the faces and the volumes of the regions' surfaces."""
    moved = mesh.with_vertices(vertices)
    tension = dict(zip([(0, 1), (0, 2), (1, 2)], values[:3]))
    by_face = np.array([tension[tuple(sorted(pair))] for pair in mesh.labels.tolist()])
    volumes = moved.region_volumes()
    return (by_face * moved.face_areas).sum() - values[3] * volumes[1] - values[4] * volumes[2]


def test_forces_are_the_slope_of_the_energy():
    mesh, unknowns, vertices, values = _setting()
    slope = force_matrix(vertices, mesh.faces, unknowns) @ values
    for seed in range(4):
        move = np.random.default_rng(seed).normal(size=vertices.shape)
        ends = [_energy(mesh, vertices + step * move, values) for step in (-1e-5, 1e-5)]
        np.testing.assert_allclose(slope @ move.reshape(-1), (ends[1] - ends[0]) / 2e-5, rtol=1e-6)


def test_a_face_without_equation_has_no_tension():
    mesh, unknowns, vertices, values = _setting()
    silent = Unknowns(
        unknowns.pairs, unknowns.pair_of_face, unknowns.regions, unknowns.sides, unknowns.pair_of_face > 0
    )
    matrix = force_matrix(vertices, mesh.faces, silent)
    assert abs(matrix[:, 0]).sum() == 0 and abs(matrix[:, 1]).sum() > 0


def test_stiffness_is_that_of_a_flat_sheet():
    """Off a plane, a field u has the energy γ ½ ∫ |∇u|²: for u = x that is γ · area / 2."""
    n = 7
    y, x = (a.reshape(-1).astype(float) for a in np.meshgrid(range(n), range(n), indexing="ij"))
    corner = np.array([i * n + j for i in range(n - 1) for j in range(n - 1)])
    faces = np.concatenate(
        [np.stack([corner, corner + 1, corner + n], 1), np.stack([corner + 1, corner + n + 1, corner + n], 1)]
    )
    flat = np.stack([np.zeros_like(x), y, x], axis=1)
    numbers = np.zeros(len(faces), dtype=np.int64)
    on = np.ones(len(faces), dtype=bool)
    unknowns = Unknowns(np.array([[0, 1]]), numbers, np.array([1]), np.tile([-1, 0], (len(faces), 1)), on)
    matrix = stiffness_matrix(flat, faces, unknowns, np.array([1.5, 0.2]))
    lifted = np.zeros_like(flat)
    lifted[:, 0] = x
    energy = 0.5 * lifted.reshape(-1) @ (matrix @ lifted.reshape(-1))
    np.testing.assert_allclose(energy, 0.5 * 1.5 * geometry.face_areas(flat, faces).sum(), rtol=1e-12)
    assert abs(matrix - matrix.T).max() < 1e-12
