"""Unlabelled pairs: which are drawn, and what counting edges tells of them (R13.4)."""

import numpy as np
import pytest

from groundup.apps.grn.task.negatives import NEGATIVES, draw_unlabelled
from groundup.apps.grn.task.splits import TEST, TRAIN, VALIDATION, Split, split_pairs


def problem(seed: int) -> tuple[np.ndarray, np.random.Generator]:
    random = np.random.default_rng(seed)
    chance = np.outer(random.uniform(0.05, 0.5, 20), random.uniform(0.05, 1.0, 50))
    return random.random(chance.shape) < chance, random


@pytest.mark.parametrize("kind", NEGATIVES)
@pytest.mark.parametrize("part", [TRAIN, VALIDATION, TEST])
def test_no_edge_is_drawn_and_none_of_another_part(kind: str, part: int) -> None:
    edges, random = problem(1)
    split = split_pairs(edges, "edge", random)
    pairs = draw_unlabelled(edges, split, part, kind, random)
    assert not edges[tuple(pairs.T)].any()
    assert (split.parts[tuple(pairs.T)] == part).all()


def test_matched_gives_each_tf_as_many_pairs_as_edges_if_so_many_are_free() -> None:
    edges, random = problem(2)
    split = split_pairs(edges, "gene", random)
    for ratio in (1, 2):
        pairs = draw_unlabelled(edges, split, TEST, "matched", random, ratio=ratio)
        known = edges & (split.parts == TEST)
        free = (~edges & (split.parts == TEST))[:, known.any(0)].sum(1)
        expected = np.minimum(ratio * known.sum(1), np.where(known.any(1), free, 0))
        assert (np.bincount(pairs[:, 0], minlength=20) == expected).all()


def test_matched_genes_come_about_as_often_as_they_have_edges() -> None:  # R13.4
    """Genes with many edges are free for few TFs, and must not be drawn too rarely for it."""
    random = np.random.default_rng(3)
    chance = np.outer(random.uniform(0.05, 0.6, 30), random.uniform(0.05, 1.0, 60))
    edges = random.random(chance.shape) < chance
    split = Split("edge", np.zeros(edges.shape, np.int8))
    counts = np.zeros(60)
    for _ in range(40):
        pairs = draw_unlabelled(edges, split, 0, "matched", random)
        counts += np.bincount(pairs[:, 1], minlength=60) / 40
    degrees = edges.sum(0)
    many = degrees >= np.quantile(degrees, 0.8)
    assert counts[many].sum() / degrees[many].sum() == pytest.approx(1, abs=0.08)
    assert np.abs(counts - degrees).mean() < 0.15 * degrees.mean()
