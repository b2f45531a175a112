"""The start found in an image."""

import numpy as np
import pytest
from fitting.simulated import ball

import cytoform as cf
from cytoform.errors import FitError, VolumeError
from cytoform.fitting.bodies.surface import SurfaceBody
from cytoform.fitting.neighbours import neighbour_blur_mask
from cytoform.fitting.scene import Scene
from cytoform.masks import mesh_to_mask
from cytoform.mesh import shapes


def largest(volume):
    return Scene(volume).largest_object()


def start(volume, found, init, edge):
    return SurfaceBody(Scene(volume), edge).starts(found.mask, init)[0]


def test_finds_the_cell():
    truth, volume, _ = ball(noise=10.0)
    found = largest(volume)
    mesh = start(volume, found, "auto", 0.4)
    assert np.linalg.norm(mesh.vertices.mean(axis=0) - truth.vertices.mean(axis=0)) < 0.2
    assert 0.4 < mesh.volume / truth.volume < 1.6
    low, high = mesh.bounds
    wide = (high - low) / (truth.bounds[1] - truth.bounds[0])
    assert (wide > 0.7).all() and (wide < 1.4).all()
    sphere = start(volume, found, "sphere", 0.4)
    assert np.ptp(np.linalg.norm(sphere.vertices - sphere.vertices.mean(axis=0), axis=1)) < 0.05


def test_a_touching_neighbour_is_left_out():
    shape = (20, 34, 60)
    truth, volume, _ = ball(shape=shape, centre=(2.85, 3.3, 3.6))
    _, other, _ = ball(radius=1.2, shape=shape, centre=(2.85, 3.3, 7.6))
    both = cf.Volume(np.maximum(volume.data, other.data), volume.spacing)
    found = largest(both)
    neighbour = mesh_to_mask(ball(radius=1.0, shape=shape, centre=(2.85, 3.3, 7.6))[0], volume.grid)
    assert not found.mask[neighbour].any() and found.other_objects[neighbour].any()
    inside = mesh_to_mask(truth, volume.grid)
    assert found.mask[inside].mean() > 0.9
    blur_mask = neighbour_blur_mask(found.other_objects, Scene(both))
    assert (blur_mask & found.other_objects == found.other_objects).all()


def test_a_fin_is_a_part_of_the_cell_and_a_hollow_body_a_neighbour():
    """Both hang on by a bridge and end within the image; only one of them has an inside of its own."""
    grid, psf = cf.Grid((34, 40, 70), 0.15), cf.GaussianPSF.from_sigma(0.2)

    def found(semi_axes, x):
        bodies = [shapes.ellipsoid((1.7, 2.0, 2.1), (2.5, 3.0, 3.0)), shapes.ellipsoid(semi_axes, (2.5, 3.0, x))]
        wide = grid.padded(psf.reach())
        image = sum(cf.render(b, psf, wide)[tuple(slice(0, n) for n in grid.shape)] for b in bodies)
        volume = cf.Volume(image.astype(np.float32), grid.spacing)
        inside = [mesh_to_mask(b, grid) for b in bodies]
        return largest(volume), inside[1] & ~inside[0]

    fin, tail = found((0.15, 1.0, 1.6), 6.8)
    assert fin.mask[tail].all() and not fin.other_objects.any()
    two, other = found((1.0, 1.0, 1.6), 6.8)
    assert two.mask[other].mean() < 0.2 and two.other_objects[other].mean() > 0.5


@pytest.mark.parametrize("n", [1, 2, 3])
def test_flat_cells_around_one_are_neighbours_though_no_inside_is_seen(n):
    grid, psf = cf.Grid((20, 60, 60), 0.2), cf.GaussianPSF.from_sigma((0.5, 0.25, 0.25))
    centre, directions = np.asarray(grid.centre), ((1.0, 0.0), (-0.5, 0.87), (-0.5, -0.87))
    away = 2.4 + 1.6 + 0.45
    places = [centre, *(centre + away * np.array([0.0, *d]) for d in directions[:n])]
    cells = [shapes.ellipsoid((0.55, r, r), tuple(p)) for p, r in zip(places, (2.4, *(1.6,) * n))]
    image = sum(cf.render(c, psf, grid.padded(psf.reach()))[tuple(slice(0, k) for k in grid.shape)] for c in cells)
    found = largest(cf.Volume(image.astype(np.float32), grid.spacing))
    inside = [mesh_to_mask(c, grid) for c in cells]
    assert found.mask[inside[0]].mean() > 0.8
    assert all(found.mask[other].mean() < 0.05 for other in inside[1:])


def test_two_apart_gives_the_larger():
    shape = (20, 34, 70)
    truth, volume, _ = ball(shape=shape, centre=(2.85, 3.3, 3.4))
    _, other, _ = ball(radius=1.0, shape=shape, centre=(2.85, 3.3, 10.0))
    both = cf.Volume(np.maximum(volume.data, other.data), volume.spacing)
    mesh = start(both, largest(both), "ellipsoid", 0.4)
    assert np.linalg.norm(mesh.vertices.mean(axis=0) - truth.vertices.mean(axis=0)) < 0.3


def test_images_without_a_cell():
    with pytest.raises(VolumeError, match="every voxel"):
        largest(cf.Volume(np.full((8, 8, 8), 7), 0.2))
    lone = np.zeros((20, 20, 20))
    lone[10, 10, 10] = 1000
    with pytest.raises(FitError, match="no bright object"):
        largest(cf.Volume(lone, 0.2))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rbc_00", "rbc_06", "rbc_12"])
def test_real_red_cells_start_in_the_middle(data_dir, name):
    volume = cf.read_volume(data_dir / "images" / f"{name}.tif")
    mesh = start(volume, largest(volume), "auto", 0.4)
    offset = np.abs(mesh.vertices.mean(axis=0) - volume.grid.centre)
    assert (offset < 1.5).all()
    assert 60 < mesh.volume < 260
