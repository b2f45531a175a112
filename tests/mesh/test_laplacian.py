"""Against networkx, dense finite elements, and the eigenvalues of the sphere."""

import networkx
import numpy as np
import pytest
from scipy.sparse import diags
from scipy.sparse.linalg import eigsh

from cytoform.mesh import topology
from cytoform.mesh.laplacian import combinatorial_laplacian, cotangent_laplacian
from cytoform.mesh.shapes import icosphere

NON_MANIFOLD = np.array([[0, 1, 2], [1, 0, 3], [0, 1, 4], [5, 6, 7]])


@pytest.mark.parametrize("faces", [icosphere(subdivisions=2).faces, NON_MANIFOLD], ids=["sphere", "non-manifold"])
def test_combinatorial_agrees_with_networkx(faces):
    n = int(faces.max()) + 1
    graph = networkx.Graph()
    graph.add_nodes_from(range(n))
    graph.add_edges_from(topology.edges(faces).tolist())
    mine = combinatorial_laplacian(faces, n)
    assert mine.format == "csc" and mine.dtype == np.float64
    assert (mine.toarray() == networkx.laplacian_matrix(graph, nodelist=range(n)).toarray()).all()


def test_unused_vertices_have_zero_rows():
    mine = combinatorial_laplacian(NON_MANIFOLD, 10).toarray()
    assert mine.shape == (10, 10) and (mine[8:] == 0).all()
    assert (mine.sum(axis=1) == 0).all()


def dense_stiffness(vertices, faces):
    # ∫ ∇φ_i · ∇φ_j from the gradients of the hat functions, face by face.
    total = np.zeros((len(vertices), len(vertices)))
    for face in faces:
        p = vertices[face]
        normal = np.cross(p[1] - p[0], p[2] - p[0])
        area = np.linalg.norm(normal) / 2
        gradients = [np.cross(normal / (2 * area), p[(c + 2) % 3] - p[(c + 1) % 3]) / (2 * area) for c in range(3)]
        for i in range(3):
            for j in range(3):
                total[face[i], face[j]] += area * (gradients[i] @ gradients[j])
    return total


@pytest.mark.parametrize("faces", [icosphere(subdivisions=1).faces, NON_MANIFOLD], ids=["sphere", "non-manifold"])
def test_cotangent_agrees_with_finite_elements(faces):
    vertices = np.random.default_rng(0).normal(size=(int(faces.max()) + 1, 3))
    mine = cotangent_laplacian(vertices, faces).toarray()
    np.testing.assert_allclose(mine, dense_stiffness(vertices, faces), atol=1e-10 * np.abs(mine).max())
    np.testing.assert_allclose(mine.sum(axis=1), 0, atol=1e-10 * np.abs(mine).max())


def test_sphere_has_the_eigenvalues_of_spherical_harmonics():
    mesh = icosphere(subdivisions=4)
    stiffness = cotangent_laplacian(mesh.vertices, mesh.faces)
    share = np.bincount(mesh.faces.ravel(), weights=np.repeat(mesh.face_areas / 3, 3))  # a third of each face
    mass = diags(share, format="csc")
    start = np.random.default_rng(0).normal(size=mesh.n_vertices)
    values = np.sort(eigsh(stiffness, k=9, M=mass, sigma=-0.1, v0=start)[0])
    np.testing.assert_allclose(values, [0, 2, 2, 2, 6, 6, 6, 6, 6], atol=0.02)


def test_a_face_without_area_adds_nothing():
    vertices = np.array([[0.0, 0, 0], [0, 0, 1], [0, 0, 2]])
    assert abs(cotangent_laplacian(vertices, np.array([[0, 1, 2]]))).max() == 0
