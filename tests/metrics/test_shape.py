"""Sphericity: sphere, cube, and the powers between the variants."""

import math

import pytest

from cytoform.errors import MeshError
from cytoform.mesh.shapes import icosphere
from cytoform.metrics import sphericity, sphericity_media2024, sphericity_miccai2022

ALL = [sphericity, sphericity_media2024, sphericity_miccai2022]


@pytest.mark.parametrize("measure", ALL)
def test_a_sphere_has_one_at_any_size(measure):
    assert measure(4 / 3 * math.pi * 2.5**3, 4 * math.pi * 2.5**2) == pytest.approx(1.0, rel=1e-14)


def test_a_cube():
    assert sphericity(1.0, 6.0) == pytest.approx((math.pi / 6) ** (1 / 3))


def test_the_variants_are_powers_of_wadells():
    wadell = sphericity(3.0, 20.0)
    assert sphericity_miccai2022(3.0, 20.0) == pytest.approx(wadell**-1.5)
    assert sphericity_media2024(3.0, 20.0) == pytest.approx(wadell**3)


def test_of_a_mesh_it_stays_below_one():
    ball = icosphere(3.0, subdivisions=4)
    assert 0.998 < sphericity(ball.volume, ball.area) < 1.0


@pytest.mark.parametrize("measure", ALL)
@pytest.mark.parametrize(("volume", "area"), [(0.0, 1.0), (-1.0, 1.0), (1.0, math.nan)])
def test_without_volume_there_is_none(measure, volume, area):
    with pytest.raises(MeshError, match="positive"):
        measure(volume, area)
