"""Overlap: closed forms."""

import numpy as np
import pytest

from cytoform.errors import MeshError, VolumeError
from cytoform.mesh.shapes import icosphere
from cytoform.mesh.surface import SurfaceMesh
from cytoform.metrics import dice, iou, mesh_iou

GRID_TOLERANCE = 2e-3  # counting voxels of a fiftieth of the radius


def test_iou_and_dice_of_masks():
    a, b = np.zeros((4, 4, 4), bool), np.zeros((4, 4, 4), bool)
    a[:2], b[1:3] = True, True
    assert iou(a, b) == pytest.approx(1 / 3)
    assert dice(a, b) == pytest.approx(1 / 2)
    assert iou(a, a) == dice(a, a) == 1.0
    assert iou(a, ~a) == dice(a, ~a) == 0.0
    assert iou(a & ~a, b & ~b) == dice(a & ~a, b & ~b) == 1.0
    with pytest.raises(VolumeError, match="same shape"):
        iou(a, b[1:])


def test_mesh_iou_of_concentric_spheres_is_the_ratio_of_their_volumes():
    a, b = icosphere(5.0, (1, 2, 3), 4), icosphere(4.5, (1, 2, 3), 4)
    assert mesh_iou(a, b, 0.1) == pytest.approx(0.9**3, abs=GRID_TOLERANCE)
    assert mesh_iou(a, a, (0.3, 0.1, 0.1)) == 1.0


def test_mesh_iou_of_spheres_apart_and_overlapping():
    a, b = icosphere(5.0, (0, 0, 0), 4), icosphere(5.0, (0, 0, 5.0), 4)
    lens = 5 / 16  # part of a sphere's volume that one a radius away shares
    assert mesh_iou(a, b, 0.1) == pytest.approx(lens / (2 - lens), abs=GRID_TOLERANCE)
    assert mesh_iou(a, icosphere(1.0, (0, 0, 20.0), 2), 0.5) == 0.0


def test_mesh_iou_refuses_open_surfaces():
    ball = icosphere(1.0)
    with pytest.raises(MeshError, match="open"):
        mesh_iou(ball, SurfaceMesh(ball.vertices, ball.faces[1:]), 0.1)
