"""Links between objects of frames in time: by overlap, by place, and divisions that are known."""

import itertools

import numpy as np
from compare.bodies import capsule, coordinates, sphere

from cytoform.compare.bodies import label_bodies
from cytoform.linking import CentroidLinker, Lineage, OverlapLinker


def _two(points, first, second):
    a, b = (sphere(points, r, c) for r, c in (first, second))
    return np.minimum(a, b)


def test_bodies_that_meet_for_a_frame_keep_their_numbers():
    points, linker = coordinates((12, 12, 40), (1, 1, 1)), OverlapLinker()
    apart = _two(points, (4.0, (0, 0, -6)), (5.0, (0, 0, 6)))
    found = []
    for sdf in (apart, np.minimum(apart, capsule(points, 3.0, 10.0, (0, 0, 1))), apart):
        labels, count, _ = label_bodies(sdf)
        numbers = linker.order(labels, count)
        found.append({number: int(np.argwhere(labels == k + 1)[:, 2].mean()) for k, number in enumerate(numbers)})
    assert found[0][0] > 20 > found[0][1]  # the larger one is 0, and lies at +x
    assert list(found[1]) == [0]
    assert found[2] == found[0]


def test_bodies_that_overlap_with_nothing_take_the_nearest_number():
    points, linker = coordinates((12, 12, 60), (1, 1, 1)), OverlapLinker()
    for shift in (0, 9):
        labels, count, _ = label_bodies(_two(points, (4.0 - shift / 9, (0, 0, -24 + shift)), (3.5, (0, 0, 6 + shift))))
        numbers = linker.order(labels, count)
    left = int(labels[:, :, :30].max())
    assert numbers[left - 1] == 0


def test_places_are_linked_by_the_least_sum_of_squared_ways():
    """Against all orders tried one by one; all objects drift together by more than they are apart."""
    rng = np.random.default_rng(2)
    places, volumes, linker = rng.normal(0, 5, (4, 3)), np.array([1.0, 2.0, 0.5, 3.0]), CentroidLinker()
    assert linker.order(places, volumes).tolist() == [0, 1, 2, 3]
    last = places - volumes @ places / volumes.sum()
    for step in range(4):
        mixed = rng.permutation(4)
        places = (places + rng.normal(0, 0.8, (4, 3)))[mixed]
        volumes = volumes[mixed]
        order = linker.order(places + 100.0 * step, volumes)
        here = places - volumes @ places / volumes.sum()
        best = min(itertools.permutations(range(4)), key=lambda o: ((last - here[list(o)]) ** 2).sum())
        assert order.tolist() == list(best)
        last = here[order]


def test_after_another_number_of_objects_the_order_is_as_it_comes():
    linker = CentroidLinker()
    pair = np.array([[0.0, 0.0, -3.0], [0.0, 0.0, 3.0]])
    assert linker.order(pair, [1.0, 1.0]).tolist() == [0, 1]
    assert linker.order(pair[::-1], [1.0, 1.0]).tolist() == [1, 0]
    assert linker.order(pair[:1], [1.0]).tolist() == [0]
    assert linker.order(pair[::-1], [1.0, 1.0]).tolist() == [0, 1]


def test_daughters_belong_to_the_track_of_their_parent():
    lineage = Lineage({3: (7, 8), 5: (9, 10)})
    assert lineage and not Lineage()
    assert [lineage.parent(label) for label in (3, 7, 10, 4)] == [None, 3, 5, None]
    assert [lineage.track(label) for label in (3, 7, 10, 4)] == [3, 3, 5, 4]
    assert lineage.with_daughters([3, 4]) == {3, 4, 7, 8}
