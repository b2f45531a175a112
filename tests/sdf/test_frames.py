"""Surfaces of frames against spheres."""

import math

import numpy as np
import pytest

from cytoform.image.volume import Grid
from cytoform.mesh import topology
from cytoform.sdf import SDFSequence
from cytoform.sdf.frames import field_mesh, frame_mesh


def sphere(grid, radius, centre):
    z, y, x = np.meshgrid(*grid.coordinates(), indexing="ij")
    return (np.sqrt((z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2) - radius).astype(np.float32)


def test_a_surface_lies_where_the_field_is_zero():
    grid, centre = Grid((26, 40, 44), (0.4, 0.25, 0.25), (3.0, -2.0, 1.0)), (8.1, 2.7, 6.5)
    mesh = field_mesh(sphere(grid, 2.5, centre), grid)
    assert topology.is_closed(mesh) and mesh.volume == pytest.approx(4 / 3 * math.pi * 2.5**3, rel=0.01)
    assert np.linalg.norm(mesh.vertices - centre, axis=1) == pytest.approx(2.5, abs=0.02)


def test_what_the_grid_cuts_is_closed_there():
    grid = Grid((21, 21, 21), 0.5)
    mesh = field_mesh(sphere(grid, 4.0, (0.0, 5.0, 5.0)), grid)
    assert topology.is_closed(mesh) and mesh.volume == pytest.approx(2 / 3 * math.pi * 4.0**3, rel=0.05)


def test_a_frame_of_a_sequence_is_centred_and_may_be_empty():
    grid = Grid((20, 20, 20), 0.5)
    data = np.stack([sphere(grid, 3.0, tuple(grid.centre)), np.ones(grid.shape, np.float32)])
    sequence = SDFSequence.from_array(data, 0.5)
    assert np.abs(frame_mesh(sequence, 0).vertices.mean(axis=0)).max() < 0.01
    assert frame_mesh(sequence, 1) is None
