"""What the figures show: contours on the formula, scales in µm, widths."""

import io
import sys

import numpy as np
import pytest
from matplotlib.collections import LineCollection

from cytoform.errors import VolumeError
from cytoform.image.volume import Grid
from cytoform.mesh.shapes import ellipsoid, icosphere, torus
from cytoform.mesh.surface import SurfaceMesh
from cytoform.optics import GaussianPSF, NumericPSF
from cytoform.report import contours, loss_figure, psf_figure, slices_figure, surface_figure
from cytoform.report.figures import _round_length, outlines, psf_profile
from cytoform.report.surface_view import initial_yaw, view_axes

from .example import GRID, example

FACETS = 0.01  # µm, by which the sphere's flat faces lie inside of the round one


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("height", [0.0, 1.3, -2.9])
def test_contour_of_a_sphere_is_a_circle(axis, height):
    centre = np.array([1.0, 2.0, 3.0])
    segments = contours(icosphere(4.0, centre, 5), axis, centre[axis] + height)
    radius = np.linalg.norm(segments - np.delete(centre, axis), axis=-1)
    np.testing.assert_allclose(radius, np.sqrt(16.0 - height**2), atol=FACETS)
    length = np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1).sum()
    assert length == pytest.approx(2 * np.pi * np.sqrt(16.0 - height**2), rel=1e-2)


def test_a_plane_beside_the_surface_cuts_nothing():
    assert contours(icosphere(1.0), 0, 5.0).shape == (0, 2, 2)
    assert outlines(icosphere(1.0), 0, 5.0) == []


def test_a_plane_through_vertices_gives_closed_lines():
    mesh = icosphere(1.0, subdivisions=2)
    for height in np.unique(mesh.vertices[:, 0]):
        for line in outlines(mesh, 0, height):
            np.testing.assert_array_equal(line[0], line[-1])


def test_outlines_join_all_segments_and_part_the_loops():
    mesh = torus(4.0, 1.0)
    lines = outlines(mesh, 0, 0.1)
    assert len(lines) == 2 and all(np.array_equal(line[0], line[-1]) for line in lines)
    assert sum(len(line) - 1 for line in lines) == len(contours(mesh, 0, 0.1))
    radii = sorted(float(np.linalg.norm(line, axis=1).mean()) for line in lines)
    assert radii == pytest.approx([3.0, 5.0], abs=0.05)


def test_outline_of_an_open_surface_is_one_open_line():
    mesh = icosphere(1.0, subdivisions=3)
    half = mesh.faces[mesh.vertices[mesh.faces].mean(axis=1)[:, 1] > 0]
    lines = outlines(SurfaceMesh(mesh.vertices, half), 0, 0.05)
    assert len(lines) == 1 and not np.array_equal(lines[0][0], lines[0][-1])


def test_slices_show_data_model_and_residual_in_micrometres():
    data = example()
    panels = np.array(slices_figure(data).axes[:9]).reshape(3, 3)
    centre = data.mesh.vertices.mean(axis=0)
    for axis, row in enumerate(panels):
        raw, model, residual = (panel.images[0].get_array() for panel in row)
        np.testing.assert_allclose(residual, raw - model)
        assert row[0].images[0].get_clim() == row[1].images[0].get_clim()
        low, high = row[2].images[0].get_clim()
        assert low == -high
        left, right, bottom, top = row[0].images[0].get_extent()
        rows, columns = raw.shape
        step = np.delete(GRID.spacing, axis)
        assert ((bottom - top) / rows, (right - left) / columns) == pytest.approx(tuple(step))
        v, h = np.delete(centre, axis)
        assert top < v < bottom and left < h < right
        assert row[0].get_aspect() == 1.0
        assert (row[0].get_ylabel()[0], row[0].get_xlabel()[0]) == tuple(np.delete(list("zyx"), axis))


@pytest.mark.slow
def test_the_contours_lie_where_the_image_is_bright():
    data = example()
    figure = slices_figure(data)
    for panel in figure.axes[:9:3]:
        fitted = panel.collections[-1] if data.roi is None else panel.collections[-2]
        assert isinstance(fitted, LineCollection)
        points = np.concatenate([path.vertices for path in fitted.get_paths()])
        image = panel.images[0]
        left, right, bottom, top = image.get_extent()
        array = image.get_array()
        column = ((points[:, 0] - left) / (right - left) * array.shape[1]).astype(int)
        row = ((points[:, 1] - top) / (bottom - top) * array.shape[0]).astype(int)
        assert array[row, column].mean() > array.mean() + array.std()


def test_without_surfaces_there_are_no_lines():
    assert not any(panel.collections for panel in slices_figure(example(), surfaces=False).axes[:9])


@pytest.mark.slow
def test_truth_and_region_are_drawn_too():
    region = np.zeros(GRID.shape, bool)
    region[3:-3, 5:-5, 5:-5] = True
    plain = len(slices_figure(example()).axes[0].collections)
    more = slices_figure(example(truth=icosphere(2.4, GRID.centre), roi=region)).axes[0].collections
    assert len(more) == plain + 2


def test_scale_bar_has_the_length_it_names():
    axes = slices_figure(example()).axes[0]
    bar = next(line for line in axes.lines if line.get_gid() == "scale-bar")
    text = next(t.get_text() for t in axes.texts if t.get_text().endswith("µm") and "=" not in t.get_text())
    assert np.ptp(bar.get_xdata()) == pytest.approx(float(text.split()[0]))


@pytest.mark.parametrize(("length", "round_one"), [(3.1, 2.0), (5.0, 5.0), (0.19, 0.1), (99.0, 50.0), (1.0, 1.0)])
def test_round_lengths(length, round_one):
    assert _round_length(length) == pytest.approx(round_one)


@pytest.mark.slow
def test_a_constant_image_and_a_perfect_model_can_be_shown():
    flat = example().image
    flat = type(flat)(np.full(flat.shape, 7, np.uint16), flat.spacing, flat.origin)
    figure = slices_figure(example(image=flat, model=flat.data))
    figure.savefig(io.BytesIO())
    shown = [np.asarray(image.get_array()) for axes in figure.axes for image in axes.images]
    assert len(shown) >= 9 and all(np.isfinite(values).all() for values in shown)


def test_loss_has_one_line_a_kind_and_names_the_stages():
    axes = loss_figure(example()).axes[0]
    assert axes.get_yscale() == "log"
    assert [line.get_label() for line in axes.lines] == ["shape steps", "PSF steps"]
    assert sum(len(line.get_xdata()) for line in axes.lines) == 30
    assert [t.get_text() for t in axes.texts] == ["stage 1", "stage 2", "stage 3"]


@pytest.mark.parametrize(
    "history",
    [
        {},
        {"iteration": np.arange(1), "loss": np.array([1.0])},
        {"iteration": np.arange(3), "loss": np.array([1.0, np.nan, 0.0]), "kind": np.array([b"shape"] * 3)},
    ],
)
def test_a_short_or_broken_history_still_gives_a_figure(history):
    written = io.BytesIO()
    loss_figure(example(history=history)).savefig(written)
    assert written.getvalue().startswith(b"\x89PNG")


class _Sampled(NumericPSF):
    """A Gaussian of which only the transform is known."""

    def __init__(self, psf):
        self.otf_on, self.reach = psf.otf_on, psf.reach

    def view(self):
        return Grid((32, 32, 32), (0.3, 0.15, 0.1))


def test_psf_profiles_from_the_transform_agree_with_the_formula():
    psf = GaussianPSF.from_sigma((0.6, 0.3, 0.2))
    for axis in range(3):
        place, values, width = psf_profile(_Sampled(psf), axis)
        assert width == pytest.approx(psf.fwhm[axis], rel=5e-3)
        np.testing.assert_allclose(values, np.exp(-0.5 * (place / psf.sigma[axis]) ** 2), atol=2e-3)
        place, values, width = psf_profile(psf, axis)
        assert width == psf.fwhm[axis]
        np.testing.assert_allclose(values, np.exp(-0.5 * (place / psf.sigma[axis]) ** 2), rtol=1e-12)


def test_psf_figure_tells_the_widths():
    figure = psf_figure(example())
    labels = [t.get_text() for t in figure.axes[2].get_legend().get_texts()]
    assert labels == ["z: 1.18 µm", "y: 0.59 µm", "x: 0.59 µm"]
    assert len(figure.axes) == 3


def test_the_picture_shows_the_side_towards_the_viewer():
    mesh = icosphere(2.0, subdivisions=2)
    painted = surface_figure(mesh).axes[0].collections[0]
    assert 0.4 < len(painted.get_paths()) / mesh.n_faces < 0.6


def test_the_view_begins_with_the_long_side_across_and_is_no_mirror_image():
    mesh = ellipsoid((1.0, 1.0, 4.0), axes=[[1, 0, 0], [0, 0.8, 0.6], [0, -0.6, 0.8]])
    axes = view_axes(initial_yaw(mesh))
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(axes[:, ::-1]) == pytest.approx(1.0)  # right, down, away as x, y, z
    assert abs(axes[0] @ [0, -0.6, 0.8]) > 0.9


@pytest.mark.slow
def test_figures_leave_no_trace_in_pyplot_or_the_settings():
    import matplotlib

    before = dict(matplotlib.rcParams)
    slices_figure(example())
    assert dict(matplotlib.rcParams) == before
    if "matplotlib.pyplot" in sys.modules:
        assert not sys.modules["matplotlib.pyplot"].get_fignums()


def test_arrays_of_another_shape_are_refused():
    with pytest.raises(VolumeError, match="model has shape"):
        example(model=np.zeros((2, 2, 2)))
    with pytest.raises(VolumeError, match="roi has shape"):
        example(roi=np.zeros((2, 2, 2), bool))
