"""Values of masks: what counts as outside, what is refused, and which parts of a label are used."""

import numpy as np
import pytest
from scipy import ndimage

from cytoform.errors import SequenceError, VolumeError
from cytoform.image.volume import Volume
from cytoform.linking import Lineage
from cytoform.sdf.labels import FrameLabels

SHAPE, SPACING = (12, 30, 32), (0.5, 0.25, 0.25)


def ball(middle=(6, 14, 15), radius=5.0):
    z, y, x = np.ogrid[tuple(slice(n) for n in SHAPE)]
    a, b, c = middle
    return (2 * (z - a)) ** 2 + (y - b) ** 2 + (x - c) ** 2 < radius**2


def labels(data, wanted=None):
    return FrameLabels.from_volume(Volume(data, SPACING), wanted, Lineage(), "frame 3 of a.tif")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.uint64, np.float32, np.float64, bool])
def test_kinds_of_numbers(dtype):
    found = labels(ball().astype(dtype))
    assert list(found.crops) == [1] and found.n_unset == 0
    np.testing.assert_array_equal(found.crops[1].mask.sum(), ball().sum())


def test_a_mask_of_0_and_255_is_one_object():
    assert list(labels(np.where(ball(), 255, 0).astype(np.uint8)).crops) == [255]


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_minus_one_is_outside_and_counted(dtype):
    data = np.where(ball(), 7, -1).astype(dtype)
    data[0, 0, :3] = 0
    found = labels(data)
    assert list(found.crops) == [7] and found.n_unset == (data == -1).sum()


@pytest.mark.parametrize("value, dtype", [(2**32 + 5, np.int64), (2**63 + 2**20, np.uint64), (2**40, np.float64)])
def test_huge_labels(value, dtype):
    data = np.zeros(SHAPE, dtype=dtype)
    data[ball()] = value
    data[0, 0, 0] = 3
    assert list(labels(data).crops) == [3, value] and list(labels(data, [value]).crops) == [value]
    assert labels(data).crops[value].mask.sum() == ball().sum()


def soft():
    """A blurred mask, 0 to 1."""
    return ndimage.gaussian_filter(ball(radius=8).astype(float), (1, 2, 2))


def noise(dtype):
    return np.random.default_rng(0).poisson(100, SHAPE).astype(dtype)


@pytest.mark.parametrize(
    "data, words",
    [
        (soft().astype(np.float32), ("frame 3 of a.tif", "probability map", "Threshold")),
        (300.5 * soft(), ("not whole numbers", "Segment")),
        (np.rint(255 * soft()).astype(np.uint8), ("as an image or a probability map",)),
        (np.rint(60000 * soft()).astype(np.uint16), ("as an image or a probability map",)),
        (noise(np.uint16), ("as an image",)),
        (noise(np.float32), ("as an image",)),
        (np.where(ball(), 1, -5), ("value -5", "−1 counts as outside")),
    ],
)
def test_what_is_no_mask_is_refused_with_the_cause(data, words):
    with pytest.raises(VolumeError) as caught:
        labels(data)
    assert all(word in str(caught.value) for word in words), caught.value


def test_many_cells_and_specks_are_labels():
    """As many cells as a tissue has, and more specks of a voxel or a thin scrap than cells."""
    data = np.zeros((12, 80, 80), dtype=np.uint16)
    cells = [(y, x) for y in range(2, 70, 12) for x in range(2, 70, 12)]
    for k, (y, x) in enumerate(cells, start=1):
        data[3:9, y : y + 10, x : x + 10] = k
    for k in range(60):
        data[1, k, k % 7 : k % 7 + 1 + k % 3] = 100 + k
    found = labels(data)
    assert len(found.crops) == len(cells) + 60


# -- parts -------------------------------------------------------------------------------------------------------------


def found(mask, parts=1, border="error"):
    [crop] = labels(mask.astype(np.uint8)).crops.values()
    return crop.surfaces(parts, border, "frame 0 of cell")


def test_shares_of_what_is_left_out():
    big, small = ball((6, 10, 10)), ball((6, 22, 24), 4.0)
    mask = big | small
    mask[0, 0, 31] = True  # a speck
    one, two = found(mask, border="keep"), found(mask, 2, "keep")
    total = mask.sum()
    assert (one.n_parts, len(one.bodies), len(two.bodies)) == (2, 1, 2)
    assert one.unused_fraction == pytest.approx(small.sum() / total) and two.unused_fraction == 0
    assert one.speck_fraction == two.speck_fraction == pytest.approx(1 / total)
    assert (one.smallest_voxels, two.smallest_voxels) == (big.sum(), small.sum())


def test_a_third_part_is_left_out_of_two():
    mask = ball((6, 8, 8)) | ball((6, 22, 24), 4.5) | ball((6, 8, 25), 4.0)
    three = found(mask, 2)
    assert three.n_parts == 3 and len(three.bodies) == 2
    assert three.unused_fraction == pytest.approx(ball((6, 8, 25), 4.0).sum() / mask.sum())


@pytest.mark.parametrize(
    "middle, side",
    [((1, 14, 15), "first z"), ((10, 14, 15), "last z"), ((6, 2, 15), "first y"), ((6, 14, 29), "last x")],
)
def test_sides_of_the_border(middle, side):
    with pytest.raises(SequenceError, match=rf"frame 0 of cell.*{side} plane.*--border skip.*--border keep"):
        found(ball(middle))
    skipped, kept = found(ball(middle), border="skip"), found(ball(middle), border="keep")
    assert skipped.border_side == f"{side} plane" and not skipped.bodies
    assert kept.border_side == "" and len(kept.bodies) == 1


def test_a_part_that_is_not_used_may_touch_the_border():
    assert found(ball((6, 15, 18)) | (ball((6, 2, 2), 2.5))).border_side == ""


def test_a_background_with_a_label_is_named():
    assert "background" in found(~ball(), border="skip").border_side
