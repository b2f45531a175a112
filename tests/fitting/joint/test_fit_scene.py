"""Several bodies fitted together: their brightness, gradients and shapes, and labelled cells that touch."""

import numpy as np
import pytest
from scipy import optimize

import cytoform as cf
from cytoform.errors import ConfigError, FitError, VolumeError
from cytoform.fitting import scene_from_labels
from cytoform.fitting.joint.brightness import Column, solve_brightness
from cytoform.fitting.joint.model import JointModel
from cytoform.fitting.joint.texture import texture_fields
from cytoform.fitting.joint.view import view_of
from cytoform.masks import mesh_to_mask
from cytoform.mesh import shapes

GRID = cf.Grid((24, 28, 36), 0.3)
PSF = cf.GaussianPSF.from_sigma((0.5, 0.35, 0.35))


def ball(centre, radius, level=1.0):
    return shapes.sphere_of_edge(radius, centre, 0.6).astype(np.float64).with_density(0.0).with_jump(level)


def two_balls():
    """Two filled balls that touch, one twice as bright as the other."""
    return cf.Scene({"dim": ball((3.5, 4.0, 3.4), 1.7, 40.0), "bright": ball((3.5, 4.3, 6.8), 1.7, 80.0)})


def image_of(scene, noise=1.0, background=10.0):
    image = cf.render(scene, PSF, GRID) + background
    return cf.Volume((image + np.random.default_rng(1).normal(0.0, noise, GRID.shape)).astype(np.float32), GRID.spacing)


def iou(found, truth):
    a, b = (np.asarray(mesh_to_mask(mesh, GRID)) for mesh in (found, truth))
    return (a & b).sum() / (a | b).sum()


def test_brightnesses_are_those_of_bounded_least_squares():
    rng = np.random.default_rng(0)
    shape, weights = (6, 7, 8), rng.uniform(0.2, 1.0, (6, 7, 8))
    boxes = [(slice(0, 5), slice(1, 7), slice(0, 6)), (slice(2, 6), slice(0, 4), slice(3, 8)),
             (slice(1, 4), slice(2, 6), slice(2, 7))]  # fmt: skip
    columns = [Column(box, rng.uniform(size=tuple(s.stop - s.start for s in box))) for box in boxes]
    observed = rng.normal(size=shape)
    design = np.zeros((4, *shape))
    for row, column in zip(design, columns):
        row[column.where] = column.values
    design[3] = 1.0
    root = np.sqrt(weights).ravel()
    wanted = optimize.lsq_linear(
        (design.reshape(4, -1) * root).T, observed.ravel() * root, ([0, 0, 0, -np.inf], np.inf), tol=1e-14
    ).x
    found = solve_brightness(columns, observed, weights)
    np.testing.assert_allclose([*found.gains, found.background], wanted, atol=1e-6)
    np.testing.assert_allclose(found.model, np.tensordot(wanted, design, 1), atol=1e-6)


def test_gradients_of_all_bodies_are_those_of_finite_differences():
    rng, truth = np.random.default_rng(2), two_balls()
    shell = shapes.sphere_of_edge(1.0, (3.0, 2.0, 8.5), 0.5).astype(np.float64).with_jump(0.4)
    bodies = [*truth.bodies.values(), shell, cf.PointSet(np.array([[5.0, 6.0, 9.0]]))]
    observed = image_of(cf.Scene(bodies)).data.astype(np.float64)
    moved = [body.with_vertices(body.vertices + 0.1 * rng.normal(size=body.vertices.shape)) for body in bodies]
    views = [view_of(b.vertices, PSF, GRID, 0.5, cutoff=1e-6, backend="exact", tolerance=1e-9) for b in moved]
    model = JointModel(observed, rng.uniform(0.5, 1.0, GRID.shape), views)
    found = model.loss(moved)
    assert [len(own) for own in found.parts] == [1, 1, 2, 1]
    for number, body in enumerate(moved):
        move, step = rng.normal(size=body.vertices.shape), 1e-5
        values = []
        for sign in (1, -1):
            tried = list(moved)
            tried[number] = body.with_vertices(body.vertices + sign * step * move)
            values.append(model.loss(tried, gradients=False).value)
        along = float((found.gradients[number].vertices * move).sum())
        assert (values[0] - values[1]) / (2 * step) == pytest.approx(along, rel=1e-4), number
    spectra = model.spectra(moved)
    value, slope = model.psf_loss(spectra, PSF)
    along = rng.normal(size=PSF.parameters.shape)
    values = [model.psf_loss(spectra, PSF.with_parameters(PSF.parameters + s * 1e-5 * along))[0] for s in (1, -1)]
    assert value == pytest.approx(found.value, rel=1e-6)
    assert (values[0] - values[1]) / 2e-5 == pytest.approx(float(slope @ along), rel=1e-4)


@pytest.mark.slow
def test_touching_balls_are_parted_with_their_brightness():
    truth = two_balls()
    start = cf.Scene({"dim": ball((3.7, 4.0, 3.2), 1.3), "bright": ball((3.4, 4.5, 7.0), 1.3)})
    seen = []
    found = cf.fit_scene(image_of(truth), start, config=cf.FitConfig(iterations=90))
    for name, level in (("dim", 40.0), ("bright", 80.0)):
        bright = found.brightness[name]
        assert bright.stained is None and bright.inside == pytest.approx(level, rel=0.02)
        assert 0 < bright.inside_error < 0.02 * level
        assert found.scene[name].volume == pytest.approx(truth[name].volume, rel=0.02)
        assert iou(found.scene[name], truth[name]) > 0.95
        seen.append(float(found.scene[name].jump[0]))
    np.testing.assert_allclose(seen, [found.brightness[n].inside for n in ("dim", "bright")], rtol=1e-6)
    assert found.background == pytest.approx(10.0, abs=0.2)
    np.testing.assert_allclose(found.psf.sigma, (0.5, 0.35, 0.35), rtol=0.06)
    assert found.noise == pytest.approx(1.0, rel=0.1)


def test_a_held_body_keeps_its_shape_and_files_are_written(tmp_path):
    truth = two_balls()
    start = cf.Scene({"dim": truth["dim"], "bright": ball((3.4, 4.5, 7.0), 1.5)})
    found = cf.fit_scene(image_of(truth), start, PSF, cf.FitConfig(iterations=15, infer_psf=False), fixed=["dim"])
    np.testing.assert_allclose(found.scene["dim"].vertices, truth["dim"].vertices, atol=1e-12)
    assert found.psf is PSF and found.stop_reason == "all 15 iterations done" and not found.converged
    rows = found.save(tmp_path).joinpath("bodies.csv").read_text().splitlines()
    assert rows[0].startswith("body,kind,brightness,") and len(rows) == 3
    assert list(cf.read_scene(tmp_path / "scene.h5").bodies) == ["dim", "bright"]
    assert found.table()["volume_um3"][0] == pytest.approx(truth["dim"].volume)


def test_uneven_brightness_inside_is_learnt_and_even_brightness_stays_even():
    body = two_balls()["dim"]
    inside = np.asarray(mesh_to_mask(body, GRID))
    fields = texture_fields(inside, GRID)
    gram = np.einsum("iv,jv->ij", fields[:, inside], fields[:, inside]) / inside.sum()
    assert len(fields) == 9
    np.testing.assert_allclose(gram, np.eye(9), atol=1e-9)
    np.testing.assert_allclose(fields[:, inside].mean(axis=1), 0.0, atol=1e-9)
    even = image_of(cf.Scene({"a": body}))
    blur = cf.rendering.Renderer(PSF, PSF.band(GRID.padded(2.0), 1e-3))
    light = blur.blur(0.3 * 40.0 * fields[2].astype(np.float64))[: GRID.shape[0], : GRID.shape[1], : GRID.shape[2]]
    uneven = cf.Volume((even.data + light).astype(np.float32), GRID.spacing)
    config = cf.FitConfig(iterations=45, infer_psf=False)
    found = [cf.fit_scene(v, cf.Scene({"a": body}), PSF, config, fixed=["a"], texture=True) for v in (even, uneven)]
    assert found[0].brightness["a"].texture < 0.03
    assert found[1].brightness["a"].texture == pytest.approx(0.3, rel=0.15)
    assert found[0].texture_spread < 0.25 * found[1].texture_spread


def test_labels_become_bodies_that_go_on_beyond_the_border():
    labels = np.zeros(GRID.shape, dtype=int)
    labels[8:16, 8:16, 0:10] = 7
    labels[8:16, 8:16, 12:22] = 12
    labels[0, 0, 0] = 3
    found = scene_from_labels(labels, GRID)
    assert list(found.bodies) == ["7", "12"]
    assert found["12"].volume == pytest.approx(8 * 8 * 10 * 0.3**3, rel=0.02)
    assert found["7"].vertices[:, 2].min() < -0.9  # four voxels, less the rounding
    with pytest.raises(VolumeError, match="the grid's"):
        scene_from_labels(labels[1:], GRID)
    with pytest.raises(VolumeError, match="no label has 8 voxels"):
        scene_from_labels(np.zeros(GRID.shape, dtype=int), GRID)


@pytest.mark.slow
def test_a_labelled_cell_is_fitted_with_its_touching_neighbour():
    truth = two_balls()
    volume = image_of(truth)
    labels = np.zeros(GRID.shape, dtype=int)
    for number, name in enumerate(truth.bodies, 1):
        labels[np.asarray(mesh_to_mask(truth[name], GRID))] = number
    config = cf.FitConfig(stain="filled", iterations=60, uncertainty=False)
    found = cf.fit(volume, labels=labels, label=1, config=config)
    assert iou(found.mesh, truth["dim"]) > 0.93
    assert found.filling == pytest.approx(40.0, rel=0.03)
    assert found.surroundings is not None
    other = cf.render(truth["bright"], PSF, GRID)
    lit = other > 20.0
    np.testing.assert_allclose(found.surroundings.data[lit].mean(), other[lit].mean(), rtol=0.1)


def test_wrong_inputs_are_named():
    volume, scene = image_of(two_balls()), two_balls()
    with pytest.raises(ConfigError, match="fixed names 'nucleus'; expected some of 'dim', 'bright'"):
        cf.fit_scene(volume, scene, fixed=["nucleus"])
    far = cf.Scene({"far": ball((100.0, 0.0, 0.0), 1.0)})
    with pytest.raises(FitError, match="body 1 lies outside of the image"):
        cf.fit_scene(volume, far)
    with pytest.raises(VolumeError, match="every voxel of the region"):
        cf.fit_scene(cf.Volume(np.zeros(GRID.shape, np.float32), GRID.spacing), scene)
