"""Splits hold out what they say, and unlabelled pairs come from where they should. R13.4."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from groundup.apps.grn.task.examples import example_problem
from groundup.apps.grn.task.negatives import draw_unlabelled
from groundup.apps.grn.task.splits import KINDS, NONE, TEST, TRAIN, VALIDATION, Kind, split_pairs

PROBLEM = example_problem(3, tfs=30, genes=200)
SEEDS = st.integers(0, 2**32 - 1)


@given(seed=SEEDS, kind=st.sampled_from(KINDS))
def test_parts_share_nothing_that_is_held_out(seed: int, kind: Kind) -> None:
    split = split_pairs(PROBLEM.edges, kind, np.random.default_rng(seed), groups=PROBLEM.groups)
    training, test = split.parts == TRAIN, split.parts == TEST
    if kind in ("gene", "group", "both"):
        assert not (training.any(axis=0) & test.any(axis=0)).any()
    if kind == "group":
        for group in np.unique(PROBLEM.groups):
            assert len(np.unique(split.parts[:, group == PROBLEM.groups])) == 1
    if kind in ("tf", "both"):
        assert not (training.any(axis=1) & test.any(axis=1)).any()
    assert (NONE in split.parts) == (kind == "both")
    for part in (TRAIN, VALIDATION, TEST):
        assert (PROBLEM.edges & (split.parts == part)).any()


def test_fractions_are_kept() -> None:
    split = split_pairs(PROBLEM.edges, "edge", np.random.default_rng(0), fractions=(0.1, 0.3))
    for pairs in (PROBLEM.edges, ~PROBLEM.edges):
        share = [(split.parts[pairs] == part).mean() for part in (VALIDATION, TEST)]
        np.testing.assert_allclose(share, [0.1, 0.3], atol=0.002)


def test_bad_splits_are_refused() -> None:
    random = np.random.default_rng(0)
    with pytest.raises(ValueError, match="expected one of edge, gene"):
        split_pairs(PROBLEM.edges, "cell", random)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="sum is below 1"):
        split_pairs(PROBLEM.edges, "edge", random, fractions=(0.5, 0.5))
    with pytest.raises(ValueError, match="groups of the genes are missing"):
        split_pairs(PROBLEM.edges, "group", random)
    one = np.zeros((3, 9), bool)
    one[0, 0] = True
    with pytest.raises(ValueError, match="no edge of 1 is in the"):
        split_pairs(one, "gene", random)


@given(seed=SEEDS, kind=st.sampled_from(["uniform", "matched"]))
def test_unlabelled_pairs_are_of_the_part_and_no_edge_of_any(seed: int, kind: str) -> None:
    random = np.random.default_rng(seed)
    split = split_pairs(PROBLEM.edges, "edge", random)
    pairs = draw_unlabelled(PROBLEM.edges, split, TEST, kind, random)  # type: ignore[arg-type]
    place = tuple(pairs.T)
    assert not PROBLEM.edges[place].any()
    assert (split.parts[place] == TEST).all()
    count = (PROBLEM.edges & (split.parts == TEST)).sum()
    assert len(np.unique(pairs, axis=0)) == len(pairs) <= count
    if kind == "uniform":
        assert len(pairs) == count


def test_matched_pairs_have_the_tfs_of_the_edges() -> None:
    random = np.random.default_rng(0)
    split = split_pairs(PROBLEM.edges, "gene", random)
    pairs = draw_unlabelled(PROBLEM.edges, split, TEST, "matched", random)
    own = (PROBLEM.edges & (split.parts == TEST)).sum(axis=1)
    np.testing.assert_array_equal(np.bincount(pairs[:, 0], minlength=len(own)), own)


def test_all_means_all() -> None:
    split = split_pairs(PROBLEM.edges, "tf", np.random.default_rng(0))
    pairs = draw_unlabelled(PROBLEM.edges, split, TEST, "all", np.random.default_rng(0))
    assert len(pairs) == (~PROBLEM.edges & (split.parts == TEST)).sum()
