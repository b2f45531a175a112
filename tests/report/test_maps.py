"""Maps on the surface."""

import numpy as np
import pytest

from cytoform.errors import ConfigError
from cytoform.mesh import shapes
from cytoform.report import maps_figure


def test_each_map_has_two_views_and_a_scale_that_suits_its_sign():
    mesh = shapes.icosphere(2.0, subdivisions=3)
    height = mesh.vertices[:, 0]
    figure = maps_figure(mesh, {"signed": height, "plain": height + 5.0})
    views = [a for a in figure.axes if a.collections and len(a.collections[0].get_paths()) > 100]
    assert len(views) == 4
    labels = [a.get_xlabel() for a in figure.axes if a.get_xlabel()]
    assert labels == ["signed", "plain"]
    low, high = next(a for a in figure.axes if a.get_xlabel() == "signed").get_xlim()
    assert low == pytest.approx(-high)
    low, high = next(a for a in figure.axes if a.get_xlabel() == "plain").get_xlim()
    assert 3.0 <= low < high <= 7.0


def test_one_side_is_not_the_other():
    mesh = shapes.icosphere(2.0, subdivisions=3)
    half = (mesh.vertices[:, 2] > 0).astype(float)
    figure = maps_figure(mesh, {"half": half})
    colours = [a.collections[0].get_facecolors().mean(axis=0) for a in figure.axes[:2]]
    assert np.abs(colours[0] - colours[1]).max() > 0.05


def test_maps_that_do_not_fit_are_refused():
    mesh = shapes.icosphere(2.0, subdivisions=1)
    with pytest.raises(ConfigError, match="short"):
        maps_figure(mesh, {"short": np.zeros(3)})
    with pytest.raises(ConfigError, match="no maps"):
        maps_figure(mesh, {})
