"""The film of a fit."""

import numpy as np
import pytest
from fitting.simulated import ball
from PIL import Image

import cytoform as cf
from cytoform.errors import ConfigError
from cytoform.fitting import Film
from cytoform.mesh import shapes
from cytoform.report import write_film


@pytest.mark.slow
def test_a_fits_film_shows_the_surface_move(tmp_path):
    _, volume, psf = ball()
    film = Film(every=3)
    cf.fit(volume, psf=psf, config=cf.FitConfig(iterations=8, uncertainty=False, device="cpu"), callbacks=(film,))
    assert [title.split("step ")[1].split(",")[0] for title, _ in film.frames] == ["1", "3", "6"]
    film.save(tmp_path / "film.gif", volume)
    picture = Image.open(tmp_path / "film.gif")
    assert picture.n_frames == 3 and picture.info["loop"] == 0
    shown = []
    for frame in range(3):
        picture.seek(frame)
        shown.append(np.asarray(picture.convert("RGB"), dtype=int))
    assert np.abs(shown[0] - shown[2]).max() > 100


def test_the_contour_lies_where_the_surface_is(tmp_path):
    grid = cf.Grid((20, 40, 40), 0.2)
    volume = cf.Volume(np.zeros(grid.shape), 0.2)
    for radius in (1.0, 3.0):
        write_film(tmp_path / "one.gif", volume, [("", shapes.icosphere(radius, tuple(grid.centre), 3))])
        pixels = np.asarray(Image.open(tmp_path / "one.gif").convert("RGB"), dtype=int)[:, :237]
        bright = (pixels[..., 0] > 150) & (pixels[..., 2] < 90)
        columns = np.flatnonzero(bright.any(axis=0))
        size = (columns.max() - columns.min()) / 0.32 / 720 * 8.0  # µm: the panel shows 8 µm
        assert size == pytest.approx(2 * radius, rel=0.06)


def test_what_cannot_be(tmp_path):
    with pytest.raises(ConfigError, match="frame"):
        write_film(tmp_path / "no.gif", cf.Volume(np.zeros((4, 4, 4)), 1.0), [])
    with pytest.raises(ConfigError, match="every"):
        Film(every=0)
