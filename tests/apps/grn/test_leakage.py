"""No edge that is tested may have a part in a score. R13.4.

Every method of the registry is run on two problems that differ in nothing but the edges outside of
training and validation. The scores of all pairs have to be the same bits.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from groundup.apps.grn.baselines import BASELINES, TableScorer
from groundup.apps.grn.registry import METHODS
from groundup.apps.grn.task.examples import example_problem
from groundup.apps.grn.task.problem import Known, Method, Problem
from groundup.apps.grn.task.splits import (
    KINDS,
    NONE,
    TEST,
    TRAIN,
    VALIDATION,
    Kind,
    Split,
    split_pairs,
)
from groundup.apps.grn.training.recipes import PLANS
from groundup.apps.grn.training.train import train_ensemble
from groundup.apps.grn.use.methods import method as model

PROBLEM = example_problem(1, tfs=10, genes=40, samples=12)


def _short(name: str) -> Method:
    """A method as it is, but for the time that a model trains."""
    if name in PLANS:
        return model(name, replace(PLANS[name].recipe, epochs=2, warm_up=0))
    if name == "ensemble":
        recipe = replace(PLANS["regulon"].recipe, epochs=1)
        return lambda known, seed: train_ensemble(known, recipe=recipe, seed=seed, members=2)
    return METHODS[name]


def _flipped(problem: Problem, split: Split, parts: tuple[int, ...]) -> Problem:
    """Every second pair of these parts is an edge where it was none, and the other way round."""
    random = np.random.default_rng(7)
    change = np.isin(split.parts, parts) & (random.random(split.parts.shape) < 0.5)
    edges = problem.edges ^ change
    signs = np.where(change, random.integers(-1, 2, change.shape), problem.signs).astype(np.int8)
    assert (edges != problem.edges).any()
    return replace(problem, edges=edges, signs=signs, prior_digest="another")


def _scores(method: Method, problem: Problem, split: Split) -> np.ndarray:
    genes = 3 if method is METHODS["trees"] else split.parts.shape[1]
    pairs = np.argwhere(np.ones((split.parts.shape[0], genes), bool))
    return np.asarray(method(problem.known(split), 3).score(pairs))


def _same(method: Method, kind: Kind, parts: tuple[int, ...]) -> bool:
    split = split_pairs(PROBLEM.edges, kind, np.random.default_rng(0), groups=PROBLEM.groups)
    one = _scores(method, PROBLEM, split)
    other = _scores(method, _flipped(PROBLEM, split, parts), split)
    return one.tobytes() == other.tobytes()


def _kinds(name: str) -> tuple[Kind, ...]:
    if name == "trees":
        return ("edge",)
    return KINDS if name in BASELINES else ("edge", "both")


@pytest.mark.parametrize("name", METHODS)
def test_no_score_depends_on_an_edge_that_is_tested(name: str) -> None:
    for kind in _kinds(name):
        parts = (TEST, NONE) if kind == "both" else (TEST,)
        assert _same(_short(name), kind, parts), f"{name}, held out by {kind}"


@pytest.mark.parametrize("name", [name for name in BASELINES if name != "trees"])
def test_baselines_do_not_look_at_validation_edges_either(name: str) -> None:
    assert _same(BASELINES[name], "gene", (VALIDATION,))


@pytest.mark.parametrize("name", ["degree", "neighbours", "logistic"])
def test_training_edges_do_matter(name: str) -> None:
    assert not _same(BASELINES[name], "edge", (TRAIN,))


def test_a_leak_would_be_seen() -> None:
    """Methods that count, average or learn from one edge too many."""

    class Whole(dict[int, Problem]):
        """The problem that a method should never have got."""

    given = Whole()

    def peeks(known: Known, seed: int) -> TableScorer:
        return TableScorer(given[0].edges.sum(axis=0) + np.zeros(known.edges.shape))

    split = split_pairs(PROBLEM.edges, "edge", np.random.default_rng(0))
    found = []
    for problem in (PROBLEM, _flipped(PROBLEM, split, (TEST,))):
        given[0] = problem
        found.append(_scores(peeks, problem, split))
    assert found[0].tobytes() != found[1].tobytes()


def test_known_has_no_edge_of_the_test() -> None:
    for kind in KINDS:
        split = split_pairs(PROBLEM.edges, kind, np.random.default_rng(1), groups=PROBLEM.groups)
        known = PROBLEM.known(split)
        hidden = (split.parts == TEST) | (split.parts == NONE)
        told: Mapping[str, np.ndarray] = {
            name: value
            for name, value in vars(known).items()
            if isinstance(value, np.ndarray) and value.shape == hidden.shape
        }
        assert len(told) == 5
        for name, value in told.items():
            assert not value[hidden].any(), name
        assert not (known.allowed & known.validation_allowed).any()
