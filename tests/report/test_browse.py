"""Every slice of data, model and residual is on the page, where its place says."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from cytoform.report import browse
from cytoform.report.figures import window
from cytoform.report.maps import _colour_scale, widened_range

from .example import example


def content(data):
    return json.loads(re.search(r">(.*)</script>", browse.browse_script(data)).group(1))


def slices(found, name):
    """The stack out of its mosaic."""
    nz, ny, nx = found["shape"]
    mosaic = np.asarray(Image.open(io.BytesIO(base64.b64decode(found[name]))))
    at = [divmod(k, found["columns"]) for k in range(nz)]
    return np.stack([mosaic[r * ny : (r + 1) * ny, c * nx : (c + 1) * nx] for r, c in at])


@pytest.mark.slow
def test_the_mosaics_hold_the_slices():
    data = example()
    found = content(data)
    box = window(data).box
    raw = np.asarray(data.image.data[box], dtype=float)
    assert found["shape"] == list(raw.shape)
    for name, part in (("data", raw), ("model", np.asarray(data.model[box], dtype=float))):
        shown = slices(found, name).astype(float).ravel()
        inner = (shown > 0) & (shown < 255)
        assert np.corrcoef(shown[inner], part.ravel()[inner])[0, 1] > 0.9999
    colours = slices(found, "residual").astype(float)
    residual = raw - data.model[box]
    assert ((colours[..., 0] > colours[..., 2]) == (residual > 0))[abs(residual) > 0.5].all()  # red where too bright
    assert found["places"][found["first"]] == pytest.approx(window(data).position(0), abs=0.21)


def test_lines_lie_on_the_surface():
    data = example()
    found = content(data)
    view = window(data)
    for k, lines in enumerate(found["lines"]):
        for line in lines:
            x, y = np.array(line[::2]) - 0.5, np.array(line[1::2]) - 0.5
            where = np.column_stack([np.full(len(x), found["places"][k]),
                                     view.grid.origin[1] + y * view.grid.spacing[1],
                                     view.grid.origin[2] + x * view.grid.spacing[2]])  # fmt: skip
            off = (where - 0.1 - data.image.grid.centre) / (2.0, 2.4, 2.8)  # the example's ellipsoid
            assert abs(np.linalg.norm(off, axis=1) - 1).max() < 0.03
    assert sum(map(len, found["lines"])) > 5


def test_large_windows_are_thinned(monkeypatch):
    monkeypatch.setattr(browse, "MAX_VOXELS", 2000)
    data = example()
    found = content(data)
    assert np.prod(found["shape"]) <= 2.5 * 2000
    assert slices(found, "data").shape == tuple(found["shape"])
    inside = [k for k, lines in enumerate(found["lines"]) if lines]
    assert inside and found["first"] in inside


def test_colours_do_not_exaggerate():
    assert widened_range(0.99, 1.01) == pytest.approx((0.9, 1.1))
    assert widened_range(0.5, 1.5) == (0.5, 1.5)
    norm = _colour_scale(np.random.default_rng(0).uniform(0.3299, 0.3301, 500)).norm
    assert norm.vmax - norm.vmin == pytest.approx(0.066, rel=0.01)
    both = _colour_scale(np.linspace(-0.2, 0.4, 101)).norm
    assert both.vmin == -both.vmax
