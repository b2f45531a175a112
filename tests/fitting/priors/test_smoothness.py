"""Smoothness and contact: gradients and closed forms; and what a user's own prior does."""

import numpy as np
import pytest
from fitting.simulated import ball, lattice

import cytoform as cf
from cytoform.fitting.constants import SLIDING_STIFFNESS
from cytoform.fitting.priors.smoothness import Contact, Smoothness
from cytoform.mesh import shapes
from cytoform.mesh.geometry import vertex_normals


def test_gradient_against_finite_differences():
    rng = np.random.default_rng(0)
    mesh = shapes.ellipsoid((1.0, 1.3, 0.8), subdivisions=2)
    energy, move = Smoothness(mesh, 0.3), rng.normal(size=mesh.vertices.shape)
    _, gradient = energy(mesh)
    step = 1e-5
    up, down = (energy(mesh.with_vertices(mesh.vertices + s * step * move))[0] for s in (1, -1))
    assert float((gradient * move).sum()) == pytest.approx((up - down) / (2 * step), rel=1e-8)


def test_a_vertex_counts_for_its_weight():
    """One vertex alone against the mean of its neighbours' means, by hand; and the gradient."""
    rng = np.random.default_rng(3)
    mesh = shapes.ellipsoid((1.0, 1.3, 0.8), subdivisions=2)

    def umbrella(values):
        near = [np.setdiff1d(mesh.faces[(mesh.faces == i).any(axis=1)], i) for i in range(mesh.n_vertices)]
        return np.array([values[i] - values[ring].mean(axis=0) for i, ring in enumerate(near)])

    twice = umbrella(umbrella(mesh.vertices))
    factor = 32.0 / (np.sqrt(3.0) * 0.3**2)
    only = np.zeros(mesh.n_vertices)
    only[17] = 2.5
    assert Smoothness(mesh, 0.3, only)(mesh)[0] == pytest.approx(2.5 * factor * (twice[17] ** 2).sum(), rel=1e-9)
    along = (twice * vertex_normals(mesh.vertices, mesh.faces)).sum(axis=1)
    np.testing.assert_allclose(Smoothness(mesh, 0.3, only).roughness(mesh), factor * along**2, rtol=1e-7, atol=1e-15)
    energy, move = Smoothness(mesh, 0.3, rng.uniform(0.1, 20.0, mesh.n_vertices)), rng.normal(size=(mesh.n_vertices, 3))
    up, down = (energy(mesh.with_vertices(mesh.vertices + s * 1e-5 * move))[0] for s in (1, -1))
    assert float((energy(mesh)[1] * move).sum()) == pytest.approx((up - down) / 2e-5, rel=1e-7)


@pytest.mark.parametrize("width", [5.0, 7.0])
def test_a_bump_costs_what_its_curvature_says(width):
    # h = a exp(-r²/2w²) over a plane, H = Δh / 2: (e⁴ / 3) ∫ (ΔH)² dA = 2 π a² e⁴ / w⁶
    edge, height = 0.3, 0.05
    flat, width = lattice(edge), width * edge
    off = flat.vertices - flat.vertices.mean(axis=0)
    bump = height * np.exp(-0.5 * (off**2).sum(axis=1) / width**2)
    energy = Smoothness(flat, edge)
    bent = flat.with_vertices(flat.vertices + bump[:, None] * np.array([1.0, 0.0, 0.0]))
    wanted = 2.0 * np.pi * height**2 * edge**4 / width**6
    assert energy(bent)[0] - energy(flat)[0] == pytest.approx(wanted, rel=0.1)  # of order (e / w)²


def sheets(gap, edge=0.3):
    """A flat box with two sheets `gap` apart: an ellipsoid would touch along a line only."""
    slab = shapes.ellipsoid((1.0, 3.0, 3.0), edge=edge)
    z, y, x = slab.vertices.T
    flat = np.where(z >= 0, 1.0, -1.0) * 0.5 * gap
    return slab.with_vertices(np.stack([np.where(np.hypot(y, x) < 2.0, flat, z), y, x], axis=1))


def test_contact_is_a_wall_one_edge_thick():
    edge = 0.3
    last_pause = sheets(0.5)
    energy = Contact(last_pause, edge, 2.5 * edge)
    assert energy(last_pause)[0] == 0.0  # further apart than an edge
    values = []
    for gap in (0.25, 0.1, 0.0, -0.1):  # the last: passed through each other
        value, slope = energy(sheets(gap))
        values.append(value)
        upper = (last_pause.vertices[:, 0] > 0.2) & (np.hypot(*last_pause.vertices.T[1:]) < 1.5)
        assert (slope[upper, 0] < 0).mean() > 0.9 and np.abs(slope.sum(axis=0)).max() < 1e-9  # pushed up; no net force
    assert (np.diff(values) > 0).all()
    assert values[3] / values[2] == pytest.approx((1 + 0.1 / edge) ** 2, rel=1e-9)
    assert values[1] / values[2] == pytest.approx((1 - 0.1 / edge) ** 2, rel=1e-9)


def test_contact_gradient_against_finite_differences():
    rng = np.random.default_rng(1)
    mesh = sheets(0.2)
    energy, move = Contact(mesh, 0.3, 0.75), rng.normal(size=mesh.vertices.shape)
    step = 1e-6
    up, down = (energy(mesh.with_vertices(mesh.vertices + s * step * move))[0] for s in (1, -1))
    assert float((energy(mesh)[1] * move).sum()) == pytest.approx((up - down) / (2 * step), rel=1e-6)


def test_a_convex_body_touches_nothing():
    ball = shapes.icosphere(2.0, subdivisions=3)
    assert Contact(ball, 0.3, 0.75)(ball) == (0.0, pytest.approx(0.0))


def test_scale_does_not_matter():
    mesh = shapes.lobed_cell(1, 3.0, edge=0.6)
    small = Smoothness(mesh, 0.6)(mesh)[0]
    assert Smoothness(mesh, 1.8)(mesh.with_vertices(3.0 * mesh.vertices))[0] == pytest.approx(small, rel=1e-9)


@pytest.mark.slow
def test_a_users_prior_is_heard_as_loudly_as_it_speaks():
    truth, volume, psf = ball()
    grid_centre = volume.grid.centre

    def towards(weight):
        """The surface's points are normally distributed about a place above the cell."""

        def prior(mesh):
            off = mesh.vertices.mean(axis=0) - (grid_centre + np.array([0.5, 0.0, 0.0]))
            return 0.5 * weight * float(off @ off), np.broadcast_to(weight * off / mesh.n_vertices, mesh.vertices.shape)

        return prior

    config = cf.FitConfig(iterations=60, infer_psf=False, edge=0.45, device="cpu")
    heights = [
        cf.fit(volume, psf=psf, config=config, prior=towards(w)).mesh.vertices[:, 0].mean() for w in (0.0, 1.0, 1e9)
    ]
    assert abs(heights[0] - truth.vertices[:, 0].mean()) < 0.03
    assert abs(heights[1] - heights[0]) < 0.03  # thousands of voxels know better
    assert abs(heights[2] - grid_centre[0] - 0.5) < 0.05


def test_second_derivatives_with_sliding_against_dense_algebra():
    rng = np.random.default_rng(2)
    mesh = shapes.ellipsoid((1.0, 1.3, 0.8), subdivisions=2)
    energy, n = Smoothness(mesh, 0.3), mesh.n_vertices
    normals = vertex_normals(mesh.vertices, mesh.faces)
    base = energy(mesh)[1]
    whole = np.empty((3 * n, 3 * n))  # column by column from the gradient, which is linear
    for k in range(3 * n):
        move = np.zeros(3 * n)
        move[k] = 1.0
        whole[:, k] = (energy(mesh.with_vertices(mesh.vertices + move.reshape(n, 3)))[1] - base).ravel()
    turns = np.linalg.svd(normals[:, :, None])[0]  # the normal first, then two directions along the surface
    out, along = np.zeros((3 * n, n)), np.zeros((3 * n, 2 * n))
    for i in range(n):
        out[3 * i : 3 * i + 3, i] = normals[i]
        along[3 * i : 3 * i + 3, 2 * i : 2 * i + 2] = turns[i][:, 1:]
    free = along.T @ whole @ along + SLIDING_STIFFNESS * np.eye(2 * n)
    cross = along.T @ whole @ out
    wanted = out.T @ whole @ out - cross.T @ np.linalg.solve(free, cross)
    modes = rng.normal(size=(n, 5))
    np.testing.assert_allclose(energy.second(modes, normals), modes.T @ wanted @ modes, rtol=1e-6)


def test_contact_is_heard_as_far_as_it_is_sought():
    """Two flat bodies, face to face, five edges apart, that come near: only a reach of as much keeps them apart."""
    edge = 0.2
    flat = [shapes.ellipsoid((0.3, 2.0, 2.0), (z, 0.0, 0.0), edge=edge) for z in (0.0, 0.6 + 5 * edge)]
    faces = np.concatenate([flat[0].faces, flat[1].faces + flat[0].n_vertices])
    mesh = cf.SurfaceMesh(np.concatenate([body.vertices for body in flat]), faces)
    upper = np.arange(mesh.n_vertices) >= flat[0].n_vertices
    near = mesh.with_vertices(mesh.vertices - np.outer(upper, [4.5 * edge, 0.0, 0.0]))
    far, short = Contact(mesh, edge, 6.5 * edge), Contact(mesh, edge, 2.5 * edge)
    assert far(mesh)[0] == pytest.approx(short(mesh)[0])  # nothing is near but the rims of each
    assert far(near)[0] > short(near)[0] + 2.0
    push = far(near)[1] - short(near)[1]
    assert push[upper, 0].sum() < -1.0 and push[~upper, 0].sum() > 1.0  # down the slope they go apart
