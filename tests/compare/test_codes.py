"""Latent codes: components against known variance, t-SNE that repeats itself, silhouettes of known groups."""

import numpy as np
import pytest

from cytoform.compare import pca, silhouette, tsne
from cytoform.compare.codes import code_space
from cytoform.errors import SequenceError

RNG = np.random.default_rng(1)
GROUPS = np.concatenate([RNG.normal(c, 0.1, (8, 5)) for c in (0.0, 3.0)])


def test_pca_finds_the_variance_along_each_direction():
    turn, _ = np.linalg.qr(RNG.normal(size=(6, 6)))
    plain = RNG.normal(size=(40, 6))
    plain = np.linalg.qr(plain - plain.mean(axis=0))[0] * np.array([3, 2, 1, 0, 0, 0])
    found = pca(plain @ turn + 5.0)
    assert found.explained == pytest.approx(np.array([9, 4, 1, 0, 0, 0]) / 14, abs=1e-12)
    assert found.scores @ found.components + found.mean == pytest.approx(plain @ turn + 5.0)
    assert (found.needed(0.9), found.needed(0.99)) == (2, 3)


def test_pca_of_few_and_of_equal_codes():
    assert pca(RNG.normal(size=(3, 10))).explained.shape == (2,)
    same = pca(np.full((4, 3), 0.1))
    assert same.explained.tolist() == [0, 0, 0] and same.needed(0.9) == 0


@pytest.mark.slow
def test_tsne_keeps_groups_apart_and_repeats_itself():
    pytest.importorskip("sklearn")
    first, second = tsne(1e-4 * GROUPS, seed=2), tsne(1e-4 * GROUPS, seed=2)
    assert first.shape == (16, 2) and (first == second).all()
    assert silhouette(first, [0] * 8 + [1] * 8) > 0.5
    assert tsne(np.ones((5, 3))).tolist() == np.zeros((5, 2)).tolist()


def test_silhouette_of_groups_and_of_shuffled_labels():
    pytest.importorskip("sklearn")
    assert silhouette(GROUPS, ["a"] * 8 + ["b"] * 8) > 0.9
    assert silhouette(GROUPS, ["a", "b"] * 8) < 0.1
    assert np.isnan(silhouette(GROUPS, ["a"] * 16))


def test_bad_codes_are_refused():
    for bad in (np.ones(4), np.ones((1, 3)), np.full((3, 3), np.nan)):
        with pytest.raises(SequenceError):
            pca(bad)
    with pytest.raises(SequenceError, match="at least 4"):
        tsne(np.eye(3))
    with pytest.raises(SequenceError, match="3 labels"):
        silhouette(GROUPS, ["a", "b", "c"])


def test_codes_find_their_set():
    pytest.importorskip("sklearn")
    sets = {"real": ["r1", "r2"], "rec": [f"a{k}" for k in range(4)], "gen": [f"b{k}" for k in range(5)]}
    likely = ["rec", "gen", "real"]
    space, _ = code_space(GROUPS[:5], None, sets, likely, 0)
    assert set(space.sets) == {"gen"} and space.sequences.tolist() == sets["gen"]
    both, _ = code_space({"rec": GROUPS[:4], "gen": GROUPS[8:13]}, {"rec": list("aabb")}, sets, likely, 0)
    assert both.labels.tolist() == ["a", "a", "b", "b", "", "", "", "", ""]
    with pytest.raises(SequenceError, match="there are 7 codes"):
        code_space(GROUPS[:7], None, sets, likely, 0)
    with pytest.raises(SequenceError, match="names of sets"):
        code_space({"other": GROUPS[:4]}, None, sets, likely, 0)
